//! Packets that a driver makes itself, and the network layer: as they should be, and each mistake with what the machine stops with.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod own_lists;
mod verifier_driver;

use std::cell::Cell;
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;

use own_lists::*;
use verifier_driver::*;
use wfp_sys::HANDLE;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::Machine;
use wfpsim::stack::INTERFACE_INDEX;
use wfpsim::stack::SUB_INTERFACE_INDEX;
use wfpsim::verifier::code;

unsafe extern "C" {
    fn FwpsInjectNetworkSendAsync0(
        handle: HANDLE,
        context: HANDLE,
        flags: u32,
        compartment: u32,
        list: *mut NET_BUFFER_LIST,
        completion: *const c_void,
        completion_context: HANDLE,
    ) -> i32;
}

const STATUS_INVALID_PARAMETER: i32 = 0xC000_000Du32 as i32;
const STATUS_FWP_INJECT_HANDLE_STALE: i32 = 0xC022_0102u32 as i32;

thread_local! {
    /// The packet that the callout took a copy of.
    static COPY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// How often a packet that comes again is still sent.
    static ROUNDS: Cell<u32> = const { Cell::new(0) };
}

/// Copies an inbound packet from its IP header on and takes it silently.
fn take_a_copy(asked: &Classify) {
    let header = unsafe { (*asked.metadata).ipHeaderSize };
    retreat(asked.list, header);
    let buffer = asked.buffer();
    let length = unsafe { (*buffer).DataLength };
    let mut copy = vec![0u8; length as usize];
    let data = unsafe { NdisGetDataBuffer(buffer, length, copy.as_mut_ptr().cast(), 1, 0) };
    if data != copy.as_mut_ptr().cast() {
        unsafe {
            copy.as_mut_ptr()
                .copy_from_nonoverlapping(data.cast(), length as usize)
        };
    }
    advance(asked.list, header);
    COPY.set(copy);
    asked.absorb();
}

/// A machine whose callout has taken a copy of one packet at the network layer.
fn with_a_copy() -> Machine {
    let machine = machine(FWPM_LAYER_INBOUND_IPPACKET_V4, take_a_copy);
    receive_syn(&machine);
    assert_eq!(COPY.with_borrow(Clone::clone), syn());
    machine
}

/// The list of the copied packet.
fn list_of_copy() -> *mut NET_BUFFER_LIST {
    let copy = COPY.take();
    list_of(&copy, copy.len())
}

#[test]
fn a_copy_of_the_drivers_own_goes_on_in_the_packets_place() {
    let machine = with_a_copy();
    worker(&machine, || {
        let handle = handle_of(AF_INET, FWPS_INJECTION_TYPE_NETWORK);
        assert_eq!(inject_into(handle, list_of_copy()), 0);
    });
    let arrivals = machine.take_arrivals();
    assert_eq!(arrivals.len(), 1);
    assert_eq!(arrivals[0].bytes, syn());
    worker(&machine, || unsafe {
        assert_eq!(FwpsInjectionHandleDestroy0(last_handle()), 0);
        NdisFreeNetBufferListPool(last_pool());
        unload();
    });
    clean(&machine);
}

#[test]
fn a_handle_of_another_kind_does_not_inject_at_the_network_layer() {
    let machine = with_a_copy();
    worker(&machine, || {
        let handle = handle_of(AF_INET, FWPS_INJECTION_TYPE_TRANSPORT);
        let list = list_of_copy();
        assert_eq!(inject_into(handle, list), STATUS_FWP_INJECT_HANDLE_STALE);
        free_list(list);
    });
    clean(&machine);
}

#[test]
fn a_packet_of_the_other_family_is_told() {
    let machine = with_a_copy();
    worker(&machine, || {
        let handle = handle_of(AF_INET6, FWPS_INJECTION_TYPE_NETWORK);
        inject_into(handle, list_of_copy());
    });
    reported(&machine, CONTRACT, None, "A-56");
}

#[test]
fn a_pool_is_not_freed_while_it_has_lists_out() {
    let machine = with_a_copy();
    worker(&machine, || {
        list_of_copy();
        unsafe { NdisFreeNetBufferListPool(last_pool()) };
    });
    let violation = reported(&machine, CONTRACT, None, "B-09");
    assert_eq!(violation.parameters[1], 1);
}

#[test]
fn a_list_of_the_stacks_is_not_freed_as_ones_own() {
    let machine = holding();
    worker(&machine, || unsafe { FwpsFreeNetBufferList0(held()) });
    reported(&machine, CONTRACT, None, "B-09");
}

#[test]
fn a_list_that_has_clones_is_not_freed() {
    let machine = with_a_copy();
    worker(&machine, || {
        let list = list_of_copy();
        clone_of(list);
        unsafe { FwpsFreeNetBufferList0(list) };
    });
    reported(&machine, CONTRACT, None, "A-37");
}

#[test]
fn a_pool_of_another_kind_is_told() {
    let machine = with_a_copy();
    worker(&machine, || unsafe {
        let block = ExAllocatePoolWithTag(NONPAGED_NX, 64, TAG);
        let mut list = null_mut();
        FwpsAllocateNetBufferAndNetBufferList0(
            block.cast(),
            0,
            0,
            mdl_of(b"bytes"),
            0,
            5,
            &mut list,
        );
    });
    reported(&machine, CONTRACT, None, "B-09");
}

#[test]
fn an_injection_has_a_completion_function_and_no_flags() {
    let machine = with_a_copy();
    worker(&machine, || {
        let handle = handle_of(AF_INET, FWPS_INJECTION_TYPE_NETWORK);
        let list = list_of_copy();
        for (flags, completion) in [(1, completed as *const c_void), (0, null_mut())] {
            let status = unsafe {
                FwpsInjectNetworkReceiveAsync0(
                    handle,
                    null_mut(),
                    flags,
                    0,
                    INTERFACE_INDEX,
                    SUB_INTERFACE_INDEX,
                    list,
                    completion,
                    null_mut(),
                )
            };
            assert_eq!(status, STATUS_INVALID_PARAMETER);
        }
        free_list(list);
    });
    clean(&machine);
}

#[test]
fn a_list_freed_while_it_is_injected_is_a_double_free() {
    let machine = with_a_copy();
    worker(&machine, || {
        let handle = handle_of(AF_INET, FWPS_INJECTION_TYPE_NETWORK);
        let list = list_of_copy();
        assert_eq!(inject_into(handle, list), 0);
        unsafe { FwpsFreeNetBufferList0(list) };
    });
    reported(&machine, code::BAD_POOL_CALLER, Some(7), "A-42");
}

#[test]
fn a_list_longer_than_its_mdls_is_told() {
    let machine = with_a_copy();
    worker(&machine, || {
        list_of(&[0x45; 20], 21);
    });
    let violation = reported(&machine, CONTRACT, None, "B-11");
    assert_eq!(violation.parameters[2..], [21, 20]);
}

#[test]
fn an_mdl_freed_twice_is_told() {
    let machine = with_a_copy();
    worker(&machine, || {
        let mdl = mdl_of(b"bytes");
        unsafe {
            IoFreeMdl(mdl);
            IoFreeMdl(mdl);
        }
    });
    reported(&machine, code::BAD_POOL_CALLER, Some(7), "C-63");
}

#[test]
fn pages_that_are_not_locked_are_not_mapped() {
    let machine = with_a_copy();
    worker(&machine, || unsafe {
        let block = ExAllocatePoolWithTag(NONPAGED_NX, 16, TAG);
        let mdl = IoAllocateMdl(block, 16, 0, 0, null_mut());
        MmMapLockedPagesSpecifyCache(mdl, 0, 1, null_mut(), 0, 16);
    });
    reported(&machine, CONTRACT, None, "B-06");
}

#[test]
fn looking_behind_a_header_in_a_classify_is_no_mistake() {
    let machine = machine(FWPM_LAYER_INBOUND_IPPACKET_V4, |asked| {
        advance(asked.list, TCP_HEADER);
        retreat(asked.list, TCP_HEADER);
        asked.permit();
    });
    receive_syn(&machine);
    clean(&machine);
}

#[test]
fn an_advance_that_is_not_taken_back_in_the_classify_is_told() {
    let machine = machine(FWPM_LAYER_INBOUND_IPPACKET_V4, |asked| {
        advance(asked.list, TCP_HEADER);
        asked.permit();
    });
    receive_syn(&machine);
    reported(&machine, CONTRACT, None, "B-03");
}

/// A machine whose callout blocks each packet to be sent, and sends a copy of the first one instead, so many times.
fn sending_again(times: u32) -> Machine {
    let machine = machine(FWPM_LAYER_OUTBOUND_IPPACKET_V4, |asked| {
        if ROUNDS.get() > 0 {
            ROUNDS.set(ROUNDS.get() - 1);
            if held().is_null() {
                asked.hold();
            }
            send_again(clone_of(held()));
        }
        // Not taken, so that it is not the taking again that is told.
        unsafe { (*asked.out).flags = 0 };
        asked.answer(FWP_ACTION_BLOCK);
    });
    worker(&machine, || {
        handle_of(AF_INET, FWPS_INJECTION_TYPE_NETWORK);
    });
    forget_injection_state();
    ROUNDS.set(times);
    send_datagrams(&machine, 1);
    assert_eq!(ROUNDS.get(), 0, "{:#?}", machine.violations());
    machine
}

fn send_again(clone: *mut NET_BUFFER_LIST) {
    unsafe extern "system" fn sent(_: *mut c_void, clone: *mut NET_BUFFER_LIST, _: u8) {
        assert_ne!(unsafe { (*clone).Status }, 0, "it was blocked");
        free_clone(clone);
    }
    let status = unsafe {
        FwpsInjectNetworkSendAsync0(
            last_handle(),
            null_mut(),
            0,
            0,
            clone,
            sent as *const c_void,
            null_mut(),
        )
    };
    assert_eq!(status, 0);
}

#[test]
fn a_packet_may_be_sent_eight_times() {
    clean(&sending_again(8));
}

#[test]
fn a_packet_that_is_sent_a_ninth_time_is_told() {
    let violation = reported(&sending_again(9), CONTRACT, None, "A-51");
    assert_eq!(violation.parameters[1], 8);
    tells(
        &violation,
        &["injected into the send path at the network layer"],
    );
}
