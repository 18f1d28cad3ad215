//! In-stack queued spin locks (C-01), and locks taken or released at a level too low for them (C.1).

use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;

use super::base::in_dpc;
use super::base::run;
use super::kernel::*;
use crate::Mistake;
use crate::makes;

pub const QUEUED: &[Mistake] = &[
    Mistake::always(
        "C-01-handle-shared",
        "C-01",
        "acquires two queued spin locks with one handle",
        |m| run(m, queued),
    ),
    Mistake::always(
        "C-01-handle-written",
        "C-01",
        "clears the handle of a queued spin lock that it holds",
        |m| run(m, queued),
    ),
    Mistake::always(
        "C-01-handle-copied",
        "C-01",
        "releases a queued spin lock with a copy of its handle",
        |m| run(m, queued),
    ),
    Mistake::always(
        "C-01-acquired-as-ordinary",
        "C-01",
        "acquires a queued spin lock with the ordinary function",
        |m| run(m, queued),
    ),
    Mistake::always(
        "C-01-released-as-ordinary",
        "C-01",
        "releases a queued spin lock with the ordinary function",
        |m| run(m, queued),
    ),
    Mistake::always(
        "C-02-queued-released-twice",
        "C-02",
        "releases a queued spin lock twice",
        |m| run(m, queued),
    ),
    Mistake::always(
        "C.1-KeAcquireSpinLockAtDpcLevel-low",
        "C.1",
        "acquires a spin lock AtDpcLevel at PASSIVE_LEVEL",
        |m| run(m, || in_dpc_or_not(at_dpc_level)),
    ),
    Mistake::always(
        "C.1-KeReleaseSpinLockFromDpcLevel-low",
        "C.1",
        "releases a spin lock FromDpcLevel at PASSIVE_LEVEL",
        |m| run(m, || in_dpc_or_not(at_dpc_level)),
    ),
    Mistake::always(
        "C.1-KeAcquireInStackQueuedSpinLockAtDpcLevel-low",
        "C.1",
        "acquires a queued spin lock AtDpcLevel at PASSIVE_LEVEL",
        |m| run(m, || in_dpc_or_not(queued_at_dpc_level)),
    ),
    Mistake::always(
        "C.1-KeReleaseInStackQueuedSpinLockFromDpcLevel-low",
        "C.1",
        "releases a queued spin lock FromDpcLevel at PASSIVE_LEVEL",
        |m| run(m, || in_dpc_or_not(queued_at_dpc_level)),
    ),
    Mistake::always(
        "C.1-KeReleaseSpinLock-low",
        "C.1",
        "releases a spin lock once more when it is back at PASSIVE_LEVEL",
        |m| run(m, lowered),
    ),
    Mistake::always(
        "C.1-KeReleaseInStackQueuedSpinLock-low",
        "C.1",
        "releases a queued spin lock at PASSIVE_LEVEL that it never acquired",
        |m| run(m, lowered),
    ),
];

fn queued() {
    let (one, other) = (new_lock(), new_lock());
    let (mut outer, mut inner) = (KLOCK_QUEUE_HANDLE::default(), KLOCK_QUEUE_HANDLE::default());
    unsafe {
        KeAcquireInStackQueuedSpinLock(one, &raw mut outer);
        if makes("C-01-handle-shared") {
            KeAcquireInStackQueuedSpinLock(other, &raw mut outer);
        }
        KeAcquireInStackQueuedSpinLock(other, &raw mut inner);
        if makes("C-01-handle-written") {
            inner = KLOCK_QUEUE_HANDLE::default();
        }
        if makes("C-01-handle-copied") {
            let mut copy = inner;
            KeReleaseInStackQueuedSpinLock(&raw mut copy);
        }
        if makes("C-01-released-as-ordinary") {
            release(other, inner.OldIrql);
        }
        KeReleaseInStackQueuedSpinLock(&raw mut inner);
        if makes("C-02-queued-released-twice") {
            KeReleaseInStackQueuedSpinLock(&raw mut inner);
        }
        KeReleaseInStackQueuedSpinLock(&raw mut outer);
        if makes("C-01-acquired-as-ordinary") {
            release(one, acquire(one));
        }
    }
    free(one);
    free(other);
}

/// What is written for DISPATCH_LEVEL, called there; or at PASSIVE_LEVEL, where nobody thought that it could be.
fn in_dpc_or_not(work: fn()) {
    let low = [
        "C.1-KeAcquireSpinLockAtDpcLevel-low",
        "C.1-KeAcquireInStackQueuedSpinLockAtDpcLevel-low",
    ];
    if low.into_iter().any(makes) {
        work();
    } else {
        in_dpc(work);
    }
    if makes("C.1-KeReleaseSpinLockFromDpcLevel-low") {
        unsafe { KeReleaseSpinLockFromDpcLevel(new_lock()) };
    }
    if makes("C.1-KeReleaseInStackQueuedSpinLockFromDpcLevel-low") {
        let mut handle = KLOCK_QUEUE_HANDLE::default();
        unsafe { KeReleaseInStackQueuedSpinLockFromDpcLevel(&raw mut handle) };
    }
}

fn at_dpc_level() {
    let lock = new_lock();
    unsafe {
        KeAcquireSpinLockAtDpcLevel(lock);
        KeReleaseSpinLockFromDpcLevel(lock);
    }
    free(lock);
}

fn queued_at_dpc_level() {
    let (lock, mut handle) = (new_lock(), KLOCK_QUEUE_HANDLE::default());
    unsafe {
        KeAcquireInStackQueuedSpinLockAtDpcLevel(lock, &raw mut handle);
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&raw mut handle);
    }
    free(lock);
}

/// Releases at DISPATCH_LEVEL, where acquiring has left it.
fn lowered() {
    let (lock, mut handle) = (new_lock(), KLOCK_QUEUE_HANDLE::default());
    let old = acquire(lock);
    release(lock, old);
    if makes("C.1-KeReleaseSpinLock-low") {
        release(lock, old);
    }
    if makes("C.1-KeReleaseInStackQueuedSpinLock-low") {
        unsafe { KeReleaseInStackQueuedSpinLock(&raw mut handle) };
    }
    let other = new_lock();
    unsafe {
        KeAcquireInStackQueuedSpinLock(other, &raw mut handle);
        KeReleaseInStackQueuedSpinLock(&raw mut handle);
    }
    free(lock);
    free(other);
}
