//! Registration, classify answers, the ALE layers, and unload: rules, C-50 to C-52.

mod ale;
mod answers;
mod registration;
mod unload;

pub(crate) use ale::ALE;
pub(crate) use answers::ANSWERS;
pub(crate) use registration::REGISTRATION;
pub(crate) use unload::UNLOAD;

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::stack::Received;
use wfpsim::stack::Transmitted;
use wfpsim_packet::build;

use crate::Mistake;
use crate::driver;
use crate::driver::Layer;
use crate::driver::Setup;
use crate::traffic;

/// A mistake that shows on every run of a machine like this.
const fn always(
    name: &'static str,
    rule: &'static str,
    config: fn(Config) -> Config,
    story: fn(&Machine),
    what: &'static str,
) -> Mistake {
    Mistake::always(name, rule, what, story).on(config)
}

/// A race.
const fn race(
    name: &'static str,
    rule: &'static str,
    story: fn(&Machine),
    what: &'static str,
) -> Mistake {
    Mistake::sometimes(name, rule, what, story)
}

fn plain(config: Config) -> Config {
    config
}

fn garbage(config: Config) -> Config {
    Config {
        garbage: true,
        ..config
    }
}

fn failing(config: Config, function: &'static str) -> Config {
    let faults = wfpsim::machine::Faults {
        fail_call: Some(1),
        functions: vec![function],
        ..Default::default()
    };
    Config { faults, ..config }
}

/// A driver that never gets an answer for its policy has pended an accept when it is unloaded.
fn accept_undecided(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::RecvAccept]).undecided());
    traffic::receive(machine, traffic::syn());
    driver::unload(machine);
}

/// Connections come in, at a driver at these layers, while it is unloaded.
fn unload_under_load(machine: &Machine, layers: &'static [Layer]) {
    driver::load(machine, Setup::at(layers));
    for port in 0..6 {
        let client = traffic::socket(&format!("192.0.2.9:{}", 50_000 + port));
        let flags = wfpsim_packet::transport::TcpFlags::SYN;
        let syn = build::tcp(client, traffic::socket(traffic::SERVER), flags, 1, 0, b"");
        machine.receive(Received::plain(syn));
    }
    driver::unload(machine);
    machine.run();
}

/// Two datagrams of one socket, one after the other.
fn transmit_two(machine: &Machine) {
    for _ in 0..2 {
        machine.transmit(vec![Transmitted::plain(traffic::datagram_out(), false)]);
        machine.run();
    }
}
