//! Filesystems whose files are made up when they are read: /proc, /sys, cgroup. One way to say what there is (a
//! [`Node`]), one inode type, one kind of open file for all of them.

mod file;
mod inode;
mod snapshot;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::stat::{FileType, Statfs, makedev};

pub use file::GeneratedFile;
pub use inode::KernInode;
pub use snapshot::ListedDirectory;

use super::inode::{FileSystem, Inode};
use super::proc::Sysctl;
use super::{FileOperations, Path};
use crate::Result;
use crate::kernel::{Kernel, Task, ThreadGroup};

/// A device number for a filesystem without a device (Linux: `get_anon_bdev`).
pub fn anonymous_device() -> u64 {
    static NEXT: AtomicU32 = AtomicU32::new(20);
    makedev(0, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The kernel that a filesystem shows, and the settings of its /proc/sys. Trees are put together before there is a
/// kernel to run in them.
#[derive(Clone, Default)]
pub struct KernelSlot(Arc<Slot>);

#[derive(Default)]
struct Slot {
    kernel: OnceLock<Weak<Kernel>>,
    sysctl: OnceLock<Sysctl>,
}

impl KernelSlot {
    /// A slot that is filled already.
    pub fn of(kernel: &Arc<Kernel>) -> Self {
        let slot = Self::default();
        slot.fill(kernel);
        slot
    }

    /// Says which kernel it is. The first one stays.
    pub fn fill(&self, kernel: &Arc<Kernel>) {
        self.0.kernel.get_or_init(|| Arc::downgrade(kernel));
    }

    /// The kernel. `ENODEV` before it is there and after its end.
    pub fn get(&self) -> Result<Arc<Kernel>> {
        self.0.kernel.get().and_then(Weak::upgrade).ok_or(Errno::ENODEV)
    }

    /// The settings of /proc/sys.
    pub fn sysctl(&self) -> &Sysctl {
        self.0.sysctl.get_or_init(Sysctl::default)
    }

    /// Sets one by its name with dots. `ENOENT` if there is none.
    pub fn set_sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.sysctl().set(name, value)
    }
}

/// Whom a node belongs to.
pub type Owner = Arc<dyn Fn() -> (u32, u32) + Send + Sync>;

/// A file, directory or link, made anew by each lookup; its inode number comes from its name and its parent's.
#[derive(Clone)]
pub struct Node {
    permissions: u32,
    owner: Option<Owner>,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Directory(Arc<dyn Directory>),
    File(Arc<dyn File>),
    Link(Arc<dyn Link>),
}

/// What a directory lists.
pub struct Listed {
    /// Its name.
    pub name: Vec<u8>,
    /// Its type.
    pub file_type: FileType,
}

impl Listed {
    /// An entry of this name and type.
    pub fn new(name: impl Into<Vec<u8>>, file_type: FileType) -> Self {
        Self { name: name.into(), file_type }
    }
}

/// A directory whose children are found when they are asked for.
pub trait Directory: Send + Sync {
    /// The child of this name. `ENOENT`.
    fn lookup(&self, name: &[u8]) -> Result<Node>;
    /// All children.
    fn list(&self) -> Result<Vec<Listed>>;
    /// `st_nlink`.
    fn links(&self) -> u32 {
        2
    }
    /// The process that it is the directory of. `ESRCH` once that was waited for.
    fn process(&self) -> Option<Result<Arc<ThreadGroup>>> {
        None
    }
}

/// A file.
pub trait File: Send + Sync {
    /// What it says now.
    fn read(&self) -> Result<Vec<u8>>;
    /// Takes what is written at its start. `EIO` for files that only say something.
    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let _ = bytes;
        Err(Errno::EIO)
    }
    /// Checks who opens it, beyond the permission bits. May give operations of its own.
    fn open(&self, task: &Task, flags: OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        let _ = (task, flags);
        Ok(None)
    }
    /// `st_size`; most are 0.
    fn size(&self) -> u64 {
        0
    }
}

/// A symbolic link.
pub trait Link: Send + Sync {
    /// Its text as `task` sees it. `ENOENT` for a magic link whose text is the path that it leads to.
    fn text(&self, task: &Task) -> Result<Vec<u8>>;
    /// Where a magic link leads.
    fn follow(&self, task: &Task) -> Option<Result<Path>> {
        let _ = task;
        None
    }
}

impl<F: Fn() -> Result<Vec<u8>> + Send + Sync> File for F {
    fn read(&self) -> Result<Vec<u8>> {
        self()
    }
}

/// A link with the same text for all.
struct FixedLink(Vec<u8>);

impl Link for FixedLink {
    fn text(&self, _: &Task) -> Result<Vec<u8>> {
        Ok(self.0.clone())
    }
}

impl Node {
    /// A directory.
    pub fn directory(permissions: u32, directory: impl Directory + 'static) -> Self {
        Self { permissions, owner: None, content: Content::Directory(Arc::new(directory)) }
    }

    /// A file.
    pub fn file(permissions: u32, file: impl File + 'static) -> Self {
        Self { permissions, owner: None, content: Content::File(Arc::new(file)) }
    }

    /// A read-only file that always says the same.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        Self::file(0o444, move || Ok(text.clone()))
    }

    /// A link.
    pub fn link(link: impl Link + 'static) -> Self {
        Self { permissions: 0o777, owner: None, content: Content::Link(Arc::new(link)) }
    }

    /// A link that always leads to the same path.
    pub fn symlink(text: impl Into<Vec<u8>>) -> Self {
        Self::link(FixedLink(text.into()))
    }

    /// The same node with an owner other than root.
    #[must_use]
    pub fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The same node with other permissions.
    #[must_use]
    pub fn with_permissions(mut self, permissions: u32) -> Self {
        self.permissions = permissions;
        self
    }

    /// Its type.
    pub fn file_type(&self) -> FileType {
        match self.content {
            Content::Directory(_) => FileType::Directory,
            Content::File(_) => FileType::Regular,
            Content::Link(_) => FileType::Symlink,
        }
    }
}

/// A directory whose children are known in advance.
#[derive(Clone, Default)]
pub struct Fixed(Vec<(Vec<u8>, Node)>);

impl Fixed {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with another child.
    #[must_use]
    pub fn with(mut self, name: impl Into<Vec<u8>>, node: Node) -> Self {
        self.0.push((name.into(), node));
        self
    }

    /// As a node with the usual permissions.
    pub fn node(self) -> Node {
        Node::directory(0o555, self)
    }
}

impl Directory for Fixed {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, node)| node.clone()).ok_or(Errno::ENOENT)
    }

    fn list(&self) -> Result<Vec<Listed>> {
        Ok(self.0.iter().map(|(name, node)| Listed::new(name.clone(), node.file_type())).collect())
    }

    fn links(&self) -> u32 {
        2 + self.0.iter().filter(|(_, node)| node.file_type() == FileType::Directory).count() as u32
    }
}

/// One mounted filesystem of this kind.
pub struct KernFs {
    kind: &'static str,
    source: String,
    magic: i64,
    device: u64,
    options: String,
    root: Node,
    this: Weak<KernFs>,
}

/// Numbers of the filesystems' types (`*_MAGIC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// `PROC_SUPER_MAGIC`.
    Proc = 0x9fa0,
    /// `SYSFS_MAGIC`.
    Sys = 0x6265_6572,
    /// `CGROUP2_SUPER_MAGIC`.
    Cgroup2 = 0x6367_7270,
    /// `CGROUP_SUPER_MAGIC`.
    Cgroup = 0x0027_e0eb,
}

impl KernFs {
    /// A filesystem with this root. `options` are shown in `/proc/mounts`, each preceded by a comma.
    pub fn new(kind: &'static str, source: &str, magic: Magic, options: &str, root: Node) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            kind,
            source: source.to_owned(),
            magic: magic as i64,
            device: anonymous_device(),
            options: options.to_owned(),
            root,
            this: this.clone(),
        })
    }

    fn this(&self) -> Arc<Self> {
        let Some(this) = self.this.upgrade() else { crate::fatal("a filesystem is used after its end") };
        this
    }
}

impl FileSystem for KernFs {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn device(&self) -> u64 {
        self.device
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::new(KernInode::new(self.this(), 1, self.root.clone()))
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_type: self.magic, f_bsize: 4096, f_namelen: 255, f_frsize: 4096, ..Statfs::default() })
    }

    fn show_options(&self) -> String {
        self.options.clone()
    }

    fn source(&self) -> String {
        self.source.clone()
    }
}
