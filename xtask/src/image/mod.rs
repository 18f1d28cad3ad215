//! `cargo xtask image`: tollgate.sys and tollgate.pdb on a machine without a WDK.

mod allowed;
mod arch;
mod build;
mod check;
mod compiler;
mod reproduce;
#[cfg(test)]
mod sample;
mod toolchain;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
pub use arch::Arch;
pub use build::Built;
pub use check::check;
pub use compiler::play;
#[cfg(test)]
pub use sample::Sample;
pub use toolchain::NoToolchain;

/// What `cargo xtask image` is told.
#[derive(clap::Args)]
pub struct Args {
    /// The machine that the image is for
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,
    /// Refuse to change image/Cargo.lock
    #[arg(long)]
    locked: bool,
    /// Build it a second time, from a copy of the sources at another path, and compare byte for byte
    #[arg(long)]
    reproducible: bool,
    /// Build nothing: check this image
    #[arg(long, value_name = "FILE", conflicts_with = "reproducible")]
    check: Option<PathBuf>,
}

/// Builds the image, or takes the one that it is told to check, and checks it.
///
/// # Errors
///
/// [`NoToolchain`] if nothing here can build it; otherwise what failed.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    if let Some(image) = &args.check {
        return report(image, args.arch);
    }
    let built = make(root, args.arch, args.locked)?;
    report(&built.image, args.arch)?;
    if args.reproducible {
        reproduce::check(root, args.arch, &toolchain::find(args.arch)?, &built)?;
    }
    Ok(())
}

/// Builds the image with what the machine has, and says what that was.
///
/// # Errors
///
/// [`NoToolchain`] if nothing here can build it; otherwise what failed.
pub fn make(root: &Path, arch: Arch, locked: bool) -> Result<Built> {
    let toolchain = toolchain::find(arch)?;
    say!("toolchain: {toolchain}");
    let built = build::build(root, &target_dir(root)?, arch, &toolchain, locked)?;
    for file in [&built.image, &built.symbols] {
        say!("{}: {} bytes", file.display(), size(file)?);
    }
    Ok(built)
}

/// Where this and all that is made from it goes: Cargo's target directory.
pub fn target_dir(root: &Path) -> Result<PathBuf> {
    let directory =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(std::path::absolute(directory)?)
}

/// Builds the image for x64 and gives its PDB.
///
/// # Errors
///
/// [`NoToolchain`] if nothing here can build it; otherwise what failed.
pub fn symbols(root: &Path) -> Result<PathBuf> {
    let toolchain = toolchain::find(Arch::X86_64)?;
    let target_dir = target_dir(root)?;
    Ok(build::build(root, &target_dir, Arch::X86_64, &toolchain, true)?.symbols)
}

/// Prints what the image is and what is wrong with it.
fn report(image: &Path, arch: Arch) -> Result<()> {
    let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let found = check::check(&bytes, arch)
        .with_context(|| format!("{} is not an image", image.display()))?;
    say!("{}", found.summary);
    for (library, functions) in &found.imports {
        say!(
            "imports from {library} ({}): {}",
            functions.len(),
            functions.join(" ")
        );
    }
    for problem in &found.problems {
        complain!("problem: {problem}");
    }
    match found.problems.len() {
        0 => {
            say!("the image is as it should be");
            Ok(())
        }
        count => bail!("{count} problem(s) in {}", image.display()),
    }
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)
        .with_context(|| format!("no {}", path.display()))?
        .len())
}
