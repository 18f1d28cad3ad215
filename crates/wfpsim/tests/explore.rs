//! Schedules explored: races found, made short and shown again, everything covered where that can be, and machines that do not
//! get on told from those that do.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these threads do on purpose what nobody could argue for"
)]

mod races;

use std::collections::BTreeSet;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Duration;

use races::Story;
use races::Told;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::ExAllocatePool2;
use wdk_sys_portable::ntddk::ExFreePoolWithTag;
use wfpsim::Machine;
use wfpsim::driver::tollgate;
use wfpsim::explore;
use wfpsim::explore::Ended;
use wfpsim::explore::Failing;
use wfpsim::explore::Finding;
use wfpsim::explore::Method;
use wfpsim::explore::Plan;
use wfpsim::explore::Setup;
use wfpsim::explore::Subject;
use wfpsim::explore::Token;
use wfpsim::machine::choice::Numbers;
use wfpsim::machine::choice::Replay;
use wfpsim::machine::irql::PASSIVE;

fn plan(method: Method, schedules: u64) -> Plan {
    let exhaustive = matches!(method, Method::Exhaustive | Method::Brute);
    let mut setup = Setup::new(1);
    setup.free = !exhaustive;
    setup.processors = exhaustive.then_some(8);
    Plan {
        setup,
        method,
        schedules,
        time: None,
        all: false,
        jobs: 1,
    }
}

fn explore(subject: &dyn Subject, method: Method, schedules: u64) -> explore::Report {
    explore::explore(subject, &plan(method, schedules), &mut |_| true)
}

const METHODS: [Method; 3] = [Method::Random, Method::Pct { depth: 3 }, Method::Exhaustive];

/// What a finding says without addresses, which are the host's.
fn said(finding: &Finding) -> Vec<(u32, &'static str, String)> {
    let told = finding.violations.iter();
    told.map(|violation| (violation.code, violation.rule, violation.thread.clone()))
        .collect()
}

#[test]
fn a_lost_wake_up_is_found_made_short_and_shown_again_by_every_strategy() {
    for method in METHODS {
        let story = Story::new(races::lost_wake_up);
        let report = explore(&story, method, 10_000);
        let [finding] = &report.findings[..] else {
            panic!("{method:?}: {report:?}");
        };
        assert_eq!(finding.violations[0].name(), "WFPSIM_HANG", "{finding}");
        assert!(finding.repeats, "{finding}");
        assert!(finding.timeline.calls() <= 30, "{finding}");
        // Stopped once between looking and clearing, and perhaps once to begin with the other thread.
        assert!(finding.choices.1 <= 3, "{finding}");
        let token = Token::parse(&finding.token.to_string()).expect("a token of ours");
        for _ in 0..3 {
            let again = explore::replay(&story, &token).expect("the same again");
            assert_eq!(said(&again), said(finding));
            assert_eq!(again.timeline, finding.timeline);
        }
    }
}

#[test]
fn the_same_with_the_event_cleared_before_looking_is_clean_on_every_schedule() {
    let story = Story::new(races::no_lost_wake_up);
    let report = explore(&story, Method::Exhaustive, 100_000);
    assert_eq!(report.ended, Ended::Covered, "{report:?}");
    assert!(report.findings.is_empty(), "{report:?}");
}

#[test]
fn the_reduction_shows_every_result_that_brute_force_does_in_fewer_runs() {
    let [all, reduced] = [Method::Brute, Method::Exhaustive].map(|method| {
        let story = Story::new(races::two_locks);
        let report = explore(&story, method, 1_000_000);
        assert_eq!(report.ended, Ended::Covered, "{method:?}: {report:?}");
        assert!(report.findings.is_empty(), "{report:?}");
        (story.results(), report.progress.schedules)
    });
    // Of the four combinations of two orders at each lock one would need a circle.
    assert_eq!(all.0.len(), 3, "{all:?}");
    assert_eq!(reduced.0, all.0);
    assert!(
        reduced.1 * 10 < all.1,
        "{} runs instead of {}",
        reduced.1,
        all.1
    );
}

#[test]
fn what_is_written_to_after_its_lock_let_it_go_is_found_and_told_as_with_every_guard() {
    let story = Story::new(races::touched_after_release);
    let report = explore(&story, Method::Random, 10_000);
    let [finding] = &report.findings[..] else {
        panic!("{report:?}");
    };
    assert_eq!(
        finding.violations[0].name(),
        "PAGE_FAULT_IN_FREED_SPECIAL_POOL",
        "{finding}"
    );
    assert!(!finding.violations[0].history.is_empty(), "{finding}");
    assert!(report.progress.again >= 1, "the run without guards was odd");
}

#[test]
fn threads_that_only_let_each_other_run_are_a_livelock() {
    let told = Told::of(races::livelock);
    assert!(told.summary.contains("livelock"), "{told:?}");
}

#[test]
fn threads_that_wait_for_time_to_pass_and_then_get_on_are_none() {
    assert_eq!(Told::all(races::slow_but_sure), []);
}

#[test]
fn a_thread_that_finds_every_processor_taken_starves() {
    let told = Told::of(races::starved);
    assert!(told.summary.contains("starves"), "{told:?}");
}

#[test]
fn a_thread_that_looks_again_and_again_for_what_never_comes_does_not_end() {
    let told = Told::of(races::looks_for_ever);
    assert!(told.summary.contains("does not end"), "{told:?}");
}

#[test]
fn what_the_numbers_of_a_seed_decide_can_be_noted_and_decided_again() {
    let subject = explore::subject(&tollgate().into(), "ten-packets").expect("there is one");
    for seed in 0..20 {
        let run = |strategy: Option<Box<dyn wfpsim::machine::choice::Strategy>>| {
            let machine = Machine::new(subject.config(seed));
            if let Some(strategy) = strategy {
                machine.steer(strategy, true);
            }
            subject.run(&machine);
            assert!(
                machine.violations().is_empty(),
                "{:?}",
                machine.violations()
            );
            let kernel = machine.kernel();
            let seen = (kernel.now(), kernel.kernel_calls(), kernel.ledger.order());
            (seen, kernel.random.bits(), kernel.random.trace())
        };
        let plain = run(None);
        let noted = run(Some(Box::new(Numbers)));
        assert_eq!((plain.0, plain.1), (noted.0, noted.1), "seed {seed}");
        let trace = noted.2.expect("noted");
        let again = run(Some(Box::new(Replay::new(&trace))));
        assert_eq!(again.0, plain.0, "seed {seed}");
        assert_eq!(again.2, Some(trace), "seed {seed}");
    }
}

#[test]
fn the_driver_is_clean_by_chance_and_by_priorities_and_with_an_unload_at_any_time() {
    let names: BTreeSet<&str> = ["ten-packets", "ten-packets-unload", "two-packets-unload"].into();
    for name in names {
        let subject = explore::subject(&tollgate().into(), name).expect("there is one");
        for method in [Method::Random, Method::Pct { depth: 4 }] {
            let report = explore(subject.as_ref(), method, 500);
            assert!(
                report.findings.is_empty(),
                "{name}, {method:?}: {}",
                report.findings[0]
            );
            assert_eq!(report.progress.again, 0, "{name}, {method:?}");
            assert!(report.progress.distinct > 20, "{name}: {report:?}");
        }
    }
}

// Several host threads

#[test]
fn many_host_threads_find_first_what_one_finds_first() {
    let found = |jobs| {
        let story = Story::new(races::lost_wake_up);
        let plan = Plan {
            jobs,
            ..plan(Method::Random, 10_000)
        };
        let report = explore::explore(&story, &plan, &mut |_| true);
        let [finding] = &report.findings[..] else {
            panic!("{report:?}");
        };
        assert_eq!(report.ended, Ended::Found);
        (finding.schedule, finding.token.to_string())
    };
    assert_eq!(found(3), found(1));
}

/// A subject whose every run does the same wrong, and whose first is through only when another was.
#[derive(Default)]
struct Late {
    through: Mutex<BTreeSet<u64>>,
    changed: Condvar,
}

/// The seed of its first run.
const FIRST: u64 = 1;

impl Subject for Late {
    fn name(&self) -> String {
        "late".to_owned()
    }

    fn config(&self, seed: u64) -> wfpsim::Config {
        wfpsim::Config::new(seed)
    }

    fn stories(&self, first: u64) -> Vec<u64> {
        vec![first, first + 1, first + 2]
    }

    fn run(&self, machine: &Machine) {
        machine.call("worker", PASSIVE, |_| unsafe {
            // No block of pool, and with a call that can fail before it.
            let block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 1);
            ExFreePoolWithTag(block.wrapping_byte_add(8), 1);
        });
        let seed = machine.kernel().config.seed;
        let mut through = self.through.lock().expect("nobody panics");
        through.insert(seed);
        self.changed.notify_all();
        if seed == FIRST {
            let (_through, timeout) = self
                .changed
                .wait_timeout_while(through, Duration::from_secs(20), |through| {
                    through.len() < 2
                })
                .expect("nobody panics");
            assert!(!timeout.timed_out(), "nobody else runs at the same time");
        }
    }
}

#[test]
fn the_first_schedule_is_told_though_a_later_one_was_faster() {
    let plan = Plan {
        jobs: 2,
        ..plan(Method::Random, 1000)
    };
    let report = explore::explore(&Late::default(), &plan, &mut |_| true);
    let [finding] = &report.findings[..] else {
        panic!("{report:?}");
    };
    assert_eq!((finding.schedule, finding.token.setup.seed), (1, FIRST));
}

#[test]
fn the_first_story_is_told_though_a_later_one_was_faster() {
    let setup = Setup::new(FIRST);
    let faulted =
        explore::fail_every_call(&Late::default(), &setup, Failing::Single, 2, &mut |_| true);
    assert!(faulted.complete && faulted.stories == 3, "{faulted:?}");
    let [finding] = &faulted.findings[..] else {
        panic!("{faulted:?}");
    };
    assert_eq!((finding.schedule, finding.token.setup.seed), (1, FIRST));
}

#[test]
fn each_schedule_is_tried_once_whoever_tries_it() {
    let subject = explore::subject(&tollgate().into(), "two-packets").expect("there is one");
    let tried = |jobs| {
        let plan = Plan {
            jobs,
            ..plan(Method::Random, 200)
        };
        let progress = explore::explore(subject.as_ref(), &plan, &mut |_| true).progress;
        (progress.schedules, progress.distinct, progress.violations)
    };
    assert_eq!(tried(4), tried(1));
    assert_eq!(tried(4).0, 200);
}

#[test]
fn what_is_stopped_by_hand_stops_on_every_host_thread() {
    let subject = explore::subject(&tollgate().into(), "two-packets").expect("there is one");
    for jobs in [1, 3] {
        let plan = Plan {
            jobs,
            ..plan(Method::Random, 1_000_000)
        };
        let report = explore::explore(subject.as_ref(), &plan, &mut |progress| {
            progress.schedules < 32
        });
        assert_eq!(report.ended, Ended::Interrupted);
        assert!(report.progress.schedules < 1000, "{report:?}");
    }
}

#[test]
fn many_host_threads_tell_the_same_stories_with_the_same_calls_failing() {
    let name = "several-packets-a-list";
    let subject = explore::subject(&tollgate().into(), name).expect("there is one");
    let told = |jobs| {
        let setup = Setup::new(0);
        let mut last = 0;
        let faulted = explore::fail_every_call(
            subject.as_ref(),
            &setup,
            Failing::Single,
            jobs,
            &mut |runs| {
                last = runs.max(last);
                true
            },
        );
        assert!(faulted.complete && faulted.findings.is_empty());
        assert!(last > faulted.runs / 2 && last <= faulted.runs, "{last}");
        (faulted.stories, faulted.calls, faulted.runs)
    };
    assert_eq!(told(2), told(1));
}

#[test]
fn the_driver_stands_every_call_failing() {
    let subject = explore::subject(&tollgate().into(), "two-packets").expect("there is one");
    let setup = Setup::new(3);
    let faulted =
        explore::fail_every_call(subject.as_ref(), &setup, Failing::Single, 1, &mut |_| true);
    assert!(faulted.complete && faulted.calls > 50, "{faulted:?}");
    assert!(faulted.findings.is_empty(), "{}", faulted.findings[0]);
    assert!(faulted.runs > faulted.calls / 2, "{faulted:?}");
}

#[test]
fn what_is_only_read_after_it_was_freed_is_seen_on_the_way_through_a_failure() {
    let subject = Story::new(races::looks_back_where_memory_was_short);
    let faulted =
        explore::fail_every_call(&subject, &Setup::new(0), Failing::Single, 1, &mut |_| true);
    assert!(faulted.complete);
    assert_eq!((faulted.runs, faulted.calls), (3, 2), "{faulted:?}");
    assert_eq!(faulted.findings.len(), 1, "{faulted:?}");
    let finding = &faulted.findings[0];
    assert_eq!(finding.token.setup.faults.fail_call, Some(2));
    assert_eq!(finding.violations[0].rule, "C-61", "{finding}");
}

#[test]
fn every_story_of_a_scenario_is_told_with_every_call_failing() {
    // A load that is refused ends a story and breaks nothing; a send that cannot be cloned loses its whole list and no more; what
    // a policy forbids is not lost.
    for (name, stories) in [
        ("several-packets-a-list", 2),
        ("engine-gone", 12),
        ("blocked-address", 2),
    ] {
        let subject = explore::subject(&tollgate().into(), name).expect("there is one");
        let setup = Setup::new(0);
        let faulted =
            explore::fail_every_call(subject.as_ref(), &setup, Failing::Single, 1, &mut |_| true);
        assert!(faulted.complete, "{name}");
        assert_eq!(faulted.stories, stories, "{name}");
        assert!(faulted.runs > stories * 50, "{name}: {faulted:?}");
        assert!(faulted.findings.is_empty(), "{}", faulted.findings[0]);
    }
}

#[test]
fn the_seeds_of_a_subjects_stories_lead_to_each_case_once() {
    let scenarios: Vec<_> = wfpsim::check::all().collect();
    let cases = |at: usize| scenarios[at].cases.count().unwrap_or(1);
    let all: u64 = (0..scenarios.len()).map(cases).sum();
    let every = explore::subject(&tollgate().into(), "check").expect("there is one");
    for first in [0, 1, 7, 53, 1_000_003] {
        let stories = every.stories(first);
        assert_eq!(stories.len() as u64, all);
        assert!(stories.iter().all(|seed| *seed >= first));
        // A seed's scenario and case are as explore's seeds have them.
        let told: BTreeSet<(usize, u64)> = stories
            .iter()
            .map(|seed| {
                let count = scenarios.len() as u64;
                let scenario = (seed % count) as usize;
                (scenario, seed / count % cases(scenario))
            })
            .collect();
        assert_eq!(told.len() as u64, all, "from seed {first}");
    }
    let packets = explore::subject(&tollgate().into(), "two-packets").expect("there is one");
    assert_eq!(packets.stories(3), [3]);
}
