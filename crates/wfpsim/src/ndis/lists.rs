//! What is known of each net buffer list: who owns it, who holds it, and when it goes.

use std::ptr::NonNull;

use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::build::allocate_list;
use super::build::fill_mdl;
use super::build::link;
use super::net_buffers;
use super::next;
use super::offsets::recompute_current;
use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::memory::BlockState;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

/// Where a list came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Made by the stack.
    Original,
    /// Made by FwpsAllocateCloneNetBufferList0 from the list at this address.
    Clone { parent: usize },
    /// Made by a driver over its own MDLs, from this pool (FwpsAllocateNetBufferAndNetBufferList0).
    Made { pool: usize },
}

/// Who has a list now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The stack, which will free an original when it is done with it.
    Stack,
    /// An original that was absorbed or delivered: it goes when nothing refers to it any more.
    Done,
    /// A clone that the driver owns.
    Driver,
    /// A clone that was injected: the stack's until its completion function is called.
    Injected,
}

/// A retreat, or an advance that came first, that has not been undone.
pub(super) struct Shift {
    pub buffer: usize,
    pub delta: u32,
    /// Whether it is an advance: a driver that looks behind a header in a classify goes forward first.
    pub forward: bool,
    /// Who did it.
    pub thread: ThreadId,
    /// Blocks of the MDL that it put in front, if there was no room.
    pub added: Option<[usize; 2]>,
}

/// One net buffer list.
pub(crate) struct List {
    pub kind: Kind,
    pub fate: Fate,
    pub ledger: ObjectId,
    /// The simulator's packets in it, one a NET_BUFFER.
    pub packets: Vec<u64>,
    /// References by FwpsReferenceNetBufferList0 that were not given back.
    pub references: u32,
    /// Whether it was ever referenced, and how many turns the driver's threads had had then.
    pub taken: Option<u64>,
    /// The layer that it was first referenced at.
    pub taken_at: Option<u16>,
    /// Whether the driver's unload had begun when it was referenced last (C-50).
    pub taken_late: bool,
    /// Whether the adapter put it together of several datagrams (URO, A-10).
    pub coalesced: bool,
    /// Clones made of it that were not freed.
    pub children: u32,
    /// Arena blocks that go with it.
    pub blocks: Vec<usize>,
    /// Retreats that were not undone.
    pub(super) shifts: Vec<Shift>,
    /// The injection handle that injected it last, and those before.
    pub injected_by: Vec<u64>,
    /// What the driver gave with each of those injections.
    injection_contexts: Vec<u64>,
}

impl List {
    pub(super) fn new(kind: Kind, ledger: ObjectId) -> Self {
        Self {
            kind,
            fate: if kind == Kind::Original {
                Fate::Stack
            } else {
                Fate::Driver
            },
            ledger,
            packets: Vec::new(),
            references: 0,
            taken: None,
            taken_at: None,
            taken_late: false,
            coalesced: false,
            children: 0,
            blocks: Vec::new(),
            shifts: Vec::new(),
            injected_by: Vec::new(),
            injection_contexts: Vec::new(),
        }
    }
}

impl List {
    /// Notes an injection, with the context that came with it.
    pub fn mark_injected(&mut self, handle: u64, context: u64) {
        self.injection_contexts.resize(self.injected_by.len(), 0);
        self.injected_by.push(handle);
        self.injection_contexts.push(context);
    }

    /// Takes over the injections of the list that this one was made from.
    pub fn inherit_injections(&mut self, from: &Self) {
        self.injected_by.clone_from(&from.injected_by);
        self.injection_contexts.clone_from(&from.injection_contexts);
    }

    /// The context of the last injection by a handle, 0 if there was none.
    pub fn injection_context(&self, handle: u64) -> u64 {
        let last = self.injected_by.iter().rposition(|&by| by == handle);
        last.and_then(|index| self.injection_contexts.get(index))
            .copied()
            .unwrap_or(0)
    }

    /// Whether a thread other than `thread` has retreated it and not advanced it again.
    pub fn is_shifted_by_other(&self, thread: ThreadId) -> bool {
        self.shifts.iter().any(|shift| shift.thread != thread)
    }
}

impl super::State {
    /// A fresh number for a packet.
    pub(crate) fn number_packet(&self) -> u64 {
        self.next_packet.set(self.next_packet.get() + 1);
        self.next_packet.get()
    }

    /// Lets a list take over the injections of the one that its packets came down in.
    pub(crate) fn take_over_injections(
        &self,
        list: *const NET_BUFFER_LIST,
        from: *const NET_BUFFER_LIST,
    ) {
        let mut lists = self.lists.borrow_mut();
        let Some(from) = lists
            .remove(&(from as usize))
            .map(|record| (from as usize, record))
        else {
            return;
        };
        if let Some(list) = lists.get_mut(&(list as usize)) {
            list.inherit_injections(&from.1);
        }
        lists.insert(from.0, from.1);
    }

    /// Looks at a list.
    pub(crate) fn with<R>(
        &self,
        list: *const NET_BUFFER_LIST,
        look: impl FnOnce(&List) -> R,
    ) -> Option<R> {
        self.lists.borrow().get(&(list as usize)).map(look)
    }

    /// Changes a list.
    pub(crate) fn with_mut<R>(
        &self,
        list: *const NET_BUFFER_LIST,
        change: impl FnOnce(&mut List) -> R,
    ) -> Option<R> {
        self.lists
            .borrow_mut()
            .get_mut(&(list as usize))
            .map(change)
    }

    /// Every list that something of the driver's still keeps alive: references, clones; and whether it was taken when unload had
    /// begun.
    pub(crate) fn kept(&self) -> Vec<(ObjectId, u32, bool, bool)> {
        let lists = self.lists.borrow();
        let kept = lists
            .values()
            .filter(|list| list.references > 0 || matches!(list.kind, Kind::Clone { .. }));
        kept.map(|list| {
            (
                list.ledger,
                list.references,
                matches!(list.kind, Kind::Clone { .. }),
                list.taken_late,
            )
        })
        .collect()
    }
}

impl super::State {
    /// The stack's own lists that a reference or a clone of the driver's still keeps alive, with the packets in each.
    pub(crate) fn kept_originals(&self) -> Vec<(ObjectId, Vec<u64>)> {
        let lists = self.lists.borrow();
        let kept = lists.values().filter(|list| {
            list.kind == Kind::Original && (list.references > 0 || list.children > 0)
        });
        kept.map(|list| (list.ledger, list.packets.clone()))
            .collect()
    }
}

/// Looks a list up for a function of the platform, or stops the machine with what a driver's mistake with it would bring.
pub(crate) fn require(
    kernel: &Kernel,
    function: &str,
    list: *mut NET_BUFFER_LIST,
    rule: &'static str,
) -> ObjectId {
    if let Some(ledger) = kernel.ndis.with(list, |list| list.ledger) {
        return ledger;
    }
    let address = list as usize;
    if let Some(block) = kernel
        .arena
        .find_exact(address)
        .filter(|block| block.state == BlockState::Freed)
    {
        let summary = format!(
            "{function} was given a NET_BUFFER_LIST at {address:#x} that was freed already"
        );
        let violation = Violation::new(
            kernel,
            code::BAD_POOL_CALLER,
            [7, 0, 0, address as u64],
            rule,
            summary,
        );
        kernel.bug_check(violation.about(kernel, block.object));
    }
    // WFP reads its own slot of NetBufferListInfo first: the offset that OSR 292860 shows.
    let touched = address.wrapping_add(0xE0) as u64;
    let summary = format!("{function} was given {list:p}, which is no NET_BUFFER_LIST");
    let parameters = [touched, u64::from(kernel.irql()), 0, 0];
    kernel.bug_check(Violation::new(
        kernel,
        code::DRIVER_IRQL_NOT_LESS_OR_EQUAL,
        parameters,
        rule,
        summary,
    ))
}

/// Stops the machine if the driver touches a list that is the stack's.
pub(super) fn require_usable(kernel: &Kernel, function: &str, list: usize) {
    let (fate, ledger) = match kernel.ndis.lists.borrow().get(&list) {
        Some(list) => (list.fate, list.ledger),
        None => return,
    };
    // Shown to callouts again on its way, it is theirs to look at as any other.
    if fate == Fate::Injected && !kernel.fwp.is_classified_here(kernel, list) {
        let summary = format!(
            "{function} was called on a list that was injected and belongs to the stack until it completes"
        );
        kernel.bug_check(
            Violation::contract(kernel, "A-43", [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}

/// Clones a list: new structures over the same bytes, from each buffer's data start on (A-36, B-10).
pub(crate) fn clone_list(
    kernel: &Kernel,
    original: *mut NET_BUFFER_LIST,
) -> NonNull<NET_BUFFER_LIST> {
    let ledger = kernel
        .ledger
        .begin(format!("clone of NET_BUFFER_LIST {original:p}"));
    let buffers = net_buffers(original);
    let stretches: Vec<(Vec<(*mut u8, u32)>, u32)> =
        buffers.iter().map(|&buffer| stretches(buffer)).collect();
    let mdls = stretches.iter().map(|(stretches, _)| stretches.len()).sum();
    let (clone, copies, mut mdls) = allocate_list(kernel, ledger, buffers.len(), mdls);
    let mut record = List::new(
        Kind::Clone {
            parent: original as usize,
        },
        ledger,
    );
    record.blocks.push(clone.as_ptr() as usize);
    for ((stretches, length), &to) in stretches.iter().zip(&copies) {
        let chain: Vec<*mut MDL> = mdls.by_ref().take(stretches.len()).collect();
        for (&mdl, &(data, size)) in chain.iter().zip(stretches) {
            fill_mdl(mdl, data, size);
        }
        link(&chain);
        // SAFETY: the copy was just allocated.
        unsafe {
            (*to).MdlChain = chain.first().copied().unwrap_or(std::ptr::null_mut());
            (*to).DataLength = *length;
            (*to).DataOffset = 0;
        }
        recompute_current(to);
    }
    // SAFETY: both lists are alive.
    unsafe {
        (*clone.as_ptr()).ParentNetBufferList = original;
        (*clone.as_ptr()).NblFlags = (*original).NblFlags;
        (*original).ChildRefCount += 1;
    }
    if let Some(parent) = kernel.ndis.lists.borrow_mut().get_mut(&(original as usize)) {
        parent.children += 1;
        record.packets.clone_from(&parent.packets);
        record.inherit_injections(parent);
        (record.taken_at, record.coalesced) = (parent.taken_at, parent.coalesced);
    }
    if let Some(ledger) = kernel.ndis.with(original, |list| list.ledger) {
        kernel.note(ledger, format!("cloned as {:p}", clone.as_ptr()));
    }
    kernel.note(ledger, "made");
    kernel
        .ndis
        .lists
        .borrow_mut()
        .insert(clone.as_ptr() as usize, record);
    clone
}

/// The memory that a buffer's data lies in, piece by piece, and how much that is in all.
fn stretches(buffer: *mut NET_BUFFER) -> (Vec<(*mut u8, u32)>, u32) {
    let mut found = Vec::new();
    // SAFETY: the original's buffers and chains are alive; a driver that broke them faults here.
    let (mut mdl, mut offset, length) = unsafe {
        (
            (*buffer).CurrentMdl,
            (*buffer).CurrentMdlOffset,
            (*buffer).DataLength,
        )
    };
    let mut left = length;
    while left > 0 && !mdl.is_null() {
        // SAFETY: as above.
        let (data, size) = unsafe { ((*mdl).MappedSystemVa.cast::<u8>(), (*mdl).ByteCount) };
        if offset < size {
            let take = left.min(size - offset);
            found.push((data.wrapping_add(offset as usize), take));
            left -= take;
        }
        offset = offset.saturating_sub(size);
        mdl = next(mdl);
    }
    (found, length - left)
}

/// Frees a clone that the driver owns, and the original if that was all that kept it.
pub(crate) fn free_clone(kernel: &Kernel, clone: *mut NET_BUFFER_LIST) {
    let Some(record) = kernel.ndis.lists.borrow_mut().remove(&(clone as usize)) else {
        return;
    };
    let Kind::Clone { parent } = record.kind else {
        return;
    };
    free_blocks(kernel, &record);
    let parent = parent as *mut NET_BUFFER_LIST;
    if kernel
        .ndis
        .with_mut(parent, |list| list.children -= 1)
        .is_some()
    {
        // SAFETY: the parent is alive: it is in the table.
        unsafe { (*parent).ChildRefCount -= 1 };
        release_if_done(kernel, parent);
    }
}

/// Frees an original that is done with when neither a reference nor a clone keeps it.
pub(crate) fn release_if_done(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    let done = kernel.ndis.with(list, |list| {
        list.kind == Kind::Original
            && list.fate == Fate::Done
            && list.references == 0
            && list.children == 0
    });
    if done != Some(true) {
        return;
    }
    // Taken out in a statement of its own: no borrow may be alive where the machine can stop.
    let record = kernel.ndis.lists.borrow_mut().remove(&(list as usize));
    if let Some(record) = record {
        if let Some(shift) = record.shifts.last() {
            let summary = format!(
                "an original went back to the stack retreated by {} bytes",
                shift.delta
            );
            let parameters = [list as u64, u64::from(shift.delta), 0, 0];
            kernel.bug_check(
                Violation::contract(kernel, "A-25", parameters, summary)
                    .about(kernel, record.ledger),
            );
        }
        free_blocks(kernel, &record);
    }
}

pub(super) fn free_blocks(kernel: &Kernel, record: &List) {
    // What a retreat put in front and no advance took away goes with the list: a clone may be freed like that.
    let in_front = record.shifts.iter().filter_map(|shift| shift.added);
    let blocks: Vec<usize> = record
        .blocks
        .iter()
        .copied()
        .chain(in_front.flatten())
        .collect();
    crate::nt::free_blocks(kernel, &blocks, "freed");
}
