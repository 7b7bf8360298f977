//! The terminal of a container whose terminal is outside: a pair of the sentry's own, whose master side is copied from
//! and to a terminal of the host (the slave of the engine's pair).

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use moat_abi::errno::Errno;
use moat_abi::termios::Winsize;
use moat_host::Descriptor;
use moat_host::descriptor::Kind;

use super::{Master, Terminal};
use crate::Result;
use crate::executor;
use crate::executor::reactor::{Reactor, Watched};
use crate::executor::wait::{Notify, Registration, WaitQueue, wait_for};

/// How many bytes are copied at a time.
const PIECE: usize = 4096;
/// How long a terminal of the host that takes nothing more holds up the end of a process.
const PATIENCE: Duration = Duration::from_secs(2);

/// A terminal that is shown outside. It ends, and lets go of the host's terminal, when the last program has closed it,
/// or when the outside is hung up.
pub struct Console {
    terminal: Arc<Terminal>,
    pump: Weak<Pump>,
}

struct Pump {
    /// Copies asked for; whoever raises it from 0 does them all.
    wanted: AtomicU32,
    /// Woken when all that there was has been copied.
    copied: WaitQueue,
    work: parking_lot::Mutex<Option<Work>>,
}

struct Work {
    host: Arc<Descriptor>,
    /// The size that the host's terminal was last seen to have.
    size: Winsize,
    master: Master,
    /// Read from the host, not typed yet.
    typed: Vec<u8>,
    /// To be shown, not written to the host yet.
    shown: Vec<u8>,
    _host_watch: Option<Watched>,
    _terminal_watch: Option<Registration>,
    /// Keeps the pump for as long as it works.
    _pump: Arc<Pump>,
}

impl Console {
    /// Copies between `terminal`, which is new, and the host's terminal, which is made raw.
    pub(crate) fn start(terminal: Arc<Terminal>, host: OwnedFd, columns: u16, rows: u16) -> Result<Self> {
        let host = Arc::new(Descriptor::new(host).map_err(Errno::from_raw)?);
        if host.kind() == Kind::Terminal {
            let raw = host.termios().map_err(Errno::from_raw)?.raw();
            host.set_termios(&raw, false).map_err(Errno::from_raw)?;
        }
        {
            let mut state = terminal.state.lock();
            state.locked = false;
            state.size = match (columns, rows) {
                (0, 0) => host.window_size().unwrap_or_default(),
                _ => Winsize { ws_row: rows, ws_col: columns, ..Winsize::default() },
            };
        }
        let pump =
            Arc::new(Pump { wanted: AtomicU32::new(0), copied: WaitQueue::new(), work: parking_lot::Mutex::new(None) });
        let master = Master::new(terminal.clone(), None);
        *pump.work.lock() = Some(Work {
            size: host.window_size().unwrap_or_default(),
            host: host.clone(),
            master,
            typed: Vec::new(),
            shown: Vec::new(),
            _host_watch: None,
            _terminal_watch: None,
            _pump: pump.clone(),
        });
        let terminal_watch = terminal.master_changed.register(pump.clone());
        let host_watch = match Reactor::global().watch(host, pump.clone()) {
            Ok(watch) => watch,
            Err(e) => {
                let work = pump.work.lock().take();
                drop(work);
                return Err(e);
            }
        };
        if let Some(work) = &mut *pump.work.lock() {
            work._host_watch = Some(host_watch);
            work._terminal_watch = Some(terminal_watch);
        }
        let console = Self { terminal, pump: Arc::downgrade(&pump) };
        pump.notify();
        Ok(console)
    }

    /// The terminal.
    pub fn terminal(&self) -> &Arc<Terminal> {
        &self.terminal
    }

    /// Gives it another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.terminal.resize(Winsize { ws_row: rows, ws_col: columns, ..Winsize::default() });
    }

    /// Blocks until the outside has all that was written to the terminal: who reports the end of a process must not be
    /// ahead of the last that it said.
    pub fn drain(&self) {
        let Some(pump) = self.pump.upgrade() else { return };
        pump.notify();
        executor::block_on(wait_for(Some(Instant::now() + PATIENCE), |waiter| {
            waiter.listen(&pump.copied);
            let work = pump.work.lock();
            let left = work.as_ref().is_some_and(|w| !w.shown.is_empty() || w.master.terminal().has_output());
            (!left).then_some(())
        }));
    }

    /// Gives it the size that the host's terminal has now, as after a SIGWINCH.
    pub fn follow_host_size(&self) {
        let Some(pump) = self.pump.upgrade() else { return };
        // The pump looks at it whenever it works.
        pump.notify();
    }
}

impl Notify for Pump {
    fn notify(&self) {
        if self.wanted.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        loop {
            let before = self.wanted.load(Ordering::Acquire);
            let ended = {
                let mut work = self.work.lock();
                let goes_on = work.as_mut().is_some_and(Work::copy);
                if goes_on { None } else { work.take() }
            };
            // Its end wakes others, and perhaps this pump.
            drop(ended);
            self.copied.wake_all();
            if self.wanted.fetch_sub(before, Ordering::AcqRel) == before {
                return;
            }
        }
    }
}

impl Work {
    /// Takes over the size of the host's terminal if that has changed: engines set it there and tell nobody.
    fn follow_size(&mut self) {
        let Ok(size) = self.host.window_size() else { return };
        if std::mem::replace(&mut self.size, size) != size {
            self.master.terminal().resize(size);
        }
    }

    /// Copies until nothing moves any more; whether there can be more later.
    fn copy(&mut self) -> bool {
        let mut buf = [0; PIECE];
        self.follow_size();
        loop {
            let mut moved = false;
            if self.shown.is_empty() {
                match self.master.terminal().take_output(&mut buf) {
                    Ok(n) => self.shown.extend_from_slice(&buf[..n]),
                    Err(Errno::EIO) => return false,
                    Err(_) => {}
                }
            }
            if !self.shown.is_empty() {
                match self.host.write(&self.shown, 0).map_err(Errno::from_raw) {
                    Ok(n) => {
                        self.shown.drain(..n);
                        moved |= n > 0;
                    }
                    Err(Errno::EAGAIN) => {}
                    Err(_) => return false,
                }
            }
            if self.typed.is_empty() {
                match self.host.read(&mut buf, 0).map_err(Errno::from_raw) {
                    // The other side is closed.
                    Ok(0) => return false,
                    Ok(n) => self.typed.extend_from_slice(&buf[..n]),
                    Err(Errno::EAGAIN) => {}
                    Err(_) => return false,
                }
            }
            if !self.typed.is_empty() {
                let n = self.master.terminal().type_in(&self.typed);
                self.typed.drain(..n);
                moved |= n > 0;
            }
            if !moved {
                return true;
            }
        }
    }
}
