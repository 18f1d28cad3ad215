//! The fuzzer, built with counters at every branch. The passes that put them in are in every LLVM, so a stable compiler will do.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// What libFuzzer needs of the compiler: a counter and an address for each edge, and to be told what comparisons compare.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Builds the fuzzer and gives its file. Assertions and overflow checks are those of the tests.
pub(super) fn build(root: &Path, place: &Path, locked: bool) -> Result<PathBuf> {
    ensure!(
        cfg!(target_os = "linux"),
        "the simulator, and so the fuzzer, runs on Linux"
    );
    // Named, so that the flags are not for build scripts and macros, which have no libFuzzer to be linked to.
    let machine = if cfg!(target_arch = "x86_64") {
        "x86_64-unknown-linux-gnu"
    } else {
        "aarch64-unknown-linux-gnu"
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--package", "fuzz", "--bin", "fuzzer"])
        .args(["--features", "libfuzzer", "--target", machine])
        .args(locked.then_some("--locked"))
        .current_dir(root)
        .env("CARGO_TARGET_DIR", place)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        // Panics tell file and line without it.
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let status = cargo.status().context("cannot start Cargo")?;
    ensure!(
        status.success(),
        "the fuzzer cannot be built; if it was libFuzzer: that is C++, which needs g++ or clang++"
    );
    Ok(place.join(machine).join("debug/fuzzer"))
}
