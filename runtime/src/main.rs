//! The `moat` command: an OCI runtime's command line, and the roles in which it executes itself again.

mod bundle;
mod cgroup;
mod commands;
mod log;
mod sandbox;
mod state;

use std::process::ExitCode;

fn main() -> ExitCode {
    abort_on_panic();
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next();
    let mut tries = || arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let code = match role.as_deref() {
        Some(sandbox::SENTRY_ROLE) => sandbox::sentry::main(tries()),
        Some(sandbox::GOFER_ROLE) => sandbox::gofer::main(),
        Some(sandbox::SHEPHERD_ROLE) => sandbox::shepherd::main(),
        Some(sandbox::SELF_TEST_ROLE) => sandbox::platform::main(tries()),
        _ => commands::main(),
    };
    ExitCode::from(code)
}

/// A broken invariant of ours ends the whole process, with its message, in builds that would unwind, too. There is no
/// backtrace: what it takes is on no list of calls of the confined roles.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        eprintln!("moat: thread {}: {panic}", thread.name().unwrap_or("without a name"));
        std::process::abort();
    }));
}
