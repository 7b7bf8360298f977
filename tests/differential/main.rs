//! Linux is the oracle: each program of `programs/` runs natively and in Moat, on every platform, and must print the same
//! text and end in the same way. Those whose name begins with `net_` run once more on the network namespace's own sockets.
//!
//! `cargo test -p moat-tests --test differential` needs `gcc` and a built `moat` (`MOAT_BINARY`, else the one beside this
//! test). `-- --ignored` runs the programs natively only, several times each: is their output the same on every run?

mod compile;

use std::path::Path;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use moat_tests::run::{self, Ending, Network, Place, STARTED_BY_A_SHELL, Subject};

/// The platforms that exist.
const PLATFORMS: &[&str] = &["ptrace", "trap"];

/// Programs that are about the ways which the trap platform has for calls run once more without these ways, and without one.
const TRAP_WITHOUT: &[(&str, &str)] =
    &[("trap_without_lanes", "trap:patch=off,constants=off,spin=off"), ("trap_without_spinning", "trap:spin=off")];
/// See [`TRAP_WITHOUT`].
const ABOUT_LANES: &[&str] = &[
    "a_step_goes_over_a_call",
    "calls_made_often_keep_registers_flags_and_vectors",
    "identities_are_those_of_the_moment",
    "linker_and_library_both_call_often",
    "signals_find_a_thread_at_its_calls",
    "text_changes_under_threads_that_call",
    "text_with_calls_can_be_read_changed_and_taken_away",
    "the_base_of_gs_is_the_programs_own",
];

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
            if name.starts_with("net_") {
                let source = source.clone();
                let run = move || agrees(&source, platform, Network::Host);
                let trial = Trial::test(format!("{platform}::host_network::{name}"), run);
                trials.push(trial.with_ignored_flag(!run::can_make_networks()));
            }
            trials
                .push(Trial::test(format!("{platform}::{name}"), move || agrees(&source, platform, Network::Default)));
        }
        if ABOUT_LANES.contains(&name.as_str()) {
            for &(label, platform) in TRAP_WITHOUT {
                let source = source.clone();
                let run = move || agrees(&source, platform, Network::Default);
                trials.push(Trial::test(format!("{label}::{name}"), run));
            }
        }
        trials.push(Trial::test(format!("native::{name}"), move || is_deterministic(&source)).with_ignored_flag(true));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// The program does in Moat what it does natively.
fn agrees(source: &Path, platform: &str, network: Network) -> Result<(), Failed> {
    let moat = run::moat_binary().map_err(text)?;
    let program = compile::compile(source).map_err(text)?;
    let native = Place::Host { network }.run(subject(&program)).map_err(text)?;
    if let Ending::Timeout = native.ending {
        return Err(format!("natively it {}", native.ending).into());
    }
    let inside = Place::Sandbox { moat: &moat, platform, network }.run(subject(&program)).map_err(text)?;
    run::compare("native", &native, platform, &inside).map_err(Failed::from)
}

fn is_deterministic(source: &Path) -> Result<(), Failed> {
    let program = compile::compile(source).map_err(text)?;
    let here = Place::Host { network: Network::Default };
    let first = here.run(subject(&program)).map_err(text)?;
    if let Ending::Timeout = first.ending {
        return Err(format!("it {}", first.ending).into());
    }
    for _ in 1..REPETITIONS {
        let later = here.run(subject(&program)).map_err(text)?;
        run::compare("first run", &first, "later run", &later)?;
    }
    Ok(())
}

fn subject(program: &Path) -> Subject<'_> {
    Subject { file: program, starter: STARTED_BY_A_SHELL, timeout: Duration::from_secs(20) }
}

fn text(error: anyhow::Error) -> Failed {
    format!("{error:#}").into()
}
