//! Run-time identifiers of the filtering layers and the indices of their fields (fwpsk.h; contract, F.2).
//!
//! A layer's field table only ever grows, so an index is checked against `FWPS_INCOMING_VALUES0::valueCount` before use: an older
//! system has fewer. `MAX` is how many there are with `NTDDI_VERSION` 0x0A00000C, not a promise of how many arrive. The tables of
//! the IPv4 and the IPv6 layer of a kind are identical, hence one module for both.

macro_rules! layer_ids {
    ($($name:ident = $value:literal,)+) => {
        $(#[doc = concat!("Run-time identifier ", $value, " (fwpsk.h, `FWPS_BUILTIN_LAYERS`).")] pub const $name: u16 = $value;)+

        /// The names of the layers, indexed by their run-time identifier, for messages.
        pub const LAYER_NAMES: &[&str] = &[$(stringify!($name)),+];

        // An enumerator left out of the list would move all that follow it.
        const _: () = {
            let mut next = 0;
            $(assert!($name == next); next += 1;)+
            assert!(LAYER_NAMES.len() == next as usize);
        };
    };
}

macro_rules! fields {
    ($(
        $(#[$doc:meta])+
        $module:ident, $prefix:literal, max $max:literal, alias { $($alias:ident = $of:ident,)* }:
        $($name:ident = $value:literal,)+;
    )+) => {
        $(
            $(#[$doc])+
            #[doc = concat!("\n\nIndices of `FWPS_FIELDS_", $prefix, "_V4` and `_V6` (fwpsk.h; F.2).")]
            pub mod $module {
                $(
                    #[doc = concat!("`FWPS_FIELD_", $prefix, "_V4_", stringify!($name), "` and `_V6_`: index ", $value, ".")]
                    pub const $name: u16 = $value;
                )+
                $(
                    #[doc = concat!("`FWPS_FIELD_", $prefix, "_V4_", stringify!($alias), "` and `_V6_`: the same as")]
                    #[doc = concat!("[`", stringify!($of), "`].")]
                    pub const $alias: u16 = $of;
                )*

                #[doc = concat!("`FWPS_FIELD_", $prefix, "_V4_MAX` and `_V6_MAX`: how many fields there are, ", $max, ".")]
                pub const MAX: u16 = $max;

                /// The names of the fields by index, without the prefix, for messages.
                pub const NAMES: &[&str] = &[$(stringify!($name)),+];

                // An enumerator left out of the list would move all that follow it.
                const _: () = {
                    let mut next = 0;
                    $(assert!($name == next); next += 1;)+
                    assert!(MAX == next && NAMES.len() == next as usize);
                };
            }
        )+
    };
}

// Identifiers up to 81 have been the same in every SDK since they were added. Those from 82 on move with NTDDI_VERSION (F.2).
layer_ids! {
    FWPS_LAYER_INBOUND_IPPACKET_V4 = 0,
    FWPS_LAYER_INBOUND_IPPACKET_V4_DISCARD = 1,
    FWPS_LAYER_INBOUND_IPPACKET_V6 = 2,
    FWPS_LAYER_INBOUND_IPPACKET_V6_DISCARD = 3,
    FWPS_LAYER_OUTBOUND_IPPACKET_V4 = 4,
    FWPS_LAYER_OUTBOUND_IPPACKET_V4_DISCARD = 5,
    FWPS_LAYER_OUTBOUND_IPPACKET_V6 = 6,
    FWPS_LAYER_OUTBOUND_IPPACKET_V6_DISCARD = 7,
    FWPS_LAYER_IPFORWARD_V4 = 8,
    FWPS_LAYER_IPFORWARD_V4_DISCARD = 9,
    FWPS_LAYER_IPFORWARD_V6 = 10,
    FWPS_LAYER_IPFORWARD_V6_DISCARD = 11,
    FWPS_LAYER_INBOUND_TRANSPORT_V4 = 12,
    FWPS_LAYER_INBOUND_TRANSPORT_V4_DISCARD = 13,
    FWPS_LAYER_INBOUND_TRANSPORT_V6 = 14,
    FWPS_LAYER_INBOUND_TRANSPORT_V6_DISCARD = 15,
    FWPS_LAYER_OUTBOUND_TRANSPORT_V4 = 16,
    FWPS_LAYER_OUTBOUND_TRANSPORT_V4_DISCARD = 17,
    FWPS_LAYER_OUTBOUND_TRANSPORT_V6 = 18,
    FWPS_LAYER_OUTBOUND_TRANSPORT_V6_DISCARD = 19,
    FWPS_LAYER_STREAM_V4 = 20,
    FWPS_LAYER_STREAM_V4_DISCARD = 21,
    FWPS_LAYER_STREAM_V6 = 22,
    FWPS_LAYER_STREAM_V6_DISCARD = 23,
    FWPS_LAYER_DATAGRAM_DATA_V4 = 24,
    FWPS_LAYER_DATAGRAM_DATA_V4_DISCARD = 25,
    FWPS_LAYER_DATAGRAM_DATA_V6 = 26,
    FWPS_LAYER_DATAGRAM_DATA_V6_DISCARD = 27,
    FWPS_LAYER_INBOUND_ICMP_ERROR_V4 = 28,
    FWPS_LAYER_INBOUND_ICMP_ERROR_V4_DISCARD = 29,
    FWPS_LAYER_INBOUND_ICMP_ERROR_V6 = 30,
    FWPS_LAYER_INBOUND_ICMP_ERROR_V6_DISCARD = 31,
    FWPS_LAYER_OUTBOUND_ICMP_ERROR_V4 = 32,
    FWPS_LAYER_OUTBOUND_ICMP_ERROR_V4_DISCARD = 33,
    FWPS_LAYER_OUTBOUND_ICMP_ERROR_V6 = 34,
    FWPS_LAYER_OUTBOUND_ICMP_ERROR_V6_DISCARD = 35,
    FWPS_LAYER_ALE_RESOURCE_ASSIGNMENT_V4 = 36,
    FWPS_LAYER_ALE_RESOURCE_ASSIGNMENT_V4_DISCARD = 37,
    FWPS_LAYER_ALE_RESOURCE_ASSIGNMENT_V6 = 38,
    FWPS_LAYER_ALE_RESOURCE_ASSIGNMENT_V6_DISCARD = 39,
    FWPS_LAYER_ALE_AUTH_LISTEN_V4 = 40,
    FWPS_LAYER_ALE_AUTH_LISTEN_V4_DISCARD = 41,
    FWPS_LAYER_ALE_AUTH_LISTEN_V6 = 42,
    FWPS_LAYER_ALE_AUTH_LISTEN_V6_DISCARD = 43,
    FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4 = 44,
    FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4_DISCARD = 45,
    FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6 = 46,
    FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6_DISCARD = 47,
    FWPS_LAYER_ALE_AUTH_CONNECT_V4 = 48,
    FWPS_LAYER_ALE_AUTH_CONNECT_V4_DISCARD = 49,
    FWPS_LAYER_ALE_AUTH_CONNECT_V6 = 50,
    FWPS_LAYER_ALE_AUTH_CONNECT_V6_DISCARD = 51,
    FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4 = 52,
    FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4_DISCARD = 53,
    FWPS_LAYER_ALE_FLOW_ESTABLISHED_V6 = 54,
    FWPS_LAYER_ALE_FLOW_ESTABLISHED_V6_DISCARD = 55,
    FWPS_LAYER_INBOUND_MAC_FRAME_ETHERNET = 56,
    FWPS_LAYER_OUTBOUND_MAC_FRAME_ETHERNET = 57,
    FWPS_LAYER_INBOUND_MAC_FRAME_NATIVE = 58,
    FWPS_LAYER_OUTBOUND_MAC_FRAME_NATIVE = 59,
    FWPS_LAYER_NAME_RESOLUTION_CACHE_V4 = 60,
    FWPS_LAYER_NAME_RESOLUTION_CACHE_V6 = 61,
    FWPS_LAYER_ALE_RESOURCE_RELEASE_V4 = 62,
    FWPS_LAYER_ALE_RESOURCE_RELEASE_V6 = 63,
    FWPS_LAYER_ALE_ENDPOINT_CLOSURE_V4 = 64,
    FWPS_LAYER_ALE_ENDPOINT_CLOSURE_V6 = 65,
    FWPS_LAYER_ALE_CONNECT_REDIRECT_V4 = 66,
    FWPS_LAYER_ALE_CONNECT_REDIRECT_V6 = 67,
    FWPS_LAYER_ALE_BIND_REDIRECT_V4 = 68,
    FWPS_LAYER_ALE_BIND_REDIRECT_V6 = 69,
    FWPS_LAYER_STREAM_PACKET_V4 = 70,
    FWPS_LAYER_STREAM_PACKET_V6 = 71,
    FWPS_LAYER_INGRESS_VSWITCH_ETHERNET = 72,
    FWPS_LAYER_EGRESS_VSWITCH_ETHERNET = 73,
    FWPS_LAYER_INGRESS_VSWITCH_TRANSPORT_V4 = 74,
    FWPS_LAYER_INGRESS_VSWITCH_TRANSPORT_V6 = 75,
    FWPS_LAYER_EGRESS_VSWITCH_TRANSPORT_V4 = 76,
    FWPS_LAYER_EGRESS_VSWITCH_TRANSPORT_V6 = 77,
    FWPS_LAYER_INBOUND_TRANSPORT_FAST = 78,
    FWPS_LAYER_OUTBOUND_TRANSPORT_FAST = 79,
    FWPS_LAYER_INBOUND_MAC_FRAME_NATIVE_FAST = 80,
    FWPS_LAYER_OUTBOUND_MAC_FRAME_NATIVE_FAST = 81,
    FWPS_LAYER_INBOUND_RESERVED2 = 82,
    FWPS_LAYER_RESERVED_LAYER_9 = 83,
    FWPS_LAYER_RESERVED_LAYER_10 = 84,
    FWPS_LAYER_OUTBOUND_NETWORK_CONNECTION_POLICY_V4 = 85,
    FWPS_LAYER_OUTBOUND_NETWORK_CONNECTION_POLICY_V6 = 86,
    FWPS_LAYER_IPSEC_KM_DEMUX_V4 = 87,
    FWPS_LAYER_IPSEC_KM_DEMUX_V6 = 88,
    FWPS_LAYER_IPSEC_V4 = 89,
    FWPS_LAYER_IPSEC_V6 = 90,
    FWPS_LAYER_IKEEXT_V4 = 91,
    FWPS_LAYER_IKEEXT_V6 = 92,
    FWPS_LAYER_RPC_UM = 93,
    FWPS_LAYER_RPC_EPMAP = 94,
    FWPS_LAYER_RPC_EP_ADD = 95,
    FWPS_LAYER_RPC_PROXY_CONN = 96,
    FWPS_LAYER_RPC_PROXY_IF = 97,
    FWPS_LAYER_KM_AUTHORIZATION = 98,
}

/// Not a layer: stands for "not the filter engine" where a layer identifier is asked for (fwpsk.h).
pub const FWPS_LAYER_NON_WFP: u16 = 0xFFFF;

fields! {
    /// Received packets after the IP header was parsed, before IPsec and reassembly; 0 and 2.
    inbound_ippacket, "INBOUND_IPPACKET", max 10, alias {}:
        IP_LOCAL_ADDRESS = 0,
        IP_REMOTE_ADDRESS = 1,
        IP_LOCAL_ADDRESS_TYPE = 2,
        IP_LOCAL_INTERFACE = 3,
        INTERFACE_INDEX = 4,
        SUB_INTERFACE_INDEX = 5,
        FLAGS = 6,
        INTERFACE_TYPE = 7,
        TUNNEL_TYPE = 8,
        COMPARTMENT_ID = 9,
    ;
    /// Packets to send after everything else was done, before fragmentation; 4 and 6.
    outbound_ippacket, "OUTBOUND_IPPACKET", max 10, alias {}:
        IP_LOCAL_ADDRESS = 0,
        IP_LOCAL_ADDRESS_TYPE = 1,
        IP_REMOTE_ADDRESS = 2,
        IP_LOCAL_INTERFACE = 3,
        INTERFACE_INDEX = 4,
        SUB_INTERFACE_INDEX = 5,
        FLAGS = 6,
        INTERFACE_TYPE = 7,
        TUNNEL_TYPE = 8,
        COMPARTMENT_ID = 9,
    ;
    /// Received packets after the transport header was parsed; 12 and 14.
    ///
    /// For ICMP the local port is the type and the remote port the code.
    inbound_transport, "INBOUND_TRANSPORT", max 15, alias { ICMP_TYPE = IP_LOCAL_PORT, ICMP_CODE = IP_REMOTE_PORT, }:
        IP_PROTOCOL = 0,
        IP_LOCAL_ADDRESS = 1,
        IP_REMOTE_ADDRESS = 2,
        IP_LOCAL_ADDRESS_TYPE = 3,
        IP_LOCAL_PORT = 4,
        IP_REMOTE_PORT = 5,
        IP_LOCAL_INTERFACE = 6,
        INTERFACE_INDEX = 7,
        SUB_INTERFACE_INDEX = 8,
        FLAGS = 9,
        INTERFACE_TYPE = 10,
        TUNNEL_TYPE = 11,
        PROFILE_ID = 12,
        IPSEC_SECURITY_REALM_ID = 13,
        COMPARTMENT_ID = 14,
    ;
    /// Packets to send before the IP header is built; 16 and 18.
    ///
    /// For ICMP the local port is the type and the remote port the code.
    outbound_transport, "OUTBOUND_TRANSPORT", max 16, alias { ICMP_TYPE = IP_LOCAL_PORT, ICMP_CODE = IP_REMOTE_PORT, }:
        IP_PROTOCOL = 0,
        IP_LOCAL_ADDRESS = 1,
        IP_LOCAL_ADDRESS_TYPE = 2,
        IP_REMOTE_ADDRESS = 3,
        IP_LOCAL_PORT = 4,
        IP_REMOTE_PORT = 5,
        IP_LOCAL_INTERFACE = 6,
        INTERFACE_INDEX = 7,
        SUB_INTERFACE_INDEX = 8,
        IP_DESTINATION_ADDRESS_TYPE = 9,
        FLAGS = 10,
        INTERFACE_TYPE = 11,
        TUNNEL_TYPE = 12,
        PROFILE_ID = 13,
        IPSEC_SECURITY_REALM_ID = 14,
        COMPARTMENT_ID = 15,
    ;
    /// Authorization of inbound connections and first inbound packets; 44 and 46.
    ///
    /// `INTERFACE_INDEX` is the local (delivery) interface, `SUB_INTERFACE_INDEX` belongs to the arrival interface.
    ale_auth_recv_accept, "ALE_AUTH_RECV_ACCEPT", max 39, alias {
        ICMP_TYPE = IP_LOCAL_PORT,
        ICMP_CODE = IP_REMOTE_PORT,
        SIO_FIREWALL_SOCKET_PROPERTY = SIO_FIREWALL_SYSTEM_PORT,
        LOCAL_INTERFACE_TYPE = INTERFACE_TYPE,
        LOCAL_TUNNEL_TYPE = TUNNEL_TYPE,
        LOCAL_INTERFACE_INDEX = INTERFACE_INDEX,
        ARRIVAL_SUB_INTERFACE_INDEX = SUB_INTERFACE_INDEX,
    }:
        ALE_APP_ID = 0,
        ALE_USER_ID = 1,
        IP_LOCAL_ADDRESS = 2,
        IP_LOCAL_ADDRESS_TYPE = 3,
        IP_LOCAL_PORT = 4,
        IP_PROTOCOL = 5,
        IP_REMOTE_ADDRESS = 6,
        IP_REMOTE_PORT = 7,
        ALE_REMOTE_USER_ID = 8,
        ALE_REMOTE_MACHINE_ID = 9,
        IP_LOCAL_INTERFACE = 10,
        FLAGS = 11,
        SIO_FIREWALL_SYSTEM_PORT = 12,
        NAP_CONTEXT = 13,
        INTERFACE_TYPE = 14,
        TUNNEL_TYPE = 15,
        INTERFACE_INDEX = 16,
        SUB_INTERFACE_INDEX = 17,
        IP_ARRIVAL_INTERFACE = 18,
        ARRIVAL_INTERFACE_TYPE = 19,
        ARRIVAL_TUNNEL_TYPE = 20,
        ARRIVAL_INTERFACE_INDEX = 21,
        NEXTHOP_SUB_INTERFACE_INDEX = 22,
        IP_NEXTHOP_INTERFACE = 23,
        NEXTHOP_INTERFACE_TYPE = 24,
        NEXTHOP_TUNNEL_TYPE = 25,
        NEXTHOP_INTERFACE_INDEX = 26,
        ORIGINAL_PROFILE_ID = 27,
        CURRENT_PROFILE_ID = 28,
        REAUTHORIZE_REASON = 29,
        ORIGINAL_ICMP_TYPE = 30,
        INTERFACE_QUARANTINE_EPOCH = 31,
        ALE_PACKAGE_ID = 32,
        ALE_SECURITY_ATTRIBUTE_FQBN_VALUE = 33,
        COMPARTMENT_ID = 34,
        RESERVED_0 = 35,
        RESERVED_1 = 36,
        RESERVED_2 = 37,
        RESERVED_3 = 38,
    ;
    /// Authorization of outbound connections and first outbound packets; 48 and 50.
    ale_auth_connect, "ALE_AUTH_CONNECT", max 41, alias { ICMP_TYPE = IP_LOCAL_PORT, ICMP_CODE = IP_REMOTE_PORT, }:
        ALE_APP_ID = 0,
        ALE_USER_ID = 1,
        IP_LOCAL_ADDRESS = 2,
        IP_LOCAL_ADDRESS_TYPE = 3,
        IP_LOCAL_PORT = 4,
        IP_PROTOCOL = 5,
        IP_REMOTE_ADDRESS = 6,
        IP_REMOTE_PORT = 7,
        ALE_REMOTE_USER_ID = 8,
        ALE_REMOTE_MACHINE_ID = 9,
        IP_DESTINATION_ADDRESS_TYPE = 10,
        IP_LOCAL_INTERFACE = 11,
        FLAGS = 12,
        INTERFACE_TYPE = 13,
        TUNNEL_TYPE = 14,
        INTERFACE_INDEX = 15,
        SUB_INTERFACE_INDEX = 16,
        IP_ARRIVAL_INTERFACE = 17,
        ARRIVAL_INTERFACE_TYPE = 18,
        ARRIVAL_TUNNEL_TYPE = 19,
        ARRIVAL_INTERFACE_INDEX = 20,
        NEXTHOP_SUB_INTERFACE_INDEX = 21,
        IP_NEXTHOP_INTERFACE = 22,
        NEXTHOP_INTERFACE_TYPE = 23,
        NEXTHOP_TUNNEL_TYPE = 24,
        NEXTHOP_INTERFACE_INDEX = 25,
        ORIGINAL_PROFILE_ID = 26,
        CURRENT_PROFILE_ID = 27,
        REAUTHORIZE_REASON = 28,
        PEER_NAME = 29,
        ORIGINAL_ICMP_TYPE = 30,
        INTERFACE_QUARANTINE_EPOCH = 31,
        ALE_ORIGINAL_APP_ID = 32,
        ALE_PACKAGE_ID = 33,
        ALE_SECURITY_ATTRIBUTE_FQBN_VALUE = 34,
        ALE_EFFECTIVE_NAME = 35,
        COMPARTMENT_ID = 36,
        RESERVED_0 = 37,
        RESERVED_1 = 38,
        RESERVED_2 = 39,
        RESERVED_3 = 40,
    ;
    /// Notification that a flow was authorized and set up; 52 and 54.
    ale_flow_established, "ALE_FLOW_ESTABLISHED", max 24, alias { ICMP_TYPE = IP_LOCAL_PORT, ICMP_CODE = IP_REMOTE_PORT, }:
        ALE_APP_ID = 0,
        ALE_USER_ID = 1,
        IP_LOCAL_ADDRESS = 2,
        IP_LOCAL_ADDRESS_TYPE = 3,
        IP_LOCAL_PORT = 4,
        IP_PROTOCOL = 5,
        IP_REMOTE_ADDRESS = 6,
        IP_REMOTE_PORT = 7,
        ALE_REMOTE_USER_ID = 8,
        ALE_REMOTE_MACHINE_ID = 9,
        IP_DESTINATION_ADDRESS_TYPE = 10,
        IP_LOCAL_INTERFACE = 11,
        DIRECTION = 12,
        INTERFACE_TYPE = 13,
        TUNNEL_TYPE = 14,
        FLAGS = 15,
        ALE_ORIGINAL_APP_ID = 16,
        ALE_PACKAGE_ID = 17,
        ALE_SECURITY_ATTRIBUTE_FQBN_VALUE = 18,
        COMPARTMENT_ID = 19,
        RESERVED_0 = 20,
        RESERVED_1 = 21,
        RESERVED_2 = 22,
        RESERVED_3 = 23,
    ;
}
