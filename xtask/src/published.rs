//! The portable subset against the published crates' own sources: what can be compared without a WDK.
//!
//! crates/wdk-sys-portable lists what the driver takes from wdk-sys. wdk-sys's bindings are made from headers that only a WDK has; but part of
//! it is plain source (status values, predicates, macros), wdk, wdk-alloc and wdk-panic name what they need of it, and wdk-macros says by
//! which rule it finds a framework function. The framework's headers are public (microsoft/Windows-Driver-Frameworks); the facts below
//! were read off them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const STATUS: &str = include_str!("../../crates/wdk-sys-portable/src/status.rs");
const WDF: &str = include_str!("../../crates/wdk-sys-portable/src/wdf.rs");
const LIB: &str = include_str!("../../crates/wdk-sys-portable/src/lib.rs");
const REST: [&str; 5] = [
    include_str!("../../crates/wdk-sys-portable/src/constants.rs"),
    include_str!("../../crates/wdk-sys-portable/src/ntddk.rs"),
    include_str!("../../crates/wdk-sys-portable/src/structs.rs"),
    include_str!("../../crates/wdk-sys-portable/src/types.rs"),
    include_str!("../../crates/wdk-sys-portable/src/wdf_types.rs"),
];

/// wdffuncenum.h of KMDF 1.33: each function of the subset with its index; and how many arguments its type has in the header of its object, the
/// driver's globals not counted.
const HEADERS: &[(&str, u32, usize)] = &[
    ("WdfControlDeviceInitAllocate", 25, 2),
    ("WdfControlFinishInitializing", 27, 1),
    ("WdfDeviceWdmGetDeviceObject", 31, 1),
    ("WdfDeviceInitFree", 54, 1),
    ("WdfDeviceInitSetDeviceType", 66, 2),
    ("WdfDeviceInitAssignName", 67, 2),
    ("WdfDeviceInitSetCharacteristics", 70, 3),
    ("WdfDeviceCreate", 75, 3),
    ("WdfDeviceCreateSymbolicLink", 80, 2),
    ("WdfDriverCreate", 116, 5),
    ("WdfDriverOpenParametersRegistryKey", 119, 4),
    ("WdfIoQueueCreate", 152, 4),
    ("WdfObjectDelete", 208, 1),
    ("WdfRegistryClose", 231, 1),
    ("WdfRegistryQueryValue", 235, 6),
    ("WdfRegistryQueryULong", 240, 3),
    ("WdfRequestComplete", 263, 2),
    ("WdfRequestCompleteWithInformation", 265, 3),
    ("WdfRequestRetrieveInputBuffer", 269, 4),
    ("WdfRequestRetrieveOutputBuffer", 270, 4),
    ("WdfSpinLockCreate", 315, 2),
    ("WdfSpinLockAcquire", 316, 1),
    ("WdfSpinLockRelease", 317, 1),
    ("WdfTimerCreate", 318, 3),
    ("WdfTimerStart", 319, 2),
    ("WdfTimerStop", 320, 2),
];

/// The directories of the published crates by name, as Cargo.lock has them. `None` where Cargo cannot get them.
fn published() -> Option<BTreeMap<String, PathBuf>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-pc-windows-msvc"])
        .current_dir(crate::root())
        .output()
        .ok()?;
    if !output.status.success() {
        eprintln!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let packages = metadata["packages"].as_array()?;
    let from_registry = packages
        .iter()
        .filter(|package| package["source"].is_string());
    Some(
        from_registry
            .filter_map(|package| {
                let manifest = PathBuf::from(package["manifest_path"].as_str()?);
                let name = package["name"].as_str()?.to_owned();
                Some((name, manifest.parent()?.to_owned()))
            })
            .collect(),
    )
}

/// All of a crate's source.
fn source(crates: &BTreeMap<String, PathBuf>, name: &str) -> String {
    let mut text = String::new();
    let mut directories = vec![crates[name].join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

/// Without comments.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(before, _)| before));
    lines.collect::<Vec<_>>().join("\n")
}

/// The words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
}

#[test]
fn every_status_has_the_value_that_the_published_crate_gives_it() {
    let Some(crates) = published() else { return };
    let theirs = fs::read_to_string(crates["wdk-sys"].join("src/constants.rs")).unwrap();
    let theirs: BTreeMap<&str, i32> = theirs
        .lines()
        .filter_map(|line| {
            let (name, value) = line
                .strip_prefix("pub const ")?
                .split_once(": NTSTATUS = ")?;
            let value = value.strip_suffix(';')?.replace('_', "").replace("i32", "");
            Some((name, value.parse().ok()?))
        })
        .collect();
    let mut compared = 0;
    for line in STATUS.lines() {
        let Some((name, value)) = line.trim().split_once(" = 0x") else {
            continue;
        };
        let value = u32::from_str_radix(&value.replace(['_', ';'], ""), 16).unwrap();
        let expected = theirs
            .get(name)
            .unwrap_or_else(|| panic!("wdk-sys has no {name}"));
        assert_eq!(value.cast_signed(), *expected, "{name}");
        compared += 1;
    }
    assert!(compared > 20, "only {compared} were compared");
}

#[test]
fn the_predicates_of_a_status_are_the_published_ones() {
    let Some(crates) = published() else { return };
    let theirs = fs::read_to_string(crates["wdk-sys"].join("src/lib.rs")).unwrap();
    let body = |text: &str, name: &str| -> String {
        let (_, after) = text
            .split_once(&format!(
                "pub const fn {name}(nt_status: NTSTATUS) -> bool {{"
            ))
            .unwrap_or_else(|| panic!("no {name}"));
        let body = after.split_once('}').unwrap().0;
        body.replace("nt_status as u32", "nt_status.cast_unsigned()")
            .replace(char::is_whitespace, "")
            .trim_start_matches('(')
            .replace(">>30)", ">>30")
    };
    for name in ["NT_SUCCESS", "NT_INFORMATION", "NT_WARNING", "NT_ERROR"] {
        assert_eq!(body(LIB, name), body(&theirs, name), "{name}");
    }
    let paged_code =
        "debug_assert!(unsafe { $crate::ntddk::KeGetCurrentIrql() <= $crate::APC_LEVEL as u8 });";
    for text in [LIB, &theirs] {
        assert!(text.contains(paged_code), "PAGED_CODE");
    }
}

/// A compiled image says as much; this says which name it is before anything is compiled.
#[test]
fn what_the_other_published_crates_take_from_wdk_sys_is_in_the_subset() {
    let Some(crates) = published() else { return };
    let ours: String = [&REST[..], &[WDF, LIB, STATUS]].concat().concat();
    let ours: std::collections::BTreeSet<&str> = words(&ours).collect();
    let mut compared = 0;
    for name in ["wdk", "wdk-alloc", "wdk-panic"] {
        let theirs = code(&source(&crates, name));
        for (at, _) in theirs.match_indices("wdk_sys::") {
            let path = theirs[at + "wdk_sys::".len()..].trim_start();
            let path = match path.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default(),
                None => path
                    .split(|character: char| {
                        !character.is_alphanumeric() && !"_:".contains(character)
                    })
                    .next()
                    .unwrap_or_default(),
            };
            // User-mode drivers only.
            if path.starts_with("windows::") {
                continue;
            }
            for word in words(path) {
                assert!(
                    ours.contains(word),
                    "{name} takes {word}, which the subset does not have"
                );
                compared += 1;
            }
        }
        for word in words(&theirs).filter(|word| HEADERS.iter().any(|(name, ..)| name == word)) {
            assert!(ours.contains(word), "{name} calls {word}");
            compared += 1;
        }
    }
    assert!(compared > 15, "only {compared} names were compared");
}

/// The list in crates/wdk-sys-portable/src/wdf.rs: name, name of the index, index, type, arguments.
fn functions() -> Vec<(String, String, u32, String, usize)> {
    let code = code(WDF);
    let (_, list) = code.rsplit_once("wdf_functions! {").unwrap();
    list.split(';')
        .filter_map(|entry| {
            let (name, rest) = entry.split_once('[')?;
            let (index_name, rest) = rest.split_once(" = ")?;
            let (index, rest) = rest.split_once(']')?;
            let (pfn, arguments) = rest.split_once('(')?;
            Some((
                name.trim().to_owned(),
                index_name.trim().to_owned(),
                index.parse().ok()?,
                pfn.trim().to_owned(),
                arguments.split_once(')')?.0.matches(':').count(),
            ))
        })
        .collect()
}

#[test]
fn framework_functions_are_where_the_headers_have_them() {
    let ours: Vec<(String, u32, usize)> = functions()
        .into_iter()
        .map(|(name, _, index, _, arguments)| (name, index, arguments))
        .collect();
    let headers: Vec<(String, u32, usize)> = HEADERS
        .iter()
        .map(|(name, index, arguments)| ((*name).to_owned(), *index, *arguments))
        .collect();
    assert_eq!(ours, headers);
}

#[test]
fn framework_functions_are_named_as_the_published_macro_looks_for_them() {
    let functions = functions();
    assert_eq!(functions.len(), HEADERS.len());
    for (name, index_name, _, pfn, _) in functions {
        assert_eq!(index_name, format!("{name}TableIndex"));
        assert_eq!(pfn, format!("PFN_{}", name.to_uppercase()));
    }
    let Some(crates) = published() else { return };
    let theirs = source(&crates, "wdk-macros");
    for rule in [
        "\"PFN_{uppercase_c_function_name}\"",
        "\"{wdf_function_identifier}TableIndex\"",
        "_WDFFUNCENUM",
    ] {
        assert!(
            theirs.contains(rule),
            "wdk-macros has another rule than {rule}"
        );
    }
}

/// One release is compared, built against and stood in for.
#[test]
fn the_subset_stands_in_for_the_release_that_the_lock_file_has() {
    let Some(crates) = published() else { return };
    let directory = crates["wdk-sys"]
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let version = directory.strip_prefix("wdk-sys-").unwrap();
    for (manifest, expected) in [
        (
            include_str!("../../crates/wdk-sys-portable/Cargo.toml"),
            format!("version = \"{version}-portable\""),
        ),
        (
            include_str!("../../image/wdk-sys/Cargo.toml"),
            format!("version = \"{version}\""),
        ),
    ] {
        assert!(manifest.contains(&expected), "{expected}");
    }
}
