//! Callouts registered with the run-time engine.

use std::ffi::c_void;

use wfp_sys::fwps::FWPS_CALLOUT3;

use super::objects::Key;
use crate::machine::Kernel;
use crate::nt::NtStatus;
use crate::nt::status;

/// One registered callout.
pub(super) struct Callout {
    pub key: Key,
    pub classify: usize,
    /// Classify calls of it that have not returned.
    pub in_progress: u32,
}

pub(super) fn register(
    kernel: &Kernel,
    device: *mut c_void,
    callout: *const FWPS_CALLOUT3,
    id: *mut u32,
) -> NtStatus {
    if kernel.fails("FwpsCalloutRegister3") {
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
    let key = Key::from(&callout.calloutKey);
    if kernel.fwp.callout_id(key).is_some() {
        return status::FWP_ALREADY_EXISTS;
    }
    let number = kernel.fwp.new_id();
    kernel.fwp.callouts.borrow_mut().insert(
        number,
        Callout {
            key,
            classify: classify as usize,
            in_progress: 0,
        },
    );
    if !id.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { id.write(number) };
    }
    status::SUCCESS
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

    /// How many callouts are registered.
    pub(crate) fn registered_callouts(&self) -> usize {
        self.callouts.borrow().len()
    }
}
