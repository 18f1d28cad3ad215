//! Spin locks. The word itself says who holds the lock, so a lock in freed memory faults as it does on the real thing.

use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::Block;
use crate::verifier::Violation;

pub(super) fn acquire(kernel: &Kernel, lock: *mut usize) -> u8 {
    let thread = kernel.running();
    let old = thread.irql.get();
    if old > irql::DISPATCH {
        let summary = format!("a spin lock was acquired at IRQL {old}");
        kernel.bug_check(Violation::verifier(
            kernel,
            0x42,
            [u64::from(old), lock as u64, 0],
            summary,
            "C.1",
        ));
    }
    let address = lock as usize;
    if thread.locks.borrow().contains(&address) {
        let summary = format!("spin lock {address:#x} was acquired by the thread that holds it");
        let violation = Violation::verifier(kernel, 0x1000, [lock as u64, 0, 0], summary, "C-02");
        kernel.bug_check(violation.about_address(kernel, address));
    }
    check_order(kernel, address);
    thread.irql.set(irql::DISPATCH);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let word = unsafe { lock.read_volatile() };
    if word != 0 {
        if kernel.lock_held_in(address..address + 1).is_none() {
            let summary = format!(
                "spin lock {address:#x} holds {word:#x} although nobody holds it: it was not initialised"
            );
            let violation =
                Violation::verifier(kernel, 0x1002, [lock as u64, 0, 0], summary, "C-02");
            kernel.bug_check(violation.about_address(kernel, address));
        }
        let free = move |kernel: &Kernel| {
            // SAFETY: not followed if the block it lies in is gone; then the waiter wakes and faults itself.
            !kernel.is_readable(address)
                || unsafe { (address as *const usize).read_volatile() } == 0
        };
        kernel.block(format!("spin lock {address:#x}"), None, free);
    }
    // SAFETY: as above.
    unsafe { lock.write_volatile(thread.id.0 as usize) };
    thread.locks.borrow_mut().push(address);
    old
}

/// Two locks that are taken in both orders will meet one day, whether they did this time or not (C-02). Longer rings of locks are
/// not looked for; they are seen when they close.
fn check_order(kernel: &Kernel, taken: usize) {
    let held = kernel.running().locks.borrow().clone();
    let mut orders = kernel.nt.orders.borrow_mut();
    let other = held
        .iter()
        .copied()
        .find(|&held| orders.contains(&(taken, held)));
    orders.extend(held.iter().map(|&held| (held, taken)));
    drop(orders);
    if let Some(held) = other {
        let summary = format!(
            "spin lock {taken:#x} was acquired while {held:#x} was held; before, they were acquired the other way round"
        );
        let parameters = [taken as u64, held as u64, 0];
        let violation = Violation::verifier(kernel, 0x1001, parameters, summary, "C-02");
        kernel.bug_check(violation.about_address(kernel, taken));
    }
}

/// Forgets the locks of a block that is freed: what is next at their addresses is something else.
pub(super) fn forget(kernel: &Kernel, block: &Block) {
    let gone = block.start..block.start + block.size;
    kernel
        .nt
        .orders
        .borrow_mut()
        .retain(|(outer, inner)| !gone.contains(outer) && !gone.contains(inner));
}

pub(super) fn release(kernel: &Kernel, lock: *mut usize, old_irql: u8) {
    let thread = kernel.running();
    let current = thread.irql.get();
    if current != irql::DISPATCH {
        let summary = format!("a spin lock was released at IRQL {current}");
        kernel.bug_check(Violation::verifier(
            kernel,
            0x32,
            [u64::from(current), lock as u64, 0],
            summary,
            "C.1",
        ));
    }
    let address = lock as usize;
    let last = thread.locks.borrow().last().copied();
    if last != Some(address) {
        let (subcode, summary) = if thread.locks.borrow().contains(&address) {
            (
                0x1003,
                format!(
                    "spin lock {address:#x} was released before one that was acquired after it"
                ),
            )
        } else if kernel.lock_held_in(address..address + 1).is_some() {
            (
                0x1004,
                format!("spin lock {address:#x} was released by a thread that does not hold it"),
            )
        } else {
            (
                0x1007,
                format!("spin lock {address:#x} was released although nobody holds it"),
            )
        };
        let violation = Violation::verifier(kernel, subcode, [lock as u64, 0, 0], summary, "C-02");
        kernel.bug_check(violation.about_address(kernel, address));
    }
    thread.locks.borrow_mut().pop();
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { lock.write_volatile(0) };
    thread.irql.set(old_irql);
}
