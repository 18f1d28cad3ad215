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

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use nt::Cx;
use nt::fifo::{Fifo, Node};
use nt::pool::PoolBox;
use nt::shared::Shared;
use nt::signal::Signal;
use nt::spinlock::SpinLock;

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

/// How full the queue is and whether it is closed, in one word: bit 63 closed, bits 32 to 62 packets, bits 0 to 31
/// bytes.
struct Room(AtomicU64);

impl Room {
    const CLOSED: u64 = 1 << 63;
    const PACKET: u64 = 1 << 32;

    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The packets and bytes of a word.
    fn split(word: u64) -> (u32, u32) {
        let [p3, p2, p1, p0, b3, b2, b1, b0] = (word & !Self::CLOSED).to_be_bytes();
        (
            u32::from_be_bytes([p3, p2, p1, p0]),
            u32::from_be_bytes([b3, b2, b1, b0]),
        )
    }

    fn reserve(&self, limits: &Limits, bytes: u32) -> Result<(), Inline> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (packets, held) = Self::split(word);
            if word & Self::CLOSED != 0 {
                return Err(Inline::Closing);
            }
            if packets >= limits.packets {
                return Err(Inline::QueueCount);
            }
            if held.checked_add(bytes).is_none_or(|sum| sum > limits.bytes) {
                return Err(Inline::QueueBytes);
            }
            // No carry: the bytes stay within 32 bits, and the packets below a 32-bit limit that `new` keeps to 31.
            let more = word
                .wrapping_add(Self::PACKET)
                .wrapping_add(u64::from(bytes));
            match self
                .0
                .compare_exchange_weak(word, more, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Gives back what one [`Room::reserve`] of as many bytes took.
    fn release(&self, bytes: u32) {
        self.0.fetch_sub(
            Self::PACKET.wrapping_add(u64::from(bytes)),
            Ordering::Release,
        );
    }

    fn close(&self) {
        self.0.fetch_or(Self::CLOSED, Ordering::AcqRel);
    }

    fn is_idle(&self) -> bool {
        self.0.load(Ordering::Acquire) & !Self::CLOSED == 0
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
        let packets = limits.packets.min(i32::MAX.unsigned_abs());
        Self {
            limits: Limits { packets, ..limits },
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
        self.room.reserve(&self.limits, bytes)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(packets: u32, bytes: u32) -> Limits {
        Limits {
            packets,
            bytes,
            age: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_packet_after_the_last_place_is_decided_at_once() {
        let room = Room::new();
        for _ in 0..3 {
            assert_eq!(room.reserve(&limits(3, 100), 1), Ok(()));
        }
        assert_eq!(room.reserve(&limits(3, 100), 1), Err(Inline::QueueCount));
        room.release(1);
        assert_eq!(room.reserve(&limits(3, 100), 1), Ok(()));
    }

    #[test]
    fn bytes_are_bounded_whatever_the_number_of_packets() {
        let room = Room::new();
        assert_eq!(room.reserve(&limits(3, 100), 60), Ok(()));
        assert_eq!(room.reserve(&limits(3, 100), 41), Err(Inline::QueueBytes));
        assert_eq!(room.reserve(&limits(3, 100), 40), Ok(()));
        assert_eq!(
            room.reserve(&limits(3, 100), 0),
            Ok(()),
            "a pended connect has no bytes"
        );
        assert_eq!(Room::new().reserve(&limits(1, u32::MAX), u32::MAX), Ok(()));
    }

    #[test]
    fn a_closed_queue_gives_no_place_but_waits_for_those_it_gave() {
        let room = Room::new();
        assert_eq!(room.reserve(&Limits::default(), 1500), Ok(()));
        room.close();
        assert_eq!(room.reserve(&Limits::default(), 1500), Err(Inline::Closing));
        assert!(!room.is_idle(), "a classify may still put its packet");
        room.release(1500);
        assert!(room.is_idle());
        assert_eq!(
            room.reserve(&Limits::default(), 1),
            Err(Inline::Closing),
            "closed for good"
        );
    }

    proptest! {
        /// Against a plain model: never over a bound, never refused below it, and idle exactly when all is given back.
        #[test]
        fn room_is_what_a_model_says(
            packets in 1..6_u32, bytes in 0..2000_u32, steps: Vec<(bool, u16)>, big in proptest::bool::ANY,
        ) {
            let bytes = if big { u32::MAX - bytes } else { bytes };
            let (limits, room) = (limits(packets, bytes), Room::new());
            let mut model: Vec<u32> = Vec::new();
            for (take, size) in steps {
                if take {
                    let size = if big { u32::from(size) << 16 } else { u32::from(size % 700) };
                    let sum = model.iter().map(|size| u64::from(*size)).sum::<u64>() + u64::from(size);
                    let expected = if model.len() >= packets as usize {
                        Err(Inline::QueueCount)
                    } else if sum > u64::from(bytes) {
                        Err(Inline::QueueBytes)
                    } else {
                        model.push(size);
                        Ok(())
                    };
                    prop_assert_eq!(room.reserve(&limits, size), expected);
                } else if let Some(size) = model.pop() {
                    room.release(size);
                }
                prop_assert_eq!(room.is_idle(), model.is_empty());
            }
        }
    }
}
