//! What a driver must leave as it is in the net buffer lists that it is given, and in those that it is made.

use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER;
use wfp_sys::ndis::NET_BUFFER_LIST;
use wfp_sys::ndis::WfpNetBufferListInfo;

use super::bytes::net_buffers;
use super::lists::Fate;
use super::lists::Kind;
use super::lists::List;
use super::next;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// What the filter engine keeps in its own slot of a list's NetBufferListInfo: a value that reads as a pointer.
pub(super) fn engine_mark(ledger: ObjectId) -> usize {
    0xFFFF_C000_0000_0000 + ledger.0 as usize * 0x40
}

/// Stops the machine if the filter engine's slot of a list was written.
pub(super) fn check_slot(kernel: &Kernel, list: *mut NET_BUFFER_LIST, function: &str) {
    let Some((mark, ledger)) = kernel
        .ndis
        .with(list, |list| {
            (list.fate != Fate::Injected).then_some((list.mark, list.ledger))
        })
        .flatten()
    else {
        return;
    };
    // SAFETY: the list is known and alive, and its memory is not guarded.
    let found = unsafe { (*list).NetBufferListInfo[WfpNetBufferListInfo] as usize };
    if found != mark {
        let summary = format!(
            "{function} found NetBufferListInfo[{WfpNetBufferListInfo}] of the list changed from {mark:#x} to {found:#x}; \
             the filter engine keeps its own there"
        );
        let parameters = [list as u64, mark as u64, found as u64, 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-32", parameters, summary).about(kernel, ledger),
        );
    }
}

/// The bytes of one block of packet data, as a number.
fn fingerprint(start: usize, size: usize) -> u64 {
    // SAFETY: the block is live packet data of this size.
    let bytes = unsafe { std::slice::from_raw_parts(start as *const u8, size) };
    let mix = |sum: u64, word: u64| {
        (sum ^ word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(size as u64, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    rest.iter()
        .fold(sum, |sum, &byte| mix(sum, u64::from(byte)))
}

/// Remembers what the packet data of an original is.
pub(super) fn remember_content(kernel: &Kernel, record: &mut List) {
    let blocks = record.blocks.iter().filter_map(|&start| {
        let block = kernel.arena.find_exact(start)?;
        (block.purpose == Purpose::PacketData).then(|| {
            (
                block.start,
                block.size,
                fingerprint(block.start, block.size),
            )
        })
    });
    record.content = blocks.collect();
}

/// Stops the machine if bytes of an original were written, which everybody who sees the packet shares. Of a clone it
/// is the original that is looked at.
pub(crate) fn check_content(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    let mut original = list as usize;
    while let Some(Kind::Clone { parent }) =
        kernel.ndis.with(original as *const _, |list| list.kind)
    {
        original = parent;
    }
    let changed = kernel.ndis.with(original as *const _, |list| {
        changed_block(list).map(|start| (list.ledger, start))
    });
    if let Some((ledger, start)) = changed.flatten() {
        content_changed(kernel, original, ledger, start);
    }
}

/// The first block of packet data that is not what it was.
pub(super) fn changed_block(list: &List) -> Option<usize> {
    let mut blocks = list.content.iter();
    blocks
        .find(|&&(start, size, was)| fingerprint(start, size) != was)
        .map(|&(start, ..)| start)
}

pub(super) fn content_changed(kernel: &Kernel, list: usize, ledger: ObjectId, start: usize) -> ! {
    let summary = format!(
        "bytes of the original at {start:#x} were written; a clone shares them with the original, and so does whoever else sees the packet"
    );
    kernel.bug_check(
        Violation::contract(kernel, "A-35", [list as u64, start as u64, 0, 0], summary)
            .about(kernel, ledger),
    )
}

/// The MDLs of a buffer, in order.
pub(super) fn chain(buffer: *const NET_BUFFER) -> Vec<usize> {
    let mut found = Vec::new();
    // SAFETY: the buffer is alive; a driver that broke its chain faults here.
    let mut mdl: *mut MDL = unsafe { (*buffer).MdlChain };
    while !mdl.is_null() && found.len() < 4096 {
        found.push(mdl as usize);
        mdl = next(mdl);
    }
    found
}

/// Stops the machine if a clone is freed with other MDLs than NDIS gave it.
pub(crate) fn check_chains(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    let Some(expected) = kernel.ndis.with(list, |list| {
        let with_shifts = list.chains.iter().map(|(buffer, chain)| {
            let added = list
                .shifts
                .iter()
                .rev()
                .filter(|shift| shift.buffer == *buffer);
            let in_front = added.filter_map(|shift| shift.added.map(|[_, mdl]| mdl));
            (
                *buffer,
                in_front.chain(chain.iter().copied()).collect::<Vec<_>>(),
            )
        });
        with_shifts.collect::<Vec<_>>()
    }) else {
        return;
    };
    for (buffer, mdls) in expected {
        let found = chain(buffer as *const NET_BUFFER);
        if found != mdls {
            let foreign = found.iter().find(|mdl| !mdls.contains(mdl)).copied();
            let summary = match foreign {
                Some(mdl) => format!(
                    "a clone was freed with an MDL at {mdl:#x} in its chain that the driver had put there; NDIS frees it as its own"
                ),
                None => "a clone was freed with MDLs missing from its chain, which nobody frees"
                    .to_owned(),
            };
            let parameters = [list as u64, foreign.unwrap_or(0) as u64, 0, 0];
            kernel.bug_check(
                Violation::contract(kernel, "A-38", parameters, summary).about(kernel, ledger),
            );
        }
    }
}

/// Stops the machine if a clone shows more bytes than the packet has: what lies behind them in the MDL is the trailer that
/// IPsec left.
pub(crate) fn check_lengths(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    let expected = kernel.ndis.with(list, |list| {
        let lengths = list.lengths.iter().map(|&(buffer, length)| {
            let shifts = list.shifts.iter().filter(|shift| shift.buffer == buffer);
            (
                buffer,
                shifts.fold(length, |length, shift| {
                    // What was advanced shows less.
                    if shift.forward {
                        length.saturating_sub(shift.delta)
                    } else {
                        length + shift.delta
                    }
                }),
            )
        });
        lengths.collect::<Vec<_>>()
    });
    for (buffer, length) in expected.unwrap_or_default() {
        // SAFETY: the clone and its buffers are alive.
        let found = unsafe { (*(buffer as *const NET_BUFFER)).DataLength };
        if found > length {
            let summary = format!(
                "a clone of {length} bytes shows {found}: the length was taken from an MDL, which holds more than the packet"
            );
            let parameters = [list as u64, u64::from(length), u64::from(found), 0];
            kernel.bug_check(
                Violation::contract(kernel, "A-26", parameters, summary).about(kernel, ledger),
            );
        }
    }
}

/// Stops the machine if what a buffer says of itself does not fit together (B-11).
pub(crate) fn check_shape(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    for buffer in net_buffers(list) {
        if let Some(wrong) = misshapen(buffer) {
            let summary = format!("the NET_BUFFER at {buffer:p} is inconsistent: {wrong}");
            let parameters = [list as u64, buffer as u64, 0, 0];
            kernel.bug_check(
                Violation::contract(kernel, "B-11", parameters, summary).about(kernel, ledger),
            );
        }
    }
}

impl super::State {
    /// Whether a clone's data begins in an MDL that a retreat of the clone itself put in front, and nobody wrote it.
    pub(crate) fn begins_in_own_front(&self, list: *mut NET_BUFFER_LIST) -> bool {
        let first = net_buffers(list).first().copied();
        let Some(buffer) = first else { return false };
        // SAFETY: the clone and its chain are alive.
        let current = unsafe { (*buffer).CurrentMdl as usize };
        self.with(list, |list| {
            let mut added = list.shifts.iter().filter_map(|shift| shift.added);
            added.any(|[_, mdl]| mdl == current)
        }) == Some(true)
    }
}

fn misshapen(buffer: *const NET_BUFFER) -> Option<&'static str> {
    let chain = chain(buffer);
    // SAFETY: the buffer is alive.
    let buffer = unsafe { &*buffer };
    // SAFETY: MDLs of the chain were read already.
    let count = |mdl: usize| u64::from(unsafe { (*(mdl as *const MDL)).ByteCount });
    let total: u64 = chain.iter().map(|&mdl| count(mdl)).sum();
    let (offset, length) = (u64::from(buffer.DataOffset), u64::from(buffer.DataLength));
    if offset + length > total {
        return Some("DataOffset and DataLength reach behind the MDL chain");
    }
    let current = buffer.CurrentMdl as usize;
    let Some(position) = chain.iter().position(|&mdl| mdl == current) else {
        return (!chain.is_empty()).then_some("CurrentMdl is not in MdlChain");
    };
    let before: u64 = chain[..position].iter().map(|&mdl| count(mdl)).sum();
    if before + u64::from(buffer.CurrentMdlOffset) != offset {
        return Some("CurrentMdl and CurrentMdlOffset are not where DataOffset is");
    }
    if length > 0 && u64::from(buffer.CurrentMdlOffset) >= count(current) {
        return Some("CurrentMdlOffset lies behind CurrentMdl");
    }
    None
}

#[cfg(test)]
mod tests;
