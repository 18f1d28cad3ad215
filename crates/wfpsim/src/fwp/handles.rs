//! Injection handles.

use crate::machine::Kernel;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// One injection handle.
pub(super) struct InjectionHandle {
    /// Injections whose completion functions have not returned.
    pub pending: u32,
    /// Whether it is being destroyed.
    pub closing: bool,
    pub ledger: ObjectId,
}

pub(super) fn create(kernel: &Kernel, family: u16, _flags: u32, handle: *mut Handle) -> NtStatus {
    if kernel.fails("FwpsInjectionHandleCreate0") {
        return status::FWP_TCPIP_NOT_READY;
    }
    if ![0, 2, 23].contains(&family) {
        return status::INVALID_PARAMETER;
    }
    let value = kernel.fwp.new_handle();
    let ledger = kernel.ledger.begin("injection handle");
    kernel.note(ledger, "created");
    kernel.fwp.injection_handles.borrow_mut().insert(
        value,
        InjectionHandle {
            pending: 0,
            closing: false,
            ledger,
        },
    );
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { handle.write(value as Handle) };
    status::SUCCESS
}

pub(super) fn destroy(kernel: &Kernel, handle: Handle) -> NtStatus {
    let value = handle as usize;
    let closing = kernel
        .fwp
        .injection_handles
        .borrow_mut()
        .get_mut(&value)
        .map(|handle| std::mem::replace(&mut handle.closing, true));
    if closing != Some(false) {
        let summary = format!(
            "FwpsInjectionHandleDestroy0 was given {handle:p}, which is no open injection handle"
        );
        kernel.bug_check(Violation::contract(
            kernel,
            "A-57",
            [value as u64, 0, 0, 0],
            summary,
        ));
    }
    let quiet = move |kernel: &Kernel| {
        kernel
            .fwp
            .injection_handles
            .borrow()
            .get(&value)
            .is_none_or(|handle| handle.pending == 0)
    };
    kernel.block(
        "injections to complete (FwpsInjectionHandleDestroy0)".to_owned(),
        None,
        quiet,
    );
    if let Some(handle) = kernel.fwp.injection_handles.borrow_mut().remove(&value) {
        kernel.note(handle.ledger, "destroyed");
    }
    status::SUCCESS
}

impl super::State {
    /// Injection handles that were not destroyed.
    pub(crate) fn open_injection_handles(&self) -> usize {
        self.injection_handles.borrow().len()
    }

    /// Injections whose completion functions have not returned.
    pub(crate) fn pending_injections(&self) -> usize {
        self.injection_handles
            .borrow()
            .values()
            .map(|handle| handle.pending as usize)
            .sum()
    }
}
