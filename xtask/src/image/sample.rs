//! A small PE32+ image with imports and a debug entry, for the tests of the check.

use object::pe;
use object::write::pe::{NtHeaders, Writer};

use crate::version_resource::{Version, resource_file};

/// Where the one data section begins: after one page of headers and one of code.
const DATA: u32 = 0x2000;

/// What the image is to look like; the default is as it should be.
pub struct Sample {
    pub machine: pe::Machine,
    pub subsystem: pe::Subsystem,
    pub dll_characteristics: pe::DllFlags,
    pub writable_code: bool,
    pub imports: &'static [(&'static str, &'static [&'static str])],
    pub pdb: &'static str,
    /// The GUID of the PDB; the age is 1.
    pub guid: [u8; 16],
    /// The version resource.
    pub version: Option<Version>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            machine: pe::IMAGE_FILE_MACHINE_AMD64,
            subsystem: pe::IMAGE_SUBSYSTEM_NATIVE,
            dll_characteristics: pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE
                | pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA
                | pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT
                | pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
            writable_code: false,
            imports: &[
                ("ntoskrnl.exe", &["KeBugCheckEx", "ExAllocatePool2"]),
                ("WDFLDR.SYS", &["WdfVersionBind"]),
            ],
            pdb: "tollgate.pdb",
            guid: [7; 16],
            version: Some([1, 2, 3, 0]),
        }
    }
}

/// Bytes of the data section with the address that each will have.
#[derive(Default)]
struct Data(Vec<u8>);

impl Data {
    fn here(&self) -> u32 {
        DATA + u32::try_from(self.0.len()).unwrap()
    }

    /// Adds bytes at the next multiple of 8; returns their address.
    fn put(&mut self, bytes: &[u8]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let address = self.here();
        self.0.extend_from_slice(bytes);
        address
    }

    fn put_words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(&bytes)
    }
}

impl Sample {
    /// The image.
    pub fn bytes(&self) -> Vec<u8> {
        let mut data = Data::default();
        let import_table = self.put_imports(&mut data);
        let code_view = self.put_code_view(&mut data);
        let resources = self
            .version
            .map(|version| put_resources(&mut data, version));

        let mut bytes = Vec::new();
        let mut writer = Writer::new(true, 0x1000, 0x200, &mut bytes);
        writer.reserve_dos_header();
        writer.reserve_nt_headers(16);
        writer.set_data_directory(
            pe::IMAGE_DIRECTORY_ENTRY_IMPORT,
            import_table.0,
            import_table.1,
        );
        if let Some((address, length)) = resources {
            writer.set_data_directory(pe::IMAGE_DIRECTORY_ENTRY_RESOURCE, address, length);
        }
        // The debug directory needs the file offset of its data, which follows from the section's place below.
        writer.reserve_section_headers(2);
        let mut code_flags =
            pe::IMAGE_SCN_CNT_CODE | pe::IMAGE_SCN_MEM_EXECUTE | pe::IMAGE_SCN_MEM_READ;
        if self.writable_code {
            code_flags |= pe::IMAGE_SCN_MEM_WRITE;
        }
        let code = writer.reserve_section(*b".text\0\0\0", code_flags, 1, 1);
        let file_offset = code.file_offset + code.file_size;
        let debug = data.put_words(&[
            0,
            0,
            0,
            2,
            code_view.1,
            code_view.0,
            file_offset + code_view.0 - DATA,
        ]);
        let length = u32::try_from(data.0.len()).unwrap();
        let section = writer.reserve_rdata_section(length);
        assert_eq!(
            (section.virtual_address, section.file_offset),
            (DATA, file_offset),
            "the layout assumed above"
        );
        writer.set_data_directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG, debug, 28);

        writer.write_empty_dos_header().unwrap();
        writer.write_nt_headers(self.headers(code.virtual_address));
        writer.write_section_headers();
        writer.write_section(code.file_offset, &[0xC3]);
        writer.write_section(section.file_offset, &data.0);
        bytes
    }

    /// The import descriptors and all they refer to; returns their place and length.
    fn put_imports(&self, data: &mut Data) -> (u32, u32) {
        let mut descriptors = Vec::new();
        for (library, functions) in self.imports {
            let mut thunks = Vec::new();
            for function in *functions {
                let hint_and_name = [b"\0\0", function.as_bytes(), b"\0"].concat();
                thunks.extend([data.put(&hint_and_name), 0]);
            }
            thunks.extend([0, 0]);
            let names = data.put_words(&thunks);
            let addresses = data.put_words(&thunks);
            let library = data.put(&[library.as_bytes(), b"\0"].concat());
            descriptors.extend([names, 0, 0, library, addresses]);
        }
        descriptors.extend([0; 5]);
        (
            data.put_words(&descriptors),
            u32::try_from(descriptors.len() * 4).unwrap(),
        )
    }

    /// What names the PDB; returns its place and length.
    fn put_code_view(&self, data: &mut Data) -> (u32, u32) {
        let record = [
            b"RSDS".as_slice(),
            &self.guid,
            &1u32.to_le_bytes(),
            self.pdb.as_bytes(),
            b"\0",
        ]
        .concat();
        (data.put(&record), u32::try_from(record.len()).unwrap())
    }

    fn headers(&self, entry_point: u32) -> NtHeaders {
        NtHeaders {
            machine: self.machine,
            time_date_stamp: 0,
            characteristics: pe::IMAGE_FILE_EXECUTABLE_IMAGE | pe::IMAGE_FILE_DLL,
            major_linker_version: 0,
            minor_linker_version: 0,
            address_of_entry_point: entry_point,
            image_base: 0x1_4000_0000,
            major_operating_system_version: 10,
            minor_operating_system_version: 0,
            major_image_version: 0,
            minor_image_version: 0,
            major_subsystem_version: 10,
            minor_subsystem_version: 0,
            subsystem: self.subsystem,
            dll_characteristics: self.dll_characteristics,
            size_of_stack_reserve: 0x10_0000,
            size_of_stack_commit: 0x1000,
            size_of_heap_reserve: 0x10_0000,
            size_of_heap_commit: 0x1000,
        }
    }
}

/// The three directories above a version resource, type, name and language, and the resource; returns their place and length.
fn put_resources(data: &mut Data, version: Version) -> (u32, u32) {
    /// A directory of one entry.
    const DIRECTORY: u32 = 24;
    const BELOW: u32 = 0x8000_0000;
    let base = data.put(&[]);
    let one_number = [0, 0, 0, 0x0001_0000];
    let mut words = Vec::new();
    for (number, next) in [
        (16, BELOW | DIRECTORY),
        (1, BELOW | (2 * DIRECTORY)),
        (0x409, 3 * DIRECTORY),
    ] {
        words.extend(one_number);
        words.extend([number, next]);
    }
    // After the .res file's own two headers comes what the image has.
    let resource = resource_file(version)[64..].to_vec();
    let length = u32::try_from(resource.len()).unwrap();
    words.extend([base + 3 * DIRECTORY + 16, length, 0, 0]);
    data.put_words(&words);
    data.0.extend(resource);
    (base, data.here() - base)
}
