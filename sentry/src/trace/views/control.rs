//! The calls with a command: ioctl, fcntl, prctl, arch_prctl, seccomp.

use moat_abi::fcntl::{self, Flock, OpenFlags};
use moat_abi::ioctl;
use moat_abi::termios::{Termios, Winsize};

use super::files::show_open_flags;
use crate::trace::show::{Show, View, choices, flags};

choices! {
    /// Commands of ioctl.
    IoctlCommand "???" {
        TCGETS 0x5401 TCSETS 0x5402 TCSETSW 0x5403 TCSETSF 0x5404 TCGETA 0x5405 TCSETA 0x5406
        TCSETAW 0x5407 TCSETAF 0x5408 TCSBRK 0x5409 TCXONC 0x540a TCFLSH 0x540b
        TIOCEXCL 0x540c TIOCNXCL 0x540d TIOCSCTTY 0x540e TIOCGPGRP 0x540f TIOCSPGRP 0x5410 TIOCOUTQ 0x5411
        TIOCSTI 0x5412 TIOCGWINSZ 0x5413 TIOCSWINSZ 0x5414 FIONREAD 0x541b FIONBIO 0x5421 TIOCNOTTY 0x5422
        TCSBRKP 0x5425 TIOCGSID 0x5429 TIOCGPTN 0x80045430 TIOCSPTLCK 0x40045431 TIOCGPTPEER 0x5441 TIOCGLCKTRMIOS 0x5456
        TIOCSLCKTRMIOS 0x5457 FIONCLEX 0x5450
        FIOCLEX 0x5451 FIOASYNC 0x5452 FIOQSIZE 0x5460 FICLONE 0x40049409 FS_IOC_GETFLAGS 0x80086601
        FS_IOC_SETFLAGS 0x40086602 SIOCGIFCONF 0x8912 SIOCGIFFLAGS 0x8913 SIOCGIFADDR 0x8915 SIOCGIFINDEX 0x8933
        SIOCGIFNAME 0x8910
    }
    /// Commands of fcntl.
    FcntlCommand "F_???" {
        F_DUPFD 0 F_GETFD 1 F_SETFD 2 F_GETFL 3 F_SETFL 4 F_GETLK 5 F_SETLK 6 F_SETLKW 7 F_SETOWN 8 F_GETOWN 9 F_SETSIG 10
        F_GETSIG 11 F_SETOWN_EX 15 F_GETOWN_EX 16 F_OFD_GETLK 36 F_OFD_SETLK 37 F_OFD_SETLKW 38 F_SETLEASE 1024
        F_GETLEASE 1025 F_NOTIFY 1026 F_DUPFD_CLOEXEC 1030 F_SETPIPE_SZ 1031 F_GETPIPE_SZ 1032 F_ADD_SEALS 1033
        F_GET_SEALS 1034
    }
    /// Options of prctl.
    PrctlOption "PR_???" {
        PR_SET_PDEATHSIG 1 PR_GET_PDEATHSIG 2 PR_GET_DUMPABLE 3 PR_SET_DUMPABLE 4 PR_GET_KEEPCAPS 7 PR_SET_KEEPCAPS 8
        PR_SET_NAME 15 PR_GET_NAME 16 PR_GET_SECCOMP 21 PR_SET_SECCOMP 22 PR_CAPBSET_READ 23 PR_CAPBSET_DROP 24
        PR_GET_SECUREBITS 27 PR_SET_SECUREBITS 28 PR_SET_TIMERSLACK 29 PR_GET_TIMERSLACK 30 PR_SET_MM 35
        PR_SET_CHILD_SUBREAPER 36 PR_GET_CHILD_SUBREAPER 37 PR_SET_NO_NEW_PRIVS 38 PR_GET_NO_NEW_PRIVS 39
        PR_SET_THP_DISABLE 41 PR_GET_THP_DISABLE 42 PR_CAP_AMBIENT 47 PR_SET_VMA 0x53564d41
    }
    /// Codes of arch_prctl.
    ArchOption "ARCH_???" {
        ARCH_SET_GS 0x1001 ARCH_SET_FS 0x1002 ARCH_GET_FS 0x1003 ARCH_GET_GS 0x1004 ARCH_GET_CPUID 0x1011
        ARCH_SET_CPUID 0x1012
    }
    /// Operations of seccomp.
    SeccompOperation "SECCOMP_???" {
        SECCOMP_SET_MODE_STRICT 0 SECCOMP_SET_MODE_FILTER 1 SECCOMP_GET_ACTION_AVAIL 2 SECCOMP_GET_NOTIF_SIZES 3
    }
}

flags! {
    /// Flags of seccomp.
    SeccompFlags "SECCOMP_FILTER_FLAG_???" {
        SECCOMP_FILTER_FLAG_TSYNC 1 SECCOMP_FILTER_FLAG_LOG 2 SECCOMP_FILTER_FLAG_SPEC_ALLOW 4
        SECCOMP_FILTER_FLAG_NEW_LISTENER 8 SECCOMP_FILTER_FLAG_TSYNC_ESRCH 0x10
    }
    /// Modes of a terminal's input.
    InputModes "???" {
        IGNBRK 1 BRKINT 2 IGNPAR 4 PARMRK 8 INPCK 0x10 ISTRIP 0x20 INLCR 0x40 IGNCR 0x80 ICRNL 0x100 IUCLC 0x200 IXON 0x400
        IXANY 0x800 IXOFF 0x1000 IMAXBEL 0x2000 IUTF8 0x4000
    }
    /// Modes of a terminal's output.
    OutputModes "???" { OPOST 1 OLCUC 2 ONLCR 4 OCRNL 8 ONOCR 0x10 ONLRET 0x20 OFILL 0x40 OFDEL 0x80 }
    /// Modes of a terminal's line.
    ControlModes "???" { CSTOPB 0x40 CREAD 0x80 PARENB 0x100 PARODD 0x200 HUPCL 0x400 CLOCAL 0x800 }
    /// Modes of a terminal's editing.
    LocalModes "???" {
        ISIG 1 ICANON 2 XCASE 4 ECHO 8 ECHOE 0x10 ECHOK 0x20 ECHONL 0x40 NOFLSH 0x80 IEXTEN 0x8000 ECHOCTL 0x200
        ECHOPRT 0x400 ECHOKE 0x800 FLUSHO 0x1000 PENDIN 0x4000 TOSTOP 0x100 EXTPROC 0x10000
    }
    /// Seals of a memfd.
    Seals "F_SEAL_???" { F_SEAL_SEAL 1 F_SEAL_SHRINK 2 F_SEAL_GROW 4 F_SEAL_WRITE 8 F_SEAL_FUTURE_WRITE 0x10 }
}

/// The argument of ioctl.
pub struct IoctlArgument;

impl View for IoctlArgument {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(1) as u32 {
            ioctl::TCGETS | ioctl::TCSETS | ioctl::TCSETSW | ioctl::TCSETSF => match to.read::<Termios>(raw) {
                Some(termios) if !to.failed() => show_termios(&termios, to),
                _ => to.address(raw),
            },
            ioctl::TIOCGWINSZ | ioctl::TIOCSWINSZ => match to.read::<Winsize>(raw) {
                Some(size) if !to.failed() => to.put(format_args!(
                    "{{ws_row={}, ws_col={}, ws_xpixel={}, ws_ypixel={}}}",
                    size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel
                )),
                _ => to.address(raw),
            },
            ioctl::TIOCGPGRP
            | ioctl::TIOCSPGRP
            | ioctl::TIOCOUTQ
            | ioctl::FIONREAD
            | ioctl::FIONBIO
            | ioctl::FIOASYNC
            | ioctl::TIOCGSID
            | ioctl::TIOCGPTN
            | ioctl::TIOCSPTLCK => super::pointed::<i32>(raw, to),
            ioctl::TIOCEXCL | ioctl::TIOCNXCL | ioctl::TIOCNOTTY | ioctl::FIONCLEX | ioctl::FIOCLEX => {}
            ioctl::TCSBRK | ioctl::TCSBRKP | ioctl::TIOCSCTTY => to.put(format_args!("{}", raw as i32)),
            ioctl::TCFLSH => to.choice(raw, &[(0, "TCIFLUSH"), (1, "TCOFLUSH"), (2, "TCIOFLUSH")], "TC???"),
            ioctl::TCXONC => to.choice(raw, &[(0, "TCOOFF"), (1, "TCOON"), (2, "TCIOFF"), (3, "TCION")], "TC???"),
            _ => to.hex(raw),
        }
    }
}

fn show_termios(termios: &Termios, to: &mut Show<'_>) {
    to.str("{c_iflag=");
    to.flags(u64::from(termios.c_iflag), InputModes::NAMES, "???");
    // Delays of old teletypes come first, each field by name even if it is 0.
    to.str(", c_oflag=NL0|CR0|");
    to.str(if termios.c_oflag & 0x1800 == 0x1800 { "TAB3|BS0|VT0|FF0" } else { "TAB0|BS0|VT0|FF0" });
    let output = u64::from(termios.c_oflag & 0xff);
    if output != 0 {
        to.str("|");
        to.flags(output, OutputModes::NAMES, "???");
    }
    to.str(", c_cflag=");
    const SPEEDS: &[&str] = &[
        "B0", "B50", "B75", "B110", "B134", "B150", "B200", "B300", "B600", "B1200", "B1800", "B2400", "B4800",
        "B9600", "B19200", "B38400",
    ];
    to.str(SPEEDS.get((termios.c_cflag & 0x100f) as usize).copied().unwrap_or("BOTHER"));
    to.str(["|CS5", "|CS6", "|CS7", "|CS8"][(termios.c_cflag >> 4 & 3) as usize]);
    let control = u64::from(termios.c_cflag & 0xfc0);
    if control != 0 {
        to.str("|");
        to.flags(control, ControlModes::NAMES, "???");
    }
    to.str(", c_lflag=");
    to.flags(u64::from(termios.c_lflag), LocalModes::NAMES, "???");
    to.str(", ...}");
}

/// The argument of fcntl.
pub struct FcntlArgument;

impl View for FcntlArgument {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(1) as i32 {
            fcntl::F_GETFD
            | fcntl::F_GETFL
            | fcntl::F_GETOWN
            | fcntl::F_GETSIG
            | fcntl::F_GETLEASE
            | fcntl::F_GETPIPE_SZ
            | fcntl::F_GET_SEALS => {}
            fcntl::F_SETFD => to.flags(raw, &[(1, "FD_CLOEXEC")], "FD_???"),
            fcntl::F_SETFL => show_open_flags(OpenFlags::from_bits_retain(raw as u32), to),
            fcntl::F_ADD_SEALS => to.flags(raw, Seals::NAMES, "F_SEAL_???"),
            fcntl::F_SETSIG => to.signal(raw as i32),
            fcntl::F_SETLEASE => to.choice(raw, &[(0, "F_RDLCK"), (1, "F_WRLCK"), (2, "F_UNLCK")], "F_???"),
            fcntl::F_GETLK
            | fcntl::F_SETLK
            | fcntl::F_SETLKW
            | fcntl::F_OFD_GETLK
            | fcntl::F_OFD_SETLK
            | fcntl::F_OFD_SETLKW => match to.read::<Flock>(raw) {
                Some(lock) => show_lock(&lock, to),
                None => to.address(raw),
            },
            fcntl::F_DUPFD | fcntl::F_DUPFD_CLOEXEC | fcntl::F_SETOWN | fcntl::F_SETPIPE_SZ => {
                to.put(format_args!("{}", raw as i32));
            }
            _ => to.hex(raw),
        }
    }
}

fn show_lock(lock: &Flock, to: &mut Show<'_>) {
    to.str("{l_type=");
    to.choice(u64::from(lock.l_type as u16), &[(0, "F_RDLCK"), (1, "F_WRLCK"), (2, "F_UNLCK")], "F_???");
    to.str(", l_whence=");
    to.choice(u64::from(lock.l_whence as u16), super::files::Whence::NAMES, "SEEK_???");
    to.put(format_args!(", l_start={}, l_len={}}}", lock.l_start, lock.l_len));
}

/// The result of fcntl.
pub struct FcntlResult;

impl View for FcntlResult {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(1) as i32 {
            fcntl::F_GETFD if raw != 0 => {
                to.put(format_args!("{raw:#x} (flags "));
                to.flags(raw, &[(1, "FD_CLOEXEC")], "FD_???");
                to.str(")");
            }
            fcntl::F_GETFL => {
                to.hex(raw);
                to.str(" (flags ");
                show_open_flags(OpenFlags::from_bits_retain(raw as u32), to);
                to.str(")");
            }
            fcntl::F_GET_SEALS => {
                to.hex(raw);
                if raw != 0 {
                    to.str(" (seals ");
                    to.flags(raw, Seals::NAMES, "F_SEAL_???");
                    to.str(")");
                }
            }
            _ => to.put(format_args!("{raw}")),
        }
    }
}

/// An argument of prctl, from the second on.
pub struct PrctlArgument<const INDEX: usize>;

impl<const INDEX: usize> View for PrctlArgument<INDEX> {
    const LATE: bool = true;
    const OPTIONAL: bool = true;

    fn show(raw: u64, to: &mut Show<'_>) {
        use moat_abi::system as s;
        match (to.argument(0) as i32, INDEX) {
            (
                s::PR_GET_DUMPABLE
                | s::PR_GET_KEEPCAPS
                | s::PR_GET_SECCOMP
                | s::PR_GET_SECUREBITS
                | s::PR_GET_TIMERSLACK,
                _,
            ) => {}
            (s::PR_SET_NAME | s::PR_GET_NAME, 1) if !to.failed() => to.string(raw),
            (s::PR_SET_NAME | s::PR_GET_NAME, _) => {}
            (s::PR_SET_PDEATHSIG, 1) => to.signal(raw as i32),
            (s::PR_GET_PDEATHSIG, 1) => match to.read::<i32>(raw).filter(|_| !to.failed()) {
                Some(signal) => {
                    to.str("[");
                    to.signal(signal);
                    to.str("]");
                }
                None => to.address(raw),
            },
            (s::PR_GET_CHILD_SUBREAPER, 1) => super::pointed::<u32>(raw, to),
            (s::PR_CAPBSET_READ | s::PR_CAPBSET_DROP, 1) => show_capability(raw, to),
            (s::PR_CAP_AMBIENT, 1) => to.choice(
                raw,
                &[
                    (1, "PR_CAP_AMBIENT_IS_SET"),
                    (2, "PR_CAP_AMBIENT_RAISE"),
                    (3, "PR_CAP_AMBIENT_LOWER"),
                    (4, "PR_CAP_AMBIENT_CLEAR_ALL"),
                ],
                "PR_CAP_AMBIENT_???",
            ),
            (s::PR_CAP_AMBIENT, 2) if to.argument(1) != 4 => show_capability(raw, to),
            (s::PR_SET_SECCOMP, 1) => {
                to.choice(raw, &[(1, "SECCOMP_MODE_STRICT"), (2, "SECCOMP_MODE_FILTER")], "SECCOMP_MODE_???");
            }
            (s::PR_SET_SECCOMP, 2) if to.argument(1) == 2 => show_program(raw, to),
            (s::PR_SET_SECCOMP, _) => {}
            (s::PR_SET_SECUREBITS, 1) => to.hex(raw),
            (
                s::PR_SET_PDEATHSIG
                | s::PR_GET_PDEATHSIG
                | s::PR_GET_CHILD_SUBREAPER
                | s::PR_CAPBSET_READ
                | s::PR_CAPBSET_DROP
                | s::PR_SET_SECUREBITS
                | s::PR_SET_DUMPABLE
                | s::PR_SET_KEEPCAPS
                | s::PR_SET_TIMERSLACK
                | s::PR_SET_CHILD_SUBREAPER,
                2..,
            ) => {}
            (s::PR_SET_DUMPABLE, 1) => {
                to.choice(raw, &[(0, "SUID_DUMP_DISABLE"), (1, "SUID_DUMP_USER")], "SUID_DUMP_???")
            }
            (s::PR_GET_NO_NEW_PRIVS | s::PR_SET_NO_NEW_PRIVS, _) => to.put(format_args!("{raw}")),
            (s::PR_SET_TIMERSLACK | s::PR_SET_KEEPCAPS | s::PR_SET_CHILD_SUBREAPER, 1) => to.put(format_args!("{raw}")),
            _ => to.hex(raw),
        }
    }
}

fn show_capability(number: u64, to: &mut Show<'_>) {
    match u32::try_from(number).ok().and_then(moat_abi::capability::CapabilitySet::from_number) {
        Some(capability) => to.flag_word(capability, "CAP_", "0"),
        None => to.put(format_args!("{number:#x} /* CAP_??? */")),
    }
}

/// A classic BPF program: its length and where it lies.
fn show_program(address: u64, to: &mut Show<'_>) {
    match to.read::<[u64; 2]>(address) {
        Some([len, filter]) => to.put(format_args!("{{len={}, filter={filter:#x}}}", len as u16)),
        None => to.address(address),
    }
}

/// The argument of seccomp.
pub struct SeccompArgument;

impl View for SeccompArgument {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(0) {
            1 => show_program(raw, to),
            2 => match to.read::<u32>(raw) {
                Some(action) => {
                    to.str("[");
                    to.choice(u64::from(action), ACTIONS, "SECCOMP_RET_???");
                    to.str("]");
                }
                None => to.address(raw),
            },
            _ => to.address(raw),
        }
    }
}

const ACTIONS: &[(u64, &str)] = &[
    (0x8000_0000, "SECCOMP_RET_KILL_PROCESS"),
    (0, "SECCOMP_RET_KILL_THREAD"),
    (0x0003_0000, "SECCOMP_RET_TRAP"),
    (0x0005_0000, "SECCOMP_RET_ERRNO"),
    (0x7fc0_0000, "SECCOMP_RET_USER_NOTIF"),
    (0x7ff0_0000, "SECCOMP_RET_TRACE"),
    (0x7ffc_0000, "SECCOMP_RET_LOG"),
    (0x7fff_0000, "SECCOMP_RET_ALLOW"),
];

/// The second argument of arch_prctl.
pub struct ArchArgument;

impl View for ArchArgument {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(0) {
            0x1003 | 0x1004 => match to.read::<u64>(raw).filter(|_| !to.failed()) {
                Some(base) => to.put(format_args!("[{base:#x}]")),
                None => to.address(raw),
            },
            _ => to.put(format_args!("{raw:#x}")),
        }
    }
}
