//! How structures in application memory look in trace text.

use std::fmt::Write;

use moat_abi::capability::{CapUserData, CapUserHeader, CapabilitySet};
use moat_abi::epoll::EpollEvent;
use moat_abi::fcntl::{OpenFlags, OpenHow, ResolveFlags};
use moat_abi::poll::PollEvents;
use moat_abi::resource::{RLIM_INFINITY, Rlimit, Rusage};
use moat_abi::sched::{CloneArgs, CloneFlags, SchedParam};
use moat_abi::signal::{RawSigAction, SS_DISABLE, SigAltStack, SigEvent, SigInfo, SigSet};
use moat_abi::stat::{FileType, Stat, Statfs, Statx, major, minor};
use moat_abi::system::{SysInfo, UtsName};
use moat_abi::time::{Itimerspec, Itimerval, Timespec, Timeval, Tms, UTIME_NOW, UTIME_OMIT};
use zerocopy::FromBytes;

use super::show::Show;
use super::views::{files, process, signals, time};

/// What an [`In`](crate::syscalls::arguments::In) or [`Out`](crate::syscalls::arguments::Out) may point to.
pub trait Structure: FromBytes {
    /// Writes it.
    fn show(&self, to: &mut Show<'_>);

    /// Writes it as the target of a pointer: numbers stand in brackets then.
    fn show_pointed(&self, to: &mut Show<'_>) {
        self.show(to);
    }
}

macro_rules! numbers {
    ($($ty:ty)*) => { $(impl Structure for $ty {
        fn show(&self, to: &mut Show<'_>) {
            to.put(format_args!("{self}"));
        }
        fn show_pointed(&self, to: &mut Show<'_>) {
            to.put(format_args!("[{self}]"));
        }
    })* };
}
numbers! { i32 u32 i64 u64 }

impl<T: Structure, const N: usize> Structure for [T; N]
where
    [T; N]: FromBytes,
{
    fn show(&self, to: &mut Show<'_>) {
        to.str("[");
        for (i, element) in self.iter().enumerate() {
            if i > 0 {
                to.str(", ");
            }
            element.show(to);
        }
        to.str("]");
    }
}

impl Structure for Timespec {
    fn show(&self, to: &mut Show<'_>) {
        let (seconds, nanoseconds) = (self.tv_sec, self.tv_nsec);
        to.put(format_args!("{{tv_sec={seconds}, tv_nsec={nanoseconds}}}"));
    }
}

/// One of the two times of utimensat.
pub fn show_file_time(time: &Timespec, to: &mut Show<'_>) {
    match time.tv_nsec {
        UTIME_NOW => to.str("UTIME_NOW"),
        UTIME_OMIT => to.str("UTIME_OMIT"),
        _ => {
            time.show(to);
            time::show_date(time.tv_sec, time.tv_nsec, 9, to);
        }
    }
}

impl Structure for Timeval {
    fn show(&self, to: &mut Show<'_>) {
        to.put(format_args!("{{tv_sec={}, tv_usec={}}}", self.tv_sec, self.tv_usec));
    }
}

impl Structure for Itimerspec {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{it_interval=");
        self.it_interval.show(to);
        to.str(", it_value=");
        self.it_value.show(to);
        to.str("}");
    }
}

impl Structure for Itimerval {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{it_interval=");
        self.it_interval.show(to);
        to.str(", it_value=");
        self.it_value.show(to);
        to.str("}");
    }
}

impl Structure for Tms {
    fn show(&self, to: &mut Show<'_>) {
        let fields = [
            ("tms_utime", self.tms_utime),
            ("tms_stime", self.tms_stime),
            ("tms_cutime", self.tms_cutime),
            ("tms_cstime", self.tms_cstime),
        ];
        for (i, (name, ticks)) in fields.into_iter().enumerate() {
            to.put(format_args!("{}{name}=", if i == 0 { "{" } else { ", " }));
            time::show_ticks(ticks, to);
        }
        to.str("}");
    }
}

/// A mode with its type: `S_IFREG|0644`.
pub fn show_mode(mode: u32, to: &mut Show<'_>) {
    let known = FileType::from_bits(mode);
    let name = match known {
        _ if known.bits() != mode & moat_abi::stat::S_IFMT => "",
        FileType::Fifo => "S_IFIFO|",
        FileType::CharDevice => "S_IFCHR|",
        FileType::Directory => "S_IFDIR|",
        FileType::BlockDevice => "S_IFBLK|",
        FileType::Regular => "S_IFREG|",
        FileType::Symlink => "S_IFLNK|",
        FileType::Socket => "S_IFSOCK|",
    };
    to.str(name);
    for (bit, name) in [(0o4000, "S_ISUID|"), (0o2000, "S_ISGID|"), (0o1000, "S_ISVTX|")] {
        if mode & bit != 0 {
            to.str(name);
        }
    }
    to.permissions(mode & 0o777);
}

/// A device number.
pub fn show_device(device: u64, to: &mut Show<'_>) {
    to.str("makedev(");
    to.hex(u64::from(major(device)));
    to.str(", ");
    to.hex(u64::from(minor(device)));
    to.str(")");
}

fn is_device(mode: u32) -> bool {
    matches!(FileType::from_bits(mode), FileType::CharDevice | FileType::BlockDevice)
}

impl Structure for Stat {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{st_mode=");
        show_mode(self.st_mode, to);
        if is_device(self.st_mode) {
            to.str(", st_rdev=");
            show_device(self.st_rdev, to);
        } else {
            to.put(format_args!(", st_size={}", self.st_size));
        }
        to.str(", ...}");
    }
}

impl Structure for Statx {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{stx_mask=");
        to.flags(u64::from(self.stx_mask), files::StatxMask::NAMES, "STATX_???");
        to.str(", stx_attributes=");
        to.flags(self.stx_attributes, files::StatxAttributes::NAMES, "STATX_ATTR_???");
        to.str(", stx_mode=");
        show_mode(u32::from(self.stx_mode), to);
        to.put(format_args!(", stx_size={}, ...}}", self.stx_size));
    }
}

impl Structure for Statfs {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{f_type=");
        to.choice(self.f_type as u64, files::FilesystemMagic::NAMES, "???_MAGIC");
        to.put(format_args!(
            ", f_bsize={}, f_blocks={}, f_bfree={}, f_bavail={}, f_files={}, f_ffree={}, f_fsid={{val=[",
            self.f_bsize, self.f_blocks, self.f_bfree, self.f_bavail, self.f_files, self.f_ffree
        ));
        to.hex(u64::from(self.f_fsid[0] as u32));
        to.str(", ");
        to.hex(u64::from(self.f_fsid[1] as u32));
        to.put(format_args!("]}}, f_namelen={}, f_frsize={}, f_flags=", self.f_namelen, self.f_frsize));
        to.flags(self.f_flags as u64, files::StatfsFlags::NAMES, "ST_???");
        to.str("}");
    }
}

impl Structure for SigSet {
    fn show(&self, to: &mut Show<'_>) {
        to.signals(*self);
    }
}

impl Structure for RawSigAction {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{sa_handler=");
        match self.handler {
            0 => to.str("SIG_DFL"),
            1 => to.str("SIG_IGN"),
            u64::MAX => to.str("SIG_ERR"),
            handler => to.address(handler),
        }
        to.str(", sa_mask=");
        to.signals(SigSet::from_bits(self.mask));
        to.str(", sa_flags=");
        to.flags(self.flags, signals::ActionFlags::NAMES, "SA_???");
        if self.flags & 0x0400_0000 != 0 {
            to.put(format_args!(", sa_restorer={:#x}", self.restorer));
        }
        to.str("}");
    }
}

impl Structure for SigAltStack {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{ss_sp=");
        to.address(self.sp);
        to.str(", ss_flags=");
        to.flags(
            u64::from(self.flags),
            &[(1, "SS_ONSTACK"), (u64::from(SS_DISABLE), "SS_DISABLE"), (1 << 31, "SS_AUTODISARM")],
            "SS_???",
        );
        to.put(format_args!(", ss_size={}}}", self.size));
    }
}

impl Structure for SigInfo {
    fn show(&self, to: &mut Show<'_>) {
        super::siginfo::show(self, to);
    }
}

impl Structure for SigEvent {
    fn show(&self, to: &mut Show<'_>) {
        to.put(format_args!("{{sigev_value={{sival_int={}, sival_ptr=", self.value as i32));
        to.address(self.value);
        to.str("}, sigev_signo=");
        to.signal(self.signo);
        to.str(", sigev_notify=");
        to.choice(
            u64::from(self.notify as u32),
            &[(0, "SIGEV_SIGNAL"), (1, "SIGEV_NONE"), (2, "SIGEV_THREAD"), (4, "SIGEV_THREAD_ID")],
            "SIGEV_???",
        );
        if self.notify == 4 {
            to.put(format_args!(", sigev_notify_thread_id={}", self.tid));
        }
        to.str("}");
    }
}

fn show_limit(limit: u64, to: &mut Show<'_>) {
    match limit {
        RLIM_INFINITY => to.str("RLIM64_INFINITY"),
        _ if limit > 1024 && limit.is_multiple_of(1024) => to.put(format_args!("{}*1024", limit / 1024)),
        _ => to.put(format_args!("{limit}")),
    }
}

impl Structure for Rlimit {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{rlim_cur=");
        show_limit(self.rlim_cur, to);
        to.str(", rlim_max=");
        show_limit(self.rlim_max, to);
        to.str("}");
    }
}

impl Structure for Rusage {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{ru_utime=");
        self.ru_utime.show(to);
        to.str(", ru_stime=");
        self.ru_stime.show(to);
        to.str(", ...}");
    }
}

impl Structure for SchedParam {
    fn show(&self, to: &mut Show<'_>) {
        // strace shows the one field as an element.
        to.put(format_args!("[{}]", self.sched_priority));
    }
}

impl Structure for CloneArgs {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{flags=");
        to.flag_word(CloneFlags::from_bits_retain(self.flags), "CLONE_", "0");
        let flags = CloneFlags::from_bits_retain(self.flags);
        if flags.contains(CloneFlags::PIDFD) {
            to.put(format_args!(", pidfd={:#x}", self.pidfd));
        }
        if flags.intersects(CloneFlags::CHILD_SETTID | CloneFlags::CHILD_CLEARTID) {
            to.put(format_args!(", child_tid={:#x}", self.child_tid));
        }
        if flags.contains(CloneFlags::PARENT_SETTID) {
            to.put(format_args!(", parent_tid={:#x}", self.parent_tid));
        }
        to.str(", exit_signal=");
        to.signal(self.exit_signal as i32);
        to.str(", stack=");
        to.address(self.stack);
        to.str(", stack_size=");
        to.hex(self.stack_size);
        if flags.contains(CloneFlags::SETTLS) {
            to.put(format_args!(", tls={:#x}", self.tls));
        }
        to.str("}");
    }
}

impl Structure for OpenHow {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{flags=");
        files::show_open_flags(OpenFlags::from_bits_retain(self.flags as u32), to);
        if self.flags & u64::from((OpenFlags::CREAT | OpenFlags::TMPFILE).bits() & !OpenFlags::DIRECTORY.bits()) != 0 {
            to.str(", mode=");
            to.permissions(self.mode as u32);
        }
        to.str(", resolve=");
        to.flag_word(ResolveFlags::from_bits_retain(self.resolve), "RESOLVE_", "0");
        to.str("}");
    }
}

fn show_name(name: &[u8], to: &mut Show<'_>) {
    to.quoted_whole(name.split(|&b| b == 0).next().unwrap_or_default());
}

impl Structure for UtsName {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{sysname=");
        show_name(&self.sysname, to);
        to.str(", nodename=");
        show_name(&self.nodename, to);
        to.str(", ...}");
    }
}

impl Structure for SysInfo {
    fn show(&self, to: &mut Show<'_>) {
        let [one, five, fifteen] = self.loads;
        to.put(format_args!(
            "{{uptime={}, loads=[{one}, {five}, {fifteen}], totalram={}, freeram={}, sharedram={}, bufferram={}, \
             totalswap={}, freeswap={}, procs={}, totalhigh={}, freehigh={}, mem_unit={}}}",
            self.uptime,
            self.totalram,
            self.freeram,
            self.sharedram,
            self.bufferram,
            self.totalswap,
            self.freeswap,
            self.procs,
            self.totalhigh,
            self.freehigh,
            self.mem_unit
        ));
    }
}

impl Structure for CapUserHeader {
    fn show(&self, to: &mut Show<'_>) {
        to.str("{version=");
        to.choice(u64::from(self.version), process::CapabilityVersion::NAMES, "_LINUX_CAPABILITY_VERSION_???");
        to.put(format_args!(", pid={}}}", self.pid));
    }
}

/// The two halves of each set, as one.
pub fn show_capabilities(halves: &[CapUserData; 2], to: &mut Show<'_>) {
    let whole = |field: fn(&CapUserData) -> u32| u64::from(field(&halves[0])) | u64::from(field(&halves[1])) << 32;
    let sets = [
        ("{effective=", whole(|h| h.effective)),
        (", permitted=", whole(|h| h.permitted)),
        (", inheritable=", whole(|h| h.inheritable)),
    ];
    for (name, set) in sets {
        to.str(name);
        to.flag_word(CapabilitySet::from_bits_retain(set), "1<<CAP_", "0");
    }
    to.str("}");
}

/// Events of poll and epoll.
pub fn show_events(events: u32, prefix: &str, to: &mut Show<'_>) {
    to.flag_word(PollEvents::from_bits_retain(events), prefix, "0");
}

impl Structure for EpollEvent {
    fn show(&self, to: &mut Show<'_>) {
        let (events, data) = (self.events, self.data);
        to.str("{events=");
        let high =
            [(1 << 28, "EPOLLEXCLUSIVE"), (1 << 29, "EPOLLWAKEUP"), (1 << 30, "EPOLLONESHOT"), (1 << 31, "EPOLLET")];
        let low = events & 0x0fff_ffff;
        if low != 0 || events == 0 {
            show_events(low, "EPOLL", to);
        }
        let mut separator = if low == 0 { "" } else { "|" };
        for (_, name) in high.iter().filter(|(bit, _)| events & bit != 0) {
            let _ = write!(to, "{separator}{name}");
            separator = "|";
        }
        to.put(format_args!(", data={{u32={}, u64={data}}}}}", data as u32));
    }
}
