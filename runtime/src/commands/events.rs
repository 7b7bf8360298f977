//! `moat events`.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use super::{Global, Outcome, print};
use crate::state::Status;

/// Print what a container uses, as JSON, again and again until it ends
#[derive(Debug, clap::Args)]
pub struct Events {
    /// How often: a duration such as 5s, 1m30s or 500ms
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    interval: String,
    /// Once only
    #[arg(long)]
    stats: bool,
    /// The container's name
    id: String,
}

impl Events {
    /// Prints them.
    pub fn run(self, global: &Global) -> Outcome {
        let interval = parse(&self.interval).with_context(|| format!("--interval {}", self.interval))?;
        let root = global.state_root();
        let state = root.peek(&self.id)?;
        if state.status() == Status::Stopped {
            return Err(anyhow!("container with id {} is not running", self.id).into());
        }
        loop {
            let event = serde_json::json!({ "type": "stats", "id": state.id, "data": state.cgroup.stats() });
            print(&format!("{event}\n"));
            let ended = state.lead.as_ref().is_none_or(|lead| !self.stats && lead.wait(interval));
            if self.stats || ended {
                return Ok(0);
            }
        }
    }
}

/// Go's durations.
fn parse(text: &str) -> anyhow::Result<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => bail!("not a duration"),
        };
        total += number.parse::<f64>().context("not a duration")? * seconds;
        rest = tail;
    }
    match Duration::try_from_secs_f64(total) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => bail!("duration interval must be greater than 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(parse("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(parse("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse("500ms").unwrap(), Duration::from_millis(500));
        for bad in ["", "5", "s", "-1s", "0s", "x", "99999999999999999999999h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
