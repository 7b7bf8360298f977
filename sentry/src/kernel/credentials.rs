//! Credentials (credentials(7), capabilities(7)). Immutable once made; a task replaces its own as a whole.

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_platform::{Ids, Users};

use crate::Result;

/// `SECBIT_KEEP_CAPS`.
pub const SECBIT_KEEP_CAPS: u32 = 1 << 4;
/// `SECBIT_NO_SETUID_FIXUP`.
pub const SECBIT_NO_SETUID_FIXUP: u32 = 1 << 2;
/// `SECBIT_NOROOT`.
pub const SECBIT_NOROOT: u32 = 1;
/// `SECBIT_NO_CAP_AMBIENT_RAISE`.
pub const SECBIT_NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;

/// Whose work a task does, and what it may do.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields have the names of credentials(7)")]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    pub groups: Arc<[u32]>,
    pub permitted: CapabilitySet,
    pub effective: CapabilitySet,
    pub inheritable: CapabilitySet,
    pub bounding: CapabilitySet,
    pub ambient: CapabilitySet,
    pub securebits: u32,
}

impl Credentials {
    /// Whom a process with these belongs to.
    pub fn users(&self) -> Users {
        Users {
            user: Ids { real: self.uid, effective: self.euid, saved: self.suid },
            group: Ids { real: self.gid, effective: self.egid, saved: self.sgid },
            supplementary: self.groups.clone(),
        }
    }

    /// Root with every capability.
    pub fn root() -> Self {
        Self::of(0, 0, Vec::new(), CapabilitySet::all())
    }

    /// This user and group, with `capabilities` permitted, effective and bounding.
    pub fn of(uid: u32, gid: u32, groups: Vec<u32>, capabilities: CapabilitySet) -> Self {
        Self {
            uid,
            euid: uid,
            suid: uid,
            fsuid: uid,
            gid,
            egid: gid,
            sgid: gid,
            fsgid: gid,
            groups: groups.into(),
            permitted: capabilities,
            effective: capabilities,
            inheritable: CapabilitySet::empty(),
            bounding: capabilities,
            ambient: CapabilitySet::empty(),
            securebits: 0,
        }
    }

    /// Whether a capability is effective.
    pub fn has(&self, capability: CapabilitySet) -> bool {
        self.effective.contains(capability)
    }

    /// `EPERM` without it.
    pub fn require(&self, capability: CapabilitySet) -> Result<()> {
        if self.has(capability) { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Whether `gid` is the filesystem group or a supplementary one.
    pub fn is_in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.contains(&gid)
    }

    /// Whether `self` may send a signal to a task with credentials `to` (kill(2)).
    pub fn may_signal(&self, to: &Credentials) -> bool {
        self.has(CapabilitySet::KILL) || self.shares_user_with(to)
    }

    /// Whether a user of these is one of those, as signals want it.
    pub fn shares_user_with(&self, to: &Credentials) -> bool {
        self.euid == to.suid || self.euid == to.uid || self.uid == to.suid || self.uid == to.uid
    }

    /// What a change of the user ids does to the capabilities (capabilities(7), "Effect of user ID changes").
    pub fn fix_after_setuid(&mut self, old: &Credentials) {
        if self.securebits & SECBIT_NO_SETUID_FIXUP != 0 {
            return;
        }
        let had_root = old.uid == 0 || old.euid == 0 || old.suid == 0;
        let has_root = self.uid == 0 || self.euid == 0 || self.suid == 0;
        if had_root && !has_root {
            if self.securebits & SECBIT_KEEP_CAPS == 0 {
                self.permitted = CapabilitySet::empty();
                self.effective = CapabilitySet::empty();
            }
            self.ambient = CapabilitySet::empty();
        }
        if old.euid == 0 && self.euid != 0 {
            self.effective = CapabilitySet::empty();
        }
        if old.euid != 0 && self.euid == 0 {
            self.effective = self.permitted;
        }
    }

    /// The same for the filesystem user id alone (`setfsuid`).
    pub fn fix_after_setfsuid(&mut self, old: &Credentials) {
        if self.securebits & SECBIT_NO_SETUID_FIXUP != 0 {
            return;
        }
        let filesystem = CapabilitySet::CHOWN
            | CapabilitySet::DAC_OVERRIDE
            | CapabilitySet::DAC_READ_SEARCH
            | CapabilitySet::FOWNER
            | CapabilitySet::FSETID
            | CapabilitySet::LINUX_IMMUTABLE
            | CapabilitySet::MAC_OVERRIDE
            | CapabilitySet::MKNOD;
        if old.fsuid == 0 && self.fsuid != 0 {
            self.effective -= filesystem;
        } else if old.fsuid != 0 && self.fsuid == 0 {
            self.effective |= self.permitted & filesystem;
        }
    }

    /// The credentials after `execve` of a file whose set-id bits give `set_uid` and `set_gid` (execve(2),
    /// capabilities(7)). The second value says whether privileges were gained (AT_SECURE).
    pub fn after_exec(&self, set_uid: Option<u32>, set_gid: Option<u32>) -> (Self, bool) {
        let mut new = self.clone();
        if let Some(uid) = set_uid {
            new.euid = uid;
        }
        if let Some(gid) = set_gid {
            new.egid = gid;
        }
        new.suid = new.euid;
        new.fsuid = new.euid;
        new.sgid = new.egid;
        new.fsgid = new.egid;
        let set_id = new.euid != self.euid || new.egid != self.egid || set_uid.is_some() || set_gid.is_some();
        if set_id {
            new.ambient = CapabilitySet::empty();
        }
        let rooted = self.securebits & SECBIT_NOROOT == 0 && (new.uid == 0 || new.euid == 0);
        let permitted = if rooted { self.inheritable | self.bounding } else { new.ambient };
        new.permitted = permitted;
        new.effective = if self.securebits & SECBIT_NOROOT == 0 && new.euid == 0 { permitted } else { new.ambient };
        new.securebits &= !SECBIT_KEEP_CAPS;
        let secure =
            new.uid != new.euid || new.gid != new.egid || (set_id && !new.effective.is_empty() && new.uid != 0);
        (new, secure)
    }
}
