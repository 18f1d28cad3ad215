//! What the reasons of drops mean, in a sentence each.

/// What a reason for which a packet was dropped outside the driver means; empty for one that is not known here.
pub fn text(reason: &str) -> &'static str {
    match reason {
        "not_ip" => "ARP, LLDP and the like: no IP packet in the frame",
        "not_for_host" => "between addresses that are not the host's; --host names more",
        "truncated" => "the capture has only the start of the packet (snapshot length)",
        "malformed_link" => "the link header cannot be read",
        "unsupported_link_type" => "a link type of the capture that wfpsim does not know",
        "malformed_ip_truncated" => "the packet ends within its IP header, or before its length",
        "malformed_ip_version" => "neither version 4 nor 6",
        "malformed_ip_header_length" => "an IP header length that cannot be",
        "malformed_ip_total_length" => "an IP length shorter than its own header",
        "ip_without_length" => "IP length 0: segmentation was left to the adapter, or a jumbogram",
        "fragment_incomplete" => "the other fragments of the packet never came",
        "fragment_overlap" => "fragments of the packet overlap and differ",
        "fragment_of_rejected_datagram" => "another fragment of the packet was bad",
        "fragment_length" => "a fragment that is not the last has not a multiple of 8 bytes",
        "fragment_empty" => "a fragment without data",
        "fragment_too_long" => "put together longer than a packet can be",
        "fragment_end" => "fragments disagree about the end of the packet",
        "later_fragment" => "a fragment without the transport header",
        "transport_header_truncated" => "the packet ends within its transport header",
        "tcp_header_length" => "a TCP header length that cannot be",
        "ipsec_no_association" => {
            "AH or ESP, and no association with this destination, SPI and protocol (--sa)"
        }
        "ipsec_bad_integrity" => "changed on its way, or the key of the association is wrong",
        "ipsec_replayed" => "a sequence number seen before, or older than the window",
        "ipsec_malformed" => "an AH or ESP packet that is not what it says it is",
        "ipsec_not_a_tunnel" => "a tunnel-mode association without an IP packet inside",
        "ipsec_wrong_encapsulation" => {
            "ESP in UDP where the association has it bare, or vice versa"
        }
        "ipsec_fragment" => "a fragment of an IPsec packet",
        "ipsec_dummy" => "a dummy packet, which carries nothing (RFC 4303, 2.6)",
        "ipsec_too_many_layers" => "more IPsec headers in a row than any sender makes",
        "ipsec_too_long" => "with IPsec longer than a packet can be",
        "ipsec_natt_keepalive" => "a keepalive of NAT traversal, which its receiver ignores",
        "injected_with_bad_ip_checksum" => "injected with a wrong IPv4 header checksum (A-60)",
        "endpoint_closed" => "the socket was closed before the injection (A-53)",
        "machine_stopped" => "on its way when the machine stopped",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_ipsec_has_its_sentence() {
        for reason in wfpsim_ipsec::Refused::REASONS {
            assert!(!text(reason).is_empty(), "{reason}");
        }
    }
}
