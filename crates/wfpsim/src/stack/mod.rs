//! TCP/IP around the filter engine: the receive path, the send path, ALE and its flows.
//!
//! The packets themselves come from outside (a capture, a test). The stack decides what each is shown to, in which order
//! and with which metadata, and keeps account of every one of them: who took it, where it came out, with which bytes.

mod account;
mod climb;
mod come_back;
mod established;
pub(crate) mod flow;
mod injected;
mod layers;
pub(crate) mod network;
mod power;
pub(crate) mod queues;
mod receive;
mod send;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;

pub use account::Arrival;
pub use account::Counts;
pub use account::Fate;
pub use account::Packet;
pub use account::SentWith;
pub use account::Side;
pub use receive::Received;
pub use receive::Security;
pub use send::Transmitted;

pub(crate) use come_back::check_byte_order;
pub(crate) use come_back::receive_injected;
pub(crate) use come_back::send_injected;
pub(crate) use layers::is_ale;
pub(crate) use layers::is_established;

use wfp_sys::consts;
use wfp_sys::ndis::NET_BUFFER_LIST;

use crate::machine::Kernel;
use crate::machine::Machine;
use crate::nt::NtStatus;
use crate::nt::status;

/// The interface that everything arrives on and leaves by.
pub const INTERFACE_INDEX: u32 = 12;
/// Its sub-interface.
pub const SUB_INTERFACE_INDEX: u32 = 3;
/// The scope of every link-local address: the interface as its zone, level 2 in the upper four bits (SCOPE_ID).
pub const LINK_LOCAL_SCOPE: u32 = 2 << 28 | INTERFACE_INDEX;
/// The compartment of everything.
pub const COMPARTMENT_ID: u32 = 1;

/// What the stack keeps.
#[derive(Default)]
pub struct State {
    flows: RefCell<BTreeMap<flow::Key, flow::Flow>>,
    queues: RefCell<BTreeMap<queues::Name, queues::Queue>>,
    packets: RefCell<BTreeMap<u64, Packet>>,
    arrivals: RefCell<Vec<Arrival>>,
    counts: RefCell<Counts>,
    next_endpoint: Cell<u64>,
    /// The adapters are paused or asleep.
    paused: Cell<bool>,
}

/// A packet arrives from the network.
pub(crate) fn arrive(kernel: &Kernel, received: Received) -> u64 {
    receive::arrive(kernel, received)
}

/// Packets of one flow are sent.
pub(crate) fn transmit(kernel: &Kernel, packets: Vec<Transmitted>) -> Vec<u64> {
    send::transmit(kernel, packets)
}

impl Machine {
    /// A packet arrives from the network. Gives the number that it is known by.
    pub fn receive(&self, received: Received) -> u64 {
        receive::arrive(self.kernel(), received)
    }

    /// An application (or the stack itself) sends packets of one flow. Gives their numbers.
    pub fn transmit(&self, packets: Vec<Transmitted>) -> Vec<u64> {
        send::transmit(self.kernel(), packets)
    }

    /// What came out since the last call, in order.
    pub fn take_arrivals(&self) -> Vec<Arrival> {
        self.kernel().stack.arrivals.take()
    }

    /// What became of a packet.
    pub fn packet(&self, number: u64) -> Option<Packet> {
        self.kernel().stack.packets.borrow().get(&number).cloned()
    }

    /// Takes the account of a packet away, so that long runs stay small.
    pub fn forget_packet(&self, number: u64) -> Option<Packet> {
        self.kernel().stack.packets.borrow_mut().remove(&number)
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.kernel().stack.counts.borrow().clone()
    }

    /// Policy changed: every flow is authorized again at its next packet.
    pub fn change_policy(&self) {
        self.reauthorize(consts::FWP_CONDITION_REAUTHORIZE_REASON_POLICY_CHANGE);
    }

    /// Every flow is authorized again at its next packet, for the reason that the classify is told:
    /// FWP_CONDITION_REAUTHORIZE_REASON_*, of which IPsec's new keys are IPSEC_PROPERTIES_CHANGED.
    pub fn reauthorize(&self, reason: u32) {
        self.kernel().stack.reauthorize_all(reason);
    }

    /// The endpoint that sends or receives this packet is closed, if it is open: handles of it that callouts remember are
    /// stale.
    pub fn close_endpoint(&self, packet: &[u8], side: Side) {
        if let Ok(shape) = flow::Shape::of(packet, side == Side::Inbound) {
            self.kernel().stack.remove_flow(&shape.key);
        }
    }

    /// Every endpoint is closed: handles that callouts remember are stale.
    pub fn close_endpoints(&self) {
        let flows = std::mem::take(&mut *self.kernel().stack.flows.borrow_mut());
        established::ended(self, flows.into_values());
    }
}

/// The stack drops a packet that a driver injected, for a reason of its own. The status is what its completion says.
pub(crate) fn drop_injected(kernel: &Kernel, list: *mut NET_BUFFER_LIST) -> NtStatus {
    let packets = kernel.ndis.with(list, |list| list.packets.clone());
    kernel.count(|counts| counts.reinjected += 1);
    for packet in packets.unwrap_or_default() {
        kernel.with_packet(packet, |packet| packet.injected += 1);
        kernel.set_fate(packet, Fate::Dropped("injection_failed"));
    }
    status::INSUFFICIENT_RESOURCES
}

/// Whether a packet is on its way out of the machine, and not back into it.
pub(crate) fn is_leaving(kernel: &Kernel, packet: u64) -> bool {
    kernel.with_packet(packet, |packet| {
        packet.side == Side::Outbound && !packet.loopback
    }) == Some(true)
}

impl Kernel {
    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.stack.counts.borrow_mut());
    }
}
