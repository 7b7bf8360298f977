//! `moat list`.

use anyhow::Context;
use clap::ValueEnum;

use super::{Global, Outcome, print};
use crate::log::Log;
use crate::state::State;

/// List the containers
#[derive(Debug, clap::Args)]
pub struct List {
    /// How they are listed
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Their names only
    #[arg(long, short)]
    quiet: bool,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns
    Table,
    /// A JSON array
    Json,
}

impl List {
    /// Prints them.
    pub fn run(self, global: &Global, log: &Log) -> Outcome {
        let root = global.state_root();
        let mut states = Vec::new();
        for id in root.ids()? {
            match root.peek(&id) {
                Ok(state) => states.push(state),
                // One that was deleted in between is none; a broken one must not hide the others.
                Err(error) if root.directory(&id).is_ok() => log.warn(&format!("{id}: {error:#}")),
                Err(_) => {}
            }
        }
        if self.quiet {
            states.iter().for_each(|state| print(&format!("{}\n", state.id)));
            return Ok(0);
        }
        match self.format {
            Format::Table => print(&table(&states)),
            Format::Json => {
                let all: Vec<_> = states.iter().map(State::to_oci).collect();
                // As runc does where there are none.
                let text =
                    if all.is_empty() { "null".to_owned() } else { serde_json::to_string(&all).context("format")? };
                print(&format!("{text}\n"));
            }
        }
        Ok(0)
    }
}

fn table(states: &[State]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(states.iter().map(|state| {
        [
            state.id.clone(),
            state.pid().to_string(),
            state.status().name().to_owned(),
            state.bundle.display().to_string(),
            state.created.clone(),
            state.owner.clone(),
        ]
    }));
    let mut widths = [12; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len() + 3);
        }
    }
    rows.iter().fold(String::new(), |mut text, row| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.concat().trim_end());
        text.push('\n');
        text
    })
}
