//! Injection handles.

use wfp_sys::consts;

use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

/// One injection handle.
pub(super) struct InjectionHandle {
    /// AF_UNSPEC (0), AF_INET (2) or AF_INET6 (23).
    pub family: u16,
    /// FWPS_INJECTION_TYPE_*; 0 stands for transport, stream and forward.
    kinds: u32,
    /// Injections whose completion functions have not returned.
    pub pending: u32,
    /// The threads that are in one of its completion functions.
    pub completing: Vec<ThreadId>,
    /// Whether it is being destroyed.
    pub closing: bool,
    pub ledger: ObjectId,
}

impl InjectionHandle {
    /// Whether it injects this kind of traffic.
    pub fn injects(&self, kind: u32) -> bool {
        const UNSAID: u32 = 0x1 | 0x2 | 0x8;
        let kinds = if self.kinds == 0 { UNSAID } else { self.kinds };
        kinds & kind != 0
    }

    /// Whether it was made for packets of the transport layers of an address family.
    pub fn serves(&self, family: u16) -> bool {
        let of_family = self.family == consts::AF_UNSPEC || self.family == family;
        of_family && self.injects(consts::FWPS_INJECTION_TYPE_TRANSPORT)
    }
}

pub(super) fn create(kernel: &Kernel, family: u16, kinds: u32, handle: *mut Handle) -> NtStatus {
    let refused = kernel.fails("FwpsInjectionHandleCreate0");
    kernel.fwp.injection_handle_refused.set(refused);
    if refused {
        return status::FWP_TCPIP_NOT_READY;
    }
    // the network layers have a handle for each family.
    if kinds & consts::FWPS_INJECTION_TYPE_NETWORK != 0 && family == consts::AF_UNSPEC {
        return status::INVALID_PARAMETER;
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
            family,
            kinds,
            pending: 0,
            completing: Vec::new(),
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
    // the wait would be for the caller itself.
    let own = kernel.running().id;
    let ledger = kernel
        .fwp
        .injection_handles
        .borrow()
        .get(&value)
        .filter(|handle| handle.completing.contains(&own))
        .map(|handle| handle.ledger);
    if let Some(ledger) = ledger {
        let summary = "FwpsInjectionHandleDestroy0 was called by a completion function of the handle; it waits for that function to return";
        let violation = Violation::new(
            kernel,
            code::WFPSIM_HANG,
            [value as u64, 0, 0, 0],
            "A-57",
            summary,
        );
        kernel.bug_check(violation.about(kernel, ledger));
    }
    if closing != Some(false) {
        let summary = format!(
            "FwpsInjectionHandleDestroy0 was given {handle:p}, which is no open injection handle"
        );
        let violation = Violation::contract(kernel, "A-57", [value as u64, 0, 0, 0], summary);
        kernel.bug_check(kernel.fwp.about_handle(kernel, violation, value));
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
        kernel.fwp.retire(kernel, value, handle.ledger);
    }
    status::SUCCESS
}

impl super::State {
    /// Injection handles that were not destroyed.
    pub(crate) fn open_injection_handles(&self) -> usize {
        self.injection_handles.borrow().len()
    }

    /// Whether a thread is in a completion function.
    pub(super) fn is_completing(&self, thread: ThreadId) -> bool {
        self.injection_handles
            .borrow()
            .values()
            .any(|handle| handle.completing.contains(&thread))
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
