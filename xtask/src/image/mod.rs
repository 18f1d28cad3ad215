//! `cargo xtask image`: tollgate.sys and tollgate.pdb on a machine without a WDK.

mod allowed;
mod arch;
mod build;
mod check;
#[cfg(test)]
mod sample;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
pub use arch::Arch;
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
    /// Build nothing: check this image
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Builds the image, or takes the one that it is told to check, and checks it.
///
/// # Errors
///
/// [`NoToolchain`] if nothing here can build it; otherwise what failed.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    let image = match &args.check {
        Some(image) => image.clone(),
        None => {
            let toolchain = toolchain::find(args.arch)?;
            println!("toolchain: {toolchain}");
            let built = build::build(root, args.arch, &toolchain, args.locked)?;
            println!("{}: {} bytes", built.image.display(), size(&built.image)?);
            println!(
                "{}: {} bytes",
                built.symbols.display(),
                size(&built.symbols)?
            );
            built.image
        }
    };
    report(&image, args.arch)
}

/// Builds the image for x64 and gives its PDB.
///
/// # Errors
///
/// [`NoToolchain`] if nothing here can build it; otherwise what failed.
pub fn symbols(root: &Path) -> Result<PathBuf> {
    let toolchain = toolchain::find(Arch::X86_64)?;
    Ok(build::build(root, Arch::X86_64, &toolchain, true)?.symbols)
}

/// Prints what the image is and what is wrong with it.
fn report(image: &Path, arch: Arch) -> Result<()> {
    let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let found = check::check(&bytes, arch)
        .with_context(|| format!("{} is not an image", image.display()))?;
    println!("{}", found.summary);
    for (library, functions) in &found.imports {
        println!(
            "imports from {library} ({}): {}",
            functions.len(),
            functions.join(" ")
        );
    }
    for problem in &found.problems {
        eprintln!("problem: {problem}");
    }
    match found.problems.len() {
        0 => {
            println!("the image is as it should be");
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
