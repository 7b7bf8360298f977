//! Pairs and consoles, without tasks.

use super::*;
use crate::fs::devpts::DevPts;
use std::io::{Read, Write};

fn pair() -> (Arc<OpenFile>, Arc<OpenFile>, Arc<Terminal>) {
    let terminal = Terminal::new(0, Weak::new());
    terminal.state.lock().locked = false;
    let master = OpenFile::new(Arc::new(Master::new(terminal.clone(), None)), None, OpenFlags::RDWR);
    let slave = OpenFile::new(terminal.slave(false).unwrap(), None, OpenFlags::RDWR);
    (master, slave, terminal)
}

fn read(file: &OpenFile) -> Result<Vec<u8>> {
    let mut buf = [0; 256];
    file.operations()?.read_at(file, &mut buf, 0).map(|n| buf[..n].to_vec())
}

fn write(file: &OpenFile, bytes: &[u8]) -> Result<usize> {
    file.operations()?.write_at(file, bytes, 0)
}

#[test]
fn a_locked_slave_cannot_be_opened() {
    let terminal = Terminal::new(0, Weak::new());
    assert_eq!(terminal.slave(true).err(), Some(Errno::EIO));
}

#[test]
fn what_is_typed_is_read_and_what_is_written_is_shown() {
    let (master, slave, _) = pair();
    assert_eq!(read(&slave), Err(Errno::EAGAIN));
    write(&master, b"hi\r").unwrap();
    assert_eq!(slave.poll(None) & PollEvents::IN, PollEvents::IN);
    assert_eq!(read(&slave).unwrap(), b"hi\n");
    write(&slave, b"yo\n").unwrap();
    assert_eq!(read(&master).unwrap(), b"hi\r\nyo\r\n");
    assert_eq!(read(&master), Err(Errno::EAGAIN));
}

#[test]
fn the_end_of_the_slave_is_seen_once_everything_is_shown() {
    let (master, slave, _) = pair();
    write(&slave, b"bye").unwrap();
    drop(slave);
    assert!(master.poll(None).contains(PollEvents::HUP | PollEvents::IN));
    assert_eq!(read(&master).unwrap(), b"bye");
    assert_eq!(read(&master), Err(Errno::EIO));
}

#[test]
fn the_end_of_the_master_hangs_the_slave_up() {
    let (master, slave, terminal) = pair();
    drop(master);
    assert_eq!(read(&slave).unwrap(), b"");
    assert_eq!(write(&slave, b"x"), Err(Errno::EIO));
    assert!(slave.poll(None).contains(PollEvents::HUP));
    assert_eq!(terminal.slave(true).err(), Some(Errno::EIO));
}

#[test]
fn packet_mode_tells_of_flow_control() {
    let (master, slave, terminal) = pair();
    {
        let mut state = terminal.state.lock();
        state.packets = true;
        state.line.packet = 0;
    }
    write(&slave, b"a").unwrap();
    assert_eq!(read(&master).unwrap(), b"\0a");
    write(&master, b"\x13").unwrap();
    assert!(master.poll(None).contains(PollEvents::PRI));
    assert_eq!(read(&master).unwrap(), [moat_abi::termios::TIOCPKT_STOP]);
}

#[test]
fn a_console_copies_both_ways_and_ends_with_its_last_program() {
    let (mut outside, inside) = std::os::unix::net::UnixStream::pair().unwrap();
    let devpts = DevPts::new("").unwrap();
    let console = devpts.console(inside.into(), 80, 24, 0, 0).unwrap();
    let terminal = console.terminal().clone();
    let size = terminal.state.lock().size;
    assert_eq!((size.ws_col, size.ws_row), (80, 24));
    let slave = OpenFile::new(terminal.slave(false).unwrap(), None, OpenFlags::RDWR);
    write(&slave, b"$ ").unwrap();
    let mut buf = [0; 16];
    assert_eq!(outside.read(&mut buf).unwrap(), 2);
    outside.write_all(b"ls\r").unwrap();
    let by = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let line = crate::executor::block_on(crate::executor::wait::wait_for(Some(by), |waiter| {
        slave.poll(Some(waiter));
        read(&slave).ok()
    }));
    assert_eq!(line.as_deref(), Some(&b"ls\n"[..]));
    write(&slave, b"done").unwrap();
    drop(slave);
    let mut rest = String::new();
    outside.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "ls\r\ndone");
}
