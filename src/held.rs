//! What is owned while a packet or a connection waits for its verdict.
//!
//! Everything in here was copied out of the classify, whose arguments are gone when it returns, or is an
//! owner of the platform's object: [`NblRef`] dereferences, [`PendedOperation`] completes, when they are dropped. So
//! whatever way a held packet ends, its reference is given back once and its operation completed once.

use core::net::IpAddr;

use nt::pool::PoolBytes;
use nt::time::InterruptTime;
use wfp::{Family, NblRef, PendedOperation, SendParams};

use crate::ipsec::Told;
use crate::triage::InboundPlan;
use crate::verdict::Facts;

/// A packet or connection that waits.
pub struct Held {
    /// What the policy is asked about.
    pub facts: Facts,
    /// When it was classified.
    pub since: InterruptTime,
    /// What it is, and what it owns.
    pub work: Work,
}

/// What waits.
pub enum Work {
    /// An inbound packet, of INBOUND_TRANSPORT or of a reauthorization.
    Inbound(InboundPacket),
    /// An outbound packet, of OUTBOUND_TRANSPORT or of a reauthorization.
    Outbound(OutboundPacket),
    /// An inbound connection, pended at ALE_AUTH_RECV_ACCEPT, with its first packet.
    RecvAccept {
        /// Completed with the clone to permit, with NULL to deny.
        pended: PendedOperation,
        /// The first packet.
        packet: InboundPacket,
    },
    /// An outbound connection, pended at ALE_AUTH_CONNECT.
    Connect {
        /// Completed with NULL either way; the verdict is given to the reauthorization.
        pended: PendedOperation,
        /// By which the reauthorization finds the verdict, besides the facts.
        endpoint_handle: Option<u64>,
        /// The first datagram, if the protocol has one.
        datagram: Option<OutboundPacket>,
    },
}

/// An inbound packet that waits.
pub struct InboundPacket {
    /// The original, which belongs to the stack.
    pub nbl: NblRef,
    /// Where it was and where its clone goes.
    pub plan: InboundPlan,
    /// What the classify told of IPsec and reassembly.
    pub told: Told,
    /// The layer's family.
    pub family: Family,
    /// UNSPECIFIED_COMPARTMENT_ID (0) when the metadata did not tell.
    pub compartment_id: u32,
    /// The IP protocol.
    pub protocol: u8,
    /// The peer, which sent it.
    pub source: IpAddr,
    /// This machine.
    pub destination: IpAddr,
}

/// An outbound packet that waits.
pub struct OutboundPacket {
    /// The original, which belongs to the stack.
    pub nbl: NblRef,
    /// NET_BUFFER_DATA_LENGTH of the first NET_BUFFER at classify. Another length later would mean that the data
    /// begins elsewhere.
    pub data_length: Option<u32>,
    /// The layer's family.
    pub family: Family,
    /// UNSPECIFIED_COMPARTMENT_ID (0) when the metadata did not tell.
    pub compartment_id: u32,
    /// The endpoint that sends it.
    pub endpoint_handle: u64,
    /// Where it goes.
    pub route: Route,
}

/// What says where an outbound packet goes.
pub enum Route {
    /// The parameters of the send, deep-copied.
    Params(SendParams),
    /// The IP header that the socket made, deep-copied.
    RawHeader(PoolBytes),
}
