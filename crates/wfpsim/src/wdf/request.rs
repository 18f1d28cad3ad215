//! Requests from user mode, their buffers and their completion (D-06).

use std::ffi::c_void;

use wdk_sys_portable::STATUS_PENDING;
use wdk_sys_portable::WDFREQUEST;

use super::object;
use super::object::Attributes;
use super::object::Kind;
use super::queue;
use super::sender::Answer;
use super::sender::Control;
use super::sender::Output;
use crate::machine::Kernel;
use crate::machine::Random;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;
use crate::verifier::code;

/// WDF_REQUEST_FATAL_ERROR_CODES of wdfbugcodes.h, parameter 2.
const INFORMATION_LENGTH_MISMATCH: u64 = 0x4;

/// How a control code says that its buffers are passed: its two low bits.
pub(super) const METHOD_BUFFERED: u32 = 0;
pub(super) const METHOD_OUT_DIRECT: u32 = 2;
pub(super) const METHOD_NEITHER: u32 = 3;

/// A buffer of a request.
#[derive(Clone, Copy, Default)]
pub(super) struct Buffer {
    /// 0 if there is none.
    pub address: usize,
    pub length: usize,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Opening a handle.
    Create,
    /// A control code.
    DeviceControl,
}

/// Who has a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The framework: it is on its way to the driver, or waits in a queue.
    Framework,
    /// The driver.
    Driver,
}

/// A request.
pub(super) struct Request {
    pub what: For,
    /// The queue that it was last in; 0 before the first.
    pub queue: usize,
    pub owner: Owner,
    /// The handle's file object; 0 if it has none.
    pub file: usize,
    pub code: u32,
    pub input: Buffer,
    pub output: Buffer,
    /// The IRP, once it was asked for.
    pub irp: usize,
    /// The MDLs of the input and the output, once they were asked for.
    pub mdls: [usize; 2],
    /// Blocks that go when it is completed.
    pub blocks: Vec<usize>,
    /// What the system buffer was filled with where no input lies.
    filling: u64,
    /// What the program sent.
    sent: Vec<u8>,
    /// Whether it was shown to EvtIoInCallerContext.
    pub context: bool,
    /// Whether WdfDeviceEnqueueRequest has passed it on since.
    pub enqueued: bool,
}

impl Request {
    /// Whether the driver has it in EvtIoInCallerContext, before any queue.
    fn in_context(&self) -> bool {
        self.context && !self.enqueued
    }
}

/// The numbers that a system buffer is filled with: no other request's, so that a word left as it was can be told.
fn fill(filling: u64) -> impl Iterator<Item = u64> {
    let numbers = Random::new(filling);
    std::iter::repeat_with(move || numbers.bits())
}

/// Makes the request of a handle that is being opened. The driver has it at once.
pub(super) fn make_create(kernel: &Kernel, _device: usize, file: usize) -> usize {
    let request = Request {
        what: For::Create,
        owner: Owner::Driver,
        ..blank(0, file)
    };
    object::insert(kernel, Kind::Request(request), None, Attributes::default())
}

fn blank(queue: usize, file: usize) -> Request {
    Request {
        what: For::DeviceControl,
        queue,
        owner: Owner::Framework,
        file,
        code: 0,
        input: Buffer::default(),
        output: Buffer::default(),
        irp: 0,
        mdls: [0; 2],
        blocks: Vec::new(),
        filling: 0,
        sent: Vec::new(),
        context: false,
        enqueued: false,
    }
}

/// Makes a request with its buffers, as the I/O manager does for the code's method.
pub(super) fn make(kernel: &Kernel, queue: usize, file: usize, control: &Control<'_>) -> usize {
    let (code, input, output_length) = (control.code, control.input, control.output.length());
    let request = Request {
        code,
        input: Buffer {
            address: 0,
            length: input.len(),
        },
        output: Buffer {
            address: 0,
            length: output_length,
        },
        sent: input.to_vec(),
        ..blank(queue, file)
    };
    let handle = object::insert(kernel, Kind::Request(request), None, Attributes::default());
    // A stream of its own for each request, which takes nothing from the machine's.
    let filling = kernel.config.seed ^ (handle as u64).rotate_left(32);
    let method = code & 3;
    let system = match method {
        METHOD_BUFFERED => buffer(
            kernel,
            "system buffer of a request",
            input.len().max(output_length),
            filling,
        ),
        METHOD_NEITHER => 0,
        _ => buffer(kernel, "system buffer of a request", input.len(), filling),
    };
    if system != 0 {
        // SAFETY: the buffer was just made, at least as long as the input.
        unsafe { (system as *mut u8).copy_from_nonoverlapping(input.as_ptr(), input.len()) };
    }
    let direct = match method {
        METHOD_BUFFERED | METHOD_NEITHER => 0,
        _ => buffer(
            kernel,
            "locked pages of a request's output",
            output_length,
            0,
        ),
    };
    if let Output::Filled(bytes) = &control.output
        && direct != 0
    {
        // SAFETY: the buffer was just made with this length.
        unsafe { (direct as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
    object::find::<Request, _>(kernel, handle, |request| {
        request.input.address = system;
        request.output.address = if method == METHOD_BUFFERED {
            system
        } else {
            direct
        };
        request.blocks = [system, direct]
            .into_iter()
            .filter(|&block| block != 0)
            .collect();
        request.filling = filling;
    });
    handle
}

/// Makes a buffer of `length` bytes; 0 if it has none.
fn buffer(kernel: &Kernel, label: &str, length: usize, filling: u64) -> usize {
    if length == 0 {
        return 0;
    }
    let ledger = kernel.ledger.begin(label);
    let block = kernel
        .arena
        .allocate(length, Purpose::RequestBuffer, ledger, true)
        .as_ptr();
    kernel.note(ledger, "allocated");
    let bytes: Vec<u8> = fill(filling)
        .flat_map(u64::to_le_bytes)
        .take(length)
        .collect();
    // SAFETY: the block was just made with this length.
    unsafe { block.copy_from_nonoverlapping(bytes.as_ptr(), length) };
    block as usize
}

pub(super) fn retrieve_input(
    kernel: &Kernel,
    request: WDFREQUEST,
    minimum: usize,
    buffer: *mut *mut c_void,
    length: *mut usize,
) -> NtStatus {
    let (code, found) = object::with::<Request, _>(
        kernel,
        "WdfRequestRetrieveInputBuffer",
        request as usize,
        |request| (request.code, request.input),
    );
    check_input(kernel, request as usize);
    retrieve(
        kernel,
        "WdfRequestRetrieveInputBuffer",
        code,
        found,
        minimum,
        buffer,
        length,
    )
}

/// With METHOD_BUFFERED the output is written where the input lies: who asks for the input then gets its own output (D-06).
fn check_input(kernel: &Kernel, handle: usize) {
    let overwritten = object::find::<Request, _>(kernel, handle, |request| {
        // SAFETY: the buffer of a request that is not completed, at least as long as what was sent.
        let now = |address: usize| unsafe {
            std::slice::from_raw_parts(address as *const u8, request.sent.len())
        };
        request.input.address != 0 && now(request.input.address) != request.sent
    });
    if overwritten == Some(true) {
        let summary = "the input of a request was asked for after output was written over it: METHOD_BUFFERED has one buffer for both";
        let violation = Violation::contract(kernel, "D-06", [handle as u64, 0, 0, 0], summary);
        kernel.bug_check(match object::ledger(kernel, handle) {
            Some(object) => violation.about(kernel, object),
            None => violation,
        });
    }
}

pub(super) fn retrieve_output(
    kernel: &Kernel,
    request: WDFREQUEST,
    minimum: usize,
    buffer: *mut *mut c_void,
    length: *mut usize,
) -> NtStatus {
    let (code, found) = object::with::<Request, _>(
        kernel,
        "WdfRequestRetrieveOutputBuffer",
        request as usize,
        |request| (request.code, request.output),
    );
    retrieve(
        kernel,
        "WdfRequestRetrieveOutputBuffer",
        code,
        found,
        minimum,
        buffer,
        length,
    )
}

fn retrieve(
    kernel: &Kernel,
    function: &'static str,
    code: u32,
    found: Buffer,
    minimum: usize,
    buffer: *mut *mut c_void,
    length: *mut usize,
) -> NtStatus {
    super::require_parameter(kernel, function, "Buffer", buffer.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { buffer.write(std::ptr::null_mut()) };
    if !length.is_null() {
        // SAFETY: as above.
        unsafe { length.write(0) };
    }
    if code & 3 == METHOD_NEITHER {
        return status::INVALID_DEVICE_REQUEST;
    }
    // No length at all is too small for every minimum, 0 included.
    if found.length == 0 || found.length < minimum {
        return status::BUFFER_TOO_SMALL;
    }
    // Locking down pages for a direct transfer, and nothing else here, can fail.
    if code & 3 != METHOD_BUFFERED && kernel.fails(function) {
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: as above.
    unsafe { buffer.write(found.address as *mut c_void) };
    if !length.is_null() {
        // SAFETY: as above.
        unsafe { length.write(found.length) };
    }
    status::SUCCESS
}

pub(super) fn complete(kernel: &Kernel, request: WDFREQUEST, status: NtStatus) {
    complete_for_driver(kernel, "WdfRequestComplete", request, status, 0);
}

pub(super) fn complete_with_information(
    kernel: &Kernel,
    request: WDFREQUEST,
    status: NtStatus,
    information: u64,
) {
    complete_for_driver(
        kernel,
        "WdfRequestCompleteWithInformation",
        request,
        status,
        information as usize,
    );
}

fn complete_for_driver(
    kernel: &Kernel,
    function: &str,
    request: WDFREQUEST,
    status: NtStatus,
    information: usize,
) {
    let handle = request as usize;
    let (queue, output, input, code) =
        object::with::<Request, _>(kernel, function, handle, |request| {
            (
                request.queue,
                request.output.length,
                request.input.length,
                request.code,
            )
        });
    let queue = if require_owned(kernel, function, handle) {
        queue
    } else {
        0
    };
    let stop = |violation: Violation| match object::ledger(kernel, handle) {
        Some(object) => kernel.bug_check(violation.about(kernel, object)),
        None => kernel.bug_check(violation),
    };
    if status == STATUS_PENDING {
        let summary = format!("{function} was given STATUS_PENDING, which completes nothing");
        stop(Violation::contract(
            kernel,
            "D-06",
            [handle as u64, 0, 0, 0],
            summary,
        ));
    }
    if information > output {
        let summary = format!(
            "{function} was given Information {information}, and the output buffer has {output} bytes"
        );
        let parameters = [
            super::WDF_REQUEST_FATAL_ERROR,
            INFORMATION_LENGTH_MISMATCH,
            information as u64,
            output as u64,
        ];
        stop(Violation::new(
            kernel,
            code::WDF_VIOLATION,
            parameters,
            "D-06",
            summary,
        ));
    }
    if !is_error(status)
        && code & 3 == METHOD_BUFFERED
        && let Some(offset) = untouched(kernel, handle, input, information)
    {
        let summary = format!(
            "{function} was given Information {information}, and byte {offset} of the output was never written: it shows user mode what was in kernel memory before"
        );
        stop(Violation::contract(
            kernel,
            "D-06",
            [handle as u64, information as u64, offset as u64, 0],
            summary,
        ));
    }
    finish(kernel, function, handle, status, information);
    queue::completed(kernel, queue);
}

/// Stops the machine if the framework has a request, which a driver then may not complete or forward. Whether a queue has presented
/// it, rather than EvtIoInCallerContext.
pub(super) fn require_owned(kernel: &Kernel, function: &str, handle: usize) -> bool {
    let found = object::find::<Request, _>(kernel, handle, |request| {
        let presented = request.what == For::DeviceControl && !request.in_context();
        (request.owner, presented)
    });
    if let Some((Owner::Framework, _)) = found {
        let summary =
            format!("{function} was given a request that waits in a queue and is the framework's");
        let violation = super::violation(
            kernel,
            super::WDF_INVALID_HANDLE,
            handle as u64,
            "D-06",
            summary,
        );
        kernel.bug_check(match object::ledger(kernel, handle) {
            Some(object) => violation.about(kernel, object),
            None => violation,
        });
    }
    found.is_some_and(|(_, presented)| presented)
}

/// Whether a status is an error: then no output reaches the sender.
pub(super) fn is_error(status: NtStatus) -> bool {
    status.cast_unsigned() >> 30 == 3
}

/// How many bytes of a word tell that it was left alone: fewer may be so by chance.
const TELLING: usize = 4;

/// The first word of the output, beyond the sender's own input, that is still as the system buffer was made; at the end of
/// the output also half a word.
fn untouched(kernel: &Kernel, handle: usize, from: usize, to: usize) -> Option<usize> {
    let (address, filling) = object::find::<Request, _>(kernel, handle, |request| {
        (request.output.address, request.filling)
    })?;
    fill(filling)
        .enumerate()
        .map(|(index, word)| (index * 8, word))
        .take_while(|(offset, _)| offset + TELLING <= to)
        .find_map(|(offset, word)| {
            let length = (to - offset).min(8);
            // SAFETY: the bytes lie in the output, whose length was compared, of a request that is not completed.
            let now =
                unsafe { std::slice::from_raw_parts((address + offset) as *const u8, length) };
            let left = word.to_le_bytes();
            (offset >= from && Some(now) == left.get(..length)).then_some(offset)
        })
}

/// Ends a request: output to the sender, buffers and handle freed.
pub(super) fn finish(
    kernel: &Kernel,
    by: &str,
    handle: usize,
    status: NtStatus,
    information: usize,
) {
    let Some((code, output, blocks)) = object::find::<Request, _>(kernel, handle, |request| {
        (
            request.code,
            request.output,
            std::mem::take(&mut request.blocks),
        )
    }) else {
        return;
    };
    // A buffered output is copied as far as it was filled; directly the driver wrote to the sender's own pages.
    let buffered = code & 3 == METHOD_BUFFERED;
    let shown = match output.address {
        0 => 0,
        _ if !buffered => output.length,
        _ if is_error(status) => 0,
        _ => information,
    };
    let mut bytes = vec![0; shown];
    // SAFETY: Information was compared with the length of the output, and its block is still alive.
    unsafe {
        bytes
            .as_mut_ptr()
            .copy_from_nonoverlapping(output.address as *const u8, shown)
    };
    if let Some(ledger) = object::ledger(kernel, handle) {
        kernel.note(
            ledger,
            format!("completed by {by} with status {status:#010x}, Information {information}"),
        );
    }
    for block in blocks {
        crate::nt::free_blocks(kernel, &[block], "freed: the request was completed");
    }
    object::delete_as(kernel, handle, "gone");
    kernel.wdf.completed.borrow_mut().insert(
        handle,
        Answer {
            status,
            information,
            output: bytes,
        },
    );
}
