//! The framework that an image binds to, from the WDF_BIND_INFO in its data (fxldr.h): what DriverEntry's stub hands to
//! WdfVersionBind.

use super::pe::Pe;
use super::pe::Thunks;

/// The framework of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framework {
    /// Major and minor version that it is built for, and how many functions of the table it knows; `None` if the structure is not
    /// in the data.
    pub version: Option<(u32, u32, u32)>,
    /// The lowest minor version that will do, where it says so (WDF_BIND_INFO2).
    pub minimum: Option<u32>,
}

/// The component's name.
const LIBRARY: &str = "KmdfLibrary";
/// The size of WDF_BIND_INFO, and the sizes that WDF_BIND_INFO2 can have.
const SIZES: std::ops::RangeInclusive<u32> = 0x30..=0x80;

pub(super) fn find(pe: &Pe<'_>, thunks: &Thunks) -> Option<Framework> {
    if !thunks.values().any(|symbol| symbol == "WdfVersionBind") {
        return None;
    }
    let found = search(pe);
    Some(found.unwrap_or(Framework {
        version: None,
        minimum: None,
    }))
}

fn search(pe: &Pe<'_>) -> Option<Framework> {
    let wanted: Vec<u8> = LIBRARY
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    pe.contents().find_map(|(section, data)| {
        // The name is the second member, behind the size and its padding; the structure lies on a multiple of eight.
        (8..data.len().saturating_sub(8)).step_by(8).find_map(|at| {
            let name = u64::from_le_bytes(data.get(at..at + 8)?.try_into().ok()?);
            let name = pe.at(pe.offset_of(name)?)?;
            if !name.starts_with(&wanted) {
                return None;
            }
            structure(pe, section.address.checked_add(at as u32 - 8)?)
        })
    })
}

fn structure(pe: &Pe<'_>, address: u32) -> Option<Framework> {
    let member = |offset: u32| pe.u32_at(address.checked_add(offset)?);
    let size = member(0).filter(|size| SIZES.contains(size))?;
    let version = (member(0x10)?, member(0x14)?, member(0x1C)?);
    let minimum = (size > 0x30)
        .then(|| {
            let pointer = pe.u64_at(address.checked_add(0x30)?)?;
            pe.u32_at(pe.offset_of(pointer)?)
        })
        .flatten();
    Some(Framework {
        version: Some(version),
        minimum,
    })
}
