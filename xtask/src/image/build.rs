//! Runs Cargo on image/Cargo.toml and puts what comes of it where the documentation says.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::toolchain::Toolchain;
use super::{Arch, compiler};

/// What was built.
pub struct Built {
    /// tollgate.sys.
    pub image: PathBuf,
    /// tollgate.pdb.
    pub symbols: PathBuf,
}

/// Builds the image of the sources at `root` into `image/<arch>` of a target directory.
///
/// # Errors
///
/// If Cargo cannot be run or fails, or what it made cannot be copied.
pub fn build(
    root: &Path,
    target_dir: &Path,
    arch: Arch,
    toolchain: &Toolchain,
    locked: bool,
) -> Result<Built> {
    let (base_dir, target_dir) = (target_dir, target_dir.join("image"));
    let work_dir = target_dir.join("build");

    let mut cargo = toolchain.cargo();
    // In this directory Cargo finds .cargo/config.toml of the repository.
    cargo.current_dir(root.join("image"));
    // Flags of the environment would take the place of those below.
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
        .args([
            "build",
            "--release",
            "--target",
            arch.target(),
            "--target-dir",
        ])
        .arg(&work_dir);
    cargo.args(toolchain.options());
    if locked {
        cargo.arg("--locked");
    }
    for setting in settings(arch, &compiler::own_path()?) {
        cargo.arg("--config").arg(setting);
    }
    // Panic locations and the PDB name source files; neither the checkout's place nor the user's name is anybody's business. The
    // later of two prefixes that fit is the one that is used.
    let home = env::home_dir().unwrap_or_default();
    let mut remap = vec![
        (home.as_path(), "/home"),
        (root, "/tollgate"),
        (base_dir, "/tollgate/target"),
    ];
    remap.retain(|(from, _)| !from.as_os_str().is_empty());
    cargo.envs(compiler::environment(toolchain.linker(), &remap)?);
    let status = cargo
        .status()
        .with_context(|| format!("cannot run {:?}", cargo.get_program()))?;
    if !status.success() {
        bail!("the build of the image failed: {status}");
    }

    let made = work_dir.join(arch.target()).join("release");
    let output = target_dir.join(arch.name());
    fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    let built = Built {
        image: output.join("tollgate.sys"),
        symbols: output.join("tollgate.pdb"),
    };
    for (from, to) in [
        ("tollgate.dll", &built.image),
        ("tollgate.pdb", &built.symbols),
    ] {
        let from = made.join(from);
        fs::copy(&from, to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(built)
}

/// Settings of Cargo in the form of its `--config` option.
fn settings(arch: Arch, linker: &Path) -> Vec<String> {
    let target = arch.target();
    vec![
        format!(
            "target.{target}.linker={}",
            quoted(&linker.display().to_string())
        ),
        format!("target.{target}.rustflags=[\"-Clinker-flavor=lld-link\"]"),
    ]
}

/// A TOML string. Its escapes are those of a Windows path.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_toml_that_says_what_was_meant() {
        let settings = settings(Arch::X86_64, Path::new(r"C:\tollgate\xtask.exe"));
        let parsed: toml::Table = settings.join("\n").parse().expect("TOML");
        let target = &parsed["target"]["x86_64-pc-windows-msvc"];
        assert_eq!(target["linker"].as_str(), Some(r"C:\tollgate\xtask.exe"));
        let flags: Vec<_> = target["rustflags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|flag| flag.as_str().unwrap())
            .collect();
        assert_eq!(flags, ["-Clinker-flavor=lld-link"]);
    }
}
