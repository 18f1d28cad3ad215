//! The version resource: VS_VERSIONINFO, whose blocks are each a length, a length of the value, a type, a key in UTF-16, and then
//! a value and children, all on multiples of four bytes.

use object::LittleEndian as LE;
use object::read::pe::ResourceDirectoryTable;

use super::pe::Pe;

/// The number of the version resource's type, RT_VERSION.
const RT_VERSION: u16 = 16;
/// VS_FIXEDFILEINFO begins with this.
const SIGNATURE: u32 = 0xFEEF_04BD;

/// The strings of the version resource, the file's number first.
pub(super) fn read(pe: &Pe<'_>) -> Vec<(String, String)> {
    let Some(data) = resource(pe) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(fixed) = Block::read(data).filter(|block| block.key == "VS_VERSION_INFO") {
        let word = |index: usize| -> Option<u32> {
            let bytes = fixed.value.get(index * 4..index * 4 + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        if let (Some(SIGNATURE), Some(high), Some(low)) = (word(0), word(2), word(3)) {
            let number = format!(
                "{}.{}.{}.{}",
                high >> 16,
                high & 0xFFFF,
                low >> 16,
                low & 0xFFFF
            );
            found.push(("FileVersionNumber".to_owned(), number));
        }
        // Three levels: StringFileInfo, a language, and its strings.
        for info in children(fixed.rest).filter(|block| block.key == "StringFileInfo") {
            for string in children(info.rest).flat_map(|language| children(language.rest)) {
                found.push((string.key, text(string.value)));
            }
        }
    }
    found
}

fn resource<'a>(pe: &Pe<'a>) -> Option<&'a [u8]> {
    let table = pe.file.section_table();
    let directory = pe
        .file
        .data_directories()
        .resource_directory(pe.bytes, &table)
        .ok()??;
    let first = |table: ResourceDirectoryTable<'a>| table.entries.first()?.data(directory).ok();
    let entry = directory
        .root()
        .ok()?
        .entries
        .iter()
        .find(|entry| entry.name_or_id().id() == Some(RT_VERSION))?;
    let names = entry.data(directory).ok()?.table()?;
    let languages = first(names)?.table()?;
    let entry = first(languages)?.data()?;
    pe.at(entry.offset_to_data.get(LE))?
        .get(..entry.size.get(LE) as usize)
}

struct Block<'a> {
    length: usize,
    key: String,
    value: &'a [u8],
    /// What is behind the value: the children.
    rest: &'a [u8],
}

impl<'a> Block<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let word = |at: usize| -> Option<usize> {
            Some(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?).into())
        };
        let (length, value_length, kind) = (word(0)?, word(2)?, word(4)?);
        let data = data.get(..length)?;
        let units = units(data.get(6..)?);
        let end = units.iter().position(|&unit| unit == 0)?;
        let start = (6 + (end + 1) * 2).next_multiple_of(4);
        // A text's length is in characters, a binary value's in bytes.
        let value_length = if kind == 1 {
            value_length * 2
        } else {
            value_length
        };
        let behind = data.get(start..).unwrap_or_default();
        let value = behind
            .get(..value_length.min(behind.len()))
            .unwrap_or_default();
        let rest = behind
            .get(value_length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(Self {
            length,
            key: String::from_utf16_lossy(&units[..end]),
            value,
            rest,
        })
    }
}

fn children(mut data: &[u8]) -> impl Iterator<Item = Block<'_>> {
    std::iter::from_fn(move || {
        let block = Block::read(data).filter(|block| block.length >= 6)?;
        data = data
            .get(block.length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(block)
    })
}

fn units(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    let units = units(bytes);
    let text = String::from_utf16_lossy(&units);
    text.trim_end_matches('\0').trim().to_owned()
}
