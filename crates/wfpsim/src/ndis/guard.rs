//! Memory of lists that is not the driver's for a while, or not any more where it was.

use wfp_sys::ndis::NET_BUFFER_LIST;

use super::lists::Fate;
use crate::machine::Kernel;
use crate::memory::Block;
use crate::verifier::ObjectId;

/// Makes a clone that was injected untouchable until the stack gets to it.
pub(crate) fn guard(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    set(kernel, list as usize, true);
}

/// Lets the stack at a clone that was injected.
pub(crate) fn unguard(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    set(kernel, list as usize, false);
}

fn set(kernel: &Kernel, start: usize, guarded: bool) {
    let mut all = kernel.ndis.guarded.borrow_mut();
    let changed = if guarded {
        all.insert(start)
    } else {
        all.remove(&start)
    };
    if changed && let Some(block) = kernel.arena.find_exact(start) {
        kernel.arena.set_touchable(&block, !guarded);
    }
}

/// Whether the block that begins here is a clone that the stack has.
pub(crate) fn is_guarded(kernel: &Kernel, start: usize) -> bool {
    kernel.ndis.guarded.borrow().contains(&start)
}

/// Changes a list of the driver's on NDIS's behalf, whoever has it.
pub(super) fn touch(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    change: impl FnOnce(*mut NET_BUFFER_LIST),
) {
    let guarded = is_guarded(kernel, list as usize);
    if guarded {
        unguard(kernel, list);
    }
    change(list);
    if guarded && kernel.ndis.with(list, |list| list.fate) == Some(Fate::Injected) {
        guard(kernel, list);
    }
}

/// How many blocks are remembered that were taken away.
const TAKEN_KEPT: usize = 1024;

/// A block of a list that lives on, which was taken away.
pub(super) struct Taken {
    start: usize,
    object: ObjectId,
    /// What a touch of it breaks.
    rule: &'static str,
}

/// Remembers blocks of a list that lives on, which are gone: a touch of them breaks this rule. Those that were taken first are
/// forgotten first.
pub(super) fn remember_taken(kernel: &Kernel, blocks: &[usize], rule: &'static str) {
    let known = blocks.iter().filter_map(|&start| {
        let block = kernel.arena.find_exact(start)?;
        Some(Taken {
            start,
            object: block.object,
            rule,
        })
    });
    let mut taken = kernel.ndis.taken_away.borrow_mut();
    taken.extend(known);
    let excess = taken.len().saturating_sub(TAKEN_KEPT);
    taken.drain(..excess);
}

/// The rule that a touch of this freed block breaks, if its list lives on without it: its bytes are elsewhere, or an
/// advance took away what a retreat had put in front (B-04).
pub(crate) fn rule_of_taken(kernel: &Kernel, block: &Block) -> Option<&'static str> {
    let taken = kernel.ndis.taken_away.borrow();
    // Another list's block may stand there by now.
    let mut of_block = taken
        .iter()
        .filter(|taken| (taken.start, taken.object) == (block.start, block.object));
    of_block.next_back().map(|taken| taken.rule)
}
