//! Processes that come from outside: init, and those of `exec`.

use std::future::poll_fn;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::resource::Resource;
use moat_abi::signal::{SIGCHLD, SigSet};
use moat_abi::stat::FileType;
use moat_platform::AddressSpace;

use super::{Parts, StartError, lookup};
use crate::control::config::{ProcessConfig, Stdio};
use crate::executor::block_on;
use crate::fs::inode::NodeKind;
use crate::fs::tty::console::Console;
use crate::fs::walk::{self, LastKind};
use crate::fs::{FdTable, FsContext, Path, host, open};
use crate::kernel::credentials::Credentials;
use crate::kernel::process_tree::Process;
use crate::kernel::rlimits::{Limit, Limits};
use crate::kernel::task::{NewTask, Shared};
use crate::kernel::usage::Usage;
use crate::kernel::{Current, Task, ThreadGroup, exec};
use crate::loader;
use crate::mm::MemoryManager;
use crate::trace;

/// A loaded process, and the terminal it was given if it asked for one.
pub(super) type Loaded = (Current, Option<Console>);

/// Loads the container's first process.
pub(super) fn init(sandbox: &Parts, config: &ProcessConfig, files: Vec<OwnedFd>) -> Result<Loaded, StartError> {
    let space = sandbox.kernel.platform().lead().ok_or_else(|| StartError::new(Errno::EBUSY, "the lead is taken"))?;
    load(sandbox, config, files, space, 1)
}

/// Loads a further process, in a stub of its own.
pub(super) fn process(sandbox: &Parts, config: &ProcessConfig, files: Vec<OwnedFd>) -> Result<Loaded, StartError> {
    let kernel = &sandbox.kernel;
    let gone = || StartError::new(Errno::ESRCH, "cannot exec in a stopped container");
    let init = kernel.tree().process(1).map(|p| p.group.clone()).ok_or_else(gone)?;
    let space = block_on(poll_fn(|cx| init.stub().poll_fork(cx)))
        .map_err(|e| StartError::new(crate::mm::errno_of(e), "cannot make a host process"))?;
    space.leave_session();
    if let (Stdio::Terminal { .. }, Some(terminal)) = (config.stdio, files.first()) {
        space.take_terminal(terminal.as_fd());
    }
    let pid = kernel.tree().allocate(space.pid_hint()).ok_or_else(|| StartError::new(Errno::EAGAIN, "no free pid"))?;
    load(sandbox, config, files, space, pid)
}

fn load(
    sandbox: &Parts,
    config: &ProcessConfig,
    mut files: Vec<OwnedFd>,
    space: Arc<dyn AddressSpace>,
    pid: u32,
) -> Result<Loaded, StartError> {
    let kernel = &sandbox.kernel;
    let limits = limits(config)?;
    let terminal = match config.stdio {
        Stdio::Terminal { .. } if files.is_empty() => {
            return Err(StartError::new(Errno::EINVAL, "a terminal was asked for and none came along"));
        }
        Stdio::Terminal { columns, rows } => Some((files.remove(0), columns, rows)),
        Stdio::Files => None,
    };
    let table = descriptors(files, if terminal.is_some() { 3 } else { 0 })?;
    let root = kernel.mounts().root();
    let fs = Arc::new(FsContext::new(root.clone(), root, config.umask.unwrap_or(0o022)));
    let memory = MemoryManager::new(space.clone());
    let shared = Shared {
        files: Arc::new(table),
        fs,
        memory,
        handlers: Arc::default(),
        credentials: Arc::new(credentials(config)),
    };
    let group = ThreadGroup::new(pid, space.clone(), limits, None);
    group.set_oom_score_adjust(config.oom_score_adj.unwrap_or(0));
    let task = Task::new(
        kernel.clone(),
        NewTask { tid: pid, group: group.clone(), shared, blocked: SigSet::EMPTY, name: [0; 16] },
    );
    task.no_new_privileges.store(config.no_new_privileges, Ordering::Relaxed);
    enter_directory(&task, &config.cwd)?;
    let found = lookup::command(&task, config)?;
    let arguments = config.arguments.iter().map(|a| a.clone().into_bytes()).collect();
    let environment = config.environment.iter().map(|e| e.clone().into_bytes()).collect();
    let name = found.name.clone();
    let program = loader::prepare(&task, found.path, found.name, arguments, environment)
        .map_err(|e| lookup::refused(config, e))?;
    let context = block_on(poll_fn(|cx| space.poll_context(cx)))
        .map_err(|e| StartError::new(crate::mm::errno_of(e), "cannot make a host thread"))?;
    group.add_task(pid, &task);
    kernel.tree().insert(
        pid,
        Process {
            group,
            parent: 0,
            children: Default::default(),
            process_group: pid,
            session: pid,
            tasks: [(pid, task.clone())].into(),
            zombie: None,
            exit_signal: SIGCHLD.raw() as u32,
            event: None,
            children_usage: Usage::default(),
            subreaper: false,
            has_execed: false,
        },
    );
    let console = match terminal {
        Some((host, columns, rows)) => Some(console(sandbox, &task, host, (columns, rows))?),
        None => None,
    };
    let mut current = Current::new(task, context);
    match block_on(exec::exec(&mut current, program)) {
        Ok(()) => {
            trace::started(&mut current, &name);
            if let Some(filter) = kernel.filter() {
                current.filters.add(filter.clone()).map_err(|e| StartError::new(e, "cannot set the seccomp filter"))?;
            }
            Ok((current, console))
        }
        Err(e) => {
            let removed = kernel.tree().remove(pid);
            drop(removed);
            Err(lookup::refused(config, e))
        }
    }
}

fn credentials(config: &ProcessConfig) -> Credentials {
    let set = CapabilitySet::from_bits_truncate;
    let caps = &config.capabilities;
    let mut groups = config.additional_gids.clone();
    groups.sort_unstable();
    Credentials {
        permitted: set(caps.permitted),
        effective: set(caps.effective),
        inheritable: set(caps.inheritable),
        bounding: set(caps.bounding),
        ambient: set(caps.ambient),
        ..Credentials::of(config.uid, config.gid, groups, CapabilitySet::empty())
    }
}

fn limits(config: &ProcessConfig) -> Result<Limits, StartError> {
    let mut limits = Limits::default();
    for (name, soft, hard) in &config.rlimits {
        let resource = Resource::ALL
            .into_iter()
            .find(|r| name.strip_prefix("RLIMIT_") == Some(r.name()))
            .ok_or_else(|| StartError::new(Errno::EINVAL, format!("invalid rlimit type: {name}")))?;
        limits.set(resource, Limit { soft: *soft, hard: *hard });
    }
    Ok(limits)
}

/// Gives the process a terminal of its own, shown on the host's: its controlling one, and its standard streams.
fn console(sandbox: &Parts, task: &Arc<Task>, host: OwnedFd, size: (u16, u16)) -> Result<Console, StartError> {
    let refused = |e: Errno| StartError::new(e, "cannot make the process's terminal");
    let own = task.credentials();
    let console = sandbox.devpts.console(host, size.0, size.1, own.uid, own.gid).map_err(refused)?;
    let name = format!("/dev/pts/{}", console.terminal().number());
    let path = walk::resolve(task, &task.fs().root(), name.as_bytes(), true).ok();
    let file = console.terminal().open_slave(task, path, OpenFlags::RDWR).map_err(refused)?;
    for fd in 0..3 {
        let replaced = task.files().replace(fd, file.clone(), false, u64::from(u32::MAX)).map_err(refused)?;
        drop(replaced);
    }
    if task.group_ref().is_init() {
        sandbox.kernel.terminals.set_console(console.terminal());
    }
    Ok(console)
}

/// A table with these descriptors, from number `first` on.
fn descriptors(files: Vec<OwnedFd>, first: i32) -> Result<FdTable, StartError> {
    let refused = |e: Errno| StartError::new(e, "cannot take over the standard streams");
    let table = FdTable::default();
    let opened = host::host_files(files).map_err(refused)?;
    for file in opened {
        table.insert(file, false, first, u64::from(u32::MAX)).map_err(refused)?;
    }
    Ok(table)
}

/// Makes `cwd` the working directory; what is missing of it is made.
fn enter_directory(task: &Arc<Task>, cwd: &str) -> Result<(), StartError> {
    let refused = |e: Errno| {
        StartError::new(
            e,
            format!("chdir to cwd ({cwd:?}) set in config.json failed: {}", e.description().to_lowercase()),
        )
    };
    let mut at: Path = task.fs().root();
    let own = task.credentials();
    for component in cwd.split('/').filter(|c| !c.is_empty()) {
        let name = component.as_bytes();
        at = match walk::resolve(task, &at, name, true) {
            Ok(found) => found,
            Err(Errno::ENOENT) => {
                task.set_credentials(Credentials::root());
                let made = match walk::resolve_parent(task, &at, name) {
                    Ok(LastKind::Name(last)) => open::create(task, &last, NodeKind::Directory, 0o755),
                    Ok(LastKind::Special(_)) => Err(Errno::ENOENT),
                    Err(e) => Err(e),
                };
                task.set_credentials((*own).clone());
                made.map_err(refused)?
            }
            Err(e) => return Err(refused(e)),
        };
    }
    if at.inode().map_err(refused)?.file_type() != FileType::Directory {
        return Err(refused(Errno::ENOTDIR));
    }
    task.fs().set_directory(at);
    Ok(())
}
