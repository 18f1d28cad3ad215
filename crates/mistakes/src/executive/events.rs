//! Events, waits and critical regions: the parameters of C.1.

use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;

use super::base::on_thread;
use super::base::run;
use super::kernel::*;
use crate::Mistake;
use crate::makes;

pub const EVENTS: &[Mistake] = &[
    Mistake::always(
        "C.1-event-moved",
        "C.1",
        "copies a structure with an initialised event in it",
        |m| run(m, events),
    ),
    Mistake::always(
        "C.1-event-uninitialised",
        "C.1",
        "sets an event that was never initialised",
        |m| run(m, events),
    ),
    Mistake::always(
        "C.1-event-paged",
        "C.1",
        "keeps an event in paged pool",
        |m| run(m, events),
    ),
    Mistake::always(
        "C.1-KeSetEvent-no-wait",
        "C.1",
        "sets an event with Wait TRUE and does not wait next",
        |m| run(m, events),
    ),
    Mistake::always(
        "C-62-user-mode-wait-on-stack",
        "C-62",
        "waits in UserMode for an event on its kernel stack",
        |m| run(m, events),
    ),
    Mistake::always(
        "C-62-region-left-twice",
        "C-62",
        "leaves a critical region twice",
        |m| run(m, regions),
    ),
    Mistake::always(
        "C-62-region-not-left",
        "C-62",
        "returns from a request in a critical region",
        |m| run(m, regions),
    ),
    Mistake::always(
        "C-62-thread-ends-in-region",
        "C-62",
        "ends a thread in a critical region",
        |m| run(m, || on_thread(regions)),
    ),
    Mistake::always(
        "C.1-KfRaiseIrql-lower",
        "C.1",
        "raises the IRQL to a lower one",
        |m| run(m, levels),
    ),
    Mistake::always(
        "C.1-KeLowerIrql-higher",
        "C.1",
        "lowers the IRQL to a higher one",
        |m| run(m, levels),
    ),
    Mistake::always(
        "C.1-KeLowerIrql-with-lock",
        "C.1",
        "lowers the IRQL to PASSIVE_LEVEL with a spin lock held",
        |m| run(m, levels),
    ),
    Mistake::always(
        "D.1-callback-returns-raised",
        "D.1",
        "returns from EvtIoDeviceControl at DISPATCH_LEVEL",
        |m| run(m, levels),
    ),
];

fn events() {
    let flags = if makes("C.1-event-paged") {
        POOL_FLAG_PAGED
    } else {
        POOL_FLAG_NON_PAGED
    };
    let size = size_of::<KEVENT>();
    let (mut event, other): (PRKEVENT, PRKEVENT) = (allocate_as(flags, size), allocate(size));
    let mut on_stack = KEVENT::default();
    unsafe {
        if !makes("C.1-event-uninitialised") {
            KeInitializeEvent(event, _EVENT_TYPE::SynchronizationEvent, 0);
        }
        if makes("C.1-event-moved") {
            other.write(event.read());
            event = other;
            set(other);
        }
        set(event);
        wait(event);
        KeInitializeEvent(other, _EVENT_TYPE::NotificationEvent, 1);
        KeSetEvent(event, 0, 1);
        if !makes("C.1-KeSetEvent-no-wait") {
            wait(other);
        }
        KeInitializeEvent(&raw mut on_stack, _EVENT_TYPE::NotificationEvent, 1);
        let mode = i8::from(makes("C-62-user-mode-wait-on-stack"));
        let _waited = KeWaitForSingleObject(
            (&raw mut on_stack).cast(),
            _KWAIT_REASON::Executive,
            mode,
            0,
            std::ptr::null_mut(),
        );
    }
    free(event);
    free(other);
}

fn regions() {
    unsafe {
        KeEnterCriticalRegion();
        if makes("C-62-region-not-left") || makes("C-62-thread-ends-in-region") {
            return;
        }
        KeLeaveCriticalRegion();
        if makes("C-62-region-left-twice") {
            KeLeaveCriticalRegion();
        }
    }
}

fn levels() {
    unsafe {
        let old = KeRaiseIrqlToDpcLevel();
        if makes("C.1-KfRaiseIrql-lower") {
            KfRaiseIrql(APC_LEVEL as u8);
        }
        if makes("D.1-callback-returns-raised") {
            return;
        }
        KeLowerIrql(old);
        if makes("C.1-KeLowerIrql-higher") {
            KeLowerIrql(DISPATCH_LEVEL as u8);
        }
        let lock = new_lock();
        let old = acquire(lock);
        if makes("C.1-KeLowerIrql-with-lock") {
            KeLowerIrql(old);
        }
        release(lock, old);
        free(lock);
    }
}
