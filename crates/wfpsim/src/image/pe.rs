//! A PE32+ kernel image as a file: read, checked, and described. Offsets in the image are relative to its base (RVA).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::ImageNtHeaders as _;
use object::read::pe::ImageOptionalHeader as _;
use object::read::pe::Import as Thunk;
use object::read::pe::PeFile64;

use super::ImageError;

/// Size of a page: sections are mapped in whole ones.
pub const PAGE: u32 = 4096;

/// The largest image that is taken: no driver is near it, and a header that says more is wrong.
const LARGEST: u32 = 256 << 20;

/// A checked image, ready to be mapped any number of times.
#[derive(Clone, Debug)]
pub struct Image {
    /// Bytes that the image takes when mapped, a multiple of [`PAGE`].
    pub size: u32,
    /// The address that its relocations assume.
    pub base: u64,
    /// Where it is entered.
    pub entry: u32,
    /// The headers, as they are mapped at the base.
    pub headers: Part,
    /// The sections, by address.
    pub sections: Vec<Section>,
    /// Where an eight-byte address is to be moved by the distance from [`Image::base`].
    pub relocations: Vec<u32>,
    /// What it needs from others.
    pub imports: Vec<Import>,
    /// Where its security cookie is, if it has one.
    pub cookie: Option<u32>,
    /// The highest of the vector registers xmm6 to xmm15 that a function of it keeps something in across calls.
    pub highest_kept: Option<u8>,
    /// What reports call it: the file's name without its ending.
    pub name: String,
    /// The symbols beside the file, if there are any.
    pub pdb: Option<std::path::PathBuf>,
    /// Its unwind information leads in a circle, so that its stacks are not followed.
    pub endless_unwinding: bool,
}

/// A part of the file, which it keeps and does not copy.
#[derive(Clone)]
pub struct Part {
    file: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl std::ops::Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.file.get(self.range.clone()).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Part {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        let file = Arc::new(bytes);
        Self { file, range }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bytes {:?} of the file", self.range)
    }
}

/// One section.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it is mapped, a multiple of [`PAGE`].
    pub address: u32,
    /// How many bytes it has there; those that the file does not have are zero.
    pub size: u32,
    /// What the file has of it.
    pub data: Part,
    /// May be written.
    pub writable: bool,
    /// May be executed.
    pub executable: bool,
    /// May be thrown away after initialisation.
    pub discardable: bool,
}

/// One imported symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module, as the image spells it.
    pub module: Arc<str>,
    /// Which symbol of it.
    pub symbol: Symbol,
    /// Where its address is to be written.
    pub thunk: u32,
}

/// How a symbol is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// By name.
    Name(String),
    /// By number.
    Ordinal(u16),
}

impl std::fmt::Display for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ordinal(ordinal) => write!(f, "#{ordinal}"),
        }
    }
}

fn bad(message: impl Into<String>) -> ImageError {
    ImageError::new(message)
}

/// Turns the reader's words into an error of ours.
fn read<T>(what: &str, result: object::Result<T>) -> Result<T, ImageError> {
    result.map_err(|error| bad(format!("{what}: {error}")))
}

impl Image {
    /// Reads an image from a file.
    pub fn open(path: &std::path::Path) -> Result<Self, ImageError> {
        let within = |error: ImageError| error.within(&path.display().to_string());
        let bytes =
            std::fs::read(path).map_err(|error| within(bad(format!("cannot be read: {error}"))))?;
        let mut image = Self::of_file(Arc::new(bytes)).map_err(within)?;
        image.pdb = Some(path.with_extension("pdb")).filter(|pdb| pdb.is_file());
        if let Some(stem) = path.file_stem() {
            image.name = stem.to_string_lossy().into_owned();
        }
        Ok(image)
    }

    /// Reads an image from memory.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        Self::of_file(Arc::new(bytes.to_vec()))
    }

    fn of_file(whole: Arc<Vec<u8>>) -> Result<Self, ImageError> {
        let bytes = whole.as_slice();
        if !bytes.starts_with(b"MZ") {
            return Err(bad("not an image: it does not begin with MZ"));
        }
        let file = read("not a PE32+ image", PeFile64::parse(bytes))?;
        let headers = file.nt_headers();
        let machine = headers.file_header().machine.get(LE);
        if machine != pe::IMAGE_FILE_MACHINE_AMD64 {
            return Err(bad(format!(
                "made for machine {machine:?}; only x86-64 (0x8664) can be run here"
            )));
        }
        let optional = headers.optional_header();
        let subsystem = optional.subsystem();
        if subsystem != pe::IMAGE_SUBSYSTEM_NATIVE {
            return Err(bad(format!(
                "subsystem {subsystem:?} is not the native one (1): this is no driver"
            )));
        }
        let size = optional.size_of_image();
        if size == 0 || size > LARGEST {
            return Err(bad(format!(
                "SizeOfImage is {size}; from 1 to {LARGEST} bytes would do"
            )));
        }
        let size = size.next_multiple_of(PAGE);
        let header_size = optional.size_of_headers();
        if header_size as usize > bytes.len() || header_size > size {
            return Err(bad(format!(
                "SizeOfHeaders is {header_size}, more than the file or the image has"
            )));
        }
        let mut image = Self {
            size,
            base: optional.image_base(),
            entry: optional.address_of_entry_point(),
            headers: Part {
                file: Arc::clone(&whole),
                range: 0..header_size as usize,
            },
            sections: sections(&file, &whole, size)?,
            relocations: Vec::new(),
            imports: imports(&file)?,
            cookie: None,
            highest_kept: None,
            name: "driver".to_owned(),
            pdb: None,
            endless_unwinding: false,
        };
        image.relocations = image.read_relocations(&file, bytes)?;
        image.check_places()?;
        image.cookie = image.read_cookie(&file);
        image.highest_kept = image.read_highest_kept(&file);
        image.endless_unwinding = super::unwind::is_endless(&image);
        Ok(image)
    }

    /// The section of a name.
    pub(super) fn section(&self, name: &[u8]) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.name.as_bytes() == name)
    }

    /// The section that has all of `length` bytes at `address`.
    pub(super) fn section_at(&self, address: u32, length: u32) -> Option<&Section> {
        self.sections.iter().find(|section| {
            address
                .checked_sub(section.address)
                .and_then(|offset| offset.checked_add(length))
                .is_some_and(|end| end <= section.size)
        })
    }

    fn read_relocations(&self, file: &PeFile64<'_>, bytes: &[u8]) -> Result<Vec<u32>, ImageError> {
        let stripped = file.nt_headers().file_header().characteristics.get(LE).0
            & pe::IMAGE_FILE_RELOCS_STRIPPED.0
            != 0;
        if stripped {
            return Err(bad(
                "its relocations were stripped; a driver must be movable",
            ));
        }
        let blocks = read(
            "relocations",
            file.data_directories()
                .relocation_blocks(bytes, &file.section_table()),
        )?;
        let Some(mut blocks) = blocks else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        while let Some(block) = read("relocations", blocks.next())? {
            for relocation in block {
                match relocation.typ {
                    pe::IMAGE_REL_BASED_ABSOLUTE => {}
                    pe::IMAGE_REL_BASED_DIR64 => found.push(relocation.virtual_address),
                    other => {
                        return Err(bad(format!(
                            "relocation of type {other:?} at {:#x}; only DIR64 (10) belongs in an x86-64 image",
                            relocation.virtual_address
                        )));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Everything that will be written or jumped to lies in a section.
    fn check_places(&self) -> Result<(), ImageError> {
        if !self
            .section_at(self.entry, 1)
            .is_some_and(|section| section.executable)
        {
            return Err(bad(format!(
                "the entry point {:#x} is in no executable section",
                self.entry
            )));
        }
        for &place in &self.relocations {
            if self.section_at(place, 8).is_none() {
                return Err(bad(format!("a relocation at {place:#x} is in no section")));
            }
        }
        for import in &self.imports {
            if self.section_at(import.thunk, 8).is_none() {
                return Err(bad(format!(
                    "the address of {}!{} at {:#x} is in no section",
                    import.module, import.symbol, import.thunk
                )));
            }
        }
        Ok(())
    }

    /// The highest vector register that the unwind information of a function says it saves. What cannot be read counts as all.
    fn read_highest_kept(&self, file: &PeFile64<'_>) -> Option<u8> {
        let directory = file
            .data_directories()
            .get(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION);
        let table = directory.and_then(|directory| {
            self.bytes_at(directory.virtual_address.get(LE), directory.size.get(LE))
        });
        let entries = table.unwrap_or_default().chunks_exact(12);
        // Without a table nothing is known of what its functions keep.
        let mut highest = if entries.len() == 0 { Some(15) } else { None };
        for entry in entries {
            let information = entry.last_chunk().map(|bytes| u32::from_le_bytes(*bytes));
            highest = highest.max(self.saved_by(information.unwrap_or_default()));
        }
        highest
    }

    /// The highest vector register that the UNWIND_INFO at an address says its function saves; 15 if it cannot be read.
    fn saved_by(&self, information: u32) -> Option<u8> {
        const UNREADABLE: Option<u8> = Some(15);
        let Some(&[_version, _prologue, count, _frame]) = self
            .bytes_at(information, 4)
            .and_then(|bytes| bytes.first_chunk())
        else {
            return UNREADABLE;
        };
        let codes = information
            .checked_add(4)
            .and_then(|codes| self.bytes_at(codes, u32::from(count) * 2));
        let mut codes = codes.unwrap_or_default().chunks_exact(2);
        if codes.len() != usize::from(count) {
            return UNREADABLE;
        }
        let mut highest = None;
        while let Some(&[_offset, code]) = codes.next() {
            let (operation, operand) = (code & 15, code >> 4);
            // How many more places the operation takes; numbers and sizes are those of the x64 exception handling page.
            let more = match operation {
                // UWOP_PUSH_NONVOL, ALLOC_SMALL, SET_FPREG, PUSH_MACHFRAME.
                0 | 2 | 3 | 10 => 0,
                // UWOP_ALLOC_LARGE.
                1 if operand == 0 => 1,
                1 => 2,
                // UWOP_SAVE_NONVOL and its far form.
                4 => 1,
                5 => 2,
                // UWOP_SAVE_XMM128 and its far form.
                8 | 9 => {
                    highest = highest.max(Some(operand));
                    u8::from(operation == 9) + 1
                }
                _ => return UNREADABLE,
            };
            for _ in 0..more {
                codes.next();
            }
        }
        highest
    }

    /// Bytes that the file has at an address of the image.
    fn bytes_at(&self, address: u32, length: u32) -> Option<&[u8]> {
        let section = self.section_at(address, length)?;
        let offset = (address - section.address) as usize;
        section
            .data
            .get(offset..offset.checked_add(length as usize)?)
    }

    /// The place of the security cookie that the load configuration names (offset 0x58), if it is a sound one.
    fn read_cookie(&self, file: &PeFile64<'_>) -> Option<u32> {
        let directory = file
            .data_directories()
            .get(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG)?;
        let address = directory.virtual_address.get(LE).checked_add(0x58)?;
        let bytes = self.bytes_at(address, 8)?;
        let cookie = u64::from_le_bytes(bytes.try_into().ok()?).checked_sub(self.base)?;
        let cookie = u32::try_from(cookie).ok()?;
        self.section_at(cookie, 8)
            .filter(|section| section.writable)
            .map(|_| cookie)
    }
}

fn sections(
    file: &PeFile64<'_>,
    whole: &Arc<Vec<u8>>,
    size: u32,
) -> Result<Vec<Section>, ImageError> {
    let bytes = whole.as_slice();
    let mut found: Vec<Section> = Vec::new();
    for header in file.section_table().iter() {
        let name = String::from_utf8_lossy(header.raw_name()).into_owned();
        let characteristics = header.characteristics.get(LE).0;
        let address = header.virtual_address.get(LE);
        let data = read(
            &format!("section {name}: its data lie outside the file"),
            header.pe_data(bytes),
        )?;
        let virtual_size = header.virtual_size.get(LE);
        let length = if virtual_size == 0 {
            data.len() as u32
        } else {
            virtual_size
        };
        if !address.is_multiple_of(PAGE) {
            return Err(bad(format!(
                "section {name} is at {address:#x}, which is no multiple of a page"
            )));
        }
        if address.checked_add(length).is_none_or(|end| end > size) {
            return Err(bad(format!(
                "section {name} at {address:#x} with {length} bytes reaches beyond the image of {size}"
            )));
        }
        if let Some(before) = found
            .last()
            .filter(|before| before.address + before.size > address)
        {
            return Err(bad(format!(
                "section {name} at {address:#x} overlaps {}",
                before.name
            )));
        }
        let has = |flag: u32| characteristics & flag != 0;
        // The reader has seen that they lie in the file, or that there are none.
        let start = header.pe_file_range().0 as usize;
        let data = Part {
            file: Arc::clone(whole),
            range: start..start + data.len().min(length as usize),
        };
        found.push(Section {
            name,
            address,
            size: length,
            data,
            writable: has(pe::IMAGE_SCN_MEM_WRITE.0),
            executable: has(pe::IMAGE_SCN_MEM_EXECUTE.0),
            discardable: has(pe::IMAGE_SCN_MEM_DISCARDABLE.0),
        });
    }
    if found.is_empty() {
        return Err(bad("it has no sections"));
    }
    Ok(found)
}

/// A name, which is ASCII unless something is wrong with it.
fn text(name: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(name) => name.into(),
        Err(_) => String::from_utf8_lossy(name),
    }
}

pub(super) fn imports(file: &PeFile64<'_>) -> Result<Vec<Import>, ImageError> {
    let Some(table) = read("imports", file.import_table())? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut descriptors = read("imports", table.descriptors())?;
    while let Some(descriptor) = read("imports", descriptors.next())? {
        let module = read(
            "the name of an imported module",
            table.name(descriptor.name.get(LE)),
        )?;
        let module: Arc<str> = text(module).into();
        let names = descriptor.original_first_thunk.get(LE);
        let addresses = descriptor.first_thunk.get(LE);
        let names = if names == 0 { addresses } else { names };
        let what = format!("imports from {module}");
        let mut thunks = read(&what, table.thunks(names))?;
        let mut place = addresses;
        while let Some(thunk) = read(&what, thunks.next::<pe::ImageNtHeaders64>())? {
            let symbol = match read(&what, table.import::<pe::ImageNtHeaders64>(thunk))? {
                Thunk::Ordinal(ordinal) => Symbol::Ordinal(ordinal),
                Thunk::Name(_, name) => Symbol::Name(text(name).into_owned()),
            };
            found.push(Import {
                module: Arc::clone(&module),
                symbol,
                thunk: place,
            });
            place = place
                .checked_add(8)
                .ok_or_else(|| bad(format!("{what} reach beyond the image")))?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of one section that holds this UNWIND_INFO at its start.
    fn with_unwind_information(data: &[u8]) -> Image {
        Image {
            size: 2 * PAGE,
            base: 0,
            entry: PAGE,
            headers: Vec::new().into(),
            sections: vec![Section {
                name: ".rdata".to_owned(),
                address: PAGE,
                size: data.len() as u32,
                data: data.to_vec().into(),
                writable: false,
                executable: false,
                discardable: false,
            }],
            relocations: Vec::new(),
            imports: Vec::new(),
            cookie: None,
            highest_kept: None,
            endless_unwinding: false,
            name: "test".to_owned(),
            pdb: None,
        }
    }

    #[test]
    fn the_highest_vector_register_that_a_function_saves_is_found_behind_longer_operations() {
        // A push of rbx, an allocation of 0x200 bytes, xmm6 and, in the far form, xmm9.
        let codes = [
            [0x30, 0x30],
            [0x2C, 0x01],
            [0x40, 0x00],
            [0x20, 0x68],
            [0x02, 0x00],
            [0x10, 0x99],
            [0x00, 0x00],
            [0x01, 0x00],
        ];
        let mut information = vec![1, 0x30, codes.len() as u8, 0];
        information.extend(codes.as_flattened());
        let image = with_unwind_information(&information);
        assert_eq!(image.saved_by(PAGE), Some(9));
        // Cut off before its end, or elsewhere, it may hold anything.
        let cut = with_unwind_information(&information[..8]);
        assert_eq!(cut.saved_by(PAGE), Some(15));
        assert_eq!(image.saved_by(5 * PAGE), Some(15));
        assert_eq!(image.saved_by(u32::MAX), Some(15));
    }

    #[test]
    fn a_function_that_saves_no_vector_register_keeps_none() {
        let image = with_unwind_information(&[1, 4, 1, 0, 4, 0x30]);
        assert_eq!(image.saved_by(PAGE), None);
        let unknown = with_unwind_information(&[2, 4, 1, 0, 4, 0x16]);
        assert_eq!(unknown.saved_by(PAGE), Some(15));
    }
}
