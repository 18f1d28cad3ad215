//! Repository tasks: `cargo xtask --help`.
//!
//! Exit status: 0 done, 1 a step or a check failed, 2 the command line was not understood, 3 no toolchain that
//! can build the image, or no tool that can sign the package.

// Tests print as they like.
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout))]

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[macro_use]
mod say;

mod debugger;
mod fuzz;
mod image;
mod inf;
mod manifests;
mod package;
#[cfg(test)]
mod published;
mod throughput;
mod tsan;
#[path = "../../inf/version_resource.rs"]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the build script of the image makes the resource; this reads it"
    )
)]
mod version_resource;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Repository tasks")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build tollgate.sys and tollgate.pdb without a WDK, and check the image
    Image(image::Args),
    /// Make the driver package that Windows installs, signed with a test certificate: .sys, .pdb, .inf, .cat, .cer
    Package(package::Args),
    /// Put the WinDbg extension together and check its names against the image's PDB
    Debugger(debugger::Args),
    /// Fuzz what takes bytes from outside: libFuzzer drives the targets of crates/fuzz
    Fuzz(fuzz::Args),
    /// Run the tests of crates/nt-threads under ThreadSanitizer
    Tsan(tsan::Args),
    /// Count the instructions of a replay with the linked driver and with the image
    Throughput(throughput::Args),
    /// Check that image/Cargo.toml and inf/Cargo.toml have the dependencies of the root package on Windows
    Manifests,
}

fn main() -> ExitCode {
    // Cargo and rustc start this program too, while it builds the image.
    if let Some(code) = image::play() {
        return code;
    }
    let args = Args::parse();
    let outcome = match args.task {
        Task::Image(args) => image::run(root(), &args),
        Task::Package(args) => package::run(root(), &args),
        Task::Debugger(args) => debugger::run(root(), &args),
        Task::Fuzz(args) => fuzz::run(root(), &args),
        Task::Tsan(args) => tsan::run(root(), &args),
        Task::Throughput(args) => throughput::run(root(), &args),
        Task::Manifests => manifests::run(root()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("error: {error:#}");
            ExitCode::from(
                if error.is::<image::NoToolchain>() || error.is::<package::NoTool>() {
                    3
                } else {
                    1
                },
            )
        }
    }
}

/// The repository, which is where this package was compiled.
fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
