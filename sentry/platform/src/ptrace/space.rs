//! An address space in a stub.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::context::PtraceContext;
use super::kept::Pool;
use crate::stub::process::Stub;
use crate::{AddressSpace, Change, Context, MemoryFault, PlatformError, Text, Title, Users};

/// See the module. Orders to the mapper block the calling thread, which serves one task only.
pub struct Space {
    stub: Arc<Stub>,
    pool: Arc<Pool>,
}

impl Space {
    /// The address space of `stub`.
    pub fn new(stub: Arc<Stub>) -> Self {
        Self { stub, pool: Arc::default() }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // The lead outlives its address space, and ends with the sandbox.
        if !self.stub.is_lead() {
            self.kill();
        }
    }
}

impl AddressSpace for Space {
    fn poll_apply(
        &self,
        _: &mut std::task::Context<'_>,
        changes: &[Change],
    ) -> Poll<Result<(), (usize, PlatformError)>> {
        Poll::Ready(self.stub.apply(changes))
    }

    fn poll_hasten(&self, _: &mut std::task::Context<'_>, _: &Text) -> Poll<Result<(), PlatformError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_fork(&self, _: &mut std::task::Context<'_>) -> Poll<Result<Arc<dyn AddressSpace>, PlatformError>> {
        Poll::Ready(self.stub.fork().map(|stub| Arc::new(Self::new(stub)) as Arc<dyn AddressSpace>))
    }

    fn poll_clear(&self, _: &mut std::task::Context<'_>) -> Poll<Result<(), PlatformError>> {
        Poll::Ready(self.stub.clear())
    }

    fn poll_context(&self, _: &mut std::task::Context<'_>) -> Poll<Result<Box<dyn Context>, PlatformError>> {
        let context = match self.pool.take() {
            Some(kept) => Ok(PtraceContext::again(self.stub.clone(), kept, self.pool.clone())),
            None => self.stub.thread().map(|t| PtraceContext::new(self.stub.clone(), t, self.pool.clone())),
        };
        Poll::Ready(context.map(|context| Box::new(context) as Box<dyn Context>))
    }

    fn set_title(&self, title: &Title) {
        self.stub.set_title(title);
    }

    fn set_name(&self, name: &[u8]) {
        self.stub.set_name(name);
    }

    fn set_users(&self, users: Users) {
        self.stub.set_users(users);
    }

    fn leave_session(&self) {
        self.stub.leave_session();
    }

    fn read(&self, from: u64, to: &mut [u8]) -> Result<(), MemoryFault> {
        self.stub.read(from, to)
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
        self.pool.close();
    }
}
