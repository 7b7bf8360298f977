//! An address space in a stub: what is the same on all platforms that have stubs.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use super::process::{Birth, HostThread, Stub};
use crate::{AddressSpace, Change, Context, MemoryFault, PlatformError, Text, Title, Users};

/// How a platform runs the application threads of a stub.
pub trait Threads: Send + Sync + Sized + 'static {
    /// What is got ready for the first thread of a fork.
    type Cradle;
    /// Gets ready for a fork, and says how its first thread is born.
    fn prepare_fork(&self) -> Result<(Self::Cradle, Birth), PlatformError>;
    /// Those of the fork, which has this thread.
    fn of_fork(&self, stub: Arc<Stub>, cradle: Self::Cradle, first: HostThread) -> Self;
    /// A thread that does not run yet.
    fn context(&self, stub: &Arc<Stub>) -> Result<Box<dyn Context>, PlatformError>;
    /// The memory is about to be cleared, by the one thread that goes on: no other may live.
    fn be_alone(&self) -> Result<(), PlatformError>;
    /// It has been cleared.
    fn was_cleared(&self) {}
    /// Makes changes of its memory.
    fn apply(&self, stub: &Stub, changes: &[Change]) -> Result<(), (usize, PlatformError)> {
        stub.apply(changes)
    }
    /// See [`AddressSpace::poll_hasten`].
    fn hasten(&self, _: &Stub, _: &Text) -> Result<(), PlatformError> {
        Ok(())
    }
    /// Copies its memory as the application knows it.
    fn read(&self, stub: &Stub, from: u64, to: &mut [u8]) -> Result<(), MemoryFault> {
        stub.read(from, to)
    }
    /// The stub has been killed.
    fn close(&self);
}

/// See the module. Orders to the mapper block the calling thread, which serves one task only.
pub struct Space<T: Threads> {
    stub: Arc<Stub>,
    threads: T,
}

impl<T: Threads> Space<T> {
    /// The address space of `stub`.
    pub fn new(stub: Arc<Stub>, threads: T) -> Self {
        Self { stub, threads }
    }
}

impl<T: Threads> Drop for Space<T> {
    fn drop(&mut self) {
        // The lead outlives its address space, and ends with the sandbox.
        if !self.stub.is_lead() {
            self.kill();
        }
    }
}

impl<T: Threads> AddressSpace for Space<T> {
    fn poll_apply(&self, _: &mut Cx<'_>, changes: &[Change]) -> Poll<Result<(), (usize, PlatformError)>> {
        Poll::Ready(self.threads.apply(&self.stub, changes))
    }

    fn poll_hasten(&self, _: &mut Cx<'_>, text: &Text) -> Poll<Result<(), PlatformError>> {
        Poll::Ready(self.threads.hasten(&self.stub, text))
    }

    fn poll_fork(&self, _: &mut Cx<'_>) -> Poll<Result<Arc<dyn AddressSpace>, PlatformError>> {
        Poll::Ready(self.threads.prepare_fork().and_then(|(cradle, birth)| {
            let (stub, first) = self.stub.fork(&birth)?;
            let threads = self.threads.of_fork(stub.clone(), cradle, first);
            Ok(Arc::new(Self::new(stub, threads)) as Arc<dyn AddressSpace>)
        }))
    }

    fn poll_clear(&self, _: &mut Cx<'_>) -> Poll<Result<(), PlatformError>> {
        Poll::Ready(self.threads.be_alone().and_then(|()| self.stub.clear()).map(|()| self.threads.was_cleared()))
    }

    fn poll_context(&self, _: &mut Cx<'_>) -> Poll<Result<Box<dyn Context>, PlatformError>> {
        Poll::Ready(self.threads.context(&self.stub))
    }

    fn set_title(&self, title: &Title) {
        self.stub.set_title(title);
    }

    fn set_name(&self, name: &[u8]) {
        self.stub.set_name(name);
    }

    fn set_users(&self, users: &Users) {
        self.stub.set_users(users);
    }

    fn leave_session(&self) {
        self.stub.leave_session();
    }

    fn take_terminal(&self, terminal: BorrowedFd<'_>) {
        self.stub.take_terminal(terminal);
    }

    fn set_process_group(&self, group: u32) {
        self.stub.set_process_group(group);
    }

    fn set_nice(&self, nice: i32) {
        self.stub.set_nice(nice);
    }

    fn read(&self, from: u64, to: &mut [u8]) -> Result<(), MemoryFault> {
        self.threads.read(&self.stub, from, to)
    }

    fn write(&self, to: u64, from: &[u8]) -> Result<(), MemoryFault> {
        self.stub.write(to, from)
    }

    fn cpu_time(&self) -> Duration {
        self.stub.cpu_time()
    }

    fn peak_resident_bytes(&self) -> Option<u64> {
        Some(self.stub.peak_resident_bytes()).filter(|&bytes| bytes > 0)
    }

    fn minor_faults(&self) -> u64 {
        self.stub.minor_faults()
    }

    fn pid_hint(&self) -> Option<u32> {
        u32::try_from(self.stub.inner_pid()).ok()
    }

    fn host_pid(&self) -> Option<u32> {
        u32::try_from(self.stub.host_pid()).ok()
    }

    fn kill(&self) {
        self.stub.kill();
        self.threads.close();
    }
}
