//! Watches that the machine gets on: no livelock, no thread that is ready and never runs, nothing that waits for what never
//! comes, nothing that is held too long.
//!
//! *Progress* is what the outside could see: something became of a packet, or a thread ended. All bounds count only what
//! was fair: turns after which every ready thread has had one, or time that passed because nobody had anything to do. So a
//! schedule that is unfair on purpose is never blamed on the driver.

use std::cell::Cell;
use std::rc::Rc;

use super::Kernel;
use super::ThreadId;
use super::Time;
use super::thread::Thread;
use crate::verifier::Violation;
use crate::verifier::code;

/// How many turns lie between two looks.
const LOOK_EVERY: u64 = 4096;

/// How many fair looks without progress, and without time to wait for, make a livelock: a million turns.
const FAIR_LOOKS: u32 = 256;

/// For how many looks in a row a thread of the driver's may be ready and find every processor taken.
const STARVED_LOOKS: u32 = 64;

/// How long a thread may take in which nothing comes of anything but that time passes: ten minutes, in 100 ns units.
const IN_VAIN: Time = 6_000_000_000;

/// What is remembered to see that.
#[derive(Default)]
pub(super) struct Watch {
    /// Counts everything that is progress.
    progress: Cell<u64>,
    /// As it was at the last look, and as it was when time last mattered.
    seen: Cell<u64>,
    turns: Cell<u64>,
    round_began: Cell<u64>,
    fair_looks: Cell<u32>,
    /// When progress was last seen while time passed, and how much there had been.
    waited: Cell<(u64, Time)>,
}

impl Kernel {
    /// Something came of something.
    pub(crate) fn got_on(&self) {
        self.watch.progress.set(self.watch.progress.get() + 1);
    }

    /// A thread gets a turn.
    pub(super) fn watch_turn(&self, thread: &Rc<Thread>) {
        let watch = &self.watch;
        let turns = watch.turns.get() + 1;
        watch.turns.set(turns);
        thread.last_turn.set(turns);
        if turns.is_multiple_of(LOOK_EVERY) {
            self.look(turns);
        }
    }

    fn look(&self, turns: u64) {
        let watch = &self.watch;
        self.look_for_starved();
        if watch.seen.replace(watch.progress.get()) != watch.progress.get() {
            watch.fair_looks.set(0);
            watch.round_began.set(turns);
            return;
        }
        let began = watch.round_began.get();
        let threads = self.threads.borrow();
        let fair = threads
            .iter()
            .all(|thread| thread.last_turn.get() >= began || !self.is_ready(thread));
        drop(threads);
        if !fair {
            return;
        }
        watch.round_began.set(turns);
        watch.fair_looks.set(watch.fair_looks.get() + 1);
        if watch.fair_looks.get() >= FAIR_LOOKS {
            let what = format!(
                "livelock: in {} turns every thread that was ready had one, and nothing came of it",
                u64::from(FAIR_LOOKS) * LOOK_EVERY
            );
            self.stuck(2, "C-50", what);
        }
    }

    fn look_for_starved(&self) {
        if self.free_processors(None).next().is_some() {
            return;
        }
        let threads = self.threads.borrow().clone();
        for thread in threads.iter().filter(|thread| thread.of_driver.get()) {
            let starves = thread.processor.get().is_none() && self.is_ready(thread);
            thread
                .starved
                .set(if starves { thread.starved.get() + 1 } else { 0 });
            if thread.starved.get() == STARVED_LOOKS {
                let what = format!(
                    "thread {} '{}' is ready, and starves: code at DISPATCH_LEVEL has kept every processor for {} turns",
                    thread.id.0,
                    thread.name,
                    u64::from(STARVED_LOOKS) * LOOK_EVERY
                );
                self.stuck(3, "C-02", what);
            }
        }
    }

    fn is_ready(&self, thread: &Thread) -> bool {
        thread.wait.borrow().as_ref().is_none_or(|wait| {
            self.random.aside(|| (wait.ready)(self))
                || wait.deadline.is_some_and(|deadline| deadline <= self.now())
        })
    }

    /// Nobody has anything to do before `time`: it is `time` now.
    pub(super) fn let_time_pass(&self, time: Time) {
        self.clock.set(time.max(self.now()));
        self.watch.fair_looks.set(0);
        if let Some(limit) = self.config.held_too_long {
            self.look_for_held(limit);
        }
    }

    /// Somebody begins to wait for a thread's end.
    pub(super) fn begins_to_wait(&self) {
        let watch = &self.watch;
        watch.waited.set((watch.progress.get(), self.now()));
    }

    /// Whether a thread that somebody waits for has had ten minutes in which nothing came of anything. Then that is told.
    pub(super) fn waits_in_vain(&self, thread: ThreadId) -> bool {
        let watch = &self.watch;
        let (progress, since) = watch.waited.get();
        if progress != watch.progress.get() {
            watch.waited.set((watch.progress.get(), self.now()));
            return false;
        }
        if self.now().saturating_sub(since) < IN_VAIN {
            return false;
        }
        let name = self.threads.borrow().iter().find_map(|other| {
            (other.id == thread).then(|| format!("thread {} '{}'", other.id.0, other.name))
        });
        let what = format!(
            "{} does not end: for ten minutes threads have waited for time to pass, and nothing came of it",
            name.unwrap_or_default()
        );
        self.stuck(4, "C-50", what);
        true
    }

    /// Ends a machine that does not get on. `kind` tells reports apart: 0 would be a deadlock.
    fn stuck(&self, kind: u64, rule: &'static str, mut what: String) {
        for line in self.waiting() {
            what.push_str("\n    ");
            what.push_str(&line);
        }
        self.record(Violation::new(
            self,
            code::WFPSIM_HANG,
            [0, kind, 0, 0],
            rule,
            what,
        ));
        self.crashed.set(true);
    }

    /// Packets and operations that a driver has held for longer than it may.
    fn look_for_held(&self, limit: Time) {
        if self.fwp.pending_injections() > 0 {
            // An adapter may take its time with what was injected, and with it the originals. That is not the driver's doing.
            return;
        }
        let Some((object, since)) = self
            .ndis
            .held_since()
            .into_iter()
            .chain(self.fwp.pended_since())
            .min_by_key(|&(_, since)| since)
            .filter(|&(_, since)| self.now().saturating_sub(since) > limit)
        else {
            return;
        };
        let seconds = self.now().saturating_sub(since) / 10_000_000;
        let mut what = format!("held for {seconds} seconds");
        if self.next_deadline().is_none() {
            // Nobody will look at it again: who was to is not to be woken.
            what.push_str(" and for ever: every thread waits, and none with a deadline. A wake-up was lost, or never given");
            for line in self.waiting() {
                what.push_str("\n    ");
                what.push_str(&line);
            }
        }
        self.record(
            Violation::contract(self, "A-30", [seconds, 0, 0, 0], what).about(self, object),
        );
        self.crashed.set(true);
    }
}
