//! Races of a driver's own threads, each the smallest that shows it: a driver that starts two threads, which share a context,
//! and ends them at unload.
//!
//! Between what they do there is always a call of the kernel, as there is in a real driver: that is where another
//! thread comes in.

mod driver;

use wdk_sys_portable::*;

use crate::Mistake;
use crate::makes;

use driver::Context;
use driver::Threads;
use driver::locked;

/// The races of a driver's own threads.
pub const RACES: &[Mistake] = &[
    Mistake::sometimes(
        "C-50-lost-wake-up",
        "C-50",
        "its worker looks for work, then clears its event, then waits: what came between is never worked on, and unload waits for ever",
        |m| driver::run(m, &LOST_WAKE_UP),
    ),
    Mistake::sometimes(
        "C-50-events-crosswise",
        "C-50",
        "two threads take two events that stand for locks in opposite orders",
        |m| driver::run(m, &CROSSWISE),
    ),
    Mistake::sometimes(
        "C-61-walks-unlocked",
        "C-61",
        "walks a list that it took the head of under the lock, without the lock",
        |m| driver::run(m, &WALKS),
    ),
    Mistake::sometimes(
        "C-61-touched-after-release",
        "C-61",
        "writes to an object once more after it gave its reference back",
        |m| driver::run(m, &TOUCHES),
    ),
    Mistake::sometimes(
        "C-63-checked-then-freed",
        "C-63",
        "looks whether a block is gone already, and frees it, without a lock around the two",
        |m| driver::run(m, &CHECKS),
    ),
];

/// A worker with an event, and a client that gives it work.
const LOST_WAKE_UP: Threads = Threads {
    begin: |_| {},
    bodies: [work, give_work],
    tell_to_end: |_| {},
};

unsafe fn work(context: *mut Context) {
    unsafe {
        let event = &raw mut (*context).events[0];
        loop {
            let late = makes("C-50-lost-wake-up");
            if !late {
                ntddk::KeClearEvent(event);
            }
            let mut found = false;
            let mut ending = false;
            locked(context, || {
                found = (*context).count > 0;
                (*context).count -= u32::from(found);
                ending = (*context).ending;
            });
            if found {
                continue;
            }
            if ending {
                return;
            }
            if late {
                ntddk::KeClearEvent(event);
            }
            driver::wait(event.cast());
        }
    }
}

unsafe fn give_work(context: *mut Context) {
    for _ in 0..3 {
        unsafe {
            locked(context, || (*context).count += 1);
            ntddk::KeSetEvent(&raw mut (*context).events[0], 0, 0);
        }
    }
    // The last of it: that there is no more.
    unsafe {
        locked(context, || (*context).ending = true);
        ntddk::KeSetEvent(&raw mut (*context).events[0], 0, 0);
    }
}

/// Two events that are set while nobody has what they stand for.
const CROSSWISE: Threads = Threads {
    begin: |context| unsafe {
        for event in &mut (*context).events {
            ntddk::KeInitializeEvent(event, _EVENT_TYPE::SynchronizationEvent, 1);
        }
    },
    bodies: [
        |context| unsafe { both(context, [0, 1]) },
        |context| unsafe {
            let crosswise = makes("C-50-events-crosswise");
            both(context, if crosswise { [1, 0] } else { [0, 1] });
        },
    ],
    tell_to_end: |_| {},
};

unsafe fn both(context: *mut Context, order: [usize; 2]) {
    unsafe {
        for index in order {
            driver::wait((&raw mut (*context).events[index]).cast());
        }
        for index in order {
            ntddk::KeSetEvent(&raw mut (*context).events[index], 0, 0);
        }
    }
}

/// A list, one that walks it and one that empties it.
const WALKS: Threads = Threads {
    begin: |context| unsafe {
        for _ in 0..3 {
            let node: *mut *mut u8 = driver::allocate().cast();
            node.write((*context).block);
            (*context).block = node.cast();
        }
    },
    bodies: [
        |context| unsafe {
            if makes("C-61-walks-unlocked") {
                let mut head = std::ptr::null_mut();
                locked(context, || head = (*context).block);
                walk(head);
            } else {
                locked(context, || walk((*context).block));
            }
        },
        |context| unsafe {
            loop {
                let mut node = std::ptr::null_mut();
                locked(context, || {
                    node = (*context).block;
                    if !node.is_null() {
                        (*context).block = node.cast::<*mut u8>().read();
                    }
                });
                if node.is_null() {
                    return;
                }
                driver::free(node);
            }
        },
    ],
    tell_to_end: |_| {},
};

unsafe fn walk(mut node: *mut u8) {
    while !node.is_null() {
        unsafe {
            let _looked = ntddk::KeGetCurrentIrql();
            node = node.cast::<*mut u8>().read_volatile();
        }
    }
}

/// An object with two owners, of whom the last frees it.
const TOUCHES: Threads = Threads {
    begin: |context| unsafe {
        ((*context).block, (*context).count) = (driver::allocate(), 2);
    },
    bodies: [
        |context| unsafe { give_back(context) },
        |context| unsafe { give_back(context) },
    ],
    tell_to_end: |_| {},
};

unsafe fn give_back(context: *mut Context) {
    unsafe {
        let block = (*context).block;
        let mut last = false;
        locked(context, || {
            (*context).count -= 1;
            last = (*context).count == 0;
        });
        if last {
            driver::free(block);
        } else if makes("C-61-touched-after-release") {
            let _looked = ntddk::KeGetCurrentIrql();
            block.write_volatile(1);
        }
    }
}

/// A block that whoever comes first frees.
const CHECKS: Threads = Threads {
    begin: |context| unsafe { (*context).block = driver::allocate() },
    bodies: [
        |context| unsafe { free_once(context) },
        |context| unsafe { free_once(context) },
    ],
    tell_to_end: |_| {},
};

unsafe fn free_once(context: *mut Context) {
    unsafe {
        let mut first = false;
        if makes("C-63-checked-then-freed") {
            first = !(*context).ending;
            let _looked = ntddk::KeGetCurrentIrql();
            (*context).ending = true;
        } else {
            locked(context, || {
                first = !(*context).ending;
                (*context).ending = true;
            });
        }
        if first {
            driver::free((*context).block);
        }
    }
}
