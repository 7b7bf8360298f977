//! The threads of a stub that are traced.

use std::sync::Arc;

use super::context::PtraceContext;
use super::kept::Pool;
use crate::stub::process::Stub;
use crate::stub::space::Threads;
use crate::{Context, PlatformError};

/// See the module.
#[derive(Default)]
pub struct Traced {
    pool: Arc<Pool>,
}

impl Threads for Traced {
    fn of_fork(&self, _: Arc<Stub>) -> Self {
        Self::default()
    }

    fn context(&self, stub: &Arc<Stub>) -> Result<Box<dyn Context>, PlatformError> {
        let context = match self.pool.take() {
            Some(kept) => PtraceContext::again(stub.clone(), kept, self.pool.clone()),
            None => PtraceContext::new(stub.clone(), stub.thread()?, self.pool.clone()),
        };
        Ok(Box::new(context))
    }

    fn be_alone(&self) -> Result<(), PlatformError> {
        // Who is not traced on does not run.
        Ok(())
    }

    fn close(&self) {
        self.pool.close();
    }
}
