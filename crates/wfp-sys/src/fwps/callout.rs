//! A callout and the functions it is made of.

use core::ffi::c_void;

use crate::{
    BOOLEAN, GUID, NTSTATUS,
    consts::FWPS_CALLOUT_NOTIFY_TYPE,
    fwps::{
        FWPS_CLASSIFY_OUT0, FWPS_FILTER3, FWPS_INCOMING_METADATA_VALUES0, FWPS_INCOMING_VALUES0,
    },
    ndis::NET_BUFFER_LIST,
};

/// classifyFn, version 3: called when a filter that names the callout matches (fwpsk.h). IRQL <= DISPATCH_LEVEL, usually at it
/// . `layerData` is a [`NET_BUFFER_LIST`] at the layers this project uses and may be null; `classifyContext` and
/// `flowContext` may be null and 0. Everything pointed to is valid only during the call.
pub type FWPS_CALLOUT_CLASSIFY_FN3 = Option<
    unsafe extern "system" fn(
        inFixedValues: *const FWPS_INCOMING_VALUES0,
        inMetaValues: *const FWPS_INCOMING_METADATA_VALUES0,
        layerData: *mut c_void,
        classifyContext: *const c_void,
        filter: *const FWPS_FILTER3,
        flowContext: u64,
        classifyOut: *mut FWPS_CLASSIFY_OUT0,
    ),
>;

/// notifyFn, version 3: called when a filter that names the callout comes or goes (fwpsk.h). `filterKey` is null on delete; a
/// failure refuses the filter on add; adds and deletes need not balance. IRQL <= DISPATCH_LEVEL (A.1).
pub type FWPS_CALLOUT_NOTIFY_FN3 = Option<
    unsafe extern "system" fn(
        notifyType: FWPS_CALLOUT_NOTIFY_TYPE,
        filterKey: *const GUID,
        filter: *mut FWPS_FILTER3,
    ) -> NTSTATUS,
>;

/// flowDeleteFn: called when a flow that carries the callout's context ends (fwpsk.h; A-07). IRQL <= DISPATCH_LEVEL (A.1).
pub type FWPS_CALLOUT_FLOW_DELETE_NOTIFY_FN0 =
    Option<unsafe extern "system" fn(layerId: u16, calloutId: u32, flowContext: u64)>;

/// Called exactly once for each injection that was accepted, possibly before the injecting call returns (fwpsk.h; ).
/// `context` is the `completionContext` of that call. The result is in `netBufferList.Status`. IRQL <= DISPATCH_LEVEL; at it if
/// `dispatchLevel` is true.
pub type FWPS_INJECT_COMPLETE0 = Option<
    unsafe extern "system" fn(
        context: *mut c_void,
        netBufferList: *mut NET_BUFFER_LIST,
        dispatchLevel: BOOLEAN,
    ),
>;

/// What `FwpsCalloutRegister3` takes (fwpsk.h; F.1).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FWPS_CALLOUT3 {
    /// The key under which `FwpmCalloutAdd0` adds the callout.
    pub calloutKey: GUID,
    /// `FWP_CALLOUT_FLAG_*`.
    pub flags: u32,
    /// Required.
    pub classifyFn: FWPS_CALLOUT_CLASSIFY_FN3,
    /// Required.
    pub notifyFn: FWPS_CALLOUT_NOTIFY_FN3,
    /// Required of a callout that associates contexts with flows, otherwise null.
    pub flowDeleteFn: FWPS_CALLOUT_FLOW_DELETE_NOTIFY_FN0,
}

zeroed_default!(FWPS_CALLOUT3);

assert_layout! {
    FWPS_CALLOUT3 { size 48, align 8, calloutKey @ 0, flags @ 16, classifyFn @ 24, notifyFn @ 32, flowDeleteFn @ 40 }
    GUID { size 16, align 4, data1 @ 0, data2 @ 4, data3 @ 6, data4 @ 8 }
}
