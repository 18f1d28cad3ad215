//! From captured packets to what the stack is given.

use wfpsim_ipsec::Inbound;
use wfpsim_ipsec::Outbound;
use wfpsim_ipsec::Recipe;
use wfpsim_ipsec::Sadb;
use wfpsim_packet::CapturedPacket;
use wfpsim_packet::IpPacket;
use wfpsim_packet::NotIp;
use wfpsim_packet::Timestamp;
use wfpsim_packet::fragment::Layout;
use wfpsim_packet::fragment::Limits;
use wfpsim_packet::fragment::Outcome;
use wfpsim_packet::fragment::Reassembler;

use super::host::Host;
use super::host::Way;
use crate::stack::Received;
use crate::stack::Security;
use crate::stack::Transmitted;

/// One thing that happens to the host.
#[derive(Clone, Debug)]
pub struct Step {
    /// The number of the captured packet that completed it, from 1.
    pub number: u64,
    /// When.
    pub time: Timestamp,
    /// What.
    pub action: Action,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Action {
    /// A packet arrives.
    Receive(Received),
    /// A packet is sent.
    Transmit {
        /// The packet, whole and without IPsec.
        packet: Transmitted,
        /// How it is protected on the wire.
        recipe: Option<Recipe>,
        /// How it is cut on the wire.
        layout: Option<Layout>,
    },
    /// The packet never gets as far as a callout.
    Drop {
        /// How many captured packets that is.
        packets: u64,
        /// Why, as a stable key.
        reason: &'static str,
    },
}

/// What is counted while planning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Records of the capture.
    pub records: u64,
    /// Packets from the network to the host, as they are on the wire.
    pub inbound: u64,
    /// Packets from the host to the network, as they are on the wire.
    pub outbound: u64,
    /// Packets from the host to itself.
    pub loopback: u64,
    /// Packets that are fragments, without atomic ones.
    pub fragments: u64,
    /// Exact duplicates of fragments.
    pub fragment_duplicates: u64,
    /// Inbound packets that passed IPsec in transport mode.
    pub ipsec_transport: u64,
    /// Inbound packets that passed IPsec in tunnel mode.
    pub ipsec_tunnel: u64,
}

/// Turns captured packets into steps, in order.
pub struct Planner {
    host: Host,
    sadb: Sadb,
    inbound: Reassembler<u64>,
    outbound: Reassembler<u64>,
    /// What was counted so far.
    pub counts: Planned,
}

impl Planner {
    /// A planner for one capture of `host`, with the keys that are known.
    pub fn new(host: Host, sadb: Sadb) -> Self {
        let reassembler = || Reassembler::new(Limits::default());
        Self {
            host,
            sadb,
            inbound: reassembler(),
            outbound: reassembler(),
            counts: Planned::default(),
        }
    }

    /// What a captured packet comes to: nothing while it waits for other fragments, one step, or several where it ends the
    /// wait of others.
    pub fn plan(&mut self, captured: &CapturedPacket) -> Vec<Step> {
        self.counts.records += 1;
        let mut steps = Vec::new();
        let step = |action| Step {
            number: captured.number,
            time: captured.time,
            action,
        };
        for lapsed in self
            .inbound
            .expire(captured.time)
            .into_iter()
            .chain(self.outbound.expire(captured.time))
        {
            let packets = lapsed.tags.len() as u64;
            steps.push(step(Action::Drop {
                packets,
                reason: "fragment_incomplete",
            }));
        }
        let action = match self.packet(captured) {
            Ok(action) => action,
            Err((packets, reason)) => Some(Action::Drop { packets, reason }),
        };
        steps.extend(action.map(step));
        steps
    }

    /// What is left when the capture is over.
    pub fn finish(&mut self) -> Vec<Step> {
        let lapsed = self
            .inbound
            .drain()
            .into_iter()
            .chain(self.outbound.drain());
        let actions = lapsed.map(|lapsed| Action::Drop {
            packets: lapsed.tags.len() as u64,
            reason: "fragment_incomplete",
        });
        actions
            .map(|action| Step {
                number: self.counts.records,
                time: Timestamp(0),
                action,
            })
            .collect()
    }

    fn packet(&mut self, captured: &CapturedPacket) -> Result<Option<Action>, (u64, &'static str)> {
        let bytes = captured.ip().map_err(|error| (1, not_ip(&error)))?;
        let packet = IpPacket::parse(bytes).map_err(|error| (1, error.reason()))?;
        let way = self.host.way(packet.source(), packet.destination());
        match way {
            Way::In => self.counts.inbound += 1,
            Way::Out => self.counts.outbound += 1,
            Way::Loopback => self.counts.loopback += 1,
            Way::Foreign => return Err((1, "not_for_host")),
        }
        self.counts.fragments += u64::from(packet.is_fragment());
        let reassembler = if way == Way::In {
            &mut self.inbound
        } else {
            &mut self.outbound
        };
        let (whole, layout, pieces) =
            match reassembler.push(&packet, captured.number, captured.time) {
                Outcome::NotAFragment(_) => (bytes.to_vec(), None, 1),
                Outcome::Held => return Ok(None),
                Outcome::Duplicate(_) => {
                    self.counts.fragment_duplicates += 1;
                    return Ok(None);
                }
                Outcome::Complete {
                    packet,
                    pieces,
                    layout,
                } => (packet, Some(layout), pieces.len() as u64),
                Outcome::Rejected { why, tags } => return Err((tags.len() as u64, why.reason())),
            };
        if way == Way::In {
            let reassembled = pieces > 1;
            let (clean, security) = self.open(whole).map_err(|reason| (pieces, reason))?;
            return Ok(Some(Action::Receive(Received {
                clean,
                security,
                reassembled,
                injected_by_other: false,
            })));
        }
        let (clean, recipe) = match self
            .sadb
            .peel(&whole)
            .map_err(|refused| (pieces, refused.reason()))?
        {
            Outbound::Clear => (whole, None),
            Outbound::Protected { clean, recipe } => (clean, Some(recipe)),
        };
        Ok(Some(Action::Transmit {
            packet: Transmitted::plain(clean, way == Way::Loopback),
            recipe,
            layout,
        }))
    }

    /// Takes IPsec off an inbound packet, as the stack does before any callout sees it.
    fn open(&mut self, packet: Vec<u8>) -> Result<(Vec<u8>, Security), &'static str> {
        match self
            .sadb
            .open(&packet)
            .map_err(|refused| refused.reason())?
        {
            Inbound::Clear => {
                let keepalive = wfpsim_ipsec::is_nat_keepalive(&packet)
                    && IpPacket::parse(&packet)
                        .is_ok_and(|ip| self.sadb.has_udp_encapsulation_to(ip.destination()));
                if keepalive {
                    Err("ipsec_natt_keepalive")
                } else {
                    Ok((packet, Security::Clear))
                }
            }
            Inbound::Transport(mode) => {
                self.counts.ipsec_transport += 1;
                let security = Security::Transport {
                    laid_out: mode.laid_out,
                    ip_header: mode.ip_header_len,
                    data_end: mode.data_end,
                };
                Ok((mode.clean, security))
            }
            Inbound::Tunnel(mode) => {
                self.counts.ipsec_tunnel += 1;
                let (clean, inner) = self.open(mode.inner)?;
                let (laid_out, inner_offset, data_end) =
                    (mode.laid_out, mode.inner_offset, mode.data_end);
                Ok((
                    clean,
                    Security::Tunnel {
                        laid_out,
                        inner_offset,
                        data_end,
                        inner: Box::new(inner),
                    },
                ))
            }
        }
    }
}

/// The key under which a frame without a usable IP packet is counted.
fn not_ip(error: &NotIp) -> &'static str {
    match error {
        NotIp::UnsupportedLinkType(_) | NotIp::MalformedLink | NotIp::MalformedIp(_) => {
            error.reason()
        }
        NotIp::TruncatedBySnaplen { .. } => "truncated",
        _ => "not_ip",
    }
}
