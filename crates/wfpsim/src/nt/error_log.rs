//! Entries of the system's error log, which a driver fills in and sends off.

use std::ffi::c_void;

use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// ERROR_LOG_MAXIMUM_SIZE of wdm.h: an entry with its strings.
const LONGEST: u8 = 240;
/// sizeof(IO_ERROR_LOG_PACKET).
const SHORTEST: u8 = 48;

pub(super) fn allocate(kernel: &Kernel, object: *mut c_void, size: u8) -> *mut c_void {
    if object.is_null()
        || !(SHORTEST..=LONGEST).contains(&size)
        || kernel.fails("IoAllocateErrorLogEntry")
    {
        return std::ptr::null_mut();
    }
    let ledger = kernel.ledger.begin("error log entry");
    let entry = kernel
        .arena
        .allocate(usize::from(size), Purpose::Object, ledger, true)
        .as_ptr();
    kernel.note(ledger, "allocated");
    kernel
        .nt
        .log_entries
        .borrow_mut()
        .insert(entry as usize, ledger);
    entry.cast()
}

pub(super) fn write(kernel: &Kernel, entry: *mut c_void) {
    if kernel
        .nt
        .log_entries
        .borrow_mut()
        .remove(&(entry as usize))
        .is_none()
    {
        let summary = format!(
            "IoWriteErrorLogEntry was given {entry:p}, which is no entry, or was written before"
        );
        kernel.bug_check(
            Violation::contract(kernel, "C-63", [entry as u64, 0, 0, 0], summary)
                .about_address(kernel, entry as usize),
        );
    }
    super::free_blocks(kernel, &[entry as usize], "written to the log");
}

impl super::State {
    /// Entries that were allocated and not written.
    pub(crate) fn unwritten_log_entries(&self) -> Vec<ObjectId> {
        self.log_entries.borrow().values().copied().collect()
    }
}
