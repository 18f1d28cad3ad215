//! Images that are not as they should be: the file is refused with what is wrong, or the machine stops at the very
//! instruction, and this process goes on.

#![cfg(target_arch = "x86_64")]

use std::sync::Arc;

use proptest::prelude::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim::image::Image;
use wfpsim::verifier::code;

const TEXT: usize = 0x1000;
const DATA: usize = 0x2000;
/// Where the sections lie in the file.
const TEXT_IN_FILE: usize = 0x200;
const DATA_IN_FILE: usize = 0x400;
/// The place that the address of the one import is written to.
const THUNK: usize = DATA + 0x60;
const PE: usize = 0x80;
const OPTIONAL: usize = PE + 24;
const SECTIONS: usize = OPTIONAL + 240;

/// A little image by hand: one page of code, one of data, one import that no simulator has.
struct Sketch(Vec<u8>);

impl Sketch {
    fn new(code: &[u8]) -> Self {
        let mut sketch = Self(vec![0; 0x600]);
        sketch.put(0, b"MZ");
        sketch.put(0x3C, &(PE as u32).to_le_bytes());
        sketch.put(PE, b"PE\0\0");
        sketch.put16(PE + 4, 0x8664);
        sketch.put16(PE + 6, 2);
        sketch.put16(PE + 20, 240);
        sketch.put16(PE + 22, 0x22);
        sketch.put16(OPTIONAL, 0x20B);
        sketch.put32(OPTIONAL + 16, TEXT as u32);
        sketch.put(OPTIONAL + 24, &0x1_4000_0000u64.to_le_bytes());
        sketch.put32(OPTIONAL + 32, 0x1000);
        sketch.put32(OPTIONAL + 36, 0x200);
        sketch.put32(OPTIONAL + 56, 0x3000);
        sketch.put32(OPTIONAL + 60, 0x200);
        sketch.put16(OPTIONAL + 68, 1);
        sketch.put32(OPTIONAL + 108, 16);
        // The import directory is the second of the data directories.
        sketch.put32(OPTIONAL + 112 + 8, DATA as u32);
        sketch.put32(OPTIONAL + 112 + 12, 40);
        sketch.section(0, b".text\0\0\0", TEXT, TEXT_IN_FILE, 0x6000_0020);
        sketch.section(1, b".data\0\0\0", DATA, DATA_IN_FILE, 0xC000_0040);
        sketch.put(TEXT_IN_FILE, code);
        let data = |offset: usize| DATA_IN_FILE + offset;
        sketch.put32(data(0), (DATA + 0x40) as u32);
        sketch.put32(data(12), (DATA + 0x80) as u32);
        sketch.put32(data(16), THUNK as u32);
        for thunk in [0x40, 0x60] {
            sketch.put(data(thunk), &(DATA as u64 + 0xA0).to_le_bytes());
        }
        sketch.put(data(0x80), b"nosuch.sys\0");
        sketch.put(data(0xA2), b"ThereIsNoSuchFunction\0");
        sketch
    }

    fn section(
        &mut self,
        index: usize,
        name: &[u8; 8],
        address: usize,
        in_file: usize,
        flags: u32,
    ) {
        let at = SECTIONS + index * 40;
        self.put(at, name);
        self.put32(at + 8, 0x200);
        self.put32(at + 12, address as u32);
        self.put32(at + 16, 0x200);
        self.put32(at + 20, in_file as u32);
        self.put32(at + 36, flags);
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    fn image(&self) -> Image {
        Image::parse(&self.0).expect("the sketch is an image")
    }
}

/// `xor eax, eax; ret`: STATUS_SUCCESS.
const SUCCEED: [u8; 3] = [0x31, 0xC0, 0xC3];

/// Loads an image on a machine of its own.
fn load(image: Image) -> (Machine, Result<(), LoadError>) {
    let machine = Machine::new(Config::plain());
    let result = machine.load_image(&Arc::new(image), &Parameters::default());
    (machine, result)
}

#[test]
fn an_image_is_entered_and_its_status_is_what_load_says() {
    let (_machine, result) = load(Sketch::new(&SUCCEED).image());
    assert_eq!(result, Ok(()));
    // mov eax, 0xC0000001; ret
    let (_machine, result) = load(Sketch::new(&[0xB8, 0x01, 0x00, 0x00, 0xC0, 0xC3]).image());
    assert!(
        matches!(result, Err(LoadError::Refused(status, _)) if status as u32 == 0xC000_0001),
        "{result:?}"
    );
}

#[test]
fn a_missing_function_is_named_when_it_is_called_and_not_before() {
    let (machine, result) = load(Sketch::new(&SUCCEED).image());
    assert_eq!(result, Ok(()), "it is imported and not called");
    assert!(machine.violations().is_empty());
    // sub rsp, 28h; call [rip + thunk]; add rsp, 28h; xor eax, eax; ret
    let distance = (THUNK - (TEXT + 10)) as u32;
    let mut code = vec![0x48, 0x83, 0xEC, 0x28, 0xFF, 0x15];
    code.extend_from_slice(&distance.to_le_bytes());
    code.extend_from_slice(&[0x48, 0x83, 0xC4, 0x28, 0x31, 0xC0, 0xC3]);
    let (machine, result) = load(Sketch::new(&code).image());
    assert_eq!(result, Err(LoadError::Stopped));
    let violations = machine.violations();
    assert!(
        violations[0]
            .summary
            .contains("nosuch.sys!ThereIsNoSuchFunction"),
        "{}",
        violations[0]
    );
}

#[test]
fn code_cannot_be_written_and_data_cannot_be_run() {
    // mov byte ptr [rip - 7], 1: the instruction itself.
    let (machine, result) =
        load(Sketch::new(&[0xC6, 0x05, 0xF9, 0xFF, 0xFF, 0xFF, 0x01, 0xC3]).image());
    assert_eq!(result, Err(LoadError::Stopped));
    let violation = &machine.violations()[0];
    assert_eq!(violation.code, code::DRIVER_IRQL_NOT_LESS_OR_EQUAL);
    assert!(violation.summary.contains("offset 0x1000"), "{violation}");
    assert!(
        violation
            .stack
            .iter()
            .any(|frame| frame.contains("driver+0x1000")),
        "{violation}"
    );
    // lea rax, [rip + data]; jmp rax
    let distance = (DATA + 0x100 - (TEXT + 7)) as u32;
    let mut code = vec![0x48, 0x8D, 0x05];
    code.extend_from_slice(&distance.to_le_bytes());
    code.extend_from_slice(&[0xFF, 0xE0]);
    let (machine, result) = load(Sketch::new(&code).image());
    assert_eq!(result, Err(LoadError::Stopped));
    assert!(
        machine.violations()[0].summary.contains("offset 0x2100"),
        "{}",
        machine.violations()[0]
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    type Change = dyn Fn(&mut Sketch);
    let refused = |change: &Change| {
        let mut sketch = Sketch::new(&SUCCEED);
        change(&mut sketch);
        Image::parse(&sketch.0)
            .expect_err("the image is broken")
            .to_string()
    };
    let cases: [(&str, &Change); 10] = [
        ("begin with MZ", &|sketch| sketch.put(0, b"ZM")),
        ("machine", &|sketch| sketch.put16(PE + 4, 0xAA64)),
        ("native", &|sketch| sketch.put16(OPTIONAL + 68, 3)),
        ("SizeOfImage", &|sketch| {
            sketch.put32(OPTIONAL + 56, 0xFFFF_FFFF)
        }),
        ("SizeOfHeaders", &|sketch| {
            sketch.put32(OPTIONAL + 60, 0x4000)
        }),
        ("entry point", &|sketch| {
            sketch.put32(OPTIONAL + 16, DATA as u32)
        }),
        ("outside the file", &|sketch| {
            sketch.put32(SECTIONS + 20, 0x10_0000)
        }),
        ("beyond the image", &|sketch| {
            sketch.put32(SECTIONS + 8, 0x10_0000)
        }),
        ("multiple of a page", &|sketch| {
            sketch.put32(SECTIONS + 12, 0x1004)
        }),
        ("stripped", &|sketch| sketch.put16(PE + 22, 0x23)),
    ];
    for (wanted, change) in cases {
        let message = refused(change);
        assert!(
            message.contains(wanted),
            "wanted '{wanted}', got: {message}"
        );
    }
    assert!(Image::parse(b"").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    /// Whatever is done to the bytes, reading them gives an image or an error; and an image that was accepted can be mapped.
    #[test]
    fn no_file_crashes_the_reader(changes in prop::collection::vec((0usize..0x600, any::<u8>()), 0..12), length in 0usize..0x600) {
        let mut sketch = Sketch::new(&SUCCEED);
        for (at, value) in changes {
            sketch.0[at] = value;
        }
        for bytes in [&sketch.0[..], &sketch.0[..length]] {
            if let Ok(image) = Image::parse(bytes) {
                prop_assert!(image.sections.iter().all(|section| section.address + section.size <= image.size));
            }
        }
    }
}
