//! Which platform runs application code, and whether it works on this host.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use moat_platform::stub::{Interception, birth};
use serde::{Deserialize, Serialize};

use crate::state::default_root;

/// How long the self-test may take, which takes some milliseconds where all is well.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often this program is executed again to find the stub's addresses free.
const LAYOUT_TRIES: u32 = 10;

/// What the self-test said, for as long as it holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The host's boot that it holds for.
    boot: String,
    /// The program that it holds for: its inode and times.
    program: String,
    /// Why traps don't work; `None` if they do.
    missing: Option<String>,
}

/// The platform for a value of `--platform`: by default traps where they work, else the one that works on any Linux.
///
/// # Errors
/// It names none, or one that does not work here.
pub fn choose(wanted: &str) -> Result<&'static str> {
    match wanted {
        "ptrace" => Ok("ptrace"),
        "auto" | "trap" => match kept().unwrap_or_else(trap_is_missing) {
            None => Ok("trap"),
            Some(_) if wanted == "auto" => Ok("ptrace"),
            Some(missing) => bail!("--platform=trap: {missing}; --platform=ptrace works on any Linux"),
        },
        other => bail!("--platform={other}: not a platform of this build (auto, ptrace, trap)"),
    }
}

/// How a platform intercepts calls.
pub fn interception(name: &str) -> Interception {
    match name {
        "trap" => Interception::Trap,
        _ => Interception::Ptrace,
    }
}

/// Executes this program again in a role until the stub's addresses are free, at most some times.
pub fn find_layout(role: &str, name: &str, tries: u32) {
    if !birth::layout_is_free() && tries < LAYOUT_TRIES {
        let next = (tries + 1).to_string();
        let error = Command::new("/proc/self/exe").arg0(name).args([role, &next]).exec();
        eprintln!("{name}: {error}");
        std::process::exit(1);
    }
}

/// The main function of the self-test's role: says on standard output what does not work.
pub fn main(tries: u32) -> u8 {
    find_layout(super::SELF_TEST_ROLE, "moat-self-test", tries);
    match moat_platform::selftest::trap() {
        Ok(()) => 0,
        Err(missing) => {
            println!("{missing}");
            1
        }
    }
}

/// Lies beside the usual state directory: it holds for the host, whatever `--root` says.
fn place() -> PathBuf {
    default_root().with_file_name("moat-platform.json")
}

fn holds_for() -> Option<(String, String)> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let program = std::fs::metadata("/proc/self/exe").ok()?;
    let identity = format!("{}:{}:{}.{}", program.dev(), program.ino(), program.ctime(), program.ctime_nsec());
    Some((boot.trim().to_owned(), identity))
}

/// What an earlier test said, if it holds still.
fn kept() -> Option<Option<String>> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(place()).ok()?).ok()?;
    (holds_for()? == (kept.boot, kept.program)).then_some(kept.missing)
}

/// Why the trap platform does not work on this host, tested anew and kept where that is possible; `None` if it does.
pub fn trap_is_missing() -> Option<String> {
    let missing = test();
    if let Some((boot, program)) = holds_for() {
        // Others may look meanwhile. Without the file the next verb tests again.
        let _ = keep(&Kept { boot, program, missing: missing.clone() });
    }
    missing
}

fn keep(kept: &Kept) -> std::io::Result<()> {
    let place = place();
    if let Some(directory) = place.parent() {
        std::fs::DirBuilder::new().recursive(true).create(directory)?;
    }
    let new = place.with_extension(format!("{}", std::process::id()));
    let written = std::fs::write(&new, serde_json::to_vec(kept)?).and_then(|()| std::fs::rename(&new, &place));
    written.inspect_err(|_| drop(std::fs::remove_file(&new)))
}

/// Why traps don't work; `None` if they do.
fn test() -> Option<String> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("moat-self-test").arg(super::SELF_TEST_ROLE).env_clear().current_dir("/");
    let began = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) => return Some(format!("the self-test does not start: {e}")),
    };
    while let Ok(None) = child.try_wait() {
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Some("the self-test does not end".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    match child.wait_with_output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Some(if said.is_empty() { format!("the self-test ended: {}", output.status) } else { said })
        }
        Err(e) => Some(format!("the self-test: {e}")),
    }
}
