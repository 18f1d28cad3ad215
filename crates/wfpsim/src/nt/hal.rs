//! What drivers import from HAL.dll.

use crate::exports::exports;
use crate::machine::Kernel;

/// Counts of the performance counter in a second: interrupt time's own unit, as since Windows 10.
const FREQUENCY: LargeInteger = 10_000_000;

/// LARGE_INTEGER: eight bytes, returned in a register.
type LargeInteger = i64;

exports! {
    "HAL.dll";
    KeQueryPerformanceCounter(frequency: *mut LargeInteger) -> LargeInteger [any] => performance_counter;
}

fn performance_counter(kernel: &Kernel, frequency: *mut LargeInteger) -> LargeInteger {
    if !frequency.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { frequency.write(FREQUENCY) };
    }
    kernel.now() as i64
}
