//! The places where threads meet without a kernel lock, and the queue, which has both. Each again and again, on real threads.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::yield_now;

use nt::pool::PoolBox;
use nt::shared::Shared;
use nt::signal::{Signal, Wake};
use nt::slot::Slot;
use nt::thread::SystemThread;
use nt_threads::{passive, together, without_a_thread_object};
use tollgate::counters::Counters;
use tollgate::queue::{Limits, Queue};
use tollgate::room::{self, Full, Room};
use tollgate_abi::Counter;

/// How often each story is told. Under ThreadSanitizer one telling says nearly as much as many.
const ROUNDS: usize = 200;
/// Threads in a story, besides the one that tells it.
const THREADS: u32 = 3;

/// The stories.
const STORIES: [(&str, fn()); 9] = [
    (
        "owners",
        the_last_owner_frees_what_the_others_have_finished_with,
    ),
    (
        "slot",
        a_slot_shows_all_of_its_value_or_nothing_and_closes_behind_the_last_who_is_inside,
    ),
    (
        "signal",
        a_worker_that_is_told_to_stop_sees_what_was_done_before,
    ),
    ("room", the_room_of_a_queue_is_never_given_out_twice),
    (
        "closed-room",
        nobody_who_had_room_is_still_at_it_when_a_closed_queue_is_idle,
    ),
    (
        "thread",
        a_thread_has_done_what_it_did_when_it_was_waited_for,
    ),
    (
        "cancelled-thread",
        a_thread_that_could_not_be_waited_for_has_not_run_and_is_gone,
    ),
    ("counters", counters_lose_nothing),
    (
        "queue",
        everything_that_got_a_place_comes_out_of_the_queue_once_and_whole,
    ),
];

/// Tells every story, or those whose names have the argument in them. `planted-race` must be asked for.
fn main() {
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    if wanted.as_deref() == Some("planted-race") {
        return planted_race();
    }
    for (name, story) in STORIES {
        if wanted
            .as_ref()
            .is_none_or(|wanted| name.contains(&**wanted))
        {
            println!("{name}");
            story();
        }
    }
}

/// A value that is only sound if nobody uses it while another changes it. Its end is a change too.
struct Plain(UnsafeCell<u32>);

// SAFETY: What two threads do at once with it is what the tests are about.
unsafe impl Sync for Plain {}

impl Plain {
    fn new(value: u32) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn read(&self) -> u32 {
        // SAFETY: Ordered by what is tested.
        unsafe { *self.0.get() }
    }

    fn write(&self, value: u32) {
        // SAFETY: Ordered by what is tested.
        unsafe { *self.0.get() = value };
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.write(0);
    }
}

fn rounds(story: impl Fn()) {
    for _ in 0..ROUNDS {
        story();
    }
}

/// The same for every thread.
fn each<'a, F: FnOnce() + Send + 'a>(
    work: impl Fn(u32) -> F,
) -> Vec<Box<dyn FnOnce() + Send + 'a>> {
    (0..THREADS)
        .map(|number| Box::new(work(number)) as Box<dyn FnOnce() + Send>)
        .collect()
}

fn signal() -> Shared<Signal> {
    Shared::try_new(Signal::new().expect("memory")).expect("memory")
}

fn the_last_owner_frees_what_the_others_have_finished_with() {
    rounds(|| {
        let first = Shared::try_new(Plain::new(7)).expect("memory");
        let others = each(|_| {
            let owner = first.clone();
            move || {
                let again = owner.clone();
                drop(owner);
                assert_eq!(again.read(), 7);
            }
        });
        together(others, || drop(first));
    });
}

fn a_slot_shows_all_of_its_value_or_nothing_and_closes_behind_the_last_who_is_inside() {
    // A slot is opened once in the life of an image.
    static SLOTS: [Slot<Plain>; ROUNDS] = [const { Slot::new() }; ROUNDS];
    for slot in &SLOTS {
        let callbacks = each(|_| {
            || {
                for _ in 0..20 {
                    if let Some(inside) = slot.enter() {
                        assert_eq!(inside.read(), 7);
                    }
                }
            }
        });
        together(callbacks, || {
            let value = PoolBox::try_new(Plain::new(7)).expect("memory");
            assert!(slot.publish(&passive(), value).is_ok());
            yield_now();
            drop(slot.close(&passive()).expect("it was open"));
            assert!(slot.enter().is_none(), "closed for good");
        });
    }
}

fn a_worker_that_is_told_to_stop_sees_what_was_done_before() {
    rounds(|| {
        let (signal, told) = (Signal::new().expect("memory"), Plain::new(1));
        let worker = || {
            while signal.wait(&passive(), None) != Wake::Stopped {}
            assert_eq!(told.read(), 2);
        };
        together([Box::new(worker) as Box<dyn FnOnce() + Send>], || {
            signal.wake();
            told.write(2);
            signal.stop();
        });
    });
}

fn the_room_of_a_queue_is_never_given_out_twice() {
    const MOST: u32 = 2;
    let limits = room::Limits {
        packets: MOST,
        bytes: 1000,
    };
    rounds(|| {
        let room = Room::new();
        let inside = AtomicU32::new(0);
        let (room, inside) = (&room, &inside);
        let classifies = each(|_| {
            move || {
                for _ in 0..20 {
                    match room.reserve(limits, 100) {
                        Ok(()) => {
                            assert!(inside.fetch_add(1, Ordering::Relaxed) < MOST);
                            inside.fetch_sub(1, Ordering::Relaxed);
                            room.release(100);
                        }
                        Err(full) => assert_eq!(full, Full::Packets),
                    }
                }
            }
        });
        together(classifies, || ());
        assert!(room.is_idle());
    });
}

fn nobody_who_had_room_is_still_at_it_when_a_closed_queue_is_idle() {
    let limits = room::Limits {
        packets: 1,
        bytes: 1000,
    };
    rounds(|| {
        let (room, queue) = (Room::new(), Plain::new(0));
        let (room, queue) = (&room, &queue);
        let classifies = each(|_| {
            move || {
                // One at a time has room, so the room is what keeps them apart.
                if room.reserve(limits, 100).is_ok() {
                    queue.write(queue.read() + 1);
                    room.release(100);
                }
            }
        });
        together(classifies, || {
            yield_now();
            room.close();
            while !room.is_idle() {
                yield_now();
            }
            assert!(queue.read() <= THREADS);
            assert_eq!(room.reserve(limits, 100), Err(Full::Closing));
        });
    });
}

fn a_thread_has_done_what_it_did_when_it_was_waited_for() {
    rounds(|| {
        let done = Shared::try_new(Plain::new(0)).expect("memory");
        let by_thread = done.clone();
        let spawned = SystemThread::spawn(&passive(), signal(), move |passive, signal| {
            while signal.wait(passive, None) != Wake::Stopped {}
            by_thread.write(1);
        });
        spawned.expect("it starts").join(&passive());
        assert_eq!(done.read(), 1);
    });
}

fn a_thread_that_could_not_be_waited_for_has_not_run_and_is_gone() {
    rounds(|| {
        let kept = Shared::try_new(Plain::new(7)).expect("memory");
        let by_thread = kept.clone();
        let spawned = without_a_thread_object(|| {
            SystemThread::spawn(&passive(), signal(), move |_, _| by_thread.write(1))
        });
        assert!(spawned.is_err());
        assert_eq!(kept.read(), 7, "the body did not run");
    });
}

fn counters_lose_nothing() {
    const MANY: u64 = 2000;
    let counters = Counters::new();
    let counting = &counters;
    let threads = each(|_| {
        move || {
            for _ in 0..MANY {
                counting.add(Counter::EngineAdded);
            }
        }
    });
    together(threads, || {
        let _ = counting.snapshot();
    });
    let sum = counters.snapshot().get(Counter::EngineAdded);
    assert_eq!(sum, u64::from(THREADS) * MANY);
}

fn everything_that_got_a_place_comes_out_of_the_queue_once_and_whole() {
    rounds(|| {
        let signal = signal();
        let limits = Limits {
            packets: 4,
            ..Limits::default()
        };
        let queue = Queue::<PoolBox<Plain>>::new(limits, signal.clone());
        let (put, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        let mut threads = each(|_| {
            || {
                let mut passive = passive();
                for _ in 0..10 {
                    let Ok(place) = queue.place(100) else {
                        continue;
                    };
                    let value = PoolBox::try_new(Plain::new(7)).expect("memory");
                    place.put(&mut passive, value);
                    put.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        threads.push(Box::new(|| {
            let mut passive = passive();
            loop {
                let stopped = signal.wait(&passive, None) == Wake::Stopped;
                let mut batch = queue.take_all(&mut passive);
                while let Some(node) = batch.pop() {
                    queue.finish(node, |value| {
                        assert_eq!(value.read(), 7);
                        taken.fetch_add(1, Ordering::Relaxed);
                    });
                }
                if stopped && queue.is_idle() {
                    break;
                }
            }
        }));
        together(threads, || {
            yield_now();
            queue.close();
            signal.stop();
        });
        assert!(queue.is_idle());
        assert_eq!(put.into_inner(), taken.into_inner());
    });
}

/// Two uses that nothing orders, so that it is known that ThreadSanitizer would tell. `cargo xtask tsan` runs it first.
fn planted_race() {
    let value = Plain::new(0);
    let value = &value;
    together(each(|number| move || value.write(number)), || ());
}
