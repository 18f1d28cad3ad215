//! Whether the fuzzer finds what was planted for it: each kind of failure, behind branches that only coverage leads through. A fuzzer
//! whose counters do not count, that does not notice a crash or does not save its input, finds nothing and looks just like a sound one.

use std::ffi::OsStr;
use std::fs;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use super::run::Fuzzer;
use super::run::files;

/// The planted targets, with what the files are called that they fail at.
const PLANTED: [(&str, &str); 6] = [
    ("planted-panic", "crash-"),
    ("planted-abort", "crash-"),
    ("planted-fault", "crash-"),
    ("planted-overflow", "crash-"),
    ("planted-memory", "crash-"),
    ("planted-hang", "timeout-"),
];

/// What every planted target fails at.
const FAILS: &[u8] = b"open";

/// Fuzzes every planted target until it fails, and gives it the saved input again.
pub(super) fn check(fuzzer: &Fuzzer) -> Result<()> {
    for (target, kind) in PLANTED {
        one(fuzzer, target, kind).with_context(|| format!("the fuzzer is no good: {target}"))?;
    }
    say!("planted failures are found: {}", PLANTED.len());
    Ok(())
}

fn one(fuzzer: &Fuzzer, target: &str, kind: &str) -> Result<()> {
    let found = fuzzer.directory("found", target)?;
    for file in files(&found)? {
        fs::remove_file(file)?;
    }
    // The same numbers every time; it takes a second.
    let (status, log) = start(fuzzer, target, &["-seed=1", "-max_total_time=60"])?;
    ensure!(
        !status.success(),
        "it was not found, or not noticed:\n{log}"
    );
    let saved = files(&found)?;
    let [input] = &saved[..] else {
        anyhow::bail!("{} inputs were saved:\n{log}", saved.len());
    };
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    ensure!(name.starts_with(kind), "it was taken for another: {name}");
    let bytes = fs::read(input)?;
    ensure!(
        bytes.starts_with(FAILS),
        "the wrong input was saved: {bytes:?}"
    );
    let again = input.display().to_string();
    let (status, log) = start(fuzzer, target, &[&again])?;
    ensure!(!status.success(), "it does not fail again:\n{log}");
    fs::write(input, &FAILS[..3])?;
    let (status, log) = start(fuzzer, target, &[&again])?;
    ensure!(status.success(), "it fails at anything:\n{log}");
    Ok(())
}

fn start(
    fuzzer: &Fuzzer,
    target: &str,
    arguments: &[&str],
) -> Result<(std::process::ExitStatus, String)> {
    let mut all: Vec<&OsStr> = vec![
        "-artifact_prefix=./".as_ref(),
        "-timeout=1".as_ref(),
        "-max_len=8".as_ref(),
    ];
    all.extend(arguments.iter().map(OsStr::new));
    fuzzer.start(target, &all, false)
}
