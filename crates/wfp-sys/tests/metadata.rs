//! The bits that say which metadata are present (contract, F.1) and what they must not be taken for.

use wfp_sys::{consts::*, fwps::*};

/// Every bit of `currentMetadataValues` with the number the contract gives it.
const METADATA_FIELDS: [(u32, u32); 32] = [
    (FWPS_METADATA_FIELD_DISCARD_REASON, 0x1),
    (FWPS_METADATA_FIELD_FLOW_HANDLE, 0x2),
    (FWPS_METADATA_FIELD_IP_HEADER_SIZE, 0x4),
    (FWPS_METADATA_FIELD_PROCESS_PATH, 0x8),
    (FWPS_METADATA_FIELD_TOKEN, 0x10),
    (FWPS_METADATA_FIELD_PROCESS_ID, 0x20),
    (FWPS_METADATA_FIELD_SYSTEM_FLAGS, 0x40),
    (FWPS_METADATA_FIELD_RESERVED, 0x80),
    (FWPS_METADATA_FIELD_SOURCE_INTERFACE_INDEX, 0x100),
    (FWPS_METADATA_FIELD_DESTINATION_INTERFACE_INDEX, 0x200),
    (FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE, 0x400),
    (FWPS_METADATA_FIELD_COMPARTMENT_ID, 0x800),
    (FWPS_METADATA_FIELD_FRAGMENT_DATA, 0x1000),
    (FWPS_METADATA_FIELD_PATH_MTU, 0x2000),
    (FWPS_METADATA_FIELD_COMPLETION_HANDLE, 0x4000),
    (FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE, 0x8000),
    (FWPS_METADATA_FIELD_TRANSPORT_CONTROL_DATA, 0x1_0000),
    (FWPS_METADATA_FIELD_REMOTE_SCOPE_ID, 0x2_0000),
    (FWPS_METADATA_FIELD_PACKET_DIRECTION, 0x4_0000),
    (FWPS_METADATA_FIELD_PACKET_SYSTEM_CRITICAL, 0x8_0000),
    (
        FWPS_METADATA_FIELD_FORWARD_LAYER_OUTBOUND_PASS_THRU,
        0x10_0000,
    ),
    (
        FWPS_METADATA_FIELD_FORWARD_LAYER_INBOUND_PASS_THRU,
        0x20_0000,
    ),
    (FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED, 0x40_0000),
    (
        FWPS_METADATA_FIELD_TRANSPORT_HEADER_INCLUDE_HEADER,
        0x80_0000,
    ),
    (FWPS_METADATA_FIELD_DESTINATION_PREFIX, 0x100_0000),
    (FWPS_METADATA_FIELD_ETHER_FRAME_LENGTH, 0x200_0000),
    (FWPS_METADATA_FIELD_PARENT_ENDPOINT_HANDLE, 0x400_0000),
    (FWPS_METADATA_FIELD_ICMP_ID_AND_SEQUENCE, 0x800_0000),
    (FWPS_METADATA_FIELD_LOCAL_REDIRECT_TARGET_PID, 0x1000_0000),
    (FWPS_METADATA_FIELD_ORIGINAL_DESTINATION, 0x2000_0000),
    (FWPS_METADATA_FIELD_REDIRECT_RECORD_HANDLE, 0x4000_0000),
    (FWPS_METADATA_FIELD_SUB_PROCESS_TAG, 0x8000_0000),
];

#[test]
fn every_metadata_field_is_one_bit_and_no_two_share_one() {
    let mut seen = 0_u32;
    for (bit, number) in METADATA_FIELDS {
        assert_eq!(bit, number, "the bit the contract names {number:#x}");
        assert_eq!(bit.count_ones(), 1, "{bit:#x} is not one bit");
        assert_eq!(seen & bit, 0, "{bit:#x} stands for two fields");
        seen |= bit;
    }
    assert_eq!(seen, u32::MAX, "the word has no bit to spare");
}

#[test]
fn a_reassembled_packet_and_a_transport_header_size_are_the_same_number_in_different_words() {
    // a driver that tests a condition flag against the metadata word finds it set for nearly every packet.
    assert_eq!(
        FWP_CONDITION_FLAG_IS_REASSEMBLED,
        FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE
    );
}

#[test]
fn metadata_start_out_empty() {
    let metadata = FWPS_INCOMING_METADATA_VALUES0::default();
    assert_eq!(metadata.currentMetadataValues, 0);
    assert!(metadata.completionHandle.is_null());
    assert!(metadata.controlData.is_null());
}

#[test]
fn the_security_of_a_detunneled_packet_reads_bit_by_bit() {
    let inbound = FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0::default()
        .withSecure()
        .withTunnelMode()
        .withDeTunneled();
    assert_eq!(inbound.bits, 0b10_0101);
    let information = FWPS_PACKET_LIST_INFORMATION0 {
        ipsecInformation: FWPS_PACKET_LIST_IPSEC_INFORMATION0 {
            flags: inbound.bits,
        },
        fwpInformation: FWPS_PACKET_LIST_FWP_INFORMATION0 { bits: 1 },
    };
    let inbound = information.ipsecInformation.inbound();
    assert!(inbound.isSecure() && inbound.isTunnelMode() && inbound.isDeTunneled());
    assert!(
        !inbound.isTransportMode()
            && !inbound.isTransportModeVerified()
            && !inbound.isTunnelModeVerified()
    );
    assert!(information.fwpInformation.isReinjected());
    // The same word read for the other direction is something else entirely.
    let outbound = information.ipsecInformation.outbound();
    assert!(
        outbound.isIPsecPolicyMatch()
            && outbound.isTunnelPolicyMatch()
            && !outbound.isTransportPolicyMatch()
    );
}
