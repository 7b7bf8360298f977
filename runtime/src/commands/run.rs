//! `moat run`.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::create::{Flags, Prepared, create};
use super::{Global, Outcome, start};
use crate::log::Log;
use crate::sandbox::foreground::{self, Foreground};
use crate::sandbox::make::destroy;

/// Create and start a container, and wait for it
#[derive(Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    flags: Flags,
    /// Do not wait for it
    #[arg(long, short)]
    detach: bool,
    /// Do not delete it when it has ended
    #[arg(long)]
    keep: bool,
    /// The container's name
    id: String,
}

impl Run {
    /// Runs the container.
    pub fn run(self, global: &Global, log: &Log) -> Outcome {
        Ok(self.try_run(global, log).context("runc run failed")?)
    }

    fn try_run(&self, global: &Global, log: &Log) -> Result<u8> {
        let prepared = Prepared::new(&self.flags, &self.id, global, log)?;
        if self.detach {
            let (container, mut state) = create(prepared, &self.flags, global, log)?;
            if let Err(error) = start::start(&container, &mut state, log) {
                destroy(container, Some(state), log)?;
                return Err(error);
            }
            return Ok(0);
        }
        if self.flags.console_socket.is_some() {
            bail!("cannot use console socket if runc will not detach or allocate tty");
        }
        let terminal = prepared.has_terminal();
        let translation = prepared.translation;
        foreground::run(Foreground {
            root: &global.state_root(),
            state: translation.state,
            plan: translation.plan,
            resources: prepared.resources.as_ref(),
            cgroups_path: translation.cgroups_path,
            hooks: translation.hooks,
            terminal,
            extra: prepared.extra,
            pid_file: self.flags.pid_file.as_deref().map(Path::to_owned),
            keep: self.keep,
            // As runc's: it can be stopped by its id.
            tied: false,
            trace: global.trace()?,
            debug_log: global.debug_log.clone(),
            log,
        })
    }
}
