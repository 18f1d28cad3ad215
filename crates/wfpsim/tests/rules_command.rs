//! `wfpsim rules`, as somebody at a shell or a script meets it.

use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;
use wfpsim::verifier::Rule;
use wfpsim::verifier::rules::Table;

fn rules(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wfpsim"));
    command.arg("rules").args(arguments).stdin(Stdio::null());
    command.output().expect("wfpsim starts")
}

fn told(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text in UTF-8")
}

#[test]
fn piped_each_rule_is_one_line_with_all_that_is_known_of_it() {
    let text = told(&rules(&[]));
    let lines: Vec<_> = text.lines().collect();
    let count = Rule::all().count();
    for (rule, line) in Rule::all().zip(&lines[1..]) {
        assert!(line.starts_with(rule.id), "{line}");
        let windows = rule.windows.to_string();
        for part in [
            rule.severity.name(),
            rule.title,
            &windows,
            &rule.check.told(),
        ] {
            assert!(line.contains(part), "no {part:?} in\n{line}");
        }
    }
    assert!(lines[1 + count].is_empty());
    let counts = lines[2 + count..].join(" ");
    assert!(counts.starts_with(&format!("{count} rules: ")), "{counts}");
    assert!(!text.contains('\u{1b}'), "no colour");
}

#[test]
fn on_a_terminal_the_table_fits_its_width() {
    for width in [40, 60, 80, 100, 120, 160] {
        let text = Table { width: Some(width) }.to_string();
        for line in text.lines() {
            // Below the width of a table a long name is not broken.
            let is_name = width < 100 && line.split(' ').any(|word| word.len() > width - 20);
            assert!(line.chars().count() <= width || is_name, "{width}: {line}");
        }
        for rule in Rule::all() {
            assert!(text.contains(rule.id), "{width}: no {}", rule.id);
        }
    }
}

#[test]
fn rules_that_are_asked_for_are_told_in_full() {
    let text = told(&rules(&["a-28", "C.1"]));
    let (first, second) = text.split_once("\nC.1 ").expect("two rules");
    for part in [
        "A-28",
        "Exactly one dereference",
        "severity",
        "docs/contract.md, A-28",
        "OSR 292860",
    ] {
        assert!(first.contains(part), "no {part:?} in\n{first}");
    }
    assert!(second.contains("Driver Verifier"), "{second}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn json_has_the_table_under_names_that_scripts_rely_on() {
    let table: Value = serde_json::from_str(&told(&rules(&["--json"]))).expect("JSON");
    let listed = table["rules"].as_array().expect("an array");
    assert_eq!(listed.len(), Rule::all().count());
    let mut states = [0, 0, 0];
    for (rule, found) in Rule::all().zip(listed) {
        assert_eq!(found["id"], rule.id);
        assert_eq!(found["title"], rule.title);
        assert_eq!(found["severity"], rule.severity.name());
        assert_eq!(found["windows"]["how"], rule.windows.to_string());
        assert_eq!(found["meaning"], rule.meaning);
        let state = found["check"]["state"].as_str().expect("a string");
        let known = ["checked", "not_checked", "open"];
        let index = known.iter().position(|known| *known == state);
        states[index.unwrap_or_else(|| panic!("{state}"))] += 1;
        assert_eq!(state == "not_checked", found["check"]["why"].is_string());
    }
    for (count, key) in states.into_iter().zip(["checked", "not_checked", "open"]) {
        assert_eq!(table["counts"][key], count, "{key}");
    }
    let one: Value = serde_json::from_str(&told(&rules(&["A-46", "--json"]))).expect("JSON");
    assert_eq!(one["rules"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["rules"][0]["windows"]["by"], "bug_check");
}

#[test]
fn a_number_that_is_no_rule_is_a_wrong_argument_and_near_ones_are_named() {
    let output = rules(&["A-282"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).expect("text in UTF-8");
    assert!(message.contains("there is no rule A-282"), "{message}");
    assert!(message.contains("A-28"), "{message}");
}
