//! Which block has a page of a region: one look-up, however many blocks there are. Every pointer that a driver hands in is looked
//! up here, so this is what a simulated call costs most often.

use super::arena::Block;
use super::arena::PAGE;

/// The blocks of a region, by the pages that they have.
pub(super) struct Pages {
    base: usize,
    /// For each page of the region, one more than the index in `blocks` of the block that has it; 0 if none has.
    owners: Vec<u32>,
    /// The blocks, in no order, and places that are free.
    blocks: Vec<Option<Block>>,
    free: Vec<u32>,
    /// Pages from here on never had an owner.
    used: usize,
}

impl Pages {
    /// A region of `length` bytes at `base` without blocks. Of the table nothing is committed until it is used.
    pub fn new(base: usize, length: usize) -> Self {
        Self {
            base,
            owners: vec![0; length / PAGE],
            blocks: Vec::new(),
            free: Vec::new(),
            used: 0,
        }
    }

    /// Forgets every block.
    pub fn clear(&mut self) {
        if let Some(used) = self.owners.get_mut(..self.used) {
            used.fill(0);
        }
        self.blocks.clear();
        self.free.clear();
        self.used = 0;
    }

    /// How many blocks there are.
    pub fn len(&self) -> usize {
        self.blocks.len() - self.free.len()
    }

    /// The page of an address.
    fn page(&self, address: usize) -> usize {
        address.wrapping_sub(self.base) / PAGE
    }

    /// Where the block of a page is kept.
    fn place(&self, page: usize) -> Option<usize> {
        (*self.owners.get(page)? as usize).checked_sub(1)
    }

    /// The block that has the page of an address.
    pub fn find(&self, address: usize) -> Option<&Block> {
        self.blocks.get(self.place(self.page(address))?)?.as_ref()
    }

    /// The same, to be changed.
    pub fn find_mut(&mut self, address: usize) -> Option<&mut Block> {
        let place = self.place(self.page(address))?;
        self.blocks.get_mut(place)?.as_mut()
    }

    /// The blocks that have pages of a range, by address.
    pub fn within(&self, start: usize, length: usize) -> impl Iterator<Item = &Block> {
        let end = start.saturating_add(length);
        let mut at = start;
        std::iter::from_fn(move || {
            while at < end {
                let block = self.find(at);
                at = block.map_or(at + PAGE, |block| block.slot + block.span);
                if block.is_some() {
                    return block;
                }
            }
            None
        })
    }

    /// Every block, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().flatten()
    }

    /// Adds a block. Its pages are nobody's.
    pub fn insert(&mut self, block: Block) {
        let place = self
            .free
            .pop()
            .map_or(self.blocks.len(), |place| place as usize);
        self.own(&block, place as u32 + 1);
        match self.blocks.get_mut(place) {
            Some(free) => *free = Some(block),
            None => self.blocks.push(Some(block)),
        }
    }

    /// Forgets the blocks that have pages of a range.
    pub fn remove_within(&mut self, start: usize, length: usize) {
        loop {
            let Some(block) = self.within(start, length).next().copied() else {
                return;
            };
            if let Some(place) = self.place(self.page(block.slot)) {
                self.blocks[place] = None;
                self.free.push(place as u32);
            }
            self.own(&block, 0);
        }
    }

    fn own(&mut self, block: &Block, owner: u32) {
        let first = self.page(block.slot);
        let end = first + block.span.div_ceil(PAGE);
        self.owners[first..end].fill(owner);
        self.used = self.used.max(end);
    }
}
