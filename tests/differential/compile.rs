//! Finds the programs and compiles them, each once for each content.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Part of the key of the cache: what is compiled with other flags is another program.
const FLAGS: &[&str] = &[
    "-O2",
    "-pthread",
    "-Wall",
    "-Wno-nonnull",
    "-Wno-unused-result",
    "-Wno-array-bounds",
    "-Wno-stringop-overflow",
    "-Wno-stringop-overread",
    "-Wno-infinite-recursion",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("differential/programs")
}

/// The sources of all programs, by name.
pub fn programs() -> Result<Vec<PathBuf>> {
    files("c")
}

fn files(extension: &str) -> Result<Vec<PathBuf>> {
    let folder = folder();
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Compiles a program, or finds it as it was compiled before.
pub fn compile(source: &Path) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    FLAGS.hash(&mut hasher);
    for file in files("h")?.iter().map(PathBuf::as_path).chain([source]) {
        fs::read(file).with_context(|| format!("read {}", file.display()))?.hash(&mut hasher);
    }
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential");
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    let program = cache.join(format!("{name}-{:016x}", hasher.finish()));
    if program.exists() {
        return Ok(program);
    }
    // Two tests of one program may compile it at the same time: each renames a whole file into place.
    let unfinished = tempfile::Builder::new().tempfile_in(&cache).context("create a file for gcc")?.into_temp_path();
    let gcc = Command::new("gcc").args(FLAGS).arg("-o").arg(&unfinished).arg(source).output().context("start gcc")?;
    if !gcc.status.success() {
        bail!("gcc {}:\n{}", source.display(), String::from_utf8_lossy(&gcc.stderr));
    }
    unfinished.persist(&program).with_context(|| format!("keep {}", program.display()))?;
    Ok(program)
}
