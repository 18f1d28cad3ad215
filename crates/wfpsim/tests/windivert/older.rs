//! The versions before: another interface, a timer that drops what nobody asks for, injection handles of another kind.

use wfpsim::Config;
use wfpsim::stack::INTERFACE_INDEX;
use wfpsim::stack::Received;
use wfpsim::stack::SUB_INTERFACE_INDEX;
use wfpsim::stack::Side;
use wfpsim::stack::Transmitted;

use super::came_out;
use super::fetch;
use super::load;
use super::one;
use super::one::Divert;
use super::packets;
use super::unload;

const STATUS_CANCELLED: i32 = 0xC000_0120u32 as i32;

/// Half a second, in units of 100 ns: how long they keep a packet at least.
const KEPT: u64 = 5_120_000;

#[test]
fn version_1_3_diverts_and_takes_back_too() {
    let Some(image) = fetch::image(fetch::V1_3) else {
        return;
    };
    let machine = load(Config::plain(), &image);
    let divert = Divert::open(&machine, one::V1_3);
    assert_eq!(divert.queue_length(), 1024, "their default");
    for pair in [packets::V4, packets::V6] {
        let inbound = [pair.datagram_in(b"question"), pair.echo_in()];
        for packet in inbound.into_iter().chain(pair.connection_in()) {
            let waiting = divert.receive();
            machine.run_steps(50);
            machine.receive(Received::plain(packet.clone()));
            machine.run();
            assert_eq!(came_out(&machine), []);
            let (got, address) = divert.received(waiting);
            assert_eq!(got, packet);
            assert!(address.is_inbound());
            assert_eq!(address.interface(), (INTERFACE_INDEX, SUB_INTERFACE_INDEX));
            divert.send(&got, &address);
            machine.run();
            assert_eq!(came_out(&machine), [(Side::Inbound, packet)]);
        }
        let packet = pair.datagram_out(b"answer");
        let waiting = divert.receive();
        machine.transmit(vec![Transmitted::plain(packet.clone(), false)]);
        machine.run();
        let (got, address) = divert.received(waiting);
        assert_eq!(got, packet);
        assert!(!address.is_inbound());
        divert.send(&got, &address);
        machine.run();
        assert_eq!(came_out(&machine), [(Side::Outbound, packet)]);
    }
    let waiting = divert.receive();
    machine.run();
    divert.close();
    machine.run();
    assert_eq!(Divert::ended(&waiting), Some(STATUS_CANCELLED));
    unload(&machine);
}

/// An inbound packet that it blocked kept the retreat to the IP header. Its authors mended that for 1.3, when machines with another
/// filtering driver had crashed (their issue 90).
#[test]
fn version_1_1_8_gives_a_blocked_packet_back_retreated_and_that_is_told() {
    let Some(image) = fetch::image(fetch::V1_1_8) else {
        return;
    };
    let machine = load(Config::plain(), &image);
    let divert = Divert::open(&machine, one::V1_1);
    assert_eq!(divert.queue_length(), 1024, "its default");
    machine.receive(Received::plain(packets::V4.datagram_in(b"held")));
    machine.run();
    let violations = machine.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0].rule, "A-25", "{}", violations[0]);
}

#[test]
fn what_nobody_asks_for_is_dropped_after_a_while() {
    let Some(image) = fetch::image(fetch::V1_3) else {
        return;
    };
    let machine = load(Config::plain(), &image);
    let divert = Divert::open(&machine, one::V1_3);
    machine.receive(Received::plain(packets::V4.datagram_in(b"too late")));
    machine.run();
    machine.run_until(machine.kernel().now() + 3 * KEPT);
    let waiting = divert.receive();
    machine.run();
    assert_eq!(Divert::ended(&waiting), None, "the timer has freed it");
    divert.close();
    unload(&machine);
}
