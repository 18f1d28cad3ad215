//! I/O queues: how many requests the driver has at a time, and which callback they go to.

use std::collections::VecDeque;

use wdk_sys_portable::_WDF_EXECUTION_LEVEL as level;
use wdk_sys_portable::_WDF_IO_QUEUE_DISPATCH_TYPE as dispatch;
use wdk_sys_portable::_WDF_SYNCHRONIZATION_SCOPE as scope;
use wdk_sys_portable::PWDF_IO_QUEUE_CONFIG;
use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::STATUS_INFO_LENGTH_MISMATCH;
use wdk_sys_portable::WDF_IO_QUEUE_CONFIG;
use wdk_sys_portable::WDFDEVICE;
use wdk_sys_portable::WDFQUEUE;
use wdk_sys_portable::WDFREQUEST;

use super::device::Device;
use super::object;
use super::object::Kind;
use super::request::Owner;
use super::request::Request;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::nt::NtStatus;
use crate::nt::status;

/// Sizes of WDF_IO_QUEUE_CONFIG: of KMDF 1.9 and of today.
const SIZES: [usize; 2] = [88, size_of::<WDF_IO_QUEUE_CONFIG>()];

/// A queue.
pub(super) struct Queue {
    pub default: bool,
    /// How many requests the driver gets at a time; `None` if it must ask for them itself.
    pub at_a_time: Option<u32>,
    /// How many it has.
    pub presented: u32,
    /// Set when the queue is being deleted: nothing new is presented.
    closing: bool,
    /// Set by a purge: nothing new is taken.
    pub purged: bool,
    /// Requests that wait in it, the oldest first.
    pub waiting: VecDeque<usize>,
    /// Whether a callback of it runs, where callbacks are serialised.
    busy: bool,
    device_control: usize,
    any: usize,
}

pub(super) fn create(
    kernel: &Kernel,
    device: WDFDEVICE,
    config: PWDF_IO_QUEUE_CONFIG,
    attributes: PWDF_OBJECT_ATTRIBUTES,
    queue: *mut WDFQUEUE,
) -> NtStatus {
    let has_default =
        object::with::<Device, _>(kernel, "WdfIoQueueCreate", device as usize, |device| {
            device.default_queue.is_some()
        });
    super::require_parameter(kernel, "WdfIoQueueCreate", "Config", config.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let size = unsafe { (*config).Size } as usize;
    if !SIZES.contains(&size) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    let mut whole = WDF_IO_QUEUE_CONFIG::default();
    // SAFETY: as above; the older structures are beginnings of the newest, and all it holds is numbers and pointers.
    unsafe {
        std::ptr::copy_nonoverlapping(config.cast::<u8>(), (&raw mut whole).cast::<u8>(), size);
    }
    let config = whole;
    let at_a_time = match config.DispatchType {
        dispatch::WdfIoQueueDispatchSequential => Some(1),
        dispatch::WdfIoQueueDispatchParallel => {
            // SAFETY: the field that belongs to this dispatch type; any bits are a number.
            Some(unsafe { config.Settings.Parallel.NumberOfPresentedRequests })
        }
        dispatch::WdfIoQueueDispatchManual => None,
        _ => return status::INVALID_PARAMETER,
    };
    let default = config.DefaultQueue != 0;
    if at_a_time == Some(0) || (default && has_default) {
        return if default && has_default {
            status::UNSUCCESSFUL
        } else {
            status::INVALID_PARAMETER
        };
    }
    let device_control = config
        .EvtIoDeviceControl
        .map_or(0, |function| function as usize);
    let any = config.EvtIoDefault.map_or(0, |function| function as usize);
    let other = config.EvtIoRead.is_some()
        || config.EvtIoWrite.is_some()
        || config.EvtIoInternalDeviceControl.is_some();
    if at_a_time.is_some() && device_control == 0 && any == 0 && !other {
        return super::STATUS_WDF_NO_CALLBACK;
    }
    let attributes = match object::attributes(attributes) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if kernel.fails("WdfIoQueueCreate") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let parent = object::parent(kernel, "WdfIoQueueCreate", &attributes, device as usize);
    let value = Queue {
        default,
        at_a_time,
        presented: 0,
        closing: false,
        purged: false,
        waiting: VecDeque::new(),
        busy: false,
        device_control,
        any,
    };
    let handle = object::insert(kernel, Kind::Queue(value), Some(parent), attributes);
    if default {
        object::find::<Device, _>(kernel, device as usize, |device| {
            device.default_queue = Some(handle)
        });
    }
    if !queue.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { queue.write(handle as WDFQUEUE) };
    }
    status::SUCCESS
}

/// How a request is presented to the driver.
pub(super) enum Presentation {
    /// By EvtIoDeviceControl.
    DeviceControl(usize),
    /// By EvtIoDefault.
    Any(usize),
}

/// The callback that an IOCTL on this queue goes to.
pub(super) fn callback(kernel: &Kernel, queue: usize) -> Option<Presentation> {
    object::find::<Queue, _>(kernel, queue, |queue| {
        match (queue.device_control, queue.any) {
            (0, 0) => None,
            (0, any) => Some(Presentation::Any(any)),
            (function, _) => Some(Presentation::DeviceControl(function)),
        }
    })?
}

/// Waits until the driver may be given one more request, and counts it. False if the queue went away first.
pub(super) fn take_turn(kernel: &Kernel, queue: usize) -> bool {
    let room = move |kernel: &Kernel| {
        let room = object::find::<Queue, _>(kernel, queue, |queue| {
            queue.closing || queue.at_a_time.is_some_and(|limit| queue.presented < limit)
        });
        room.unwrap_or(true)
    };
    kernel.block("room in an I/O queue".to_owned(), None, room);
    let counted = object::find::<Queue, _>(kernel, queue, |queue| {
        if queue.closing {
            return false;
        }
        queue.presented += 1;
        true
    });
    counted.unwrap_or(false)
}

/// Notes that the driver has one request less.
pub(super) fn completed(kernel: &Kernel, queue: usize) {
    object::find::<Queue, _>(kernel, queue, |queue| {
        queue.presented = queue.presented.saturating_sub(1)
    });
}

/// Hands a request to the driver, at the level and under the serialisation that its attributes ask for.
pub(super) fn present(
    kernel: &Kernel,
    queue: usize,
    request: usize,
    presentation: &Presentation,
    lengths: (usize, usize),
    code: u32,
) {
    let scope = object::inherited(
        kernel,
        queue,
        |attributes| attributes.synchronization_scope,
        scope::WdfSynchronizationScopeInheritFromParent,
        scope::WdfSynchronizationScopeNone,
    );
    let level = object::inherited(
        kernel,
        queue,
        |attributes| attributes.execution_level,
        level::WdfExecutionLevelInheritFromParent,
        level::WdfExecutionLevelDispatch,
    );
    let serialised = scope == scope::WdfSynchronizationScopeDevice
        || scope == scope::WdfSynchronizationScopeQueue;
    let thread = kernel.running();
    let before = thread.irql.get();
    if serialised {
        let free = move |kernel: &Kernel| {
            !object::find::<Queue, _>(kernel, queue, |queue| queue.busy).unwrap_or(false)
        };
        kernel.block(
            "another callback of the queue to return".to_owned(),
            None,
            free,
        );
        object::find::<Queue, _>(kernel, queue, |queue| queue.busy = true);
        if level == level::WdfExecutionLevelDispatch {
            // The framework's lock is then a spin lock.
            kernel.set_irql(irql::DISPATCH);
        }
    }
    let irql = thread.irql.get();
    let (output, input) = lengths;
    match *presentation {
        Presentation::DeviceControl(function) => {
            call_driver!(
                kernel,
                function,
                fn(WDFQUEUE, WDFREQUEST, usize, usize, u32),
                queue as WDFQUEUE,
                request as WDFREQUEST,
                output,
                input,
                code
            );
        }
        Presentation::Any(function) => {
            call_driver!(
                kernel,
                function,
                fn(WDFQUEUE, WDFREQUEST),
                queue as WDFQUEUE,
                request as WDFREQUEST
            );
        }
    }
    super::after_callback(kernel, "EvtIoDeviceControl", irql);
    kernel.set_irql(before);
    object::find::<Queue, _>(kernel, queue, |queue| queue.busy = false);
}

/// Waits until the driver has completed what it has of a queue that is being deleted.
pub(super) fn drain(kernel: &Kernel, handle: usize) {
    object::find::<Queue, _>(kernel, handle, |queue| queue.closing = true);
    super::manual::cancel_waiting(kernel, handle, |_| true);
    let empty = move |kernel: &Kernel| {
        !object::exists(
            kernel,
            |kind| matches!(kind, Kind::Request(Request { queue, owner: Owner::Driver, .. }) if *queue == handle),
        )
    };
    kernel.block(
        "the driver to complete the requests of a queue that is being deleted".to_owned(),
        None,
        empty,
    );
}
