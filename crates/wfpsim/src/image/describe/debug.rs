//! The symbols that an image names, and the PDB beside it.

use std::path::Path;
use std::path::PathBuf;

use object::LittleEndian as LE;
use object::Object as _;
use object::pe;

use super::pe::Pe;
use crate::contain::contained;

/// The symbols of an image.
#[derive(Clone, Debug)]
pub struct Symbols {
    /// The PDB's name, as the image says it.
    pub name: String,
    /// Its GUID.
    pub guid: String,
    /// Its age.
    pub age: u32,
    /// The PDB that is beside the image.
    pub beside: Option<PathBuf>,
    /// Whether that is the one: GUID and age are the same.
    pub matches: bool,
}

/// Writes the parts of a GUID as Windows does.
pub(super) fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> String {
    let tail: String = d[2..].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{a:08x}-{b:04x}-{c:04x}-{:02x}{:02x}-{tail}", d[0], d[1])
}

pub(super) fn read(pe: &Pe<'_>, path: &Path) -> Option<Symbols> {
    let info = pe.file.pdb_info().ok()??;
    let bytes = info.guid();
    let (a, rest) = bytes.split_first_chunk::<4>()?;
    let (b, rest) = rest.split_first_chunk::<2>()?;
    let (c, rest) = rest.split_first_chunk::<2>()?;
    let parts = (
        u32::from_le_bytes(*a),
        u16::from_le_bytes(*b),
        u16::from_le_bytes(*c),
        <[u8; 8]>::try_from(rest).ok()?,
    );
    let beside = Some(path.with_extension("pdb")).filter(|pdb| pdb.is_file());
    let identity = (parts, info.age());
    let matches = beside
        .as_deref()
        .and_then(|pdb| contained(|| identity_of(pdb)))
        .is_some_and(|found| found == identity);
    Some(Symbols {
        name: String::from_utf8_lossy(info.path()).into_owned(),
        guid: guid(parts.0, parts.1, parts.2, parts.3),
        age: info.age(),
        beside,
        matches,
    })
}

type Identity = ((u32, u16, u16, [u8; 8]), u32);

fn identity_of(path: &Path) -> Option<Identity> {
    let bytes = std::fs::read(path).ok()?;
    let mut pdb = crate::image::pdb::open(&bytes)?;
    let information = pdb.pdb_information().ok()?;
    // The linker counts in the debug information stream; the other age is what the compiler left.
    let age = pdb
        .debug_information()
        .ok()
        .and_then(|debug| debug.age())
        .unwrap_or(information.age);
    let (a, b, c, d) = information.guid.as_fields();
    Some(((a, b, c, *d), age))
}

/// Whether the debug directory has an entry that says that the build is reproducible, and so that the timestamp is none.
pub(super) fn is_reproducible(pe: &Pe<'_>) -> bool {
    let Some((address, size)) = pe.directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG) else {
        return false;
    };
    let Some(entries) = pe.at(address) else {
        return false;
    };
    let entries = &entries[..entries.len().min(size as usize)];
    object::pod::slice_from_bytes::<pe::ImageDebugDirectory>(
        entries,
        entries.len() / size_of::<pe::ImageDebugDirectory>(),
    )
    .is_ok_and(|(entries, _)| {
        entries
            .iter()
            .any(|entry| entry.typ.get(LE) == pe::IMAGE_DEBUG_TYPE_REPRO)
    })
}
