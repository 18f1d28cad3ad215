//! The security association database.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::association::{Association, FieldProblem, SaKey};
use crate::refused::Refused;
use crate::replay::ReplayWindow;

/// All associations of a host, in both directions, each with its replay window.
#[derive(Clone, Debug, Default)]
pub struct Sadb {
    entries: BTreeMap<SaKey, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    association: Association,
    window: ReplayWindow,
}

/// Why associations cannot make a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SadbError {
    /// Two associations have the same destination, SPI and protocol.
    Duplicate(SaKey),
    /// An association cannot work.
    Unusable(SaKey, Vec<FieldProblem>),
}

impl fmt::Display for SadbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(key) => write!(f, "two associations for {key}"),
            Self::Unusable(key, problems) => {
                write!(f, "{key}")?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, ": {} {}", problem.field, problem.message))
            }
        }
    }
}

impl std::error::Error for SadbError {}

impl Sadb {
    /// Makes a database, with all replay windows at their start.
    ///
    /// # Errors
    ///
    /// The first association that cannot work or is there twice.
    pub fn new(associations: impl IntoIterator<Item = Association>) -> Result<Self, SadbError> {
        let mut entries = BTreeMap::new();
        for association in associations {
            let key = association.key;
            let problems = association.problems();
            if !problems.is_empty() {
                return Err(SadbError::Unusable(key, problems));
            }
            let entry = Entry {
                association,
                window: ReplayWindow::default(),
            };
            if entries.insert(key, entry).is_some() {
                return Err(SadbError::Duplicate(key));
            }
        }
        Ok(Self { entries })
    }

    /// The association for a destination, SPI and protocol.
    #[must_use]
    pub fn get(&self, key: &SaKey) -> Option<&Association> {
        self.entries.get(key).map(|entry| &entry.association)
    }

    /// All associations, in the order of their keys.
    pub fn associations(&self) -> impl Iterator<Item = &Association> {
        self.entries.values().map(|entry| &entry.association)
    }

    /// How many associations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets which sequence numbers were seen, as if all associations were new.
    pub fn forget_sequences(&mut self) {
        for entry in self.entries.values_mut() {
            entry.window = ReplayWindow::default();
        }
    }

    pub(crate) fn find(&self, key: &SaKey) -> Result<&Association, Refused> {
        self.get(key).ok_or(Refused::NoAssociation(*key))
    }

    /// Whether an association with this destination has ESP in UDP, so that port 4500 there belongs
    /// to IPsec.
    #[must_use]
    pub fn has_udp_encapsulation_to(&self, address: IpAddr) -> bool {
        self.associations()
            .any(|association| association.udp_encap && association.key.dst == address)
    }

    /// The replay check, before the packet is verified.
    pub(crate) fn check_replay(&self, key: &SaKey, sequence: u32) -> Result<(), Refused> {
        let entry = self.entries.get(key).ok_or(Refused::NoAssociation(*key))?;
        if entry.association.authenticates() && !entry.window.permits(sequence) {
            return Err(Refused::Replayed {
                key: *key,
                sequence,
            });
        }
        Ok(())
    }

    /// Moves the replay window, after the packet was verified.
    pub(crate) fn accept(&mut self, key: &SaKey, sequence: u32) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.window.accept(sequence);
        }
    }
}
