//! The control socket's end in the sentry process: a thread that accepts, and one for each connection.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use moat_sentry::control::protocol::Request;
use moat_sentry::control::server::answer;
use moat_sentry::sandbox::Sandbox;

use super::socket::Socket;

/// The most connections at a time. A process that was exec'ed has one for as long as it lives.
const MOST_CONNECTIONS: usize = 4096;

/// Requests that have come in and are not answered yet. The process must not end before they are: a program that is short
/// enough has ended before the answer to the request that let it run is out.
#[derive(Debug, Default)]
pub struct Unanswered {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Unanswered {
    fn add(&self, change: isize) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_add_signed(change);
        self.changed.notify_all();
    }

    /// Waits until all are answered, but no longer than this: who asked may not read.
    pub fn settle(&self, patience: Duration) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(count, patience, |count| *count > 0));
    }
}

/// Starts serving; what [`Unanswered::settle`] is to be called of before this process ends.
///
/// # Errors
/// The errno of the thread that could not be made.
pub fn start(listener: OwnedFd, sandbox: Arc<Sandbox>) -> Result<Arc<Unanswered>, i32> {
    let listener = UnixListener::from(listener);
    let unanswered = Arc::<Unanswered>::default();
    let shared = unanswered.clone();
    thread("control", move || {
        let count = Arc::new(AtomicUsize::new(0));
        for connection in listener.incoming() {
            let Ok(connection) = connection else { continue };
            if count.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
                count.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (sandbox, counted, unanswered) = (sandbox.clone(), count.clone(), shared.clone());
            let served = thread("connection", move || {
                serve(&Arc::new(Socket::new(connection.into())), &sandbox, &unanswered);
                counted.fetch_sub(1, Ordering::Relaxed);
            });
            if served.is_err() {
                count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })?;
    Ok(unanswered)
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), i32> {
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(512 << 10)
        .spawn(body)
        .map(drop)
        .map_err(|e| e.raw_os_error().unwrap_or(libc::EAGAIN))
}

fn serve(connection: &Arc<Socket>, sandbox: &Arc<Sandbox>, unanswered: &Unanswered) {
    // What is malformed ends the connection; the caller sees that.
    while let Ok((request, files)) = connection.receive::<Request>() {
        unanswered.add(1);
        let goes_on = match request {
            Request::Wait { pid } if pid != 1 => {
                attend(connection, sandbox, pid);
                false
            }
            request => connection.send(&answer(sandbox, request, files), &[]).is_ok(),
        };
        unanswered.add(-1);
        if !goes_on {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_waits_for_answers() {
        let unanswered = Arc::<Unanswered>::default();
        let answered = Arc::<AtomicBool>::default();
        unanswered.add(1);
        let (settled, flag) = (unanswered.clone(), answered.clone());
        let answering = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            flag.store(true, Ordering::SeqCst);
            settled.add(-1);
        });
        unanswered.settle(Duration::from_secs(60));
        assert!(answered.load(Ordering::SeqCst));
        answering.join().unwrap();
    }

    #[test]
    fn the_end_does_not_wait_for_who_does_not_read() {
        let unanswered = Unanswered::default();
        unanswered.add(1);
        unanswered.settle(Duration::from_millis(10));
    }
}
