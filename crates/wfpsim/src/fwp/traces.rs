//! What a callout leaves behind when its classifyFn returns: of the machine, of the packet, and of what it did to the packet before
//! (A.1, A-25, A-35, A-40, A-51, B-03, C-03).

use wfp_sys::ndis::NET_BUFFER_LIST;

use super::arbitration::Classification;
use crate::machine::Kernel;
use crate::verifier::Violation;

/// What the driver may not have changed when classifyFn returns.
#[derive(PartialEq, Eq)]
pub(super) struct Untouched {
    irql: u8,
    locks: usize,
    /// Of each buffer: chain, current MDL, current offset, data offset, data length.
    offsets: Vec<[u64; 5]>,
}

impl Untouched {
    pub fn look(kernel: &Kernel, list: *mut NET_BUFFER_LIST) -> Self {
        let thread = kernel.running();
        let buffers = if list.is_null() {
            Vec::new()
        } else {
            crate::ndis::net_buffers(list)
        };
        let offsets = buffers.into_iter().map(|buffer| {
            // SAFETY: the list is alive during its classify.
            let buffer = unsafe { &*buffer };
            [
                buffer.MdlChain as u64,
                buffer.CurrentMdl as u64,
                u64::from(buffer.CurrentMdlOffset),
                u64::from(buffer.DataOffset),
                u64::from(buffer.DataLength),
            ]
        });
        let locks = thread.locks.borrow().len();
        Self {
            irql: thread.irql.get(),
            locks,
            offsets: offsets.collect(),
        }
    }
}

/// What of the machine and of the packet a callout leaves as it found it.
pub(super) fn check_return(kernel: &Kernel, request: &Classification<'_>, untouched: &Untouched) {
    let fail = |rule, first: u64, summary: String| -> ! {
        let parameters = [first, u64::from(request.layer), 0, 0];
        let violation = Violation::contract(kernel, rule, parameters, summary);
        let labels = ["what was left behind", "the layer", "", ""];
        kernel.bug_check(violation.with_arguments(kernel, labels))
    };
    let now = Untouched::look(kernel, request.list);
    if now.irql != untouched.irql {
        fail(
            "A.1",
            u64::from(now.irql),
            format!(
                "classifyFn was called at IRQL {} and returned at IRQL {}",
                untouched.irql, now.irql
            ),
        );
    }
    if now.locks != untouched.locks {
        fail(
            "C-03",
            now.locks as u64,
            "classifyFn returned with a spin lock held".to_owned(),
        );
    }
    // A worker that has the packet already may be between its retreat and its advance.
    if !request.list.is_null() {
        crate::ndis::check_content(kernel, request.list);
    }
    let worker = kernel.ndis.with(request.list, |list| {
        list.is_shifted_by_other(kernel.running().id)
    }) == Some(true);
    if let Some(delta) = crate::ndis::open_advance(kernel, request.list, kernel.running().id) {
        fail(
            "B-03",
            request.list as u64,
            format!(
                "classifyFn returned with the packet advanced by {delta} bytes that no retreat matches"
            ),
        );
    }
    if now.offsets != untouched.offsets && !worker {
        fail(
            "A-25",
            request.list as u64,
            "classifyFn returned with the data offset or the MDL chain of the packet changed"
                .to_owned(),
        );
    }
}

/// A packet that goes on takes with it what WFP knows of it, unless a clone was made and freed that had taken that.
pub(super) fn check_passed(kernel: &Kernel, request: &Classification<'_>, blocked: bool) {
    if request.list.is_null() || blocked {
        return;
    }
    let given_up = kernel.ndis.with_mut(request.list, |list| {
        list.past.passed_with_clones |= list.children > 0;
        list.past.clone_given_up.then_some(list.ledger)
    });
    if let Some(ledger) = given_up.flatten() {
        let summary = "classifyFn cloned a packet, freed the clone without having injected it, and let the packet pass: what WFP knows of the packet went with the clone";
        let parameters = [request.list as u64, u64::from(request.layer), 0, 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-40", parameters, summary).about(kernel, ledger),
        );
    }
}

/// A callout that takes a packet which it took before, and which came back because a driver injected it, takes it for ever
///
pub(super) fn check_taken_again(
    kernel: &Kernel,
    request: &Classification<'_>,
    id: u32,
    absorbed: bool,
) {
    if !absorbed || request.list.is_null() {
        return;
    }
    let Some((packets, injected, ledger)) = kernel.ndis.with(request.list, |list| {
        (list.packets.clone(), list.injected_by.len(), list.ledger)
    }) else {
        return;
    };
    for packet in packets {
        if kernel.taken_before(packet, id) && injected > 0 {
            let summary = format!(
                "callout {id} took packet {packet} again that had come back by injection; it does not know its own packets"
            );
            let parameters = [request.list as u64, packet, u64::from(id), 0];
            kernel.bug_check(
                Violation::contract(kernel, "A-51", parameters, summary).about(kernel, ledger),
            );
        }
    }
}
