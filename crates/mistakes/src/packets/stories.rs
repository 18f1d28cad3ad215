//! Stories that only mistakes with packets need.

use wfpsim::Machine;
use wfpsim::stack::Transmitted;
use wfpsim_packet::build;

use crate::driver;
use crate::driver::Layer;
use crate::driver::Setup;
use crate::traffic;

/// Data that the policy blocks when it has been held.
pub fn blocked_data(machine: &Machine) {
    driver::load(
        machine,
        Setup::at(&[Layer::InboundTransport]).blocking(50000),
    );
    traffic::receive(machine, traffic::syn());
    traffic::receive(machine, traffic::data());
    driver::unload(machine);
}

/// A datagram whose socket is closed while it is held.
pub fn socket_closed_meanwhile(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]).patient());
    traffic::send(machine, traffic::datagram_out());
    machine.close_endpoints();
    driver::wake(machine);
    driver::unload(machine);
}

/// A datagram of one socket, and one of the next that has the same port.
pub fn one_socket_after_another(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]));
    traffic::send(machine, traffic::datagram_out());
    machine.close_endpoints();
    traffic::send(machine, traffic::datagram_out());
    driver::unload(machine);
}

/// A datagram over IPv6.
pub fn outbound_v6(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]));
    let datagram = build::udp(
        traffic::socket("[2001:db8::1]:49152"),
        traffic::socket("[2001:db8::9]:53"),
        b"a question",
    );
    traffic::send(machine, datagram);
    driver::unload(machine);
}

/// Datagrams of the host to itself: the first makes the flow, the second is one of it.
pub fn loopback_flow(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::InboundTransport]));
    let datagram = build::udp(
        traffic::socket(traffic::LOCAL),
        traffic::socket("192.0.2.1:53"),
        b"to myself",
    );
    for _ in 0..2 {
        traffic::send_as(machine, vec![Transmitted::plain(datagram.clone(), true)]);
    }
    driver::unload(machine);
}
