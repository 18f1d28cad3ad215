//! The send path: from an application or the stack itself down to the wire.

use std::net::IpAddr;

use wfp_sys::consts;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::account::Fate;
use super::account::Side;
use super::climb;
use super::established;
use super::flow;
use super::flow::Role;
use super::flow::Shape;
use super::flow::State as FlowState;
use super::layers::Ask;
use super::network;
use super::queues;
use super::queues::Name;
use super::receive;
use crate::fwp::Action;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::ndis;
use crate::ndis::Indication;
use crate::ndis::PacketSpec;
use crate::verifier::Violation;

/// A packet to be sent: whole, without IPsec.
#[derive(Clone, Debug)]
pub struct Transmitted {
    /// The IP packet as it is to leave.
    pub packet: Vec<u8>,
    /// Whether it goes to the host itself.
    pub loopback: bool,
    /// Whether an application made the IP header itself (IP_HDRINCL).
    pub raw: bool,
    /// Ancillary data of the send (WSACMSGHDR and what follows).
    pub control_data: Option<Vec<u8>>,
}

impl Transmitted {
    /// An ordinary packet.
    pub fn plain(packet: Vec<u8>, loopback: bool) -> Self {
        Self {
            packet,
            loopback,
            raw: false,
            control_data: None,
        }
    }
}

/// What one send hands down.
struct Outbound {
    packets: Vec<u64>,
    shape: Shape,
    loopback: bool,
    raw_header: Option<Vec<u8>>,
    control_data: Option<Vec<u8>>,
    /// Transport headers and payloads, one a packet.
    segments: Vec<Vec<u8>>,
}

impl Outbound {
    fn flags(&self) -> u32 {
        let raw = if self.raw_header.is_some() {
            consts::FWP_CONDITION_FLAG_IS_RAW_ENDPOINT
        } else {
            0
        };
        raw | if self.loopback {
            consts::FWP_CONDITION_FLAG_IS_LOOPBACK
        } else {
            0
        }
    }
}

pub(super) fn transmit(kernel: &Kernel, sent: Vec<Transmitted>) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut outbound: Option<Outbound> = None;
    for one in sent {
        let number = kernel.open_account(Side::Outbound, one.packet.clone(), one.loopback);
        numbers.push(number);
        kernel.with_packet(number, |packet| packet.raw = one.raw);
        let shape = match Shape::of(&one.packet, false) {
            Ok(shape) => shape,
            Err(reason) => {
                kernel.set_fate(number, Fate::Dropped(reason));
                continue;
            }
        };
        let (header, segment) = one.packet.split_at(shape.ip_header);
        let whole = outbound.get_or_insert_with(|| Outbound {
            packets: Vec::new(),
            shape,
            loopback: one.loopback,
            raw_header: one.raw.then(|| header.to_vec()),
            control_data: one.control_data,
            segments: Vec::new(),
        });
        whole.packets.push(number);
        whole.segments.push(segment.to_vec());
    }
    if let Some(outbound) = outbound {
        let key = outbound.shape.key;
        let begins = key.protocol != flow::TCP || outbound.shape.connects;
        if begins && !of_the_stack(&outbound.shape) && kernel.stack.flow_state(&key).is_none() {
            // What answers this is not worked on before it is through.
            kernel
                .stack
                .set_flow(key, Role::Client, FlowState::Requested);
        }
        queues::enqueue(
            kernel,
            Name::Send(key),
            Box::new(move |kernel| send(kernel, outbound)),
        );
    }
    numbers
}

/// A reset that the stack makes itself, and an ICMP error, belong to no endpoint (A-13, OSR 59954).
fn of_the_stack(shape: &Shape) -> bool {
    shape.resets || shape.error
}

/// The work of one send, on a thread at PASSIVE_LEVEL.
fn send(kernel: &Kernel, outbound: Outbound) {
    let key = outbound.shape.key;
    flow::maybe_reauthorize(kernel, &key);
    let of_the_stack = of_the_stack(&outbound.shape);
    // applications send at PASSIVE_LEVEL, timers and acknowledgments at DISPATCH_LEVEL.
    let level = if kernel.random.percent(50) {
        irql::DISPATCH
    } else {
        irql::PASSIVE
    };
    kernel.set_irql(level);
    let list = indicate(kernel, &outbound);
    let passed = of_the_stack || authorize(kernel, &outbound, list, level);
    if passed {
        if !of_the_stack && key.protocol != flow::TCP {
            established::tell(kernel, &outbound.shape, list, outbound.flags());
        }
        let endpoint = if of_the_stack {
            0
        } else {
            kernel
                .stack
                .flow_state(&key)
                .map_or(0, |(_, _, endpoint)| endpoint)
        };
        transport(kernel, &outbound, list, endpoint);
    }
    climb::finish(kernel, list);
    kernel.set_irql(irql::PASSIVE);
}

/// Makes the net buffer list that the layers are shown: one NET_BUFFER a packet, data at the transport header.
fn indicate(kernel: &Kernel, outbound: &Outbound) -> *mut NET_BUFFER_LIST {
    // The stack leaves room for the headers below, or it does not.
    let headroom = if kernel.random.percent(kernel.config.freedom.no_headroom) {
        0
    } else {
        64
    };
    let packets = outbound
        .packets
        .iter()
        .zip(&outbound.segments)
        .map(|(&packet, segment)| {
            let mut bytes = vec![0xEE; headroom];
            bytes.extend_from_slice(segment);
            let cuts = receive::cuts(kernel, bytes.len());
            PacketSpec {
                packet,
                data_start: headroom,
                data_length: segment.len(),
                bytes,
                cuts,
            }
        });
    let label = kernel.ledger.told(|| {
        format!(
            "NET_BUFFER_LIST of packet {:?} (sent: {})",
            outbound.packets,
            receive::told(&outbound.shape)
        )
    });
    ndis::build(
        kernel,
        Indication {
            label,
            packets: packets.collect(),
        },
    )
    .as_ptr()
}

/// Sees to it that the flow is authorized. False if the packets go no further here.
fn authorize(kernel: &Kernel, outbound: &Outbound, list: *mut NET_BUFFER_LIST, level: u8) -> bool {
    let key = outbound.shape.key;
    let is_tcp = key.protocol == flow::TCP;
    loop {
        let state = kernel.stack.flow_state(&key);
        let (list_shown, outcome) = match state {
            Some((_, FlowState::Authorized, _)) => return true,
            Some((_, FlowState::Refused, _)) => {
                kernel.stack.remove_flow(&key);
                block(kernel, outbound);
                return false;
            }
            Some((_, FlowState::Connecting, _)) => {
                tell_followed(kernel, outbound, "waits until its connect is authorized");
                kernel.set_irql(irql::PASSIVE);
                flow::wait_for_connect(kernel, key);
                kernel.set_irql(level);
                if kernel.stack.flow_state(&key).is_none() {
                    // Refused, and somebody else has taken the flow away.
                    block(kernel, outbound);
                    return false;
                }
                continue;
            }
            Some((role, FlowState::Reauthorize(reason), endpoint)) => {
                // TCP shows no packet at CONNECT.
                let shown = if is_tcp && role == Role::Client {
                    std::ptr::null_mut()
                } else {
                    list
                };
                let again = (role, reason, endpoint);
                (shown, reauthorize(kernel, outbound, shown, again))
            }
            None if is_tcp && !outbound.shape.connects => {
                flow::adopt(kernel, key);
                continue;
            }
            None | Some((_, FlowState::Requested, _)) => {
                let shown = if is_tcp {
                    tell_followed(
                        kernel,
                        outbound,
                        "its connect is shown to the callouts, without it",
                    );
                    std::ptr::null_mut()
                } else {
                    list
                };
                (shown, connect(kernel, outbound, shown))
            }
        };
        if outcome.action == Action::Permit {
            let role = state.map_or(Role::Client, |(role, _, _)| role);
            kernel.stack.set_flow(key, role, FlowState::Authorized);
            return true;
        }
        if outcome.pended && list_shown.is_null() {
            // The packet itself waits with the application until the connect is decided.
            continue;
        }
        if !outcome.pended && state.is_none_or(|(_, state, _)| state == FlowState::Requested) {
            kernel.stack.remove_flow(&key);
        }
        for &packet in &outbound.packets {
            climb::settle(kernel, packet, list, outcome);
        }
        return false;
    }
}

/// Something happens to all packets of a send, of which one may be followed.
fn tell_followed(kernel: &Kernel, outbound: &Outbound, what: &'static str) {
    let mut packets = outbound.packets.iter();
    if packets.any(|&packet| kernel.follows(packet)) {
        kernel.tell(what);
    }
}

fn block(kernel: &Kernel, outbound: &Outbound) {
    for &packet in &outbound.packets {
        kernel.count(|counts| counts.blocked += 1);
        kernel.set_fate(packet, Fate::Blocked);
    }
}

/// The first classify of a connect. Pending it leaves the flow connecting until the completion decides.
fn connect(
    kernel: &Kernel,
    outbound: &Outbound,
    list: *mut NET_BUFFER_LIST,
) -> crate::fwp::Outcome {
    let key = outbound.shape.key;
    let endpoint = kernel
        .stack
        .set_flow(key, Role::Client, FlowState::Connecting);
    let mut ask = Ask::new(&outbound.shape, list);
    (ask.flags, ask.endpoint, ask.direction) =
        (outbound.flags(), endpoint, consts::FWP_DIRECTION_OUTBOUND);
    ask.control_data = if list.is_null() {
        None
    } else {
        outbound.control_data.clone()
    };
    let (shape, flags) = (outbound.shape, outbound.flags());
    ask.pendable = Some(Box::new(move |kernel, clone| {
        if !clone.is_null() {
            let summary = "a pended connect was completed with a packet; it takes NULL";
            kernel.bug_check(Violation::contract(
                kernel,
                "A-72",
                [clone as u64, 0, 0, 0],
                summary,
            ));
        }
        let waits = kernel.stack.flow_state(&key);
        if waits.is_none_or(|(_, state, now)| state != FlowState::Connecting || now != endpoint) {
            // the socket was closed meanwhile. Nobody asks for the connection any more.
            return;
        }
        // the connect is classified again at once, on this thread, without a packet.
        let mut ask = Ask::new(&shape, std::ptr::null_mut());
        (ask.flags, ask.endpoint, ask.direction) =
            (flags, endpoint, consts::FWP_DIRECTION_OUTBOUND);
        ask.reason = consts::FWP_CONDITION_REAUTHORIZE_REASON_CLASSIFY_COMPLETION;
        let outcome = ask.connect(kernel);
        let state = if outcome.action == Action::Permit {
            FlowState::Authorized
        } else {
            FlowState::Refused
        };
        kernel.stack.set_flow(key, Role::Client, state);
    }));
    let outcome = ask.connect(kernel);
    if outcome.pended {
        kernel.count(|counts| counts.pended += 1);
    }
    outcome
}

/// Authorizes a flow again with this packet, for a reason.
fn reauthorize(
    kernel: &Kernel,
    outbound: &Outbound,
    list: *mut NET_BUFFER_LIST,
    (role, reason, endpoint): (Role, u32, u64),
) -> crate::fwp::Outcome {
    let mut ask = Ask::new(&outbound.shape, list);
    (ask.flags, ask.endpoint, ask.direction) =
        (outbound.flags(), endpoint, consts::FWP_DIRECTION_OUTBOUND);
    ask.reason = reason;
    ask.control_data = outbound.control_data.clone();
    match role {
        Role::Client => ask.connect(kernel),
        Role::Server => ask.recv_accept(kernel),
    }
}

/// OUTBOUND_TRANSPORT, and down to the wire.
fn transport(kernel: &Kernel, outbound: &Outbound, list: *mut NET_BUFFER_LIST, endpoint: u64) {
    let mut ask = Ask::new(&outbound.shape, list);
    (ask.flags, ask.endpoint) = (outbound.flags(), endpoint);
    ask.raw_header = outbound.raw_header.clone();
    ask.control_data = outbound.control_data.clone();
    let outcome = ask.outbound_transport(kernel);
    if outcome.action == Action::Block {
        for &packet in &outbound.packets {
            climb::settle(kernel, packet, list, outcome);
        }
        return;
    }
    let mut whole = Vec::new();
    for (&packet, buffer) in outbound.packets.iter().zip(ndis::net_buffers(list)) {
        if outcome.callouts > 0 {
            kernel.count(|counts| counts.permitted_inline += 1);
        }
        let bytes = with_header(kernel, packet, &ndis::copy_out(buffer), None);
        whole.extend(bytes.map(|bytes| (packet, bytes)));
    }
    network::descend(kernel, whole, list);
}

/// The IP packet that the network layer makes of a segment; `None` if nobody keeps account of the packet any more.
pub(super) fn with_header(
    kernel: &Kernel,
    packet: u64,
    segment: &[u8],
    remote: Option<IpAddr>,
) -> Option<Vec<u8>> {
    let (clean, raw) = kernel.with_packet(packet, |packet| (packet.clean.clone(), packet.raw))?;
    // what a raw socket said in its own header is lost when the packet is injected without it.
    let mut bytes = if raw && remote.is_some() {
        fresh_header(&clean, segment.len())
    } else {
        let header = Shape::of(&clean, false).map_or(0, |shape| shape.ip_header);
        clean.get(..header).unwrap_or_default().to_vec()
    };
    // The address is the one that the sender named; the rest of the header is the stack's own.
    match remote {
        Some(IpAddr::V4(address)) if bytes.len() >= 20 => {
            bytes[16..20].copy_from_slice(&address.octets())
        }
        Some(IpAddr::V6(address)) if bytes.len() >= 40 => {
            bytes[24..40].copy_from_slice(&address.octets())
        }
        _ => {}
    }
    bytes.extend_from_slice(segment);
    Some(bytes)
}

/// The header that the stack makes for a segment by itself: no options, its own time to live.
fn fresh_header(packet: &[u8], segment: usize) -> Vec<u8> {
    const HOPS: u8 = 128;
    let Ok(ip) = wfpsim_packet::IpPacket::parse(packet) else {
        return Vec::new();
    };
    match (ip.source(), ip.destination()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0x45, 0];
            header.extend_from_slice(&(20 + segment as u16).to_be_bytes());
            header.extend_from_slice(&[0, 0, 0, 0, HOPS, ip.protocol(), 0, 0]);
            header.extend_from_slice(&source.octets());
            header.extend_from_slice(&destination.octets());
            let sum = wfpsim_packet::checksum::header_checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend_from_slice(&(segment as u16).to_be_bytes());
            header.extend_from_slice(&[ip.protocol(), HOPS]);
            header.extend_from_slice(&source.octets());
            header.extend_from_slice(&destination.octets());
            header
        }
        _ => Vec::new(),
    }
}

/// A packet leaves the network layer: to the wire, or back up.
pub(super) fn leave(kernel: &Kernel, packet: u64, bytes: Vec<u8>, loopback: bool) {
    if loopback {
        receive::loop_back(kernel, packet, bytes);
    } else {
        kernel.arrived(packet, Side::Outbound, bytes);
    }
}
