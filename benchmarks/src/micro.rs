//! Nanoseconds an operation, from the static program in `micro/micro.c`.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::child;
use crate::inputs::Inputs;
use crate::results::{Results, Unit};
use crate::runtimes::Runtime;

/// A line of the program's output.
#[derive(Deserialize)]
struct Line {
    row: String,
    min: Option<f64>,
    median: Option<f64>,
    error: Option<String>,
    at: Option<String>,
}

/// The names of all rows, in the program's order.
///
/// # Errors
/// If the program doesn't run natively.
pub fn rows(inputs: &Inputs) -> Result<Vec<String>> {
    let outcome = child::run(Command::new(&inputs.micro).arg("--list"), Duration::from_secs(5))
        .context("running micro --list")?;
    if let Some(failure) = outcome.failure() {
        bail!("micro --list: {failure}");
    }
    Ok(outcome.stdout.lines().map(str::to_owned).collect())
}

/// Runs the rows under a runtime, but for those that failed there before. A row in which the program dies or hangs is
/// marked, and the rest is run without it.
pub fn run(runtime: &Runtime, inputs: &Inputs, rows: &[String], ms: u64, results: &mut Results) {
    let mut rest: Vec<&String> = rows.iter().filter(|row| results.failure(row, &runtime.name).is_none()).collect();
    while !rest.is_empty() {
        let only = rest.iter().map(|row| row.as_str()).collect::<Vec<_>>().join(",");
        let scratch = runtime.scratch.to_string_lossy();
        let arguments = [inputs.micro.as_str(), "--ms", &ms.to_string(), "--dir", &scratch, "--only", &only];
        // A row may take five times its share if its operation is slow; then something is stuck.
        let timeout = Duration::from_millis(10_000 + ms * 3 * rest.len() as u64);
        let outcome = match child::run(&mut runtime.command(&arguments), timeout) {
            Ok(outcome) => outcome,
            Err(error) => return results.fail(rest[0], Unit::Nanoseconds, &runtime.name, error.to_string()),
        };
        for line in outcome.stdout.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            rest.retain(|row| **row != line.row);
            match (line.min, line.median) {
                (Some(min), Some(median)) => results.add(&line.row, Unit::Nanoseconds, &runtime.name, min, median),
                _ => {
                    let (error, at) = (line.error.unwrap_or_default(), line.at.unwrap_or_default());
                    results.fail(&line.row, Unit::Nanoseconds, &runtime.name, format!("{at}: {error}"));
                }
            }
        }
        if !rest.is_empty() {
            let failure = outcome.failure().unwrap_or_else(|| "no answer".into());
            results.fail(rest.remove(0), Unit::Nanoseconds, &runtime.name, failure);
        }
    }
}
