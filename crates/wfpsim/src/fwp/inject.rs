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
    let ledger = match accept(kernel, NAME, handle, list, Some(family)) {
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
    super::fit::check_beginning(kernel, NAME, list, family, ledger);
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
    let ledger = match accept(kernel, NAME, handle, list, Some(family)) {
        Ok(ledger) => ledger,
        Err(status) => return status,
    };
    if super::blame::is_absent_handle(endpoint) || super::blame::is_absent_number(compartment) {
        absent(kernel, NAME, ledger);
    }
    if arguments.is_null() {
        super::fit::check_alignment(kernel, NAME, list, ledger);
        super::fit::check_beginning(kernel, NAME, list, family, ledger);
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

/// The checks that all injections share. An error is what the call returns; then nothing was taken. At the transport layer,
/// for which an address family is given, the stack holds locks of its own around a classify.
pub(super) fn accept(
    kernel: &Kernel,
    name: &'static str,
    handle: Handle,
    list: *mut NET_BUFFER_LIST,
    transport: Option<u16>,
) -> Result<ObjectId, NtStatus> {
    let known = kernel
        .fwp
        .injection_handles
        .borrow()
        .get(&(handle as usize))
        .map(|handle| {
            let serves = transport.is_none_or(|family| handle.serves(family));
            (handle.closing, serves, handle.ledger)
        });
    let Some((closing, serves, handle_ledger)) = known else {
        let summary = format!("{name} was given {handle:p}, which is no injection handle");
        // Whoever has none because none could be made did not look at what FwpsInjectionHandleCreate0 returned.
        let rule = if handle.is_null() && kernel.fwp.injection_handle_refused.get() {
            "A-56"
        } else {
            // npcap #341: nothing keeps the unload from destroying what an injection is about to use.
            let late = kernel
                .fwp
                .retired_by_unload(kernel, handle as usize, "A-57", "C-06");
            late.unwrap_or("A-57")
        };
        let violation = Violation::contract(kernel, rule, [handle as u64, 0, 0, 0], summary);
        kernel.bug_check(kernel.fwp.about_handle(kernel, violation, handle as usize));
    };
    if !serves {
        let summary = format!(
            "{name} was given an injection handle that was not made for transport packets of this address family"
        );
        let parameters = [handle as u64, u64::from(transport.unwrap_or(0)), 0, 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-56", parameters, summary).about(kernel, handle_ledger),
        );
    }
    let ledger = crate::ndis::require(kernel, name, list, "A-45");
    if transport.is_some() && kernel.running().classify_depth.get() > 0 {
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
    super::fit::check(kernel, list, ledger);
    let refused = if closing {
        status::FWP_INJECT_HANDLE_CLOSING
    } else if kernel.fails(name) {
        status::INSUFFICIENT_RESOURCES
    } else {
        return Ok(ledger);
    };
    kernel.ndis.with_mut(list, |list| list.past.refused = true);
    kernel.note(
        ledger,
        format!("its injection was refused with status {refused:#010x}"),
    );
    Err(refused)
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
    super::hold::end(kernel, list);
    mark_context(kernel, completion_context);
    let completion = Completion {
        handle,
        list: list as usize,
        ledger,
        function: completion,
        context: completion_context as usize,
    };
    let through = move |kernel: &Kernel| {
        let list = completion.list as *mut NET_BUFFER_LIST;
        crate::ndis::unguard(kernel, list);
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
        crate::ndis::guard(kernel, list);
        queues::enqueue(kernel, queue, Box::new(through));
        // The injected packet may be through before the caller gets another instruction.
        kernel.point();
    }
}

/// The context is the completion function's: who touches it when that has freed it was not to touch it at all.
fn mark_context(kernel: &Kernel, context: Handle) {
    let block = kernel
        .arena
        .find(context as usize)
        .filter(|block| block.state == BlockState::Live);
    if let Some(block) = block {
        kernel.note(
            block.object,
            "given to the stack as the context of an injection",
        );
        kernel.ledger.set_late_rule(block.object, "A-43");
    }
}
