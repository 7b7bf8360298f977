//! The one table of all system calls. From it come the dispatch, the tracer's decoder, the compatibility page and the
//! shapes of arguments.

#[allow(clippy::wildcard_imports, reason = "the table names most types there are")]
use super::arguments::*;
use super::macros::syscalls;
use crate::Result;
use crate::kernel::Current;
use crate::trace::show::{Show, View};
use crate::trace::views::{self, control, events, files, memory, process, signals, sockets, time};
use moat_abi::capability::CapUserHeader;
use moat_abi::epoll::EpollEvent;
use moat_abi::errno::Errno;
use moat_abi::fcntl::{AtFlags, FallocateFlags, OpenFlags, OpenHow, RenameFlags};
use moat_abi::mman::{MapFlags, MemfdFlags, MremapFlags, MsyncFlags, Prot};
use moat_abi::mount::MountFlags;
use moat_abi::resource::{Rlimit, Rusage};
use moat_abi::sched::{CloneArgs, CloneFlags, SchedParam};
use moat_abi::signal::{RawSigAction, SigAltStack, SigEvent, SigInfo, SigSet};
use moat_abi::socket::MsgFlags;
use moat_abi::stat::{Stat, Statfs, Statx};
use moat_abi::system::{SysInfo, UtsName};
use moat_abi::time::{Itimerspec, Itimerval, Timespec, Timeval, Tms};
use moat_platform::{Ahead, AheadTable};

/// A call that is there.
pub struct Call {
    /// Its number.
    pub number: u64,
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: &'static [Parameter],
    /// The type of its result.
    pub result: &'static str,
    /// Writes a result that is no error.
    pub show_result: fn(u64, &mut Show<'_>),
}

/// An argument of a call.
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type, or the view that says more than the type.
    pub kind: &'static str,
    /// Which memory it names.
    pub shape: Shape,
    /// See [`View`].
    pub late: bool,
    /// See [`View`].
    pub optional: bool,
    /// See [`View`].
    pub remembered: usize,
    /// See [`View`].
    pub show: fn(u64, &mut Show<'_>),
    /// See [`View`].
    pub show_behind: fn(u64, &mut Show<'_>),
}

/// The places in [`CALLS`] by number, one more than that; 0 for numbers without a call.
const INDEX: [u16; NUMBERS] = {
    let mut index = [0; NUMBERS];
    let mut i = 0;
    while i < CALLS.len() {
        index[CALLS[i].number as usize] = i as u16 + 1;
        i += 1;
    }
    index
};

/// More than the highest number.
pub const NUMBERS: usize = 512;

/// The call of this number, if it is there.
pub fn call(number: u64) -> Option<&'static Call> {
    let place = INDEX.get(usize::try_from(number).ok()?)?;
    CALLS.get(usize::from(*place).checked_sub(1)?)
}

/// What the platform may copy of the memory that each call reads, before it is handed over.
pub const fn ahead() -> AheadTable {
    let mut table = [Ahead(0); NUMBERS];
    let mut i = 0;
    while i < CALLS.len() {
        let call = &CALLS[i];
        let mut j = 0;
        while j < call.arguments.len() {
            let ahead = &mut table[call.number as usize];
            match call.arguments[j].shape {
                Shape::String => *ahead = ahead.with_argument(j),
                Shape::Read(size) | Shape::ReadWrite(size) if size <= Ahead::ARGUMENT => {
                    *ahead = ahead.with_argument(j);
                }
                Shape::ReadBytes(2) if j == 1 => *ahead = ahead.with_buffer(),
                _ => {}
            }
            j += 1;
        }
        i += 1;
    }
    table
}

/// Whether these bytes lie in what the call writes for its caller alone.
pub fn writes(number: u64, arguments: &[u64; 6], at: u64, len: usize) -> bool {
    let Some(call) = call(number) else { return false };
    call.arguments.iter().zip(arguments).any(|(parameter, &start)| {
        let size = match parameter.shape {
            Shape::Write(size) | Shape::ReadWrite(size) => size as u64,
            Shape::WriteBytes(length) => arguments.get(length).copied().unwrap_or(0),
            _ => return false,
        };
        at.checked_sub(start).and_then(|skipped| skipped.checked_add(len as u64)).is_some_and(|end| end <= size)
    })
}

syscalls! {
    0 read(fd: Fd, buffer: OutBytes<2>, count: usize) -> usize = wait file::read;
    1 write(fd: Fd, buffer: InBytes<2>, count: usize) -> usize = wait file::write;
    2 open(path: UserPath, flags: OpenFlags, mode: ModeBits as files::CreateMode<1>) -> Fd = wait open::open;
    3 close(fd: Fd) -> () = call descriptors::close;
    4 stat(path: UserPath, out: Out<Stat>) -> () = call stat::stat;
    5 fstat(fd: Fd, out: Out<Stat>) -> () = call stat::fstat;
    6 lstat(path: UserPath, out: Out<Stat>) -> () = call stat::lstat;
    7 poll(fds: UserOpaque as events::PollFds, count: u32, timeout: i32) -> u64 = wait poll::poll;
    8 lseek(fd: Fd, offset: i64, whence: i32 as files::Whence) -> u64 = call file::lseek;
    9 mmap(address: Address, len: u64, prot: Prot, flags: MapFlags, fd: Fd, offset: u64 as views::Hex) -> Address = wait memory::mmap;
    10 mprotect(address: Address, len: u64, prot: Prot) -> () = wait memory::mprotect;
    11 munmap(address: Address, len: u64) -> () = wait memory::munmap;
    12 brk(address: Address) -> Address = wait memory::brk;
    13 rt_sigaction(signal: SignalNumber, new: In<RawSigAction>, old: Out<RawSigAction>, size: usize) -> () = call signals::rt_sigaction;
    14 rt_sigprocmask(how: i32 as signals::MaskChange, set: In<SigSet>, old: Out<SigSet>, size: usize) -> () = call signals::rt_sigprocmask;
    15 rt_sigreturn() -> Replaced = call signals::rt_sigreturn;
    16 ioctl(fd: Fd, command: u32 as control::IoctlCommand, argument: u64 as control::IoctlArgument) -> u64 = call ioctl::ioctl;
    17 pread64(fd: Fd, buffer: OutBytes<2>, count: usize, offset: i64) -> usize = wait file::pread64;
    18 pwrite64(fd: Fd, buffer: InBytes<2>, count: usize, offset: i64) -> usize = wait file::pwrite64;
    19 readv(fd: Fd, vector: UserOpaque as memory::VectorOut<2>, count: usize) -> usize = wait file::readv;
    20 writev(fd: Fd, vector: UserOpaque as memory::VectorIn<2>, count: usize) -> usize = wait file::writev;
    21 access(path: UserPath, mode: u32 as files::AccessMode) -> () = call stat::access;
    22 pipe(out: Out<[i32; 2]>) -> () = call pipes::pipe;
    23 select(count: i32, input: UserOpaque as events::FdSet<1>, output: UserOpaque as events::FdSet<2>, other: UserOpaque as events::FdSet<3>, timeout: InOut<Timeval> as events::SelectTimeout) -> u64 = wait poll::select;
    24 sched_yield() -> () = call sched::sched_yield;
    25 mremap(old: Address, old_len: u64, new_len: u64, flags: MremapFlags, new: Address) -> Address = wait memory::mremap;
    26 msync(address: Address, len: u64, flags: MsyncFlags) -> () = call memory::msync;
    27 mincore(address: Address, len: u64, vector: OutBytes<1> as memory::Residency) -> () = call memory::mincore;
    28 madvise(address: Address, len: u64, advice: i32 as memory::Advice) -> () = wait memory::madvise;
    32 dup(fd: Fd) -> Fd = call descriptors::dup;
    33 dup2(old: Fd, new: Fd) -> Fd = call descriptors::dup2;
    34 pause() -> () = wait signals::pause;
    35 nanosleep(time: In<Timespec>, remainder: Out<Timespec> as time::Remainder) -> () = wait clock::nanosleep;
    36 getitimer(which: i32 as time::IntervalTimer, out: Out<Itimerval>) -> () = call timers::getitimer;
    37 alarm(seconds: u32) -> u64 = call timers::alarm;
    38 setitimer(which: i32 as time::IntervalTimer, new: In<Itimerval>, old: Out<Itimerval>) -> () = call timers::setitimer;
    39 getpid() -> u32 = call identity::getpid;
    40 sendfile(to: Fd, from: Fd, offset: InOut<i64> as files::Offset, count: usize) -> usize = wait file::sendfile;
    41 socket(family: i32 as sockets::Domain, kind: u32 as sockets::SocketType, protocol: i32 as sockets::Protocol) -> Fd = call socket::socket;
    42 connect(socket: Fd, address: UserOpaque as sockets::AddressIn<2>, length: u32) -> () = wait socket::connect;
    43 accept(socket: Fd, address: UserOpaque as sockets::AddressOut<2>, length: UserOpaque as views::Length) -> Fd = wait socket::accept;
    44 sendto(socket: Fd, buffer: InBytes<2>, count: usize, flags: MsgFlags, address: UserOpaque as sockets::AddressIn<5>, length: u32) -> usize = wait sendrecv::sendto;
    45 recvfrom(socket: Fd, buffer: OutBytes<2>, count: usize, flags: MsgFlags, address: UserOpaque as sockets::AddressOut<5>, length: UserOpaque as views::Length) -> usize = wait sendrecv::recvfrom;
    46 sendmsg(socket: Fd, message: UserOpaque as sockets::MessageIn, flags: MsgFlags) -> usize = wait sendrecv::sendmsg;
    47 recvmsg(socket: Fd, message: UserOpaque as sockets::MessageOut, flags: MsgFlags) -> usize = wait sendrecv::recvmsg;
    48 shutdown(socket: Fd, how: i32 as sockets::ShutdownHow) -> () = call socket::shutdown;
    49 bind(socket: Fd, address: UserOpaque as sockets::AddressIn<2>, length: u32) -> () = call socket::bind;
    50 listen(socket: Fd, backlog: u32) -> () = call socket::listen;
    51 getsockname(socket: Fd, address: UserOpaque as sockets::AddressOut<2>, length: UserOpaque as views::Length) -> () = call socket::getsockname;
    52 getpeername(socket: Fd, address: UserOpaque as sockets::AddressOut<2>, length: UserOpaque as views::Length) -> () = call socket::getpeername;
    53 socketpair(family: i32 as sockets::Domain, kind: u32 as sockets::SocketType, protocol: i32 as sockets::Protocol, fds: UserOpaque as views::Made<[i32; 2]>) -> () = call socket::socketpair;
    54 setsockopt(socket: Fd, level: i32 as sockets::SocketLevel, name: i32 as sockets::SocketOption, value: UserOpaque as sockets::OptionIn, length: i32) -> () = call sockopt::setsockopt;
    55 getsockopt(socket: Fd, level: i32 as sockets::SocketLevel, name: i32 as sockets::SocketOption, value: UserOpaque as sockets::OptionOut, length: UserOpaque as views::Length) -> () = call sockopt::getsockopt;
    56 clone(flags: CloneFlags as process::CloneWord, stack: Address as process::Elsewhere, parent_tid: UserOpaque as process::CloneParentTid, child_tid: UserOpaque as process::Elsewhere, tls: Address as process::CloneTls) -> u32 = wait process::clone;
    57 fork() -> u32 = wait process::fork;
    58 vfork() -> u32 = wait process::vfork;
    59 execve(path: UserPath, argv: UserStrings, envp: UserStrings as process::Environment) -> Replaced = wait exec::execve;
    60 exit(status: u32 as views::Signed) -> () = call process::exit;
    61 wait4(pid: Pid, status: Out<u32> as process::Status, options: u32 as process::Wait4Options, usage: Out<Rusage>) -> u32 = wait wait::wait4;
    62 kill(pid: Pid, signal: SignalNumber) -> () = call signals::kill;
    63 uname(out: Out<UtsName>) -> () = call system::uname;
    72 fcntl(fd: Fd, command: i32 as control::FcntlCommand, argument: u64 as control::FcntlArgument) -> u64 as control::FcntlResult = wait descriptors::fcntl;
    73 flock(fd: Fd, operation: i32 as files::FlockOperation) -> () = wait locks::flock;
    74 fsync(fd: Fd) -> () = call file::fsync;
    75 fdatasync(fd: Fd) -> () = call file::fdatasync;
    76 truncate(path: UserPath, length: i64) -> () = call stat::truncate;
    77 ftruncate(fd: Fd, length: i64) -> () = call file::ftruncate;
    78 getdents(fd: Fd, buffer: OutBytes<2> as files::Entries, size: u32) -> usize = call directories::getdents;
    79 getcwd(buffer: OutBytes<1> as files::PathOut, size: usize) -> usize = call directories::getcwd;
    80 chdir(path: UserPath) -> () = call directories::chdir;
    81 fchdir(fd: Fd) -> () = call directories::fchdir;
    82 rename(old: UserPath, new: UserPath) -> () = call links::rename;
    83 mkdir(path: UserPath, mode: ModeBits) -> () = call directories::mkdir;
    84 rmdir(path: UserPath) -> () = call directories::rmdir;
    85 creat(path: UserPath, mode: ModeBits) -> Fd = wait open::creat;
    86 link(old: UserPath, new: UserPath) -> () = call links::link;
    87 unlink(path: UserPath) -> () = call links::unlink;
    88 symlink(target: UserPath, path: UserPath) -> () = call links::symlink;
    89 readlink(path: UserPath, buffer: OutBytes<2>, size: i32) -> usize = call links::readlink;
    90 chmod(path: UserPath, mode: ModeBits) -> () = call stat::chmod;
    91 fchmod(fd: Fd, mode: ModeBits) -> () = call stat::fchmod;
    92 chown(path: UserPath, uid: u32 as views::Id, gid: u32 as views::Id) -> () = call stat::chown;
    93 fchown(fd: Fd, uid: u32 as views::Id, gid: u32 as views::Id) -> () = call stat::fchown;
    94 lchown(path: UserPath, uid: u32 as views::Id, gid: u32 as views::Id) -> () = call stat::lchown;
    95 umask(mask: ModeBits) -> u32 as views::Octal = call stat::umask;
    96 gettimeofday(out: Out<Timeval>, zone: Out<[i32; 2]>) -> () = call clock::gettimeofday;
    97 getrlimit(resource: u32 as process::Resource, out: Out<Rlimit>) -> () = call system::getrlimit;
    98 getrusage(who: i32 as process::UsageOf, out: Out<Rusage>) -> () = call system::getrusage;
    99 sysinfo(out: Out<SysInfo>) -> () = call system::sysinfo;
    100 times(out: Out<Tms>) -> i64 = call clock::times;
    102 getuid() -> u32 = call credentials::getuid;
    104 getgid() -> u32 = call credentials::getgid;
    105 setuid(uid: u32) -> () = call credentials::setuid;
    106 setgid(gid: u32) -> () = call credentials::setgid;
    107 geteuid() -> u32 = call credentials::geteuid;
    108 getegid() -> u32 = call credentials::getegid;
    109 setpgid(pid: Pid, group: Pid) -> () = call identity::setpgid;
    110 getppid() -> u32 = call identity::getppid;
    111 getpgrp() -> u32 = call identity::getpgrp;
    112 setsid() -> u32 = call identity::setsid;
    113 setreuid(real: u32 as views::Id, effective: u32 as views::Id) -> () = call credentials::setreuid;
    114 setregid(real: u32 as views::Id, effective: u32 as views::Id) -> () = call credentials::setregid;
    115 getgroups(size: i32, list: UserOpaque as views::NumbersOut) -> usize = call credentials::getgroups;
    116 setgroups(size: usize, list: UserOpaque as views::Numbers<0>) -> () = call credentials::setgroups;
    117 setresuid(real: u32 as views::Id, effective: u32 as views::Id, saved: u32 as views::Id) -> () = call credentials::setresuid;
    118 getresuid(real: Out<u32>, effective: Out<u32>, saved: Out<u32>) -> () = call credentials::getresuid;
    119 setresgid(real: u32 as views::Id, effective: u32 as views::Id, saved: u32 as views::Id) -> () = call credentials::setresgid;
    120 getresgid(real: Out<u32>, effective: Out<u32>, saved: Out<u32>) -> () = call credentials::getresgid;
    121 getpgid(pid: Pid) -> u32 = call identity::getpgid;
    122 setfsuid(uid: u32 as views::Id) -> u32 = call credentials::setfsuid;
    123 setfsgid(gid: u32 as views::Id) -> u32 = call credentials::setfsgid;
    124 getsid(pid: Pid) -> u32 = call identity::getsid;
    125 capget(header: InOut<CapUserHeader> as process::CapabilityHeader, data: UserOpaque as process::CapabilitiesOut) -> () = call credentials::capget;
    126 capset(header: InOut<CapUserHeader> as process::CapabilityHeader, data: UserOpaque as process::CapabilitiesIn) -> () = call credentials::capset;
    127 rt_sigpending(out: Out<SigSet>, size: usize) -> () = call signals::rt_sigpending;
    128 rt_sigtimedwait(set: In<SigSet>, out: Out<SigInfo>, timeout: In<Timespec>, size: usize) -> i32 = wait signals::rt_sigtimedwait;
    129 rt_sigqueueinfo(pid: Pid, signal: SignalNumber, info: In<SigInfo>) -> () = call signals::rt_sigqueueinfo;
    130 rt_sigsuspend(set: In<SigSet>, size: usize) -> () = wait signals::rt_sigsuspend;
    131 sigaltstack(new: In<SigAltStack>, old: Out<SigAltStack>) -> () = call signals::sigaltstack;
    132 utime(path: UserPath, times: In<[i64; 2]>) -> () = call stat::utime;
    133 mknod(path: UserPath, mode: ModeBits as files::NodeMode, device: u32 as files::Device<1>) -> () = call links::mknod;
    135 personality(persona: u32 as views::Hex) -> u64 = call prctl::personality;
    137 statfs(path: UserPath, out: Out<Statfs>) -> () = call stat::statfs;
    138 fstatfs(fd: Fd, out: Out<Statfs>) -> () = call stat::fstatfs;
    140 getpriority(which: i32 as process::PriorityOf, who: i32) -> i32 = call sched::getpriority;
    141 setpriority(which: i32 as process::PriorityOf, who: i32, nice: i32) -> () = call sched::setpriority;
    142 sched_setparam(pid: Pid, param: In<SchedParam>) -> () = call sched::sched_setparam;
    143 sched_getparam(pid: Pid, param: Out<SchedParam>) -> () = call sched::sched_getparam;
    144 sched_setscheduler(pid: Pid, policy: i32 as process::Policy, param: In<SchedParam>) -> () = call sched::sched_setscheduler;
    145 sched_getscheduler(pid: Pid) -> i32 = call sched::sched_getscheduler;
    146 sched_get_priority_max(policy: i32 as process::Policy) -> i32 = call sched::sched_get_priority_max;
    147 sched_get_priority_min(policy: i32 as process::Policy) -> i32 = call sched::sched_get_priority_min;
    148 sched_rr_get_interval(pid: Pid, out: Out<Timespec>) -> () = call sched::sched_rr_get_interval;
    149 mlock(address: Address, len: u64) -> () = wait memory::mlock;
    150 munlock(address: Address, len: u64) -> () = wait memory::munlock;
    151 mlockall(flags: u32 as memory::LockAllFlags) -> () = call memory::mlockall;
    152 munlockall() -> () = call memory::munlockall;
    157 prctl(option: i32 as control::PrctlOption, a2: u64 as control::PrctlArgument<1>, a3: u64 as control::PrctlArgument<2>, a4: u64 as control::PrctlArgument<3>, a5: u64 as control::PrctlArgument<4>) -> u64 = call prctl::prctl;
    158 arch_prctl(code: i32 as control::ArchOption, address: Address as control::ArchArgument) -> () = call prctl::arch_prctl;
    160 setrlimit(resource: u32 as process::Resource, new: In<Rlimit>) -> () = call system::setrlimit;
    161 chroot(path: UserPath) -> () = call directories::chroot;
    162 sync() -> () = call file::sync;
    164 settimeofday(time: In<Timeval>, zone: UserOpaque) -> () = call clock::settimeofday;
    165 mount(source: UserString, target: UserPath, fstype: UserString, flags: MountFlags, data: UserOpaque as views::Text) -> () = call mount::mount;
    166 umount2(target: UserPath, flags: u32 as files::UnmountFlags) -> () = call mount::umount2;
    170 sethostname(name: InBytes<1>, len: i32) -> () = call system::sethostname;
    171 setdomainname(name: InBytes<1>, len: i32) -> () = call system::setdomainname;
    186 gettid() -> u32 = call identity::gettid;
    187 readahead(fd: Fd, offset: i64, count: usize) -> () = call file::readahead;
    188 setxattr(path: UserPath, name: UserString, value: InBytes<3>, size: usize, flags: u32 as files::XattrFlags) -> () = call xattr::setxattr;
    189 lsetxattr(path: UserPath, name: UserString, value: InBytes<3>, size: usize, flags: u32 as files::XattrFlags) -> () = call xattr::lsetxattr;
    190 fsetxattr(fd: Fd, name: UserString, value: InBytes<3>, size: usize, flags: u32 as files::XattrFlags) -> () = call xattr::fsetxattr;
    191 getxattr(path: UserPath, name: UserString, value: OutBytes<3>, size: usize) -> usize = call xattr::getxattr;
    192 lgetxattr(path: UserPath, name: UserString, value: OutBytes<3>, size: usize) -> usize = call xattr::lgetxattr;
    193 fgetxattr(fd: Fd, name: UserString, value: OutBytes<3>, size: usize) -> usize = call xattr::fgetxattr;
    194 listxattr(path: UserPath, buffer: OutBytes<2>, size: usize) -> usize = call xattr::listxattr;
    195 llistxattr(path: UserPath, buffer: OutBytes<2>, size: usize) -> usize = call xattr::llistxattr;
    196 flistxattr(fd: Fd, buffer: OutBytes<2>, size: usize) -> usize = call xattr::flistxattr;
    197 removexattr(path: UserPath, name: UserString) -> () = call xattr::removexattr;
    198 lremovexattr(path: UserPath, name: UserString) -> () = call xattr::lremovexattr;
    199 fremovexattr(fd: Fd, name: UserString) -> () = call xattr::fremovexattr;
    200 tkill(tid: Pid, signal: SignalNumber) -> () = call signals::tkill;
    201 time(out: Out<i64>) -> i64 = call clock::time;
    202 futex(address: Address, operation: u32 as process::FutexOperation, value: u32 as process::FutexValue, timeout: u64 as process::FutexTimeout, second: Address as process::FutexSecond, value3: u32 as process::FutexThird) -> u64 = wait futex::futex;
    203 sched_setaffinity(pid: Pid, size: usize, mask: UserOpaque as process::CpuMask) -> () = call sched::sched_setaffinity;
    204 sched_getaffinity(pid: Pid, size: usize, mask: OutBytes<1> as process::CpuMaskOut) -> usize = call sched::sched_getaffinity;
    213 epoll_create(size: i32) -> Fd = call epoll::epoll_create;
    217 getdents64(fd: Fd, buffer: OutBytes<2> as files::Entries, size: u32) -> usize = call directories::getdents64;
    218 set_tid_address(address: Address) -> u32 = call process::set_tid_address;
    219 restart_syscall() -> u64 = wait signals::restart_syscall;
    221 fadvise64(fd: Fd, offset: i64, length: i64, advice: i32 as files::FileAdvice) -> () = call file::fadvise64;
    222 timer_create(clock: i32 as time::Clock, event: In<SigEvent>, out: Out<i32>) -> () = call timers::timer_create;
    223 timer_settime(id: i32, flags: u32 as time::TimerFlags, new: In<Itimerspec>, old: Out<Itimerspec>) -> () = call timers::timer_settime;
    224 timer_gettime(id: i32, out: Out<Itimerspec>) -> () = call timers::timer_gettime;
    225 timer_getoverrun(id: i32) -> i32 = call timers::timer_getoverrun;
    226 timer_delete(id: i32) -> () = call timers::timer_delete;
    227 clock_settime(clock: i32 as time::Clock, time: In<Timespec>) -> () = call clock::clock_settime;
    228 clock_gettime(clock: i32 as time::Clock, out: Out<Timespec>) -> () = call clock::clock_gettime;
    229 clock_getres(clock: i32 as time::Clock, out: Out<Timespec>) -> () = call clock::clock_getres;
    230 clock_nanosleep(clock: i32 as time::Clock, flags: u32 as time::TimerFlags, time: In<Timespec>, remainder: Out<Timespec> as time::Remainder) -> () = wait clock::clock_nanosleep;
    231 exit_group(status: u32 as views::Signed) -> () = call process::exit_group;
    232 epoll_wait(epfd: Fd, events: UserOpaque as events::EpollEvents, limit: i32, timeout: i32) -> usize = wait epoll::epoll_wait;
    233 epoll_ctl(epfd: Fd, operation: i32 as events::EpollOperation, fd: Fd, event: In<EpollEvent> as events::EpollChange) -> () = call epoll::epoll_ctl;
    234 tgkill(pid: Pid, tid: Pid, signal: SignalNumber) -> () = call signals::tgkill;
    235 utimes(path: UserPath, times: In<[Timeval; 2]> as time::FileTimesMicro) -> () = call stat::utimes;
    247 waitid(kind: u32 as process::IdKind, id: Pid, info: Out<SigInfo> as process::Waited, options: u32 as process::WaitOptions, usage: Out<Rusage>) -> () = wait wait::waitid;
    253 inotify_init() -> Fd = call inotify::inotify_init;
    254 inotify_add_watch(fd: Fd, path: UserPath, mask: u32 as files::InotifyMask) -> i32 = call inotify::inotify_add_watch;
    255 inotify_rm_watch(fd: Fd, wd: i32) -> () = call inotify::inotify_rm_watch;
    257 openat(dirfd: DirFd, path: UserPath, flags: OpenFlags, mode: ModeBits as files::CreateMode<2>) -> Fd = wait open::openat;
    258 mkdirat(dirfd: DirFd, path: UserPath, mode: ModeBits) -> () = call directories::mkdirat;
    259 mknodat(dirfd: DirFd, path: UserPath, mode: ModeBits as files::NodeMode, device: u32 as files::Device<2>) -> () = call links::mknodat;
    260 fchownat(dirfd: DirFd, path: UserPath, uid: u32 as views::Id, gid: u32 as views::Id, flags: AtFlags) -> () = call stat::fchownat;
    261 futimesat(dirfd: DirFd, path: UserPath, times: In<[Timeval; 2]> as time::FileTimesMicro) -> () = call stat::futimesat;
    262 newfstatat(dirfd: DirFd, path: UserPath, out: Out<Stat>, flags: AtFlags) -> () = call stat::newfstatat;
    263 unlinkat(dirfd: DirFd, path: UserPath, flags: AtFlags as files::UnlinkFlags) -> () = call links::unlinkat;
    264 renameat(old_dirfd: DirFd, old: UserPath, new_dirfd: DirFd, new: UserPath) -> () = call links::renameat;
    265 linkat(old_dirfd: DirFd, old: UserPath, new_dirfd: DirFd, new: UserPath, flags: AtFlags) -> () = call links::linkat;
    266 symlinkat(target: UserPath, dirfd: DirFd, path: UserPath) -> () = call links::symlinkat;
    267 readlinkat(dirfd: DirFd, path: UserPath, buffer: OutBytes<3>, size: i32) -> usize = call links::readlinkat;
    268 fchmodat(dirfd: DirFd, path: UserPath, mode: ModeBits) -> () = call stat::fchmodat;
    269 faccessat(dirfd: DirFd, path: UserPath, mode: u32 as files::AccessMode) -> () = call stat::faccessat;
    270 pselect6(count: i32, input: UserOpaque as events::FdSet<1>, output: UserOpaque as events::FdSet<2>, other: UserOpaque as events::FdSet<3>, timeout: InOut<Timespec> as events::PollTimeout, mask: In<[u64; 2]> as signals::MaskWithSize) -> u64 = wait poll::pselect6;
    271 ppoll(fds: UserOpaque as events::PollFds, count: u32, timeout: InOut<Timespec> as events::PollTimeout, mask: In<SigSet>, size: usize) -> u64 = wait poll::ppoll;
    272 unshare(flags: CloneFlags) -> () = call process::unshare;
    273 set_robust_list(head: Address, size: usize) -> () = call futex::set_robust_list;
    274 get_robust_list(pid: Pid, head: Out<u64>, size: Out<u64>) -> () = call futex::get_robust_list;
    275 splice(from: Fd, from_offset: InOut<i64> as files::Offset, to: Fd, to_offset: InOut<i64> as files::Offset, count: usize, flags: u32 as files::SpliceFlags) -> usize = wait pipes::splice;
    276 tee(from: Fd, to: Fd, count: usize, flags: u32 as files::SpliceFlags) -> usize = wait pipes::tee;
    277 sync_file_range(fd: Fd, offset: i64, bytes: i64, flags: u32 as files::SyncRangeFlags) -> () = call file::sync_file_range;
    278 vmsplice(fd: Fd, vector: UserOpaque as memory::VectorIn<2>, count: usize, flags: u32 as files::SpliceFlags) -> usize = wait pipes::vmsplice;
    280 utimensat(dirfd: DirFd, path: UserPath, times: In<[Timespec; 2]> as time::FileTimes, flags: AtFlags) -> () = call stat::utimensat;
    281 epoll_pwait(epfd: Fd, events: UserOpaque as events::EpollEvents, limit: i32, timeout: i32, mask: In<SigSet>, size: usize) -> usize = wait epoll::epoll_pwait;
    282 signalfd(fd: Fd, mask: In<SigSet>, size: usize) -> Fd = call event::signalfd;
    283 timerfd_create(clock: i32 as time::Clock, flags: OpenFlags as files::TimerFdFlags) -> Fd = call event::timerfd_create;
    284 eventfd(count: u32) -> Fd = call event::eventfd;
    285 fallocate(fd: Fd, flags: FallocateFlags, offset: i64, length: i64) -> () = call file::fallocate;
    286 timerfd_settime(fd: Fd, flags: u32 as time::TimerFdFlags, new: In<Itimerspec>, old: Out<Itimerspec>) -> () = call event::timerfd_settime;
    287 timerfd_gettime(fd: Fd, out: Out<Itimerspec>) -> () = call event::timerfd_gettime;
    288 accept4(socket: Fd, address: UserOpaque as sockets::AddressOut<2>, length: UserOpaque as views::Length, flags: u32 as sockets::SocketFlags) -> Fd = wait socket::accept4;
    289 signalfd4(fd: Fd, mask: In<SigSet>, size: usize, flags: OpenFlags as files::SignalFdFlags) -> Fd = call event::signalfd4;
    290 eventfd2(count: u32, flags: u32 as files::EventFdFlags) -> Fd = call event::eventfd2;
    291 epoll_create1(flags: OpenFlags as events::EpollFlags) -> Fd = call epoll::epoll_create1;
    292 dup3(old: Fd, new: Fd, flags: OpenFlags as files::DescriptorFlags) -> Fd = call descriptors::dup3;
    293 pipe2(out: Out<[i32; 2]>, flags: OpenFlags as files::DescriptorFlags) -> () = call pipes::pipe2;
    294 inotify_init1(flags: OpenFlags as files::InotifyFlags) -> Fd = call inotify::inotify_init1;
    295 preadv(fd: Fd, vector: UserOpaque as memory::VectorOut<2>, count: usize, offset: i64, high: u64) -> usize = wait file::preadv;
    296 pwritev(fd: Fd, vector: UserOpaque as memory::VectorIn<2>, count: usize, offset: i64, high: u64) -> usize = wait file::pwritev;
    297 rt_tgsigqueueinfo(pid: Pid, tid: Pid, signal: SignalNumber, info: In<SigInfo>) -> () = call signals::rt_tgsigqueueinfo;
    299 recvmmsg(socket: Fd, messages: UserOpaque as sockets::Messages, count: u32, flags: MsgFlags, limit: InOut<Timespec>) -> usize = wait sendrecv::recvmmsg;
    302 prlimit64(pid: Pid, resource: u32 as process::Resource, new: In<Rlimit>, old: Out<Rlimit>) -> () = call system::prlimit64;
    306 syncfs(fd: Fd) -> () = call file::syncfs;
    307 sendmmsg(socket: Fd, messages: UserOpaque as sockets::Messages, count: u32, flags: MsgFlags) -> usize = wait sendrecv::sendmmsg;
    309 getcpu(cpu: Out<u32>, node: Out<u32>) -> () = call process::getcpu;
    310 process_vm_readv(pid: Pid, local: UserOpaque as memory::VectorOut<2>, local_count: usize, remote: UserOpaque as memory::VectorOfAddresses<4>, remote_count: usize, flags: u64) -> usize = call memory::process_vm_readv;
    311 process_vm_writev(pid: Pid, local: UserOpaque as memory::VectorIn<2>, local_count: usize, remote: UserOpaque as memory::VectorOfAddresses<4>, remote_count: usize, flags: u64) -> usize = call memory::process_vm_writev;
    312 kcmp(pid1: Pid, pid2: Pid, kind: i32 as process::Comparison, idx1: u64, idx2: u64) -> u64 = call process::kcmp;
    316 renameat2(old_dirfd: DirFd, old: UserPath, new_dirfd: DirFd, new: UserPath, flags: RenameFlags) -> () = call links::renameat2;
    317 seccomp(operation: u32 as control::SeccompOperation, flags: u32 as control::SeccompFlags, argument: UserOpaque as control::SeccompArgument) -> u64 = call seccomp::seccomp;
    318 getrandom(buffer: OutBytes<1> as process::RandomBytes, size: usize, flags: u32 as process::RandomFlags) -> usize = call system::getrandom;
    319 memfd_create(name: UserString, flags: MemfdFlags) -> Fd = call memfd::memfd_create;
    322 execveat(dirfd: DirFd, path: UserPath, argv: UserStrings, envp: UserStrings as process::Environment, flags: AtFlags) -> Replaced = wait exec::execveat;
    325 mlock2(address: Address, len: u64, flags: u32 as memory::LockFlags) -> () = wait memory::mlock2;
    326 copy_file_range(from: Fd, from_offset: InOut<i64> as files::Offset, to: Fd, to_offset: InOut<i64> as files::Offset, count: usize, flags: u32) -> usize = wait file::copy_file_range;
    327 preadv2(fd: Fd, vector: UserOpaque as memory::VectorOut<2>, count: usize, offset: i64, high: u64, flags: u32 as files::ReadWriteFlags) -> usize = wait file::preadv2;
    328 pwritev2(fd: Fd, vector: UserOpaque as memory::VectorIn<2>, count: usize, offset: i64, high: u64, flags: u32 as files::ReadWriteFlags) -> usize = wait file::pwritev2;
    329 pkey_mprotect(address: Address, len: u64, prot: Prot, key: i32) -> () = wait memory::pkey_mprotect;
    332 statx(dirfd: DirFd, path: UserPath, flags: AtFlags, mask: u32 as files::StatxMask, out: Out<Statx>) -> () = call stat::statx;
    424 pidfd_send_signal(pidfd: Fd, signal: SignalNumber, info: In<SigInfo>, flags: u32) -> () = call signals::pidfd_send_signal;
    434 pidfd_open(pid: Pid, flags: OpenFlags as files::PidfdFlags) -> Fd = call process::pidfd_open;
    435 clone3(args: In<CloneArgs>, size: usize) -> u32 = wait process::clone3;
    436 close_range(first: u32, last: u32, flags: u32 as files::CloseRangeFlags) -> () = call descriptors::close_range;
    437 openat2(dirfd: DirFd, path: UserPath, how: In<OpenHow>, size: usize) -> Fd = wait open::openat2;
    438 pidfd_getfd(pidfd: Fd, target: Fd, flags: u32) -> Fd = call process::pidfd_getfd;
    439 faccessat2(dirfd: DirFd, path: UserPath, mode: u32 as files::AccessMode, flags: AtFlags as files::AccessFlags) -> () = call stat::faccessat2;
    441 epoll_pwait2(epfd: Fd, events: UserOpaque as events::EpollEvents, limit: i32, timeout: In<Timespec>, mask: In<SigSet>, size: usize) -> usize = wait epoll::epoll_pwait2;
    452 fchmodat2(dirfd: DirFd, path: UserPath, mode: ModeBits, flags: AtFlags) -> () = call stat::fchmodat2;

    missing {
        29 shmget ENOSYS "not there yet";
        30 shmat ENOSYS "not there yet";
        31 shmctl ENOSYS "not there yet";
        64 semget ENOSYS "not there yet";
        65 semop ENOSYS "not there yet";
        66 semctl ENOSYS "not there yet";
        67 shmdt ENOSYS "not there yet";
        68 msgget ENOSYS "not there yet";
        69 msgsnd ENOSYS "not there yet";
        70 msgrcv ENOSYS "not there yet";
        71 msgctl ENOSYS "not there yet";
        101 ptrace ENOSYS "not there yet";
        103 syslog EPERM "not for a container";
        134 uselib ENOSYS "Linux itself does not have it any more";
        136 ustat ENOSYS "not there yet";
        139 sysfs ENOSYS "not there yet";
        153 vhangup EPERM "not for a container";
        154 modify_ldt ENOSYS "not there yet";
        155 pivot_root EPERM "not for a container";
        156 _sysctl ENOSYS "Linux itself does not have it any more";
        159 adjtimex EPERM "not for a container";
        163 acct EPERM "not for a container";
        167 swapon EPERM "not for a container";
        168 swapoff EPERM "not for a container";
        169 reboot EPERM "not for a container";
        172 iopl EPERM "not for a container";
        173 ioperm EPERM "not for a container";
        174 create_module ENOSYS "Linux itself does not have it any more";
        175 init_module EPERM "not for a container";
        176 delete_module EPERM "not for a container";
        177 get_kernel_syms ENOSYS "Linux itself does not have it any more";
        178 query_module ENOSYS "Linux itself does not have it any more";
        179 quotactl EPERM "not for a container";
        180 nfsservctl ENOSYS "Linux itself does not have it any more";
        181 getpmsg ENOSYS "Linux itself does not have it any more";
        182 putpmsg ENOSYS "Linux itself does not have it any more";
        183 afs_syscall ENOSYS "Linux itself does not have it any more";
        184 tuxcall ENOSYS "Linux itself does not have it any more";
        185 security ENOSYS "Linux itself does not have it any more";
        205 set_thread_area ENOSYS "Linux itself does not have it any more";
        206 io_setup ENOSYS "not there yet";
        207 io_destroy ENOSYS "not there yet";
        208 io_getevents ENOSYS "not there yet";
        209 io_submit ENOSYS "not there yet";
        210 io_cancel ENOSYS "not there yet";
        211 get_thread_area ENOSYS "Linux itself does not have it any more";
        212 lookup_dcookie ENOSYS "Linux itself does not have it any more";
        214 epoll_ctl_old ENOSYS "Linux itself does not have it any more";
        215 epoll_wait_old ENOSYS "Linux itself does not have it any more";
        216 remap_file_pages ENOSYS "not there yet";
        220 semtimedop ENOSYS "not there yet";
        236 vserver ENOSYS "Linux itself does not have it any more";
        237 mbind ENOSYS "not there yet";
        238 set_mempolicy ENOSYS "not there yet";
        239 get_mempolicy ENOSYS "not there yet";
        240 mq_open ENOSYS "not there yet";
        241 mq_unlink ENOSYS "not there yet";
        242 mq_timedsend ENOSYS "not there yet";
        243 mq_timedreceive ENOSYS "not there yet";
        244 mq_notify ENOSYS "not there yet";
        245 mq_getsetattr ENOSYS "not there yet";
        246 kexec_load EPERM "not for a container";
        248 add_key ENOSYS "not there yet";
        249 request_key ENOSYS "not there yet";
        250 keyctl ENOSYS "not there yet";
        251 ioprio_set ENOSYS "not there yet";
        252 ioprio_get ENOSYS "not there yet";
        256 migrate_pages EPERM "not for a container";
        279 move_pages EPERM "not for a container";
        298 perf_event_open EPERM "not for a container";
        300 fanotify_init EPERM "not for a container";
        301 fanotify_mark ENOSYS "not there yet";
        303 name_to_handle_at ENOSYS "not there yet";
        304 open_by_handle_at EPERM "not for a container";
        305 clock_adjtime EPERM "not for a container";
        308 setns EPERM "not for a container";
        313 finit_module EPERM "not for a container";
        314 sched_setattr ENOSYS "not there yet";
        315 sched_getattr ENOSYS "not there yet";
        320 kexec_file_load EPERM "not for a container";
        321 bpf EPERM "not for a container";
        323 userfaultfd EPERM "not for a container";
        324 membarrier ENOSYS "not there yet";
        330 pkey_alloc ENOSYS "not there yet";
        331 pkey_free ENOSYS "not there yet";
        333 io_pgetevents ENOSYS "not there yet";
        334 rseq ENOSYS "not there yet";
        425 io_uring_setup ENOSYS "not there yet";
        426 io_uring_enter ENOSYS "not there yet";
        427 io_uring_register ENOSYS "not there yet";
        428 open_tree ENOSYS "not there yet";
        429 move_mount ENOSYS "not there yet";
        430 fsopen ENOSYS "not there yet";
        431 fsconfig ENOSYS "not there yet";
        432 fsmount ENOSYS "not there yet";
        433 fspick ENOSYS "not there yet";
        440 process_madvise ENOSYS "not there yet";
        442 mount_setattr ENOSYS "not there yet";
        443 quotactl_fd EPERM "not for a container";
        444 landlock_create_ruleset ENOSYS "not there yet";
        445 landlock_add_rule ENOSYS "not there yet";
        446 landlock_restrict_self ENOSYS "not there yet";
        447 memfd_secret ENOSYS "not there yet";
        448 process_mrelease ENOSYS "not there yet";
        449 futex_waitv ENOSYS "not there yet";
        450 set_mempolicy_home_node ENOSYS "not there yet";
        451 cachestat ENOSYS "not there yet";
        453 map_shadow_stack ENOSYS "not there yet";
        454 futex_wake ENOSYS "not there yet";
        455 futex_wait ENOSYS "not there yet";
        456 futex_requeue ENOSYS "not there yet";
        457 statmount ENOSYS "not there yet";
        458 listmount ENOSYS "not there yet";
        459 lsm_get_self_attr ENOSYS "not there yet";
        460 lsm_set_self_attr ENOSYS "not there yet";
        461 lsm_list_modules ENOSYS "not there yet";
        462 mseal ENOSYS "not there yet";
        463 setxattrat ENOSYS "not there yet";
        464 getxattrat ENOSYS "not there yet";
        465 listxattrat ENOSYS "not there yet";
        466 removexattrat ENOSYS "not there yet";
        467 open_tree_attr ENOSYS "not there yet";
        468 file_getattr ENOSYS "not there yet";
        469 file_setattr ENOSYS "not there yet";
    }
}
