//! Packets that a driver injected: they come into the stack again, up or down.

use std::net::IpAddr;

use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::COMPARTMENT_ID;
use super::INTERFACE_INDEX;
use super::SUB_INTERFACE_INDEX;
use super::account::Fate;
use super::account::SentWith;
use super::account::Side;
use super::climb;
use super::climb::Inbound;
use super::climb::climb;
use super::flow::Shape;
use super::injected;
use super::layers::Ask;
use super::network;
use super::send;
use crate::fwp::Action;
use crate::fwp::Send;
use crate::machine::Kernel;
use crate::ndis;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// A clone that a driver injected enters at the bottom and climbs again, `from` the interface, sub-interface and
/// compartment that the driver named. The status is what its completion says.
pub(crate) fn receive_injected(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    from: [u32; 3],
) -> NtStatus {
    kernel.count(|counts| counts.reinjected += 1);
    network::identify(kernel, list, Side::Inbound);
    let Some((packet, ledger, rounds)) = kernel.ndis.with(list, |list| {
        (
            list.packets.first().copied(),
            list.ledger,
            list.injected_by.len(),
        )
    }) else {
        return status::UNSUCCESSFUL;
    };
    let Some(packet) = packet else {
        return status::UNSUCCESSFUL;
    };
    kernel.with_packet(packet, |packet| packet.injected += 1);
    check_rounds(
        kernel,
        list,
        ledger,
        rounds,
        format_args!("packet {packet}"),
    );
    let [interface, sub_interface, compartment] = from;
    // Who was not told the compartment says UNSPECIFIED_COMPARTMENT_ID.
    if (interface, sub_interface) != (INTERFACE_INDEX, SUB_INTERFACE_INDEX)
        || ![COMPARTMENT_ID, 0].contains(&compartment)
    {
        let summary = format!(
            "a packet that arrived on interface {INTERFACE_INDEX}.{SUB_INTERFACE_INDEX} in compartment {COMPARTMENT_ID} was injected as from interface {interface}.{sub_interface} in compartment {compartment}"
        );
        let parameters = [
            list as u64,
            u64::from(interface),
            u64::from(sub_interface),
            u64::from(compartment),
        ];
        kernel.bug_check(
            Violation::contract(kernel, "A-49", parameters, summary).about(kernel, ledger),
        );
    }
    let accept = kernel.with_packet(packet, |packet| (packet.accept, packet.loopback));
    match accept {
        Some((Some(None), _)) => {
            let summary =
                "a packet of a pended accept was injected before the accept was completed";
            kernel.bug_check(
                Violation::contract(kernel, "A-48", [list as u64, 0, 0, 0], summary)
                    .about(kernel, ledger),
            );
        }
        Some((Some(Some(clone)), _)) if clone != list as usize => {
            let summary =
                "a pended accept was completed with another clone than the one that was injected";
            kernel.bug_check(
                Violation::contract(kernel, "A-74", [list as u64, clone as u64, 0, 0], summary)
                    .about(kernel, ledger),
            );
        }
        Some((_, true)) => {
            injected::check_loopback(kernel, list, ledger);
            // Reported by those who tried: the stack refuses to receive what never left the machine.
            return status::DATA_NOT_ACCEPTED;
        }
        _ => {}
    }
    let Some(&buffer) = ndis::net_buffers(list).first() else {
        return status::UNSUCCESSFUL;
    };
    let bytes = ndis::copy_out(buffer);
    let shape = match Shape::of(&bytes, true) {
        Ok(shape) => shape,
        Err(reason) => {
            kernel.set_fate(packet, Fate::Dropped(reason));
            return status::DATA_NOT_ACCEPTED;
        }
    };
    injected::check_receive(kernel, packet, ledger, list, &bytes);
    let inbound = Inbound {
        packet,
        shape,
        flags: 0,
        security: FWPS_PACKET_LIST_INFORMATION0::default(),
        ip_header: shape.ip_header,
    };
    let delta = (shape.ip_header + shape.skipped_header()) as u32;
    ndis::advance(kernel, buffer, delta, None);
    climb(kernel, &inbound, list);
    ndis::retreat(kernel, ledger, buffer, delta, 0);
    let delivered = kernel.with_packet(packet, |packet| packet.fate == Fate::Delivered);
    if delivered == Some(true) {
        status::SUCCESS
    } else {
        status::DATA_NOT_ACCEPTED
    }
}

/// Stops the machine when a packet goes round and round.
fn check_rounds(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    ledger: ObjectId,
    rounds: usize,
    who: impl std::fmt::Display,
) {
    if rounds > 8 {
        let summary = format!(
            "{who} was injected {rounds} times; a callout takes its own injected packets again"
        );
        kernel.bug_check(
            Violation::contract(kernel, "A-51", [list as u64, rounds as u64, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}

/// A clone that a driver injected goes down again from the transport layer. The status is what its completion says.
pub(crate) fn send_injected(kernel: &Kernel, list: *mut NET_BUFFER_LIST, send: Send) -> NtStatus {
    kernel.count(|counts| counts.reinjected += 1);
    network::identify(kernel, list, Side::Outbound);
    let Some((packets, ledger, rounds)) = kernel.ndis.with(list, |list| {
        (list.packets.clone(), list.ledger, list.injected_by.len())
    }) else {
        return status::UNSUCCESSFUL;
    };
    check_rounds(kernel, list, ledger, rounds, "a packet");
    let buffers = ndis::net_buffers(list);
    let Some((&first, &packet)) = buffers.first().zip(packets.first()) else {
        return status::UNSUCCESSFUL;
    };
    for &packet in &packets {
        kernel.with_packet(packet, |packet| packet.injected += 1);
    }
    let Some(clean) = kernel.with_packet(packet, |packet| packet.clean.clone()) else {
        return status::UNSUCCESSFUL;
    };
    let Ok(shape) = Shape::of(&clean, false) else {
        return status::UNSUCCESSFUL;
    };
    injected::check_raw(kernel, packet, ledger, list, &send);
    if send.endpoint != 0 && !kernel.stack.endpoint_is_open(send.endpoint) {
        injected::check_endpoint(kernel, packet, ledger, list, &send);
        // the socket was closed meanwhile. Which status Windows gives is not documented.
        for &packet in &packets {
            kernel.set_fate(packet, Fate::Dropped("endpoint_closed"));
        }
        return status::INVALID_HANDLE;
    }
    let (remote, sent_with) = match read_parameters(kernel, ledger, &send, Some(packet)) {
        Ok(Some((remote, sent_with))) => (Some(remote), Some(sent_with)),
        Ok(None) => (None, None),
        Err(status) => return status,
    };
    for &packet in &packets {
        kernel.with_packet(packet, |packet| packet.sent_with.clone_from(&sent_with));
    }
    // A raw packet comes with its IP header; the layer is shown what follows it.
    let header = if send.arguments.is_null() {
        Shape::of(&ndis::copy_out(first), false).map_or(0, |shape| shape.ip_header as u32)
    } else {
        0
    };
    ndis::advance(kernel, first, header, None);
    let mut ask = Ask::new(&shape, list);
    ask.endpoint = send.endpoint;
    let outcome = ask.outbound_transport(kernel);
    ndis::retreat(kernel, ledger, first, header, 0);
    if outcome.action == Action::Block {
        for &packet in &packets {
            climb::settle(kernel, packet, list, outcome);
        }
        return status::DATA_NOT_ACCEPTED;
    }
    let mut whole = Vec::new();
    for (&packet, &buffer) in packets.iter().zip(&buffers) {
        let bytes = ndis::copy_out(buffer);
        injected::check_send(
            kernel,
            packet,
            ledger,
            list,
            bytes.get(header as usize..).unwrap_or_default(),
        );
        let bytes = if header > 0 {
            Some(bytes)
        } else {
            send::with_header(kernel, packet, &bytes, remote)
        };
        whole.extend(bytes.map(|bytes| (packet, bytes)));
    }
    network::descend(kernel, whole, list);
    status::SUCCESS
}

/// Addresses come in host order and go in network order: one of the packet's own that is turned round was handed on as it
/// came, and one that a field did not tell is no address.
pub(crate) fn check_byte_order(kernel: &Kernel, name: &str, packet: Option<u64>, address: [u8; 4]) {
    let clean = packet
        .and_then(|packet| kernel.with_packet(packet, |packet| packet.clean.clone()))
        .unwrap_or_default();
    let Ok(ip) = wfpsim_packet::IpPacket::parse(&clean) else {
        return;
    };
    let mut turned = address;
    turned.reverse();
    let own = [ip.source(), ip.destination()];
    let is_own = |address: [u8; 4]| own.contains(&IpAddr::from(address));
    let empty = crate::fwp::EMPTY as u32;
    let (rule, why) = if is_own(address) {
        return;
    } else if is_own(turned) {
        (
            "A-21",
            "an IPv4 address in host byte order; it takes network byte order",
        )
    } else if [empty, empty.swap_bytes()].contains(&u32::from_be_bytes(address)) {
        (
            "A-22",
            "the value of a field that was FWP_EMPTY for an address",
        )
    } else {
        return;
    };
    let summary = format!("{name} was given {why}: {}", IpAddr::from(address));
    let parameters = [u64::from(u32::from_be_bytes(address)), 0, 0, 0];
    kernel.bug_check(Violation::contract(kernel, rule, parameters, summary));
}

/// Reads what the driver keeps until completion: a freed structure faults here, as it does in
/// tcpip!IppProcessAncillaryData.
fn read_parameters(
    kernel: &Kernel,
    ledger: ObjectId,
    send: &Send,
    packet: Option<u64>,
) -> Result<Option<(IpAddr, SentWith)>, NtStatus> {
    if send.arguments.is_null() {
        return Ok(None);
    }
    let check = |what, address| injected::check_argument(kernel, ledger, what, address);
    check("FWPS_TRANSPORT_SEND_PARAMS0", send.arguments as usize);
    // SAFETY: the driver promised to keep it; if it did not, the fault is reported.
    let arguments = unsafe { &*send.arguments };
    if arguments.remoteAddress.is_null() {
        return Err(status::INVALID_PARAMETER);
    }
    check("the remote address", arguments.remoteAddress as usize);
    let remote = if send.family == 2 {
        // SAFETY: as above; the family says how long the address is.
        IpAddr::from(unsafe { arguments.remoteAddress.cast::<[u8; 4]>().read() })
    } else {
        // SAFETY: as above.
        IpAddr::from(unsafe { arguments.remoteAddress.cast::<[u8; 16]>().read() })
    };
    let mut control_data = Vec::new();
    if !arguments.controlData.is_null() {
        check("the control data", arguments.controlData as usize);
        for offset in 0..arguments.controlDataLength as usize {
            // SAFETY: as above.
            let byte = unsafe {
                arguments
                    .controlData
                    .cast::<u8>()
                    .add(offset)
                    .read_volatile()
            };
            control_data.push(byte);
        }
    }
    if let IpAddr::V4(address) = remote {
        check_byte_order(
            kernel,
            "FwpsInjectTransportSendAsync0",
            packet,
            address.octets(),
        );
    }
    // SAFETY: the union's members are a number and a bit field of the same 32 bits.
    let remote_scope_id = unsafe { arguments.remoteScopeId.Anonymous.Value };
    Ok(Some((
        remote,
        SentWith {
            remote_scope_id,
            control_data,
        },
    )))
}
