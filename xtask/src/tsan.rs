//! `cargo xtask tsan`: the tests of `crates/nt-threads` under ThreadSanitizer.
//!
//! Its runtime comes with Rust's standard library for some machines. The flag that puts it in is not for every user of a stable compiler
//! yet (`RUSTC_BOOTSTRAP`), and the standard library is not built with it; that is why the tests wait with nothing of its.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

/// The standard library has another convention than what is compiled with the sanitizer, says the compiler; it has, of which memory is
/// looked at, and of nothing else.
const FLAGS: [&str; 2] = [
    "-Zsanitizer=thread",
    "-Cunsafe-allow-abi-mismatch=sanitizer",
];
const MACHINE: &str = "x86_64-unknown-linux-gnu";
/// What it says when it finds one, and the exit status of the process.
const FOUND: &str = "WARNING: ThreadSanitizer: data race";
const STATUS: i32 = 66;

/// What `cargo xtask tsan` is told.
#[derive(clap::Args)]
pub struct Args {
    /// Refuse to change Cargo.lock
    #[arg(long)]
    locked: bool,
}

/// Sees that a planted race is found, and then that there is no other.
///
/// # Errors
///
/// A race; or, with the environment variable `CI`, a toolchain that has no ThreadSanitizer. Without, that is told and is no error.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    if let Some(why) = why_not()? {
        ensure!(env::var_os("CI").is_none(), "{why}");
        say!("SKIPPED: {why}");
        return Ok(());
    }
    let planted = test(root, args, "planted-race")?;
    let told = told(&planted);
    ensure!(
        planted.status.code() != Some(0) && told.contains(FOUND),
        "ThreadSanitizer does not find a planted race: {}\n{told}",
        planted.status
    );
    say!("a planted race is found");
    let all = test(root, args, "")?;
    let told = self::told(&all);
    if !all.status.success() || told.contains("ThreadSanitizer") {
        bail!("{}\n{told}", all.status);
    }
    let stories = String::from_utf8_lossy(&all.stdout).lines().count();
    ensure!(stories > 0, "nothing was run");
    say!("no race in {stories} stories");
    Ok(())
}

/// Why there is no ThreadSanitizer here, if there is none.
fn why_not() -> Result<Option<String>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(Some(
            "ThreadSanitizer is run on x86-64 Linux only".to_owned(),
        ));
    }
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", MACHINE])
        .output()
        .context("cannot start rustc")?;
    ensure!(output.status.success(), "rustc does not tell its libraries");
    let libraries = String::from_utf8(output.stdout)?;
    let libraries = Path::new(libraries.trim());
    let entries =
        fs::read_dir(libraries).with_context(|| format!("cannot list {}", libraries.display()))?;
    let mut names = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok((!names.any(|name| name.ends_with("_rt.tsan.a"))).then(|| {
        format!(
            "this toolchain has no ThreadSanitizer: no *_rt.tsan.a in {}",
            libraries.display()
        )
    }))
}

/// Builds the tests, if need be, and runs the one of this name, or all.
fn test(root: &Path, args: &Args, name: &str) -> Result<Output> {
    let place = crate::image::target_dir(root)?.join("tsan");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["test", "--quiet", "--package", "nt-threads"])
        .args(["--test", "races", "--target", MACHINE])
        .args(args.locked.then_some("--locked"))
        .arg("--")
        .args(Some(name).filter(|name| !name.is_empty()))
        .current_dir(root)
        .env("CARGO_TARGET_DIR", place)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .env("RUSTC_BOOTSTRAP", "1")
        // Whoever has set something else has set what is looked at here.
        .env("TSAN_OPTIONS", format!("exitcode={STATUS}"));
    cargo.output().context("cannot start Cargo")
}

fn told(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams
        .map(|stream| String::from_utf8_lossy(stream).into_owned())
        .concat()
}
