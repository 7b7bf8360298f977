//! An ordinary user with subordinate ids, as whom tests do what must not need root.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::{Gid, Uid, User, chown};

/// The user that is made where tests run as root.
const NAME: &str = "moat-test";

/// See the module.
#[derive(Clone, Debug)]
pub struct Person(User);

impl Person {
    /// Who runs the tests, or if that is root, a user that is made for them.
    ///
    /// # Errors
    /// What this machine lacks for it: a reason to skip a test.
    pub fn new() -> Result<Self> {
        if !Path::new("/usr/bin/newuidmap").exists() {
            bail!("needs package uidmap");
        }
        let person = if Uid::effective().is_root() { made()? } else { User::from_uid(Uid::effective())? };
        let user = person.context("this user has no name")?;
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if !text.lines().any(|line| line.split(':').next() == Some(&user.name)) {
                bail!("user {} has no range in {file}", user.name);
            }
        }
        Ok(Self(user))
    }

    /// Gives them a file or directory.
    ///
    /// # Errors
    /// The host's.
    pub fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.0.uid), Some(self.0.gid)).with_context(|| format!("chown {}", path.display()))
    }

    /// Their number.
    pub fn uid(&self) -> Uid {
        self.0.uid
    }

    /// Their name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Makes a command theirs: as after a login, with this home.
    pub fn runs(&self, command: &mut Command, home: &Path) {
        use std::os::unix::process::CommandExt;
        command.env_clear().envs([("HOME", home), ("XDG_RUNTIME_DIR", home)]);
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs([("USER", &self.0.name), ("LOGNAME", &self.0.name)]).current_dir(home);
        if Uid::effective().is_root() {
            command.uid(self.0.uid.as_raw()).gid(Gid::as_raw(self.0.gid));
        }
    }
}

/// Several tests may try at once.
fn made() -> Result<Option<User>> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(user) = User::from_name(NAME)? {
            return Ok(Some(user));
        }
        let made = Command::new("useradd").args(["--no-create-home", NAME]).output().context("useradd")?;
        if !made.status.success() && std::time::Instant::now() > deadline {
            return Err(anyhow!("useradd {NAME}: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
