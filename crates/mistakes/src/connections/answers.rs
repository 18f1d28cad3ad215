//! What a classify is told, and how it is answered.

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::Freedom;

use super::always;
use super::garbage;
use super::plain;
use super::transmit_two;
use crate::Mistake;
use crate::driver;
use crate::driver::Layer;
use crate::driver::Setup;
use crate::traffic;

/// The mistakes.
pub(crate) const ANSWERS: &[Mistake] = &[
    always(
        "A-12",
        "A-12",
        plain,
        traffic::outbound_datagram,
        "keeps the pointer to the classify's values with the packet, and its worker reads them",
    ),
    always(
        "A-13-endpoint",
        "A-13",
        garbage,
        traffic::outbound_reset,
        "takes the endpoint of a reset that the stack made itself, and which has none",
    ),
    always(
        "A-13-compartment",
        "A-13",
        without_compartment,
        traffic::outbound_datagram,
        "takes the compartment without looking whether the metadata have it",
    ),
    always(
        "A-13-control-data",
        "A-13",
        garbage,
        traffic::outbound_datagram,
        "copies the control data of a send that has none",
    ),
    always(
        "A-15",
        "A-15",
        hard_permit,
        traffic::outbound_datagram,
        "answers CONTINUE without the right to write, to leave the decision to others",
    ),
    always(
        "A-15-toggle",
        "A-15",
        hard_permit,
        traffic::outbound_datagram,
        "toggles the right to write where it means to clear it",
    ),
    always(
        "A-16",
        "A-16",
        plain,
        traffic::outbound_datagram,
        "takes a packet to modify it and leaves the right to write to others",
    ),
    always(
        "A-16-pend",
        "A-16",
        plain,
        traffic::connect,
        "pends a connect and leaves the right to write to others",
    ),
    always(
        "A-16-permit",
        "A-16",
        plain,
        final_permit,
        "permits softly by a filter that says its permits are final",
    ),
    always(
        "A-17",
        "A-17",
        plain,
        traffic::inbound_data,
        "absorbs a packet that it permits",
    ),
    always(
        "A-18",
        "A-18",
        plain,
        traffic::inbound_data,
        "answers CONTINUE by a terminating filter, which blocks",
    ),
    always(
        "A-19",
        "A-19",
        plain,
        two_held,
        "links the lists that it holds by their Next, and gives each back with the rest behind it",
    ),
    always(
        "A-20",
        "A-20",
        plain,
        traffic::connect,
        "looks for the packet of a TCP connect, which has none",
    ),
    always(
        "E-6",
        "A-20",
        plain,
        traffic::connect,
        "asserts that a connect's reauthorization comes with a packet",
    ),
    always(
        "A-21",
        "A-21",
        plain,
        traffic::outbound_datagram,
        "sends to the address as the classify has it, in host byte order",
    ),
    always(
        "A-21-rebuild",
        "A-21",
        plain,
        traffic::inbound_esp,
        "rebuilds an IP header with addresses in host byte order",
    ),
    always(
        "A-22",
        "A-22",
        empty_fields,
        policy_by_address,
        "reads the local address of a reauthorization without looking whether it is there",
    ),
];

fn without_compartment(config: Config) -> Config {
    Config {
        hidden_metadata: wfp_sys::consts::FWPS_METADATA_FIELD_COMPARTMENT_ID,
        ..garbage(config)
    }
}

fn hard_permit(config: Config) -> Config {
    Config {
        hard_permit: true,
        ..config
    }
}

fn empty_fields(config: Config) -> Config {
    Config {
        freedom: Freedom {
            empty_when_reauthorized: 100,
            ..config.freedom.clone()
        },
        ..garbage(config)
    }
}

fn final_permit(machine: &Machine) {
    let setup = Setup {
        final_permit: true,
        ..Setup::at(&[Layer::InboundTransport])
    };
    driver::load(machine, setup);
    traffic::receive(machine, traffic::syn());
    driver::unload(machine);
}

/// Two packets wait at the same time.
fn two_held(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]).undecided());
    transmit_two(machine);
    driver::unload(machine);
}

/// A connection is authorized again by a policy that is about the host's own addresses.
fn policy_by_address(machine: &Machine) {
    let setup = Setup {
        blocked_local: Some([10; 16]),
        ..Setup::at(&[Layer::Connect])
    };
    driver::load(machine, setup);
    traffic::send(machine, traffic::datagram_out());
    machine.change_policy();
    traffic::send(machine, traffic::datagram_out());
    driver::unload(machine);
}
