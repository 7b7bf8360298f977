//! The root filesystem of a Debian, made by debootstrap once and kept.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

/// What cannot be had where it is missing here: a root, the program that makes the Debian, and the oracle.
pub fn missing() -> Vec<&'static str> {
    let programs = [("/usr/sbin/debootstrap", "debootstrap"), ("/usr/sbin/runc", "runc")];
    let mut missing: Vec<_> = programs.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, n)| *n).collect();
    if !nix::unistd::geteuid().is_root() {
        missing.push("root");
    }
    missing
}

/// The root of a Debian of this machine's release with these packages, below a directory in which it is kept. Tests that
/// want it at the same time wait for the one that makes it.
///
/// # Errors
/// What keeps it from being made.
pub fn root(cache: &Path, packages: &BTreeSet<String>) -> Result<PathBuf> {
    let release = release()?;
    let mut hasher = DefaultHasher::new();
    (&release, packages).hash(&mut hasher);
    fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
    let root = cache.join(format!("debian-{:016x}", hasher.finish()));
    let lock = File::create(root.with_extension("lock")).context("create a lock")?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno).context("lock the cache")?;
    if root.exists() {
        return Ok(root);
    }
    let unfinished = root.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("remove {}", unfinished.display()))?;
    }
    debootstrap(&release, packages, &unfinished)?;
    // The container's own directories are mounted over them.
    let archives = unfinished.join("var/cache/apt/archives");
    for entry in fs::read_dir(&archives).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            fs::remove_file(entry.path()).context("remove a package's archive")?;
        }
    }
    fs::rename(&unfinished, &root).context("put the root in its place")?;
    Ok(root)
}

fn debootstrap(release: &str, packages: &BTreeSet<String>, root: &Path) -> Result<()> {
    let include: Vec<&str> = packages.iter().map(String::as_str).collect();
    // What it mounts must not be there when somebody removes the tree.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private", "debootstrap", "--variant=minbase"]);
    command.arg(format!("--include={}", include.join(","))).arg(release).arg(root).arg(mirror(release)?);
    // apt's configuration knows of a proxy that debootstrap's wget must be told of.
    for name in ["http", "https"] {
        let proxy = said("apt-config", &["shell", "PROXY", &format!("Acquire::{name}::Proxy")])?;
        if let Some(proxy) = proxy.trim().strip_prefix("PROXY='").and_then(|p| p.strip_suffix('\'')) {
            command.env(format!("{name}_proxy"), proxy);
        }
    }
    let output = command.output().context("start debootstrap")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        bail!("debootstrap: {}\n{}", String::from_utf8_lossy(&output.stderr), lines.join("\n"));
    }
    Ok(())
}

/// The code name of this machine's Debian.
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let name = text.lines().find_map(|l| l.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("/etc/os-release has no VERSION_CODENAME")?.trim_matches('"').to_owned())
}

/// Where apt gets this release from.
fn mirror(release: &str) -> Result<String> {
    let sites = said("apt-get", &["indextargets", "--format", "$(SITE)", &format!("CODENAME: {release}")])?;
    Ok(sites.lines().next().with_context(|| format!("apt knows of no mirror of {release}"))?.to_owned())
}

fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("start {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
