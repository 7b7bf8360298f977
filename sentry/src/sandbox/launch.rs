//! Processes that come from outside: init, and those of `exec`.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::resource::Resource;
use moat_abi::signal::{SIGCHLD, SigSet};
use moat_abi::stat::FileType;
use moat_platform::AddressSpace;

use super::{StartError, lookup};
use crate::control::config::ProcessConfig;
use crate::executor::block_on;
use crate::fs::inode::NodeKind;
use crate::fs::walk::{self, LastKind};
use crate::fs::{FdTable, FsContext, Path, host, open};
use crate::kernel::credentials::Credentials;
use crate::kernel::process_tree::Process;
use crate::kernel::rlimits::{Limit, Limits};
use crate::kernel::task::{NewTask, Shared};
use crate::kernel::usage::Usage;
use crate::kernel::{Current, Kernel, Task, ThreadGroup, exec};
use crate::loader;
use crate::mm::MemoryManager;

/// Loads the container's first process.
pub(super) fn init(kernel: &Arc<Kernel>, config: &ProcessConfig, files: Vec<OwnedFd>) -> Result<Current, StartError> {
    let space = kernel.platform().lead().ok_or_else(|| StartError::new(Errno::EBUSY, "the lead is taken"))?;
    load(kernel, config, files, space, 1)
}

/// Loads a further process, in a stub of its own.
pub(super) fn process(kernel: &Arc<Kernel>, config: &ProcessConfig, files: Vec<OwnedFd>) -> Result<Current, StartError> {
    let gone = || StartError::new(Errno::ESRCH, "cannot exec in a stopped container");
    let init = kernel.tree().process(1).map(|p| p.group.clone()).ok_or_else(gone)?;
    let space = block_on(poll_fn(|cx| init.stub().poll_fork(cx)))
        .map_err(|e| StartError::new(crate::mm::errno_of(e), "cannot make a host process"))?;
    let pid = kernel.tree().allocate(space.pid_hint()).ok_or_else(|| StartError::new(Errno::EAGAIN, "no free pid"))?;
    load(kernel, config, files, space, pid)
}

fn load(
    kernel: &Arc<Kernel>,
    config: &ProcessConfig,
    files: Vec<OwnedFd>,
    space: Arc<dyn AddressSpace>,
    pid: u32,
) -> Result<Current, StartError> {
    let limits = limits(config)?;
    let table = descriptors(config, files)?;
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
    let mut current = Current::new(task, context);
    match block_on(exec::exec(&mut current, program)) {
        Ok(()) => Ok(current),
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

fn descriptors(config: &ProcessConfig, files: Vec<OwnedFd>) -> Result<FdTable, StartError> {
    let refused = |e: Errno| StartError::new(e, "cannot take over the standard streams");
    let table = FdTable::default();
    let opened = host::host_files(files).map_err(refused)?;
    for file in opened {
        table.insert(file, false, 0, u64::from(u32::MAX)).map_err(refused)?;
    }
    Ok(table)
}

/// Makes `cwd` the working directory; what is missing of it is made.
fn enter_directory(task: &Arc<Task>, cwd: &str) -> Result<(), StartError> {
    let refused = |e: Errno| {
        StartError::new(e, format!("chdir to cwd ({cwd:?}) set in config.json failed: {}", e.description().to_lowercase()))
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
