//! In-stack queued spin locks: each acquisition has a KLOCK_QUEUE_HANDLE of its own, which nobody touches until the release (C-01).

use super::spinlock;
use super::spinlock::Acquisition;
use super::spinlock::Family;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::verifier::Violation;

/// KLOCK_QUEUE_HANDLE, of x64 and ARM64.
#[repr(C)]
pub struct KLockQueueHandle {
    /// LockQueue.Next.
    next: usize,
    /// LockQueue.Lock.
    lock: usize,
    old_irql: u8,
}

const _: () = assert!(size_of::<KLockQueueHandle>() == 24);

/// Stops: a handle is not what it was when the lock was acquired.
fn misused(kernel: &Kernel, handle: usize, lock: usize, summary: String) -> ! {
    let parameters = [handle as u64, lock as u64, 0, 0];
    let violation = Violation::contract(kernel, "C-01", parameters, summary);
    kernel.bug_check(violation.about_address(kernel, handle))
}

pub(super) fn acquire(kernel: &Kernel, lock: *mut usize, handle: *mut KLockQueueHandle) {
    acquire_with(kernel, lock, handle, false);
}

pub(super) fn acquire_at_dpc_level(
    kernel: &Kernel,
    lock: *mut usize,
    handle: *mut KLockQueueHandle,
) {
    acquire_with(kernel, lock, handle, true);
}

fn acquire_with(
    kernel: &Kernel,
    lock: *mut usize,
    handle: *mut KLockQueueHandle,
    at_dpc_level: bool,
) {
    let address = handle as usize;
    super::require_resident(kernel, "KLOCK_QUEUE_HANDLE", address);
    let used = kernel.nt.queue_handles.borrow().get(&address).copied();
    if let Some(other) = used {
        let summary = format!(
            "KLOCK_QUEUE_HANDLE {address:#x} was used to acquire spin lock {lock:p} while it holds {other:#x}: \
             each acquisition has one of its own"
        );
        misused(kernel, address, lock as usize, summary);
    }
    // Known before the wait: the kernel queues the handle itself.
    kernel
        .nt
        .queue_handles
        .borrow_mut()
        .insert(address, lock as usize);
    let how = Acquisition {
        family: Family::Queued,
        at_dpc_level,
        handle: address,
    };
    let old = spinlock::acquire_as(kernel, lock, how);
    let value = KLockQueueHandle {
        next: 0,
        lock: lock as usize,
        old_irql: old,
    };
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { handle.write(value) };
}

pub(super) fn release(kernel: &Kernel, handle: *mut KLockQueueHandle) {
    let level = kernel.irql();
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let value = unsafe { handle.read() };
    if level != irql::DISPATCH {
        spinlock::wrong_release_level(kernel, 0x36, level, value.lock);
    }
    release_with(kernel, handle as usize, &value, false);
}

pub(super) fn release_from_dpc_level(kernel: &Kernel, handle: *mut KLockQueueHandle) {
    let level = kernel.irql();
    // SAFETY: as above.
    let value = unsafe { handle.read() };
    if level < irql::DISPATCH {
        spinlock::wrong_release_level(kernel, 0x41, level, value.lock);
    }
    release_with(kernel, handle as usize, &value, true);
}

fn release_with(kernel: &Kernel, handle: usize, value: &KLockQueueHandle, from_dpc_level: bool) {
    let known = kernel.nt.queue_handles.borrow().get(&handle).copied();
    let lock = match known {
        Some(lock) if lock == value.lock => lock,
        Some(lock) => {
            let summary = format!(
                "KLOCK_QUEUE_HANDLE {handle:#x} was written to while it holds spin lock {lock:#x}"
            );
            misused(kernel, handle, lock, summary);
        }
        None if kernel
            .nt
            .queue_handles
            .borrow()
            .values()
            .any(|lock| *lock == value.lock && value.lock != 0) =>
        {
            let summary = format!(
                "spin lock {:#x} was released with KLOCK_QUEUE_HANDLE {handle:#x}, which is not the one it was acquired with",
                value.lock
            );
            misused(kernel, handle, value.lock, summary);
        }
        None => {
            let summary = format!(
                "KLOCK_QUEUE_HANDLE {handle:#x} was released although it holds no spin lock"
            );
            spinlock::deadlock_rule(kernel, 0x1007, handle, "C-02", summary);
        }
    };
    let held = spinlock::release_check(kernel, lock, Family::Queued);
    if held.old != value.old_irql {
        let summary = format!(
            "KLOCK_QUEUE_HANDLE {handle:#x} was written to while it holds spin lock {lock:#x}: OldIrql was {} and is {}",
            held.old, value.old_irql
        );
        misused(kernel, handle, lock, summary);
    }
    kernel.nt.queue_handles.borrow_mut().remove(&handle);
    let returned = from_dpc_level.then_some(irql::DISPATCH);
    spinlock::release_as(kernel, lock, Family::Queued, returned);
}
