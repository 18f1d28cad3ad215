//! Registration of callouts, and the functions the filter engine calls.

use core::{ffi::c_void, fmt, marker::PhantomData, time::Duration};

use nt::{
    Cx, Passive, Result,
    bug_check::{Reason, bug_check, require_passive},
    kmdf::DeviceObject,
    slot::Global,
    status::NtStatus,
    time::sleep,
};
use wfp_sys::{
    GUID, NTSTATUS,
    consts::{FWPS_CALLOUT_NOTIFY_TYPE, FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT},
    fwps::{
        FWPS_CALLOUT3, FWPS_CLASSIFY_OUT0, FWPS_FILTER3, FWPS_INCOMING_METADATA_VALUES0,
        FWPS_INCOMING_VALUES0, FwpsCalloutRegister3, FwpsCalloutUnregisterById0,
    },
};

use crate::{
    classify::{Answer, Classify, write_permit},
    layer::Layer,
};

/// What classifies: the driver's state, which the callouts find through its slot.
pub trait Host: Global {
    /// Decides about a packet or connection. IRQL ≤ DISPATCH_LEVEL, usually at it: allocate little, wait never.
    fn classify(&self, cx: &mut Cx, classify: &mut Classify<'_>) -> Answer;
}

/// How long to wait before unregistering is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// How often it is tried: for half a minute. An image that goes with a callout registered takes the machine with it.
const RETRIES: u32 = 3000;

/// Registered callouts. Dropping unregisters them, the last first, and waits until the filter engine lets go.
///
/// Drop at PASSIVE_LEVEL. Close the engine session before: while filters name the callouts, classifies go on (C-50).
pub struct Callouts<H: Host> {
    ids: [Option<u32>; Layer::ALL.len()],
    host: PhantomData<fn() -> H>,
}

impl<H: Host> Callouts<H> {
    /// Registers one callout for each layer under the key beside it; eight at most. Which layer a callout serves is said when it is
    /// added to the engine. No flow contexts, no offload flags: received packets come one segment a list. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What FwpsCalloutRegister3 returned, after the callouts registered until then were unregistered; STATUS_INVALID_PARAMETER for more
    /// than eight.
    pub fn register(
        passive: &Passive,
        device: DeviceObject,
        callouts: &[(Layer, GUID)],
    ) -> Result<Callouts<H>> {
        let _ = passive;
        let mut registered = Callouts {
            ids: [None; Layer::ALL.len()],
            host: PhantomData,
        };
        if callouts.len() > registered.ids.len() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        for (place, (_layer, key)) in registered.ids.iter_mut().zip(callouts) {
            let callout = FWPS_CALLOUT3 {
                calloutKey: *key,
                flags: 0,
                classifyFn: Some(classify::<H>),
                notifyFn: Some(notify),
                // No contexts are associated with flows, so there is none to delete.
                flowDeleteFn: None,
            };
            let mut id = 0;
            // SAFETY: The device object exists, the structure is read during the call, and the functions stay valid until the
            // callout is unregistered, which the destructor sees to. PASSIVE_LEVEL by the token.
            NtStatus(unsafe {
                FwpsCalloutRegister3(device.as_ptr(), &raw const callout, &raw mut id)
            })
            .check()?;
            *place = Some(id);
        }
        Ok(registered)
    }

    /// Unregisters them all. IRQL = PASSIVE_LEVEL.
    pub fn unregister(self, passive: &Passive) {
        let _ = passive;
        drop(self);
    }
}

impl<H: Host> Drop for Callouts<H> {
    fn drop(&mut self) {
        require_passive();
        // SAFETY: The IRQL was looked at above, and at PASSIVE_LEVEL no spin lock is held.
        let passive = unsafe { Passive::assume() };
        for id in self.ids.iter_mut().rev() {
            if let Some(id) = id.take() {
                unregister(&passive, id);
            }
        }
    }
}

/// Unregisters one callout, however often it takes.
fn unregister(passive: &Passive, id: u32) {
    let mut last = NtStatus::SUCCESS;
    for _ in 0..RETRIES {
        // SAFETY: The identifier is of a callout that this driver registered. PASSIVE_LEVEL by the token.
        last = NtStatus(unsafe { FwpsCalloutUnregisterById0(id) });
        // Not found is as good: there is nothing left that could call.
        if last == NtStatus::SUCCESS || last == NtStatus::FWP_CALLOUT_NOT_FOUND {
            return;
        }
        sleep(passive, RETRY_INTERVAL);
    }
    let widen = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    bug_check(
        Reason::CalloutStillRegistered,
        widen(last.bits()),
        widen(id),
    );
}

impl<H: Host> fmt::Debug for Callouts<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callouts").field("ids", &self.ids).finish()
    }
}

/// classifyFn of every callout.
unsafe extern "system" fn classify<H: Host>(
    values: *const FWPS_INCOMING_VALUES0,
    metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    layer_data: *mut c_void,
    _classify_context: *const c_void,
    filter: *const FWPS_FILTER3,
    _flow_context: u64,
    out: *mut FWPS_CLASSIFY_OUT0,
) {
    // SAFETY: The filter engine passes structures that are valid during the call, and nobody else writes the answer meanwhile.
    let (values, metadata, filter, out) = unsafe {
        (
            values.as_ref(),
            metadata.as_ref(),
            filter.as_ref(),
            out.as_mut(),
        )
    };
    let (Some(values), Some(out)) = (values, out) else {
        return;
    };
    // SAFETY: These are the arguments of this call; the view ends with this function.
    let view = unsafe { Classify::new(values, metadata, layer_data, filter, out.rights) };
    // The host is gone while the driver unloads: nothing is held any more, so nothing is taken. A view is missing at a layer that only a
    // foreign filter can have chosen for this callout.
    let (Some(host), Some(mut view)) = (H::slot().enter(), view) else {
        let clears = filter.is_some_and(|filter| {
            u32::from(filter.flags) & FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT != 0
        });
        write_permit(out, clears);
        return;
    };
    // SAFETY: The filter engine calls at IRQL ≤ DISPATCH_LEVEL, and if it calls from within a call of this driver, that call was
    // made without a lock: the token it took says so.
    let mut cx = unsafe { Cx::assume() };
    let answer = host.classify(&mut cx, &mut view);
    view.write_answer(answer, out);
}

/// notifyFn: filters come and go without being asked.
unsafe extern "system" fn notify(
    _kind: FWPS_CALLOUT_NOTIFY_TYPE,
    _filter_key: *const GUID,
    _filter: *mut FWPS_FILTER3,
) -> NTSTATUS {
    NtStatus::SUCCESS.0
}
