//! What Windows leaves open, decided.
//!
//! There are two kinds of choices: of the *schedule* (whether another thread runs first at a point, and which), and of the
//! *environment* (whether a completion comes inline, where a packet is cut, and so on). A machine that is not steered
//! takes both from its seed's numbers, and so a seed means what it always meant. A [`Strategy`] steers instead: it is asked
//! at each choice, and what it answers can be noted as a [`Trace`] that shows the same run again.

mod numbers;
mod trace;

use std::any::Any;
use std::cell::Cell;
use std::cell::RefCell;

pub use numbers::Numbers;
pub use trace::Deviation;
pub use trace::Kind;
pub use trace::Replay;
pub use trace::Trace;

use super::ThreadId;
use super::random::Random;

/// Where a choice is made: the `nth` choice (from 1) that comes up on a thread. The host, which hands packets in, counts as
/// thread 0. Counted for each thread by itself, so that a place means the same when other threads do more or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The thread.
    pub thread: ThreadId,
    /// Its how many-th choice.
    pub nth: u32,
}

/// A choice of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Whether something happens that usually does in so many of a hundred cases: 1 to 99. The answers are 0 and 1.
    Percent(u8),
    /// A number below a bound.
    Below(usize),
}

impl Ask {
    /// How many answers there are.
    pub fn alternatives(self) -> usize {
        match self {
            Self::Percent(_) => 2,
            Self::Below(bound) => bound.max(1),
        }
    }
}

/// Who may run next.
#[derive(Debug)]
pub struct Candidates<'a> {
    /// The threads that are ready and can have a processor, the oldest first; at least one.
    pub ready: &'a [ThreadId],
    /// Which of them goes on if nobody wants otherwise: the one that ran, if it could go on, else the next in turn.
    pub usual: usize,
    /// The thread that ran last was stopped at a point and is ready; otherwise it waits, has ended, or let others run.
    pub preempted: bool,
}

/// Decides what is left open.
pub trait Strategy: Any {
    /// Whether another thread may run first at a point, where that usually is so in `percent` (1 to 99) of a hundred cases.
    /// If so, [`Strategy::thread`] is asked next, with the same place.
    fn preempts(&mut self, random: &Random, place: Place, percent: u8) -> bool;

    /// Which of the candidates runs next, by index.
    fn thread(&mut self, random: &Random, place: Place, candidates: &Candidates<'_>) -> usize;

    /// A choice of the environment.
    fn environment(&mut self, random: &Random, place: Place, ask: Ask) -> usize;

    /// Hears what the running thread does next.
    fn step(&mut self, _thread: ThreadId, _step: &Step) {}

    /// Hears of an object that the running step concerns, and whether it changes it. Changes that come to the same in either
    /// order count as none.
    fn touches(&mut self, _object: usize, _changes: bool) {}

    /// Hears of a thread that was begun by another, or by the host (thread 0).
    fn begins(&mut self, _thread: ThreadId, _name: &str, _parent: ThreadId) {}

    /// Whether the run is to be given up: what it would show is shown by another.
    fn gives_up(&self) -> bool {
        false
    }
}

/// One step of a thread: from one point to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The kernel function called, or what the system does itself.
    pub call: &'static str,
    /// The level it was called at.
    pub irql: u8,
    /// Interrupt time.
    pub time: super::Time,
}

/// The choices of one machine.
pub struct Choices {
    random: Random,
    steered: Cell<bool>,
    /// What is looked at now concerns no step: the scheduler looks whether threads are ready.
    muted: Cell<bool>,
    steering: RefCell<Option<Box<Steering>>>,
}

struct Steering {
    strategy: Box<dyn Strategy>,
    /// Whose turn it is: a thread's, or the host's.
    thread: ThreadId,
    /// The thread that ran last.
    last: ThreadId,
    /// The choices that came up so far, by thread.
    counts: Vec<u32>,
    /// The place of the point at which the running thread was stopped, if it was.
    stopped: Option<Place>,
    trace: Option<Trace>,
}

impl Steering {
    fn next_place(&mut self) -> Place {
        let index = self.thread.0 as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        Place {
            thread: self.thread,
            nth: self.counts[index],
        }
    }

    fn note(&mut self, place: Place, kind: Kind, value: u32) {
        if let Some(trace) = &mut self.trace {
            trace.deviations.push(Deviation { place, kind, value });
        }
    }
}

impl Choices {
    /// Choices by the numbers of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            steered: Cell::new(false),
            muted: Cell::new(false),
            steering: RefCell::new(None),
        }
    }

    /// Has `strategy` decide from now on, and notes what it decides if `traced`.
    pub(super) fn steer(&self, strategy: Box<dyn Strategy>, traced: bool) {
        let steering = Steering {
            strategy,
            thread: ThreadId(0),
            last: ThreadId(0),
            counts: Vec::new(),
            stopped: None,
            trace: traced.then(Trace::default),
        };
        self.steering.replace(Some(Box::new(steering)));
        self.steered.set(true);
    }

    /// What was decided otherwise than usual so far, if it was noted.
    pub fn trace(&self) -> Option<Trace> {
        self.steering.borrow().as_ref()?.trace.clone()
    }

    /// Gives the strategy back, with what it has learnt. The machine goes on by the numbers of its seed.
    pub fn take_strategy(&self) -> Option<Box<dyn Strategy>> {
        self.steered.set(false);
        self.steering.take().map(|steering| steering.strategy)
    }

    /// Whether a strategy decides.
    pub(crate) fn is_steered(&self) -> bool {
        self.steered.get()
    }

    fn with<R>(&self, act: impl FnOnce(&Random, &mut Steering) -> R) -> Option<R> {
        let mut steering = self.steering.borrow_mut();
        steering
            .as_mut()
            .map(|steering| act(&self.random, steering))
    }

    /// A choice of the environment: true in `percent` of a hundred cases. No choice at 0 and at 100: a freedom that is
    /// switched off neither shifts the numbers of the others nor is there to be explored.
    pub fn percent(&self, percent: u8) -> bool {
        match percent {
            0 => false,
            100.. => true,
            _ if !self.steered.get() => self.random.percent(percent),
            _ => self.environment(Ask::Percent(percent)) != 0,
        }
    }

    /// A choice of the environment: a number below `bound`; 0 if `bound` is 0.
    pub fn below(&self, bound: usize) -> usize {
        if self.steered.get() {
            self.environment(Ask::Below(bound))
        } else {
            self.random.below(bound)
        }
    }

    /// The next number of the seed itself: where two runs have come to the same, so have they here.
    pub fn bits(&self) -> u64 {
        self.random.bits()
    }

    fn environment(&self, ask: Ask) -> usize {
        let answer = self.with(|random, steering| {
            let place = steering.next_place();
            let value = steering.strategy.environment(random, place, ask);
            let value = value.min(ask.alternatives() - 1);
            if value != 0 {
                steering.note(place, Kind::Environment, value as u32);
            }
            value
        });
        answer.unwrap_or(0)
    }

    /// Whether another thread may run first at this point.
    pub(super) fn preempts(&self, percent: u8) -> bool {
        match percent {
            0 => false,
            _ if !self.steered.get() => self.random.percent(percent),
            _ => {
                let stopped = self.with(|random, steering| {
                    let place = steering.next_place();
                    let stopped =
                        percent >= 100 || steering.strategy.preempts(random, place, percent);
                    steering.stopped = stopped.then_some(place);
                    stopped
                });
                stopped == Some(true)
            }
        }
    }

    /// Which of the threads that are ready, the oldest first, runs next.
    pub(super) fn thread(&self, ready: &[ThreadId]) -> usize {
        if !self.steered.get() {
            return match ready.len() {
                1 => 0,
                count => self.random.below(count),
            };
        }
        let picked = self.with(|random, steering| {
            let stopped = steering.stopped.take();
            let place = stopped.unwrap_or_else(|| steering.next_place());
            let last = steering.last;
            let turn = |thread: &ThreadId| {
                if stopped.is_some() {
                    *thread == last
                } else {
                    *thread > last
                }
            };
            let candidates = Candidates {
                ready,
                usual: ready.iter().position(turn).unwrap_or(0),
                preempted: stopped.is_some(),
            };
            let index = steering.strategy.thread(random, place, &candidates);
            let index = index.min(ready.len() - 1);
            if candidates.preempted || index != candidates.usual {
                let kind = if candidates.preempted {
                    Kind::Preempt
                } else {
                    Kind::Switch
                };
                steering.note(place, kind, ready[index].0);
            }
            (steering.thread, steering.last) = (ready[index], ready[index]);
            index
        });
        picked.unwrap_or(0)
    }

    /// The host has the turn: it hands packets in, or looks.
    pub(super) fn host_turn(&self) {
        if self.steered.get() {
            self.with(|_, steering| {
                steering.thread = ThreadId(0);
                steering.stopped = None;
            });
        }
    }

    pub(super) fn step(&self, step: Step) {
        self.with(|_, steering| {
            let thread = steering.thread;
            steering.strategy.step(thread, &step)
        });
    }

    /// The running step changes an object.
    pub(crate) fn touches(&self, object: usize) {
        self.concerns(object, true);
    }

    /// The running step looks at an object, or changes it in a way that comes to the same in any order.
    pub(crate) fn reads(&self, object: usize) {
        self.concerns(object, false);
    }

    fn concerns(&self, object: usize, changes: bool) {
        if self.steered.get() && !self.muted.get() && object != 0 {
            self.with(|_, steering| steering.strategy.touches(object, changes));
        }
    }

    /// Looks at something without that concerning the running step.
    pub(super) fn aside<R>(&self, look: impl FnOnce() -> R) -> R {
        let before = self.muted.replace(true);
        let result = look();
        self.muted.set(before);
        result
    }

    /// A thread was begun.
    pub(super) fn begins(&self, thread: ThreadId, name: &str) {
        if self.steered.get() {
            self.with(|_, steering| {
                let parent = steering.thread;
                steering.strategy.begins(thread, name, parent);
            });
        }
    }

    /// Whether the strategy has given the run up.
    pub(super) fn given_up(&self) -> bool {
        self.steered.get() && self.with(|_, steering| steering.strategy.gives_up()) == Some(true)
    }
}
