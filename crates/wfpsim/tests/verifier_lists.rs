//! What a driver may do with net buffer lists and clones of them, to the byte, and what it is told beyond.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::cell::Cell;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::LARGE_INTEGER;
use wdk_sys_portable::ntddk::KeDelayExecutionThread;
use wdk_sys_portable::ntddk::KeGetCurrentIrql;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::ndis::*;
use wfpsim::Config;
use wfpsim::Machine;

const HEADERS: u32 = IP_HEADER + TCP_HEADER;
const UDP_HEADER: u32 = 8;

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static SEEN_AGAIN: Cell<bool> = const { Cell::new(false) };
}

/// A machine on which threads run at once; its callout holds a packet.
fn holding_with_other_threads() -> Machine {
    let machine = machine_on(
        Config {
            preempt: 50,
            ..Config::plain()
        },
        FWPM_LAYER_INBOUND_TRANSPORT_V4,
        FWP_ACTION_CALLOUT_TERMINATING,
        hold_data,
    );
    receive_syn(&machine);
    receive_data(&machine);
    machine
}

/// Kernel calls are where other threads run.
fn wait_a_moment() {
    for _ in 0..500 {
        let _level = unsafe { KeGetCurrentIrql() };
    }
}

fn sleep(milliseconds: i64) {
    let mut interval = LARGE_INTEGER {
        QuadPart: -10_000 * milliseconds,
    };
    let _status = unsafe { KeDelayExecutionThread(0, 0, &mut interval) };
}

fn chain_of(list: *mut NET_BUFFER_LIST) -> *mut *mut MDL {
    unsafe { &raw mut (*(*list).FirstNetBuffer).MdlChain }
}

/// The first byte that a list shows.
fn start_of(list: *mut NET_BUFFER_LIST) -> *mut u8 {
    unsafe {
        let buffer = (*list).FirstNetBuffer;
        let mdl = (*buffer).CurrentMdl;
        let bytes = (*mdl).MappedSystemVa.cast::<u8>();
        bytes.add((*buffer).CurrentMdlOffset as usize)
    }
}

/// A clone of the held packet's payload, retreated by its headers and given a copy of them.
fn clone_with_copied_headers() -> *mut NET_BUFFER_LIST {
    let clone = clone_of(held());
    retreat(held(), HEADERS);
    retreat(clone, HEADERS);
    unsafe { start_of(held()).copy_to_nonoverlapping(start_of(clone), HEADERS as usize) };
    advance(held(), HEADERS);
    clone
}

#[test]
fn a_clone_that_was_retreated_is_longer_by_as_much() {
    let machine = holding();
    worker(&machine, || {
        assert_eq!(inject(clone_with_copied_headers()), 0);
        dereference();
    });
    clean(&machine);
}

#[test]
fn a_clone_that_was_retreated_is_longer_by_no_more() {
    let machine = holding();
    worker(&machine, || unsafe {
        let clone = clone_with_copied_headers();
        (*(*clone).FirstNetBuffer).DataLength += 1;
        inject(clone);
    });
    let violation = reported(&machine, CONTRACT, None, "A-26");
    assert_eq!(violation.parameters[2], violation.parameters[1] + 1);
}

#[test]
fn an_mdl_put_into_a_clone_is_named() {
    let machine = holding();
    worker(&machine, || unsafe {
        let (clone, other) = (whole_clone(), whole_clone());
        let foreign = *chain_of(other);
        keep(foreign.cast());
        let mut last = *chain_of(clone);
        while !(*last).Next.is_null() {
            last = (*last).Next;
        }
        (*last).Next = foreign;
        free_clone(clone);
    });
    let violation = reported(&machine, CONTRACT, None, "A-38");
    assert_eq!(violation.parameters[1], kept() as u64);
    assert!(violation.summary.contains("put there"), "{violation}");
}

#[test]
fn an_mdl_missing_from_a_clone_is_missed() {
    let machine = holding();
    worker(&machine, || unsafe {
        let clone = whole_clone();
        *chain_of(clone) = null_mut();
        free_clone(clone);
    });
    let violation = reported(&machine, CONTRACT, None, "A-38");
    assert_eq!(violation.parameters[1], 0);
    assert!(violation.summary.contains("missing"), "{violation}");
}

#[test]
fn a_list_counts_its_clones() {
    let machine = holding();
    worker(&machine, || unsafe {
        let count = || (&raw const (*held()).ChildRefCount).read_volatile();
        let clones = [whole_clone(), whole_clone()];
        assert_eq!(count(), 2);
        clones.into_iter().for_each(free_clone);
        assert_eq!(count(), 0);
    });
    clean(&machine);
}

#[test]
fn an_injected_packet_may_be_cloned_where_it_is_seen_again() {
    let machine = holding();
    forget_injection_state();
    answer_with(|asked| {
        free_clone(clone_of(asked.list));
        asked.answer(FWP_ACTION_BLOCK);
    });
    when_completed(|clone, _| {
        assert_ne!(unsafe { (*clone).Status }, 0, "it was blocked");
        free_clone(clone);
    });
    worker(&machine, || {
        assert_eq!(inject(whole_clone()), 0);
        dereference();
    });
    clean(&machine);
}

#[test]
fn an_injected_packet_may_be_moved_where_it_is_seen_again() {
    let machine = holding();
    forget_injection_state();
    answer_with(|asked| {
        retreat(asked.list, HEADERS);
        advance(asked.list, HEADERS);
        asked.permit();
    });
    worker(&machine, || {
        assert_eq!(inject(whole_clone()), 0);
        dereference();
    });
    clean(&machine);
}

#[test]
fn a_clone_stays_the_stacks_when_a_clone_of_it_is_freed() {
    let machine = holding();
    worker(&machine, || unsafe {
        let clone = whole_clone();
        let inner = clone_of(clone);
        assert_eq!(inject(clone), 0);
        free_clone(inner);
        let _first = (&raw const (*clone).FirstNetBuffer).read_volatile();
    });
    reported(&machine, CONTRACT, None, "A-43");
}

#[test]
fn an_injected_packet_that_callouts_see_again_is_not_theirs_who_injected_it() {
    let machine = holding_with_other_threads();
    forget_injection_state();
    answer_with(|asked| {
        SEEN_AGAIN.set(true);
        wait_a_moment();
        asked.permit();
    });
    worker(&machine, || {
        let clone = whole_clone();
        assert_eq!(inject(clone), 0);
        while !SEEN_AGAIN.get() {
            let _level = unsafe { KeGetCurrentIrql() };
        }
        retreat(clone, 4);
    });
    let violation = reported(&machine, CONTRACT, None, "A-43");
    assert!(
        violation.summary.contains("NdisRetreatNetBufferDataStart"),
        "{violation}"
    );
}

#[test]
fn the_longest_retreat_is_a_mebibyte() {
    let longest = 1 << 20;
    let machine = holding();
    worker(&machine, move || {
        retreat(held(), longest);
        advance(held(), longest);
        dereference();
    });
    clean(&machine);

    let machine = holding();
    worker(&machine, move || retreat(held(), longest + 1));
    reported(&machine, CONTRACT, None, "B-01");
}

#[test]
fn two_equal_advances_in_a_classify_are_taken_back_by_two_retreats() {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, |asked| {
        advance(asked.list, 4);
        advance(asked.list, 4);
        retreat(asked.list, 4);
        retreat(asked.list, 4);
        asked.permit();
    });
    send_datagrams(&machine, 1);
    clean(&machine);
}

#[test]
fn nothing_moves_by_no_bytes_and_nothing_is_to_be_undone() {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, |asked| {
        advance(asked.list, 0);
        asked.hold();
    });
    send_datagrams(&machine, 1);
    worker(&machine, || {
        retreat(held(), 0);
        advance(held(), 0);
        retreat(held(), 0);
        dereference();
    });
    clean(&machine);
}

#[test]
fn an_advance_may_go_to_the_end_of_the_data_and_not_beyond() {
    const QUESTION: u32 = UDP_HEADER + b"question".len() as u32;
    let to_the_end = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, |asked| {
        advance(asked.list, QUESTION);
        retreat(asked.list, QUESTION);
        asked.permit();
    });
    send_datagrams(&to_the_end, 1);
    clean(&to_the_end);

    let beyond = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, |asked| {
        advance(asked.list, QUESTION + 1)
    });
    send_datagrams(&beyond, 1);
    let violation = reported(&beyond, CONTRACT, None, "B-03");
    assert_eq!(
        violation.parameters[1..3],
        [QUESTION + 1, QUESTION].map(u64::from)
    );
    assert!(
        violation.arguments[2].contains("data that it has"),
        "{violation}"
    );
}

#[test]
fn data_that_the_driver_shortened_itself_is_not_advanced_beyond_its_end_either() {
    let machine = holding();
    worker(&machine, || {
        retreat(held(), HEADERS);
        unsafe { (*(*held()).FirstNetBuffer).DataLength = HEADERS - 1 };
        advance(held(), HEADERS);
    });
    let violation = reported(&machine, CONTRACT, None, "B-03");
    assert_eq!(violation.parameters[2], u64::from(HEADERS - 1));
}

#[test]
fn what_is_retreated_has_as_much_data_as_it_says() {
    let machine = holding();
    worker(&machine, || {
        unsafe { (*(*held()).FirstNetBuffer).DataLength = u32::MAX };
        retreat(held(), HEADERS);
    });
    reported(&machine, CONTRACT, None, "B-11");
}

#[test]
fn a_clone_held_for_too_long_is_told_when_it_is_freed() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        keep(clone.cast());
        sleep(1100);
        free_clone(clone);
    });
    let violation = reported(&machine, CONTRACT, None, "A-30");
    assert_eq!(violation.parameters[0], kept() as u64);
}
