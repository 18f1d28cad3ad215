//! Which compiler and linker build the image, chosen from what is installed.
//!
//! In this order: the active toolchain if it has the target's core and alloc; the same after rustup has added them; Debian's Rust,
//! which has the library's source and builds core and alloc from it. The choice is a function of [`Facts`], so that it can be tested.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Arch;

/// Where Debian's rustc-web and cargo-web put the compiler. rustup's own come earlier in PATH.
const DEBIAN_BIN: &str = "/usr/bin";
/// The releases of Debian's lld that know Rust 1.96's output, newest first.
const DEBIAN_LLD: [&str; 2] = [
    "/usr/lib/llvm-22/bin/lld-link",
    "/usr/lib/llvm-21/bin/lld-link",
];

/// What there is on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The active toolchain's rustc, if any.
    pub active: Option<String>,
    /// Whether it has core and alloc for the target.
    pub active_has_target: bool,
    /// The rust-lld that came with it, if any.
    pub rust_lld: Option<PathBuf>,
    /// Whether rustup is there to add the target. False again once it has failed.
    pub rustup: bool,
    /// Debian's rustc, if it and its cargo are installed.
    pub debian: Option<String>,
    /// Whether Debian's library source is installed.
    pub debian_source: bool,
    /// Debian's lld-link, if any.
    pub debian_lld: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Build with this.
    Use(Toolchain),
    /// Ask rustup for the target and look again.
    AddTarget,
    /// Give up; what is missing for each of the ways.
    GiveUp(Vec<String>),
}

/// A compiler and linker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolchain {
    /// The active toolchain, which has the target.
    Active {
        /// What it calls itself.
        version: String,
        /// Its rust-lld.
        linker: PathBuf,
    },
    /// Debian's packages, which build core and alloc from source.
    Debian {
        /// What it calls itself.
        version: String,
        /// Debian's lld-link.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The linker.
    pub fn linker(&self) -> &Path {
        match self {
            Self::Active { linker, .. } | Self::Debian { linker, .. } => linker,
        }
    }

    /// A cargo command of this toolchain, with what it must always be told.
    pub fn cargo(&self) -> Command {
        match self {
            Self::Active { .. } => {
                Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            }
            Self::Debian { .. } => {
                let bin = Path::new(DEBIAN_BIN);
                let mut cargo = Command::new(bin.join("cargo"));
                // Building core from source is behind an unstable option, which a stable compiler takes only when told so.
                cargo
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", bin.join("rustc"));
                cargo
            }
        }
    }

    /// The options of `cargo build` that belong to this toolchain.
    pub fn options(&self) -> &'static [&'static str] {
        match self {
            Self::Active { .. } => &[],
            Self::Debian { .. } => &[
                "-Zbuild-std=core,alloc,compiler_builtins",
                "-Zbuild-std-features=compiler-builtins-mem",
            ],
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active { version, .. } => write!(f, "{version}, with its own core and rust-lld"),
            Self::Debian { version, .. } => {
                write!(f, "{version} of Debian, core built from source, lld-link")
            }
        }
    }
}

/// Nothing on this machine can build the image.
#[derive(Debug)]
pub struct NoToolchain(Vec<String>);

impl fmt::Display for NoToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no toolchain can build the image. Any one of these would do:"
        )?;
        for way in &self.0 {
            write!(f, "\n  - {way}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoToolchain {}

/// Decides from the facts alone.
pub fn choose(facts: &Facts, arch: Arch) -> Step {
    if let (Some(version), true, Some(linker)) =
        (&facts.active, facts.active_has_target, &facts.rust_lld)
    {
        return Step::Use(Toolchain::Active {
            version: version.clone(),
            linker: linker.clone(),
        });
    }
    // Without its linker the target would not help.
    if facts.rustup
        && facts.active.is_some()
        && !facts.active_has_target
        && facts.rust_lld.is_some()
    {
        return Step::AddTarget;
    }
    if let (Some(version), true, Some(linker)) =
        (&facts.debian, facts.debian_source, &facts.debian_lld)
    {
        return Step::Use(Toolchain::Debian {
            version: version.clone(),
            linker: linker.clone(),
        });
    }
    let packages: Vec<&str> = [
        (facts.debian.is_none(), "rustc-web cargo-web rust-web-llvm"),
        (!facts.debian_source, "rust-web-src"),
        (facts.debian_lld.is_none(), "lld-22"),
    ]
    .into_iter()
    .filter_map(|(missing, packages)| missing.then_some(packages))
    .collect();
    Step::GiveUp(vec![
        if facts.active.is_some() && facts.rust_lld.is_none() {
            format!(
                "a rustup toolchain with rust-lld, and `rustup target add {}`",
                arch.target()
            )
        } else {
            format!("rustup target add {}", arch.target())
        },
        format!(
            "on Debian: apt-get install --no-install-recommends {}",
            packages.join(" ")
        ),
    ])
}

/// Finds the toolchain, adding the target with rustup if that is what it takes.
///
/// # Errors
///
/// [`NoToolchain`] if there is none.
pub fn find(arch: Arch) -> Result<Toolchain> {
    let mut facts = observe(arch);
    loop {
        match choose(&facts, arch) {
            Step::Use(toolchain) => return Ok(toolchain),
            Step::AddTarget => {
                say!("rustup target add {}", arch.target());
                let added = Command::new("rustup")
                    .args(["target", "add", arch.target()])
                    .status();
                let added = added.is_ok_and(|status| status.success());
                facts = Facts {
                    rustup: false,
                    ..observe(arch)
                };
                if !added {
                    say!("rustup could not; looking for another toolchain");
                }
            }
            Step::GiveUp(ways) => return Err(NoToolchain(ways).into()),
        }
    }
}

/// Looks at the machine.
fn observe(arch: Arch) -> Facts {
    let mut facts = Facts::default();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if let Ok(found) = Rustc::ask(Path::new(&rustc)) {
        let rustlib = found.sysroot.join("lib/rustlib");
        facts.active_has_target = has_core(&rustlib.join(arch.target()).join("lib"));
        let lld = rustlib
            .join(found.host)
            .join("bin")
            .join(format!("rust-lld{}", env::consts::EXE_SUFFIX));
        facts.rust_lld = lld.is_file().then_some(lld);
        facts.active = Some(found.version);
    }
    facts.rustup = answers(Command::new("rustup").arg("--version"));
    let debian = Path::new(DEBIAN_BIN);
    if debian.join("cargo").is_file()
        && let Ok(found) = Rustc::ask(&debian.join("rustc"))
    {
        facts.debian_source = found
            .sysroot
            .join("lib/rustlib/src/rust/library/core")
            .is_dir();
        facts.debian = Some(found.version);
    }
    facts.debian_lld = DEBIAN_LLD
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    facts
}

/// Whether this directory of a toolchain holds a compiled core.
fn has_core(directory: &Path) -> bool {
    directory.read_dir().is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libcore-") && name.ends_with(".rlib")
        })
    })
}

/// Whether a command runs and succeeds.
fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// What a compiler says of itself.
struct Rustc {
    version: String,
    host: String,
    sysroot: PathBuf,
}

impl Rustc {
    fn ask(rustc: &Path) -> Result<Self> {
        let answer = |arguments: &[&str]| -> Result<String> {
            let output = Command::new(rustc).args(arguments).output()?;
            if !output.status.success() {
                bail!("{} {} failed", rustc.display(), arguments.join(" "));
            }
            Ok(String::from_utf8(output.stdout)?)
        };
        let verbose = answer(&["-vV"])?;
        let host = verbose
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("rustc names no host")?;
        Ok(Self {
            version: verbose.lines().next().unwrap_or_default().to_owned(),
            host: host.to_owned(),
            sysroot: answer(&["--print", "sysroot"])?.trim().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCH: Arch = Arch::X86_64;

    fn rustup_without_target() -> Facts {
        Facts {
            active: Some("rustc 1.95.0".into()),
            rust_lld: Some("/toolchain/rust-lld".into()),
            rustup: true,
            ..Facts::default()
        }
    }

    fn with_debian(facts: Facts) -> Facts {
        Facts {
            debian: Some("rustc 1.96.0".into()),
            debian_source: true,
            debian_lld: Some("/usr/lib/llvm-22/bin/lld-link".into()),
            ..facts
        }
    }

    #[test]
    fn the_active_toolchain_is_used_when_it_has_the_target() {
        let facts = with_debian(Facts {
            active_has_target: true,
            ..rustup_without_target()
        });
        let Step::Use(toolchain) = choose(&facts, ARCH) else {
            panic!("no toolchain")
        };
        assert_eq!(toolchain.linker(), Path::new("/toolchain/rust-lld"));
        assert!(toolchain.to_string().contains("1.95.0"), "{toolchain}");
        assert!(toolchain.options().is_empty(), "nothing unstable is needed");
    }

    #[test]
    fn rustup_is_asked_for_the_target_before_debian_is_looked_at() {
        assert_eq!(
            choose(&with_debian(rustup_without_target()), ARCH),
            Step::AddTarget
        );
    }

    #[test]
    fn debian_is_used_when_rustup_could_not_add_the_target() {
        let facts = with_debian(Facts {
            rustup: false,
            ..rustup_without_target()
        });
        let Step::Use(toolchain) = choose(&facts, ARCH) else {
            panic!("no toolchain")
        };
        assert!(matches!(toolchain, Toolchain::Debian { .. }));
        assert!(
            toolchain
                .options()
                .iter()
                .any(|option| option.contains("build-std=core,alloc"))
        );
    }

    #[test]
    fn a_toolchain_without_a_linker_is_no_reason_to_download_a_target() {
        let facts = Facts {
            rust_lld: None,
            ..rustup_without_target()
        };
        let Step::GiveUp(ways) = choose(&facts, ARCH) else {
            panic!("should give up")
        };
        assert!(ways.iter().any(|way| way.contains("rust-lld")), "{ways:?}");
    }

    #[test]
    fn with_nothing_installed_it_says_what_to_install() {
        let Step::GiveUp(ways) = choose(&Facts::default(), Arch::Aarch64) else {
            panic!("should give up")
        };
        let text = NoToolchain(ways).to_string();
        assert!(
            text.contains("rustup target add aarch64-pc-windows-msvc"),
            "{text}"
        );
        assert!(
            text.contains("rustc-web cargo-web rust-web-llvm rust-web-src lld-22"),
            "{text}"
        );
    }

    #[test]
    fn only_the_missing_part_of_debian_is_asked_for() {
        let facts = Facts {
            debian_lld: None,
            ..with_debian(Facts::default())
        };
        let Step::GiveUp(ways) = choose(&facts, ARCH) else {
            panic!("should give up")
        };
        assert!(
            ways.iter()
                .any(|way| way.ends_with("--no-install-recommends lld-22")),
            "{ways:?}"
        );
    }
}
