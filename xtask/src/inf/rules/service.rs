//! The service, its parameters, and that uninstalling undoes what installing did.

use std::collections::BTreeSet;

use super::Findings;
use crate::inf::{Entry, Section};

/// Its name in tests, scripts and documentation.
const SERVICE: &str = "tollgate";
/// SPSVCINST_STOPSERVICE.
const STOP_SERVICE: &str = "0x00000200";
/// FLG_ADDREG_TYPE_DWORD | FLG_ADDREG_NOCLOBBER.
const DWORD_KEPT: &str = "0x00010003";

/// The checks.
pub fn check(found: &mut Findings<'_>) {
    let services = |section: &str, key: &str| -> Vec<Entry> {
        let section = found.inf.section(&format!("{section}.Services"));
        section
            .into_iter()
            .flat_map(|section| section.all(key).cloned())
            .collect()
    };
    let added = services(&found.install, "AddService");
    let deleted = services(&found.uninstall, "DelService");
    let names = |entries: &[Entry]| -> BTreeSet<String> {
        entries
            .iter()
            .map(|entry| entry.value(0).to_owned())
            .collect()
    };
    if names(&added) != names(&deleted) {
        found.problem(format!(
            "installing adds {:?}, uninstalling deletes {:?}",
            names(&added),
            names(&deleted)
        ));
    }
    if names(&added) != BTreeSet::from([SERVICE.to_owned()]) {
        found.problem(format!("the service's name is not {SERVICE}"));
    }
    for entry in &deleted {
        if entry.value(1) != STOP_SERVICE {
            found.problem(format!(
                "line {}: the service is deleted without being stopped (no {STOP_SERVICE})",
                entry.line
            ));
        }
    }
    for entry in &added {
        if !entry.value(1).is_empty() {
            found.problem(format!(
                "line {}: a primitive driver's service is no device's, and needs no flags",
                entry.line
            ));
        }
        if let Some(section) = found.inf.section(entry.value(2)) {
            service(found, section);
        }
    }
}

fn service(found: &mut Findings<'_>, section: &Section) {
    found.only_keys(
        section,
        &[
            "DisplayName",
            "Description",
            "ServiceType",
            "StartType",
            "ErrorControl",
            "ServiceBinary",
            "Dependencies",
            "Security",
            "AddReg",
        ],
    );
    found.expect(section, "ServiceType", "1"); // 1013
    found.expect(section, "StartType", "3");
    found.expect(section, "ErrorControl", "1");
    found.expect(section, "Dependencies", "Tcpip");
    binary(found, section);
    security(found, section.first("Security"));
    for name in section.all("AddReg").flat_map(Entry::list) {
        if let Some(section) = found.inf.section(name) {
            parameters(found, section);
        }
    }
}

/// A path in the driver store to a file that is copied there.
fn binary(found: &mut Findings<'_>, section: &Section) {
    let path = section.first("ServiceBinary");
    let Some(file) = path.strip_prefix(r"%13%\") else {
        found.problem(format!(
            "the service's binary {path:?} is not under %13%, the driver store (InfVerif 2085)"
        ));
        return;
    };
    let install = found.inf.section(&found.install);
    let copied = install
        .into_iter()
        .flat_map(|install| install.all("CopyFiles"))
        .flat_map(Entry::list)
        .filter_map(|list| found.inf.section(list))
        .flat_map(|list| &list.entries)
        .any(|entry| entry.value(0) == file);
    if !copied {
        found.problem(format!(
            "the service's binary {file} is not copied (InfVerif 2084)"
        ));
    }
}

/// The part of the security descriptor language that the driver uses, and no right to change anything for anyone but system and
/// administrators.
fn security(found: &mut Findings<'_>, text: &str) {
    let Some(entries) = text.strip_prefix("D:P") else {
        found.problem(format!(
            "the service's security {text:?} is not a protected list of its own (D:P)"
        ));
        return;
    };
    let mut full = BTreeSet::new();
    for entry in entries.split_inclusive(')') {
        let fields: Vec<&str> = entry
            .strip_prefix('(')
            .and_then(|entry| entry.strip_suffix(')'))
            .unwrap_or_default()
            .split(';')
            .collect();
        let ["A", "", rights, "", "", who] = fields[..] else {
            found.problem(format!(
                "{entry:?} in the service's security is not understood"
            ));
            continue;
        };
        // Query configuration, query status, enumerate dependents, interrogate, read the descriptor.
        const LOOK: [&str; 5] = ["CC", "LC", "SW", "LO", "RC"];
        let looks_only = rights
            .as_bytes()
            .chunks(2)
            .all(|right| LOOK.iter().any(|look| look.as_bytes() == right));
        match who {
            "SY" | "BA" if rights == "GA" => {
                full.insert(who);
            }
            _ if looks_only => {}
            _ => found.problem(format!(
                "the service's security lets {who} do more than look: {rights}"
            )),
        }
    }
    if full.len() != 2 {
        found.problem("the service's security does not leave system and administrators in control");
    }
}

/// Numbers under the service's Parameters key.
fn parameters(found: &mut Findings<'_>, section: &Section) {
    for entry in &section.entries {
        let fields: Vec<&str> = entry.values.iter().map(|value| value.0.as_str()).collect();
        let line = entry.line;
        let [root, key, _name, flags, value] = fields[..] else {
            found.problem(format!(
                "line {line}: a registry entry has five fields here"
            ));
            continue;
        };
        if root != "HKR" {
            found.problem(format!(
                "line {line}: writes to {root}, not HKR (InfVerif 1321)"
            ));
        }
        if key != "Parameters" {
            found.problem(format!(
                "line {line}: writes to {key:?}, not the service's Parameters (InfVerif 1323)"
            ));
        }
        if flags != DWORD_KEPT {
            found.problem(format!(
                "line {line}: not a REG_DWORD that an update leaves alone ({DWORD_KEPT})"
            ));
        }
        if value.parse::<u32>().is_err() {
            found.problem(format!("line {line}: {value:?} is no number of 32 bits"));
        }
    }
}
