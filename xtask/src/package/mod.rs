//! `cargo xtask package`: the folder that pnputil installs, made without Windows.

mod authenticode;
mod catalog;
mod check;
mod der;
mod sign;
mod symbols;
#[cfg(test)]
mod tests;
mod time;
mod version;

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
pub use sign::NoTool;

use crate::image::{self, Arch};
use crate::inf::{Stamp, stamp};
use crate::version_resource;
use catalog::Member;
use sign::Identity;
use time::Time;

/// The driver.
pub const IMAGE: &str = "tollgate.sys";
/// Its symbols, which the INF does not install.
pub const SYMBOLS: &str = "tollgate.pdb";
/// How it is installed.
pub const INF: &str = "tollgate.inf";
/// What belongs to the package, signed.
pub const CATALOG: &str = "tollgate.cat";
/// Whose signature that is.
pub const CERTIFICATE: &str = "tollgate-test.cer";
/// All of it.
pub const FILES: [&str; 5] = [IMAGE, SYMBOLS, INF, CATALOG, CERTIFICATE];

/// What `cargo xtask package` is told.
#[derive(clap::Args)]
pub struct Args {
    /// The machine that the package is for
    #[arg(long, value_enum, default_value_t = Machines::X86_64)]
    arch: Machines,
    /// Then check the package: signatures, INF, catalog, symbols, version
    #[arg(long)]
    check: bool,
    /// Make nothing: check what was made before
    #[arg(long, conflicts_with = "locked")]
    check_only: bool,
    /// Refuse to change image/Cargo.lock
    #[arg(long)]
    locked: bool,
}

/// One machine or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Machines {
    /// x64
    #[value(name = "x86_64", alias = "x64")]
    X86_64,
    /// ARM64
    #[value(name = "aarch64", alias = "arm64")]
    Aarch64,
    /// Each in a folder of its own
    All,
}

impl Machines {
    fn each(self) -> &'static [Arch] {
        match self {
            Self::X86_64 => &[Arch::X86_64],
            Self::Aarch64 => &[Arch::Aarch64],
            Self::All => &[Arch::X86_64, Arch::Aarch64],
        }
    }
}

/// Makes the package, checks it, or both.
///
/// # Errors
///
/// [`NoTool`] and [`image::NoToolchain`] if this machine cannot; otherwise what failed, or that the package is not as it should be.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    sign::ready()?;
    let directory = image::target_dir(root)?.join("package");
    for arch in args.arch.each() {
        let package = directory.join(arch.name());
        if !args.check_only {
            let built = image::make(root, *arch, args.locked)?;
            let parts = Parts {
                arch: *arch,
                image: fs::read(&built.image).context("cannot read the image")?,
                symbols: fs::read(&built.symbols).context("cannot read the symbols")?,
                inx: fs::read_to_string(root.join("inf/tollgate.inx"))
                    .context("cannot read inf/tollgate.inx")?,
                time: Time::of_source(root, env::var("SOURCE_DATE_EPOCH").ok().as_deref())?,
            };
            let identity = Identity::at(&directory.join("test-signing"))?;
            assemble(&package, &parts, &identity)?;
            for name in FILES {
                let length = fs::metadata(package.join(name))?.len();
                say!("{}: {length} bytes", package.join(name).display());
            }
        }
        if args.check || args.check_only {
            report(&package, *arch)?;
        }
    }
    Ok(())
}

/// What a package is made of.
struct Parts {
    arch: Arch,
    image: Vec<u8>,
    symbols: Vec<u8>,
    inx: String,
    time: Time,
}

/// Makes the package in a directory, which is emptied first.
fn assemble(directory: &Path, parts: &Parts, identity: &Identity) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let info = version::read(&parts.image)
        .context("the image has no version resource, which says the version of the package")?;
    let inf = stamp(
        &parts.inx,
        &Stamp {
            arch: parts.arch,
            date: parts.time.date(),
            version: version_resource::text(info.file),
        },
    )
    .map_err(|problem| anyhow!("inf/tollgate.inx: {problem}"))?;
    let put = |name: &str, content: &[u8]| {
        fs::write(directory.join(name), content).with_context(|| format!("cannot write {name}"))
    };
    put(INF, inf.as_bytes())?;
    put(SYMBOLS, &parts.symbols)?;
    identity.export(&directory.join(CERTIFICATE))?;

    // osslsigncode writes another file than it reads.
    let scratch = tempfile::tempdir().context("no room for what is not signed yet")?;
    let unsigned = scratch.path().join("unsigned");
    fs::write(&unsigned, &parts.image)?;
    identity.sign(&unsigned, &directory.join(IMAGE), true)?;
    let image = fs::read(directory.join(IMAGE))?;
    let members = [Member::new(IMAGE, &image), Member::new(INF, inf.as_bytes())];
    fs::write(&unsigned, catalog::make(&members, &parts.time.utc_time()))?;
    identity.sign(&unsigned, &directory.join(CATALOG), false)
}

/// Prints what is wrong with a package.
fn report(directory: &Path, arch: Arch) -> Result<()> {
    let problems = check::check(directory, arch)?;
    for problem in &problems {
        complain!("problem: {problem}");
    }
    match problems.len() {
        0 => {
            say!(
                "{}: signatures, INF, catalog, symbols and version are as they should be",
                directory.display()
            );
            Ok(())
        }
        count => bail!("{count} problem(s) in {}", directory.display()),
    }
}
