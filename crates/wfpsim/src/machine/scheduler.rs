//! Who runs next.
//!
//! Threads at DISPATCH_LEVEL or above keep their processor until they come down; others give it up whenever they
//! pause. So code at DISPATCH_LEVEL excludes other code on its processor and nothing else, as on the real thing.

use std::ops::Range;
use std::rc::Rc;

use super::Kernel;
use super::Machine;
use super::Time;
use super::choice::Step;
use super::current;
use super::irql;
use super::thread::Pause;
use super::thread::Thread;
use super::thread::ThreadId;
use super::thread::Wait;
use crate::memory::Ended;
use crate::verifier::Violation;
use corosensei::CoroutineResult;

/// How many kernel calls an unload routine may make without ever waiting. Each packet that it gives back takes a dozen.
const UNLOAD_CALLS: u64 = 100_000;

/// How long an unload may take, in 100 ns units: ten minutes. The service control manager's patience ends after half of one.
const UNLOAD_TIME: Time = 600 * 10_000_000;
/// The rule of a wait that never ends, where there is none that says more: unload's own.
const NOTHING_GOES_ON: &str = "C-50";
/// After how many calls others have a turn on a machine whose threads are never stopped.
const POLLS: u64 = 1 << 20;

/// Why a machine stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is ready to run: every thread waits, or none is left.
    Idle,
    /// A bug check.
    Crashed,
    /// What was waited for can never come: every thread waits for another.
    Hung,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// What was waited for came.
    Ready,
    /// The deadline passed first.
    TimedOut,
}

impl Machine {
    /// Runs until nothing is ready. Time passes only as the calls themselves take it.
    pub fn run(&self) -> Stop {
        current::enter(&self.kernel, || {
            self.kernel.random.host_turn();
            while !self.kernel.has_crashed() {
                if self.kernel.random.given_up() {
                    // What is left of this run is of no interest to anybody; it ends like one that crashed.
                    self.kernel.crashed.set(true);
                    break;
                }
                if !self.kernel.step() && !self.kernel.spins_for_ever() {
                    return Stop::Idle;
                }
            }
            Stop::Crashed
        })
    }

    /// Runs at most `steps` turns of threads.
    pub fn run_steps(&self, steps: usize) -> Stop {
        current::enter(&self.kernel, || {
            self.kernel.random.host_turn();
            for _ in 0..steps {
                if self.kernel.has_crashed() {
                    return Stop::Crashed;
                }
                if !self.kernel.step() {
                    break;
                }
            }
            Stop::Idle
        })
    }

    /// Runs until the clock shows `time`, with every deadline on the way.
    pub fn run_until(&self, time: Time) -> Stop {
        loop {
            if self.run() == Stop::Crashed {
                return Stop::Crashed;
            }
            match self
                .kernel
                .next_deadline()
                .filter(|&deadline| deadline <= time)
            {
                Some(deadline) => self.kernel.let_time_pass(deadline),
                None => {
                    self.kernel.let_time_pass(time);
                    return Stop::Idle;
                }
            }
        }
    }

    /// Runs until thread `id` has ended, letting time pass where everything waits for it.
    pub fn run_until_ended(&self, id: ThreadId) -> Stop {
        self.kernel.begins_to_wait();
        loop {
            if self.run() == Stop::Crashed {
                return Stop::Crashed;
            }
            if !self.kernel.is_alive(id) {
                return Stop::Idle;
            }
            match self.kernel.next_deadline() {
                Some(deadline) if self.kernel.unloads_for_ever(deadline) => return Stop::Hung,
                Some(_) if self.kernel.waits_in_vain(id) => return Stop::Hung,
                Some(deadline) => self.kernel.let_time_pass(deadline),
                None => {
                    let rule = self.kernel.rule_of_wait(id);
                    self.kernel
                        .record(Violation::hang(&self.kernel, rule, &self.kernel.waiting()));
                    return Stop::Hung;
                }
            }
        }
    }
}

impl Kernel {
    /// Whether thread `id` has not ended.
    pub fn is_alive(&self, id: ThreadId) -> bool {
        self.threads
            .borrow()
            .iter()
            .any(|thread| thread.id == id && !thread.has_ended())
    }

    /// The rule that is broken if what a thread waits for never comes.
    fn rule_of_wait(&self, id: ThreadId) -> &'static str {
        let threads = self.threads.borrow();
        let rule = threads
            .iter()
            .find(|thread| thread.id == id)
            .and_then(|thread| thread.wait.borrow().as_ref().map(|wait| wait.rule));
        rule.unwrap_or(NOTHING_GOES_ON)
    }

    /// What each waiting thread waits for.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let threads = self.threads.borrow();
        let told = threads.iter().filter_map(|thread| {
            let wait = thread.wait.borrow();
            wait.as_ref().map(|wait| {
                format!(
                    "thread {} '{}' at IRQL {} waits for {}",
                    thread.id.0,
                    thread.name,
                    thread.irql.get(),
                    wait.what
                )
            })
        });
        told.collect()
    }

    /// A point at which another thread may run first. Every kernel function passes one when it is entered.
    pub(crate) fn point(&self) {
        self.point_before("(the system)");
    }

    /// A point before `call`.
    pub(crate) fn point_before(&self, call: &'static str) {
        self.kernel_calls.set(self.kernel_calls.get() + 1);
        // A kernel call takes a tenth of a microsecond, so that time moves while work is done.
        self.clock.set(self.clock.get() + 1);
        if self.unloading.get().is_some() {
            self.count_unloading();
        }
        // Where nobody is ever stopped, whoever polls would keep the host for ever.
        let polls = self.config.preempt == 0 && self.kernel_calls.get().is_multiple_of(POLLS);
        if polls || self.random.preempts(self.config.preempt) {
            self.pause();
        }
        if self.random.is_steered() {
            self.random.step(Step {
                call,
                irql: self.irql(),
                time: self.now(),
            });
        }
    }

    /// A point behind a call that let something go: a lock, a level, memory, a waiting thread. Whoever waited for that may be
    /// through before the caller gets another instruction. Only where the configuration asks for it.
    pub(crate) fn point_behind(&self) {
        if self.config.behind {
            self.point_before("(returns)");
        }
    }

    /// Counts a call of the unload routine's, and stops the machine if it gets nowhere.
    fn count_unloading(&self) {
        let Some(mut unloading) = self.unloading.get() else {
            return;
        };
        if unloading.thread != self.running().id {
            return;
        }
        unloading.calls += 1;
        self.unloading.set(Some(unloading));
        if unloading.calls > UNLOAD_CALLS {
            let summary = format!(
                "the unload routine makes no progress: {UNLOAD_CALLS} kernel calls without waiting for anything"
            );
            self.bug_check(Violation::endless_unload(self, summary));
        }
    }

    /// Notes that the unload routine waits, which is progress if it ends.
    fn note_wait(&self) {
        if let Some(unloading) = self.unloading.get()
            && unloading.thread == self.running().id
        {
            self.unloading.set(Some(super::Unloading {
                calls: 0,
                ..unloading
            }));
        }
    }

    /// Whether an unload will not have ended at `time` though it should have long since. Then that is recorded.
    fn unloads_for_ever(&self, time: Time) -> bool {
        let began = self.unloading.get().map(|unloading| unloading.began);
        let endless = began.is_some_and(|began| time > began + UNLOAD_TIME);
        if endless {
            let mut summary = "the unload routine has not returned for ten minutes".to_owned();
            for line in self.waiting() {
                summary.push_str("\n    ");
                summary.push_str(&line);
            }
            self.record(Violation::endless_unload(self, summary));
        }
        endless
    }

    /// Lets others run.
    pub(crate) fn pause(&self) {
        self.running().pause(Pause::Schedule);
    }

    /// Blocks the running thread until `ready` or the deadline.
    pub(crate) fn block(
        &self,
        what: String,
        deadline: Option<Time>,
        ready: impl Fn(&Kernel) -> bool + Clone + 'static,
    ) -> Woken {
        self.block_for(
            crate::explore::EVERYTHING,
            NOTHING_GOES_ON,
            what,
            deadline,
            ready,
        )
    }

    /// The same, where it breaks a rule of its own if it never ends.
    pub(crate) fn block_under(
        &self,
        rule: &'static str,
        what: String,
        deadline: Option<Time>,
        ready: impl Fn(&Kernel) -> bool + Clone + 'static,
    ) -> Woken {
        self.block_for(crate::explore::EVERYTHING, rule, what, deadline, ready)
    }

    /// The same where all that decides is the state of one object.
    pub(crate) fn block_on(
        &self,
        object: usize,
        what: String,
        deadline: Option<Time>,
        ready: impl Fn(&Kernel) -> bool + Clone + 'static,
    ) -> Woken {
        self.block_for(object, NOTHING_GOES_ON, what, deadline, ready)
    }

    fn block_for(
        &self,
        object: usize,
        rule: &'static str,
        what: String,
        deadline: Option<Time>,
        ready: impl Fn(&Kernel) -> bool + Clone + 'static,
    ) -> Woken {
        let mut waited = false;
        loop {
            if std::mem::replace(&mut waited, true) {
                self.random.touches(object);
            }
            if ready(self) {
                return Woken::Ready;
            }
            if deadline.is_some_and(|deadline| deadline <= self.now()) {
                return Woken::TimedOut;
            }
            let thread = self.running();
            *thread.wait.borrow_mut() = Some(Wait {
                ready: Box::new(ready.clone()),
                deadline,
                what: what.clone(),
                rule,
            });
            self.note_wait();
            thread.pause(Pause::Schedule);
        }
    }

    /// Stops the machine if a processor spins although nothing is ready: whoever holds the lock is at DISPATCH_LEVEL and
    /// cannot wait for time to pass, so it spins itself or has gone. Windows has its watchdog for that.
    fn spins_for_ever(&self) -> bool {
        let spins = self.threads.borrow().iter().any(|thread| {
            thread.irql.get() >= irql::DISPATCH
                && thread
                    .wait
                    .borrow()
                    .as_ref()
                    .is_some_and(|wait| wait.deadline.is_none())
        });
        if spins {
            self.record(Violation::hang(self, NOTHING_GOES_ON, &self.waiting()));
            self.crashed.set(true);
        }
        spins
    }

    /// Whether no thread is ready: each waits, or none is left.
    pub(crate) fn is_idle(&self) -> bool {
        let threads = self.threads.borrow();
        threads.iter().all(|thread| {
            let wait = thread.wait.borrow();
            wait.as_ref().is_some_and(|wait| {
                !(wait.ready)(self) && wait.deadline.is_none_or(|deadline| deadline > self.now())
            })
        })
    }

    /// Lets the clock run on for so long without any thread, and gives every deadline as much.
    pub(crate) fn sleep(&self, asleep: Time) {
        self.clock.set(self.now() + asleep);
        for thread in self.threads.borrow().iter() {
            if let Some(wait) = thread.wait.borrow_mut().as_mut() {
                wait.deadline = wait.deadline.map(|deadline| deadline + asleep);
            }
        }
    }

    /// The earliest deadline of a waiting thread.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.threads
            .borrow()
            .iter()
            .filter_map(|thread| thread.wait.borrow().as_ref().and_then(|wait| wait.deadline))
            .min()
    }

    /// Lets one ready thread run until it pauses. False if none is ready.
    fn step(&self) -> bool {
        let Some(thread) = self.choose() else {
            return false;
        };
        self.watch_turn(&thread);
        thread.wait.borrow_mut().take();
        if thread.processor.get().is_none() {
            let processor = self.free_processors(thread.affinity.get()).next();
            thread.processor.set(processor);
        }
        self.resume(&thread);
        if thread.irql.get() < irql::DISPATCH || thread.has_ended() {
            thread.processor.set(None);
        }
        true
    }

    /// Picks among the threads that are ready and can have a processor.
    fn choose(&self) -> Option<Rc<Thread>> {
        let threads = self.threads.borrow();
        let processor_free = self.free_processors(None).next().is_some();
        let can_run = |thread: &Thread| {
            thread.processor.get().is_some()
                || match thread.affinity.get() {
                    None => processor_free,
                    only => self.free_processors(only).next().is_some(),
                }
        };
        let now = self.now();
        let mut ids = self.ready.borrow_mut();
        ids.clear();
        self.random.aside(|| {
            for thread in threads.iter() {
                if !can_run(thread) {
                    continue;
                }
                let wait = thread.wait.borrow();
                let ready = wait.as_ref().is_none_or(|wait| {
                    (wait.ready)(self) || wait.deadline.is_some_and(|deadline| deadline <= now)
                });
                if ready {
                    ids.push(thread.id);
                }
            }
        });
        if ids.is_empty() {
            return None;
        }
        let picked = ids[self.random.thread(&ids)];
        // Threads stand in the order in which they were begun.
        let index = threads.binary_search_by_key(&picked, |thread| thread.id);
        index.ok().map(|index| Rc::clone(&threads[index]))
    }

    /// The processors that no thread holds, the lowest first; of one only, if there is just one that will do.
    pub(super) fn free_processors(&self, only: Option<u8>) -> impl Iterator<Item = u8> + use<> {
        let threads = self.threads.borrow();
        let held = threads
            .iter()
            .filter_map(|thread| thread.processor.get())
            .fold(0u16, |held, processor| held | 1 << processor);
        (0..self.config.processors).filter(move |processor| {
            held & (1 << processor) == 0 && only.is_none_or(|only| only == *processor)
        })
    }

    fn resume(&self, thread: &Rc<Thread>) {
        let Some(trap) = thread.trap_handler() else {
            return;
        };
        let Some(mut coroutine) = thread.coroutine.borrow_mut().take() else {
            return;
        };
        self.driver_turns
            .set(self.driver_turns.get() + u64::from(thread.of_driver.get()));
        let before = self.running.replace(Some(Rc::clone(thread)));
        self.arena.set_paging(thread.irql.get() < irql::DISPATCH);
        let result = crate::memory::with_trap(&trap, || coroutine.resume(()));
        match result {
            CoroutineResult::Yield(_) => {
                *thread.coroutine.borrow_mut() = Some(coroutine);
                if thread.has_ended() {
                    // PsTerminateSystemThread: the frames are left as they are, not unwound.
                    thread.abandon();
                }
            }
            CoroutineResult::Return(Ended::Finished) => {
                self.check_ending(thread);
                super::thread::keep_stack(coroutine.into_stack());
                self.end(thread);
            }
            CoroutineResult::Return(Ended::Faulted(fault)) => {
                let violation = Violation::from_fault(self, &fault);
                self.record(violation);
                self.crashed.set(true);
                self.end(thread);
            }
        }
        self.running.replace(before);
    }

    /// A thread that ends must have let go of everything (C4 parameter 0x100A).
    fn check_ending(&self, thread: &Thread) {
        let lock = thread.locks.borrow().last().copied();
        if let Some(lock) = lock {
            let violation = Violation::verifier(
                self,
                0x100A,
                [lock as u64, 0, 0],
                "a thread ended while it held a spin lock",
                "C-02",
            );
            self.record(violation.about_address(self, lock));
            self.crashed.set(true);
        } else if thread.of_driver.get() && thread.irql.get() != irql::PASSIVE {
            let level = thread.irql.get();
            let summary = format!("a thread of the driver ended at IRQL {level}");
            let parameters = [u64::from(level), 0, 0, 0];
            self.record(Violation::contract(self, "C.1", parameters, summary));
            self.crashed.set(true);
        } else if thread.of_driver.get() && thread.apc_disabled.get() > 0 {
            self.record(crate::nt::regions_at_end(self, thread.apc_disabled.get()));
            self.crashed.set(true);
        }
    }

    /// The first spin lock among these addresses that a thread holds, and the thread.
    pub(crate) fn lock_held_in(&self, addresses: Range<usize>) -> Option<(usize, ThreadId)> {
        self.threads.borrow().iter().find_map(|thread| {
            let locks = thread.locks.borrow();
            let lock = locks.iter().find(|lock| addresses.contains(lock))?;
            Some((*lock, thread.id))
        })
    }

    fn end(&self, thread: &Rc<Thread>) {
        thread.ended.set(true);
        self.random.touches(thread.id.object());
        self.got_on();
        self.threads
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, thread));
    }

    /// Ends the running thread here (PsTerminateSystemThread). What its frames own stays as it is.
    pub(crate) fn terminate_running(&self) -> ! {
        let thread = self.running();
        if !thread.of_driver.get() {
            let summary =
                "PsTerminateSystemThread was called on a thread that the driver did not create";
            self.bug_check(Violation::contract(self, "C-04", [0; 4], summary));
        }
        self.check_ending(&thread);
        self.end(&thread);
        loop {
            thread.pause(Pause::Crash);
        }
    }
}
