//! The Internet checksum (RFC 1071).

/// One's complement sum of 16-bit words, not yet complemented. `data` that follows must start at an
/// even offset.
fn add(sum: u64, data: &[u8]) -> u64 {
    data.chunks(2).fold(sum, |sum, word| {
        let high = word.first().copied().unwrap_or(0);
        let low = word.get(1).copied().unwrap_or(0);
        sum.wrapping_add(u64::from(u16::from_be_bytes([high, low])))
    })
}

/// Folds the sum to 16 bits and complements it.
fn finish(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// The checksum of an IPv4 header whose checksum field is left out of the sum (bytes 10 and 11).
pub(crate) fn ipv4_header(header: &[u8]) -> u16 {
    let sum = add(0, header.get(..10).unwrap_or_default());
    finish(add(sum, header.get(12..).unwrap_or_default()))
}

/// The checksum of a UDP datagram whose checksum field is 0, over IPv4 or IPv6. Zero is sent as
/// 0xffff (RFC 768).
pub(crate) fn udp(source: &[u8], destination: &[u8], datagram: &[u8]) -> u16 {
    let length = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
    let mut sum = add(0, source);
    sum = add(sum, destination);
    sum = add(sum, &length.to_be_bytes());
    sum = add(sum, &[0, 17]);
    match finish(add(sum, datagram)) {
        0 => 0xffff,
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::{ipv4_header, udp};

    #[test]
    fn the_checksum_of_a_header_is_the_one_it_was_sent_with() {
        // The header of RFC 3602, case 5.
        let header = [
            0x45, 0, 0, 0x54, 0x08, 0xf2, 0, 0, 0x40, 0x01, 0xf9, 0xfe, 192, 168, 123, 3, 192, 168,
            123, 100,
        ];
        assert_eq!(ipv4_header(&header), 0xf9fe);
    }

    #[test]
    fn a_udp_checksum_that_comes_to_zero_is_sent_as_all_ones_because_zero_means_none() {
        // Length 8 twice and protocol 17 come to 33; the source port fills up to 0xffff.
        let datagram = [0xff, 0xde, 0, 0, 0, 8, 0, 0];
        assert_eq!(udp(&[0; 4], &[0; 4], &datagram), 0xffff);
    }
}
