//! The replay window of RFC 4303, section 3.4.3, with 32-bit sequence numbers and the recommended
//! size of 64.

/// Which of the last 64 sequence numbers were seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplayWindow {
    /// The highest sequence number accepted so far; 0 before the first.
    highest: u32,
    /// Bit n is set when `highest - n` was accepted.
    seen: u64,
}

impl ReplayWindow {
    /// How many sequence numbers back are remembered.
    pub(crate) const SIZE: u32 = u64::BITS;

    /// Whether a packet with this number may be accepted. Changes nothing: the packet is still to
    /// be verified.
    pub(crate) fn permits(&self, sequence: u32) -> bool {
        // The first packet of an association has number 1 and the number never wraps, so 0 is never
        // sent.
        if sequence == 0 {
            return false;
        }
        match self.highest.checked_sub(sequence) {
            None => true,
            Some(age) if age >= Self::SIZE => false,
            Some(age) => self.seen & (1 << age) == 0,
        }
    }

    /// Remembers a number, once its packet was verified.
    pub(crate) fn accept(&mut self, sequence: u32) {
        match sequence.checked_sub(self.highest) {
            Some(ahead) => {
                self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
                self.highest = sequence;
            }
            None => {
                let age = self.highest.saturating_sub(sequence);
                self.seen |= 1_u64.checked_shl(age).unwrap_or(0);
            }
        }
    }
}
