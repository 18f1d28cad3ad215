//! WinDivert, a driver that others wrote, in the simulator: the very .sys that its users run is loaded, opened, diverts packets to a
//! program, takes them back, and is unloaded without a trace.
//!
//! The images come with the Python package pydivert and are fetched when the tests run; none is in this repository. Their licence
//! is LGPLv3 or GPLv2.

#![cfg(target_arch = "x86_64")]

#[path = "windivert/commands.rs"]
mod commands;
#[path = "windivert/fetch.rs"]
mod fetch;
#[path = "windivert/handles.rs"]
mod handles;
#[path = "windivert/older.rs"]
mod older;
#[path = "windivert/one.rs"]
mod one;
#[path = "windivert/packets.rs"]
mod packets;
#[path = "windivert/seeds.rs"]
mod seeds;
#[path = "windivert/two.rs"]
mod two;

use std::sync::Arc;

use two::Address;
use two::Divert;
use two::Open;
use two::Waiting;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::Parameters;
use wfpsim::image::Image;
use wfpsim::stack::INTERFACE_INDEX;
use wfpsim::stack::Received;
use wfpsim::stack::SUB_INTERFACE_INDEX;
use wfpsim::stack::Side;
use wfpsim::stack::Transmitted;

/// Loads an image on a machine of its own.
fn load(config: Config, image: &Arc<Image>) -> Machine {
    let machine = Machine::new(config);
    machine
        .load_image(image, &Parameters::default())
        .unwrap_or_else(|error| panic!("{error}\n{}", told(&machine)));
    machine
}

/// What a machine has to say, for a failed assertion.
fn told(machine: &Machine) -> String {
    let told: Vec<String> = machine
        .violations()
        .iter()
        .map(ToString::to_string)
        .collect();
    told.join("\n")
}

/// Unloads the driver, which leaves nothing, and finds that no rule was broken.
fn unload(machine: &Machine) {
    let leaks = machine.unload_driver();
    assert!(machine.violations().is_empty(), "{}", told(machine));
    assert!(leaks.is_empty(), "{leaks:?}");
}

/// What came out of a machine, as bytes, since the last look.
fn came_out(machine: &Machine) -> Vec<(Side, Vec<u8>)> {
    machine
        .take_arrivals()
        .into_iter()
        .map(|arrival| (arrival.side, arrival.bytes))
        .collect()
}

/// What a receive got, which must be there.
fn received(machine: &Machine, divert: &Divert<'_>, waiting: Waiting) -> (Vec<u8>, Address) {
    divert
        .received(waiting)
        .unwrap_or_else(|_| panic!("no packet was received\n{}", told(machine)))
}

/// Runs a story on a plain machine with WinDivert 2.2.2 loaded, and unloads it afterwards.
fn with_two(story: impl FnOnce(&Machine)) {
    let Some(image) = fetch::image(fetch::V2_2_2) else {
        return;
    };
    let machine = load(Config::plain(), &image);
    story(&machine);
    unload(&machine);
}

#[test]
fn every_version_loads_and_unloads_on_every_machine() {
    for version in [fetch::V1_1_8, fetch::V1_3, fetch::V2_2_2] {
        let Some(image) = fetch::image(version) else {
            return;
        };
        for seed in 0..10 {
            let machine = load(Config::new(seed), &image);
            unload(&machine);
        }
    }
}

#[test]
fn a_packet_is_diverted_received_sent_again_and_arrives_as_it_was() {
    with_two(|machine| {
        let divert = Divert::open(machine, Open::default());
        assert_eq!(divert.parameter(3), 2, "the driver's major version");
        for pair in [packets::V4, packets::V6] {
            let inbound = [pair.datagram_in(b"question"), pair.echo_in()];
            for packet in inbound.into_iter().chain(pair.connection_in()) {
                let waiting = divert.receive();
                machine.receive(Received::plain(packet.clone()));
                machine.run();
                assert_eq!(came_out(machine), [], "nobody but the program has it");
                let (got, address) = received(machine, &divert, waiting);
                assert_eq!(got, packet);
                assert!(!address.is_outbound() && !address.is_sniffed());
                assert_eq!(address.is_v6(), pair.host.is_ipv6());
                assert_eq!(address.interface(), (INTERFACE_INDEX, SUB_INTERFACE_INDEX));
                divert.send(&got, &address);
                machine.run();
                assert_eq!(came_out(machine), [(Side::Inbound, packet)]);
            }
            let packet = pair.datagram_out(b"answer");
            let waiting = divert.receive();
            machine.transmit(vec![Transmitted::plain(packet.clone(), false)]);
            machine.run();
            assert_eq!(came_out(machine), []);
            let (got, address) = received(machine, &divert, waiting);
            assert_eq!(got, packet);
            assert!(address.is_outbound() && !address.is_loopback());
            divert.send(&got, &address);
            machine.run();
            assert_eq!(came_out(machine), [(Side::Outbound, packet)]);
        }
        divert.close();
    });
}
