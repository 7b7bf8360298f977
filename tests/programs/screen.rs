//! A command on a pty, and the screen that a person would see.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::pty::openpty;
use rustix::termios::Winsize;

/// How long nothing must come for a screen to count as finished.
const QUIET: Duration = Duration::from_millis(400);

/// A screen that keys are typed at.
pub struct Screen {
    child: Child,
    master: File,
    output: Receiver<Vec<u8>>,
    terminal: vt100::Parser,
}

impl Screen {
    /// Starts a command in a session of its own, on a new terminal of this size.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Result<Self> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(None, None).context("open a pty")?;
        rustix::termios::tcsetwinsize(&pty.master, size).context("set the pty's size")?;
        let stream = |fd: &OwnedFd| fd.try_clone().map(Stdio::from).context("duplicate a descriptor");
        // It makes the terminal the controlling one without code of ours between fork and exec, and becomes the command.
        let mut setsid = Command::new("setsid");
        setsid.arg("--ctty").arg(command.get_program()).args(command.get_args());
        setsid.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            setsid.current_dir(directory);
        }
        setsid.stdin(stream(&pty.slave)?).stdout(stream(&pty.slave)?).stderr(stream(&pty.slave)?);
        let child = setsid.spawn().context("start setsid")?;
        let master = File::from(pty.master);
        let output = reader(master.try_clone().context("duplicate the pty")?);
        Ok(Self { child, master, output, terminal: vt100::Parser::new(rows, columns, 0) })
    }

    /// The process that was started.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Types keys.
    pub fn write(&mut self, keys: &[u8]) -> Result<()> {
        self.master.write_all(keys).context("write to the pty")
    }

    /// Makes the window another size, as its user would.
    pub fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        self.drain(Duration::ZERO)?;
        self.terminal.screen_mut().set_size(rows, columns);
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).context("resize the pty")
    }

    /// Takes what was printed until nothing more has come for a while; false at the end of it all.
    pub fn drain(&mut self, quiet: Duration) -> Result<bool> {
        loop {
            match self.output.recv_timeout(quiet) {
                Ok(bytes) => self.terminal.process(&bytes),
                Err(RecvTimeoutError::Timeout) => return Ok(true),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
            }
        }
    }

    /// Waits until the screen is as it is looked for.
    pub fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool, timeout: Duration) -> Result<()> {
        let end = Instant::now() + timeout;
        while !is_so(self) {
            let more = self.drain(Duration::from_millis(5))?;
            if (!more || Instant::now() > end) && !is_so(self) {
                bail!("{what:?} does not appear on\n{}", self.contents());
            }
        }
        Ok(())
    }

    /// Whether a text is on the screen.
    pub fn shows(&self, text: &str) -> bool {
        self.terminal.screen().contents().contains(text)
    }

    /// Whether the cursor is at the shell's prompt, with nothing else in its line.
    pub fn is_at_prompt(&self) -> bool {
        let screen = self.terminal.screen();
        let (row, column) = screen.cursor_position();
        column == 2 && screen.rows(0, screen.size().1).nth(row.into()).is_some_and(|line| line.trim_end() == "$")
    }

    /// What is on the screen once it has come to rest.
    pub fn at_rest(&mut self) -> Result<String> {
        self.drain(QUIET)?;
        Ok(self.contents())
    }

    fn contents(&self) -> String {
        let screen = self.terminal.screen();
        let (rows, columns) = screen.size();
        let (row, column) = screen.cursor_position();
        let lines: Vec<String> = screen.rows(0, columns).map(|line| format!("|{}\n", line.trim_end())).collect();
        let shown = lines.concat();
        format!("{rows}x{columns}, cursor at {row},{column}\n{}\n", shown.trim_end_matches("|\n"))
    }
}

fn reader(mut master: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        // EIO once nobody has the other end open.
        while let Ok(count @ 1..) = master.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
