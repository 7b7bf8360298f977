//! `moat ps`.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use moat_sentry::control::protocol::{Reply, Request};

use super::{Global, Outcome, print};
use crate::sandbox::client::Client;
use crate::state::Status;

/// List the processes of a container, as the host numbers them
#[derive(Debug, clap::Args)]
pub struct Ps {
    /// How they are listed
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// The container's name
    id: String,
    /// Options of ps(1), `-ef` if there are none
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What ps(1) prints
    Table,
    /// A JSON array of pids
    Json,
}

impl Ps {
    /// Prints them.
    pub fn run(self, global: &Global) -> Outcome {
        let root = global.state_root();
        let state = root.peek(&self.id)?;
        let pids = if matches!(state.status(), Status::Stopped | Status::Creating) {
            Vec::new()
        } else {
            processes(&Client::connect(&root.directory(&self.id)?).context("reach the sandbox")?)?
        };
        match self.format {
            Format::Json => print(&format!("{}\n", serde_json::to_string(&pids).context("format")?)),
            Format::Table => print(&table(&self.options, &pids)?),
        }
        Ok(0)
    }
}

fn processes(client: &Client) -> Result<Vec<u32>> {
    match client.request(&Request::Processes, &[]).context("reach the sandbox")? {
        Reply::Processes { processes } => Ok(processes.iter().filter_map(|p| p.host_pid).collect()),
        _ => bail!("the sandbox does not keep to the protocol"),
    }
}

/// The lines of ps(1) that are the container's.
fn table(options: &[String], pids: &[u32]) -> Result<String> {
    let options = if options.is_empty() { vec!["-ef".to_owned()] } else { options.to_vec() };
    let output = Command::new("ps").args(&options).output().context("run ps")?;
    if !output.status.success() {
        bail!("ps: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    select(&String::from_utf8_lossy(&output.stdout), pids)
}

fn select(text: &str, pids: &[u32]) -> Result<String> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_ascii_whitespace().position(|c| c == "PID");
    let Some(column) = column else { bail!("couldn't find PID field in ps output") };
    let own = |line: &&str| {
        let pid = line.split_ascii_whitespace().nth(column).and_then(|p| p.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Ok(std::iter::once(header).chain(lines.filter(own)).fold(String::new(), |text, line| text + line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::select;

    #[test]
    fn only_the_containers_lines_are_shown() {
        let text = "UID  PID CMD\nroot 1 init\nroot 22 sleep\n";
        assert_eq!(select(text, &[22]).unwrap(), "UID  PID CMD\nroot 22 sleep\n");
        assert_eq!(select(text, &[]).unwrap(), "UID  PID CMD\n");
        assert!(select("COMMAND\n", &[1]).is_err());
    }
}
