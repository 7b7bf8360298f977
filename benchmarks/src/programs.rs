//! Real programs. Each is a line of shell, timed inside the sandbox by the micro program, so that the start of the
//! sandbox is no part of its time; start-up has a row of its own.

use std::time::Duration;

use serde::Deserialize;

use crate::child::{self, Outcome};
use crate::inputs::Inputs;
use crate::results::{Results, Unit};
use crate::runtimes::Runtime;

/// A program and what is read off its run.
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What it gives.
    pub rows: &'static [Row],
    /// The shell's line; `$D` are the inputs, `$S` is a fresh directory that can be written.
    script: &'static str,
    /// What must be installed.
    needs: &'static [&'static str],
}

/// One figure of a run.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// How it is read off.
    reading: Reading,
}

enum Reading {
    /// The wall time of the whole.
    Time,
    /// The number after the word in a line of redis-benchmark's comma-separated output.
    Rate(&'static str),
}

const fn timed(name: &'static str) -> [Row; 1] {
    [Row { name, reading: Reading::Time }]
}

/// All programs.
pub const ALL: &[Program] = &[
    Program {
        name: "shell_loop",
        rows: &timed("shell_loop_200"),
        script: "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done; echo $i",
        needs: &[],
    },
    Program {
        name: "python",
        rows: &timed("python_start_5"),
        script: "for i in 1 2 3 4 5; do /usr/bin/python3 -c 'import json, os; print(json.dumps(1))'; done",
        needs: &["/usr/bin/python3"],
    },
    Program { name: "find", rows: &timed("find_tree"), script: "find $D/tree -type f -size +1k | wc -l", needs: &[] },
    Program { name: "grep", rows: &timed("grep_tree"), script: "grep -r needle $D/tree | wc -l", needs: &[] },
    Program {
        name: "tar",
        rows: &timed("tar_tree"),
        script: "tar -C $D -cf $S/tree.tar tree && tar -C $S -xf $S/tree.tar && ls $S/tree | wc -l",
        needs: &["/bin/tar"],
    },
    Program {
        name: "small_files",
        rows: &timed("small_files_2000"),
        script: "cd $S; i=0; while [ $i -lt 2000 ]; do echo $i > $i; i=$((i+1)); done; cat * | wc -l; rm -r $S/*; ls $S",
        needs: &[],
    },
    Program {
        name: "gcc",
        rows: &timed("gcc_10"),
        script: "for i in 0 1 2 3 4 5 6 7 8 9; do gcc -O1 -o $S/p $D/program$i.c && $S/p; done",
        needs: &["/usr/bin/gcc"],
    },
    Program {
        name: "sqlite",
        rows: &timed("sqlite"),
        script: "sqlite3 $S/base < $D/statements.sql",
        needs: &["/usr/bin/sqlite3"],
    },
    Program {
        name: "redis",
        rows: &[
            Row { name: "redis_set", reading: Reading::Rate("SET") },
            Row { name: "redis_get", reading: Reading::Rate("GET") },
        ],
        script: "cd $S; redis-server --port 6399 --bind 127.0.0.1 --save '' --appendonly no >log & \
                 i=0; until redis-cli -p 6399 ping >/dev/null 2>&1; do \
                 i=$((i+1)); [ $i -lt 100 ] || { cat $S/log >&2; exit 1; }; sleep 0.1; done; \
                 redis-benchmark -h 127.0.0.1 -p 6399 -t set,get -n 10000 -c 20 --csv; \
                 redis-cli -p 6399 shutdown nosave; wait",
        needs: &["/usr/bin/redis-server", "/usr/bin/redis-benchmark"],
    },
];

/// The names of the rows of all programs.
pub fn rows() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|program| program.rows.iter().map(|row| row.name))
}

#[derive(Deserialize)]
struct Timing {
    ns: f64,
    status: i32,
}

/// Runs a program once under a runtime, unless it failed there before.
pub fn run(program: &Program, runtime: &Runtime, inputs: &Inputs, timeout: Duration, results: &mut Results) {
    if program.rows.iter().any(|row| results.failure(row.name, &runtime.name).is_some()) {
        return;
    }
    let fail = |results: &mut Results, reason: String| {
        for row in program.rows {
            results.fail(row.name, row.unit(), &runtime.name, reason.clone());
        }
    };
    if let Some(absent) = program.needs.iter().find(|path| !std::path::Path::new(path).exists()) {
        return fail(results, format!("{absent} is not installed"));
    }
    // Whatever the last run wrote would change the next one's work.
    let script = format!(
        "D={}; S={}/run.$$; mkdir -p $S; {}; status=$?; rm -rf $S; exit $status",
        inputs.directory,
        runtime.scratch.display(),
        program.script
    );
    let outcome = match child::run(&mut runtime.command(&[&inputs.micro, "--run", "/bin/sh", "-c", &script]), timeout) {
        Ok(outcome) => outcome,
        Err(error) => return fail(results, error.to_string()),
    };
    if let Some(failure) = outcome.failure() {
        return fail(results, failure);
    }
    let Some((printed, timing)) = timing(&outcome) else { return fail(results, "no timing was printed".into()) };
    if timing.status != 0 {
        let last = outcome.stderr.lines().last().unwrap_or_default();
        return fail(results, format!("exit status {}: {last}", timing.status));
    }
    for row in program.rows {
        match row.reading {
            Reading::Time => {
                if let Err(reason) = results.same_output(row.name, printed) {
                    return fail(results, reason);
                }
                results.add_one(row.name, row.unit(), &runtime.name, timing.ns / 1e6);
            }
            Reading::Rate(word) => match rate(printed, word) {
                Some(rate) => results.add_one(row.name, row.unit(), &runtime.name, rate),
                None => results.fail(row.name, row.unit(), &runtime.name, format!("no rate of {word} was printed")),
            },
        }
    }
}

impl Row {
    fn unit(&self) -> Unit {
        match self.reading {
            Reading::Time => Unit::Milliseconds,
            Reading::Rate(_) => Unit::PerSecond,
        }
    }
}

/// The last line of the output, which the micro program wrote, and all before it, which is the program's own.
fn timing(outcome: &Outcome) -> Option<(&str, Timing)> {
    let end = outcome.stdout.trim_end();
    let start = end.rfind('\n').map_or(0, |newline| newline + 1);
    Some((&end[..start], serde_json::from_str(&end[start..]).ok()?))
}

/// The rate in a line like `"GET","45000.00",…`.
fn rate(printed: &str, word: &str) -> Option<f64> {
    let quoted = format!("\"{word}\"");
    let line = printed.lines().find(|line| line.starts_with(&quoted))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_second_field() {
        let printed = "\"test\",\"rps\"\n\"SET\",\"47393.36\",\"0.2\"\n\"GET\",\"54945.05\",\"0.1\"\n";
        assert_eq!(rate(printed, "GET"), Some(54945.05));
        assert_eq!(rate(printed, "LPUSH"), None);
    }

    #[test]
    fn the_timing_is_no_part_of_the_output() {
        let stdout = "200\n{\"row\":\"run\",\"ns\":1500,\"status\":0}\n".to_owned();
        let outcome = Outcome { stdout, stderr: String::new(), elapsed: Duration::ZERO, status: None };
        let (printed, timing) = timing(&outcome).expect("a timing");
        assert_eq!((printed, timing.ns, timing.status), ("200\n", 1500.0, 0));
    }
}
