//! Seccomp filters (seccomp(2)) on the guest's calls: those that tasks give themselves, and that of config.json, which
//! is the first of every process that comes from outside.
//!
//! A task's filters are a list that only grows. Every filter is asked, the strictest answer counts.

pub mod bpf;
pub mod profile;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moat_abi::errno::Errno;
use moat_abi::nr;
use moat_abi::seccomp::*;
use moat_abi::signal::{SIGKILL, SIGSYS, SigInfo};

use super::signal::send;
use super::{Current, Task, exit};
use crate::Result;
use crate::sync::{Mutex, Rank};
use crate::syscalls::arguments::Outcome;

const ERRNO_MAX: u32 = 4095;
/// The most instructions of all filters of a task, each filter counting for some more.
const INSTRUCTIONS_MAX: usize = 32_768;
const FILTER_OVERHEAD: usize = 4;

/// What a filter sees of a call (`struct seccomp_data`).
#[derive(Clone, Copy, Debug, Default)]
pub struct CallData {
    /// Its number.
    pub number: u32,
    /// Where it was made; 0 if no filter asks for it.
    pub instruction: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// One filter.
pub struct Filter {
    program: Program,
    /// Whether refused calls are logged (SECCOMP_FILTER_FLAG_LOG).
    log: bool,
}

enum Program {
    Classic(bpf::Program),
    Profile(profile::Profile),
}

impl Filter {
    /// A checked program of a task.
    pub fn classic(program: bpf::Program, log: bool) -> Arc<Self> {
        Arc::new(Self { program: Program::Classic(program), log })
    }

    /// `linux.seccomp` of config.json, as JSON.
    ///
    /// # Errors
    /// What is wrong with it, with the name of the field.
    pub fn from_config(json: &str) -> std::result::Result<Arc<Self>, String> {
        let (profile, log) = profile::parse(json)?;
        Ok(Arc::new(Self { program: Program::Profile(profile), log }))
    }

    fn run(&self, data: &CallData) -> u32 {
        match &self.program {
            Program::Classic(program) => program.run(data),
            Program::Profile(profile) => profile.run(data),
        }
    }

    fn wants_instruction(&self) -> bool {
        matches!(&self.program, Program::Classic(program) if program.wants_instruction())
    }

    fn len(&self) -> usize {
        match &self.program {
            Program::Classic(program) => program.len(),
            Program::Profile(_) => 0,
        }
    }
}

/// How a task's calls are filtered (`Seccomp` in /proc/PID/status).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    #[default]
    Disabled,
    /// read, write, _exit and sigreturn are all there is.
    Strict,
    /// By filters.
    Filter,
}

impl Mode {
    /// Its number.
    pub fn raw(self) -> u32 {
        self as u32
    }
}

#[derive(Clone, Default)]
struct State {
    mode: Mode,
    /// Oldest first.
    filters: Arc<[Arc<Filter>]>,
}

/// The filters of a task; inherited by its children, kept over `execve`.
pub struct Filters {
    active: AtomicBool,
    state: Mutex<State>,
}

impl Default for Filters {
    fn default() -> Self {
        Self { active: AtomicBool::new(false), state: Mutex::new(Rank::Leaf, State::default()) }
    }
}

impl Filters {
    /// Whether calls have to be checked.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.state.lock().mode
    }

    /// How many filters there are.
    pub fn count(&self) -> usize {
        self.state.lock().filters.len()
    }

    /// Takes over those of a parent.
    pub fn inherit(&self, parent: &Self) {
        let state = parent.state.lock().clone();
        self.set(state);
    }

    fn set(&self, state: State) {
        let active = state.mode != Mode::Disabled;
        let old = std::mem::replace(&mut *self.state.lock(), state);
        drop(old);
        self.active.store(active, Ordering::Relaxed);
    }

    /// SECCOMP_MODE_STRICT. `EINVAL` if there are filters.
    pub fn set_strict(&self) -> Result<()> {
        let state = self.state.lock().clone();
        if state.mode == Mode::Filter {
            return Err(Errno::EINVAL);
        }
        self.set(State { mode: Mode::Strict, ..state });
        Ok(())
    }

    /// Adds a filter. `EINVAL` in strict mode, `ENOMEM` if they become too many.
    pub fn add(&self, filter: Arc<Filter>) -> Result<()> {
        let state = self.state.lock().clone();
        if state.mode == Mode::Strict {
            return Err(Errno::EINVAL);
        }
        let before: usize = state.filters.iter().map(|f| f.len() + FILTER_OVERHEAD).sum();
        if before + filter.len() > INSTRUCTIONS_MAX {
            return Err(Errno::ENOMEM);
        }
        let filters = state.filters.iter().cloned().chain([filter]).collect();
        self.set(State { mode: Mode::Filter, filters });
        Ok(())
    }

    /// Whether the filters here are the oldest of `other`'s, so that a thread with them may take over those.
    fn is_ancestor_of(&self, other: &Self) -> bool {
        let own = self.state.lock().clone();
        let other = other.state.lock().filters.clone();
        match own.mode {
            Mode::Disabled => true,
            Mode::Strict => false,
            Mode::Filter => {
                own.filters.len() <= other.len() && own.filters.iter().zip(other.iter()).all(|(a, b)| Arc::ptr_eq(a, b))
            }
        }
    }
}

/// Adds a filter to the calling task, and with `synchronise` to every thread of its process.
///
/// # Errors
/// The outer error is that of [`Filters::add`]. The inner one is the thread that has other filters; nothing is changed
/// then.
pub fn install(task: &Arc<Task>, filter: Arc<Filter>, synchronise: bool) -> Result<std::result::Result<(), u32>> {
    let others: Vec<_> = match synchronise {
        true => task.group_ref().tasks().into_iter().filter(|t| !Arc::ptr_eq(t, task)).collect(),
        false => Vec::new(),
    };
    if let Some(other) = others.iter().find(|t| !t.filters.is_ancestor_of(&task.filters)) {
        return Ok(Err(other.tid()));
    }
    task.filters.add(filter)?;
    task.constants_changed();
    for other in others {
        other.filters.inherit(&task.filters);
        other.constants_changed();
        if task.no_new_privileges.load(Ordering::Relaxed) {
            other.no_new_privileges.store(true, Ordering::Relaxed);
        }
    }
    Ok(Ok(()))
}

/// The strictest answer of `filters`, and who gave it. The newest is asked first.
fn evaluate<'a>(filters: &'a [Arc<Filter>], data: &CallData) -> (u32, Option<&'a Arc<Filter>>) {
    let strictness = |ret: u32| (ret & SECCOMP_RET_ACTION_FULL) as i32;
    let mut answer = (SECCOMP_RET_ALLOW, None);
    for filter in filters.iter().rev() {
        let ret = filter.run(data);
        if strictness(ret) < strictness(answer.0) {
            answer = (ret, Some(filter));
        }
    }
    answer
}

/// Asks the task's filters about a call: `None` if it may be made, otherwise how it ends.
pub fn check(current: &mut Current, number: u64, arguments: [u64; 6]) -> Option<Result<Outcome>> {
    let State { mode, filters } = current.filters.state.lock().clone();
    if mode == Mode::Strict {
        let allowed = matches!(number, nr::READ | nr::WRITE | nr::EXIT | nr::RT_SIGRETURN);
        return if allowed { None } else { Some(end_thread(current, SIGKILL)) };
    }
    let instruction = match filters.iter().any(|f| f.wants_instruction()) {
        true => current.context.registers().rip,
        false => 0,
    };
    let (answer, by) = evaluate(&filters, &CallData { number: number as u32, instruction, arguments });
    let (action, data) = (answer & SECCOMP_RET_ACTION_FULL, answer & SECCOMP_RET_DATA);
    if action == SECCOMP_RET_LOG || (action != SECCOMP_RET_ALLOW && by.is_some_and(|f| f.log)) {
        tracing::info!(pid = current.pid(), syscall = number, action = format_args!("{action:#x}"), "seccomp");
    }
    Some(match action {
        SECCOMP_RET_ALLOW | SECCOMP_RET_LOG => return None,
        SECCOMP_RET_ERRNO => as_error(data.min(ERRNO_MAX)),
        SECCOMP_RET_TRAP => {
            // The handler finds the registers as they were before the call.
            let registers = current.context.registers_mut();
            registers.rax = number;
            let at = registers.rip;
            send::force(&current.task, SIGSYS, SigInfo::seccomp(at, number as i32, data as i32));
            Ok(Outcome::Registers)
        }
        // Nobody traces, and nobody listens.
        SECCOMP_RET_TRACE | SECCOMP_RET_USER_NOTIF => Err(Errno::ENOSYS),
        SECCOMP_RET_KILL_THREAD if current.group_ref().task_count() > 1 => end_thread(current, SIGSYS),
        _ => {
            let status = moat_abi::wait::signaled(SIGSYS, false);
            exit::group(current, status);
            current.ending = Some(status);
            Ok(Outcome::Registers)
        }
    })
}

/// A filter may give any number. One of Linux's errors is an error; what is none (0 among them) goes into the register
/// as it is, so that it is not taken for one of those that restart a call.
fn as_error(number: u32) -> Result<Outcome> {
    match number {
        1..512 => Err(Errno::from_raw(number as i32)),
        _ => Ok(Outcome::Value(-i64::from(number) as u64)),
    }
}

fn end_thread(current: &mut Current, signal: moat_abi::signal::Signal) -> Result<Outcome> {
    current.ending = Some(moat_abi::wait::signaled(signal, false));
    Ok(Outcome::Registers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(ret: u32) -> Arc<Filter> {
        let program = bpf::Program::check(vec![SockFilter { code: 0x06, jt: 0, jf: 0, k: ret }]).unwrap();
        Filter::classic(program, false)
    }

    #[test]
    fn the_strictest_answer_counts() {
        let data = CallData::default();
        let order = [
            SECCOMP_RET_ALLOW,
            SECCOMP_RET_LOG,
            SECCOMP_RET_TRACE,
            SECCOMP_RET_ERRNO | 7,
            SECCOMP_RET_TRAP,
            SECCOMP_RET_KILL_THREAD,
            SECCOMP_RET_KILL_PROCESS,
        ]
        .map(constant);
        let strictest = |range: &[Arc<Filter>]| evaluate(range, &data).0;
        assert_eq!(strictest(&order), SECCOMP_RET_KILL_PROCESS);
        assert_eq!(strictest(&order[..6]), SECCOMP_RET_KILL_THREAD);
        assert_eq!(strictest(&order[..4]), SECCOMP_RET_ERRNO | 7);
        assert_eq!(strictest(&order[..1]), SECCOMP_RET_ALLOW);
        // Of equals, the newest.
        assert_eq!(
            strictest(&[constant(SECCOMP_RET_ERRNO | 1), constant(SECCOMP_RET_ERRNO | 2)]),
            SECCOMP_RET_ERRNO | 2
        );
    }

    #[test]
    fn strict_mode_and_filters_exclude_each_other() {
        let filters = Filters::default();
        assert!(!filters.is_active());
        filters.add(constant(SECCOMP_RET_ALLOW)).unwrap();
        assert!(filters.is_active());
        assert_eq!(filters.set_strict(), Err(Errno::EINVAL));
        let strict = Filters::default();
        strict.set_strict().unwrap();
        assert_eq!(strict.add(constant(SECCOMP_RET_ALLOW)), Err(Errno::EINVAL));
        assert_eq!(strict.mode().raw(), 1);
    }

    #[test]
    fn a_thread_with_filters_of_its_own_cannot_be_synchronised() {
        let (caller, other) = (Filters::default(), Filters::default());
        assert!(other.is_ancestor_of(&caller));
        caller.add(constant(SECCOMP_RET_ALLOW)).unwrap();
        other.inherit(&caller);
        caller.add(constant(SECCOMP_RET_LOG)).unwrap();
        assert!(other.is_ancestor_of(&caller));
        other.add(constant(SECCOMP_RET_LOG)).unwrap();
        assert!(!other.is_ancestor_of(&caller));
    }

    #[test]
    fn filters_are_limited_in_number() {
        let filters = Filters::default();
        let filter = constant(SECCOMP_RET_ALLOW);
        let added = (0..10_000).take_while(|_| filters.add(filter.clone()).is_ok()).count();
        assert_eq!(added, 6554);
    }
}
