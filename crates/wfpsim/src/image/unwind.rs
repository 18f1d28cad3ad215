//! Stacks through an image: its functions say in .pdata how they change the stack pointer.

use std::ops::Range;

use framehop::Module;
use framehop::ModuleSectionInfo;
use framehop::Unwinder as _;
use framehop::x86_64::CacheX86_64;
use framehop::x86_64::UnwindRegsX86_64;
use framehop::x86_64::UnwinderX86_64;

use super::pe::Image;
use crate::contain::contained;

/// The most frames that are followed.
const FRAMES: usize = 64;

/// The section with the functions' places and where each is told of.
const FUNCTIONS: &[u8] = b".pdata";
/// The bytes of an entry there; the last four say where the unwind information is.
const ENTRY: usize = 12;
/// Flag in the first byte of unwind information: another entry follows the codes, whose information goes on.
const CHAINED: u8 = 4 << 3;
/// The longest chain that is followed. Compilers make two links.
const CHAIN: usize = 32;

/// Where a stack is followed from: a place in the image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    pub instruction: usize,
    pub stack: usize,
    pub base: usize,
}

/// The sections, as the unwinder asks for them.
struct Sections<'a>(&'a Image);

impl ModuleSectionInfo<Vec<u8>> for Sections<'_> {
    fn base_svma(&self) -> u64 {
        0
    }

    fn section_svma_range(&mut self, name: &[u8]) -> Option<Range<u64>> {
        let section = self.0.section(name)?;
        Some(u64::from(section.address)..u64::from(section.address + section.size))
    }

    fn section_data(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        if name == FUNCTIONS && self.0.endless_unwinding {
            return None;
        }
        self.0.section(name).map(|section| section.data.to_vec())
    }
}

/// The return addresses from `from` on, itself first, as long as they are the image's. `end` is where the stack ends.
pub(crate) fn follow(image: &Image, mapped_at: usize, from: From, end: usize) -> Vec<usize> {
    let mut unwinder = UnwinderX86_64::new();
    let start = mapped_at as u64;
    let range = start..start + u64::from(image.size);
    unwinder.add_module(Module::new(
        "driver".to_owned(),
        range.clone(),
        start,
        Sections(image),
    ));
    let mut cache = CacheX86_64::<_>::new();
    let mut read = |address: u64| {
        let address = address as usize;
        if address < from.stack
            || address.checked_add(8).is_none_or(|behind| behind > end)
            || !address.is_multiple_of(8)
        {
            return Err(());
        }
        // SAFETY: the address lies on the coroutine's stack above the stack pointer, which is mapped as long as the thread is.
        Ok(unsafe { (address as *const u64).read() })
    };
    let registers =
        UnwindRegsX86_64::new(from.instruction as u64, from.stack as u64, from.base as u64);
    let mut found = Vec::new();
    let mut frames =
        unwinder.iter_frames(from.instruction as u64, registers, &mut cache, &mut read);
    while let Some(frame) = contained(|| frames.next().ok().flatten()) {
        let address = frame.address();
        if !range.contains(&address) || found.len() == FRAMES {
            break;
        }
        found.push(address as usize);
    }
    found
}

/// Whether unwind information leads on and on, in a circle most likely, where the unwinder would follow until memory ends.
pub(super) fn is_endless(image: &Image) -> bool {
    let functions = image.section(FUNCTIONS);
    let mut entries = functions
        .map_or(&[][..], |section| &section.data[..])
        .chunks_exact(ENTRY);
    entries.any(|entry| {
        let links = std::iter::successors(Some(entry), |entry| link(image, entry));
        links.take(CHAIN + 1).count() > CHAIN
    })
}

/// The entry that the unwind information of `entry` goes on with.
fn link<'a>(image: &'a Image, entry: &[u8]) -> Option<&'a [u8]> {
    let address = u32::from_le_bytes(*entry.last_chunk()?);
    let section = image.section_at(address, 4)?;
    let bytes = section.data.get((address - section.address) as usize..)?;
    let (&flags, &codes) = (bytes.first()?, bytes.get(2)?);
    let behind = 4 + 2 * usize::from(codes).next_multiple_of(2);
    if flags & CHAINED == 0 {
        return None;
    }
    bytes.get(behind..behind + ENTRY)
}

/// The offsets of the calls that a stack has, from `instruction` on, an offset too: what the tables of an image make of a stack
/// that somebody else filled. Return addresses in it are offsets as well.
pub fn follow_through(image: &Image, instruction: u32, stack: &[u64]) -> Vec<usize> {
    let bytes = stack.as_ptr_range();
    let from = From {
        instruction: instruction as usize,
        stack: bytes.start as usize,
        base: bytes.start as usize,
    };
    follow(image, 0, from, bytes.end as usize)
}
