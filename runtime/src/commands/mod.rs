//! The verbs, one file each.

mod r#do;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::log::{Format, Log};
use crate::state::Root;

/// An OCI runtime that gives each container its own kernel
#[derive(Debug, Parser)]
#[command(name = "moat", disable_version_flag = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags that stand before the verb.
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
    /// How application code is run: auto or ptrace
    #[arg(long, value_name = "PLATFORM", default_value = "auto")]
    platform: String,
    /// Where messages of the sandbox's processes go
    #[arg(long, value_name = "FILE")]
    debug_log: Option<PathBuf>,
}

impl Global {
    fn state_root(&self) -> Root {
        Root::new(self.root.as_deref())
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Do(r#do::Do),
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

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NetworkChoice {
    /// Loopback only
    None,
    /// The namespace's own sockets
    Host,
}

/// Every capability that there is.
const ALL_CAPABILITIES: u64 = moat_abi::capability::CapabilitySet::all().bits();

/// How many processors this process may use.
fn host_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u32)
}

fn check_platform(name: &str) -> anyhow::Result<()> {
    match name {
        "auto" | "ptrace" => Ok(()),
        other => anyhow::bail!("--platform={other}: not a platform of this build (auto, ptrace)"),
    }
}

type Outcome = Result<u8, Failure>;

/// Parses the command line and does what it says; the exit code.
pub fn main() -> u8 {
    let cli = Cli::parse();
    let log = Log { file: cli.global.log.clone(), format: cli.global.log_format, debug: cli.global.debug };
    let outcome = log.check().map_err(Failure::from).and_then(|()| match cli.verb {
        Verb::Do(verb) => verb.run(&cli.global, &log),
    });
    outcome.unwrap_or_else(|failure| {
        log.error(&failure.message);
        failure.code
    })
}
