//! Deferred procedure calls: a function of the driver at DISPATCH_LEVEL, soon, on some processor or a chosen one.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;

use super::callback;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::Block;
use crate::verifier::Violation;
use crate::verifier::code;

/// KDPC.
#[repr(C)]
pub struct KDpc {
    kind: u8,
    importance: u8,
    /// 0, or [`TARGETED`] and the processor.
    number: u16,
    reserved: u32,
    entry: usize,
    history: usize,
    routine: usize,
    context: usize,
    arguments: [usize; 2],
    /// Not 0 while it is queued.
    data: usize,
}

const _: () = assert!(size_of::<KDpc>() == 64);

/// DpcObject and ThreadedDpcObject of KOBJECTS.
const DPC: u8 = 19;
const THREADED: u8 = 24;
const TARGETED: u16 = 0x800;

/// What the executive keeps of DPCs.
#[derive(Default)]
pub struct Dpcs {
    /// The queued ones by address, each with its place.
    queued: RefCell<BTreeMap<usize, u64>>,
    /// Places of those that are queued or whose routine runs.
    pending: RefCell<std::collections::BTreeSet<u64>>,
    next: Cell<u64>,
}

impl Dpcs {
    /// How many are queued or run.
    pub(crate) fn pending(&self) -> usize {
        self.pending.borrow().len()
    }
}

fn make(kernel: &Kernel, dpc: *mut KDpc, kind: u8, routine: usize, context: *mut c_void) {
    super::require_resident(kernel, "KDPC", dpc as usize);
    if kernel.nt.dpcs.queued.borrow().contains_key(&(dpc as usize)) {
        let summary = format!("DPC {dpc:p} was initialised again while it is queued");
        stop(kernel, dpc as usize, summary);
    }
    let value = KDpc {
        kind,
        importance: 1,
        number: 0,
        reserved: 0,
        entry: 0,
        history: 0,
        routine,
        context: context as usize,
        arguments: [0; 2],
        data: 0,
    };
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { dpc.write(value) };
}

pub(super) fn initialize(kernel: &Kernel, dpc: *mut KDpc, routine: usize, context: *mut c_void) {
    make(kernel, dpc, DPC, routine, context);
}

pub(super) fn initialize_threaded(
    kernel: &Kernel,
    dpc: *mut KDpc,
    routine: usize,
    context: *mut c_void,
) {
    make(kernel, dpc, THREADED, routine, context);
}

fn stop(kernel: &Kernel, dpc: usize, summary: String) -> ! {
    let violation = Violation::contract(kernel, "C.1", [dpc as u64, 0, 0, 0], summary);
    kernel.bug_check(violation.about_address(kernel, dpc))
}

/// Checks that a DPC was initialised.
fn check(kernel: &Kernel, dpc: *mut KDpc) {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let kind = unsafe { (*dpc).kind };
    if kind != DPC && kind != THREADED {
        let summary = format!("DPC {dpc:p} is not initialised");
        stop(kernel, dpc as usize, summary);
    }
}

pub(super) fn set_target(kernel: &Kernel, dpc: *mut KDpc, number: i8) {
    check(kernel, dpc);
    let processors = kernel.config.processors;
    let Some(number) = u8::try_from(number)
        .ok()
        .filter(|number| *number < processors)
    else {
        let summary = format!("DPC {dpc:p} is to run on processor {number} of {processors}");
        let parameters = [3, dpc as u64, number as u64, u64::from(processors)];
        let violation = Violation::new(
            kernel,
            code::TIMER_OR_DPC_INVALID,
            parameters,
            "C.1",
            summary,
        );
        kernel.bug_check(violation.about_address(kernel, dpc as usize));
    };
    // SAFETY: `check` has just read it.
    unsafe { (*dpc).number = TARGETED | u16::from(number) };
}

pub(super) fn set_importance(kernel: &Kernel, dpc: *mut KDpc, importance: i32) {
    check(kernel, dpc);
    // SAFETY: `check` has just read it.
    unsafe { (*dpc).importance = importance as u8 };
}

pub(super) fn insert(
    kernel: &Kernel,
    dpc: *mut KDpc,
    argument1: *mut c_void,
    argument2: *mut c_void,
) -> u8 {
    check(kernel, dpc);
    super::require_resident(kernel, "KDPC", dpc as usize);
    let dpcs = &kernel.nt.dpcs;
    if dpcs.queued.borrow().contains_key(&(dpc as usize)) {
        return 0;
    }
    // SAFETY: `check` has just read it.
    let (number, kind) = unsafe {
        (*dpc).arguments = [argument1 as usize, argument2 as usize];
        (*dpc).data = 1;
        ((*dpc).number, (*dpc).kind)
    };
    let place = dpcs.next.get() + 1;
    dpcs.next.set(place);
    dpcs.queued.borrow_mut().insert(dpc as usize, place);
    dpcs.pending.borrow_mut().insert(place);
    let address = dpc as usize;
    // A threaded DPC runs at PASSIVE_LEVEL, or as any other: that is the machine's setting.
    let level = if kind == THREADED && kernel.random.percent(50) {
        irql::PASSIVE
    } else {
        irql::DISPATCH
    };
    let thread = kernel.spawn("DPC", level, move |kernel| run(kernel, address, place));
    if number & TARGETED != 0 {
        kernel.set_affinity(thread, (number & !TARGETED) as u8);
    }
    1
}

/// Runs a DPC that is still queued at its place.
fn run(kernel: &Kernel, address: usize, place: u64) {
    if take(kernel, address, place) {
        let dpc = address as *mut KDpc;
        // SAFETY: a block with a queued DPC is not freed; a driver that unmaps it faults and is reported.
        let (routine, context, [one, two]) = unsafe {
            (*dpc).data = 0;
            ((*dpc).routine, (*dpc).context, (*dpc).arguments)
        };
        let before = callback::before(kernel);
        call_driver!(
            kernel,
            routine,
            fn(*mut c_void, *mut c_void, *mut c_void, *mut c_void),
            dpc.cast(),
            context as *mut c_void,
            one as *mut c_void,
            two as *mut c_void
        );
        callback::check_return(kernel, "a DPC", routine, before);
    }
    kernel.nt.dpcs.pending.borrow_mut().remove(&place);
}

/// Takes a DPC out of the queue, if it is there at this place.
fn take(kernel: &Kernel, address: usize, place: u64) -> bool {
    let mut queued = kernel.nt.dpcs.queued.borrow_mut();
    let there = queued.get(&address) == Some(&place);
    if there {
        queued.remove(&address);
    }
    there
}

pub(super) fn remove(kernel: &Kernel, dpc: *mut KDpc) -> u8 {
    check(kernel, dpc);
    let place = kernel.nt.dpcs.queued.borrow_mut().remove(&(dpc as usize));
    if let Some(place) = place {
        kernel.nt.dpcs.pending.borrow_mut().remove(&place);
        // SAFETY: `check` has just read it.
        unsafe { (*dpc).data = 0 };
    }
    u8::from(place.is_some())
}

pub(super) fn flush(kernel: &Kernel) {
    let last = kernel.nt.dpcs.next.get();
    let flushed = move |kernel: &Kernel| {
        let pending = kernel.nt.dpcs.pending.borrow();
        pending.first().is_none_or(|first| *first > last)
    };
    kernel.block("queued DPCs to have run".to_owned(), None, flushed);
}

/// A queued DPC must not be freed.
pub(super) fn check_freed(kernel: &Kernel, block: &Block) {
    let freed = block.start..block.start + block.size;
    let queued = kernel
        .nt
        .dpcs
        .queued
        .borrow()
        .range(freed.clone())
        .next()
        .map(|(dpc, _)| *dpc);
    if let Some(dpc) = queued {
        let summary = format!(
            "{} was freed with DPC {dpc:#x} in it, which is queued",
            block.purpose
        );
        let parameters = [1, dpc as u64, freed.start as u64, freed.end as u64];
        let violation = Violation::new(
            kernel,
            code::TIMER_OR_DPC_INVALID,
            parameters,
            "C.1",
            summary,
        );
        kernel.bug_check(violation.about(kernel, block.object));
    }
}
