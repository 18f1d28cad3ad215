//! The digest of an image that a signature and a catalog hold: of all but what signing itself changes ("Windows Authenticode Portable
//! Executable Signature Format"). And the header's checksum, which is one of those things.

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::PeFile64;
use sha2::Digest;

/// Where the parts are that signing changes.
struct Layout {
    /// The checksum, of 4 bytes.
    checksum: usize,
    /// The entry of the directory that leads to the signatures, of 8 bytes.
    directory: usize,
    /// Where the signatures begin, which is the end of everything else.
    end: usize,
}

impl Layout {
    fn of(image: &[u8]) -> Option<Self> {
        let file = PeFile64::parse(image).ok()?;
        let optional =
            file.dos_header().nt_headers_offset() as usize + 4 + size_of::<pe::ImageFileHeader>();
        let security = file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_SECURITY);
        // For this directory alone the address is a place in the file.
        let end = security
            .map(|directory| directory.virtual_address.get(LE) as usize)
            .filter(|place| *place != 0)
            .unwrap_or(image.len());
        let layout = Self {
            checksum: optional + 64,
            directory: optional + size_of::<pe::ImageOptionalHeader64>() + 4 * 8,
            end,
        };
        (layout.directory + 8 <= end && end <= image.len()).then_some(layout)
    }
}

/// The digest. `None` if this is no image.
pub fn digest<D: Digest>(image: &[u8]) -> Option<Vec<u8>> {
    let layout = Layout::of(image)?;
    let mut digest = D::new();
    digest.update(image.get(..layout.checksum)?);
    digest.update(image.get(layout.checksum + 4..layout.directory)?);
    digest.update(image.get(layout.directory + 8..layout.end)?);
    // Signatures begin at a multiple of 8; the bytes before them are part of a signed file.
    if layout.end == image.len() {
        digest.update(&[0; 8][..image.len().next_multiple_of(8) - image.len()]);
    }
    Some(digest.finalize().to_vec())
}

/// The checksum in the header and the one that should be there.
pub fn checksums(image: &[u8]) -> Option<(u32, u32)> {
    let layout = Layout::of(image)?;
    let stored = image.get(layout.checksum..)?.first_chunk()?;
    let words = image.chunks(2).enumerate().map(|(index, bytes)| {
        let place = index * 2;
        match bytes {
            _ if (layout.checksum..layout.checksum + 4).contains(&place) => 0,
            [low, high] => u32::from(u16::from_le_bytes([*low, *high])),
            [low] => u32::from(*low),
            _ => 0,
        }
    });
    let sum = words.fold(0u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xFFFF) + (sum >> 16)
    });
    Some((
        u32::from_le_bytes(*stored),
        sum.wrapping_add(u32::try_from(image.len()).ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Sample;
    use sha2::Sha256;

    #[test]
    fn the_digest_does_not_see_what_signing_changes_and_sees_everything_else() {
        let image = Sample::default().bytes();
        let before = digest::<Sha256>(&image).unwrap();
        let layout = Layout::of(&image).unwrap();
        let mut signed = image.clone();
        signed[layout.checksum] ^= 0xFF;
        let end = u32::try_from(image.len()).unwrap();
        signed[layout.directory..layout.directory + 4].copy_from_slice(&end.to_le_bytes());
        signed.extend([9; 64]);
        assert_eq!(digest::<Sha256>(&signed), Some(before.clone()));
        signed[layout.end - 1] ^= 1;
        assert_ne!(digest::<Sha256>(&signed), Some(before));
    }

    #[test]
    fn bytes_that_are_no_image_have_no_digest() {
        let image = Sample::default().bytes();
        for length in (0..600).step_by(13) {
            let _ = digest::<Sha256>(&image[..length]);
            let _ = checksums(&image[..length]);
        }
        assert_eq!(digest::<Sha256>(b"MZ"), None);
    }
}
