//! A callout of the small driver's: the device that it is registered with (D-04, D-05), and what it may not touch.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null;
use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfp_sys::GUID;
use wfp_sys::HANDLE;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfpsim::Machine;

use super::base::IDLE;
use super::base::Work;
use super::base::device;
use super::base::device_object;
use super::base::load;
use super::base::run_whole;
use super::base::unload;
use super::device::delete;
use super::kernel::*;
use super::raised::DISPATCH;
use super::raised::call;
use crate::Mistake;
use crate::makes;
use crate::traffic;

pub const CALLOUT: &[Mistake] = &[
    Mistake::always(
        "A-01-paged-pool",
        "A-01",
        "keeps what its classify looks at in paged pool",
        filtered,
    ),
    Mistake::always(
        "D-04-deleted-at-dispatch",
        "D-04",
        "deletes its control device at DISPATCH_LEVEL",
        |m| run_whole(m, FILTER),
    ),
    Mistake::always(
        "D-04-deleted-before-callouts",
        "D-04",
        "deletes its control device before it unregisters its callout",
        |m| run_whole(m, FILTER),
    ),
    Mistake::always(
        "D-05-framework's-handle",
        "D-05",
        "registers a callout with the WDFDEVICE and not with its DEVICE_OBJECT",
        |m| run_whole(m, FILTER),
    ),
    Mistake::always(
        "D-05-device-gone",
        "D-05",
        "registers a callout with the device object of a device that it has deleted",
        |m| run_whole(m, FILTER),
    ),
];

const KEY: GUID = GUID::from_u128(0x1ee1_c0de_0000_4000_8000_0000_0000_0005);

/// A driver with a callout, and a filter that calls it.
const FILTER: Work = Work {
    entry: start,
    unload: stop,
    ..IDLE
};

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(0) };
    static ENGINE: Cell<HANDLE> = const { Cell::new(null_mut()) };
    /// What the driver was told about packets, by a program for instance.
    static POLICY: Cell<*mut u8> = const { Cell::new(null_mut()) };
}

/// A packet comes by.
fn filtered(machine: &Machine) {
    let _loaded = load(machine, FILTER);
    traffic::receive(machine, traffic::datagram_in());
    unload(machine);
}

fn start() -> NTSTATUS {
    let kind = if makes("A-01-paged-pool") {
        POOL_FLAG_PAGED
    } else {
        POOL_FLAG_NON_PAGED
    };
    POLICY.set(allocate_as(kind, 64));
    let status = register();
    if status != STATUS_SUCCESS {
        return status;
    }
    add()
}

fn stop() {
    if makes("D-04-deleted-before-callouts") {
        delete(device());
    }
    unsafe {
        let _closed = FwpmEngineClose0(ENGINE.get());
        let _unregistered = FwpsCalloutUnregisterById0(NUMBER.get());
    }
    free(POLICY.get());
    // The framework would do it (D-04).
    call!(DISPATCH "D-04-deleted-at-dispatch"; delete_device());
}

unsafe fn delete_device() {
    delete(device());
}

unsafe extern "system" fn classify(
    _values: *const FWPS_INCOMING_VALUES0,
    _metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    _list: *mut c_void,
    _context: *const c_void,
    _filter: *const FWPS_FILTER3,
    _flow: u64,
    out: *mut FWPS_CLASSIFY_OUT0,
) {
    let blocked = unsafe { POLICY.get().read_volatile() } != 0;
    let action = if blocked {
        FWP_ACTION_BLOCK
    } else {
        FWP_ACTION_PERMIT
    };
    unsafe { (*out).actionType = action };
}

unsafe extern "system" fn notify(_kind: i32, _key: *const GUID, _filter: *mut FWPS_FILTER3) -> i32 {
    STATUS_SUCCESS
}

fn register() -> NTSTATUS {
    let callout = FWPS_CALLOUT3 {
        calloutKey: KEY,
        flags: 0,
        classifyFn: Some(classify),
        notifyFn: Some(notify),
        flowDeleteFn: None,
    };
    let mut object: PVOID = device_object().cast();
    if makes("D-05-framework's-handle") {
        object = device().cast();
    }
    if makes("D-05-device-gone") {
        delete(device());
    }
    let mut id = 0;
    let status = unsafe { FwpsCalloutRegister3(object, &raw const callout, &raw mut id) };
    NUMBER.set(id);
    status
}

/// A dynamic session with the callout and its filter.
fn add() -> NTSTATUS {
    let session = FWPM_SESSION0 {
        flags: FWPM_SESSION_FLAG_DYNAMIC,
        ..Default::default()
    };
    let callout = FWPM_CALLOUT0 {
        calloutKey: KEY,
        applicableLayer: FWPM_LAYER_INBOUND_TRANSPORT_V4,
        ..Default::default()
    };
    let mut filter = FWPM_FILTER0 {
        layerKey: FWPM_LAYER_INBOUND_TRANSPORT_V4,
        subLayerKey: FWPM_SUBLAYER_UNIVERSAL,
        ..Default::default()
    };
    filter.action.r#type = FWP_ACTION_CALLOUT_TERMINATING;
    filter.action.Anonymous.calloutKey = KEY;
    unsafe {
        let mut engine = null_mut();
        let opened = FwpmEngineOpen0(
            null(),
            RPC_C_AUTHN_DEFAULT,
            null_mut(),
            &raw const session,
            &raw mut engine,
        );
        ENGINE.set(engine);
        if opened != STATUS_SUCCESS {
            return opened;
        }
        let added = FwpmCalloutAdd0(engine, &raw const callout, null_mut(), null_mut());
        if added != STATUS_SUCCESS {
            return added;
        }
        FwpmFilterAdd0(engine, &raw const filter, null_mut(), null_mut())
    }
}
