//! Traffic in both directions on every kind of machine, and a program that gives everything back.

use std::collections::BTreeMap;

use wfpsim::Config;
use wfpsim::stack::Received;
use wfpsim::stack::Side;
use wfpsim::stack::Transmitted;

use super::came_out;
use super::fetch;
use super::load;
use super::packets;
use super::told;
use super::two::Divert;
use super::two::Open;
use super::two::Waiting;
use super::unload;

/// How many receives the program keeps waiting.
const DEPTH: usize = 4;

/// Packets by side and bytes, with how many there are of each.
type Tally = BTreeMap<(u8, Vec<u8>), u32>;

fn count(tally: &mut Tally, side: Side, packet: Vec<u8>) {
    *tally
        .entry((u8::from(side == Side::Outbound), packet))
        .or_default() += 1;
}

/// Runs traffic through a handle, which is closed after so many turns of the program, whatever it holds. Gives what went in and what
/// came out; `None` if there is no image.
fn run(seed: u64, turns: usize) -> Option<(Tally, Tally)> {
    let image = fetch::image(fetch::V2_2_2)?;
    let machine = load(Config::new(seed), &image);
    let divert = Divert::open(&machine, Open::default());
    let mut waiting: Vec<Waiting> = (0..DEPTH).map(|_| divert.receive()).collect();
    let (mut given, mut came) = (Tally::new(), Tally::new());
    for pair in [packets::V4, packets::V6] {
        for index in 0..6u8 {
            let packet = pair.datagram_in(&[index; 100]);
            count(&mut given, Side::Inbound, packet.clone());
            machine.receive(Received::plain(packet));
            let packet = pair.datagram_out(&[index; 90]);
            count(&mut given, Side::Outbound, packet.clone());
            machine.transmit(vec![Transmitted::plain(packet, false)]);
        }
        for packet in pair.connection_in() {
            count(&mut given, Side::Inbound, packet.clone());
            machine.receive(Received::plain(packet));
        }
    }
    for _ in 0..turns {
        machine.run_steps(40);
        let mut still = Vec::new();
        for one in waiting {
            match divert.received(one) {
                Ok((packet, address)) => {
                    divert.send(&packet, &address);
                    still.push(divert.receive());
                }
                Err(one) => still.push(one),
            }
        }
        waiting = still;
    }
    divert.close();
    machine.run();
    for (side, packet) in came_out(&machine) {
        count(&mut came, side, packet);
    }
    assert!(
        machine.violations().is_empty(),
        "seed {seed}\n{}",
        told(&machine)
    );
    unload(&machine);
    Some((given, came))
}

#[test]
fn nothing_is_lost_or_altered_on_any_machine() {
    for seed in 0..20 {
        if let Some((given, came)) = run(seed, 200) {
            assert_eq!(came, given, "seed {seed}");
        }
    }
}

/// What is on its way to a handle that closes may be dropped by the driver; it is not altered, doubled or leaked.
#[test]
fn a_handle_may_be_closed_at_any_moment() {
    for seed in 100..160 {
        if let Some((given, came)) = run(seed, (seed % 20) as usize) {
            for (packet, times) in came {
                assert!(
                    given.get(&packet).is_some_and(|&most| times <= most),
                    "seed {seed}"
                );
            }
        }
    }
}
