//! Names of sections, files and directories: each leads somewhere, and everything is led to.

use std::collections::BTreeSet;

use super::{Context, DRIVER_STORE, Findings};
use crate::inf::Section;

/// The checks.
pub fn check(found: &mut Findings<'_>, context: &Context<'_>) {
    destinations(found);
    let mut used: BTreeSet<String> = [
        "Version",
        "Strings",
        "DestinationDirs",
        "SourceDisksNames",
        "SourceDisksFiles",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    for entry in [&found.install, &found.uninstall] {
        used.insert(entry.clone());
        used.insert(format!("{entry}.Services"));
    }
    for list in referenced(found, "CopyFiles") {
        if let Some(section) = found.required(&list) {
            copied_files(found, section, context);
        }
        used.insert(list);
    }
    for key in ["AddReg", "AddService"] {
        for name in referenced(found, key) {
            found.required(&name); // 1005, 2006
            used.insert(name);
        }
    }
    for section in found.inf.sections() {
        if !used
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&section.name))
        {
            found.problem(format!(
                "nothing leads to [{}] (InfVerif 2083)",
                section.name
            ));
        }
    }
}

/// The names of sections that all entries with a key give.
fn referenced(found: &Findings<'_>, key: &str) -> Vec<String> {
    let entries = found
        .inf
        .sections()
        .iter()
        .flat_map(|section| section.all(key));
    let names = entries.flat_map(|entry| match key {
        // The service's name and flags come first.
        "AddService" => vec![entry.value(2).to_owned()],
        _ => entry.list().map(str::to_owned).collect(),
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Files stay in the driver store.
fn destinations(found: &mut Findings<'_>) {
    let Some(section) = found.required("DestinationDirs") else {
        return;
    };
    if section.first("DefaultDestDir").is_empty() {
        found.problem("[DestinationDirs] has no DefaultDestDir");
    }
    for entry in &section.entries {
        if entry.value(0) != DRIVER_STORE {
            found.problem(format!(
                "line {}: files go to directory {}, not 13, the driver store (InfVerif 1322)",
                entry.line,
                entry.value(0)
            ));
        }
        if entry.values.len() > 1 {
            found.problem(format!(
                "line {}: a directory below the driver store, where the file is not (InfVerif 1100)",
                entry.line
            ));
        }
    }
}

/// Each file has its place on the medium, is in the package, and keeps its name.
fn copied_files(found: &mut Findings<'_>, list: &Section, context: &Context<'_>) {
    let disks = found.required("SourceDisksNames");
    let sources = found.required("SourceDisksFiles");
    let (Some(disks), Some(sources)) = (disks, sources) else {
        return;
    };
    for entry in &list.entries {
        let file = entry.value(0);
        if entry.key.is_some() || file.is_empty() || entry.values.len() != 1 {
            found.problem(format!(
                "line {}: [{}] renames a file or gives it flags, neither of which the driver store has (InfVerif 1100, 1103)",
                entry.line, list.name
            ));
            continue;
        }
        let disk = sources.first(file);
        if disk.is_empty() {
            found.problem(format!(
                "[SourceDisksFiles] does not say where {file} is (InfVerif 1230)"
            ));
        } else if disks.all(disk).next().is_none() {
            found.problem(format!(
                "[SourceDisksNames] has no disk {disk} (InfVerif 1273)"
            ));
        }
        if !context.files.contains(file) {
            found.problem(format!("{file} is not in the package"));
        }
    }
    for entry in &sources.entries {
        let file = entry.key.as_deref().unwrap_or_default();
        if file.to_ascii_lowercase().ends_with(".cat") {
            found.problem("[SourceDisksFiles] lists a catalog (InfVerif 1213)");
        }
        if !list.entries.iter().any(|copied| copied.value(0) == file) {
            found.problem(format!("nothing copies {file} of [SourceDisksFiles]"));
        }
    }
}
