//! Driver images: `wfpsim image`, `--image`; and the PDBs beside them.

use std::path::Path;
use std::sync::Arc;

use wfpsim::image::Image;
use wfpsim::image::describe::describe_bytes;
use wfpsim::image::follow_through;
use wfpsim::image::tell_by;
use wfpsim::image::try_map;

/// A file is an image or is refused; an image fits into what it says it takes, can be mapped and described, and its tables lead
/// through any stack. Nothing of it is run.
pub fn image(bytes: &[u8]) {
    if let Ok(image) = Image::parse(bytes) {
        assert!(image.entry < image.size);
        for section in &image.sections {
            let end = u64::from(section.address) + u64::from(section.size);
            assert!(end <= u64::from(image.size), "{}", section.name);
            assert!(section.data.len() <= section.size as usize);
        }
        for place in image
            .relocations
            .iter()
            .chain(image.imports.iter().map(|import| &import.thunk))
            .chain(&image.cookie)
        {
            assert!(place.checked_add(8).is_some_and(|end| end <= image.size));
        }
        let stack: Vec<u64> = (0..64).map(|word| word * 0x25 % 0x3000).collect();
        for instruction in [image.entry, image.entry + 7, 0x1000, 0x1010] {
            follow_through(&image, instruction, &stack);
        }
        // Whether the host has the memory is no matter of the file's.
        let _ = try_map(&Arc::new(image));
    }
    if let Ok(description) = describe_bytes(bytes, Path::new("fuzzed.sys"), false) {
        let _ = description.json();
    }
}

/// A PDB tells some places or is none. There is one beside every driver that somebody asks about.
pub fn symbols(bytes: &[u8]) {
    let offsets: Vec<usize> = (0..64).map(|number| 0x1000 + number * 3).collect();
    if let Some(told) = tell_by(bytes, "driver", &offsets) {
        assert!(told.len() >= offsets.len());
    }
}
