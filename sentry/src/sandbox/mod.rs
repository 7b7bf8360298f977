//! A sandbox: one container's kernel, from the loaded but unstarted init to its end.

mod launch;
mod lookup;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::signal::{SigInfo, Signal};
use moat_gofer::client::Client;
use moat_platform::Platform;

use crate::control::config::{ContainerConfig, ProcessConfig};
use crate::control::protocol::ProcessInfo;
use crate::executor;
use crate::executor::wait::wait_for;
use crate::fs::devpts::DevPts;
use crate::fs::gofer::GoferFs;
use crate::fs::tty::console::Console;
use crate::fs::{FileSystem, MountNamespace, setup};
use crate::kernel::clock::Clocks;
use crate::kernel::seccomp::Filter;
use crate::kernel::signal::send::{self, Origin};
use crate::kernel::uts::Uts;
use crate::kernel::{Current, Kernel, KernelConfig, clone};
use crate::loader::vdso::Vdso;
use crate::net::NetNamespace;
use crate::net::host::Surroundings;
use crate::sync::{Mutex, Rank};
use crate::trace::Tracer;

/// The most tasks of a sandbox that is given no limit.
const TASKS_MAX: u64 = 10_000;
/// The memory that a guest sees that is given no limit, in bytes.
const MEMORY: u64 = 2 << 30;
/// The longest string in trace text that is told no other limit (strace's), in bytes.
const STRING_LIMIT: usize = 32;

/// What a sandbox is made of.
pub struct Start {
    /// Runs the application's code.
    pub platform: Arc<dyn Platform>,
    /// The container.
    pub config: ContainerConfig,
    /// Connections to the gofer.
    pub gofer: Vec<OwnedFd>,
    /// Descriptors of init: the standard ones or the terminal, then the preserved ones.
    pub stdio: Vec<OwnedFd>,
    /// Where trace text goes.
    pub trace: Option<OwnedFd>,
    /// The network namespace that this process is in, if its sockets are the container's.
    pub network: Option<Surroundings>,
}

/// Why a process could not be started.
#[derive(Debug)]
pub struct StartError {
    /// The errno an `execve` would have given.
    pub errno: Errno,
    /// What failed, as runc words it: `exec: "nosuch": executable file not found in $PATH`.
    pub what: String,
}

impl StartError {
    fn new(errno: Errno, what: impl Into<String>) -> Self {
        Self { errno, what: what.into() }
    }
}

fn tasks_at_most(limit: Option<u64>) -> u64 {
    limit.map_or(TASKS_MAX, |l| l.min(TASKS_MAX))
}

/// What processes from outside are put into.
struct Parts {
    kernel: Arc<Kernel>,
    /// The container's terminals.
    devpts: Arc<DevPts>,
}

/// See the module.
pub struct Sandbox {
    parts: Parts,
    /// Init, until [`Self::start`] lets it run.
    init: Mutex<Option<Current>>,
    /// The terminals that processes from outside were given.
    consoles: Mutex<HashMap<u32, Console>>,
}

impl Sandbox {
    /// Loads init up to its first instruction.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn create(start: Start) -> Result<Arc<Self>, StartError> {
        let Start { platform, config, gofer, stdio, trace, network } = start;
        let client = Client::new(gofer).map_err(|e| StartError::new(e, "cannot reach the gofer"))?;
        // Half of what the gofer can hold is for files in use.
        crate::fs::dentry::limit_cache((client.handles() / 2) as usize);
        let memory = config.memory_limit.unwrap_or(MEMORY);
        let tree = setup::build(&config, memory, &mut |root, owned, name| {
            Ok(GoferFs::attach(&client, root, owned, name)? as Arc<dyn FileSystem>)
        })
        .map_err(|e| StartError::new(e.errno, e.to_string()))?;
        let net = network.map_or_else(NetNamespace::loopback, NetNamespace::host);
        let sandbox = Self::in_tree(platform, &config, net, tree.mounts, tree.devpts, stdio, trace)?;
        tree.kernel.fill(&sandbox.parts.kernel);
        Ok(sandbox)
    }

    /// The same in a tree that is there already; `devpts` is what lies at its /dev/pts.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn in_tree(
        platform: Arc<dyn Platform>,
        config: &ContainerConfig,
        net: Arc<NetNamespace>,
        mounts: Arc<MountNamespace>,
        devpts: Option<Arc<DevPts>>,
        stdio: Vec<OwnedFd>,
        trace: Option<OwnedFd>,
    ) -> Result<Arc<Self>, StartError> {
        let filter = match &config.seccomp {
            Some(json) => Some(Filter::from_config(json).map_err(|e| StartError::new(Errno::EINVAL, e))?),
            None => None,
        };
        let limit = config.strace.as_ref().map_or(STRING_LIMIT, |s| s.string_limit);
        let clocks = Clocks { monotonic: config.monotonic_offset, boottime: config.boottime_offset };
        let vdso = Vdso::new(&*platform, &clocks).map_err(|e| StartError::new(e, "cannot make the vDSO"))?;
        let kernel = Kernel::new(KernelConfig {
            platform,
            mounts,
            uts: Uts {
                nodename: config.hostname.clone().into_bytes(),
                domainname: config.domainname.clone().into_bytes(),
            },
            clocks,
            vdso,
            pids_limit: tasks_at_most(config.pids_limit),
            memory: config.memory_limit.unwrap_or(MEMORY),
            cpus: config.cpus.max(1),
            net,
            tracer: trace.map(|to| Tracer::new(to, limit)),
            filter,
            ordinary_init: config.ordinary_init,
        });
        let devpts = match devpts {
            Some(devpts) => devpts,
            None => DevPts::new("").map_err(|e| StartError::new(e, "cannot make terminals"))?,
        };
        let parts = Parts { kernel, devpts };
        let (init, console) = launch::init(&parts, &config.process, stdio)?;
        let consoles = console.map(|c| (1, c)).into_iter().collect();
        Ok(Arc::new(Self {
            parts,
            init: Mutex::new(Rank::Control, Some(init)),
            consoles: Mutex::new(Rank::Control, consoles),
        }))
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.parts.kernel
    }

    /// Lets init run.
    pub fn start(&self) {
        let init = self.init.lock().take();
        if let Some(init) = init
            && clone::spawn(init).is_err()
        {
            crate::fatal("the host has no thread for init");
        }
    }

    /// Starts a further process; its number in the guest, and that of its terminal if it has one.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn exec(&self, process: ProcessConfig, files: Vec<OwnedFd>) -> Result<(u32, Option<u32>), StartError> {
        let (current, console) = launch::process(&self.parts, &process, files)?;
        let pid = current.pid();
        let terminal = console.as_ref().map(|console| console.terminal().number());
        if let Some(console) = console {
            self.consoles.lock().insert(pid, console);
        }
        clone::spawn(current).map_err(|e| StartError::new(e, "the host has no thread for the process"))?;
        Ok((pid, terminal))
    }

    /// Sends a signal to a process, or to all of them.
    ///
    /// # Errors
    /// `ESRCH` if it is gone, `EINVAL` if there is no such signal.
    pub fn kill(&self, pid: u32, signal: i32, all: bool) -> Result<(), Errno> {
        let signal = Signal::from_raw(signal).ok_or(Errno::EINVAL)?;
        // A container that was never started has nobody who could take a signal: only its end makes sense.
        if pid == 1 && signal == moat_abi::signal::SIGKILL {
            let unstarted = self.init.lock().take();
            if let Some(mut init) = unstarted {
                init.ending = Some(moat_abi::wait::signaled(signal, false));
                return clone::spawn(init);
            }
        }
        let targets: Vec<_> = {
            let tree = self.parts.kernel.tree();
            tree.processes()
                .filter(|(id, p)| (all || *id == pid) && p.zombie.is_none())
                .map(|(_, p)| p.group.clone())
                .collect()
        };
        if targets.is_empty() {
            return Err(Errno::ESRCH);
        }
        for group in targets {
            send::to_process(&group, signal, SigInfo::user(signal, SigInfo::SI_USER, 0, 0), Origin::Outside)?;
        }
        Ok(())
    }

    /// Blocks until init or an exec'ed process has ended; its wait status.
    pub fn wait(&self, pid: u32) -> u32 {
        let kernel = &self.parts.kernel;
        let status = executor::block_on(wait_for(None, |waiter| {
            waiter.listen(&kernel.ended_changed);
            kernel.ended(pid)
        }));
        let console = self.consoles.lock().remove(&pid);
        if let Some(console) = console {
            console.drain();
        }
        status.unwrap_or(0)
    }

    /// Stops every task.
    pub fn pause(&self) {
        self.parts.kernel.set_paused(true);
    }

    /// Lets every task go on.
    pub fn resume(&self) {
        self.parts.kernel.set_paused(false);
    }

    /// Changes how many tasks there can be.
    pub fn limit_tasks(&self, most: Option<u64>) {
        self.parts.kernel.set_pids_limit(tasks_at_most(most));
    }

    /// The processes of the guest.
    pub fn processes(&self) -> Vec<ProcessInfo> {
        let tree = self.parts.kernel.tree();
        tree.processes()
            .map(|(pid, process)| {
                let task = process.tasks.get(&pid).or_else(|| process.tasks.values().next());
                let name = task.map(|t| t.name()).unwrap_or_default();
                let name = name.split(|&b| b == 0).next().unwrap_or_default();
                let usage = process.group.usage();
                ProcessInfo {
                    pid,
                    ppid: process.parent,
                    uid: task.map_or(0, |t| t.credentials().uid),
                    name: String::from_utf8_lossy(name).into_owned(),
                    arguments: Vec::new(),
                    state: if process.zombie.is_some() { 'Z' } else { 'S' },
                    started: 0,
                    cpu_ms: (usage.user + usage.system).as_millis() as u64,
                    terminal: None,
                    host_pid: process.group.stub().host_pid(),
                }
            })
            .collect()
    }

    /// Tells the terminal of a process its new size.
    pub fn resize(&self, pid: u32, columns: u16, rows: u16) {
        if let Some(console) = self.consoles.lock().get(&pid) {
            console.resize(columns, rows);
        }
    }
}
