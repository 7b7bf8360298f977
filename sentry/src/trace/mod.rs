//! Trace text: what the guest asks for, as `strace -f` prints it.
//!
//! The table of system calls names a [`View`](show::View) for every argument and result; here they are put together to
//! lines. The part of a line that is known before the call is written when the call blocks, so that the trace of a
//! program that hangs ends with what it hangs in; otherwise a line is written as a whole. A task that writes while
//! another's line is open closes it with `<unfinished ...>`, and the other goes on with `<... resumed>`.

pub mod show;
mod siginfo;
pub mod structures;
pub mod views;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::pin;

use moat_abi::errno::Errno;
use moat_abi::nr;
use moat_abi::signal::{SigInfo, SigSet, Signal};
use moat_host::Sink;

use crate::Result;
use crate::kernel::Current;
use crate::kernel::signal::frame;
use crate::sync::{Mutex, Rank};
use crate::syscalls::arguments::Outcome;
use crate::syscalls::table::{self, Call};
use show::{Memory, Show, View};

/// Where strace puts the equals sign of a short line.
const COLUMN: usize = 40;

/// Writes trace text of one container to a host descriptor.
pub struct Tracer {
    sink: Sink,
    /// Longest string shown, in bytes.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whose line has no end yet.
    open: Option<u32>,
    /// That line, and how much of it has been written.
    line: String,
    written: usize,
    tasks: HashMap<u32, TaskState>,
}

#[derive(Default)]
struct TaskState {
    /// The call that `restart_syscall` would go on with.
    interrupted: Option<&'static str>,
    /// Signals that were thrown away because nobody wants them. A tracer sees them all the same.
    ignored: Vec<SigInfo>,
}

impl Tracer {
    /// Writes to `to`; strings are cut after `limit` bytes.
    pub fn new(to: OwnedFd, limit: usize) -> Self {
        Self { sink: Sink::new(to), limit, state: Mutex::new(Rank::Leaf, State::default()) }
    }

    /// A task begins to run.
    pub fn begin_task(&self, tid: u32) {
        self.state.lock().tasks.entry(tid).or_default();
    }

    /// A task has ended with this wait status.
    pub fn end_task(&self, tid: u32, status: u32) {
        let text = match status & 0x7f {
            0 => format!("+++ exited with {} +++", status >> 8 & 0xff),
            signal => {
                let name = Signal::from_raw(signal as i32).map_or_else(|| signal.to_string(), Signal::name);
                format!("+++ killed by {name}{} +++", if status & 0x80 != 0 { " (core dumped)" } else { "" })
            }
        };
        self.event(tid, &text);
        self.state.lock().tasks.remove(&tid);
    }

    /// A task takes a signal.
    pub fn signal(&self, tid: u32, info: &SigInfo) {
        let nothing = Nothing;
        let mut show = Show::new(&nothing, [0; 6], self.limit);
        siginfo::show(info, &mut show);
        let name = Signal::from_raw(info.signo).map_or_else(|| info.signo.to_string(), Signal::name);
        self.event(tid, &format!("--- {name} {} ---", show.take()));
    }

    /// A signal for a task was thrown away.
    pub fn ignored_signal(&self, tid: u32, info: &SigInfo) {
        if let Some(task) = self.state.lock().tasks.get_mut(&tid) {
            task.ignored.push(*info);
        }
    }

    /// A signal stopped a task.
    pub fn stopped(&self, tid: u32, signal: Signal) {
        self.event(tid, &format!("--- stopped by {} ---", signal.name()));
    }

    fn show_ignored(&self, tid: u32) {
        let ignored = match self.state.lock().tasks.get_mut(&tid) {
            Some(task) if !task.ignored.is_empty() => std::mem::take(&mut task.ignored),
            _ => return,
        };
        for info in ignored {
            self.signal(tid, &info);
        }
    }

    fn event(&self, tid: u32, text: &str) {
        let mut state = self.state.lock();
        state.close(&self.sink);
        state.lead(tid);
        state.line.push_str(text);
        state.finish(&self.sink);
    }

    /// The first part of a call's line.
    fn begin_call(&self, tid: u32, text: &str) {
        let mut state = self.state.lock();
        state.close(&self.sink);
        state.lead(tid);
        state.line.push_str(text);
        state.open = Some(tid);
    }

    /// The call blocks: what is known of it shall be seen.
    fn block_call(&self, tid: u32) {
        let mut state = self.state.lock();
        if state.open == Some(tid) {
            state.write(&self.sink);
        }
    }

    /// The rest of a call's line. An `execve` may have changed the caller's number from `before` to `tid`.
    fn end_call(&self, before: u32, tid: u32, name: &str, late: &str, result: &str) {
        let mut state = self.state.lock();
        if state.open != Some(before) {
            state.close(&self.sink);
            state.lead(tid);
            state.line.push_str(&format!("<... {name} resumed>"));
        }
        state.open = None;
        state.line.push_str(late);
        state.line.push_str(") ");
        let width = state.line.chars().count();
        state.line.extend(std::iter::repeat_n(' ', COLUMN.saturating_sub(width)));
        state.line.push_str("= ");
        state.line.push_str(result);
        state.finish(&self.sink);
    }
}

// The host may make the writer wait, and the lock is held meanwhile: lines must come in the order of events, and a
// trace that loses lines is worth nothing.
impl State {
    /// Starts a line with the task's number, if there are several.
    fn lead(&mut self, tid: u32) {
        if self.tasks.len() > 1 {
            self.line.push_str(&format!("[pid {tid:5}] "));
        }
    }

    fn write(&mut self, sink: &Sink) {
        // A reader that has gone away is no reason to end the guest.
        let _ = sink.write_all(&self.line.as_bytes()[self.written..]);
        self.written = self.line.len();
    }

    fn finish(&mut self, sink: &Sink) {
        self.line.push('\n');
        self.write(sink);
        self.line.clear();
        self.written = 0;
    }

    fn close(&mut self, sink: &Sink) {
        if self.open.take().is_some() {
            self.line.push_str(" <unfinished ...>");
            self.finish(sink);
        }
    }
}

/// No memory at all: signals point nowhere that is looked at.
struct Nothing;

impl Memory for Nothing {
    fn read(&self, _from: u64, _to: &mut [u8]) -> bool {
        false
    }
}

/// What is shown of a call before it is made: its name and its arguments up to the first that comes late.
fn begin(call: &Call, show: &mut Show<'_>) -> String {
    let mut text = format!("{}(", call.name);
    let mut separator = "";
    for (i, parameter) in call.arguments.iter().enumerate() {
        if parameter.late {
            if !parameter.optional {
                text.push_str(separator);
            }
            break;
        }
        (parameter.show)(show.argument(i), show);
        if !show.is_empty() {
            text.push_str(separator);
            text.push_str(&show.take());
            separator = ", ";
        }
    }
    text
}

/// The arguments behind those that [`begin`] showed.
fn rest(call: &Call, show: &mut Show<'_>) -> String {
    let mut text = String::new();
    let Some(first) = call.arguments.iter().position(|p| p.late) else { return text };
    let mut separator = if first > 0 && call.arguments[first].optional { ", " } else { "" };
    for (i, parameter) in call.arguments.iter().enumerate().skip(first) {
        (parameter.show)(show.argument(i), show);
        if !show.is_empty() {
            text.push_str(separator);
            text.push_str(&show.take());
            separator = ", ";
        }
    }
    text
}

/// The result, and in brackets what the call made of its arguments.
fn result(call: Option<&Call>, result: Result<u64>, show: &mut Show<'_>) -> String {
    let value = match result {
        Err(errno) if errno.is_restart() => return format!("? {errno}"),
        Err(errno) => return format!("-1 {errno}"),
        Ok(value) => value,
    };
    let Some(call) = call else { return value.to_string() };
    (call.show_result)(value, show);
    let mut text = show.take();
    let mut separator = " (";
    for (i, parameter) in call.arguments.iter().enumerate() {
        (parameter.show_behind)(show.argument(i), show);
        if !show.is_empty() {
            text.push_str(separator);
            text.push_str(&show.take());
            separator = ", ";
        }
    }
    if separator == ", " {
        text.push(')');
    }
    text
}

/// A call that is missing, or whose number is none: strace's way with numbers that it does not know.
fn unknown(number: u64, arguments: [u64; 6]) -> (&'static str, String) {
    let name = table::MISSING.iter().find(|(n, ..)| *n == number).map_or("", |(_, name, ..)| name);
    let shown = arguments.map(|a| format!("{a:#x}")).join(", ");
    match name {
        "" => ("syscall", format!("syscall_{number:#x}({shown}")),
        _ => (name, format!("{name}({shown}")),
    }
}

/// Makes a system call by `perform` and traces it.
pub async fn call(current: &mut Current, tracer: &Tracer, number: u64, arguments: [u64; 6]) -> Result<Outcome> {
    let before = current.tid();
    let memory = current.memory();
    let known = table::call(number);
    let (name, text) = match known {
        Some(call) => (call.name, first_part(current, tracer, call, arguments)),
        None => unknown(number, arguments),
    };
    let remembered = known.map(|call| remember(call, &Show::new(&memory, arguments, tracer.limit)));
    tracer.show_ignored(before);
    tracer.begin_call(before, &text);
    let done = {
        let mut made = pin!(crate::syscalls::perform(current, number, arguments));
        poll_fn(|cx| {
            let polled = made.as_mut().poll(cx);
            if polled.is_pending() {
                tracer.block_call(before);
            }
            polled
        })
        .await
    };
    let value = match done {
        Ok(Outcome::Value(value)) => Ok(value),
        Ok(Outcome::Registers) => {
            let rax = current.context.registers().rax;
            let errno = i32::try_from((rax as i64).wrapping_neg()).ok().filter(|e| (1..4096).contains(e));
            errno.map_or(Ok(rax), |e| Err(Errno::from_raw(e)))
        }
        Err(errno) => Err(errno),
    };
    let gone = current.ending.is_some() || (value.is_err_and(Errno::is_restart) && current.is_killed());
    let mut show = Show::new(&memory, arguments, tracer.limit);
    show.set_result(value);
    show.set_remembered(remembered.unwrap_or_default());
    let (late, result) = match (gone, known) {
        (true, Some(call)) if call.arguments.iter().any(|p| p.late) => (" <unfinished ...>".to_owned(), "?".to_owned()),
        (true, _) => (String::new(), "?".to_owned()),
        (false, Some(call)) => (rest(call, &mut show), result(known, value, &mut show)),
        (false, None) => (String::new(), result(None, value, &mut show)),
    };
    tracer.end_call(before, current.tid(), name, &late, &result);
    if value == Err(Errno::ERESTART_RESTARTBLOCK)
        && number != nr::RESTART_SYSCALL
        && let Some(task) = tracer.state.lock().tasks.get_mut(&current.tid())
    {
        task.interrupted = Some(name);
    }
    if current.ending.is_none() {
        tracer.show_ignored(current.tid());
    }
    done
}

/// The numbers that are shown as they were before the call.
fn remember(call: &Call, show: &Show<'_>) -> Vec<(u64, u64)> {
    let wanted = call.arguments.iter().enumerate().filter(|(_, p)| p.remembered > 0);
    wanted
        .filter_map(|(i, p)| {
            let address = show.argument(i);
            show.number(address, p.remembered).map(|number| (address, number))
        })
        .collect()
}

/// A process from outside has been given its program, which is shown as the `execve` that it would have taken.
pub fn started(current: &mut Current, path: &[u8]) {
    let Some(tracer) = current.kernel().tracer().cloned() else { return };
    let (tid, memory, stack) = (current.tid(), current.memory(), current.context.registers().rsp);
    let mut show = Show::new(&memory, [0; 6], tracer.limit);
    let count = show.read::<u64>(stack).unwrap_or_default();
    let arguments = stack.wrapping_add(8);
    show.str("execve(");
    show.quoted_whole(path);
    show.str(", ");
    show.array::<u64>(arguments, count, |to, string| to.string(*string));
    show.str(", ");
    views::process::Environment::show(arguments.wrapping_add(8 * count).wrapping_add(8), &mut show);
    tracer.begin_task(tid);
    tracer.begin_call(tid, &show.take());
    tracer.end_call(tid, tid, "execve", "", "0");
}

fn first_part(current: &mut Current, tracer: &Tracer, call: &Call, arguments: [u64; 6]) -> String {
    let memory = current.memory();
    match call.number {
        // Its argument is the frame that the stack pointer is behind of.
        nr::RT_SIGRETURN => {
            let stack = current.context.registers().rsp;
            let mut show = Show::new(&memory, arguments, tracer.limit);
            match show.read::<SigSet>(frame::mask_below(stack)) {
                Some(mask) => show.signals(mask),
                None => show.address(stack),
            }
            format!("rt_sigreturn({{mask={}}}", show.take())
        }
        nr::RESTART_SYSCALL => {
            let interrupted = tracer.state.lock().tasks.get(&current.tid()).and_then(|t| t.interrupted);
            format!("restart_syscall(<... resuming interrupted {} ...>", interrupted.unwrap_or("system call"))
        }
        _ => begin(call, &mut Show::new(&memory, arguments, tracer.limit)),
    }
}
