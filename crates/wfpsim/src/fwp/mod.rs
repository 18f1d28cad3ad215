//! The filter engine: management objects, callouts, arbitration, pending, references and injection.

mod add;
mod answer;
mod arbitration;
mod arguments;
mod bfe;
mod blame;
mod call;
mod callouts;
mod completion;
mod construct;
mod delete;
mod engine;
mod enumerate;
mod fit;
pub(crate) mod flow_context;
mod handles;
mod hold;
mod inject;
mod inject_network;
#[cfg(target_arch = "x86_64")]
pub(crate) mod inventory;
mod lists;
mod notify;
mod objects;
mod pend;
mod traces;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;

use wfp_sys::GUID;
use wfp_sys::fwpm::FWPM_CALLOUT0;
use wfp_sys::fwpm::FWPM_FILTER0;
use wfp_sys::fwpm::FWPM_PROVIDER0;
use wfp_sys::fwpm::FWPM_SESSION0;
use wfp_sys::fwpm::FWPM_SUBLAYER0;
use wfp_sys::fwps::FWPS_CALLOUT3;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER_LIST;

pub(crate) use arbitration::Action;
pub(crate) use arbitration::Classification;
pub(crate) use arbitration::Outcome;
pub(crate) use arbitration::classify;
pub(crate) use arguments::Metadata;
pub(crate) use arguments::Value;
pub(crate) use bfe::set_running as set_bfe_running;
pub(crate) use blame::EMPTY;
pub(crate) use blame::blame;
pub(crate) use blame::is_absent_number;
pub(crate) use callouts::require_device_unused;
pub(crate) use callouts::takes_coalesced;
pub(crate) use inject::Send;
pub(crate) use objects::boot;
pub(crate) use pend::Continuation;

use crate::exports::exports;
use crate::machine::Kernel;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// Stands for all filters where a step says what it concerns.
const FILTERS: usize = 1;

/// How many handles are remembered that were given back.
const RETIRED_KEPT: usize = 4096;

/// What the filter engine keeps.
#[derive(Default)]
pub struct State {
    objects: RefCell<objects::Objects>,
    /// The filters of each layer as they are asked, until any object changes.
    sorted: RefCell<BTreeMap<u16, std::rc::Rc<arbitration::Groups>>>,
    sessions: RefCell<BTreeMap<usize, engine::Session>>,
    enumerations: RefCell<BTreeMap<usize, enumerate::Enumeration>>,
    callouts: RefCell<BTreeMap<u32, callouts::Callout>>,
    injection_handles: RefCell<BTreeMap<usize, handles::InjectionHandle>>,
    /// Whether an injection handle could not be made, the last time that one was asked for.
    injection_handle_refused: Cell<bool>,
    completion_handles: RefCell<BTreeMap<usize, pend::CompletionHandle>>,
    pended: RefCell<BTreeMap<usize, pend::Pended>>,
    frames: RefCell<Vec<call::Frame>>,
    subscribers: RefCell<BTreeMap<usize, bfe::Subscriber>>,
    flow_contexts: RefCell<BTreeMap<flow_context::Place, flow_context::Carried>>,
    bfe_stopped: Cell<bool>,
    /// Threads that are in a notifyFn, and whether it is told of a deletion.
    notifying: RefCell<Vec<(crate::machine::ThreadId, bool)>>,
    /// Deletions that no callout was told of.
    lost_notifications: Cell<u32>,
    /// Completions under way.
    completing: RefCell<Vec<pend::Completing>>,
    /// Pool that only a reauthorization would have freed, or that was allocated for what unload no longer looks for: by the rule.
    strayed: RefCell<BTreeMap<ObjectId, &'static str>>,
    /// Objects that FwpmFreeMemory0 gives back.
    memory: RefCell<BTreeMap<usize, Vec<usize>>>,
    /// Handles that were given back, the last few thousand, so that using one again is told with its history.
    retired: RefCell<BTreeMap<usize, ObjectId>>,
    next_handle: Cell<usize>,
    next_id: Cell<u32>,
}

impl State {
    /// A handle value that was never given before. They look like pointers to nothing.
    fn new_handle(&self) -> usize {
        let next = self.next_handle.get() + 1;
        self.next_handle.set(next);
        0xFFFF_A000_0000_0000 + next * 0x40
    }

    /// Filters, callouts or sublayers are about to change.
    fn changes(&self, kernel: &Kernel) {
        kernel.random.touches(FILTERS);
        self.sorted.borrow_mut().clear();
    }

    /// Ends the history of a handle that was given back.
    fn retire(&self, kernel: &Kernel, handle: usize, object: ObjectId) {
        kernel.ledger.end(object);
        let mut retired = self.retired.borrow_mut();
        retired.insert(handle, object);
        if retired.len() > RETIRED_KEPT {
            // Handles grow, so the first is the oldest.
            retired.pop_first();
        }
    }

    /// Adds the history of a handle that is no longer good.
    fn about_handle(&self, kernel: &Kernel, violation: Violation, handle: usize) -> Violation {
        let object = self.retired.borrow().get(&handle).copied();
        match object {
            Some(object) => violation.about(kernel, object),
            None => violation,
        }
    }

    /// The rule that the use of a handle breaks which was given back: `late` if the unload routine gave it back and runs still, on
    /// another thread, else `rule`; `None` if it was not given back.
    fn retired_by_unload(
        &self,
        kernel: &Kernel,
        handle: usize,
        rule: &'static str,
        late: &'static str,
    ) -> Option<&'static str> {
        let object = self.retired.borrow().get(&handle).copied()?;
        Some(match blame::went_with_unload(kernel, object) {
            Some(when) => self.when_gone_too_early(when, late),
            None => rule,
        })
    }

    /// The rule that an unload breaks which takes away at a time what a callout uses: A-09 if the engine had said by then that the
    /// callout is busy.
    fn when_gone_too_early(&self, when: crate::machine::Time, rule: &'static str) -> &'static str {
        let callouts = self.callouts.borrow();
        let mut busy = callouts.values().filter_map(|callout| callout.busy);
        if busy.any(|busy| busy <= when) {
            "A-09"
        } else {
            rule
        }
    }

    /// A run-time number (callout, filter) that was never given before. Never 0.
    fn new_id(&self) -> u32 {
        let next = self.next_id.get() + 1;
        self.next_id.set(next);
        0x100 + next
    }
}

/// A function of the driver's returns as it was called: at the same IRQL, with as many spin locks held.
fn check_return(kernel: &Kernel, rule: &'static str, what: &str, irql: u8, locks: usize) {
    let (now, held) = (kernel.irql(), kernel.running().locks.borrow().len());
    if now != irql || held != locks {
        let summary = format!(
            "{what} was called at IRQL {irql} with {locks} spin locks held and returned at IRQL {now} with {held}"
        );
        let parameters = [u64::from(irql), u64::from(now), held as u64, 0];
        kernel.bug_check(Violation::contract(kernel, rule, parameters, summary));
    }
}

exports! {
    "fwpkclnt.sys";
    FwpmEngineOpen0(server: *const u16, authentication: u32, identity: *mut c_void, session: *const FWPM_SESSION0, engine: *mut Handle) -> NtStatus [passive unlocked] => engine::open;
    FwpmEngineClose0(engine: Handle) -> NtStatus [passive unlocked] => engine::close;
    FwpmTransactionBegin0(engine: Handle, flags: u32) -> NtStatus [passive unlocked] => engine::begin;
    FwpmTransactionCommit0(engine: Handle) -> NtStatus [passive unlocked] => engine::commit;
    FwpmTransactionAbort0(engine: Handle) -> NtStatus [passive unlocked] => engine::abort;
    FwpmProviderAdd0(engine: Handle, provider: *const FWPM_PROVIDER0, security: *mut c_void) -> NtStatus [passive unlocked] => add::add_provider;
    FwpmSubLayerAdd0(engine: Handle, sublayer: *const FWPM_SUBLAYER0, security: *mut c_void) -> NtStatus [passive unlocked] => add::add_sublayer;
    FwpmSubLayerCreateEnumHandle0(engine: Handle, template: *const c_void, enumeration: *mut Handle) -> NtStatus [passive unlocked] => enumerate::create_enumeration;
    FwpmSubLayerEnum0(engine: Handle, enumeration: Handle, requested: u32, entries: *mut *mut *mut FWPM_SUBLAYER0, returned: *mut u32) -> NtStatus [passive unlocked] => enumerate::enumerate;
    FwpmSubLayerDestroyEnumHandle0(engine: Handle, enumeration: Handle) -> NtStatus [passive unlocked] => enumerate::destroy_enumeration;
    FwpmFreeMemory0(memory: *mut *mut c_void) [passive unlocked] => enumerate::free_memory;
    FwpmCalloutAdd0(engine: Handle, callout: *const FWPM_CALLOUT0, security: *mut c_void, id: *mut u32) -> NtStatus [passive unlocked] => add::add_callout;
    FwpmFilterAdd0(engine: Handle, filter: *const FWPM_FILTER0, security: *mut c_void, id: *mut u64) -> NtStatus [passive unlocked] => add::add_filter;
    FwpmProviderDeleteByKey0(engine: Handle, key: *const GUID) -> NtStatus [passive unlocked] => delete::provider;
    FwpmSubLayerDeleteByKey0(engine: Handle, key: *const GUID) -> NtStatus [passive unlocked] => delete::sublayer;
    FwpmCalloutDeleteByKey0(engine: Handle, key: *const GUID) -> NtStatus [passive unlocked] => delete::callout;
    FwpmFilterDeleteByKey0(engine: Handle, key: *const GUID) -> NtStatus [passive unlocked] => delete::filter;
    FwpmFilterDeleteById0(engine: Handle, id: u64) -> NtStatus [passive unlocked] => delete::filter_by_id;
    FwpmBfeStateGet0() -> i32 [dispatch] => bfe::state;
    FwpmBfeStateSubscribeChanges0(device: *mut c_void, callback: usize, context: *mut c_void, handle: *mut Handle) -> NtStatus [passive unlocked] => bfe::subscribe;
    FwpmBfeStateUnsubscribeChanges0(handle: Handle) -> NtStatus [passive unlocked] => bfe::unsubscribe;
    FwpsCalloutRegister0(device: *mut c_void, callout: *const FWPS_CALLOUT3, id: *mut u32) -> NtStatus [passive unlocked] => callouts::register0;
    FwpsCalloutRegister1(device: *mut c_void, callout: *const FWPS_CALLOUT3, id: *mut u32) -> NtStatus [passive unlocked] => callouts::register1;
    FwpsCalloutRegister2(device: *mut c_void, callout: *const FWPS_CALLOUT3, id: *mut u32) -> NtStatus [passive unlocked] => callouts::register2;
    FwpsCalloutRegister3(device: *mut c_void, callout: *const FWPS_CALLOUT3, id: *mut u32) -> NtStatus [passive unlocked] => callouts::register;
    FwpsCalloutUnregisterById0(id: u32) -> NtStatus [passive unlocked] => callouts::unregister;
    FwpsCalloutUnregisterByKey0(key: *const GUID) -> NtStatus [passive unlocked] => callouts::unregister_by_key;
    FwpsFlowAssociateContext0(flow: u64, layer: u16, callout: u32, context: u64) -> NtStatus [dispatch] => flow_context::associate;
    FwpsFlowRemoveContext0(flow: u64, layer: u16, callout: u32) -> NtStatus [dispatch unlocked] => flow_context::remove;
    FwpsInjectionHandleCreate0(family: u16, flags: u32, handle: *mut Handle) -> NtStatus [passive unlocked] => handles::create;
    FwpsInjectionHandleDestroy0(handle: Handle) -> NtStatus [passive unlocked] => handles::destroy;
    FwpsPendOperation0(handle: Handle, context: *mut Handle) -> NtStatus [dispatch unlocked] => pend::pend;
    FwpsCompleteOperation0(context: Handle, list: *mut NET_BUFFER_LIST) [dispatch] => pend::complete;
    FwpsReferenceNetBufferList0(list: *mut NET_BUFFER_LIST, intend_to_modify: u8) [dispatch unlocked] => lists::reference;
    FwpsDereferenceNetBufferList0(list: *mut NET_BUFFER_LIST, dispatch_level: u8) [dispatch unlocked] => lists::dereference;
    FwpsAllocateCloneNetBufferList0(original: *mut NET_BUFFER_LIST, list_pool: Handle, buffer_pool: Handle, flags: u32, clone: *mut *mut NET_BUFFER_LIST) -> NtStatus [dispatch unlocked] => lists::allocate_clone;
    FwpsFreeCloneNetBufferList0(list: *mut NET_BUFFER_LIST, flags: u32) [dispatch unlocked] => lists::free_clone;
    FwpsAllocateNetBufferAndNetBufferList0(pool: Handle, context_size: u16, context_backfill: u16, chain: *mut MDL, offset: u32, length: usize, list: *mut *mut NET_BUFFER_LIST) -> NtStatus [dispatch unlocked] => lists::allocate_own;
    FwpsFreeNetBufferList0(list: *mut NET_BUFFER_LIST) [dispatch unlocked] => lists::free_own;
    FwpsQueryPacketInjectionState0(handle: Handle, list: *const NET_BUFFER_LIST, context: *mut Handle) -> i32 [dispatch] => lists::injection_state;
    FwpsGetPacketListSecurityInformation0(list: *mut NET_BUFFER_LIST, query: u32, information: *mut FWPS_PACKET_LIST_INFORMATION0) -> NtStatus [dispatch] => lists::security_information;
    FwpsConstructIpHeaderForTransportPacket0(list: *mut NET_BUFFER_LIST, header_length: u32, family: u16, source: *const u8, remote: *const u8, next_protocol: i32, endpoint: u64, control_data: *const c_void, control_data_length: u32, flags: u32, reserved: *mut c_void, interface: u32, sub_interface: u32) -> NtStatus [dispatch unlocked] => construct::construct_ip_header;
    FwpsInjectTransportReceiveAsync0(handle: Handle, context: Handle, reserved: *mut c_void, flags: u32, family: u16, compartment: u32, interface: u32, sub_interface: u32, list: *mut NET_BUFFER_LIST, completion: usize, completion_context: Handle) -> NtStatus [dispatch unlocked] => inject::receive;
    FwpsInjectTransportSendAsync0(handle: Handle, context: Handle, endpoint: u64, flags: u32, arguments: *mut wfp_sys::fwps::FWPS_TRANSPORT_SEND_PARAMS0, family: u16, compartment: u32, list: *mut NET_BUFFER_LIST, completion: usize, completion_context: Handle) -> NtStatus [dispatch unlocked] => inject::send;
    FwpsInjectNetworkReceiveAsync0(handle: Handle, context: Handle, flags: u32, compartment: u32, interface: u32, sub_interface: u32, list: *mut NET_BUFFER_LIST, completion: usize, completion_context: Handle) -> NtStatus [dispatch unlocked] => inject_network::receive;
    FwpsInjectNetworkSendAsync0(handle: Handle, context: Handle, flags: u32, compartment: u32, list: *mut NET_BUFFER_LIST, completion: usize, completion_context: Handle) -> NtStatus [dispatch unlocked] => inject_network::send;
    FwpsInjectForwardAsync0(handle: Handle, context: Handle, flags: u32, family: u16, compartment: u32, interface: u32, list: *mut NET_BUFFER_LIST, completion: usize, completion_context: Handle) -> NtStatus [dispatch unlocked] => inject_network::forward;
}
