//! Requests that wait in queues: those that the driver asks for itself, forwards, purges, or leaves to be cancelled.

use std::collections::VecDeque;

use wdk_sys_portable::STATUS_CANCELLED;
use wdk_sys_portable::STATUS_INVALID_DEVICE_STATE;
use wdk_sys_portable::STATUS_NO_MORE_ENTRIES;
use wdk_sys_portable::WDFQUEUE;
use wdk_sys_portable::WDFREQUEST;

use super::object;
use super::object::Kind;
use super::queue;
use super::queue::Queue;
use super::request;
use super::request::Owner;
use super::request::Request;
use super::sender;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::nt::NtStatus;
use crate::nt::status;

/// WDF_IO_QUEUE_STATE.
mod state {
    pub const ACCEPT_REQUESTS: u32 = 0x1;
    pub const DISPATCH_REQUESTS: u32 = 0x2;
    pub const NO_REQUESTS: u32 = 0x4;
    pub const DRIVER_NO_REQUESTS: u32 = 0x8;
}

/// Puts a request into a queue of which the driver asks for requests itself. False for other queues. A queue that takes nothing any
/// more completes the request.
pub(super) fn put(kernel: &Kernel, queue: usize, request: usize) -> bool {
    let taken = object::find::<Queue, _>(kernel, queue, |queue| {
        if queue.at_a_time.is_some() {
            return None;
        }
        let takes = !queue.purged;
        if takes {
            queue.waiting.push_back(request);
        }
        Some(takes)
    });
    match taken.flatten() {
        None => false,
        Some(true) => true,
        Some(false) => {
            request::finish(
                kernel,
                "the framework",
                request,
                STATUS_INVALID_DEVICE_STATE,
                0,
            );
            true
        }
    }
}

pub(super) fn retrieve_next(
    kernel: &Kernel,
    queue: WDFQUEUE,
    request: *mut WDFREQUEST,
) -> NtStatus {
    const NAME: &str = "WdfIoQueueRetrieveNextRequest";
    super::require_parameter(kernel, NAME, "OutRequest", request.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { request.write(std::ptr::null_mut()) };
    let handle = queue as usize;
    let next = object::with::<Queue, _>(kernel, NAME, handle, |queue| {
        if queue.at_a_time.is_some_and(|limit| limit > 1) {
            return Err(STATUS_INVALID_DEVICE_STATE);
        }
        let next = queue.waiting.pop_front().ok_or(STATUS_NO_MORE_ENTRIES)?;
        queue.presented += 1;
        Ok(next)
    });
    match next {
        Err(status) => status,
        Ok(next) => {
            object::find::<Request, _>(kernel, next, |request| request.owner = Owner::Driver);
            if let Some(ledger) = object::ledger(kernel, next) {
                kernel.note(ledger, "retrieved by the driver");
            }
            // SAFETY: as above.
            unsafe { request.write(next as WDFREQUEST) };
            status::SUCCESS
        }
    }
}

pub(super) fn forward(kernel: &Kernel, request: WDFREQUEST, queue: WDFQUEUE) -> NtStatus {
    const NAME: &str = "WdfRequestForwardToIoQueue";
    let (handle, to) = (request as usize, queue as usize);
    let (from, code, lengths) = object::with::<Request, _>(kernel, NAME, handle, |request| {
        let lengths = (request.output.length, request.input.length);
        (request.queue, request.code, lengths)
    });
    let (purged, manual) = object::with::<Queue, _>(kernel, NAME, to, |queue| {
        (queue.purged, queue.at_a_time.is_none())
    });
    let presented = request::require_owned(kernel, NAME, handle);
    if from == to && presented {
        return status::INVALID_DEVICE_REQUEST;
    }
    if purged {
        return super::STATUS_WDF_BUSY;
    }
    if presented {
        queue::completed(kernel, from);
    }
    object::find::<Request, _>(kernel, handle, |request| {
        (request.owner, request.queue) = (Owner::Framework, to)
    });
    if let Some(ledger) = object::ledger(kernel, handle) {
        kernel.note(ledger, format!("forwarded to queue {to:#x}"));
    }
    if manual {
        put(kernel, to, handle);
    } else {
        // The framework presents it when the queue has room, on whatever thread.
        kernel.spawn(
            "framework: forwarded request",
            irql::PASSIVE,
            move |kernel| {
                sender::dispatch(kernel, to, handle, lengths, code);
            },
        );
    }
    status::SUCCESS
}

pub(super) fn enqueue(
    kernel: &Kernel,
    device: wdk_sys_portable::WDFDEVICE,
    request: WDFREQUEST,
) -> NtStatus {
    const NAME: &str = "WdfDeviceEnqueueRequest";
    object::with::<super::device::Device, _>(kernel, NAME, device as usize, |_| ());
    object::with::<Request, _>(kernel, NAME, request as usize, |_| ());
    request::require_owned(kernel, NAME, request as usize);
    object::find::<Request, _>(kernel, request as usize, |request| request.enqueued = true);
    status::SUCCESS
}

pub(super) fn purge(kernel: &Kernel, queue: WDFQUEUE, complete: usize, context: usize) {
    let handle = queue as usize;
    object::with::<Queue, _>(kernel, "WdfIoQueuePurge", handle, |queue| {
        queue.purged = true
    });
    cancel_waiting(kernel, handle, |_| true);
    if complete == 0 {
        return;
    }
    // The callback comes when the driver has completed what it has.
    kernel.spawn("framework: purge", irql::PASSIVE, move |kernel| {
        let empty = move |kernel: &Kernel| {
            object::find::<Queue, _>(kernel, handle, |queue| queue.presented == 0).unwrap_or(true)
        };
        kernel.block("a purged queue to be empty".to_owned(), None, empty);
        call_driver!(
            kernel,
            complete,
            fn(WDFQUEUE, usize),
            handle as WDFQUEUE,
            context
        );
        super::after_callback(kernel, "EvtIoQueuePurgeComplete", irql::PASSIVE);
    });
}

pub(super) fn get_state(
    kernel: &Kernel,
    queue: WDFQUEUE,
    in_queue: *mut u32,
    of_driver: *mut u32,
) -> u32 {
    let (waiting, presented, purged) =
        object::with::<Queue, _>(kernel, "WdfIoQueueGetState", queue as usize, |queue| {
            (queue.waiting.len() as u32, queue.presented, queue.purged)
        });
    for (place, count) in [(in_queue, waiting), (of_driver, presented)] {
        if !place.is_null() {
            // SAFETY: the driver's pointer; a bad one faults and is reported.
            unsafe { place.write(count) };
        }
    }
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    flag(!purged, state::ACCEPT_REQUESTS | state::DISPATCH_REQUESTS)
        | flag(waiting == 0, state::NO_REQUESTS)
        | flag(presented == 0, state::DRIVER_NO_REQUESTS)
}

/// Cancels the requests of a queue that wait in it and that `which` picks.
pub(super) fn cancel_waiting(kernel: &Kernel, queue: usize, which: impl Fn(usize) -> bool) {
    let waiting = object::find::<Queue, _>(kernel, queue, |queue| {
        let (cancelled, kept) = std::mem::take(&mut queue.waiting)
            .into_iter()
            .partition(|&request| which(request));
        queue.waiting = kept;
        let cancelled: VecDeque<usize> = cancelled;
        cancelled
    });
    for request in waiting.unwrap_or_default() {
        request::finish(kernel, "the framework", request, STATUS_CANCELLED, 0);
    }
}

/// Cancels the requests that wait in any queue and that `which` picks.
fn cancel_everywhere(kernel: &Kernel, which: impl Fn(&Request, usize) -> bool) {
    let (queues, requests): (Vec<usize>, Vec<usize>) = {
        let objects = kernel.wdf.objects.borrow();
        let queues = objects
            .iter()
            .filter(|(_, object)| matches!(object.kind, Kind::Queue(_)))
            .map(|(handle, _)| *handle)
            .collect();
        let requests = objects
            .iter()
            .filter(
                |(handle, object)| matches!(&object.kind, Kind::Request(request) if which(request, **handle)),
            )
            .map(|(handle, _)| *handle)
            .collect();
        (queues, requests)
    };
    for queue in queues {
        cancel_waiting(kernel, queue, |request| requests.contains(&request));
    }
}

/// Cancels what waits of a handle that was closed.
pub(super) fn cancel_of_file(kernel: &Kernel, file: usize) {
    cancel_everywhere(kernel, |request, _| request.file == file);
}

/// Cancels one request if it waits in a queue (CancelIoEx). What the driver has, it has to complete itself.
pub(crate) fn cancel(kernel: &Kernel, request: usize) {
    cancel_everywhere(kernel, |_, handle| handle == request);
}
