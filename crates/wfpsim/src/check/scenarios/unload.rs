//! The driver goes, at every moment.

use super::traffic::storm;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;
use crate::check::scenario::ordinary;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "unload-under-load",
        what: "unload begun after every number of turns",
        seeds: 3,
        cases: Cases::Count(80),
        config: ordinary,
        story: |bench| {
            // Turns of threads until unload begins: every number where most is under way, then further apart.
            let steps = match bench.case.number {
                number @ 0..60 => number,
                number => 60 + (number - 60) * 10,
            };
            bench.load();
            storm(bench, 0);
            bench.steps(steps as usize);
            storm(bench, 1);
            bench.steps(steps as usize / 4);
            bench.unload();
            // What was given to the driver may still be on its way out, and whoever sends now meets no driver.
            storm(bench, 2);
        },
    },
    Scenario {
        name: "reload",
        what: "loaded and unloaded again and again under load",
        seeds: 10,
        cases: Cases::Count(1),
        config: ordinary,
        story: |bench| {
            for round in 0..5 {
                bench.load();
                storm(bench, round);
                bench.turn();
                bench.unload();
            }
            bench.load();
            storm(bench, 10);
        },
    },
];
