//! The base filtering engine is not up yet, goes away and comes back, and is gone when the driver goes.

use tollgate_abi::Counter;
use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::driver::Parameters;
use wfpsim_packet::transport::TcpFlags;

use crate::packets::*;
use crate::rig::*;

const SEEDS: u64 = 60;

/// A few packets of every kind, not waited for.
fn traffic(rig: &mut Rig, round: u16) {
    for family in 0..2 {
        let (host, peer) = (at(HOST[family], 53), at(PEER[family], 50_000 + round));
        rig.receive(tcp(peer, at(HOST[family], 443), TcpFlags::SYN, 1));
        rig.receive(udp(peer, host, 1));
        rig.send(tcp(
            at(HOST[family], 40_000 + round),
            at(OTHER[family], 80),
            TcpFlags::SYN,
            1,
        ));
        rig.send(udp(
            at(HOST[family], 40_000 + round),
            at(OTHER[family], 53),
            1,
        ));
    }
}

#[test]
fn a_driver_loaded_before_the_engine_waits_for_it() {
    for seed in 0..SEEDS {
        let mut rig = Rig::without_driver(Config::new(seed));
        rig.machine.stop_bfe();
        rig.load(&Parameters::default());
        traffic(&mut rig, 0);
        rig.run();
        let counters = rig.counters();
        assert_eq!(counters.sum(Group::Classified), 0, "no engine, no filters");
        assert_counted(
            &counters,
            &[(Counter::EngineAdded, 0), (Counter::EngineFailed, 0)],
        );
        rig.machine.start_bfe();
        rig.run();
        traffic(&mut rig, 1);
        let counters = rig.end();
        assert_counted(
            &counters,
            &[(Counter::EngineAdded, 1), (Counter::EngineFailed, 0)],
        );
        assert!(counters.sum(Group::Held) > 0, "seed {seed}");
    }
}

#[test]
fn an_engine_that_stops_and_starts_under_traffic_costs_no_packet() {
    let mut added = 0;
    for seed in 0..SEEDS * 2 {
        let mut rig = Rig::new(Config::new(seed));
        for round in 0..4 {
            traffic(&mut rig, round * 2);
            rig.machine.run_steps(seed as usize % 50 * 4);
            rig.machine.stop_bfe();
            traffic(&mut rig, round * 2 + 1);
            rig.machine.run_steps(seed as usize % 7 * 10);
            rig.machine.start_bfe();
        }
        rig.settle();
        added += rig.counters().get(Counter::EngineAdded);
        let before = rig.counters().sum(Group::Held);
        traffic(&mut rig, 100);
        let counters = rig.end();
        assert!(
            counters.sum(Group::Held) > before,
            "seed {seed}: it filters again"
        );
    }
    assert!(added > SEEDS * 4, "{added} sessions");
}

#[test]
fn what_was_pended_when_the_engine_stopped_is_completed_all_the_same() {
    let mut missing = 0;
    for seed in 0..SEEDS {
        for steps in [20, 40, 60] {
            let mut rig = Rig::new(Config::new(seed));
            for port in 0..5 {
                rig.send(tcp(
                    at(HOST[0], 40_000 + port),
                    at(PEER[0], 80),
                    TcpFlags::SYN,
                    1,
                ));
            }
            rig.machine.run_steps(steps);
            rig.machine.stop_bfe();
            let counters = rig.end();
            missing += counters.get(Counter::ReauthorizeMissing);
        }
    }
    assert!(
        missing > 0,
        "nobody asked for some decisions any more (A-73)"
    );
}

#[test]
fn the_driver_unloads_while_the_engine_is_down_and_while_it_comes_and_goes() {
    for seed in 0..SEEDS {
        for up_again in [false, true] {
            let mut rig = Rig::new(Config::new(seed));
            traffic(&mut rig, 0);
            rig.machine.run_steps(seed as usize * 3);
            rig.machine.stop_bfe();
            if up_again {
                rig.machine.start_bfe();
            }
            traffic(&mut rig, 1);
            rig.machine.run_steps(seed as usize % 10);
            rig.unload();
            assert!(rig.compare().is_empty(), "seed {seed}");
            // And once more from the beginning.
            rig.machine.start_bfe();
            rig.load(&Parameters::default());
            traffic(&mut rig, 2);
            let counters = rig.end();
            assert!(counters.sum(Group::Held) > 0);
        }
    }
}

#[test]
fn an_engine_that_fails_when_it_comes_up_is_tried_again() {
    for seed in 0..SEEDS {
        for function in [
            "FwpmEngineOpen0",
            "FwpmTransactionCommit0",
            "FwpmFilterAdd0",
            "FwpmSubLayerEnum0",
        ] {
            let mut config = Config::new(seed);
            config.faults.functions = vec![function];
            config.faults.fail_call = Some(1);
            let mut rig = Rig::without_driver(config);
            rig.machine.stop_bfe();
            rig.load(&Parameters::default());
            rig.machine.start_bfe();
            rig.settle();
            let counters = rig.counters();
            assert_counted(
                &counters,
                &[(Counter::EngineFailed, 1), (Counter::EngineAdded, 1)],
            );
            traffic(&mut rig, 0);
            let counters = rig.end();
            assert!(counters.sum(Group::Held) > 0, "{function}");
        }
    }
}
