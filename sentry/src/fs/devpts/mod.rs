//! devpts: the filesystem of /dev/pts. Each mount is an instance of its own, with its own ptmx and its own numbers.

use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::stat::{FileType, Mode, Statfs, makedev};
use moat_abi::time::Timespec;

use super::file::{DirectoryEntry, FileOperations, OpenFile, Seeking};
use super::inode::{Attributes, FileSystem, Inode, SetAttributes, SetTime};
use super::tty::console::Console;
use super::tty::{Master, PTMX, Terminal};
use super::{Dentry, Path};
use crate::Result;
use crate::kernel::Task;
use crate::sync::{Mutex, Rank};

/// `DEVPTS_SUPER_MAGIC`.
const MAGIC: i64 = 0x1cd1;
/// The most terminals (`kernel.pty.max`).
const TERMINALS_MAX: u32 = 4096;
const ROOT_NUMBER: u64 = 1;
const PTMX_NUMBER: u64 = 2;
/// Inode numbers of terminals begin here.
const FIRST_NUMBER: u64 = 3;

/// Mount options (Documentation/filesystems/devpts.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    uid: Option<u32>,
    gid: Option<u32>,
    mode: u32,
    ptmx_mode: u32,
    max: u32,
}

impl Options {
    /// From `gid=5,mode=620,ptmxmode=666`. `EINVAL` for what is none of them.
    pub fn parse(text: &str) -> Result<Self> {
        let mut options = Self { uid: None, gid: None, mode: 0o600, ptmx_mode: 0, max: TERMINALS_MAX };
        for option in text.split(',').filter(|o| !o.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let decimal = || value.parse::<u32>().map_err(|_| Errno::EINVAL);
            let octal = || u32::from_str_radix(value, 8).map(|mode| mode & 0o777).map_err(|_| Errno::EINVAL);
            match name {
                "uid" => options.uid = Some(decimal()?),
                "gid" => options.gid = Some(decimal()?),
                "mode" => options.mode = octal()?,
                "ptmxmode" => options.ptmx_mode = octal()?,
                "max" => options.max = decimal()?.min(TERMINALS_MAX),
                "newinstance" => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(options)
    }
}

/// One instance.
pub struct DevPts {
    myself: Weak<DevPts>,
    device: u64,
    options: Options,
    terminals: Mutex<BTreeMap<u32, Arc<PtsInode>>>,
    root: Owned,
    ptmx: Owned,
}

/// What can be changed of an inode.
#[derive(Clone, Copy)]
struct Changeable {
    permissions: u32,
    uid: u32,
    gid: u32,
    atime: Timespec,
    mtime: Timespec,
    ctime: Timespec,
}

struct Owned(Mutex<Changeable>);

impl Owned {
    fn new(permissions: u32, uid: u32, gid: u32) -> Self {
        let now = now();
        Self(Mutex::new(Rank::Inode, Changeable { permissions, uid, gid, atime: now, mtime: now, ctime: now }))
    }

    fn change(&self, change: &SetAttributes) {
        let mut own = self.0.lock();
        let time = |set: SetTime| match set {
            SetTime::Now => now(),
            SetTime::To(time) => time,
        };
        own.permissions = change.permissions.unwrap_or(own.permissions);
        own.uid = change.uid.unwrap_or(own.uid);
        own.gid = change.gid.unwrap_or(own.gid);
        own.atime = change.atime.map_or(own.atime, time);
        own.mtime = change.mtime.map_or(own.mtime, time);
        own.ctime = now();
    }

    fn attributes(&self, device: u64, inode: u64, file_type: FileType, rdev: u64) -> Attributes {
        let own = *self.0.lock();
        Attributes {
            device,
            inode,
            mode: Mode::new(file_type, own.permissions),
            links: if file_type == FileType::Directory { 2 } else { 1 },
            uid: own.uid,
            gid: own.gid,
            rdev,
            block_size: 1024,
            atime: own.atime,
            mtime: own.mtime,
            ctime: own.ctime,
            ..Attributes::default()
        }
    }
}

fn now() -> Timespec {
    moat_host::clock::now(moat_abi::time::CLOCK_REALTIME).into()
}

impl DevPts {
    /// A new instance with these mount options.
    ///
    /// # Errors
    /// `EINVAL` for an option that there is not.
    pub fn new(options: &str) -> Result<Arc<Self>> {
        let options = Options::parse(options)?;
        Ok(Arc::new_cyclic(|myself| Self {
            myself: myself.clone(),
            // Above the numbers that other filesystems without a device take.
            device: makedev(0, 0x400 + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
            options,
            terminals: Mutex::new(Rank::Directory, BTreeMap::new()),
            root: Owned::new(0o755, 0, 0),
            ptmx: Owned::new(options.ptmx_mode, options.uid.unwrap_or(0), options.gid.unwrap_or(0)),
        }))
    }

    /// A new terminal for this user, under the lowest free number. `ENOSPC`.
    fn create(&self, uid: u32, gid: u32) -> Result<Arc<Terminal>> {
        let mut terminals = self.terminals.lock();
        let number = (0..self.options.max).find(|n| !terminals.contains_key(n)).ok_or(Errno::ENOSPC)?;
        let terminal = Terminal::new(number, self.myself.clone());
        let own = Owned::new(self.options.mode, self.options.uid.unwrap_or(uid), self.options.gid.unwrap_or(gid));
        let inode = PtsInode { devpts: self.myself.clone(), terminal: terminal.clone(), own };
        terminals.insert(number, Arc::new(inode));
        Ok(terminal)
    }

    /// Takes the name of a terminal away whose master is closed.
    pub(super) fn remove(&self, number: u32) {
        let removed = self.terminals.lock().remove(&number);
        drop(removed);
    }

    /// A new terminal that is shown on the host's terminal `host`, of this size and owned by this user.
    ///
    /// # Errors
    /// `ENOSPC`; what the host gives for its terminal.
    pub fn console(&self, host: OwnedFd, columns: u16, rows: u16, uid: u32, gid: u32) -> Result<Console> {
        let terminal = self.create(uid, gid)?;
        let number = terminal.number();
        Console::start(terminal, host, columns, rows).inspect_err(|_| self.remove(number))
    }

    fn this(&self) -> Arc<dyn FileSystem> {
        match self.myself.upgrade() {
            Some(this) => this,
            None => crate::fatal("a devpts is used after its end"),
        }
    }
}

static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

impl FileSystem for DevPts {
    fn kind(&self) -> &'static str {
        "devpts"
    }

    fn device(&self) -> u64 {
        self.device
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::new(Fixed { devpts: self.myself.clone(), is_root: true })
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_type: MAGIC, f_bsize: 4096, f_namelen: 255, f_frsize: 4096, ..Statfs::default() })
    }

    fn show_options(&self) -> String {
        let mut text = String::new();
        for (name, value) in [("uid", self.options.uid), ("gid", self.options.gid)] {
            if let Some(value) = value {
                text.push_str(&format!(",{name}={value}"));
            }
        }
        text.push_str(&format!(",mode={:03o},ptmxmode={:03o}", self.options.mode, self.options.ptmx_mode));
        if self.options.max < TERMINALS_MAX {
            text.push_str(&format!(",max={}", self.options.max));
        }
        text
    }
}

/// The root, or ptmx.
struct Fixed {
    devpts: Weak<DevPts>,
    is_root: bool,
}

impl Fixed {
    fn devpts(&self) -> Result<Arc<DevPts>> {
        self.devpts.upgrade().ok_or(Errno::ENODEV)
    }
}

impl Inode for Fixed {
    fn filesystem(&self) -> Arc<dyn FileSystem> {
        match self.devpts.upgrade() {
            Some(devpts) => devpts.this(),
            None => crate::fatal("a devpts is used after its end"),
        }
    }

    fn file_type(&self) -> FileType {
        if self.is_root { FileType::Directory } else { FileType::CharDevice }
    }

    fn names_valid(&self) -> Option<u64> {
        None
    }

    fn attributes(&self) -> Result<Attributes> {
        let devpts = self.devpts()?;
        Ok(match self.is_root {
            true => devpts.root.attributes(devpts.device, ROOT_NUMBER, FileType::Directory, 0),
            false => devpts.ptmx.attributes(devpts.device, PTMX_NUMBER, FileType::CharDevice, PTMX),
        })
    }

    fn set_attributes(&self, change: &SetAttributes) -> Result<()> {
        let devpts = self.devpts()?;
        if self.is_root {
            devpts.root.change(change)
        } else {
            devpts.ptmx.change(change)
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open(self: Arc<Self>, _: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        if self.is_root { Ok(Arc::new(Root(self.devpts()?))) } else { Err(Errno::ENXIO) }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if !self.is_root {
            return Err(Errno::ENOTDIR);
        }
        if name == b"ptmx" {
            return Ok(Arc::new(Self { devpts: self.devpts.clone(), is_root: false }));
        }
        let number = std::str::from_utf8(name).ok().and_then(|n| n.parse::<u32>().ok()).ok_or(Errno::ENOENT)?;
        // Only the usual spelling is a name.
        if number.to_string().as_bytes() != name {
            return Err(Errno::ENOENT);
        }
        let inode = self.devpts()?.terminals.lock().get(&number).cloned().ok_or(Errno::ENOENT)?;
        Ok(inode)
    }
}

/// The name of a terminal.
pub struct PtsInode {
    devpts: Weak<DevPts>,
    terminal: Arc<Terminal>,
    own: Owned,
}

impl Inode for PtsInode {
    fn filesystem(&self) -> Arc<dyn FileSystem> {
        match self.devpts.upgrade() {
            Some(devpts) => devpts.this(),
            None => crate::fatal("a devpts is used after its end"),
        }
    }

    fn file_type(&self) -> FileType {
        FileType::CharDevice
    }

    fn attributes(&self) -> Result<Attributes> {
        let device = self.devpts.upgrade().map_or(0, |d| d.device);
        let number = FIRST_NUMBER + u64::from(self.terminal.number());
        Ok(self.own.attributes(device, number, FileType::CharDevice, self.terminal.device()))
    }

    fn set_attributes(&self, change: &SetAttributes) -> Result<()> {
        self.own.change(change);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open(self: Arc<Self>, _: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        // Terminals are opened by `open_slave`, which knows the task.
        Err(Errno::ENXIO)
    }
}

/// The root directory, open.
struct Root(Arc<DevPts>);

impl FileOperations for Root {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        Seeking::Directory
    }

    fn read_directory(&self, file: &OpenFile, from: u64, sink: &mut dyn FnMut(DirectoryEntry) -> bool) -> Result<()> {
        let above = file.path().map(Path::parent).and_then(|p| p.inode().ok().and_then(|i| i.attributes().ok()));
        let above = above.map_or(ROOT_NUMBER, |a| a.inode);
        let fixed = [
            (&b"."[..], ROOT_NUMBER, FileType::Directory),
            (&b".."[..], above, FileType::Directory),
            (&b"ptmx"[..], PTMX_NUMBER, FileType::CharDevice),
        ];
        for (at, (name, inode, file_type)) in (1..).zip(fixed) {
            let entry = DirectoryEntry { inode, next: at, file_type: Some(file_type), name: name.to_vec() };
            if at > from && !sink(entry) {
                return Ok(());
            }
        }
        // The position behind a terminal follows from its number, so that names may come and go meanwhile.
        let numbers: Vec<u32> = self.0.terminals.lock().keys().copied().collect();
        for number in numbers {
            let entry = DirectoryEntry {
                inode: FIRST_NUMBER + u64::from(number),
                next: 4 + u64::from(number),
                file_type: Some(FileType::CharDevice),
                name: number.to_string().into_bytes(),
            };
            if entry.next > from && !sink(entry) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Opens a slave through its name in a devpts; a node of that number elsewhere leads nowhere.
pub fn open_slave(task: &Task, path: Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    let inode = path.inode()?.clone();
    let pts = inode.as_any().downcast_ref::<PtsInode>().ok_or(Errno::EIO)?;
    pts.terminal.open_slave(task, Some(path), flags)
}

/// Opens a ptmx: makes a terminal in the devpts that it is in, or that is mounted on `pts` beside it.
pub fn open_master(task: &Task, path: Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    let root = match path.inode()?.as_any().downcast_ref::<Fixed>() {
        Some(_) => {
            let dentry = path.dentry.parent().ok_or(Errno::ENODEV)?;
            Path { mount: path.mount.clone(), dentry }
        }
        None => beside(task, &path)?,
    };
    let devpts = root.inode()?.as_any().downcast_ref::<Fixed>().ok_or(Errno::ENODEV)?.devpts()?;
    let credentials = task.credentials();
    let terminal = devpts.create(credentials.fsuid, credentials.fsgid)?;
    Ok(OpenFile::new(Arc::new(Master::new(terminal, Some(root))), Some(path), flags))
}

/// The root of what is mounted on `pts` beside `path`. `ENODEV` if that is no devpts.
fn beside(task: &Task, path: &Path) -> Result<Path> {
    let parent = path.parent();
    let dentry: Arc<Dentry> = parent.dentry.lookup(b"pts").map_err(|_| Errno::ENODEV)?;
    Ok(task.kernel().mounts().topmost(Path { mount: parent.mount, dentry }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parsed_and_shown() {
        let devpts = DevPts::new("newinstance,ptmxmode=0666,mode=0620,gid=5").unwrap();
        assert_eq!(devpts.show_options(), ",gid=5,mode=620,ptmxmode=666");
        assert!(matches!(DevPts::new("colour=red"), Err(Errno::EINVAL)));
    }

    #[test]
    fn names_come_with_the_master_and_go_with_it() {
        let devpts = DevPts::new("gid=5,mode=620").unwrap();
        let first = Master::new(devpts.create(1000, 1000).unwrap(), None);
        let second = Master::new(devpts.create(0, 0).unwrap(), None);
        let root = devpts.root();
        let attributes = root.lookup(b"0").unwrap().attributes().unwrap();
        assert_eq!((attributes.uid, attributes.gid, attributes.mode.permissions()), (1000, 5, 0o620));
        assert_eq!(attributes.rdev, makedev(136, 0));
        drop(first);
        assert!(matches!(root.lookup(b"0"), Err(Errno::ENOENT)));
        assert!(root.lookup(b"1").is_ok() && root.lookup(b"01").is_err());
        assert_eq!(devpts.create(0, 0).unwrap().number(), 0);
        drop(second);
    }

    #[test]
    fn the_directory_lists_ptmx_and_the_terminals() {
        let devpts = DevPts::new("").unwrap();
        let _master = Master::new(devpts.create(0, 0).unwrap(), None);
        let inode = Arc::new(Fixed { devpts: Arc::downgrade(&devpts), is_root: true });
        let file = OpenFile::new(inode.open(OpenFlags::empty()).unwrap(), None, OpenFlags::empty());
        let mut names = Vec::new();
        let sink = &mut |entry: DirectoryEntry| {
            names.push(String::from_utf8(entry.name).unwrap());
            true
        };
        file.operations().unwrap().read_directory(&file, 0, sink).unwrap();
        assert_eq!(names, [".", "..", "ptmx", "0"]);
    }
}
