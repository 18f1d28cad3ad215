//! What an inbound packet needs before it can be injected: by how much to retreat it, and whether its IP header
//! must be built anew. Pure functions over numbers and header bytes.
//!
//! Windows leaves the AH or ESP header in place after it verified a packet and counts it as part of the IP
//! header; a clone with it in cannot be injected. A reassembled packet has the checksum of one of its
//! fragments. Both are cured by the same rebuild, which wants the size of all that lies before the
//! transport header: `ipHeaderSize` as the metadata had it.

use wfp::Family;

use crate::triage::InboundPlan;
use crate::verdict::protocol;

/// By how many bytes to retreat the first NET_BUFFER so that it begins with the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retreat {
    /// The packet is where the classify left it: both headers lie before its data.
    Full(u32),
    /// The stack has retreated it to its transport header since: only the IP header lies before its data.
    IpHeaderOnly(u32),
}

/// The retreat for a held packet whose data offset is now `now`, or `None` when the offset has changed by
/// anything but the stack's own retreat, so that nothing is known of what lies before the data.
///
/// Offsets are NET_BUFFER_DATA_OFFSETs of the first NET_BUFFER, in bytes.
#[must_use]
pub fn effective_retreat(plan: &InboundPlan, now: u32) -> Option<Retreat> {
    if now == plan.data_offset {
        return Some(Retreat::Full(plan.retreat()));
    }
    let retreated = plan.data_offset.checked_sub(now)?;
    (retreated == plan.transport_header_size).then_some(Retreat::IpHeaderOnly(plan.ip_header_size))
}

/// Whether a list whose first NET_BUFFER has this offset and length begins with the held packet's IP header.
///
/// Asked after the retreat, because the one before may have been worked out too early: the worker can be quicker than
/// the return of the classify, and the stack's own retreat comes after that. Wherever the packet was when
/// either began, its IP header lies where it lay and its length from there on is what it was. The length alone
/// tells too when NDIS had no room and put an MDL of its own in front, which moves every offset (B-01).
#[must_use]
pub fn begins_with_ip_header(plan: &InboundPlan, offset: Option<u32>, length: Option<u32>) -> bool {
    offset == plan.data_offset.checked_sub(plan.retreat()) && is_whole(plan, length)
}

/// Whether a list of this length is the held packet from its IP header on.
#[must_use]
pub fn is_whole(plan: &InboundPlan, length: Option<u32>) -> bool {
    length.is_some() && length == plan.data_length.checked_add(plan.retreat())
}

/// Why an IP header is rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuild {
    /// IPsec protected the packet.
    Ipsec,
    /// The packet was reassembled.
    Reassembled,
    /// The IPv4 header checksum is wrong.
    Checksum,
}

/// What the classify told of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// IPsec protected it: `isSecure` at the transport layer, FWP_CONDITION_FLAG_IS_IPSEC_SECURED at ALE.
    pub secured: bool,
    /// FWP_CONDITION_FLAG_IS_REASSEMBLED.
    pub reassembled: bool,
}

/// A clone that does not begin with an IP header that the stack could accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPacket;

/// The longest part of a clone that [`rebuild`] looks at: an IPv4 header with all its options.
pub const LOOKED_AT: usize = 60;

/// The shortest IPv4 header.
const IPV4_HEADER: usize = 20;

/// The IPv6 header.
const IPV6_HEADER: usize = 40;

/// Whether the IP header of a clone must be rebuilt before it is injected, and why.
///
/// `head` is what the clone begins with, as much of [`LOOKED_AT`] bytes as it has; `data_length` is its length in
/// bytes. What the classify told decides first; after it the header itself, because it shows what nobody told: an
/// AH or ESP header that was left in, or a wrong checksum. A packet that needs no rebuild must not be longer by
/// its own header than it is.
pub fn rebuild(
    family: Family,
    told: Told,
    head: &[u8],
    data_length: u32,
) -> Result<Option<Rebuild>, NotAPacket> {
    let (next_header, length, checksum_is_right) = match family {
        Family::V4 => {
            let fixed = head.first_chunk::<IPV4_HEADER>().ok_or(NotAPacket)?;
            let [version_and_length, _, high, low, ..] = *fixed;
            let header = head
                .get(..usize::from(version_and_length & 0xf).saturating_mul(4))
                .ok_or(NotAPacket)?;
            if version_and_length >> 4 != 4 || header.len() < IPV4_HEADER {
                return Err(NotAPacket);
            }
            (
                fixed[9],
                u32::from(u16::from_be_bytes([high, low])),
                internet_checksum(header) == 0,
            )
        }
        Family::V6 => {
            let fixed = head.first_chunk::<IPV6_HEADER>().ok_or(NotAPacket)?;
            let [version, _, _, _, high, low, ..] = *fixed;
            if version >> 4 != 6 {
                return Err(NotAPacket);
            }
            // A jumbogram says zero here and its length in an option, so it is measured by its header only.
            let payload = u32::from(u16::from_be_bytes([high, low]));
            (fixed[6], payload.saturating_add(40), true)
        }
    };
    if told.secured || matches!(next_header, protocol::AH | protocol::ESP) {
        return Ok(Some(Rebuild::Ipsec));
    }
    if told.reassembled {
        return Ok(Some(Rebuild::Reassembled));
    }
    if length > data_length {
        return Err(NotAPacket);
    }
    Ok((!checksum_is_right).then_some(Rebuild::Checksum))
}

/// The Internet checksum (RFC 1071) of a header, which is zero when the checksum within it is right. A header has an even number of
/// bytes.
fn internet_checksum(header: &[u8]) -> u16 {
    let (pairs, _) = header.as_chunks::<2>();
    // At most LOOKED_AT bytes are summed, so neither the sum nor its folding can overflow 32 bits.
    let sum = pairs.iter().fold(0_u32, |sum, pair| {
        sum.wrapping_add(u32::from(u16::from_be_bytes(*pair)))
    });
    let folded = (sum & 0xffff).wrapping_add(sum >> 16);
    let [_, _, high, low] = (folded & 0xffff).wrapping_add(folded >> 16).to_be_bytes();
    !u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Told = Told {
        secured: false,
        reassembled: false,
    };

    fn plan(data_offset: u32, ip_header_size: u32, transport_header_size: u32) -> InboundPlan {
        InboundPlan {
            data_offset,
            data_length: 1000,
            ip_header_size,
            transport_header_size,
            interface_index: 1,
            sub_interface_index: 0,
        }
    }

    /// An IPv4 header of `words` 32-bit words with a right checksum.
    fn ipv4(words: u8, total_length: u16, protocol: u8) -> Vec<u8> {
        let mut header = vec![0; usize::from(words) * 4];
        header[0] = 0x40 | words;
        header[2..4].copy_from_slice(&total_length.to_be_bytes());
        header[8] = 64;
        header[9] = protocol;
        header[12..20].copy_from_slice(&[203, 0, 113, 7, 192, 0, 2, 1]);
        let checksum = internet_checksum(&header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    fn ipv6(payload_length: u16, next_header: u8) -> Vec<u8> {
        let mut header = vec![0; 40];
        header[0] = 0x60;
        header[4..6].copy_from_slice(&payload_length.to_be_bytes());
        header[6] = next_header;
        header
    }

    #[test]
    fn a_sum_whose_carry_carries_again_is_folded_twice() {
        // 0xffff + 0xffff + 1 is 0x1_ffff; with its carry 0x1_0000; with that one's carry 1.
        assert_eq!(internet_checksum(&[0xff, 0xff, 0xff, 0xff, 0, 1]), !1);
    }

    #[test]
    fn a_packet_where_the_classify_left_it_is_retreated_over_both_headers() {
        assert_eq!(
            effective_retreat(&plan(54, 20, 20), 54),
            Some(Retreat::Full(40))
        );
    }

    #[test]
    fn a_packet_the_stack_retreated_for_its_audit_is_retreated_over_the_ip_header_only() {
        assert_eq!(
            effective_retreat(&plan(54, 20, 20), 34),
            Some(Retreat::IpHeaderOnly(20))
        );
    }

    #[test]
    fn any_other_offset_gives_no_retreat() {
        for now in [0, 14, 33, 35, 53, 55, 74, u32::MAX] {
            assert_eq!(
                effective_retreat(&plan(54, 20, 20), now),
                None,
                "offset {now}"
            );
        }
    }

    /// What DataOffset and DataLength become when the stack and the worker retreat, in whatever order.
    fn after(plan: &InboundPlan, retreats: &[u32]) -> (Option<u32>, Option<u32>) {
        let by: u32 = retreats.iter().sum();
        (
            plan.data_offset.checked_sub(by),
            Some(plan.data_length + by),
        )
    }

    #[test]
    fn a_stack_that_retreats_under_the_workers_hands_is_noticed_before_anything_is_cloned() {
        let plan = plan(154, 20, 20);
        for right in [&[40][..], &[20, 20]] {
            let (offset, length) = after(&plan, right);
            assert!(begins_with_ip_header(&plan, offset, length), "{right:?}");
        }
        for wrong in [&[20][..], &[20, 40], &[40, 20], &[]] {
            let (offset, length) = after(&plan, wrong);
            assert!(!begins_with_ip_header(&plan, offset, length), "{wrong:?}");
        }
        assert!(
            !begins_with_ip_header(&plan, None, None),
            "no NET_BUFFER any more"
        );
    }

    #[test]
    fn an_mdl_that_ndis_put_in_front_is_noticed_though_the_offset_looks_right() {
        // Without a link header the IP header lies at offset 0, and so do the data in a new MDL of the retreat's size.
        let plan = plan(40, 20, 20);
        assert!(
            !begins_with_ip_header(&plan, Some(0), Some(1000 + 20 + 40)),
            "B-04"
        );
        assert!(begins_with_ip_header(&plan, Some(0), Some(1000 + 40)));
    }

    #[test]
    fn an_icmp_packet_has_only_one_right_place() {
        assert_eq!(
            effective_retreat(&plan(34, 20, 0), 34),
            Some(Retreat::Full(20))
        );
        assert_eq!(effective_retreat(&plan(34, 20, 0), 26), None);
    }

    proptest! {
        /// Whatever the offset, the retreat never reaches further than where the IP header was at classify.
        #[test]
        fn a_retreat_ends_at_the_ip_header_or_does_not_happen(
            ip in 20_u32..2000, transport in 0_u32..64, before in 0_u32..2000, now: u32, near in 0_u32..200,
        ) {
            let plan = plan(before + ip + transport, ip, transport);
            for now in [now, before + near] {
                match effective_retreat(&plan, now) {
                    Some(Retreat::Full(by) | Retreat::IpHeaderOnly(by)) => prop_assert_eq!(now - by, before),
                    None => prop_assert!(now != plan.data_offset),
                }
            }
        }

        /// No bytes make the look at a header fail in another way than by saying so.
        #[test]
        fn any_bytes_are_looked_at(head: Vec<u8>, v6: bool, secured: bool, reassembled: bool, length: u32) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            let shortest = if v6 { 40 } else { 20 };
            let answer = rebuild(family, Told { secured, reassembled }, &head, length);
            if head.len() < shortest {
                prop_assert_eq!(answer, Err(NotAPacket));
            }
        }

        /// One wrong bit anywhere in the checksummed header, version and length apart, is seen.
        #[test]
        fn a_damaged_ipv4_header_is_rebuilt(words in 5_u8..=15, at in 10_usize..60, bit in 0_u8..8) {
            let mut header = ipv4(words, 100, protocol::TCP);
            let at = 10 + (at - 10) % (header.len() - 10);
            header[at] ^= 1 << bit;
            prop_assert_eq!(rebuild(Family::V4, PLAIN, &header, 100), Ok(Some(Rebuild::Checksum)));
        }
    }

    #[test]
    fn a_plain_packet_is_injected_as_it_is() {
        for words in 5..=15 {
            assert_eq!(
                rebuild(Family::V4, PLAIN, &ipv4(words, 100, protocol::TCP), 100),
                Ok(None),
                "{words} words"
            );
        }
        assert_eq!(
            rebuild(Family::V6, PLAIN, &ipv6(60, protocol::UDP), 100),
            Ok(None)
        );
    }

    #[test]
    fn a_secured_packet_is_rebuilt_whatever_its_stale_header_says() {
        // After ESP was taken off, the total length still counts the trailer and the integrity value.
        let told = Told {
            secured: true,
            reassembled: true,
        };
        assert_eq!(
            rebuild(Family::V4, told, &ipv4(5, 1500, protocol::ESP), 1460),
            Ok(Some(Rebuild::Ipsec))
        );
        assert_eq!(
            rebuild(Family::V6, told, &ipv6(1400, protocol::AH), 1400),
            Ok(Some(Rebuild::Ipsec))
        );
    }

    #[test]
    fn a_secured_packet_is_rebuilt_even_when_its_header_shows_nothing() {
        // IPv6 with an extension header before AH, or a stack that restored the protocol field.
        let told = Told {
            secured: true,
            reassembled: false,
        };
        let plain = ipv4(5, 100, protocol::TCP);
        assert_eq!(
            rebuild(Family::V4, told, &plain, 100),
            Ok(Some(Rebuild::Ipsec))
        );
        assert_eq!(
            rebuild(Family::V6, told, &ipv6(60, 60), 100),
            Ok(Some(Rebuild::Ipsec))
        );
    }

    #[test]
    fn an_ah_or_esp_header_left_in_is_seen_even_when_no_flag_told_of_it() {
        assert_eq!(
            rebuild(Family::V4, PLAIN, &ipv4(5, 1500, protocol::AH), 1500),
            Ok(Some(Rebuild::Ipsec))
        );
        assert_eq!(
            rebuild(Family::V6, PLAIN, &ipv6(1400, protocol::ESP), 1400),
            Ok(Some(Rebuild::Ipsec))
        );
    }

    #[test]
    fn a_reassembled_packet_is_rebuilt() {
        let told = Told {
            secured: false,
            reassembled: true,
        };
        assert_eq!(
            rebuild(Family::V4, told, &ipv4(5, 100, protocol::UDP), 3000),
            Ok(Some(Rebuild::Reassembled))
        );
    }

    #[test]
    fn a_clone_that_begins_elsewhere_is_not_a_packet() {
        assert_eq!(
            rebuild(Family::V4, PLAIN, &ipv6(60, protocol::TCP), 100),
            Err(NotAPacket)
        );
        assert_eq!(
            rebuild(
                Family::V6,
                PLAIN,
                &[ipv4(5, 100, 6), vec![0; 20]].concat(),
                100
            ),
            Err(NotAPacket)
        );
        let mut short = ipv4(5, 100, protocol::TCP);
        short[0] = 0x44;
        assert_eq!(
            rebuild(Family::V4, PLAIN, &short, 100),
            Err(NotAPacket),
            "a header of 16 bytes"
        );
        assert_eq!(
            rebuild(Family::V4, PLAIN, &ipv4(15, 100, 6)[..59], 100),
            Err(NotAPacket),
            "options cut off"
        );
    }

    #[test]
    fn a_packet_longer_by_its_own_word_than_it_is_is_not_a_packet() {
        assert_eq!(
            rebuild(Family::V4, PLAIN, &ipv4(5, 101, protocol::TCP), 100),
            Err(NotAPacket)
        );
        assert_eq!(
            rebuild(Family::V6, PLAIN, &ipv6(61, protocol::TCP), 100),
            Err(NotAPacket)
        );
    }

    #[test]
    fn a_jumbogram_is_not_measured_by_the_field_it_leaves_empty() {
        assert_eq!(rebuild(Family::V6, PLAIN, &ipv6(0, 0), 70_000), Ok(None));
    }
}
