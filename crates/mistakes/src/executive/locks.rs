//! Spin locks: C-02, C-01, and the levels that they need.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfpsim::Config;

use super::base::IDLE;
use super::base::Work;
use super::base::in_dpc;
use super::base::on_thread;
use super::base::run;
use super::base::run_whole;
use super::kernel::*;
use crate::Mistake;
use crate::driver::TAG;
use crate::makes;

pub const LOCKS: &[Mistake] = &[
    Mistake::always(
        "C-02-recursion",
        "C-02",
        "acquires a spin lock that it holds",
        |m| run(m, two_locks),
    ),
    Mistake::always(
        "C-02-release-order",
        "C-02",
        "releases the outer of two spin locks first",
        |m| run(m, two_locks),
    ),
    Mistake::always(
        "C-02-released-twice",
        "C-02",
        "releases a spin lock twice",
        |m| run(m, two_locks),
    ),
    Mistake::always(
        "C-02-initialised-twice",
        "C-02",
        "initialises a spin lock again before each use",
        |m| run(m, two_locks),
    ),
    Mistake::always(
        "C-02-initialised-while-held",
        "C-02",
        "clears the structure that a held spin lock lies in",
        |m| run(m, two_locks),
    ),
    Mistake::always(
        "C-02-returns-with-lock",
        "C-02",
        "returns early from a callback and forgets the spin lock",
        |m| run_whole(m, AT_UNLOAD),
    ),
    Mistake::always(
        "C-02-dpc-returns-with-lock",
        "C-02",
        "returns early from a DPC and forgets the spin lock",
        |m| run(m, || in_dpc(one_lock)),
    ),
    Mistake::always(
        "C-02-freed-while-held",
        "C-02",
        "frees a structure with a spin lock in it that it holds",
        |m| run(m, two_locks),
    ),
    Mistake::always(
        "C-02-uninitialised",
        "C-02",
        "acquires a spin lock in memory that holds whatever was there before",
        |m| run(m, uninitialised),
    ),
    Mistake::always(
        "C-02-both-orders",
        "C-02",
        "takes two spin locks in one order here and in the other there",
        |m| run(m, orders),
    ),
    Mistake::always(
        "C-02-ring-of-three",
        "C-02",
        "takes three spin locks in pairs, each pair in another order",
        |m| run(m, orders),
    ),
    Mistake::always(
        "C-02-thread-ends-with-lock",
        "C-02",
        "ends a thread that holds a spin lock",
        |m| run(m, || on_thread(one_lock)),
    ),
    Mistake::always(
        "C-02-other-thread",
        "C-02",
        "releases in a DPC the spin lock that the thread acquired",
        |m| run(m, shared_with_dpc),
    )
    .on(|config| Config {
        preempt: 100,
        ..config
    }),
    Mistake::always(
        "C.1-old-irql-lost",
        "C.1",
        "releases the outer of two spin locks with the inner one's IRQL",
        |m| run(m, two_locks),
    ),
    Mistake::always(
        "C.1-lock-misaligned",
        "C.1",
        "keeps a spin lock in a packed structure",
        |m| run(m, uninitialised),
    ),
    Mistake::always(
        "C.1-lock-paged",
        "C.1",
        "keeps a spin lock in paged pool",
        |m| run(m, uninitialised),
    ),
];

/// The same work in EvtDriverUnload.
const AT_UNLOAD: Work = Work {
    unload: two_locks,
    ..IDLE
};

/// Two locks, one inside the other.
fn two_locks() {
    let (one, other) = (new_lock(), new_lock());
    for _ in 0..2 {
        let outer = acquire(one);
        if makes("C-02-recursion") {
            acquire(one);
        }
        if makes("C-02-initialised-while-held") {
            unsafe { one.write(0) };
        }
        let inner = acquire(other);
        if makes("C-02-release-order") {
            release(one, inner);
        }
        release(other, inner);
        if makes("C-02-released-twice") {
            release(other, inner);
        }
        if makes("C-02-returns-with-lock") {
            return;
        }
        if makes("C-02-freed-while-held") {
            free(one);
            return;
        }
        release(
            one,
            if makes("C.1-old-irql-lost") {
                inner
            } else {
                outer
            },
        );
        if makes("C-02-initialised-twice") {
            unsafe { KeInitializeSpinLock(other) };
        }
    }
    free(one);
    free(other);
}

fn one_lock() {
    let lock = new_lock();
    let old = acquire(lock);
    if makes("C-02-dpc-returns-with-lock") || makes("C-02-thread-ends-with-lock") {
        return;
    }
    release(lock, old);
    free(lock);
}

/// A structure with a lock in it.
fn uninitialised() {
    let flags = if makes("C.1-lock-paged") {
        POOL_FLAG_PAGED
    } else {
        POOL_FLAG_NON_PAGED
    };
    let block: *mut u8 = allocate_as(flags | POOL_FLAG_UNINITIALIZED, 16);
    let offset = if makes("C.1-lock-misaligned") { 4 } else { 8 };
    let lock: PKSPIN_LOCK = unsafe { block.add(offset).cast() };
    if !makes("C-02-uninitialised") {
        unsafe { KeInitializeSpinLock(lock) };
    }
    release(lock, acquire(lock));
    unsafe { ExFreePoolWithTag(block.cast(), TAG) };
}

/// Three locks, each pair taken somewhere.
fn orders() {
    let locks = [new_lock(), new_lock(), new_lock()];
    let nest = |first: usize, second: usize| {
        let outer = acquire(locks[first]);
        let inner = acquire(locks[second]);
        release(locks[second], inner);
        release(locks[first], outer);
    };
    nest(0, 1);
    nest(1, 2);
    if makes("C-02-both-orders") {
        nest(1, 0);
    }
    if makes("C-02-ring-of-three") {
        nest(2, 0);
    } else {
        nest(0, 2);
    }
    locks.into_iter().for_each(free);
}

thread_local! {
    static SHARED: Cell<PKSPIN_LOCK> = const { Cell::new(null_mut()) };
}

/// A lock that a DPC takes while the thread holds it.
fn shared_with_dpc() {
    unsafe extern "C" fn routine(
        _dpc: *mut KDPC,
        _context: *mut c_void,
        _one: *mut c_void,
        _two: *mut c_void,
    ) {
        unsafe {
            if !makes("C-02-other-thread") {
                KeAcquireSpinLockAtDpcLevel(SHARED.get());
            }
            KeReleaseSpinLockFromDpcLevel(SHARED.get());
        }
    }
    let (lock, dpc) = (new_lock(), allocate(size_of::<KDPC>()));
    SHARED.set(lock);
    unsafe {
        KeInitializeDpc(dpc, routine, null_mut());
        let old = acquire(lock);
        KeInsertQueueDpc(dpc, null_mut(), null_mut());
        linger();
        release(lock, old);
        KeFlushQueuedDpcs();
    }
    free(dpc);
    free(lock);
}
