//! The policy: a pure function from what is known of a packet to a verdict.
//!
//! Nothing in the driver decides anywhere else. The worker asks [`Policy::decide`] for what was held, and a
//! classify that cannot hold asks the same function at once, so the answer does not depend on which of the two
//! it was. A policy that has to wait for someone (user mode, with a deadline) belongs in the worker's call and
//! needs an inline answer of its own for the other; the two places that ask are [`crate::worker`] and
//! [`crate::callout`].

use core::net::IpAddr;

use wfp::Direction;

/// What happens to a packet or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on as if the driver were not there.
    Permit,
    /// It goes no further.
    Block,
}

/// The IP protocol numbers that the driver tells apart.
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// The IPsec encapsulating security payload.
    pub const ESP: u8 = 50;
    /// The IPsec authentication header.
    pub const AH: u8 = 51;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}

/// What a verdict is given on, copied out of the classify's fixed values.
///
/// A field is `None` when the layer did not have it, or had it empty, as during a reauthorization.
/// Ports are in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which way the packet goes, or the connection was opened.
    pub direction: Direction,
    /// The IP protocol.
    pub protocol: Option<u8>,
    /// This machine's address.
    pub local_address: Option<IpAddr>,
    /// The peer's address.
    pub remote_address: Option<IpAddr>,
    /// This machine's port; the ICMP type for ICMP (F.2).
    pub local_port: Option<u16>,
    /// The peer's port; the ICMP code for ICMP (F.2).
    pub remote_port: Option<u16>,
}

impl Facts {
    /// Whether the port fields hold ports. ICMP's type and code come in the same fields (F.2), and a rule about
    /// port 8 must not match an echo request.
    #[must_use]
    pub fn has_ports(&self) -> bool {
        use protocol::{DCCP, SCTP, TCP, UDP, UDP_LITE};
        matches!(self.protocol, Some(TCP | UDP | DCCP | SCTP | UDP_LITE))
    }
}

/// The policy in force: permit all, or block one remote address, one remote port, or the two together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    block_remote_address: Option<IpAddr>,
    block_remote_port: Option<u16>,
}

impl Policy {
    /// A policy that blocks what has this remote address and this remote port, and permits all else. With only
    /// one of the two it blocks whatever has that one; with neither it permits everything.
    ///
    /// An IPv4-mapped IPv6 address means the IPv4 address, because Windows classifies it at the V4 layers.
    #[must_use]
    pub fn new(block_remote_address: Option<IpAddr>, block_remote_port: Option<u16>) -> Self {
        Self {
            block_remote_address: block_remote_address.map(|address| address.to_canonical()),
            block_remote_port,
        }
    }

    /// The verdict on one packet or connection.
    ///
    /// A condition about a fact that is not known does not hold: what cannot be shown to be what the rule names
    /// is permitted, as everything else is.
    ///
    /// IRQL: any. No allocation, no lock.
    #[must_use]
    pub fn decide(&self, facts: &Facts) -> Verdict {
        if self.block_remote_address.is_none() && self.block_remote_port.is_none() {
            return Verdict::Permit;
        }
        let address_holds = self.block_remote_address.is_none_or(|blocked| {
            facts
                .remote_address
                .is_some_and(|remote| remote.to_canonical() == blocked)
        });
        let port_holds = self
            .block_remote_port
            .is_none_or(|blocked| facts.has_ports() && facts.remote_port == Some(blocked));
        if address_holds && port_holds {
            Verdict::Block
        } else {
            Verdict::Permit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

    fn web() -> Facts {
        Facts {
            direction: Direction::Outbound,
            protocol: Some(protocol::TCP),
            local_address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            remote_address: Some(PEER),
            local_port: Some(50_000),
            remote_port: Some(443),
        }
    }

    #[test]
    fn without_parameters_everything_is_permitted() {
        assert_eq!(Policy::default().decide(&web()), Verdict::Permit);
        assert_eq!(Policy::new(None, None), Policy::default());
    }

    #[test]
    fn an_address_alone_blocks_every_protocol_of_that_peer_both_ways() {
        let policy = Policy::new(Some(PEER), None);
        for direction in [Direction::Inbound, Direction::Outbound] {
            for protocol in [
                protocol::TCP,
                protocol::UDP,
                protocol::ICMP,
                protocol::SCTP,
                47,
            ] {
                let facts = Facts {
                    direction,
                    protocol: Some(protocol),
                    ..web()
                };
                assert_eq!(policy.decide(&facts), Verdict::Block);
            }
        }
        let other = Facts {
            remote_address: Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ..web()
        };
        assert_eq!(policy.decide(&other), Verdict::Permit);
    }

    #[test]
    fn the_local_address_and_port_are_nobodys_business() {
        let policy = Policy::new(Some(PEER), Some(443));
        let served = Facts {
            local_address: Some(PEER),
            remote_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            local_port: Some(443),
            remote_port: Some(50_000),
            ..web()
        };
        assert_eq!(policy.decide(&served), Verdict::Permit);
    }

    #[test]
    fn an_icmp_code_is_not_a_port() {
        let policy = Policy::new(None, Some(3));
        let unreachable = Facts {
            protocol: Some(protocol::ICMP),
            local_port: Some(3),
            remote_port: Some(3),
            ..web()
        };
        assert_eq!(policy.decide(&unreachable), Verdict::Permit);
        let unreachable6 = Facts {
            protocol: Some(protocol::ICMPV6),
            ..unreachable
        };
        assert_eq!(policy.decide(&unreachable6), Verdict::Permit);
    }

    #[test]
    fn an_ipv4_mapped_address_blocks_the_ipv4_peer() {
        let mapped = "::ffff:203.0.113.7".parse().expect("an address");
        assert_eq!(
            Policy::new(Some(mapped), None).decide(&web()),
            Verdict::Block
        );
    }

    #[test]
    fn what_is_not_known_matches_no_condition() {
        let unknown = Facts {
            remote_address: None,
            ..web()
        };
        assert_eq!(
            Policy::new(Some(PEER), None).decide(&unknown),
            Verdict::Permit
        );
        let unknown = Facts {
            remote_port: None,
            ..web()
        };
        assert_eq!(
            Policy::new(None, Some(443)).decide(&unknown),
            Verdict::Permit
        );
        let unknown = Facts {
            protocol: None,
            ..web()
        };
        assert_eq!(
            Policy::new(None, Some(443)).decide(&unknown),
            Verdict::Permit
        );
    }

    proptest! {
        /// Address and port together block exactly what each of them alone would block.
        #[test]
        fn both_conditions_mean_both(address: IpAddr, port: u16, remote: IpAddr, remote_port: u16, same in 0..4_u8) {
            let remote = if same & 1 == 0 { address } else { remote };
            let remote_port = if same & 2 == 0 { port } else { remote_port };
            let facts = Facts { remote_address: Some(remote), remote_port: Some(remote_port), ..web() };
            let blocks = |policy: Policy| policy.decide(&facts) == Verdict::Block;
            prop_assert_eq!(
                blocks(Policy::new(Some(address), Some(port))),
                blocks(Policy::new(Some(address), None)) && blocks(Policy::new(None, Some(port)))
            );
        }
    }
}
