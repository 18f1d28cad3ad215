//! What to do with a classified packet: a pure, total function for each layer family, from plain facts to
//! "leave it", "ask the policy now", "answer with the stored decision", or "hold it", each with its reason.
//!
//! The functions are written as a list of exceptions, the most binding first; what is left at the end can be
//! held. The order matters where a packet is an exception twice: what must not be touched at all comes before
//! what may only be vetoed, and that before what merely cannot be held.

use tollgate_abi::Counter;
use wfp::{Direction, Family};

use crate::verdict::Verdict;

/// What to do with a classify; `P` is what a holder has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triage<P> {
    /// Permit it, and do nothing else to it.
    Leave(Leave),
    /// Ask the policy now, and answer with what it says.
    Inline(Inline),
    /// Answer with what was decided while this connection was pended.
    Answer(Verdict),
    /// Take a reference (and pend, where the plan says so), block and absorb, and let the worker decide.
    Hold(P),
}

/// Why a packet is permitted without asking the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// This driver injected it: it was decided then.
    SelfInjected,
    /// It is going to be authorized at ALE, and is decided there.
    AleClassifyRequired,
    /// The IPsec tunnel around it is not taken off yet.
    TunnelNotDetunneled,
}

/// Why the policy is asked during the classify. Each has a counter, with a text that says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {
    /// The right to write the action is gone: a veto is all that is possible.
    NoWriteRight,
    /// There is no packet.
    NoPacket,
    /// FwpsGetPacketListSecurityInformation0 failed.
    SecurityUnknown,
    /// Inbound loopback.
    Loopback,
    /// A fragment.
    Fragment,
    /// The IP header's size is absent or impossible.
    IpHeaderSize,
    /// The transport header's size is absent.
    TransportHeaderSize,
    /// The interface to inject at is absent.
    Interface,
    /// Several NET_BUFFERs inbound.
    SeveralNetBuffers,
    /// Too little memory before the data for the headers (B-04).
    HeadersOutOfReach,
    /// No transport endpoint.
    Endpoint,
    /// An address or the protocol is absent.
    Address,
    /// A raw header that cannot be put back.
    RawHeader,
    /// No completion handle.
    CompletionHandle,
    /// A reauthorization with nothing to hold.
    Reauthorize,
    /// A packet that goes the other way.
    Direction,
    /// The queue's bound on packets.
    QueueCount,
    /// The queue's bound on bytes.
    QueueBytes,
    /// The queue is closed.
    Closing,
    /// An allocation failed.
    NoMemory,
    /// AH or ESP that IPsec did not open.
    Unopened,
}

impl Leave {
    /// The counter of this reason.
    #[must_use]
    pub const fn counter(self) -> Counter {
        match self {
            Leave::SelfInjected => Counter::LeftSelfInjected,
            Leave::AleClassifyRequired => Counter::LeftAleClassifyRequired,
            Leave::TunnelNotDetunneled => Counter::LeftTunnelNotDetunneled,
        }
    }
}

impl Inline {
    /// The counter of this reason.
    #[must_use]
    pub const fn counter(self) -> Counter {
        match self {
            Inline::NoWriteRight => Counter::InlineNoWriteRight,
            Inline::NoPacket => Counter::InlineNoPacket,
            Inline::SecurityUnknown => Counter::InlineSecurityUnknown,
            Inline::Loopback => Counter::InlineLoopback,
            Inline::Fragment => Counter::InlineFragment,
            Inline::IpHeaderSize => Counter::InlineIpHeaderSize,
            Inline::TransportHeaderSize => Counter::InlineTransportHeaderSize,
            Inline::Interface => Counter::InlineInterface,
            Inline::SeveralNetBuffers => Counter::InlineSeveralNetBuffers,
            Inline::HeadersOutOfReach => Counter::InlineHeadersOutOfReach,
            Inline::Endpoint => Counter::InlineEndpoint,
            Inline::Address => Counter::InlineAddress,
            Inline::RawHeader => Counter::InlineRawHeader,
            Inline::CompletionHandle => Counter::InlineCompletionHandle,
            Inline::Reauthorize => Counter::InlineReauthorize,
            Inline::Direction => Counter::InlineDirection,
            Inline::QueueCount => Counter::InlineQueueCount,
            Inline::QueueBytes => Counter::InlineQueueBytes,
            Inline::Closing => Counter::InlineClosing,
            Inline::NoMemory => Counter::InlineNoMemory,
            Inline::Unopened => Counter::InlineUnopened,
        }
    }
}

/// What is known of an inbound packet that matters to its injection. Sizes and offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundShape {
    /// The layer's family.
    pub family: Family,
    /// ICMP or ICMPv6, whose data begins at the ICMP header and not after it (A.4).
    pub icmp: bool,
    /// AH or ESP that is the transport protocol itself: IPsec has no association for it, and something else may.
    pub unopened: bool,
    /// The protocol and both addresses are known, and of the layer's family.
    pub addressed: bool,
    /// FWPS_METADATA_FIELD_IP_HEADER_SIZE: everything before the transport header, AH, ESP and extension headers
    /// included.
    pub ip_header_size: Option<u32>,
    /// FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE.
    pub transport_header_size: Option<u32>,
    /// The index of the interface it arrived on.
    pub interface_index: Option<u32>,
    /// The index of the subinterface it arrived on.
    pub sub_interface_index: Option<u32>,
    /// NET_BUFFER_DATA_OFFSET of the first NET_BUFFER; `None` when there is no NET_BUFFER.
    pub data_offset: Option<u32>,
    /// NET_BUFFER_DATA_LENGTH of the first NET_BUFFER; `None` when there is no NET_BUFFER.
    pub data_length: Option<u32>,
    /// How many NET_BUFFERs there are.
    pub net_buffers: usize,
    /// IS_LOOPBACK.
    pub loopback: bool,
    /// IS_FRAGMENT, and not IS_REASSEMBLED.
    pub fragment: bool,
}

/// What is known of an outbound packet that matters to its injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundShape {
    /// FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE. Zero is as good as absent.
    pub endpoint_handle: Option<u64>,
    /// The remote address is known, and of the layer's family.
    pub addressed: bool,
    /// FWPS_METADATA_FIELD_IP_HEADER_SIZE, which an outbound packet has when its socket made the header.
    pub ip_header_size: Option<u32>,
    /// The header the socket made is there to be copied.
    pub raw_header: bool,
    /// IS_RAW_ENDPOINT: the socket may have made a header, whether it is there or not.
    pub raw_endpoint: bool,
    /// How many NET_BUFFERs there are.
    pub net_buffers: usize,
}

/// Where a held inbound packet was at classify, and where its clone is to be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundPlan {
    /// NET_BUFFER_DATA_OFFSET of the first NET_BUFFER during the classify.
    pub data_offset: u32,
    /// NET_BUFFER_DATA_LENGTH of the first NET_BUFFER during the classify.
    pub data_length: u32,
    /// Bytes of the IP header, with everything before the transport header.
    pub ip_header_size: u32,
    /// Bytes between the IP header and the data: none for ICMP.
    pub transport_header_size: u32,
    /// The interface to inject at.
    pub interface_index: u32,
    /// The subinterface to inject at.
    pub sub_interface_index: u32,
}

impl InboundPlan {
    /// Bytes from the data, as the classify had it, back to the IP header. Triage has checked that the sum exists
    /// and is within the packet's memory.
    #[must_use]
    pub const fn retreat(&self) -> u32 {
        self.ip_header_size
            .saturating_add(self.transport_header_size)
    }
}

/// What a held outbound packet needs to be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundPlan {
    /// The endpoint that sends it, not zero.
    pub endpoint_handle: u64,
    /// The socket made the IP header: it must be copied, and put before the clone.
    pub raw_header: bool,
}

/// A classify at INBOUND_TRANSPORT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundTransport {
    /// FWPS_RIGHT_ACTION_WRITE.
    pub may_write: bool,
    /// The packet; `None` when there is none.
    pub packet: Option<InboundShape>,
    /// Injected by this driver now or earlier. A packet injected by another driver is a packet like any other.
    pub self_injected: bool,
    /// FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED.
    pub ale_classify_required: bool,
    /// Whether an IPsec tunnel is still around the packet; `None` when that could not be learned (E-12).
    pub tunnel_not_detunneled: Option<bool>,
}

/// A classify at OUTBOUND_TRANSPORT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundTransport {
    /// FWPS_RIGHT_ACTION_WRITE.
    pub may_write: bool,
    /// The packet; `None` when there is none.
    pub packet: Option<OutboundShape>,
    /// Injected by this driver now or earlier.
    pub self_injected: bool,
}

/// The packet of a classify at an ALE layer. During a reauthorization it may go either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlePacket {
    /// It comes in.
    Inbound(InboundShape),
    /// It goes out.
    Outbound(OutboundShape),
}

impl AlePacket {
    /// The direction of this packet.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        match self {
            AlePacket::Inbound(_) => Direction::Inbound,
            AlePacket::Outbound(_) => Direction::Outbound,
        }
    }
}

/// A classify at ALE_AUTH_RECV_ACCEPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvAccept {
    /// FWPS_RIGHT_ACTION_WRITE.
    pub may_write: bool,
    /// The packet; `None` when there is none.
    pub packet: Option<AlePacket>,
    /// Injected by this driver now or earlier.
    pub self_injected: bool,
    /// IS_REAUTHORIZE.
    pub reauthorize: bool,
    /// The metadata has a completion handle.
    pub completion_handle: bool,
}

/// How a classify at ALE_AUTH_RECV_ACCEPT is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvAcceptPlan {
    /// Pend the operation and keep its first packet.
    Pend(InboundPlan),
    /// Keep the inbound packet of a reauthorization, which cannot be pended (A-76b).
    HoldInbound(InboundPlan),
    /// Keep the outbound packet of a reauthorization (A-76b).
    HoldOutbound(OutboundPlan),
}

/// A classify at ALE_AUTH_CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect {
    /// FWPS_RIGHT_ACTION_WRITE.
    pub may_write: bool,
    /// The packet; `None` when there is none, as always for TCP.
    pub packet: Option<AlePacket>,
    /// Injected by this driver now or earlier.
    pub self_injected: bool,
    /// IS_REAUTHORIZE.
    pub reauthorize: bool,
    /// What was decided for the pended connect that is being completed right now, if this is its
    /// reauthorization.
    pub decided: Option<Verdict>,
    /// The metadata has a completion handle.
    pub completion_handle: bool,
}

/// How a classify at ALE_AUTH_CONNECT is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectPlan {
    /// Pend the operation, which has no packet.
    Pend,
    /// Pend the operation and keep its first datagram, which the stack does not keep.
    PendDatagram(OutboundPlan),
}

/// The smallest IP header of a family, in bytes.
const fn smallest_ip_header(family: Family) -> u32 {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

/// What holding an inbound packet needs, or why it cannot be held.
fn inbound(shape: &InboundShape) -> Result<InboundPlan, Inline> {
    if shape.loopback {
        return Err(Inline::Loopback);
    }
    if shape.fragment {
        return Err(Inline::Fragment);
    }
    if shape.net_buffers > 1 {
        return Err(Inline::SeveralNetBuffers);
    }
    if shape.unopened {
        return Err(Inline::Unopened);
    }
    let data_offset = shape.data_offset.ok_or(Inline::NoPacket)?;
    let data_length = shape.data_length.ok_or(Inline::NoPacket)?;
    let ip_header_size = shape.ip_header_size.ok_or(Inline::IpHeaderSize)?;
    if ip_header_size < smallest_ip_header(shape.family) {
        return Err(Inline::IpHeaderSize);
    }
    let transport_header_size = if shape.icmp {
        0
    } else {
        shape
            .transport_header_size
            .ok_or(Inline::TransportHeaderSize)?
    };
    let retreat = ip_header_size
        .checked_add(transport_header_size)
        .ok_or(Inline::HeadersOutOfReach)?;
    if retreat > data_offset {
        return Err(Inline::HeadersOutOfReach);
    }
    if !shape.addressed {
        return Err(Inline::Address);
    }
    let (Some(interface_index), Some(sub_interface_index)) =
        (shape.interface_index, shape.sub_interface_index)
    else {
        return Err(Inline::Interface);
    };
    Ok(InboundPlan {
        data_offset,
        data_length,
        ip_header_size,
        transport_header_size,
        interface_index,
        sub_interface_index,
    })
}

/// What holding an outbound packet needs, or why it cannot be held.
fn outbound(shape: &OutboundShape) -> Result<OutboundPlan, Inline> {
    if shape.net_buffers == 0 {
        return Err(Inline::NoPacket);
    }
    let endpoint_handle = shape
        .endpoint_handle
        .filter(|handle| *handle != 0)
        .ok_or(Inline::Endpoint)?;
    let header_made_by_socket =
        shape.raw_header || shape.ip_header_size.is_some_and(|size| size != 0);
    if header_made_by_socket && (!shape.raw_header || shape.net_buffers > 1) {
        return Err(Inline::RawHeader);
    }
    // With a header of its own the packet says itself where it goes.
    if !shape.addressed && !shape.raw_header {
        return Err(Inline::Address);
    }
    Ok(OutboundPlan {
        endpoint_handle,
        raw_header: shape.raw_header,
    })
}

/// As [`outbound`], at an ALE layer, which does not tell a raw socket's header (F.1). Held there, the packet would go
/// out with another header than its socket made; OUTBOUND_TRANSPORT sees it next and has the header to give it back with
///
fn ale_outbound(shape: &OutboundShape) -> Result<OutboundPlan, Inline> {
    if shape.raw_endpoint && !shape.raw_header {
        return Err(Inline::RawHeader);
    }
    outbound(shape)
}

/// Puts a plan, or the reason there is none, into a [`Triage`].
fn hold<P, Q>(plan: Result<P, Inline>, how: impl FnOnce(P) -> Q) -> Triage<Q> {
    match plan {
        Ok(plan) => Triage::Hold(how(plan)),
        Err(reason) => Triage::Inline(reason),
    }
}

/// Triage at INBOUND_TRANSPORT. IRQL: any.
#[must_use]
pub fn inbound_transport(seen: &InboundTransport) -> Triage<InboundPlan> {
    let Some(packet) = &seen.packet else {
        return Triage::Inline(Inline::NoPacket);
    };
    if seen.self_injected {
        return Triage::Leave(Leave::SelfInjected);
    }
    if seen.ale_classify_required {
        return Triage::Leave(Leave::AleClassifyRequired);
    }
    if seen.tunnel_not_detunneled == Some(true) {
        return Triage::Leave(Leave::TunnelNotDetunneled);
    }
    if !seen.may_write {
        return Triage::Inline(Inline::NoWriteRight);
    }
    if seen.tunnel_not_detunneled.is_none() {
        return Triage::Inline(Inline::SecurityUnknown);
    }
    hold(inbound(packet), |plan| plan)
}

/// Triage at OUTBOUND_TRANSPORT. IRQL: any.
#[must_use]
pub fn outbound_transport(seen: &OutboundTransport) -> Triage<OutboundPlan> {
    let Some(packet) = &seen.packet else {
        return Triage::Inline(Inline::NoPacket);
    };
    if seen.self_injected {
        return Triage::Leave(Leave::SelfInjected);
    }
    if !seen.may_write {
        return Triage::Inline(Inline::NoWriteRight);
    }
    hold(outbound(packet), |plan| plan)
}

/// Triage at ALE_AUTH_RECV_ACCEPT. IRQL: any.
#[must_use]
pub fn recv_accept(seen: &RecvAccept) -> Triage<RecvAcceptPlan> {
    if seen.self_injected {
        return Triage::Leave(Leave::SelfInjected);
    }
    if !seen.may_write {
        return Triage::Inline(Inline::NoWriteRight);
    }
    match (&seen.packet, seen.reauthorize) {
        (None, true) => Triage::Inline(Inline::Reauthorize),
        (None, false) => Triage::Inline(Inline::NoPacket),
        (Some(AlePacket::Inbound(packet)), true) => {
            hold(inbound(packet), RecvAcceptPlan::HoldInbound)
        }
        (Some(AlePacket::Outbound(packet)), true) => {
            hold(ale_outbound(packet), RecvAcceptPlan::HoldOutbound)
        }
        (Some(AlePacket::Outbound(_)), false) => Triage::Inline(Inline::Direction),
        (Some(AlePacket::Inbound(_)), false) if !seen.completion_handle => {
            Triage::Inline(Inline::CompletionHandle)
        }
        (Some(AlePacket::Inbound(packet)), false) => hold(inbound(packet), RecvAcceptPlan::Pend),
    }
}

/// Triage at ALE_AUTH_CONNECT. IRQL: any.
#[must_use]
pub fn connect(seen: &Connect) -> Triage<ConnectPlan> {
    if seen.self_injected {
        return Triage::Leave(Leave::SelfInjected);
    }
    // Before the right is looked at: the reauthorization of a pended connect may come without it.
    if let (true, Some(verdict)) = (seen.reauthorize, seen.decided) {
        return Triage::Answer(verdict);
    }
    if !seen.may_write {
        return Triage::Inline(Inline::NoWriteRight);
    }
    if seen.reauthorize {
        return Triage::Inline(Inline::Reauthorize);
    }
    match &seen.packet {
        Some(AlePacket::Inbound(_)) => Triage::Inline(Inline::Direction),
        _ if !seen.completion_handle => Triage::Inline(Inline::CompletionHandle),
        None => Triage::Hold(ConnectPlan::Pend),
        Some(AlePacket::Outbound(packet)) => hold(ale_outbound(packet), ConnectPlan::PendDatagram),
    }
}

#[cfg(test)]
mod tests;
