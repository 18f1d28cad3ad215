//! Events and waits.

use std::ffi::c_void;

use super::NtStatus;
use super::status;
use crate::machine::Kernel;
use crate::machine::Time;
use crate::machine::Woken;
use crate::machine::irql;
use crate::verifier::Violation;

/// KEVENT: the dispatcher header (24 bytes).
#[repr(C)]
pub struct KEvent {
    /// 0 notification, 1 synchronization.
    kind: u8,
    reserved: [u8; 3],
    signal_state: i32,
    /// Points to itself once initialised, as the kernel's empty wait list does.
    wait_list: [usize; 2],
}

const SYNCHRONIZATION: u8 = 1;

pub(super) fn initialize(_kernel: &Kernel, event: *mut KEvent, kind: i32, state: u8) {
    let list = event as usize + std::mem::offset_of!(KEvent, wait_list);
    let value = KEvent {
        kind: kind as u8,
        reserved: [0; 3],
        signal_state: i32::from(state != 0),
        wait_list: [list; 2],
    };
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { event.write(value) };
}

/// Checks that the event was initialised where it stands.
fn check(kernel: &Kernel, event: *mut KEvent) {
    let list = event as usize + std::mem::offset_of!(KEvent, wait_list);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    if unsafe { (*event).wait_list } != [list; 2] {
        let summary = format!("event {event:p} is not initialised, or was moved after it was");
        kernel.bug_check(
            Violation::contract(kernel, "C.1", [event as u64, 0, 0, 0], summary)
                .about_address(kernel, event as usize),
        );
    }
}

pub(super) fn set(kernel: &Kernel, event: *mut KEvent, _increment: i32, wait: u8) -> i32 {
    check(kernel, event);
    if wait != 0 && kernel.irql() > irql::APC {
        let summary = "KeSetEvent was called with Wait TRUE above APC_LEVEL";
        kernel.bug_check(Violation::verifier(
            kernel,
            0x80,
            [u64::from(kernel.irql()), event as u64, 0],
            summary,
            "C.1",
        ));
    }
    // SAFETY: `check` has just read it.
    unsafe { std::mem::replace(&mut (*event).signal_state, 1) }
}

pub(super) fn clear(kernel: &Kernel, event: *mut KEvent) {
    check(kernel, event);
    // SAFETY: `check` has just read it.
    unsafe { (*event).signal_state = 0 };
}

/// When a wait with this timeout ends: `Ok(None)` never, `Err` at once.
pub(super) fn deadline(kernel: &Kernel, timeout: *const i64) -> Result<Option<Time>, ()> {
    if timeout.is_null() {
        return Ok(None);
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    match unsafe { timeout.read() } {
        0 => Err(()),
        relative if relative < 0 => Ok(Some(kernel.now().saturating_add(relative.unsigned_abs()))),
        absolute => Ok(Some(absolute.unsigned_abs())),
    }
}

pub(super) fn wait(
    kernel: &Kernel,
    object: *mut c_void,
    _reason: i32,
    _mode: i8,
    _alertable: u8,
    timeout: *const i64,
) -> NtStatus {
    let end = deadline(kernel, timeout);
    if end.is_ok() && kernel.irql() > irql::APC {
        let summary = format!(
            "KeWaitForSingleObject was called at IRQL {} with a timeout other than zero",
            kernel.irql()
        );
        kernel.bug_check(Violation::verifier(
            kernel,
            0x3B,
            [u64::from(kernel.irql()), object as u64, 0],
            summary,
            "C.1",
        ));
    }
    let address = object as usize;
    if let Some(thread) = kernel
        .nt
        .objects
        .borrow()
        .get(&address)
        .map(|object| object.thread)
    {
        return wait_until(
            kernel,
            format!("the end of thread {}", thread.0),
            end,
            move |kernel| !kernel.is_alive(thread),
        );
    }
    let event = object.cast::<KEvent>();
    if object.is_null() && !kernel.nt.threads(kernel).is_empty() {
        // E-10: the thread was started, and ObReferenceObjectByHandle gave no object to wait on.
        let summary = "KeWaitForSingleObject was given NULL while a thread of the driver's runs that it has no object of";
        kernel.bug_check(Violation::contract(kernel, "C-04", [0; 4], summary));
    }
    check(kernel, event);
    let signalled = move |kernel: &Kernel| {
        // SAFETY: not followed if the block it lies in is gone; then the waiter wakes and faults itself.
        !kernel.is_readable(address) || unsafe { (*(address as *const KEvent)).signal_state } != 0
    };
    let result = wait_until(kernel, format!("event {address:#x}"), end, signalled);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    if result == status::SUCCESS && unsafe { (*event).kind } == SYNCHRONIZATION {
        // SAFETY: as above.
        unsafe { (*event).signal_state = 0 };
    }
    result
}

/// Waits for `ready`; the status is the kernel's.
pub(super) fn wait_until(
    kernel: &Kernel,
    what: String,
    deadline: Result<Option<Time>, ()>,
    ready: impl Fn(&Kernel) -> bool + Clone + 'static,
) -> NtStatus {
    match deadline {
        Err(()) if ready(kernel) => status::SUCCESS,
        Err(()) => status::TIMEOUT,
        Ok(deadline) => match kernel.block(what, deadline, ready) {
            Woken::Ready => status::SUCCESS,
            Woken::TimedOut => status::TIMEOUT,
        },
    }
}

pub(super) fn delay(kernel: &Kernel, _mode: i8, _alertable: u8, interval: *const i64) -> NtStatus {
    match deadline(kernel, interval) {
        Ok(Some(end)) => {
            kernel.block("time to pass".to_owned(), Some(end), |_| false);
        }
        _ => kernel.pause(),
    }
    status::SUCCESS
}
