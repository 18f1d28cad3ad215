//! A callout at ALE_FLOW_ESTABLISHED that keeps something of each flow: flow contexts.

use std::cell::Cell;
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::DEVICE_OBJECT;
use wdk_sys_portable::NTSTATUS;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::STATUS_SUCCESS;
use wdk_sys_portable::ntddk::ExAllocatePool2;
use wdk_sys_portable::ntddk::ExFreePoolWithTag;
use wfp_sys::GUID;
use wfp_sys::HANDLE;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;

use super::TAG;
use super::callouts;
use super::classify;
use super::globals;
use crate::makes;

const KEY: GUID = GUID::from_u128(0x1ee1_c0de_f10e_4000_8000_0000_0000_0001);

unsafe extern "C" {
    fn FwpsFlowAssociateContext0(flow: u64, layer: u16, callout: u32, context: u64) -> NTSTATUS;
    fn FwpsFlowRemoveContext0(flow: u64, layer: u16, callout: u32) -> NTSTATUS;
}

/// What is kept of a flow, in pool.
#[repr(C)]
struct Context {
    flow: u64,
    layer: u16,
    callout: u32,
}

thread_local! {
    static CALLOUT: Cell<u32> = const { Cell::new(0) };
    /// The contexts that flows carry.
    static CARRIED: RefCell<Vec<*mut Context>> = const { RefCell::new(Vec::new()) };
}

/// Forgets what a driver on an earlier machine of this host thread left.
pub fn forget() {
    CARRIED.with_borrow_mut(Vec::clear);
}

/// Registers the callout.
pub fn register(device: *mut DEVICE_OBJECT) -> NTSTATUS {
    let deleted: FWPS_CALLOUT_FLOW_DELETE_NOTIFY_FN0 = if makes("A-04-no-delete") {
        None
    } else {
        Some(flow_deleted)
    };
    let callout = FWPS_CALLOUT3 {
        calloutKey: KEY,
        flags: 0,
        classifyFn: Some(established),
        notifyFn: Some(classify::notify),
        flowDeleteFn: deleted,
    };
    let globals = globals();
    unsafe {
        let mut id = 0;
        let status = FwpsCalloutRegister3(device.cast(), &raw const callout, &raw mut id);
        if status == STATUS_SUCCESS {
            CALLOUT.set(id);
            (*globals).callouts[(*globals).callout_count] = id;
            (*globals).callout_count += 1;
        }
        status
    }
}

/// Adds the callout and a filter to the engine.
pub fn add(engine: HANDLE) -> NTSTATUS {
    let callout = FWPM_CALLOUT0 {
        calloutKey: KEY,
        applicableLayer: FWPM_LAYER_ALE_FLOW_ESTABLISHED_V4,
        ..Default::default()
    };
    let mut filter = FWPM_FILTER0 {
        layerKey: FWPM_LAYER_ALE_FLOW_ESTABLISHED_V4,
        subLayerKey: callouts::SUBLAYER,
        ..Default::default()
    };
    filter.action.r#type = FWP_ACTION_CALLOUT_TERMINATING;
    filter.action.Anonymous.calloutKey = KEY;
    unsafe {
        let status = FwpmCalloutAdd0(engine, &raw const callout, null_mut(), null_mut());
        if status != STATUS_SUCCESS {
            return status;
        }
        FwpmFilterAdd0(engine, &raw const filter, null_mut(), null_mut())
    }
}

/// Takes every context back, which the callout's unregistering waits for.
pub fn remove_contexts() {
    if makes("A-05") {
        return;
    }
    while let Some(context) = CARRIED.with_borrow(|carried| carried.first().copied()) {
        let (flow, layer, callout) =
            unsafe { ((*context).flow, (*context).layer, (*context).callout) };
        if unsafe { FwpsFlowRemoveContext0(flow, layer, callout) } != STATUS_SUCCESS {
            // It is on its way.
            callouts::sleep_a_millisecond();
        }
    }
}

unsafe extern "system" fn established(
    values: *const FWPS_INCOMING_VALUES0,
    metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    _layer_data: *mut c_void,
    _classify_context: *const c_void,
    _filter: *const FWPS_FILTER3,
    _flow_context: u64,
    out: *mut FWPS_CLASSIFY_OUT0,
) {
    unsafe {
        if makes("A-75") {
            (*out).actionType = FWP_ACTION_BLOCK;
            (*out).flags |= FWPS_CLASSIFY_OUT_FLAG_ABSORB;
            (*out).rights &= !FWPS_RIGHT_ACTION_WRITE;
            return;
        }
        if (*metadata).currentMetadataValues & FWPS_METADATA_FIELD_FLOW_HANDLE != 0 {
            // Two parts of the driver look at flows, each for itself. Only the first has its context set.
            for _ in 0..2 {
                associate((*metadata).flowHandle, (*values).layerId);
            }
        }
        if (*out).rights & FWPS_RIGHT_ACTION_WRITE != 0 {
            (*out).actionType = FWP_ACTION_PERMIT;
        }
    }
}

fn associate(flow: u64, layer: u16) {
    let callout = CALLOUT.get();
    unsafe {
        let context = ExAllocatePool2(POOL_FLAG_NON_PAGED, size_of::<Context>() as u64, TAG)
            .cast::<Context>();
        if context.is_null() {
            return;
        }
        context.write(Context {
            flow,
            layer,
            callout,
        });
        let status = FwpsFlowAssociateContext0(flow, layer, callout, context as u64);
        if makes("A-04-no-delete") {
            return;
        }
        // STATUS_OBJECT_NAME_EXISTS is a success to NT_SUCCESS, and nothing was set.
        let set = if makes("A-04") {
            status >= 0
        } else {
            status == STATUS_SUCCESS
        };
        if set {
            CARRIED.with_borrow_mut(|carried| carried.push(context));
        } else {
            ExFreePoolWithTag(context.cast(), TAG);
        }
        if makes("A-04") && status != STATUS_SUCCESS {
            // It waits for a flowDeleteFn that is never called for it.
            CARRIED.with_borrow_mut(Vec::pop);
        }
    }
}

/// flowDeleteFn: the association is gone, and the context is the driver's to free.
unsafe extern "system" fn flow_deleted(_layer: u16, _callout: u32, context: u64) {
    let context = context as usize as *mut Context;
    unsafe {
        if makes("A-07") {
            let _status =
                FwpsFlowRemoveContext0((*context).flow, (*context).layer, (*context).callout);
        }
        CARRIED.with_borrow_mut(|carried| carried.retain(|other| *other != context));
        ExFreePoolWithTag(context.cast(), TAG);
    }
}
