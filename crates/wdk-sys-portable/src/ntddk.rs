//! Functions of ntddk.h and ntifs.h, exported by ntoskrnl.exe.
//!
//! On Windows they are imported from ntoskrnl.exe by name, which takes no import library. On other systems they are plain symbols
//! that the simulator defines. IRQL limits and contracts are those of the WDK's documentation; this module only declares.

use crate::*;

#[cfg_attr(
    windows,
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "C" {
    /// Prints to the kernel debugger. IRQL ≤ DIRQL for plain text.
    pub fn DbgPrint(Format: PCSTR, ...) -> ULONG;

    /// Takes memory from pool, zeroed unless asked otherwise; null when there is none.
    pub fn ExAllocatePool2(Flags: POOL_FLAGS, NumberOfBytes: SIZE_T, Tag: ULONG) -> PVOID;
    /// Gives pool memory back. A tag of 0 fits any allocation.
    pub fn ExFreePoolWithTag(P: PVOID, Tag: ULONG);

    /// Takes a spin lock and raises to DISPATCH_LEVEL; returns the IRQL to go back to.
    pub fn KeAcquireSpinLockRaiseToDpc(SpinLock: PKSPIN_LOCK) -> KIRQL;
    /// Releases a spin lock and lowers to the IRQL that taking it returned.
    pub fn KeReleaseSpinLock(SpinLock: PKSPIN_LOCK, NewIrql: KIRQL);
    /// Takes a spin lock at DISPATCH_LEVEL, where the caller already is.
    pub fn KeAcquireSpinLockAtDpcLevel(SpinLock: PKSPIN_LOCK);
    /// Takes a spin lock at DISPATCH_LEVEL if nobody holds it; TRUE if so.
    pub fn KeTryToAcquireSpinLockAtDpcLevel(SpinLock: PKSPIN_LOCK) -> BOOLEAN;
    /// Releases a spin lock that was taken at DISPATCH_LEVEL.
    pub fn KeReleaseSpinLockFromDpcLevel(SpinLock: PKSPIN_LOCK);
    /// Takes an in-stack queued spin lock with a handle that nobody touches until the release, and raises to DISPATCH_LEVEL.
    pub fn KeAcquireInStackQueuedSpinLock(SpinLock: PKSPIN_LOCK, LockHandle: PKLOCK_QUEUE_HANDLE);
    /// Releases an in-stack queued spin lock and goes back to the IRQL before it.
    pub fn KeReleaseInStackQueuedSpinLock(LockHandle: PKLOCK_QUEUE_HANDLE);
    /// Takes an in-stack queued spin lock at DISPATCH_LEVEL, where the caller already is.
    pub fn KeAcquireInStackQueuedSpinLockAtDpcLevel(
        SpinLock: PKSPIN_LOCK,
        LockHandle: PKLOCK_QUEUE_HANDLE,
    );
    /// Releases an in-stack queued spin lock that was taken at DISPATCH_LEVEL.
    pub fn KeReleaseInStackQueuedSpinLockFromDpcLevel(LockHandle: PKLOCK_QUEUE_HANDLE);
    /// The current IRQL.
    pub fn KeGetCurrentIrql() -> KIRQL;

    /// Makes an event.
    pub fn KeInitializeEvent(Event: PRKEVENT, Type: EVENT_TYPE, State: BOOLEAN);
    /// Signals an event; returns its former state.
    pub fn KeSetEvent(Event: PRKEVENT, Increment: KPRIORITY, Wait: BOOLEAN) -> LONG;
    /// Puts an event back to not signalled.
    pub fn KeClearEvent(Event: PRKEVENT);
    /// Waits for a dispatcher object. A null timeout waits for ever; a negative one is relative, in 100 ns units.
    pub fn KeWaitForSingleObject(
        Object: PVOID,
        WaitReason: KWAIT_REASON,
        WaitMode: KPROCESSOR_MODE,
        Alertable: BOOLEAN,
        Timeout: PLARGE_INTEGER,
    ) -> NTSTATUS;
    /// Sleeps. A negative interval is relative, in 100 ns units.
    pub fn KeDelayExecutionThread(
        WaitMode: KPROCESSOR_MODE,
        Alertable: BOOLEAN,
        Interval: PLARGE_INTEGER,
    ) -> NTSTATUS;
    /// Interrupt time in 100 ns units; the performance counter's reading goes to the pointer.
    pub fn KeQueryInterruptTimePrecise(QpcTimeStamp: PULONG64) -> ULONG64;

    /// Starts a system thread; its handle goes to the first argument.
    pub fn PsCreateSystemThread(
        ThreadHandle: PHANDLE,
        DesiredAccess: ULONG,
        ObjectAttributes: POBJECT_ATTRIBUTES,
        ProcessHandle: HANDLE,
        ClientId: PCLIENT_ID,
        StartRoutine: PKSTART_ROUTINE,
        StartContext: PVOID,
    ) -> NTSTATUS;
    /// Ends the current system thread; does not return on success.
    pub fn PsTerminateSystemThread(ExitStatus: NTSTATUS) -> NTSTATUS;

    /// Takes a reference on the object behind a handle.
    pub fn ObReferenceObjectByHandle(
        Handle: HANDLE,
        DesiredAccess: ACCESS_MASK,
        ObjectType: POBJECT_TYPE,
        AccessMode: KPROCESSOR_MODE,
        Object: *mut PVOID,
        HandleInformation: POBJECT_HANDLE_INFORMATION,
    ) -> NTSTATUS;
    /// Gives a reference back; returns the count that is left, for debugging only.
    pub fn ObfDereferenceObject(Object: PVOID) -> LONG_PTR;
    /// Closes a handle.
    pub fn ZwClose(Handle: HANDLE) -> NTSTATUS;
    /// Waits for the object behind a handle.
    pub fn ZwWaitForSingleObject(
        Handle: HANDLE,
        Alertable: BOOLEAN,
        Timeout: PLARGE_INTEGER,
    ) -> NTSTATUS;

    /// Makes run-down protection.
    pub fn ExInitializeRundownProtection(RunRef: PEX_RUNDOWN_REF);
    /// Enters; FALSE once the wait has begun.
    pub fn ExAcquireRundownProtection(RunRef: PEX_RUNDOWN_REF) -> BOOLEAN;
    /// Leaves.
    pub fn ExReleaseRundownProtection(RunRef: PEX_RUNDOWN_REF);
    /// Closes the entrance and waits until everyone has left.
    pub fn ExWaitForRundownProtectionRelease(RunRef: PEX_RUNDOWN_REF);

    /// Brings the system down.
    pub fn KeBugCheckEx(
        BugCheckCode: ULONG,
        BugCheckParameter1: ULONG_PTR,
        BugCheckParameter2: ULONG_PTR,
        BugCheckParameter3: ULONG_PTR,
        BugCheckParameter4: ULONG_PTR,
    ) -> !;
}

/// Gives pool memory back whatever its tag.
///
/// The headers of today turn this name into [`ExFreePoolWithTag`] with tag 0; so does this crate, and needs one import less.
///
/// # Safety
///
/// As for [`ExFreePoolWithTag`]: `P` came from pool and is not used again. IRQL ≤ DISPATCH_LEVEL for non-paged pool.
#[inline]
pub unsafe fn ExFreePool(P: PVOID) {
    // SAFETY: the caller's promise is the callee's, and tag 0 matches every allocation.
    unsafe { ExFreePoolWithTag(P, 0) }
}
