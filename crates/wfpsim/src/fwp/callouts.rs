//! Callouts registered with the run-time engine.

use std::ffi::c_void;

use wfp_sys::GUID;
use wfp_sys::fwps::FWPS_CALLOUT3;

use super::objects::Key;
use crate::machine::Kernel;
use crate::machine::Time;
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
    pub notify: usize,
    /// FWP_CALLOUT_FLAG_*.
    pub flags: u32,
    /// The device object that it was registered with.
    pub device: usize,
    /// Classify calls of it that have not returned.
    pub in_progress: u32,
    /// When unregistering it was first answered with STATUS_DEVICE_BUSY.
    pub busy: Option<Time>,
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
    let (Some(classify), Some(notify)) = (callout.classifyFn, callout.notifyFn) else {
        return status::INVALID_PARAMETER;
    };
    let (key, flags) = (Key::from(&callout.calloutKey), callout.flags);
    require_device(kernel, device as usize);
    if device.is_null() {
        return status::INVALID_PARAMETER;
    }
    if kernel.fwp.callout_id(key).is_some() {
        // Another driver's key would be that driver's affair; there is one driver here, and it gave its own key twice.
        let summary = format!(
            "FwpsCalloutRegister3 was given key {key} a second time; it answers STATUS_FWP_ALREADY_EXISTS, and what was to \
             ask this callout asks the first one, or nobody"
        );
        let parameters = [u64::from(status::FWP_ALREADY_EXISTS as u32), 0, 0, 0];
        kernel.bug_check(Violation::contract(kernel, "A-02", parameters, summary));
    }
    kernel.random.touches(super::FILTERS);
    let number = kernel.fwp.new_id();
    kernel.fwp.callouts.borrow_mut().insert(
        number,
        Callout {
            key,
            version,
            classify: classify as usize,
            flow_delete: callout.flowDeleteFn.map_or(0, |function| function as usize),
            notify: notify as usize,
            flags,
            device: device as usize,
            in_progress: 0,
            busy: None,
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

/// A callout is registered with a device object that is there, and stays until it is unregistered: with the WDM device object,
/// and not with the framework's handle (D-05). Stories without a driver have no device to give.
fn require_device(kernel: &Kernel, device: usize) {
    if !crate::driver::is_present(kernel) || crate::wdf::is_device_object(kernel, device) {
        return;
    }
    let (rule, what) = if crate::wdf::is_handle(kernel, device) {
        ("D-05", "a handle of the framework and no DEVICE_OBJECT")
    } else if device != 0 && !kernel.is_readable(device) {
        ("D-05", "a device object that was deleted")
    } else {
        ("A-02", "none of this driver's that exists")
    };
    let summary =
        format!("FwpsCalloutRegister3 was given device object {device:#x}, which is {what}");
    let violation = Violation::contract(kernel, rule, [device as u64, 0, 0, 0], summary);
    kernel.bug_check(violation.about_address(kernel, device));
}

/// Stops the machine if a callout is registered with a device object that the driver is about to delete (D-04, X4).
pub(crate) fn require_device_unused(kernel: &Kernel, device: usize) {
    let users = kernel
        .fwp
        .callouts
        .borrow()
        .values()
        .filter(|callout| callout.device == device)
        .count();
    if users > 0 {
        let summary = format!(
            "the device object {device:#x} was deleted while {users} callouts are registered with it; they are unregistered first"
        );
        let parameters = [device as u64, users as u64, 0, 0];
        let rule = if crate::driver::is_entering(kernel) {
            "C-51"
        } else {
            "D-04"
        };
        let violation = Violation::contract(kernel, rule, parameters, summary);
        kernel.bug_check(violation.about_address(kernel, device));
    }
}

pub(super) fn unregister(kernel: &Kernel, id: u32) -> NtStatus {
    let Some((in_progress, busy)) = kernel
        .fwp
        .callouts
        .borrow()
        .get(&id)
        .map(|callout| (callout.in_progress, callout.busy))
    else {
        return status::FWP_CALLOUT_NOT_FOUND;
    };
    // Busy for a while; a classify call that never returns is not what it stands for.
    let was_busy = busy.is_some();
    let is_busy = (in_progress > 0 && kernel.random.percent(kernel.config.freedom.busy_unregister))
        || (!was_busy && kernel.fails("FwpsCalloutUnregisterById0"));
    if is_busy {
        if let Some(callout) = kernel.fwp.callouts.borrow_mut().get_mut(&id) {
            callout.busy.get_or_insert(kernel.now());
        }
        return status::DEVICE_BUSY;
    }
    if in_progress > 0 {
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
    kernel.random.touches(super::FILTERS);
    kernel.fwp.callouts.borrow_mut().remove(&id);
    status::SUCCESS
}

/// Whether a callout at INBOUND_TRANSPORT takes packets that the adapter put together of several. The model lets it find
/// one datagram to put together.
pub(crate) fn takes_coalesced(kernel: &Kernel, v6: bool) -> bool {
    use wfp_sys::layers;
    kernel.fwp.takes_coalesced(if v6 {
        layers::FWPS_LAYER_INBOUND_TRANSPORT_V6
    } else {
        layers::FWPS_LAYER_INBOUND_TRANSPORT_V4
    })
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

    /// Of each callout that is registered, the rule that leaving it so breaks, and whether it is in a classify.
    pub(crate) fn registered_callouts(&self) -> Vec<(&'static str, bool)> {
        let callouts = self.callouts.borrow();
        let left = callouts.iter().map(|(&id, callout)| {
            let rule = if self.is_carried(id) {
                "A-05"
            } else if callout.busy.is_some() {
                "A-09"
            } else {
                "A-06"
            };
            (rule, callout.in_progress > 0)
        });
        left.collect()
    }

    /// Whether a callout that a filter at the layer names takes packets that the adapter put together.
    pub(super) fn takes_coalesced(&self, layer: u16) -> bool {
        let (objects, callouts) = (self.objects.borrow(), self.callouts.borrow());
        callouts.values().any(|callout| {
            callout.flags & wfp_sys::consts::FWP_CALLOUT_FLAG_ALLOW_URO != 0
                && objects
                    .callouts
                    .get(&callout.key)
                    .is_some_and(|added| added.layer == layer)
        })
    }
}
