//! Linux is the oracle: each program of `programs/` runs natively and in Moat, on every platform, and must print the same
//! text and end in the same way.
//!
//! `cargo test -p moat-tests --test differential` needs `gcc` and a built `moat` (`MOAT_BINARY`, else the one beside this
//! test). `-- --ignored` runs the programs natively only, several times each: is their output the same on every run?

mod compile;
mod run;

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use run::{Ending, Run};

/// The platforms that exist.
const PLATFORMS: &[&str] = &["ptrace"];

/// How often a program is run to find out whether it is deterministic.
const REPETITIONS: usize = 3;

fn main() {
    let programs = match compile::programs() {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("differential: {error:#}");
            std::process::exit(1);
        }
    };
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for source in programs {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for &platform in PLATFORMS {
            let source = source.clone();
            trials.push(Trial::test(format!("{platform}::{name}"), move || agrees(&source, platform)));
        }
        trials.push(Trial::test(format!("native::{name}"), move || is_deterministic(&source)).with_ignored_flag(true));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// The program does in Moat what it does natively.
fn agrees(source: &Path, platform: &str) -> Result<(), Failed> {
    let moat = moat_binary()?;
    let program = compile::compile(source).map_err(text)?;
    let native = run::natively(&program).map_err(text)?;
    if let Ending::Timeout = native.ending {
        return Err(format!("natively it {}", native.ending).into());
    }
    let inside = run::in_moat(&moat, platform, &program).map_err(text)?;
    compare("native", &native, platform, &inside)
}

fn is_deterministic(source: &Path) -> Result<(), Failed> {
    let program = compile::compile(source).map_err(text)?;
    let first = run::natively(&program).map_err(text)?;
    if let Ending::Timeout = first.ending {
        return Err(format!("it {}", first.ending).into());
    }
    for _ in 1..REPETITIONS {
        compare("first run", &first, "later run", &run::natively(&program).map_err(text)?)?;
    }
    Ok(())
}

fn compare(expected_name: &str, expected: &Run, found_name: &str, found: &Run) -> Result<(), Failed> {
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
    Err(message.into())
}

/// The runtime under test.
fn moat_binary() -> Result<PathBuf, Failed> {
    if let Some(path) = std::env::var_os("MOAT_BINARY") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().map_err(|error| format!("where this test is: {error}"))?;
    let profile = own.parent().and_then(Path::parent).ok_or("this test has no target directory")?;
    let moat = profile.join("moat");
    if moat.exists() {
        return Ok(moat);
    }
    Err(format!("{} does not exist: run `cargo build -p moat` or set MOAT_BINARY", moat.display()).into())
}

fn text(error: anyhow::Error) -> Failed {
    format!("{error:#}").into()
}
