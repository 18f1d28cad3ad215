//! System threads: threads of the host.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use nt::sys;

use crate::object::Waitable;

/// A thread object. Freed with the last of its references: the handle's, the thread's own, and those taken besides.
#[repr(C)]
struct Thread {
    ended: Waitable,
    references: AtomicUsize,
}

thread_local! {
    static NO_OBJECT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`, in which this thread gets no references on thread objects.
pub fn without_a_thread_object<R>(body: impl FnOnce() -> R) -> R {
    NO_OBJECT.set(true);
    let result = body();
    NO_OBJECT.set(false);
    result
}

fn dereference(object: *mut c_void) -> usize {
    // SAFETY: The caller has one of the references.
    let thread = unsafe { &*object.cast::<Thread>() };
    let before = thread.references.fetch_sub(1, Ordering::AcqRel);
    if before == 1 {
        // SAFETY: That was the last reference, to what `PsCreateSystemThread` made a box of.
        drop(unsafe { Box::from_raw(object.cast::<Thread>()) });
    }
    before - 1
}

/// A pointer that goes to another thread.
struct Sent(*mut c_void);

// SAFETY: To a thread object, or to the context that is the new thread's from now on.
unsafe impl Send for Sent {}

#[unsafe(no_mangle)]
extern "C" fn PsCreateSystemThread(
    handle: *mut sys::HANDLE,
    _access: u32,
    _attributes: *mut sys::OBJECT_ATTRIBUTES,
    _process: sys::HANDLE,
    _client: *mut sys::CLIENT_ID,
    routine: sys::PKSTART_ROUTINE,
    context: *mut c_void,
) -> i32 {
    let object = Box::into_raw(Box::new(Thread {
        ended: Waitable::lasting(),
        references: AtomicUsize::new(2),
    }));
    let (routine, context) = (routine.expect("a routine"), Sent(context));
    let own = Sent(object.cast());
    crate::host::begin_alone(move || {
        // The whole of each, and not only the pointer in it.
        let (Sent(own), Sent(context)) = ({ own }, { context });
        // SAFETY: The routine takes this context, once.
        unsafe { routine(context) };
        // SAFETY: This thread has a reference on its object.
        unsafe { &*own.cast::<Thread>() }.ended.set();
        dereference(own);
    });
    // SAFETY: The caller's variable.
    unsafe { *handle = object.cast() };
    0
}

#[unsafe(no_mangle)]
extern "C" fn ObReferenceObjectByHandle(
    handle: sys::HANDLE,
    _access: u32,
    _kind: *mut c_void,
    _mode: sys::KPROCESSOR_MODE,
    object: *mut sys::PVOID,
    _information: *mut sys::OBJECT_HANDLE_INFORMATION,
) -> i32 {
    const INSUFFICIENT_RESOURCES: u32 = 0xC000_009A;
    if NO_OBJECT.get() {
        return INSUFFICIENT_RESOURCES.cast_signed();
    }
    // SAFETY: A handle is the object's address, and has a reference on it.
    let thread = unsafe { &*handle.cast::<Thread>() };
    thread.references.fetch_add(1, Ordering::Relaxed);
    // SAFETY: The caller's variable.
    unsafe { *object = handle };
    0
}

#[unsafe(no_mangle)]
extern "C" fn ObfDereferenceObject(object: *mut c_void) -> isize {
    dereference(object).cast_signed()
}

#[unsafe(no_mangle)]
extern "C" fn ZwClose(handle: sys::HANDLE) -> i32 {
    dereference(handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn ZwWaitForSingleObject(
    handle: sys::HANDLE,
    alertable: sys::BOOLEAN,
    timeout: *mut sys::LARGE_INTEGER,
) -> i32 {
    // SAFETY: The handle is the object's address and is open.
    unsafe {
        sys::ntddk::KeWaitForSingleObject(
            handle,
            sys::_KWAIT_REASON::Executive,
            0,
            alertable,
            timeout,
        )
    }
}
