//! What is to be looked after: what memory integrity refuses, what Driver Verifier's code integrity checks report (bug check 0xC4,
//! 0x2000 to 0x2005), and what the linker could have done. Names are stable.

use object::pe;

use super::Description;
use super::Outcome;
use super::Place;
use super::pe::Pe;
use super::pe::Thunks;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Windows refuses it, a test of Microsoft's reports it, or it undoes a protection.
    Error,
    /// Worth to know; may be right.
    Note,
}

impl Severity {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "note",
        }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its stable name.
    pub name: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// Whether it was concluded from what code looks like, and may be wrong.
    pub heuristic: bool,
    /// What was found.
    pub found: String,
    /// What would be right, and why.
    pub wanted: &'static str,
    /// Where, if it is in the code.
    pub places: Vec<Place>,
}

/// The flags of the headers, with what their absence weighs and why.
const FLAGS: [(u16, &str, &str, Severity, &str); 5] = [
    (
        pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE.0,
        "no-dynamic-base",
        "DYNAMIC_BASE is not set",
        Severity::Error,
        "link with /DYNAMICBASE, so that Windows loads it at an address of its choice",
    ),
    (
        pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT.0,
        "no-nx-compat",
        "NX_COMPAT is not set",
        Severity::Error,
        "link with /NXCOMPAT: data is never code",
    ),
    (
        pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA.0,
        "no-high-entropy-va",
        "HIGH_ENTROPY_VA is not set",
        Severity::Note,
        "link with /HIGHENTROPYVA; programs need it more than drivers, which Windows places anyway",
    ),
    (
        pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY.0,
        "no-force-integrity",
        "FORCE_INTEGRITY is not set",
        Severity::Note,
        "link with /INTEGRITYCHECK; object and process callbacks are refused to an image without it",
    ),
    (
        pe::IMAGE_DLLCHARACTERISTICS_GUARD_CF.0,
        "no-control-flow-guard",
        "GUARD_CF is not set",
        Severity::Note,
        "compile and link with /guard:cf where the compiler can make the checks; the linker alone would \
         set the flag without them. Rust makes none for kernel images so far",
    ),
];

/// Functions that refuse an image without FORCE_INTEGRITY.
const CALLBACKS: [&str; 3] = [
    "ObRegisterCallbacks",
    "PsSetCreateProcessNotifyRoutineEx",
    "PsSetCreateProcessNotifyRoutineEx2",
];

pub(super) fn find(it: &Description, pe: &Pe<'_>, thunks: &Thunks) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |name, severity, text: String, wanted| {
        found.push(Finding {
            name,
            severity,
            heuristic: false,
            found: text,
            wanted,
            places: Vec::new(),
        });
    };
    sections(it, pe, &mut add);
    let headers = &it.headers;
    for (flag, name, text, severity, wanted) in FLAGS {
        if headers.characteristics & flag == 0 {
            let callback = CALLBACKS
                .iter()
                .find(|callback| thunks.values().any(|symbol| symbol == *callback));
            match callback.filter(|_| name == "no-force-integrity") {
                Some(callback) => add(
                    name,
                    Severity::Error,
                    format!("{text}, and it imports {callback}"),
                    wanted,
                ),
                None => add(name, severity, text.to_owned(), wanted),
            }
        }
    }
    if headers.stripped {
        add(
            "relocations-stripped",
            Severity::Error,
            "its relocations were stripped".to_owned(),
            "link without /FIXED: a driver is loaded where there is room",
        );
    }
    if headers.cookie == 0 {
        add(
            "no-security-cookie",
            Severity::Note,
            "the load configuration has no security cookie".to_owned(),
            "compile C and C++ with /GS and link BufferOverflowFastFailK.lib. An image of Rust code alone \
             needs none: its compiler makes no stack cookies",
        );
    }
    if headers.subsystem != pe::IMAGE_SUBSYSTEM_NATIVE.0 {
        add(
            "not-native",
            Severity::Error,
            format!("its subsystem is {}", headers.subsystem),
            "link with /SUBSYSTEM:NATIVE and /DRIVER",
        );
    }
    let old: Vec<&str> = thunks
        .values()
        .map(String::as_str)
        .filter(|name| name.starts_with("ExAllocatePool") && !name.ends_with(['2', '3']))
        .collect();
    if !old.is_empty() {
        add(
            "deprecated-pool-functions",
            Severity::Note,
            format!("it imports {}", old.join(", ")),
            "ExAllocatePool2, from Windows 10 version 2004 on: never executable unless asked, and zeroed",
        );
    }
    if it.run.outcome == Outcome::Ran && !it.run.violations.is_empty() {
        add(
            "violation-when-run",
            Severity::Error,
            it.run.violations.join("; "),
            "DriverEntry and unload that break no rule and leave nothing behind; wfpsim replay --image tells more",
        );
    }
    if let Some(code) = &it.code {
        found.extend(super::instructions::find(code));
    } else {
        add(
            "code-not-read",
            Severity::Note,
            "its code is not for x86-64 and was not looked at".to_owned(),
            "the x86-64 image of the same sources",
        );
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

fn sections(
    it: &Description,
    pe: &Pe<'_>,
    add: &mut dyn FnMut(&'static str, Severity, String, &'static str),
) {
    let page = crate::image::pe::PAGE;
    for section in &it.sections {
        let name = section.name.trim_end_matches('\0');
        if section.has(pe::IMAGE_SCN_MEM_WRITE | pe::IMAGE_SCN_MEM_EXECUTE) {
            add(
                "writable-executable-section",
                Severity::Error,
                format!("section {name} can be written and run"),
                "code and data in sections of their own (0xC4, 0x2003)",
            );
        }
        if !section.address.is_multiple_of(page) {
            add(
                "section-not-page-aligned",
                Severity::Error,
                format!("section {name} is at {:#x}", section.address),
                "link with /ALIGN:0x1000 or without /ALIGN (0xC4, 0x2004)",
            );
        }
    }
    if it.headers.alignment < page || !it.headers.alignment.is_multiple_of(page) {
        add(
            "section-alignment",
            Severity::Error,
            format!("SectionAlignment is {:#x}", it.headers.alignment),
            "a multiple of a page, 0x1000: memory integrity protects whole pages (0xC4, 0x2004)",
        );
    }
    let table = pe.directory(pe::IMAGE_DIRECTORY_ENTRY_IAT).or_else(|| {
        // Without a directory of its own, where the first thunk is.
        pe.imports().1.keys().next().map(|&thunk| (thunk, 8))
    });
    if let Some((address, _)) = table {
        let holder = it.sections.iter().find(|section| {
            section.has(pe::IMAGE_SCN_MEM_EXECUTE)
                && address
                    .checked_sub(section.address)
                    .is_some_and(|offset| offset < section.size)
        });
        if let Some(section) = holder {
            add(
                "imports-in-code",
                Severity::Error,
                format!(
                    "the import address table is in executable section {}",
                    section.name.trim_end_matches('\0')
                ),
                "the import address table in .rdata or .idata (0xC4, 0x2005)",
            );
        }
    }
}
