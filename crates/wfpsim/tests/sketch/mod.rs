//! Little driver images made by hand, for the tests of what reads images.

use wfpsim::image::Image;

pub const TEXT: usize = 0x1000;
pub const DATA: usize = 0x2000;
/// Where the sections lie in the file.
pub const TEXT_IN_FILE: usize = 0x200;
pub const DATA_IN_FILE: usize = 0x400;
/// The place that the address of the one import is written to.
pub const THUNK: usize = DATA + 0x60;
pub const PE: usize = 0x80;
pub const OPTIONAL: usize = PE + 24;
pub const SECTIONS: usize = OPTIONAL + 240;

/// A little image by hand: one page of code, one of data, one import that no simulator has.
pub struct Sketch(pub Vec<u8>);

impl Sketch {
    pub fn new(code: &[u8]) -> Self {
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

    pub fn section(
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

    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn put16(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_le_bytes());
    }

    pub fn put32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    pub fn image(&self) -> Image {
        Image::parse(&self.0).expect("the sketch is an image")
    }
}

/// `xor eax, eax; ret`: STATUS_SUCCESS.
pub const SUCCEED: [u8; 3] = [0x31, 0xC0, 0xC3];

/// DllCharacteristics with everything set.
pub const ALL_FLAGS: u16 = 0x0020 | 0x0040 | 0x0080 | 0x0100 | 0x4000;

/// A sketch with all those flags.
pub fn sketch(code: &[u8]) -> Sketch {
    let mut sketch = Sketch::new(code);
    sketch.put16(OPTIONAL + 70, ALL_FLAGS);
    sketch
}

/// A sketch whose one import is `name`, called after `before` by `call [rip + thunk]`.
pub fn calling(name: &str, before: &[u8]) -> Sketch {
    let mut code = vec![0x48, 0x83, 0xEC, 0x38];
    code.extend_from_slice(before);
    code.extend_from_slice(&[0xFF, 0x15]);
    let distance = (THUNK - (TEXT + code.len() + 4)) as u32;
    code.extend_from_slice(&distance.to_le_bytes());
    code.extend_from_slice(&[0x48, 0x83, 0xC4, 0x38, 0x31, 0xC0, 0xC3]);
    let mut sketch = sketch(&code);
    sketch.put(DATA_IN_FILE + 0xA2, &[0; 32]);
    sketch.put(DATA_IN_FILE + 0xA2, name.as_bytes());
    sketch
}
