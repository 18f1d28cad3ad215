//! The table C.1: each function of the executive called once as it may be, or at an IRQL that it does not allow.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;

use super::base::device_object;
use super::base::run;
use super::kernel::*;
use super::raised::DEVICE;
use super::raised::DISPATCH;
use super::raised::call;
use crate::Mistake;
use crate::driver::TAG;

macro_rules! table {
    ($($name:literal $what:literal;)*) => {
        /// A function, and that it is called too high.
        pub const LEVELS: &[Mistake] = &[
            $( Mistake::always(concat!("C.1-", $name, "-high"), "C.1", concat!("calls ", $name, $what), |m| run(m, everything)), )*
        ];
    };
}

table! {
    "PsCreateSystemThread" " at DISPATCH_LEVEL";
    "PsTerminateSystemThread" " at DISPATCH_LEVEL";
    "ObReferenceObjectByHandle" " at DISPATCH_LEVEL";
    "ZwClose" " at DISPATCH_LEVEL";
    "ZwWaitForSingleObject" " at DISPATCH_LEVEL";
    "KeFlushQueuedDpcs" " at DISPATCH_LEVEL";
    "KeWaitForSingleObject" " at DISPATCH_LEVEL without a timeout";
    "KeWaitForSingleObject-timeout" " at DISPATCH_LEVEL with a timeout";
    "KeWaitForSingleObject-look" " above DISPATCH_LEVEL with a timeout of zero";
    "KeDelayExecutionThread" " at DISPATCH_LEVEL";
    "KeEnterCriticalRegion" " at DISPATCH_LEVEL";
    "KeLeaveCriticalRegion" " at DISPATCH_LEVEL";
    "KeSetEvent-wait" " with Wait TRUE at DISPATCH_LEVEL";
    "ExInitializeRundownProtection" " at DISPATCH_LEVEL";
    "ExWaitForRundownProtectionRelease" " at DISPATCH_LEVEL";
    "ExAcquireRundownProtection" " above DISPATCH_LEVEL";
    "ExReleaseRundownProtection" " above DISPATCH_LEVEL";
    "KeAcquireSpinLockRaiseToDpc" " above DISPATCH_LEVEL";
    "KeReleaseSpinLock" " above DISPATCH_LEVEL";
    "KeAcquireInStackQueuedSpinLock" " above DISPATCH_LEVEL";
    "KeReleaseInStackQueuedSpinLock" " above DISPATCH_LEVEL";
    "KeSetEvent" " above DISPATCH_LEVEL";
    "KeClearEvent" " above DISPATCH_LEVEL";
    "KeResetEvent" " above DISPATCH_LEVEL";
    "KeReadStateEvent" " above DISPATCH_LEVEL";
    "KeRaiseIrqlToDpcLevel" " above DISPATCH_LEVEL";
    "ObfReferenceObject" " above DISPATCH_LEVEL";
    "ObfDereferenceObject" " above DISPATCH_LEVEL";
    "ExAllocatePool2" " above DISPATCH_LEVEL";
    "ExFreePoolWithTag" " above DISPATCH_LEVEL";
    "IoAllocateWorkItem" " above DISPATCH_LEVEL";
    "IoQueueWorkItem" " above DISPATCH_LEVEL";
    "IoFreeWorkItem" " above DISPATCH_LEVEL";
    "KeInitializeTimer" " above DISPATCH_LEVEL";
    "KeSetTimer" " above DISPATCH_LEVEL";
    "KeCancelTimer" " above DISPATCH_LEVEL";
}

thread_local! {
    static GO: Cell<PRKEVENT> = const { Cell::new(null_mut()) };
}

fn everything() {
    GO.set(new_event(_EVENT_TYPE::NotificationEvent));
    threads();
    events();
    locks();
    rundown();
    deferred();
    free(GO.get());
}

unsafe extern "C" fn thread(_context: *mut c_void) {
    wait(GO.get());
    let _status = call!(DISPATCH PsTerminateSystemThread(STATUS_SUCCESS));
}

fn threads() {
    let mut attributes = kernel_handle();
    let (mut handle, mut object) = (null_mut(), null_mut());
    let _created = call!(DISPATCH PsCreateSystemThread(
        &raw mut handle,
        THREAD_ALL_ACCESS,
        &raw mut attributes,
        null_mut(),
        null_mut(),
        Some(thread),
        null_mut(),
    ));
    let _referenced = call!(DISPATCH ObReferenceObjectByHandle(
        handle,
        THREAD_ALL_ACCESS,
        null_mut(),
        0,
        &raw mut object,
        null_mut(),
    ));
    call!(DEVICE ObfReferenceObject(object));
    set(GO.get());
    let _waited = call!(DISPATCH ZwWaitForSingleObject(handle, 0, null_mut()));
    let _closed = call!(DISPATCH ZwClose(handle));
    wait(object);
    call!(DEVICE ObfDereferenceObject(object));
    unsafe { ObfDereferenceObject(object) };
}

fn events() {
    let event = new_event(_EVENT_TYPE::NotificationEvent);
    let (mut soon, mut now) = (
        LARGE_INTEGER { QuadPart: -1 },
        LARGE_INTEGER { QuadPart: 0 },
    );
    let (reason, object) = (_KWAIT_REASON::Executive, event.cast());
    call!(DEVICE KeClearEvent(event));
    call!(DEVICE KeResetEvent(event));
    call!(DEVICE KeSetEvent(event, 0, 0));
    call!(DEVICE KeReadStateEvent(event));
    call!(DISPATCH "C.1-KeSetEvent-wait-high"; KeSetEvent(event, 0, 1));
    wait(event);
    let _waited = call!(DISPATCH KeWaitForSingleObject(object, reason, 0, 0, null_mut()));
    let _waited = call!(DISPATCH "C.1-KeWaitForSingleObject-timeout-high"; KeWaitForSingleObject(object, reason, 0, 0, &raw mut soon));
    let _waited = call!(DEVICE "C.1-KeWaitForSingleObject-look-high"; KeWaitForSingleObject(object, reason, 0, 0, &raw mut now));
    let _slept = call!(DISPATCH KeDelayExecutionThread(0, 0, &raw mut soon));
    call!(DISPATCH KeEnterCriticalRegion());
    call!(DISPATCH KeLeaveCriticalRegion());
    free(event);
}

fn locks() {
    let (lock, queued) = (new_lock(), new_lock());
    let old = call!(DEVICE KeAcquireSpinLockRaiseToDpc(lock));
    call!(DEVICE KeReleaseSpinLock(lock, old));
    let mut handle = KLOCK_QUEUE_HANDLE::default();
    call!(DEVICE KeAcquireInStackQueuedSpinLock(queued, &raw mut handle));
    call!(DEVICE KeReleaseInStackQueuedSpinLock(&raw mut handle));
    let old = call!(DEVICE KeRaiseIrqlToDpcLevel());
    unsafe { KeLowerIrql(old) };
    free(lock);
    free(queued);
}

fn rundown() {
    let size = size_of::<EX_RUNDOWN_REF>() as u64;
    let block = call!(DEVICE ExAllocatePool2(POOL_FLAG_NON_PAGED, size, TAG));
    let rundown: PEX_RUNDOWN_REF = block.cast();
    call!(DISPATCH ExInitializeRundownProtection(rundown));
    call!(DEVICE ExAcquireRundownProtection(rundown));
    call!(DEVICE ExReleaseRundownProtection(rundown));
    call!(DISPATCH ExWaitForRundownProtectionRelease(rundown));
    call!(DEVICE ExFreePoolWithTag(block, TAG));
}

unsafe extern "C" fn work(_device: *mut c_void, event: *mut c_void) {
    set(event.cast());
}

fn deferred() {
    let done = new_event(_EVENT_TYPE::NotificationEvent);
    let timer = allocate(size_of::<KTIMER>());
    let device = device_object();
    let item = call!(DEVICE IoAllocateWorkItem(device));
    call!(DEVICE IoQueueWorkItem(item, work, DELAYED, done.cast()));
    wait(done);
    call!(DEVICE IoFreeWorkItem(item));
    call!(DEVICE KeInitializeTimer(timer));
    call!(DEVICE KeSetTimer(timer, -MILLISECOND, null_mut()));
    call!(DEVICE KeCancelTimer(timer));
    call!(DISPATCH KeFlushQueuedDpcs());
    free(timer);
    free(done);
}
