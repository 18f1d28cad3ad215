//! Injection: checks, hand-over to the stack, and the completion.

use wfp_sys::fwps::FWPS_TRANSPORT_SEND_PARAMS0;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::completion::Completion;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::BlockState;
use crate::ndis::Fate;
use crate::ndis::Kind;
use crate::ndis::net_buffers;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::stack::queues;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

/// Who injects a packet, and who is told of its end.
#[derive(Clone, Copy)]
pub(super) struct Injection {
    pub handle: Handle,
    /// What FwpsQueryPacketInjectionState0 gives back of it.
    pub context: Handle,
    pub completion: usize,
    pub completion_context: Handle,
    /// For the list's history.
    pub what: &'static str,
}

/// What a send injection says besides the packet.
#[derive(Clone, Copy)]
pub(crate) struct Send {
    pub endpoint: u64,
    pub family: u16,
    /// The driver's structure, read when the stack gets to the packet, as the driver must keep it until completion.
    pub arguments: *mut FWPS_TRANSPORT_SEND_PARAMS0,
}

pub(super) fn receive(
    kernel: &Kernel,
    handle: Handle,
    context: Handle,
    reserved: *mut std::ffi::c_void,
    flags: u32,
    family: u16,
    compartment: u32,
    interface: u32,
    sub_interface: u32,
    list: *mut NET_BUFFER_LIST,
    completion: usize,
    completion_context: Handle,
) -> NtStatus {
    const NAME: &str = "FwpsInjectTransportReceiveAsync0";
    if !reserved.is_null() || flags != 0 || ![2, 23].contains(&family) || completion == 0 {
        return status::INVALID_PARAMETER;
    }
    let ledger = match accept(kernel, NAME, handle, list, true) {
        Ok(ledger) => ledger,
        Err(status) => return status,
    };
    if kernel.ndis.with(list, |list| list.coalesced) == Some(true) {
        let summary = format!(
            "{NAME} was given a packet that the adapter may put together (URO); a callout with FWP_CALLOUT_FLAG_ALLOW_URO does not inject those"
        );
        let violation = Violation::contract(kernel, "A-10", [list as u64, 0, 0, 0], summary);
        kernel.bug_check(violation.about(kernel, ledger));
    }
    if super::blame::is_absent_number(compartment) {
        absent(kernel, NAME, ledger);
    }
    check_single(kernel, NAME, list, ledger);
    check_direction(kernel, NAME, list, ledger);
    check_beginning(kernel, NAME, list, family, ledger);
    let injection = Injection {
        handle,
        context,
        completion,
        completion_context,
        what: "injected into the receive path",
    };
    hand_over(kernel, list, ledger, injection, move |kernel, list| {
        crate::stack::receive_injected(kernel, list, [interface, sub_interface, compartment])
    });
    status::SUCCESS
}

pub(super) fn send(
    kernel: &Kernel,
    handle: Handle,
    context: Handle,
    endpoint: u64,
    flags: u32,
    arguments: *mut FWPS_TRANSPORT_SEND_PARAMS0,
    family: u16,
    compartment: u32,
    list: *mut NET_BUFFER_LIST,
    completion: usize,
    completion_context: Handle,
) -> NtStatus {
    const NAME: &str = "FwpsInjectTransportSendAsync0";
    if flags != 0 || ![2, 23].contains(&family) || completion == 0 {
        return status::INVALID_PARAMETER;
    }
    let ledger = match accept(kernel, NAME, handle, list, true) {
        Ok(ledger) => ledger,
        Err(status) => return status,
    };
    if super::blame::is_absent_handle(endpoint) || super::blame::is_absent_number(compartment) {
        absent(kernel, NAME, ledger);
    }
    if arguments.is_null() {
        check_beginning(kernel, NAME, list, family, ledger);
    }
    let send = Send {
        endpoint,
        family,
        arguments,
    };
    let injection = Injection {
        handle,
        context,
        completion,
        completion_context,
        what: "injected into the send path",
    };
    hand_over(kernel, list, ledger, injection, move |kernel, list| {
        crate::stack::send_injected(kernel, list, send)
    });
    status::SUCCESS
}

/// A list for the receive path has one NET_BUFFER.
pub(super) fn check_single(
    kernel: &Kernel,
    name: &str,
    list: *mut NET_BUFFER_LIST,
    ledger: ObjectId,
) {
    let buffers = net_buffers(list).len();
    if buffers > 1 {
        let summary = format!("{name} was given a list with {buffers} NET_BUFFERs; it takes one");
        let parameters = [1, 0, list as u64, 0];
        kernel.bug_check(
            Violation::new(
                kernel,
                code::WFP_INVALID_OPERATION,
                parameters,
                "A-46",
                summary,
            )
            .about(kernel, ledger),
        );
    }
}

/// The checks that all injections share. An error is what the call returns; then nothing was taken. At the transport layer
/// the stack holds locks of its own around a classify.
pub(super) fn accept(
    kernel: &Kernel,
    name: &'static str,
    handle: Handle,
    list: *mut NET_BUFFER_LIST,
    transport: bool,
) -> Result<ObjectId, NtStatus> {
    let Some(closing) = kernel
        .fwp
        .injection_handles
        .borrow()
        .get(&(handle as usize))
        .map(|handle| handle.closing)
    else {
        // npcap #341: nothing keeps the unload from destroying what an injection is about to use.
        let rule = kernel
            .fwp
            .retired_by_unload(kernel, handle as usize, "A-57", "C-06");
        let summary = format!("{name} was given {handle:p}, which is no injection handle");
        let rule = rule.unwrap_or("A-57");
        let violation = Violation::contract(kernel, rule, [handle as u64, 0, 0, 0], summary);
        kernel.bug_check(kernel.fwp.about_handle(kernel, violation, handle as usize));
    };
    let ledger = crate::ndis::require(kernel, name, list, "A-45");
    if transport && kernel.running().classify_depth.get() > 0 {
        let summary = format!(
            "{name} was called on the stack of a classify; the stack holds its own locks there"
        );
        kernel.bug_check(
            Violation::contract(kernel, "A-47", [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
    match kernel.ndis.with(list, |list| (list.kind, list.fate)) {
        Some((Kind::Clone { .. } | Kind::Made { .. }, Fate::Driver)) => {}
        Some((Kind::Clone { .. } | Kind::Made { .. }, _)) => {
            let summary = format!("{name} was given a clone that was injected already");
            let parameters = [7, 0, 0, list as u64];
            kernel.bug_check(
                Violation::new(kernel, code::BAD_POOL_CALLER, parameters, "A-42", summary)
                    .about(kernel, ledger),
            );
        }
        _ => {
            let summary = format!(
                "{name} was given an original NET_BUFFER_LIST; only a clone may be injected"
            );
            kernel.bug_check(
                Violation::contract(kernel, "A-45", [list as u64, 0, 0, 0], summary)
                    .about(kernel, ledger),
            );
        }
    }
    check_memory(kernel, list, ledger);
    if closing {
        return Err(status::FWP_INJECT_HANDLE_CLOSING);
    }
    if kernel.fails(name) {
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    Ok(ledger)
}

/// What a driver says of a packet comes from its classify's metadata, as far as they tell it.
fn absent(kernel: &Kernel, name: &str, ledger: ObjectId) -> ! {
    let summary = format!(
        "{name} was given a compartment or an endpoint from metadata that do not have it; its bit is not set"
    );
    let violation = Violation::contract(kernel, "A-13", [0; 4], summary);
    kernel.bug_check(violation.about(kernel, ledger));
}

/// An outbound packet is not received. At the ALE layers either direction comes.
fn check_direction(kernel: &Kernel, name: &str, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    let taken = kernel
        .ndis
        .with(list, |list| (list.packets.first().copied(), list.taken_at));
    let Some((Some(packet), layer)) = taken else {
        return;
    };
    if !crate::stack::is_leaving(kernel, packet) {
        return;
    }
    let ale = layer.is_some_and(crate::stack::is_ale);
    let summary = format!(
        "{name} was given an outbound packet{}",
        if ale {
            "; a connection is authorized again with packets of either direction, and the metadata say which"
        } else {
            ""
        }
    );
    let rule = if ale { "A-76" } else { "A-48" };
    let parameters = [list as u64, u64::from(layer.unwrap_or_default()), 0, 0];
    kernel.bug_check(Violation::contract(kernel, rule, parameters, summary).about(kernel, ledger));
}

/// The stack takes the MDLs over. One that maps memory which is gone already would be freed a second time (O-10, B-04).
fn check_memory(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    for buffer in net_buffers(list) {
        // SAFETY: the list is alive and the driver's.
        let mut mdl = unsafe { (*buffer).MdlChain };
        while !mdl.is_null() {
            // SAFETY: MDLs of a live clone are alive; a driver that broke the chain faults here.
            let (data, next) = unsafe { ((*mdl).MappedSystemVa as usize, (*mdl).Next) };
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

/// A packet for the transport layer must begin with an IP header that leads to a transport header.
fn check_beginning(
    kernel: &Kernel,
    name: &str,
    list: *mut NET_BUFFER_LIST,
    family: u16,
    ledger: ObjectId,
) {
    let protocol = check_header(kernel, name, list, family, ledger);
    if protocol == 50 || protocol == 51 {
        let summary = format!(
            "{name} was given a packet whose IP header still leads to {}",
            if protocol == 50 { "ESP" } else { "AH" }
        );
        kernel.bug_check(
            Violation::contract(
                kernel,
                "A-63",
                [list as u64, u64::from(protocol), 0, 0],
                summary,
            )
            .about(kernel, ledger),
        );
    }
}

/// A packet that the stack parses from the IP header on must begin with one. Gives the protocol that it names.
pub(super) fn check_header(
    kernel: &Kernel,
    name: &str,
    list: *mut NET_BUFFER_LIST,
    family: u16,
    ledger: ObjectId,
) -> u8 {
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
            kernel.bug_check(
                Violation::contract(
                    kernel,
                    "A-45",
                    [list as u64, u64::from(family), 0, 0],
                    summary,
                )
                .about(kernel, ledger),
            );
        }
    };
    if total > bytes.len() {
        let summary = format!(
            "{name} was given a packet whose IP header says {total} bytes and which has {}",
            bytes.len()
        );
        kernel.bug_check(
            Violation::contract(
                kernel,
                "A-45",
                [list as u64, total as u64, bytes.len() as u64, 0],
                summary,
            )
            .about(kernel, ledger),
        );
    }
    protocol
}

/// Gives the clone to the stack, now or on a thread of its own, and calls the completion function when it is through.
pub(super) fn hand_over(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    ledger: ObjectId,
    injection: Injection,
    process: impl FnOnce(&Kernel, *mut NET_BUFFER_LIST) -> NtStatus + 'static,
) {
    let Injection {
        context: injection_context,
        completion,
        completion_context,
        what,
        ..
    } = injection;
    let handle = injection.handle as usize;
    kernel.ndis.with_mut(list, |list| {
        list.fate = Fate::Injected;
        list.mark_injected(handle as u64, injection_context as u64);
    });
    if let Some(handle) = kernel.fwp.injection_handles.borrow_mut().get_mut(&handle) {
        handle.pending += 1;
    }
    kernel.note(ledger, what);
    let completion = Completion {
        handle,
        list: list as usize,
        ledger,
        function: completion,
        context: completion_context as usize,
    };
    let through = move |kernel: &Kernel| {
        let list = completion.list as *mut NET_BUFFER_LIST;
        let before = kernel.irql();
        kernel.set_irql(irql::DISPATCH);
        let freedom = &kernel.config.freedom;
        let result = if kernel.random.percent(freedom.failed_injection) {
            crate::stack::drop_injected(kernel, list)
        } else {
            process(kernel, list)
        };
        if kernel.random.percent(freedom.late_completion) {
            kernel.set_irql(before);
            completion.call_late(kernel, result);
        } else {
            completion.call(kernel, before, result);
        }
    };
    let queue = queues::Name::Injected(handle);
    if queues::is_idle(kernel, queue)
        && kernel
            .random
            .percent(kernel.config.freedom.inline_completion)
    {
        through(kernel);
    } else {
        queues::enqueue(kernel, queue, Box::new(through));
        // The injected packet may be through before the caller gets another instruction.
        kernel.point();
    }
}
