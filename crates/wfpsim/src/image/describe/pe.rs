//! The file behind a description: its headers, its sections, and bytes by address in the image.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::ImageNtHeaders as _;
use object::read::pe::ImageOptionalHeader as _;
use object::read::pe::PeFile64;

use crate::image::ImageError;
use crate::image::pe::Import;
use crate::image::pe::imports;

/// What the headers say.
#[derive(Clone, Debug)]
pub struct Headers {
    /// IMAGE_FILE_HEADER.Machine.
    pub machine: u16,
    /// IMAGE_FILE_HEADER.TimeDateStamp: seconds since 1970, or a hash of the content in a reproducible build.
    pub timestamp: u32,
    /// Whether the debug directory says that the timestamp is such a hash.
    pub reproducible: bool,
    /// The address that the image is linked for.
    pub base: u64,
    /// SectionAlignment.
    pub alignment: u32,
    /// SizeOfImage.
    pub size: u32,
    /// Where it is entered.
    pub entry: u32,
    /// Subsystem; a driver's is 1, native.
    pub subsystem: u16,
    /// DllCharacteristics.
    pub characteristics: u16,
    /// Whether the relocations were stripped.
    pub stripped: bool,
    /// The place of the security cookie, 0 if there is none.
    pub cookie: u64,
    /// GuardFlags of the load configuration, 0 if there is none.
    pub guard: u32,
}

/// One section.
#[derive(Clone, Debug)]
pub struct SectionFacts {
    /// Its name.
    pub name: String,
    /// Where it is mapped.
    pub address: u32,
    /// Bytes that it has there.
    pub size: u32,
    /// Its characteristics.
    pub flags: u32,
}

impl SectionFacts {
    /// Whether it has all bits of `flags`.
    pub fn has(&self, flags: pe::SectionFlags) -> bool {
        self.flags & flags.0 == flags.0
    }

    /// Its protection: `r`, `w`, `x`.
    pub fn protection(&self) -> String {
        [
            (pe::IMAGE_SCN_MEM_READ, 'r'),
            (pe::IMAGE_SCN_MEM_WRITE, 'w'),
            (pe::IMAGE_SCN_MEM_EXECUTE, 'x'),
        ]
        .iter()
        .map(|&(flag, letter)| if self.has(flag) { letter } else { '-' })
        .collect()
    }
}

/// What is imported from one module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name, as the image spells it.
    pub name: String,
    /// The symbols, and whether the simulator has them.
    pub symbols: Vec<(String, bool)>,
}

/// What the thunks of the import address table stand for, by address.
pub(super) type Thunks = BTreeMap<u32, String>;

/// A file that is a PE32+ image, whatever else may be wrong with it.
pub(super) struct Pe<'a> {
    pub bytes: &'a [u8],
    pub file: PeFile64<'a>,
    pub sections: Vec<SectionFacts>,
    /// What the file has of each section.
    data: Vec<&'a [u8]>,
}

impl<'a> Pe<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        if !bytes.starts_with(b"MZ") {
            return Err(ImageError::new("not an image: it does not begin with MZ"));
        }
        let file = PeFile64::parse(bytes)
            .map_err(|error| ImageError::new(format!("not a PE32+ image: {error}")))?;
        let mut sections = Vec::new();
        let mut data = Vec::new();
        for header in file.section_table().iter() {
            let raw = header.pe_data(bytes).unwrap_or_default();
            let size = match header.virtual_size.get(LE) {
                0 => raw.len() as u32,
                size => size,
            };
            data.push(raw.get(..raw.len().min(size as usize)).unwrap_or_default());
            sections.push(SectionFacts {
                name: String::from_utf8_lossy(header.raw_name()).into_owned(),
                address: header.virtual_address.get(LE),
                size,
                flags: header.characteristics.get(LE).0,
            });
        }
        Ok(Self {
            bytes,
            file,
            sections,
            data,
        })
    }

    pub fn is_amd64(&self) -> bool {
        self.file.nt_headers().file_header().machine.get(LE) == pe::IMAGE_FILE_MACHINE_AMD64
    }

    pub fn base(&self) -> u64 {
        self.file.nt_headers().optional_header().image_base()
    }

    /// The sections with what the file has of them.
    pub fn contents(&self) -> impl Iterator<Item = (&SectionFacts, &'a [u8])> {
        self.sections.iter().zip(self.data.iter().copied())
    }

    /// The bytes from an address to the end of what the file has of its section.
    pub fn at(&self, address: u32) -> Option<&'a [u8]> {
        self.contents().find_map(|(section, data)| {
            let offset = address.checked_sub(section.address)?;
            data.get(offset as usize..).filter(|rest| !rest.is_empty())
        })
    }

    pub fn u32_at(&self, address: u32) -> Option<u32> {
        let bytes = self.at(address)?.get(..4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    pub fn u64_at(&self, address: u32) -> Option<u64> {
        let bytes = self.at(address)?.get(..8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The offset in the image of an address that the image was linked with.
    pub fn offset_of(&self, address: u64) -> Option<u32> {
        u32::try_from(address.checked_sub(self.base())?).ok()
    }

    pub fn directory(&self, index: usize) -> Option<(u32, u32)> {
        let directory = self.file.data_directories().get(index)?;
        Some(directory.address_range()).filter(|&(address, size)| address != 0 && size != 0)
    }

    pub fn headers(&self) -> Headers {
        let headers = self.file.nt_headers();
        let optional = headers.optional_header();
        let configuration = self
            .directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG)
            .map(|(address, _)| address);
        // The structure says how long it is: what lies beyond is not the image's word.
        let configured = |offset: u32, length: u32| {
            let address = configuration?;
            (self.u32_at(address)? >= offset + length).then_some(address.checked_add(offset)?)
        };
        Headers {
            machine: headers.file_header().machine.get(LE).0,
            timestamp: headers.file_header().time_date_stamp.get(LE),
            reproducible: super::debug::is_reproducible(self),
            base: optional.image_base(),
            alignment: optional.section_alignment(),
            size: optional.size_of_image(),
            entry: optional.address_of_entry_point(),
            subsystem: optional.subsystem().0,
            characteristics: optional.dll_characteristics().0,
            stripped: headers.file_header().characteristics.get(LE).0
                & pe::IMAGE_FILE_RELOCS_STRIPPED.0
                != 0,
            cookie: configured(0x58, 8)
                .and_then(|address| self.u64_at(address))
                .unwrap_or(0),
            guard: configured(0x90, 4)
                .and_then(|address| self.u32_at(address))
                .unwrap_or(0),
        }
    }

    /// The imports by module, and by thunk. An import table that cannot be read has none; the reader of images says why.
    pub fn imports(&self) -> (Vec<Module>, Thunks) {
        let known: BTreeSet<(String, &str)> = crate::exports::all()
            .map(|export| (export.module.to_ascii_lowercase(), export.name))
            .collect();
        let mut modules: Vec<Module> = Vec::new();
        let mut thunks = Thunks::new();
        for Import {
            module,
            symbol,
            thunk,
        } in imports(&self.file).unwrap_or_default()
        {
            let symbol = symbol.to_string();
            let has = known.contains(&(module.to_ascii_lowercase(), symbol.as_str()));
            thunks.insert(thunk, symbol.clone());
            match modules.iter_mut().find(|known| *known.name == *module) {
                Some(known) => known.symbols.push((symbol, has)),
                None => modules.push(Module {
                    name: module.to_string(),
                    symbols: vec![(symbol, has)],
                }),
            }
        }
        for module in &mut modules {
            module.symbols.sort();
        }
        (modules, thunks)
    }
}
