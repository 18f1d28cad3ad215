//! What a classify function may leave behind when it returns, and how answers are weighed against each other.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::ptr::null;

use verifier_driver::*;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Violation;
use wfpsim::machine::irql;
use wfpsim::stack::Fate;

const INBOUND: wfp_sys::GUID = FWPM_LAYER_INBOUND_TRANSPORT_V4;

/// Receives a SYN, and gives what is reported, with the layer, action, flags and rights that were left.
fn left(machine: &Machine, rule: &str) -> Violation {
    receive_syn(machine);
    reported(machine, CONTRACT, None, rule)
}

fn with_hard_permit(answer: fn(&Classify)) -> Machine {
    let config = Config {
        hard_permit: true,
        ..Config::plain()
    };
    machine_on(config, INBOUND, FWP_ACTION_CALLOUT_TERMINATING, answer)
}

#[test]
fn absorbing_what_ale_has_still_to_see_is_told() {
    let machine = machine(INBOUND, Classify::hold);
    left(&machine, "A-66");
}

#[test]
fn an_offset_left_changed_is_told() {
    let machine = machine(INBOUND, |asked| {
        retreat(asked.list, 20);
        asked.permit();
    });
    left(&machine, "A-25");
}

#[test]
fn an_offset_changed_and_changed_back_is_not_reported() {
    let machine = machine(INBOUND, |asked| {
        retreat(asked.list, 20);
        advance(asked.list, 20);
        asked.permit();
    });
    receive_syn(&machine);
    clean(&machine);
}

#[test]
fn a_list_linked_behind_the_one_that_was_shown_is_told() {
    let machine = machine(INBOUND, |asked| {
        let clone = clone_of(asked.list);
        unsafe { (*asked.list).Next = clone };
        asked.permit();
    });
    left(&machine, "A-19");
}

#[test]
fn a_block_that_leaves_the_right_to_write_is_an_answer_too() {
    let machine = machine(INBOUND, |asked| unsafe {
        (*asked.out).actionType = FWP_ACTION_BLOCK;
    });
    let packet = receive_syn(&machine);
    clean(&machine);
    assert_eq!(fate(&machine, packet), Some(Fate::Blocked));
}

#[test]
fn a_packet_that_was_looked_at_in_a_reference_to_modify_and_permitted_leaves_the_right_to_write() {
    let machine = machine(INBOUND, |asked| unsafe {
        FwpsReferenceNetBufferList0(asked.list, 1);
        FwpsDereferenceNetBufferList0(asked.list, 1);
        asked.permit();
    });
    receive_syn(&machine);
    clean(&machine);
}

#[test]
fn bytes_written_in_a_classify_are_told_when_it_returns() {
    let machine = machine(INBOUND, |asked| unsafe {
        let mdl = (*asked.buffer()).CurrentMdl;
        let bytes = (*mdl).MappedSystemVa.cast::<u8>();
        let first = bytes.add((*asked.buffer()).CurrentMdlOffset as usize - 1);
        first.write_volatile(!first.read_volatile());
        asked.permit();
    });
    let violation = left(&machine, "A-35");
    let stack = violation.stack.join("\n");
    assert!(stack.contains("check_return"), "{stack}");
}

#[test]
fn a_packet_whose_clone_was_given_up_may_be_blocked_and_not_passed() {
    fn clones_and(asked: &Classify, action: u32) {
        free_clone(clone_of(asked.list));
        asked.answer(action);
    }
    let blocks = machine(INBOUND, |asked| clones_and(asked, FWP_ACTION_BLOCK));
    receive_syn(&blocks);
    clean(&blocks);

    let permits = machine(INBOUND, |asked| clones_and(asked, FWP_ACTION_PERMIT));
    left(&permits, "A-40");
}

#[test]
fn a_clone_that_was_injected_was_not_given_up() {
    // The stack drops what is injected, so that the packet comes once.
    let mut config = Config::plain();
    config.freedom.failed_injection = 100;
    let machine = machine_on(config, INBOUND, FWP_ACTION_CALLOUT_TERMINATING, |asked| {
        if !asked.ale_required() {
            retreat(asked.list, IP_HEADER + TCP_HEADER);
            keep(clone_of(asked.list).cast());
            advance(asked.list, IP_HEADER + TCP_HEADER);
        }
        asked.permit();
    });
    when_completed(|clone, _| {
        assert!(unsafe { (&raw const (*clone).Status).read_volatile() } < 0);
        free_clone(clone);
        keep(null());
    });
    receive_syn(&machine);
    receive_data(&machine);
    assert_eq!(machine.take_arrivals().len(), 2);
    worker(&machine, || assert_eq!(inject(kept().cast_mut().cast()), 0));
    clean(&machine);
    assert!(kept().is_null(), "the clone was freed");
}

#[test]
fn a_packet_that_no_classify_shows_is_told_as_far_as_a_list_goes() {
    const SIZE: usize = size_of::<NET_BUFFER_LIST>();
    fn reads<const AT: usize>(asked: &Classify) {
        // A connect of TCP shows no packet.
        assert!(asked.list.is_null());
        unsafe { asked.list.cast::<u8>().wrapping_add(AT).read_volatile() };
    }
    fn told_as(reads: fn(&Classify), rule: &str) {
        let machine = machine(FWPM_LAYER_ALE_AUTH_CONNECT_V4, reads);
        send_syn(&machine);
        let violations = machine.violations();
        assert_eq!(violations.len(), 1, "{violations:#?}");
        assert_eq!(violations[0].rule, rule, "{}", violations[0]);
    }
    told_as(reads::<0>, "A-20");
    told_as(reads::<{ SIZE - 1 }>, "A-20");
    told_as(reads::<SIZE>, "C-63");
}

#[test]
fn a_callout_that_two_filters_name_may_take_a_packet_at_both() {
    let machine = machine(INBOUND, |asked| {
        if asked.ale_required() {
            asked.permit();
        } else {
            asked.absorb();
        }
    });
    worker(&machine, || add_below(FWP_ACTION_CALLOUT_TERMINATING));
    receive_syn(&machine);
    let packet = receive_data(&machine);
    clean(&machine);
    assert_eq!(fate(&machine, packet), Some(Fate::Blocked));
}

#[test]
fn a_hard_permit_can_be_vetoed() {
    let machine = with_hard_permit(|asked| asked.answer(FWP_ACTION_BLOCK));
    let packet = receive_syn(&machine);
    clean(&machine);
    assert_eq!(fate(&machine, packet), Some(Fate::Blocked));
}

#[test]
fn a_hard_permit_left_alone_permits() {
    let machine = with_hard_permit(|_| {});
    let packet = receive_syn(&machine);
    clean(&machine);
    assert_eq!(fate(&machine, packet), Some(Fate::Delivered));
}

#[test]
fn an_inspection_only_continues() {
    let inspecting = |answer| {
        machine_on(
            Config::plain(),
            INBOUND,
            FWP_ACTION_CALLOUT_INSPECTION,
            answer,
        )
    };
    let machine = inspecting(|asked| asked.answer(FWP_ACTION_BLOCK));
    left(&machine, "A-18");

    let machine = inspecting(|asked| unsafe { (*asked.out).actionType = FWP_ACTION_CONTINUE });
    let packet = receive_syn(&machine);
    clean(&machine);
    assert_eq!(fate(&machine, packet), Some(Fate::Delivered));
}

#[test]
fn a_block_of_a_lower_sublayer_overrides_a_permit() {
    let machine = machine(INBOUND, Classify::permit);
    worker(&machine, add_block_below);
    let packet = receive_syn(&machine);
    clean(&machine);
    assert_eq!(fate(&machine, packet), Some(Fate::Blocked));
}

#[test]
fn a_hard_permit_is_not_overridden_by_a_lower_filter() {
    let machine = machine(INBOUND, |asked| asked.answer(FWP_ACTION_PERMIT));
    worker(&machine, add_block_below);
    let packet = receive_syn(&machine);
    clean(&machine);
    assert_eq!(fate(&machine, packet), Some(Fate::Delivered));
}

#[test]
fn a_block_is_final() {
    let machine = machine(INBOUND, |asked| asked.answer(FWP_ACTION_BLOCK));
    worker(&machine, || add_below(FWP_ACTION_PERMIT));
    let packet = receive_syn(&machine);
    clean(&machine);
    assert_eq!(fate(&machine, packet), Some(Fate::Blocked));
}

fn add_block_below() {
    add_below(FWP_ACTION_BLOCK);
}

/// A filter without conditions in a sublayer below everything; one that asks a callout asks the story's.
fn add_below(action: u32) {
    let key = wfp_sys::GUID::from_u128(0xbe10);
    let engine = open_engine(0);
    let sublayer = FWPM_SUBLAYER0 {
        subLayerKey: key,
        weight: 0,
        ..Default::default()
    };
    assert_eq!(
        unsafe { FwpmSubLayerAdd0(engine, &sublayer, std::ptr::null_mut()) },
        0
    );
    add_filter(INBOUND, action, key);
}

#[test]
fn a_lock_held_when_classify_returns_is_told() {
    let machine = machine(INBOUND, |asked| unsafe {
        LOCK.with(|lock| wdk_sys_portable::ntddk::KeAcquireSpinLockRaiseToDpc(lock.as_ptr()));
        asked.permit();
    });
    left(&machine, "C-03");
}

#[test]
fn classify_returns_at_the_level_it_was_called_at() {
    unsafe extern "C" {
        fn KeLowerIrql(level: u8);
    }
    let machine = machine(INBOUND, |asked| unsafe {
        KeLowerIrql(irql::PASSIVE);
        asked.permit();
    });
    left(&machine, "A.1");
}

thread_local! {
    static LOCK: std::cell::Cell<wdk_sys_portable::KSPIN_LOCK> = const { std::cell::Cell::new(0) };
}

#[test]
fn the_state_of_an_injected_packet_is_each_handles_own() {
    let machine = holding();
    let states = machine.call("worker", irql::PASSIVE, |_| unsafe {
        let mut other = std::ptr::null_mut();
        assert_eq!(
            FwpsInjectionHandleCreate0(AF_UNSPEC, FWPS_INJECTION_TYPE_TRANSPORT, &mut other),
            0
        );
        let state = |handle, list: *mut NET_BUFFER_LIST| {
            FwpsQueryPacketInjectionState0(handle, list, std::ptr::null_mut())
        };
        let before = state(injection(), held());
        let clone = whole_clone();
        assert_eq!(inject(clone), 0);
        [before, state(injection(), clone), state(other, clone)]
    });
    assert_eq!(
        states,
        Some([
            FWPS_PACKET_NOT_INJECTED,
            FWPS_PACKET_INJECTED_BY_SELF,
            FWPS_PACKET_INJECTED_BY_OTHER
        ])
    );
}
