//! `moat update`.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use moat_sentry::control::protocol::Request;
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};

use super::{Global, Outcome};
use crate::bundle;
use crate::log::Log;
use crate::sandbox::client::Client;
use crate::state::Status;

/// Change a container's limits
#[derive(Debug, clap::Args)]
pub struct Update {
    /// Take them from a file in the form of config.json's linux.resources, - is standard input
    #[arg(long, short, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Weight of its block I/O
    #[arg(long, value_name = "N")]
    blkio_weight: Option<u64>,
    /// Processor time in a period, in microseconds
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// The period, in microseconds
    #[arg(long, value_name = "N")]
    cpu_period: Option<u64>,
    /// Its share of processor time
    #[arg(long, value_name = "N")]
    cpu_share: Option<u64>,
    /// Which processors
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Which memory nodes
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Memory, in bytes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Memory that is kept under pressure, in bytes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Memory and swap together, in bytes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Processes
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// The container's name
    id: String,
}

impl Update {
    /// Changes them.
    pub fn run(self, global: &Global, log: &Log) -> Outcome {
        let resources = self.resources()?;
        let container = global.state_root().open(&self.id)?;
        let state = container.load()?;
        if state.status() == Status::Stopped {
            return Err(anyhow!("container not running").into());
        }
        state.cgroup.limit(&resources).iter().for_each(|warning| log.warn(warning));
        if let Some(pids) = resources.pids() {
            // None, and what is below it, is no limit.
            let most = u64::try_from(pids.limit()).ok().filter(|&limit| limit > 0);
            let client = Client::connect(container.directory()).context("reach the sandbox")?;
            client.request(&Request::LimitTasks { most }, &[]).context("reach the sandbox")?;
        }
        Ok(0)
    }

    fn resources(&self) -> anyhow::Result<LinuxResources> {
        if let Some(path) = &self.resources {
            let read = if path.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())
            } else {
                std::fs::read_to_string(path)
            };
            let text = read.with_context(|| format!("--resources {}", path.display()))?;
            return bundle::parse(&text, &path.display().to_string());
        }
        let mut resources = json!({
            "memory": { "limit": self.memory, "reservation": self.memory_reservation, "swap": self.memory_swap },
            "cpu": {
                "shares": self.cpu_share,
                "quota": self.cpu_quota,
                "period": self.cpu_period,
                "cpus": self.cpuset_cpus,
                "mems": self.cpuset_mems,
            },
            "blockIO": { "weight": self.blkio_weight },
        });
        if let Some(limit) = self.pids_limit
            && let Value::Object(fields) = &mut resources
        {
            fields.insert("pids".into(), json!({ "limit": limit }));
        }
        serde_json::from_value(resources).context("limits")
    }
}
