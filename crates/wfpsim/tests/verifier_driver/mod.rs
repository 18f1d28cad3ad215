//! A callout that each story fills in, a packet in its hands, and what a report must say.
//!
//! Written over the raw functions, as a C driver would be: the stories do on purpose what is wrong.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

use std::cell::Cell;
use std::ffi::c_void;
use std::net::SocketAddr;
use std::ptr::null;
use std::ptr::null_mut;

use wfp_sys::GUID;
use wfp_sys::HANDLE;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Violation;
use wfpsim::machine::irql;
use wfpsim::stack::Fate;
use wfpsim::stack::INTERFACE_INDEX;
use wfpsim::stack::Received;
use wfpsim::stack::SUB_INTERFACE_INDEX;
use wfpsim::stack::Transmitted;
use wfpsim::verifier::code;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

pub const CALLOUT: GUID = GUID::from_u128(0x1ee1_c0de_0000_4000_8000_0000_0000_0002);
pub const IP_HEADER: u32 = 20;
pub const TCP_HEADER: u32 = 20;
/// A rule that only the simulator knows.
pub const CONTRACT: u32 = code::WFPSIM_CONTRACT_VIOLATION;
/// Driver Verifier's own rules.
pub const VERIFIER: u32 = code::DRIVER_VERIFIER_DETECTED_VIOLATION;

const LOCAL: &str = "192.0.2.1:3389";
const REMOTE: &str = "192.0.2.9:50000";

/// One call of the callout.
pub struct Classify {
    pub metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    pub values: *const FWPS_INCOMING_VALUES0,
    pub list: *mut NET_BUFFER_LIST,
    pub out: *mut FWPS_CLASSIFY_OUT0,
}

/// A callout's flowDeleteFn, if it has one.
pub type FlowDelete = Option<unsafe extern "system" fn(u16, u32, u64)>;

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static ANSWER: Cell<fn(&Classify)> = const { Cell::new(|asked| asked.permit()) };
    static COMPLETION: Cell<fn(*mut NET_BUFFER_LIST, u8)> = const { Cell::new(|clone, _| free_clone(clone)) };
    static HELD: Cell<*mut NET_BUFFER_LIST> = const { Cell::new(null_mut()) };
    static CONTEXT: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static HANDLE_OF_CLASSIFY: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static INJECTION: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static ENGINE: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static NUMBER: Cell<u32> = const { Cell::new(0) };
    static DEVICE: Cell<*mut c_void> = const { Cell::new(null_mut()) };
    static FLOW_DELETE: Cell<FlowDelete> = const { Cell::new(None) };
    static FORGETS: Cell<bool> = const { Cell::new(false) };
    static KEPT: Cell<*const c_void> = const { Cell::new(null()) };
}

impl Classify {
    pub fn answer(&self, action: u32) {
        unsafe {
            (*self.out).actionType = action;
            (*self.out).rights &= !FWPS_RIGHT_ACTION_WRITE;
        }
    }

    pub fn permit(&self) {
        unsafe { (*self.out).actionType = FWP_ACTION_PERMIT };
    }

    pub fn absorb(&self) {
        self.answer(FWP_ACTION_BLOCK);
        unsafe { (*self.out).flags |= FWPS_CLASSIFY_OUT_FLAG_ABSORB };
    }

    /// References the packet and takes it.
    pub fn hold(&self) {
        unsafe { FwpsReferenceNetBufferList0(self.list, 1) };
        HELD.set(self.list);
        self.absorb();
    }

    /// References the packet, if there is one, and pends the operation.
    pub fn pend(&self) {
        if !self.list.is_null() {
            unsafe { FwpsReferenceNetBufferList0(self.list, 1) };
        }
        HELD.set(self.list);
        self.pend_only();
        self.absorb();
    }

    /// Pends, and answers nothing.
    pub fn pend_only(&self) -> i32 {
        let mut context = null_mut();
        let status = unsafe { FwpsPendOperation0(self.completion_handle(), &mut context) };
        CONTEXT.set(context);
        status
    }

    pub fn completion_handle(&self) -> HANDLE {
        unsafe { (*self.metadata).completionHandle }
    }

    pub fn keep_completion_handle(&self) {
        HANDLE_OF_CLASSIFY.set(self.completion_handle());
    }

    pub fn ale_required(&self) -> bool {
        let present = unsafe { (*self.metadata).currentMetadataValues };
        present & FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED != 0
    }

    pub fn buffer(&self) -> *mut NET_BUFFER {
        unsafe { (*self.list).FirstNetBuffer }
    }
}

unsafe extern "system" fn classify(
    values: *const FWPS_INCOMING_VALUES0,
    metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    list: *mut c_void,
    _context: *const c_void,
    _filter: *const FWPS_FILTER3,
    _flow: u64,
    out: *mut FWPS_CLASSIFY_OUT0,
) {
    let list: *mut NET_BUFFER_LIST = list.cast();
    let asked = Classify {
        metadata,
        values,
        list,
        out,
    };
    let own = !FORGETS.get()
        && !list.is_null()
        && unsafe { FwpsQueryPacketInjectionState0(INJECTION.get(), list, null_mut()) }
            != FWPS_PACKET_NOT_INJECTED;
    if own {
        return asked.permit();
    }
    ANSWER.get()(&asked);
}

unsafe extern "system" fn notify(_kind: i32, _key: *const GUID, _filter: *mut FWPS_FILTER3) -> i32 {
    0
}

unsafe extern "system" fn completed(
    _context: *mut c_void,
    clone: *mut NET_BUFFER_LIST,
    dispatch: u8,
) {
    COMPLETION.get()(clone, dispatch);
}

/// Adds the callout and a filter for it at a layer.
pub fn load(layer: GUID, action: u32) {
    unsafe {
        let mut injection = null_mut();
        let family = AF_UNSPEC;
        assert_eq!(
            FwpsInjectionHandleCreate0(family, FWPS_INJECTION_TYPE_TRANSPORT, &mut injection),
            0
        );
        INJECTION.set(injection);
        let callout = FWPS_CALLOUT3 {
            calloutKey: CALLOUT,
            flags: 0,
            classifyFn: Some(classify),
            notifyFn: Some(notify),
            flowDeleteFn: FLOW_DELETE.get(),
        };
        let (mut none, mut number) = (0u64, 0);
        let device = match DEVICE.get() {
            device if device.is_null() => (&raw mut none).cast(),
            device => device,
        };
        assert_eq!(FwpsCalloutRegister3(device, &callout, &mut number), 0);
        NUMBER.set(number);
        ENGINE.set(open_engine(FWPM_SESSION_FLAG_DYNAMIC));
        let management = FWPM_CALLOUT0 {
            calloutKey: CALLOUT,
            applicableLayer: layer,
            ..Default::default()
        };
        assert_eq!(
            FwpmCalloutAdd0(ENGINE.get(), &management, null_mut(), null_mut()),
            0
        );
        add_filter(layer, action, FWPM_SUBLAYER_UNIVERSAL);
    }
}

/// Has [`load`] register the callout with a device object of a loaded driver. Without a driver there is none, and any will do.
pub fn register_with(device: *mut c_void) {
    DEVICE.set(device);
}

/// Has [`load`] register the callout with this flowDeleteFn, without which no flow takes a context of its.
pub fn delete_flows_with(function: FlowDelete) {
    FLOW_DELETE.set(function);
}

/// Adds one more filter for the callout, or for none.
pub fn add_filter(layer: GUID, action: u32, sublayer: GUID) {
    let mut filter = FWPM_FILTER0 {
        layerKey: layer,
        subLayerKey: sublayer,
        ..Default::default()
    };
    filter.action.r#type = action;
    filter.action.Anonymous.calloutKey = CALLOUT;
    assert_eq!(
        unsafe { FwpmFilterAdd0(ENGINE.get(), &filter, null_mut(), null_mut()) },
        0
    );
}

pub fn open_engine(flags: u32) -> HANDLE {
    let session = FWPM_SESSION0 {
        flags,
        ..Default::default()
    };
    let mut engine = null_mut();
    let opened = unsafe {
        FwpmEngineOpen0(
            null(),
            RPC_C_AUTHN_DEFAULT,
            null_mut(),
            &session,
            &mut engine,
        )
    };
    assert_eq!(opened, 0);
    engine
}

/// Takes everything back that [`load`] made.
pub fn unload() {
    unsafe {
        assert_eq!(FwpmEngineClose0(ENGINE.get()), 0);
        assert_eq!(FwpsCalloutUnregisterById0(NUMBER.get()), 0);
        assert_eq!(FwpsInjectionHandleDestroy0(INJECTION.get()), 0);
    }
}

/// A plain machine whose callout answers so at a layer. Its reports have the stacks of all that happened.
pub fn machine(layer: GUID, answer: fn(&Classify)) -> Machine {
    machine_on(
        Config {
            event_stacks: true,
            ..Config::plain()
        },
        layer,
        FWP_ACTION_CALLOUT_TERMINATING,
        answer,
    )
}

pub fn machine_on(config: Config, layer: GUID, action: u32, answer: fn(&Classify)) -> Machine {
    ANSWER.set(answer);
    COMPLETION.set(|clone, _| free_clone(clone));
    let machine = Machine::new(config);
    machine
        .call("load", irql::PASSIVE, move |_| load(layer, action))
        .expect("the driver loads");
    machine
}

/// Permits what begins a flow, and holds what comes in it.
pub fn hold_data(asked: &Classify) {
    if asked.ale_required() {
        asked.permit();
    } else {
        asked.hold();
    }
}

/// A machine whose callout holds one inbound TCP packet of an authorized flow, at its payload.
pub fn holding() -> Machine {
    let machine = machine(FWPM_LAYER_INBOUND_TRANSPORT_V4, hold_data);
    receive_syn(&machine);
    receive_data(&machine);
    assert!(!HELD.get().is_null(), "the packet is held");
    machine
}

/// A machine whose callout has pended one accept and holds its packet.
pub fn accepting() -> Machine {
    let machine = machine(FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4, Classify::pend);
    receive_syn(&machine);
    assert!(!HELD.get().is_null(), "the packet is held");
    machine
}

/// A machine whose callout has pended one connect.
pub fn connecting() -> Machine {
    let machine = machine(FWPM_LAYER_ALE_AUTH_CONNECT_V4, |asked| {
        let reauthorizes = asked.completion_handle().is_null();
        if reauthorizes || asked.pend_only() != 0 {
            asked.permit();
        } else {
            asked.absorb();
        }
    });
    send_syn(&machine);
    assert!(!CONTEXT.get().is_null(), "the connect is pended");
    machine
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().expect("a socket address")
}

pub fn syn() -> Vec<u8> {
    build::tcp(socket(REMOTE), socket(LOCAL), TcpFlags::SYN, 1, 0, b"")
}

pub fn receive_syn(machine: &Machine) -> u64 {
    let packet = machine.receive(Received::plain(syn()));
    machine.run();
    packet
}

pub fn receive_data(machine: &Machine) -> u64 {
    let data = build::tcp(
        socket(REMOTE),
        socket(LOCAL),
        TcpFlags::ACK,
        2,
        1,
        b"some data",
    );
    let packet = machine.receive(Received::plain(data));
    machine.run();
    packet
}

pub fn send_syn(machine: &Machine) {
    let packet = build::tcp(socket(LOCAL), socket(REMOTE), TcpFlags::SYN, 1, 0, b"");
    machine.transmit(vec![Transmitted::plain(packet, false)]);
    machine.run();
}

pub fn send_datagrams(machine: &Machine, count: usize) {
    let packet = build::udp(socket(LOCAL), socket("192.0.2.9:53"), b"question");
    machine.transmit(vec![Transmitted::plain(packet, false); count]);
    machine.run();
}

/// The driver's worker does something at PASSIVE_LEVEL, and everything that follows from it happens.
pub fn worker(machine: &Machine, work: impl FnOnce() + 'static) {
    machine.call("worker", irql::PASSIVE, move |_| work());
    machine.run();
}

pub fn held() -> *mut NET_BUFFER_LIST {
    HELD.get()
}

pub fn context() -> HANDLE {
    CONTEXT.get()
}

pub fn kept_completion_handle() -> HANDLE {
    HANDLE_OF_CLASSIFY.get()
}

pub fn injection() -> HANDLE {
    INJECTION.get()
}

pub fn callout_number() -> u32 {
    NUMBER.get()
}

pub fn keep(pointer: *const c_void) {
    KEPT.set(pointer);
}

pub fn kept() -> *const c_void {
    KEPT.get()
}

pub fn when_completed(completion: fn(*mut NET_BUFFER_LIST, u8)) {
    COMPLETION.set(completion);
}

pub fn free_clone(clone: *mut NET_BUFFER_LIST) {
    unsafe { FwpsFreeCloneNetBufferList0(clone, 0) };
}

pub fn dereference() {
    unsafe { FwpsDereferenceNetBufferList0(held(), 0) };
}

/// A clone of what the list shows.
pub fn clone_of(list: *mut NET_BUFFER_LIST) -> *mut NET_BUFFER_LIST {
    let mut clone = null_mut();
    let status =
        unsafe { FwpsAllocateCloneNetBufferList0(list, null_mut(), null_mut(), 0, &mut clone) };
    assert_eq!(status, 0);
    clone
}

/// A clone of the held packet from its IP header on, the original back as it was.
pub fn whole_clone() -> *mut NET_BUFFER_LIST {
    retreat(held(), IP_HEADER + TCP_HEADER);
    let clone = clone_of(held());
    advance(held(), IP_HEADER + TCP_HEADER);
    clone
}

pub fn retreat(list: *mut NET_BUFFER_LIST, delta: u32) {
    let status = unsafe { NdisRetreatNetBufferDataStart((*list).FirstNetBuffer, delta, 0, None) };
    assert_eq!(status, 0);
}

pub fn advance(list: *mut NET_BUFFER_LIST, delta: u32) {
    unsafe { NdisAdvanceNetBufferDataStart((*list).FirstNetBuffer, delta, 0, None) };
}

pub fn inject(list: *mut NET_BUFFER_LIST) -> i32 {
    inject_from(list, 0, INTERFACE_INDEX, SUB_INTERFACE_INDEX)
}

pub fn inject_from(
    list: *mut NET_BUFFER_LIST,
    compartment: u32,
    interface: u32,
    sub_interface: u32,
) -> i32 {
    unsafe {
        FwpsInjectTransportReceiveAsync0(
            injection(),
            null_mut(),
            null_mut(),
            0,
            AF_INET,
            compartment as _,
            interface,
            sub_interface,
            list,
            Some(completed),
            null_mut(),
        )
    }
}

pub fn inject_send(list: *mut NET_BUFFER_LIST, args: *mut FWPS_TRANSPORT_SEND_PARAMS0) -> i32 {
    inject_send_from(list, 0, args)
}

pub fn inject_send_from(
    list: *mut NET_BUFFER_LIST,
    endpoint: u64,
    args: *mut FWPS_TRANSPORT_SEND_PARAMS0,
) -> i32 {
    unsafe {
        FwpsInjectTransportSendAsync0(
            injection(),
            null_mut(),
            endpoint,
            0,
            args,
            AF_INET,
            0 as _,
            list,
            Some(completed),
            null_mut(),
        )
    }
}

pub fn complete(clone: *mut NET_BUFFER_LIST) {
    unsafe { FwpsCompleteOperation0(context(), clone) };
}

/// The only report there is: code, first parameter unless it is an address, rule.
pub fn reported(machine: &Machine, code: u32, first: Option<u64>, rule: &str) -> Violation {
    let violations = machine.violations();
    assert_eq!(violations.len(), 1, "{violations:#?}");
    let violation = violations.into_iter().next().expect("one");
    assert_eq!(
        (violation.code, violation.rule),
        (code, rule),
        "{violation}"
    );
    if let Some(first) = first {
        assert_eq!(violation.parameters[0], first, "{violation}");
    }
    violation
}

/// The history of the object tells these things, in this order.
pub fn tells(violation: &Violation, words: &[&str]) {
    let mut history = violation.history.iter();
    for word in words {
        assert!(
            history.any(|event| event.what.contains(word)),
            "the history does not tell '{word}': {violation}"
        );
    }
}

/// What has become of a packet.
pub fn fate(machine: &Machine, packet: u64) -> Option<Fate> {
    machine.packet(packet).map(|packet| packet.fate)
}

/// Nothing was reported.
pub fn clean(machine: &Machine) {
    let violations: Vec<String> = machine
        .violations()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// From now on the callout does not know its own injected packets.
pub fn forget_injection_state() {
    FORGETS.set(true);
}

/// Sets what the callout answers from now on.
pub fn answer_with(answer: fn(&Classify)) {
    ANSWER.set(answer);
}

/// The callout's session with the filter engine.
pub fn engine() -> HANDLE {
    ENGINE.get()
}

/// Has a header made for the first packet of a list: instead of `header` bytes that are there, or before what is there.
pub fn construct(list: *mut NET_BUFFER_LIST, header: u32, protocol: IPPROTO) {
    let (source, remote) = ([192, 0, 2, 9], [192, 0, 2, 1]);
    let _status = unsafe {
        FwpsConstructIpHeaderForTransportPacket0(
            list,
            header,
            AF_INET,
            source.as_ptr(),
            remote.as_ptr(),
            protocol,
            0,
            null(),
            0,
            0,
            null_mut(),
            0,
            0,
        )
    };
}
