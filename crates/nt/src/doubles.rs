//! Stand-ins for the kernel functions that this crate's own tests need: pool and run-down protection, no more. How the whole behaves is tested
//! in the simulator.

use core::ffi::c_void;
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::{LazyLock, Mutex},
    thread_local,
    vec::Vec,
};

use crate::{cx::Passive, pool, sys};

thread_local! {
    static OUTSTANDING: Cell<usize> = const { Cell::new(0) };
    static ALLOWED: Cell<Option<usize>> = const { Cell::new(None) };
    static SIZES: RefCell<HashMap<usize, usize>> = RefCell::new(HashMap::new());
}

/// Allocations of this thread that have not been freed.
pub fn outstanding() -> usize {
    OUTSTANDING.get()
}

/// Runs `body` in a world where only `allowed` more allocations of this thread succeed.
pub fn fail_allocations_after<R>(allowed: usize, body: impl FnOnce() -> R) -> R {
    ALLOWED.set(Some(allowed));
    let result = body();
    ALLOWED.set(None);
    result
}

/// A test's thread runs at PASSIVE_LEVEL and there are no locks.
pub fn passive() -> Passive {
    // SAFETY: There is no kernel here whose rules could be broken.
    unsafe { Passive::assume() }
}

static NOTES: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// Writes down what happened, across threads. For one test of a process.
pub fn note(what: &'static str) {
    NOTES.lock().unwrap().push(what);
}

/// What was written down.
pub fn notes() -> Vec<&'static str> {
    NOTES.lock().unwrap().clone()
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, pool::ALIGNMENT).unwrap()
}

#[unsafe(no_mangle)]
extern "C" fn ExAllocatePool2(flags: sys::POOL_FLAGS, bytes: sys::SIZE_T, tag: u32) -> *mut c_void {
    assert_eq!((flags, tag), (sys::POOL_FLAG_NON_PAGED, pool::TAG));
    let bytes = usize::try_from(bytes).unwrap();
    assert_ne!(bytes, 0, "bug check 0xC4/0: an allocation of no bytes");
    match ALLOWED.get() {
        Some(0) => return core::ptr::null_mut(),
        Some(left) => ALLOWED.set(Some(left - 1)),
        None => {}
    }
    OUTSTANDING.set(OUTSTANDING.get() + 1);
    // SAFETY: The layout has a size.
    let memory = unsafe { alloc_zeroed(layout(bytes)) };
    SIZES.with_borrow_mut(|sizes| assert_eq!(sizes.insert(memory.addr(), bytes), None));
    memory.cast()
}

#[unsafe(no_mangle)]
extern "C" fn ExFreePoolWithTag(memory: *mut c_void, tag: u32) {
    assert_eq!(tag, pool::TAG);
    let bytes = SIZES
        .with_borrow_mut(|sizes| sizes.remove(&memory.addr()))
        .expect("bug check 0xC2/7: freed twice");
    OUTSTANDING.set(OUTSTANDING.get() - 1);
    // SAFETY: The memory came from `ExAllocatePool2` with this size and is freed for the first time.
    unsafe { dealloc(memory.cast(), layout(bytes)) };
}

/// Holders of each run-down protection, by address; `None` after the wait.
static RUNDOWNS: LazyLock<Mutex<HashMap<usize, Option<usize>>>> = LazyLock::new(Mutex::default);

#[unsafe(no_mangle)]
extern "C" fn ExInitializeRundownProtection(reference: *mut c_void) {
    assert_eq!(
        RUNDOWNS.lock().unwrap().insert(reference.addr(), Some(0)),
        None
    );
}

#[unsafe(no_mangle)]
extern "C" fn ExAcquireRundownProtection(reference: *mut c_void) -> sys::BOOLEAN {
    match RUNDOWNS
        .lock()
        .unwrap()
        .get_mut(&reference.addr())
        .expect("not initialised")
    {
        Some(holders) => {
            *holders += 1;
            1
        }
        None => 0,
    }
}

#[unsafe(no_mangle)]
extern "C" fn ExReleaseRundownProtection(reference: *mut c_void) {
    *RUNDOWNS
        .lock()
        .unwrap()
        .get_mut(&reference.addr())
        .unwrap()
        .as_mut()
        .unwrap() -= 1;
}

#[unsafe(no_mangle)]
extern "C" fn ExWaitForRundownProtectionRelease(reference: *mut c_void) {
    loop {
        let mut rundowns = RUNDOWNS.lock().unwrap();
        let holders = rundowns.get_mut(&reference.addr()).unwrap();
        if *holders == Some(0) {
            *holders = None;
            return;
        }
        drop(rundowns);
        std::thread::yield_now();
    }
}

#[unsafe(no_mangle)]
extern "system" fn wfpsim_image_data(key: *const c_void, size: usize) -> *mut c_void {
    static DATA: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);
    let mut data = DATA.lock().unwrap();
    let address = *data.entry(key.addr()).or_insert_with(|| {
        // Statics of an image are never freed.
        // SAFETY: The layout has a size.
        unsafe { alloc_zeroed(layout(size)) }.expose_provenance()
    });
    core::ptr::with_exposed_provenance_mut(address)
}
