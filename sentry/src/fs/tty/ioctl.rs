//! tty_ioctl(4), ioctl_tty(2).

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::ioctl as i;
use moat_abi::resource::Resource;
use moat_abi::signal::{SIGTTOU, Signal};
use moat_abi::termios::{Termio, Termios, Termios2, VSTART, VSTOP, Winsize};

use super::job::Acquisition;
use super::line::Effects;
use super::{Master, Terminal};
use crate::Result;
use crate::fs::{OpenFile, Path};
use crate::kernel::Current;

/// `B38400`, as the number that it stands for.
const SPEED: u32 = 38_400;

/// What both sides answer. A change by a background process stops it first (`tty_check_change`).
fn both(terminal: &Arc<Terminal>, current: &mut Current, is_slave: bool, command: u32, argument: u64) -> Result<u64> {
    let memory = current.memory();
    let changes = matches!(
        command,
        i::TCSETS
            | i::TCSETSW
            | i::TCSETSF
            | i::TCSETS2
            | i::TCSETSW2
            | i::TCSETSF2
            | i::TCSETA
            | i::TCSETAW
            | i::TCSETAF
            | i::TCFLSH
            | i::TCXONC
            | i::TCSBRK
            | i::TCSBRKP
    );
    if is_slave && changes {
        terminal.check_background(&current.task, SIGTTOU)?;
    }
    let mut effects = Effects::default();
    match command {
        i::TCGETS => {
            let termios = terminal.state.lock().line.termios;
            memory.write(argument, &termios)?;
        }
        i::TCGETS2 => {
            let termios = terminal.state.lock().line.termios;
            memory.write(argument, &Termios2 { termios, c_ispeed: SPEED, c_ospeed: SPEED })?;
        }
        i::TCSETS | i::TCSETSW | i::TCSETSF => {
            let termios: Termios = memory.read(argument)?;
            set_termios(terminal, termios, command == i::TCSETSF, &mut effects);
        }
        i::TCSETS2 | i::TCSETSW2 | i::TCSETSF2 => {
            let new: Termios2 = memory.read(argument)?;
            set_termios(terminal, new.termios, command == i::TCSETSF2, &mut effects);
        }
        i::TCGETA => {
            let termios = terminal.state.lock().line.termios;
            memory.write(argument, &termios.to_termio())?;
        }
        i::TCSETA | i::TCSETAW | i::TCSETAF => {
            let new: Termio = memory.read(argument)?;
            let termios = terminal.state.lock().line.termios.with_termio(&new);
            set_termios(terminal, termios, command == i::TCSETAF, &mut effects);
        }
        i::TIOCGLCKTRMIOS => {
            let locked = terminal.state.lock().locked_termios;
            memory.write(argument, &locked)?;
        }
        i::TIOCSLCKTRMIOS => {
            let credentials = current.credentials();
            if !credentials.has(CapabilitySet::CHECKPOINT_RESTORE) && !credentials.has(CapabilitySet::SYS_ADMIN) {
                return Err(Errno::EPERM);
            }
            let locked: Termios = memory.read(argument)?;
            terminal.state.lock().locked_termios = locked;
        }
        i::TIOCGWINSZ => {
            let size = terminal.state.lock().size;
            memory.write(argument, &size)?;
        }
        i::TIOCSWINSZ => {
            let size: Winsize = memory.read(argument)?;
            terminal.resize(size);
        }
        i::TCFLSH => {
            if argument > 2 {
                return Err(Errno::EINVAL);
            }
            // The master's queues are the slave's the other way round.
            let (input, output) = (argument != 1, argument != 0);
            let (input, output) = if is_slave { (input, output) } else { (output, input) };
            let mut state = terminal.state.lock();
            if input {
                state.line.flush_typed();
                state.line.flush_input();
            }
            if output {
                state.line.flush_output();
            }
            effects.output = true;
        }
        i::TCXONC => match argument {
            0 => terminal.state.lock().line.hold_up(),
            1 => terminal.state.lock().line.let_go(&mut effects),
            2 => terminal.state.lock().line.ask(VSTOP, &mut effects),
            3 => terminal.state.lock().line.ask(VSTART, &mut effects),
            _ => return Err(Errno::EINVAL),
        },
        // There is no line that could be broken, and nothing is kept back that could be waited for.
        i::TCSBRK | i::TCSBRKP => {}
        i::TIOCGETD => memory.write(argument, &0i32)?,
        i::TIOCEXCL => terminal.state.lock().exclusive = true,
        i::TIOCNXCL => terminal.state.lock().exclusive = false,
        // Typing for others is how programs break out of sudo and su (dev.tty.legacy_tiocsti is 0).
        i::TIOCSTI => return Err(Errno::EIO),
        _ => return Err(Errno::ENOTTY),
    }
    terminal.settle(effects);
    Ok(0)
}

fn set_termios(terminal: &Terminal, termios: Termios, flush: bool, effects: &mut Effects) {
    let mut state = terminal.state.lock();
    if flush {
        state.line.flush_input();
    }
    let termios = termios.except(&state.locked_termios, &state.line.termios);
    state.line.set_termios(termios, effects);
    effects.output |= state.packets;
}

/// `ioctl` on the slave.
pub(super) fn slave(
    terminal: &Arc<Terminal>,
    current: &mut Current,
    file: &Arc<OpenFile>,
    command: u32,
    argument: u64,
) -> Result<u64> {
    let memory = current.memory();
    match command {
        i::TIOCSCTTY => {
            if !file.readable() && !current.credentials().has(CapabilitySet::SYS_ADMIN) {
                return Err(Errno::EPERM);
            }
            terminal.acquire(current, if argument == 1 { Acquisition::Steal } else { Acquisition::Ask })?;
        }
        i::TIOCNOTTY => terminal.give_up(current)?,
        i::TIOCGPGRP => {
            let (_, foreground) = own(terminal, current)?;
            memory.write(argument, &foreground)?;
        }
        i::TIOCSPGRP => {
            match terminal.check_background(&current.task, SIGTTOU) {
                Err(Errno::EIO) => return Err(Errno::ENOTTY),
                other => other?,
            }
            own(terminal, current)?;
            let process_group: i32 = memory.read(argument)?;
            terminal.set_foreground(current, process_group)?;
        }
        i::TIOCGSID => {
            let (session, _) = own(terminal, current)?;
            memory.write(argument, &session)?;
        }
        i::FIONREAD => {
            let n = terminal.state.lock().line.input_len() as i32;
            memory.write(argument, &n)?;
        }
        i::TIOCOUTQ => {
            let n = terminal.state.lock().line.output_len() as i32;
            memory.write(argument, &n)?;
        }
        i::TIOCGDEV => memory.write(argument, &(terminal.device() as u32))?,
        _ => return both(terminal, current, true, command, argument),
    }
    Ok(0)
}

/// Session and foreground, if it is the caller's terminal. `ENOTTY`.
fn own(terminal: &Arc<Terminal>, current: &Current) -> Result<(u32, u32)> {
    if !terminal.controls(current) {
        return Err(Errno::ENOTTY);
    }
    terminal.session().ok_or(Errno::ENOTTY)
}

/// `ioctl` on the master.
pub(super) fn master(
    master: &Master,
    current: &mut Current,
    _file: &Arc<OpenFile>,
    command: u32,
    argument: u64,
) -> Result<u64> {
    let memory = current.memory();
    let terminal = &master.terminal;
    match command {
        i::TIOCGPTN => memory.write(argument, &terminal.number)?,
        i::TIOCSPTLCK => {
            let lock: i32 = memory.read(argument)?;
            terminal.state.lock().locked = lock != 0;
        }
        i::TIOCGPTLCK => {
            let locked = i32::from(terminal.state.lock().locked);
            memory.write(argument, &locked)?;
        }
        i::TIOCPKT => {
            let on: i32 = memory.read(argument)?;
            let mut state = terminal.state.lock();
            if (on != 0) != state.packets {
                state.packets = on != 0;
                state.line.packet = 0;
            }
        }
        i::TIOCGPKT => {
            let on = i32::from(terminal.state.lock().packets);
            memory.write(argument, &on)?;
        }
        i::TIOCGPTPEER => return open_peer(master, current, OpenFlags::from_bits_retain(argument as u32)),
        i::TIOCSIG => {
            let signal = i32::try_from(argument).ok().and_then(Signal::from_raw).ok_or(Errno::EINVAL)?;
            use moat_abi::signal::{SIGINT, SIGQUIT, SIGTSTP};
            if ![SIGINT, SIGQUIT, SIGTSTP].contains(&signal) {
                return Err(Errno::EINVAL);
            }
            terminal.signal_foreground(signal);
        }
        i::TIOCGPGRP => {
            let foreground = terminal.session().map_or(0, |(_, foreground)| foreground);
            memory.write(argument, &foreground)?;
        }
        i::TIOCSPGRP => {
            let process_group: i32 = memory.read(argument)?;
            if !terminal.controls(current) {
                return Err(Errno::ENOTTY);
            }
            terminal.set_foreground(current, process_group)?;
        }
        i::TIOCGSID => {
            let (session, _) = terminal.session().ok_or(Errno::ENOTTY)?;
            memory.write(argument, &session)?;
        }
        i::FIONREAD => {
            let n = terminal.state.lock().line.output_len() as i32;
            memory.write(argument, &n)?;
        }
        i::TIOCOUTQ => memory.write(argument, &0i32)?,
        i::TIOCGDEV => memory.write(argument, &(super::PTMX as u32))?,
        i::TIOCSCTTY | i::TIOCNOTTY => return Err(Errno::ENOTTY),
        _ => return both(terminal, current, false, command, argument),
    }
    Ok(0)
}

fn open_peer(master: &Master, current: &Current, flags: OpenFlags) -> Result<u64> {
    let root = master.root.as_ref().ok_or(Errno::EIO)?;
    let dentry = root.dentry.lookup(master.terminal.number.to_string().as_bytes())?;
    let path = Path { mount: root.mount.clone(), dentry };
    let file = master.terminal.open_slave(current, Some(path), flags)?;
    let limit = current.group_ref().limit(Resource::Files);
    current.files().insert(file, flags.contains(OpenFlags::CLOEXEC), 0, limit).map(|fd| fd as u64)
}
