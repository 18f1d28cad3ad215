//! The base filtering engine is not up yet, goes away and comes back, and is gone when the driver goes.

use super::traffic::dialogue;
use super::traffic::storm;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;
use crate::check::scenario::ordinary;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "engine-late",
        what: "the driver is loaded before the filter engine runs",
        seeds: 20,
        cases: Cases::Count(1),
        config: ordinary,
        story: |bench| {
            bench.machine().stop_bfe();
            // A driver may refuse, and be started again later.
            if !bench.load_or_refuse() {
                bench.machine().start_bfe();
                bench.load();
            }
            storm(bench, 0);
            bench.turn();
            bench.machine().start_bfe();
            bench.run();
            dialogue(bench);
        },
    },
    Scenario {
        name: "engine-restart",
        what: "the filter engine stops and starts under load",
        seeds: 4,
        cases: Cases::Count(12),
        config: ordinary,
        story: |bench| {
            bench.load();
            for round in 0..3 {
                storm(bench, round * 2);
                bench.steps(bench.case.number as usize * 14);
                bench.machine().stop_bfe();
                storm(bench, round * 2 + 1);
                bench.turn();
                bench.machine().start_bfe();
            }
            bench.settle();
            storm(bench, 20);
        },
    },
    Scenario {
        name: "engine-gone",
        what: "the driver is unloaded while the filter engine is stopped",
        seeds: 4,
        cases: Cases::Count(12),
        config: ordinary,
        story: |bench| {
            bench.load();
            storm(bench, 0);
            bench.steps(bench.case.number as usize * 14);
            bench.machine().stop_bfe();
            storm(bench, 1);
            bench.turn();
            bench.unload();
            bench.machine().start_bfe();
            bench.load();
            storm(bench, 2);
        },
    },
];
