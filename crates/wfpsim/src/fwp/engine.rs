//! Sessions and transactions with the base filtering engine.

use std::ffi::c_void;

use wfp_sys::fwpm;
use wfp_sys::fwpm::FWPM_SESSION0;

use super::notify;
use super::objects::Filter;
use super::objects::Objects;
use crate::machine::Kernel;
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

pub(super) fn require(kernel: &Kernel, function: &str, engine: Handle) {
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

/// Whether a session is in a transaction.
pub(super) fn is_in_transaction(kernel: &Kernel, engine: Handle) -> bool {
    let sessions = kernel.fwp.sessions.borrow();
    sessions
        .get(&(engine as usize))
        .is_some_and(|session| session.transaction.is_some())
}

/// A filter that its callout refuses is not added.
pub(super) fn take_back(kernel: &Kernel, engine: Handle, id: u64) {
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
