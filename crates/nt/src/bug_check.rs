//! The last resort: stop the machine rather than go on with an image that the kernel still calls into.
//!
//! Two mistakes cannot be answered with an error: a destructor that must run at PASSIVE_LEVEL and does not, and an unload that
//! cannot take back what the kernel holds. Both would end in a call into unmapped memory at a time and place that say nothing.
//! Neither can be reached by what a packet or a control request contains.

use crate::sys;

/// The bug check code: the letters "TlGt" as a number, which no code of Windows uses.
pub const CODE: u32 = u32::from_be_bytes(*b"TlGt");

/// Why the machine was stopped; parameter 1 of the bug check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Reason {
    /// A destructor that calls PASSIVE_LEVEL functions ran above it. Parameter 2: the IRQL.
    DropAbovePassive = 1,
    /// A callout stayed registered whatever was tried, and the image is about to go. Parameter 2: the last status,
    /// parameter 3: the callout's run-time identifier.
    CalloutStillRegistered = 2,
    /// A system thread could neither be waited for nor is known to have ended (C-04). Parameter 2: the status.
    ThreadStillRunning = 3,
    /// The service state subscription could not be taken back. Parameter 2: the status.
    StillSubscribed = 4,
    /// The injection handle could not be destroyed. Parameter 2: the status.
    InjectionHandleLeft = 5,
}

/// Stops the machine with bug check [`CODE`]. Any IRQL.
pub fn bug_check(reason: Reason, parameter2: usize, parameter3: usize) -> ! {
    #[expect(
        clippy::as_conversions,
        reason = "The discriminant of a field-less enumeration has no other conversion"
    )]
    let code = reason as usize;
    stop(
        ulong_ptr(code),
        ulong_ptr(parameter2),
        ulong_ptr(parameter3),
    );
    loop {
        core::hint::spin_loop();
    }
}

/// KeBugCheckEx, which does not return. Bindings differ in whether their type says so, and this function fits both.
fn stop(parameter1: sys::ULONG_PTR, parameter2: sys::ULONG_PTR, parameter3: sys::ULONG_PTR) {
    // SAFETY: KeBugCheckEx may be called in any state. The parameters are only shown.
    unsafe { sys::ntddk::KeBugCheckEx(CODE, parameter1, parameter2, parameter3, 0) };
}

/// ULONG_PTR is u64 for bindgen on Windows and usize for C's uintptr_t; both are 64 bits wide here.
const fn ulong_ptr(value: usize) -> sys::ULONG_PTR {
    #[expect(
        clippy::as_conversions,
        reason = "usize and ULONG_PTR are both as wide as a pointer; no From exists between usize and u64"
    )]
    {
        value as sys::ULONG_PTR
    }
}

/// Stops the machine if the caller does not run at PASSIVE_LEVEL. For destructors whose calls need it (A.1, C.1).
pub fn require_passive() {
    // SAFETY: KeGetCurrentIrql may be called at any IRQL and reads nothing of the caller.
    let irql = unsafe { sys::ntddk::KeGetCurrentIrql() };
    if u32::from(irql) != sys::PASSIVE_LEVEL {
        bug_check(Reason::DropAbovePassive, usize::from(irql), 0);
    }
}
