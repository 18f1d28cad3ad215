//! Each target with its corpus, and with every beginning of it: what was found once stays mended.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

fn corpus(name: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = directory
        .read_dir()
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[test]
fn every_target_stands_its_corpus() {
    for target in fuzz::TARGETS {
        let files = corpus(target.name);
        assert!(!files.is_empty(), "{} has none", target.name);
        for file in files {
            // Told before it runs: a panic comes with no name.
            println!("{}", file.display());
            let bytes = fs::read(&file).expect("the corpus can be read");
            assert!(bytes.len() < 16 << 10, "a corpus is small");
            (target.run)(&bytes);
        }
    }
}

#[test]
fn every_target_stands_its_corpus_cut_short() {
    for target in fuzz::TARGETS {
        for file in corpus(target.name) {
            println!("{}", file.display());
            let bytes = fs::read(&file).expect("the corpus can be read");
            for length in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
                (target.run)(&bytes[..length]);
            }
        }
    }
}

/// What opens PDBs refuses most that is made up; a sound one it must not.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_sound_pdb_tells_its_functions() {
    let pdb = include_bytes!("../corpus/symbols/two-functions.pdb");
    let told = wfpsim::image::tell_by(pdb, "small", &[0x1005, 0x1025]);
    assert_eq!(
        told.unwrap_or_default(),
        [
            "small!t::inner(unsigned int)  [t.rs @ 7]",
            "small!t::outer(unsigned int)  [t.rs @ 13]",
            "small!t::entry(unsigned int)  [t.rs @ 16]",
        ]
    );
}

#[test]
fn every_corpus_has_its_target() {
    for directory in corpus("") {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        assert!(
            matches!(&*name, "image" | "symbols") || fuzz::target(&name).is_some(),
            "no target is called {name}"
        );
    }
}
