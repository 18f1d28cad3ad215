//! Driver images: `wfpsim image`, `--image`.

use std::path::Path;

use wfpsim::image::Image;
use wfpsim::image::describe::describe_bytes;

/// A file is an image or is refused; an image fits into what it says it takes, and can be described. Nothing of it is run.
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
    }
    if let Ok(description) = describe_bytes(bytes, Path::new("fuzzed.sys"), false) {
        let _ = description.json();
    }
}
