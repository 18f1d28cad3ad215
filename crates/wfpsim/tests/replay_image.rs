//! `wfpsim replay --image` of the image that `cargo xtask image` builds, on every capture: it prints the linked run's numbers, tells
//! the same of a packet, writes the same packets, and ends with the same status.

#![cfg(target_arch = "x86_64")]

#[path = "../../../tests/story/forms.rs"]
#[expect(dead_code, reason = "the tests of the root package use more of it")]
mod forms;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use toml::Table;

/// The status and the JSON that a replay ends with, and the capture it writes.
fn replay(entry: &Table, captures: &Path, image: Option<&Path>) -> (Option<i32>, Value, Vec<u8>) {
    let out = tempfile::NamedTempFile::new().expect("a temporary file");
    let file = |key: &str| Some(captures.join(entry.get(key)?.as_str()?));
    let mut command = Command::new(env!("CARGO_BIN_EXE_wfpsim"));
    command.args(["replay", "--json", "--seed", "7", "--packet", "2", "--out"]);
    command
        .arg(out.path())
        .arg(file("file").expect("a capture"));
    for host in entry["host"].as_array().expect("a list of addresses") {
        command.args(["--host", host.as_str().expect("an address")]);
    }
    if let Some(associations) = file("sa") {
        command.arg("--sa").arg(associations);
    }
    if let Some(image) = image {
        command.arg("--image").arg(image);
    }
    let output = command.output().expect("wfpsim runs");
    let mut told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    without_addresses(&mut told);
    let written = std::fs::read(out.path()).expect("what came out");
    (output.status.code(), told, written)
}

/// Leaves out of what happened to the packet that is followed where things lay, which is the host's to say.
fn without_addresses(told: &mut Value) {
    let events = told["followed"]["events"].as_array_mut();
    for event in events.expect("what happened to the packet") {
        let what = event["what"].as_str().expect("words");
        let is_address = |word: &str| word.starts_with("0x") && word.len() > "0x00000000".len();
        let words = what
            .split(' ')
            .map(|word| if is_address(word) { "0x…" } else { word });
        event["what"] = words.collect::<Vec<_>>().join(" ").into();
    }
}

#[test]
fn an_image_gives_the_linked_runs_numbers_on_every_capture() {
    let Some(image) = forms::path() else { return };
    let captures = forms::root().join("tests/captures");
    let text =
        std::fs::read_to_string(captures.join("expected.toml")).expect("expected.toml is there");
    let expected: Table = text.parse().expect("expected.toml is sound");
    let entries = expected["capture"].as_array().expect("captures");
    assert!(entries.len() > 10, "all of them");
    for entry in entries {
        let entry = entry.as_table().expect("a table");
        let linked = replay(entry, &captures, None);
        assert_eq!(linked.0, Some(0), "{}: {:#}", entry["file"], linked.1);
        let image = replay(entry, &captures, Some(image));
        assert_eq!(linked, image, "{}", entry["file"]);
    }
}
