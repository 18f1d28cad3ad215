//! Packets that a driver makes itself, the network layer, and contexts of flows: as they should be, and each mistake with what the
//! machine stops with.
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
use wfp_sys::GUID;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::layers::*;
use wfp_sys::ndis::*;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::stack::INTERFACE_INDEX;
use wfpsim::stack::SUB_INTERFACE_INDEX;
use wfpsim::verifier::code;

unsafe extern "C" {
    fn FwpsFlowAssociateContext0(flow: u64, layer: u16, callout: u32, context: u64) -> i32;
    fn FwpsFlowRemoveContext0(flow: u64, layer: u16, callout: u32) -> i32;
}

const STATUS_DEVICE_BUSY: i32 = 0x8000_0011u32 as i32;
const STATUS_INVALID_PARAMETER: i32 = 0xC000_000Du32 as i32;
const STATUS_FWP_INJECT_HANDLE_STALE: i32 = 0xC022_0102u32 as i32;

thread_local! {
    /// The packet that the callout took a copy of.
    static COPY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The flow that a context was given, and what its end told.
    static FLOW: Cell<u64> = const { Cell::new(0) };
    static ENDED: Cell<u64> = const { Cell::new(0) };
    static REMOVES_AGAIN: Cell<bool> = const { Cell::new(false) };
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

const FLOWS: GUID = GUID::from_u128(0x1ee1_c0de_0000_4000_8000_0000_0000_0003);

unsafe extern "system" fn flow_classify(
    _values: *const FWPS_INCOMING_VALUES0,
    metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    _list: *mut c_void,
    _context: *const c_void,
    filter: *const FWPS_FILTER3,
    _flow: u64,
    out: *mut FWPS_CLASSIFY_OUT0,
) {
    unsafe {
        let (flow, callout) = ((*metadata).flowHandle, (*filter).action.calloutId);
        let associate = |context| {
            FwpsFlowAssociateContext0(flow, FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4, callout, context)
        };
        assert_eq!(associate(0), STATUS_INVALID_PARAMETER, "A-04");
        assert_eq!(associate(0xC0), 0);
        FLOW.set(flow);
        (*out).actionType = FWP_ACTION_CONTINUE;
    }
}

unsafe extern "system" fn flow_notify(
    _kind: i32,
    _key: *const GUID,
    _filter: *mut FWPS_FILTER3,
) -> i32 {
    0
}

unsafe extern "system" fn flow_ended(layer: u16, callout: u32, context: u64) {
    ENDED.set(context);
    if REMOVES_AGAIN.get() {
        unsafe { FwpsFlowRemoveContext0(FLOW.get(), layer, callout) };
    }
}

/// A machine on which a connection is set up, and carries a context of a callout at FLOW_ESTABLISHED. Gives the callout's number.
fn with_a_flow() -> (Machine, u32) {
    let machine = machine(FWPM_LAYER_INBOUND_TRANSPORT_V4, Classify::permit);
    let number = machine
        .call("load", irql::PASSIVE, |_| unsafe {
            let callout = FWPS_CALLOUT3 {
                calloutKey: FLOWS,
                flags: 0,
                classifyFn: Some(flow_classify),
                notifyFn: Some(flow_notify),
                flowDeleteFn: Some(flow_ended),
            };
            let (mut device, mut number) = (0u64, 0);
            assert_eq!(
                FwpsCalloutRegister3((&raw mut device).cast(), &callout, &mut number),
                0
            );
            let management = FWPM_CALLOUT0 {
                calloutKey: FLOWS,
                applicableLayer: FWPM_LAYER_ALE_FLOW_ESTABLISHED_V4,
                ..Default::default()
            };
            assert_eq!(
                FwpmCalloutAdd0(engine(), &management, null_mut(), null_mut()),
                0
            );
            let mut filter = FWPM_FILTER0 {
                layerKey: FWPM_LAYER_ALE_FLOW_ESTABLISHED_V4,
                subLayerKey: FWPM_SUBLAYER_UNIVERSAL,
                ..Default::default()
            };
            filter.action.r#type = FWP_ACTION_CALLOUT_INSPECTION;
            filter.action.Anonymous.calloutKey = FLOWS;
            assert_eq!(FwpmFilterAdd0(engine(), &filter, null_mut(), null_mut()), 0);
            number
        })
        .expect("it is loaded");
    receive_syn(&machine);
    receive_data(&machine);
    assert_ne!(FLOW.get(), 0, "the flow was told");
    (machine, number)
}

#[test]
fn the_end_of_a_flow_is_told_with_the_context_that_it_carried() {
    let (machine, number) = with_a_flow();
    machine.close_endpoints();
    assert_eq!(ENDED.get(), 0xC0);
    worker(&machine, move || unsafe {
        assert_eq!(FwpsCalloutUnregisterById0(number), 0);
    });
    clean(&machine);
}

#[test]
fn a_callout_is_busy_while_a_flow_carries_its_context() {
    let (machine, number) = with_a_flow();
    worker(&machine, move || unsafe {
        assert_eq!(FwpsCalloutUnregisterById0(number), STATUS_DEVICE_BUSY);
        let layer = FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4;
        assert_eq!(FwpsFlowRemoveContext0(FLOW.get(), layer, number), 0);
        assert_eq!(ENDED.get(), 0xC0, "told before the call returned");
        assert_eq!(FwpsCalloutUnregisterById0(number), 0);
    });
    clean(&machine);
}

#[test]
fn removing_the_context_in_flow_delete_is_told() {
    let (machine, _) = with_a_flow();
    REMOVES_AGAIN.set(true);
    machine.close_endpoints();
    reported(&machine, CONTRACT, None, "A-07");
}

#[test]
fn a_callout_without_flow_delete_associates_nothing() {
    let machine = machine(FWPM_LAYER_INBOUND_TRANSPORT_V4, Classify::permit);
    receive_syn(&machine);
    worker(&machine, || {
        let status = unsafe {
            FwpsFlowAssociateContext0(1, FWPS_LAYER_INBOUND_TRANSPORT_V4, callout_number(), 1)
        };
        assert_eq!(status, STATUS_INVALID_PARAMETER);
    });
    clean(&machine);
}
