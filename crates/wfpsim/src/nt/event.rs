//! Events and waits.

use std::ffi::c_void;

use super::NtStatus;
use super::status;
use super::work_item;
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

/// Kinds of KOBJECTS whose signal one waiter takes: of an event, and of a timer.
const SYNCHRONIZATION: [u8; 2] = [1, TIMER_NOTIFICATION + 1];
const TIMER_NOTIFICATION: u8 = 8;

/// The dispatcher header's kind of a timer of a TIMER_TYPE.
pub(super) fn timer_kind(kind: i32) -> u8 {
    TIMER_NOTIFICATION + u8::from(kind != 0)
}

impl KEvent {
    /// Makes a header that will stand at a place.
    pub(super) fn make(&mut self, place: *mut Self, kind: u8, signalled: bool) {
        let list = place as usize + std::mem::offset_of!(Self, wait_list);
        *self = Self {
            kind,
            reserved: [0; 3],
            signal_state: i32::from(signalled),
            wait_list: [list; 2],
        };
    }

    /// Signals it, or takes the signal away.
    pub(super) fn set_signalled(&mut self, signalled: bool) {
        self.signal_state = i32::from(signalled);
    }
}

pub(super) fn initialize(kernel: &Kernel, event: *mut KEvent, kind: i32, state: u8) {
    super::require_resident(kernel, "KEVENT", event as usize);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { (*event).make(event, kind as u8, state != 0) };
}

/// Checks that the object was initialised where it stands.
pub(super) fn check(kernel: &Kernel, event: *mut KEvent) {
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
    kernel.running().must_wait.set(wait != 0);
    // SAFETY: `check` has just read it.
    unsafe { std::mem::replace(&mut (*event).signal_state, 1) }
}

pub(super) fn clear(kernel: &Kernel, event: *mut KEvent) {
    reset(kernel, event);
}

pub(super) fn reset(kernel: &Kernel, event: *mut KEvent) -> i32 {
    check(kernel, event);
    // SAFETY: `check` has just read it.
    unsafe { std::mem::replace(&mut (*event).signal_state, 0) }
}

pub(super) fn state(kernel: &Kernel, event: *mut KEvent) -> i32 {
    check(kernel, event);
    // SAFETY: `check` has just read it.
    unsafe { (*event).signal_state }
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

/// KPROCESSOR_MODE.
const USER_MODE: i8 = 1;

pub(super) fn wait(
    kernel: &Kernel,
    object: *mut c_void,
    _reason: i32,
    mode: i8,
    _alertable: u8,
    timeout: *const i64,
) -> NtStatus {
    let end = deadline(kernel, timeout);
    let level = u64::from(kernel.irql());
    if end.is_ok() && kernel.irql() > irql::APC {
        let summary = format!(
            "KeWaitForSingleObject was called at IRQL {level} with a timeout other than zero"
        );
        let subcode = if timeout.is_null() { 0x121 } else { 0x122 };
        let parameters = [level, object as u64, timeout as u64];
        kernel.bug_check(Violation::verifier(
            kernel, subcode, parameters, summary, "C.1",
        ));
    }
    if mode == USER_MODE && kernel.running().is_on_stack(object as usize) {
        let summary = format!(
            "KeWaitForSingleObject waits in UserMode for {object:p}, which is on the kernel stack: \
             a user-mode wait lets the stack be paged out"
        );
        let parameters = [object as u64, 0, 0];
        kernel.bug_check(Violation::verifier(
            kernel, 0x123, parameters, summary, "C-62",
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
        return wait_until_on(
            kernel,
            thread.object(),
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
    let result = wait_until_on(
        kernel,
        address,
        kernel.ledger.told(|| format!("event {address:#x}")),
        end,
        signalled,
    );
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    if result == status::SUCCESS && SYNCHRONIZATION.contains(&unsafe { (*event).kind }) {
        // SAFETY: as above.
        unsafe { (*event).signal_state = 0 };
    }
    result
}

/// Waits for `ready`, which the state of one object decides; the status is the kernel's.
pub(super) fn wait_until_on(
    kernel: &Kernel,
    object: usize,
    what: String,
    deadline: Result<Option<Time>, ()>,
    ready: impl Fn(&Kernel) -> bool + Clone + 'static,
) -> NtStatus {
    match deadline {
        Err(()) if ready(kernel) => status::SUCCESS,
        Err(()) => status::TIMEOUT,
        Ok(deadline) => match block(kernel, object, what, deadline, ready) {
            Woken::Ready => status::SUCCESS,
            Woken::TimedOut => status::TIMEOUT,
        },
    }
}

/// Blocks, but not a work item for long (C-05).
fn block(
    kernel: &Kernel,
    object: usize,
    what: String,
    deadline: Option<Time>,
    ready: impl Fn(&Kernel) -> bool + Clone + 'static,
) -> Woken {
    let limit =
        work_item::limit(kernel).filter(|limit| deadline.is_none_or(|deadline| deadline > *limit));
    let Some(limit) = limit else {
        return kernel.block_on(object, what, deadline, ready);
    };
    let told = what.clone();
    match kernel.block_on(object, what, Some(limit), ready) {
        Woken::Ready => Woken::Ready,
        Woken::TimedOut => work_item::waited_too_long(kernel, &told),
    }
}

pub(super) fn delay(kernel: &Kernel, _mode: i8, _alertable: u8, interval: *const i64) -> NtStatus {
    match deadline(kernel, interval) {
        Ok(Some(end)) => {
            block(
                kernel,
                crate::explore::EVERYTHING,
                "time to pass".to_owned(),
                Some(end),
                |_| false,
            );
        }
        _ => kernel.pause(),
    }
    status::SUCCESS
}
