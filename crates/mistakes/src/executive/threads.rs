//! System threads, their handles and objects (C-04), and run-down protection (C-06).

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfpsim::Config;
use wfpsim::machine::Faults;

use super::base::IDLE;
use super::base::Work;
use super::base::run;
use super::base::run_whole;
use super::kernel::*;
use crate::Mistake;
use crate::makes;

/// The driver's worker: started in DriverEntry, ended and waited for at unload.
const WORKER: Work = Work {
    entry: start,
    unload: stop,
    ..IDLE
};

pub const THREADS: &[Mistake] = &[
    Mistake::always(
        "C-04-closed-first",
        "C-04",
        "closes the thread's handle before it references the object",
        |m| run_whole(m, WORKER),
    ),
    Mistake::always(
        "C-04-closed-twice",
        "C-04",
        "closes the thread's handle at start and at unload",
        |m| run_whole(m, WORKER),
    ),
    Mistake::always(
        "C-04-handle-left",
        "C-04",
        "never closes the thread's handle",
        |m| run_whole(m, WORKER),
    ),
    Mistake::always(
        "C-04-dereferenced-twice",
        "C-04",
        "gives one reference on the thread object back twice",
        |m| run_whole(m, WORKER),
    ),
    Mistake::always(
        "C-04-referenced-late",
        "C-04",
        "references the thread object by its pointer after the last reference is gone",
        |m| run_whole(m, WORKER),
    ),
    Mistake::always(
        "C-04-not-waited-for",
        "C-04",
        "tells its thread to end at unload and does not wait",
        |m| run_whole(m, WORKER),
    ),
    Mistake::sometimes(
        "C-04-waits-for-event",
        "C-04",
        "waits at unload for an event that the thread sets before it ends, and not for the thread",
        |m| run_whole(m, WORKER),
    ),
    Mistake::always(
        "C-04-user-mode",
        "C-04",
        "references the kernel's handle with AccessMode UserMode",
        |m| run_whole(m, WORKER),
    ),
    Mistake::always(
        "C-04-null-handle",
        "C-04",
        "does not look at the status of PsCreateSystemThread and references a null handle",
        |m| run_whole(m, WORKER),
    )
    .on(|config| failing(config, "PsCreateSystemThread")),
    Mistake::always(
        "C-04-reference-fails",
        "C-04",
        "leaves the thread running when its object cannot be referenced, and fails DriverEntry",
        |m| run_whole(m, WORKER),
    )
    .on(|config| failing(config, "ObReferenceObjectByHandle")),
    Mistake::always(
        "C-04-program's-handle",
        "C-04",
        "creates a thread in a program's request without OBJ_KERNEL_HANDLE",
        |m| run(m, from_a_request),
    ),
    Mistake::always(
        "C-04-ends-another's-thread",
        "C-04",
        "ends the thread of the program that asked, and not its own",
        |m| run(m, from_a_request),
    ),
    Mistake::always(
        "C-06-released-twice",
        "C-06",
        "releases run-down protection on the way out and once more",
        |m| run_whole(m, GUARDED),
    ),
    Mistake::always(
        "C-06-refusal-ignored",
        "C-06",
        "does not look at what acquiring run-down protection returns",
        |m| run_whole(m, GUARDED),
    ),
    Mistake::always(
        "C-06-not-released",
        "C-06",
        "forgets run-down protection on one way out; unload waits for ever",
        |m| run_whole(m, GUARDED),
    ),
];

/// A machine on which a function fails the first time.
fn failing(config: Config, function: &'static str) -> Config {
    Config {
        faults: Faults {
            fail_call: Some(1),
            functions: vec![function],
            ..Faults::default()
        },
        ..config
    }
}

thread_local! {
    static THREAD: Cell<*mut c_void> = const { Cell::new(null_mut()) };
    static HANDLE_OF_THREAD: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static STOP: Cell<PRKEVENT> = const { Cell::new(null_mut()) };
    static ENDED: Cell<PRKEVENT> = const { Cell::new(null_mut()) };
}

unsafe extern "C" fn worker(_context: *mut c_void) {
    wait(STOP.get());
    set(ENDED.get());
    let _status = unsafe { PsTerminateSystemThread(STATUS_SUCCESS) };
}

fn start() -> NTSTATUS {
    THREAD.set(null_mut());
    STOP.set(new_event(_EVENT_TYPE::NotificationEvent));
    ENDED.set(new_event(_EVENT_TYPE::NotificationEvent));
    let mut attributes = kernel_handle();
    let handle = start_thread(worker, &raw mut attributes);
    HANDLE_OF_THREAD.set(handle);
    if handle.is_null() && !makes("C-04-null-handle") {
        free(STOP.get());
        free(ENDED.get());
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if makes("C-04-closed-first") {
        let _status = unsafe { ZwClose(handle) };
    }
    let mode = i8::from(makes("C-04-user-mode"));
    let object = match reference(handle, mode) {
        Ok(object) => object,
        Err(status) => {
            if makes("C-04-reference-fails") {
                let _status = unsafe { ZwClose(handle) };
                free(STOP.get());
                free(ENDED.get());
                return status;
            }
            // The thread runs already: it is told to end, and waited for by its handle.
            set(STOP.get());
            unsafe {
                let _waited = ZwWaitForSingleObject(handle, 0, null_mut());
                let _closed = ZwClose(handle);
            }
            free(STOP.get());
            free(ENDED.get());
            return status;
        }
    };
    THREAD.set(object);
    if !makes("C-04-handle-left") {
        let _status = unsafe { ZwClose(handle) };
    }
    STATUS_SUCCESS
}

fn stop() {
    set(STOP.get());
    if makes("C-04-not-waited-for") {
        unsafe { ObfDereferenceObject(THREAD.get()) };
        free(STOP.get());
        free(ENDED.get());
        return;
    }
    if makes("C-04-waits-for-event") {
        wait(ENDED.get());
    } else {
        wait(THREAD.get());
    }
    unsafe { ObfDereferenceObject(THREAD.get()) };
    if makes("C-04-dereferenced-twice") {
        unsafe { ObfDereferenceObject(THREAD.get()) };
    }
    if makes("C-04-referenced-late") {
        unsafe { ObfReferenceObject(THREAD.get()) };
    }
    if makes("C-04-closed-twice") {
        let _status = unsafe { ZwClose(HANDLE_OF_THREAD.get()) };
    }
    free(STOP.get());
    free(ENDED.get());
}

unsafe extern "C" fn ends(_context: *mut c_void) {
    let _status = unsafe { PsTerminateSystemThread(STATUS_SUCCESS) };
}

/// A thread for one request.
fn from_a_request() {
    let mut attributes = kernel_handle();
    if makes("C-04-program's-handle") {
        attributes.Attributes = 0;
    }
    if makes("C-04-ends-another's-thread") {
        let _status = unsafe { PsTerminateSystemThread(STATUS_SUCCESS) };
    }
    let handle = start_thread(ends, &raw mut attributes);
    let object = reference(handle, 0).expect("a thread object");
    let _status = unsafe { ZwClose(handle) };
    wait(object);
    unsafe { ObfDereferenceObject(object) };
}

/// A driver whose requests run under run-down protection.
const GUARDED: Work = Work {
    entry: || {
        RUNDOWN.set(allocate(size_of::<EX_RUNDOWN_REF>()));
        unsafe { ExInitializeRundownProtection(RUNDOWN.get()) };
        STATUS_SUCCESS
    },
    request: guarded,
    unload: || {
        unsafe { ExWaitForRundownProtectionRelease(RUNDOWN.get()) };
        // What comes late, as a timer or a completion may, is refused.
        guarded();
        free(RUNDOWN.get());
    },
    ..IDLE
};

thread_local! {
    static RUNDOWN: Cell<PEX_RUNDOWN_REF> = const { Cell::new(null_mut()) };
}

fn guarded() {
    let entered = unsafe { ExAcquireRundownProtection(RUNDOWN.get()) } != 0;
    if !entered && !makes("C-06-refusal-ignored") {
        return;
    }
    if makes("C-06-not-released") {
        return;
    }
    unsafe { ExReleaseRundownProtection(RUNDOWN.get()) };
    if makes("C-06-released-twice") {
        unsafe { ExReleaseRundownProtection(RUNDOWN.get()) };
    }
}
