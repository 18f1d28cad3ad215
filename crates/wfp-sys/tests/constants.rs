//! The numbers a reader of a trace or of a crash dump would look up, written out a second time from the platform contract
//! (sections F.2 and F.3). Names come from two sources, this crate and windows-sys, and both have to mean these numbers.

use wfp_sys::{consts::*, fwpm::*, layers::*, status::*};

macro_rules! assert_values {
    ($($name:path = $value:expr,)+) => { $(assert_eq!($name, $value, stringify!($name));)+ };
}

#[test]
fn the_layers_the_driver_filters_at_have_their_run_time_identifiers() {
    assert_values! {
        FWPS_LAYER_INBOUND_IPPACKET_V4 = 0,
        FWPS_LAYER_OUTBOUND_IPPACKET_V6 = 6,
        FWPS_LAYER_INBOUND_TRANSPORT_V4 = 12,
        FWPS_LAYER_INBOUND_TRANSPORT_V4_DISCARD = 13,
        FWPS_LAYER_INBOUND_TRANSPORT_V6 = 14,
        FWPS_LAYER_INBOUND_TRANSPORT_V6_DISCARD = 15,
        FWPS_LAYER_OUTBOUND_TRANSPORT_V4 = 16,
        FWPS_LAYER_OUTBOUND_TRANSPORT_V6 = 18,
        FWPS_LAYER_DATAGRAM_DATA_V4 = 24,
        FWPS_LAYER_INBOUND_ICMP_ERROR_V4 = 28,
        FWPS_LAYER_ALE_RESOURCE_ASSIGNMENT_V4 = 36,
        FWPS_LAYER_ALE_AUTH_LISTEN_V4 = 40,
        FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4 = 44,
        FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6 = 46,
        FWPS_LAYER_ALE_AUTH_CONNECT_V4 = 48,
        FWPS_LAYER_ALE_AUTH_CONNECT_V6 = 50,
        FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4 = 52,
        FWPS_LAYER_ALE_FLOW_ESTABLISHED_V6 = 54,
        FWPS_LAYER_ALE_ENDPOINT_CLOSURE_V4 = 64,
        FWPS_LAYER_STREAM_PACKET_V4 = 70,
        FWPS_LAYER_OUTBOUND_MAC_FRAME_NATIVE_FAST = 81,
        FWPS_LAYER_KM_AUTHORIZATION = 98,
    }
    assert_eq!(
        LAYER_NAMES[usize::from(FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6)],
        "FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6"
    );
    assert_eq!(LAYER_NAMES.len(), 99);
}

#[test]
fn inbound_and_outbound_transport_order_the_addresses_differently() {
    assert_values! {
        inbound_transport::IP_PROTOCOL = 0,
        inbound_transport::IP_LOCAL_ADDRESS = 1,
        inbound_transport::IP_REMOTE_ADDRESS = 2,
        inbound_transport::IP_LOCAL_PORT = 4,
        inbound_transport::IP_REMOTE_PORT = 5,
        inbound_transport::INTERFACE_INDEX = 7,
        inbound_transport::SUB_INTERFACE_INDEX = 8,
        inbound_transport::FLAGS = 9,
        inbound_transport::MAX = 15,
        outbound_transport::IP_PROTOCOL = 0,
        outbound_transport::IP_LOCAL_ADDRESS = 1,
        outbound_transport::IP_LOCAL_ADDRESS_TYPE = 2,
        outbound_transport::IP_REMOTE_ADDRESS = 3,
        outbound_transport::IP_LOCAL_PORT = 4,
        outbound_transport::IP_REMOTE_PORT = 5,
        outbound_transport::FLAGS = 10,
        outbound_transport::MAX = 16,
    }
}

#[test]
fn the_authorization_layers_have_the_indices_of_windows_10_rs5() {
    assert_values! {
        ale_auth_recv_accept::ALE_APP_ID = 0,
        ale_auth_recv_accept::IP_LOCAL_ADDRESS = 2,
        ale_auth_recv_accept::IP_LOCAL_PORT = 4,
        ale_auth_recv_accept::IP_PROTOCOL = 5,
        ale_auth_recv_accept::IP_REMOTE_ADDRESS = 6,
        ale_auth_recv_accept::IP_REMOTE_PORT = 7,
        ale_auth_recv_accept::FLAGS = 11,
        ale_auth_recv_accept::SIO_FIREWALL_SOCKET_PROPERTY = 12,
        ale_auth_recv_accept::LOCAL_INTERFACE_INDEX = 16,
        ale_auth_recv_accept::ARRIVAL_SUB_INTERFACE_INDEX = 17,
        ale_auth_recv_accept::ARRIVAL_INTERFACE_INDEX = 21,
        ale_auth_recv_accept::REAUTHORIZE_REASON = 29,
        ale_auth_recv_accept::COMPARTMENT_ID = 34,
        ale_auth_recv_accept::MAX = 39,
        ale_auth_connect::ALE_APP_ID = 0,
        ale_auth_connect::IP_PROTOCOL = 5,
        ale_auth_connect::IP_REMOTE_ADDRESS = 6,
        ale_auth_connect::FLAGS = 12,
        ale_auth_connect::REAUTHORIZE_REASON = 28,
        ale_auth_connect::COMPARTMENT_ID = 36,
        ale_auth_connect::MAX = 41,
        ale_flow_established::DIRECTION = 12,
        ale_flow_established::FLAGS = 15,
        ale_flow_established::MAX = 24,
    }
    assert_eq!(
        ale_auth_connect::NAMES[usize::from(ale_auth_connect::REAUTHORIZE_REASON)],
        "REAUTHORIZE_REASON"
    );
}

#[test]
fn an_icmp_packet_carries_its_type_and_code_where_others_carry_ports() {
    assert_eq!(inbound_transport::ICMP_TYPE, 4);
    assert_eq!(inbound_transport::ICMP_CODE, 5);
    assert_eq!(ale_auth_recv_accept::ICMP_TYPE, 4);
    assert_eq!(ale_auth_recv_accept::ICMP_CODE, 7);
    assert_eq!(ale_auth_connect::ICMP_TYPE, 4);
    assert_eq!(ale_flow_established::ICMP_CODE, 7);
}

#[test]
fn condition_flags_have_the_bits_of_the_contract() {
    assert_values! {
        FWP_CONDITION_FLAG_IS_LOOPBACK = 0x1,
        FWP_CONDITION_FLAG_IS_IPSEC_SECURED = 0x2,
        FWP_CONDITION_FLAG_IS_REAUTHORIZE = 0x4,
        FWP_CONDITION_FLAG_IS_WILDCARD_BIND = 0x8,
        FWP_CONDITION_FLAG_IS_RAW_ENDPOINT = 0x10,
        FWP_CONDITION_FLAG_IS_FRAGMENT = 0x20,
        FWP_CONDITION_FLAG_IS_FRAGMENT_GROUP = 0x40,
        FWP_CONDITION_FLAG_IS_IPSEC_NATT_RECLASSIFY = 0x80,
        FWP_CONDITION_FLAG_REQUIRES_ALE_CLASSIFY = 0x100,
        FWP_CONDITION_FLAG_IS_IMPLICIT_BIND = 0x200,
        FWP_CONDITION_FLAG_IS_REASSEMBLED = 0x400,
        FWP_CONDITION_FLAG_IS_NAME_APP_SPECIFIED = 0x4000,
        FWP_CONDITION_FLAG_IS_PROMISCUOUS = 0x8000,
        FWP_CONDITION_FLAG_IS_AUTH_FW = 0x1_0000,
        FWP_CONDITION_FLAG_IS_RECLASSIFY = 0x2_0000,
        FWP_CONDITION_FLAG_IS_OUTBOUND_PASS_THRU = 0x4_0000,
        FWP_CONDITION_FLAG_IS_INBOUND_PASS_THRU = 0x8_0000,
        FWP_CONDITION_FLAG_IS_CONNECTION_REDIRECTED = 0x10_0000,
        FWP_CONDITION_FLAG_IS_PROXY_CONNECTION = 0x20_0000,
        FWP_CONDITION_FLAG_IS_APPCONTAINER_LOOPBACK = 0x40_0000,
        FWP_CONDITION_FLAG_IS_NON_APPCONTAINER_LOOPBACK = 0x80_0000,
        FWP_CONDITION_FLAG_IS_RESERVED = 0x100_0000,
        FWP_CONDITION_FLAG_IS_HONORING_POLICY_AUTHORIZE = 0x200_0000,
    }
}

#[test]
fn reauthorization_reasons_have_the_bits_of_the_contract() {
    assert_values! {
        FWP_CONDITION_REAUTHORIZE_REASON_POLICY_CHANGE = 0x1,
        FWP_CONDITION_REAUTHORIZE_REASON_NEW_ARRIVAL_INTERFACE = 0x2,
        FWP_CONDITION_REAUTHORIZE_REASON_NEW_NEXTHOP_INTERFACE = 0x4,
        FWP_CONDITION_REAUTHORIZE_REASON_PROFILE_CROSSING = 0x8,
        FWP_CONDITION_REAUTHORIZE_REASON_CLASSIFY_COMPLETION = 0x10,
        FWP_CONDITION_REAUTHORIZE_REASON_IPSEC_PROPERTIES_CHANGED = 0x20,
        FWP_CONDITION_REAUTHORIZE_REASON_MID_STREAM_INSPECTION = 0x40,
        FWP_CONDITION_REAUTHORIZE_REASON_SOCKET_PROPERTY_CHANGED = 0x80,
        FWP_CONDITION_REAUTHORIZE_REASON_NEW_INBOUND_MCAST_BCAST_PACKET = 0x100,
        FWP_CONDITION_REAUTHORIZE_REASON_EDP_POLICY_CHANGED = 0x200,
        FWP_CONDITION_REAUTHORIZE_REASON_PROXY_HANDLE_CHANGED = 0x4000,
        FWP_CONDITION_REAUTHORIZE_REASON_CHECK_OFFLOAD = 0x1_0000,
    }
}

#[test]
fn values_actions_and_decisions_have_the_numbers_of_the_contract() {
    assert_values! {
        FWP_EMPTY = 0,
        FWP_UINT8 = 1,
        FWP_UINT16 = 2,
        FWP_UINT32 = 3,
        FWP_UINT64 = 4,
        FWP_INT8 = 5,
        FWP_INT64 = 8,
        FWP_FLOAT = 9,
        FWP_DOUBLE = 10,
        FWP_BYTE_ARRAY16_TYPE = 11,
        FWP_BYTE_BLOB_TYPE = 12,
        FWP_SID = 13,
        FWP_SECURITY_DESCRIPTOR_TYPE = 14,
        FWP_TOKEN_INFORMATION_TYPE = 15,
        FWP_TOKEN_ACCESS_INFORMATION_TYPE = 16,
        FWP_UNICODE_STRING_TYPE = 17,
        FWP_BYTE_ARRAY6_TYPE = 18,
        FWP_SINGLE_DATA_TYPE_MAX = 0xff,
        FWP_V4_ADDR_MASK = 0x100,
        FWP_V6_ADDR_MASK = 0x101,
        FWP_RANGE_TYPE = 0x102,
        FWP_ACTION_BLOCK = 0x1001,
        FWP_ACTION_PERMIT = 0x1002,
        FWP_ACTION_CALLOUT_TERMINATING = 0x5003,
        FWP_ACTION_CALLOUT_INSPECTION = 0x6004,
        FWP_ACTION_CALLOUT_UNKNOWN = 0x4005,
        FWP_ACTION_CONTINUE = 0x2006,
        FWP_ACTION_NONE = 7,
        FWP_ACTION_NONE_NO_MATCH = 8,
        FWPS_RIGHT_ACTION_WRITE = 1,
        FWPS_CLASSIFY_OUT_FLAG_ABSORB = 1,
        FWPS_CLASSIFY_OUT_FLAG_BUFFER_LIMIT_REACHED = 2,
        FWPS_CLASSIFY_OUT_FLAG_NO_MORE_DATA = 4,
        FWPS_CLASSIFY_OUT_FLAG_ALE_FAST_CACHE_CHECK = 8,
        FWPS_CLASSIFY_OUT_FLAG_ALE_FAST_CACHE_POSSIBLE = 0x10,
        FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT = 1,
        FWPS_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED = 2,
        FWPS_FILTER_FLAG_OR_CONDITIONS = 4,
        FWPS_FILTER_FLAG_HAS_SECURITY_REALM_PROVIDER_CONTEXT = 8,
        FWPS_FILTER_FLAG_SILENT_MODE = 0x10,
        FWPS_FILTER_FLAG_IPSEC_NO_ACQUIRE_INITIATE = 0x20,
    }
}

#[test]
fn callout_flags_and_management_flags_have_the_bits_of_the_contract() {
    assert_values! {
        FWP_CALLOUT_FLAG_CONDITIONAL_ON_FLOW = 1,
        FWP_CALLOUT_FLAG_ALLOW_OFFLOAD = 2,
        FWP_CALLOUT_FLAG_ENABLE_COMMIT_ADD_NOTIFY = 4,
        FWP_CALLOUT_FLAG_ALLOW_MID_STREAM_INSPECTION = 8,
        FWP_CALLOUT_FLAG_ALLOW_RECLASSIFY = 0x10,
        FWP_CALLOUT_FLAG_RESERVED1 = 0x20,
        FWP_CALLOUT_FLAG_ALLOW_RSC = 0x40,
        FWP_CALLOUT_FLAG_ALLOW_L2_BATCH_CLASSIFY = 0x80,
        FWP_CALLOUT_FLAG_ALLOW_USO = 0x100,
        FWP_CALLOUT_FLAG_ALLOW_URO = 0x200,
        FWP_CALLOUT_FLAG_RESERVED2 = 0x400,
        FWPM_SESSION_FLAG_DYNAMIC = 1,
    }
}

#[test]
fn injection_states_directions_and_families_have_the_numbers_of_the_contract() {
    assert_values! {
        FWPS_PACKET_NOT_INJECTED = 0,
        FWPS_PACKET_INJECTED_BY_SELF = 1,
        FWPS_PACKET_INJECTED_BY_OTHER = 2,
        FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF = 3,
        FWPS_PACKET_LIST_INFORMATION_QUERY_ALL_INBOUND = !FWPS_PACKET_LIST_INFORMATION_QUERY_OUTBOUND,
        FWPS_PACKET_LIST_INFORMATION_QUERY_ALL_OUTBOUND = !FWPS_PACKET_LIST_INFORMATION_QUERY_INBOUND,
        FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC = 4,
        FWPS_PACKET_LIST_INFORMATION_QUERY_FWP = 8,
        FWPS_INJECTION_TYPE_TRANSPORT = 2,
        FWP_DIRECTION_OUTBOUND = 0,
        FWP_DIRECTION_INBOUND = 1,
        AF_UNSPEC = 0,
        AF_INET = 2,
        AF_INET6 = 23,
        UNSPECIFIED_COMPARTMENT_ID = 0,
        IPPROTO_ICMP = 1,
        IPPROTO_TCP = 6,
        IPPROTO_UDP = 17,
        IPPROTO_ESP = 50,
        IPPROTO_AH = 51,
        IPPROTO_ICMPV6 = 58,
    }
}

#[test]
fn statuses_have_the_numbers_a_crash_dump_shows() {
    let expected: [(i32, u32); 17] = [
        (STATUS_SUCCESS, 0),
        (STATUS_PENDING, 0x103),
        (STATUS_OBJECT_NAME_EXISTS, 0x4000_0000),
        (STATUS_DEVICE_BUSY, 0x8000_0011),
        (STATUS_UNSUCCESSFUL, 0xC000_0001),
        (STATUS_INVALID_PARAMETER, 0xC000_000D),
        (STATUS_INSUFFICIENT_RESOURCES, 0xC000_009A),
        (STATUS_DATA_NOT_ACCEPTED, 0xC000_021B),
        (STATUS_FWP_CALLOUT_NOT_FOUND, 0xC022_0001),
        (STATUS_FWP_ALREADY_EXISTS, 0xC022_0009),
        (STATUS_FWP_IN_USE, 0xC022_000A),
        (STATUS_FWP_INCOMPATIBLE_LAYER, 0xC022_0014),
        (STATUS_FWP_NULL_POINTER, 0xC022_001C),
        (STATUS_FWP_INVALID_PARAMETER, 0xC022_0035),
        (STATUS_FWP_TCPIP_NOT_READY, 0xC022_0100),
        (STATUS_FWP_INJECT_HANDLE_CLOSING, 0xC022_0101),
        (STATUS_FWP_INJECT_HANDLE_STALE, 0xC022_0102),
    ];
    for (status, number) in expected {
        assert_eq!(status.cast_unsigned(), number, "{number:#010x}");
    }
    assert_eq!(STATUS_FWP_CANNOT_PEND.cast_unsigned(), 0xC022_0103);
}
