//! `moat kill`.

use std::str::FromStr;

use anyhow::{Result, anyhow};
use moat_sentry::control::protocol::Request;
use nix::sys::signal::Signal;

use super::{Global, Outcome};
use crate::sandbox::client::{Client, ControlError};
use crate::state::Status;

/// Send a signal to a container's process, SIGTERM if none is named
#[derive(Debug, clap::Args)]
pub struct Kill {
    /// Send it to all processes of the container
    #[arg(long, short)]
    all: bool,
    /// The container's name
    id: String,
    /// Number or name
    #[arg(default_value = "SIGTERM")]
    signal: String,
}

impl Kill {
    /// Sends the signal.
    pub fn run(self, global: &Global) -> Outcome {
        let signal = parse(&self.signal)?;
        let root = global.state_root();
        // Whatever verb is at work on the container, it can be killed.
        let state = root.peek(&self.id)?;
        let lead = match (&state.lead, state.status()) {
            (Some(lead), status) if status != Status::Stopped => lead.clone(),
            // What is left of it are processes of ours, which end with it.
            _ if self.all => return Ok(0),
            _ => return Err(anyhow!("container not running").into()),
        };
        state.cgroup.thaw();
        if signal == libc::SIGKILL {
            // The lead takes its whole pid namespace along, whether the sentry answers or not.
            match lead.signal(signal) {
                Ok(()) => return Ok(0),
                // An ordinary user, and a lead that is another: the sentry can.
                Err(nix::errno::Errno::EPERM) => {}
                Err(_) => return Err(anyhow!("container not running").into()),
            }
        }
        let request = Request::Kill { pid: 1, signal, all: self.all };
        let directory = root.directory(&self.id)?;
        match Client::connect(&directory).and_then(|c| c.request(&request, &[])) {
            Ok(_) => {}
            Err(ControlError::Refused { errno: libc::ESRCH, .. }) => {
                return Err(anyhow!("container not running").into());
            }
            Err(ControlError::Refused { what, .. }) => return Err(anyhow!(what).into()),
            // The lead hands on what it gets.
            Err(_) => lead.signal(signal).map_err(|_| anyhow!("container not running"))?,
        }
        Ok(0)
    }
}

/// A signal's number, from its number or its name with or without SIG.
fn parse(text: &str) -> Result<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { Err(anyhow!("unknown signal {text:?}")) };
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper.clone() } else { format!("SIG{upper}") };
    if let Ok(signal) = Signal::from_str(&name) {
        return Ok(signal as i32);
    }
    real_time(name.trim_start_matches("SIG")).ok_or_else(|| anyhow!("unknown signal {text:?}"))
}

/// RTMIN, RTMIN+n, RTMAX, RTMAX-n.
fn real_time(name: &str) -> Option<i32> {
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        34 + if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? }
    } else {
        let rest = name.strip_prefix("RTMAX")?;
        64 - if rest.is_empty() { 0 } else { rest.strip_prefix('-')?.parse::<i32>().ok()? }
    };
    (34..=64).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn signals_have_numbers_and_names() {
        assert_eq!(parse("9").unwrap(), 9);
        assert_eq!(parse("KILL").unwrap(), 9);
        assert_eq!(parse("sigterm").unwrap(), 15);
        assert_eq!(parse("SIGRTMIN+3").unwrap(), 37);
        assert_eq!(parse("RTMAX").unwrap(), 64);
        for bad in ["65", "-1", "SIGNOPE", "RTMIN+31", ""] {
            assert_eq!(parse(bad).unwrap_err().to_string(), format!("unknown signal {bad:?}"));
        }
    }
}
