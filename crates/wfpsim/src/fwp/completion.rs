//! The completion of an injection: inline, soon, or long after.

use wfp_sys::ndis::NET_BUFFER_LIST;

use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::ndis::Fate;
use crate::nt::NtStatus;
use crate::verifier::ObjectId;

/// The longest that a late completion is late by itself: twenty seconds, in units of 100 ns.
const LATE: usize = 200_000_000;

/// A completion function that is still to be called.
#[derive(Clone, Copy)]
pub(super) struct Completion {
    pub handle: usize,
    pub list: usize,
    pub ledger: ObjectId,
    pub function: usize,
    pub context: usize,
}

impl Completion {
    /// Calls it, on a thread that is at DISPATCH_LEVEL and was at `before` when the stack took the packet up.
    pub fn call(self, kernel: &Kernel, before: u8, result: NtStatus) {
        let list = self.list as *mut NET_BUFFER_LIST;
        let thread = kernel.running();
        // completions come at any IRQL up to DISPATCH_LEVEL; the argument says when it is certain.
        let at_dispatch = before == irql::DISPATCH || kernel.random.percent(50);
        if !at_dispatch {
            kernel.set_irql(before);
        }
        crate::ndis::unguard(kernel, list);
        kernel.ndis.with_mut(list, |list| {
            (list.fate, list.past.completed) = (Fate::Driver, Some(result));
            list.past.held_since = Some(kernel.now());
        });
        kernel.note(
            self.ledger,
            kernel
                .ledger
                .told(|| format!("completed with status {result:#010x}")),
        );
        // SAFETY: the clone is alive until the driver frees it.
        unsafe { (*list).Status = result };
        let handles = &kernel.fwp.injection_handles;
        if let Some(handle) = handles.borrow_mut().get_mut(&self.handle) {
            handle.completing.push(thread.id);
        }
        let (irql, locks) = (thread.irql.get(), thread.locks.borrow().len());
        // of an injection that failed, whether the completion function looks at why.
        let watched = kernel.arena.find_exact(self.list).filter(|_| result != 0);
        if let Some(block) = &watched {
            kernel.arena.begin_watch(block);
        }
        call_driver!(
            kernel,
            self.function,
            fn(*mut std::ffi::c_void, *mut NET_BUFFER_LIST, u8),
            self.context as *mut _,
            list,
            u8::from(at_dispatch)
        );
        if let Some(block) = &watched {
            // Not freed yet, so it may still be looked at.
            kernel.arena.end_watch(block);
        }
        super::check_return(
            kernel,
            "A-44",
            "an injection's completion function",
            irql,
            locks,
        );
        kernel.set_irql(before);
        if let Some(handle) = handles.borrow_mut().get_mut(&self.handle) {
            handle.pending -= 1;
            if let Some(index) = handle.completing.iter().rposition(|&id| id == thread.id) {
                handle.completing.swap_remove(index);
            }
        }
    }

    /// Calls it on a thread of the stack's, some time from now, or else when the injection handle is being destroyed. Others of
    /// the handle may come before it.
    pub fn call_late(self, kernel: &Kernel, result: NtStatus) {
        let due = kernel
            .random
            .percent(50)
            .then(|| kernel.now() + kernel.random.below(LATE) as u64);
        crate::ndis::guard(kernel, self.list as *mut NET_BUFFER_LIST);
        kernel.spawn("tcpip completion", irql::PASSIVE, move |kernel| {
            kernel.block(
                "the adapter to be done with a packet that was injected".to_owned(),
                due,
                move |kernel| {
                    let handles = kernel.fwp.injection_handles.borrow();
                    handles
                        .get(&self.handle)
                        .is_none_or(|handle| handle.closing)
                },
            );
            kernel.set_irql(irql::DISPATCH);
            self.call(kernel, irql::PASSIVE, result);
        });
    }
}
