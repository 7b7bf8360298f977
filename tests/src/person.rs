//! An ordinary user with subordinate ids, as whom tests do what must not need root.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::{Gid, Uid, chown};

/// The user that is made where tests run as root.
const NAME: &str = "moat-test";

/// See the module.
#[derive(Clone, Debug)]
pub struct Person {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl Person {
    /// Who runs the tests, or if that is root, a user that is made for them.
    ///
    /// # Errors
    /// What this machine lacks for it: a reason to skip a test.
    pub fn new() -> Result<Self> {
        if !Path::new("/usr/bin/newuidmap").exists() {
            bail!("needs package uidmap");
        }
        let own = Uid::effective();
        let person = if own.is_root() { made()? } else { find(|p| p.uid == own).context("this user has no name")? };
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if !text.lines().any(|line| line.split(':').next() == Some(person.name())) {
                bail!("user {} has no range in {file}", person.name);
            }
        }
        Ok(person)
    }

    /// Gives them a file or directory.
    ///
    /// # Errors
    /// The host's.
    pub fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid)).with_context(|| format!("chown {}", path.display()))
    }

    /// Their number.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Their name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a command theirs: as after a login, with this home.
    pub fn runs(&self, command: &mut Command, home: &Path) {
        use std::os::unix::process::CommandExt;
        command.env_clear().envs([("HOME", home), ("XDG_RUNTIME_DIR", home)]);
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs([("USER", &self.name), ("LOGNAME", &self.name)]).current_dir(home);
        if Uid::effective().is_root() {
            command.uid(self.uid.as_raw()).gid(Gid::as_raw(self.gid));
        }
    }
}

/// By /etc/passwd alone: the C library would load modules to ask others, which a static program cannot.
fn find(wanted: impl Fn(&Person) -> bool) -> Option<Person> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = Uid::from_raw(fields.nth(1)?.parse().ok()?);
        let gid = Gid::from_raw(fields.next()?.parse().ok()?);
        Some(Person { name, uid, gid }).filter(&wanted)
    })
}

/// The name of a user of this machine, or their number.
pub fn name_of(uid: Uid) -> String {
    find(|p| p.uid == uid).map_or_else(|| uid.to_string(), |p| p.name)
}

/// Several tests may try at once.
fn made() -> Result<Person> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(person) = find(|p| p.name == NAME) {
            return Ok(person);
        }
        let made = Command::new("useradd").args(["--no-create-home", NAME]).output().context("useradd")?;
        if !made.status.success() && std::time::Instant::now() > deadline {
            return Err(anyhow!("useradd {NAME}: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
