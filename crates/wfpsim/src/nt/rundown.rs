//! Rundown protection (EX_RUNDOWN_REF), kept in the driver's own word: bit 0 says that a wait has begun, the rest counts.

use crate::machine::Kernel;
use crate::verifier::Violation;

const WAITING: usize = 1;
const ONE: usize = 2;

pub(super) fn initialize(_kernel: &Kernel, rundown: *mut usize) {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { rundown.write_volatile(0) };
}

pub(super) fn acquire(_kernel: &Kernel, rundown: *mut usize) -> u8 {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let value = unsafe { rundown.read_volatile() };
    if value & WAITING != 0 {
        return 0;
    }
    // SAFETY: as above.
    unsafe { rundown.write_volatile(value + ONE) };
    1
}

pub(super) fn release(kernel: &Kernel, rundown: *mut usize) {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let value = unsafe { rundown.read_volatile() };
    if value < ONE {
        let summary = "rundown protection was released more often than acquired";
        let parameters = [rundown as u64, value as u64, 0, 0];
        kernel.bug_check(
            Violation::contract(kernel, "C-06", parameters, summary)
                .about_address(kernel, rundown as usize),
        );
    }
    // SAFETY: as above.
    unsafe { rundown.write_volatile(value - ONE) };
}

pub(super) fn wait(kernel: &Kernel, rundown: *mut usize) {
    let address = rundown as usize;
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { rundown.write_volatile(rundown.read_volatile() | WAITING) };
    let released = move |kernel: &Kernel| {
        // SAFETY: not followed if the block it lies in is gone.
        !kernel.is_readable(address) || unsafe { (address as *const usize).read_volatile() } < ONE
    };
    let what = format!("rundown protection {address:#x}");
    kernel.block_under("C-06", what, None, released);
}
