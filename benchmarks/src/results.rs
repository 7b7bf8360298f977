//! Samples by row and runtime.

use serde::Serialize;

use crate::runtimes::Runtime;

/// What a row is measured in.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// An operation's time.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// A program's time.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Operations a second: the only unit of which more is better.
    #[serde(rename = "1/s")]
    PerSecond,
    /// Memory.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// CPU time of something idle.
    #[serde(rename = "ms/s")]
    MillisecondsPerSecond,
}

impl Unit {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Milliseconds => "ms",
            Self::PerSecond => "1/s",
            Self::Mebibytes => "MiB",
            Self::MillisecondsPerSecond => "ms/s",
        }
    }

    /// Whether more is better.
    pub fn more_is_better(self) -> bool {
        self == Self::PerSecond
    }
}

/// One run of everything.
#[derive(Serialize)]
pub struct Results {
    /// How often each row was run.
    pub repetitions: usize,
    /// Whether every core was kept busy with something else.
    pub busy: bool,
    /// Cores that this process may use.
    pub cores: usize,
    /// The runtimes, in the order of the table.
    pub runtimes: Vec<RuntimeInfo>,
    /// The rows, in the order in which they came.
    pub rows: Vec<RowResults>,
}

/// A runtime and its state on this machine.
#[derive(Serialize)]
pub struct RuntimeInfo {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub version: String,
    /// Why it was left out, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

/// All that is known of a row.
#[derive(Serialize)]
pub struct RowResults {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// By runtime.
    pub cells: Vec<Cell>,
    /// What the program printed natively, or first.
    #[serde(skip)]
    printed: Option<String>,
}

/// A row under a runtime.
#[derive(Serialize)]
pub struct Cell {
    /// The runtime's name.
    pub runtime: String,
    /// The best value of each repetition.
    pub best: Vec<f64>,
    /// The median of each repetition.
    pub medians: Vec<f64>,
    /// Why there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Cell {
    /// The best value of all: the least, or the greatest where more is better. None if the row failed: it failed even
    /// if it had worked before.
    pub fn best(&self, unit: Unit) -> Option<f64> {
        let values = self.best.iter().copied().filter(|_| self.failure.is_none());
        if unit.more_is_better() { values.reduce(f64::max) } else { values.reduce(f64::min) }
    }

    /// The median of the repetitions' medians.
    pub fn median(&self) -> Option<f64> {
        let mut values = self.medians.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

impl Results {
    /// Nothing yet.
    pub fn new(runtimes: &[Runtime], repetitions: usize, busy: bool) -> Self {
        let runtimes = runtimes
            .iter()
            .map(|of| RuntimeInfo { name: of.name.clone(), version: of.version.clone(), absent: of.absent.clone() })
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { repetitions, busy, cores, runtimes, rows: Vec::new() }
    }

    /// A row's cell of a runtime, if there is one.
    pub fn cell(&self, row: &str, runtime: &str) -> Option<&Cell> {
        self.rows.iter().find(|of| of.name == row)?.cells.iter().find(|cell| cell.runtime == runtime)
    }

    /// Why a row failed under a runtime, if it did.
    pub fn failure(&self, row: &str, runtime: &str) -> Option<&str> {
        self.cell(row, runtime)?.failure.as_deref()
    }

    /// Adds the best value and the median of a repetition.
    pub fn add(&mut self, row: &str, unit: Unit, runtime: &str, best: f64, median: f64) {
        let cell = self.cell_mut(row, unit, runtime);
        cell.best.push(best);
        cell.medians.push(median);
    }

    /// Adds a single value.
    pub fn add_one(&mut self, row: &str, unit: Unit, runtime: &str, value: f64) {
        self.add(row, unit, runtime, value, value);
    }

    /// Notes that a row failed.
    pub fn fail(&mut self, row: &str, unit: Unit, runtime: &str, reason: String) {
        eprintln!("{row} failed under {runtime}: {reason}");
        self.cell_mut(row, unit, runtime).failure = Some(reason);
    }

    /// Whether a program printed what it printed before, elsewhere: a wrong answer has no speed.
    ///
    /// # Errors
    /// What it printed instead.
    pub fn same_output(&mut self, row: &str, printed: &str) -> Result<(), String> {
        let of = self.row_mut(row, Unit::Milliseconds);
        match &of.printed {
            None => of.printed = Some(printed.to_owned()),
            Some(expected) if expected == printed => {}
            Some(expected) => {
                let (had, now) = (expected.trim_end(), printed.trim_end());
                return Err(format!("wrong output: {now:.60?} instead of {had:.60?}"));
            }
        }
        Ok(())
    }

    fn row_mut(&mut self, row: &str, unit: Unit) -> &mut RowResults {
        let index = self.rows.iter().position(|of| of.name == row).unwrap_or_else(|| {
            self.rows.push(RowResults { name: row.into(), unit, cells: Vec::new(), printed: None });
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }

    fn cell_mut(&mut self, row: &str, unit: Unit, runtime: &str) -> &mut Cell {
        let cells = &mut self.row_mut(row, unit).cells;
        let index = cells.iter().position(|cell| cell.runtime == runtime).unwrap_or_else(|| {
            cells.push(Cell { runtime: runtime.into(), best: Vec::new(), medians: Vec::new(), failure: None });
            cells.len() - 1
        });
        &mut cells[index]
    }
}
