//! What a report says: each parameter explained, the rule, the object's history with stacks, how to see it again.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod tiny_driver;
mod verifier_driver;

use std::hint::black_box;

use verifier_driver::*;
use wdk_sys_portable::DRIVER_OBJECT;
use wdk_sys_portable::NTSTATUS;
use wdk_sys_portable::PCUNICODE_STRING;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Violation;
use wfpsim::driver::Parameters;
use wfpsim::machine::irql;
use wfpsim::replay::json;
use wfpsim::verifier::Style;

const TAG: u32 = u32::from_le_bytes(*b"Mine");

#[inline(never)]
fn makes_an_entry() -> *mut u8 {
    let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, 40, TAG) };
    assert!(!block.is_null());
    black_box(block.cast())
}

#[inline(never)]
fn lets_it_go(entry: *mut u8) {
    unsafe { ExFreePoolWithTag(entry.cast(), TAG) };
    black_box(());
}

#[inline(never)]
fn lets_it_go_once_more(entry: *mut u8) {
    unsafe { ExFreePoolWithTag(entry.cast(), TAG) };
    black_box(());
}

/// A block that one function makes, another frees, and a third frees again.
fn freed_twice(event_stacks: bool) -> Violation {
    let machine = Machine::new(Config {
        event_stacks,
        ..Config::plain()
    });
    machine.call("worker", irql::DISPATCH, |_| {
        let entry = makes_an_entry();
        lets_it_go(entry);
        lets_it_go_once_more(entry);
    });
    let violations = machine.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations[0].clone()
}

/// The line that begins with `start`, and everything up to it.
fn line<'a>(report: &'a str, start: &str) -> &'a str {
    let mut lines = report.lines();
    lines
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no line begins with {start:?} in\n{report}"))
}

#[test]
fn each_parameter_is_explained_and_known_addresses_are_named() {
    let report = freed_twice(false).to_string();
    assert!(report.starts_with("BAD_POOL_CALLER (c2)\n"), "{report}");
    assert!(line(&report, "Arg1").ends_with("0000000000000007, a block that is free was freed"));
    assert!(line(&report, "Arg2").ends_with("0000000000000000, reserved"));
    let fourth = line(&report, "Arg4");
    assert!(
        fourth.ends_with("the block: pool block of 40 bytes, tag 'Mine', freed"),
        "{fourth}"
    );
}

#[test]
fn a_level_and_a_tag_are_told_by_name() {
    let machine = Machine::new(Config::plain());
    machine.call("worker", irql::PASSIVE, |_| unsafe {
        ExFreePoolWithTag(makes_an_entry().cast(), u32::from_le_bytes(*b"Your"));
    });
    let report = machine.violations()[0].to_string();
    assert!(line(&report, "Arg3").ends_with("the tag that it was allocated with: 'Mine'"));
    assert!(line(&report, "Arg4").ends_with("the tag that it was freed with: 'Your'"));

    let machine = holding();
    worker(&machine, || {
        // TRUE says DISPATCH_LEVEL, and this is a thread.
        unsafe { wfp_sys::fwps::FwpsDereferenceNetBufferList0(held(), 1) };
    });
    let report = machine.violations()[0].to_string();
    assert!(
        line(&report, "Arg2").ends_with("the current IRQL: PASSIVE_LEVEL"),
        "{report}"
    );
    assert!(line(&report, "Arg1").contains("the net buffer list: NET_BUFFER_LIST of packet 2"));
}

#[test]
fn the_rule_is_told_with_what_it_means_whether_windows_would_notice_and_what_to_read() {
    let report = freed_twice(false).to_string();
    assert!(
        line(&report, "RULE:").contains("C-63  Free pool once"),
        "{report}"
    );
    assert!(
        report.contains("may be somebody else's the second time"),
        "{report}"
    );
    assert!(line(&report, "SEVERITY:").ends_with("bug check"));
    assert!(line(&report, "IN WINDOWS:").contains("bug check 0xC2"));
    assert!(line(&report, "PROCESS_NAME:").ends_with("System"));
    assert!(line(&report, "CURRENT_IRQL:").ends_with("2 (DISPATCH_LEVEL) on processor 0"));
    assert!(line(&report, "READ:").ends_with("docs/contract.md, C-63"));
    assert!(line(&report, "SEED:").ends_with(" 0"));
    assert!(!report.contains("REPLAY:"), "nobody knows a command here");
}

#[test]
fn with_event_stacks_each_event_of_the_history_has_its_stack_and_the_owner_is_known() {
    let violation = freed_twice(true);
    let whos = ["makes_an_entry", "lets_it_go"];
    assert_eq!(violation.history.len(), whos.len());
    for (event, who) in violation.history.iter().zip(whos) {
        let stack = &event.stack;
        // The kernel's function first, the driver's behind it; nothing of how the simulator does it.
        assert!(stack[0].starts_with("Ex"), "{stack:?}");
        assert!(
            stack[1].contains(who) && stack[1].contains("tests/report.rs @ "),
            "{stack:?}"
        );
        assert_eq!(event.name.as_deref(), Some("worker"));
    }
    let owner = violation.owner.as_deref().expect("it is known");
    assert!(owner.contains("makes_an_entry"), "{owner}");
    let report = violation.to_string();
    assert!(
        line(&report, "OWNER:").contains("makes_an_entry"),
        "{report}"
    );
    assert!(report.contains("thread 1 'worker' cpu 0"), "{report}");
    let freed = report.find("freed\n").expect("an event");
    let stack = report.find("STACK_TEXT").expect("the stack");
    assert!(report[freed..stack].contains("lets_it_go"), "{report}");
}

#[test]
fn without_them_nothing_is_kept_and_all_else_is_the_same() {
    let (plain, full) = (freed_twice(false), freed_twice(true));
    assert!(plain.history.iter().all(|event| event.stack.is_empty()));
    assert_eq!(plain.owner, None);
    let told = |violation: &Violation| -> Vec<_> {
        let events = violation.history.iter();
        events
            .map(|event| (event.time, event.irql, event.what.clone()))
            .collect()
    };
    assert_eq!(told(&plain), told(&full));
    assert_eq!(plain.time, full.time);
}

#[test]
fn a_packet_that_the_stack_made_is_told_with_the_stacks_of_the_driver_too() {
    let machine = holding();
    worker(&machine, || {
        dereference();
        dereference();
    });
    let violation = &machine.violations()[0];
    assert_eq!(violation.rule, "A-28");
    let referenced = violation
        .history
        .iter()
        .find(|event| event.what.starts_with("referenced"));
    let stack = &referenced.expect("it was").stack;
    assert!(
        stack
            .iter()
            .any(|frame| frame.contains("FwpsReferenceNetBufferList0")),
        "{stack:?}"
    );
    assert!(
        stack.iter().any(|frame| frame.contains("verifier_driver")),
        "{stack:?}"
    );
    // The stack's own work, before any driver saw the packet, is told in a line or two.
    assert!(violation.history[0].stack.len() <= 2, "{violation}");
}

#[test]
fn words_fit_the_terminal_and_only_frames_and_names_are_longer() {
    let violation = freed_twice(true);
    for width in [60, 80, 100] {
        let style = Style {
            width: Some(width),
            ..Style::default()
        };
        for line in violation.report(style).to_string().lines() {
            let frame = line.contains(" @ ")
                || line.contains("::")
                || line.contains("cpu ")
                || !line.trim().contains(' ');
            assert!(line.chars().count() <= width || frame, "{width}: {line}");
            assert_eq!(line.trim_end(), line);
        }
    }
}

#[test]
fn colour_is_given_where_it_is_asked_for_and_changes_no_word() {
    let violation = freed_twice(true);
    let coloured = Style {
        colour: true,
        ..Style::default()
    };
    let coloured = violation.report(coloured).to_string();
    assert!(
        coloured.starts_with("\x1b[31mBAD_POOL_CALLER (c2)\x1b[0m\n"),
        "{coloured}"
    );
    let mut bare = String::new();
    for (index, part) in coloured.split('\x1b').enumerate() {
        let text = part.split_once('m').filter(|_| index > 0);
        bare.push_str(text.map_or(part, |(_, text)| text));
    }
    assert_eq!(bare, violation.to_string());
}

#[test]
fn the_command_that_shows_it_again_is_told_unbroken() {
    let command = "wfpsim replay a-capture-with-a-rather-long-name.pcapng --host 192.0.2.10 --host 2001:db8::10 --seed 17";
    let style = Style {
        width: Some(60),
        command: Some(command),
        ..Style::default()
    };
    let report = freed_twice(false).report(style).to_string();
    assert!(line(&report, "REPLAY:").ends_with(command), "{report}");
}

#[test]
fn json_has_everything_that_the_report_has() {
    let violation = freed_twice(true);
    let data = json::violation(&violation);
    assert_eq!(data["name"], "BAD_POOL_CALLER");
    assert_eq!(data["arguments"][0], "a block that is free was freed");
    assert_eq!(data["rule"], "C-63");
    assert_eq!(data["broken"]["windows"]["by"], "bug_check");
    assert_eq!(data["broken"]["severity"], "bug check");
    assert_eq!(data["process"], "System");
    assert_eq!(data["irql"], 2);
    let events = data["events"].as_array().expect("a list");
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["what"], "allocated");
    assert_eq!(events[0]["thread_name"], "worker");
    let frames = events[1]["stack"].as_array().expect("a list");
    assert!(frames.iter().any(|frame| {
        frame
            .as_str()
            .is_some_and(|frame| frame.contains("lets_it_go"))
    }));
    assert!(
        data["owner"]
            .as_str()
            .is_some_and(|owner| owner.contains("makes_an_entry"))
    );
}

unsafe extern "system" fn entry(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    makes_an_entry();
    makes_an_entry();
    tiny_driver::status(tiny_driver::answering(object, path, tiny_driver::succeeds))
}

#[test]
fn pool_left_at_unload_is_told_by_tag_and_by_who_allocated_it() {
    let config = Config {
        event_stacks: true,
        ..Config::plain()
    };
    let (machine, loaded) = tiny_driver::load_on(config, entry, &Parameters::default());
    assert_eq!(loaded, Ok(()));
    machine.unload_driver();
    let violations = machine.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    let violation = &violations[0];
    let summary = &violation.summary;
    assert_eq!(violation.rule, "C-62");
    assert!(
        summary.contains("tag 'Mine': 2 blocks, 80 bytes"),
        "{summary}"
    );
    assert!(summary.contains("makes_an_entry"), "{summary}");
    assert_eq!(violation.parameters[3], 2);
    assert_eq!(violation.arguments[3], "how many blocks");
    let owner = violation.owner.as_deref();
    assert!(
        owner.is_some_and(|owner| owner.contains("makes_an_entry")),
        "{violation}"
    );
}
