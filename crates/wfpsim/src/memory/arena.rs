//! The region that guarded blocks are cut from.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ptr::NonNull;

use super::compact::Compact;
use super::pages::Pages;
use super::region;
use crate::verifier::ObjectId;

/// Size of a page on every host that the simulator runs on (x86-64, and ARM64 with 4 KiB pages).
pub(super) const PAGE: usize = 4096;

/// Address space reserved for one machine. Nothing is committed until it is used.
const REGION: usize = 1 << 30;

/// How much of the region is walked round before freed blocks are forgotten and their pages used again: enough to know a
/// freed block for thousands of packets, and little enough to stay in the host's caches. It grows with what is live.
const WALK: usize = 1 << 26;

/// What fresh memory holds where the kernel promises nothing: a value that reads as nonsense everywhere.
pub(super) const UNINITIALISED: u8 = 0xA5;

/// What stands before and behind a block inside its own pages; checked when the block is freed.
pub(super) const SLACK: u8 = 0x5A;

/// What a page of nothing but [`SLACK`] looks like.
static CLEAN: [u8; PAGE] = [SLACK; PAGE];

/// What a block is for, so that a fault on it can be told in the driver's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Pool, with its tag as the four bytes that the debugger shows.
    Pool([u8; 4]),
    /// Paged pool, likewise: not to be touched at DISPATCH_LEVEL.
    PagedPool([u8; 4]),
    /// A NET_BUFFER_LIST with its NET_BUFFERs.
    NetBufferList,
    /// A memory descriptor list.
    Mdl,
    /// Bytes of a packet.
    PacketData,
    /// A buffer of a control request, gone when it is completed (D-06).
    RequestBuffer,
    /// The arguments of one classify call, gone when it returns.
    ClassifyArguments,
    /// An object of the executive (a thread object, a device object).
    Object,
    /// What stands for the data section of a linked driver.
    ImageData,
    /// Memory of a program.
    Program,
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pool(tag) => write!(f, "nonpaged pool, tag '{}'", tag.escape_ascii()),
            Self::PagedPool(tag) => write!(f, "paged pool, tag '{}'", tag.escape_ascii()),
            Self::NetBufferList => f.write_str("NET_BUFFER_LIST"),
            Self::Mdl => f.write_str("MDL"),
            Self::PacketData => f.write_str("packet data"),
            Self::RequestBuffer => f.write_str("a request's buffer"),
            Self::ClassifyArguments => f.write_str("arguments of a classify"),
            Self::Object => f.write_str("kernel object"),
            Self::ImageData => f.write_str("data of the driver's image"),
            Self::Program => f.write_str("memory of a program"),
        }
    }
}

/// Whether a block may be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    /// In use.
    Live,
    /// Freed: any touch is a fault.
    Freed,
}

/// The edge of its pages that a block stands against. What lies beyond that edge cannot be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The end, up to alignment: an overrun faults.
    End,
    /// The start: an underrun faults on the very byte.
    Start,
}

/// One block, alive or freed.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Address of the first byte that belongs to the owner.
    pub start: usize,
    /// Bytes that belong to the owner.
    pub size: usize,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it may be touched.
    pub state: BlockState,
    /// The object whose history tells of it.
    pub object: ObjectId,
    /// First page; or where the zone before it begins.
    pub(super) slot: usize,
    /// Bytes of pages, the guard page included; or of the block and the zone before it.
    pub(super) span: usize,
    /// Bytes at the end of those that cannot be touched.
    pub(super) guard: usize,
}

impl Block {
    /// Whether an address is of a byte that belongs to the owner.
    pub fn holds(&self, address: usize) -> bool {
        (self.start..self.start + self.size).contains(&address)
    }
}

/// A reserved region of address space and the blocks in it.
pub struct Arena {
    base: NonNull<u8>,
    /// Where the next block is looked for. Never the first page, which guards the second.
    next: Cell<usize>,
    blocks: RefCell<Pages>,
    live: Cell<usize>,
    /// Bytes of pages of the blocks that are alive.
    live_span: Cell<usize>,
    /// The end of what was ever handed out.
    used: Cell<usize>,
    /// First pages of the live blocks of paged pool.
    paged: RefCell<BTreeSet<usize>>,
    /// Whether paged pool is there.
    paged_in: Cell<bool>,
    /// Blocks without pages of their own, if the machine is to have those.
    compact: Option<Compact>,
}

thread_local! {
    /// A region that nobody uses.
    static SPARE: Cell<Option<Arena>> = const { Cell::new(None) };
}

impl Arena {
    /// A region: one that a machine of this host thread has done with, or a fresh one.
    pub fn new() -> Self {
        SPARE.take().unwrap_or_else(Self::reserve)
    }

    /// Blocks without pages of their own: little is seen of what is only read where it must not be.
    pub(crate) fn compact() -> Self {
        let base = NonNull::dangling();
        let mut arena = Self::over(base, Pages::new(base.as_ptr() as usize, 0));
        arena.compact = Some(Compact::new());
        arena
    }

    /// Of blocks without pages: whether something was written beside one, or to a freed one.
    pub(crate) fn is_damaged(&self) -> bool {
        self.compact.as_ref().is_some_and(Compact::is_damaged)
    }

    /// Reserves a region.
    ///
    /// # Panics
    ///
    /// If the host refuses a gibibyte of address space.
    fn reserve() -> Self {
        let base = region::reserve(REGION, libc::PROT_NONE);
        Self::over(base, Pages::new(base.as_ptr() as usize, REGION))
    }

    /// An arena over a region that nobody uses and nobody can touch.
    fn over(base: NonNull<u8>, blocks: Pages) -> Self {
        Self {
            base,
            next: Cell::new(PAGE),
            blocks: RefCell::new(blocks),
            live: Cell::new(0),
            live_span: Cell::new(0),
            used: Cell::new(0),
            paged: RefCell::default(),
            paged_in: Cell::new(true),
            compact: None,
        }
    }

    /// Cuts a block of `size` bytes whose last byte stands against a guard page (up to alignment, 16 at most as
    /// pool gives). `zeroed` says what it holds; otherwise it holds nonsense on purpose.
    ///
    /// # Panics
    ///
    /// If the whole region is live at once, which no scenario comes near.
    pub fn allocate(
        &self,
        size: usize,
        purpose: Purpose,
        object: ObjectId,
        zeroed: bool,
    ) -> NonNull<u8> {
        self.allocate_at(Edge::End, size, purpose, object, zeroed)
    }

    /// The same, against the edge that is asked for.
    ///
    /// # Panics
    ///
    /// As above.
    pub fn allocate_at(
        &self,
        edge: Edge,
        size: usize,
        purpose: Purpose,
        object: ObjectId,
        zeroed: bool,
    ) -> NonNull<u8> {
        if let Some(compact) = &self.compact {
            return compact.allocate(size, purpose, object, zeroed);
        }
        let body = size.max(1).next_multiple_of(PAGE);
        let span = body + PAGE;
        let slot = self.take_slot(span);
        self.protect(slot, body, libc::PROT_READ | libc::PROT_WRITE);
        let aligned = if size.is_multiple_of(16) || size >= 16 {
            size.next_multiple_of(16)
        } else {
            size.next_multiple_of(8)
        };
        let start = match edge {
            Edge::End => slot + body - aligned.max(8),
            // The page before is untouchable: a guard page, or nobody's.
            Edge::Start => slot,
        };
        let head = start - slot;
        // SAFETY: [slot, slot + body) was just made readable and writable and belongs to nobody else; the three
        // ranges written lie inside it, as slot <= start and start + size <= slot + body.
        unsafe {
            std::ptr::write_bytes((start - head) as *mut u8, SLACK, head);
            std::ptr::write_bytes(
                start as *mut u8,
                if zeroed { 0 } else { UNINITIALISED },
                size,
            );
            std::ptr::write_bytes((start + size) as *mut u8, SLACK, slot + body - start - size);
        }
        self.blocks.borrow_mut().insert(Block {
            start,
            size,
            purpose,
            state: BlockState::Live,
            object,
            slot,
            span,
            guard: PAGE,
        });
        if matches!(purpose, Purpose::PagedPool(_)) {
            self.paged.borrow_mut().insert(slot);
        }
        self.live.set(self.live.get() + 1);
        self.live_span.set(self.live_span.get() + span);
        NonNull::new(start as *mut u8).expect("a block lies inside the region")
    }

    /// Makes a live block untouchable. The caller has looked it up and knows that it is live.
    pub fn free(&self, block: &Block) {
        if let Some(compact) = &self.compact {
            return compact.free(block);
        }
        self.paged.borrow_mut().remove(&block.slot);
        self.protect(block.slot, block.span - PAGE, libc::PROT_NONE);
        if let Some(entry) = self.blocks.borrow_mut().find_mut(block.slot) {
            entry.state = BlockState::Freed;
        }
        self.live.set(self.live.get() - 1);
        self.live_span.set(self.live_span.get() - block.span);
    }

    /// Brings paged pool in or takes it out: what forced IRQL checking does when the level rises to DISPATCH_LEVEL.
    pub(crate) fn set_paging(&self, paged_in: bool) {
        if self.paged_in.replace(paged_in) == paged_in {
            return;
        }
        let blocks = self.blocks.borrow();
        for block in self
            .paged
            .borrow()
            .iter()
            .filter_map(|&slot| blocks.find(slot))
        {
            self.set_touchable(block, paged_in);
        }
    }

    /// Makes a live block touchable or not; what is in it stays.
    pub(crate) fn set_touchable(&self, block: &Block, touchable: bool) {
        if self.compact.is_some() {
            return;
        }
        let protection = if touchable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_NONE
        };
        self.protect(block.slot, block.span - PAGE, protection);
    }

    /// Watches a live block until [`Arena::end_watch`].
    pub(crate) fn begin_watch(&self, block: &Block) {
        if self.compact.is_some() {
            return;
        }
        super::watch::begin(block.slot, block.span - PAGE);
    }

    /// Ends a watch, and says whether anybody touched the block; `None` if it was not watched.
    pub(crate) fn end_watch(&self, block: &Block) -> Option<bool> {
        super::watch::end(block.slot)
    }

    /// The block, alive or freed, whose pages (guard page included) hold `address`.
    pub fn find(&self, address: usize) -> Option<Block> {
        if let Some(compact) = &self.compact {
            return compact.find(address);
        }
        self.blocks.borrow().find(address).copied()
    }

    /// The block that begins exactly at `address`.
    pub fn find_exact(&self, address: usize) -> Option<Block> {
        self.find(address).filter(|block| block.start == address)
    }

    /// The block that an address outside every block was most likely meant for: the one that is nearest.
    pub fn nearest(&self, address: usize) -> Option<Block> {
        if let Some(compact) = &self.compact {
            return compact.find(address);
        }
        let blocks = self.blocks.borrow();
        let before = blocks.find(address).copied();
        // An underrun of a block that fills its pages meets the guard page of the one before.
        let next = address.checked_next_multiple_of(PAGE).and_then(|page| {
            blocks
                .within(page, PAGE + 1)
                .find(|block| block.slot >= address)
                .filter(|block| block.start - address <= PAGE)
                .copied()
        });
        match (before, next) {
            (Some(before), Some(next)) => {
                let behind = address.saturating_sub(before.start + before.size);
                let inside = address < before.slot + before.span - PAGE;
                Some(if inside || behind <= next.start - address {
                    before
                } else {
                    next
                })
            }
            (before, next) => before.or(next),
        }
    }

    /// Whether an address lies in the region.
    pub fn contains(&self, address: usize) -> bool {
        if let Some(compact) = &self.compact {
            return compact.contains(address);
        }
        (address.wrapping_sub(self.base.as_ptr() as usize)) < REGION
    }

    /// The blocks that are alive, by address.
    pub fn live_blocks(&self) -> Vec<Block> {
        if let Some(compact) = &self.compact {
            return compact.live_blocks();
        }
        let blocks = self.blocks.borrow();
        let live = blocks.all().filter(|block| block.state == BlockState::Live);
        let mut live: Vec<Block> = live.copied().collect();
        live.sort_unstable_by_key(|block| block.slot);
        live
    }

    /// How many blocks are alive.
    pub fn live(&self) -> usize {
        self.compact
            .as_ref()
            .map_or_else(|| self.live.get(), Compact::live)
    }

    /// Finds room for `span` bytes, walking round the region and forgetting the blocks freed longest ago.
    fn take_slot(&self, span: usize) -> usize {
        assert!(
            span < REGION,
            "a block of {span} bytes does not fit the region"
        );
        let base = self.base.as_ptr() as usize;
        let walk = REGION.min(WALK + 4 * (self.live_span.get() + span));
        let mut blocks = self.blocks.borrow_mut();
        for _ in 0..=blocks.len() + 1 {
            if self.next.get() + span > walk {
                self.next.set(PAGE);
            }
            let slot = base + self.next.get();
            // Freed blocks in the way are forgotten; a live one is stepped over.
            let live = blocks
                .within(slot, span)
                .filter(|block| block.state == BlockState::Live)
                .last();
            if let Some(live) = live {
                self.next.set(live.slot + live.span - base);
                continue;
            }
            blocks.remove_within(slot, span);
            self.next.set(slot + span - base);
            self.used.set(self.used.get().max(self.next.get()));
            return slot;
        }
        panic!(
            "no room for {span} bytes among {} live blocks",
            self.live.get()
        );
    }

    fn protect(&self, start: usize, len: usize, protection: i32) {
        // SAFETY: the range lies inside the region, which is ours alone; no Rust reference into it is kept by the
        // simulator across a call that frees, and the driver's own misuse is what the fault handler reports.
        let result = unsafe { libc::mprotect(start as *mut libc::c_void, len, protection) };
        assert!(
            result == 0,
            "mprotect failed: {}",
            std::io::Error::last_os_error()
        );
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Arena {
    /// Keeps the region for the next machine of this host thread: reserving one is dear when machines live for a millisecond.
    fn drop(&mut self) {
        if self.compact.is_some() {
            return;
        }
        super::watch::forget();
        let used = self.used.get();
        if used > 0 {
            self.protect(self.base.as_ptr() as usize, used, libc::PROT_NONE);
        }
        let mut blocks = self.blocks.replace(Pages::new(0, 0));
        blocks.clear();
        let kept = SPARE.try_with(|spare| match spare.take() {
            None => {
                spare.set(Some(Self::over(self.base, blocks)));
                true
            }
            other => {
                spare.set(other);
                false
            }
        });
        if kept != Ok(true) {
            // SAFETY: the region was mapped by `reserve` with this length, and the machine that used it is gone.
            unsafe { region::release(self.base, REGION) };
        }
    }
}

/// Looks for bytes written outside the block but inside its pages. Returns the address of the first such byte.
pub(crate) fn damage_at_free(block: &Block) -> Option<usize> {
    let end = block.slot + block.span - block.guard;
    let behind = block.start + block.size;
    // SAFETY: a live block's pages are readable; both ranges lie inside them, and nobody writes meanwhile.
    let (before, after) = unsafe {
        (
            std::slice::from_raw_parts(block.slot as *const u8, block.start - block.slot),
            std::slice::from_raw_parts(behind as *const u8, end - behind),
        )
    };
    // Both are shorter than a page. Comparing whole is what makes looking at so much cheap.
    let damage = |bytes: &[u8], at: usize| {
        if CLEAN.get(..bytes.len()) == Some(bytes) {
            return None;
        }
        bytes
            .iter()
            .position(|&byte| byte != SLACK)
            .map(|offset| at + offset)
    };
    damage(before, block.slot).or_else(|| damage(after, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_against_its_guard_page() {
        let arena = Arena::new();
        let block = arena.allocate(100, Purpose::Pool(*b"Test"), ObjectId(1), true);
        let found = arena
            .find_exact(block.as_ptr() as usize)
            .expect("the block is known");
        let end = found.start + found.size;
        assert_eq!(found.start % 16, 0);
        assert!(
            end.next_multiple_of(PAGE) - end < 16,
            "at most alignment lies between the end and the guard page"
        );
        assert_eq!(
            arena.find(end.next_multiple_of(PAGE)).map(|b| b.start),
            Some(found.start),
            "the guard page is its own"
        );
    }

    #[test]
    fn a_block_at_the_start_of_its_pages_has_a_page_before_it_that_cannot_be_touched() {
        let arena = Arena::new();
        for size in [1, 20, PAGE, PAGE + 1] {
            let block = arena.allocate_at(
                Edge::Start,
                size,
                Purpose::Pool(*b"Test"),
                ObjectId(1),
                true,
            );
            let start = block.as_ptr() as usize;
            assert_eq!(start % PAGE, 0);
            assert!(arena.contains(start - 1), "it is nobody else's");
            let before = arena.find(start - 1);
            assert!(before.is_none_or(|before| start > before.slot + before.span - PAGE));
            assert_eq!(
                arena.nearest(start - 1).map(|block| block.start),
                Some(start),
                "the byte before it is told as its own underrun"
            );
            let found = arena.find_exact(start).expect("the block is known");
            assert_eq!(damage_at_free(&found), None);
            if size % PAGE != 0 {
                // SAFETY: the byte behind the block lies in its last page.
                unsafe { *block.as_ptr().add(size) = 0 };
                assert_eq!(damage_at_free(&found), Some(start + size));
            }
        }
    }

    #[test]
    fn an_address_before_null_was_meant_for_no_block() {
        let arena = Arena::new();
        arena.allocate(8, Purpose::Object, ObjectId(1), true);
        assert!(arena.nearest(8usize.wrapping_neg()).is_none());
        assert!(arena.nearest(0).is_none());
    }

    #[test]
    fn damage_beside_a_block_is_seen_on_the_byte() {
        let arena = Arena::new();
        let block = arena.allocate(20, Purpose::PacketData, ObjectId(1), true);
        let found = arena
            .find_exact(block.as_ptr() as usize)
            .expect("the block is known");
        assert_eq!(damage_at_free(&found), None);
        // SAFETY: byte 20 of the block lies in its own page, in the alignment slack.
        unsafe { *block.as_ptr().add(20) = 0 };
        assert_eq!(damage_at_free(&found), Some(found.start + 20));
    }

    #[test]
    fn the_region_is_walked_round_without_touching_live_blocks() {
        let arena = Arena::new();
        let kept = arena.allocate(8, Purpose::Object, ObjectId(1), true);
        for _ in 0..(REGION / (2 * PAGE)) + 10 {
            let block = arena.allocate(8, Purpose::Object, ObjectId(2), true);
            assert_ne!(block, kept);
            arena.free(
                &arena
                    .find_exact(block.as_ptr() as usize)
                    .expect("just allocated"),
            );
        }
        assert_eq!(arena.live(), 1);
        assert_eq!(
            arena.find_exact(kept.as_ptr() as usize).map(|b| b.state),
            Some(BlockState::Live)
        );
    }
}
