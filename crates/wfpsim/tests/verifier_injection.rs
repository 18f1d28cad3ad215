//! What reports of misused injections and pended operations say besides the rule. `crates/mistakes` has a driver for each rule.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::ffi::c_void;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::ntddk::*;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::Config;
use wfpsim::stack::INTERFACE_INDEX;
use wfpsim::stack::SUB_INTERFACE_INDEX;
use wfpsim::verifier::code;

const TAG: u32 = u32::from_le_bytes(*b"args");

#[test]
fn a_clone_is_not_injected_twice() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        assert_eq!(inject(clone), 0);
        let _status = inject(clone);
    });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(7), "A-42");
    tells(&violation, &["injected into the receive path"]);
}

#[test]
fn a_packet_does_not_come_out_twice() {
    let machine = holding();
    worker(&machine, || {
        let (one, other) = (whole_clone(), whole_clone());
        assert_eq!(inject(one), 0);
        assert_eq!(inject(other), 0);
    });
    let violation = reported(&machine, code::WFPSIM_PACKET_VIOLATION, None, "A-42");
    assert_eq!(
        violation.parameters[..2],
        [2, 2],
        "the second packet, twice"
    );
}

#[test]
fn an_injected_clone_is_the_stacks() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        assert_eq!(inject(clone), 0);
        retreat(clone, 4);
    });
    let violation = reported(&machine, CONTRACT, None, "A-43");
    tells(&violation, &["injected into the receive path"]);
}

#[test]
fn several_packets_in_one_receive_injection_are_bug_check_1d3() {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, Classify::hold);
    send_datagrams(&machine, 2);
    worker(&machine, || {
        let _status = inject(clone_of(held()));
    });
    let violation = reported(&machine, code::WFP_INVALID_OPERATION, Some(1), "A-46");
    assert_ne!(violation.parameters[2], 0, "the list");
    tells(&violation, &["made"]);
}

#[test]
fn an_injected_packet_begins_with_its_ip_header() {
    let machine = holding();
    worker(&machine, || {
        let _status = inject(clone_of(held()));
    });
    let violation = reported(&machine, CONTRACT, None, "A-45");
    assert!(
        violation.summary.contains("73 6f 6d 65"),
        "the payload: {violation}"
    );
    tells(&violation, &["made"]);
}

#[test]
fn an_ip_header_says_no_more_than_there_is() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        // In memory of its own: the original's is not the driver's to write.
        construct(clone, IP_HEADER, IPPROTO_TCP);
        write_header(clone, 2, 0x7F);
        let _status = inject(clone);
    });
    let violation = reported(&machine, CONTRACT, None, "A-45");
    assert_eq!(violation.parameters[2], 49, "bytes that there are");
}

#[test]
fn an_injected_packet_no_longer_leads_to_ah_or_esp() {
    for protocol in [50, 51] {
        let machine = holding();
        worker(&machine, move || {
            let clone = whole_clone();
            construct(clone, IP_HEADER, IPPROTO_TCP);
            write_header(clone, 9, protocol);
            let _status = inject(clone);
        });
        let violation = reported(&machine, CONTRACT, None, "A-63");
        assert_eq!(violation.parameters[1], u64::from(protocol));
    }
}

fn write_header(clone: *mut NET_BUFFER_LIST, offset: usize, byte: u8) {
    unsafe {
        let buffer = (*clone).FirstNetBuffer;
        let header = (*(*buffer).CurrentMdl).MappedSystemVa.cast::<u8>();
        header
            .add((*buffer).CurrentMdlOffset as usize + offset)
            .write(byte);
    }
}

#[test]
fn a_packet_is_injected_where_it_arrived() {
    let wrong = [
        (0, INTERFACE_INDEX + 1, SUB_INTERFACE_INDEX),
        (0, INTERFACE_INDEX, SUB_INTERFACE_INDEX + 1),
        (7, INTERFACE_INDEX, SUB_INTERFACE_INDEX),
    ];
    for (compartment, interface, sub_interface) in wrong {
        let machine = holding();
        worker(&machine, move || {
            assert_eq!(
                inject_from(whole_clone(), compartment, interface, sub_interface),
                0
            );
        });
        let violation = reported(&machine, CONTRACT, None, "A-49");
        assert_eq!(
            violation.parameters[1..],
            [interface, sub_interface, compartment].map(u64::from)
        );
        tells(&violation, &["injected into the receive path"]);
    }
}

#[test]
fn a_pended_accept_is_completed_with_the_clone_that_is_injected() {
    let machine = accepting();
    worker(&machine, || {
        complete(whole_clone());
        assert_eq!(inject(whole_clone()), 0);
    });
    let violation = reported(&machine, CONTRACT, None, "A-74");
    tells(&violation, &["made", "injected into the receive path"]);
}

#[test]
fn a_pended_accept_is_not_completed_with_its_original() {
    let machine = accepting();
    worker(&machine, || complete(held()));
    let violation = reported(&machine, CONTRACT, None, "A-74");
    tells(&violation, &["pended"]);
}

#[test]
fn a_pended_accept_completed_and_injected_is_not_reported() {
    let machine = accepting();
    worker(&machine, || {
        let clone = whole_clone();
        complete(clone);
        dereference();
        assert_eq!(inject(clone), 0);
    });
    clean(&machine);
    assert_eq!(machine.take_arrivals().len(), 1);
}

#[test]
fn an_operation_is_not_completed_twice() {
    let machine = accepting();
    worker(&machine, || {
        complete(null_mut());
        complete(null_mut());
    });
    let violation = reported(&machine, CONTRACT, None, "A-71");
    tells(&violation, &["pended", "completed with NULL"]);
}

#[test]
fn what_was_never_pended_is_not_completed() {
    for garbage in [0usize, 0xDEAD_BEEF] {
        let machine = accepting();
        worker(&machine, move || unsafe {
            FwpsCompleteOperation0(garbage as *mut c_void, null_mut())
        });
        reported(&machine, CONTRACT, Some(garbage as u64), "A-71");
    }
}

#[test]
fn a_connect_is_completed_without_a_packet() {
    let machine = machine(FWPM_LAYER_ALE_AUTH_CONNECT_V4, |asked| {
        // A datagram is shown at the connect, so there is something to clone.
        asked.pend();
    });
    send_datagrams(&machine, 1);
    worker(&machine, || complete(clone_of(held())));
    reported(&machine, CONTRACT, None, "A-72");
}

#[test]
fn a_connect_completed_with_null_is_not_reported() {
    let machine = connecting();
    worker(&machine, || complete(null_mut()));
    clean(&machine);
    assert_eq!(machine.take_arrivals().len(), 1, "the SYN was sent");
}

#[test]
fn a_completion_handle_is_good_during_its_classify_only() {
    let machine = machine(FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4, |asked| {
        asked.keep_completion_handle();
        asked.permit();
    });
    receive_syn(&machine);
    worker(&machine, || {
        let mut context = null_mut();
        let _status = unsafe { FwpsPendOperation0(kept_completion_handle(), &mut context) };
    });
    let violation = reported(&machine, CONTRACT, None, "A-69");
    assert_eq!(violation.parameters[0], kept_completion_handle() as u64);
}

#[test]
fn a_completion_handle_is_not_good_in_the_classify_of_another_thread() {
    let machine = machine(FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4, |asked| {
        if kept_completion_handle().is_null() {
            asked.keep_completion_handle();
            // The classify of another flow runs meanwhile.
            wait_a_moment();
            asked.permit();
        } else {
            let mut context = null_mut();
            let _status = unsafe { FwpsPendOperation0(kept_completion_handle(), &mut context) };
            asked.permit();
        }
    });
    machine.receive(wfpsim::stack::Received::plain(syn()));
    let other =
        wfpsim_packet::build::udp(socket("192.0.2.9:53"), socket("192.0.2.1:53"), b"question");
    machine.receive(wfpsim::stack::Received::plain(other));
    machine.run();
    reported(&machine, CONTRACT, None, "A-69");
}

/// Kernel calls are where other threads run.
fn wait_a_moment() {
    for _ in 0..200 {
        let _level = unsafe { KeGetCurrentIrql() };
    }
}

#[test]
fn arguments_of_a_send_live_until_its_completion() {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, Classify::hold);
    send_datagrams(&machine, 1);
    worker(&machine, || unsafe {
        let arguments = send_arguments();
        assert_eq!(inject_send(clone_of(held()), arguments), 0);
        ExFreePoolWithTag(arguments.cast(), TAG);
    });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
        None,
        "A-52",
    );
    assert!(violation.summary.contains("tag 'args'"), "{violation}");
    tells(&violation, &["allocated", "freed"]);
    let stack = violation.stack.join("\n");
    assert!(stack.contains("send"), "where it was read: {stack}");
}

#[test]
fn a_send_whose_arguments_live_is_not_reported() {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, Classify::hold);
    send_datagrams(&machine, 1);
    when_completed(|clone, _| unsafe {
        assert_eq!((*clone).Status, 0);
        free_clone(clone);
        ExFreePoolWithTag(kept().cast_mut(), TAG);
    });
    worker(&machine, || {
        let arguments = send_arguments();
        keep(arguments.cast());
        let clone = clone_of(held());
        dereference();
        assert_eq!(inject_send(clone, arguments), 0);
    });
    clean(&machine);
    assert_eq!(machine.take_arrivals().len(), 1);
}

/// The structure with the address behind it, in one block.
fn send_arguments() -> *mut FWPS_TRANSPORT_SEND_PARAMS0 {
    unsafe {
        let size = size_of::<FWPS_TRANSPORT_SEND_PARAMS0>() as u64;
        let block = ExAllocatePool2(wdk_sys_portable::POOL_FLAG_NON_PAGED, size + 4, TAG);
        let arguments = block.cast::<FWPS_TRANSPORT_SEND_PARAMS0>();
        let address = arguments.add(1).cast::<u8>();
        address.copy_from_nonoverlapping([192, 0, 2, 9].as_ptr(), 4);
        (*arguments).remoteAddress = address;
        arguments
    }
}

#[test]
fn an_injection_handle_is_not_destroyed_by_its_own_completion() {
    // Whether a completion runs at DISPATCH_LEVEL is the seed's; at PASSIVE_LEVEL the wait would be for itself.
    let codes: Vec<(u32, &str)> = (0..16)
        .map(|seed| {
            let config = Config {
                seed,
                ..Config::plain()
            };
            let machine = machine_on(
                config,
                FWPM_LAYER_OUTBOUND_TRANSPORT_V4,
                FWP_ACTION_CALLOUT_TERMINATING,
                Classify::hold,
            );
            send_datagrams(&machine, 1);
            when_completed(|_, _| {
                let _status = unsafe { FwpsInjectionHandleDestroy0(injection()) };
            });
            worker(&machine, || {
                let _status = inject_send(clone_of(held()), send_arguments());
            });
            let violations = machine.violations();
            assert_eq!(violations.len(), 1);
            (violations[0].code, violations[0].rule)
        })
        .collect();
    assert!(codes.contains(&(code::WFPSIM_HANG, "A-57")), "{codes:?}");
    assert!(
        codes.contains(&(CONTRACT, "A.1")),
        "at DISPATCH_LEVEL: {codes:?}"
    );
}

#[test]
fn an_injection_handle_is_destroyed_once_and_not_used_again() {
    let machine = holding();
    worker(&machine, || unsafe {
        assert_eq!(FwpsInjectionHandleDestroy0(injection()), 0);
        let _status = FwpsInjectionHandleDestroy0(injection());
    });
    let violation = reported(&machine, CONTRACT, None, "A-57");
    tells(&violation, &["created", "destroyed"]);

    let machine = holding();
    worker(&machine, || unsafe {
        let clone = whole_clone();
        assert_eq!(FwpsInjectionHandleDestroy0(injection()), 0);
        let _status = inject(clone);
    });
    let violation = reported(&machine, CONTRACT, None, "A-57");
    tells(&violation, &["created", "destroyed"]);
}
