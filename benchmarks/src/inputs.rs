//! The files that the programs work on, made anew from nothing but this source, the same on every machine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::child;

const MICRO: &str = include_str!("../micro/micro.c");

/// The files, by absolute path, since commands run elsewhere.
pub struct Inputs {
    /// The micro program.
    pub micro: String,
    /// Tree, C programs and SQL.
    pub directory: String,
    /// Where native commands write: memory, if it can be had, since /tmp of a sandbox is memory too.
    pub scratch: PathBuf,
}

impl Inputs {
    /// Makes them in a directory.
    ///
    /// # Errors
    /// If it can't be written, or there is no C compiler.
    pub fn make(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        let directory = std::fs::canonicalize(directory)?;
        let memory = Path::new("/dev/shm");
        let scratch = if memory.is_dir() { memory.to_owned() } else { directory.join("scratch") };
        std::fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
        let micro = directory.join("micro");
        write(&directory.join("micro.c"), MICRO)?;
        let mut compile = Command::new("gcc");
        compile.args(["-O2", "-static", "-pthread", "-o"]).arg(&micro).arg(directory.join("micro.c"));
        let compiled = child::run(&mut compile, Duration::from_secs(60)).context("running gcc")?;
        if let Some(failure) = compiled.failure() {
            bail!("compiling micro.c: {failure}");
        }
        tree(&directory.join("tree"))?;
        for program in 0..10 {
            write(&directory.join(format!("program{program}.c")), &c_program(program))?;
        }
        write(&directory.join("statements.sql"), &statements())?;
        Ok(Self { micro: text(&micro)?, scratch, directory: text(&directory)? })
    }
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().with_context(|| format!("{}: not UTF-8", path.display()))?.to_owned())
}

fn write(path: &Path, contents: &str) -> Result<()> {
    std::fs::write(path, contents).with_context(|| format!("writing {}", path.display()))
}

/// 2,000 files of some 4 KiB in 100 directories, two deep; every tenth has the word that grep looks for.
fn tree(root: &Path) -> Result<()> {
    for index in 0..2000 {
        let directory = root.join(format!("{:02}/{:02}", index / 200, index / 20 % 10));
        if index % 20 == 0 {
            std::fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
        }
        let mut contents = String::new();
        for line in 0..64 {
            let needle = if index % 10 == 0 && line == 40 { " needle" } else { "" };
            // Writing to a String can't fail.
            let _ = writeln!(contents, "file {index:04} line {line:02}{needle}: the moat goes all around the castle.");
        }
        write(&directory.join(format!("{index:04}.txt")), &contents)?;
    }
    Ok(())
}

fn c_program(number: u32) -> String {
    format!(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\n\
         static int compare(const void *a, const void *b)\n{{\n\treturn *(const int *)a - *(const int *)b;\n}}\n\n\
         int main(void)\n{{\n\tint values[1000];\n\tunsigned seed = {number};\n\
         \tfor (int i = 0; i < 1000; i++)\n\t\tvalues[i] = (int)((seed = seed * 1103515245u + 12345u) >> 8);\n\
         \tqsort(values, 1000, sizeof values[0], compare);\n\
         \tprintf(\"%d %zu\\n\", values[{number}], strlen(\"program\"));\n\treturn 0;\n}}\n"
    )
}

/// One transaction of 5,000 rows, an index, 100 transactions of one row each, and a question about all of them.
fn statements() -> String {
    let mut sql = String::from("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value INTEGER);\nBEGIN;\n");
    for id in 0..5000 {
        let _ = writeln!(sql, "INSERT INTO t VALUES ({id}, 'name {id}', {});", id * 7919 % 10007);
    }
    sql.push_str("COMMIT;\nCREATE INDEX i ON t (value);\n");
    for id in 0..100 {
        let _ = writeln!(sql, "UPDATE t SET value = value + 1 WHERE id = {};", id * 37);
    }
    sql.push_str("SELECT count(*), sum(value), max(name) FROM t WHERE value > 5000;\n");
    sql
}
