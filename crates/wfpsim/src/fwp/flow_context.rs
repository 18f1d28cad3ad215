//! Contexts that callouts associate with flows.

use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// STATUS_OBJECT_NAME_EXISTS: a success, though nothing was associated.
const OBJECT_NAME_EXISTS: NtStatus = 0x4000_0000;
/// STATUS_PENDING.
const PENDING: NtStatus = 0x103;

/// Where a context is: flow, layer, callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    flow: u64,
    layer: u16,
    callout: u32,
}

/// A context that a flow carries.
#[derive(Clone, Copy)]
pub(crate) struct Carried {
    context: u64,
    /// Set when its flowDeleteFn is on its way.
    leaving: bool,
    ledger: ObjectId,
}

pub(super) fn associate(
    kernel: &Kernel,
    flow: u64,
    layer: u16,
    callout: u32,
    context: u64,
) -> NtStatus {
    let notified = kernel
        .fwp
        .callouts
        .borrow()
        .get(&callout)
        .map(|callout| callout.flow_delete != 0);
    //
    if context == 0 || notified != Some(true) {
        return refuse(kernel, context, status::INVALID_PARAMETER);
    }
    if !kernel.stack.flow_is_open(flow) {
        return status::FWP_NOT_FOUND;
    }
    if kernel.fails("FwpsFlowAssociateContext0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let place = Place {
        flow,
        layer,
        callout,
    };
    if kernel.fwp.flow_contexts.borrow().contains_key(&place) {
        return refuse(kernel, context, OBJECT_NAME_EXISTS);
    }
    let ledger = kernel
        .ledger
        .begin(format!("context {context:#x} of flow {flow:#x}"));
    kernel.note(ledger, format!("associated by callout {callout}"));
    kernel.fwp.flow_contexts.borrow_mut().insert(
        place,
        Carried {
            context,
            leaving: false,
            ledger,
        },
    );
    status::SUCCESS
}

/// What a driver meant for a flow, and no flow carries, stays the driver's to free: left behind, it is told as A-04.
fn refuse(kernel: &Kernel, context: u64, status: NtStatus) -> NtStatus {
    let block = kernel.arena.find_exact(context as usize);
    if let Some(block) = block.filter(|block| matches!(block.purpose, Purpose::Pool(_))) {
        kernel.fwp.strayed.borrow_mut().insert(block.object, "A-04");
    }
    status
}

pub(super) fn remove(kernel: &Kernel, flow: u64, layer: u16, callout: u32) -> NtStatus {
    let place = Place {
        flow,
        layer,
        callout,
    };
    if kernel.running().flow_delete_depth.get() > 0 {
        let summary = "FwpsFlowRemoveContext0 was called by flowDeleteFn; the engine has dropped the association already";
        kernel.bug_check(Violation::contract(
            kernel,
            "A-07",
            [flow, u64::from(layer), u64::from(callout), 0],
            summary,
        ));
    }
    let Some(busy) = leave(kernel, place) else {
        return status::UNSUCCESSFUL;
    };
    if busy {
        // A classify of the callout has not returned: flowDeleteFn is called when it has.
        kernel.spawn(
            "filter engine: flowDeleteFn",
            crate::machine::irql::PASSIVE,
            move |kernel| {
                let quiet = move |kernel: &Kernel| !in_classify(kernel, callout);
                kernel.block(
                    format!("classify calls of callout {callout} to return"),
                    None,
                    quiet,
                );
                notify(kernel, place);
            },
        );
        return PENDING;
    }
    notify(kernel, place);
    status::SUCCESS
}

/// Whether a classify of a callout has not returned.
fn in_classify(kernel: &Kernel, callout: u32) -> bool {
    kernel
        .fwp
        .callouts
        .borrow()
        .get(&callout)
        .is_some_and(|callout| callout.in_progress > 0)
}

/// Marks a context as leaving. `None` if there is none; otherwise whether a classify of its callout is in progress.
fn leave(kernel: &Kernel, place: Place) -> Option<bool> {
    let mut contexts = kernel.fwp.flow_contexts.borrow_mut();
    let carried = contexts
        .get_mut(&place)
        .filter(|carried| !carried.leaving)?;
    carried.leaving = true;
    drop(contexts);
    Some(in_classify(kernel, place.callout))
}

/// Calls flowDeleteFn and forgets the context.
fn notify(kernel: &Kernel, place: Place) {
    let carried = kernel.fwp.flow_contexts.borrow().get(&place).copied();
    let function = kernel
        .fwp
        .callouts
        .borrow()
        .get(&place.callout)
        .map_or(0, |callout| callout.flow_delete);
    let Some(carried) = carried.filter(|_| function != 0) else {
        return;
    };
    let thread = kernel.running();
    let (irql, locks) = (thread.irql.get(), thread.locks.borrow().len());
    kernel.note(carried.ledger, "flowDeleteFn was called");
    // The association is gone before the driver is told.
    kernel.fwp.flow_contexts.borrow_mut().remove(&place);
    thread
        .flow_delete_depth
        .set(thread.flow_delete_depth.get() + 1);
    call_driver!(
        kernel,
        function,
        fn(u16, u32, u64),
        place.layer,
        place.callout,
        carried.context
    );
    thread
        .flow_delete_depth
        .set(thread.flow_delete_depth.get() - 1);
    super::check_return(kernel, "A-07", "flowDeleteFn", irql, locks);
    kernel.ledger.end(carried.ledger);
}

/// A flow has ended: every callout that gave it a context is told.
pub(crate) fn flow_ended(kernel: &Kernel, flow: u64) {
    let places: Vec<Place> = kernel
        .fwp
        .flow_contexts
        .borrow()
        .keys()
        .filter(|place| place.flow == flow)
        .copied()
        .collect();
    for place in places {
        if leave(kernel, place).is_some() {
            notify(kernel, place);
        }
    }
}

/// Whether a flow carries any context.
pub(crate) fn is_carried(kernel: &Kernel, flow: u64) -> bool {
    kernel
        .fwp
        .flow_contexts
        .borrow()
        .keys()
        .any(|place| place.flow == flow)
}

/// Whether some flow carries a context of a callout.
pub(super) fn carried(kernel: &Kernel, callout: u32) -> bool {
    kernel
        .fwp
        .flow_contexts
        .borrow()
        .keys()
        .any(|place| place.callout == callout)
}

/// The context that a flow carries for a callout at a layer; 0 for none.
pub(super) fn of(kernel: &Kernel, flow: u64, layer: u16, callout: u32) -> u64 {
    let place = Place {
        flow,
        layer,
        callout,
    };
    kernel
        .fwp
        .flow_contexts
        .borrow()
        .get(&place)
        .filter(|carried| !carried.leaving)
        .map_or(0, |carried| carried.context)
}

impl super::State {
    /// Whether some flow carries a context of a callout.
    pub(super) fn is_carried(&self, callout: u32) -> bool {
        let contexts = self.flow_contexts.borrow();
        contexts.keys().any(|place| place.callout == callout)
    }

    /// Whether an address is the context of some flow.
    pub(super) fn is_context(&self, address: usize) -> bool {
        let contexts = self.flow_contexts.borrow();
        contexts
            .values()
            .any(|carried| carried.context == address as u64)
    }

    /// Contexts that flows still carry.
    pub(crate) fn kept_flow_contexts(&self) -> Vec<ObjectId> {
        self.flow_contexts
            .borrow()
            .values()
            .map(|carried| carried.ledger)
            .collect()
    }
}
