//! Unload under load: begun after every number of turns, with packets held, pended and in flight.

use wfpsim::Config;
use wfpsim::driver::Parameters;
use wfpsim::stack::Transmitted;
use wfpsim_packet::transport::TcpFlags;

use crate::packets::*;
use crate::rig::*;
use crate::story;

/// Everything at once: accepts, connects, datagrams, loopback and packets of connections from before the driver.
fn storm(rig: &mut Rig, round: u16) {
    for family in 0..2 {
        let peer = at(PEER[family], 50_000 + round);
        let host = at(HOST[family], 40_000 + round);
        rig.receive(tcp(peer, at(HOST[family], 443), TcpFlags::SYN, 1));
        rig.receive(udp(peer, at(HOST[family], 53), 1));
        rig.receive(udp(peer, at(HOST[family], 53), 2));
        rig.receive(tcp(
            at(OTHER[family], 50_000),
            at(HOST[family], 22),
            TcpFlags::ACK,
            5,
        ));
        rig.send(tcp(host, at(OTHER[family], 80), TcpFlags::SYN, 1));
        let to = at(OTHER[family], 53);
        rig.send_with(
            (0..3)
                .map(|number| Transmitted::plain(udp(host, to, number), false))
                .collect(),
        );
        let own = at(HOST[family], 7);
        rig.send_with(vec![Transmitted::plain(udp(host, own, 1), true)]);
    }
}

#[test]
fn unload_begun_after_any_number_of_turns_brings_every_packet_out() {
    let mut held = 0;
    for steps in 0..240 {
        for seed in 0..3 {
            let mut rig = Rig::new(Config::new(steps as u64 * 3 + seed));
            storm(&mut rig, 0);
            rig.machine.run_steps(steps);
            storm(&mut rig, 1);
            rig.machine.run_steps(steps / 4);
            let counts = rig.machine.counts();
            held += (counts.held + counts.pended).saturating_sub(counts.reinjected);
            rig.unload();
            let gone = rig.compare();
            assert!(
                gone.is_empty(),
                "after {steps} steps, seed {seed}: {gone:?}"
            );
        }
    }
    assert!(held > 500, "{held} were on their way when unload began");
}

#[test]
fn a_machine_loads_the_driver_again_and_again() {
    for seed in 0..20 {
        let mut rig = Rig::without_driver(Config::new(seed));
        for round in 0..6 {
            rig.load(&Parameters::default());
            storm(&mut rig, round);
            rig.machine
                .run_steps(seed as usize * 11 + usize::from(round));
            rig.unload();
            assert!(rig.compare().is_empty(), "seed {seed}, round {round}");
        }
        rig.load(&Parameters::default());
        storm(&mut rig, 10);
        rig.end();
    }
}

#[test]
fn unload_in_the_middle_of_ipsec_traffic_brings_every_packet_out() {
    let captures = story::captures();
    let story = story::plan(
        &captures.join("seed-story.pcap"),
        None,
        Some(&captures.join("seed-story.sa.toml")),
    );
    for at_step in 0..story.steps.len() {
        for seed in 0..6 {
            let mut rig = Rig::new(Config::new(seed * 1000 + at_step as u64));
            for (index, step) in story.steps.iter().enumerate() {
                rig.step(step);
                if index == at_step {
                    rig.machine.run_steps(seed as usize * 9);
                    rig.unload();
                } else if index % 2 == 0 {
                    rig.run();
                }
            }
            rig.settle();
            let gone = rig.compare();
            assert!(
                gone.is_empty(),
                "unloaded at {at_step}, seed {seed}: {gone:?}"
            );
        }
    }
}

#[test]
fn unload_waits_for_a_program_that_has_the_device_open() {
    for seed in 0..20 {
        let mut rig = Rig::new(Config::new(seed));
        storm(&mut rig, 0);
        for _ in 0..4 {
            rig.machine.run_steps(20);
            let _ = rig.counters();
        }
        rig.end();
    }
}
