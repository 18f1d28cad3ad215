//! The scenarios come to what they are about: a story that never gets there would hold for any driver.

use wfpsim::Machine;
use wfpsim::check;
use wfpsim::check::Outcome;
use wfpsim::check::Scenario;
use wfpsim::driver::Driver;
use wfpsim::driver::tollgate;
use wfpsim::stack::Counts;

/// How many seeds are tried where one will do.
const SEEDS: u64 = 8;
/// How many cases are looked at where there are many.
const CASES: u64 = 24;

fn scenario(name: &str) -> &'static Scenario {
    let found = check::find(name);
    assert_eq!(found.len(), 1, "{name}");
    found[0]
}

/// Whether a run of the scenario with Tollgate comes to something. Each run tried must hold.
fn comes_to(name: &str, what: impl Fn(&Outcome, &Counts) -> bool) -> bool {
    let (scenario, driver) = (scenario(name), Driver::from(tollgate()));
    let cases = scenario.cases.count().unwrap_or(u64::MAX).min(CASES);
    (0..SEEDS).any(|seed| {
        (0..cases).any(|case| {
            let machine = Machine::new(scenario.config(seed, case));
            let outcome = scenario.run_on(&machine, &driver, case);
            let told: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
            assert!(
                told.is_empty(),
                "{name}, seed {seed}, case {case}: {told:?}"
            );
            what(&outcome, &machine.counts())
        })
    })
}

/// Names, and what the stack counts when the scenario gets to its point.
type Point = (&'static str, fn(&Outcome, &Counts) -> bool);

const POINTS: [Point; 34] = [
    ("tcp-inbound", |_, counts| {
        counts.pended >= 1 && counts.held >= 12
    }),
    ("tcp-outbound", |_, counts| {
        counts.pended >= 1 && counts.held >= 12
    }),
    ("tcp-reset", |_, counts| counts.permitted_inline >= 1),
    ("udp-inbound", |_, counts| counts.pended >= 3),
    ("udp-outbound", |_, counts| counts.pended >= 3),
    ("icmp-echo", |_, counts| counts.pended >= 2),
    ("icmp-errors", |_, counts| counts.held >= 6),
    ("loopback", |_, counts| counts.held >= 3),
    ("several-packets-a-list", |_, counts| counts.held >= 18),
    ("raw-sockets", |_, counts| counts.reinjected >= 4),
    ("ipsec-ah", |_, counts| counts.rebuilt >= 8),
    ("ipsec-esp", |_, counts| counts.rebuilt >= 8),
    ("ipsec-tunnel", |_, counts| counts.skipped_tunnel >= 8),
    ("ipsec-both", |_, counts| {
        counts.skipped_tunnel >= 8 && counts.rebuilt >= 1
    }),
    ("ipsec-rekey", |_, counts| counts.reauthorized >= 2),
    ("ipsec-split-mdls", |_, counts| counts.rebuilt >= 2),
    ("odd-retreat", |outcome, _| outcome.lost > 0),
    ("reassembled", |_, counts| counts.rebuilt >= 4),
    ("no-write-right", |outcome, _| outcome.taken == 0),
    // Two SYNs pended at once, and one datagram more than that.
    ("syn-retransmitted", |_, counts| counts.pended >= 4),
    ("endpoint-closed", |outcome, _| outcome.lost >= 3),
    ("policy-change", |_, counts| counts.reauthorized >= 2),
    ("policy-change-held", |_, counts| counts.reauthorized >= 4),
    ("policy-change-no-right", |_, counts| {
        counts.reauthorized >= 2
    }),
    ("new-interface", |_, counts| counts.reauthorized >= 2),
    ("policy-keeps-changing", |_, counts| {
        counts.reauthorized >= 10
    }),
    ("completions-failing", |outcome, _| outcome.lost >= 5),
    ("queue-full", |_, counts| counts.permitted_inline >= 10),
    ("flood", |_, counts| counts.held >= 400),
    ("engine-restart", |_, counts| counts.held >= 10),
    ("power-transition", |outcome, _| outcome.lost > 0),
    ("one-call-fails", |outcome, _| {
        outcome.packets == 0 && outcome.lost == 0
    }),
    ("blocked-address", |_, counts| counts.held >= 10),
    ("reload", |_, counts| counts.held >= 10),
];

#[test]
fn each_scenario_comes_to_its_point() {
    let missed: Vec<&str> = POINTS
        .iter()
        .filter(|(name, what)| !comes_to(name, what))
        .map(|(name, _)| *name)
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn calls_fail_in_driver_entry_and_behind_it_and_cost_a_packet_each() {
    let (scenario, driver) = (scenario("one-call-fails"), Driver::from(tollgate()));
    let mut lives = Vec::new();
    for case in 0.. {
        let outcome = scenario.run(&driver, 0, case);
        assert!(
            outcome.failures.is_empty(),
            "case {case}: {:?}",
            outcome.failures
        );
        let last = outcome.fallible_calls <= case;
        lives.push((outcome.packets, outcome.lost));
        if last {
            break;
        }
    }
    let refused = lives.iter().filter(|(packets, _)| *packets == 0).count();
    assert!(refused > 20, "{refused} calls of a load");
    assert!(
        lives.iter().filter(|(_, lost)| *lost == 1).count() > 20,
        "{lives:?}"
    );
    assert_eq!(
        lives.last().map(|(_, lost)| *lost),
        Some(0),
        "no call failed"
    );
}

#[test]
fn unload_begins_at_moments_that_differ() {
    let (scenario, driver) = (scenario("unload-under-load"), Driver::from(tollgate()));
    let cases = scenario.cases.count().expect("it is known");
    let taken: std::collections::BTreeSet<u64> = (0..cases)
        .map(|case| scenario.run(&driver, 1, case).taken)
        .collect();
    // The later it begins, the more was taken; what comes in meanwhile is taken or not.
    assert!(taken.len() > 10, "{taken:?}");
}
