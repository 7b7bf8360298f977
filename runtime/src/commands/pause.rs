//! `moat pause` and `moat resume`.

use anyhow::{Context, anyhow};
use moat_sentry::control::protocol::Request;

use super::{Global, Outcome};
use crate::sandbox::client::Client;
use crate::state::Status;

/// Stop every process of a container
#[derive(Debug, clap::Args)]
pub struct Pause {
    /// The container's name
    id: String,
}

/// Let the processes of a paused container go on
#[derive(Debug, clap::Args)]
pub struct Resume {
    /// The container's name
    id: String,
}

impl Pause {
    /// Stops them.
    pub fn run(self, global: &Global) -> Outcome {
        change(
            global,
            &self.id,
            &[Status::Running, Status::Created],
            Status::Paused,
            "container not running",
            &Request::Pause,
        )
    }
}

impl Resume {
    /// Lets them go on.
    pub fn run(self, global: &Global) -> Outcome {
        change(global, &self.id, &[Status::Paused], Status::Running, "container not paused", &Request::Resume)
    }
}

fn change(
    global: &Global,
    id: &str,
    from: &[Status],
    to: Status,
    otherwise: &'static str,
    request: &Request,
) -> Outcome {
    let container = global.state_root().open(id)?;
    let mut state = container.load()?;
    if !from.contains(&state.status()) {
        return Err(anyhow!(otherwise).into());
    }
    let client = Client::connect(container.directory()).context("reach the sandbox")?;
    client.request(request, &[]).context("reach the sandbox")?;
    state.phase = to;
    container.save(&state)?;
    Ok(0)
}
