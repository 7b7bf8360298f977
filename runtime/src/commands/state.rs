//! `moat state`.

use anyhow::Context;

use super::{Global, Outcome, print};

/// Print a container's state as JSON
#[derive(Debug, clap::Args)]
pub struct State {
    /// The container's name
    id: String,
}

impl State {
    /// Prints it.
    pub fn run(self, global: &Global) -> Outcome {
        let state = global.state_root().peek(&self.id)?;
        let text = serde_json::to_string_pretty(&state.to_oci()).context("format the state")?;
        print(&format!("{text}\n"));
        Ok(0)
    }
}
