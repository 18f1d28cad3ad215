//! What reports of misused packets say besides the rule: code, parameters, history. `crates/mistakes` has a driver for each rule.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::ExAllocatePool2;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

const TAG: u32 = u32::from_le_bytes(*b"pckt");

#[test]
fn a_packet_dereferenced_twice_is_told_with_its_life() {
    let machine = holding();
    worker(&machine, || {
        dereference();
        dereference();
    });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(7), "A-28");
    tells(
        &violation,
        &[
            "allocated by the stack",
            "referenced",
            "dereferenced",
            "freed",
        ],
    );
}

#[test]
fn a_packet_dereferenced_in_its_classify_without_a_reference_is_an_underflow() {
    let machine = machine(FWPM_LAYER_INBOUND_TRANSPORT_V4, |asked| unsafe {
        FwpsDereferenceNetBufferList0(asked.list, 0)
    });
    receive_syn(&machine);
    let violation = reported(&machine, CONTRACT, None, "A-28");
    tells(&violation, &["allocated by the stack"]);
}

#[test]
fn a_null_packet_is_dereferenced_at_the_offset_of_wfps_own_slot() {
    let machine = holding();
    worker(&machine, || unsafe {
        FwpsDereferenceNetBufferList0(null_mut(), 0)
    });
    let violation = reported(
        &machine,
        code::DRIVER_IRQL_NOT_LESS_OR_EQUAL,
        Some(0xE0),
        "A-28",
    );
    assert_eq!(violation.parameters[1..3], [u64::from(irql::PASSIVE), 0]);
}

#[test]
fn dispatch_level_is_not_claimed_at_passive_level() {
    let machine = holding();
    worker(&machine, || unsafe {
        FwpsDereferenceNetBufferList0(held(), 1)
    });
    let violation = reported(&machine, CONTRACT, None, "A-29");
    assert_eq!(violation.parameters[1], u64::from(irql::PASSIVE));
    tells(&violation, &["referenced"]);
}

#[test]
fn dispatch_level_may_be_claimed_at_dispatch_level() {
    let machine = holding();
    machine.call("timer", irql::DISPATCH, |_| unsafe {
        FwpsDereferenceNetBufferList0(held(), 1)
    });
    clean(&machine);
}

#[test]
fn a_packet_without_a_reference_is_gone_when_its_classify_has_returned() {
    let machine = machine(FWPM_LAYER_INBOUND_TRANSPORT_V4, |asked| {
        keep(asked.list.cast());
        asked.permit();
    });
    receive_syn(&machine);
    worker(&machine, || {
        let list = kept().cast::<NET_BUFFER_LIST>();
        let _buffer = unsafe { (&raw const (*list).FirstNetBuffer).read_volatile() };
    });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
        None,
        "A-27",
    );
    assert_eq!(violation.parameters[1], 0, "a read");
    assert!(violation.summary.contains("NET_BUFFER_LIST"), "{violation}");
    tells(&violation, &["allocated by the stack", "freed"]);
}

#[test]
fn the_bytes_of_a_packet_are_gone_with_it() {
    let machine = holding();
    worker(&machine, || unsafe {
        let mdl = (*(*held()).FirstNetBuffer).CurrentMdl;
        let bytes = (*mdl).MappedSystemVa.cast::<u8>();
        dereference();
        bytes.write_volatile(0);
    });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
        None,
        "A-28",
    );
    assert_eq!(violation.parameters[1], 1, "a write");
    assert!(violation.summary.contains("packet data"), "{violation}");
    tells(&violation, &["dereferenced", "freed"]);
}

#[test]
fn the_mdl_of_a_clone_is_gone_with_it() {
    let machine = holding();
    worker(&machine, || unsafe {
        let clone = whole_clone();
        let mdl = (*(*clone).FirstNetBuffer).MdlChain;
        free_clone(clone);
        let _count = (&raw const (*mdl).ByteCount).read_volatile();
    });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
        None,
        "C-61",
    );
    tells(&violation, &["made", "freed"]);
}

#[test]
fn the_arguments_of_a_classify_are_gone_when_it_returns() {
    let machine = machine(FWPM_LAYER_INBOUND_TRANSPORT_V4, |asked| {
        keep(asked.values.cast());
        asked.permit();
    });
    receive_syn(&machine);
    worker(&machine, || {
        let values = kept().cast::<FWPS_INCOMING_VALUES0>();
        let _layer = unsafe { (&raw const (*values).layerId).read_volatile() };
    });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
        None,
        "A-12",
    );
    assert!(
        violation.summary.contains("arguments of a classify"),
        "{violation}"
    );
    tells(&violation, &["laid out", "gone: the classify returned"]);
}

#[test]
fn a_clone_freed_twice_is_bug_check_c2_7() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        free_clone(clone);
        free_clone(clone);
    });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(7), "A-39");
    tells(&violation, &["made", "freed"]);
}

#[test]
fn a_clone_freed_after_a_successful_injection_is_freed_twice() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        assert_eq!(inject(clone), 0);
        free_clone(clone);
    });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(7), "A-42");
    tells(&violation, &["made", "injected into the receive path"]);
}

#[test]
fn advancing_without_a_retreat_is_told() {
    let machine = holding();
    worker(&machine, || advance(held(), 4));
    let violation = reported(&machine, CONTRACT, None, "B-03");
    assert_eq!(violation.parameters[1..3], [4, 0]);
    tells(&violation, &["referenced"]);
}

#[test]
fn advancing_by_another_number_than_the_retreat_is_told() {
    let machine = holding();
    worker(&machine, || {
        retreat(held(), 40);
        advance(held(), 20);
    });
    let violation = reported(&machine, CONTRACT, None, "B-03");
    assert_eq!(violation.parameters[1..3], [20, 40]);
    tells(&violation, &["retreated by 40 bytes"]);
}

#[test]
fn an_original_is_not_given_back_retreated() {
    let machine = holding();
    worker(&machine, || {
        retreat(held(), 40);
        dereference();
    });
    let violation = reported(&machine, CONTRACT, None, "A-25");
    assert_eq!(violation.parameters[1], 40);
    tells(&violation, &["retreated by 40 bytes", "dereferenced"]);
}

#[test]
fn a_retreat_by_a_number_that_went_wrong_is_told() {
    let machine = holding();
    worker(&machine, || retreat(held(), 20u32.wrapping_sub(40)));
    let violation = reported(&machine, CONTRACT, None, "B-01");
    assert_eq!(violation.parameters[1], u64::from(20u32.wrapping_sub(40)));
}

#[test]
fn what_is_no_net_buffer_is_not_retreated() {
    let machine = holding();
    worker(&machine, || {
        let _status =
            unsafe { NdisRetreatNetBufferDataStart(held().cast::<NET_BUFFER>(), 4, 0, None) };
    });
    reported(&machine, CONTRACT, None, "B-01");
}

/// A machine whose callout holds a datagram before which there is no room: a retreat puts an MDL in front.
fn holding_without_headroom() -> Machine {
    let mut config = Config::plain();
    config.freedom.no_headroom = 100;
    let machine = machine_on(
        config,
        FWPM_LAYER_OUTBOUND_TRANSPORT_V4,
        FWP_ACTION_CALLOUT_TERMINATING,
        Classify::hold,
    );
    send_datagrams(&machine, 1);
    machine
}

#[test]
fn a_clone_over_memory_that_the_advance_took_away_is_freed_twice() {
    let machine = holding_without_headroom();
    worker(&machine, || {
        retreat(held(), IP_HEADER);
        let clone = clone_of(held());
        advance(held(), IP_HEADER);
        let _status = inject(clone);
    });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(7), "B-04");
    tells(&violation, &["made"]);
}

#[test]
fn the_history_of_a_packet_outlives_the_mdl_of_a_retreat() {
    let machine = holding_without_headroom();
    worker(&machine, || unsafe {
        retreat(held(), IP_HEADER);
        advance(held(), IP_HEADER);
        // More objects die than are remembered; the packet is alive.
        for _ in 0..9000 {
            free_clone(clone_of(held()));
        }
        FwpsDereferenceNetBufferList0(held(), 1);
    });
    let violation = reported(&machine, CONTRACT, None, "A-29");
    tells(
        &violation,
        &[
            "retreated by 20 bytes",
            "a retreat had put in front was freed",
        ],
    );
}

#[test]
fn a_clone_may_be_freed_retreated_and_its_mdl_goes_with_it() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        retreat(clone, 8);
        free_clone(clone);
        dereference();
    });
    clean(&machine);
    let live = machine.kernel().arena.live_blocks();
    let packets = live.iter().filter(|block| {
        matches!(
            block.purpose,
            wfpsim::memory::Purpose::Mdl | wfpsim::memory::Purpose::PacketData
        )
    });
    assert_eq!(packets.count(), 0);
}

#[test]
fn a_pointer_to_a_block_too_small_for_a_list_is_no_copy_of_one() {
    let machine = holding();
    worker(&machine, || unsafe {
        let size = std::mem::offset_of!(NET_BUFFER_LIST, FirstNetBuffer) + size_of::<usize>();
        let block = ExAllocatePool2(POOL_FLAG_NON_PAGED, size as u64, TAG);
        // Where a list has its first NET_BUFFER this has one too: whoever looked would take it for a copy (B-12).
        let first = &raw mut (*block.cast::<NET_BUFFER_LIST>()).FirstNetBuffer;
        first.write((*held()).FirstNetBuffer);
        FwpsDereferenceNetBufferList0(block.cast(), 0);
    });
    reported(&machine, code::DRIVER_IRQL_NOT_LESS_OR_EQUAL, None, "A-28");
}

/// Reads a block that an advance took away, after so many retreats with their advances.
fn read_what_was_taken(advances: u32, rule: &str) {
    let machine = holding_without_headroom();
    worker(&machine, move || unsafe {
        let mut taken = Vec::new();
        for _ in 0..advances {
            retreat(held(), IP_HEADER);
            taken.push(
                (*(*(*held()).FirstNetBuffer).MdlChain)
                    .MappedSystemVa
                    .cast::<u8>(),
            );
            advance(held(), IP_HEADER);
        }
        let _byte = taken[0].read_volatile();
    });
    reported(&machine, code::PAGE_FAULT_IN_FREED_SPECIAL_POOL, None, rule);
}

#[test]
fn what_an_advance_took_away_is_known_for_as_such_until_a_thousand_others_were() {
    // Each takes an MDL and its bytes, and 1024 blocks are remembered, the last ones.
    read_what_was_taken(512, "B-04");
    read_what_was_taken(513, "C-61");
}
