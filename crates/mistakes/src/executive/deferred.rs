//! Work items (C-05), DPCs and timers.

use std::cell::Cell;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfpsim::Machine;

use super::base::IDLE;
use super::base::Work;
use super::base::ask;
use super::base::device_object;
use super::base::in_dpc;
use super::base::in_work_item;
use super::base::load;
use super::base::run;
use super::base::run_whole;
use super::base::unload;
use super::kernel::*;
use crate::Mistake;
use crate::makes;

pub const DEFERRED: &[Mistake] = &[
    Mistake::always(
        "C-05-waits",
        "C-05",
        "waits in a work item for something that comes at unload",
        long_run,
    ),
    Mistake::always(
        "C-05-sleeps",
        "C-05",
        "polls in a work item, sleeping in between",
        long_run,
    ),
    Mistake::always(
        "C-05-queued-twice",
        "C-05",
        "queues a work item that is queued",
        |m| run(m, work_item),
    ),
    Mistake::always(
        "C-05-freed-while-queued",
        "C-05",
        "frees a work item that is queued",
        |m| run(m, work_item),
    ),
    Mistake::always("C-05-freed-twice", "C-05", "frees a work item twice", |m| {
        run(m, work_item)
    }),
    Mistake::always(
        "C-62-work-item-left",
        "C-62",
        "never frees a work item",
        |m| run(m, work_item),
    ),
    Mistake::always(
        "C-05-no-device-object",
        "C-05",
        "allocates a work item for something that is no device object",
        |m| run(m, work_item),
    ),
    Mistake::always(
        "C-02-work-item-returns-with-lock",
        "C-02",
        "returns from a work item with a spin lock held",
        |m| run(m, || in_work_item(returns)),
    ),
    Mistake::always(
        "C.1-work-item-returns-raised",
        "C.1",
        "returns from a work item at DISPATCH_LEVEL",
        |m| run(m, || in_work_item(returns)),
    ),
    Mistake::always(
        "C-62-work-item-returns-in-region",
        "C-62",
        "returns from a work item in a critical region",
        |m| run(m, || in_work_item(returns)),
    ),
    Mistake::always(
        "C.1-dpc-returns-lowered",
        "C.1",
        "lowers the IRQL in a DPC and returns so",
        |m| run(m, || in_dpc(returns_lower)),
    ),
    Mistake::always(
        "C.1-dpc-uninitialised",
        "C.1",
        "queues a DPC that was not initialised",
        |m| run(m, dpc),
    ),
    Mistake::always("C.1-dpc-paged", "C.1", "keeps a DPC in paged pool", |m| {
        run(m, dpc)
    }),
    Mistake::always(
        "C.1-dpc-processor",
        "C.1",
        "targets a DPC at a processor that is not there",
        |m| run(m, dpc),
    ),
    Mistake::always(
        "C.1-dpc-freed-while-queued",
        "C.1",
        "frees a DPC without flushing the queue",
        |m| run(m, dpc),
    ),
    Mistake::always(
        "C.1-dpc-initialised-while-queued",
        "C.1",
        "initialises a DPC again while it is queued",
        |m| run(m, dpc),
    ),
    Mistake::always(
        "C-52-dpc-at-unload",
        "C-52",
        "does not flush its DPCs before it is gone",
        |m| run_whole(m, timed(false)),
    ),
    Mistake::always(
        "C-52-timer-at-unload",
        "C-52",
        "does not cancel its timer before it is gone",
        |m| run_whole(m, timed(false)),
    ),
    Mistake::always(
        "C-62-timer-freed",
        "C-62",
        "frees a timer that is set",
        |m| run_whole(m, timed(true)),
    ),
];

thread_local! {
    static GO: Cell<PRKEVENT> = const { Cell::new(null_mut()) };
    static ITEM: Cell<*mut c_void> = const { Cell::new(null_mut()) };
    static DPC: Cell<*mut KDPC> = const { Cell::new(null_mut()) };
    static TIMER: Cell<*mut KTIMER> = const { Cell::new(null_mut()) };
}

/// A work item that is queued in one request, and has time.
fn long_run(machine: &Machine) {
    unsafe extern "C" fn routine(_device: *mut c_void, _context: *mut c_void) {
        if makes("C-05-waits") {
            wait(GO.get());
        }
        if makes("C-05-sleeps") {
            for _ in 0..10 {
                sleep(5000);
            }
        }
    }
    let work = Work {
        entry: || {
            GO.set(new_event(_EVENT_TYPE::NotificationEvent));
            ITEM.set(unsafe { IoAllocateWorkItem(device_object()) });
            STATUS_SUCCESS
        },
        request: || unsafe { IoQueueWorkItem(ITEM.get(), routine, DELAYED, null_mut()) },
        unload: || {
            set(GO.get());
            unsafe { IoFreeWorkItem(ITEM.get()) };
            free(GO.get());
        },
        ..IDLE
    };
    let _loaded = load(machine, work);
    ask(machine);
    machine.run_until(machine.kernel().now() + 30_000_000);
    unload(machine);
}

fn work_item() {
    unsafe extern "C" fn routine(_device: *mut c_void, event: *mut c_void) {
        set(event.cast());
    }
    let done = new_event(_EVENT_TYPE::SynchronizationEvent);
    let device = if makes("C-05-no-device-object") {
        done.cast()
    } else {
        device_object()
    };
    unsafe {
        let item = IoAllocateWorkItem(device);
        IoQueueWorkItem(item, routine, DELAYED, done.cast());
        if makes("C-05-queued-twice") {
            IoQueueWorkItem(item, routine, DELAYED, done.cast());
        }
        if makes("C-05-freed-while-queued") {
            IoFreeWorkItem(item);
        }
        wait(done);
        if !makes("C-62-work-item-left") {
            IoFreeWorkItem(item);
        }
        if makes("C-05-freed-twice") {
            IoFreeWorkItem(item);
        }
    }
    free(done);
}

/// Work that leaves everything as it was.
fn returns() {
    let lock = new_lock();
    let old = acquire(lock);
    if makes("C-02-work-item-returns-with-lock") {
        return;
    }
    release(lock, old);
    free(lock);
    unsafe { KeEnterCriticalRegion() };
    if !makes("C-62-work-item-returns-in-region") {
        unsafe { KeLeaveCriticalRegion() };
    }
    if makes("C.1-work-item-returns-raised") {
        unsafe { KeRaiseIrqlToDpcLevel() };
    }
}

fn returns_lower() {
    if makes("C.1-dpc-returns-lowered") {
        unsafe { KeLowerIrql(0) };
    }
}

unsafe extern "C" fn nothing(
    _dpc: *mut KDPC,
    _context: *mut c_void,
    _one: *mut c_void,
    _two: *mut c_void,
) {
}

fn dpc() {
    let flags = if makes("C.1-dpc-paged") {
        POOL_FLAG_PAGED
    } else {
        POOL_FLAG_NON_PAGED
    };
    let dpc: *mut KDPC = allocate_as(flags, size_of::<KDPC>());
    unsafe {
        if !makes("C.1-dpc-uninitialised") {
            KeInitializeDpc(dpc, nothing, null_mut());
        }
        KeSetTargetProcessorDpc(dpc, if makes("C.1-dpc-processor") { 100 } else { 1 });
        KeInsertQueueDpc(dpc, null_mut(), null_mut());
        if makes("C.1-dpc-initialised-while-queued") {
            KeInitializeDpc(dpc, nothing, null_mut());
        }
        if !makes("C.1-dpc-freed-while-queued") {
            KeFlushQueuedDpcs();
        }
    }
    free(dpc);
}

thread_local! {
    // Variables of the driver's image, which are gone with it.
    static STATIC_DPC: UnsafeCell<KDPC> = const { UnsafeCell::new(KDPC::zeroed()) };
    static STATIC_TIMER: UnsafeCell<KTIMER> = const { UnsafeCell::new(KTIMER::zeroed()) };
}

/// A driver with a timer that queues a DPC; the timer is in pool, or beside the DPC in the image.
const fn timed(in_pool: bool) -> Work {
    Work {
        entry: if in_pool {
            || make_timer(allocate(size_of::<KTIMER>()))
        } else {
            || make_timer(STATIC_TIMER.with(UnsafeCell::get))
        },
        request: || unsafe {
            KeSetTimer(TIMER.get(), -1000 * MILLISECOND, DPC.get());
        },
        unload: if in_pool {
            || {
                stop_timer();
                free(TIMER.get());
            }
        } else {
            stop_timer
        },
        ..IDLE
    }
}

fn make_timer(timer: *mut KTIMER) -> NTSTATUS {
    TIMER.set(timer);
    DPC.set(STATIC_DPC.with(UnsafeCell::get));
    unsafe {
        KeInitializeDpc(DPC.get(), nothing, null_mut());
        KeInitializeTimer(TIMER.get());
    }
    STATUS_SUCCESS
}

fn stop_timer() {
    unsafe {
        if !makes("C-52-timer-at-unload") && !makes("C-62-timer-freed") {
            KeCancelTimer(TIMER.get());
        }
        if makes("C-52-dpc-at-unload") {
            KeInsertQueueDpc(DPC.get(), null_mut(), null_mut());
            return;
        }
        KeFlushQueuedDpcs();
    }
}
