//! Opening and making files: what open(2) does behind path resolution.

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::{OpenFlags, ResolveFlags};
use moat_abi::mount::MountFlags;
use moat_abi::stat::{FileType, S_ISGID, S_ISUID};

use super::anonymous::Anonymous;
use super::inode::{Attributes, NewNode, NodeKind, SetAttributes, SetTime};
use super::permission::{self, Access};
use super::walk::{self, Last, LastKind};
use super::write_access::WriteAccess;
use super::{OpenFile, Path, dev, notify, pipe};
use crate::Result;
use crate::kernel::Task;
use crate::kernel::credentials::Credentials;

/// What open is asked for.
#[derive(Clone, Copy, Debug)]
pub struct OpenRequest {
    /// O_*.
    pub flags: OpenFlags,
    /// Permission bits of a new file, before the umask.
    pub mode: u32,
    /// RESOLVE_*.
    pub resolve: ResolveFlags,
}

/// Opens `path` from `base`.
pub fn open(task: &Task, base: &Path, path: &[u8], request: OpenRequest) -> Result<Arc<OpenFile>> {
    let OpenRequest { flags, mode, resolve } = request;
    if !flags.contains(OpenFlags::PATH) {
        // Since Linux 6.4; before, a file could come of it.
        if flags.contains(OpenFlags::CREAT | OpenFlags::DIRECTORY) {
            return Err(Errno::EINVAL);
        }
        // Half of O_TMPFILE, or one that nobody could write to.
        let anonymous = flags.intersects(OpenFlags::TMPFILE - OpenFlags::DIRECTORY);
        if anonymous && (!flags.contains(OpenFlags::DIRECTORY) || flags.bits() & 3 == 0) {
            return Err(Errno::EINVAL);
        }
    }
    if flags.contains(OpenFlags::TMPFILE) && !flags.contains(OpenFlags::PATH) {
        return open_anonymous(task, base, path, request);
    }
    let follow = !flags.contains(OpenFlags::NOFOLLOW);
    if flags.contains(OpenFlags::CREAT) && !flags.contains(OpenFlags::PATH) {
        let exclusive = flags.contains(OpenFlags::EXCL);
        let (last, found) = walk::resolve_for_create(task, base, path, follow && !exclusive, resolve)?;
        // What is not there yet would be no directory, and a directory cannot be made: not even looked up.
        if matches!(&last, LastKind::Name(last) if last.slash) {
            return Err(Errno::EISDIR);
        }
        if let Some(found) = found {
            if exclusive {
                return Err(Errno::EEXIST);
            }
            if found.inode()?.file_type() == FileType::Directory {
                return Err(Errno::EISDIR);
            }
            if let LastKind::Name(last) = &last {
                check_sticky_create(task, last, &found)?;
            }
            return open_found(task, found, flags);
        }
        let LastKind::Name(last) = last else { return Err(Errno::EISDIR) };
        let made = create(task, &last, NodeKind::Regular, mode)?;
        notify::created(&last.directory.dentry, &made.dentry, false);
        // Who makes a file may open it whatever its permissions are.
        return open_new(task, made, flags - OpenFlags::TRUNC);
    }
    let found = walk::resolve_restricted(task, base, path, follow, resolve)?;
    open_found(task, found, flags)
}

/// Opens something that exists: checks, truncation, and the operations of its type.
pub fn open_found(task: &Task, path: Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    let inode = path.inode()?.clone();
    let file_type = inode.file_type();
    if flags.contains(OpenFlags::DIRECTORY) && file_type != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    if flags.contains(OpenFlags::PATH) {
        let kept = flags & (OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW);
        return Ok(OpenFile::new(Arc::new(PathOnly), Some(path), kept));
    }
    if file_type == FileType::Symlink {
        return Err(Errno::ELOOP);
    }
    let writes = flags.writable() || flags.contains(OpenFlags::TRUNC);
    // Access mode 3 asks for both, and gives neither.
    let both = flags.bits() & 3 == 3;
    if file_type == FileType::Directory && (writes || both || flags.contains(OpenFlags::CREAT)) {
        return Err(Errno::EISDIR);
    }
    let credentials = task.credentials();
    let mut access = Access(0);
    if flags.readable() || both {
        access = access.and(Access::READ);
    }
    if writes || both {
        access = access.and(Access::WRITE);
    }
    if matches!(file_type, FileType::CharDevice | FileType::BlockDevice)
        && path.mount.flags().contains(MountFlags::NODEV)
    {
        return Err(Errno::EACCES);
    }
    let attributes = inode.attributes()?;
    permission::check_attributes(&attributes, &credentials, access)?;
    if writes && matches!(file_type, FileType::Regular | FileType::Directory) {
        path.mount.check_writable()?;
    }
    if flags.contains(OpenFlags::NOATIME) {
        permission::check_owner(&attributes, &credentials)?;
    }
    let access = if writes { WriteAccess::get(&attributes)? } else { None };
    if flags.contains(OpenFlags::TRUNC) && file_type == FileType::Regular {
        inode.set_attributes(&truncation(&attributes, &credentials, 0))?;
        notify::truncated(&path.dentry);
    }
    open_inode(task, path, flags, access.filter(|_| flags.writable()))
}

/// Opens a regular file that was just made.
fn open_new(task: &Task, path: Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    let access = if flags.writable() { WriteAccess::get(&path.inode()?.attributes()?)? } else { None };
    open_inode(task, path, flags, access)
}

/// The operations of what `path` names, as an open file description; nothing is checked any more.
fn open_inode(task: &Task, path: Path, flags: OpenFlags, access: Option<WriteAccess>) -> Result<Arc<OpenFile>> {
    let inode = path.inode()?.clone();
    if let Some(anonymous) = inode.as_any().downcast_ref::<Anonymous>() {
        return anonymous.reopen(flags);
    }
    let operations = match inode.file_type() {
        FileType::CharDevice => return dev::open_device(task, inode.attributes()?.rdev, path, flags),
        FileType::BlockDevice | FileType::Socket => return Err(Errno::ENXIO),
        FileType::Fifo if flags.bits() & 3 == 3 => return Err(Errno::EINVAL),
        FileType::Fifo => pipe::open_fifo(&inode, flags)?,
        _ => inode.open_for(task, flags)?,
    };
    Ok(OpenFile::with_access(operations, Some(path), flags, access))
}

/// O_PATH: a place, and nothing to do with it.
struct PathOnly;

impl super::FileOperations for PathOnly {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// `fs.protected_regular` and `protected_fifos`, as distributions set them: in a sticky directory that others can write,
/// O_CREAT opens only files of one's own or of the directory's owner.
fn check_sticky_create(task: &Task, last: &Last, found: &Path) -> Result<()> {
    let directory = last.directory.inode()?.attributes()?;
    let mode = directory.mode.permissions();
    if mode & 0o1000 == 0 || mode & 0o022 == 0 {
        return Ok(());
    }
    let file = found.inode()?.attributes()?;
    let own = file.uid == task.credentials().fsuid || file.uid == directory.uid;
    let guarded = matches!(file.mode.file_type(), FileType::Regular | FileType::Fifo);
    if guarded && !own && mode & 0o002 != 0 { Err(Errno::EACCES) } else { Ok(()) }
}

/// Makes a new node under a name that does not exist, after the checks that all of mkdir, mknod, symlink and open share.
pub fn create(task: &Task, last: &Last, kind: NodeKind, mode: u32) -> Result<Path> {
    if last.name.len() > walk::NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let directory = last.directory.inode()?;
    let credentials = task.credentials();
    let attributes = directory.attributes()?;
    if last.directory.dentry.is_gone() {
        return Err(Errno::ENOENT);
    }
    last.directory.mount.check_writable()?;
    permission::check_attributes(&attributes, &credentials, Access::WRITE.and(Access::EXECUTE))?;
    let node = new_node(task, &attributes, &credentials, kind, mode);
    let valid = directory.names_valid();
    let inode = directory.create(&last.name, &node)?;
    let dentry = last.directory.dentry.instantiate(&last.name, inode, valid);
    Ok(Path { mount: last.directory.mount.clone(), dentry })
}

/// The new node's owner, group and permissions (inode_init_owner).
fn new_node(task: &Task, directory: &Attributes, credentials: &Credentials, kind: NodeKind, mode: u32) -> NewNode {
    let mut permissions = mode & 0o7777;
    if !matches!(kind, NodeKind::Symlink(_)) {
        permissions &= !task.fs().umask();
    } else {
        permissions = 0o777;
    }
    let mut gid = credentials.fsgid;
    if directory.mode.permissions() & S_ISGID != 0 {
        gid = directory.gid;
        if matches!(kind, NodeKind::Directory) {
            permissions |= S_ISGID;
        } else if permissions & (S_ISGID | 0o010) == S_ISGID | 0o010
            && !credentials.is_in_group(gid)
            && !credentials.has(CapabilitySet::FSETID)
        {
            permissions &= !S_ISGID;
        }
    }
    NewNode { kind, permissions, uid: credentials.fsuid, gid }
}

fn open_anonymous(task: &Task, base: &Path, path: &[u8], request: OpenRequest) -> Result<Arc<OpenFile>> {
    let follow = !request.flags.contains(OpenFlags::NOFOLLOW);
    let place = walk::resolve_restricted(task, base, path, follow, request.resolve)?;
    let directory = place.inode()?;
    if directory.file_type() != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    place.mount.check_writable()?;
    let credentials = task.credentials();
    let attributes = directory.attributes()?;
    permission::check_attributes(&attributes, &credentials, Access::WRITE.and(Access::EXECUTE))?;
    let node = new_node(task, &attributes, &credentials, NodeKind::Regular, request.mode);
    let inode = directory.create_anonymous(&node)?;
    let name = format!("#{}", inode.attributes()?.inode);
    let dentry = super::Dentry::root(inode, name.as_bytes());
    if request.flags.contains(OpenFlags::EXCL) {
        dentry.forbid_name();
    }
    open_new(task, Path { mount: place.mount, dentry }, request.flags - (OpenFlags::TMPFILE | OpenFlags::EXCL))
}

/// What truncation sets: the size, the times, and no set-id bits any more.
pub fn truncation(attributes: &Attributes, credentials: &Credentials, size: u64) -> SetAttributes {
    SetAttributes {
        size: Some(size),
        mtime: Some(SetTime::Now),
        permissions: without_set_id(attributes, credentials),
        ..SetAttributes::default()
    }
}

/// The permissions after a write by somebody without CAP_FSETID, if that changes them.
pub fn without_set_id(attributes: &Attributes, credentials: &Credentials) -> Option<u32> {
    let mode = attributes.mode.permissions();
    let mut kept = mode & !S_ISUID;
    if mode & 0o010 != 0 {
        kept &= !S_ISGID;
    }
    (kept != mode && attributes.mode.file_type() == FileType::Regular && !credentials.has(CapabilitySet::FSETID))
        .then_some(kept)
}
