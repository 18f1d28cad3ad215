//! The riskiest seam, thin and end to end: kernel calls cross the link in both calling conventions, a driver's function runs on
//! a coroutine, and one pended accept is cloned, completed and reinjected.

use std::net::SocketAddr;
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering;

use wfp_sys::HANDLE;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::layers;
use wfp_sys::ndis::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::stack::Fate;
use wfpsim::stack::Received;

/// What the small driver below keeps between classify and worker. One test uses it, so one static will do.
static HELD: AtomicPtr<NET_BUFFER_LIST> = AtomicPtr::new(null_mut());
static CONTEXT: AtomicPtr<std::ffi::c_void> = AtomicPtr::new(null_mut());
static INJECTION: AtomicPtr<std::ffi::c_void> = AtomicPtr::new(null_mut());

const CALLOUT: wfp_sys::GUID = wfp_sys::GUID::from_u128(0x1ee1_c0de_0000_4000_8000_0000_0000_0001);
const IP_HEADER: u32 = 20;
const TCP_HEADER: u32 = 20;

unsafe extern "system" fn classify(
    values: *const FWPS_INCOMING_VALUES0,
    metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    layer_data: *mut std::ffi::c_void,
    _classify_context: *const std::ffi::c_void,
    _filter: *const FWPS_FILTER3,
    _flow_context: u64,
    out: *mut FWPS_CLASSIFY_OUT0,
) {
    // SAFETY: the arguments are valid during the call, and the list stays referenced until it is dereferenced.
    unsafe {
        assert_eq!(
            (*values).layerId,
            layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4
        );
        let list = layer_data.cast::<NET_BUFFER_LIST>();
        let injected =
            FwpsQueryPacketInjectionState0(INJECTION.load(Ordering::Relaxed), list, null_mut());
        if injected == FWPS_PACKET_INJECTED_BY_SELF {
            (*out).actionType = FWP_ACTION_PERMIT;
            return;
        }
        FwpsReferenceNetBufferList0(list, 1);
        let mut context = null_mut();
        assert_eq!(
            FwpsPendOperation0((*metadata).completionHandle, &mut context),
            0
        );
        HELD.store(list, Ordering::Relaxed);
        CONTEXT.store(context, Ordering::Relaxed);
        (*out).actionType = FWP_ACTION_BLOCK;
        (*out).flags |= FWPS_CLASSIFY_OUT_FLAG_ABSORB;
        (*out).rights &= !FWPS_RIGHT_ACTION_WRITE;
    }
}

unsafe extern "system" fn notify(
    _kind: i32,
    _key: *const wfp_sys::GUID,
    _filter: *mut FWPS_FILTER3,
) -> i32 {
    0
}

unsafe extern "system" fn completed(
    context: *mut std::ffi::c_void,
    clone: *mut NET_BUFFER_LIST,
    _dispatch: u8,
) {
    // SAFETY: the completion owns the clone, and the context is the referenced original.
    unsafe {
        assert_eq!((*clone).Status, 0);
        FwpsFreeCloneNetBufferList0(clone, 0);
        FwpsDereferenceNetBufferList0(context.cast(), 0);
    }
}

/// DriverEntry of the small driver, less KMDF.
fn load() {
    // SAFETY: every pointer is to a local that outlives the call.
    unsafe {
        let mut injection: HANDLE = null_mut();
        assert_eq!(
            FwpsInjectionHandleCreate0(AF_UNSPEC, FWPS_INJECTION_TYPE_TRANSPORT, &mut injection),
            0
        );
        INJECTION.store(injection, Ordering::Relaxed);
        let callout = FWPS_CALLOUT3 {
            calloutKey: CALLOUT,
            flags: 0,
            classifyFn: Some(classify),
            notifyFn: Some(notify),
            flowDeleteFn: None,
        };
        let mut device = 0u64;
        assert_eq!(
            FwpsCalloutRegister3((&raw mut device).cast(), &callout, null_mut()),
            0
        );
        let session = FWPM_SESSION0 {
            flags: FWPM_SESSION_FLAG_DYNAMIC,
            ..Default::default()
        };
        let mut engine: HANDLE = null_mut();
        assert_eq!(
            FwpmEngineOpen0(
                std::ptr::null(),
                RPC_C_AUTHN_DEFAULT,
                null_mut(),
                &session,
                &mut engine
            ),
            0
        );
        let management = FWPM_CALLOUT0 {
            calloutKey: CALLOUT,
            applicableLayer: FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4,
            ..Default::default()
        };
        assert_eq!(
            FwpmCalloutAdd0(engine, &management, null_mut(), null_mut()),
            0
        );
        let mut filter = FWPM_FILTER0 {
            layerKey: FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4,
            ..Default::default()
        };
        filter.action.r#type = FWP_ACTION_CALLOUT_TERMINATING;
        filter.action.Anonymous.calloutKey = CALLOUT;
        assert_eq!(FwpmFilterAdd0(engine, &filter, null_mut(), null_mut()), 0);
    }
}

/// What the worker of the small driver does with what it holds.
fn reinject() {
    // SAFETY: the original is referenced; the clone is owned until it is injected.
    unsafe {
        let list = HELD.load(Ordering::Relaxed);
        let buffer = (*list).FirstNetBuffer;
        assert_eq!(
            NdisRetreatNetBufferDataStart(buffer, IP_HEADER + TCP_HEADER, 0, None),
            0
        );
        let mut clone = null_mut();
        assert_eq!(
            FwpsAllocateCloneNetBufferList0(list, null_mut(), null_mut(), 0, &mut clone),
            0
        );
        NdisAdvanceNetBufferDataStart(buffer, IP_HEADER + TCP_HEADER, 0, None);
        FwpsCompleteOperation0(CONTEXT.load(Ordering::Relaxed), clone);
        let result = FwpsInjectTransportReceiveAsync0(
            INJECTION.load(Ordering::Relaxed),
            null_mut(),
            null_mut(),
            0,
            AF_INET,
            0,
            wfpsim::stack::INTERFACE_INDEX,
            wfpsim::stack::SUB_INTERFACE_INDEX,
            clone,
            Some(completed),
            list.cast(),
        );
        assert_eq!(result, 0);
    }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("a socket address")
}

#[test]
fn one_pended_accept_is_reinjected_and_delivered_with_its_bytes() {
    let machine = Machine::new(Config::plain());
    machine
        .call("load", irql::PASSIVE, |_| load())
        .expect("the driver loads");
    let flags = wfpsim_packet::transport::TcpFlags::SYN;
    let syn = wfpsim_packet::build::tcp(
        socket("192.0.2.9:50000"),
        socket("192.0.2.1:3389"),
        flags,
        1,
        0,
        b"",
    );
    let packet = machine.receive(Received::plain(syn.clone()));
    machine.run();
    assert_eq!(
        machine.packet(packet).map(|packet| packet.fate),
        Some(Fate::Held)
    );
    machine
        .call("worker", irql::PASSIVE, |_| reinject())
        .expect("the worker works");
    machine.run();
    let violations: Vec<String> = machine
        .violations()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    let arrivals = machine.take_arrivals();
    assert_eq!(arrivals.len(), 1);
    assert_eq!(arrivals[0].bytes, syn);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_kernel_function_is_called_in_the_windows_convention() {
    let export = wfpsim::exports::all()
        .find(|export| export.name == "KeQueryInterruptTimePrecise")
        .expect("it is exported");
    let address = export.win64 as usize;
    let machine = Machine::new(Config::plain());
    let (returned, counter) = machine
        .call("caller", irql::PASSIVE, move |_| {
            // SAFETY: the table says that this is the function's address in that convention.
            let function: unsafe extern "win64" fn(*mut u64) -> u64 =
                unsafe { std::mem::transmute(address) };
            let mut counter = 0;
            // SAFETY: the pointer is to a local.
            let returned = unsafe { function(&mut counter) };
            (returned, counter)
        })
        .expect("the call returns");
    assert!(returned > 0);
    assert_eq!(returned, counter);
}
