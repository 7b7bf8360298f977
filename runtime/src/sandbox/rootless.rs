//! An ordinary user without an engine: the runtime first makes a user namespace in which it is root, with the user's
//! subordinate ids if there are some.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use super::privilege;
use super::users::{Extent, parse_map};

const SYS_ADMIN: u64 = 1 << 21;

/// Who this process was before it became root by a namespace that [`enter`] made; if it is, it cannot reach processes of other users of it
/// from the next verb, which has another one.
static ENTERED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// See [`ENTERED`].
pub fn entered() -> bool {
    ENTERED.get().is_some()
}

/// The name of who runs this program, or their number.
pub fn caller() -> String {
    ENTERED.get().cloned().unwrap_or_else(|| name_of(nix::unistd::getuid()))
}

/// By /etc/passwd alone: the C library would load modules to ask others, which a static program cannot.
fn name_of(uid: Uid) -> String {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid.as_raw())).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

/// Makes this process root of a user namespace, unless it can do what is needed already. It must have one thread.
///
/// # Errors
/// What the host refuses, and how to mend it.
pub fn enter() -> Result<()> {
    if privilege::permitted_capabilities().is_ok_and(|set| set & SYS_ADMIN != 0) {
        return Ok(());
    }
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let name = name_of(uid);
    let range = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        subordinate(&text, &name, uid.as_raw())
    };
    let ranges = range("/etc/subuid").zip(range("/etc/subgid"));
    // It has to be born outside of the namespace, and runs when this process is inside.
    let mapper = ranges.map(|(uids, gids)| mapper(uid, gid, uids, gids)).transpose()?;
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).context(
        "make a user namespace (sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone allow it)",
    )?;
    let mapped = match mapper {
        Some(mut mapper) => {
            if let Some(mut go) = mapper.stdin.take() {
                go.write_all(b"go\n").context("newuidmap")?;
            }
            mapper.wait().context("newuidmap")?.success()
        }
        None => false,
    };
    if !mapped {
        // Only the user themselves.
        std::fs::write("/proc/self/setgroups", "deny").context("map the user")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1\n")).context("map the user")?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1\n")).context("map the group")?;
    }
    let (root_uid, root_gid) = (Uid::from_raw(0), Gid::from_raw(0));
    nix::unistd::setresgid(root_gid, root_gid, root_gid).context("become root of the user namespace")?;
    nix::unistd::setresuid(root_uid, root_uid, root_uid).context("become root of the user namespace")?;
    let _ = ENTERED.set(name);
    Ok(())
}

/// The range of a user in /etc/subuid or /etc/subgid.
fn subordinate(text: &str, name: &str, id: u32) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let range = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        (owner == name || owner.parse() == Ok(id)).then_some(range)
    })
}

/// A process that waits for a line, then maps this one's user and ranges by the set-uid helpers.
fn mapper(uid: Uid, gid: Gid, uids: (u32, u32), gids: (u32, u32)) -> Result<std::process::Child> {
    let pid = std::process::id();
    let script = format!(
        "read go && newuidmap {pid} 0 {uid} 1 1 {} {} && newgidmap {pid} 0 {gid} 1 1 {} {}",
        uids.0, uids.1, gids.0, gids.1
    );
    Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("run newuidmap")
}

/// A map of the host's users, in terms of this process's namespace.
///
/// # Errors
/// It names users that are not there.
pub fn within(extents: &[Extent], name: &str) -> Result<Vec<Extent>> {
    if !entered() {
        return Ok(extents.to_vec());
    }
    translate(extents, &parse_map(&std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default()))
}

fn translate(extents: &[Extent], own: &[Extent]) -> Result<Vec<Extent>> {
    extents
        .iter()
        .map(|e| {
            let fits = |o: &&Extent| {
                e.outside >= o.outside
                    && e.outside - o.outside < o.count
                    && o.count - (e.outside - o.outside) >= e.count
            };
            let Some(home) = own.iter().find(fits) else {
                bail!("{} ids from {} of the host are not among the user's", e.count, e.outside)
            };
            Ok(Extent { outside: home.inside + (e.outside - home.outside), ..*e })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_or_number() {
        let text = "other:1:2\nme:100000:65536\n1001:200000:10\n";
        assert_eq!(subordinate(text, "me", 1000), Some((100_000, 65536)));
        assert_eq!(subordinate(text, "x", 1001), Some((200_000, 10)));
        assert_eq!(subordinate(text, "x", 7), None);
    }

    #[test]
    fn host_ids_become_ids_of_the_namespace() {
        let own = parse_map("0 1000 1\n1 100000 65536\n");
        let host = parse_map("0 1000 1\n1 100100 10\n");
        assert_eq!(translate(&host, &own).unwrap(), parse_map("0 0 1\n1 101 10\n"));
        assert!(translate(&parse_map("0 0 1\n"), &own).is_err());
        assert!(translate(&parse_map("0 165535 2\n"), &own).is_err());
    }
}
