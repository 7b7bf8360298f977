//! mount(2), umount2(2).

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct MountFlags: u64 {
        const RDONLY = 1;
        const NOSUID = 2;
        const NODEV = 4;
        const NOEXEC = 8;
        const SYNCHRONOUS = 0x10;
        const REMOUNT = 0x20;
        const MANDLOCK = 0x40;
        const DIRSYNC = 0x80;
        const NOSYMFOLLOW = 0x100;
        const NOATIME = 0x400;
        const NODIRATIME = 0x800;
        const BIND = 0x1000;
        const MOVE = 0x2000;
        const REC = 0x4000;
        const SILENT = 0x8000;
        const UNBINDABLE = 1 << 17;
        const PRIVATE = 1 << 18;
        const SLAVE = 1 << 19;
        const SHARED = 1 << 20;
        const RELATIME = 1 << 21;
        const STRICTATIME = 1 << 24;
        const LAZYTIME = 1 << 25;
        const _ = !0;
    }
}

pub const MNT_FORCE: u32 = 1;
pub const MNT_DETACH: u32 = 2;
pub const MNT_EXPIRE: u32 = 4;
pub const UMOUNT_NOFOLLOW: u32 = 8;
