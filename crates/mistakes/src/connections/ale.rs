//! Pending, completing, and authorizing again.

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use super::always;
use super::failing;
use super::plain;
use crate::Mistake;
use crate::driver;
use crate::driver::Layer;
use crate::driver::Setup;
use crate::traffic;

/// The mistakes.
pub(crate) const ALE: &[Mistake] = &[
    always(
        "A-69",
        "A-69",
        plain,
        traffic::connect,
        "keeps the completion handle and pends when the classify has returned",
    ),
    always(
        "A-70",
        "A-70",
        plain,
        traffic::connect,
        "pends, and blocks without absorbing",
    ),
    always(
        "A-70-failed",
        "A-70",
        |config| failing(config, "FwpsPendOperation0"),
        traffic::connect,
        "absorbs although pending failed",
    ),
    always(
        "O-19",
        "A-71",
        plain,
        traffic::connect,
        "completes a pended connect twice",
    ),
    always(
        "O-19-never",
        "A-71",
        plain,
        traffic::connect,
        "forgets to complete a pended connect",
    ),
    always(
        "O-19-null",
        "A-71",
        plain,
        traffic::connect,
        "completes with no context",
    ),
    always(
        "E-1",
        "A-71",
        plain,
        traffic::connect,
        "does not forget what the last round of its worker found, and completes that again",
    ),
    always(
        "E-11",
        "A-71",
        |config| failing(config, "FwpsInjectTransportReceiveAsync0"),
        traffic::accept,
        "denies an accept whose clone could not be injected, and which it has completed already",
    ),
    always(
        "fort-dropped-pends",
        "A-71",
        plain,
        accept_denied,
        "drops what waits when it is cleared, and completes none of it",
    ),
    always(
        "O-20",
        "A-72",
        plain,
        traffic::connect,
        "completes a connect with the lock held that its classify takes",
    ),
    always(
        "A-72-clone",
        "A-72",
        plain,
        traffic::connect_datagram,
        "completes a connect with a clone of its packet",
    ),
    always(
        "E-6-no-right",
        "A-72",
        reauthorize_without_right,
        traffic::connect,
        "frees a connect when it is authorized again, unless that comes without the right to write",
    ),
    always(
        "E-8",
        "A-72",
        plain,
        port_used_again,
        "takes a connect for an earlier one of the same addresses and ports",
    ),
    always(
        "A-73",
        "A-73",
        plain,
        closed_while_pended,
        "frees a connect when it is authorized again, which never comes when its socket was closed",
    ),
    always(
        "A-74",
        "A-74",
        plain,
        traffic::accept,
        "completes an accept with the original packet",
    ),
    always(
        "A-74-another",
        "A-74",
        plain,
        traffic::accept,
        "completes an accept with one clone and injects another",
    ),
    always(
        "A-75",
        "A-75",
        plain,
        super::registration::flow,
        "absorbs at FLOW_ESTABLISHED",
    ),
    always(
        "A-76",
        "A-76",
        plain,
        answer_authorized_again,
        "takes the packet of an accept that is authorized again for an inbound one",
    ),
    always(
        "A-76b",
        "A-76b",
        plain,
        connect_authorized_again,
        "absorbs a reauthorization that comes without a packet",
    ),
    always(
        "A-77",
        "A-77",
        plain,
        syn_retransmitted,
        "takes a retransmitted SYN for the connection that waits already",
    ),
    always(
        "KB979278",
        "A-78",
        plain,
        two_callouts,
        "pends a connect in both its callouts, the second without looking at its rights",
    ),
];

fn reauthorize_without_right(config: Config) -> Config {
    Config {
        reauthorize_without_right: true,
        ..config
    }
}

/// What waits at the end is denied.
fn accept_denied(machine: &Machine) {
    let setup = Setup {
        blocked_port: Some(traffic::socket(traffic::CLIENT).port()),
        ..Setup::at(&[Layer::RecvAccept])
    };
    driver::load(machine, setup);
    traffic::receive(machine, traffic::syn());
    driver::unload(machine);
}

/// A connect waits, its socket is closed, and another one connects from the same port to the same peer.
fn port_used_again(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::Connect]).undecided());
    traffic::send(machine, traffic::syn_out());
    machine.close_endpoints();
    machine.run();
    traffic::send(machine, traffic::syn_out());
    driver::unload(machine);
}

/// A connect waits when its socket is closed: completing it brings no reauthorization.
fn closed_while_pended(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::Connect]).undecided());
    traffic::send(machine, traffic::syn_out());
    machine.close_endpoints();
    machine.run();
    driver::unload(machine);
}

/// Policy changes after a connection was accepted, and the next packet of it is the host's.
fn answer_authorized_again(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::RecvAccept]));
    traffic::receive(machine, traffic::syn());
    machine.change_policy();
    let (host, peer) = (
        traffic::socket(traffic::SERVER),
        traffic::socket(traffic::CLIENT),
    );
    let answer = build::tcp(host, peer, TcpFlags::ACK, 1, 2, b"an answer");
    traffic::send(machine, answer);
    traffic::receive(machine, traffic::data());
    driver::unload(machine);
}

/// Policy changes after the host connected. TCP shows no packet at CONNECT.
fn connect_authorized_again(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::Connect]));
    traffic::send(machine, traffic::syn_out());
    machine.change_policy();
    traffic::send(machine, traffic::syn_out());
    driver::unload(machine);
}

/// The peer gets no answer and sends its SYN again. Both are denied in the end.
fn syn_retransmitted(machine: &Machine) {
    let setup = Setup {
        blocked_port: Some(traffic::socket(traffic::CLIENT).port()),
        ..Setup::at(&[Layer::RecvAccept])
    };
    driver::load(machine, setup.undecided());
    traffic::receive(machine, traffic::syn());
    traffic::receive(machine, traffic::syn());
    driver::unload(machine);
}

fn two_callouts(machine: &Machine) {
    let setup = Setup {
        twice: true,
        ..Setup::at(&[Layer::Connect])
    };
    driver::load(machine, setup);
    traffic::send(machine, traffic::syn_out());
    driver::unload(machine);
}
