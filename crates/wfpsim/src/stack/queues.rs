//! Order within a flow.
//!
//! Packets of one flow and direction are worked on one after the other, as receive-side scaling and a socket's own lock do
//! it; different flows run side by side.

use std::collections::VecDeque;

use crate::machine::Kernel;
use crate::machine::irql;

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// Packets of a flow from the network.
    Receive(super::flow::Key),
    /// Packets of a flow to the network.
    Send(super::flow::Key),
    /// Packets injected by a handle.
    Injected(usize),
}

impl Name {
    /// Stands for the queue where a step says what it concerns.
    fn object(self) -> usize {
        match self {
            Self::Receive(key) => key.object() ^ 1 << 57,
            Self::Send(key) => key.object() ^ 1 << 58,
            Self::Injected(handle) => handle ^ 1 << 57,
        }
    }
}

/// A piece of work for a thread at PASSIVE_LEVEL.
pub(crate) type Job = Box<dyn FnOnce(&Kernel)>;

/// The work of one queue.
#[derive(Default)]
pub(crate) struct Queue {
    jobs: VecDeque<Job>,
    /// Whether a thread works on it.
    running: bool,
}

/// Puts work behind what the queue has, and starts a thread for it if none runs.
pub(crate) fn enqueue(kernel: &Kernel, name: Name, job: Job) {
    if kernel.random.is_steered() {
        kernel.random.touches(name.object());
    }
    let start = {
        let mut queues = kernel.stack.queues.borrow_mut();
        let queue = queues.entry(name).or_default();
        queue.jobs.push_back(job);
        !std::mem::replace(&mut queue.running, true)
    };
    if start {
        let thread = match name {
            Name::Receive(_) => "tcpip receive",
            Name::Send(_) => "tcpip send",
            Name::Injected(_) => "tcpip injected",
        };
        kernel.spawn(thread, irql::PASSIVE, move |kernel| {
            while let Some(job) = next(kernel, name) {
                job(kernel);
                kernel.point();
            }
        });
    }
}

/// Whether nothing is queued or worked on under this name.
pub(crate) fn is_idle(kernel: &Kernel, name: Name) -> bool {
    if kernel.random.is_steered() {
        kernel.random.reads(name.object());
    }
    !kernel.stack.queues.borrow().contains_key(&name)
}

fn next(kernel: &Kernel, name: Name) -> Option<Job> {
    if kernel.random.is_steered() {
        kernel.random.touches(name.object());
    }
    let mut queues = kernel.stack.queues.borrow_mut();
    let job = queues
        .get_mut(&name)
        .and_then(|queue| queue.jobs.pop_front());
    if job.is_none() {
        queues.remove(&name);
    }
    job
}
