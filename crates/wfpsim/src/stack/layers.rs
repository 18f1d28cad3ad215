//! What each layer's classify is told.

use std::net::IpAddr;

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::layers;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::COMPARTMENT_ID;
use super::INTERFACE_INDEX;
use super::LINK_LOCAL_SCOPE;
use super::SUB_INTERFACE_INDEX;
use super::flow::Shape;
use crate::fwp::Classification;
use crate::fwp::Continuation;
use crate::fwp::Metadata;
use crate::fwp::Outcome;
use crate::fwp::Value;
use crate::machine::Kernel;

/// Where a layer has the fields that all four have.
struct Places {
    count: u16,
    protocol: u16,
    local_address: u16,
    remote_address: u16,
    local_port: u16,
    remote_port: u16,
    interface: u16,
    sub_interface: u16,
    flags: u16,
}

/// The places of a layer, from its table of fields (F.2).
macro_rules! places {
    ($layer:ident) => {
        Places {
            count: layers::$layer::MAX,
            protocol: layers::$layer::IP_PROTOCOL,
            local_address: layers::$layer::IP_LOCAL_ADDRESS,
            remote_address: layers::$layer::IP_REMOTE_ADDRESS,
            local_port: layers::$layer::IP_LOCAL_PORT,
            remote_port: layers::$layer::IP_REMOTE_PORT,
            interface: layers::$layer::INTERFACE_INDEX,
            sub_interface: layers::$layer::SUB_INTERFACE_INDEX,
            flags: layers::$layer::FLAGS,
        }
    };
}

impl Places {
    /// The fixed values of a classify; what a layer has besides is the caller's to set.
    fn values(&self, kernel: &Kernel, ask: &Ask<'_>) -> Vec<Value> {
        let mut values = vec![Value::Empty; usize::from(self.count)];
        let mut set = |field: u16, value: Value| values[usize::from(field)] = value;
        let key = &ask.shape.key;
        set(self.protocol, Value::U8(key.protocol));
        set(self.local_address, Ask::address(key.local));
        set(self.remote_address, Ask::address(key.remote));
        set(self.local_port, Value::U16(ask.shape.fields.0));
        set(self.remote_port, Value::U16(ask.shape.fields.1));
        set(self.interface, Value::U32(INTERFACE_INDEX));
        set(self.sub_interface, Value::U32(SUB_INTERFACE_INDEX));
        set(self.flags, Value::U32(ask.flags | ask.reauthorize_flag()));
        let empty = kernel.config.freedom.empty_when_reauthorized;
        if ask.reason != 0 && empty > 0 && kernel.random.percent(empty) {
            // what is not known when a connection is authorized again is empty. Which fields that is no document says.
            for field in [self.local_address, self.local_port] {
                set(field, Value::Empty);
            }
        }
        values
    }
}

/// One classify, in the stack's own words.
pub(super) struct Ask<'a> {
    pub shape: &'a Shape,
    pub list: *mut NET_BUFFER_LIST,
    /// FWP_CONDITION_FLAG_*.
    pub flags: u32,
    pub security: FWPS_PACKET_LIST_INFORMATION0,
    pub endpoint: u64,
    /// Length of the IP header with everything up to the transport header, for inbound packets.
    pub ip_header: Option<usize>,
    /// FWP_DIRECTION_*; only ALE is told.
    pub direction: i32,
    /// ALE has still to see the packet.
    pub ale_required: bool,
    /// FWP_CONDITION_REAUTHORIZE_REASON_*, 0 for a first authorization.
    pub reason: u32,
    pub pendable: Option<Continuation>,
    /// A raw socket's own IP header.
    pub raw_header: Option<Vec<u8>>,
    pub control_data: Option<Vec<u8>>,
    /// The flow's handle; only FLOW_ESTABLISHED is told.
    pub flow: Option<u64>,
}

impl<'a> Ask<'a> {
    pub fn new(shape: &'a Shape, list: *mut NET_BUFFER_LIST) -> Self {
        Self {
            shape,
            list,
            flags: 0,
            security: FWPS_PACKET_LIST_INFORMATION0::default(),
            endpoint: 0,
            ip_header: None,
            direction: consts::FWP_DIRECTION_INBOUND,
            ale_required: false,
            reason: 0,
            pendable: None,
            raw_header: None,
            control_data: None,
            flow: None,
        }
    }

    fn address(address: IpAddr) -> Value {
        match address {
            // IPv4 in host order, IPv6 in network order.
            IpAddr::V4(address) => Value::U32(u32::from(address)),
            IpAddr::V6(address) => Value::Array16(address.octets()),
        }
    }

    /// The IPv6 layer of a kind comes two behind the IPv4 one.
    fn layer(&self, v4: u16) -> u16 {
        if self.shape.is_v6() { v4 + 2 } else { v4 }
    }

    pub fn inbound_transport(self, kernel: &Kernel) -> Outcome {
        let mut values = places!(inbound_transport).values(kernel, &self);
        values[usize::from(layers::inbound_transport::COMPARTMENT_ID)] = Value::U32(COMPARTMENT_ID);
        let layer = self.layer(layers::FWPS_LAYER_INBOUND_TRANSPORT_V4);
        self.ask(kernel, layer, &values)
    }

    pub fn outbound_transport(self, kernel: &Kernel) -> Outcome {
        let values = places!(outbound_transport).values(kernel, &self);
        let layer = self.layer(layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V4);
        self.ask(kernel, layer, &values)
    }

    pub fn recv_accept(self, kernel: &Kernel) -> Outcome {
        use layers::ale_auth_recv_accept as fields;
        let mut values = places!(ale_auth_recv_accept).values(kernel, &self);
        values[usize::from(fields::ARRIVAL_INTERFACE_INDEX)] = Value::U32(INTERFACE_INDEX);
        values[usize::from(fields::REAUTHORIZE_REASON)] = Value::U32(self.reason);
        let layer = self.layer(layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4);
        self.ask(kernel, layer, &values)
    }

    pub fn connect(self, kernel: &Kernel) -> Outcome {
        let mut values = places!(ale_auth_connect).values(kernel, &self);
        values[usize::from(layers::ale_auth_connect::REAUTHORIZE_REASON)] = Value::U32(self.reason);
        let layer = self.layer(layers::FWPS_LAYER_ALE_AUTH_CONNECT_V4);
        self.ask(kernel, layer, &values)
    }

    /// The network layer, either way: what the IP header alone tells.
    pub fn ippacket(self, kernel: &Kernel, inbound: bool) -> Outcome {
        use layers::inbound_ippacket as inward;
        use layers::outbound_ippacket as outward;
        let (layer, count, local, remote) = if inbound {
            (
                layers::FWPS_LAYER_INBOUND_IPPACKET_V4,
                inward::MAX,
                inward::IP_LOCAL_ADDRESS,
                inward::IP_REMOTE_ADDRESS,
            )
        } else {
            (
                layers::FWPS_LAYER_OUTBOUND_IPPACKET_V4,
                outward::MAX,
                outward::IP_LOCAL_ADDRESS,
                outward::IP_REMOTE_ADDRESS,
            )
        };
        let mut values = vec![Value::Empty; usize::from(count)];
        let mut set = |field: u16, value: Value| values[usize::from(field)] = value;
        set(local, Self::address(self.shape.key.local));
        set(remote, Self::address(self.shape.key.remote));
        // Both ways have these at the same places.
        set(inward::INTERFACE_INDEX, Value::U32(INTERFACE_INDEX));
        set(inward::SUB_INTERFACE_INDEX, Value::U32(SUB_INTERFACE_INDEX));
        set(inward::FLAGS, Value::U32(self.flags));
        set(inward::COMPARTMENT_ID, Value::U32(COMPARTMENT_ID));
        let layer = self.layer(layer);
        self.ask(kernel, layer, &values)
    }

    /// Tells that a flow is set up.
    pub fn flow_established(self, kernel: &Kernel) -> Outcome {
        use layers::ale_flow_established as fields;
        let mut values = vec![Value::Empty; usize::from(fields::MAX)];
        let mut set = |field: u16, value: Value| values[usize::from(field)] = value;
        let key = &self.shape.key;
        set(fields::IP_PROTOCOL, Value::U8(key.protocol));
        set(fields::IP_LOCAL_ADDRESS, Self::address(key.local));
        set(fields::IP_REMOTE_ADDRESS, Self::address(key.remote));
        set(fields::IP_LOCAL_PORT, Value::U16(self.shape.fields.0));
        set(fields::IP_REMOTE_PORT, Value::U16(self.shape.fields.1));
        set(fields::DIRECTION, Value::U32(self.direction as u32));
        set(fields::FLAGS, Value::U32(self.flags));
        set(fields::COMPARTMENT_ID, Value::U32(COMPARTMENT_ID));
        let layer = self.layer(layers::FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4);
        self.ask(kernel, layer, &values)
    }

    fn reauthorize_flag(&self) -> u32 {
        if self.reason == 0 {
            0
        } else {
            consts::FWP_CONDITION_FLAG_IS_REAUTHORIZE
        }
    }

    /// Which layers are not told the size of the transport header: those before it was parsed.
    fn precedes_transport(layer: u16) -> bool {
        matches!(
            layer,
            layers::FWPS_LAYER_INBOUND_IPPACKET_V4 | layers::FWPS_LAYER_INBOUND_IPPACKET_V6
        )
    }

    /// The layers that tell the scope of the remote address (F.1, "Availability").
    fn tells_remote_scope(layer: u16) -> bool {
        matches!(
            layer,
            layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V6 | layers::FWPS_LAYER_ALE_AUTH_CONNECT_V6
        )
    }

    /// The metadata of the layer (F.1, "Availability"), less what the test hides.
    fn metadata(&mut self, kernel: &Kernel, layer: u16) -> Metadata {
        let mut metadata = Metadata::default();
        if let Some(length) = self.ip_header {
            metadata.present(consts::FWPS_METADATA_FIELD_IP_HEADER_SIZE);
            metadata.values.ipHeaderSize = length as u32;
        }
        if !self.list.is_null() && !Self::precedes_transport(layer) {
            metadata.present(consts::FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE);
            metadata.values.transportHeaderSize = self.shape.transport_header as u32;
        }
        metadata.present(consts::FWPS_METADATA_FIELD_COMPARTMENT_ID);
        metadata.values.compartmentId = COMPARTMENT_ID;
        if self.endpoint != 0 {
            metadata.present(consts::FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE);
            metadata.values.transportEndpointHandle = self.endpoint;
        }
        if self.ale_required {
            metadata.present(consts::FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED);
        }
        if is_ale(layer) {
            metadata.present(consts::FWPS_METADATA_FIELD_PACKET_DIRECTION);
            metadata.values.packetDirection = self.direction;
            metadata.present(consts::FWPS_METADATA_FIELD_PROCESS_ID);
            metadata.values.processId = crate::nt::PROGRAM as u64;
        }
        if let Some(flow) = self.flow {
            metadata.present(consts::FWPS_METADATA_FIELD_FLOW_HANDLE);
            metadata.values.flowHandle = flow;
        }
        if let Some(header) = self.raw_header.take() {
            // an outbound packet has this size only when its socket made the header.
            metadata.present(consts::FWPS_METADATA_FIELD_IP_HEADER_SIZE);
            metadata.values.ipHeaderSize = header.len() as u32;
            metadata.present(consts::FWPS_METADATA_FIELD_TRANSPORT_HEADER_INCLUDE_HEADER);
            metadata.header_include = Some(header);
        }
        if let Some(data) = self.control_data.take() {
            metadata.present(consts::FWPS_METADATA_FIELD_TRANSPORT_CONTROL_DATA);
            metadata.control_data = Some(data);
        }
        if Self::tells_remote_scope(layer) && is_link_local(self.shape.key.remote) {
            metadata.present(consts::FWPS_METADATA_FIELD_REMOTE_SCOPE_ID);
            metadata.values.remoteScopeId.Anonymous.Value = LINK_LOCAL_SCOPE;
        }
        let hidden = kernel.config.hidden_metadata;
        metadata.values.currentMetadataValues &= !hidden;
        if hidden & consts::FWPS_METADATA_FIELD_COMPLETION_HANDLE != 0 {
            self.pendable = None;
        }
        metadata
    }

    /// Remembers what is told of the endpoint of a packet for the first time.
    fn note_endpoint(&self, kernel: &Kernel) {
        let packets = kernel.ndis.with(self.list, |list| list.packets.clone());
        for packet in packets.unwrap_or_default() {
            kernel.with_packet(packet, |packet| {
                packet.endpoint.get_or_insert(self.endpoint);
            });
        }
    }

    fn ask(mut self, kernel: &Kernel, layer: u16, values: &[Value]) -> Outcome {
        let metadata = self.metadata(kernel, layer);
        if metadata.has(consts::FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE) {
            self.note_endpoint(kernel);
        }
        if self.reason != 0 {
            kernel.count(|counts| counts.reauthorized += 1);
        }
        crate::fwp::classify(
            kernel,
            Classification {
                layer,
                connection: self.shape.key,
                values,
                metadata,
                list: self.list,
                security: self.security,
                pendable: self.pendable.take(),
                reauthorize: self.reason != 0,
                flow: self.flow,
            },
        )
    }
}

/// Whether a layer is one of ALE's authorization layers.
pub(crate) fn is_ale(layer: u16) -> bool {
    (layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4..=layers::FWPS_LAYER_ALE_AUTH_CONNECT_V6_DISCARD)
        .contains(&layer)
        || is_established(layer)
}

/// Whether a layer is ALE's last, where a connection is there already.
pub(crate) fn is_established(layer: u16) -> bool {
    matches!(
        layer,
        layers::FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4 | layers::FWPS_LAYER_ALE_FLOW_ESTABLISHED_V6
    )
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
