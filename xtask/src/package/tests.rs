//! A package made of small parts passes, and one with any one thing wrong does not.
//!
//! The signing tools are needed. Where they are missing these tests say so and pass; `cargo xtask package --check` fails there.

use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;

use super::*;
use crate::image::Sample;

/// A key for all tests: making one takes time.
static IDENTITY: LazyLock<(TempDir, Identity)> = LazyLock::new(identity);

fn identity() -> (TempDir, Identity) {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::at(directory.path()).unwrap();
    (directory, identity)
}

/// A package in a directory of its own.
struct Package {
    _root: TempDir,
    directory: PathBuf,
}

fn parts(sample: &Sample) -> Parts {
    Parts {
        arch: Arch::X86_64,
        image: sample.bytes(),
        symbols: pdb([7; 16], 1),
        inx: include_str!("../../../inf/tollgate.inx").to_owned(),
        time: Time(1_764_000_000),
    }
}

impl Package {
    /// `None` where nothing can be signed.
    fn make(parts: &Parts) -> Option<Self> {
        let missing = sign::missing();
        if !missing.is_empty() {
            eprintln!("SKIPPED: no {}", missing.join(" "));
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("x86_64");
        assemble(&directory, parts, &IDENTITY.1).unwrap();
        Some(Self {
            _root: root,
            directory,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut content = fs::read(self.path(name)).unwrap();
        edit(&mut content);
        fs::write(self.path(name), content).unwrap();
    }

    fn problems(&self) -> String {
        check::check(&self.directory, Arch::X86_64)
            .unwrap()
            .join("\n")
    }

    fn assert_broken(&self, expected: &[&str]) {
        let problems = self.problems();
        for expected in expected {
            assert!(
                problems.contains(expected),
                "{expected:?} is not in:\n{problems}"
            );
        }
        assert!(report(&self.directory, Arch::X86_64).is_err());
    }
}

/// The smallest PDB: a file of streams with an identity in the second and an age in the fourth.
fn pdb(guid: [u8; 16], age: u32) -> Vec<u8> {
    const BLOCK: usize = 4096;
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let mut information = words(&[20_000_404, 0, age]);
    information.extend(guid);
    // No named streams and no features.
    information.extend(words(&[0, 0, 0, 0, 0]));
    // Signature, version and age, and nothing else.
    let mut modules = words(&[u32::MAX, 19_990_903, age]);
    modules.resize(64, 0);
    let streams = [vec![], information, vec![], modules];
    let mut directory = words(&[streams.len() as u32]);
    let mut blocks = vec![Vec::new(); 3]; // superblock and two maps of free blocks
    for stream in &streams {
        directory.extend(words(&[stream.len() as u32]));
    }
    for stream in streams.into_iter().filter(|stream| !stream.is_empty()) {
        directory.extend(words(&[blocks.len() as u32]));
        blocks.push(stream);
    }
    let directory_length = directory.len() as u32;
    blocks.push(directory);
    blocks.push(words(&[blocks.len() as u32 - 1]));
    blocks[0] = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0".to_vec();
    let header = [
        BLOCK as u32,
        1,
        blocks.len() as u32,
        directory_length,
        0,
        blocks.len() as u32 - 1,
    ];
    blocks[0].extend(words(&header));
    blocks
        .into_iter()
        .flat_map(|mut block| {
            block.resize(BLOCK, 0);
            block
        })
        .collect()
}

#[test]
fn a_package_that_is_as_it_should_be_passes() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    assert_eq!(package.problems(), "");
    let inf = fs::read_to_string(package.path(INF)).unwrap();
    assert!(inf.contains("[DefaultInstall.NTamd64]\r\n"), "{inf}");
    assert!(
        inf.contains("DriverVer   = 11/24/2025,1.2.3.0\r\n"),
        "{inf}"
    );
}

#[test]
fn a_package_for_another_machine_is_found_in_image_and_inf() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    let problems = check::check(&package.directory, Arch::Aarch64)
        .unwrap()
        .join("\n");
    assert!(
        problems.contains("tollgate.sys is for machine 0x8664"),
        "{problems}"
    );
    assert!(
        problems.contains("no [DefaultInstall.NTarm64]"),
        "{problems}"
    );
}

#[test]
fn an_image_that_the_image_check_refuses_is_refused_here() {
    let sample = Sample {
        dll_characteristics: object::pe::DllFlags(0),
        imports: &[("fwpuclnt.dll", &["FwpmEngineOpen0"])],
        ..Sample::default()
    };
    let Some(package) = Package::make(&parts(&sample)) else {
        return;
    };
    package.assert_broken(&["lacks FORCE_INTEGRITY", "fwpuclnt.dll"]);
}

#[test]
fn one_changed_byte_of_the_image_breaks_signature_catalog_and_checksum() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    // In the code.
    package.edit(IMAGE, |image| image[0x400] ^= 1);
    package.assert_broken(&[
        "tollgate.sys is not signed by tollgate-test.cer",
        "tollgate.cat does not have tollgate.sys as it is here",
        "osslsigncode does not find tollgate.sys in tollgate.cat",
        "checksum",
    ]);
}

#[test]
fn an_image_without_a_signature_is_found() {
    let parts = parts(&Sample::default());
    let Some(package) = Package::make(&parts) else {
        return;
    };
    fs::write(package.path(IMAGE), &parts.image).unwrap();
    package.assert_broken(&["tollgate.sys is not signed by tollgate-test.cer"]);
}

#[test]
fn a_signature_without_digests_of_the_pages_is_found() {
    let parts = parts(&Sample::default());
    let Some(package) = Package::make(&parts) else {
        return;
    };
    let unsigned = package.path("unsigned");
    fs::write(&unsigned, &parts.image).unwrap();
    // As a catalog is signed.
    IDENTITY
        .1
        .sign(&unsigned, &package.path(IMAGE), false)
        .unwrap();
    fs::remove_file(unsigned).unwrap();
    package.assert_broken(&["no digests of its pages"]);
}

#[test]
fn a_certificate_of_somebody_else_is_found() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    let (_directory, other) = identity();
    other.export(&package.path(CERTIFICATE)).unwrap();
    package.assert_broken(&[
        "tollgate.sys is not signed by",
        "tollgate.cat is not signed by",
    ]);
    package.edit(CERTIFICATE, |certificate| certificate.truncate(100));
    package.assert_broken(&["not a certificate"]);
}

#[test]
fn an_inf_that_was_changed_after_signing_is_found() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    package.edit(INF, |inf| inf.extend(b"; more\r\n"));
    package.assert_broken(&["tollgate.cat does not have tollgate.inf as it is here"]);
}

#[test]
fn an_inf_that_breaks_a_rule_is_found_though_it_is_signed() {
    let mut parts = parts(&Sample::default());
    parts.inx = parts
        .inx
        .replace("DefaultDestDir = 13", "DefaultDestDir = 12");
    let Some(package) = Package::make(&parts) else {
        return;
    };
    package.assert_broken(&["tollgate.inf: line", "InfVerif 1322"]);
    package.edit(INF, |inf| inf.truncate(inf.len() - 3));
    package.assert_broken(&["tollgate.inf: line"]);
}

#[test]
fn an_inf_with_another_version_than_the_image_is_found() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    package.edit(INF, |inf| {
        let text = String::from_utf8(inf.clone()).unwrap();
        *inf = text.replace("1.2.3.0", "1.2.4.0").into_bytes();
    });
    package.assert_broken(&["DriverVer says version 1.2.4.0, the image 1.2.3.0"]);
}

#[test]
fn symbols_of_another_build_are_found() {
    for (guid, age) in [([8; 16], 1), ([7; 16], 2)] {
        let mut parts = parts(&Sample::default());
        parts.symbols = pdb(guid, age);
        let Some(package) = Package::make(&parts) else {
            return;
        };
        package.assert_broken(&["symbols are of another build"]);
    }
}

#[test]
fn symbols_that_are_no_pdb_are_found() {
    let mut parts = parts(&Sample::default());
    parts.symbols = b"not a PDB".to_vec();
    let Some(package) = Package::make(&parts) else {
        return;
    };
    package.assert_broken(&["not a PDB"]);
}

#[test]
fn an_image_without_a_version_makes_no_package_and_passes_in_none() {
    let without = Sample {
        version: None,
        ..Sample::default()
    };
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    let directory = package.path("other");
    let problem = assemble(&directory, &parts(&without), &IDENTITY.1).unwrap_err();
    assert!(problem.to_string().contains("no version resource"));
    fs::remove_dir_all(directory).unwrap();

    let unsigned = package.path("unsigned");
    fs::write(&unsigned, without.bytes()).unwrap();
    IDENTITY
        .1
        .sign(&unsigned, &package.path(IMAGE), true)
        .unwrap();
    fs::remove_file(unsigned).unwrap();
    package.assert_broken(&["no version resource", "catalog", "DriverVer says version"][..1]);
}

#[test]
fn a_catalog_of_other_files_or_of_none_is_found() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    let image = fs::read(package.path(IMAGE)).unwrap();
    let inf = fs::read(package.path(INF)).unwrap();
    let unsigned = package.path("unsigned");
    let members = [
        Member::new(IMAGE, &image),
        Member::new(INF, &inf),
        Member::new("extra.sys", b"extra"),
    ];
    for (members, expected) in [
        (&members[..], "has a extra.sys that is not here"),
        (&members[..1], "does not have tollgate.inf"),
    ] {
        fs::write(&unsigned, catalog::make(members, "261123000000Z")).unwrap();
        IDENTITY
            .1
            .sign(&unsigned, &package.path(CATALOG), false)
            .unwrap();
        fs::remove_file(&unsigned).unwrap();
        package.assert_broken(&[expected]);
    }
    fs::write(package.path(CATALOG), b"0").unwrap();
    package.assert_broken(&["not a catalog", "not signed"]);
}

#[test]
fn a_catalog_that_nobody_signed_is_found() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    let image = fs::read(package.path(IMAGE)).unwrap();
    let inf = fs::read(package.path(INF)).unwrap();
    let members = [Member::new(IMAGE, &image), Member::new(INF, &inf)];
    fs::write(
        package.path(CATALOG),
        catalog::make(&members, "261123000000Z"),
    )
    .unwrap();
    package.assert_broken(&["tollgate.cat is not signed by"]);
}

#[test]
fn a_file_too_few_or_too_many_is_found_and_above_all_a_key() {
    let Some(package) = Package::make(&parts(&Sample::default())) else {
        return;
    };
    fs::copy(IDENTITY.0.path().join("key.pem"), package.path("key.pem")).unwrap();
    package.assert_broken(&["key.pem is no part of", "key.pem holds a private key"]);
    fs::remove_file(package.path("key.pem")).unwrap();
    fs::remove_file(package.path(SYMBOLS)).unwrap();
    package.assert_broken(&["there is no tollgate.pdb"]);
}

#[test]
fn the_key_is_made_once() {
    if !sign::missing().is_empty() {
        return;
    }
    let key = || fs::read(IDENTITY.0.path().join("key.pem")).unwrap();
    let before = key();
    Identity::at(IDENTITY.0.path()).unwrap();
    assert_eq!(before, key());
}
