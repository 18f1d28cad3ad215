//! Callouts registered with the run-time engine.

use std::ffi::c_void;

use wfp_sys::GUID;
use wfp_sys::fwps::FWPS_CALLOUT3;

use super::objects::Key;
use crate::machine::Kernel;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// One registered callout.
pub(super) struct Callout {
    pub key: Key,
    /// Which version of FwpsCalloutRegister it came by: version 0's classifyFn has no classify context.
    pub version: u8,
    pub classify: usize,
    /// flowDeleteFn; 0 if there is none.
    pub flow_delete: usize,
    /// The device object that it was registered with.
    device: usize,
    /// Classify calls of it that have not returned.
    pub in_progress: u32,
}

macro_rules! versions {
    ($($function:ident $version:literal $name:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`.")]
            pub(super) fn $function(
                kernel: &Kernel,
                device: *mut c_void,
                callout: *const FWPS_CALLOUT3,
                id: *mut u32,
            ) -> NtStatus {
                register_as(kernel, $name, $version, device, callout, id)
            }
        )*
    };
}
versions! {
    register0 0 "FwpsCalloutRegister0";
    register1 1 "FwpsCalloutRegister1";
    register2 2 "FwpsCalloutRegister2";
    register 3 "FwpsCalloutRegister3";
}

/// The structures of all versions are laid out alike; what differs is the prototypes of what they point to.
fn register_as(
    kernel: &Kernel,
    function: &'static str,
    version: u8,
    device: *mut c_void,
    callout: *const FWPS_CALLOUT3,
    id: *mut u32,
) -> NtStatus {
    if kernel.fails(function) {
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let callout = unsafe { &*callout };
    let (Some(classify), Some(_notify)) = (callout.classifyFn, callout.notifyFn) else {
        return status::INVALID_PARAMETER;
    };
    if device.is_null() {
        return status::INVALID_PARAMETER;
    }
    check_device(kernel, device as usize);
    let key = Key::from(&callout.calloutKey);
    if kernel.fwp.callout_id(key).is_some() {
        return status::FWP_ALREADY_EXISTS;
    }
    let number = kernel.fwp.new_id();
    kernel.fwp.callouts.borrow_mut().insert(
        number,
        Callout {
            key,
            version,
            classify: classify as usize,
            flow_delete: callout.flowDeleteFn.map_or(0, |function| function as usize),
            device: device as usize,
            in_progress: 0,
        },
    );
    if !id.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { id.write(number) };
    }
    status::SUCCESS
}

pub(super) fn unregister_by_key(kernel: &Kernel, key: *const GUID) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let key = Key::from(unsafe { &*key });
    match kernel.fwp.callout_id(key) {
        Some(id) => unregister(kernel, id),
        None => status::FWP_CALLOUT_NOT_FOUND,
    }
}

/// The device is a WDM device object, not the framework's handle, and there (D-05).
fn check_device(kernel: &Kernel, device: usize) {
    let what = if crate::wdf::is_handle(kernel, device) {
        "a handle of the framework and no DEVICE_OBJECT"
    } else if !kernel.is_readable(device) {
        "a device object that was deleted"
    } else {
        return;
    };
    let summary = format!("FwpsCalloutRegister was given {device:#x}, which is {what}");
    let violation = Violation::contract(kernel, "D-05", [device as u64, 0, 0, 0], summary);
    kernel.bug_check(violation.about_address(kernel, device))
}

pub(super) fn unregister(kernel: &Kernel, id: u32) -> NtStatus {
    let Some(in_progress) = kernel
        .fwp
        .callouts
        .borrow()
        .get(&id)
        .map(|callout| callout.in_progress)
    else {
        return status::FWP_CALLOUT_NOT_FOUND;
    };
    if in_progress > 0 {
        if kernel.random.percent(kernel.config.freedom.busy_unregister) {
            return status::DEVICE_BUSY;
        }
        let quiet = move |kernel: &Kernel| {
            kernel
                .fwp
                .callouts
                .borrow()
                .get(&id)
                .is_none_or(|callout| callout.in_progress == 0)
        };
        kernel.block(
            format!("classify calls of callout {id} to return"),
            None,
            quiet,
        );
    }
    // a flow that still carries the callout's context keeps it.
    if super::flow_context::carried(kernel, id) {
        return status::DEVICE_BUSY;
    }
    kernel.fwp.callouts.borrow_mut().remove(&id);
    status::SUCCESS
}

impl super::State {
    /// The run-time number of a registered callout.
    pub(super) fn callout_id(&self, key: Key) -> Option<u32> {
        self.callouts
            .borrow()
            .iter()
            .find(|(_, callout)| callout.key == key)
            .map(|(id, _)| *id)
    }

    /// How many callouts are registered with a device object.
    pub(crate) fn callouts_of(&self, device: usize) -> usize {
        let callouts = self.callouts.borrow();
        callouts
            .values()
            .filter(|callout| callout.device == device)
            .count()
    }

    /// How many callouts are registered.
    pub(crate) fn registered_callouts(&self) -> usize {
        self.callouts.borrow().len()
    }
}
