//! The packet structures as a debugger would show them (contract, F.4 and part B).

use core::mem::offset_of;

use wfp_sys::{ndis::*, status::*};

#[test]
fn the_filter_engines_slot_is_where_a_null_list_faults() {
    // FwpsDereferenceNetBufferList0 of a null list faults at address 0xE0, which is the engine's slot.
    let slot =
        offset_of!(NET_BUFFER_LIST, NetBufferListInfo) + WfpNetBufferListInfo * size_of::<usize>();
    assert_eq!(slot, 0xE0);
}

#[test]
fn the_out_of_band_slots_are_those_of_64_bit_ndis_685() {
    assert_eq!(TcpIpChecksumNetBufferListInfo, 0);
    assert_eq!(TcpLargeSendNetBufferListInfo, 2);
    assert_eq!(MediaSpecificInformationEx, 15);
    assert_eq!(VirtualSubnetInfo, 20);
    assert_eq!(TcpRecvSegCoalesceInfo, 22);
    assert_eq!(MaxNetBufferListInfo, 27);
}

#[test]
fn list_and_mdl_flags_have_the_bits_of_the_contract() {
    assert_eq!(NDIS_NBL_FLAGS_IS_IPV4 | NDIS_NBL_FLAGS_IS_IPV6, 0x600);
    assert_eq!(NDIS_NBL_FLAGS_IS_TCP | NDIS_NBL_FLAGS_IS_UDP, 0x1800);
    assert_eq!(NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET, 0x8000);
    assert_eq!(MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL, 5);
    assert_eq!(MDL_NETWORK_HEADER, 0x1000);
}

#[test]
fn checksum_bits_fill_the_slot_in_the_order_of_the_bit_fields() {
    use checksum_transmit as transmit;
    let bits =
        transmit::IS_IPV4 | transmit::IS_IPV6 | transmit::TCP_CHECKSUM | transmit::UDP_CHECKSUM;
    assert_eq!(bits | transmit::IP_HEADER_CHECKSUM, 0x1F);
    assert_eq!(transmit::TCP_HEADER_OFFSET_MASK, ((1 << 10) - 1) << 16);
    assert_eq!(checksum_receive::IP_CHECKSUM_VALUE_INVALID, 1 << 8);
}

#[test]
fn ndis_statuses_are_the_ntstatuses_of_the_same_meaning() {
    assert_eq!(NDIS_STATUS_SUCCESS, STATUS_SUCCESS);
    assert_eq!(NDIS_STATUS_RESOURCES.cast_unsigned(), 0xC000_009A);
    assert_eq!(NDIS_STATUS_FAILURE.cast_unsigned(), 0xC000_0001);
}
