//! `cargo xtask fuzz`: libFuzzer drives the targets of `crates/fuzz`, each for a bounded time, from its committed corpus on.
//!
//! What it makes up stays in the target directory, and so does what fails; the committed corpus is changed by hand only.

mod build;
mod planted;
mod run;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use run::Fuzzer;

/// What `cargo xtask fuzz` is told.
#[derive(clap::Args)]
pub struct Args {
    /// The target; all of them, one after another, without one
    target: Option<String>,
    /// Make up nothing: give the target these inputs
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How long, for each target
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    time: u64,
    /// Make an input that fails smaller
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with_all = ["files", "merge"])]
    minimize: Option<PathBuf>,
    /// Of all inputs so far, keep aside the fewest that cover the same
    #[arg(long, requires = "target", conflicts_with = "files")]
    merge: bool,
    /// Refuse to change Cargo.lock
    #[arg(long)]
    locked: bool,
}

/// Builds the fuzzer, sees that it finds what was planted, and runs it.
///
/// # Errors
///
/// A target that fails, or a fuzzer that cannot be built or does not notice.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    let corpora = root.join("crates/fuzz/corpus");
    let all = targets(&corpora)?;
    let chosen = match &args.target {
        Some(name) if !all.contains(name) => {
            bail!("there is no target {name:?}: {}", all.join(", "))
        }
        Some(name) => vec![name.clone()],
        None => all,
    };
    let place = crate::image::target_dir(root)?.join("fuzz");
    let fuzzer = Fuzzer {
        program: build::build(root, &place, args.locked)?,
        corpora,
        place,
    };
    if let [target] = &chosen[..] {
        if let Some(file) = &args.minimize {
            return fuzzer.minimize(target, file, args.time);
        }
        if args.merge {
            return fuzzer.merge(target);
        }
        if !args.files.is_empty() {
            return args
                .files
                .iter()
                .try_for_each(|file| replay(&fuzzer, target, file));
        }
    }
    planted::check(&fuzzer)?;
    let mut failed = Vec::new();
    for target in &chosen {
        match fuzzer.fuzz(target, args.time)? {
            Ok(figures) => say!("{target:<12} {figures}"),
            Err(failure) => {
                say!("{target:<12} FAILED\n{failure}");
                failed.push(target.as_str());
            }
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// The targets: each has its corpus, which `cargo test -p fuzz` checks.
fn targets(corpora: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(corpora).with_context(|| format!("cannot list {}", corpora.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    // Images run on x86-64 only, and so does what reads them.
    names.retain(|name| cfg!(target_arch = "x86_64") || !matches!(&**name, "image" | "symbols"));
    names.sort();
    Ok(names)
}

fn replay(fuzzer: &Fuzzer, target: &str, file: &Path) -> Result<()> {
    ensure!(file.is_file(), "there is no file {}", file.display());
    let file = &std::path::absolute(file)?;
    let (status, _) = fuzzer.start(target, &[file.as_os_str()], true)?;
    ensure!(status.success(), "{} fails: {status}", file.display());
    say!("{}: nothing is wrong", file.display());
    Ok(())
}
