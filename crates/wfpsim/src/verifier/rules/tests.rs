//! The table and the contract say the same, and the simulator names no rule that is in neither.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::Check;
use super::Rule;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether a text is a rule's number.
fn is_number(text: &str) -> bool {
    let Some((letter, number)) = text.split_once(['-', '.']) else {
        return false;
    };
    let number = number.strip_suffix('b').unwrap_or(number);
    matches!(letter, "A" | "B" | "C" | "D")
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The numbers of the contract: those that begin an item, and the tables of levels.
fn contract() -> Vec<String> {
    let text = read(&root().join("docs/contract.md"));
    let items = text
        .lines()
        .filter_map(|line| line.strip_prefix("- **"))
        .filter_map(|line| line.split([' ', '*']).next());
    let mut numbers: Vec<String> = items
        .filter(|number| is_number(number))
        .map(str::to_owned)
        .collect();
    numbers.extend(["A.1", "C.1", "D.1"].map(str::to_owned));
    numbers
}

#[test]
fn every_rule_of_the_contract_is_in_the_table_once() {
    let mut contract = contract();
    assert!(contract.len() > 120, "{}", contract.len());
    let mut table: Vec<_> = Rule::all().map(|rule| rule.id.to_owned()).collect();
    contract.sort();
    table.sort();
    assert_eq!(table, contract);
}

/// Every Rust file below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository is readable") {
        let path = entry
            .expect("a folder of the repository is readable")
            .path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The numbers that stand in quotes in the simulator's source outside this table, and where: its violations name their rules so.
fn named() -> BTreeMap<String, PathBuf> {
    let mut files = Vec::new();
    let simulator = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&simulator, &mut files);
    let table = simulator.join("verifier/rules");
    files.retain(|file| !file.starts_with(&table));
    let mut named = BTreeMap::new();
    for file in files {
        let text = read(&file);
        for number in text.split('"').filter(|text| is_number(text)) {
            named.insert(number.to_owned(), file.clone());
        }
    }
    named
}

#[test]
fn every_rule_that_the_simulator_names_is_in_the_table_and_counts_as_checked() {
    let named = named();
    assert!(named.len() > 40, "{named:?}");
    for (number, file) in named {
        let Some(rule) = Rule::find(&number) else {
            panic!("{}: no rule {number} in the table", file.display());
        };
        assert!(
            !matches!(rule.check, Check::NotChecked { .. }),
            "{} reports {number}, which the table calls not checked",
            file.display()
        );
    }
}

#[test]
fn a_rule_that_counts_as_tested_is_named_by_the_simulator() {
    let named = named();
    for rule in Rule::all() {
        if let Check::Tested { by } = rule.check {
            assert!(!by.is_empty(), "{}: tested by nothing", rule.id);
            assert!(
                named.contains_key(rule.id),
                "{}: the simulator reports nothing under it",
                rule.id
            );
        }
    }
}

#[test]
fn no_rule_is_open() {
    let open: Vec<_> = Rule::all()
        .filter(|rule| rule.check == Check::Open)
        .map(|rule| rule.id)
        .collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn every_rule_says_something_and_points_into_documents_that_are_there() {
    for rule in Rule::all() {
        assert!(rule.title.len() > 20, "{}", rule.id);
        assert!(rule.meaning.len() > 40, "{}", rule.id);
        assert!(rule.meaning.ends_with('.'), "{}", rule.id);
        assert!(!rule.title.ends_with('.'), "{}", rule.id);
        assert!(!rule.read.is_empty(), "{}", rule.id);
        for (file, anchor) in rule.read.iter().filter_map(|read| read.split_once(".md#")) {
            let text = read(&root().join(format!("{file}.md")));
            let anchors = text
                .lines()
                .filter(|line| line.starts_with('#'))
                .map(|line| {
                    let heading = line.trim_start_matches('#').trim().to_lowercase();
                    heading.replace(' ', "-")
                });
            assert!(
                anchors.into_iter().any(|heading| heading == anchor),
                "{}: {file}.md has no #{anchor}",
                rule.id
            );
        }
    }
}
