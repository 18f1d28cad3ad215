//! Kernel timers: signalled when due, and queue a DPC then.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::dpc;
use super::event::KEvent;
use crate::machine::Kernel;
use crate::machine::Time;
use crate::machine::Woken;
use crate::machine::irql;
use crate::memory::Block;
use crate::verifier::Violation;

/// KTIMER.
#[repr(C)]
pub struct KTimer {
    header: KEvent,
    due: u64,
    list: [usize; 2],
    dpc: usize,
    processor: u16,
    timer_type: u16,
    /// In milliseconds.
    period: u32,
}

const _: () = assert!(size_of::<KTimer>() == 64);

/// Units of 100 ns in a millisecond.
const MILLISECOND: u64 = 10_000;

/// Timers that are set, with the turn of the setting that is in force.
#[derive(Default)]
pub struct Timers {
    set: RefCell<BTreeMap<usize, u64>>,
    turn: std::cell::Cell<u64>,
}

impl Timers {
    /// How many are set.
    pub(crate) fn set(&self) -> usize {
        self.set.borrow().len()
    }

    fn is_set(&self, timer: usize, turn: u64) -> bool {
        self.set.borrow().get(&timer) == Some(&turn)
    }
}

pub(super) fn initialize(kernel: &Kernel, timer: *mut KTimer) {
    initialize_as(kernel, timer, 0);
}

pub(super) fn initialize_as(kernel: &Kernel, timer: *mut KTimer, kind: i32) {
    super::require_resident(kernel, "KTIMER", timer as usize);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe {
        timer.cast::<u8>().write_bytes(0, size_of::<KTimer>());
        (*timer).header.make(
            &raw mut (*timer).header,
            super::event::timer_kind(kind),
            false,
        );
    }
}

pub(super) fn set(kernel: &Kernel, timer: *mut KTimer, due: i64, dpc: *mut dpc::KDpc) -> u8 {
    set_periodic(kernel, timer, due, 0, dpc)
}

pub(super) fn set_periodic(
    kernel: &Kernel,
    timer: *mut KTimer,
    due: i64,
    period: i32,
    dpc: *mut dpc::KDpc,
) -> u8 {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    super::event::check(kernel, unsafe { &raw mut (*timer).header });
    let at = if due < 0 {
        kernel.now().saturating_add(due.unsigned_abs())
    } else {
        due.unsigned_abs()
    };
    let period = period.unsigned_abs();
    // SAFETY: `check` has just read it.
    unsafe {
        (*timer).header.set_signalled(false);
        (*timer).due = at;
        (*timer).dpc = dpc as usize;
        (*timer).period = period;
    }
    let timers = &kernel.nt.timers;
    let turn = timers.turn.get() + 1;
    timers.turn.set(turn);
    let address = timer as usize;
    let was_set = timers.set.borrow_mut().insert(address, turn).is_some();
    kernel.spawn("kernel timer", irql::PASSIVE, move |kernel| {
        run(kernel, address, turn, at)
    });
    u8::from(was_set)
}

/// The life of one setting: until it fires for the last time, is set again or cancelled.
fn run(kernel: &Kernel, address: usize, turn: u64, mut at: Time) {
    loop {
        let over = move |kernel: &Kernel| !kernel.nt.timers.is_set(address, turn);
        if kernel.block("a timer's due time".to_owned(), Some(at), over) == Woken::Ready {
            return;
        }
        let timer = address as *mut KTimer;
        // SAFETY: a block with a timer that is set is not freed.
        let (dpc, period) = unsafe {
            (*timer).header.set_signalled(true);
            ((*timer).dpc, (*timer).period)
        };
        if period == 0 {
            kernel.nt.timers.set.borrow_mut().remove(&address);
        }
        if dpc != 0 {
            let nothing = std::ptr::null_mut();
            dpc::insert(kernel, dpc as *mut dpc::KDpc, nothing, nothing);
        }
        if period == 0 {
            return;
        }
        at = at.saturating_add(u64::from(period) * MILLISECOND);
    }
}

pub(super) fn cancel(kernel: &Kernel, timer: *mut KTimer) -> u8 {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    super::event::check(kernel, unsafe { &raw mut (*timer).header });
    let was_set = kernel
        .nt
        .timers
        .set
        .borrow_mut()
        .remove(&(timer as usize))
        .is_some();
    u8::from(was_set)
}

/// A timer that is set must not be freed (C-62).
pub(super) fn check_freed(kernel: &Kernel, block: &Block) {
    let freed = block.start..block.start + block.size;
    let set = kernel
        .nt
        .timers
        .set
        .borrow()
        .range(freed)
        .next()
        .map(|(timer, _)| *timer);
    if let Some(timer) = set {
        let summary = format!(
            "{} was freed with timer {timer:#x} in it, which is set",
            block.purpose
        );
        let parameters = [timer as u64, block.start as u64, block.size as u64];
        let violation = Violation::verifier(kernel, 0x15, parameters, summary, "C-62");
        kernel.bug_check(violation.about(kernel, block.object));
    }
}
