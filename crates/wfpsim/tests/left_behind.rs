//! What only some drivers make, and one of them leaves behind: each kind is counted at unload, and told under its rule.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod own_lists;
mod tiny_driver;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use own_lists::IoAllocateMdl;
use tiny_driver::*;
use wdk_sys_portable::*;
use wfpsim::machine::irql;

unsafe extern "C" {
    fn IoGetCurrentProcess() -> *mut c_void;
    fn ObfReferenceObject(object: *mut c_void) -> isize;
    fn IoAllocateErrorLogEntry(object: *mut c_void, size: u8) -> *mut c_void;
}

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static OBJECT: Cell<*mut DRIVER_OBJECT> = const { Cell::new(null_mut()) };
}

unsafe extern "system" fn entry(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    OBJECT.set(object);
    let made = create_driver(object, path, driver_config(Some(nothing_to_undo)));
    status(made.map(drop))
}

/// Memory of the driver's image, which an MDL may describe.
static BYTES: [u8; 64] = [0; 64];

fn mdl() {
    let mdl = unsafe { IoAllocateMdl(BYTES.as_ptr().cast_mut(), 64, 0, 0, null_mut()) };
    assert!(!mdl.is_null());
}

fn pool() {
    own_lists::pool();
}

fn list() {
    own_lists::list_of(b"a packet", 8);
}

fn process() {
    unsafe { ObfReferenceObject(IoGetCurrentProcess()) };
}

fn log_entry() {
    let entry = unsafe { IoAllocateErrorLogEntry(OBJECT.get().cast(), 64) };
    assert!(!entry.is_null());
}

#[test]
fn each_kind_that_is_left_is_counted_and_told_under_its_rule() {
    let told_as = |kind: &str, rule: &str, words: &str, make: fn()| {
        let machine = loaded(entry);
        machine.call("driver", irql::PASSIVE, move |_| make());
        let leaks = machine.unload_driver();
        assert_eq!(leaks.get(kind), Some(&1), "{kind}: {leaks:?}");
        let violations = machine.violations();
        assert_eq!(violations.len(), leaks.len(), "{kind}: {violations:#?}");
        let told = violations
            .iter()
            .find(|told| told.summary.contains(words))
            .unwrap_or_else(|| panic!("{kind}: {violations:#?}"));
        assert_eq!(told.rule, rule, "{kind}");
    };
    told_as("mdl", "C-62", "MDLs", mdl);
    told_as("net_buffer_pool", "B-09", "pools of net buffers", pool);
    told_as("net_buffer_list", "B-09", "lists that it made", list);
    told_as("process_reference", "C-04", "process objects", process);
    told_as("error_log_entry", "C-62", "error log entries", log_entry);
}
