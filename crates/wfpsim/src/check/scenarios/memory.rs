//! Memory gone, and everything else that a kernel function may refuse: each fallible call of a short life in turn.
//!
//! A load may be refused if it leaves nothing behind; one that succeeds unloads clean; and a packet that does not come out is
//! one that the driver knows of.

use super::traffic::accept;
use super::traffic::connect;
use crate::Config;
use crate::check::bench::Bench;
use crate::check::bench::Loss;
use crate::check::packets::Protection;
use crate::check::packets::protected;
use crate::check::packets::udp;
use crate::check::scenario::Case;
use crate::check::scenario::Cases;
use crate::check::scenario::Family;
use crate::check::scenario::Scenario;

/// From then on.
const FOR_GOOD: u64 = 1 << 40;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one-call-fails",
        what: "the k-th call that can fail does, for every k, once",
        seeds: 2,
        cases: Cases::EveryCall,
        config: |config, case| fail_from(config, case, 1),
        // The packet that the call was made for.
        story: |bench| short_life(bench, Loss::AtMost(1)),
    },
    Scenario {
        name: "all-calls-fail",
        what: "from the k-th call on all that can fail do, for every k",
        seeds: 2,
        cases: Cases::EveryCall,
        config: |config, case| fail_from(config, case, FOR_GOOD),
        story: |bench| short_life(bench, Loss::Any),
    },
];

fn fail_from(config: &mut Config, case: Case, count: u64) {
    config.faults.fail_call = Some(case.index + 1);
    config.faults.count = count;
}

/// Loads, has connections and datagrams both ways in both versions of IP, and unloads.
fn short_life(bench: &mut Bench<'_>, loss: Loss) {
    bench.may_lose(loss);
    if !bench.load_or_refuse() {
        return;
    }
    for family in [Family::V4, Family::V6] {
        bench.speak(family);
        accept(bench, 50_000, 443);
        connect(bench, 40_000, 80);
        let (host, peer) = (bench.host(53), bench.peer(5353));
        bench.receive(udp(peer, host, 1));
        bench.turn();
        bench.receive(udp(peer, host, 2));
        bench.send(udp(host, peer, 3));
        bench.run();
        bench.receive_with(protected(udp(peer, host, 5), Protection::Esp));
        bench.run();
        bench.send(udp(bench.host(5000), bench.peer(53), 4));
        bench.turn();
    }
}
