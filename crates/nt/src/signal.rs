//! How a worker thread is woken and told to stop: one event and one flag.

use core::time::Duration;

use crate::{
    cx::Passive,
    event::{Event, EventKind, Wait},
    status::Result,
    sync::{AtomicBool, Ordering},
};

/// Why a worker's wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Somebody called [`Signal::wake`] since the last wait.
    Woken,
    /// The time was over.
    TimedOut,
    /// The thread is to end. Comes back from every wait from then on.
    Stopped,
}

/// Wakes one worker thread. Calls to [`Signal::wake`] between two waits count as one: the worker drains everything each time.
#[derive(Debug)]
pub struct Signal {
    event: Event,
    stopped: AtomicBool,
}

impl Signal {
    /// A signal that nobody has given yet. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn new() -> Result<Signal> {
        Ok(Signal {
            event: Event::new(EventKind::Synchronization)?,
            stopped: AtomicBool::new(false),
        })
    }

    /// Wakes the worker. IRQL ≤ DISPATCH_LEVEL; allowed with a spin lock held.
    pub fn wake(&self) {
        self.event.set();
    }

    /// Tells the worker to end. IRQL ≤ DISPATCH_LEVEL.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.event.set();
    }

    /// Whether the worker has been told to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits to be woken or stopped, or for `timeout` at most. For one thread at a time. IRQL = PASSIVE_LEVEL.
    pub fn wait(&self, passive: &Passive, timeout: Option<Duration>) -> Wake {
        if self.is_stopped() {
            return Wake::Stopped;
        }
        match self.event.wait(passive, timeout) {
            _ if self.is_stopped() => Wake::Stopped,
            Wait::Signaled => Wake::Woken,
            Wait::TimedOut => Wake::TimedOut,
        }
    }
}
