//! What the tests share: packets, associations, and a way to write bytes.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wfpsim_ipsec::{
    Association, Authentication, Encryption, KeyMaterial, Mode, Outbound, Protocol, Recipe, SaKey,
    Sadb,
};

pub const UDP: u8 = 17;
pub const ESP: u8 = 50;
pub const AH: u8 = 51;
pub const ALICE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub const BOB_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
pub const ALICE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
pub const BOB_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));

/// Bytes from hex digits; white space is ignored.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("a hex digit")).expect("a nibble"))
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Key bytes that are all different.
pub fn key(len: usize) -> KeyMaterial {
    KeyMaterial::new(key_bytes(len))
}

/// The same, bare.
pub fn key_bytes(len: usize) -> Vec<u8> {
    (1..=255).take(len).collect()
}

/// An IPv4 header with its checksum, and the payload.
pub fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let total = u16::try_from(header_len + payload.len()).expect("a short packet");
    let mut packet = vec![
        0x40 | u8::try_from(header_len / 4).expect("few options"),
        0xb8,
    ];
    packet.extend(total.to_be_bytes());
    packet.extend([0x12, 0x34, 0x40, 0, 57, protocol, 0, 0]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(options);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IPv6 header and the payload, which begins with the first extension header if there are any.
pub fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x6a, 0xbc, 0xde, 0xf0];
    packet.extend(
        u16::try_from(payload.len())
            .expect("a short packet")
            .to_be_bytes(),
    );
    packet.extend([next_header, 57]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(payload);
    packet
}

/// A packet from Alice to Bob, of either family.
pub fn packet(v6: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match addresses(v6) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4(src, dst, protocol, &[], payload),
        (IpAddr::V6(src), IpAddr::V6(dst)) => ipv6(src, dst, protocol, payload),
        _ => unreachable!("both are of one family"),
    }
}

/// A UDP datagram without checksum.
pub fn udp(source: u16, destination: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).expect("a short datagram");
    let mut datagram = Vec::new();
    for field in [source, destination, length, 0] {
        datagram.extend(field.to_be_bytes());
    }
    datagram.extend(data);
    datagram
}

/// The Internet checksum of a header whose checksum field is 0.
pub fn checksum(header: &[u8]) -> u16 {
    let mut sum: u32 = header
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

/// Alice and Bob.
pub fn addresses(v6: bool) -> (IpAddr, IpAddr) {
    if v6 {
        (ALICE_V6, BOB_V6)
    } else {
        (ALICE_V4, BOB_V4)
    }
}

/// ESP in transport mode from Alice to Bob.
pub fn esp(
    v6: bool,
    spi: u32,
    encryption: Encryption,
    authentication: Authentication,
) -> Association {
    let (src, dst) = addresses(v6);
    Association {
        key: SaKey {
            dst,
            spi,
            protocol: Protocol::Esp,
        },
        src,
        mode: Mode::Transport,
        encryption,
        encryption_key: key(encryption.key_lengths()[0]),
        authentication,
        authentication_key: key(authentication.key_len()),
        udp_encap: false,
    }
}

/// AH in transport mode from Alice to Bob.
pub fn ah(v6: bool, spi: u32, authentication: Authentication) -> Association {
    let mut association = esp(v6, spi, Encryption::Null, authentication);
    association.key.protocol = Protocol::Ah;
    association
}

/// A database of these.
pub fn sadb(associations: &[Association]) -> Sadb {
    Sadb::new(associations.iter().cloned()).expect("associations that work")
}

/// An IV for a cipher.
pub fn iv(encryption: Encryption) -> Vec<u8> {
    (0xa0..=0xff).take(encryption.iv_len()).collect()
}

/// How Alice protects her packet number `sequence`.
pub fn recipe(sadb: &Sadb, association: &Association, sequence: u32) -> Recipe {
    sadb.recipe(&association.key, sequence, &iv(association.encryption))
        .expect("it is there")
}

/// A packet of Alice's, protected with one association.
pub fn protected(sadb: &Sadb, association: &Association, sequence: u32, clean: &[u8]) -> Vec<u8> {
    sadb.protect(clean, &recipe(sadb, association, sequence))
        .expect("it can be protected")
}

/// What [`Sadb::peel`] gives for a protected packet.
pub fn peeled(sadb: &Sadb, packet: &[u8]) -> (Vec<u8>, Recipe) {
    match sadb.peel(packet) {
        Ok(Outbound::Protected { clean, recipe }) => (clean, recipe),
        other => panic!("expected a protected packet, got {other:?}"),
    }
}

/// Every association that there can be between Alice and Bob: protocol, algorithms, key lengths,
/// mode, family and UDP.
pub fn every_association() -> Vec<Association> {
    use Authentication::{HmacMd5_96, HmacSha1_96, HmacSha256_128, None};
    let hmacs = [HmacSha1_96, HmacSha256_128, HmacMd5_96];
    let mut made: Vec<Association> = Vec::new();
    for v6 in [false, true] {
        for authentication in hmacs {
            made.push(ah(v6, 0, authentication));
        }
        for encryption in [
            Encryption::Null,
            Encryption::AesCbc,
            Encryption::AesGcm,
            Encryption::TripleDesCbc,
        ] {
            for authentication in [None, HmacSha1_96, HmacSha256_128, HmacMd5_96] {
                for &length in encryption.key_lengths() {
                    let mut association = esp(v6, 0, encryption, authentication);
                    association.encryption_key = key(length);
                    made.push(association.clone());
                    association.udp_encap = true;
                    made.push(association);
                }
            }
        }
    }
    let tunnels = made.clone().into_iter().map(|association| Association {
        mode: Mode::Tunnel,
        ..association
    });
    made.extend(tunnels);
    for (association, spi) in made.iter_mut().zip(0x1000..) {
        association.key.spi = spi;
    }
    made.retain(|association| association.problems().is_empty());
    made
}
