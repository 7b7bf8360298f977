//! How often each system call was made, failed, or was asked for in vain.

use std::sync::atomic::{AtomicU64, Ordering};

use super::table::{self, NUMBERS};

/// Counts, by number. Those beyond the table share the last place.
pub struct Counters {
    calls: Box<[AtomicU64]>,
    errors: Box<[AtomicU64]>,
}

impl Default for Counters {
    fn default() -> Self {
        let zeroes = || (0..NUMBERS).map(|_| AtomicU64::new(0)).collect();
        Self { calls: zeroes(), errors: zeroes() }
    }
}

/// The counts of one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Its number.
    pub number: u64,
    /// Its name; empty for numbers that are none.
    pub name: &'static str,
    /// How often it was made.
    pub calls: u64,
    /// How often it gave an error, interruptions left out.
    pub errors: u64,
    /// Whether it is one that is not there.
    pub missing: bool,
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(NUMBERS).min(NUMBERS - 1)
}

impl Counters {
    pub(super) fn count(&self, number: u64) {
        self.calls[place(number)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_error(&self, number: u64) {
        self.errors[place(number)].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts of every call that was made, by number.
    pub fn counts(&self) -> Vec<Count> {
        let made = self.calls.iter().zip(&self.errors).enumerate();
        made.filter_map(|(i, (calls, errors))| {
            let (number, calls) = (i as u64, calls.load(Ordering::Relaxed));
            let there = table::call(number);
            let missing = table::MISSING.iter().find(|(n, ..)| *n == number);
            (calls > 0).then(|| Count {
                number,
                name: there.map(|c| c.name).or(missing.map(|m| m.1)).unwrap_or_default(),
                calls,
                errors: errors.load(Ordering::Relaxed),
                missing: there.is_none(),
            })
        })
        .collect()
    }

    /// Those of them that are missing.
    pub fn missing(&self) -> Vec<Count> {
        self.counts().into_iter().filter(|c| c.missing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_calls_are_told_from_those_that_are_there() {
        let counters = Counters::default();
        counters.count(0);
        counters.count(0);
        counters.count_error(0);
        counters.count(425);
        counters.count(u64::MAX);
        let all = counters.counts();
        assert_eq!(all[0], Count { number: 0, name: "read", calls: 2, errors: 1, missing: false });
        let missing: Vec<_> = counters.missing().iter().map(|c| c.name).collect();
        assert_eq!(missing, ["io_uring_setup", ""]);
    }
}
