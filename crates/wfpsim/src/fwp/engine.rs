//! Sessions and transactions with the base filtering engine.

use std::ffi::c_void;

use wfp_sys::consts;
use wfp_sys::fwpm;
use wfp_sys::fwpm::FWPM_CALLOUT0;
use wfp_sys::fwpm::FWPM_FILTER0;
use wfp_sys::fwpm::FWPM_PROVIDER0;
use wfp_sys::fwpm::FWPM_SESSION0;
use wfp_sys::fwpm::FWPM_SUBLAYER0;

use super::notify;
use super::objects::Condition;
use super::objects::Filter;
use super::objects::FilterAction;
use super::objects::Key;
use super::objects::ManagementCallout;
use super::objects::Objects;
use super::objects::SubLayer;
use super::objects::layer_of;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// One open session.
pub(super) struct Session {
    dynamic: bool,
    /// The objects as this session's transaction has them.
    transaction: Option<Objects>,
    pub ledger: ObjectId,
}

/// One enumeration of sublayers: what is left to give.
pub(super) struct Enumeration {
    left: Vec<(Key, u16)>,
}

pub(super) fn open(
    kernel: &Kernel,
    _server: *const u16,
    _authentication: u32,
    _identity: *mut c_void,
    session: *const FWPM_SESSION0,
    engine: *mut Handle,
) -> NtStatus {
    if kernel.fails("FwpmEngineOpen0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    if kernel.fwp.bfe_stopped.get() {
        // EPT_S_NOT_REGISTERED as the kernel sees it: nobody listens.
        return 0xC002_0034u32 as NtStatus;
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let dynamic =
        !session.is_null() && unsafe { (*session).flags } & fwpm::FWPM_SESSION_FLAG_DYNAMIC != 0;
    let handle = kernel.fwp.new_handle();
    let ledger = kernel.ledger.begin("filter engine session");
    kernel.note(ledger, "opened");
    kernel.fwp.sessions.borrow_mut().insert(
        handle,
        Session {
            dynamic,
            transaction: None,
            ledger,
        },
    );
    // SAFETY: as above.
    unsafe { engine.write(handle as Handle) };
    status::SUCCESS
}

fn require(kernel: &Kernel, function: &str, engine: Handle) {
    if !kernel
        .fwp
        .sessions
        .borrow()
        .contains_key(&(engine as usize))
    {
        let summary = format!(
            "{function} was given {engine:p}, which is no open session with the filter engine"
        );
        let violation = Violation::contract(kernel, "A-11", [engine as u64, 0, 0, 0], summary);
        kernel.bug_check(kernel.fwp.about_handle(kernel, violation, engine as usize));
    }
}

pub(super) fn close(kernel: &Kernel, engine: Handle) -> NtStatus {
    require(kernel, "FwpmEngineClose0", engine);
    let closed = kernel.fwp.sessions.borrow_mut().remove(&(engine as usize));
    if let Some(session) = closed {
        kernel.note(session.ledger, "closed");
        kernel.fwp.retire(kernel, engine as usize, session.ledger);
        if let Some(objects) = session.transaction {
            tell_gone(kernel, &objects);
        }
        if session.dynamic {
            let gone = kernel
                .fwp
                .objects
                .borrow_mut()
                .remove_owned(engine as usize);
            notify::deleted(kernel, &gone);
        }
    }
    status::SUCCESS
}

/// Of the filters among `objects` the engine's own are what is left: the callouts of the others are told that they are gone, be it that
/// they were added in a transaction that was not committed, or deleted in one that was.
fn tell_gone(kernel: &Kernel, objects: &Objects) {
    let gone: Vec<Filter> = {
        let left = kernel.fwp.objects.borrow();
        let known = |filter: &&Filter| left.filters.iter().any(|other| other.id == filter.id);
        let gone = objects.filters.iter().filter(|filter| !known(filter));
        gone.cloned().collect()
    };
    notify::deleted(kernel, &gone);
}

/// The engine stopped: every session is gone, and with it everything that was added and is not persistent. The sessions' handles stay
/// to be closed.
pub(super) fn abandon_sessions(kernel: &Kernel) {
    let mut gone = kernel
        .fwp
        .objects
        .borrow_mut()
        .remove_owned(super::objects::STATIC);
    for (handle, session) in kernel.fwp.sessions.borrow_mut().iter_mut() {
        session.transaction = None;
        if session.dynamic {
            kernel.fwp.changes(kernel);
            gone.extend(kernel.fwp.objects.borrow_mut().remove_owned(*handle));
        }
    }
    notify::deleted(kernel, &gone);
}

pub(super) fn begin(kernel: &Kernel, engine: Handle, _flags: u32) -> NtStatus {
    require(kernel, "FwpmTransactionBegin0", engine);
    if kernel.fails("FwpmTransactionBegin0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    if kernel.fwp.bfe_stopped.get() {
        return status::FWP_SESSION_ABORTED;
    }
    let mut sessions = kernel.fwp.sessions.borrow_mut();
    if sessions
        .values()
        .any(|session| session.transaction.is_some())
    {
        return status::FWP_TXN_IN_PROGRESS;
    }
    if let Some(session) = sessions.get_mut(&(engine as usize)) {
        session.transaction = Some(kernel.fwp.objects.borrow().clone());
    }
    status::SUCCESS
}

pub(super) fn commit(kernel: &Kernel, engine: Handle) -> NtStatus {
    require(kernel, "FwpmTransactionCommit0", engine);
    let mut sessions = kernel.fwp.sessions.borrow_mut();
    let Some(session) = sessions.get_mut(&(engine as usize)) else {
        return status::INVALID_HANDLE;
    };
    if session.transaction.is_none() {
        return status::FWP_NO_TXN_IN_PROGRESS;
    }
    if kernel.fails("FwpmTransactionCommit0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let Some(objects) = session.transaction.take() else {
        return status::SUCCESS;
    };
    drop(sessions);
    kernel.fwp.changes(kernel);
    let before = kernel.fwp.objects.replace(objects);
    // Those that the transaction deleted.
    tell_gone(kernel, &before);
    status::SUCCESS
}

pub(super) fn abort(kernel: &Kernel, engine: Handle) -> NtStatus {
    require(kernel, "FwpmTransactionAbort0", engine);
    let aborted = kernel
        .fwp
        .sessions
        .borrow_mut()
        .get_mut(&(engine as usize))
        .and_then(|session| session.transaction.take());
    match aborted {
        Some(objects) => {
            tell_gone(kernel, &objects);
            status::SUCCESS
        }
        None => status::FWP_NO_TXN_IN_PROGRESS,
    }
}

/// Changes the objects: those of the session's transaction, or at once if it has none.
pub(super) fn change(
    kernel: &Kernel,
    function: &'static str,
    engine: Handle,
    change: impl FnOnce(&mut Objects, Option<usize>) -> NtStatus,
) -> NtStatus {
    require(kernel, function, engine);
    if kernel.fails(function) {
        return status::INSUFFICIENT_RESOURCES;
    }
    if kernel.fwp.bfe_stopped.get() {
        return status::FWP_SESSION_ABORTED;
    }
    let mut sessions = kernel.fwp.sessions.borrow_mut();
    let Some(session) = sessions.get_mut(&(engine as usize)) else {
        return status::INVALID_HANDLE;
    };
    let owner = Some(if session.dynamic {
        engine as usize
    } else {
        super::objects::STATIC
    });
    match session.transaction.as_mut() {
        Some(objects) => change(objects, owner),
        None => {
            kernel.fwp.changes(kernel);
            change(&mut kernel.fwp.objects.borrow_mut(), owner)
        }
    }
}

pub(super) fn add_provider(
    kernel: &Kernel,
    engine: Handle,
    provider: *const FWPM_PROVIDER0,
    _security: *mut c_void,
) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let key = Key::from(unsafe { &(*provider).providerKey });
    change(
        kernel,
        "FwpmProviderAdd0",
        engine,
        |objects, owner| match objects.providers.insert(key, owner) {
            None => status::SUCCESS,
            Some(before) => {
                objects.providers.insert(key, before);
                status::FWP_ALREADY_EXISTS
            }
        },
    )
}

/// The provider that an object names, if it names one. Read before anything is borrowed: the pointer may be bad.
fn provider_named(provider: *const wfp_sys::GUID) -> Option<Key> {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { provider.as_ref() }.map(Key::from)
}

/// Whether the provider that an object names is there (no name is allowed).
fn provider_known(objects: &Objects, provider: Option<Key>) -> bool {
    provider.is_none_or(|provider| objects.providers.contains_key(&provider))
}

pub(super) fn add_sublayer(
    kernel: &Kernel,
    engine: Handle,
    sublayer: *const FWPM_SUBLAYER0,
    _security: *mut c_void,
) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let sublayer = unsafe { &*sublayer };
    let (key, weight, provider) = (
        Key::from(&sublayer.subLayerKey),
        sublayer.weight,
        provider_named(sublayer.providerKey),
    );
    change(kernel, "FwpmSubLayerAdd0", engine, |objects, owner| {
        if objects.sublayers.contains_key(&key) {
            return status::FWP_ALREADY_EXISTS;
        }
        if !provider_known(objects, provider) {
            return status::FWP_PROVIDER_NOT_FOUND;
        }
        objects.sublayers.insert(
            key,
            SubLayer {
                weight,
                provider,
                owner,
            },
        );
        status::SUCCESS
    })
}

pub(super) fn add_callout(
    kernel: &Kernel,
    engine: Handle,
    callout: *const FWPM_CALLOUT0,
    _security: *mut c_void,
    id: *mut u32,
) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let callout = unsafe { &*callout };
    let key = Key::from(&callout.calloutKey);
    let provider = provider_named(callout.providerKey);
    let Some(layer) = layer_of(Key::from(&callout.applicableLayer)) else {
        return status::FWP_NOT_FOUND;
    };
    let number = kernel
        .fwp
        .callout_id(key)
        .unwrap_or_else(|| kernel.fwp.new_id());
    let result = change(kernel, "FwpmCalloutAdd0", engine, |objects, owner| {
        if objects.callouts.contains_key(&key) {
            return status::FWP_ALREADY_EXISTS;
        }
        if !provider_known(objects, provider) {
            return status::FWP_PROVIDER_NOT_FOUND;
        }
        objects.callouts.insert(
            key,
            ManagementCallout {
                layer,
                provider,
                owner,
            },
        );
        status::SUCCESS
    });
    if result == status::SUCCESS && !id.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { id.write(number) };
    }
    result
}

pub(super) fn add_filter(
    kernel: &Kernel,
    engine: Handle,
    filter: *const FWPM_FILTER0,
    _security: *mut c_void,
    id: *mut u64,
) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let filter = unsafe { &*filter };
    let Some(layer) = layer_of(Key::from(&filter.layerKey)) else {
        return status::FWP_NOT_FOUND;
    };
    // SAFETY: the union is read as the action type says.
    let callout = Key::from(unsafe { &filter.action.Anonymous.calloutKey });
    let action = match filter.action.r#type {
        consts::FWP_ACTION_BLOCK => FilterAction::Block,
        consts::FWP_ACTION_PERMIT => FilterAction::Permit,
        consts::FWP_ACTION_CALLOUT_TERMINATING => FilterAction::Terminating(callout),
        consts::FWP_ACTION_CALLOUT_UNKNOWN => FilterAction::Unknown(callout),
        consts::FWP_ACTION_CALLOUT_INSPECTION => FilterAction::Inspection(callout),
        _ => return status::FWP_INVALID_PARAMETER,
    };
    let Some(conditions) = conditions(layer, filter) else {
        return status::FWP_INVALID_PARAMETER;
    };
    let weight = match filter.weight.r#type {
        consts::FWP_EMPTY => 0,
        // SAFETY: the union is read as the type says.
        consts::FWP_UINT8 => u64::from(unsafe { filter.weight.Anonymous.uint8 }) << 60,
        // SAFETY: as above; the pointer is the driver's.
        consts::FWP_UINT64 => unsafe { *filter.weight.Anonymous.uint64 },
        _ => return status::FWP_INVALID_PARAMETER,
    };
    let number = u64::from(kernel.fwp.new_id());
    let (key, flags, provider) = (
        Key::from(&filter.subLayerKey),
        filter.flags,
        provider_named(filter.providerKey),
    );
    // Without a key of the driver's the engine makes one.
    let own_key = match Key::from(&filter.filterKey) {
        none if none.is_zero() => Key::made(number),
        given => given,
    };
    let mut added = None;
    // SAFETY: both members of the union are plain data of which rawContext is the first eight bytes.
    let context = unsafe { filter.Anonymous.rawContext };
    let result = change(kernel, "FwpmFilterAdd0", engine, |objects, owner| {
        let sublayer = if key.is_zero() {
            Key::from(&fwpm::FWPM_SUBLAYER_UNIVERSAL)
        } else {
            key
        };
        if !objects.sublayers.contains_key(&sublayer) {
            return status::FWP_SUBLAYER_NOT_FOUND;
        }
        if !provider_known(objects, provider) {
            return status::FWP_PROVIDER_NOT_FOUND;
        }
        if let FilterAction::Terminating(callout)
        | FilterAction::Unknown(callout)
        | FilterAction::Inspection(callout) = action
            && objects
                .callouts
                .get(&callout)
                .is_none_or(|callout| callout.layer != layer)
        {
            return status::FWP_CALLOUT_NOT_FOUND;
        }
        if objects.filters.iter().any(|filter| filter.key == own_key) {
            return status::FWP_ALREADY_EXISTS;
        }
        let filter = Filter {
            id: number,
            key: own_key,
            provider,
            layer,
            sublayer,
            weight,
            flags,
            action,
            conditions,
            context,
            owner,
        };
        objects.filters.push(filter.clone());
        added = Some(filter);
        status::SUCCESS
    });
    if let Some(filter) = added {
        let refused = notify::added(kernel, &filter);
        if refused < 0 {
            take_back(kernel, engine, number);
            return refused;
        }
    }
    if result == status::SUCCESS && !id.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { id.write(number) };
    }
    result
}

/// Whether a session is in a transaction.
pub(super) fn is_in_transaction(kernel: &Kernel, engine: Handle) -> bool {
    let sessions = kernel.fwp.sessions.borrow();
    sessions
        .get(&(engine as usize))
        .is_some_and(|session| session.transaction.is_some())
}

/// A filter that its callout refuses is not added.
fn take_back(kernel: &Kernel, engine: Handle, id: u64) {
    let mut sessions = kernel.fwp.sessions.borrow_mut();
    let transaction = sessions
        .get_mut(&(engine as usize))
        .and_then(|session| session.transaction.as_mut());
    let remove = |objects: &mut Objects| objects.filters.retain(|filter| filter.id != id);
    match transaction {
        Some(objects) => remove(objects),
        None => remove(&mut kernel.fwp.objects.borrow_mut()),
    }
}

/// The filter's conditions, by field of the layer; `None` for a field or a type that the model does not know.
fn conditions(layer: u16, filter: &FWPM_FILTER0) -> Option<Vec<Condition>> {
    (0..filter.numFilterConditions as usize)
        .map(|index| {
            // SAFETY: the driver says how many conditions there are; a lie faults and is reported.
            let condition = unsafe { &*filter.filterCondition.add(index) };
            let field = super::arguments::field_of(layer, Key::from(&condition.fieldKey))?;
            let value = super::Value::of_condition(&condition.conditionValue)?;
            Some(Condition {
                field,
                matching: condition.matchType,
                value,
            })
        })
        .collect()
}

pub(super) fn create_enumeration(
    kernel: &Kernel,
    engine: Handle,
    _template: *const c_void,
    enumeration: *mut Handle,
) -> NtStatus {
    require(kernel, "FwpmSubLayerCreateEnumHandle0", engine);
    if kernel.fails("FwpmSubLayerCreateEnumHandle0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let handle = kernel.fwp.new_handle();
    let left = kernel
        .fwp
        .objects
        .borrow()
        .sublayers
        .iter()
        .rev()
        .map(|(key, sublayer)| (*key, sublayer.weight))
        .collect();
    kernel
        .fwp
        .enumerations
        .borrow_mut()
        .insert(handle, Enumeration { left });
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { enumeration.write(handle as Handle) };
    status::SUCCESS
}

pub(super) fn enumerate(
    kernel: &Kernel,
    engine: Handle,
    enumeration: Handle,
    requested: u32,
    entries: *mut *mut *mut FWPM_SUBLAYER0,
    returned: *mut u32,
) -> NtStatus {
    require(kernel, "FwpmSubLayerEnum0", engine);
    if kernel.fails("FwpmSubLayerEnum0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let taken = {
        let mut enumerations = kernel.fwp.enumerations.borrow_mut();
        let Some(enumeration) = enumerations.get_mut(&(enumeration as usize)) else {
            return status::INVALID_HANDLE;
        };
        let keep = enumeration.left.len().saturating_sub(requested as usize);
        enumeration.left.split_off(keep)
    };
    let ledger = kernel
        .ledger
        .begin("sublayers that FwpmSubLayerEnum0 returned");
    let array = kernel
        .arena
        .allocate(
            taken.len() * size_of::<usize>(),
            Purpose::Object,
            ledger,
            true,
        )
        .cast::<*mut FWPM_SUBLAYER0>();
    let mut blocks = vec![array.as_ptr() as usize];
    for (index, (key, weight)) in taken.iter().enumerate() {
        let entry = kernel
            .arena
            .allocate(size_of::<FWPM_SUBLAYER0>(), Purpose::Object, ledger, true)
            .cast::<FWPM_SUBLAYER0>();
        // SAFETY: both blocks were just allocated with room for this.
        unsafe {
            (*entry.as_ptr()).subLayerKey = key.guid();
            (*entry.as_ptr()).weight = *weight;
            array.as_ptr().add(index).write(entry.as_ptr());
        }
        blocks.push(entry.as_ptr() as usize);
    }
    kernel
        .fwp
        .memory
        .borrow_mut()
        .insert(array.as_ptr() as usize, blocks);
    // SAFETY: the driver's pointers; bad ones fault and are reported.
    unsafe {
        entries.write(array.as_ptr());
        returned.write(taken.len() as u32);
    }
    status::SUCCESS
}

pub(super) fn destroy_enumeration(
    kernel: &Kernel,
    engine: Handle,
    enumeration: Handle,
) -> NtStatus {
    require(kernel, "FwpmSubLayerDestroyEnumHandle0", engine);
    match kernel
        .fwp
        .enumerations
        .borrow_mut()
        .remove(&(enumeration as usize))
    {
        Some(_) => status::SUCCESS,
        None => status::INVALID_HANDLE,
    }
}

pub(super) fn free_memory(kernel: &Kernel, memory: *mut *mut c_void) {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let address = unsafe { memory.read() } as usize;
    if address == 0 {
        return;
    }
    let Some(blocks) = kernel.fwp.memory.borrow_mut().remove(&address) else {
        let summary = format!(
            "FwpmFreeMemory0 was given {address:#x}, which the filter engine did not allocate or has freed"
        );
        kernel.bug_check(Violation::contract(
            kernel,
            "A-11",
            [address as u64, 0, 0, 0],
            summary,
        ));
    };
    crate::nt::free_blocks(kernel, &blocks, "freed");
    // SAFETY: as above.
    unsafe { memory.write(std::ptr::null_mut()) };
}

impl super::State {
    /// Sessions, enumerations and returned memory that the driver has not given back.
    pub(crate) fn open_management(&self) -> (usize, usize, usize) {
        (
            self.sessions.borrow().len(),
            self.enumerations.borrow().len(),
            self.memory.borrow().len(),
        )
    }
}
