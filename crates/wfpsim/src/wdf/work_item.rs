//! Framework work items: callbacks on a thread of the system.

use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::STATUS_INFO_LENGTH_MISMATCH;
use wdk_sys_portable::WDFOBJECT;

use super::object;
use super::object::Kind;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;

/// A handle of a work item.
#[expect(clippy::upper_case_acronyms, reason = "the framework's name")]
pub(super) type WDFWORKITEM = Handle;

/// WDF_WORKITEM_CONFIG.
#[repr(C)]
pub(super) struct Config {
    size: u32,
    callback: usize,
    automatic_serialization: u8,
}

const _: () = assert!(size_of::<Config>() == 24);

/// A work item.
pub(super) struct WorkItem {
    callback: usize,
    /// Whether it waits for a thread.
    enqueued: bool,
    /// Callbacks of it that run.
    running: u32,
}

pub(super) fn create(
    kernel: &Kernel,
    config: *const Config,
    attributes: PWDF_OBJECT_ATTRIBUTES,
    item: *mut WDFWORKITEM,
) -> NtStatus {
    const NAME: &str = "WdfWorkItemCreate";
    super::require_parameter(kernel, NAME, "Config", config.cast());
    super::require_parameter(kernel, NAME, "WorkItem", item.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let config = unsafe { config.read() };
    if config.size as usize != size_of::<Config>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if config.callback == 0 {
        return status::INVALID_PARAMETER;
    }
    let attributes = match object::attributes(attributes) {
        Ok(attributes) if attributes.parent == 0 => return super::STATUS_WDF_PARENT_NOT_SPECIFIED,
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if kernel.fails(NAME) {
        return status::INSUFFICIENT_RESOURCES;
    }
    let parent = object::parent(kernel, NAME, &attributes, 0);
    let value = WorkItem {
        callback: config.callback,
        enqueued: false,
        running: 0,
    };
    let handle = object::insert(kernel, Kind::WorkItem(value), Some(parent), attributes);
    // SAFETY: as above.
    unsafe { item.write(handle as WDFWORKITEM) };
    status::SUCCESS
}

/// Queues the item once, however often it is asked for before a thread takes it.
pub(super) fn enqueue(kernel: &Kernel, item: WDFWORKITEM) {
    let handle = item as usize;
    let before = object::with::<WorkItem, _>(kernel, "WdfWorkItemEnqueue", handle, |item| {
        std::mem::replace(&mut item.enqueued, true)
    });
    if !before {
        kernel.spawn("framework: work item", irql::PASSIVE, move |kernel| {
            run(kernel, handle);
        });
    }
}

fn run(kernel: &Kernel, handle: usize) {
    let Some(callback) = object::find::<WorkItem, _>(kernel, handle, |item| {
        item.enqueued = false;
        item.running += 1;
        item.callback
    }) else {
        return;
    };
    call_driver!(kernel, callback, fn(WDFWORKITEM), handle as WDFWORKITEM);
    super::after_callback(kernel, "EvtWorkItem", irql::PASSIVE);
    object::find::<WorkItem, _>(kernel, handle, |item| item.running -= 1);
}

pub(super) fn flush(kernel: &Kernel, item: WDFWORKITEM) {
    object::with::<WorkItem, _>(kernel, "WdfWorkItemFlush", item as usize, |_| ());
    drain(kernel, item as usize);
}

/// Waits until a work item neither waits for a thread nor runs. Nothing, if the object is none.
pub(super) fn drain(kernel: &Kernel, handle: usize) {
    let quiet = move |kernel: &Kernel| {
        object::find::<WorkItem, _>(kernel, handle, |item| !item.enqueued && item.running == 0)
            .unwrap_or(true)
    };
    kernel.block("a work item's callback to return".to_owned(), None, quiet);
}

pub(super) fn parent(kernel: &Kernel, item: WDFWORKITEM) -> WDFOBJECT {
    object::with::<WorkItem, _>(kernel, "WdfWorkItemGetParentObject", item as usize, |_| ());
    object::parent_of(kernel, item as usize)
}
