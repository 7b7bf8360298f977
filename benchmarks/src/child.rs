//! A process with a time limit, and all that it leaves behind.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

/// What became of a process.
pub struct Outcome {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Wall time from its start to its end.
    pub elapsed: Duration,
    /// How it ended; `None` if it had to be killed when its time was up.
    pub status: Option<ExitStatus>,
}

impl Outcome {
    /// Why this is not a success, if it isn't: how the process ended and the last words of its standard error.
    pub fn failure(&self) -> Option<String> {
        let ended = match self.status {
            None => format!("gave no answer within {} s", self.elapsed.as_secs()),
            Some(status) if status.success() => return None,
            Some(status) => status.to_string(),
        };
        Some(match self.stderr.lines().rfind(|line| !line.trim().is_empty()) {
            Some(line) => format!("{ended}: {}", shortened(line.trim())),
            None => ended,
        })
    }
}

fn shortened(line: &str) -> String {
    line.chars().take(200).collect()
}

/// Runs a command to its end or to the end of its time. Its output goes through pipes: some runtimes lose what is
/// written to a file. Nothing that it started is alive afterwards.
///
/// # Errors
/// If it can't be started.
pub fn run(command: &mut Command, timeout: Duration) -> std::io::Result<Outcome> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        let status = child.wait();
        // Nobody listens any more if the child outlived even its killing.
        let _ = sender.send((status, Instant::now()));
    });
    let (status, end) = match ended.recv_timeout(timeout) {
        Ok((status, end)) => (Some(status?), end),
        Err(_) => (None, Instant::now()),
    };
    end_all();
    let patience = Duration::from_secs(2);
    if status.is_none() {
        let _ = ended.recv_timeout(patience);
    }
    reap();
    Ok(Outcome {
        stdout: stdout.recv_timeout(patience).unwrap_or_default(),
        stderr: stderr.recv_timeout(patience).unwrap_or_default(),
        elapsed: end - began,
        status,
    })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error still counts.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// The process's parent and CPU time in ticks, from /proc/PID/stat.
pub fn parent_and_ticks(pid: i32) -> Option<(i32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; state, ppid, … follow the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((fields.get(1)?.parse().ok()?, number(11)? + number(12)?))
}

/// All processes below a process, itself not included.
pub fn descendants(root: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let parents: Vec<(i32, i32)> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent_and_ticks(pid)?.0)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// All processes that a run has started and that are still there: this process runs one thing at a time.
pub fn ours() -> Vec<i32> {
    descendants(getpid().as_raw_nonzero().get())
}

/// Ends whatever the last run left behind.
pub fn end_all() {
    for _ in 0..50 {
        let left: Vec<i32> = ours().into_iter().filter(|pid| !is_zombie(*pid)).collect();
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(')')?.1.trim_start().starts_with('Z')))
        .unwrap_or(true)
}

/// Takes the statuses of orphans that became ours; only called while no [`std::process::Child`] is waited for.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}
