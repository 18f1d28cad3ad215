//! The conformance suite can fail, and fails where it should: what each scenario of `wfpsim check` says of drivers that are
//! known to be right or wrong.

use mistakes::driver::Layer;
use mistakes::driver::Setup;
use mistakes::driver::linked;
use wfpsim::check;
use wfpsim::check::Failure;
use wfpsim::check::Line;
use wfpsim::check::Scenario;
use wfpsim::check::Settings;
use wfpsim::check::Summary;
use wfpsim::driver::Driver;
use wfpsim::driver::Linked;

const EVERYWHERE: Setup = Setup::at(&[
    Layer::InboundTransport,
    Layer::OutboundTransport,
    Layer::RecvAccept,
    Layer::Connect,
]);

fn suite(driver: Linked, pattern: &str, seeds: Option<u64>) -> Summary {
    let settings = Settings {
        scenarios: check::find(pattern),
        seed: 0,
        seeds,
        case: None,
    };
    check::run(&Driver::from(driver), &settings, &mut |_| true, &mut |_| {})
}

fn names(summary: &Summary, holds: bool) -> Vec<&'static str> {
    let lines = summary.lines.iter();
    lines
        .filter(|line| line.holds() == holds)
        .map(|line| line.scenario.name)
        .collect()
}

fn told(line: &Line) -> String {
    line.failed.as_ref().map_or_else(String::new, |failed| {
        let failures: Vec<String> = failed.failures.iter().map(ToString::to_string).collect();
        let name = line.scenario.name;
        format!(
            "{name}, seed {}, case {}:\n{}",
            failed.seed,
            failed.case,
            failures.join("\n")
        )
    })
}

#[test]
fn a_small_correct_driver_holds() {
    let summary = suite(linked(EVERYWHERE), "*", Some(1));
    let failed: Vec<String> = summary.lines.iter().map(told).collect();
    assert!(summary.holds(), "{}", failed.concat());
    for line in &summary.lines {
        let policy = line.scenario.name.starts_with("blocked-");
        assert_eq!(line.not_applicable.is_some(), policy, "{line:?}");
    }
    let taken: u64 = summary.lines.iter().map(|line| line.taken).sum();
    assert!(taken > 1000, "it takes what it can: {taken}");
}

#[test]
fn a_driver_that_blocks_a_port_fails_where_that_port_is_and_nowhere_else() {
    let setup = Setup {
        blocked_port: Some(5353),
        ..EVERYWHERE
    };
    let summary = suite(linked(setup), "*", Some(1));
    for name in [
        "ipsec-esp",
        "split-mdls",
        "reassembled",
        "header-options",
        "one-call-fails",
    ] {
        assert!(
            names(&summary, false).contains(&name),
            "{name} did not fail"
        );
    }
    for name in [
        "tcp-inbound",
        "icmp-echo",
        "raw-sockets",
        "unload-under-load",
        "reload",
    ] {
        assert!(names(&summary, true).contains(&name), "{name} failed");
    }
    let esp = summary
        .lines
        .iter()
        .find(|line| line.scenario.name == "ipsec-esp");
    let failed = esp
        .and_then(|line| line.failed.as_ref())
        .expect("it failed");
    assert!(
        matches!(&failed.failures[0], Failure::Packet(what) if what.contains("5353")),
        "{failed:?}"
    );
}

#[test]
fn a_run_that_failed_fails_again_by_its_seed_and_case() {
    let setup = Setup {
        blocked_port: Some(53),
        ..EVERYWHERE
    };
    let summary = suite(linked(setup), "udp-outbound", None);
    let failed = summary.lines[0].failed.as_ref().expect("it failed");
    let again = |seed, case| {
        let scenario: &Scenario = check::find("udp-outbound")[0];
        let outcome = scenario.run(&linked(setup).into(), seed, case);
        let failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
        failures.join("\n")
    };
    let first: Vec<String> = failed.failures.iter().map(ToString::to_string).collect();
    assert_eq!(again(failed.seed, failed.case), first.join("\n"));
}

mod outright {
    //! Drivers that are wrong whatever happens to them.

    use wdk_sys_portable::DRIVER_OBJECT;
    use wdk_sys_portable::NTSTATUS;
    use wdk_sys_portable::POOL_FLAG_NON_PAGED;
    use wdk_sys_portable::STATUS_INSUFFICIENT_RESOURCES;
    use wdk_sys_portable::UNICODE_STRING;
    use wdk_sys_portable::ntddk::ExAllocatePool2;

    /// Leaves a block of pool behind and refuses to load.
    pub unsafe extern "system" fn leaks_and_refuses(
        _: *mut DRIVER_OBJECT,
        _: *const UNICODE_STRING,
    ) -> NTSTATUS {
        // SAFETY: allocating asks for nothing.
        unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, 32, u32::from_le_bytes(*b"Leak")) };
        STATUS_INSUFFICIENT_RESOURCES
    }

    /// Refuses to load, and leaves nothing.
    pub unsafe extern "system" fn refuses(
        _: *mut DRIVER_OBJECT,
        _: *const UNICODE_STRING,
    ) -> NTSTATUS {
        STATUS_INSUFFICIENT_RESOURCES
    }
}

#[test]
fn a_driver_that_does_not_load_fails_except_where_it_may_refuse() {
    let entry = outright::refuses;
    let summary = suite(Linked { entry }, "*", Some(1));
    // Where a call is made to fail a driver may refuse; this one always does, and is seen nowhere else to do worse.
    let may: Vec<_> = names(&summary, true);
    assert_eq!(
        may,
        ["one-call-fails", "all-calls-fail", "blocked-and-calls-fail"]
    );
    let failed = summary.lines[0].failed.as_ref().expect("it failed");
    assert!(matches!(failed.failures[0], Failure::Load(_)), "{failed:?}");
}

#[test]
fn what_is_left_behind_by_a_refused_load_fails_everywhere() {
    let entry = outright::leaks_and_refuses;
    let summary = suite(Linked { entry }, "*", Some(1));
    assert!(
        names(&summary, true).is_empty(),
        "{:?}",
        names(&summary, true)
    );
    for line in &summary.lines {
        let failed = line.failed.as_ref().expect("it failed");
        assert!(
            matches!(&failed.failures[0], Failure::Violation(found) if found.rule == "C-51"),
            "{}",
            told(line)
        );
    }
}

/// Scenarios, and mistakes that each must find under the mistake's own rule. Other scenarios find them too, or do not come by.
const FINDS: &[(&str, &str)] = &[
    ("power-transition", "A-30"),
    ("ipsec-esp", "O-15"),
    ("ipsec-ah", "O-15"),
    ("ipsec-tunnel", "O-23"),
    ("split-mdls", "B-05"),
    ("many-mdls", "B-05"),
    ("odd-retreat", "A-24"),
    ("no-headroom", "OSR-275267"),
    ("reassembled", "A-60"),
    ("raw-sockets", "A-54"),
    ("loopback", "A-68"),
    ("completions-inline", "O-13"),
    ("completions-inline", "O-13-packet"),
    ("completions-late", "O-14"),
    ("one-call-fails", "O-4"),
    ("one-call-fails", "A-39"),
    ("one-call-fails", "E-7"),
    ("injected-by-another", "O-21"),
    ("endpoint-closed", "A-53"),
    ("endpoint-closed", "A-53-leak"),
    ("tcp-inbound", "O-7"),
    ("tcp-inbound", "O-1"),
    ("tcp-inbound", "O-22"),
    ("udp-inbound", "A-25"),
    ("udp-outbound", "O-16"),
    ("icmp-echo", "O-2"),
    ("unload-under-load", "A-57"),
    ("policy-change-held", "O-3"),
    ("queue-full", "O-11"),
    ("one-processor", "A-44-lock"),
    ("eight-processors", "A-44"),
    ("tcp-inbound", "A-74"),
    ("tcp-inbound", "A-74-another"),
    ("udp-inbound", "A-12"),
    ("tcp-outbound", "O-19"),
    ("tcp-outbound", "O-20"),
    ("tcp-outbound", "O-19-never"),
    ("udp-outbound", "A-72-clone"),
    ("tcp-reset", "A-13-endpoint"),
    ("tcp-inbound", "A-16"),
    ("tcp-inbound", "A-17"),
    ("udp-outbound", "A-16-pend"),
    ("udp-outbound", "A-21"),
    ("ipsec-esp", "A-21-rebuild"),
    ("absent-metadata", "A-13-compartment"),
    ("no-write-right", "A-15"),
    ("syn-retransmitted", "A-74-another"),
    ("policy-change", "A-76"),
    ("policy-change", "A-69"),
    ("policy-change", "E-6"),
    ("policy-keeps-changing", "A-76b"),
    ("one-call-fails", "A-70-failed"),
    ("one-call-fails", "E-5"),
    ("one-call-fails", "C-51-handle"),
    ("one-call-fails", "C-51-session"),
    ("one-call-fails", "C-51-pool"),
    ("one-call-fails", "E-11"),
    ("unload-under-load", "npcap-341"),
    ("unload-under-load", "C-50-filters-last"),
    ("unload-under-load", "C-50-handle-first"),
    ("unload-under-load", "A-09"),
    ("unload-under-load", "A-06-handle"),
    ("reload", "O-24"),
    ("reload", "A-03"),
    ("completions-at-unload", "C-50-handle-first"),
    ("engine-restart", "A-08-null-key"),
];

#[test]
fn scenarios_find_the_mistakes_that_they_are_about() {
    let driver = Driver::from(linked(EVERYWHERE));
    let mut missed = Vec::new();
    for &(name, mistake) in FINDS {
        let rule = mistakes::all().find(|one| one.name == mistake);
        let rule = rule.expect("the mistake is in its table").rule;
        let scenarios = check::find(name);
        assert_eq!(scenarios.len(), 1, "{name}");
        let settings = Settings {
            scenarios,
            seed: 0,
            seeds: None,
            case: None,
        };
        let summary = mistakes::making(Some(mistake), || {
            check::run(&driver, &settings, &mut |_| true, &mut |_| {})
        });
        let failed = summary.lines[0].failed.as_ref();
        let found = failed.and_then(|failed| match &failed.failures[0] {
            Failure::Violation(violation) => Some(violation.rule),
            _ => None,
        });
        if found != Some(rule) {
            missed.push((name, mistake, rule, found));
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn tollgate_is_judged_by_its_policy_too() {
    let summary = suite(wfpsim::driver::tollgate(), "blocked-*", Some(1));
    assert!(
        summary.holds(),
        "{:?}",
        summary.lines.iter().map(told).collect::<Vec<_>>()
    );
    assert!(
        summary
            .lines
            .iter()
            .all(|line| line.not_applicable.is_none())
    );
}
