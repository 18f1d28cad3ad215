//! Much at once, on few and on many processors.

use super::traffic::storm;
use crate::check::bench::Bench;
use crate::check::packets::udp;
use crate::check::scenario::Cases;
use crate::check::scenario::Family;
use crate::check::scenario::Scenario;
use crate::check::scenario::ordinary;
use crate::driver::Parameters;

const fn processors(name: &'static str, what: &'static str, count: u8) -> Scenario {
    Scenario {
        name,
        what,
        seeds: 10,
        cases: Cases::Count(1),
        config: match count {
            1 => |config, _| config.processors = 1,
            _ => |config, _| config.processors = 8,
        },
        story: |bench| {
            bench.load();
            for round in 0..4 {
                storm(bench, round);
                bench.turn();
            }
        },
    }
}

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "queue-full",
        what: "more packets at once than a driver can hold",
        seeds: 4,
        cases: Cases::Count(2),
        config: ordinary,
        story: |bench| {
            // Tollgate's bounds; another driver has its own, or none.
            let mut parameters = Parameters::default();
            match bench.case.number {
                0 => parameters.set_u32("QueuePackets", 1),
                _ => parameters.set_u32("QueueBytes", 64),
            }
            bench.load_with(&parameters);
            flood(bench);
        },
    },
    Scenario {
        name: "flood",
        what: "hundreds of packets of many flows at once",
        seeds: 2,
        cases: Cases::Count(1),
        config: ordinary,
        story: |bench| {
            bench.load();
            for _ in 0..4 {
                flood(bench);
            }
        },
    },
    processors("one-processor", "a machine with one processor", 1),
    processors("eight-processors", "a machine with eight processors", 8),
];

fn flood(bench: &mut Bench<'_>) {
    for family in [Family::V4, Family::V6] {
        bench.speak(family);
        for flow in 0..6 {
            for number in 0..6 {
                let (host, peer) = bench.ends(53, 50_000 + flow);
                bench.receive(udp(peer, host, number));
                let (host, peer) = bench.ends(40_000 + flow, 53);
                bench.send(udp(host, peer, number));
            }
        }
    }
}
