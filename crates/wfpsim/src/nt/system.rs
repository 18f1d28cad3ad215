//! What is left of the executive: time, IRQL, bug checks, and an image's own data.

use std::ffi::c_void;

use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::verifier::Violation;

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
        "-",
        "the driver stopped the machine itself",
    ))
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
