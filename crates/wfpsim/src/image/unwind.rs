//! Stacks through an image: its functions say in .pdata how they change the stack pointer.

use std::ops::Range;

use framehop::Module;
use framehop::ModuleSectionInfo;
use framehop::Unwinder as _;
use framehop::x86_64::CacheX86_64;
use framehop::x86_64::UnwindRegsX86_64;
use framehop::x86_64::UnwinderX86_64;

use super::pe::Image;

/// The most frames that are followed.
const FRAMES: usize = 64;

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
        self.0.section(name).map(|section| section.data.clone())
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
    while let Ok(Some(frame)) = frames.next() {
        let address = frame.address();
        if !range.contains(&address) || found.len() == FRAMES {
            break;
        }
        found.push(address as usize);
    }
    found
}
