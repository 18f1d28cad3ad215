//! `wfpsim explore` as it is typed.

use std::process::Command;
use std::process::Output;

use serde_json::Value;

fn wfpsim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wfpsim"))
        .arg("explore")
        .args(arguments)
        .output()
        .expect("wfpsim runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_clean_driver_is_status_0_and_the_numbers_are_data() {
    let output = wfpsim(&["--scenario", "two-packets", "--schedules", "70", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["schedules"], 70);
    assert_eq!(report["ended"], "schedules");
    assert_eq!(report["violations"], 0);
    assert!(report["distinct"].as_u64() > Some(1), "{report}");
}

#[test]
fn more_host_threads_try_no_more_and_no_less() {
    let arguments = ["--scenario", "two-packets", "--schedules", "70", "--json"];
    let output = wfpsim(&[&arguments[..], &["--jobs", "3"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["schedules"], 70);

    let refused = wfpsim(&["--strategy", "exhaustive", "--jobs", "2"]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(text(&refused.stderr).contains("follows from those before"));
}

#[test]
fn the_bound_of_pct_is_told_with_what_it_is_for() {
    let output = wfpsim(&["--strategy", "pct", "--depth", "2", "--schedules", "20"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.contains("a bug of depth 2 with a probability of at least"),
        "{said}"
    );
}

#[test]
fn a_token_that_is_none_is_refused_with_the_reason() {
    for (token, reason) in [
        ("12345", "does not begin with"),
        ("w1abu", "character 5 is 'u'"),
        ("w1000000000", "checksum"),
    ] {
        let output = wfpsim(&["--replay", token]);
        assert_eq!(output.status.code(), Some(64), "{token}");
        let said = text(&output.stderr);
        assert!(said.contains(reason), "{token}: {said}");
    }
}

#[test]
fn a_scenario_that_is_none_is_refused() {
    let output = wfpsim(&["--scenario", "no-such-thing"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("--list"));
}

#[test]
fn every_scenario_is_listed_and_can_be_explored() {
    let output = wfpsim(&["--list"]);
    assert_eq!(output.status.code(), Some(0));
    let listed = text(&output.stdout);
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for name in ["ten-packets", "ten-packets-unload", "check"] {
        assert!(names.contains(&name), "{listed}");
    }
    for name in names {
        let output = wfpsim(&["--scenario", name, "--schedules", "5"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}: {}",
            text(&output.stdout)
        );
    }
}
