//! The tables: for people at a terminal, and for `docs/performance.md`.

use std::fmt::Write as _;

use crate::results::{Results, RowResults, Unit};

/// The table as text.
pub fn text(results: &Results) -> String {
    let lines = table(results);
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            // Writing to a String can't fail.
            let _ = if column == 0 { write!(text, "{cell:width$}") } else { write!(text, "  {cell:>width$}") };
        }
        text.push('\n');
    }
    text.push_str(&notes(results, "", ""));
    text
}

/// The same for a page of the book.
pub fn markdown(results: &Results) -> String {
    let lines = table(results);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "| {} |", line.join(" | "));
        if number == 0 {
            let _ = writeln!(text, "|---|{}", "---:|".repeat(line.len() - 1));
        }
    }
    text.push('\n');
    text.push_str(&notes(results, "- ", "`"));
    text
}

/// Head and rows: the best value and, in parentheses, the median under each runtime; then, for each platform of ours,
/// how its best compares with each of the others'.
fn table(results: &Results) -> Vec<Vec<String>> {
    let present: Vec<&str> =
        results.runtimes.iter().filter(|of| of.absent.is_none()).map(|of| of.name.as_str()).collect();
    let (ours, others): (Vec<&str>, Vec<&str>) = present.iter().partition(|name| name.starts_with("moat-"));
    let pairs: Vec<(&str, &str)> = ours.iter().flat_map(|ours| others.iter().map(|other| (*ours, *other))).collect();
    let mut head = vec!["row".to_owned(), "unit".to_owned()];
    head.extend(present.iter().map(|name| name.to_string()));
    head.extend(pairs.iter().map(|(ours, other)| match *other {
        "native" => format!("{ours}: × native"),
        other => format!("ahead of {other}"),
    }));
    let mut lines = vec![head];
    for row in &results.rows {
        let mut line = vec![row.name.clone(), row.unit.name().to_owned()];
        line.extend(present.iter().map(|name| cell(row, name)));
        line.extend(pairs.iter().map(|(ours, other)| ratio(row, ours, other)));
        lines.push(line);
    }
    lines
}

fn cell(row: &RowResults, runtime: &str) -> String {
    let Some(cell) = row.cells.iter().find(|cell| cell.runtime == runtime) else { return "–".into() };
    match (cell.best(row.unit), cell.median()) {
        (Some(best), Some(median)) => format!("{} ({})", figure(best, row.unit), figure(median, row.unit)),
        _ => "failed".into(),
    }
}

fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds | Unit::PerSecond => grouped(value),
        Unit::Milliseconds if value >= 100.0 => grouped(value),
        _ => format!("{value:.1}"),
    }
}

/// A whole number with its digits in threes.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// How many times as much as native we need, or how many times as much as we need the other does.
fn ratio(row: &RowResults, ours: &str, other: &str) -> String {
    let best = |name: &str| row.cells.iter().find(|cell| cell.runtime == name)?.best(row.unit);
    let (Some(ours), Some(theirs)) = (best(ours), best(other)) else { return "–".into() };
    if ours == 0.0 || theirs == 0.0 {
        return "–".into();
    }
    let ahead = if row.unit.more_is_better() { ours / theirs } else { theirs / ours };
    format!("{:.2}", if other == "native" { 1.0 / ahead } else { ahead })
}

/// What was absent and what failed, with the reasons.
fn notes(results: &Results, bullet: &str, quote: &str) -> String {
    let mut text = String::new();
    for of in &results.runtimes {
        let (name, version) = (&of.name, &of.version);
        let _ = match &of.absent {
            Some(reason) => writeln!(text, "{bullet}{quote}{name}{quote}: absent: {reason}"),
            None => writeln!(text, "{bullet}{quote}{name}{quote}: {version}"),
        };
    }
    for row in &results.rows {
        for cell in &row.cells {
            if let Some(reason) = &cell.failure {
                let (name, runtime) = (&row.name, &cell.runtime);
                let _ = writeln!(text, "{bullet}{quote}{name}{quote} failed under {quote}{runtime}{quote}: {reason}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Results;

    fn results() -> Results {
        let mut results = Results::new(&[], 2, false);
        for (runtime, best, median) in [("native", 100.0, 110.0), ("moat-ptrace", 200.0, 1234.0)] {
            results.add("getpid", Unit::Nanoseconds, runtime, best, median);
            results.add("redis_get", Unit::PerSecond, runtime, best, median);
        }
        results
    }

    #[test]
    fn a_ratio_to_native_is_a_cost_whatever_the_unit() {
        let results = results();
        assert_eq!(ratio(&results.rows[0], "moat-ptrace", "native"), "2.00");
        assert_eq!(ratio(&results.rows[1], "moat-ptrace", "native"), "0.50");
    }

    #[test]
    fn a_row_that_failed_once_has_no_figure() {
        let mut results = results();
        results.fail("getpid", Unit::Nanoseconds, "native", "errno".into());
        assert_eq!(cell(&results.rows[0], "native"), "failed");
        assert_eq!(ratio(&results.rows[0], "moat-ptrace", "native"), "–");
    }

    #[test]
    fn figures_have_best_and_median() {
        assert_eq!(cell(&results().rows[0], "moat-ptrace"), "200 (1 234)");
        assert_eq!(grouped(1234567.4), "1 234 567");
    }
}
