//! Framework spin locks: a kernel spin lock that remembers the level to go back to.

use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::WDFSPINLOCK;

use super::object;
use super::object::Kind;
use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::nt::NtStatus;
use crate::nt::status;

/// A lock. Its word is the first of its handle's block.
pub(super) struct SpinLock {
    /// Who holds it, and at which level that thread was before.
    holder: Option<(ThreadId, u8)>,
}

pub(super) fn create(
    kernel: &Kernel,
    attributes: PWDF_OBJECT_ATTRIBUTES,
    lock: *mut WDFSPINLOCK,
) -> NtStatus {
    super::require_parameter(kernel, "WdfSpinLockCreate", "SpinLock", lock.cast());
    let attributes = match object::attributes(attributes) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if kernel.fails("WdfSpinLockCreate") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let parent = object::parent(
        kernel,
        "WdfSpinLockCreate",
        &attributes,
        kernel.wdf.driver.get(),
    );
    let handle = object::insert(
        kernel,
        Kind::SpinLock(SpinLock { holder: None }),
        Some(parent),
        attributes,
    );
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { lock.write(handle as WDFSPINLOCK) };
    status::SUCCESS
}

pub(super) fn acquire(kernel: &Kernel, lock: WDFSPINLOCK) {
    object::with::<SpinLock, _>(kernel, "WdfSpinLockAcquire", lock as usize, |_| ());
    // SAFETY: the handle's block holds the lock's word and is alive.
    let before = unsafe { crate::nt::KeAcquireSpinLockRaiseToDpc(lock.cast()) };
    let thread = kernel.running().id;
    object::find::<SpinLock, _>(kernel, lock as usize, |lock| {
        lock.holder = Some((thread, before))
    });
}

pub(super) fn release(kernel: &Kernel, lock: WDFSPINLOCK) {
    let thread = kernel.running().id;
    let holder = object::with::<SpinLock, _>(kernel, "WdfSpinLockRelease", lock as usize, |lock| {
        lock.holder
    });
    let Some((_, before)) = holder.filter(|(holder, _)| *holder == thread) else {
        let summary = format!(
            "WdfSpinLockRelease was given WDFSPINLOCK {lock:p}, which this thread does not hold"
        );
        kernel.bug_check(super::violation(
            kernel,
            super::WDF_INVALID_LOCK_OPERATION,
            lock as u64,
            "C-02",
            summary,
        ));
    };
    object::find::<SpinLock, _>(kernel, lock as usize, |lock| lock.holder = None);
    // SAFETY: as in `acquire`; this thread holds it.
    unsafe { crate::nt::KeReleaseSpinLock(lock.cast(), before) };
}
