//! The threads of a stub that are traced.

use std::sync::Arc;

use parking_lot::Mutex;

use super::context::PtraceContext;
use super::kept::Pool;
use crate::stub::code::Entry;
use crate::stub::process::{Birth, HostThread, Stub};
use crate::stub::space::Threads;
use crate::{Context, PlatformError};

/// See the module.
#[derive(Default)]
pub struct Traced {
    pool: Arc<Pool>,
    /// The thread that the stub was born with, until it is somebody's.
    first: Mutex<Option<HostThread>>,
}

impl Threads for Traced {
    type Cradle = ();

    fn prepare_fork(&self) -> Result<((), Birth), PlatformError> {
        Ok(((), Birth::at(Entry::Thread)))
    }

    fn of_fork(&self, _: Arc<Stub>, (): (), first: HostThread) -> Self {
        Self { first: Mutex::new(Some(first)), ..Self::default() }
    }

    fn context(&self, stub: &Arc<Stub>) -> Result<Box<dyn Context>, PlatformError> {
        if let Some(kept) = self.pool.take() {
            return Ok(Box::new(PtraceContext::again(stub.clone(), kept, self.pool.clone())));
        }
        let first = self.first.lock().take();
        let thread = first.map_or_else(|| stub.bear_thread(&Birth::at(Entry::Thread)), Ok)?;
        Ok(Box::new(PtraceContext::new(stub.clone(), thread, self.pool.clone())))
    }

    fn be_alone(&self) -> Result<(), PlatformError> {
        // Who is not traced on does not run.
        Ok(())
    }

    fn close(&self) {
        self.pool.close();
    }
}
