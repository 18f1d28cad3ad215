//! The places where threads meet without a kernel lock, each in every order. A value that is used while another thread frees it, or
//! without the order that makes it safe, is found by loom's cell; a thread that nobody wakes is a deadlock.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use nt_loom::kernel::{explore, passive};
use nt_loom::pool::PoolBox;
use nt_loom::room::{Full, Limits, Room};
use nt_loom::shared::Shared;
use nt_loom::signal::{Signal, Wake};
use nt_loom::slot::Slot;

/// A value that knows of every use, and whose end is a use too.
struct Watched(UnsafeCell<u32>);

impl Watched {
    fn new(value: u32) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn read(&self) -> u32 {
        // SAFETY: loom panics if another thread writes at the same time.
        self.0.with(|value| unsafe { *value })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: loom panics if another thread uses it at the same time.
        self.0.with_mut(|value| unsafe { *value = 0 });
    }
}

// SAFETY: What two threads do at once with it is what the tests are about; loom looks.
unsafe impl Sync for Watched {}

#[test]
fn the_last_owner_frees_what_the_others_have_finished_with() {
    explore(|| {
        let first = Shared::try_new(Watched::new(7)).expect("memory");
        let others: Vec<_> = (0..2)
            .map(|_| {
                let owner = first.clone();
                thread::spawn(move || {
                    let again = owner.clone();
                    drop(owner);
                    assert_eq!(again.read(), 7);
                })
            })
            .collect();
        drop(first);
        for other in others {
            other.join().expect("it ends");
        }
    });
}

#[test]
fn a_slot_closes_behind_the_last_who_is_inside_and_lets_nobody_in() {
    static SLOT: Slot<Watched> = Slot::new();
    explore(|| {
        let passive = passive();
        let value = PoolBox::try_new(Watched::new(7)).expect("memory");
        assert!(SLOT.publish(&passive, value).is_ok());
        let callbacks: Vec<_> = (0..2)
            .map(|_| {
                thread::spawn(|| {
                    if let Some(inside) = SLOT.enter() {
                        assert_eq!(inside.read(), 7);
                    }
                })
            })
            .collect();
        drop(SLOT.close(&passive).expect("it was open"));
        assert!(SLOT.enter().is_none(), "closed for good");
        for callback in callbacks {
            callback.join().expect("it ends");
        }
    });
}

#[test]
fn a_callback_before_the_slot_is_open_finds_nothing_or_all_of_the_value() {
    static SLOT: Slot<Watched> = Slot::new();
    explore(|| {
        // A fresh image's slot is there before anything runs.
        assert!(SLOT.enter().is_none());
        let callback = thread::spawn(|| {
            if let Some(inside) = SLOT.enter() {
                assert_eq!(inside.read(), 7);
            }
        });
        let passive = passive();
        let value = PoolBox::try_new(Watched::new(7)).expect("memory");
        assert!(SLOT.publish(&passive, value).is_ok());
        callback.join().expect("it ends");
        drop(SLOT.close(&passive));
    });
}

#[test]
fn of_two_who_open_a_slot_one_does_and_of_two_who_close_it_one_gets_the_value() {
    static SLOT: Slot<u32> = Slot::new();
    explore(|| {
        let work = || {
            let passive = passive();
            let opened = SLOT
                .publish(&passive, PoolBox::try_new(1).expect("memory"))
                .is_ok();
            (opened, SLOT.close(&passive).is_some())
        };
        assert!(SLOT.enter().is_none());
        let other = thread::spawn(work);
        let (mine, others) = (work(), other.join().expect("it ends"));
        assert!(mine.0 ^ others.0, "opened once");
        assert!(!(mine.1 && others.1), "closed at most once");
        drop(SLOT.close(&passive()));
    });
}

#[test]
fn a_worker_that_is_told_to_stop_stops_and_sees_what_was_done_before() {
    explore(|| {
        let signal = Arc::new(Signal::new().expect("memory"));
        let told = Arc::new(Watched::new(1));
        let worker = {
            let (signal, told) = (signal.clone(), told.clone());
            thread::spawn(move || {
                while signal.wait(&passive(), None) != Wake::Stopped {}
                assert_eq!(told.read(), 2);
            })
        };
        signal.wake();
        // SAFETY: loom panics if the worker reads at the same time.
        told.0.with_mut(|value| unsafe { *value = 2 });
        signal.stop();
        worker.join().expect("it ends");
    });
}

#[test]
fn a_wait_that_is_ended_by_stopping_says_so_and_not_that_there_is_work() {
    explore(|| {
        let signal = Arc::new(Signal::new().expect("memory"));
        let worker = {
            let signal = signal.clone();
            thread::spawn(move || assert_eq!(signal.wait(&passive(), None), Wake::Stopped))
        };
        signal.stop();
        worker.join().expect("it ends");
    });
}

fn limits(packets: u32) -> Limits {
    Limits {
        packets,
        bytes: 1000,
    }
}

#[test]
fn the_room_of_a_queue_is_never_given_out_twice() {
    explore(|| {
        let room = Arc::new(Room::new());
        let inside = Arc::new(AtomicUsize::new(0));
        let classifies: Vec<_> = (0..2)
            .map(|_| {
                let (room, inside) = (room.clone(), inside.clone());
                thread::spawn(move || match room.reserve(limits(1), 100) {
                    Ok(()) => {
                        assert_eq!(
                            inside.fetch_add(1, Ordering::Relaxed),
                            0,
                            "two places of one"
                        );
                        inside.fetch_sub(1, Ordering::Relaxed);
                        room.release(100);
                    }
                    Err(full) => assert_eq!(full, Full::Packets),
                })
            })
            .collect();
        for classify in classifies {
            classify.join().expect("it ends");
        }
        assert!(room.is_idle());
    });
}

#[test]
fn a_closed_and_idle_queue_has_nobody_who_could_still_put_something_in() {
    explore(|| {
        let room = Arc::new(Room::new());
        let queue = Arc::new(Watched::new(0));
        let classify = {
            let (room, queue) = (room.clone(), queue.clone());
            thread::spawn(move || {
                if room.reserve(limits(4), 100).is_ok() {
                    // SAFETY: loom panics if the unload below does not wait for it.
                    queue.0.with_mut(|value| unsafe { *value += 1 });
                    room.release(100);
                }
            })
        };
        room.close();
        while !room.is_idle() {
            thread::yield_now();
        }
        let _ = queue.read();
        assert_eq!(room.reserve(limits(4), 100), Err(Full::Closing));
        classify.join().expect("it ends");
    });
}

struct Plain(UnsafeCell<u32>);

// SAFETY: As for `Watched`, without an end that would be a second fault.
unsafe impl Sync for Plain {}

/// An order that is too weak, so that it is known that loom would tell.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_release_that_orders_nothing_is_found() {
    explore(|| {
        let left = Arc::new(AtomicUsize::new(1));
        let value = Arc::new(Plain(UnsafeCell::new(0)));
        let user = {
            let (left, value) = (left.clone(), value.clone());
            thread::spawn(move || {
                // SAFETY: loom panics, which is the point.
                value.0.with_mut(|value| unsafe { *value += 1 });
                left.store(0, Ordering::Relaxed);
            })
        };
        while left.load(Ordering::Acquire) != 0 {
            thread::yield_now();
        }
        // SAFETY: As above.
        value.0.with(|value| unsafe { *value });
        user.join().expect("it ends");
    });
}
