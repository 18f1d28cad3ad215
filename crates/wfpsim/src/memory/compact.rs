//! Blocks without pages of their own, for runs by the thousand: nothing here asks the host's kernel for anything.
//!
//! Blocks lie one behind the other with a zone of known bytes between them, and no memory is used twice in the life of a
//! machine. What a block held is overwritten when it is freed, with bytes that are no address on any host; so a pointer that
//! is read from it faults when it is followed. What is written beside a block or into a freed one is seen when the machine is
//! done. What is only read there is not: whoever uses this makes suspicious runs, and some others, again with pages.

use std::cell::Cell;
use std::cell::RefCell;
use std::ptr::NonNull;

use super::arena::Block;
use super::arena::BlockState;
use super::arena::Purpose;
use super::arena::SLACK;
use super::arena::UNINITIALISED;
use super::region;
use crate::verifier::ObjectId;

/// Address space of one machine; committed as it is used.
const REGION: usize = 1 << 28;

/// Bytes between two blocks.
const ZONE: usize = 32;

/// What a freed block holds: as a pointer, no address that exists.
const GONE: u8 = 0xDD;

/// What a page of nothing but [`GONE`] looks like.
static ALL_GONE: [u8; 4096] = [GONE; 4096];

thread_local! {
    static SPARE: Spare = const { Spare(Cell::new(None)) };
}

/// A region between two machines. It goes with its host thread.
struct Spare(Cell<Option<NonNull<u8>>>);

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(base) = self.0.take() {
            // SAFETY: the region was mapped by `reserve` with this length, and the machine that used it is gone.
            unsafe { region::release(base, REGION) };
        }
    }
}

/// The blocks of one machine.
pub(super) struct Compact {
    base: NonNull<u8>,
    next: Cell<usize>,
    /// In the order of their addresses.
    blocks: RefCell<Vec<Block>>,
    live: Cell<usize>,
}

impl Compact {
    pub fn new() -> Self {
        Self {
            base: SPARE.with(|spare| spare.0.take()).unwrap_or_else(reserve),
            next: Cell::new(0),
            blocks: RefCell::default(),
            live: Cell::new(0),
        }
    }

    pub fn allocate(
        &self,
        size: usize,
        purpose: Purpose,
        object: ObjectId,
        zeroed: bool,
    ) -> NonNull<u8> {
        let slot = self.base.as_ptr() as usize + self.next.get();
        let start = slot + ZONE;
        let span = ZONE + size.next_multiple_of(16);
        // The zone of the block behind is this one's too.
        assert!(
            self.next.get() + span + ZONE <= REGION,
            "a machine that is run for a moment asked for {REGION} bytes"
        );
        // SAFETY: the ranges lie in the region, as was just asserted, and belong to no block: they are behind the last.
        unsafe {
            std::ptr::write_bytes(slot as *mut u8, SLACK, ZONE);
            std::ptr::write_bytes(
                start as *mut u8,
                if zeroed { 0 } else { UNINITIALISED },
                size,
            );
            std::ptr::write_bytes((start + size) as *mut u8, SLACK, span - ZONE - size + ZONE);
        }
        self.next.set(self.next.get() + span);
        self.live.set(self.live.get() + 1);
        self.blocks.borrow_mut().push(Block {
            start,
            size,
            purpose,
            state: BlockState::Live,
            object,
            slot,
            span,
            guard: 0,
        });
        NonNull::new(start as *mut u8).expect("a block lies inside the region")
    }

    pub fn free(&self, block: &Block) {
        let mut blocks = self.blocks.borrow_mut();
        if let Some(index) = index(&blocks, block.start) {
            blocks[index].state = BlockState::Freed;
            self.live.set(self.live.get() - 1);
            // SAFETY: the block is in the region, and nobody owns it any more.
            unsafe { std::ptr::write_bytes(block.start as *mut u8, GONE, block.size) };
        }
    }

    /// The block that holds `address`, its zone included.
    pub fn find(&self, address: usize) -> Option<Block> {
        let blocks = self.blocks.borrow();
        index(&blocks, address).map(|index| blocks[index])
    }

    pub fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base.as_ptr() as usize) < REGION
    }

    pub fn live_blocks(&self) -> Vec<Block> {
        let blocks = self.blocks.borrow();
        let live = blocks
            .iter()
            .filter(|block| block.state == BlockState::Live);
        live.copied().collect()
    }

    pub fn live(&self) -> usize {
        self.live.get()
    }

    /// Whether a freed block was written to, or the zone beside any.
    pub fn is_damaged(&self) -> bool {
        self.blocks.borrow().iter().any(|block| {
            let written = block.state == BlockState::Freed && {
                // SAFETY: the block lies in the region, which is readable; nobody writes meanwhile.
                let bytes =
                    unsafe { std::slice::from_raw_parts(block.start as *const u8, block.size) };
                bytes
                    .chunks(ALL_GONE.len())
                    .any(|part| part != &ALL_GONE[..part.len()])
            };
            written || super::damage_at_free(block).is_some()
        })
    }
}

/// The last block that begins at or before `address`, if it reaches that far.
fn index(blocks: &[Block], address: usize) -> Option<usize> {
    let index = blocks
        .partition_point(|block| block.slot <= address)
        .checked_sub(1)?;
    (address < blocks[index].slot + blocks[index].span).then_some(index)
}

fn reserve() -> NonNull<u8> {
    region::reserve(REGION, libc::PROT_READ | libc::PROT_WRITE)
}

impl Drop for Compact {
    fn drop(&mut self) {
        let kept = SPARE.try_with(|spare| match spare.0.take() {
            None => {
                spare.0.set(Some(self.base));
                true
            }
            other => {
                spare.0.set(other);
                false
            }
        });
        if kept != Ok(true) {
            // SAFETY: the region was mapped by `reserve` with this length, and the machine that used it is gone.
            unsafe { region::release(self.base, REGION) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(compact: &Compact, size: usize) -> Block {
        let start = compact.allocate(size, Purpose::PacketData, ObjectId(1), true);
        compact.find(start.as_ptr() as usize).expect("just made")
    }

    #[test]
    fn a_write_beside_a_block_or_into_a_freed_one_is_seen() {
        for (offset, size, freed) in [
            (-1, 20, false),
            (20, 20, false),
            (0, 20, true),
            (16, 17, true),
        ] {
            let compact = Compact::new();
            let (_before, block, _behind) = (
                block(&compact, 8),
                block(&compact, size),
                block(&compact, 8),
            );
            if freed {
                compact.free(&block);
            }
            assert!(!compact.is_damaged());
            // SAFETY: the address is in the region: in the block or in a zone beside it.
            unsafe { *((block.start as isize + offset) as *mut u8) = 1 };
            assert!(compact.is_damaged(), "{offset} {size} {freed}");
        }
    }

    #[test]
    fn blocks_are_found_by_any_address_in_them() {
        let compact = Compact::new();
        let blocks: Vec<Block> = (1..40).map(|size| block(&compact, size)).collect();
        for wanted in &blocks {
            for address in wanted.start..wanted.start + wanted.size {
                assert_eq!(
                    compact.find(address).map(|block| block.start),
                    Some(wanted.start)
                );
            }
        }
        assert_eq!(
            compact.find(blocks[0].slot - 1).map(|block| block.start),
            None
        );
    }
}
