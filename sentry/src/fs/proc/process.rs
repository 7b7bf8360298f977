//! The directory of a process, and of each of its threads.

use std::sync::atomic::Ordering;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::resource::{RLIM_INFINITY, Resource};
use moat_abi::stat::FileType;
use moat_platform::APPLICATION_END;

use super::subject::Subject;
use super::{fd, links, maps, mounts, net, parse_number, stat, status, written_number};
use crate::Result;
use crate::fs::kernfs::{Directory, File, Listed, Node};
use crate::fs::{FileOperations, OpenFile};
use crate::kernel::{Task, ThreadGroup};
use crate::mm::MemoryManager;
use std::any::Any;
use std::sync::Arc;

/// What a file says.
type Says = fn(&Subject) -> Result<Vec<u8>>;
/// What a file takes.
type Takes = fn(&Subject, &[u8]) -> Result<()>;

/// A file of the directory: its name, its permissions, and whether only those may open it who may look into the
/// process.
struct Entry {
    name: &'static str,
    permissions: u32,
    guarded: bool,
    says: Says,
    takes: Option<Takes>,
}

const fn plain(name: &'static str, permissions: u32, says: Says) -> Entry {
    Entry { name, permissions, guarded: false, says, takes: None }
}

const fn guarded(name: &'static str, permissions: u32, says: Says) -> Entry {
    Entry { name, permissions, guarded: true, says, takes: None }
}

const fn writable(name: &'static str, permissions: u32, says: Says, takes: Takes) -> Entry {
    Entry { name, permissions, guarded: false, says, takes: Some(takes) }
}

const FILES: &[Entry] = &[
    guarded("auxv", 0o400, auxv),
    plain("cgroup", 0o444, |_| Ok(b"0::/\n".to_vec())),
    plain("cmdline", 0o444, cmdline),
    writable("comm", 0o644, comm, set_comm),
    writable("coredump_filter", 0o644, |_| Ok(b"00000033\n".to_vec()), |_, _| Ok(())),
    plain("cpuset", 0o444, |_| Ok(b"/\n".to_vec())),
    guarded("environ", 0o400, environ),
    writable("gid_map", 0o644, id_map, |_, _| Err(Errno::EPERM)),
    guarded("io", 0o400, io),
    plain("limits", 0o444, limits),
    writable("loginuid", 0o644, |_| Ok(b"4294967295".to_vec()), |_, _| Err(Errno::EPERM)),
    guarded("maps", 0o444, maps::maps),
    plain("mountinfo", 0o444, mounts::mountinfo),
    plain("mounts", 0o444, mounts::mounts),
    plain("mountstats", 0o400, mounts::mountstats),
    writable("oom_adj", 0o644, oom_adj, set_oom_adj),
    plain("oom_score", 0o444, oom_score),
    writable("oom_score_adj", 0o644, oom_score_adj, set_oom_score_adj),
    guarded("personality", 0o400, personality),
    plain("sched", 0o644, sched),
    plain("schedstat", 0o444, schedstat),
    plain("sessionid", 0o444, |_| Ok(b"4294967295".to_vec())),
    writable("setgroups", 0o644, |_| Ok(b"allow\n".to_vec()), |_, _| Err(Errno::EPERM)),
    guarded("smaps", 0o444, maps::smaps),
    guarded("smaps_rollup", 0o444, maps::smaps_rollup),
    guarded("stack", 0o400, |_| Ok(Vec::new())),
    plain("stat", 0o444, stat::stat),
    plain("statm", 0o444, stat::statm),
    plain("status", 0o444, status::status),
    writable("timerslack_ns", 0o666, timer_slack, set_timer_slack),
    writable("uid_map", 0o644, id_map, |_, _| Err(Errno::EPERM)),
    guarded("wchan", 0o444, |_| Ok(b"0".to_vec())),
];

/// `/proc/PID` or `/proc/PID/task/TID`.
pub fn directory(subject: Subject) -> Node {
    let owner = subject.owner();
    Node::directory(0o555, ProcessDirectory(subject)).owned_by(owner)
}

struct ProcessDirectory(Subject);

impl ProcessDirectory {
    /// Names beside the files: directories and links.
    fn others(&self) -> impl Iterator<Item = (&'static str, FileType)> {
        const OTHERS: [(&str, FileType); 9] = [
            ("cwd", FileType::Symlink),
            ("exe", FileType::Symlink),
            ("fd", FileType::Directory),
            ("fdinfo", FileType::Directory),
            ("mem", FileType::Regular),
            ("net", FileType::Directory),
            ("ns", FileType::Directory),
            ("root", FileType::Symlink),
            ("task", FileType::Directory),
        ];
        let thread = self.0.thread;
        let children = thread.then_some(("children", FileType::Regular));
        OTHERS.into_iter().filter(move |(name, _)| !(thread && *name == "task")).chain(children)
    }

    fn other(&self, name: &[u8]) -> Result<Node> {
        let subject = self.0.clone();
        Ok(match name {
            b"cwd" => Node::link(links::Place { subject, kind: links::Kind::Directory }),
            b"exe" => Node::link(links::Place { subject, kind: links::Kind::Executable }),
            b"root" => Node::link(links::Place { subject, kind: links::Kind::Root }),
            b"fd" => Node::directory(0o500, fd::Descriptors { subject, info: false }),
            b"fdinfo" => Node::directory(0o555, fd::Descriptors { subject, info: true }),
            b"mem" => Node::file(0o600, Mem(subject)),
            b"net" => net::directory(&subject),
            b"ns" => Node::directory(0o511, links::Namespaces(subject)),
            b"task" if !subject.thread => Node::directory(0o555, Threads(subject)),
            b"children" if subject.thread => Node::file(0o444, move || children(&subject)),
            _ => return Err(Errno::ENOENT),
        })
    }
}

impl Directory for ProcessDirectory {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        let node = match FILES.iter().find(|e| e.name.as_bytes() == name) {
            Some(entry) => Node::file(entry.permissions, ProcessFile { subject: self.0.clone(), entry }),
            None => self.other(name)?,
        };
        Ok(node.owned_by(self.0.owner()))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        self.0.group()?;
        let files = FILES.iter().map(|e| Listed::new(e.name, FileType::Regular));
        Ok(self.others().map(|(name, kind)| Listed::new(name, kind)).chain(files).collect())
    }

    fn links(&self) -> u32 {
        2 + self.others().filter(|(_, kind)| *kind == FileType::Directory).count() as u32
    }

    fn process(&self) -> Option<Result<Arc<ThreadGroup>>> {
        (!self.0.thread).then(|| self.0.group())
    }
}

struct ProcessFile {
    subject: Subject,
    entry: &'static Entry,
}

impl File for ProcessFile {
    fn read(&self) -> Result<Vec<u8>> {
        (self.entry.says)(&self.subject)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let takes = self.entry.takes.ok_or(Errno::EIO)?;
        takes(&self.subject, bytes)?;
        Ok(bytes.len())
    }

    fn open(&self, task: &Task, _: OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        if self.entry.guarded {
            self.subject.check_access(task)?;
        }
        Ok(None)
    }
}

/// `task/`.
struct Threads(Subject);

impl Directory for Threads {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        let tid = parse_number(name).ok_or(Errno::ENOENT)?;
        Ok(directory(self.0.thread(tid)?))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        let group = self.0.group()?;
        Ok(group.tasks().iter().map(|t| Listed::new(t.tid().to_string(), FileType::Directory)).collect())
    }

    fn links(&self) -> u32 {
        2 + self.0.group().map_or(0, |g| g.task_count() as u32)
    }
}

/// `mem`: the memory of the process; positions are addresses.
struct Mem(Subject);

impl File for Mem {
    fn read(&self) -> Result<Vec<u8>> {
        Err(Errno::EIO)
    }

    fn open(&self, task: &Task, _: OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        self.0.check_access(task)?;
        let memory = self.0.memory()?.ok_or(Errno::ESRCH)?;
        Ok(Some(Arc::new(MemFile(Arc::downgrade(&memory)))))
    }
}

/// Does not hold the memory, which goes with its last process.
struct MemFile(std::sync::Weak<MemoryManager>);

impl FileOperations for MemFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> crate::fs::file::Seeking {
        crate::fs::file::Seeking::Positions
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        let Some(memory) = self.0.upgrade() else { return Ok(0) };
        let room = usize::try_from(APPLICATION_END.saturating_sub(offset)).unwrap_or(usize::MAX);
        let n = buf.len().min(room);
        match memory.user().read_partial(offset, &mut buf[..n]) {
            0 if !buf.is_empty() => Err(Errno::EIO),
            done => Ok(done),
        }
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], offset: u64) -> Result<usize> {
        let Some(memory) = self.0.upgrade() else { return Ok(0) };
        memory.user().write_bytes(offset, buf).map_err(|_| Errno::EIO)?;
        Ok(buf.len())
    }
}

/// Bytes of the process's memory between two addresses; what cannot be read is left out.
fn memory_range(subject: &Subject, range: impl FnOnce(crate::mm::Layout) -> (u64, u64)) -> Result<Vec<u8>> {
    const MOST: u64 = 8 << 20;
    let Some(memory) = subject.memory()? else { return Ok(Vec::new()) };
    let (start, end) = range(memory.layout());
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(start).min(MOST)).unwrap_or(0)];
    let n = memory.user().read_partial(start, &mut bytes);
    bytes.truncate(n);
    Ok(bytes)
}

fn cmdline(subject: &Subject) -> Result<Vec<u8>> {
    let mut bytes = memory_range(subject, |l| (l.arg_start, l.arg_end))?;
    // A program that has overwritten its arguments' end (setproctitle) is read on into the environment.
    if bytes.last().is_some_and(|&b| b != 0) {
        let more = memory_range(subject, |l| (l.env_start, l.env_end))?;
        let end = more.iter().position(|&b| b == 0).map_or(more.len(), |at| at + 1);
        bytes.extend_from_slice(&more[..end]);
        let title = bytes.iter().position(|&b| b == 0).map_or(bytes.len(), |at| at + 1);
        bytes.truncate(title);
    }
    Ok(bytes)
}

fn environ(subject: &Subject) -> Result<Vec<u8>> {
    memory_range(subject, |l| (l.env_start, l.env_end))
}

fn auxv(subject: &Subject) -> Result<Vec<u8>> {
    Ok(subject.memory()?.map_or_else(Vec::new, |m| m.auxv()))
}

/// The name without its padding.
pub fn comm_of(subject: &Subject) -> Result<Vec<u8>> {
    if let Some(task) = subject.task()? {
        let name = task.name();
        return Ok(name.split(|&b| b == 0).next().unwrap_or_default().to_vec());
    }
    // The task of a zombie is gone, and its name with it; the program's name is what it mostly was.
    let executable = subject.group()?.state().lock().executable.clone();
    let mut name = executable.map_or_else(Vec::new, |file| file.path.dentry.name().to_vec());
    name.truncate(15);
    Ok(name)
}

fn comm(subject: &Subject) -> Result<Vec<u8>> {
    let mut name = comm_of(subject)?;
    name.push(b'\n');
    Ok(name)
}

fn set_comm(subject: &Subject, bytes: &[u8]) -> Result<()> {
    let name = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    subject.live()?.set_name(name);
    Ok(())
}

fn id_map(_: &Subject) -> Result<Vec<u8>> {
    Ok(format!("{:>10} {:>10} {:>10}\n", 0, 0, u32::MAX).into_bytes())
}

fn io(_: &Subject) -> Result<Vec<u8>> {
    const NAMES: [&str; 7] = ["rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"];
    Ok(NAMES.iter().map(|name| format!("{name}: 0\n")).collect::<String>().into_bytes())
}

/// Name and unit of each limit, in the order of their numbers (fs/proc/base.c).
const LIMITS: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

fn limits(subject: &Subject) -> Result<Vec<u8>> {
    let limits = subject.group()?.state().lock().limits.clone();
    let show = |value: u64| if value == RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() };
    let mut out = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (resource, (name, unit)) in Resource::ALL.into_iter().zip(LIMITS) {
        let limit = limits.get(resource);
        out.push_str(&format!("{name:<25} {:<20} {:<20} ", show(limit.soft), show(limit.hard)));
        match unit {
            "" => out.push('\n'),
            unit => out.push_str(&format!("{unit:<10}\n")),
        }
    }
    Ok(out.into_bytes())
}

fn oom_score(subject: &Subject) -> Result<Vec<u8>> {
    let adjust = i64::from(subject.group()?.oom_score_adjust());
    let total = subject.kernel()?.memory.max(1);
    let resident = subject.memory()?.and_then(|m| m.space().peak_resident_bytes()).unwrap_or(0);
    // oom_badness in thousandths of the memory, shifted to 0..2000 (fs/proc/base.c).
    let points = (resident.saturating_mul(1000) / total) as i64 + adjust;
    let shown = if adjust == -1000 { 0 } else { (1000 + points) * 2 / 3 };
    Ok(format!("{}\n", shown.max(0)).into_bytes())
}

fn oom_score_adj(subject: &Subject) -> Result<Vec<u8>> {
    Ok(format!("{}\n", subject.group()?.oom_score_adjust()).into_bytes())
}

fn set_oom_score_adj(subject: &Subject, bytes: &[u8]) -> Result<()> {
    let value: i32 = written_number(bytes)?;
    if !(-1000..=1000).contains(&value) {
        return Err(Errno::EINVAL);
    }
    subject.group()?.set_oom_score_adjust(value);
    Ok(())
}

fn oom_adj(subject: &Subject) -> Result<Vec<u8>> {
    let adjust = subject.group()?.oom_score_adjust();
    let old = if adjust == 1000 { 15 } else { adjust * 17 / 1000 };
    Ok(format!("{old}\n").into_bytes())
}

fn set_oom_adj(subject: &Subject, bytes: &[u8]) -> Result<()> {
    let value: i32 = written_number(bytes)?;
    if !(-17..=15).contains(&value) {
        return Err(Errno::EINVAL);
    }
    subject.group()?.set_oom_score_adjust(if value == 15 { 1000 } else { value * 1000 / 17 });
    Ok(())
}

fn personality(subject: &Subject) -> Result<Vec<u8>> {
    Ok(format!("{:08x}\n", subject.group()?.state().lock().personality).into_bytes())
}

fn sched(subject: &Subject) -> Result<Vec<u8>> {
    let group = subject.group()?;
    let name = String::from_utf8_lossy(&comm_of(subject)?).into_owned();
    Ok(format!("{name} ({}, #threads: {})\n", subject.id, group.task_count()).into_bytes())
}

fn schedstat(subject: &Subject) -> Result<Vec<u8>> {
    let time = subject.task()?.map_or(0, |t| {
        let (user, system) = t.times();
        (user + system).as_nanos()
    });
    Ok(format!("{time} 0 1\n").into_bytes())
}

fn timer_slack(subject: &Subject) -> Result<Vec<u8>> {
    Ok(format!("{}\n", subject.live()?.timer_slack.load(Ordering::Relaxed)).into_bytes())
}

fn set_timer_slack(subject: &Subject, bytes: &[u8]) -> Result<()> {
    let value: u64 = written_number(bytes)?;
    let slack = if value == 0 { 50_000 } else { value };
    subject.live()?.timer_slack.store(slack, Ordering::Relaxed);
    Ok(())
}

fn children(subject: &Subject) -> Result<Vec<u8>> {
    // The tree knows the children of the process; Linux lists them at the thread that made them, which for nearly all
    // programs is the leader.
    let group = subject.group()?;
    if subject.id != group.pid() {
        return Ok(Vec::new());
    }
    let kernel = subject.kernel()?;
    let tree = kernel.tree();
    let children = tree.process(group.pid()).ok_or(Errno::ESRCH)?.children.iter();
    Ok(children.map(|pid| format!("{pid} ")).collect::<String>().into_bytes())
}
