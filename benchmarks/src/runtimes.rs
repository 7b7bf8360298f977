//! Which runtimes there are, and how a command is run in each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child;
use crate::inputs::Inputs;

/// Where cargo leaves our binary, below the workspace.
const BUILT: [&str; 2] = ["target/x86_64-unknown-linux-gnu/release/moat", "target/release/moat"];

/// One way to run a command.
pub struct Runtime {
    /// `native`, `runsc-systrap`, `moat-ptrace`…
    pub name: String,
    /// What it says of itself.
    pub version: String,
    /// Why it can't be used here, if it can't.
    pub absent: Option<String>,
    /// A directory that commands can write to.
    pub scratch: PathBuf,
    prefix: Vec<String>,
}

impl Runtime {
    /// The command line that runs a command in it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.prefix.iter().map(String::as_str).chain(arguments.iter().copied());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        // Shims of version managers that may come first in the caller's PATH are not what is to be measured.
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        command
    }
}

/// Finds the runtimes that are named, and tries each with `true`.
pub fn find(names: &[String], runsc: Option<&Path>, moat: Option<&Path>, inputs: &Inputs) -> Vec<Runtime> {
    names.iter().map(|name| tried(found(name, runsc, moat, inputs))).collect()
}

fn found(name: &str, runsc: Option<&Path>, moat: Option<&Path>, inputs: &Inputs) -> Runtime {
    let absent = |reason: String| Runtime {
        name: name.into(),
        version: String::new(),
        absent: Some(reason),
        scratch: "/tmp".into(),
        prefix: Vec::new(),
    };
    let (binary, platform, options): (_, _, &[&str]) = match name.split_once('-') {
        None if name == "native" => {
            let scratch = inputs.scratch.clone();
            return Runtime { name: name.into(), version: kernel(), absent: None, scratch, prefix: Vec::new() };
        }
        Some(("runsc", platform)) => {
            let binary = runsc.map(Path::to_owned).or_else(|| in_path("runsc"));
            (binary, platform, &["--network=none", "--ignore-cgroups", "do"])
        }
        Some(("moat", platform)) => {
            let built = BUILT.iter().map(PathBuf::from).find(|path| path.is_file());
            let binary = moat.map(Path::to_owned).or(built).or_else(|| in_path("moat"));
            (binary, platform, &["--network=none", "do", "--no-tty"])
        }
        _ => return absent("no such runtime is known".into()),
    };
    let Some(binary) = binary else { return absent("no such program in PATH".into()) };
    let binary = match std::fs::canonicalize(&binary) {
        Ok(binary) => binary.to_string_lossy().into_owned(),
        Err(error) => return absent(format!("{}: {error}", binary.display())),
    };
    let version = version(&binary);
    let mut prefix = vec![binary, format!("--platform={platform}")];
    prefix.extend(options.iter().map(|option| option.to_string()));
    Runtime { name: name.into(), version, absent: None, scratch: "/tmp".into(), prefix }
}

fn tried(mut runtime: Runtime) -> Runtime {
    if runtime.absent.is_none() {
        runtime.absent = match child::run(&mut runtime.command(&["/bin/true"]), Duration::from_secs(20)) {
            Ok(outcome) => outcome.failure(),
            Err(error) => Some(error.to_string()),
        };
    }
    runtime
}

fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

fn version(binary: &str) -> String {
    let answer = child::run(Command::new(binary).arg("--version"), Duration::from_secs(5));
    let text = answer.map(|outcome| outcome.stdout).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What a builder appended names a machine, not a kernel.
    format!("Linux {}", release.trim().split('-').next().unwrap_or_default())
}
