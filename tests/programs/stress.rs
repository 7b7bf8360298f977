//! stress-ng: a program for each corner of the kernel, which checks what it gets. Each group of its stressors runs as one
//! job in one sandbox, one stressor after the other, in a directory of the host's, for some operations or a second; it
//! has to end well with no complaint, and to leave nothing behind.
//!
//! What stress-ng 0.15 can do beyond this is left out for these reasons:
//!
//! - not there (docs/status.md, or answered by ENOSYS or EPERM as in other containers): System V IPC (msg, sem-sysv,
//!   shm-sysv), mq, ptrace and vm-segv, which uses it, aiol, bpf's kin, dnotify, fanotify, handle, io-uring, ioprio,
//!   keyrings (key), landlock, lease, membarrier, netlink-proc, netlink-task, numa, remap, rseq, secretmem, userfaultfd,
//!   usersyscall, uprobe; file attributes and extents of a filesystem (inode-flags, fiemap, verity);
//! - the host's own (modules, devices, mounts, raw sockets): af-alg, apparmor, binderfs, bind-mount, cpu-online, cyclic,
//!   dccp, efivar, gpu, icmp-flood, idle-page, ioport, ipsec-mb, kvm, klog, llc-affinity, loop, memhotplug, module, pci,
//!   physpage, ping-sock, plugin, quota, ramfs, rawdev, rawpkt, rawsock, rawudp, reboot, rtc, sctp, smi, softlockup,
//!   swap, sysfs, tmpfs, tun, umount, watchdog;
//! - as many processes, threads, descriptors or as much memory or disk as there are: bigheap, brk, chdir, dirmany,
//!   forkheavy, mlockmany, mmapfork, mmapmany, msyncmany, oom-pipe, pipeherd, resources, sockpair, stack, stackmmap,
//!   vforkmany;
//! - measures or heats the processor for longer than all others together: cache, copy-file, dev, far-branch, mmapfixed,
//!   prefetch, syscall, syncload, zlib;
//! - what it expects depends on who else is there: sockdiag, zombie; it does nothing natively either: opcode,
//!   sysinval, vm-addr, xattr on most filesystems.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use moat_tests::process;
use moat_tests::run::{self, Ending};

/// The Debian package.
pub const PACKAGE: &str = "stress-ng";
/// Longer than any group takes, also on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(240);
/// How long traces may take to go.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is said of a stressor that failed, or did nothing.
const COMPLAINTS: [&str; 5] = ["fail:", "error:", "skipp", "prematurely", "aborted early"];

/// Stressors of one subject.
#[derive(Debug)]
pub struct Group {
    /// What the test is called.
    pub name: &'static str,
    /// How stress-ng is started.
    starter: &'static [&'static str],
    /// A stressor each, and its options.
    stressors: &'static [&'static str],
}

const AS_ROOT: &[&str] = &["stress-ng", "--job"];
const AS_NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "stress-ng", "--job"];

/// All of them.
pub const GROUPS: &[Group] = &[
    Group {
        name: "processor",
        starter: AS_ROOT,
        #[rustfmt::skip]
        stressors: &[
            "atomic", "branch", "bsearch bsearch-size=4096", "cacheline", "cpu", "crypt", "dekker", "fp", "fp-error", "funccall",
            "funcret", "getrandom", "goto", "hash", "heapsort heapsort-size=4096", "hsearch hsearch-size=1024", "icache", "jpeg",
            "judy", "l1cache", "list", "loadavg", "lockbus", "longjmp", "lsearch lsearch-size=1024", "matrix matrix-size=32",
            "matrix-3d matrix-3d-size=16", "memcpy", "mergesort mergesort-size=4096", "misaligned", "nop", "peterson",
            "qsort qsort-size=4096", "radixsort radixsort-size=4096", "randlist", "regs", "rotate",
            "shellsort shellsort-size=4096", "skiplist skiplist-size=1024",
            "sparsematrix sparsematrix-items=500 sparsematrix-size=100", "str", "tree tree-size=1000", "tsc",
            "tsearch tsearch-size=1024", "vecfp", "vecmath", "vecshuf", "vecwide", "waitcpu", "wcs", "x86cpuid", "x86syscall",
        ],
    },
    Group {
        name: "memory",
        starter: AS_ROOT,
        #[rustfmt::skip]
        stressors: &[
            "fault", "madvise", "malloc malloc-bytes=1m malloc-max=128", "mcontend", "memfd memfd-bytes=2m memfd-fds=8",
            "memrate memrate-bytes=4m", "memthrash", "mincore", "mlock", "mmap mmap-bytes=2m", "mmapaddr", "mmaphuge", "mprotect",
            "mremap mremap-bytes=2m", "msync msync-bytes=1m", "munmap", "pagemove", "pageswap", "pkey", "rmap",
            "shm shm-bytes=1m shm-objs=8", "stream stream-l3-size=1m", "tlb-shootdown", "vm vm-bytes=4m", "vm-rw vm-rw-bytes=1m",
            "vm-splice vm-splice-bytes=64k",
        ],
    },
    Group {
        name: "files",
        starter: AS_ROOT,
        #[rustfmt::skip]
        stressors: &[
            "access", "aio aio-requests=4", "chattr", "chmod", "chown", "chroot", "close", "dentry dentries=64", "dir dir-dirs=64",
            "dirdeep dirdeep-dirs=2 dirdeep-inodes=200", "dup", "eventfd", "fallocate fallocate-bytes=1m", "fcntl", "file-ioctl",
            "filename", "flock", "fpunch", "fsize", "fstat", "full", "getdent", "hdd hdd-bytes=2m", "inotify", "io",
            "iomix iomix-bytes=1m", "link", "locka", "lockf", "lockofd", "mknod", "null", "open", "procfs",
            "readahead readahead-bytes=4m", "rename", "revio revio-bytes=1m", "seal", "seek seek-size=4m", "symlink",
            "sync-file sync-file-bytes=1m", "touch", "urandom", "utime", "zero",
        ],
    },
    Group {
        name: "processes_and_signals",
        starter: AS_ROOT,
        #[rustfmt::skip]
        stressors: &[
            "affinity", "bad-altstack", "cap", "clone clone-max=8", "context", "daemon", "env", "exit-group", "fork fork-max=4",
            "get", "kcmp", "kill", "nice", "personality", "pidfd", "prctl", "priv-instr", "pthread pthread-max=16", "race-sched", "resched",
            "rlimit", "schedpolicy", "seccomp", "session", "set", "sigabrt", "sigchld", "sigfd", "sigfpe", "sigio", "signal",
            "signest", "sigpending", "sigpipe", "sigq", "sigrt", "sigsegv", "sigsuspend", "sigtrap", "sysbadaddr", "sysinfo",
            "unshare", "vfork vfork-max=4", "wait", "yield",
        ],
    },
    Group {
        name: "pipes_and_sockets",
        starter: AS_ROOT,
        #[rustfmt::skip]
        stressors: &[
            "epoll epoll-domain=unix", "fifo", "netdev", "pipe", "poll", "ring-pipe ring-pipe-num=8", "sendfile sendfile-size=64k",
            "sock", "sockabuse", "sockfd", "sockmany sockmany-if=lo", "splice", "switch", "tee", "udp", "udp-flood",
        ],
    },
    Group {
        name: "time_locks_and_terminals",
        starter: AS_ROOT,
        #[rustfmt::skip]
        stressors: &[
            "alarm", "clock", "futex", "hrtimers", "itimer", "mutex", "nanosleep", "pty pty-max=16", "sem", "sleep sleep-max=8",
            "timer", "timerfd", "vdso",
        ],
    },
    Group { name: "as_an_ordinary_user", starter: AS_NOBODY, stressors: &["exec exec-max=4", "spawn"] },
];

impl Group {
    /// Its job file: stress-ng's options without their dashes.
    fn job(&self) -> String {
        let mut job = "run sequential\ntimeout 1\nverify\nno-rand-seed\noomable\n".to_owned();
        for stressor in self.stressors {
            let mut words = stressor.split(' ');
            let name = words.next().unwrap_or_default();
            job += &format!("{name} 1\n{name}-ops 20\n");
            for option in words {
                job += &format!("{}\n", option.replace('=', " "));
            }
        }
        job
    }

    /// Runs it in a sandbox on this platform.
    ///
    /// # Errors
    /// What went wrong, with all that was said.
    pub fn run(&self, moat: &Path, platform: &str) -> Result<()> {
        let directory = tempfile::Builder::new().prefix("moat-stress-").tempdir().context("create a directory")?;
        let (state, work) = (directory.path().join("state"), directory.path().join("work"));
        for made in [&state, &work] {
            fs::create_dir(made).with_context(|| format!("create {}", made.display()))?;
        }
        // For an ordinary user, who also has to get there.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).context("open the directory")?;
        fs::set_permissions(&work, Permissions::from_mode(0o777)).context("open the directory")?;
        let (job, said) = (directory.path().join("job"), directory.path().join("said"));
        fs::write(&job, self.job()).context("write the job")?;
        let output = File::create(&said).context("create a file for the output")?;
        let log = directory.path().join("log");
        let mut command = Command::new(moat);
        command.arg("--root").arg(&state).arg("--debug-log").arg(&log);
        command.args(["--platform", platform, "do", "--no-tty", "--network=none"]);
        command.arg("--volume").arg(volume(&work, "")).arg("--volume").arg(volume(&job, ":ro"));
        command.arg("--cwd").arg(&work).arg("--").args(self.starter).arg(&job);
        command.stdin(Stdio::null()).stdout(output.try_clone().context("share the output")?).stderr(output);
        let mut child = command.process_group(0).spawn().context("start moat")?;
        let id = format!("do-{}", child.id());
        let ending = run::wait(&mut child, TIMEOUT)?;
        if ending == Ending::Timeout {
            let mut delete = Command::new(moat);
            delete.arg("--root").arg(&state).args(["delete", "--force", &id]);
            delete.output().context("delete the sandbox")?;
        }
        let mut said = fs::read_to_string(&said).context("read the output")?;
        said += &fs::read_to_string(&log).unwrap_or_default();
        let complaint = said.lines().find(|line| COMPLAINTS.iter().any(|c| line.contains(c)));
        ensure!(
            ending == Ending::Status(0) && complaint.is_none(),
            "{ending}; {}\n{said}",
            complaint.unwrap_or_default()
        );
        for made in [&state, &work] {
            let left: Vec<_> =
                fs::read_dir(made).context("look for what is left")?.flatten().map(|e| e.path()).collect();
            ensure!(left.is_empty(), "left behind: {left:?}");
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = process::holding(&directory.path().to_string_lossy());
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("left behind: {left:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A path of the host, visible as the same inside.
fn volume(path: &Path, options: &str) -> String {
    format!("{path}:{path}{options}", path = path.display())
}
