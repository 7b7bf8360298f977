//! Start-up, and the memory and CPU time of a sandbox that sleeps.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::child;
use crate::results::{Results, Unit};
use crate::runtimes::Runtime;

const START_UP: &str = "start_up_true";
const MEMORY: &str = "idle_memory";
const CPU: &str = "idle_cpu";

/// How long a sandbox is left alone before it is looked at, and for how long its CPU time is counted.
const SETTLED: Duration = Duration::from_millis(1500);
const WINDOW: Duration = Duration::from_secs(3);

/// The names of the rows; the CPU time comes with the memory.
pub fn rows() -> impl Iterator<Item = &'static str> {
    [START_UP, MEMORY].into_iter()
}

/// Measures one row under a runtime.
pub fn run(row: &str, runtime: &Runtime, timeout: Duration, results: &mut Results) {
    if row == START_UP { start_up(runtime, timeout, results) } else { idle(runtime, results) }
}

/// The wall time of a whole `do /bin/true`, five times.
fn start_up(runtime: &Runtime, timeout: Duration, results: &mut Results) {
    for _ in 0..5 {
        let failure = match child::run(&mut runtime.command(&["/bin/true"]), timeout) {
            Ok(outcome) => match outcome.failure() {
                None => {
                    results.add_one(START_UP, Unit::Milliseconds, &runtime.name, outcome.elapsed.as_secs_f64() * 1e3);
                    continue;
                }
                Some(failure) => failure,
            },
            Err(error) => error.to_string(),
        };
        return results.fail(START_UP, Unit::Milliseconds, &runtime.name, failure);
    }
}

/// The proportional set size of all processes of a sandbox that runs `sleep`, the sleeper included, and the CPU time
/// that they use.
fn idle(runtime: &Runtime, results: &mut Results) {
    let mut command = runtime.command(&["/bin/sleep", "60"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return results.fail(MEMORY, Unit::Mebibytes, &runtime.name, error.to_string()),
    };
    std::thread::sleep(SETTLED);
    if let Ok(Some(status)) = child.try_wait() {
        results.fail(MEMORY, Unit::Mebibytes, &runtime.name, format!("ended early: {status}"));
    } else {
        let (before, began) = (ticks(), Instant::now());
        std::thread::sleep(WINDOW);
        // Ticks of 10 ms (USER_HZ is 100 on every x86-64 Linux), as milliseconds of CPU time in a second.
        let used = (ticks() - before) as f64 * 10.0 / began.elapsed().as_secs_f64();
        results.add_one(MEMORY, Unit::Mebibytes, &runtime.name, memory_kib() as f64 / 1024.0);
        results.add_one(CPU, Unit::MillisecondsPerSecond, &runtime.name, used);
    }
    // Ends the command with the rest; its status says nothing.
    child::end_all();
    let _ = child.wait();
}

fn ticks() -> u64 {
    child::ours().into_iter().filter_map(child::parent_and_ticks).map(|(_, ticks)| ticks).sum()
}

fn memory_kib() -> u64 {
    child::ours().into_iter().filter_map(pss_kib).sum()
}

fn pss_kib(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse().ok()
}
