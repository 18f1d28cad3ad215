//! The state of the base filtering engine, and those who asked to be told when it changes.

use std::ffi::c_void;

use wfp_sys::fwpm;

use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// One subscription.
#[derive(Clone, Copy)]
pub(super) struct Subscriber {
    callback: usize,
    context: usize,
}

pub(super) fn state(kernel: &Kernel) -> i32 {
    if kernel.fwp.bfe_stopped.get() {
        fwpm::FWPM_SERVICE_STOPPED
    } else {
        fwpm::FWPM_SERVICE_RUNNING
    }
}

pub(super) fn subscribe(
    kernel: &Kernel,
    _device: *mut c_void,
    callback: usize,
    context: *mut c_void,
    handle: *mut Handle,
) -> NtStatus {
    if kernel.fails("FwpmBfeStateSubscribeChanges0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let value = kernel.fwp.new_handle();
    kernel.fwp.subscribers.borrow_mut().insert(
        value,
        Subscriber {
            callback,
            context: context as usize,
        },
    );
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { handle.write(value as Handle) };
    status::SUCCESS
}

pub(super) fn unsubscribe(kernel: &Kernel, handle: Handle) -> NtStatus {
    if kernel
        .fwp
        .subscribers
        .borrow_mut()
        .remove(&(handle as usize))
        .is_none()
    {
        let summary = format!(
            "FwpmBfeStateUnsubscribeChanges0 was given {handle:p}, which is no subscription"
        );
        kernel.bug_check(Violation::contract(
            kernel,
            "A-06",
            [handle as u64, 0, 0, 0],
            summary,
        ));
    }
    status::SUCCESS
}

/// Starts or stops the engine and tells the subscribers. Runs on a thread of the system.
pub(crate) fn set_running(kernel: &Kernel, running: bool) {
    if kernel.fwp.bfe_stopped.replace(!running) != running {
        return;
    }
    if !running {
        super::engine::abandon_sessions(kernel);
    }
    let subscribers: Vec<usize> = kernel.fwp.subscribers.borrow().keys().copied().collect();
    for handle in subscribers {
        let subscriber = kernel.fwp.subscribers.borrow().get(&handle).copied();
        if let Some(subscriber) = subscriber {
            let irql = kernel.irql();
            call_driver!(
                kernel,
                subscriber.callback,
                fn(*mut c_void, i32),
                subscriber.context as *mut c_void,
                state(kernel)
            );
            super::check_return(
                kernel,
                "C-02",
                "a subscriber to the engine's state",
                irql,
                0,
            );
        }
    }
}

impl super::State {
    /// Subscriptions that the driver has not given back.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscribers.borrow().len()
    }
}
