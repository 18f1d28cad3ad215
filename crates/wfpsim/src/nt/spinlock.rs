//! Spin locks. The word itself says who holds the lock, so a lock in freed memory faults as it does on the real thing.
//!
//! A lock that is acquired by one family of functions, ordinary or in-stack queued, belongs to that family from then on (C-01).

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::lock_order;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::Block;
use crate::verifier::Violation;

/// Which functions a lock is acquired and released with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Ordinary,
    Queued,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Queued => "in-stack queued",
        }
    }
}

/// What is remembered of a lock that was acquired once.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Which family it is of, from its first acquisition on.
    family: Option<Family>,
    /// While it is held.
    held: Option<Held>,
}

/// A lock that a thread holds.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// The level to go back to.
    pub old: u8,
    /// What its word holds meanwhile: the thread, or the queued lock's handle.
    pub word: usize,
}

/// Every lock that was acquired and whose memory is still there, by address.
pub type Locks = RefCell<BTreeMap<usize, Known>>;

/// How an acquiring function is called.
#[derive(Clone, Copy)]
pub(super) struct Acquisition {
    pub family: Family,
    /// Whether the caller must be at DISPATCH_LEVEL already (…AtDpcLevel).
    pub at_dpc_level: bool,
    /// The KLOCK_QUEUE_HANDLE; 0 for an ordinary lock.
    pub handle: usize,
}

const ORDINARY: Acquisition = Acquisition {
    family: Family::Ordinary,
    at_dpc_level: false,
    handle: 0,
};

/// A violation about the memory that a lock lies in.
fn about_lock(kernel: &Kernel, lock: usize, violation: Violation) -> ! {
    kernel.bug_check(violation.about_address(kernel, lock))
}

/// Stops under a rule of Driver Verifier's deadlock detection.
pub(super) fn deadlock_rule(
    kernel: &Kernel,
    subcode: u64,
    lock: usize,
    rule: &'static str,
    summary: String,
) -> ! {
    let violation = Violation::verifier(kernel, subcode, [lock as u64, 0, 0], summary, rule);
    about_lock(kernel, lock, violation)
}

pub(super) fn initialize(kernel: &Kernel, lock: *mut usize) {
    let address = lock as usize;
    require_resident(kernel, address);
    let known = kernel.nt.locks.borrow().contains_key(&address);
    if known {
        let summary = format!(
            "spin lock {address:#x} was initialised again; whoever holds it, or waits for it, is not told"
        );
        deadlock_rule(kernel, 0x1005, address, "C-02", summary);
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { lock.write_volatile(0) };
    if !kernel.running().is_on_stack(address) {
        let known = Known {
            family: None,
            held: None,
        };
        kernel.nt.locks.borrow_mut().insert(address, known);
    }
}

/// A lock lies in resident memory, on an eight-byte boundary (C.1).
fn require_resident(kernel: &Kernel, address: usize) {
    if !address.is_multiple_of(8) {
        let summary = format!("spin lock {address:#x} is not aligned to eight bytes");
        let violation = Violation::contract(kernel, "C.1", [address as u64, 0, 0, 0], summary);
        about_lock(kernel, address, violation);
    }
    super::require_resident(kernel, "spin lock", address);
}

pub(super) fn acquire(kernel: &Kernel, lock: *mut usize) -> u8 {
    acquire_as(kernel, lock, ORDINARY)
}

pub(super) fn acquire_at_dpc_level(kernel: &Kernel, lock: *mut usize) {
    let how = Acquisition {
        at_dpc_level: true,
        ..ORDINARY
    };
    acquire_as(kernel, lock, how);
}

/// Acquires the lock if nobody holds it; TRUE if so.
pub(super) fn try_acquire_at_dpc_level(kernel: &Kernel, lock: *mut usize) -> u8 {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let free = unsafe { lock.read_volatile() } == 0;
    if free {
        acquire_at_dpc_level(kernel, lock);
    }
    u8::from(free)
}

/// Acquires a lock, with every check; gives the level to go back to.
pub(super) fn acquire_as(kernel: &Kernel, lock: *mut usize, how: Acquisition) -> u8 {
    let thread = kernel.running();
    let old = thread.irql.get();
    let address = lock as usize;
    let level_rule = if how.at_dpc_level && old < irql::DISPATCH {
        Some(0x40)
    } else if old > irql::DISPATCH {
        Some(0x42)
    } else {
        None
    };
    if let Some(subcode) = level_rule {
        let summary = format!("a spin lock was acquired at IRQL {old}");
        let parameters = [u64::from(old), address as u64, 0];
        kernel.bug_check(Violation::verifier(
            kernel, subcode, parameters, summary, "C.1",
        ));
    }
    require_resident(kernel, address);
    check_family(kernel, address, how.family, 0x1008, "acquired");
    if thread.locks.borrow().contains(&address) {
        let summary = format!("spin lock {address:#x} was acquired by the thread that holds it");
        deadlock_rule(kernel, 0x1000, address, "C-02", summary);
    }
    lock_order::check(kernel, address);
    kernel.set_irql(irql::DISPATCH);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let word = unsafe { lock.read_volatile() };
    let holder = kernel.lock_held_in(address..address + 1);
    match (word, holder) {
        (0, None) => (),
        (0, Some((_, holder))) => overwritten(kernel, address, holder.0),
        (_, None) => {
            let summary = format!(
                "spin lock {address:#x} holds {word:#x} although nobody holds it: it was not initialised"
            );
            deadlock_rule(kernel, 0x1002, address, "C-02", summary);
        }
        (_, Some(_)) => {
            let free = move |kernel: &Kernel| {
                // SAFETY: not followed if the block it lies in is gone; then the waiter wakes and faults itself.
                !kernel.is_readable(address)
                    || unsafe { (address as *const usize).read_volatile() } == 0
            };
            kernel.block_on(address, format!("spin lock {address:#x}"), None, free);
        }
    }
    let word = match how.family {
        Family::Ordinary => thread.id.0 as usize,
        Family::Queued => how.handle,
    };
    // SAFETY: as above.
    unsafe { lock.write_volatile(word) };
    thread.locks.borrow_mut().push(address);
    let known = Known {
        family: Some(how.family),
        held: Some(Held { old, word }),
    };
    kernel.nt.locks.borrow_mut().insert(address, known);
    old
}

/// The word of a held lock is not what holding it made it.
fn overwritten(kernel: &Kernel, lock: usize, holder: u32) -> ! {
    let summary = format!(
        "spin lock {lock:#x} was initialised again, or written over, while thread {holder} held it"
    );
    deadlock_rule(kernel, 0x1005, lock, "C-02", summary)
}

/// A lock is of one family of functions for as long as its memory lives (C-01).
fn check_family(kernel: &Kernel, lock: usize, family: Family, subcode: u64, done: &str) {
    let other = kernel
        .nt
        .locks
        .borrow()
        .get(&lock)
        .and_then(|known| known.family)
        .filter(|other| *other != family);
    if let Some(other) = other {
        let summary = format!(
            "spin lock {lock:#x} was {done} as an {} lock; before, it was used as an {} one",
            family.name(),
            other.name()
        );
        deadlock_rule(kernel, subcode, lock, "C-01", summary);
    }
}

/// Locks of a block that is freed are gone: what is next at their addresses is something else.
pub(super) fn forget(kernel: &Kernel, block: &Block) {
    let gone = block.start..block.start + block.size;
    kernel
        .nt
        .locks
        .borrow_mut()
        .retain(|lock, _| !gone.contains(lock));
    lock_order::forget(kernel, &gone);
}

pub(super) fn release(kernel: &Kernel, lock: *mut usize, old_irql: u8) {
    let level = kernel.irql();
    if level != irql::DISPATCH {
        wrong_release_level(kernel, 0x32, level, lock as usize);
    }
    release_as(kernel, lock as usize, Family::Ordinary, Some(old_irql));
}

pub(super) fn release_from_dpc_level(kernel: &Kernel, lock: *mut usize) {
    let level = kernel.irql();
    if level < irql::DISPATCH {
        wrong_release_level(kernel, 0x41, level, lock as usize);
    }
    release_as(
        kernel,
        lock as usize,
        Family::Ordinary,
        Some(irql::DISPATCH),
    );
}

/// A lock was released at a level that its function does not allow.
pub(super) fn wrong_release_level(kernel: &Kernel, subcode: u64, level: u8, lock: usize) -> ! {
    let summary = format!("a spin lock was released at IRQL {level}");
    let parameters = [u64::from(level), lock as u64, 0];
    kernel.bug_check(Violation::verifier(
        kernel, subcode, parameters, summary, "C.1",
    ))
}

/// What a lock that this thread may release is held by; stops if it may not.
pub(super) fn release_check(kernel: &Kernel, address: usize, family: Family) -> Held {
    check_family(kernel, address, family, 0x1009, "released");
    let thread = kernel.running();
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
        deadlock_rule(kernel, subcode, address, "C-02", summary);
    }
    let held = kernel
        .nt
        .locks
        .borrow()
        .get(&address)
        .and_then(|known| known.held);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let word = unsafe { (address as *const usize).read_volatile() };
    match held {
        Some(held) if held.word == word => held,
        _ => overwritten(kernel, address, thread.id.0),
    }
}

/// Releases a lock and goes back to the level before it. `returned` is the level that the driver asks for, where it does.
pub(super) fn release_as(kernel: &Kernel, address: usize, family: Family, returned: Option<u8>) {
    let held = release_check(kernel, address, family);
    if let Some(level) = returned.filter(|level| *level != held.old) {
        let summary = format!(
            "spin lock {address:#x} was released to IRQL {level}; it was acquired at IRQL {}",
            held.old
        );
        let parameters = [u64::from(level), u64::from(held.old), address as u64, 0];
        let violation = Violation::contract(kernel, "C.1", parameters, summary);
        about_lock(kernel, address, violation);
    }
    let thread = kernel.running();
    thread.locks.borrow_mut().pop();
    // SAFETY: `release_check` has read it.
    unsafe { (address as *mut usize).write_volatile(0) };
    let mut locks = kernel.nt.locks.borrow_mut();
    if thread.is_on_stack(address) {
        // The next lock at this address is another function's variable.
        locks.remove(&address);
    } else if let Some(known) = locks.get_mut(&address) {
        known.held = None;
    }
    drop(locks);
    kernel.set_irql(held.old);
}
