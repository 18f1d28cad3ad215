//! `cargo xtask image --reproducible`: what was built here is built again from a copy of the sources somewhere else, and must be the
//! same byte for byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use object::LittleEndian as LE;
use object::read::pe::PeFile64;

use super::toolchain::Toolchain;
use super::{Arch, Built, build};

/// Builds a copy and compares.
///
/// # Errors
///
/// If the copy cannot be made or built, or differs; the message has the first byte that does.
pub fn check(root: &Path, arch: Arch, toolchain: &Toolchain, here: &Built) -> Result<()> {
    let place = tempfile::tempdir().context("cannot make a directory for the copy")?;
    // As unlike this one as a place can be that Cargo takes.
    let copy = place
        .path()
        .join("another place")
        .join("of a-different.length");
    copy_sources(root, &copy)?;
    let target = copy.join("target");
    let there =
        build::build(&copy, &target, arch, toolchain, true).context("the copy was not built")?;
    for (one, other) in [(&here.image, &there.image), (&here.symbols, &there.symbols)] {
        let [one_bytes, other_bytes] =
            [one, other].map(|path| fs::read(path).with_context(|| path.display().to_string()));
        let name = one.file_name().unwrap_or_default().display();
        if let Some(difference) = difference(&one_bytes?, &other_bytes?) {
            bail!(
                "{name} for {} is not reproducible: built at another path, {difference}",
                arch.name()
            );
        }
        say!(
            "{name} for {}: built at another path, it is the same byte for byte",
            arch.name()
        );
    }
    Ok(())
}

/// Copies what git knows or would add: no build products, nothing ignored.
fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .context("cannot ask git which files are sources")?;
    ensure!(
        output.status.success(),
        "git does not tell which files are sources: {}",
        output.status
    );
    for name in String::from_utf8(output.stdout)?.split_terminator('\0') {
        let from = root.join(name);
        // One that is deleted and not committed yet is still listed.
        if !from.is_file() {
            continue;
        }
        let to = copy.join(name);
        fs::create_dir_all(to.parent().unwrap_or(copy))?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// The first difference of two files, in words; an image's with the section that it is in.
fn difference(one: &[u8], other: &[u8]) -> Option<String> {
    if one == other {
        return None;
    }
    let at = one.iter().zip(other).position(|(one, other)| one != other);
    let Some(at) = at.filter(|_| one.len() == other.len()) else {
        let first = at.map_or(String::new(), |at| {
            format!(", and byte {at:#x} is the first that differs")
        });
        return Some(format!("{} bytes became {}{first}", one.len(), other.len()));
    };
    let count = one
        .iter()
        .zip(other)
        .filter(|(one, other)| one != other)
        .count();
    let section = section(one, at).map_or(String::new(), |name| format!(" ({name})"));
    Some(format!(
        "{count} of {} bytes differ, the first at {at:#x}{section}: {:#04x} became {:#04x}",
        one.len(),
        one.get(at).copied().unwrap_or_default(),
        other.get(at).copied().unwrap_or_default()
    ))
}

/// What part of an image a byte of its file belongs to; none if it is no image.
fn section(bytes: &[u8], at: usize) -> Option<String> {
    let file = PeFile64::parse(bytes).ok()?;
    let found = file.section_table().iter().find(|section| {
        let (start, size) = section.pe_file_range();
        (u64::from(start)..u64::from(start) + u64::from(size)).contains(&(at as u64))
    });
    let Some(found) = found else {
        return Some("the headers".into());
    };
    let name = String::from_utf8_lossy(found.raw_name());
    let (start, _) = found.pe_file_range();
    let address = u64::from(found.virtual_address.get(LE)) + at as u64 - u64::from(start);
    Some(format!("{name}, RVA {address:#x}"))
}

#[cfg(test)]
mod tests {
    use super::super::Sample;
    use super::*;

    #[test]
    fn equal_files_do_not_differ() {
        assert_eq!(difference(b"same", b"same"), None);
    }

    #[test]
    fn a_byte_that_differs_is_told_with_its_section() {
        let image = Sample::default().bytes();
        let mut other = image.clone();
        let last = other.len() - 1;
        other[last] ^= 1;
        let told = difference(&image, &other).expect("they differ");
        assert!(
            told.contains("1 of") && told.contains(&format!("{last:#x} (")),
            "{told}"
        );
        other[2] ^= 1;
        let told = difference(&image, &other).expect("they differ");
        assert!(
            told.contains("2 of") && told.contains("0x2 (the headers)"),
            "{told}"
        );
    }

    #[test]
    fn lengths_that_differ_are_told() {
        assert_eq!(difference(b"ab", b"a").as_deref(), Some("2 bytes became 1"));
    }
}
