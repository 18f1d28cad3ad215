//! What a request says of itself: its parameters, its file object, its IRP and its MDLs.

use std::ffi::c_void;

use wdk_sys_portable::WDFREQUEST;
use wfp_sys::ndis::MDL;
use wfp_sys::ndis::MDL_PAGES_LOCKED;
use wfp_sys::ndis::MDL_SOURCE_IS_NONPAGED_POOL;
use wfp_sys::ndis::MDL_WRITE_OPERATION;

use super::file::WDFFILEOBJECT;
use super::object;
use super::object::Kind;
use super::request::Buffer;
use super::request::For;
use super::request::METHOD_BUFFERED;
use super::request::METHOD_NEITHER;
use super::request::METHOD_OUT_DIRECT;
use super::request::Request;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// WDF_REQUEST_PARAMETERS, with what a control code has in the union.
#[repr(C)]
pub(super) struct Parameters {
    size: u16,
    minor_function: u8,
    kind: i32,
    output_length: usize,
    input_length: usize,
    code: u32,
    type3_input: usize,
}

const _: () = assert!(size_of::<Parameters>() == 40);

/// WDF_REQUEST_TYPE.
const TYPE_CREATE: i32 = 0;
const TYPE_DEVICE_CONTROL: i32 = 14;
/// sizeof(IRP), with one stack location behind it.
const IRP: usize = 208 + 72;

pub(super) fn parameters(kernel: &Kernel, request: WDFREQUEST, parameters: *mut Parameters) {
    const NAME: &str = "WdfRequestGetParameters";
    let (what, code, input, output) =
        object::with::<Request, _>(kernel, NAME, request as usize, |request| {
            (request.what, request.code, request.input, request.output)
        });
    super::require_parameter(kernel, NAME, "Parameters", parameters.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let size = unsafe { (*parameters).size };
    if usize::from(size) != size_of::<Parameters>() {
        let summary = format!(
            "{NAME} was given WDF_REQUEST_PARAMETERS of {size} bytes; WDF_REQUEST_PARAMETERS_INIT sets {}",
            size_of::<Parameters>()
        );
        kernel.bug_check(super::violation(
            kernel,
            super::WDF_INVALID_HANDLE,
            request as u64,
            "D.1",
            summary,
        ));
    }
    let kind = match what {
        For::Create => TYPE_CREATE,
        For::DeviceControl => TYPE_DEVICE_CONTROL,
    };
    let value = Parameters {
        size,
        minor_function: 0,
        kind,
        output_length: output.length,
        input_length: input.length,
        code,
        type3_input: 0,
    };
    // SAFETY: as above.
    unsafe { parameters.write(value) };
}

pub(super) fn file_object(kernel: &Kernel, request: WDFREQUEST) -> WDFFILEOBJECT {
    object::with::<Request, _>(
        kernel,
        "WdfRequestGetFileObject",
        request as usize,
        |request| request.file,
    ) as WDFFILEOBJECT
}

/// The IRP of a request: a block that tells who touches it too late. Its fields are not filled in.
pub(super) fn irp(kernel: &Kernel, request: WDFREQUEST) -> *mut c_void {
    let handle = request as usize;
    let known =
        object::with::<Request, _>(kernel, "WdfRequestWdmGetIrp", handle, |request| request.irp);
    if known != 0 {
        return known as *mut c_void;
    }
    let ledger = kernel.ledger.begin("IRP");
    let irp = kernel
        .arena
        .allocate(IRP, Purpose::Object, ledger, true)
        .as_ptr() as usize;
    kernel.note(ledger, format!("the IRP of request {handle:#x}"));
    object::find::<Request, _>(kernel, handle, |request| {
        request.irp = irp;
        request.blocks.push(irp);
    });
    irp as *mut c_void
}

/// Stops the machine if an address is not the IRP of a request that is under way.
pub(crate) fn require_irp(kernel: &Kernel, function: &str, irp: usize) {
    let known = irp != 0
        && kernel
            .wdf
            .objects
            .borrow()
            .values()
            .any(|object| matches!(&object.kind, Kind::Request(request) if request.irp == irp));
    if !known {
        let summary = format!(
            "{function} was given IRP {irp:#x}, which is none, or whose request was completed"
        );
        kernel.bug_check(
            Violation::contract(kernel, "D-06", [irp as u64, 0, 0, 0], summary)
                .about_address(kernel, irp),
        );
    }
}

pub(super) fn input_mdl(kernel: &Kernel, request: WDFREQUEST, mdl: *mut *mut MDL) -> NtStatus {
    give_mdl(kernel, "WdfRequestRetrieveInputWdmMdl", request, mdl, 0)
}

pub(super) fn output_mdl(kernel: &Kernel, request: WDFREQUEST, mdl: *mut *mut MDL) -> NtStatus {
    give_mdl(kernel, "WdfRequestRetrieveOutputWdmMdl", request, mdl, 1)
}

/// Gives the MDL of the input (0) or the output (1).
fn give_mdl(
    kernel: &Kernel,
    function: &'static str,
    request: WDFREQUEST,
    mdl: *mut *mut MDL,
    which: usize,
) -> NtStatus {
    let handle = request as usize;
    let (code, buffer, known) = object::with::<Request, _>(kernel, function, handle, |request| {
        let buffer = if which == 0 {
            request.input
        } else {
            request.output
        };
        (request.code, buffer, request.mdls[which])
    });
    super::require_parameter(kernel, function, "Mdl", mdl.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { mdl.write(std::ptr::null_mut()) };
    if code & 3 == METHOD_NEITHER {
        return status::INVALID_DEVICE_REQUEST;
    }
    if buffer.length == 0 {
        return status::BUFFER_TOO_SMALL;
    }
    let made = if known != 0 {
        known as *mut MDL
    } else if kernel.fails(function) {
        return status::INSUFFICIENT_RESOURCES;
    } else {
        make_mdl(kernel, handle, code, buffer, which)
    };
    // SAFETY: as above.
    unsafe { mdl.write(made) };
    status::SUCCESS
}

fn make_mdl(kernel: &Kernel, handle: usize, code: u32, buffer: Buffer, which: usize) -> *mut MDL {
    let label = format!("MDL of request {handle:#x}");
    let (mdl, ledger) =
        crate::nt::describe_pages(kernel, &label, buffer.address, buffer.length as u32);
    kernel.note(ledger, "made by the framework");
    let direct = which == 1 && code & 3 != METHOD_BUFFERED;
    // SAFETY: the MDL was just made.
    unsafe {
        if direct {
            // Locked by the I/O manager, and mapped by whoever wants to see it.
            (*mdl).MdlFlags = MDL_PAGES_LOCKED
                | if code & 3 == METHOD_OUT_DIRECT {
                    MDL_WRITE_OPERATION
                } else {
                    0
                };
        } else {
            (*mdl).MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
            (*mdl).MappedSystemVa = buffer.address as *mut _;
        }
    }
    object::find::<Request, _>(kernel, handle, |request| {
        request.mdls[which] = mdl as usize;
        request.blocks.push(mdl as usize);
    });
    mdl
}
