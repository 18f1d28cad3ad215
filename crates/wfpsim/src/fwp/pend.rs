//! Pending a classify and completing it.

use wfp_sys::layers;
use wfp_sys::ndis::NET_BUFFER_LIST;

use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::machine::Time;
use crate::ndis::Fate;
use crate::ndis::Kind;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::stack::flow;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// What the stack does when a pended operation is completed: with the clone that will be injected, or null.
pub(crate) type Continuation = Box<dyn FnOnce(&Kernel, *mut NET_BUFFER_LIST)>;

/// A completion handle, good during one classify.
pub(super) struct CompletionHandle {
    layer: u16,
    /// Whose connection it is of.
    flow: flow::Key,
    /// Whose classify it came with.
    thread: ThreadId,
    reauthorize: bool,
    /// Gone once the classify is pended.
    continuation: Option<Continuation>,
}

/// A pended operation.
pub(super) struct Pended {
    layer: u16,
    flow: flow::Key,
    ledger: ObjectId,
    since: Time,
    /// Gone once completed; the entry stays so that a second completion is told apart from nonsense.
    continuation: Option<Continuation>,
    /// Whether it was pended when the driver's unload had begun (C-50).
    late: bool,
    /// Whether another operation of the same connection was pended at the same time.
    shares_flow: bool,
    /// Pool that was allocated in the classify that pended it.
    pub blocks: Vec<ObjectId>,
}

impl Pended {
    /// The rule that a driver breaks which confuses it with another one of the same connection; `None` if there was no other. A
    /// connect is told from another by its endpoint, an accept by its context alone.
    fn confused(&self) -> Option<&'static str> {
        let accept = matches!(
            self.layer,
            layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4 | layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6
        );
        self.shares_flow
            .then_some(if accept { "A-77" } else { "A-72" })
    }
}

/// A completion under way, by the thread that it runs on.
pub(super) struct Completing {
    thread: ThreadId,
    /// Whether the connect was classified again, and if so, with the right to write.
    reauthorized: Option<bool>,
}

/// Makes a completion handle for a classify.
pub(super) fn offer(
    kernel: &Kernel,
    layer: u16,
    flow: flow::Key,
    reauthorize: bool,
    continuation: Continuation,
) -> usize {
    let handle = kernel.fwp.new_handle();
    kernel.fwp.completion_handles.borrow_mut().insert(
        handle,
        CompletionHandle {
            layer,
            flow,
            thread: kernel.running().id,
            reauthorize,
            continuation: Some(continuation),
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
    if super::blame::is_absent_handle(handle as u64) {
        let summary = "FwpsPendOperation0 was given the completion handle of a classify whose metadata has none; its bit is not set";
        let parameters = [handle as u64, 0, 0, 0];
        kernel.bug_check(Violation::contract(kernel, "A-13", parameters, summary));
    }
    let known = kernel
        .fwp
        .completion_handles
        .borrow()
        .get(&(handle as usize))
        .filter(|handle| handle.thread == thread.id)
        .map(|handle| (handle.reauthorize, handle.continuation.is_some()));
    let Some((reauthorize, free)) = known else {
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
    if !free {
        let summary = "FwpsPendOperation0 was called for a classify that a callout has pended already, and whose answer is final; \
                       completing the one operation would resume what the other still holds";
        let parameters = [handle as u64, 0, 0, 0];
        kernel.bug_check(Violation::contract(kernel, "A-78", parameters, summary));
    }
    let failure = if reauthorize {
        Some(status::FWP_CANNOT_PEND)
    } else if kernel.fails("FwpsPendOperation0") {
        Some(status::FWP_TCPIP_NOT_READY)
    } else {
        None
    };
    if let Some(failure) = failure {
        let list = kernel.fwp.with_frame(thread.id, |frame| {
            frame.pend_failed = Some(failure);
            frame.list
        });
        kernel
            .ndis
            .with_mut(list.unwrap_or(0) as *const NET_BUFFER_LIST, |list| {
                list.past.pend_failed = true;
            });
        return failure;
    }
    let taken = kernel
        .fwp
        .completion_handles
        .borrow_mut()
        .get_mut(&(handle as usize))
        .and_then(|taken| Some((taken.layer, taken.flow, taken.continuation.take()?)));
    let Some((layer, flow, continuation)) = taken else {
        return status::INVALID_HANDLE;
    };
    let value = kernel.fwp.new_handle();
    let ledger = kernel.ledger.begin(
        kernel
            .ledger
            .told(|| format!("pended operation {value:#x} at layer {layer}")),
    );
    let list = kernel.fwp.with_frame(thread.id, |frame| frame.list);
    if kernel.follows_list(list.unwrap_or(0) as *const NET_BUFFER_LIST) {
        kernel.follow_too(ledger, "pended");
    }
    kernel.note(ledger, "pended");
    let shares_flow = kernel.fwp.note_shared_flow(layer, flow);
    kernel.fwp.pended.borrow_mut().insert(
        value,
        Pended {
            layer,
            flow,
            ledger,
            since: kernel.now(),
            continuation: Some(continuation),
            late: kernel.unloading().is_some(),
            shares_flow,
            blocks: Vec::new(),
        },
    );
    kernel.fwp.forget_completed();
    kernel
        .fwp
        .with_frame(thread.id, |frame| frame.pended = Some(value));
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { context.write(value as Handle) };
    status::SUCCESS
}

pub(super) fn complete(kernel: &Kernel, context: Handle, list: *mut NET_BUFFER_LIST) {
    let value = context as usize;
    let lock = kernel.running().locks.borrow().last().copied();
    if let Some(lock) = lock {
        let layer = kernel
            .fwp
            .pended
            .borrow()
            .get(&value)
            .map(|pended| pended.layer);
        let connect = layer.is_some_and(|layer| {
            (layers::FWPS_LAYER_ALE_AUTH_CONNECT_V4..=layers::FWPS_LAYER_ALE_AUTH_CONNECT_V6)
                .contains(&layer)
        });
        let (rule, why) = if connect {
            (
                "A-72",
                "classifies the connect again on this thread before it returns",
            )
        } else {
            ("C-03", "may call out or take locks of its own")
        };
        let summary =
            format!("FwpsCompleteOperation0 was called with spin lock {lock:#x} held; it {why}");
        let parameters = [lock as u64, value as u64, 0, 0];
        let violation = Violation::contract(kernel, rule, parameters, summary);
        let labels = [
            "the spin lock that is held",
            "the completion context",
            "",
            "",
        ];
        kernel.bug_check(violation.with_arguments(kernel, labels));
    }
    let taken = kernel
        .fwp
        .pended
        .borrow_mut()
        .get_mut(&value)
        .map(|pended| {
            let confused = pended.confused().unwrap_or("A-71");
            (
                pended.ledger,
                pended.layer,
                pended.continuation.take(),
                confused,
            )
        });
    let Some((ledger, layer, continuation, twice)) = taken else {
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
        let summary = if twice == "A-71" {
            "FwpsCompleteOperation0 was called a second time for one pended operation"
        } else {
            "FwpsCompleteOperation0 was called a second time for one pended operation, while another one of the same connection \
             waits; they are told apart by their contexts, not by addresses and ports"
        };
        kernel.bug_check(
            Violation::contract(
                kernel,
                twice,
                [value as u64, u64::from(layer), 0, 0],
                summary,
            )
            .with_arguments(
                kernel,
                [
                    "the completion context",
                    "the layer that it was pended at",
                    "",
                    "",
                ],
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
    let thread = kernel.running().id;
    kernel.fwp.completing.borrow_mut().push(Completing {
        thread,
        reauthorized: None,
    });
    continuation(kernel, list);
    let outcome = kernel.fwp.end_completing(thread);
    if matches!(
        layer,
        layers::FWPS_LAYER_ALE_AUTH_CONNECT_V4 | layers::FWPS_LAYER_ALE_AUTH_CONNECT_V6
    ) {
        // What the classify allocated and nobody frees from now on was left to a reauthorization that cannot do it.
        kernel.fwp.stray(
            value,
            match outcome {
                None => Some("A-73"),
                Some(false) => Some("A-72"),
                Some(true) => None,
            },
        );
    }
}

impl super::State {
    /// The operations that are pended, and since when.
    pub(crate) fn pended_since(&self) -> Vec<(ObjectId, Time)> {
        let pended = self.pended.borrow();
        let waiting = pended
            .values()
            .filter(|pended| pended.continuation.is_some());
        waiting
            .map(|pended| (pended.ledger, pended.since))
            .collect()
    }

    /// Operations that were pended and not completed, with the rule that this breaks.
    pub(crate) fn pended_operations(&self) -> Vec<(ObjectId, &'static str)> {
        let pended = self.pended.borrow();
        let left = pended
            .values()
            .filter(|pended| pended.continuation.is_some());
        left.map(|pended| {
            let rule = if pended.late {
                "C-50"
            } else {
                pended.confused().unwrap_or("A-71")
            };
            (pended.ledger, rule)
        })
        .collect()
    }

    /// Notes of what is pended for a connection that one more operation of it is being pended. True if there is any.
    fn note_shared_flow(&self, layer: u16, flow: flow::Key) -> bool {
        let mut found = false;
        for pended in self.pended.borrow_mut().values_mut() {
            if pended.continuation.is_some() && (pended.layer, pended.flow) == (layer, flow) {
                (pended.shares_flow, found) = (true, true);
            }
        }
        found
    }

    /// A classify on this thread is the reauthorization of the connect that it completes.
    pub(super) fn reauthorizes(&self, thread: ThreadId, writable: bool) {
        let mut completing = self.completing.borrow_mut();
        if let Some(innermost) = completing.iter_mut().rev().find(|one| one.thread == thread) {
            innermost.reauthorized = Some(writable);
        }
    }

    /// Ends the innermost completion of a thread.
    fn end_completing(&self, thread: ThreadId) -> Option<bool> {
        let mut completing = self.completing.borrow_mut();
        let index = completing.iter().rposition(|one| one.thread == thread)?;
        completing.remove(index).reauthorized
    }

    /// What was allocated for a pended operation is reported under this rule if it is left behind.
    fn stray(&self, pended: usize, rule: Option<&'static str>) {
        let blocks = self
            .pended
            .borrow_mut()
            .get_mut(&pended)
            .map(|pended| std::mem::take(&mut pended.blocks))
            .unwrap_or_default();
        if let Some(rule) = rule {
            let mut strayed = self.strayed.borrow_mut();
            strayed.extend(blocks.into_iter().map(|block| (block, rule)));
        }
    }

    /// The classify that pended an operation returned when the driver's unload had begun.
    pub(super) fn note_late(&self, pended: usize) {
        if let Some(pended) = self.pended.borrow_mut().get_mut(&pended) {
            pended.late = true;
        }
    }

    /// What a classify allocated before it pended.
    pub(super) fn keep_blocks(&self, pended: usize, blocks: Vec<ObjectId>) {
        if let Some(pended) = self.pended.borrow_mut().get_mut(&pended) {
            pended.blocks = blocks;
        }
    }

    /// The rule under which pool is reported that was left behind, if it is another than the pool's own.
    pub(crate) fn leak_rule(&self, block: ObjectId, address: usize) -> Option<&'static str> {
        let strayed = self.strayed.borrow().get(&block).copied();
        strayed.or_else(|| self.is_context(address).then_some("A-05"))
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
