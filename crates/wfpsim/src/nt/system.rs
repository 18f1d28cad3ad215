//! What is left of the executive: time, IRQL, bug checks, and an image's own data.

use std::ffi::c_void;

use wdk_sys_portable::STATUS_RETRY;
use wfp_sys::GUID;

use super::NtStatus;
use super::status;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::verifier::Violation;
use crate::verifier::code::KERNEL_SECURITY_CHECK_FAILURE;

pub(super) fn current_irql(kernel: &Kernel) -> u8 {
    kernel.irql()
}

pub(super) fn interrupt_time(kernel: &Kernel, counter: *mut u64) -> u64 {
    if !counter.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { counter.write(kernel.now()) };
    }
    kernel.now()
}

pub(super) fn bug_check(
    kernel: &Kernel,
    code: u32,
    p1: usize,
    p2: usize,
    p3: usize,
    p4: usize,
) -> ! {
    let parameters = [p1, p2, p3, p4].map(|parameter| parameter as u64);
    kernel.bug_check(Violation::new(
        kernel,
        code,
        parameters,
        // What the driver's own checks find damaged is damaged pool, whoever looks (C-63).
        if code == KERNEL_SECURITY_CHECK_FAILURE {
            "C-63"
        } else {
            "-"
        },
        "the driver stopped the machine itself",
    ))
}

/// RTL_OSVERSIONINFOW, and what RTL_OSVERSIONINFOEXW adds to it.
#[repr(C)]
pub struct Version {
    size: u32,
    numbers: [u32; 4],
    service_pack: [u16; 128],
    service_pack_numbers: [u16; 2],
    suite: u16,
    product: u8,
    reserved: u8,
}

/// Windows 11 version 24H2: major, minor, build, platform (VER_PLATFORM_WIN32_NT).
const VERSION: [u32; 4] = [10, 0, 26100, 2];

const _: () = assert!(size_of::<Version>() == 284);

/// Fills in the older structure whatever the size says, and the rest where the size says that it is there.
pub(super) fn version(_kernel: &Kernel, version: *mut Version) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe {
        (*version).numbers = VERSION;
        (&raw mut (*version).service_pack).cast::<u16>().write(0);
        if (*version).size as usize == size_of::<Version>() {
            (*version).service_pack_numbers = [0; 2];
            (*version).suite = 0x100;
            (*version).product = 1;
        }
    }
    status::SUCCESS
}

/// A random UUID (version 4). Its bits are the seed's.
pub(super) fn uuid(kernel: &Kernel, uuid: *mut GUID) -> NtStatus {
    if kernel.fails("ExUuidCreate") {
        return STATUS_RETRY;
    }
    let (high, low) = (kernel.random.bits(), kernel.random.bits());
    let mut tail = low.to_le_bytes();
    tail[0] = tail[0] & 0x3F | 0x80;
    let value = GUID {
        data1: high as u32,
        data2: (high >> 32) as u16,
        data3: (high >> 48) as u16 & 0x0FFF | 0x4000,
        data4: tail,
    };
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { uuid.write(value) };
    status::SUCCESS
}

/// A linked driver's stand-in for a static of its image: many machines share one copy of its code, so each keeps the
/// image's data by the address of a key.
pub(super) fn image_data(kernel: &Kernel, key: *const c_void, size: usize) -> *mut c_void {
    let known = kernel.nt.image_data.borrow().get(&(key as usize)).copied();
    if let Some((address, _)) = known {
        return address as *mut c_void;
    }
    let object = kernel.ledger.begin("data of the driver's image");
    let block = kernel
        .arena
        .allocate(size, Purpose::ImageData, object, true);
    kernel
        .nt
        .image_data
        .borrow_mut()
        .insert(key as usize, (block.as_ptr() as usize, size));
    block.as_ptr().cast()
}

/// The blocks that stand for the image's data, to be taken away when the image is.
pub(crate) fn image_data_addresses(kernel: &Kernel) -> Vec<usize> {
    std::mem::take(&mut *kernel.nt.image_data.borrow_mut())
        .into_values()
        .map(|(address, _)| address)
        .collect()
}
