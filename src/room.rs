//! How full the queue is and whether it is closed, in one word, so that the two are seen together.

use nt::sync::{AtomicU64, Ordering};

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packets; no more than 31 bits of it count.
    pub packets: u32,
    /// Bytes.
    pub bytes: u32,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The queue is closed.
    Closing,
    /// There are as many packets as there may be.
    Packets,
    /// These bytes would be too many.
    Bytes,
}

/// Bit 63: closed; bits 32 to 62: packets; bits 0 to 31: bytes.
pub struct Room(AtomicU64);

impl Room {
    const CLOSED: u64 = 1 << 63;
    const PACKET: u64 = 1 << 32;

    /// Open and empty.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "one way to make it is enough, and a queue has one"
    )]
    pub fn new() -> Self {
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

    /// Takes room for one packet. IRQL: any.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn reserve(&self, limits: Limits, bytes: u32) -> Result<(), Full> {
        let most = limits.packets.min(i32::MAX.unsigned_abs());
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (packets, held) = Self::split(word);
            if word & Self::CLOSED != 0 {
                return Err(Full::Closing);
            }
            if packets >= most {
                return Err(Full::Packets);
            }
            if held.checked_add(bytes).is_none_or(|sum| sum > limits.bytes) {
                return Err(Full::Bytes);
            }
            // No carry: the bytes stay within 32 bits, and the packets within 31.
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

    /// Gives back what one [`Room::reserve`] of as many bytes took. IRQL: any.
    pub fn release(&self, bytes: u32) {
        self.0.fetch_sub(
            Self::PACKET.wrapping_add(u64::from(bytes)),
            Ordering::Release,
        );
    }

    /// From now on there is no room. IRQL: any.
    pub fn close(&self) {
        self.0.fetch_or(Self::CLOSED, Ordering::AcqRel);
    }

    /// Whether all that was taken was given back. IRQL: any.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.load(Ordering::Acquire) & !Self::CLOSED == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(packets: u32, bytes: u32) -> Limits {
        Limits { packets, bytes }
    }

    #[test]
    fn the_packet_after_the_last_place_is_decided_at_once() {
        let room = Room::new();
        for _ in 0..3 {
            assert_eq!(room.reserve(limits(3, 100), 1), Ok(()));
        }
        assert_eq!(room.reserve(limits(3, 100), 1), Err(Full::Packets));
        room.release(1);
        assert_eq!(room.reserve(limits(3, 100), 1), Ok(()));
    }

    #[test]
    fn bytes_are_bounded_whatever_the_number_of_packets() {
        let room = Room::new();
        assert_eq!(room.reserve(limits(3, 100), 60), Ok(()));
        assert_eq!(room.reserve(limits(3, 100), 41), Err(Full::Bytes));
        assert_eq!(room.reserve(limits(3, 100), 40), Ok(()));
        assert_eq!(
            room.reserve(limits(3, 100), 0),
            Ok(()),
            "a pended connect has no bytes"
        );
        assert_eq!(Room::new().reserve(limits(1, u32::MAX), u32::MAX), Ok(()));
    }

    #[test]
    fn a_closed_queue_gives_no_place_but_waits_for_those_it_gave() {
        let room = Room::new();
        assert_eq!(room.reserve(limits(4096, 8 << 20), 1500), Ok(()));
        room.close();
        assert_eq!(
            room.reserve(limits(4096, 8 << 20), 1500),
            Err(Full::Closing)
        );
        assert!(!room.is_idle(), "a classify may still put its packet");
        room.release(1500);
        assert!(room.is_idle());
        assert_eq!(
            room.reserve(limits(4096, 8 << 20), 1),
            Err(Full::Closing),
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
                        Err(Full::Packets)
                    } else if sum > u64::from(bytes) {
                        Err(Full::Bytes)
                    } else {
                        model.push(size);
                        Ok(())
                    };
                    prop_assert_eq!(room.reserve(limits, size), expected);
                } else if let Some(size) = model.pop() {
                    room.release(size);
                }
                prop_assert_eq!(room.is_idle(), model.is_empty());
            }
        }
    }
}
