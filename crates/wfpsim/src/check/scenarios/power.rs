//! The machine sleeps.

use super::traffic::accept;
use super::traffic::dialogue;
use super::traffic::storm;
use crate::check::packets::udp;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;
use crate::check::scenario::ordinary;

/// How long NDIS waits for what an adapter indicated: a second, in units of 100 ns.
const BUDGET: u64 = 10_000_000;
/// A night.
const ASLEEP: u64 = 8 * 3600 * 10_000_000;

pub(super) static SCENARIOS: &[Scenario] = &[Scenario {
    name: "power-transition",
    what: "sleep: all received comes back first, and hours pass",
    seeds: 8,
    cases: Cases::Count(16),
    config: ordinary,
    story: |bench| {
        bench.load();
        accept(bench, 50_000, 443);
        storm(bench, 0);
        bench.steps(bench.case.number as usize * 8);
        bench.machine().pause_adapters(BUDGET);
        let late = bench.receive(udp(bench.peer(5000), bench.host(53), 1));
        bench.must_not_come_out(late);
        // What is held on its way out finds its endpoint closed, or itself too old.
        bench.all_on_the_way_may_be_lost();
        bench.machine().sleep(ASLEEP);
        storm(bench, 1);
        bench.run();
        dialogue(bench);
    },
}];
