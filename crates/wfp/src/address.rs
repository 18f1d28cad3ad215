//! Addresses in the forms the platform takes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::layer::Family;

/// An IPv4 address of a fixed value, which is a number in host byte order.
pub(crate) fn v4_from_host_order(value: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(value))
}

/// An IPv6 address of a fixed value, which is 16 bytes in network order.
pub(crate) fn v6_from_octets(octets: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_octets(octets))
}

/// The bytes of an address in network order, as injection functions take them: 4 or 16 of the 16 count.
pub(crate) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// The family of an address.
pub(crate) fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v4_value_is_in_host_order_and_an_injection_wants_network_order() {
        let address = v4_from_host_order(0xC000_0201);
        assert_eq!(address, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(octets(address)[..5], [192, 0, 2, 1, 0]);
    }

    #[test]
    fn a_v6_value_is_in_network_order_already() {
        let bytes: [u8; 16] = core::array::from_fn(|at| at as u8);
        assert_eq!(octets(v6_from_octets(bytes)), bytes);
    }
}
