//! Handles and thread objects.

use std::ffi::c_void;

use super::Handle;
use super::NtStatus;
use super::event;
use super::status;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::memory::Purpose;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

/// How many closed handles are remembered.
const CLOSED_KEPT: usize = 1024;

/// A thread object. The kernel's own block is guarded memory that nobody may read.
pub(crate) struct ThreadObject {
    pub thread: ThreadId,
    /// References that the driver took and has not given back.
    references: u32,
    /// Whether a handle to it is open.
    handle: bool,
    ledger: ObjectId,
}

pub(crate) struct HandleEntry {
    object: usize,
    /// Whether it is in the table of a program, which may close it or put another in its place.
    of_program: bool,
}

/// OBJECT_ATTRIBUTES, as far as it is looked at.
#[repr(C)]
struct ObjectAttributes {
    length: u32,
    root: usize,
    name: usize,
    attributes: u32,
}

const OBJ_KERNEL_HANDLE: u32 = 0x200;
/// KPROCESSOR_MODE.
const USER_MODE: i8 = 1;

/// Whether a handle that is made now is the running program's (C-04).
fn is_for_program(kernel: &Kernel, attributes: *const c_void) -> bool {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let flags = if attributes.is_null() {
        0
    } else {
        // SAFETY: as above.
        unsafe { (*attributes.cast::<ObjectAttributes>()).attributes }
    };
    kernel.running().of_program.get() && flags & OBJ_KERNEL_HANDLE == 0
}

/// The object behind a handle that the driver uses as the kernel's own; stops if it is none, or a program's.
fn object_of(kernel: &Kernel, function: &str, handle: Handle) -> usize {
    let found = kernel
        .nt
        .handles
        .borrow()
        .get(&(handle as usize))
        .map(|entry| (entry.object, entry.of_program));
    let (subcode, summary) = match found {
        Some((object, false)) => return object,
        Some((_, true)) => (
            0xF6,
            format!(
                "{function} was given {handle:p}, a handle in a program's table: the thread was created without OBJ_KERNEL_HANDLE"
            ),
        ),
        None if handle.is_null() => (0xF5, format!("{function} was given a null handle")),
        None => (
            0x3C,
            format!("{function} was given {handle:p}, which is no open handle"),
        ),
    };
    let violation = Violation::verifier(kernel, subcode, [handle as u64, 0, 0], summary, "C-04");
    kernel.bug_check(about_closed(kernel, violation, handle))
}

pub(super) fn create_thread(
    kernel: &Kernel,
    handle: *mut Handle,
    _access: u32,
    attributes: *const c_void,
    _process: Handle,
    _client: *mut c_void,
    start: usize,
    context: *mut c_void,
) -> NtStatus {
    if kernel.fails("PsCreateSystemThread") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let context = context as usize;
    let thread = kernel.spawn_for_driver(move |kernel| {
        call_driver!(kernel, start, fn(*mut c_void), context as *mut c_void);
    });
    // Closing the handle of a thread does not end it: unload looks for those that still run.
    let mut started = kernel.nt.started.borrow_mut();
    started.retain(|&thread| kernel.is_alive(thread));
    started.push(thread);
    drop(started);
    let ledger = kernel.ledger.begin(format!("thread {}", thread.0));
    let object = kernel
        .arena
        .allocate(64, Purpose::Object, ledger, true)
        .as_ptr() as usize;
    kernel.note(ledger, "created");
    kernel.nt.objects.borrow_mut().insert(
        object,
        ThreadObject {
            thread,
            references: 0,
            handle: true,
            ledger,
        },
    );
    let of_program = is_for_program(kernel, attributes);
    // Kernel handles have their high bits set; all are multiples of four.
    let base = if of_program { 0 } else { 0xFFFF_FFFF_8000_0000 };
    let value = base + 4 * (thread.0 as usize + 0x100);
    let entry = HandleEntry { object, of_program };
    kernel.nt.handles.borrow_mut().insert(value, entry);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { handle.write(value as Handle) };
    status::SUCCESS
}

pub(super) fn terminate_thread(kernel: &Kernel, _status: NtStatus) -> NtStatus {
    kernel.terminate_running()
}

pub(super) fn reference_by_handle(
    kernel: &Kernel,
    handle: Handle,
    _access: u32,
    _kind: *const c_void,
    mode: i8,
    object: *mut *mut c_void,
    _information: *mut c_void,
) -> NtStatus {
    if mode == USER_MODE && !handle.is_null() && !kernel.running().of_program.get() {
        let summary = format!(
            "ObReferenceObjectByHandle was given {handle:p} with AccessMode UserMode in the system process"
        );
        let parameters = [handle as u64, 0, mode as u64];
        let violation = Violation::verifier(kernel, 0xF7, parameters, summary, "C-04");
        kernel.bug_check(violation);
    }
    let address = object_of(kernel, "ObReferenceObjectByHandle", handle);
    if kernel.fails("ObReferenceObjectByHandle") {
        kernel.nt.reference_refused.set(true);
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { object.write(address as *mut c_void) };
    let ledger = kernel
        .nt
        .objects
        .borrow_mut()
        .get_mut(&address)
        .map(|object| {
            object.references += 1;
            object.ledger
        });
    if let Some(ledger) = ledger {
        kernel.note(ledger, "referenced by handle");
    }
    status::SUCCESS
}

/// Stops the machine: an address is no object of the kernel's.
pub(super) fn not_an_object(kernel: &Kernel, function: &str, object: *mut c_void) -> ! {
    let address = object as usize;
    let summary = format!("{function} was given {address:#x}, which is no object");
    let violation = Violation::verifier(kernel, 0x3F, [address as u64, 0, 0], summary, "C-04");
    kernel.bug_check(violation.about_address(kernel, address));
}

pub(super) fn reference(kernel: &Kernel, object: *mut c_void) -> isize {
    let address = object as usize;
    if let Some(counted) = super::process::count(kernel, address, 1) {
        return counted.map_or(0, |references| references as isize);
    }
    let counted = kernel
        .nt
        .objects
        .borrow_mut()
        .get_mut(&address)
        .filter(|object| object.references > 0 || object.handle)
        .map(|object| {
            object.references += 1;
            (object.references, object.ledger)
        });
    let Some((count, ledger)) = counted else {
        not_an_object(kernel, "ObfReferenceObject", object)
    };
    kernel.note(ledger, "referenced");
    count as isize
}

pub(super) fn dereference(kernel: &Kernel, object: *mut c_void) -> isize {
    let address = object as usize;
    if let Some(Some(left)) = super::process::count(kernel, address, -1) {
        return left as isize;
    }
    let left = kernel
        .nt
        .objects
        .borrow_mut()
        .get_mut(&address)
        .and_then(|object| {
            object.references = object.references.checked_sub(1)?;
            Some(object.references)
        });
    let Some(left) = left else {
        let summary = format!("object {address:#x} was dereferenced more often than referenced");
        let violation =
            Violation::verifier(kernel, 0x3F, [address as u64, u64::MAX, 0], summary, "C-04");
        kernel.bug_check(violation.about_address(kernel, address));
    };
    retire(kernel, address);
    left as isize
}

pub(super) fn close(kernel: &Kernel, handle: Handle) -> NtStatus {
    let Some(entry) = kernel.nt.handles.borrow_mut().remove(&(handle as usize)) else {
        let summary = format!("ZwClose was given {handle:p}, which is no open handle");
        let parameters = [handle as u64, 1, 0, 0];
        let violation = Violation::new(
            kernel,
            code::INVALID_KERNEL_HANDLE,
            parameters,
            "C-04",
            summary,
        );
        kernel.bug_check(about_closed(kernel, violation, handle));
    };
    let ledger = kernel
        .nt
        .objects
        .borrow_mut()
        .get_mut(&entry.object)
        .map(|object| {
            object.handle = false;
            object.ledger
        });
    if let Some(ledger) = ledger {
        kernel.note(ledger, "handle closed");
        let mut closed = kernel.nt.closed.borrow_mut();
        closed.insert(handle as usize, ledger);
        if closed.len() > CLOSED_KEPT {
            // Handles grow, so the first is the oldest.
            closed.pop_first();
        }
    }
    retire(kernel, entry.object);
    status::SUCCESS
}

/// Adds the history of what a closed handle was of.
fn about_closed(kernel: &Kernel, violation: Violation, handle: Handle) -> Violation {
    let object = kernel.nt.closed.borrow().get(&(handle as usize)).copied();
    match object {
        Some(object) => violation.about(kernel, object),
        None => violation,
    }
}

pub(super) fn wait_for_handle(
    kernel: &Kernel,
    handle: Handle,
    _alertable: u8,
    timeout: *const i64,
) -> NtStatus {
    let object = object_of(kernel, "ZwWaitForSingleObject", handle);
    let thread = kernel
        .nt
        .objects
        .borrow()
        .get(&object)
        .map(|object| object.thread);
    let Some(thread) = thread else {
        return status::INVALID_HANDLE;
    };
    let deadline = event::deadline(kernel, timeout);
    event::wait_until_on(
        kernel,
        thread.object(),
        format!("the end of thread {}", thread.0),
        deadline,
        move |kernel| !kernel.is_alive(thread),
    )
}

/// Frees the object when neither a handle nor a reference is left.
fn retire(kernel: &Kernel, address: usize) {
    let gone = {
        let mut objects = kernel.nt.objects.borrow_mut();
        let unused = objects
            .get(&address)
            .is_some_and(|object| object.references == 0 && !object.handle);
        if unused {
            objects.remove(&address)
        } else {
            None
        }
    };
    if gone.is_some()
        && let Some(block) = kernel.arena.find_exact(address)
    {
        super::free_block(kernel, &block);
    }
}

impl super::State {
    /// Thread objects that the driver still holds by reference or handle.
    pub(crate) fn held_objects(&self) -> Vec<ObjectId> {
        self.objects
            .borrow()
            .values()
            .map(|object| object.ledger)
            .collect()
    }

    /// Driver threads that have not ended.
    pub(crate) fn threads(&self, kernel: &Kernel) -> Vec<ThreadId> {
        self.started
            .borrow()
            .iter()
            .copied()
            .filter(|&thread| kernel.is_alive(thread))
            .collect()
    }
}
