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
    let error = error_code(current, signal, code, address);
    current.fault = FaultInfo { trap: vector(signal, code), error, address };
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

/// The page-fault error code, as far as it can be told: user mode, whether the page was there, whether it was written.
fn error_code(current: &mut Current, signal: Signal, code: i32, address: u64) -> u64 {
    let page_fault = matches!(signal, SIGSEGV | SIGBUS) && code != SigInfo::SI_KERNEL;
    let write = if page_fault && was_write(current, address) { 2 } else { 0 };
    write
        | match signal {
            SIGSEGV if code == SigInfo::SEGV_ACCERR => 5,
            SIGSEGV if code == SigInfo::SI_KERNEL => 0,
            SIGSEGV | SIGBUS => 4,
            _ => 0,
        }
}

/// Whether the instruction at which a task stopped writes to memory.
fn was_write(current: &mut Current, address: u64) -> bool {
    let at = current.context.registers().rip;
    if at == address {
        return false;
    }
    // It may end right before an unmapped page.
    let mut code = [0u8; 15];
    let got = current.memory().read_partial(at, &mut code);
    writes(&code[..got])
}

/// Whether an instruction is one of the common stores: moves, string stores, pushes, calls, and arithmetic on memory.
fn writes(code: &[u8]) -> bool {
    let is_prefix = |b: &u8| matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    let start = code.iter().position(|b| !is_prefix(b)).unwrap_or(code.len());
    match &code[start..] {
        [0x88 | 0x89 | 0xa2..=0xa5 | 0xaa | 0xab | 0xc6 | 0xc7 | 0x50..=0x57 | 0xe8, ..] => true,
        [op @ 0x00..=0x31, ..] if op & 7 < 2 => true,
        [0x0f, 0x11 | 0x13 | 0x17 | 0x29 | 0x2b | 0x7f | 0xb0 | 0xb1 | 0xc0 | 0xc1 | 0xc3 | 0xd6 | 0xe7, ..] => true,
        _ => false,
    }
}
