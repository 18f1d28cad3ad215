//! The mistakes of docs/debugging.md, each made once, with the report that the document shows.
//!
//! `cargo test -p wfpsim --test debugging -- --nocapture` prints the reports whole. The document shows parts of them, and
//! every line that it shows must be in the report: what stands there is output.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod tiny_driver;
mod verifier_driver;

use std::hint::black_box;
use std::path::Path;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::DRIVER_OBJECT;
use wdk_sys_portable::NTSTATUS;
use wdk_sys_portable::PCUNICODE_STRING;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::*;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::Parameters;
use wfpsim::verifier::code;

const TAG: u32 = u32::from_le_bytes(*b"Mine");

/// A plain machine's settings, with all that a report can tell.
fn config() -> Config {
    Config {
        event_stacks: true,
        ..Config::plain()
    }
}

/// The blocks of the document that show the report of a story: those after `<!-- wfpsim: name -->`.
fn shown(story: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/debugging.md");
    let text = std::fs::read_to_string(path).expect("docs/debugging.md is there");
    let mark = format!("<!-- wfpsim: {story} -->");
    let after = text.split(&mark).nth(1);
    let block = after.and_then(|after| after.split("```").nth(1));
    let block = block.unwrap_or_else(|| panic!("docs/debugging.md shows no report of {story}"));
    block.lines().skip(1).map(str::to_owned).collect()
}

/// A line with what differs from run to run, or with each change of the source, taken out: addresses, times, lines.
fn comparable(line: &str) -> String {
    let line = line.split(" @ ").next().unwrap_or(line);
    let words = line.split_whitespace().map(|word| {
        let hexadecimal = word
            .trim_start_matches("0x")
            .trim_end_matches([',', ';', '.', ')']);
        let is_address =
            u64::from_str_radix(hexadecimal, 16).is_ok_and(|value| value > u64::from(u32::MAX));
        let is_time = word.strip_suffix('s').is_some_and(|number| {
            number.contains('.')
                && number
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'.')
        });
        match (is_address, is_time) {
            (true, _) => "ADDRESS",
            (_, true) => "TIME",
            _ => word,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Prints the report of the machine's one violation, and looks for what the document shows of it.
fn tell(story: &str, machine: &Machine, code: u32) {
    let violations = machine.violations();
    let violation = violations.iter().find(|violation| violation.code == code);
    let violation =
        violation.unwrap_or_else(|| panic!("{story} is not reported so: {violations:?}"));
    let report = violation.to_string();
    println!(
        "== {story}
{report}"
    );
    let lines: Vec<_> = report.lines().map(comparable).collect();
    let mut rest = lines.iter();
    for line in shown(story) {
        let wanted = comparable(&line);
        if !wanted.is_empty() && wanted != "..." {
            assert!(
                rest.any(|real| *real == wanted),
                "docs/debugging.md shows a line that is not in the report of {story}, or not there:\n{line}\n{report}"
            );
        }
    }
}

/// The last act of each mistaken function: so that the call before is no tail call, and the function is in the report's stack.
#[inline(always)]
fn on_the_stack() {
    black_box(());
}

#[inline(never)]
fn worker_frees_what_it_has_injected() {
    let clone = whole_clone();
    assert_eq!(inject(clone), 0);
    free_clone(clone);
    on_the_stack();
}

#[test]
fn bug_check_c2_a_clone_freed_after_its_injection() {
    let machine = holding();
    worker(&machine, worker_frees_what_it_has_injected);
    tell("double-free", &machine, code::BAD_POOL_CALLER);
}

#[inline(never)]
fn worker_clones_over_memory_of_the_retreat() {
    retreat(held(), IP_HEADER);
    let clone = clone_of(held());
    advance(held(), IP_HEADER);
    let _status = inject(clone);
    on_the_stack();
}

#[test]
fn bug_check_c2_a_clone_over_the_mdl_of_a_retreat() {
    let mut config = config();
    config.freedom.no_headroom = 100;
    let layer = FWPM_LAYER_OUTBOUND_TRANSPORT_V4;
    let action = FWP_ACTION_CALLOUT_TERMINATING;
    let machine = machine_on(config, layer, action, Classify::hold);
    send_datagrams(&machine, 1);
    worker(&machine, worker_clones_over_memory_of_the_retreat);
    tell("retreat-mdl", &machine, code::BAD_POOL_CALLER);
}

#[inline(never)]
fn worker_dereferences_nothing() {
    unsafe { FwpsDereferenceNetBufferList0(null_mut(), 0) };
    on_the_stack();
}

#[test]
fn bug_check_d1_a_null_packet() {
    let machine = holding();
    worker(&machine, worker_dereferences_nothing);
    tell("null-packet", &machine, code::DRIVER_IRQL_NOT_LESS_OR_EQUAL);
}

#[inline(never)]
fn worker_reads_a_packet_it_has_no_reference_on() {
    let list = kept().cast::<wfp_sys::ndis::NET_BUFFER_LIST>();
    let _buffer = unsafe { (&raw const (*list).FirstNetBuffer).read_volatile() };
    on_the_stack();
}

#[test]
fn bug_check_3b_a_packet_kept_without_a_reference() {
    let machine = machine(FWPM_LAYER_INBOUND_TRANSPORT_V4, |asked| {
        keep(asked.list.cast());
        asked.permit();
    });
    receive_syn(&machine);
    worker(&machine, worker_reads_a_packet_it_has_no_reference_on);
    tell(
        "no-reference",
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
    );
}

#[inline(never)]
fn worker_copies_one_byte_too_many() {
    unsafe {
        let block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 20, TAG).cast::<u8>();
        assert!(!block.is_null());
        block.add(20).write_volatile(0x45);
        ExFreePoolWithTag(block.cast(), TAG);
    }
    on_the_stack();
}

#[test]
fn bug_check_19_a_byte_written_behind_a_block() {
    let machine = Machine::new(config());
    worker(&machine, worker_copies_one_byte_too_many);
    tell(
        "overrun",
        &machine,
        code::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION,
    );
}

#[inline(never)]
fn worker_uses_an_entry_it_has_freed() {
    unsafe {
        // An entry of a list: its first word leads to the next.
        let entry = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TAG).cast::<u64>();
        assert!(!entry.is_null());
        ExFreePoolWithTag(entry.cast(), TAG);
        let _next = entry.read_volatile();
    }
    on_the_stack();
}

#[test]
fn bug_check_139_an_entry_used_after_it_was_freed() {
    let machine = Machine::new(config());
    worker(&machine, worker_uses_an_entry_it_has_freed);
    tell(
        "freed-entry",
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
    );
}

#[inline(never)]
fn worker_frees_its_block_twice() {
    unsafe {
        let block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TAG);
        assert!(!block.is_null());
        ExFreePoolWithTag(block, TAG);
        ExFreePoolWithTag(block, TAG);
    }
    on_the_stack();
}

#[test]
fn bug_check_13a_a_block_freed_twice() {
    let machine = Machine::new(config());
    worker(&machine, worker_frees_its_block_twice);
    tell("pool-twice", &machine, code::BAD_POOL_CALLER);
}

#[inline(never)]
fn worker_injects_two_packets_at_once() {
    let _status = inject(clone_of(held()));
    on_the_stack();
}

#[test]
fn bug_check_1d3_two_packets_in_one_injection() {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, Classify::hold);
    send_datagrams(&machine, 2);
    worker(&machine, worker_injects_two_packets_at_once);
    tell("two-packets", &machine, code::WFP_INVALID_OPERATION);
}

#[inline(never)]
fn worker_takes_its_lock_twice() {
    unsafe {
        let lock = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, TAG);
        assert!(!lock.is_null());
        KeAcquireSpinLockRaiseToDpc(lock.cast());
        KeAcquireSpinLockRaiseToDpc(lock.cast());
    }
    on_the_stack();
}

#[test]
fn bug_check_c4_a_lock_taken_twice() {
    let machine = Machine::new(config());
    worker(&machine, worker_takes_its_lock_twice);
    tell(
        "lock-twice",
        &machine,
        code::DRIVER_VERIFIER_DETECTED_VIOLATION,
    );
}

#[inline(never)]
fn worker_completes_twice() {
    unsafe {
        FwpsCompleteOperation0(context(), null_mut());
        FwpsCompleteOperation0(context(), null_mut());
    }
    on_the_stack();
}

#[test]
fn no_bug_check_an_operation_completed_twice() {
    let machine = accepting();
    worker(&machine, worker_completes_twice);
    tell("completed-twice", &machine, CONTRACT);
}

unsafe extern "system" fn entry(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let status = tiny_driver::status(tiny_driver::answering(object, path, tiny_driver::succeeds));
    register_with(unsafe { (*object).DeviceObject }.cast());
    status
}

#[test]
fn bug_check_ce_a_callout_left_behind() {
    let (machine, loaded) = tiny_driver::load_on(config(), entry, &Parameters::default());
    assert_eq!(loaded, Ok(()));
    worker(&machine, || {
        load(
            FWPM_LAYER_INBOUND_TRANSPORT_V4,
            FWP_ACTION_CALLOUT_TERMINATING,
        );
    });
    machine.unload_driver();
    receive_syn(&machine);
    tell(
        "left-behind",
        &machine,
        code::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
    );
}
