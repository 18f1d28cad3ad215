//! The version resource of an image, as Windows reads it.

use std::collections::BTreeMap;

use object::LittleEndian as LE;
use object::read::pe::{PeFile64, ResourceDirectoryTable, ResourceNameOrId};

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionInfo {
    /// The file's version, in numbers.
    pub file: [u16; 4],
    /// The product's.
    pub product: [u16; 4],
    /// Its strings: CompanyName and so on.
    pub strings: BTreeMap<String, String>,
}

/// RT_VERSION.
const VERSION: u16 = 16;

/// Reads it. `None` if the image has none, or none that can be read.
pub fn read(image: &[u8]) -> Option<VersionInfo> {
    let file = PeFile64::parse(image).ok()?;
    let sections = file.section_table();
    let directory = file
        .data_directories()
        .resource_directory(image, &sections)
        .ok()??;
    let of_type =
        directory.root().ok()?.entries.iter().find(
            |entry| matches!(entry.name_or_id(), ResourceNameOrId::Id(id) if id == VERSION),
        )?;
    let first = |table: ResourceDirectoryTable<'_>| table.entries.first().copied();
    let name = first(of_type.data(directory).ok()?.table()?)?;
    let language = first(name.data(directory).ok()?.table()?)?;
    let data = language.data(directory).ok()?.data()?;
    let bytes = sections.pe_data_at(image, data.offset_to_data.get(LE))?;
    parse(bytes.get(..data.size.get(LE) as usize)?)
}

/// One part of the structure: a name, a value, and parts inside.
struct Node<'a> {
    name: String,
    value: &'a [u8],
    inside: &'a [u8],
}

impl<'a> Node<'a> {
    /// Takes the first off; returns it with what follows.
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let number = |at: usize| {
            Some(usize::from(u16::from_le_bytes(
                *bytes.get(at..)?.first_chunk()?,
            )))
        };
        let (length, mut value_length) = (number(0)?, number(2)?);
        if number(4)? == 1 {
            value_length *= 2; // of characters
        }
        let whole = bytes.get(..length)?;
        let units = utf16(whole.get(6..)?);
        let value_at = (6 + 2 * (units.len() + 1)).next_multiple_of(4);
        let value_end = value_at.checked_add(value_length)?;
        // A part without a value may end right after its name.
        let value = whole.get(value_at..value_end).unwrap_or_default();
        let inside = whole
            .get(value_end.next_multiple_of(4)..)
            .unwrap_or_default();
        let node = Self {
            name: String::from_utf16(&units).ok()?,
            value,
            inside,
        };
        (length > 0).then(|| {
            (
                node,
                bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
            )
        })
    }

    fn children(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let mut rest = self.inside;
        std::iter::from_fn(move || {
            let (node, after) = Node::take(rest)?;
            rest = after;
            Some(node)
        })
    }
}

/// Up to the zero.
fn utf16(bytes: &[u8]) -> Vec<u16> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .take_while(|unit| *unit != 0)
        .collect()
}

fn parse(bytes: &[u8]) -> Option<VersionInfo> {
    let (root, _) = Node::take(bytes)?;
    let word = |index: usize| {
        Some(u32::from_le_bytes(
            *root.value.get(index * 4..)?.first_chunk()?,
        ))
    };
    if root.name != "VS_VERSION_INFO" || word(0)? != 0xFEEF_04BD {
        return None;
    }
    let version = |index| -> Option<[u16; 4]> {
        let (high, low) = (word(index)?, word(index + 1)?);
        Some([
            (high >> 16) as u16,
            high as u16,
            (low >> 16) as u16,
            low as u16,
        ])
    };
    let strings = root
        .children()
        .filter(|node| node.name == "StringFileInfo")
        .flat_map(|info| info.children())
        .flat_map(|table| table.children())
        .map(|string| {
            let value = String::from_utf16_lossy(&utf16(string.value));
            (string.name, value)
        })
        .collect();
    Some(VersionInfo {
        file: version(2)?,
        product: version(4)?,
        strings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Sample;
    use crate::version_resource;

    #[test]
    fn the_resource_that_the_build_scripts_write_is_read_back_whole() {
        let info = read(&Sample::default().bytes()).unwrap();
        assert_eq!((info.file, info.product), ([1, 2, 3, 0], [1, 2, 3, 0]));
        let written: BTreeMap<String, String> = version_resource::strings("1.2.3.0")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert_eq!(info.strings, written);
    }

    #[test]
    fn a_version_is_three_numbers_that_windows_can_hold() {
        use version_resource::parse;
        assert_eq!(parse("1.2.3"), Some([1, 2, 3, 0]));
        assert_eq!(parse("1.2.3-rc.1+b"), Some([1, 2, 3, 0]));
        for bad in ["1.2", "1.2.3.4", "1.2.x", "1.2.65536", ""] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_image_without_one_or_cut_off_has_none() {
        let none = Sample {
            version: None,
            ..Sample::default()
        };
        assert_eq!(read(&none.bytes()), None);
        let resource = version_resource::resource_file([1, 2, 3, 0])[64..].to_vec();
        for length in 0..resource.len() - 4 {
            let _ = parse(&resource[..length]);
        }
        assert_eq!(parse(&resource[..resource.len() / 2]), None);
    }
}
