//! Work items: a function of the driver at PASSIVE_LEVEL on a thread that the whole system shares (C-05).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::c_void;

use super::callback;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::Time;
use crate::machine::irql;
use crate::memory::Purpose;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

/// How long a work item may wait in one go, in 100 ns units: one second. The documents say "short"; nothing that is worth
/// a thread of its own waits for less.
const PATIENCE: Time = 10_000_000;

/// WORKER_INVALID, parameter 1.
const ACTIVE_WAS_QUEUED: u64 = 1;
const QUEUED_WAS_FREED: u64 = 2;
const INVALID_OBJECT: u64 = 3;

struct WorkItem {
    device: usize,
    /// The routine that it is queued for; 0 if it is not queued.
    routine: usize,
    ledger: ObjectId,
}

/// What the executive keeps of work items.
#[derive(Default)]
pub struct WorkItems {
    items: RefCell<BTreeMap<usize, WorkItem>>,
    /// Device objects of items that are queued or whose routine runs.
    referenced: RefCell<Vec<usize>>,
    /// Device objects that are deleted when the last reference goes.
    doomed: RefCell<BTreeSet<usize>>,
}

impl WorkItems {
    /// Those that were allocated and not freed.
    pub(crate) fn left(&self) -> Vec<ObjectId> {
        self.items
            .borrow()
            .values()
            .map(|item| item.ledger)
            .collect()
    }
}

pub(super) fn allocate(kernel: &Kernel, device: *mut c_void) -> *mut c_void {
    if !crate::wdf::is_device_object(kernel, device as usize) {
        let summary = format!("IoAllocateWorkItem was given {device:p}, which is no device object");
        invalid(kernel, INVALID_OBJECT, 0, device as u64, None, summary);
    }
    if kernel.fails("IoAllocateWorkItem") {
        return std::ptr::null_mut();
    }
    let ledger = kernel.ledger.begin("IO_WORKITEM");
    let item = kernel
        .arena
        .allocate(64, Purpose::Object, ledger, true)
        .as_ptr();
    kernel.note(ledger, "allocated");
    let value = WorkItem {
        device: device as usize,
        routine: 0,
        ledger,
    };
    kernel
        .nt
        .work_items
        .items
        .borrow_mut()
        .insert(item as usize, value);
    item.cast()
}

fn invalid(
    kernel: &Kernel,
    kind: u64,
    item: usize,
    third: u64,
    ledger: Option<ObjectId>,
    summary: String,
) -> ! {
    let parameters = [kind, item as u64, third, 0];
    let violation = Violation::new(kernel, code::WORKER_INVALID, parameters, "C-05", summary);
    kernel.bug_check(match ledger {
        Some(ledger) => violation.about(kernel, ledger),
        None => violation,
    })
}

/// The item behind a pointer of the driver's: its device, the routine that it is queued for, its history.
fn find(kernel: &Kernel, function: &str, item: usize) -> (usize, usize, ObjectId) {
    let found = kernel
        .nt
        .work_items
        .items
        .borrow()
        .get(&item)
        .map(|found| (found.device, found.routine, found.ledger));
    found.unwrap_or_else(|| {
        let summary =
            format!("{function} was given {item:#x}, which is no work item, or was freed before");
        let violation = Violation::contract(kernel, "C-05", [item as u64, 0, 0, 0], summary);
        kernel.bug_check(violation.about_address(kernel, item))
    })
}

pub(super) fn queue(
    kernel: &Kernel,
    item: *mut c_void,
    routine: usize,
    queue: i32,
    context: *mut c_void,
) {
    let address = item as usize;
    let (device, queued, ledger) = find(kernel, "IoQueueWorkItem", address);
    if queued != 0 {
        let summary = format!("work item {address:#x} was queued while it is queued");
        invalid(
            kernel,
            ACTIVE_WAS_QUEUED,
            address,
            queue as u64,
            Some(ledger),
            summary,
        );
    }
    let items = &kernel.nt.work_items;
    if let Some(item) = items.items.borrow_mut().get_mut(&address) {
        item.routine = routine;
    }
    items.referenced.borrow_mut().push(device);
    kernel.note(ledger, "queued");
    let context = context as usize;
    let thread = kernel.spawn("system worker thread", irql::PASSIVE, move |kernel| {
        run(kernel, address, device, routine, context)
    });
    kernel.mark_work_item(thread);
}

fn run(kernel: &Kernel, address: usize, device: usize, routine: usize, context: usize) {
    if let Some(item) = kernel.nt.work_items.items.borrow_mut().get_mut(&address) {
        item.routine = 0;
    }
    let before = callback::before(kernel);
    call_driver!(
        kernel,
        routine,
        fn(*mut c_void, *mut c_void),
        device as *mut c_void,
        context as *mut c_void
    );
    callback::check_return(kernel, "a work item's routine", routine, before);
    dereference(kernel, device);
}

pub(super) fn free(kernel: &Kernel, item: *mut c_void) {
    let address = item as usize;
    let (_, queued, ledger) = find(kernel, "IoFreeWorkItem", address);
    if queued != 0 {
        let summary = format!("work item {address:#x} was freed while it is queued");
        invalid(
            kernel,
            QUEUED_WAS_FREED,
            address,
            queued as u64,
            Some(ledger),
            summary,
        );
    }
    kernel.nt.work_items.items.borrow_mut().remove(&address);
    super::free_blocks(kernel, &[address], "freed");
}

fn dereference(kernel: &Kernel, device: usize) {
    let items = &kernel.nt.work_items;
    let last = {
        let mut referenced = items.referenced.borrow_mut();
        if let Some(index) = referenced.iter().position(|other| *other == device) {
            referenced.swap_remove(index);
        }
        !referenced.contains(&device)
    };
    if last && items.doomed.borrow_mut().remove(&device) {
        super::free_blocks(kernel, &[device], "deleted");
    }
}

/// Frees a device object, or has the last of its work items do so: each references it from the queueing until its routine
/// has returned.
pub(crate) fn delete_device(kernel: &Kernel, device: usize) {
    let items = &kernel.nt.work_items;
    if items.referenced.borrow().contains(&device) {
        items.doomed.borrow_mut().insert(device);
    } else {
        super::free_blocks(kernel, &[device], "deleted");
    }
}

/// Waits until no work item is queued or runs: their references keep the device object, and that keeps the image.
pub(crate) fn wait_for_all(kernel: &Kernel) {
    let idle = |kernel: &Kernel| kernel.nt.work_items.referenced.borrow().is_empty();
    kernel.block("the driver's work items to return".to_owned(), None, idle);
}

/// Until when the running thread may wait, if it runs a work item.
pub(super) fn limit(kernel: &Kernel) -> Option<Time> {
    let runs_work_item = kernel.running().work_item.get();
    runs_work_item.then(|| kernel.now().saturating_add(PATIENCE))
}

/// Stops: a work item has waited too long.
pub(super) fn waited_too_long(kernel: &Kernel, what: &str) -> ! {
    let summary = format!(
        "a work item has waited for {what} for a second; the threads that run them are the whole system's"
    );
    kernel.bug_check(Violation::contract(kernel, "C-05", [0; 4], summary))
}
