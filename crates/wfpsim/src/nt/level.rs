//! The interrupt request level as a driver changes it, and critical regions.

use crate::machine::Kernel;
use crate::machine::irql;
use crate::verifier::Violation;

/// HIGH_LEVEL of x64 and ARM64.
const HIGH: u8 = 15;

pub(super) fn raise(kernel: &Kernel, new: u8) -> u8 {
    let old = kernel.irql();
    if new < old || new > HIGH {
        let summary = format!("KeRaiseIrql was asked for IRQL {new} at IRQL {old}");
        let parameters = [u64::from(old), u64::from(new), 0];
        kernel.bug_check(Violation::verifier(
            kernel, 0x30, parameters, summary, "C.1",
        ));
    }
    kernel.set_irql(new);
    old
}

pub(super) fn raise_to_dpc_level(kernel: &Kernel) -> u8 {
    raise(kernel, irql::DISPATCH)
}

pub(super) fn lower(kernel: &Kernel, new: u8) {
    let old = kernel.irql();
    if new > old {
        let summary = format!("KeLowerIrql was asked for IRQL {new} at IRQL {old}");
        let parameters = [u64::from(old), u64::from(new), 0];
        kernel.bug_check(Violation::verifier(
            kernel, 0x31, parameters, summary, "C.1",
        ));
    }
    let lock = kernel.running().locks.borrow().last().copied();
    if let Some(lock) = lock.filter(|_| new < irql::DISPATCH) {
        let summary = format!("KeLowerIrql went to IRQL {new} with spin lock {lock:#x} held");
        let parameters = [u64::from(old), u64::from(new), lock as u64, 0];
        kernel.bug_check(Violation::contract(kernel, "C.1", parameters, summary));
    }
    kernel.set_irql(new);
}

pub(super) fn enter_critical_region(kernel: &Kernel) {
    let thread = kernel.running();
    thread.apc_disabled.set(thread.apc_disabled.get() + 1);
}

pub(super) fn leave_critical_region(kernel: &Kernel) {
    let thread = kernel.running();
    let Some(left) = thread.apc_disabled.get().checked_sub(1) else {
        let summary = "KeLeaveCriticalRegion was called by a thread that is in no critical region";
        kernel.bug_check(Violation::verifier(kernel, 0x3E, [0; 3], summary, "C-62"));
    };
    thread.apc_disabled.set(left);
}
