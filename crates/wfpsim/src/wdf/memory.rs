//! Memory of a program, locked by a driver in the program's own context.

use std::ffi::c_void;

use wdk_sys_portable::STATUS_ACCESS_VIOLATION;
use wdk_sys_portable::WDFREQUEST;

use super::object;
use super::object::Attributes;
use super::object::Kind;
use super::request::Request;
use crate::machine::Kernel;
use crate::memory::BlockState;
use crate::memory::Purpose;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// A handle of a memory object.
#[expect(clippy::upper_case_acronyms, reason = "the framework's name")]
pub(super) type WDFMEMORY = Handle;

/// STATUS_INVALID_USER_BUFFER.
const INVALID_USER_BUFFER: NtStatus = 0xC000_00E8u32 as NtStatus;

/// Locked memory. Here it is mapped for the driver where the program has it.
pub(super) struct Memory {
    address: usize,
    length: usize,
}

pub(super) fn lock_for_read(
    kernel: &Kernel,
    request: WDFREQUEST,
    buffer: *mut c_void,
    length: usize,
    memory: *mut WDFMEMORY,
) -> NtStatus {
    lock(
        kernel,
        "WdfRequestProbeAndLockUserBufferForRead",
        request,
        buffer,
        length,
        memory,
    )
}

pub(super) fn lock_for_write(
    kernel: &Kernel,
    request: WDFREQUEST,
    buffer: *mut c_void,
    length: usize,
    memory: *mut WDFMEMORY,
) -> NtStatus {
    lock(
        kernel,
        "WdfRequestProbeAndLockUserBufferForWrite",
        request,
        buffer,
        length,
        memory,
    )
}

fn lock(
    kernel: &Kernel,
    function: &'static str,
    request: WDFREQUEST,
    buffer: *mut c_void,
    length: usize,
    memory: *mut WDFMEMORY,
) -> NtStatus {
    object::with::<Request, _>(kernel, function, request as usize, |_| ());
    super::require_parameter(kernel, function, "MemoryObject", memory.cast());
    if !kernel.running().of_program.get() {
        let summary = format!(
            "{function} was called outside the context of the program whose memory it is to lock (EvtIoInCallerContext)"
        );
        let violation = Violation::contract(
            kernel,
            "D-06",
            [request as u64, buffer as u64, 0, 0],
            summary,
        );
        kernel.bug_check(match object::ledger(kernel, request as usize) {
            Some(object) => violation.about(kernel, object),
            None => violation,
        });
    }
    if length == 0 {
        return INVALID_USER_BUFFER;
    }
    let address = buffer as usize;
    let whole = kernel.arena.find(address).is_some_and(|block| {
        block.purpose == Purpose::Program
            && block.state == BlockState::Live
            && address
                .checked_add(length)
                .is_some_and(|end| end <= block.start + block.size)
    });
    if !whole {
        return STATUS_ACCESS_VIOLATION;
    }
    if kernel.fails(function) {
        return status::INSUFFICIENT_RESOURCES;
    }
    let value = Memory { address, length };
    // A child of the request: it goes when the request is completed.
    let handle = object::insert(
        kernel,
        Kind::Memory(value),
        Some(request as usize),
        Attributes::default(),
    );
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { memory.write(handle as WDFMEMORY) };
    status::SUCCESS
}

pub(super) fn buffer(kernel: &Kernel, memory: WDFMEMORY, size: *mut usize) -> *mut c_void {
    let (address, length) =
        object::with::<Memory, _>(kernel, "WdfMemoryGetBuffer", memory as usize, |memory| {
            (memory.address, memory.length)
        });
    if !size.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { size.write(length) };
    }
    address as *mut c_void
}
