//! Runs a program natively and in Moat, in the same surroundings, and compares: a fresh directory, which is also where it
//! lies, nothing on standard input, an environment of few variables.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::container::{self, Container};

/// All that a program's environment holds.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LANG", "C"),
    ("HOME", "/"),
    ("TERM", "xterm"),
];

/// What somebody who holds the output open after the program's end gets.
const LINGER: Duration = Duration::from_secs(2);

/// A program is no sandbox's first process, which signals can't kill: in both worlds a shell starts it, and a signal
/// becomes the shell's 128+n.
pub const STARTED_BY_A_SHELL: &[&str] = &["/bin/sh", "-c", "\"$0\"; exit $?"];

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// A program or a script; a copy of it lies in the directory.
    pub file: &'a Path,
    /// What starts it: a command to which the copy's path is added.
    pub starter: &'a [&'a str],
    /// Longer than it takes, also on a busy machine.
    pub timeout: Duration,
}

/// Where it is run.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// On this machine.
    Host {
        /// Its network.
        network: Network,
    },
    /// In a sandbox over this machine's root, by `moat do`.
    Sandbox {
        /// The runtime under test.
        moat: &'a Path,
        /// Its platform, and behind a colon options of it.
        platform: &'a str,
        /// Its network.
        network: Network,
    },
    /// In a container with the root of a Debian.
    Container {
        /// That root.
        debian: &'a Path,
        /// The runtime.
        runtime: container::Runtime<'a>,
    },
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this status; 128+n for signal n.
    Status(i32),
    /// Not in time.
    Timeout,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Status(status) => write!(f, "ended with {status}"),
            Ending::Timeout => write!(f, "did not end in time"),
        }
    }
}

/// What a program did.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub ending: Ending,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

/// The runtime under test: `MOAT_BINARY`, else the one beside this test.
///
/// # Errors
/// If there is none.
pub fn moat_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("MOAT_BINARY") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("where this test is")?;
    let profile = own.parent().and_then(Path::parent).context("this test has no target directory")?;
    let moat = profile.join("moat");
    if !moat.exists() {
        bail!("{} does not exist: run `cargo build -p moat` or set MOAT_BINARY", moat.display());
    }
    Ok(moat)
}

/// The platform that tests of the runtime itself ask for, by `MOAT_TEST_PLATFORM`; without it, the runtime chooses.
pub fn platform() -> Option<String> {
    std::env::var("MOAT_TEST_PLATFORM").ok()
}

/// Whether two runs printed the same and ended in the same way.
///
/// # Errors
/// The difference, with a diff of what was printed.
pub fn compare(expected_name: &str, expected: &Run, found_name: &str, found: &Run) -> std::result::Result<(), String> {
    if expected.output == found.output && expected.ending == found.ending {
        return Ok(());
    }
    let mut message = String::new();
    if expected.ending != found.ending {
        message += &format!("{expected_name}: it {}; {found_name}: it {}\n", expected.ending, found.ending);
    }
    let diff = similar::TextDiff::from_lines(&expected.output, &found.output);
    message += &diff.unified_diff().context_radius(3).header(expected_name, found_name).to_string();
    if !found.errors.is_empty() {
        message += &format!("standard error of {found_name}:\n{}", found.errors);
    }
    Err(message)
}

/// A network namespace of its own, with a loopback that is up. Needs root.
const ALONE: &[&str] = &["unshare", "--net", "--", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""];

/// Whether [`Network::Host`] can be tried: making a namespace takes root.
pub fn can_make_networks() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Which network a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Natively that of the test, in Moat a loopback inside the sandbox.
    Default,
    /// A namespace of its own, in Moat by `--network=host`.
    Host,
}

impl Network {
    /// A command that starts `program` in it.
    fn command(self, program: &OsStr) -> Command {
        match self {
            Network::Default => Command::new(program),
            Network::Host => {
                let mut command = Command::new(ALONE[0]);
                command.args(&ALONE[1..]).arg(program);
                command
            }
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Network::Default => "--network=none",
            Network::Host => "--network=host",
        }
    }
}

/// A command that is yet to be started, and what must live as long as it.
#[derive(Debug)]
pub struct Ready<'a> {
    /// The command. Its streams are not set.
    pub command: Command,
    place: Place<'a>,
    /// Goes with it.
    _directory: Directory,
}

/// The fresh directory.
#[derive(Debug)]
enum Directory {
    OfHost { _directory: tempfile::TempDir },
    OfContainer { _container: Box<Container> },
}

impl<'a> Place<'a> {
    /// Makes what it takes to run the subject here: on its standard streams, which are a terminal or not.
    ///
    /// # Errors
    /// What cannot be made.
    pub fn ready(self, subject: Subject<'_>, terminal: bool) -> Result<Ready<'a>> {
        let copy_into = |directory: &Path| {
            let copy = directory.join("program");
            fs::copy(subject.file, &copy).with_context(|| format!("copy {}", subject.file.display()))?;
            Ok::<_, anyhow::Error>(copy)
        };
        let fresh = || tempfile::Builder::new().prefix("moat-").tempdir().context("create a directory");
        let (mut command, directory) = match self {
            Place::Host { network } => {
                let directory = fresh()?;
                let mut command = network.command(subject.starter[0].as_ref());
                command.args(&subject.starter[1..]).arg(copy_into(directory.path())?).current_dir(&directory);
                (command, Directory::OfHost { _directory: directory })
            }
            Place::Sandbox { moat, platform, network } => {
                let directory = fresh()?;
                let path = directory.path().to_string_lossy();
                let mut command = network.command(moat.as_os_str());
                let (platform, options) = platform.split_once(':').unwrap_or((platform, ""));
                command.args(["do", "--rw", "--platform", platform, network.flag()]);
                command.args(["--platform-option", options]);
                command.args(if terminal { None } else { Some("--no-tty") });
                command.args(["--volume", &format!("{path}:{path}"), "--cwd", &path, "--"]).args(subject.starter);
                command.arg(copy_into(directory.path())?).current_dir(&directory);
                (command, Directory::OfHost { _directory: directory })
            }
            Place::Container { debian, runtime } => {
                let container = Container::new(debian, runtime)?;
                copy_into(&container.directory())?;
                let starter = subject.starter.iter().copied();
                let arguments: Vec<&str> = starter.chain([container::PROGRAM]).collect();
                let command = container.command(&arguments, ENVIRONMENT, terminal);
                (command, Directory::OfContainer { _container: Box::new(container) })
            }
        };
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        Ok(Ready { command, place: self, _directory: directory })
    }

    /// Runs the subject to its end.
    ///
    /// # Errors
    /// What keeps it from being run.
    pub fn run(self, subject: Subject<'_>) -> Result<Run> {
        let mut ready = self.ready(subject, false)?;
        let command = &mut ready.command;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that all of it can be killed.
        let mut child =
            command.process_group(0).spawn().with_context(|| format!("start {:?}", command.get_program()))?;
        let output = reader(child.stdout.take());
        let errors = reader(child.stderr.take());
        let ending = wait(&mut child, subject.timeout)?;
        if ending == Ending::Timeout {
            ready.delete(&child)?;
        }
        Ok(Run { ending, output: collect(&output), errors: collect(&errors) })
    }
}

impl Ready<'_> {
    /// Deletes the sandbox of a command that was killed: it outlives `moat do`, as a container its engine.
    ///
    /// # Errors
    /// If the runtime cannot be started.
    pub fn delete(&self, child: &Child) -> Result<()> {
        if let Place::Sandbox { moat, .. } = self.place {
            // It is named after its process.
            let id = format!("do-{}", child.id());
            Command::new(moat).args(["delete", "--force", &id]).output().context("delete the sandbox")?;
        }
        Ok(())
    }
}

/// Waits for a command that leads its process group; one that does not end in time is killed.
///
/// # Errors
/// If it cannot be waited for.
pub fn wait(child: &mut Child, timeout: Duration) -> Result<Ending> {
    let end = Instant::now() + timeout;
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
