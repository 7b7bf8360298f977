//! Moat beside gVisor and native, in one run.
//!
//! Every repetition runs each workload under each runtime in turn, so that what else the machine does falls on all of
//! them alike. What is kept are minimum and median, and the ratios of the minimums.
//!
//! - [`runtimes`]: which runtimes there are, and how a command is run in each;
//! - [`child`]: a process with a time limit, and all that it leaves behind;
//! - [`micro`]: nanoseconds an operation, from the static C program in `micro/`;
//! - [`programs`] and [`inputs`]: real programs, and the files that they work on;
//! - [`idle`]: start-up, and the memory and CPU time of a sandbox that sleeps;
//! - [`results`] and [`report`]: samples, tables, JSON.

mod child;
mod idle;
mod inputs;
mod micro;
mod programs;
mod report;
mod results;
mod runtimes;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::inputs::Inputs;
use crate::results::Results;
use crate::runtimes::Runtime;

/// Run the benchmarks natively, under runsc and under Moat, side by side
#[derive(Debug, Parser)]
#[command(name = "benchmarks")]
struct Options {
    /// The runtimes, by name: native, runsc-systrap, runsc-ptrace, moat-PLATFORM
    #[arg(long, value_delimiter = ',', default_value = "native,runsc-systrap,runsc-ptrace,moat-ptrace")]
    runtimes: Vec<String>,
    /// Only these rows
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    only: Vec<String>,
    /// Not these rows
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    skip: Vec<String>,
    /// The names of all rows
    #[arg(long)]
    list: bool,
    /// How often everything is run
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Milliseconds for each row of the micro program
    #[arg(long, default_value_t = 200)]
    ms: u64,
    /// Seconds after which a program is given up
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// The moat binary [default: target/release/moat, then PATH]
    #[arg(long)]
    moat: Option<PathBuf>,
    /// The runsc binary [default: found through PATH]
    #[arg(long)]
    runsc: Option<PathBuf>,
    /// Where the programs' inputs are made; must not lie below /tmp, which is empty in a sandbox
    #[arg(long, default_value = "target/benchmarks", value_name = "DIRECTORY")]
    work: PathBuf,
    /// Keep every core busy with something else meanwhile
    #[arg(long)]
    busy: bool,
    /// Write all samples as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables as Markdown ("-" is standard output)
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

impl Options {
    fn wants(&self, row: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|name| name == row)) && !self.skip.iter().any(|name| name == row)
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    // Processes that a sandbox leaves behind become our children, so that they can be counted and ended.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("becoming a subreaper")?;
    let inputs = Inputs::make(&options.work)?;
    let micro_rows = micro::rows(&inputs)?;
    if options.list {
        let others = programs::rows().chain(idle::rows()).map(str::to_owned);
        for name in micro_rows.into_iter().chain(others) {
            println!("{name}");
        }
        return Ok(());
    }
    let runtimes = runtimes::find(&options.runtimes, options.runsc.as_deref(), options.moat.as_deref(), &inputs);
    for runtime in &runtimes {
        match &runtime.absent {
            None => eprintln!("{}: {}", runtime.name, runtime.version),
            Some(reason) => eprintln!("{}: absent: {reason}", runtime.name),
        }
    }
    if options.busy {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            std::thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
        }
    }
    let mut results = Results::new(&runtimes, options.repetitions, options.busy);
    measure(&options, &inputs, micro_rows, &runtimes, &mut results);
    print!("{}", report::text(&results));
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&results)?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(path) = &options.markdown {
        let text = report::markdown(&results);
        if path.as_os_str() == "-" {
            print!("{text}");
        } else {
            std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}

fn measure(options: &Options, inputs: &Inputs, micro_rows: Vec<String>, runtimes: &[Runtime], results: &mut Results) {
    let timeout = Duration::from_secs(options.timeout);
    let micro_rows: Vec<String> = micro_rows.into_iter().filter(|row| options.wants(row)).collect();
    let present = || runtimes.iter().filter(|runtime| runtime.absent.is_none());
    for repetition in 1..=options.repetitions {
        if !micro_rows.is_empty() {
            for runtime in present() {
                eprintln!("repetition {repetition}: micro, {}", runtime.name);
                micro::run(runtime, inputs, &micro_rows, options.ms, results);
            }
        }
        for program in programs::ALL.iter().filter(|program| program.rows.iter().any(|row| options.wants(row.name))) {
            // Native comes first where it is asked for: what it prints is what the others must print.
            for runtime in present() {
                eprintln!("repetition {repetition}: {}, {}", program.name, runtime.name);
                programs::run(program, runtime, inputs, timeout, results);
            }
        }
        for row in idle::rows().filter(|row| options.wants(row)) {
            for runtime in present() {
                eprintln!("repetition {repetition}: {row}, {}", runtime.name);
                idle::run(row, runtime, timeout, results);
            }
        }
    }
}
