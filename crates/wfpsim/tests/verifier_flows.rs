//! Contexts that a callout gives flows: when their end is told, and what may not be done then.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use verifier_driver::*;
use wfp_sys::GUID;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::layers::*;
use wfpsim::Machine;
use wfpsim::machine::irql;

unsafe extern "C" {
    fn FwpsFlowAssociateContext0(flow: u64, layer: u16, callout: u32, context: u64) -> i32;
    fn FwpsFlowRemoveContext0(flow: u64, layer: u16, callout: u32) -> i32;
}

const STATUS_PENDING: i32 = 0x103;
const STATUS_DEVICE_BUSY: i32 = 0x8000_0011u32 as i32;
const STATUS_INVALID_PARAMETER: i32 = 0xC000_000Du32 as i32;

thread_local! {
    /// The flow that a context was given, and what its end told.
    static FLOW: Cell<u64> = const { Cell::new(0) };
    static ENDED: Cell<u64> = const { Cell::new(0) };
    static REMOVES_AGAIN: Cell<bool> = const { Cell::new(false) };
    static REMOVES_AT_ONCE: Cell<bool> = const { Cell::new(false) };
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
        if REMOVES_AT_ONCE.get() {
            let layer = FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4;
            let removed = FwpsFlowRemoveContext0(flow, layer, callout);
            assert_eq!(removed, STATUS_PENDING);
            // Kernel calls are where other threads run.
            for _ in 0..200 {
                let _level = wdk_sys_portable::ntddk::KeGetCurrentIrql();
            }
            assert_eq!(ENDED.get(), 0, "not while the callout uses it");
        }
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
fn a_context_removed_in_a_classify_ends_when_the_classify_has_returned() {
    REMOVES_AT_ONCE.set(true);
    let (machine, number) = with_a_flow();
    assert_eq!(ENDED.get(), 0xC0);
    worker(&machine, move || unsafe {
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
