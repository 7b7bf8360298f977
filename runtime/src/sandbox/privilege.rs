//! How the processes of a sandbox give up what they don't need: capabilities, users, the host's tree.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

const VERSION_3: u32 = 0x2008_0522;

/// Sets the effective and the permitted set of the calling thread.
///
/// # Errors
/// `EPERM` if one is not permitted.
pub fn set_capabilities(set: u64) -> Result<(), Errno> {
    let header: [u32; 2] = [VERSION_3, 0];
    let (low, high) = (set as u32, (set >> 32) as u32);
    let data: [u32; 6] = [low, low, 0, high, high, 0];
    // SAFETY: a version 3 header and its two data structures, which the kernel only reads.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }).map(drop)
}

/// The permitted set of the calling thread.
///
/// # Errors
/// The host's.
pub fn permitted_capabilities() -> Result<u64, Errno> {
    let header: [u32; 2] = [VERSION_3, 0];
    let mut data = [0u32; 6];
    // SAFETY: a version 3 header and room for its two data structures.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) })?;
    Ok(u64::from(data[1]) | u64::from(data[4]) << 32)
}

/// Gives up every capability but those of `keep` for good: also the bounding set, as far as this process may.
///
/// # Errors
/// The host's.
pub fn drop_capabilities(keep: u64) -> Result<(), Errno> {
    for capability in 0..64 {
        // SAFETY: no memory is passed; unknown capabilities and a missing CAP_SETPCAP are no harm, for the permitted set is
        // emptied below and no_new_privs keeps it so.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    set_capabilities(permitted_capabilities()? & keep)?;
    nix::sys::prctl::set_no_new_privs()
}

/// Becomes this user and group without giving up capabilities.
///
/// # Errors
/// `EINVAL` if the user namespace does not know the user.
pub fn become_user(user: u32, group: u32) -> Result<(), Errno> {
    let permitted = permitted_capabilities()?;
    // SAFETY: no memory is passed.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) })?;
    // A user namespace that denies setgroups has none to give up.
    let _ = nix::unistd::setgroups(&[]);
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(group));
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    set_capabilities(permitted)?;
    nix::sys::prctl::set_dumpable(true)
}

/// An empty read-only tree that is mounted nowhere.
///
/// # Errors
/// The host's: Linux 5.2 is needed.
pub fn empty_tree() -> Result<OwnedFd, Errno> {
    const FSOPEN_CLOEXEC: usize = 1;
    const FSCONFIG_CMD_CREATE: usize = 6;
    const FSMOUNT_CLOEXEC: usize = 1;
    const ATTRIBUTES: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    // SAFETY: each call gets a NUL-terminated name or none; the descriptors are new and owned here.
    unsafe {
        let fs = Errno::result(libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), FSOPEN_CLOEXEC))?;
        let fs = OwnedFd::from_raw_fd(fs as i32);
        let none = std::ptr::null::<libc::c_char>();
        Errno::result(libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0_usize))?;
        let attributes = ATTRIBUTES | libc::MOUNT_ATTR_RDONLY;
        let mount = libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, attributes);
        Ok(OwnedFd::from_raw_fd(Errno::result(mount)? as i32))
    }
}

/// Makes an empty directory this process's root. The mount namespace stays as it is.
///
/// # Errors
/// The host's.
pub fn chroot_to_nothing() -> Result<(), Errno> {
    let tree = empty_tree()?;
    nix::unistd::fchdir(&tree)?;
    nix::unistd::chroot(".")?;
    nix::unistd::chdir("/")
}

/// Enters a mount namespace of its own in which there is nothing but an empty directory.
///
/// # Errors
/// The host's.
pub fn enter_nothing() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let tree = empty_tree()?;
    move_mount(&tree, "/")?;
    nix::unistd::fchdir(&tree)?;
    // An initramfs cannot be pivoted away; it is then out of reach, but there.
    match nix::unistd::pivot_root(".", ".") {
        Ok(()) => umount2(".", MntFlags::MNT_DETACH)?,
        Err(Errno::EINVAL) => nix::unistd::chroot(".")?,
        Err(e) => return Err(e),
    }
    nix::unistd::chdir("/")
}

/// A copy of the mount at `path` that is mounted nowhere, with or without the mounts below it.
///
/// # Errors
/// The host's: `EPERM` without CAP_SYS_ADMIN, `EINVAL` where a mount below must not be left out.
pub fn clone_tree(path: &str, recursive: bool) -> Result<OwnedFd, Errno> {
    let path = std::ffi::CString::new(path).map_err(|_| Errno::EINVAL)?;
    let recursive = if recursive { libc::AT_RECURSIVE as u32 } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | recursive;
    // SAFETY: a NUL-terminated path; the descriptor is new and owned here.
    unsafe {
        let tree = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags);
        Ok(OwnedFd::from_raw_fd(Errno::result(tree)? as i32))
    }
}

/// Mounts a detached tree over `to`.
///
/// # Errors
/// The host's.
pub fn move_mount(tree: &OwnedFd, to: &str) -> Result<(), Errno> {
    const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
    let to = std::ffi::CString::new(to).map_err(|_| Errno::EINVAL)?;
    // SAFETY: two NUL-terminated paths that live through the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    Errno::result(done).map(drop)
}

/// Closes every descriptor but the standard ones. For the first moment of a process, before it owns any.
pub fn close_inherited_files() {
    // SAFETY: nothing in this process owns a descriptor yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}
