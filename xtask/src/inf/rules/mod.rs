//! The rules that tollgate.inf must keep: those of InfVerif's modes `/k` (declarative), `/u` (universal) and `/w` (isolated) that can concern a
//! primitive driver, and a few of our own. Where InfVerif has a number for a rule, the message says it; docs/building.md lists them all.
//!
//! InfVerif says what is forbidden. This says what is allowed: a section, a directive or a flag that the driver has no use for is a
//! problem even where Windows would take it, because nobody here has seen Windows take it.

mod references;
mod service;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::{Inf, Section};
use crate::image::Arch;

/// What a file is checked against.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The machine that its sections must be for.
    pub arch: Arch,
    /// The names of the files beside it.
    pub files: &'a BTreeSet<String>,
    /// The version of the image.
    pub version: &'a str,
}

/// The class of callout drivers.
const CLASS: &str = "WFPCALLOUTS";
/// Its GUID; in ASCII it spells the name.
const CLASS_GUID: &str = "{57465043-616C-6C6F-7574-5F636C617373}";
/// What `[Version]` says. InfVerif 1233 asks for Class, ClassGuid, Provider, CatalogFile and DriverVer in what is to be signed.
const VERSION_KEYS: &[&str] = &[
    "Signature",
    "Class",
    "ClassGuid",
    "Provider",
    "CatalogFile",
    "DriverVer",
    "PnpLockdown",
];
/// The directory of the package in the driver store.
pub(super) const DRIVER_STORE: &str = "13";

/// All that is wrong with a file, one line each.
pub fn check(inf: &Inf, context: &Context<'_>) -> Vec<String> {
    let mut found = Findings {
        inf,
        install: format!("DefaultInstall.NT{}", context.arch.decoration()),
        uninstall: format!("DefaultUninstall.NT{}", context.arch.decoration()),
        problems: Vec::new(),
    };
    strings(&mut found);
    version(&mut found, context);
    sections(&mut found);
    references::check(&mut found, context);
    service::check(&mut found);
    found.problems
}

/// What the parts of the check share.
struct Findings<'a> {
    inf: &'a Inf,
    install: String,
    uninstall: String,
    problems: Vec<String>,
}

impl<'a> Findings<'a> {
    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// A section that must be there.
    fn required(&mut self, name: &str) -> Option<&'a Section> {
        let section = self.inf.section(name);
        if section.is_none() {
            self.problem(format!("there is no [{name}]"));
        }
        section
    }

    /// Reports keys that are not in a list, keys that stand twice (InfVerif 1088), and entries without a key.
    fn only_keys(&mut self, section: &Section, allowed: &[&str]) {
        let mut seen = BTreeSet::new();
        for entry in &section.entries {
            let name = &section.name;
            let Some(key) = &entry.key else {
                self.problem(format!("line {}: [{name}] has no such entries", entry.line));
                continue;
            };
            if !allowed
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(key))
            {
                self.problem(format!(
                    "line {}: [{name}] may not have {key}{}",
                    entry.line,
                    why_forbidden(key)
                ));
            }
            if !seen.insert(key.to_ascii_lowercase()) {
                self.problem(format!(
                    "line {}: [{name}] has {key} twice (InfVerif 1088)",
                    entry.line
                ));
            }
        }
    }

    /// Reports a value that is not what it must be.
    fn expect(&mut self, section: &Section, key: &str, expected: &str) {
        let value = section.first(key);
        if !value.eq_ignore_ascii_case(expected) {
            self.problem(format!(
                "[{}] says {key} = {value:?}, not {expected:?}",
                section.name
            ));
        }
    }
}

/// The directives that a universal INF may not have ("Using a Universal INF File"), with the reason for the message.
fn why_forbidden(key: &str) -> &'static str {
    const NOT_UNIVERSAL: &[&str] = &[
        "BitReg",
        "DelFiles",
        "DelProperty",
        "DelReg",
        "DelService",
        "Ini2Reg",
        "LogConfig",
        "ProfileItems",
        "RegisterDlls",
        "RenFiles",
        "UnregisterDlls",
        "UpdateIniFields",
        "UpdateInis",
    ];
    if NOT_UNIVERSAL
        .iter()
        .any(|name| name.eq_ignore_ascii_case(key))
    {
        ", which no universal INF may have (InfVerif /u)"
    } else {
        ""
    }
}

/// Every `%name%` has its string, and every string its use.
fn strings(found: &mut Findings<'_>) {
    let mut used = BTreeSet::new();
    for section in found.inf.sections() {
        if section.name.eq_ignore_ascii_case("Strings") {
            continue;
        }
        for entry in &section.entries {
            for text in entry.list().chain(entry.key.as_deref()) {
                if let Err(problem) = found.inf.resolve(text) {
                    found.problem(format!("line {}: {problem}", entry.line));
                }
                used.extend(
                    text.split('%')
                        .skip(1)
                        .step_by(2)
                        .map(str::to_ascii_lowercase),
                );
            }
        }
    }
    for (name, value) in found.inf.strings() {
        if !used.contains(&name) {
            found.problem(format!("nothing uses the string {name}"));
        }
        if value.is_empty() {
            found.problem(format!("the string {name} is empty"));
        }
    }
}

fn version(found: &mut Findings<'_>, context: &Context<'_>) {
    let Some(version) = found.required("Version") else {
        return;
    };
    found.only_keys(version, VERSION_KEYS);
    for key in VERSION_KEYS {
        if version.first(key).is_empty() {
            found.problem(format!("[Version] has no {key} (InfVerif 1013, 1233)"));
        }
    }
    found.expect(version, "Signature", "$Windows NT$"); // 1001
    found.expect(version, "Class", CLASS); // 1280, 1281
    found.expect(version, "ClassGuid", CLASS_GUID); // 1010
    found.expect(version, "PnpLockdown", "1"); // 1324
    let provider = version.first("Provider");
    if !(provider.starts_with('%') && provider.ends_with('%')) {
        found.problem("the provider is no string of [Strings], so that it cannot be translated");
    }
    if let Ok(provider) = found.inf.resolve(provider)
        && provider.to_ascii_lowercase().starts_with("microsoft")
    {
        found.problem("the provider is Microsoft (InfVerif 1204)");
    }
    let catalog = version.first("CatalogFile");
    if !catalog.ends_with(".cat") || catalog.contains(['\\', '/']) {
        found.problem(format!(
            "{catalog:?} is no name of a catalog (InfVerif 1214)"
        ));
    }
    if !context.files.contains(catalog) {
        found.problem(format!("the catalog {catalog} is not in the package"));
    }
    driver_ver(found, version, context);
}

/// `mm/dd/yyyy,w.x.y.z`, with the version of the image.
fn driver_ver(found: &mut Findings<'_>, version: &Section, context: &Context<'_>) {
    let Some(entry) = version.all("DriverVer").next() else {
        return;
    };
    let (date, number) = (entry.value(0), entry.value(1));
    let fields: Vec<Option<u32>> = date.split('/').map(|field| field.parse().ok()).collect();
    let is_date =
        date.len() == 10 && matches!(fields[..], [Some(1..=12), Some(1..=31), Some(1980..)]);
    if !is_date {
        found.problem(format!("DriverVer's date {date:?} is not mm/dd/yyyy"));
    }
    let parts: Vec<Option<u16>> = number.split('.').map(|part| part.parse().ok()).collect();
    if parts.len() != 4 || parts.contains(&None) {
        found.problem(format!(
            "DriverVer's version {number:?} is not four numbers of 16 bits (InfVerif 1217)"
        ));
    }
    if number != context.version {
        found.problem(format!(
            "DriverVer says version {number}, the image {}",
            context.version
        ));
    }
}

/// A primitive driver has DefaultInstall for each machine, and what else there is must be known here.
fn sections(found: &mut Findings<'_>) {
    for section in found.inf.sections() {
        let name = section.name.to_ascii_lowercase();
        let problem = match name.as_str() {
            "defaultinstall" | "defaultuninstall" => "has no architecture (InfVerif 1421)",
            "manufacturer" => {
                "belongs to drivers of devices; a primitive driver has none (InfVerif 1420)"
            }
            _ if name.starts_with("classinstall32") => "is not for a universal INF (InfVerif /u)",
            _ if name.ends_with(".coinstallers")
                || name.ends_with(".factdef")
                || name.ends_with(".logconfigoverride") =>
            {
                "is not for a universal INF (InfVerif /u)"
            }
            _ if name.ends_with(".wdf") => {
                "is for the framework's co-installer, which a driver without a device does not use"
            }
            _ => continue,
        };
        found.problem(format!("[{}] {problem}", section.name));
    }
    let install = found.install.clone();
    let uninstall = found.uninstall.clone();
    if let Some(section) = found.required(&install) {
        // 1423
        found.only_keys(section, &["OptionDesc", "CopyFiles"]);
    }
    if let Some(section) = found.required(&format!("{install}.Services")) {
        found.only_keys(section, &["AddService"]);
    }
    if let Some(section) = found.required(&uninstall) {
        found.only_keys(section, &["LegacyUninstall"]);
        if section.first("LegacyUninstall") != "1" {
            found.problem(format!(
                "[{uninstall}] does not say LegacyUninstall = 1 (InfVerif 1422)"
            ));
        }
    }
    if let Some(section) = found.required(&format!("{uninstall}.Services")) {
        found.only_keys(section, &["DelService"]);
    }
}
