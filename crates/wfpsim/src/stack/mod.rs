//! TCP/IP around the filter engine: the receive path, the send path, ALE and its flows.
//!
//! The packets themselves come from outside (a capture, a test). The stack decides what each is shown to, in which order
//! and with which metadata, and keeps account of every one of them: who took it, where it came out, with which bytes.

mod account;
mod flow;
mod layers;
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

pub(crate) use receive::receive_injected;
pub(crate) use send::send_injected;

use crate::machine::Kernel;
use crate::machine::Machine;

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
        for flow in self.kernel().stack.flows.borrow_mut().values_mut() {
            if flow.state == flow::State::Authorized {
                flow.state = flow::State::Reauthorize;
            }
        }
    }

    /// Every endpoint is closed: handles that callouts remember are stale.
    pub fn close_endpoints(&self) {
        self.kernel().stack.flows.borrow_mut().clear();
    }
}

impl Kernel {
    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.stack.counts.borrow_mut());
    }
}
