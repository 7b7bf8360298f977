//! Runs a program natively and in Moat, in the same surroundings: a fresh directory, which is also where it lies, nothing
//! on standard input, an environment of three variables.

use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Longer than any program takes, also on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What somebody who holds the output open after the program's end gets.
const LINGER: Duration = Duration::from_secs(2);

/// A program is no sandbox's first process, which signals can't kill: in both worlds a shell starts it, and a signal
/// becomes the shell's 128+n.
const SHELL: [&str; 3] = ["/bin/sh", "-c", "\"$0\"; exit $?"];

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    Status(i32),
    Timeout,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Status(status) => write!(f, "ended with {status}"),
            Ending::Timeout => write!(f, "did not end within {} s", TIMEOUT.as_secs()),
        }
    }
}

/// What a program did.
#[derive(Debug)]
pub struct Run {
    pub ending: Ending,
    pub output: String,
    pub errors: String,
}

/// Runs it on Linux.
pub fn natively(program: &Path) -> Result<Run> {
    in_fresh_directory(program, None, |_, copy| {
        let mut command = Command::new(SHELL[0]);
        command.args(&SHELL[1..]).arg(copy);
        command
    })
}

/// Runs it in a sandbox, in which only the directory is writable.
pub fn in_moat(moat: &Path, platform: &str, program: &Path) -> Result<Run> {
    in_fresh_directory(program, Some(moat), |directory, copy| {
        let directory = directory.to_string_lossy();
        let mut command = Command::new(moat);
        command.args(["do", "--no-tty", "--rw", "--platform", platform]);
        command.args(["--volume", &format!("{directory}:{directory}"), "--cwd", &directory, "--"]);
        command.args(SHELL).arg(copy);
        command
    })
}

fn in_fresh_directory(
    program: &Path,
    moat: Option<&Path>,
    command: impl FnOnce(&Path, &Path) -> Command,
) -> Result<Run> {
    let directory = tempfile::Builder::new().prefix("moat-").tempdir().context("create a directory")?;
    let copy = directory.path().join("program");
    fs::copy(program, &copy).with_context(|| format!("copy {}", program.display()))?;
    let mut command = command(directory.path(), &copy);
    command.env_clear().envs([("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")]);
    command.envs([("LANG", "C"), ("HOME", "/")]).current_dir(&directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that all of it can be killed.
    let mut child = command.process_group(0).spawn().with_context(|| format!("start {:?}", command.get_program()))?;
    let output = reader(child.stdout.take());
    let errors = reader(child.stderr.take());
    let ending = wait(&mut child)?;
    if let (Ending::Timeout, Some(moat)) = (&ending, moat) {
        // The sandbox outlives a killed `moat do`, as a container its engine; it is named after its process.
        let id = format!("do-{}", child.id());
        Command::new(moat).args(["delete", "--force", &id]).output().context("delete the sandbox")?;
    }
    Ok(Run { ending, output: collect(&output), errors: collect(&errors) })
}

fn wait(child: &mut Child) -> Result<Ending> {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().context("wait for the program")? {
            let status = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            return Ok(Ending::Status(status.unwrap_or(-1)));
        }
        if Instant::now() > end {
            // Only the group's absence can make it fail, and then there is nothing to kill.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            child.wait().context("wait for the killed program")?;
            return Ok(Ending::Timeout);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads piece by piece, so that what came before a timeout is seen.
fn reader(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn collect(pieces: &Receiver<Vec<u8>>) -> String {
    let mut bytes = Vec::new();
    while let Ok(piece) = pieces.recv_timeout(LINGER) {
        bytes.extend(piece);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
