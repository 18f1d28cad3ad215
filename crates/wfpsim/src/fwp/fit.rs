//! Whether a clone is fit to be injected.

use wfp_sys::ndis::NET_BUFFER_LIST;

use crate::machine::Kernel;
use crate::memory::BlockState;
use crate::ndis::Moved;
use crate::ndis::net_buffers;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

/// What holds in both directions.
pub(super) fn check(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    check_memory(kernel, list, ledger);
    crate::ndis::check_lengths(kernel, list, ledger);
    crate::ndis::check_shape(kernel, list, ledger);
    crate::ndis::check_content(kernel, list);
    if kernel.ndis.with(list, |list| list.past.moved) == Some(Some(Moved::Odd)) {
        let summary = "a packet was injected whose data had moved by a number that means nothing: where its header is, nobody knows";
        kernel.bug_check(
            Violation::contract(kernel, "A-24", [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}

/// Why a clone does not begin with an IP header, as a rule.
fn why_not_at_the_header(kernel: &Kernel, list: *mut NET_BUFFER_LIST) -> &'static str {
    let past = kernel
        .ndis
        .with(list, |list| list.past.clone())
        .unwrap_or_default();
    if past.moved.is_some() {
        "A-24"
    } else if past.retreat_failed {
        "B-01"
    } else if kernel.ndis.begins_in_own_front(list) {
        "A-36"
    } else {
        "A-45"
    }
}

/// The MDL with an IP header that goes down is aligned as a pointer is.
pub(super) fn check_alignment(
    kernel: &Kernel,
    name: &str,
    list: *mut NET_BUFFER_LIST,
    ledger: ObjectId,
) {
    for buffer in net_buffers(list) {
        // SAFETY: the clone is the driver's and its chain was looked through already.
        let start = unsafe {
            let mdl = (*buffer).CurrentMdl;
            crate::ndis::data_of(mdl) as usize + (*buffer).CurrentMdlOffset as usize
        };
        if !start.is_multiple_of(align_of::<usize>()) {
            let summary = format!(
                "{name} was given a packet whose IP header is at {start:#x}, which is not aligned as a pointer is"
            );
            let parameters = [list as u64, start as u64, 0, 0];
            kernel.bug_check(
                Violation::contract(kernel, "A-55", parameters, summary).about(kernel, ledger),
            );
        }
    }
}

/// The stack takes the MDLs over. One that maps memory which is gone already would be freed a second time (O-10, B-04).
fn check_memory(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    for buffer in net_buffers(list) {
        // SAFETY: the list is alive and the driver's.
        let mut mdl = unsafe { (*buffer).MdlChain };
        while !mdl.is_null() {
            // SAFETY: MDLs of a live clone are alive; a driver that broke the chain faults here.
            let (data, next) = unsafe { (crate::ndis::data_of(mdl) as usize, (*mdl).Next) };
            if let Some(block) = kernel
                .arena
                .find(data)
                .filter(|block| block.state == BlockState::Freed)
            {
                let summary = format!(
                    "NETIO!NetioFreeMdl: the clone {list:p} has an MDL {mdl:p} over memory at {data:#x} that was freed already: \
                     it was made over an MDL which NdisRetreatNetBufferDataStart had put in front of the original for want of room, \
                     and which the matching advance took away"
                );
                let parameters = [7, 0, 0, block.start as u64];
                kernel.bug_check(
                    Violation::new(kernel, code::BAD_POOL_CALLER, parameters, "B-04", summary)
                        .about(kernel, ledger),
                );
            }
            mdl = next;
        }
    }
}

/// What the first IP header of a packet says.
struct Header {
    /// How long the packet is.
    total: usize,
    protocol: u8,
    /// How long it really is.
    found: usize,
}

/// Reads the header that a packet must begin with which the stack parses from there on.
fn header(
    kernel: &Kernel,
    name: &str,
    list: *mut NET_BUFFER_LIST,
    family: u16,
    ledger: ObjectId,
) -> Header {
    let bytes = net_buffers(list)
        .first()
        .map(|&buffer| crate::ndis::copy_out(buffer))
        .unwrap_or_default();
    let version = bytes.first().map_or(0, |first| first >> 4);
    let (total, protocol) = match (version, family) {
        (4, 2) if bytes.len() >= 20 => (
            usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            bytes[9],
        ),
        (6, 23) if bytes.len() >= 40 => (
            usize::from(u16::from_be_bytes([bytes[4], bytes[5]])) + 40,
            bytes[6],
        ),
        _ => {
            let start = bytes
                .iter()
                .take(16)
                .map(|byte| format!("{byte:02x}"))
                .collect::<Vec<_>>()
                .join(" ");
            let summary = format!(
                "{name} was given a packet that does not begin with an IP header of its address family: {start}"
            );
            let rule = why_not_at_the_header(kernel, list);
            let parameters = [list as u64, u64::from(family), 0, 0];
            kernel.bug_check(
                Violation::contract(kernel, rule, parameters, summary).about(kernel, ledger),
            );
        }
    };
    Header {
        total,
        protocol,
        found: bytes.len(),
    }
}

/// A packet for the transport layer begins with an IP header that leads to a transport header.
pub(super) fn check_beginning(
    kernel: &Kernel,
    name: &str,
    list: *mut NET_BUFFER_LIST,
    family: u16,
    ledger: ObjectId,
) {
    // Before the length: that of a packet whose trailer is gone is wrong as well.
    let protocol = header(kernel, name, list, family, ledger).protocol;
    if protocol == 50 || protocol == 51 {
        let summary = format!(
            "{name} was given a packet whose IP header still leads to {}",
            if protocol == 50 { "ESP" } else { "AH" }
        );
        // Who asked, was refused, and went on does not know what it has (E-12).
        let unknown = kernel.ndis.with(list, |list| list.past.security_unknown);
        let rule = if unknown == Some(true) {
            "A-64"
        } else {
            "A-63"
        };
        let parameters = [list as u64, u64::from(protocol), 0, 0];
        kernel.bug_check(
            Violation::contract(kernel, rule, parameters, summary).about(kernel, ledger),
        );
    }
    check_header(kernel, name, list, family, ledger);
}

/// A packet that the stack parses from the IP header on begins with one, which says no more than there is.
pub(super) fn check_header(
    kernel: &Kernel,
    name: &str,
    list: *mut NET_BUFFER_LIST,
    family: u16,
    ledger: ObjectId,
) {
    let Header { total, found, .. } = header(kernel, name, list, family, ledger);
    if total > found {
        let summary = format!(
            "{name} was given a packet whose IP header says {total} bytes and which has {found}"
        );
        let parameters = [list as u64, total as u64, found as u64, 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-45", parameters, summary).about(kernel, ledger),
        );
    }
}
