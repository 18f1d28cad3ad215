//! Moving the start of a net buffer's data.

use wfp_sys::ndis::NET_BUFFER;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::build::attach_mdl;
use super::bytes::net_buffers;
use super::guard::remember_taken;
use super::lists::Fate;
use super::lists::Kind;
use super::lists::List;
use super::lists::Shift;
use super::next;
use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// More than the headers and the data of any packet; a delta beyond it is a number that went wrong.
const LONGEST: u32 = 1 << 20;

/// Sets CurrentMdl and CurrentMdlOffset from MdlChain and DataOffset (B-11).
pub(crate) fn recompute_current(buffer: *mut NET_BUFFER) {
    // SAFETY: the buffer and its chain are alive; a driver that broke them faults here.
    unsafe {
        let mut mdl = (*buffer).MdlChain;
        let mut offset = (*buffer).DataOffset;
        while !mdl.is_null() && offset >= (*mdl).ByteCount && !next(mdl).is_null() {
            offset -= (*mdl).ByteCount;
            mdl = next(mdl);
        }
        (*buffer).CurrentMdl = mdl;
        (*buffer).CurrentMdlOffset = offset;
    }
}

/// Moves the data start towards the front. Where there is no room, an MDL of `delta` bytes (and what is left of them beside
/// the room) is put in front, and its blocks are returned.
pub(crate) fn retreat(
    kernel: &Kernel,
    ledger: ObjectId,
    buffer: *mut NET_BUFFER,
    delta: u32,
    backfill: u32,
) -> Option<[usize; 2]> {
    // SAFETY: the caller vouches for the buffer.
    let room = unsafe { (*buffer).DataOffset };
    let added = if room >= delta {
        // SAFETY: as above.
        unsafe { (*buffer).DataOffset = room - delta };
        None
    } else {
        let blocks = attach_mdl(kernel, ledger, buffer, delta - room + backfill);
        // SAFETY: as above.
        unsafe { (*buffer).DataOffset = backfill };
        Some(blocks)
    };
    // SAFETY: as above.
    unsafe { (*buffer).DataLength = (*buffer).DataLength.wrapping_add(delta) };
    recompute_current(buffer);
    added
}

/// Moves the data start towards the end, and takes away the MDL that the matching retreat put in front. Where a driver has written
/// numbers of its own into the buffer, what comes of them may be any; a driver's next retreat, clone or injection is told of it (B-11).
pub(crate) fn advance(
    kernel: &Kernel,
    buffer: *mut NET_BUFFER,
    delta: u32,
    added: Option<[usize; 2]>,
) {
    // SAFETY: the caller vouches for the buffer.
    unsafe {
        (*buffer).DataOffset = (*buffer).DataOffset.wrapping_add(delta);
        (*buffer).DataLength = (*buffer).DataLength.wrapping_sub(delta);
    }
    if let Some([data, mdl]) = added {
        // SAFETY: the MDL was put in front by the matching retreat, and nothing was put before it since: the shifts of a
        // buffer are a stack.
        unsafe {
            let first = (*buffer).MdlChain;
            (*buffer).DataOffset = (*buffer).DataOffset.wrapping_sub((*first).ByteCount);
            (*buffer).MdlChain = next(first);
        }
        crate::nt::free_some(
            kernel,
            &[data, mdl],
            "the MDL that a retreat had put in front was freed",
        );
        remember_taken(kernel, &[data, mdl], "B-04");
    }
    recompute_current(buffer);
}

/// The list that a buffer belongs to: both lie in one block.
fn list_of(kernel: &Kernel, function: &str, buffer: *mut NET_BUFFER) -> usize {
    // SAFETY: the driver's pointer; one into freed memory faults here and is reported as what it is.
    let _touched = unsafe { std::ptr::read_volatile(&raw const (*buffer).DataOffset) };
    let list = kernel
        .arena
        .find(buffer as usize)
        .map(|block| block.start)
        .filter(|start| kernel.ndis.lists.borrow().contains_key(start))
        // The list's block holds the list itself and MDLs too.
        .filter(|&start| net_buffers(start as *const NET_BUFFER_LIST).contains(&buffer));
    match list {
        Some(list) => list,
        None => {
            let summary = format!(
                "{function} was given {buffer:p}, which is no NET_BUFFER of a list known to NDIS"
            );
            kernel.bug_check(Violation::contract(
                kernel,
                "B-01",
                [buffer as u64, 0, 0, 0],
                summary,
            ))
        }
    }
}

pub(super) fn driver_retreat(
    kernel: &Kernel,
    buffer: *mut NET_BUFFER,
    delta: u32,
    backfill: u32,
    _allocate: usize,
) -> i32 {
    let list = list_of(kernel, "NdisRetreatNetBufferDataStart", buffer);
    if crate::fwp::is_absent_number(delta) {
        let summary = "NdisRetreatNetBufferDataStart was asked for the size of a header that the metadata do not tell; its bit is not set";
        let parameters = [list as u64, u64::from(delta), 0, 0];
        kernel.bug_check(Violation::contract(kernel, "A-13", parameters, summary));
    }
    if delta.saturating_add(backfill) > LONGEST {
        let summary = format!(
            "NdisRetreatNetBufferDataStart was asked for {delta} bytes and {backfill} of backfill, more than any packet has"
        );
        let parameters = [list as u64, u64::from(delta), u64::from(backfill), 0];
        kernel.bug_check(Violation::contract(kernel, "B-01", parameters, summary));
    }
    super::lists::require_usable(kernel, "NdisRetreatNetBufferDataStart", list);
    let ledger = kernel.ndis.lists.borrow()[&list].ledger;
    require_out_of_tunnel(kernel, "NdisRetreatNetBufferDataStart", list as *mut _);
    require_held(
        kernel,
        "NdisRetreatNetBufferDataStart",
        list as *mut _,
        "A-28",
    );
    super::check_shape(kernel, list as *mut _, ledger);
    let fails = kernel.fails("NdisRetreatNetBufferDataStart");
    kernel
        .ndis
        .with_mut(list as *const _, |list| list.past.retreat_failed = fails);
    if fails {
        return status::INSUFFICIENT_RESOURCES;
    }
    if delta == 0 {
        return status::SUCCESS;
    }
    let added = retreat(kernel, ledger, buffer, delta, backfill);
    if undoes_advance(kernel, list, buffer, delta) {
        kernel.note(
            ledger,
            format!("retreated by {delta} bytes, back to where it was"),
        );
        return status::SUCCESS;
    }
    if let Some(record) = kernel.ndis.lists.borrow_mut().get_mut(&list) {
        record.shifts.push(Shift {
            buffer: buffer as usize,
            delta,
            forward: false,
            thread: kernel.running().id,
            added,
        });
    }
    let how = if added.is_some() {
        "; there was no room, so a new MDL was put in front"
    } else {
        ""
    };
    kernel.note(
        ledger,
        kernel
            .ledger
            .told(|| format!("retreated by {delta} bytes{how}")),
    );
    status::SUCCESS
}

/// Whether a driver may go forward in a list before it goes back: in the list's own classify, where protocol drivers look behind a
/// header that way (NdisAdvanceNetBufferDataStart, remarks), and in what it made itself.
fn goes_forward(kernel: &Kernel, record: &List, list: usize) -> bool {
    matches!(record.kind, Kind::Made { .. }) || kernel.fwp.is_classified_here(kernel, list)
}

/// Whether a retreat takes back the last advance of a buffer, which is then forgotten.
fn undoes_advance(kernel: &Kernel, list: usize, buffer: *mut NET_BUFFER, delta: u32) -> bool {
    let mut lists = kernel.ndis.lists.borrow_mut();
    let Some(record) = lists.get_mut(&list) else {
        return false;
    };
    let last = record
        .shifts
        .iter()
        .rposition(|shift| shift.buffer == buffer as usize)
        .filter(|&last| record.shifts[last].forward && record.shifts[last].delta == delta);
    last.map(|index| record.shifts.remove(index)).is_some()
}

/// An advance of a list by a thread that no retreat has taken back.
pub(crate) fn open_advance(
    kernel: &Kernel,
    list: *const NET_BUFFER_LIST,
    thread: ThreadId,
) -> Option<u32> {
    kernel
        .ndis
        .with(list, |list| {
            let open = |shift: &&Shift| shift.forward && shift.thread == thread;
            list.shifts.iter().find(open).map(|shift| shift.delta)
        })
        .flatten()
}

pub(super) fn driver_advance(
    kernel: &Kernel,
    buffer: *mut NET_BUFFER,
    delta: u32,
    free_mdl: u8,
    _free: usize,
) {
    let list = list_of(kernel, "NdisAdvanceNetBufferDataStart", buffer);
    super::lists::require_usable(kernel, "NdisAdvanceNetBufferDataStart", list);
    // A retreat is undone before the packet is given back, not after.
    require_held(
        kernel,
        "NdisAdvanceNetBufferDataStart",
        list as *mut _,
        "B-03",
    );
    check_free_mdl(kernel, list, free_mdl);
    if delta == 0 {
        return;
    }
    let (ledger, shift) = {
        let mut lists = kernel.ndis.lists.borrow_mut();
        let Some(record) = lists.get_mut(&list) else {
            return;
        };
        let last = record
            .shifts
            .iter()
            .rposition(|shift| shift.buffer == buffer as usize);
        let matching = last
            .is_some_and(|last| record.shifts[last].delta == delta && !record.shifts[last].forward);
        if !matching && goes_forward(kernel, record, list) {
            record.shifts.push(Shift {
                buffer: buffer as usize,
                delta,
                forward: true,
                thread: kernel.running().id,
                added: None,
            });
            (record.ledger, None)
        } else {
            let shift = last.map(|index| record.shifts.remove(index));
            (record.ledger, Some(shift))
        }
    };
    let Some(shift) = shift else {
        require_data(kernel, list, ledger, buffer, delta);
        advance(kernel, buffer, delta, None);
        kernel.note(
            ledger,
            format!("advanced by {delta} bytes, to be retreated again"),
        );
        return;
    };
    let expected = shift.as_ref().map(|shift| shift.delta);
    if expected != Some(delta) {
        let summary = match expected {
            Some(expected) => format!("advanced by {delta} bytes what was retreated by {expected}"),
            None => format!("advanced by {delta} bytes what was not retreated"),
        };
        let violation = Violation::contract(
            kernel,
            "B-03",
            [
                list as u64,
                u64::from(delta),
                u64::from(expected.unwrap_or(0)),
                0,
            ],
            summary,
        );
        kernel.bug_check(violation.about(kernel, ledger));
    }
    require_data(kernel, list, ledger, buffer, delta);
    advance(kernel, buffer, delta, shift.and_then(|shift| shift.added));
    kernel.note(
        ledger,
        kernel.ledger.told(|| format!("advanced by {delta} bytes")),
    );
}

/// Stops the machine where a buffer is to be advanced beyond its data. NDIS does not look: DataLength would go below zero, which is four
/// gigabytes (B-03).
fn require_data(
    kernel: &Kernel,
    list: usize,
    ledger: ObjectId,
    buffer: *mut NET_BUFFER,
    delta: u32,
) {
    // SAFETY: `list_of` has found the buffer in a list that is alive.
    let length = unsafe { (*buffer).DataLength };
    if delta > length {
        let summary = format!("advanced by {delta} bytes a NET_BUFFER with {length} bytes of data");
        let parameters = [list as u64, u64::from(delta), u64::from(length), 0];
        let labels = [
            "the net buffer list",
            "the bytes that it was advanced by",
            "the bytes of data that it has",
            "",
        ];
        let violation = Violation::contract(kernel, "B-03", parameters, summary);
        kernel.bug_check(
            violation
                .with_arguments(kernel, labels)
                .about(kernel, ledger),
        );
    }
}

/// Once its classify is over, an original is the driver's for as long as it has a reference; a clone that keeps it alive does not
/// make it the driver's.
pub(crate) fn require_held(
    kernel: &Kernel,
    function: &str,
    list: *mut NET_BUFFER_LIST,
    rule: &'static str,
) {
    let given_back = kernel.ndis.with(list, |list| {
        let held = list.kind != Kind::Original || list.fate != Fate::Done || list.references > 0;
        (!held).then_some((list.ledger, list.taken))
    });
    if let Some((ledger, taken)) = given_back.flatten() {
        let (rule, why) = match taken {
            Some(_) => (rule, "that the driver has given back"),
            None => (
                "A-27",
                "whose classify is over and which the driver never referenced",
            ),
        };
        let summary = format!("{function} was called for an original {why}");
        kernel.bug_check(
            Violation::contract(kernel, rule, [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}

/// On the receive path the MDL chain stays what it is, so FreeMdl is FALSE (B-02).
fn check_free_mdl(kernel: &Kernel, list: usize, free_mdl: u8) {
    let of_receive_path = kernel.ndis.with(list as *const _, |list| {
        (free_mdl != 0 && list.kind == Kind::Original && list.past.received).then_some(list.ledger)
    });
    if let Some(ledger) = of_receive_path.flatten() {
        let summary = "NdisAdvanceNetBufferDataStart was told to free MDLs of a received packet, whose chain may not change";
        let parameters = [list as u64, u64::from(free_mdl), 0, 0];
        kernel.bug_check(
            Violation::contract(kernel, "B-02", parameters, summary).about(kernel, ledger),
        );
    }
}

/// A packet that has its tunnel's outer header still is not to be touched.
pub(crate) fn require_out_of_tunnel(kernel: &Kernel, function: &str, list: *mut NET_BUFFER_LIST) {
    let ledger = kernel
        .ndis
        .with(list, |list| list.past.in_tunnel.then_some(list.ledger))
        .flatten();
    if let Some(ledger) = ledger {
        let summary = format!(
            "{function} was called for a packet of a tunnel whose outer header was not taken off yet (isTunnelMode and not isDeTunneled)"
        );
        kernel.bug_check(
            Violation::contract(kernel, "A-65", [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}
