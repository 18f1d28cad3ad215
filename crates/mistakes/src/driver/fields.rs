//! Reading what a classify is told.

use wfp_sys::consts::*;
use wfp_sys::fwps::*;
use wfp_sys::layers;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::Layer;
use crate::makes;

/// One call of classifyFn.
#[derive(Clone, Copy)]
pub struct Asked {
    /// The fixed values.
    pub values: *const FWPS_INCOMING_VALUES0,
    /// The metadata.
    pub metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    /// The packet, or null.
    pub list: *mut NET_BUFFER_LIST,
    /// The filter that asks.
    pub filter: *const FWPS_FILTER3,
    /// The answer.
    pub out: *mut FWPS_CLASSIFY_OUT0,
}

/// Where a layer has the fields that the driver reads (F.2).
pub struct Places {
    protocol: u16,
    local_address: u16,
    remote_address: u16,
    local_port: u16,
    remote_port: u16,
    interface: u16,
    sub_interface: u16,
    flags: u16,
    reason: Option<u16>,
}

macro_rules! places {
    ($layer:ident, $reason:expr) => {
        Places {
            protocol: layers::$layer::IP_PROTOCOL,
            local_address: layers::$layer::IP_LOCAL_ADDRESS,
            remote_address: layers::$layer::IP_REMOTE_ADDRESS,
            local_port: layers::$layer::IP_LOCAL_PORT,
            remote_port: layers::$layer::IP_REMOTE_PORT,
            interface: layers::$layer::INTERFACE_INDEX,
            sub_interface: layers::$layer::SUB_INTERFACE_INDEX,
            flags: layers::$layer::FLAGS,
            reason: $reason,
        }
    };
}

impl Asked {
    /// The layer, and whether it is its IPv6 form; nothing for a layer that the driver does not filter at.
    pub fn layer(&self) -> Option<(Layer, bool)> {
        Some(match unsafe { (*self.values).layerId } {
            layers::FWPS_LAYER_INBOUND_TRANSPORT_V4 => (Layer::InboundTransport, false),
            layers::FWPS_LAYER_INBOUND_TRANSPORT_V6 => (Layer::InboundTransport, true),
            layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V4 => (Layer::OutboundTransport, false),
            layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V6 => (Layer::OutboundTransport, true),
            layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4 => (Layer::RecvAccept, false),
            layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6 => (Layer::RecvAccept, true),
            layers::FWPS_LAYER_ALE_AUTH_CONNECT_V4 => (Layer::Connect, false),
            layers::FWPS_LAYER_ALE_AUTH_CONNECT_V6 => (Layer::Connect, true),
            _ => return None,
        })
    }

    fn places(&self) -> Places {
        match self.layer().map(|(layer, _)| layer) {
            Some(Layer::OutboundTransport) => places!(outbound_transport, None),
            Some(Layer::RecvAccept) => places!(
                ale_auth_recv_accept,
                Some(layers::ale_auth_recv_accept::REAUTHORIZE_REASON)
            ),
            Some(Layer::Connect) => places!(
                ale_auth_connect,
                Some(layers::ale_auth_connect::REAUTHORIZE_REASON)
            ),
            _ => places!(inbound_transport, None),
        }
    }

    /// A value, if the layer has it (F.2).
    pub fn value(&self, index: u16) -> Option<FWP_VALUE0> {
        unsafe {
            let values = &*self.values;
            (u32::from(index) < values.valueCount)
                .then(|| (*values.incomingValue.add(usize::from(index))).value)
        }
    }

    fn number(&self, index: u16) -> Option<u32> {
        let value = self.value(index)?;
        unsafe {
            match value.r#type {
                FWP_UINT8 => Some(u32::from(value.Anonymous.uint8)),
                FWP_UINT16 => Some(u32::from(value.Anonymous.uint16)),
                FWP_UINT32 => Some(value.Anonymous.uint32),
                _ => None,
            }
        }
    }

    /// An address in network order; the classify has IPv4 in host order.
    fn address(&self, index: u16) -> Option<[u8; 16]> {
        let value = self.value(index)?;
        let mut address = [0; 16];
        unsafe {
            match value.r#type {
                FWP_UINT32 if makes("A-21") || makes("A-21-rebuild") => {
                    address[..4].copy_from_slice(&value.Anonymous.uint32.to_le_bytes());
                }
                FWP_UINT32 => {
                    address[..4].copy_from_slice(&value.Anonymous.uint32.to_be_bytes());
                }
                FWP_BYTE_ARRAY16_TYPE => address = (*value.Anonymous.byteArray16).byteArray16,
                _ if makes("A-22") => address = (*value.Anonymous.byteArray16).byteArray16,
                _ => return None,
            }
        }
        Some(address)
    }

    /// The transport protocol.
    pub fn protocol(&self) -> Option<u8> {
        self.number(self.places().protocol)
            .and_then(|protocol| u8::try_from(protocol).ok())
    }

    /// The local address, in network order.
    pub fn local_address(&self) -> Option<[u8; 16]> {
        self.address(self.places().local_address)
    }

    /// The remote address, in network order.
    pub fn remote_address(&self) -> Option<[u8; 16]> {
        self.address(self.places().remote_address)
    }

    /// The local port.
    pub fn local_port(&self) -> Option<u16> {
        self.number(self.places().local_port)
            .and_then(|port| u16::try_from(port).ok())
    }

    /// The remote port.
    pub fn remote_port(&self) -> Option<u16> {
        self.number(self.places().remote_port)
            .and_then(|port| u16::try_from(port).ok())
    }

    /// The interface and its sub-interface.
    pub fn interface(&self) -> Option<(u32, u32)> {
        let places = self.places();
        self.number(places.interface)
            .zip(self.number(places.sub_interface))
    }

    /// FWP_CONDITION_FLAG_*.
    pub fn flags(&self) -> u32 {
        self.number(self.places().flags).unwrap_or(0)
    }

    /// FWP_CONDITION_REAUTHORIZE_REASON_*, 0 if the layer has none.
    pub fn reason(&self) -> u32 {
        self.places()
            .reason
            .and_then(|index| self.number(index))
            .unwrap_or(0)
    }

    /// Whether a field of the metadata is there.
    pub fn has(&self, field: u32) -> bool {
        unsafe { (*self.metadata).currentMetadataValues & field != 0 }
    }

    /// The metadata, of which only what [`Asked::has`] says may be read.
    pub fn metadata(&self) -> &FWPS_INCOMING_METADATA_VALUES0 {
        unsafe { &*self.metadata }
    }

    /// Whether the action may be written.
    pub fn writable(&self) -> bool {
        unsafe { (*self.out).rights & FWPS_RIGHT_ACTION_WRITE != 0 }
    }

    /// Lets others decide.
    pub fn permit(&self) {
        unsafe {
            (*self.out).actionType = if makes("A-18") {
                FWP_ACTION_CONTINUE
            } else {
                FWP_ACTION_PERMIT
            };
            if makes("A-17") {
                (*self.out).flags |= FWPS_CLASSIFY_OUT_FLAG_ABSORB;
            }
            // where the filter says so, a permit is final.
            let clears = u32::from((*self.filter).flags) & FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT != 0;
            if clears && !makes("A-16-permit") {
                (*self.out).rights &= !FWPS_RIGHT_ACTION_WRITE;
            }
        }
    }

    /// Leaves a decision that was made before as it is.
    pub fn leave(&self) {
        unsafe {
            if makes("A-15") {
                (*self.out).actionType = FWP_ACTION_CONTINUE;
            }
            if makes("A-15-toggle") {
                (*self.out).rights ^= FWPS_RIGHT_ACTION_WRITE;
            }
        }
    }

    /// Blocks, finally.
    pub fn block(&self) {
        unsafe {
            (*self.out).actionType = FWP_ACTION_BLOCK;
            if !makes("A-16") && !makes("A-16-pend") {
                (*self.out).rights &= !FWPS_RIGHT_ACTION_WRITE;
            }
        }
    }

    /// Blocks silently, because the driver has taken the packet.
    pub fn absorb(&self) {
        self.block();
        unsafe { (*self.out).flags |= FWPS_CLASSIFY_OUT_FLAG_ABSORB };
    }

    /// Whether the packet is on its way out. Where the layer does not tell, it is what the layer is of.
    pub fn is_outbound(&self, usually: bool) -> bool {
        if self.has(FWPS_METADATA_FIELD_PACKET_DIRECTION) {
            self.metadata().packetDirection == FWP_DIRECTION_OUTBOUND
        } else {
            usually
        }
    }

    /// Where the data of the packet begins.
    pub fn data_offset(&self) -> u32 {
        unsafe { (*(*self.list).FirstNetBuffer).DataOffset }
    }
}
