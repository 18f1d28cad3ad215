//! `wfpsim image`: each finding by an image made to have it, and the command's output and exit status.

#![cfg(target_arch = "x86_64")]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod sketch;

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use sketch::*;
use wfpsim::image::describe::Description;
use wfpsim::image::describe::Outcome;
use wfpsim::image::describe::Severity;
use wfpsim::image::describe::Signature;
use wfpsim::image::describe::describe_bytes;

fn describe(sketch: &Sketch) -> Description {
    describe_bytes(&sketch.0, Path::new("sketch.sys"), true).expect("it is an image")
}

fn severity(description: &Description, name: &str) -> Option<Severity> {
    description
        .findings
        .iter()
        .find(|finding| finding.name == name)
        .map(|finding| finding.severity)
}

#[test]
fn an_image_without_an_unload_routine_is_clean_until_it_is_run() {
    let sketch = sketch(&SUCCEED);
    let names = |description: &Description| -> Vec<&'static str> {
        let findings = description.findings.iter();
        findings.map(|finding| finding.name).collect()
    };
    let description = describe_bytes(&sketch.0, Path::new("sketch.sys"), false).expect("an image");
    assert_eq!(names(&description), ["no-security-cookie"]);
    assert!(!description.has_errors());
    assert_eq!(description.signature, Signature::Absent);
    assert_eq!(
        description.imports[0].symbols,
        [("ThereIsNoSuchFunction".to_owned(), false)]
    );
    let description = describe(&sketch);
    assert_eq!(description.run.outcome, Outcome::Ran);
    assert_eq!(
        names(&description),
        ["violation-when-run", "no-security-cookie"]
    );
    assert!(description.run.violations[0].contains("no unload routine"));
}

#[test]
fn each_flag_and_section_fault_is_a_finding() {
    use Severity::Error;
    use Severity::Note;
    type Change = fn(&mut Sketch);
    let without =
        |flag: u16| move |sketch: &mut Sketch| sketch.put16(OPTIONAL + 70, ALL_FLAGS & !flag);
    let cases: [(&str, Severity, Change); 5] = [
        ("writable-executable-section", Error, |sketch| {
            sketch.put32(SECTIONS + 36, 0xE000_0020)
        }),
        ("section-not-page-aligned", Error, |sketch| {
            sketch.put32(SECTIONS + 12, 0x1200)
        }),
        ("section-alignment", Error, |sketch| {
            sketch.put32(OPTIONAL + 32, 0x200)
        }),
        ("imports-in-code", Error, |sketch| {
            sketch.put32(SECTIONS + 40 + 36, 0x6000_0040)
        }),
        ("relocations-stripped", Error, |sketch| {
            sketch.put16(PE + 22, 0x23)
        }),
    ];
    for (name, wanted, change) in cases {
        let mut sketch = sketch(&SUCCEED);
        change(&mut sketch);
        assert_eq!(severity(&describe(&sketch), name), Some(wanted), "{name}");
    }
    for (flag, name, wanted) in [
        (0x0020, "no-high-entropy-va", Note),
        (0x0040, "no-dynamic-base", Error),
        (0x0080, "no-force-integrity", Note),
        (0x0100, "no-nx-compat", Error),
        (0x4000, "no-control-flow-guard", Note),
    ] {
        let mut sketch = sketch(&SUCCEED);
        without(flag)(&mut sketch);
        assert_eq!(severity(&describe(&sketch), name), Some(wanted), "{name}");
    }
}

#[test]
fn object_callbacks_want_force_integrity() {
    let mut sketch = calling("ObRegisterCallbacks", &[]);
    sketch.put16(OPTIONAL + 70, ALL_FLAGS & !0x80);
    assert_eq!(
        severity(&describe(&sketch), "no-force-integrity"),
        Some(Severity::Error)
    );
}

#[test]
fn executable_pool_is_seen_by_the_constant_before_the_call() {
    let pool = "ExAllocatePoolWithTag";
    // xor ecx, ecx: NonPagedPool, which is executable.
    let description = describe(&calling(pool, &[0x31, 0xC9]));
    assert_eq!(
        severity(&description, "executable-pool"),
        Some(Severity::Error)
    );
    assert_eq!(
        severity(&description, "deprecated-pool-functions"),
        Some(Severity::Note)
    );
    // mov ecx, 200h: NonPagedPoolNx.
    let description = describe(&calling(pool, &[0xB9, 0, 2, 0, 0]));
    assert_eq!(severity(&description, "executable-pool"), None);
    // mov ecx, edx: whatever it is.
    let description = describe(&calling(pool, &[0x89, 0xD1]));
    assert_eq!(severity(&description, "executable-pool"), None);
    assert_eq!(
        severity(&description, "pool-type-not-seen"),
        Some(Severity::Note)
    );
    // mov ecx, 80h: POOL_FLAG_NON_PAGED_EXECUTE; the simulator has this function, and the note for old ones is not for it.
    let description = describe(&calling("ExAllocatePool2", &[0xB9, 0x80, 0, 0, 0]));
    assert_eq!(
        severity(&description, "executable-pool"),
        Some(Severity::Error)
    );
    assert_eq!(severity(&description, "deprecated-pool-functions"), None);
}

#[test]
fn a_mapping_without_mdl_mapping_no_execute_is_seen() {
    let map = "MmMapLockedPagesSpecifyCache";
    // xor edx, edx; mov dword ptr [rsp + 28h], priority
    let with = |priority: u32| {
        let mut before = vec![0x31, 0xD2, 0xC7, 0x44, 0x24, 0x28];
        before.extend_from_slice(&priority.to_le_bytes());
        describe(&calling(map, &before))
    };
    assert_eq!(
        severity(&with(16), "executable-mapping"),
        Some(Severity::Error)
    );
    assert_eq!(severity(&with(0x4000_0010), "executable-mapping"), None);
}

#[test]
fn privileged_instructions_are_seen_in_code_and_not_in_strings() {
    for (code, name) in [
        (&[0x0F, 0x22, 0xE0, 0xC3][..], "protection-instruction"), // mov cr4, rax
        (&[0x0F, 0x30, 0xC3], "protection-instruction"),           // wrmsr
        (&[0x44, 0x0F, 0x20, 0xC0, 0xC3], "privileged-instruction"), // mov rax, cr8
        (&[0xFA, 0xC3], "privileged-instruction"),                 // cli
        (&[0xFB, 0xC3], "privileged-instruction"),                 // sti
        (&[0x0F, 0x32, 0xC3], "privileged-instruction"),           // rdmsr
        (&[0xCD, 0x29], "fast-fail"),                              // int 29h
    ] {
        // Not run: the entry point is what is to be read.
        let description =
            describe_bytes(&sketch(code).0, Path::new("x.sys"), false).expect("an image");
        assert_eq!(description.run.outcome, Outcome::NotRun);
        let wanted = if name == "protection-instruction" {
            Severity::Error
        } else {
            Severity::Note
        };
        assert_eq!(severity(&description, name), Some(wanted), "{code:x?}");
    }
    // lea rax, [rip + 1]; ret; and a string behind it, whose letters are instructions.
    let code = b"\x48\x8D\x05\x01\0\0\0\xC3lmno, no code\0";
    assert_eq!(
        severity(&describe(&sketch(code)), "privileged-instruction"),
        None
    );
}

#[test]
fn the_framework_is_found_in_the_data() {
    let mut sketch = calling("WdfVersionBind", &[]);
    let base = 0x1_4000_0000u64;
    let name: Vec<u8> = "KmdfLibrary\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    sketch.put(DATA_IN_FILE + 0x180, &name);
    let info = DATA_IN_FILE + 0x100;
    sketch.put32(info, 0x30);
    sketch.put(info + 8, &(base + DATA as u64 + 0x180).to_le_bytes());
    for (at, value) in [(0x10, 1), (0x14, 9), (0x1C, 396)] {
        sketch.put32(info + at, value);
    }
    let framework = describe(&sketch).framework.expect("it binds");
    assert_eq!(framework.version, Some((1, 9, 396)));
    assert_eq!(framework.minimum, None);
}

/// Runs the command on an image in a file of its own.
fn command(name: &str, bytes: &[u8], arguments: &[&str]) -> (i32, String) {
    let path = std::env::temp_dir().join(format!("wfpsim-{}-{name}.sys", std::process::id()));
    std::fs::write(&path, bytes).expect("the file is written");
    let output = Command::new(env!("CARGO_BIN_EXE_wfpsim"))
        .arg("image")
        .arg(&path)
        .args(arguments)
        .output()
        .expect("the command runs");
    std::fs::remove_file(&path).expect("the file is there");
    (
        output.status.code().expect("it ended by itself"),
        String::from_utf8(output.stdout).expect("text"),
    )
}

#[test]
fn the_exit_status_says_what_was_found() {
    let (status, text) = command("clean", &sketch(&SUCCEED).0, &["--no-run"]);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("not run, as asked"), "{text}");
    let (status, text) = command("faulty", &sketch(&[0x0F, 0x30, 0xC3]).0, &["--no-run"]);
    assert_eq!(status, 2, "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert_eq!(command("no-image", b"MZ and no more", &[]).0, 1);
    assert_eq!(command("usage", b"", &["--nonsense"]).0, 64);
    let (status, json) = command("json", &sketch(&[0xFA, 0xC3]).0, &["--json", "--no-run"]);
    assert_eq!(status, 0);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["run"]["outcome"], "not-run");
    assert!(json["findings"].as_array().is_some_and(|findings| {
        findings
            .iter()
            .any(|finding| finding["name"] == "privileged-instruction")
    }));
}

#[test]
fn our_own_image_has_two_notes_and_eight_callouts() {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        Into::into,
    );
    let path = target.join("image/x86_64/tollgate.sys");
    if !path.is_file() {
        println!("SKIPPED: no image; `cargo xtask image` builds it");
        return;
    }
    let description = wfpsim::image::describe::describe(&path, true).expect("it is an image");
    let names: Vec<_> = description
        .findings
        .iter()
        .map(|finding| finding.name)
        .collect();
    assert_eq!(names, ["no-control-flow-guard", "no-security-cookie"]);
    assert_eq!(description.run.outcome, Outcome::Ran);
    assert_eq!(description.run.callouts.len(), 8);
    assert!(
        description
            .run
            .callouts
            .iter()
            .all(|callout| callout.registered && callout.filters.len() == 1)
    );
    let framework = description.framework.expect("it binds");
    assert_eq!(
        framework.version.map(|version| (version.0, version.1)),
        Some((1, 33))
    );
    assert!(description.symbols.is_some_and(|symbols| symbols.matches));
    let lacking = description
        .imports
        .iter()
        .flat_map(|module| &module.symbols);
    assert!(lacking.into_iter().all(|symbol| symbol.1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Whatever the file is, it is described or refused, and the description can be written.
    #[test]
    fn no_file_crashes_the_description(changes in prop::collection::vec((0usize..0x600, any::<u8>()), 0..16), length in 0usize..0x600) {
        let mut sketch = sketch(&SUCCEED);
        for (at, value) in changes {
            sketch.0[at] = value;
        }
        for bytes in [&sketch.0[..], &sketch.0[..length]] {
            if let Ok(description) = describe_bytes(bytes, Path::new("any.sys"), false) {
                prop_assert!(!description.to_string().is_empty());
                prop_assert!(description.json().is_object());
            }
        }
    }
}
