//! capabilities(7), capget(2).

use crate::plain;

bitflags::bitflags! {
    /// A set of capabilities.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct CapabilitySet: u64 {
        const CHOWN = 1 << 0;
        const DAC_OVERRIDE = 1 << 1;
        const DAC_READ_SEARCH = 1 << 2;
        const FOWNER = 1 << 3;
        const FSETID = 1 << 4;
        const KILL = 1 << 5;
        const SETGID = 1 << 6;
        const SETUID = 1 << 7;
        const SETPCAP = 1 << 8;
        const LINUX_IMMUTABLE = 1 << 9;
        const NET_BIND_SERVICE = 1 << 10;
        const NET_BROADCAST = 1 << 11;
        const NET_ADMIN = 1 << 12;
        const NET_RAW = 1 << 13;
        const IPC_LOCK = 1 << 14;
        const IPC_OWNER = 1 << 15;
        const SYS_MODULE = 1 << 16;
        const SYS_RAWIO = 1 << 17;
        const SYS_CHROOT = 1 << 18;
        const SYS_PTRACE = 1 << 19;
        const SYS_PACCT = 1 << 20;
        const SYS_ADMIN = 1 << 21;
        const SYS_BOOT = 1 << 22;
        const SYS_NICE = 1 << 23;
        const SYS_RESOURCE = 1 << 24;
        const SYS_TIME = 1 << 25;
        const SYS_TTY_CONFIG = 1 << 26;
        const MKNOD = 1 << 27;
        const LEASE = 1 << 28;
        const AUDIT_WRITE = 1 << 29;
        const AUDIT_CONTROL = 1 << 30;
        const SETFCAP = 1 << 31;
        const MAC_OVERRIDE = 1 << 32;
        const MAC_ADMIN = 1 << 33;
        const SYSLOG = 1 << 34;
        const WAKE_ALARM = 1 << 35;
        const BLOCK_SUSPEND = 1 << 36;
        const AUDIT_READ = 1 << 37;
        const PERFMON = 1 << 38;
        const BPF = 1 << 39;
        const CHECKPOINT_RESTORE = 1 << 40;
    }
}

impl CapabilitySet {
    /// The capability of this number.
    pub fn from_number(number: u32) -> Option<Self> {
        1u64.checked_shl(number).and_then(Self::from_bits)
    }

    /// The capability of this name, with or without `CAP_`.
    pub fn from_kernel_name(name: &str) -> Option<Self> {
        Self::from_name(name.strip_prefix("CAP_").unwrap_or(name))
    }
}

/// `_LINUX_CAPABILITY_VERSION_1..3`.
pub const VERSION_1: u32 = 0x1998_0330;
pub const VERSION_2: u32 = 0x2007_1026;
pub const VERSION_3: u32 = 0x2008_0522;

plain! { pub struct CapUserHeader [8] { version: u32, pid: i32, } }
plain! { pub struct CapUserData [12] { effective: u32, permitted: u32, inheritable: u32, } }
