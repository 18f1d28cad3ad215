//! The command line on somebody else's image.

use std::path::Path;
use std::process::Command;

use super::fetch;

/// Runs `wfpsim` and gives its exit status and what it printed.
fn wfpsim(arguments: &[&str], image: Option<&Path>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wfpsim"));
    command.args(arguments);
    if let Some(image) = image {
        command.arg("--image").arg(image);
    }
    let output = command.output().expect("wfpsim runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said)
}

#[test]
fn the_images_are_described() {
    for (version, named) in [(fetch::V1_3, "1.3"), (fetch::V2_2_2, "2.2")] {
        let Ok(path) = fetch::path(version) else {
            assert!(
                fetch::image(version).is_none(),
                "it is skipped, or CI fails"
            );
            return;
        };
        let path = path.to_str().expect("a path of text");
        let (status, said) = wfpsim(&["image", path, "--json"], None);
        serde_json::from_str::<serde_json::Value>(&said).expect("it is JSON");
        assert!(matches!(status, Some(0 | 2)), "it is an image: {said}");
        assert!(said.contains(named), "{said}");
        let (_, said) = wfpsim(&["image", path], None);
        assert!(said.contains("1.9, 396 functions"), "{said}");
        let marked: Vec<&str> = said
            .split_whitespace()
            .filter(|word| word.len() > 2 && word.ends_with('*'))
            .collect();
        assert_eq!(
            marked,
            ["WdfVersionBindClass*", "WdfVersionUnbindClass*"],
            "what no driver without class extensions calls"
        );
    }
}

#[test]
fn a_driver_without_filters_lets_a_capture_pass() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let capture = captures.join("loopback.pcap");
    for version in [fetch::V1_3, fetch::V2_2_2] {
        let Ok(path) = fetch::path(version) else {
            assert!(
                fetch::image(version).is_none(),
                "it is skipped, or CI fails"
            );
            return;
        };
        let capture = capture.to_str().expect("a path of text");
        let (status, said) = wfpsim(&["replay", capture], Some(&path));
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("clean"), "{said}");
    }
}

#[test]
fn the_suite_judges_it_and_does_not_stop() {
    let Ok(path) = fetch::path(fetch::V2_2_2) else {
        assert!(
            fetch::image(fetch::V2_2_2).is_none(),
            "it is skipped, or CI fails"
        );
        return;
    };
    let suite = [
        "check",
        "--seeds",
        "1",
        "--scenario",
        "tcp-*",
        "--scenario",
        "udp-*",
    ];
    let (status, said) = wfpsim(&suite, Some(&path));
    assert_eq!(status, Some(0), "{said}");
}
