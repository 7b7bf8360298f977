//! `moat delete`.

use std::time::Duration;

use anyhow::anyhow;

use super::{Global, Outcome};
use crate::log::Log;
use crate::sandbox::make::destroy;
use crate::state::{DoesNotExist, Status};

/// Delete what a container left
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Kill it if it runs; a container that does not exist is no error
    #[arg(long, short)]
    force: bool,
    /// The container's name
    id: String,
}

impl Delete {
    /// Deletes it.
    pub fn run(self, global: &Global, log: &Log) -> Outcome {
        let container = match global.state_root().open(&self.id) {
            Err(error) if self.force && error.is::<DoesNotExist>() => return Ok(0),
            other => other?,
        };
        let state = match container.load() {
            Ok(state) => Some(state),
            Err(error) if self.force => {
                log.warn(&format!("{error:#}"));
                container.load_old()
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(state) = &state {
            match state.status() {
                Status::Running | Status::Paused if !self.force => {
                    let status = state.status().name();
                    let message = format!("cannot delete container {} that is not stopped: {status}", self.id);
                    return Err(anyhow!(message).into());
                }
                Status::Stopped => {
                    // Sentry and gofer follow the lead; what they still have to say is not cut off.
                    for helper in &state.helpers {
                        helper.wait(Duration::from_millis(500));
                    }
                }
                _ => {}
            }
        }
        destroy(container, state, log)?;
        Ok(0)
    }
}
