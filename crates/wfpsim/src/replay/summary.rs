//! The result of a replay.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::followed::Followed;
use super::plan::Planned;
use super::run::Block;
use super::run::DriverCounter;
use crate::stack::Counts;
use crate::verifier::Violation;

/// A packet that the policy permits and that did not come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The number of the captured packet.
    pub number: u64,
    /// What it was and where it was last.
    pub what: String,
}

/// Everything that is told of a replay.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The capture's name.
    pub capture: String,
    /// The seed that shows the same again.
    pub seed: u64,
    /// The host's addresses, and how they were found if they were guessed.
    pub host: Vec<IpAddr>,
    /// Why these addresses, if they were guessed.
    pub guessed: Option<String>,
    /// The policy.
    pub block: Block,
    /// Counted while planning.
    pub planned: Planned,
    /// Counted by the stack.
    pub stack: Counts,
    /// Packets that reached the transport layer.
    pub delivered: u64,
    /// Packets that reached the wire, every fragment one.
    pub sent: u64,
    /// Packets that the policy blocks and that did not come out.
    pub blocked: u64,
    /// Packets dropped before or behind the driver, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Packets that are gone without a right to be.
    pub lost: Vec<Lost>,
    /// What the driver counted, by the names of its own counters; those that are zero are left out.
    pub driver: Vec<DriverCounter>,
    /// The packet that somebody wanted followed.
    pub followed: Option<Followed>,
    /// What was violated.
    pub violations: Vec<Violation>,
    /// What was left behind at unload, by kind.
    pub leaks: BTreeMap<&'static str, u64>,
    /// Why the input could not be read to its end.
    pub input_error: Option<String>,
    /// The captured packet at which the machine stopped with a bug check; the rest was not replayed.
    pub stopped_at: Option<u64>,
    /// The captured packet after which somebody interrupted the replay.
    pub interrupted: Option<u64>,
}

impl Summary {
    /// Whether nothing was violated, lost or leaked.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.lost.is_empty() && self.leaks.is_empty()
    }

    /// The packet that is followed, if the capture has so many.
    pub fn followed_in_capture(&self) -> Option<&Followed> {
        let records = self.planned.records;
        self.followed
            .as_ref()
            .filter(|followed| followed.number <= records)
    }

    /// The exit status that this comes to: 2 for a violation or a lost packet, 1 for an unreadable input, 0 otherwise.
    pub fn exit_status(&self) -> u8 {
        if !self.is_clean() {
            2
        } else if self.input_error.is_some() {
            1
        } else {
            0
        }
    }
}
