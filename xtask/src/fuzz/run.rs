//! libFuzzer started, and what it says read.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// How long one input may take, in seconds: the slowest ones of the corpora take a tenth of one.
const PATIENCE: u32 = 10;
/// How much of the log of a failure is shown: the panic or the violation, and libFuzzer's words.
const TAIL: usize = 80;

/// The fuzzer and its places.
pub(super) struct Fuzzer {
    /// The program.
    pub program: PathBuf,
    /// The committed corpora.
    pub corpora: PathBuf,
    /// Where everything goes that it makes.
    pub place: PathBuf,
}

/// What came of fuzzing that found nothing.
pub(super) struct Figures {
    executions: u64,
    each_second: u64,
    covered: u64,
    kept: u64,
    megabytes: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9} executions, {:>6} a second; {:>5} branches covered, {:>4} new inputs kept; {} MiB",
            self.executions, self.each_second, self.covered, self.kept, self.megabytes
        )
    }
}

impl Fuzzer {
    /// A directory of its own for a target, made if need be.
    pub fn directory(&self, what: &str, target: &str) -> Result<PathBuf> {
        let directory = self.place.join(what).join(target);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(directory)
    }

    /// Fuzzes a target. The inner error is a failure of the target, told for a reader.
    pub fn fuzz(&self, target: &str, seconds: u64) -> Result<Result<Figures, String>> {
        let (working, found) = (
            self.directory("corpus", target)?,
            self.directory("found", target)?,
        );
        let time = format!("-max_total_time={seconds}");
        let patience = format!("-timeout={PATIENCE}");
        let mut prefix = OsStr::new("-artifact_prefix=").to_owned();
        prefix.push(found.join(""));
        let committed = self.corpora.join(target);
        let (status, log) = self.start(
            target,
            &[
                // New inputs go to the first.
                working.as_os_str(),
                committed.as_os_str(),
                time.as_ref(),
                patience.as_ref(),
                prefix.as_ref(),
                "-print_final_stats=1".as_ref(),
            ],
            false,
        )?;
        if !status.success() {
            return Ok(Err(failure(target, status, &log)));
        }
        let figures = read(&log).with_context(|| format!("{target}: libFuzzer told no figures"))?;
        // Counters that do not count would let everything pass.
        let seeds = files(&committed)?.len() as u64;
        ensure!(
            figures.covered > 50 && figures.executions > seeds,
            "{target}: {figures}: that is no fuzzing"
        );
        Ok(Ok(figures))
    }

    /// Makes an input that fails smaller, beside the one that there is.
    pub fn minimize(&self, target: &str, file: &Path, seconds: u64) -> Result<()> {
        ensure!(file.is_file(), "there is no file {}", file.display());
        let file = std::path::absolute(file)?;
        let smaller = PathBuf::from(format!("{}.smaller", file.display()));
        let mut to = OsStr::new("-exact_artifact_path=").to_owned();
        to.push(&smaller);
        let time = format!("-max_total_time={seconds}");
        self.start(
            target,
            &[
                "-minimize_crash=1".as_ref(),
                time.as_ref(),
                to.as_ref(),
                file.as_os_str(),
            ],
            true,
        )?;
        ensure!(
            smaller.is_file(),
            "{} was not made smaller: does it fail?",
            file.display()
        );
        say!("{}", smaller.display());
        Ok(())
    }

    /// Puts the fewest inputs aside that cover what the committed and the working corpus do together.
    pub fn merge(&self, target: &str) -> Result<()> {
        let merged = self.directory("merged", target)?;
        for file in files(&merged)? {
            fs::remove_file(file)?;
        }
        let (working, committed) = (self.directory("corpus", target)?, self.corpora.join(target));
        let (status, _) = self.start(
            target,
            &[
                "-merge=1".as_ref(),
                merged.as_os_str(),
                committed.as_os_str(),
                working.as_os_str(),
            ],
            true,
        )?;
        ensure!(status.success(), "the corpora cannot be merged: {status}");
        say!("{} inputs in {}", files(&merged)?.len(), merged.display());
        Ok(())
    }

    /// Starts the program. What it says is shown, or else kept in a file and given.
    pub fn start(
        &self,
        target: &str,
        arguments: &[&OsStr],
        shown: bool,
    ) -> Result<(ExitStatus, String)> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("FUZZ_TARGET", target)
            // Somebody's core files are not asked for.
            .current_dir(self.directory("found", target)?);
        let start = || format!("cannot start {}", self.program.display());
        if shown {
            return Ok((command.status().with_context(start)?, String::new()));
        }
        let path = self.directory("log", target)?.join("log");
        let log = File::create(&path)?;
        let status = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .with_context(start)?;
        // Inputs are printed as they are.
        Ok((
            status,
            String::from_utf8_lossy(&fs::read(&path)?).into_owned(),
        ))
    }
}

/// The files of a directory.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        files.push(entry?.path());
    }
    Ok(files)
}

/// A failure, with what can be done next.
fn failure(target: &str, status: ExitStatus, log: &str) -> String {
    // Every new input is a line that begins so, and what it covers first.
    let lines = log.lines().filter(|line| !line.starts_with(['#', '\t']));
    let lines: Vec<_> = lines.collect();
    let mut told: String = lines[lines.len().saturating_sub(TAIL)..]
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect();
    told += &format!("{target}: {status}\n");
    // "artifact_prefix='...'; Test unit written to ..."
    let inputs = lines
        .iter()
        .filter_map(|line| line.split_once("Test unit written to "));
    let count = inputs.clone().count();
    if count == 0 {
        told += "no input was saved\n";
    }
    for (_, input) in inputs {
        told += &format!(
            "the input:        {input}\n\
             again:            cargo xtask fuzz {target} {input}\n\
             smaller:          cargo xtask fuzz {target} --minimize {input}\n\
             once it is mended: give it a name in crates/fuzz/corpus/{target}; cargo test -p fuzz\n"
        );
    }
    told
}

/// Reads what libFuzzer says last.
fn read(log: &str) -> Option<Figures> {
    let stat = |name: &str| {
        let line = log.lines().rev().find_map(|line| {
            line.strip_prefix("stat::")?
                .strip_prefix(name)?
                .strip_prefix(':')
        })?;
        line.trim().parse().ok()
    };
    // "#1234  DONE   cov: 567 ft: 890 corp: ..."
    let covered = log.lines().rev().find_map(|line| {
        let (_, rest) = line.strip_prefix('#')?.split_once(" cov: ")?;
        rest.split_whitespace().next()?.parse().ok()
    })?;
    Some(Figures {
        executions: stat("number_of_executed_units")?,
        each_second: stat("average_exec_per_sec")?,
        covered,
        kept: stat("new_units_added")?,
        megabytes: stat("peak_rss_mb")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_the_last_lines() {
        let log = "#2\tINITED cov: 16 ft: 16 corp: 1/1b exec/s: 0 rss: 32Mb\n\
            #9000\tDONE   cov: 812 ft: 1830 corp: 5/53b lim: 64 exec/s: 900 rss: 40Mb\n\
            Done 9000 runs in 10 second(s)\n\
            stat::number_of_executed_units: 9000\n\
            stat::average_exec_per_sec:     900\n\
            stat::new_units_added:          4\n\
            stat::slowest_unit_time_sec:    0\n\
            stat::peak_rss_mb:              40\n";
        let figures = read(log).expect("all are there");
        assert_eq!((figures.executions, figures.each_second), (9000, 900));
        assert_eq!(
            (figures.covered, figures.kept, figures.megabytes),
            (812, 4, 40)
        );
        assert!(read("#2\tINITED cov: 16 ft: 16").is_none());
    }

    #[test]
    fn a_failure_tells_the_command_that_shows_it_again() {
        use std::os::unix::process::ExitStatusExt as _;
        let status = ExitStatus::from_raw(77 << 8);
        let told = failure(
            "classify",
            status,
            "thread panicked\nartifact_prefix='found/'; Test unit written to found/crash-1",
        );
        assert!(told.contains("thread panicked"), "{told}");
        assert!(
            told.contains("cargo xtask fuzz classify found/crash-1\n"),
            "{told}"
        );
    }
}
