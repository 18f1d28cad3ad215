//! What is known of each net buffer list: who owns it, who holds it, and when it goes.

use wfp_sys::ndis::NET_BUFFER;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::checks::changed_block;
use super::checks::check_slot;
use super::checks::content_changed;
use super::past::Past;
use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::machine::Time;
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
    /// Since when it has been referenced without a break.
    pub held_since: Option<Time>,
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
    /// What has become of it.
    pub past: Past,
    /// What the filter engine keeps in its slot.
    pub(super) mark: usize,
    /// Blocks of packet data of an original: start, size, and what they hold.
    pub(super) content: Vec<(usize, usize, u64)>,
    /// Of a clone, the MDLs of each buffer as NDIS made them.
    pub(super) chains: Vec<(usize, Vec<usize>)>,
    /// Of a clone, how long each buffer's data was.
    pub(super) lengths: Vec<(usize, u32)>,
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
            held_since: None,
            children: 0,
            blocks: Vec::new(),
            shifts: Vec::new(),
            injected_by: Vec::new(),
            injection_contexts: Vec::new(),
            past: Past::default(),
            mark: 0,
            content: Vec::new(),
            chains: Vec::new(),
            lengths: Vec::new(),
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

    /// A buffer of a clone has a chain of its own now, of one MDL: what was put in front of the old one before stays the clone's
    /// until it goes.
    pub fn remade(&mut self, buffer: *mut NET_BUFFER, blocks: [usize; 2], length: u32) {
        let at = buffer as usize;
        let (gone, kept) = self.shifts.drain(..).partition(|shift| shift.buffer == at);
        self.shifts = kept;
        let gone: Vec<Shift> = gone;
        let added = gone.into_iter().filter_map(|shift| shift.added);
        self.blocks.extend(added.flatten().chain(blocks));
        for (of, chain) in &mut self.chains {
            if *of == at {
                *chain = vec![blocks[1]];
            }
        }
        for (of, known) in &mut self.lengths {
            if *of == at {
                *known = length;
            }
        }
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

    /// Time has passed in which nobody could have given anything back.
    pub(crate) fn excuse(&self, time: Time) {
        for list in self.lists.borrow_mut().values_mut() {
            list.past.held_since = list.past.held_since.map(|since| since + time);
        }
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

    /// The lists that are referenced, and since when.
    pub(crate) fn held_since(&self) -> Vec<(ObjectId, Time)> {
        let lists = self.lists.borrow();
        let held = lists.values().filter(|list| list.references > 0);
        held.filter_map(|list| Some((list.ledger, list.held_since?)))
            .collect()
    }

    /// Every list that something of the driver's still keeps alive: references, clones.
    pub(crate) fn kept(&self) -> Vec<HeldList> {
        let lists = self.lists.borrow();
        let kept = lists
            .values()
            .filter(|list| list.references > 0 || matches!(list.kind, Kind::Clone { .. }));
        kept.map(|list| HeldList {
            object: list.ledger,
            references: list.references,
            reference: if list.taken_late {
                "C-50"
            } else if list.past.pend_failed {
                // What was taken for a pend that failed is given back there.
                "A-70"
            } else {
                "A-28"
            },
            clone: matches!(list.kind, Kind::Clone { .. }).then(|| list.past.who_frees()),
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

/// A list that something of the driver's keeps alive.
pub(crate) struct HeldList {
    pub object: ObjectId,
    pub references: u32,
    /// The rule by which its references should have been given back.
    pub reference: &'static str,
    /// Of a clone, the rule by which it should have been freed.
    pub clone: Option<&'static str>,
}

/// Looks a list up for a function of the platform, or stops the machine with what a driver's mistake with it would bring.
pub(crate) fn require(
    kernel: &Kernel,
    function: &str,
    list: *mut NET_BUFFER_LIST,
    rule: &'static str,
) -> ObjectId {
    if let Some(ledger) = kernel.ndis.with(list, |list| list.ledger) {
        check_slot(kernel, list, function);
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
        // What it was freed for tells more than what it is used for now.
        let rule = match (kernel.ledger.late_rule(block.object), rule) {
            (Some("A-43"), "A-39" | "A-45") => "A-42",
            (_, "A-28") | (None, _) => rule,
            (Some(late), _) => late,
        };
        let violation = Violation::new(
            kernel,
            code::BAD_POOL_CALLER,
            [7, 0, 0, address as u64],
            rule,
            summary,
        );
        kernel.bug_check(violation.about(kernel, block.object));
    }
    check_copy(kernel, function, address);
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

/// A driver that copies a NET_BUFFER_LIST has one that NDIS knows nothing of (B-12).
fn check_copy(kernel: &Kernel, function: &str, address: usize) {
    let in_block = kernel.arena.find(address).is_some_and(|block| {
        block.state == BlockState::Live
            && address + size_of::<NET_BUFFER_LIST>() <= block.start + block.size
    });
    if !in_block || !address.is_multiple_of(align_of::<NET_BUFFER_LIST>()) {
        return;
    }
    // SAFETY: the address lies in a live block with room for a list behind it.
    let first = unsafe { (*(address as *const NET_BUFFER_LIST)).FirstNetBuffer };
    let of = kernel.arena.find(first as usize).and_then(|block| {
        kernel
            .ndis
            .with(block.start as *const _, |list| list.ledger)
    });
    if let Some(of) = of {
        let summary = format!(
            "{function} was given {address:#x}, which is the driver's own copy of a NET_BUFFER_LIST: the size of the structure is NDIS's, and only NDIS makes one"
        );
        let parameters = [address as u64, first as u64, 0, 0];
        kernel
            .bug_check(Violation::contract(kernel, "B-12", parameters, summary).about(kernel, of));
    }
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
        if let Some(start) = changed_block(&record) {
            content_changed(kernel, list as usize, record.ledger, start);
        }
        // Whoever still has a pointer to it never had a reference, or has given it back.
        let late = if record.taken.is_none() {
            "A-27"
        } else {
            "A-28"
        };
        kernel.ledger.set_late_rule(record.ledger, late);
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
