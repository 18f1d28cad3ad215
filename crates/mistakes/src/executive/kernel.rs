//! Functions of ntoskrnl.exe that Tollgate does not use, as these drivers declare them, and the few lines that each of them needs.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use wdk_sys_portable::HANDLE;
use wdk_sys_portable::KIRQL;
use wdk_sys_portable::PKSPIN_LOCK;
use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;

use crate::driver::TAG;

/// KDPC and KTIMER, which are the kernel's own inside.
#[repr(C, align(8))]
pub struct Opaque([u64; 8]);
impl Opaque {
    pub const fn zeroed() -> Self {
        Self([0; 8])
    }
}

#[allow(clippy::upper_case_acronyms, reason = "the kernel's name")]
pub type KDPC = Opaque;
#[allow(clippy::upper_case_acronyms, reason = "the kernel's name")]
pub type KTIMER = Opaque;

/// An ordinary timer's and a work item's routines.
pub type DpcRoutine = unsafe extern "C" fn(*mut KDPC, *mut c_void, *mut c_void, *mut c_void);
pub type WorkRoutine = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// WORK_QUEUE_TYPE: DelayedWorkQueue.
pub const DELAYED: i32 = 1;

unsafe extern "C" {
    pub fn KeInitializeSpinLock(lock: PKSPIN_LOCK);
    pub fn KfRaiseIrql(level: KIRQL) -> KIRQL;
    pub fn KeRaiseIrqlToDpcLevel() -> KIRQL;
    pub fn KeLowerIrql(level: KIRQL);
    pub fn KeEnterCriticalRegion();
    pub fn KeLeaveCriticalRegion();
    pub fn KeResetEvent(event: PRKEVENT) -> i32;
    pub fn KeReadStateEvent(event: PRKEVENT) -> i32;
    pub fn KeInitializeDpc(dpc: *mut KDPC, routine: DpcRoutine, context: *mut c_void);
    pub fn KeSetTargetProcessorDpc(dpc: *mut KDPC, number: i8);
    pub fn KeInsertQueueDpc(dpc: *mut KDPC, one: *mut c_void, two: *mut c_void) -> u8;
    pub fn KeFlushQueuedDpcs();
    pub fn KeInitializeTimer(timer: *mut KTIMER);
    pub fn KeSetTimer(timer: *mut KTIMER, due: i64, dpc: *mut KDPC) -> u8;
    pub fn KeCancelTimer(timer: *mut KTIMER) -> u8;
    pub fn IoAllocateWorkItem(device: PDEVICE_OBJECT) -> *mut c_void;
    pub fn IoQueueWorkItem(
        item: *mut c_void,
        routine: WorkRoutine,
        queue: i32,
        context: *mut c_void,
    );
    pub fn IoFreeWorkItem(item: *mut c_void);
    pub fn ObfReferenceObject(object: *mut c_void) -> isize;
}

/// Units of a KeDelayExecutionThread in a millisecond.
pub const MILLISECOND: i64 = 10_000;

/// Non-paged pool, zeroed.
pub fn allocate<T>(size: usize) -> *mut T {
    allocate_as(POOL_FLAG_NON_PAGED, size)
}

/// Pool with these flags.
pub fn allocate_as<T>(flags: u64, size: usize) -> *mut T {
    unsafe { ExAllocatePool2(flags, size as u64, TAG) }.cast()
}

/// Gives pool back.
pub fn free<T>(block: *mut T) {
    unsafe { ExFreePoolWithTag(block.cast(), TAG) };
}

/// A spin lock in pool, initialised.
pub fn new_lock() -> PKSPIN_LOCK {
    let lock = allocate(size_of::<KSPIN_LOCK>());
    unsafe { KeInitializeSpinLock(lock) };
    lock
}

pub fn acquire(lock: PKSPIN_LOCK) -> KIRQL {
    unsafe { KeAcquireSpinLockRaiseToDpc(lock) }
}

pub fn release(lock: PKSPIN_LOCK, old: KIRQL) {
    unsafe { KeReleaseSpinLock(lock, old) };
}

/// An event in pool, not signalled. One waiter takes its signal if it is a synchronization event.
pub fn new_event(kind: EVENT_TYPE) -> PRKEVENT {
    let event: PRKEVENT = allocate(size_of::<KEVENT>());
    unsafe { KeInitializeEvent(event, kind, 0) };
    event
}

pub fn set(event: PRKEVENT) {
    unsafe { KeSetEvent(event, 0, 0) };
}

/// Waits for an event or a thread object without end.
pub fn wait<T>(object: *mut T) -> NTSTATUS {
    unsafe {
        KeWaitForSingleObject(
            object.cast(),
            _KWAIT_REASON::Executive,
            0,
            0,
            std::ptr::null_mut(),
        )
    }
}

pub fn sleep(milliseconds: i64) {
    let mut interval = LARGE_INTEGER {
        QuadPart: -milliseconds * MILLISECOND,
    };
    unsafe { KeDelayExecutionThread(0, 0, &raw mut interval) };
}

/// Kernel calls are where other threads run.
pub fn linger() {
    for _ in 0..50 {
        let _level = unsafe { KeGetCurrentIrql() };
    }
}

/// OBJECT_ATTRIBUTES that make a handle the kernel's own.
pub fn kernel_handle() -> OBJECT_ATTRIBUTES {
    OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        Attributes: OBJ_KERNEL_HANDLE,
        ..Default::default()
    }
}

pub type ThreadRoutine = unsafe extern "C" fn(*mut c_void);

/// Starts a system thread. A null handle if it could not be.
pub fn start_thread(routine: ThreadRoutine, attributes: POBJECT_ATTRIBUTES) -> HANDLE {
    let mut handle = std::ptr::null_mut();
    let _status = unsafe {
        PsCreateSystemThread(
            &raw mut handle,
            THREAD_ALL_ACCESS,
            attributes,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            Some(routine),
            std::ptr::null_mut(),
        )
    };
    handle
}

/// The object behind a handle, referenced; or the status.
pub fn reference(handle: HANDLE, mode: i8) -> Result<*mut c_void, NTSTATUS> {
    let mut object = MaybeUninit::uninit();
    let status = unsafe {
        ObReferenceObjectByHandle(
            handle,
            THREAD_ALL_ACCESS,
            std::ptr::null_mut(),
            mode,
            object.as_mut_ptr(),
            std::ptr::null_mut(),
        )
    };
    if status == STATUS_SUCCESS {
        Ok(unsafe { object.assume_init() })
    } else {
        Err(status)
    }
}
