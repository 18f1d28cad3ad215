//! Injections that complete before the injecting call returns, long after it, and with a failure.

use super::traffic::dialogue;
use super::traffic::storm;
use crate::check::bench::Loss;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "completions-inline",
        what: "injections complete before the call returns",
        seeds: 30,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.inline_completion = 100,
        story: |bench| {
            bench.load();
            dialogue(bench);
            storm(bench, 0);
        },
    },
    Scenario {
        name: "completions-late",
        what: "injections complete long after, or when the handle is destroyed",
        seeds: 30,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.late_completion = 80,
        story: |bench| {
            bench.load();
            dialogue(bench);
            storm(bench, 0);
        },
    },
    Scenario {
        name: "completions-at-unload",
        what: "the driver is unloaded while completions are outstanding",
        seeds: 4,
        cases: Cases::Count(16),
        config: |config, _| config.freedom.late_completion = 100,
        story: |bench| {
            bench.load();
            storm(bench, 0);
            bench.steps(bench.case.number as usize * 10);
            bench.unload();
            bench.load();
            storm(bench, 1);
            bench.turn();
        },
    },
    Scenario {
        name: "completions-failing",
        what: "the stack drops what is injected, and says so",
        seeds: 30,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.failed_injection = 60,
        story: |bench| {
            bench.may_lose(Loss::Any);
            bench.load();
            dialogue(bench);
        },
    },
];
