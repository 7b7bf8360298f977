//! The control socket's end in the sentry process: a thread that accepts, and one for each connection.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use moat_sentry::control::protocol::Request;
use moat_sentry::control::server::answer;
use moat_sentry::sandbox::Sandbox;

use super::socket::Socket;

/// The most connections at a time. A process that was exec'ed has one for as long as it lives.
const MOST_CONNECTIONS: usize = 4096;

/// Starts serving.
///
/// # Errors
/// The errno of the thread that could not be made.
pub fn start(listener: OwnedFd, sandbox: Arc<Sandbox>) -> Result<(), i32> {
    let listener = UnixListener::from(listener);
    thread("control", move || {
        let count = Arc::new(AtomicUsize::new(0));
        for connection in listener.incoming() {
            let Ok(connection) = connection else { continue };
            if count.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
                count.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (sandbox, counted) = (sandbox.clone(), count.clone());
            let served = thread("connection", move || {
                serve(&Arc::new(Socket::new(connection.into())), &sandbox);
                counted.fetch_sub(1, Ordering::Relaxed);
            });
            if served.is_err() {
                count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), i32> {
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(512 << 10)
        .spawn(body)
        .map(drop)
        .map_err(|e| e.raw_os_error().unwrap_or(libc::EAGAIN))
}

fn serve(connection: &Arc<Socket>, sandbox: &Arc<Sandbox>) {
    // What is malformed ends the connection; the caller sees that.
    while let Ok((request, files)) = connection.receive::<Request>() {
        if let Request::Wait { pid } = request
            && pid != 1
        {
            return attend(connection, sandbox, pid);
        }
        if connection.send(&answer(sandbox, request, files), &[]).is_err() {
            return;
        }
    }
}

/// Waits for a process whose shepherd is at the other end: if that is killed, so is the process.
fn attend(connection: &Arc<Socket>, sandbox: &Arc<Sandbox>, pid: u32) {
    let waits = Arc::new(AtomicBool::new(true));
    let (watched, to, still) = (connection.clone(), sandbox.clone(), waits.clone());
    let watching = thread("hangup", move || {
        // Nothing more is asked on this connection: what comes is its end.
        let _ = watched.receive::<Request>();
        if still.swap(false, Ordering::AcqRel) {
            let _ = to.kill(pid, libc::SIGKILL, false);
        }
    });
    let reply = answer(sandbox, Request::Wait { pid }, Vec::new());
    waits.store(false, Ordering::Release);
    let _ = connection.send(&reply, &[]);
    // The watcher must not outlive the caller's interest.
    if watching.is_ok() {
        connection.shut();
    }
}
