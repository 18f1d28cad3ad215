//! The driver: two threads and what they share.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfpsim::Machine;
use wfpsim::driver::Linked;
use wfpsim::driver::Parameters;

use crate::driver::worker;

/// The tag of everything that the driver takes from pool.
const TAG: u32 = u32::from_le_bytes(*b"Race");

/// What the threads share. All zero at first, the events not signalled.
#[repr(C)]
pub struct Context {
    pub lock: KSPIN_LOCK,
    pub events: [KEVENT; 2],
    pub block: *mut u8,
    pub count: u32,
    pub ending: bool,
    threads: [PVOID; 2],
    /// How many of the threads have taken their number.
    begun: u32,
}

/// What a driver's threads do.
pub struct Threads {
    /// Before they begin.
    pub begin: fn(*mut Context),
    pub bodies: [unsafe fn(*mut Context); 2],
    /// At unload, before they are waited for.
    pub tell_to_end: fn(*mut Context),
}

thread_local! {
    /// What the driver on this host thread is to do, and its context.
    static THREADS: Cell<Option<&'static Threads>> = const { Cell::new(None) };
    static CONTEXT: Cell<*mut Context> = const { Cell::new(null_mut()) };
}

/// Loads the driver, lets its threads run, and unloads it.
pub fn run(machine: &Machine, threads: &'static Threads) {
    THREADS.set(Some(threads));
    let linked = Linked { entry };
    if machine.load_driver(linked, &Parameters::default()).is_ok() {
        machine.unload_driver();
    }
}

unsafe extern "system" fn entry(
    driver: *mut DRIVER_OBJECT,
    _path: *const UNICODE_STRING,
) -> NTSTATUS {
    unsafe {
        (*driver).DriverUnload = Some(unload);
        let context: *mut Context =
            ntddk::ExAllocatePool2(POOL_FLAG_NON_PAGED, size_of::<Context>() as u64, TAG).cast();
        if context.is_null() {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        CONTEXT.set(context);
        for event in &mut (*context).events {
            ntddk::KeInitializeEvent(event, _EVENT_TYPE::NotificationEvent, 0);
        }
        if let Some(threads) = THREADS.get() {
            (threads.begin)(context);
        }
        for index in 0..2 {
            let object = &raw mut (*context).threads[index];
            let status = worker::begin(body, context.cast(), object, |handle| {
                let _ended = ntddk::ZwWaitForSingleObject(handle, 0, null_mut());
            });
            if status != STATUS_SUCCESS {
                unload(driver);
                return status;
            }
        }
        STATUS_SUCCESS
    }
}

unsafe extern "C" fn body(context: *mut c_void) {
    let context: *mut Context = context.cast();
    unsafe {
        let mut number = 0;
        locked(context, || {
            number = (*context).begun as usize;
            (*context).begun += 1;
        });
        if let Some(threads) = THREADS.get() {
            threads.bodies[number % 2](context);
        }
        let _status = ntddk::PsTerminateSystemThread(STATUS_SUCCESS);
    }
}

unsafe extern "C" fn unload(_driver: *mut DRIVER_OBJECT) {
    let context = CONTEXT.replace(null_mut());
    unsafe {
        if let Some(threads) = THREADS.get() {
            (threads.tell_to_end)(context);
        }
        for thread in (*context).threads {
            if !thread.is_null() {
                wait(thread);
                ntddk::ObfDereferenceObject(thread);
            }
        }
        free(context.cast());
    }
}

/// A block of the driver's, all zero.
pub fn allocate() -> *mut u8 {
    unsafe { ntddk::ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TAG).cast() }
}

pub fn free(block: *mut u8) {
    unsafe { ntddk::ExFreePoolWithTag(block.cast(), TAG) };
}

/// Waits for ever.
pub fn wait(object: PVOID) {
    let _status =
        unsafe { ntddk::KeWaitForSingleObject(object, _KWAIT_REASON::Executive, 0, 0, null_mut()) };
}

/// Works under the context's lock.
///
/// # Safety
///
/// The context is alive.
pub unsafe fn locked(context: *mut Context, work: impl FnOnce()) {
    unsafe {
        let level = ntddk::KeAcquireSpinLockRaiseToDpc(&raw mut (*context).lock);
        work();
        ntddk::KeReleaseSpinLock(&raw mut (*context).lock, level);
    }
}
