//! What must be true of an image before anyone loads it.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, Import, PeFile64};
use object::{Object, ReadRef};

use super::Arch;
use super::allowed;

/// What an image turned out to be.
#[derive(Debug, Default)]
pub struct Found {
    /// One line on what it is.
    pub summary: String,
    /// Each library with the functions imported from it.
    pub imports: Vec<(String, Vec<String>)>,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// Flags of the optional header that Windows' loader acts upon.
const DLL_CHARACTERISTICS: [(pe::DllFlags, &str); 4] = [
    (pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, "DYNAMIC_BASE"),
    (
        pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA,
        "HIGH_ENTROPY_VA",
    ),
    (pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT, "NX_COMPAT"),
    (
        pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
        "FORCE_INTEGRITY",
    ),
];

/// Looks at an image.
///
/// # Errors
///
/// If the bytes are not a PE32+ file that can be read. What is wrong with one that can be is in [`Found::problems`].
pub fn check<'data>(bytes: &'data [u8], arch: Arch) -> Result<Found> {
    let file = PeFile64::<'data>::parse(bytes).context("not PE32+")?;
    let mut found = Found::default();
    headers(&file, arch, &mut found);
    sections(&file, &mut found);
    imports(&file, &mut found)?;
    symbols(&file, &mut found);
    Ok(found)
}

fn headers(file: &PeFile64<'_>, arch: Arch, found: &mut Found) {
    let machine = file.nt_headers().file_header().machine.get(LE);
    if machine != arch.machine() {
        found.problems.push(format!(
            "is for machine {:#x}, not {:#x} ({})",
            machine.0,
            arch.machine().0,
            arch.name()
        ));
    }
    let header = file.nt_headers().optional_header();
    let subsystem = header.subsystem();
    if subsystem != pe::IMAGE_SUBSYSTEM_NATIVE {
        found
            .problems
            .push(format!("is for subsystem {}, not 1 (native)", subsystem.0));
    }
    if header.address_of_entry_point() == 0 {
        found.problems.push("has no entry point".into());
    }
    let characteristics = header.dll_characteristics();
    let mut names = Vec::new();
    for (flag, name) in DLL_CHARACTERISTICS {
        if !characteristics.contains(flag) {
            found.problems.push(format!("lacks {name}"));
        } else {
            names.push(name);
        }
    }
    let _ = write!(
        found.summary,
        "PE32+ {}, subsystem native {}.{}, {}",
        arch.name(),
        header.major_subsystem_version(),
        header.minor_subsystem_version(),
        names.join(" | ")
    );
}

/// Memory that can be written and run is what an attacker needs, and hypervisor-protected code integrity refuses it.
fn sections(file: &PeFile64<'_>, found: &mut Found) {
    for section in file.section_table().iter() {
        let flags = section.characteristics.get(LE);
        if flags.contains(pe::IMAGE_SCN_MEM_WRITE | pe::IMAGE_SCN_MEM_EXECUTE) {
            let name = String::from_utf8_lossy(section.raw_name()).into_owned();
            found
                .problems
                .push(format!("section {name} can be written and run"));
        }
    }
}

fn imports<'data, R: ReadRef<'data>>(
    file: &object::read::pe::PeFile<'data, pe::ImageNtHeaders64, R>,
    found: &mut Found,
) -> Result<()> {
    let Some(table) = file.import_table().context("the import table")? else {
        found.problems.push("imports nothing".into());
        return Ok(());
    };
    let mut descriptors = table.descriptors().context("the import table")?;
    while let Some(descriptor) = descriptors.next().context("an import descriptor")? {
        let library = table
            .name(descriptor.name.get(LE))
            .context("a library's name")?;
        let library = String::from_utf8_lossy(library).into_owned();
        let mut functions = Vec::new();
        let mut thunks = table
            .thunks(descriptor.original_first_thunk.get(LE))
            .context("a library's imports")?;
        while let Some(thunk) = thunks.next::<pe::ImageNtHeaders64>().context("an import")? {
            match table
                .import::<pe::ImageNtHeaders64>(thunk)
                .context("an import")?
            {
                Import::Name(_, name) => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    found.problems.extend(allowed::judge(&library, &name).err());
                    functions.push(name);
                }
                Import::Ordinal(ordinal) => {
                    found.problems.push(format!(
                        "imports number {ordinal} of {library}, which says nothing of what it is"
                    ));
                }
            }
        }
        functions.sort();
        found.imports.push((library, functions));
    }
    Ok(())
}

/// The debugger finds the PDB by the name in the image; a path in it would be that of the machine it was built on.
fn symbols(file: &PeFile64<'_>, found: &mut Found) {
    match file.pdb_info() {
        Ok(Some(info)) if info.path() == b"tollgate.pdb" => {}
        Ok(Some(info)) => {
            found.problems.push(format!(
                "names its symbols {:?}",
                String::from_utf8_lossy(info.path())
            ));
        }
        _ => found.problems.push("does not name its symbols".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::sample::Sample;

    #[test]
    fn an_image_that_is_as_it_should_be_passes() {
        let found = check(&Sample::default().bytes(), Arch::X86_64).unwrap();
        assert_eq!(found.problems, Vec::<String>::new());
        assert_eq!(
            found.imports,
            [
                (
                    "ntoskrnl.exe".to_owned(),
                    vec!["ExAllocatePool2".to_owned(), "KeBugCheckEx".to_owned()]
                ),
                ("WDFLDR.SYS".to_owned(), vec!["WdfVersionBind".to_owned()]),
            ]
        );
        assert!(found.summary.contains("NX_COMPAT"), "{}", found.summary);
    }

    #[test]
    fn a_function_that_no_test_has_run_is_a_problem() {
        let sample = Sample {
            imports: &[("ntoskrnl.exe", &["MmMapIoSpace"])],
            ..Sample::default()
        };
        let found = check(&sample.bytes(), Arch::X86_64).unwrap();
        assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
        assert!(
            found.problems[0].contains("ntoskrnl.exe!MmMapIoSpace"),
            "{:?}",
            found.problems
        );
    }

    #[test]
    fn a_user_mode_library_is_a_problem() {
        let sample = Sample {
            imports: &[("fwpuclnt.dll", &["FwpmEngineOpen0"])],
            ..Sample::default()
        };
        let found = check(&sample.bytes(), Arch::X86_64).unwrap();
        assert!(
            found.problems[0].contains("fwpuclnt.dll"),
            "{:?}",
            found.problems
        );
    }

    #[test]
    fn an_image_of_another_kind_is_refused_in_every_respect() {
        let sample = Sample {
            machine: pe::IMAGE_FILE_MACHINE_ARM64,
            subsystem: pe::IMAGE_SUBSYSTEM_WINDOWS_CUI,
            dll_characteristics: pe::DllFlags(0),
            writable_code: true,
            pdb: "C:\\build\\tollgate.pdb",
            ..Sample::default()
        };
        let problems = check(&sample.bytes(), Arch::X86_64)
            .unwrap()
            .problems
            .join("\n");
        for expected in [
            "machine 0xaa64",
            "subsystem 3",
            "lacks DYNAMIC_BASE",
            "lacks FORCE_INTEGRITY",
            "written and run",
            "C:\\",
        ] {
            assert!(
                problems.contains(expected),
                "{expected} is not in:\n{problems}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_image_are_an_error_and_no_panic() {
        assert!(check(b"MZ", Arch::X86_64).is_err());
        let bytes = Sample::default().bytes();
        for length in (0..bytes.len()).step_by(7) {
            // Cut anywhere, it is either refused or read; what matters is that it comes back.
            let _ = check(&bytes[..length], Arch::X86_64);
        }
    }
}
