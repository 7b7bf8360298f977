//! The verbs, one file each.

pub mod create;
mod delete;
mod r#do;
mod doctor;
mod events;
mod exec;
mod features;
mod generate;
mod kill;
mod list;
mod pause;
mod ps;
mod run;
mod spec;
pub mod start;
mod state;
mod update;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, Parser, Subcommand};
use moat_sentry::control::config::Network;

use crate::log::{Format, Log};
use crate::sandbox::confine::Unlisted;
use crate::sandbox::platform;
use crate::state::{OCI_VERSION, Root};

/// An OCI runtime that gives each container its own kernel
#[derive(Debug, Parser)]
#[command(name = "moat", disable_version_flag = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    /// Print the version
    #[arg(long, short = 'v')]
    version: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Flags of all verbs.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Write the final error to this file, too
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The format of the log file
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
    /// Say more on standard error
    #[arg(long)]
    debug: bool,
    /// Where the state of containers is kept
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// Take cgroupsPath as slice:prefix:name
    #[arg(long)]
    systemd_cgroup: bool,
    /// Ignore what an ordinary user may not do: true, false or auto
    #[arg(long, value_name = "MODE", default_value = "auto")]
    rootless: String,
    /// The path of criu, which is not used
    #[arg(long, hide = true)]
    criu: Option<PathBuf>,
    /// How application code is run: ptrace, trap, or auto, which is trap where it works
    #[arg(long, value_name = "PLATFORM", default_value = "auto", global = true)]
    platform: String,
    /// What the platform trap leaves out, for tests and measurements: patch=off, constants=off, spin=off
    #[arg(long = "platform-option", value_name = "NAME=VALUE", value_delimiter = ',', global = true)]
    platform_options: Vec<String>,
    /// Which network the sockets of the application reach: a loopback of its own without this
    #[arg(long, value_name = "NETWORK", global = true)]
    network: Option<NetworkChoice>,
    /// Keep changes of the container's root in memory
    #[arg(long, global = true)]
    overlay: bool,
    /// Print system calls as strace does, on standard error or to a file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = STANDARD_ERROR, global = true)]
    strace: Option<PathBuf>,
    /// What happens to a host call of the kernel that is not on its list
    #[arg(long, value_name = "ACTION", default_value = "kill", hide = true, global = true)]
    unlisted: Unlisted,
    /// Where messages of the sandbox's processes go
    #[arg(long, value_name = "FILE", global = true)]
    debug_log: Option<PathBuf>,
}

/// What `--strace` without a file means.
const STANDARD_ERROR: &str = "/dev/stderr";

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NetworkChoice {
    /// Loopback only
    None,
    /// The container's network namespace, by the host's own stack
    Host,
}

impl From<NetworkChoice> for Network {
    fn from(choice: NetworkChoice) -> Self {
        match choice {
            NetworkChoice::None => Self::None,
            NetworkChoice::Host => Self::Host,
        }
    }
}

impl Global {
    fn state_root(&self) -> Root {
        Root::new(self.root.as_deref())
    }

    /// Where `--strace` goes.
    fn trace(&self) -> Result<Option<OwnedFd>> {
        Ok(match &self.strace {
            None => None,
            // Not opened again: it may be a socket, and its position is the caller's.
            Some(path) if path.as_os_str() == STANDARD_ERROR => {
                Some(std::io::stderr().as_fd().try_clone_to_owned().context("duplicate standard error")?)
            }
            Some(path) => {
                let opened = File::options().create(true).append(true).open(path);
                Some(opened.with_context(|| format!("--strace={}: cannot be written", path.display()))?.into())
            }
        })
    }

    /// Checks what all verbs take, and puts in place of the platform's name which one that is here.
    fn resolve(&mut self) -> Result<()> {
        self.platform = platform::choose(&self.platform)?.into();
        if let Err(error) = self.platform_options.join(",").parse::<moat_platform::trap::Lanes>() {
            bail!("--platform-option={error}");
        }
        match self.rootless.as_str() {
            "auto" | "true" | "false" => Ok(()),
            other => bail!("--rootless={other}: must be true, false or auto"),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::Create),
    Start(start::Start),
    Run(run::Run),
    Exec(exec::Exec),
    Kill(kill::Kill),
    Delete(delete::Delete),
    State(state::State),
    List(list::List),
    Ps(ps::Ps),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Events(events::Events),
    Update(update::Update),
    Spec(spec::Spec),
    Features(features::Features),
    Do(r#do::Do),
    Doctor(doctor::Doctor),
    /// Not supported yet
    Checkpoint(Unsupported),
    /// Not supported yet
    Restore(Unsupported),
    Completions(generate::Completions),
    Man(generate::Man),
}

/// A verb of runc's that is still to come.
#[derive(Debug, clap::Args)]
struct Unsupported {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// Why a verb failed, and the exit code for it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { message: format!("{error:#}"), code: 1 }
    }
}

type Outcome = Result<u8, Failure>;

/// Every capability that there is.
const ALL_CAPABILITIES: u64 = moat_abi::capability::CapabilitySet::all().bits();

/// Parses the command line and does what it says; the exit code.
pub fn main() -> u8 {
    let cli = Cli::parse();
    let mut global = cli.global;
    if cli.version {
        println!("moat version {}\nspec: {OCI_VERSION}", env!("CARGO_PKG_VERSION"));
        return 0;
    }
    let Some(verb) = cli.verb else {
        let _ = Cli::command().print_help();
        return 1;
    };
    let log = Log { file: global.log.clone(), format: global.log_format, debug: global.debug };
    let checked = log.check().and_then(|()| global.resolve()).map_err(Failure::from);
    let outcome = checked.and_then(|()| match verb {
        Verb::Create(verb) => verb.run(&global, &log),
        Verb::Start(verb) => verb.run(&global, &log),
        Verb::Run(verb) => verb.run(&global, &log),
        Verb::Exec(verb) => verb.run(&global),
        Verb::Kill(verb) => verb.run(&global),
        Verb::Delete(verb) => verb.run(&global, &log),
        Verb::State(verb) => verb.run(&global),
        Verb::List(verb) => verb.run(&global, &log),
        Verb::Ps(verb) => verb.run(&global),
        Verb::Pause(verb) => verb.run(&global),
        Verb::Resume(verb) => verb.run(&global),
        Verb::Events(verb) => verb.run(&global),
        Verb::Update(verb) => verb.run(&global, &log),
        Verb::Spec(verb) => verb.run(),
        Verb::Features(verb) => verb.run(),
        Verb::Do(verb) => verb.run(&global, &log),
        Verb::Doctor(verb) => verb.run(),
        Verb::Checkpoint(Unsupported { rest: _ }) => Err(anyhow::anyhow!("checkpoint: not supported yet").into()),
        Verb::Restore(Unsupported { rest: _ }) => Err(anyhow::anyhow!("restore: not supported yet").into()),
        Verb::Completions(verb) => verb.run(),
        Verb::Man(verb) => verb.run(),
    });
    outcome.unwrap_or_else(|failure| {
        log.error(&failure.message);
        failure.code
    })
}

/// Writes a file whose reader must never see half of it.
fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().with_context(|| format!("--pid-file {}: not a file's name", path.display()))?;
    let temporary = path.with_file_name(format!(".{}", name.to_string_lossy()));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        write!(file, "{pid}")?;
        std::fs::rename(&temporary, path)
    };
    write().with_context(|| format!("--pid-file {}", path.display()))
}

/// Prints without dying of a reader that has gone.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
