//! A driver that follows the habits of Microsoft's `inspect` sample: it takes what classify says for granted, keeps a queue
//! without bounds, and its worker retreats, clones, advances and injects without looking at what has changed meanwhile.
//!
//! Written for the test from a description of what the sample does (section E.1 of the contract); it only registers where the
//! story happens, at ALE_AUTH_RECV_ACCEPT_V4. Loading and unloading are Tollgate's own, which the story is not about.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr::null;
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use nt::Cx;
use nt::Passive;
use nt::kmdf;
use nt::kmdf::DeviceObject;
use nt::pool::PoolBox;
use nt::shared::Shared;
use nt::signal::Signal;
use nt::signal::Wake;
use nt::slot::Global;
use nt::slot::Slot;
use nt::spinlock::SpinLock;
use nt::thread::SystemThread;
use wfp_sys::GUID;
use wfp_sys::HANDLE;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::layers::ale_auth_recv_accept as fields;
use wfp_sys::ndis::*;

const CALLOUT: GUID = GUID::from_u128(0x0275_2670_5a3b_4e1c_9d0f_5a3b_4e1c_9d0f);

/// What the sample keeps of a packet until its worker gets to it.
struct Pended {
    list: *mut NET_BUFFER_LIST,
    context: HANDLE,
    ip_header: u32,
    transport_header: u32,
    interface: u32,
    sub_interface: u32,
    compartment: u32,
}

// SAFETY: the list is referenced and the context belongs to whoever has the entry.
unsafe impl Send for Pended {}

/// The sample's globals.
pub struct Sample {
    injection: AtomicPtr<c_void>,
    engine: AtomicPtr<c_void>,
    callout: AtomicU32,
    queue: SpinLock<VecDeque<Pended>>,
    signal: Shared<Signal>,
    worker: SpinLock<Option<SystemThread>>,
}

impl Global for Sample {
    fn slot() -> &'static Slot<Self> {
        static SLOT: Slot<Sample> = Slot::new();
        &SLOT
    }
}

impl kmdf::Driver for Sample {
    const CONFIG: kmdf::DriverConfig = kmdf::DriverConfig {
        device_name: nt::utf16!("\\Device\\Sample"),
        symbolic_link: nt::utf16!("\\DosDevices\\Sample"),
        sddl: nt::utf16!("D:P(A;;GA;;;SY)(A;;GA;;;BA)"),
    };

    fn load(_passive: &mut Passive, _load: &kmdf::Load<'_>) -> nt::Result<PoolBox<Self>> {
        Ok(PoolBox::try_new(Self {
            injection: AtomicPtr::default(),
            engine: AtomicPtr::default(),
            callout: AtomicU32::default(),
            queue: SpinLock::new(VecDeque::new()),
            signal: Shared::try_new(Signal::new()?)?,
            worker: SpinLock::new(None),
        })?)
    }

    fn start(&self, passive: &mut Passive, device: DeviceObject) -> nt::Result<()> {
        // SAFETY: every pointer is to a local or to what the platform gave.
        unsafe {
            let mut injection = null_mut();
            assert_eq!(
                FwpsInjectionHandleCreate0(
                    AF_UNSPEC,
                    FWPS_INJECTION_TYPE_TRANSPORT,
                    &mut injection
                ),
                0
            );
            self.injection.store(injection, Relaxed);
            let callout = FWPS_CALLOUT3 {
                calloutKey: CALLOUT,
                flags: 0,
                classifyFn: Some(classify),
                notifyFn: Some(notify),
                flowDeleteFn: None,
            };
            let mut id = 0;
            assert_eq!(FwpsCalloutRegister3(device.as_ptr(), &callout, &mut id), 0);
            self.callout.store(id, Relaxed);
            let session = FWPM_SESSION0 {
                flags: FWPM_SESSION_FLAG_DYNAMIC,
                ..Default::default()
            };
            let mut engine = null_mut();
            assert_eq!(
                FwpmEngineOpen0(null(), RPC_C_AUTHN_WINNT, null_mut(), &session, &mut engine),
                0
            );
            self.engine.store(engine, Relaxed);
            let layer = FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4;
            let management = FWPM_CALLOUT0 {
                calloutKey: CALLOUT,
                applicableLayer: layer,
                ..Default::default()
            };
            assert_eq!(
                FwpmCalloutAdd0(engine, &management, null_mut(), null_mut()),
                0
            );
            let mut filter = FWPM_FILTER0 {
                layerKey: layer,
                ..Default::default()
            };
            filter.action.r#type = FWP_ACTION_CALLOUT_TERMINATING;
            filter.action.Anonymous.calloutKey = CALLOUT;
            assert_eq!(FwpmFilterAdd0(engine, &filter, null_mut(), null_mut()), 0);
        }
        let worker = SystemThread::spawn(passive, self.signal.clone(), |passive, signal| {
            while let Wake::Woken | Wake::TimedOut = signal.wait(passive, None) {
                drain(passive);
            }
            drain(passive);
        })?;
        self.worker.lock(passive).replace(worker);
        Ok(())
    }

    fn stop(&self, passive: &mut Passive) {
        // SAFETY: what was made in `start`, each undone once. The order is not the sample's, which is wrong; the story is
        // about packets.
        unsafe {
            assert_eq!(FwpmEngineClose0(self.engine.load(Relaxed)), 0);
            while FwpsCalloutUnregisterById0(self.callout.load(Relaxed)) != 0 {}
        }
        let worker = self.worker.lock(passive).take();
        drop(worker);
        // SAFETY: as above.
        unsafe { assert_eq!(FwpsInjectionHandleDestroy0(self.injection.load(Relaxed)), 0) };
    }

    fn device_control(&self, _passive: &mut Passive, request: kmdf::Request) {
        request.complete(nt::NtStatus::SUCCESS);
    }
}

nt::driver_entry!(Sample);

unsafe extern "system" fn notify(_kind: i32, _key: *const GUID, _filter: *mut FWPS_FILTER3) -> i32 {
    0
}

unsafe extern "system" fn classify(
    values: *const FWPS_INCOMING_VALUES0,
    metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    layer_data: *mut c_void,
    _classify_context: *const c_void,
    _filter: *const FWPS_FILTER3,
    _flow_context: u64,
    out: *mut FWPS_CLASSIFY_OUT0,
) {
    let sample = Sample::slot().enter().expect("the sample is loaded");
    // SAFETY: the arguments are valid during the call.
    let (values, metadata, out) = unsafe { (&*values, &*metadata, &mut *out) };
    // SAFETY: the layer has these fields, of this type.
    let field = |index: u16| unsafe {
        (*values.incomingValue.add(usize::from(index)))
            .value
            .Anonymous
            .uint32
    };
    let list = layer_data.cast::<NET_BUFFER_LIST>();
    let reauthorize = field(fields::FLAGS) & FWP_CONDITION_FLAG_IS_REAUTHORIZE != 0;
    // SAFETY: the list is valid during the call.
    let state =
        unsafe { FwpsQueryPacketInjectionState0(sample.injection.load(Relaxed), list, null_mut()) };
    let own =
        state == FWPS_PACKET_INJECTED_BY_SELF || state == FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF;
    if reauthorize || own {
        out.actionType = FWP_ACTION_PERMIT;
        return;
    }
    let mut context = null_mut();
    // SAFETY: the completion handle is this classify's.
    unsafe {
        assert_eq!(
            FwpsPendOperation0(metadata.completionHandle, &mut context),
            0
        );
        FwpsReferenceNetBufferList0(list, 1);
    }
    out.actionType = FWP_ACTION_BLOCK;
    out.flags |= FWPS_CLASSIFY_OUT_FLAG_ABSORB;
    out.rights &= !FWPS_RIGHT_ACTION_WRITE;
    let pended = Pended {
        list,
        context,
        ip_header: metadata.ipHeaderSize,
        transport_header: metadata.transportHeaderSize,
        interface: field(fields::INTERFACE_INDEX),
        sub_interface: field(fields::SUB_INTERFACE_INDEX),
        compartment: metadata.compartmentId,
    };
    // SAFETY: a classify holds no spin lock when it is called.
    let mut cx = unsafe { Cx::assume() };
    sample.queue.lock(&mut cx).push_back(pended);
    sample.signal.wake();
}

/// The worker's loop.
fn drain(passive: &mut Passive) {
    let sample = Sample::slot().enter().expect("the sample is loaded");
    loop {
        let next = sample.queue.lock(passive).pop_front();
        let Some(pended) = next else { return };
        clone_reinject_inbound(&sample, &pended);
    }
}

/// The sample's habit: retreat by what classify said, clone, advance by the same, complete, inject. No status but the injection's
/// is looked at, and the data offset is taken to be what it was.
#[inline(never)]
fn clone_reinject_inbound(sample: &Sample, pended: &Pended) {
    let delta = pended.ip_header + pended.transport_header;
    // SAFETY: the list is referenced. That the rest is right is what the sample believes.
    unsafe {
        let buffer = (*pended.list).FirstNetBuffer;
        let _ = NdisRetreatNetBufferDataStart(buffer, delta, 0, None);
        let mut clone = null_mut();
        let _ = FwpsAllocateCloneNetBufferList0(pended.list, null_mut(), null_mut(), 0, &mut clone);
        NdisAdvanceNetBufferDataStart(buffer, delta, 0, None);
        FwpsCompleteOperation0(pended.context, clone);
        let status = FwpsInjectTransportReceiveAsync0(
            sample.injection.load(Relaxed),
            null_mut(),
            null_mut(),
            0,
            AF_INET,
            pended.compartment,
            pended.interface,
            pended.sub_interface,
            clone,
            Some(completed),
            pended.list.cast(),
        );
        if status != 0 {
            FwpsFreeCloneNetBufferList0(clone, 0);
            FwpsDereferenceNetBufferList0(pended.list, 0);
        }
    }
}

unsafe extern "system" fn completed(
    context: *mut c_void,
    clone: *mut NET_BUFFER_LIST,
    _dispatch_level: u8,
) {
    // SAFETY: the completion owns the clone and the reference.
    unsafe {
        FwpsFreeCloneNetBufferList0(clone, 0);
        FwpsDereferenceNetBufferList0(context.cast(), 0);
    }
}
