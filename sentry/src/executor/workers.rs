//! The threads that poll tasks, one at a time each. A thread whose task has ended waits a moment for the next: the birth of
//! a thread costs more than most tasks of a shell script do.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::thread::{Thread, ThreadId};
use std::time::{Duration, Instant};

use moat_host::thread::HostThread;
use moat_platform::Tenure;
use parking_lot::Mutex;

/// Stack of a thread that polls a task, in bytes. Mostly untouched.
const STACK: usize = 1 << 20;
/// How long a thread waits for another task.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most threads that wait for any task.
const MOST_IDLE: usize = 16;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
struct Workers {
    /// Those that are running, with the task that each is to take up next.
    all: HashMap<ThreadId, Worker>,
    /// Those that wait for any task.
    idle: Vec<ThreadId>,
}

struct Worker {
    thread: Thread,
    host: HostThread,
    job: Option<Job>,
}

static WORKERS: std::sync::LazyLock<Mutex<Workers>> = std::sync::LazyLock::new(Mutex::default);

/// Runs `future` to its end on a thread of its own: on `home` if one is named, which must be bound to it.
///
/// # Errors
/// When the host refuses another thread.
pub fn spawn<F>(home: Option<ThreadId>, future: F) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let job: Job = Box::pin(future);
    {
        let mut workers = WORKERS.lock();
        let chosen = home.or_else(|| workers.idle.pop());
        if let Some(worker) = chosen.and_then(|id| workers.all.get_mut(&id)) {
            worker.job = Some(job);
            if home.is_none() {
                worker.host.bring_here();
            }
            worker.thread.unpark();
            return Ok(());
        }
    }
    std::thread::Builder::new().name("task".into()).stack_size(STACK).spawn(move || work(job)).map(drop)
}

fn work(first: Job) {
    let thread = std::thread::current();
    let id = thread.id();
    WORKERS.lock().all.insert(id, Worker { thread, host: HostThread::current(), job: None });
    let mut job = Some(first);
    while let Some(future) = job {
        super::block_on(future);
        job = next(id);
    }
}

/// The next task of the calling thread; `None` if it is to end.
fn next(id: ThreadId) -> Option<Job> {
    let mut until = Instant::now() + PATIENCE;
    let mut expired = false;
    loop {
        let tenure = moat_platform::tend_thread(expired);
        {
            let mut workers = WORKERS.lock();
            let job = workers.all.get_mut(&id).and_then(|worker| worker.job.take());
            if job.is_some() {
                return job;
            }
            let place = workers.idle.iter().position(|&idle| idle == id);
            let stays = match tenure {
                Tenure::Bound => true,
                Tenure::Free => !expired && (place.is_some() || workers.idle.len() < MOST_IDLE),
                Tenure::Spent => false,
            };
            match (stays && tenure == Tenure::Free, place) {
                (true, None) => workers.idle.push(id),
                (false, Some(place)) => drop(workers.idle.remove(place)),
                _ => {}
            }
            if !stays {
                workers.all.remove(&id);
                return None;
            }
        }
        if expired {
            // What it is bound to comes soon.
            until = Instant::now() + PATIENCE;
        }
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
        expired = Instant::now() >= until;
    }
}
