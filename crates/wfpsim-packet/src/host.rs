//! Guessing which addresses in a capture are the capturing host's own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::capture::{CapturedPacket, Direction};
use crate::ip::{IpPacket, is_unicast};
use crate::link::{self, MacAddress};

/// Whose capture it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGuess {
    /// The host's addresses, of both versions; loopback addresses are not listed but always belong to it.
    pub addresses: BTreeSet<IpAddr>,
    /// Its Ethernet address, if the link layer has one.
    pub mac: Option<MacAddress>,
    /// What the guess rests on.
    pub evidence: Evidence,
}

impl HostGuess {
    /// Whether an address is the host's.
    #[must_use]
    pub fn is_host(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }
}

/// What a guess rests on, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// The capture says which way packets went.
    Direction,
    /// Everything is within the machine.
    Loopback,
    /// One address takes part in more packets than any other.
    Busiest,
    /// Of the busiest addresses, only one sends packets that no router has forwarded yet.
    Hops,
    /// As `Busiest`, but some other address takes part in nearly as many packets.
    Narrowly,
    /// Nothing tells the two ends apart; it is taken to be the one that is spoken to first.
    SpokenTo,
}

impl Evidence {
    /// Whether the guess is little more than a toss, so that whoever relies on it should be told.
    #[must_use]
    pub fn is_weak(self) -> bool {
        self >= Self::Narrowly
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direction => "the capture says which way packets went",
            Self::Loopback => "all packets are between loopback addresses",
            Self::Busiest => "it takes part in more packets than any other",
            Self::Hops => "its packets have not passed a router",
            Self::Narrowly => "it takes part in slightly more packets than another",
            Self::SpokenTo => "nothing tells the ends apart, and it is spoken to first",
        })
    }
}

/// Gathers from the packets of a capture what tells whose it is.
#[derive(Clone, Debug, Default)]
pub struct HostGuesser {
    addresses: BTreeMap<IpAddr, Seen>,
    /// Frames each Ethernet address takes part in.
    frames: BTreeMap<MacAddress, u64>,
    /// Sources of packets that the capture says went out.
    senders: BTreeSet<IpAddr>,
    /// Unicast destinations of packets that the capture says came in.
    receivers: BTreeSet<IpAddr>,
    /// Sources of packets that the capture says came in.
    peers: BTreeSet<IpAddr>,
    first_destination: Option<IpAddr>,
    has_loopback: bool,
}

/// What was seen of an address.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Packets from or to it.
    packets: u64,
    /// Packets from it with a hop limit that no router has counted down.
    fresh: u64,
    /// Packets from it with another hop limit.
    forwarded: u64,
    /// Frames with it by the Ethernet address on its side.
    macs: BTreeMap<MacAddress, u64>,
}

impl Seen {
    /// The Ethernet address it is reached by most.
    fn mac(&self) -> Option<MacAddress> {
        self.macs
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(mac, _)| *mac)
    }
}

impl HostGuesser {
    /// A guesser that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a packet into account.
    pub fn observe(&mut self, captured: &CapturedPacket) {
        let Some(packet) = captured
            .ip()
            .ok()
            .and_then(|bytes| IpPacket::parse(bytes).ok())
        else {
            return;
        };
        let (source, destination) = (packet.source(), packet.destination());
        if source.is_loopback() || destination.is_loopback() {
            self.has_loopback = true;
            return;
        }
        let macs = link::ethernet_addresses(captured.link, &captured.data);
        if let Some((from, to)) = macs {
            for mac in BTreeSet::from([from, to]) {
                count(&mut self.frames, mac);
            }
        }
        if is_unicast(source) {
            let seen = self.addresses.entry(source).or_default();
            seen.packets = seen.packets.saturating_add(1);
            let hops = if is_fresh(packet.hops()) {
                &mut seen.fresh
            } else {
                &mut seen.forwarded
            };
            *hops = hops.saturating_add(1);
            if let Some((from, _)) = macs {
                count(&mut seen.macs, from);
            }
        }
        // A directed broadcast looks like a host's address, but its frame goes to all.
        let is_to_one =
            is_unicast(destination) && macs.is_none_or(|(_, [first, ..])| first & 1 == 0);
        if is_to_one && source != destination {
            let seen = self.addresses.entry(destination).or_default();
            seen.packets = seen.packets.saturating_add(1);
            if let Some((_, to)) = macs {
                count(&mut seen.macs, to);
            }
            self.first_destination.get_or_insert(destination);
        }
        match captured
            .direction
            .or_else(|| link::cooked_direction(captured.link, &captured.data))
        {
            Some(Direction::Outbound) if is_unicast(source) => {
                self.senders.insert(source);
            }
            Some(Direction::Inbound) => {
                self.peers.insert(source);
                if is_to_one {
                    self.receivers.insert(destination);
                }
            }
            _ => {}
        }
    }

    /// The guess from all that was observed, or `None` if there were no IP packets.
    #[must_use]
    pub fn guess(&self) -> Option<HostGuess> {
        self.by_direction().or_else(|| self.by_count()).or_else(|| {
            let (addresses, mac, evidence) = (BTreeSet::new(), None, Evidence::Loopback);
            self.has_loopback.then_some(HostGuess {
                addresses,
                mac,
                evidence,
            })
        })
    }

    fn by_direction(&self) -> Option<HostGuess> {
        let said = if self.senders.is_empty() {
            &self.receivers
        } else {
            &self.senders
        };
        // What comes in from outside is not the host's, even if a forwarding host sends it on.
        let addresses: BTreeSet<IpAddr> = said.difference(&self.peers).copied().collect();
        let mac = addresses
            .iter()
            .find_map(|address| self.addresses.get(address)?.mac());
        let evidence = Evidence::Direction;
        (!addresses.is_empty()).then_some(HostGuess {
            addresses,
            mac,
            evidence,
        })
    }

    fn by_count(&self) -> Option<HostGuess> {
        let most = self.addresses.values().map(|seen| seen.packets).max()?;
        // Two ends of a conversation differ by a few packets that say nothing.
        let is_among_busiest =
            |seen: &Seen| seen.packets.saturating_mul(20) >= most.saturating_mul(19);
        let busiest: Vec<_> = self
            .addresses
            .iter()
            .filter(|(_, seen)| is_among_busiest(seen))
            .collect();
        let fresh = busiest
            .iter()
            .filter(|(_, seen)| seen.forwarded == 0)
            .count();
        let frames = |seen: &Seen| {
            seen.mac()
                .and_then(|mac| self.frames.get(&mac))
                .copied()
                .unwrap_or(seen.packets)
        };
        let rank = |address: &IpAddr, seen: &Seen| {
            (
                seen.forwarded == 0,
                frames(seen),
                seen.packets,
                self.first_destination == Some(*address),
            )
        };
        let (address, seen) = busiest
            .iter()
            .copied()
            .max_by_key(|(address, seen)| (rank(address, seen), Reverse(**address)))?;
        let is_tied = busiest.iter().any(|(other, others)| {
            *other != address
                && (frames(others), others.packets) == (frames(seen), seen.packets)
                && (others.forwarded == 0) == (seen.forwarded == 0)
        });
        let evidence = match (busiest.len(), fresh) {
            (1, _) => Evidence::Busiest,
            (_, 1) => Evidence::Hops,
            _ if is_tied => Evidence::SpokenTo,
            _ => Evidence::Narrowly,
        };
        let mac = seen.mac();
        let mut addresses = BTreeSet::from([*address]);
        // What else the same machine sends from. If it is a router, what it only forwards is not its own.
        if let Some(mac) = mac.filter(|_| seen.forwarded == 0) {
            let own = self
                .addresses
                .iter()
                .filter(|(_, other)| other.fresh > 0 && other.mac() == Some(mac));
            addresses.extend(own.map(|(address, _)| *address));
        }
        Some(HostGuess {
            addresses,
            mac,
            evidence,
        })
    }
}

/// Whether a hop limit is one that systems start with, so that most likely no router has counted it down.
fn is_fresh(hops: u8) -> bool {
    matches!(hops, 1 | 32 | 64 | 128 | 255)
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}
