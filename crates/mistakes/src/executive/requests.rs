//! Control requests: D-06, D-08, and the framework's lock rule (C-03).

use std::cell::Cell;
use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfpsim::Machine;
use wfpsim::machine::irql;

use super::base::IDLE;
use super::base::IOCTL;
use super::base::Work;
use super::base::load;
use super::base::unload;
use super::kernel::*;
use super::raised::DEVICE;
use super::raised::call;
use crate::Mistake;
use crate::makes;

/// What the program sends, and how much it has room for.
const QUESTION: &[u8] = b"sixteen bytes...";
const ROOM: usize = 64;

pub const REQUESTS: &[Mistake] = &[
    Mistake::always(
        "D-06-completed-twice",
        "D-06",
        "completes a request twice",
        asked,
    ),
    Mistake::always(
        "D-06-never-completed",
        "D-06",
        "forgets a request on one way out",
        asked,
    ),
    Mistake::always(
        "D-06-completed-as-pending",
        "D-06",
        "completes a request with STATUS_PENDING",
        asked,
    ),
    Mistake::always(
        "D-06-read-after-completion",
        "D-06",
        "reads the request's buffer after it has completed it",
        asked,
    ),
    Mistake::always(
        "D-06-written-after-completion",
        "D-06",
        "writes the answer after it has completed the request",
        asked,
    ),
    Mistake::always(
        "D-06-information-beyond-room",
        "D-06",
        "says that it has written more than the output buffer has",
        asked,
    ),
    Mistake::always(
        "D-06-information-beyond-answer",
        "D-06",
        "says that it has filled the output buffer, and has not",
        asked,
    ),
    Mistake::always(
        "D-06-information-one-field-more",
        "D-06",
        "answers with a structure whose last field it has not set",
        asked,
    ),
    Mistake::always(
        "D-06-input-after-output",
        "D-06",
        "writes the answer and then asks for the input, which lay there",
        asked,
    ),
    Mistake::always(
        "C-61-reads-beyond-input",
        "C-61",
        "believes the length that the program gives inside its input",
        asked,
    ),
    Mistake::always(
        "C-03-WdfRequestComplete",
        "C-03",
        "completes a request with a spin lock held",
        asked,
    ),
    Mistake::always(
        "D-08-kept-until-unload",
        "D-08",
        "keeps a program's request until unload, which waits for the program's handle",
        kept,
    ),
    Mistake::always(
        "D.1-WdfRequestRetrieveInputBuffer-high",
        "D.1",
        "asks for a request's input above DISPATCH_LEVEL",
        asked,
    ),
    Mistake::always(
        "D.1-WdfRequestRetrieveOutputBuffer-high",
        "D.1",
        "asks for a request's output above DISPATCH_LEVEL",
        asked,
    ),
    Mistake::always(
        "D.1-WdfRequestCompleteWithInformation-high",
        "D.1",
        "completes a request above DISPATCH_LEVEL",
        asked,
    ),
    Mistake::always(
        "D.1-WdfRequestComplete-high",
        "D.1",
        "refuses a request above DISPATCH_LEVEL",
        refused,
    ),
    Mistake::always(
        "D.1-retrieve-null",
        "D.1",
        "gives the framework a null pointer for the buffer's address",
        asked,
    ),
];

/// A program asks a question.
fn asked(machine: &Machine) {
    let work = Work {
        handler: Some(answer),
        ..IDLE
    };
    let _loaded = load(machine, work);
    let _answer = machine.ioctl(IOCTL, QUESTION, ROOM);
    machine.run();
    unload(machine);
}

/// A program asks without input.
fn refused(machine: &Machine) {
    let work = Work {
        handler: Some(answer),
        ..IDLE
    };
    let _loaded = load(machine, work);
    let _answer = machine.ioctl(IOCTL, &[], ROOM);
    unload(machine);
}

unsafe fn input(request: WDFREQUEST, buffer: *mut PVOID, length: *mut usize) -> NTSTATUS {
    unsafe {
        call_unsafe_wdf_function_binding!(WdfRequestRetrieveInputBuffer, request, 1, buffer, length)
    }
}

unsafe fn output(request: WDFREQUEST, buffer: *mut PVOID, length: *mut usize) -> NTSTATUS {
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRequestRetrieveOutputBuffer,
            request,
            1,
            buffer,
            length
        )
    }
}

unsafe fn complete_with(request: WDFREQUEST, status: NTSTATUS, information: u64) {
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRequestCompleteWithInformation,
            request,
            status,
            information
        )
    };
}

unsafe fn complete(request: WDFREQUEST, status: NTSTATUS) {
    unsafe { call_unsafe_wdf_function_binding!(WdfRequestComplete, request, status) };
}

/// Answers with the sum of the input's bytes, in a structure of three words.
fn answer(request: WDFREQUEST) {
    let (mut given, mut length, mut room) = (null_mut(), 0, 0);
    let mut out = null_mut();
    if makes("D.1-retrieve-null") {
        unsafe { input(request, null_mut(), &raw mut length) };
    }
    let early = makes("D-06-input-after-output");
    if !early {
        let status = call!(DEVICE "D.1-WdfRequestRetrieveInputBuffer-high"; input(request, &raw mut given, &raw mut length));
        if status != STATUS_SUCCESS {
            return call!(DEVICE "D.1-WdfRequestComplete-high"; complete(request, status));
        }
    }
    let mut sum = if early {
        0
    } else {
        sum_of(given.cast(), length)
    };
    let status = call!(DEVICE "D.1-WdfRequestRetrieveOutputBuffer-high"; output(request, &raw mut out, &raw mut room));
    if status != STATUS_SUCCESS || room < 24 {
        return unsafe { complete(request, STATUS_BUFFER_TOO_SMALL) };
    }
    let words: *mut u64 = out.cast();
    unsafe {
        words.write(3);
        if early {
            input(request, &raw mut given, &raw mut length);
            sum = sum_of(given.cast(), length);
        }
        words.add(1).write(sum);
        if !makes("D-06-information-one-field-more") {
            words.add(2).write(0);
        }
    }
    finish(request, words);
}

fn sum_of(bytes: *const u8, length: usize) -> u64 {
    let length = if makes("C-61-reads-beyond-input") {
        usize::from(u8::MAX)
    } else {
        length
    };
    (0..length)
        .map(|index| u64::from(unsafe { bytes.add(index).read_volatile() }))
        .sum()
}

/// Completes the request, whose answer of 24 bytes is written.
fn finish(request: WDFREQUEST, words: *mut u64) {
    let mut information = 24;
    if makes("D-06-never-completed") {
        return;
    }
    if makes("D-06-information-beyond-room") {
        information = ROOM as u64 + 1;
    }
    if makes("D-06-information-beyond-answer") {
        information = ROOM as u64;
    }
    let status = if makes("D-06-completed-as-pending") {
        STATUS_PENDING
    } else {
        STATUS_SUCCESS
    };
    let lock = new_lock();
    let old = acquire(lock);
    if makes("C-03-WdfRequestComplete") {
        unsafe { complete_with(request, status, information) };
    }
    release(lock, old);
    free(lock);
    call!(DEVICE "D.1-WdfRequestCompleteWithInformation-high"; complete_with(request, status, information));
    unsafe {
        if makes("D-06-completed-twice") {
            complete(request, STATUS_SUCCESS);
        }
        if makes("D-06-read-after-completion") {
            let _sum = words.add(1).read_volatile();
        }
        if makes("D-06-written-after-completion") {
            words.add(1).write_volatile(0);
        }
    }
}

thread_local! {
    static KEPT: Cell<WDFREQUEST> = const { Cell::new(null_mut()) };
}

/// A program asks on a thread of its own and waits for news.
fn kept(machine: &Machine) {
    KEPT.set(null_mut());
    let work = Work {
        handler: Some(|request| {
            if makes("D-08-kept-until-unload") {
                KEPT.set(request);
            } else {
                unsafe { complete(request, STATUS_SUCCESS) };
            }
        }),
        unload: || {
            let kept = KEPT.replace(null_mut());
            if !kept.is_null() {
                unsafe { complete(kept, STATUS_CANCELLED) };
            }
        },
        ..IDLE
    };
    let _loaded = load(machine, work);
    machine.spawn("program", irql::PASSIVE, |kernel| {
        let _answer = wfpsim::driver::ioctl(kernel, IOCTL, &[], 0);
    });
    machine.run();
    unload(machine);
}
