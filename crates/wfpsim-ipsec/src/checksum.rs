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
