//! The eight layers this crate knows, and where each keeps its values.

use wfp_sys::{
    GUID,
    consts::{ADDRESS_FAMILY, AF_INET, AF_INET6},
    fwpm, layers,
    layers::{ale_auth_connect, ale_auth_recv_accept, inbound_transport, outbound_transport},
};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The number ws2def.h gives it.
    #[must_use]
    pub const fn address_family(self) -> ADDRESS_FAMILY {
        match self {
            Family::V4 => AF_INET,
            Family::V6 => AF_INET6,
        }
    }
}

/// What a layer is about, for both address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// ALE_AUTH_RECV_ACCEPT: authorization of inbound connections and first inbound packets.
    RecvAccept,
    /// ALE_AUTH_CONNECT: authorization of outbound connections and first outbound packets.
    Connect,
    /// INBOUND_TRANSPORT: received packets, after the transport header was parsed.
    InboundTransport,
    /// OUTBOUND_TRANSPORT: packets to send, before the IP header is built.
    OutboundTransport,
}

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// What it is about.
    pub kind: LayerKind,
    /// For which address family.
    pub family: Family,
}

/// Indices of a layer's fixed values, the same for both families (F.2).
pub(crate) struct Fields {
    pub(crate) protocol: u16,
    pub(crate) local_address: u16,
    pub(crate) remote_address: u16,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) flags: u16,
    pub(crate) interface_index: u16,
    pub(crate) sub_interface_index: u16,
    pub(crate) arrival_interface_index: Option<u16>,
    pub(crate) reauthorize_reason: Option<u16>,
}

impl Layer {
    /// All of them.
    pub const ALL: [Layer; 8] = [
        Layer::new(LayerKind::RecvAccept, Family::V4),
        Layer::new(LayerKind::RecvAccept, Family::V6),
        Layer::new(LayerKind::Connect, Family::V4),
        Layer::new(LayerKind::Connect, Family::V6),
        Layer::new(LayerKind::InboundTransport, Family::V4),
        Layer::new(LayerKind::InboundTransport, Family::V6),
        Layer::new(LayerKind::OutboundTransport, Family::V4),
        Layer::new(LayerKind::OutboundTransport, Family::V6),
    ];

    /// The layer of a kind and a family.
    #[must_use]
    pub const fn new(kind: LayerKind, family: Family) -> Layer {
        Layer { kind, family }
    }

    /// The layer with a run-time identifier, if it is one of the eight.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Layer> {
        Layer::ALL.into_iter().find(|layer| layer.id() == id)
    }

    /// The run-time identifier, `FWPS_LAYER_*` (F.2).
    #[must_use]
    pub const fn id(self) -> u16 {
        match (self.kind, self.family) {
            (LayerKind::RecvAccept, Family::V4) => layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4,
            (LayerKind::RecvAccept, Family::V6) => layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6,
            (LayerKind::Connect, Family::V4) => layers::FWPS_LAYER_ALE_AUTH_CONNECT_V4,
            (LayerKind::Connect, Family::V6) => layers::FWPS_LAYER_ALE_AUTH_CONNECT_V6,
            (LayerKind::InboundTransport, Family::V4) => layers::FWPS_LAYER_INBOUND_TRANSPORT_V4,
            (LayerKind::InboundTransport, Family::V6) => layers::FWPS_LAYER_INBOUND_TRANSPORT_V6,
            (LayerKind::OutboundTransport, Family::V4) => layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V4,
            (LayerKind::OutboundTransport, Family::V6) => layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V6,
        }
    }

    /// The key, `FWPM_LAYER_*`.
    #[must_use]
    pub const fn key(self) -> GUID {
        match (self.kind, self.family) {
            (LayerKind::RecvAccept, Family::V4) => fwpm::FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4,
            (LayerKind::RecvAccept, Family::V6) => fwpm::FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V6,
            (LayerKind::Connect, Family::V4) => fwpm::FWPM_LAYER_ALE_AUTH_CONNECT_V4,
            (LayerKind::Connect, Family::V6) => fwpm::FWPM_LAYER_ALE_AUTH_CONNECT_V6,
            (LayerKind::InboundTransport, Family::V4) => fwpm::FWPM_LAYER_INBOUND_TRANSPORT_V4,
            (LayerKind::InboundTransport, Family::V6) => fwpm::FWPM_LAYER_INBOUND_TRANSPORT_V6,
            (LayerKind::OutboundTransport, Family::V4) => fwpm::FWPM_LAYER_OUTBOUND_TRANSPORT_V4,
            (LayerKind::OutboundTransport, Family::V6) => fwpm::FWPM_LAYER_OUTBOUND_TRANSPORT_V6,
        }
    }

    pub(crate) const fn fields(self) -> Fields {
        match self.kind {
            LayerKind::RecvAccept => Fields {
                protocol: ale_auth_recv_accept::IP_PROTOCOL,
                local_address: ale_auth_recv_accept::IP_LOCAL_ADDRESS,
                remote_address: ale_auth_recv_accept::IP_REMOTE_ADDRESS,
                local_port: ale_auth_recv_accept::IP_LOCAL_PORT,
                remote_port: ale_auth_recv_accept::IP_REMOTE_PORT,
                flags: ale_auth_recv_accept::FLAGS,
                interface_index: ale_auth_recv_accept::INTERFACE_INDEX,
                sub_interface_index: ale_auth_recv_accept::SUB_INTERFACE_INDEX,
                arrival_interface_index: Some(ale_auth_recv_accept::ARRIVAL_INTERFACE_INDEX),
                reauthorize_reason: Some(ale_auth_recv_accept::REAUTHORIZE_REASON),
            },
            LayerKind::Connect => Fields {
                protocol: ale_auth_connect::IP_PROTOCOL,
                local_address: ale_auth_connect::IP_LOCAL_ADDRESS,
                remote_address: ale_auth_connect::IP_REMOTE_ADDRESS,
                local_port: ale_auth_connect::IP_LOCAL_PORT,
                remote_port: ale_auth_connect::IP_REMOTE_PORT,
                flags: ale_auth_connect::FLAGS,
                interface_index: ale_auth_connect::INTERFACE_INDEX,
                sub_interface_index: ale_auth_connect::SUB_INTERFACE_INDEX,
                arrival_interface_index: Some(ale_auth_connect::ARRIVAL_INTERFACE_INDEX),
                reauthorize_reason: Some(ale_auth_connect::REAUTHORIZE_REASON),
            },
            LayerKind::InboundTransport => Fields {
                protocol: inbound_transport::IP_PROTOCOL,
                local_address: inbound_transport::IP_LOCAL_ADDRESS,
                remote_address: inbound_transport::IP_REMOTE_ADDRESS,
                local_port: inbound_transport::IP_LOCAL_PORT,
                remote_port: inbound_transport::IP_REMOTE_PORT,
                flags: inbound_transport::FLAGS,
                interface_index: inbound_transport::INTERFACE_INDEX,
                sub_interface_index: inbound_transport::SUB_INTERFACE_INDEX,
                arrival_interface_index: None,
                reauthorize_reason: None,
            },
            LayerKind::OutboundTransport => Fields {
                protocol: outbound_transport::IP_PROTOCOL,
                local_address: outbound_transport::IP_LOCAL_ADDRESS,
                remote_address: outbound_transport::IP_REMOTE_ADDRESS,
                local_port: outbound_transport::IP_LOCAL_PORT,
                remote_port: outbound_transport::IP_REMOTE_PORT,
                flags: outbound_transport::FLAGS,
                interface_index: outbound_transport::INTERFACE_INDEX,
                sub_interface_index: outbound_transport::SUB_INTERFACE_INDEX,
                arrival_interface_index: None,
                reauthorize_reason: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_lead_back_to_their_layers_and_no_others_do() {
        for layer in Layer::ALL {
            assert_eq!(Layer::from_id(layer.id()), Some(layer));
        }
        // Discard layers and stream layers are not ours, although a foreign filter may name our callout there.
        assert_eq!(
            Layer::from_id(layers::FWPS_LAYER_INBOUND_TRANSPORT_V4_DISCARD),
            None
        );
        assert_eq!(Layer::from_id(layers::FWPS_LAYER_STREAM_V4), None);
    }

    #[test]
    fn identifiers_are_the_contracts() {
        assert_eq!(Layer::ALL.map(Layer::id), [44, 46, 48, 50, 12, 14, 16, 18]);
    }
}
