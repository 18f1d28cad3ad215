//! The queue between classify and the worker, bounded in packets and bytes.
//!
//! A place is taken before anything that cannot be taken back: [`Queue::place`] reserves room and allocates, and
//! [`Place::put`] then cannot fail. So a classify can pend as its last fallible step. The room is given back
//! when the worker is done with the packet ([`Queue::finish`]) and not when it takes it, because what is bounded is
//! how many references on the stack's packets the driver has.
//!
//! At a bound the packet is not held: the classify asks the policy at once and counts which bound it was. Nothing in
//! the queue is thrown out for something newer.
//!
//! Room is one atomic word, so that "closed" and "empty" are seen together: once the queue is closed and
//! [`Queue::is_idle`] says so, no classify has a place it could still put something into.

use core::time::Duration;

use nt::Cx;
use nt::fifo::{Fifo, Node};
use nt::pool::PoolBox;
use nt::shared::Shared;
use nt::signal::Signal;
use nt::spinlock::SpinLock;

use crate::room::{self, Full, Room};
use crate::triage::Inline;

/// The bounds of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packets, pended operations without one included.
    pub packets: u32,
    /// Bytes of packet data.
    pub bytes: u32,
    /// How long one may wait; older ones are dropped when their turn comes, and counted.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packets: 4096,
            bytes: 8 << 20,
            age: Duration::from_secs(1),
        }
    }
}

impl From<Full> for Inline {
    fn from(full: Full) -> Self {
        match full {
            Full::Closing => Self::Closing,
            Full::Packets => Self::QueueCount,
            Full::Bytes => Self::QueueBytes,
        }
    }
}

/// What waits, with the room it takes.
pub struct Waiting<T> {
    bytes: u32,
    value: T,
}

/// A list of what waited, in the order it came.
pub type Batch<T> = Fifo<Option<Waiting<T>>>;

/// The bounded queue.
pub struct Queue<T> {
    limits: Limits,
    room: Room,
    list: SpinLock<Batch<T>>,
    worker: Shared<Signal>,
}

impl<T> Queue<T> {
    /// An empty queue that wakes `worker` when it stops being empty. IRQL: any.
    #[must_use]
    pub fn new(limits: Limits, worker: Shared<Signal>) -> Self {
        Self {
            limits,
            room: Room::new(),
            list: SpinLock::new(Fifo::new()),
            worker,
        }
    }

    /// The bounds.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A place for something of that many bytes, or why it must be decided at once. IRQL ≤ DISPATCH_LEVEL.
    pub fn place(&self, bytes: u32) -> Result<Place<'_, T>, Inline> {
        let Limits {
            packets,
            bytes: most,
            ..
        } = self.limits;
        let limits = room::Limits {
            packets,
            bytes: most,
        };
        self.room.reserve(limits, bytes)?;
        // Made before the allocation, so that the room goes back if there is no memory.
        let mut place = Place {
            queue: self,
            bytes,
            node: None,
            taken: true,
        };
        place.node = Some(Node::try_new(None).map_err(|_| Inline::NoMemory)?);
        Ok(place)
    }

    /// Takes everything that waits, in order. Each is then given to [`Queue::finish`].
    /// IRQL ≤ DISPATCH_LEVEL.
    pub fn take_all(&self, cx: &mut Cx) -> Batch<T> {
        self.list.lock(cx).take_all()
    }

    /// Opens one of what [`Queue::take_all`] gave, hands it to `work`, and gives its room back when that returns.
    /// IRQL ≤ DISPATCH_LEVEL, or what `work` asks for.
    pub fn finish(&self, node: PoolBox<Node<Option<Waiting<T>>>>, work: impl FnOnce(T)) {
        // Nothing is pushed without a value; see Place::put.
        if let Some(Waiting { bytes, value }) = Node::into_value(node) {
            work(value);
            self.room.release(bytes);
        }
    }

    /// From now on nobody gets a place. Places already given can still be used. IRQL: any.
    pub fn close(&self) {
        self.room.close();
    }

    /// Nothing waits, nothing is worked on, and nobody has a place. IRQL: any.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.room.is_idle()
    }
}

/// A place in the queue: room and memory. Dropped without being used, it gives both back.
pub struct Place<'q, T> {
    queue: &'q Queue<T>,
    bytes: u32,
    node: Option<PoolBox<Node<Option<Waiting<T>>>>>,
    /// The room is this place's to give back.
    taken: bool,
}

impl<T> Place<'_, T> {
    /// Puts `value` at the end of the queue. Cannot fail. IRQL ≤ DISPATCH_LEVEL.
    pub fn put(mut self, cx: &mut Cx, value: T) {
        // Always there: Queue::place made it. Without it the value is dropped here, and the room given back.
        let Some(mut node) = self.node.take() else {
            return;
        };
        **node = Some(Waiting {
            bytes: self.bytes,
            value,
        });
        self.taken = false;
        let mut list = self.queue.list.lock(cx);
        let was_empty = list.is_empty();
        list.push(node);
        drop(list);
        // The worker takes all there is at once, so one wake-up is enough until it has.
        if was_empty {
            self.queue.worker.wake();
        }
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        if self.taken {
            self.queue.room.release(self.bytes);
        }
    }
}
