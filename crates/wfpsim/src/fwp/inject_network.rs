//! Injection at the network layer and into the forwarding path.

use wfp_sys::ndis::NET_BUFFER_LIST;

use super::inject;
use super::inject::Injection;
use crate::machine::Kernel;
use crate::ndis::net_buffers;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::stack::network;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// FWPS_INJECTION_TYPE_NETWORK and FWPS_INJECTION_TYPE_FORWARD.
const NETWORK: u32 = 0x4;
const FORWARD: u32 = 0x8;

/// What all three check. The address family is that of the packet.
fn accept(
    kernel: &Kernel,
    name: &'static str,
    kind: u32,
    handle: Handle,
    flags: u32,
    list: *mut NET_BUFFER_LIST,
    completion: usize,
) -> Result<ObjectId, NtStatus> {
    if flags != 0 || completion == 0 {
        return Err(status::INVALID_PARAMETER);
    }
    let known = kernel
        .fwp
        .injection_handles
        .borrow()
        .get(&(handle as usize))
        .map(|handle| (handle.injects(kind), handle.family));
    let ledger = inject::accept(kernel, name, handle, list, None)?;
    let Some((true, family)) = known else {
        return Err(status::FWP_INJECT_HANDLE_STALE);
    };
    let version = net_buffers(list)
        .first()
        .and_then(|&buffer| crate::ndis::copy_out(buffer).first().copied())
        .map_or(0, |first| first >> 4);
    let of_packet = if version == 6 { 23 } else { 2 };
    // a handle of this kind is of one family.
    if family != of_packet {
        let summary = format!(
            "{name} was given an IPv{version} packet and an injection handle of address family {family}"
        );
        let parameters = [list as u64, u64::from(family), u64::from(version), 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-56", parameters, summary).about(kernel, ledger),
        );
    }
    super::fit::check_header(kernel, name, list, of_packet, ledger);
    Ok(ledger)
}

pub(super) fn receive(
    kernel: &Kernel,
    handle: Handle,
    context: Handle,
    flags: u32,
    compartment: u32,
    interface: u32,
    sub_interface: u32,
    list: *mut NET_BUFFER_LIST,
    completion: usize,
    completion_context: Handle,
) -> NtStatus {
    const NAME: &str = "FwpsInjectNetworkReceiveAsync0";
    let ledger = match accept(kernel, NAME, NETWORK, handle, flags, list, completion) {
        Ok(ledger) => ledger,
        Err(status) => return status,
    };
    inject::check_single(kernel, NAME, list, ledger);
    let injection = Injection {
        handle,
        context,
        completion,
        completion_context,
        what: "injected into the receive path at the network layer",
    };
    inject::hand_over(kernel, list, ledger, injection, move |kernel, list| {
        network::receive_injected(kernel, list, [interface, sub_interface, compartment])
    });
    status::SUCCESS
}

pub(super) fn send(
    kernel: &Kernel,
    handle: Handle,
    context: Handle,
    flags: u32,
    _compartment: u32,
    list: *mut NET_BUFFER_LIST,
    completion: usize,
    completion_context: Handle,
) -> NtStatus {
    const NAME: &str = "FwpsInjectNetworkSendAsync0";
    let ledger = match accept(kernel, NAME, NETWORK, handle, flags, list, completion) {
        Ok(ledger) => ledger,
        Err(status) => return status,
    };
    let injection = Injection {
        handle,
        context,
        completion,
        completion_context,
        what: "injected into the send path at the network layer",
    };
    inject::hand_over(kernel, list, ledger, injection, network::send_injected);
    status::SUCCESS
}

pub(super) fn forward(
    kernel: &Kernel,
    handle: Handle,
    context: Handle,
    flags: u32,
    family: u16,
    _compartment: u32,
    _interface: u32,
    list: *mut NET_BUFFER_LIST,
    completion: usize,
    completion_context: Handle,
) -> NtStatus {
    const NAME: &str = "FwpsInjectForwardAsync0";
    if ![2, 23].contains(&family) {
        return status::INVALID_PARAMETER;
    }
    let ledger = match accept(kernel, NAME, FORWARD, handle, flags, list, completion) {
        Ok(ledger) => ledger,
        Err(status) => return status,
    };
    let injection = Injection {
        handle,
        context,
        completion,
        completion_context,
        what: "injected into the forwarding path",
    };
    inject::hand_over(kernel, list, ledger, injection, network::forward_injected);
    status::SUCCESS
}
