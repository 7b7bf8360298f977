//! Real, unmodified programs. Each script of `cases/` and each session at a terminal of `sessions.rs` runs on Linux and in
//! Moat, on every platform, and must print the same and end in the same way: over this machine's root (`moat do` against
//! this machine), and in a container with the root of a fresh Debian (`moat run` against runc).
//!
//! The stressors of stress-ng check what they get themselves (`stress.rs`).
//!
//! A case names the Debian packages that it needs; one that lacks some is skipped and says so. One with a line
//! `# network` runs once more on the network namespace's own sockets.

mod screen;
mod sessions;
mod stress;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use moat_tests::container::Runtime;
use moat_tests::debian;
use moat_tests::run::{self, Ending, Network, Place, Run, Subject};

/// The platforms that exist.
const PLATFORMS: &[&str] = &["ptrace", "trap"];

/// What is done in both worlds.
#[derive(Clone, Debug)]
enum Case {
    Script(PathBuf),
    Session(&'static sessions::Session),
}

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/cases");
    let mut cases: Vec<Case> = match fs::read_dir(&folder) {
        Ok(entries) => entries.filter_map(|e| e.ok().map(|e| Case::Script(e.path()))).collect(),
        Err(error) => {
            eprintln!("programs: {}: {error}", folder.display());
            std::process::exit(1);
        }
    };
    cases.extend(sessions::SESSIONS.iter().map(Case::Session));
    cases.sort_by_key(Case::name);
    let packages: BTreeSet<String> = cases.iter().flat_map(Case::packages).collect();
    let no_debian = debian::missing();
    if !no_debian.is_empty() && !arguments.list {
        eprintln!("programs: those in a Debian's root are skipped: there is no {}", no_debian.join(", "));
    }
    let mut trials = Vec::new();
    for case in cases {
        let name = case.name();
        let missing: Vec<String> = case.packages().into_iter().filter(|p| !is_installed(p)).collect();
        if !missing.is_empty() && !arguments.list {
            eprintln!("programs: {name} is skipped over this root: {} not installed", missing.join(", "));
        }
        for &platform in PLATFORMS {
            let both = [(Network::Default, ""), (Network::Host, "host_network::")];
            for (network, label) in both.into_iter().filter(|(n, _)| *n == Network::Default || case.has_network()) {
                let case = case.clone();
                let run = move || agrees_here(&case, platform, network);
                let trial = Trial::test(format!("{platform}::{label}{name}"), run);
                let possible = network == Network::Default || run::can_make_networks();
                trials.push(trial.with_ignored_flag(!missing.is_empty() || !possible));
            }
            let (case, packages) = (case.clone(), packages.clone());
            let run = move || agrees_in_debian(&case, &packages, platform);
            let trial = Trial::test(format!("debian::{platform}::{name}"), run);
            trials.push(trial.with_ignored_flag(!no_debian.is_empty()));
        }
    }
    let stresses = is_installed(stress::PACKAGE);
    if !stresses && !arguments.list {
        eprintln!("programs: stress is skipped: {} not installed", stress::PACKAGE);
    }
    for group in stress::GROUPS {
        for &platform in PLATFORMS {
            let run = move || group.run(&run::moat_binary().map_err(text)?, platform).map_err(text);
            trials.push(Trial::test(format!("{platform}::stress::{}", group.name), run).with_ignored_flag(!stresses));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

impl Case {
    fn name(&self) -> String {
        match self {
            Case::Script(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Case::Session(session) => session.name.to_owned(),
        }
    }

    fn packages(&self) -> Vec<String> {
        match self {
            Case::Script(path) => {
                let text = fs::read_to_string(path).unwrap_or_default();
                let needed = text.lines().find_map(|l| l.strip_prefix("# needs:")).unwrap_or_default();
                needed.split_whitespace().map(str::to_owned).collect()
            }
            Case::Session(session) => session.needs.iter().map(|&package| package.to_owned()).collect(),
        }
    }

    /// Whether it is one of networks.
    fn has_network(&self) -> bool {
        match self {
            Case::Script(path) => {
                fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line == "# network"))
            }
            Case::Session(_) => false,
        }
    }

    fn run(&self, place: Place<'_>) -> Result<Run> {
        match self {
            Case::Script(file) => {
                place.run(Subject { file, starter: &["/bin/bash"], timeout: Duration::from_secs(120) })
            }
            Case::Session(session) => session.run(place),
        }
    }
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).output();
    output.is_ok_and(|o| o.stdout == b"installed")
}

fn agrees_here(case: &Case, platform: &str, network: Network) -> Result<(), Failed> {
    let moat = run::moat_binary().map_err(text)?;
    agrees(case, Place::Host { network }, Place::Sandbox { moat: &moat, platform, network }, platform)
}

fn agrees_in_debian(case: &Case, packages: &BTreeSet<String>, platform: &str) -> Result<(), Failed> {
    let moat = run::moat_binary().map_err(text)?;
    let debian = debian::root(Path::new(env!("CARGO_TARGET_TMPDIR")), packages).map_err(text)?;
    let place = |runtime| Place::Container { debian: &debian, runtime };
    agrees(case, place(Runtime::Runc), place(Runtime::Moat { moat: &moat, platform }), platform)
}

fn agrees(case: &Case, linux: Place<'_>, moat: Place<'_>, platform: &str) -> Result<(), Failed> {
    let native = case.run(linux).map_err(text)?;
    // What fails on Linux shows nothing of Moat.
    if native.ending != Ending::Status(0) {
        return Err(format!("natively it {}:\n{}{}", native.ending, native.output, native.errors).into());
    }
    let inside = case.run(moat).map_err(text)?;
    run::compare("native", &native, platform, &inside).map_err(Failed::from)
}

fn text(error: anyhow::Error) -> Failed {
    format!("{error:#}").into()
}
