//! The life of a task: run application code, service what it asks for, repeat.

use std::future::poll_fn;
use std::time::Instant;

use moat_abi::signal::{SIGKILL, SigInfo, Signal};
use moat_platform::Exit;

use super::signal::{deliver, send};
use super::{Current, exit, fault};
use crate::executor::deferred;
use crate::syscalls;

/// Runs a task to its end.
pub async fn run(mut current: Current) {
    if let Some(tracer) = current.kernel().tracer() {
        tracer.begin_task(current.tid());
    }
    // The moment of the present step: the clock is read when the application has stopped, and when the kernel has done with it.
    let mut now = Instant::now();
    while current.ending.is_none() {
        deferred::settle();
        if current.signal_pending() || current.interrupted.is_some() {
            deliver::deliver(&mut current).await;
            now = Instant::now();
            continue;
        }
        if !current.enter_application() {
            continue;
        }
        current.refresh_constants();
        current.begin_run(now);
        let (exit, stopped) = poll_fn(|cx| current.context.poll_run(cx, now)).await;
        current.end_run(current.context.cpu_time());
        current.leave_application();
        current.entered = stopped;
        match exit {
            Exit::Syscall { abi, number, arguments } => {
                syscalls::service(&mut current, abi, number, arguments).await;
                if let Some(call) = current.context.take_hot_call() {
                    current.memory_manager().hasten(call).await;
                }
                now = Instant::now();
                current.charge_system_call(now);
            }
            Exit::Exception { signal, code, address } => {
                fault::handle(&mut current, signal, code, address).await;
                now = Instant::now();
            }
            Exit::Kicked => {
                current.recalculate_pending();
                now = stopped;
            }
            Exit::HostSignal { signal } => {
                if let Some(signal) = Signal::from_raw(signal) {
                    // A host signal that finds the guest's queue full is lost, as on Linux.
                    let _ =
                        send::to_process(current.group_ref(), signal, SigInfo::kernel(signal), send::Origin::Outside);
                }
                now = stopped;
            }
            Exit::Dead => {
                exit::group(&current, moat_abi::wait::signaled(SIGKILL, false));
                current.ending = Some(moat_abi::wait::signaled(SIGKILL, false));
            }
        }
    }
    if let (Some(tracer), Some(status)) = (current.kernel().tracer(), current.ending) {
        tracer.end_task(current.tid(), status);
    }
    exit::end(current).await;
}
