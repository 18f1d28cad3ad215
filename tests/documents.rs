//! The documents keep step with the repository: no relative link is dead, every counter and every parameter is explained.

use std::fs;
use std::path::{Path, PathBuf};

use tollgate_abi::Counter;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file of the repository.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let path = entry
            .expect("a folder of the repository is readable")
            .path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                documents(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The lines that are not in a fenced block.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter(move |(_, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return false;
        }
        !fenced
    })
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    prose(text)
        .filter_map(|(_, line)| {
            let heading = line.trim_start_matches('#');
            (heading.len() < line.len()).then(|| heading.strip_prefix(' '))?
        })
        .map(|heading| {
            heading
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    '-' | '_' => Some(c),
                    c if c.is_alphanumeric() => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

/// The targets of a line's links, `[text](target)`.
fn links(line: &str) -> Vec<&str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect()
}

/// What is wrong with the links of one document.
fn dead_links(document: &Path, text: &str) -> Vec<String> {
    let mut dead = Vec::new();
    for (line, words) in prose(text) {
        for link in links(words) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link
                .split_once('#')
                .map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() {
                document.to_path_buf()
            } else {
                document.parent().unwrap_or(root()).join(file)
            };
            let exists = target.exists();
            let headings = || {
                if file.is_empty() {
                    anchors(text)
                } else {
                    anchors(&read(&target))
                }
            };
            let anchored = anchor
                .is_none_or(|anchor| exists && headings().iter().any(|heading| heading == anchor));
            if !exists || !anchored {
                dead.push(format!("{}:{}: {link}", document.display(), line + 1));
            }
        }
    }
    dead
}

#[test]
fn no_relative_link_is_dead() {
    let mut found = Vec::new();
    documents(root(), &mut found);
    assert!(found.len() > 5, "only {} documents were found", found.len());
    let dead: Vec<_> = found
        .iter()
        .flat_map(|path| dead_links(path, &read(path)))
        .collect();
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn a_dead_link_and_a_dead_anchor_are_found() {
    let document = root().join("README.md");
    let text = "see [this](docs/nowhere.md)\n```\n[not a link](nowhere)\n```\n# A heading: with `code`\n\
                [here](#a-heading-with-code) [not here](#another) [the contract](docs/contract.md)";
    let dead = dead_links(&document, text);
    assert_eq!(dead.len(), 2, "{dead:?}");
    assert!(dead[0].ends_with("README.md:1: docs/nowhere.md"));
    assert!(dead[1].ends_with("README.md:6: #another"));
}

#[test]
fn every_counter_is_explained_to_those_who_operate_the_driver() {
    let text = read(&root().join("docs/operating.md"));
    for counter in Counter::ALL {
        assert!(
            text.contains(&format!("`{}`", counter.name())),
            "docs/operating.md says nothing of {}",
            counter.name()
        );
    }
}

#[test]
fn every_parameter_is_explained_to_those_who_operate_the_driver() {
    let text = read(&root().join("docs/operating.md"));
    let source = read(&root().join("src/parameters.rs"));
    let names: Vec<_> = source
        .split("utf16!(\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        assert!(
            text.contains(&format!("`{name}`")),
            "docs/operating.md says nothing of {name}"
        );
    }
}
