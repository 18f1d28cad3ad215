//! Callouts and filters.

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::Freedom;
use wfpsim::stack::Transmitted;
use wfpsim_packet::build;

use super::always;
use super::plain;
use super::race;
use super::unload_under_load;
use crate::Mistake;
use crate::driver;
use crate::driver::Layer;
use crate::driver::Setup;
use crate::traffic;

/// The mistakes.
pub(crate) const REGISTRATION: &[Mistake] = &[
    always(
        "A-02-no-device",
        "A-02",
        plain,
        load_and_unload,
        "registers its callouts before it has a device object",
    ),
    always(
        "A-02-copied-key",
        "A-02",
        plain,
        load_and_unload,
        "gives the IPv6 callout the key of the IPv4 one, and takes STATUS_FWP_ALREADY_EXISTS for an error of somebody else",
    ),
    always(
        "A-03",
        "A-03",
        plain,
        ipv6_datagram,
        "adds filters for IPv6 and registers the callout for IPv4 only: IPv6 is cut off",
    ),
    always(
        "O-28",
        "A-03",
        plain,
        load_and_unload,
        "adds its filters with a session that is not dynamic and leaves them there",
    ),
    always(
        "A-04",
        "A-04",
        plain,
        flow,
        "takes STATUS_OBJECT_NAME_EXISTS for a success when it associates a context with a flow",
    ),
    always(
        "A-04-no-delete",
        "A-04",
        plain,
        flow,
        "associates contexts with flows and has no flowDeleteFn",
    ),
    always(
        "A-05",
        "A-05",
        plain,
        flow,
        "unregisters its callout while flows carry contexts of its, and takes STATUS_DEVICE_BUSY for done",
    ),
    always(
        "A-07",
        "A-07",
        plain,
        flow_that_ends,
        "removes a flow's context in flowDeleteFn",
    ),
    always(
        "A-06-handle",
        "A-06",
        plain,
        load_and_unload,
        "returns from unload with its injection handle open",
    ),
    always(
        "O-24",
        "A-06",
        plain,
        load_and_unload,
        "returns from unload with its callouts registered",
    ),
    always(
        "A-08-null-key",
        "A-08",
        plain,
        load_and_unload,
        "reads the filter's key in notifyFn, which has none when a filter is deleted",
    ),
    always(
        "A-08-unbalanced",
        "A-08",
        lost_notification,
        load_and_unload,
        "counts filters in notifyFn and waits in unload until there is none (ebpf-for-windows #3567)",
    ),
    race(
        "A-09",
        "A-09",
        |machine| unload_under_load(machine, &[Layer::InboundTransport]),
        "unregisters each callout once and takes STATUS_DEVICE_BUSY for done",
    ),
    always(
        "A-10",
        "A-10",
        plain,
        two_datagrams_in,
        "says FWP_CALLOUT_FLAG_ALLOW_URO and injects inbound datagrams all the same",
    ),
    always(
        "A-11",
        "A-11",
        plain,
        load_and_unload,
        "returns from unload with its session open, which the engine does not close",
    ),
];

fn load_and_unload(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::InboundTransport]));
    driver::unload(machine);
}

fn ipv6_datagram(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]));
    let (host, peer) = ("[2001:db8::1]:49152", "[2001:db8::9]:53");
    let packet = build::udp(traffic::socket(host), traffic::socket(peer), b"a question");
    machine.transmit(vec![Transmitted::plain(packet, false)]);
    machine.run();
    driver::unload(machine);
}

/// The first belongs to ALE, the second to the driver.
fn two_datagrams_in(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::InboundTransport]));
    traffic::receive(machine, traffic::datagram_in());
    traffic::receive(machine, traffic::datagram_in());
    driver::unload(machine);
}

fn lost_notification(config: Config) -> Config {
    Config {
        freedom: Freedom {
            lost_notification: 100,
            ..config.freedom.clone()
        },
        ..config
    }
}

/// A driver that keeps something of each flow, and a flow.
pub(super) fn flow(machine: &Machine) {
    load_for_flows(machine);
    traffic::send(machine, traffic::datagram_out());
    driver::unload(machine);
}

/// The flow ends before the driver is unloaded.
fn flow_that_ends(machine: &Machine) {
    load_for_flows(machine);
    traffic::send(machine, traffic::datagram_out());
    machine.close_endpoints();
    machine.run();
    driver::unload(machine);
}

fn load_for_flows(machine: &Machine) {
    let setup = Setup {
        flows: true,
        ..Setup::at(&[])
    };
    driver::load(machine, setup);
}
