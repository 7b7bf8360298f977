//! Signals in trace text: `{si_signo=SIGCHLD, si_code=CLD_EXITED, …}`.

use moat_abi::signal::{SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, SigInfo, Signal};

use super::show::Show;
use super::views::time;

fn code_name(info: &SigInfo) -> Option<&'static str> {
    let name = match info.code {
        0 => "SI_USER",
        0x80 => "SI_KERNEL",
        -1 => "SI_QUEUE",
        -2 => "SI_TIMER",
        -3 => "SI_MESGQ",
        -4 => "SI_ASYNCIO",
        -5 => "SI_SIGIO",
        -6 => "SI_TKILL",
        code => {
            let names: &[&str] = match Signal::from_raw(info.signo)? {
                SIGCHLD => &["CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"],
                SIGSEGV => &["SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"],
                SIGBUS => &["BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"],
                SIGILL => &["ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC", "ILL_PRVREG"],
                SIGFPE => {
                    &["FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV"]
                }
                SIGTRAP => &["TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT"],
                SIGSYS => &["SYS_SECCOMP", "SYS_USER_DISPATCH"],
                _ => return None,
            };
            return usize::try_from(code).ok().and_then(|c| names.get(c.checked_sub(1)?)).copied();
        }
    };
    Some(name)
}

/// Writes a signal's information.
pub fn show(info: &SigInfo, to: &mut Show<'_>) {
    to.str("{si_signo=");
    to.signal(info.signo);
    to.str(", si_code=");
    match code_name(info) {
        Some(name) => to.str(name),
        None => to.hex(u64::from(info.code as u32)),
    }
    if info.errno != 0 {
        to.str(", si_errno=");
        to.put(format_args!("{}", info.errno));
    }
    match (info.code, Signal::from_raw(info.signo)) {
        (SigInfo::SI_TIMER, _) => {
            to.put(format_args!(", si_timerid={:#x}, si_overrun={}", info.pid(), info.uid() as i32));
            show_value(info, to);
        }
        (SigInfo::SI_USER | SigInfo::SI_TKILL, _) => show_sender(info, to),
        (SigInfo::SI_KERNEL, _) => {}
        (code, Some(SIGCHLD)) if code > 0 => {
            show_sender(info, to);
            to.str(", si_status=");
            match info.code {
                SigInfo::CLD_EXITED => to.put(format_args!("{}", info.status())),
                _ => to.signal(info.status()),
            }
            let times = info.to_signalfd();
            to.str(", si_utime=");
            time::show_ticks(times.ssi_utime as i64, to);
            to.str(", si_stime=");
            time::show_ticks(times.ssi_stime as i64, to);
        }
        (code, Some(SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGTRAP)) if code > 0 => {
            to.str(", si_addr=");
            to.address(info.address());
        }
        (code, Some(SIGSYS)) if code > 0 => {
            to.put(format_args!(", si_call_addr={:#x}, si_syscall=", info.address()));
            let number = u64::from(info.status() as u32);
            match moat_abi::nr::TABLE.iter().find(|(n, _)| *n == number) {
                Some((_, name)) => to.put(format_args!("__NR_{name}")),
                None => to.put(format_args!("{number}")),
            }
            to.str(", si_arch=AUDIT_ARCH_X86_64");
        }
        _ => {
            show_sender(info, to);
            show_value(info, to);
        }
    }
    to.str("}");
}

fn show_sender(info: &SigInfo, to: &mut Show<'_>) {
    to.put(format_args!(", si_pid={}, si_uid={}", info.pid(), info.uid()));
}

fn show_value(info: &SigInfo, to: &mut Show<'_>) {
    to.put(format_args!(", si_value={{sival_int={}, sival_ptr=", info.status()));
    to.address(info.value());
    to.str("}");
}
