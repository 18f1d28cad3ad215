//! What `wfpsim replay` prints of a driver that breaks a rule: the whole report, and the command that shows it again.

#![cfg(target_arch = "x86_64")]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod sketch;

use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;
use sketch::*;

/// Replays a capture through an image whose DriverEntry frees its first parameter, the driver object, as pool.
fn replay(options: &[&str], environment: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sketch = calling("ExFreePoolWithTag", &[]);
    sketch.put(DATA_IN_FILE + 0x80, b"ntoskrnl.exe\0");
    let image = directory.path().join("it's a driver.sys");
    std::fs::write(&image, &sketch.0).expect("it is written");
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wfpsim"));
    command
        .arg("replay")
        .arg(captures.join("tcp-v4.pcap"))
        .arg("--image")
        .arg(&image)
        .args(options)
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    command.output().expect("wfpsim starts")
}

#[test]
fn a_violation_is_reported_whole_with_the_command_that_shows_it_again() {
    let output = replay(&["--seed", "7"], &[("TERM", "xterm")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text in UTF-8");
    let line = |start: &str| {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no line begins with {start:?} in\n{text}"))
    };
    assert!(line("BAD_POOL_CALLER").ends_with("(c2)"));
    assert!(line("Arg1: ").ends_with("what is no pool was freed as pool"));
    assert!(line("Arg2: ").contains("the address: DRIVER_OBJECT"));
    assert!(line("RULE:").contains("C-63"));
    assert!(line("THREAD:").contains("'I/O manager: DriverEntry'"));
    assert!(line("OBJECT:").ends_with("DRIVER_OBJECT"));
    assert!(line("SEED:").ends_with(" 7"));
    let again = line("REPLAY:");
    assert!(again.contains(" wfpsim replay "), "{again}");
    assert!(again.ends_with(" --seed 7"), "{again}");
    // A name with a quote and blanks is told so that a shell takes it back.
    assert!(again.contains(r"it'\''s a driver.sys'"), "{again}");
    assert!(!text.contains('\u{1b}'), "no colour into a pipe");
}

#[test]
fn json_has_the_same_report_as_data() {
    let output = replay(&["--json"], &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let violation = &summary["violations"][0];
    assert_eq!(violation["rule"], "C-63");
    assert_eq!(violation["broken"]["id"], "C-63");
    assert_eq!(violation["process"], "System");
    assert_eq!(
        violation["arguments"][0],
        "what is no pool was freed as pool"
    );
    // It was run again with the stacks of events kept.
    let created = &violation["events"][0];
    assert_eq!(created["what"], "created");
    assert_eq!(created["thread_name"], "I/O manager: DriverEntry");
    assert!(
        created["stack"]
            .as_array()
            .is_some_and(|stack| !stack.is_empty()),
        "{created}"
    );
    // The driver's own frame, by its offset: this image has no symbols.
    let stack = violation["stack"].as_array().expect("a list");
    assert!(
        stack
            .iter()
            .any(|frame| frame.as_str().is_some_and(|frame| frame.contains("driver"))),
        "{stack:?}"
    );
}
