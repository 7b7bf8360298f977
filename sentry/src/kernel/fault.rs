//! Synchronous exceptions: grown stacks, or a signal.

use moat_abi::resource::Resource;
use moat_abi::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, SigInfo, Signal};

use super::signal::send;
use super::{Current, FaultInfo};

/// Handles an exception that application code caused.
pub async fn handle(current: &mut Current, signal: i32, code: i32, address: u64) {
    let Some(signal) = Signal::from_raw(signal) else { return };
    if signal == SIGSEGV && code == SigInfo::SEGV_MAPERR {
        let limit = current.group_ref().limit(Resource::Stack);
        let memory = current.memory_manager();
        if memory.grow_stack(address, limit).await {
            return;
        }
    }
    tracing::debug!(
        tid = current.tid(),
        ?signal,
        code,
        address = format_args!("{address:#x}"),
        rip = format_args!("{:#x}", current.context.registers().rip),
        "exception"
    );
    current.fault = FaultInfo { trap: vector(signal, code), error: error_code(signal, code), address };
    send::force(&current.task, signal, SigInfo::fault(signal, code, address));
}

/// The exception's vector, as far as the signal tells.
fn vector(signal: Signal, code: i32) -> u64 {
    match signal {
        // A general protection fault has no address; a single step is no breakpoint; the rest of SIGFPE is SSE's.
        SIGSEGV if code == SigInfo::SI_KERNEL => 13,
        SIGTRAP if code == SigInfo::TRAP_TRACE => 1,
        SIGFPE if code != SigInfo::FPE_INTDIV => 19,
        SIGSEGV | SIGBUS => 14,
        SIGILL => 6,
        SIGFPE => 0,
        SIGTRAP => 3,
        _ => 0,
    }
}

/// The page-fault error code, as far as the signal tells: user mode, and whether the page was there.
fn error_code(signal: Signal, code: i32) -> u64 {
    match signal {
        SIGSEGV if code == SigInfo::SEGV_ACCERR => 5,
        SIGSEGV if code == SigInfo::SI_KERNEL => 0,
        SIGSEGV | SIGBUS => 4,
        _ => 0,
    }
}
