//! The kernel functions that the shared files call, made of loom's primitives. Run-down protection and events order memory as Windows'
//! do, by their interlocked operations and by the dispatcher's lock, and no more than that.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};

use crate::cx::Passive;
use crate::{pool, sys};

/// What a machine has, by address. Loom's threads all run on one thread of the host and change at its own operations only, so that
/// these tables are never seen half changed, and loom does not see them at all: they order nothing.
#[derive(Default)]
struct Tables {
    pool: HashMap<usize, Layout>,
    statics: HashMap<usize, *const dyn Any>,
    rundowns: HashMap<usize, Arc<AtomicUsize>>,
    events: HashMap<usize, Arc<Event>>,
}

/// An event that clears itself when a wait is satisfied.
struct Event {
    signalled: Mutex<bool>,
    changed: Condvar,
}

thread_local! {
    static TABLES: RefCell<Tables> = RefCell::default();
}

/// Runs `body` in every way there is, each time on a machine of its own, on which nothing may be left in the pool.
pub fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Most races take two switches of threads where nobody waits; three is one more.
    builder.preemption_bound = Some(3);
    builder.check(move || {
        TABLES.with_borrow_mut(|tables| *tables = Tables::default());
        body();
        TABLES.with_borrow(|tables| assert_eq!(tables.pool.len(), 0, "left in the pool"));
    });
}

/// A thread of these tests runs at PASSIVE_LEVEL and there are no locks.
pub fn passive() -> Passive {
    // SAFETY: There is no kernel here whose rules could be broken.
    unsafe { Passive::assume() }
}

/// What stands for a static of the image, one for each machine.
pub(crate) fn image_data<T: Any>(key: usize, make: impl FnOnce() -> T) -> &'static T {
    let known = TABLES.with_borrow(|tables| tables.statics.get(&key).copied());
    let data = known.unwrap_or_else(|| {
        // Kept until the process ends: a static goes away with its image, and these tests never unload one.
        let made: *const dyn Any = Box::into_raw(Box::new(make()));
        TABLES.with_borrow_mut(|tables| tables.statics.insert(key, made));
        made
    });
    // SAFETY: Never freed, so it lives for ever.
    let data = unsafe { &*data };
    data.downcast_ref().expect("one type for each key")
}

#[unsafe(no_mangle)]
extern "C" fn ExAllocatePool2(flags: sys::POOL_FLAGS, bytes: sys::SIZE_T, tag: u32) -> *mut c_void {
    assert_eq!((flags, tag), (sys::POOL_FLAG_NON_PAGED, pool::TAG));
    let layout = Layout::from_size_align(bytes as usize, pool::ALIGNMENT).expect("a size");
    // SAFETY: The layout has a size.
    let memory = unsafe { alloc_zeroed(layout) };
    TABLES.with_borrow_mut(|tables| tables.pool.insert(memory.addr(), layout));
    memory.cast()
}

#[unsafe(no_mangle)]
extern "C" fn ExFreePoolWithTag(memory: *mut c_void, tag: u32) {
    assert_eq!(tag, pool::TAG);
    let layout = TABLES.with_borrow_mut(|tables| tables.pool.remove(&memory.addr()));
    let layout = layout.expect("bug check 0xC2/7: freed twice");
    // SAFETY: Allocated above with this layout, and taken out of the table, so freed once.
    unsafe { dealloc(memory.cast(), layout) };
}

/// Waiting has begun; the rest counts those inside, twice each, as Windows' own does.
const CLOSING: usize = 1;

fn rundown(protection: *mut sys::EX_RUNDOWN_REF) -> Arc<AtomicUsize> {
    let found = TABLES.with_borrow(|tables| tables.rundowns.get(&protection.addr()).cloned());
    found.expect("run-down protection is initialised")
}

#[unsafe(no_mangle)]
extern "C" fn ExInitializeRundownProtection(protection: *mut sys::EX_RUNDOWN_REF) {
    let fresh = Arc::new(AtomicUsize::new(0));
    TABLES.with_borrow_mut(|tables| tables.rundowns.insert(protection.addr(), fresh));
}

#[unsafe(no_mangle)]
extern "C" fn ExAcquireRundownProtection(protection: *mut sys::EX_RUNDOWN_REF) -> sys::BOOLEAN {
    let entered = rundown(protection).fetch_update(Ordering::Acquire, Ordering::Relaxed, |count| {
        (count & CLOSING == 0).then_some(count + 2)
    });
    entered.is_ok().into()
}

#[unsafe(no_mangle)]
extern "C" fn ExReleaseRundownProtection(protection: *mut sys::EX_RUNDOWN_REF) {
    rundown(protection).fetch_sub(2, Ordering::Release);
}

#[unsafe(no_mangle)]
extern "C" fn ExWaitForRundownProtectionRelease(protection: *mut sys::EX_RUNDOWN_REF) {
    let count = rundown(protection);
    count.fetch_or(CLOSING, Ordering::AcqRel);
    while count.load(Ordering::Acquire) != CLOSING {
        loom::thread::yield_now();
    }
}

fn event(at: usize) -> Arc<Event> {
    let found = TABLES.with_borrow(|tables| tables.events.get(&at).cloned());
    found.expect("the event is initialised")
}

#[unsafe(no_mangle)]
extern "C" fn KeInitializeEvent(at: *mut sys::KEVENT, _kind: sys::EVENT_TYPE, state: sys::BOOLEAN) {
    let fresh = Arc::new(Event {
        signalled: Mutex::new(state != 0),
        changed: Condvar::new(),
    });
    TABLES.with_borrow_mut(|tables| tables.events.insert(at.addr(), fresh));
}

#[unsafe(no_mangle)]
extern "C" fn KeSetEvent(at: *mut sys::KEVENT, _increment: i32, _wait: sys::BOOLEAN) -> i32 {
    let event = event(at.addr());
    let mut signalled = event.signalled.lock().expect("nobody panics with it");
    let before = std::mem::replace(&mut *signalled, true);
    event.changed.notify_all();
    before.into()
}

#[unsafe(no_mangle)]
extern "C" fn KeWaitForSingleObject(
    at: *mut c_void,
    _reason: sys::KWAIT_REASON,
    _mode: sys::KPROCESSOR_MODE,
    _alertable: sys::BOOLEAN,
    timeout: *mut sys::LARGE_INTEGER,
) -> i32 {
    assert!(timeout.is_null(), "loom has no clock");
    let event = event(at.addr());
    let mut signalled = event.signalled.lock().expect("nobody panics with it");
    while !*signalled {
        signalled = event
            .changed
            .wait(signalled)
            .expect("nobody panics with it");
    }
    *signalled = false;
    0
}
