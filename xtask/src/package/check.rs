//! What must be true of a package before anyone installs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::catalog::{self, Member};
use super::{
    CATALOG, CERTIFICATE, FILES, IMAGE, INF, SYMBOLS, authenticode, sign, symbols, version,
};
use crate::image::{self, Arch};
use crate::inf::{self, Inf};
use crate::version_resource;

/// The files of a package by name.
type Files = BTreeMap<String, Vec<u8>>;

/// All that is wrong with the package in a directory, one line each.
///
/// # Errors
///
/// If it cannot be looked at. The tools must be [ready](sign::ready).
pub fn check(directory: &Path, arch: Arch) -> Result<Vec<String>> {
    let files = read(directory)?;
    let mut problems = Vec::new();
    let expected: BTreeSet<&str> = FILES.into_iter().collect();
    for name in &expected {
        if !files.contains_key(*name) {
            problems.push(format!("there is no {name}"));
        }
    }
    for (name, content) in &files {
        if !expected.contains(name.as_str()) {
            problems.push(format!("{name} is no part of the package"));
        }
        if content.windows(11).any(|bytes| bytes == b"PRIVATE KEY") {
            problems.push(format!("{name} holds a private key"));
        }
    }
    if !problems.is_empty() {
        // What else would be said follows from this.
        return Ok(problems);
    }
    let file = |name: &str| files.get(name).map(Vec::as_slice).unwrap_or_default();
    of_image(file(IMAGE), arch, &mut problems)?;
    let version = of_version(file(IMAGE), &mut problems);
    of_inf(&files, arch, &version, &mut problems);
    match symbols::compare(file(IMAGE), file(SYMBOLS)) {
        Ok(difference) => problems.extend(difference),
        Err(error) => problems.push(format!("{error:#}")),
    }
    of_catalog(&files, &mut problems);
    of_signatures(directory, &mut problems)?;
    Ok(problems)
}

fn read(directory: &Path) -> Result<Files> {
    let entries = directory
        .read_dir()
        .with_context(|| format!("no package in {}", directory.display()))?;
    entries
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let content = fs::read(entry.path())
                .with_context(|| format!("cannot read {}", entry.path().display()))?;
            Ok((name, content))
        })
        .collect()
}

/// Machine, flags, sections, imports, the name of the PDB: what `cargo xtask image` checks, now of the signed image.
fn of_image(image: &[u8], arch: Arch, problems: &mut Vec<String>) -> Result<()> {
    match image::check(image, arch) {
        Ok(found) => problems.extend(
            found
                .problems
                .into_iter()
                .map(|problem| format!("{IMAGE} {problem}")),
        ),
        Err(error) => problems.push(format!("{IMAGE} is not an image: {error:#}")),
    }
    if let Some((stored, right)) = authenticode::checksums(image)
        && stored != right
    {
        problems.push(format!(
            "{IMAGE} has checksum {stored:#x} in its header, and should have {right:#x}"
        ));
    }
    Ok(())
}

/// Returns the version, for the INF to agree with.
fn of_version(image: &[u8], problems: &mut Vec<String>) -> String {
    let Some(info) = version::read(image) else {
        problems.push(format!("{IMAGE} has no version resource"));
        return String::new();
    };
    let text = version_resource::text(info.file);
    if info.product != info.file {
        problems.push(format!(
            "{IMAGE} is version {text} of a product of version {}",
            version_resource::text(info.product)
        ));
    }
    for (name, expected) in version_resource::strings(&text) {
        let found = info
            .strings
            .get(name)
            .map(String::as_str)
            .unwrap_or_default();
        if found != expected {
            problems.push(format!("{IMAGE} says {name} {found:?}, not {expected:?}"));
        }
    }
    text
}

fn of_inf(files: &Files, arch: Arch, version: &str, problems: &mut Vec<String>) {
    let text = files.get(INF).map(Vec::as_slice).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let found = match Inf::parse(&text) {
        Ok(inf) => inf::check(
            &inf,
            &inf::Context {
                arch,
                files: &files.keys().cloned().collect(),
                version,
            },
        ),
        Err(problems) => problems,
    };
    problems.extend(found.into_iter().map(|problem| format!("{INF}: {problem}")));
}

/// The catalog has what the INF installs, and the INF, as they are, and nothing else.
fn of_catalog(files: &Files, problems: &mut Vec<String>) {
    let content = files.get(CATALOG).map(Vec::as_slice).unwrap_or_default();
    let Some(listed) = catalog::read(content) else {
        problems.push(format!("{CATALOG} is not a catalog"));
        return;
    };
    let listed: BTreeSet<(Vec<u8>, String)> = listed.into_iter().collect();
    let mut expected = BTreeSet::new();
    for name in [IMAGE, INF] {
        let member = Member::new(name, files.get(name).map(Vec::as_slice).unwrap_or_default());
        for digest in [member.sha1, member.sha256] {
            if !listed.contains(&(digest.clone(), name.to_owned())) {
                problems.push(format!("{CATALOG} does not have {name} as it is here"));
            }
            expected.insert((digest, name.to_owned()));
        }
    }
    for (_, name) in listed.difference(&expected) {
        problems.push(format!("{CATALOG} has a {name} that is not here"));
    }
    problems.dedup();
}

/// Signed by the holder of the package's own certificate: what a user decides to trust is what signed.
fn of_signatures(directory: &Path, problems: &mut Vec<String>) -> Result<()> {
    let scratch = tempfile::tempdir().context("no room for a certificate")?;
    let certificate = scratch.path().join("certificate.pem");
    if let Err(error) = sign::import(&directory.join(CERTIFICATE), &certificate) {
        problems.push(format!("{CERTIFICATE} is not a certificate: {error:#}"));
        return Ok(());
    }
    let image = directory.join(IMAGE);
    let catalog = directory.join(CATALOG);
    match sign::verify(&image, &certificate, None) {
        Ok(said) if sign::page_digests_agree(&said) => {}
        Ok(_) => problems.push(format!("{IMAGE}'s signature has no digests of its pages")),
        Err(error) => problems.push(format!("{IMAGE} is not signed by {CERTIFICATE}: {error:#}")),
    }
    if let Err(error) = sign::verify(&catalog, &certificate, None) {
        problems.push(format!(
            "{CATALOG} is not signed by {CERTIFICATE}: {error:#}"
        ));
    }
    // The same question again, to a program that knows nothing of how the catalog was made.
    if let Err(error) = sign::verify(&image, &certificate, Some(&catalog)) {
        problems.push(format!(
            "osslsigncode does not find {IMAGE} in {CATALOG}: {error:#}"
        ));
    }
    Ok(())
}
