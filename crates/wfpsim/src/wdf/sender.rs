//! Requests on their way: how a program sends a control code, how it gets to the driver, and what comes back.

use wdk_sys_portable::STATUS_CANCELLED;
use wdk_sys_portable::WDFDEVICE;
use wdk_sys_portable::WDFREQUEST;

use super::device::Device;
use super::device::Opened;
use super::object;
use super::queue;
use super::request::Owner;
use super::request::Request;
use super::request::finish;
use super::request::is_error;
use super::request::make;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::nt::NtStatus;
use crate::nt::status;

/// How a request ended, as its sender sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: NtStatus,
    /// How many bytes it says that it moved.
    pub information: usize,
    /// The output buffer as it is now.
    pub output: Vec<u8>,
}

impl Answer {
    /// The answer of a system that sent the request nowhere.
    pub(crate) fn failed(status: NtStatus) -> Self {
        Self {
            status,
            information: 0,
            output: Vec::new(),
        }
    }

    /// What of the output the request says that it moved; nothing if it failed.
    pub(crate) fn moved(mut self) -> Vec<u8> {
        if is_error(self.status) {
            return Vec::new();
        }
        self.output.truncate(self.information);
        self.output
    }
}

/// A control code to be sent.
pub(crate) struct Control<'a> {
    pub code: u32,
    pub input: &'a [u8],
    pub output: Output,
}

/// The output buffer of a control code.
pub(crate) enum Output {
    /// Of this length; what is in it does not matter.
    Fresh(usize),
    /// With these bytes in it, which a direct method shows to the driver.
    Filled(Vec<u8>),
}

impl Output {
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Fresh(length) => *length,
            Self::Filled(bytes) => bytes.len(),
        }
    }
}

/// Sends a control code as user mode does, and waits for the answer. `sent` is told the request as soon as it is made.
pub(crate) fn device_control(
    kernel: &Kernel,
    opened: Opened,
    control: Control<'_>,
    sent: impl FnOnce(usize),
) -> Answer {
    let Some((queue, in_caller_context)) =
        object::find::<Device, _>(kernel, opened.device, |device| {
            (device.default_queue, device.in_caller_context)
        })
    else {
        return Answer::failed(status::INVALID_DEVICE_REQUEST);
    };
    if queue.is_none() && in_caller_context == 0 {
        return Answer::failed(status::INVALID_DEVICE_REQUEST);
    }
    let (code, lengths) = (control.code, (control.output.length(), control.input.len()));
    let handle = make(kernel, queue.unwrap_or(0), opened.file, &control);
    sent(handle);
    if in_caller_context != 0 && !show_in_context(kernel, opened.device, in_caller_context, handle)
    {
        return take_answer(kernel, handle);
    }
    match queue {
        Some(queue) => dispatch(kernel, queue, handle, lengths, code),
        None => finish(
            kernel,
            "the framework",
            handle,
            status::INVALID_DEVICE_REQUEST,
            0,
        ),
    }
    wait(
        kernel,
        handle,
        &format!("the request for control code {code:#x}"),
    )
}

/// Shows a request to EvtIoInCallerContext, and waits until it is passed on or completed. True if it was passed on.
fn show_in_context(kernel: &Kernel, device: usize, callback: usize, handle: usize) -> bool {
    object::find::<Request, _>(kernel, handle, |request| {
        (request.owner, request.context) = (Owner::Driver, true)
    });
    let irql = kernel.irql();
    call_driver!(
        kernel,
        callback,
        fn(WDFDEVICE, WDFREQUEST),
        device as WDFDEVICE,
        handle as WDFREQUEST
    );
    super::after_callback(kernel, "EvtIoInCallerContext", irql);
    let answered = move |kernel: &Kernel| kernel.wdf.completed.borrow().contains_key(&handle);
    let decided = move |kernel: &Kernel| {
        let passed_on = object::find::<Request, _>(kernel, handle, |request| request.enqueued);
        answered(kernel) || passed_on.unwrap_or(true)
    };
    kernel.block_under(
        "D-06",
        "the driver to pass a request on or to complete it (D-06)".to_owned(),
        None,
        decided,
    );
    // A reference of the driver's may keep a request that was completed.
    !answered(kernel)
        && object::find::<Request, _>(kernel, handle, |request| request.owner = Owner::Framework)
            .is_some()
}

/// Gives a request to a queue: to its callback when there is room, or to whoever asks where the driver asks itself.
pub(super) fn dispatch(
    kernel: &Kernel,
    queue: usize,
    handle: usize,
    lengths: (usize, usize),
    code: u32,
) {
    object::find::<Request, _>(kernel, handle, |request| request.queue = queue);
    if super::manual::put(kernel, queue, handle) {
        return;
    }
    if !queue::take_turn(kernel, queue) {
        finish(kernel, "the framework", handle, STATUS_CANCELLED, 0);
    } else if let Some(presentation) = queue::callback(kernel, queue) {
        object::find::<Request, _>(kernel, handle, |request| request.owner = Owner::Driver);
        if let Some(ledger) = object::ledger(kernel, handle) {
            kernel.note(ledger, "presented to the driver");
        }
        queue::present(kernel, queue, handle, &presentation, lengths, code);
    } else {
        finish(
            kernel,
            "the framework",
            handle,
            status::INVALID_DEVICE_REQUEST,
            0,
        );
        queue::completed(kernel, queue);
    }
}

/// Waits until a request is completed.
pub(super) fn wait(kernel: &Kernel, handle: usize, what: &str) -> Answer {
    let answered = move |kernel: &Kernel| kernel.wdf.completed.borrow().contains_key(&handle);
    kernel.block_under(
        "D-06",
        format!("the driver to complete {what} (D-06)"),
        None,
        answered,
    );
    take_answer(kernel, handle)
}

fn take_answer(kernel: &Kernel, handle: usize) -> Answer {
    kernel
        .wdf
        .completed
        .borrow_mut()
        .remove(&handle)
        .unwrap_or_else(|| Answer::failed(status::UNSUCCESSFUL))
}
