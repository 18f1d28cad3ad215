//! Whose capture it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The host's addresses.
#[derive(Clone, Debug, Default)]
pub struct Host {
    addresses: BTreeSet<IpAddr>,
}

/// Which way a packet goes, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the network to the host.
    In,
    /// From the host to the network.
    Out,
    /// From the host to itself.
    Loopback,
    /// Between others.
    Foreign,
}

impl Host {
    /// A host with these addresses; loopback addresses are always its own.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
        }
    }

    /// The addresses, sorted.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().copied()
    }

    fn is_own(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }

    /// Which way a packet between these addresses goes. Multicast and broadcast from others are for the host too.
    pub fn way(&self, source: IpAddr, destination: IpAddr) -> Way {
        let group = destination.is_multicast()
            || matches!(destination, IpAddr::V4(address) if address.is_broadcast());
        match (self.is_own(source), self.is_own(destination)) {
            (true, true) => Way::Loopback,
            (true, false) => Way::Out,
            (false, true) => Way::In,
            (false, false) if group => Way::In,
            (false, false) => Way::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_packet_goes_the_way_that_its_addresses_say() {
        let host = Host::new([address("192.0.2.10"), address("2001:db8::10")]);
        let way = |source, destination| host.way(address(source), address(destination));
        assert_eq!(way("192.0.2.9", "192.0.2.10"), Way::In);
        assert_eq!(way("192.0.2.10", "192.0.2.9"), Way::Out);
        assert_eq!(way("127.0.0.1", "127.0.0.1"), Way::Loopback);
        assert_eq!(way("192.0.2.10", "192.0.2.10"), Way::Loopback);
        assert_eq!(way("192.0.2.8", "192.0.2.9"), Way::Foreign);
        assert_eq!(way("fe80::1", "ff02::1"), Way::In);
        assert_eq!(way("192.0.2.10", "224.0.0.251"), Way::Out);
        assert_eq!(way("192.0.2.8", "255.255.255.255"), Way::In);
    }
}
