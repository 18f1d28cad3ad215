//! Process objects: the system's, and the one that programs run in.

use std::collections::BTreeMap;
use std::ffi::c_void;

use super::Handle;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::verifier::ObjectId;

/// The identifier of the process that programs run in. ALE says the same of flows.
pub(crate) const PROGRAM: usize = 4711;
/// The identifier of the System process.
const SYSTEM: usize = 4;

/// One process.
pub(crate) struct Process {
    id: usize,
    /// References that the driver took and has not given back.
    references: u32,
    ledger: ObjectId,
}

/// The object of a process, made when it is first asked for.
fn object(kernel: &Kernel, id: usize) -> *mut c_void {
    let known = kernel
        .nt
        .processes
        .borrow()
        .iter()
        .find(|(_, process)| process.id == id)
        .map(|(address, _)| *address);
    let address = known.unwrap_or_else(|| {
        let ledger = kernel.ledger.begin(format!("process {id}"));
        let address = kernel
            .arena
            .allocate(64, Purpose::Object, ledger, true)
            .as_ptr() as usize;
        kernel.nt.processes.borrow_mut().insert(
            address,
            Process {
                id,
                references: 0,
                ledger,
            },
        );
        address
    });
    address as *mut c_void
}

/// The process whose request an IRP is: every IRP comes from a program.
pub(super) fn of_request(kernel: &Kernel, irp: *mut c_void) -> *mut c_void {
    crate::wdf::require_irp(kernel, "IoGetRequestorProcess", irp as usize);
    object(kernel, PROGRAM)
}

/// The process of the running thread: a program's while it is in a call of its own, else the System process.
pub(super) fn current(kernel: &Kernel) -> *mut c_void {
    let thread = kernel.running();
    object(
        kernel,
        if thread.of_program.get() {
            PROGRAM
        } else {
            SYSTEM
        },
    )
}

pub(super) fn identifier(kernel: &Kernel, process: *mut c_void) -> Handle {
    let known = kernel
        .nt
        .processes
        .borrow()
        .get(&(process as usize))
        .map(|process| process.id);
    match known {
        Some(id) => id as Handle,
        None => super::object::not_an_object(kernel, "PsGetProcessId", process),
    }
}

/// Counts a reference up or down; `None` if the address is no process. `Some(None)` if there was none left to give back.
pub(super) fn count(kernel: &Kernel, address: usize, change: i32) -> Option<Option<u32>> {
    let mut processes: std::cell::RefMut<'_, BTreeMap<usize, Process>> =
        kernel.nt.processes.borrow_mut();
    let process = processes.get_mut(&address)?;
    let (counted, ledger) = (
        process.references.checked_add_signed(change),
        process.ledger,
    );
    process.references = counted.unwrap_or(0);
    drop(processes);
    kernel.note(
        ledger,
        if change > 0 {
            "referenced"
        } else {
            "dereferenced"
        },
    );
    Some(counted)
}

impl super::State {
    /// Processes that the driver still holds by reference.
    pub(crate) fn held_processes(&self) -> Vec<ObjectId> {
        self.processes
            .borrow()
            .values()
            .filter(|process| process.references > 0)
            .map(|process| process.ledger)
            .collect()
    }
}
