//! ptrace(2), as far as it is used here.

use crate::Registers;

/// Why a tracee stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At a system call that the host will not make.
    Syscall,
    /// A signal is to be delivered.
    Signal(i32),
    /// PTRACE_INTERRUPT, or a group stop.
    Event,
    /// It is gone, or going.
    Ended,
}

const PTRACE_EVENT_STOP: i32 = 128;
const PTRACE_SYSEMU: u32 = 31;
const PTRACE_GET_SYSCALL_INFO: u32 = 0x420e;
const PTRACE_SETSIGMASK: u32 = 0x420b;
const NT_X86_XSTATE: u64 = 0x202;

/// `struct ptrace_syscall_info` of a stop at entry.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct SyscallInfo {
    op: u8,
    pad: [u8; 3],
    pub arch: u32,
    instruction: u64,
    pub stack: u64,
    pub number: u64,
    pub arguments: [u64; 6],
}

impl SyscallInfo {
    /// Whether the stop is at the beginning of this call.
    pub fn is_entry_of(&self, number: i64) -> bool {
        /// `PTRACE_SYSCALL_INFO_ENTRY`.
        const ENTRY: u8 = 1;
        self.op == ENTRY && self.number == number as u64
    }
}

fn call(request: u32, tid: i32, address: u64, data: u64) -> Result<i64, i32> {
    // SAFETY: the kernel validates requests; the wrappers below pass pointers to live objects of the right type.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, tid, address, data) };
    if result < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::ESRCH)) } else { Ok(result) }
}

/// Traces a thread; if this thread ends, the host kills it.
pub fn seize(tid: i32) -> Result<(), i32> {
    let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
    call(libc::PTRACE_SEIZE, tid, 0, options as u64).map(drop)
}

/// The same, and [`wait`] says that it has ended when it is about to.
pub fn seize_to_the_end(tid: i32) -> Result<(), i32> {
    let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACEEXIT;
    call(libc::PTRACE_SEIZE, tid, 0, options as u64).map(drop)
}

/// Stops a running tracee. May be called from a signal handler.
pub fn interrupt(tid: i32) -> Result<(), i32> {
    call(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop)
}

/// Runs a tracee whose system calls the host makes.
pub fn go_on(tid: i32) -> Result<(), i32> {
    call(libc::PTRACE_CONT, tid, 0, 0).map(drop)
}

/// Runs a tracee until its next system call, which the host does not make.
pub fn resume(tid: i32) -> Result<(), i32> {
    call(PTRACE_SYSEMU, tid, 0, 0).map(drop)
}

/// Runs a tracee, whose system calls the host makes, until the next of them begins or ends.
pub fn step_call(tid: i32) -> Result<(), i32> {
    call(libc::PTRACE_SYSCALL, tid, 0, 0).map(drop)
}

/// Lets go of a tracee.
pub fn detach(tid: i32) -> Result<(), i32> {
    call(libc::PTRACE_DETACH, tid, 0, 0).map(drop)
}

/// What a tracee's process has used, as of a stop.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Its largest resident size so far, in KiB.
    pub max_resident: u64,
    /// Page faults that needed no input.
    pub minor_faults: u64,
}

/// Waits for a stop. `EINTR` when a kick arrived.
pub fn wait(tid: i32) -> Result<Stop, i32> {
    wait_into(tid, std::ptr::null_mut())
}

/// The same, and what the process has used.
pub fn wait_with_use(tid: i32) -> Result<(Stop, Use), i32> {
    // SAFETY: rusage is plain data, for which zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let stop = wait_into(tid, &raw mut usage)?;
    let [max_resident, minor_faults] = [usage.ru_maxrss, usage.ru_minflt].map(|n| u64::try_from(n).unwrap_or(0));
    Ok((stop, Use { max_resident, minor_faults }))
}

/// `usage` is null or points to a structure to be filled.
fn wait_into(tid: i32, usage: *mut libc::rusage) -> Result<Stop, i32> {
    let mut status = 0;
    // SAFETY: fills `status` and what `usage` points to. __WNOTHREAD: only this thread's tracees.
    let got = unsafe { libc::wait4(tid, &raw mut status, libc::__WALL | libc::__WNOTHREAD, usage) };
    if got < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::ECHILD));
    }
    if !libc::WIFSTOPPED(status) || status >> 16 == libc::PTRACE_EVENT_EXIT {
        return Ok(Stop::Ended);
    }
    let signal = libc::WSTOPSIG(status);
    Ok(if status >> 16 == PTRACE_EVENT_STOP {
        Stop::Event
    } else if signal == libc::SIGTRAP | 0x80 {
        Stop::Syscall
    } else {
        Stop::Signal(signal)
    })
}

/// Whether a tracee, of whichever thread, has ended; it is not reaped.
pub fn has_ended(tid: i32) -> bool {
    // SAFETY: siginfo_t is plain data, for which zeroes are valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: fills the structure above.
    let result = unsafe { libc::waitid(libc::P_PID, tid as libc::id_t, &raw mut info, options) };
    // Stops of a tracee are told though nobody asked for them.
    let ended = [libc::CLD_EXITED, libc::CLD_KILLED, libc::CLD_DUMPED].contains(&info.si_code);
    // SAFETY: waitid fills in the number of a child, or zero.
    result == 0 && unsafe { info.si_pid() } == tid && ended
}

/// Which system call a tracee stopped at.
pub fn syscall_info(tid: i32) -> Result<SyscallInfo, i32> {
    let mut info = SyscallInfo::default();
    call(PTRACE_GET_SYSCALL_INFO, tid, size_of::<SyscallInfo>() as u64, &raw mut info as u64)?;
    Ok(info)
}

/// Sets rax alone.
pub fn set_rax(tid: i32, value: u64) -> Result<(), i32> {
    let at = std::mem::offset_of!(Registers, rax) as u64;
    call(libc::PTRACE_POKEUSER, tid, at, value).map(drop)
}

/// Sets the instruction pointer alone.
pub fn set_instruction(tid: i32, value: u64) -> Result<(), i32> {
    let at = std::mem::offset_of!(Registers, rip) as u64;
    call(libc::PTRACE_POKEUSER, tid, at, value).map(drop)
}

/// All general registers.
pub fn registers(tid: i32) -> Result<Registers, i32> {
    let mut registers = Registers::default();
    call(libc::PTRACE_GETREGS, tid, 0, &raw mut registers as u64)?;
    Ok(registers)
}

/// Sets all general registers.
pub fn set_registers(tid: i32, registers: &Registers) -> Result<(), i32> {
    call(libc::PTRACE_SETREGS, tid, 0, std::ptr::from_ref(registers) as u64).map(drop)
}

/// The signal that stopped a tracee: its code and its address.
pub fn signal_info(tid: i32) -> Result<(i32, u64), i32> {
    // SAFETY: siginfo_t is plain data, for which zeroes are valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    call(libc::PTRACE_GETSIGINFO, tid, 0, &raw mut info as u64)?;
    // SAFETY: the field is read as an address; for other signals it is meaningless but initialised.
    Ok((info.si_code, unsafe { info.si_addr() } as u64))
}

/// Lets every signal through to the tracer.
pub fn unblock_signals(tid: i32) -> Result<(), i32> {
    let none = 0u64;
    call(PTRACE_SETSIGMASK, tid, 8, &raw const none as u64).map(drop)
}

/// Vector state in XSAVE format.
pub fn extended_state(tid: i32) -> Result<Vec<u8>, i32> {
    let mut state = vec![0u8; 16 << 10];
    let mut vector = libc::iovec { iov_base: state.as_mut_ptr().cast(), iov_len: state.len() };
    call(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, &raw mut vector as u64)?;
    state.truncate(vector.iov_len);
    Ok(state)
}

/// Sets it; the host checks the image.
pub fn set_extended_state(tid: i32, state: &[u8]) -> Result<(), i32> {
    let vector = libc::iovec { iov_base: state.as_ptr().cast_mut().cast(), iov_len: state.len() };
    call(libc::PTRACE_SETREGSET, tid, NT_X86_XSTATE, &raw const vector as u64).map(drop)
}
