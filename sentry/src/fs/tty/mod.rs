//! Terminals (tty(4), pty(7)): pairs of a master, which is the screen and keyboard, and a slave, which programs read and
//! write. What lies between them is the [`line`] discipline; whose terminal it is, [`job`].
//!
//! A terminal's lock is never held while somebody is woken or a signal is sent: changes collect [`Effects`], which are
//! carried out once it is released.

pub mod console;
mod ioctl;
pub mod job;
mod line;

use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::Duration;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::poll::PollEvents;
use moat_abi::signal::{SIGTTIN, SIGTTOU};
use moat_abi::stat::{FileType, Mode, makedev};
use moat_abi::termios::{TOSTOP, Termios, Winsize};

pub use job::{Sessions, session_ended};

use super::Path;
use super::devpts::DevPts;
use super::file::{FileOperations, OpenFile};
use super::inode::Attributes;
use crate::Result;
use crate::executor::timer::{Armed, TimerQueue};
use crate::executor::wait::{WaitQueue, Waiter};
use crate::kernel::{Current, Task};
use crate::sync::{Mutex, Rank};
use job::Control;
use line::{Effects, Found, Line};

/// The major number of slaves (`UNIX98_PTY_SLAVE_MAJOR`), whose minor numbers are those of the terminals.
pub const SLAVE_MAJOR: u32 = 136;
/// `/dev/tty`.
pub const TTY: u64 = makedev(5, 0);
/// `/dev/console`.
pub const CONSOLE: u64 = makedev(5, 1);
/// `/dev/ptmx`.
pub const PTMX: u64 = makedev(5, 2);

const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);
const WRITABLE: PollEvents = PollEvents::OUT.union(PollEvents::WRNORM);

/// A pair of master and slave.
pub struct Terminal {
    myself: Weak<Terminal>,
    number: u32,
    devpts: Weak<DevPts>,
    state: Mutex<State>,
    /// What who uses the slave waits for.
    slave_changed: Arc<WaitQueue>,
    /// What who uses the master waits for.
    master_changed: WaitQueue,
}

struct State {
    line: Line,
    /// What of the settings cannot be changed (TIOCSLCKTRMIOS).
    locked_termios: Termios,
    size: Winsize,
    /// TIOCSPTLCK: the slave cannot be opened yet.
    locked: bool,
    /// The master is open.
    connected: bool,
    slaves: usize,
    /// The slave was opened at some time, so that no open slave means the end.
    was_opened: bool,
    /// How often it was hung up: files that were opened before are dead.
    hangups: u64,
    /// TIOCEXCL.
    exclusive: bool,
    /// TIOCPKT.
    packets: bool,
    control: Option<Control>,
    /// Wakes a reader when the time between two bytes is over.
    timer: Option<Armed>,
}

impl Terminal {
    /// A new pair, whose slave is locked.
    pub(super) fn new(number: u32, devpts: Weak<DevPts>) -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            myself: myself.clone(),
            number,
            devpts,
            state: Mutex::new(
                Rank::Terminal,
                State {
                    line: Line::default(),
                    locked_termios: Termios::default(),
                    size: Winsize::default(),
                    locked: true,
                    connected: true,
                    slaves: 0,
                    was_opened: false,
                    hangups: 0,
                    exclusive: false,
                    packets: false,
                    control: None,
                    timer: None,
                },
            ),
            slave_changed: Arc::new(WaitQueue::new()),
            master_changed: WaitQueue::new(),
        })
    }

    /// Its number: `/dev/pts/N`.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The device number of its slave.
    pub fn device(&self) -> u64 {
        makedev(SLAVE_MAJOR, self.number)
    }

    /// Opens the slave for `task`, whose controlling terminal it may become.
    ///
    /// # Errors
    /// `EIO` if it is locked or its master is closed, `EBUSY` for somebody else's exclusive use.
    pub fn open_slave(self: &Arc<Self>, task: &Task, path: Option<Path>, flags: OpenFlags) -> Result<Arc<OpenFile>> {
        let privileged = task.credentials().has(CapabilitySet::SYS_ADMIN);
        let file = OpenFile::new(self.slave(privileged)?, path, flags);
        if !flags.contains(OpenFlags::NOCTTY) && file.readable() {
            // It stays without one if it is no session leader, has one, or if somebody else has this one.
            let _ = self.acquire(task, job::Acquisition::Open);
        }
        Ok(file)
    }

    fn slave(self: &Arc<Self>, privileged: bool) -> Result<Arc<Slave>> {
        let mut state = self.state.lock();
        if state.locked || !state.connected {
            return Err(Errno::EIO);
        }
        if state.exclusive && state.slaves > 0 && !privileged {
            return Err(Errno::EBUSY);
        }
        state.slaves += 1;
        state.was_opened = true;
        Ok(Arc::new(Slave { terminal: self.clone(), hangups: state.hangups }))
    }

    /// Carries out what a change brought about.
    fn settle(&self, effects: Effects) {
        for signal in effects.signals {
            self.signal_foreground(signal);
        }
        if effects.input {
            self.slave_changed.wake(READABLE);
        }
        if effects.output {
            self.master_changed.wake_all();
        }
    }

    /// Types `bytes`; how many were taken.
    fn type_in(&self, bytes: &[u8]) -> usize {
        let mut effects = Effects::default();
        let n = self.state.lock().line.type_in(bytes, &mut effects);
        self.settle(effects);
        n
    }

    /// Whether there is anything to be shown.
    fn has_output(&self) -> bool {
        self.state.lock().line.output_len() > 0
    }

    /// What is to be shown next. `EIO` once no program has the slave open any more.
    fn take_output(&self, buf: &mut [u8]) -> Result<usize> {
        let n = {
            let mut state = self.state.lock();
            if state.packets && !buf.is_empty() {
                let events = std::mem::take(&mut state.line.packet);
                buf[0] = events;
                if events != 0 {
                    return Ok(1);
                }
            }
            let from = usize::from(state.packets).min(buf.len());
            let n = state.line.take_output(&mut buf[from..]);
            if n == 0 && !buf.is_empty() {
                return Err(if state.slaves == 0 && state.was_opened { Errno::EIO } else { Errno::EAGAIN });
            }
            n + from
        };
        self.slave_changed.wake(WRITABLE);
        Ok(n)
    }

    fn read(&self, buf: &mut [u8], waits: bool) -> Result<usize> {
        let mut effects = Effects::default();
        let found = {
            let mut state = self.state.lock();
            let found = state.line.read(buf, waits, &mut effects);
            if let Found::NothingUntil(at) = found {
                state.timer = Some(TimerQueue::global().arm(at, self.slave_changed.clone()));
            }
            found
        };
        self.settle(effects);
        match found {
            Found::Bytes(n) => Ok(n),
            Found::Nothing | Found::NothingUntil(_) => Err(Errno::EAGAIN),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let mut effects = Effects::default();
        let n = self.state.lock().line.write(bytes, &mut effects);
        self.settle(effects);
        if n == 0 && !bytes.is_empty() { Err(Errno::EAGAIN) } else { Ok(n) }
    }

    /// Sets the size; a change is told by SIGWINCH.
    pub fn resize(&self, size: Winsize) {
        let changed = {
            let mut state = self.state.lock();
            std::mem::replace(&mut state.size, size) != size
        };
        if changed {
            self.signal_foreground(moat_abi::signal::SIGWINCH);
        }
    }

    fn attributes(&self, device: u64) -> Attributes {
        Attributes {
            mode: Mode::new(FileType::CharDevice, 0o620),
            links: 1,
            rdev: device,
            block_size: 1024,
            ..Attributes::default()
        }
    }
}

/// The slave side, as one open file.
pub struct Slave {
    terminal: Arc<Terminal>,
    /// How often the terminal had been hung up when it was opened.
    hangups: u64,
}

impl Slave {
    /// Its terminal.
    pub fn terminal(&self) -> &Arc<Terminal> {
        &self.terminal
    }

    fn is_hung_up(&self) -> bool {
        self.terminal.state.lock().hangups != self.hangups
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        {
            let mut state = self.terminal.state.lock();
            state.slaves -= 1;
            if state.slaves > 0 {
                return;
            }
            state.exclusive = false;
        }
        self.terminal.master_changed.wake_all();
    }
}

impl FileOperations for Slave {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn has_fasync(&self) -> bool {
        true
    }

    fn read_by(&self, task: &Arc<Task>, file: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        if !self.is_hung_up() {
            self.terminal.check_background(task, SIGTTIN)?;
        }
        self.read_at(file, buf, offset)
    }

    fn read_at(&self, file: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        if self.is_hung_up() {
            return Ok(0);
        }
        self.terminal.read(buf, !file.nonblocking())
    }

    fn write_by(&self, task: &Arc<Task>, file: &OpenFile, buf: &[u8], offset: u64) -> Result<usize> {
        if !self.is_hung_up() && self.terminal.state.lock().line.termios.c_lflag & TOSTOP != 0 {
            self.terminal.check_background(task, SIGTTOU)?;
        }
        self.write_at(file, buf, offset)
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], _: u64) -> Result<usize> {
        if self.is_hung_up() {
            return Err(Errno::EIO);
        }
        self.terminal.write(buf)
    }

    fn read_patience(&self) -> Option<Duration> {
        self.terminal.state.lock().line.patience()
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.terminal.slave_changed);
        }
        let state = self.terminal.state.lock();
        if state.hangups != self.hangups {
            return READABLE | WRITABLE | PollEvents::ERR | PollEvents::HUP;
        }
        let mut events = PollEvents::empty();
        if state.line.is_readable() {
            events |= READABLE;
        }
        if state.line.can_write() {
            events |= WRITABLE;
        }
        events
    }

    fn ioctl(&self, current: &mut Current, file: &Arc<OpenFile>, command: u32, argument: u64) -> Result<u64> {
        if self.is_hung_up() {
            return Err(if command == moat_abi::ioctl::TIOCSPGRP { Errno::ENOTTY } else { Errno::EIO });
        }
        ioctl::slave(&self.terminal, current, file, command, argument)
    }

    fn sync(&self, _: &OpenFile, _: bool) -> Result<()> {
        Err(Errno::EINVAL)
    }

    fn anonymous_attributes(&self) -> Result<Attributes> {
        Ok(self.terminal.attributes(self.terminal.device()))
    }

    fn anonymous_name(&self) -> String {
        format!("/dev/pts/{}", self.terminal.number)
    }
}

/// The master side. It is opened once, by the open of /dev/ptmx that makes the pair.
pub struct Master {
    terminal: Arc<Terminal>,
    /// The root of the devpts that the slave is in, for TIOCGPTPEER.
    root: Option<Path>,
}

impl Master {
    /// The master of a new terminal.
    pub(super) fn new(terminal: Arc<Terminal>, root: Option<Path>) -> Self {
        Self { terminal, root }
    }

    /// Its terminal.
    pub fn terminal(&self) -> &Arc<Terminal> {
        &self.terminal
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.terminal.disconnect();
    }
}

impl Terminal {
    /// The master is closed: the slave's files are dead, and its session is told.
    fn disconnect(&self) {
        let (control, timer) = {
            let mut state = self.state.lock();
            state.connected = false;
            state.hangups += 1;
            (state.control.take(), state.timer.take())
        };
        drop(timer);
        if let Some(devpts) = self.devpts.upgrade() {
            devpts.remove(self.number);
        }
        if let Some(control) = control {
            job::hung_up(control);
        }
        self.slave_changed.wake_all();
        self.master_changed.wake_all();
    }
}

impl FileOperations for Master {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn has_fasync(&self) -> bool {
        true
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        self.terminal.take_output(buf)
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], _: u64) -> Result<usize> {
        match self.terminal.type_in(buf) {
            0 if !buf.is_empty() => Err(Errno::EAGAIN),
            n => Ok(n),
        }
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.terminal.master_changed);
        }
        let state = self.terminal.state.lock();
        let mut events = PollEvents::empty();
        if state.packets && state.line.packet != 0 {
            events |= READABLE | PollEvents::PRI;
        }
        if state.line.output_len() > 0 {
            events |= READABLE;
        }
        if state.line.can_type() {
            events |= WRITABLE;
        }
        if state.slaves == 0 && state.was_opened {
            events |= PollEvents::HUP;
        }
        events
    }

    fn ioctl(&self, current: &mut Current, file: &Arc<OpenFile>, command: u32, argument: u64) -> Result<u64> {
        ioctl::master(self, current, file, command, argument)
    }

    fn anonymous_attributes(&self) -> Result<Attributes> {
        Ok(self.terminal.attributes(PTMX))
    }

    fn anonymous_name(&self) -> String {
        "/dev/ptmx".to_owned()
    }

    fn fdinfo(&self) -> String {
        format!("tty-index:\t{}\n", self.terminal.number)
    }
}

/// Opens /dev/tty: the caller's controlling terminal. `ENXIO` if it has none.
pub fn open_controlling(task: &Task, path: Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    let terminal = job::controlling(task).ok_or(Errno::ENXIO)?;
    terminal.open_slave(task, Some(path), flags | OpenFlags::NOCTTY)
}

/// Opens /dev/console: the container's first terminal. `ENXIO` if it has none.
pub fn open_console(task: &Task, path: Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    let terminal = task.kernel().terminals.console().ok_or(Errno::ENXIO)?;
    terminal.open_slave(task, Some(path), flags | OpenFlags::NOCTTY)
}

#[cfg(test)]
mod tests;
