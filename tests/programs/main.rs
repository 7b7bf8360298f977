//! Real, unmodified programs: each script of `cases/` runs natively and in Moat, on every platform, and must print the same
//! and end in the same way. `# needs:` names the Debian packages of a case; one that lacks some is skipped and says so. A
//! case with a line `# network` runs once more on the network namespace's own sockets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use moat_tests::run::{self, Ending, Network, Subject};

/// The platforms that exist.
const PLATFORMS: &[&str] = &["ptrace", "trap"];

fn main() {
    let arguments = Arguments::from_args();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/cases");
    let mut scripts: Vec<PathBuf> = match fs::read_dir(&cases) {
        Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
        Err(error) => {
            eprintln!("programs: {}: {error}", cases.display());
            std::process::exit(1);
        }
    };
    scripts.sort();
    let mut trials = Vec::new();
    for script in scripts {
        let name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let missing = missing_packages(&script);
        if !missing.is_empty() && !arguments.list {
            eprintln!("programs: {name} is skipped: {} not installed", missing.join(", "));
        }
        for &platform in PLATFORMS {
            let both = [(Network::Default, ""), (Network::Host, "host_network::")];
            for (network, label) in both.into_iter().filter(|(n, _)| *n == Network::Default || has_network(&script)) {
                let script = script.clone();
                let run = move || agrees(&script, platform, network);
                let trial = Trial::test(format!("{platform}::{label}{name}"), run);
                let possible = network == Network::Default || run::can_make_networks();
                trials.push(trial.with_ignored_flag(!missing.is_empty() || !possible));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Whether a case is one of networks.
fn has_network(script: &Path) -> bool {
    fs::read_to_string(script).is_ok_and(|text| text.lines().any(|l| l == "# network"))
}

/// The packages that a case needs and that are not there.
fn missing_packages(script: &Path) -> Vec<String> {
    let text = fs::read_to_string(script).unwrap_or_default();
    let needed = text.lines().find_map(|l| l.strip_prefix("# needs:")).unwrap_or_default();
    needed.split_whitespace().filter(|p| !is_installed(p)).map(str::to_owned).collect()
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).output();
    output.is_ok_and(|o| o.stdout == b"installed")
}

fn agrees(script: &Path, platform: &str, network: Network) -> Result<(), Failed> {
    let text = |error: anyhow::Error| Failed::from(format!("{error:#}"));
    let moat = run::moat_binary().map_err(text)?;
    let subject = Subject { file: script, starter: &["/bin/bash"], timeout: Duration::from_secs(120) };
    let native = run::natively(subject, network).map_err(text)?;
    if let Ending::Timeout = native.ending {
        return Err(format!("natively it {}", native.ending).into());
    }
    let inside = run::in_moat(&moat, platform, network, subject).map_err(text)?;
    run::compare("native", &native, platform, &inside).map_err(Failed::from)
}
