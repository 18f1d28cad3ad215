//! Threads of a few lines each that race, or do not, or do not get on.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::Mutex;

use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::explore::Subject;
use wfpsim::machine::irql;

const TAG: u32 = u32::from_le_bytes(*b"race");

/// What threads told of the order in which they came.
type Log = Rc<RefCell<Vec<(u8, u8)>>>;

/// A story as a subject, which remembers every result it came to.
pub struct Story {
    story: fn(&Machine, &Log),
    results: Mutex<BTreeSet<Vec<(u8, u8)>>>,
}

impl Story {
    pub fn new(story: fn(&Machine, &Log)) -> Self {
        Self {
            story,
            results: Mutex::default(),
        }
    }

    pub fn results(&self) -> BTreeSet<Vec<(u8, u8)>> {
        self.results.lock().expect("no story panics").clone()
    }
}

impl Subject for Story {
    fn name(&self) -> String {
        "a story".to_owned()
    }

    fn config(&self, seed: u64) -> Config {
        Config::new(seed)
    }

    fn run(&self, machine: &Machine) {
        let log = Log::default();
        (self.story)(machine, &log);
        if !machine.kernel().has_crashed() {
            let mut told = log.borrow().clone();
            // In which order different locks were taken is nobody's to see.
            told.sort_by_key(|&(lock, _)| lock);
            let mut results = self.results.lock().expect("no story panics");
            results.insert(told);
        }
    }
}

/// What was told of one run on an ordinary machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub summary: String,
}

impl Told {
    pub fn all(story: fn(&Machine, &Log)) -> Vec<Self> {
        let machine = Machine::new(Config::new(7));
        story(&machine, &Log::default());
        let told = machine.violations().into_iter();
        told.map(|violation| Self {
            summary: violation.summary,
        })
        .collect()
    }

    pub fn of(story: fn(&Machine, &Log)) -> Self {
        let mut all = Self::all(story);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

fn allocate(size: usize) -> usize {
    let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, size as u64, TAG) };
    block as usize
}

fn free(block: usize) {
    unsafe { ExFreePoolWithTag(block as *mut _, TAG) };
}

fn event() -> usize {
    let event = allocate(size_of::<KEVENT>());
    unsafe { KeInitializeEvent(event as *mut KEVENT, 0, 0) };
    event
}

fn set(event: usize) {
    unsafe { KeSetEvent(event as *mut KEVENT, 0, 0) };
}

fn clear(event: usize) {
    unsafe { KeClearEvent(event as *mut KEVENT) };
}

fn wait(event: usize) {
    let _ = unsafe { KeWaitForSingleObject(event as *mut _, 0, 0, 0, null_mut()) };
}

fn locked(lock: usize, work: impl FnOnce()) {
    let level = unsafe { KeAcquireSpinLockRaiseToDpc(lock as *mut _) };
    work();
    unsafe { KeReleaseSpinLock(lock as *mut _, level) };
}

fn sleep(units: i64) {
    let mut interval = LARGE_INTEGER { QuadPart: -units };
    let _ = unsafe { KeDelayExecutionThread(0, 0, &raw mut interval) };
}

/// Two blocks; where there is no second, the first is freed, and looked at.
pub fn looks_back_where_memory_was_short(machine: &Machine, _: &Log) {
    machine.call("boot", irql::PASSIVE, |_| {
        let first = allocate(64);
        if first == 0 {
            return;
        }
        let second = allocate(64);
        if second != 0 {
            free(second);
        }
        free(first);
        if second == 0 {
            let _ = unsafe { (first as *const u8).read_volatile() };
        }
    });
}

/// A thread that waits for work and one that brings it.
fn hand_over(machine: &Machine, take: fn(event: usize, there: &dyn Fn() -> bool)) {
    let Some(event) = machine.call("boot", irql::PASSIVE, |_| event()) else {
        return;
    };
    let there = Rc::new(Cell::new(false));
    let seen = Rc::clone(&there);
    let consumer = machine.spawn("consumer", irql::PASSIVE, move |_| {
        take(event, &|| seen.get());
    });
    machine.spawn("producer", irql::PASSIVE, move |_| {
        there.set(true);
        set(event);
    });
    machine.run_until_ended(consumer);
    if !machine.kernel().is_alive(consumer) {
        machine.call("end", irql::PASSIVE, move |_| free(event));
    }
}

/// Looks, clears, waits: what is set between the look and the clearing is lost.
pub fn lost_wake_up(machine: &Machine, _log: &Log) {
    hand_over(machine, |event, there| {
        while !there() {
            clear(event);
            wait(event);
        }
    });
}

/// Clears, looks, waits.
pub fn no_lost_wake_up(machine: &Machine, _log: &Log) {
    hand_over(machine, |event, there| {
        loop {
            clear(event);
            if there() {
                break;
            }
            wait(event);
        }
    });
}

/// Two threads that take two locks, one after the other, in opposite orders.
pub fn two_locks(machine: &Machine, log: &Log) {
    let Some(locks) = machine.call("boot", irql::PASSIVE, |_| [allocate(8), allocate(8)]) else {
        return;
    };
    for (thread, order) in [(1u8, [0usize, 1]), (2, [1, 0])] {
        let log = Rc::clone(log);
        machine.spawn(format!("thread {thread}"), irql::PASSIVE, move |_| {
            for lock in order {
                locked(locks[lock], || log.borrow_mut().push((lock as u8, thread)));
            }
        });
    }
    machine.run();
    machine.call("end", irql::PASSIVE, move |_| locks.map(free));
}

/// Two owners under a lock, of which the last to let go frees; and one that writes once more after it let go.
pub fn touched_after_release(machine: &Machine, _log: &Log) {
    let Some((lock, block)) = machine.call("boot", irql::PASSIVE, |_| (allocate(8), allocate(64)))
    else {
        return;
    };
    let owners = Rc::new(Cell::new(2));
    for thread in 0..2u8 {
        let owners = Rc::clone(&owners);
        machine.spawn("owner", irql::PASSIVE, move |_| {
            let last = Cell::new(false);
            locked(lock, || {
                owners.set(owners.get() - 1);
                last.set(owners.get() == 0);
            });
            if last.get() {
                free(block);
            } else if thread == 1 {
                unsafe { KeGetCurrentIrql() };
                unsafe { (block as *mut u8).write_volatile(1) };
            }
        });
    }
    machine.run();
    machine.call("end", irql::PASSIVE, move |_| free(lock));
}

/// Both wait for the other to go first, politely.
pub fn livelock(machine: &Machine, _log: &Log) {
    for _ in 0..2 {
        machine.spawn("after you", irql::PASSIVE, |_| {
            loop {
                sleep(0);
            }
        });
    }
    machine.run();
}

/// Looks every millisecond for what comes after five minutes.
pub fn slow_but_sure(machine: &Machine, _log: &Log) {
    let there = Rc::new(Cell::new(false));
    let seen = Rc::clone(&there);
    machine.spawn("slow", irql::PASSIVE, move |_| {
        sleep(3_000_000_000);
        there.set(true);
    });
    let patient = machine.spawn("patient", irql::PASSIVE, move |_| {
        while !seen.get() {
            sleep(10_000);
        }
    });
    machine.run_until_ended(patient);
}

/// Looks every millisecond for what never comes.
pub fn looks_for_ever(machine: &Machine, _log: &Log) {
    let hopeful = machine.spawn("hopeful", irql::PASSIVE, |_| {
        loop {
            sleep(10_000);
        }
    });
    machine.run_until_ended(hopeful);
}

unsafe extern "C" fn works(_context: *mut std::ffi::c_void) {
    loop {
        unsafe { KeGetCurrentIrql() };
    }
}

/// Starts a thread, and others that keep every processor.
pub fn starved(machine: &Machine, _log: &Log) {
    machine.spawn("boot", irql::PASSIVE, |kernel| {
        let mut handle = null_mut();
        let _ = unsafe {
            PsCreateSystemThread(
                &raw mut handle,
                0,
                null_mut(),
                null_mut(),
                null_mut(),
                Some(works),
                null_mut(),
            )
        };
        for _ in 0..kernel.config.processors {
            kernel.spawn("hog", irql::PASSIVE, |_| {
                let lock = allocate(8);
                unsafe { KeAcquireSpinLockRaiseToDpc(lock as *mut _) };
                loop {
                    unsafe { KeGetCurrentIrql() };
                }
            });
        }
    });
    machine.run();
}
