//! Pending a classify and completing it.

use wfp_sys::ndis::NET_BUFFER_LIST;

use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::ndis::Fate;
use crate::ndis::Kind;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// What the stack does when a pended operation is completed: with the clone that will be injected, or null.
pub(crate) type Continuation = Box<dyn FnOnce(&Kernel, *mut NET_BUFFER_LIST)>;

/// A completion handle, good during one classify.
pub(super) struct CompletionHandle {
    layer: u16,
    /// Whose classify it came with.
    thread: ThreadId,
    reauthorize: bool,
    continuation: Continuation,
}

/// A pended operation.
pub(super) struct Pended {
    layer: u16,
    ledger: ObjectId,
    /// Gone once completed; the entry stays so that a second completion is told apart from nonsense.
    continuation: Option<Continuation>,
}

/// Makes a completion handle for a classify.
pub(super) fn offer(
    kernel: &Kernel,
    layer: u16,
    reauthorize: bool,
    continuation: Continuation,
) -> usize {
    let handle = kernel.fwp.new_handle();
    kernel.fwp.completion_handles.borrow_mut().insert(
        handle,
        CompletionHandle {
            layer,
            thread: kernel.running().id,
            reauthorize,
            continuation,
        },
    );
    handle
}

/// Takes the handle away when the classify is over, if it was not used.
pub(super) fn withdraw(kernel: &Kernel, handle: usize) {
    kernel.fwp.completion_handles.borrow_mut().remove(&handle);
}

pub(super) fn pend(kernel: &Kernel, handle: Handle, context: *mut Handle) -> NtStatus {
    if handle.is_null() {
        return status::FWP_NULL_POINTER;
    }
    let thread = kernel.running();
    let known = kernel
        .fwp
        .completion_handles
        .borrow()
        .get(&(handle as usize))
        .filter(|handle| handle.thread == thread.id)
        .map(|handle| handle.reauthorize);
    let Some(reauthorize) = known else {
        let summary = format!(
            "FwpsPendOperation0 was given completion handle {handle:p} outside the classify that it came with"
        );
        kernel.bug_check(Violation::contract(
            kernel,
            "A-69",
            [handle as u64, 0, 0, 0],
            summary,
        ));
    };
    if reauthorize {
        return status::FWP_CANNOT_PEND;
    }
    if kernel.fails("FwpsPendOperation0") {
        return status::FWP_TCPIP_NOT_READY;
    }
    let Some(taken) = kernel
        .fwp
        .completion_handles
        .borrow_mut()
        .remove(&(handle as usize))
    else {
        return status::INVALID_HANDLE;
    };
    let value = kernel.fwp.new_handle();
    let ledger = kernel.ledger.begin(format!(
        "pended operation {value:#x} at layer {}",
        taken.layer
    ));
    kernel.note(ledger, "pended");
    kernel.fwp.pended.borrow_mut().insert(
        value,
        Pended {
            layer: taken.layer,
            ledger,
            continuation: Some(taken.continuation),
        },
    );
    kernel.fwp.forget_completed();
    kernel
        .fwp
        .with_frame(thread.id, |frame| frame.pended = true);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { context.write(value as Handle) };
    status::SUCCESS
}

pub(super) fn complete(kernel: &Kernel, context: Handle, list: *mut NET_BUFFER_LIST) {
    let value = context as usize;
    let taken = kernel
        .fwp
        .pended
        .borrow_mut()
        .get_mut(&value)
        .map(|pended| (pended.ledger, pended.layer, pended.continuation.take()));
    let Some((ledger, layer, continuation)) = taken else {
        let summary =
            format!("FwpsCompleteOperation0 was given {context:p}, which is no pended operation");
        kernel.bug_check(Violation::contract(
            kernel,
            "A-71",
            [value as u64, 0, 0, 0],
            summary,
        ));
    };
    let Some(continuation) = continuation else {
        let summary = "FwpsCompleteOperation0 was called a second time for one pended operation";
        kernel.bug_check(
            Violation::contract(
                kernel,
                "A-71",
                [value as u64, u64::from(layer), 0, 0],
                summary,
            )
            .about(kernel, ledger),
        );
    };
    if !list.is_null() {
        crate::ndis::require(kernel, "FwpsCompleteOperation0", list, "A-74");
        let owned = kernel.ndis.with(list, |list| {
            matches!(list.kind, Kind::Clone { .. }) && list.fate == Fate::Driver
        });
        if owned != Some(true) {
            let summary =
                "FwpsCompleteOperation0 was given a packet that is not a clone of the driver's own";
            kernel.bug_check(
                Violation::contract(kernel, "A-74", [value as u64, list as u64, 0, 0], summary)
                    .about(kernel, ledger),
            );
        }
    }
    kernel.note(
        ledger,
        if list.is_null() {
            "completed with NULL".to_owned()
        } else {
            format!("completed with clone {list:p}")
        },
    );
    kernel.ledger.end(ledger);
    continuation(kernel, list);
}

impl super::State {
    /// Operations that were pended and not completed.
    pub(crate) fn pended_operations(&self) -> Vec<ObjectId> {
        self.pended
            .borrow()
            .values()
            .filter(|pended| pended.continuation.is_some())
            .map(|pended| pended.ledger)
            .collect()
    }

    /// Forgets completed operations older than the last few, so that long runs stay small.
    fn forget_completed(&self) {
        let mut pended = self.pended.borrow_mut();
        while pended.len() > 4096 {
            let Some(oldest) = pended
                .iter()
                .find(|(_, pended)| pended.continuation.is_none())
                .map(|(handle, _)| *handle)
            else {
                break;
            };
            pended.remove(&oldest);
        }
    }
}
