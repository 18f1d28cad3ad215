//! The queue's bounds: what they turn away is decided at once, what waited too long is dropped, and both are counted.

use tollgate_abi::Counter;
use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::driver::Parameters;

use crate::packets::*;
use crate::rig::*;

const SEEDS: u64 = 30;

fn bounded(values: &[(&str, u32)]) -> Parameters {
    let mut parameters = Parameters::default();
    for (name, value) in values {
        parameters.set_u32(name, *value);
    }
    parameters
}

/// Datagrams of some flows in each direction, all at once.
fn flood(rig: &mut Rig, flows: u16, datagrams: u32) {
    for flow in 0..flows {
        for number in 0..datagrams {
            rig.receive(udp(at(PEER[0], 50_000 + flow), at(HOST[0], 53), number));
            rig.send(udp(at(HOST[1], 40_000 + flow), at(PEER[1], 53), number));
        }
    }
}

#[test]
fn the_packet_over_the_bound_on_packets_is_decided_at_once() {
    for seed in 0..SEEDS {
        let mut rig = Rig::with(Config::new(seed), &bounded(&[("QueuePackets", 1)]));
        flood(&mut rig, 4, 6);
        let counters = rig.end();
        assert!(counters.get(Counter::InlineQueueCount) > 0, "seed {seed}");
        assert!(counters.sum(Group::Held) > 0, "and one at a time is held");
        assert_eq!(counters.get(Counter::InlineQueueBytes), 0);
    }
}

#[test]
fn the_packet_over_the_bound_on_bytes_is_decided_at_once() {
    for seed in 0..SEEDS {
        let mut rig = Rig::with(Config::new(seed), &bounded(&[("QueueBytes", 64)]));
        flood(&mut rig, 4, 6);
        let big = vec![7; 65];
        for _ in 0..3 {
            rig.receive(wfpsim_packet::build::udp(
                at(OTHER[0], 9),
                at(HOST[0], 9),
                &big,
            ));
            rig.run();
        }
        let counters = rig.end();
        assert!(counters.get(Counter::InlineQueueBytes) >= 3, "seed {seed}");
        assert!(counters.sum(Group::Held) > 0, "what fits is held");
        assert_eq!(counters.get(Counter::InlineQueueCount), 0);
    }
}

#[test]
fn a_full_queue_blocks_what_the_policy_blocks() {
    for seed in 0..SEEDS {
        let mut parameters = bounded(&[("QueuePackets", 1)]);
        parameters.set_string("BlockRemoteAddress", PEER[0]);
        let mut rig = Rig::with(Config::new(seed), &parameters);
        flood(&mut rig, 4, 6);
        let (counters, gone) = rig.end_and_tell();
        assert_eq!(
            gone.len(),
            4 * 6,
            "seed {seed}: all of the blocked peer and no other"
        );
        assert_eq!(accounted(&counters), 4 * 6);
        assert!(counters.get(Counter::InlineBlocked) > 0);
    }
}

#[test]
fn what_the_worker_gets_to_too_late_is_dropped_and_counted() {
    let mut dropped = 0;
    for seed in 0..4 {
        let parameters = bounded(&[("QueueAgeMilliseconds", 1)]);
        let mut rig = Rig::with(Config::new(seed), &parameters);
        // A call of the kernel takes a tenth of a microsecond: enough of them at once, and the worker needs longer than a
        // millisecond for what it took.
        for flow in 0..200 {
            for number in 0..20 {
                rig.receive(udp(at(PEER[0], 50_000 + flow), at(HOST[0], 53), number));
            }
        }
        let (counters, gone) = rig.end_and_tell();
        assert_eq!(
            counters.get(Counter::DroppedAge),
            gone.len() as u64,
            "seed {seed}: A-30"
        );
        dropped += gone.len();
    }
    assert!(dropped > 0, "the flood was large enough");
}

#[test]
fn the_same_flood_with_time_enough_loses_nothing() {
    let mut rig = Rig::with(
        Config::new(1),
        &bounded(&[("QueueAgeMilliseconds", 60_000)]),
    );
    flood(&mut rig, 100, 20);
    let counters = rig.end();
    assert!(counters.sum(Group::Held) > 1000, "it was held");
}
