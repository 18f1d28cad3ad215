//! classifyFn: permit, block, or hold.

use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::ntddk::KeSetEvent;
use wfp_sys::GUID;
use wfp_sys::consts::*;
use wfp_sys::fwps::*;

use super::Layer;
use super::fields::Asked;
use super::globals;
use super::ipsec;
use super::pended;
use super::queue;
use super::queue::Packet;
use super::wrong;
use crate::makes;

/// What the driver makes of a packet.
pub enum Plan {
    /// It is not the driver's business, or cannot be held.
    Permit,
    /// It is refused at once.
    Block,
    /// It is held.
    Hold(Held),
}

/// What was learnt of a packet that can be held.
#[derive(Clone, Copy, Default)]
pub struct Held {
    /// IPsec had protected it.
    pub secure: bool,
    /// The classify is pended too.
    pub pend: bool,
    /// The packet is on its way out.
    pub outbound: bool,
}

/// classifyFn of every callout.
pub unsafe extern "system" fn classify(
    values: *const FWPS_INCOMING_VALUES0,
    metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    layer_data: *mut c_void,
    _classify_context: *const c_void,
    filter: *const FWPS_FILTER3,
    _flow_context: u64,
    out: *mut FWPS_CLASSIFY_OUT0,
) {
    let asked = Asked {
        values,
        metadata,
        list: layer_data.cast(),
        filter,
        out,
    };
    // without the right the driver could only veto, which it never needs to.
    if !asked.writable() && !makes("KB979278") {
        return asked.leave();
    }
    match plan(&asked) {
        Plan::Permit => asked.permit(),
        Plan::Block => asked.block(),
        Plan::Hold(held) => hold(&asked, held),
    }
}

/// notifyFn of every callout: filters may come and go.
pub unsafe extern "system" fn notify(
    kind: FWPS_CALLOUT_NOTIFY_TYPE,
    key: *const GUID,
    _filter: *mut FWPS_FILTER3,
) -> i32 {
    let globals = globals();
    unsafe {
        match kind {
            FWPS_CALLOUT_NOTIFY_ADD_FILTER => (*globals).filters += 1,
            FWPS_CALLOUT_NOTIFY_DELETE_FILTER => {
                if makes("A-08-null-key") {
                    let _told = key.cast::<u32>().read_volatile();
                }
                (*globals).filters -= 1;
                if (*globals).filters == 0 {
                    KeSetEvent(&raw mut (*globals).no_filters, 0, 0);
                }
            }
            _ => {}
        }
    }
    0
}

fn plan(asked: &Asked) -> Plan {
    let Some((layer, _)) = asked.layer() else {
        return Plan::Permit;
    };
    if !asked.list.is_null() && is_own(asked) {
        return Plan::Permit;
    }
    match layer {
        Layer::InboundTransport => inbound_transport(asked),
        Layer::OutboundTransport => outbound_transport(asked),
        Layer::RecvAccept => pended::recv_accept(asked),
        Layer::Connect => pended::connect(asked),
    }
}

/// Whether the driver has injected the packet itself, last or before.
fn is_own(asked: &Asked) -> bool {
    if makes("O-21") {
        return false;
    }
    let state =
        unsafe { FwpsQueryPacketInjectionState0((*globals()).injection, asked.list, null_mut()) };
    matches!(
        state,
        FWPS_PACKET_INJECTED_BY_SELF | FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF
    )
}

fn inbound_transport(asked: &Asked) -> Plan {
    // ALE has still to see it, and the driver with it.
    if asked.has(FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED) && !makes("O-22") {
        wrong::clone_what_passes(asked);
        return Plan::Permit;
    }
    let Some(secure) = ipsec::look(asked) else {
        return Plan::Permit;
    };
    let held = Held {
        secure,
        ..Held::default()
    };
    if can_be_held(asked) && is_inbound_whole(asked) {
        Plan::Hold(held)
    } else {
        by_policy(asked)
    }
}

fn outbound_transport(asked: &Asked) -> Plan {
    // of a raw socket only with the header that it made.
    let raw = asked.flags() & FWP_CONDITION_FLAG_IS_RAW_ENDPOINT != 0;
    let told = asked.has(FWPS_METADATA_FIELD_TRANSPORT_HEADER_INCLUDE_HEADER);
    if can_be_held(asked) && (told || !raw) {
        Plan::Hold(Held {
            outbound: true,
            ..Held::default()
        })
    } else {
        by_policy(asked)
    }
}

/// What the policy says of what cannot wait.
pub fn by_policy(asked: &Asked) -> Plan {
    let setup = unsafe { (*globals()).setup };
    let port = setup.blocked_port.is_some() && asked.remote_port() == setup.blocked_port;
    let local = setup.blocked_local.is_some() && asked.local_address() == setup.blocked_local;
    if port || local {
        Plan::Block
    } else {
        Plan::Permit
    }
}

/// Whether the driver takes anything, and is told what it needs to give it back again.
pub fn can_be_held(asked: &Asked) -> bool {
    (!queue::is_stopping() || makes("E-4"))
        && asked.protocol().is_some()
        && asked.local_address().is_some()
        && asked.remote_address().is_some()
}

/// Whether an inbound packet has its headers before the data (B-04) and comes from the network.
pub fn is_inbound_whole(asked: &Asked) -> bool {
    let needed = FWPS_METADATA_FIELD_IP_HEADER_SIZE | FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE;
    let metadata = asked.metadata();
    (asked.flags() & FWP_CONDITION_FLAG_IS_LOOPBACK == 0 || makes("A-68"))
        && metadata.currentMetadataValues & needed == needed
        && asked.interface().is_some()
        && asked.data_offset() >= metadata.ipHeaderSize + skipped(asked)
}

/// What lies between the transport header and the data of an inbound packet: ICMP is shown from its header on (A.4).
fn skipped(asked: &Asked) -> u32 {
    match asked.protocol() {
        Some(1 | 58) | None => 0,
        Some(_) => asked.metadata().transportHeaderSize,
    }
}

/// Takes the packet: memory first, then the reference, then the pend, which is the last step that can fail.
fn hold(asked: &Asked, held: Held) {
    let packet = queue::allocate_packet();
    if packet.is_null() {
        return asked.block();
    }
    if !describe(asked, held, packet) {
        queue::free_packet(packet);
        return asked.block();
    }
    if makes("A-25") {
        wrong::retreat(asked.list, asked.metadata().ipHeaderSize);
    }
    if makes("A-32") {
        wrong::tag_the_list(asked.list, packet);
    }
    unsafe {
        if !asked.list.is_null() {
            if !makes("O-2") {
                FwpsReferenceNetBufferList0(asked.list, 1);
            }
            (*packet).list = asked.list;
        }
        if makes("B-12") {
            (*packet).list = wrong::copy_the_list(asked.list);
        }
        if held.pend && makes("A-69") {
            (*packet).pended = asked.metadata().completionHandle;
        } else if held.pend {
            let status =
                FwpsPendOperation0(asked.metadata().completionHandle, &raw mut (*packet).pended);
            if status != 0 {
                if !(*packet).list.is_null() && !makes("O-4") {
                    FwpsDereferenceNetBufferList0((*packet).list, 0);
                }
                queue::free_packet(packet);
                return if makes("A-70-failed") {
                    asked.absorb()
                } else {
                    asked.block()
                };
            }
        }
        let one_per_tuple = makes("A-77") || makes("E-8");
        if one_per_tuple && queue::replace_pended(&*packet) {
            if !(*packet).list.is_null() {
                FwpsDereferenceNetBufferList0((*packet).list, 0);
            }
            queue::free_packet(packet);
            return asked.absorb();
        }
    }
    if makes("A-70") {
        asked.block();
    } else {
        asked.absorb();
    }
    if makes("O-25") {
        return super::inbound::reinject(packet);
    }
    queue::enqueue(packet);
}

/// Writes down what is needed of the classify's arguments, which are gone when it returns. False for want of memory.
fn describe(asked: &Asked, held: Held, packet: *mut Packet) -> bool {
    let packet = unsafe { &mut *packet };
    let Some((layer, v6)) = asked.layer() else {
        return false;
    };
    let metadata = asked.metadata();
    packet.layer = layer;
    packet.family = if v6 { AF_INET6 } else { AF_INET };
    packet.protocol = asked.protocol().unwrap_or(0);
    packet.local = asked.local_address().unwrap_or_default();
    packet.remote = asked.remote_address().unwrap_or_default();
    packet.remote_port = asked.remote_port().unwrap_or(0);
    packet.local_port = asked.local_port().unwrap_or(0);
    (packet.secure, packet.outbound) = (held.secure, held.outbound);
    packet.values = asked.values;
    (packet.interface, packet.sub_interface) = asked.interface().unwrap_or_default();
    if makes("A-49") {
        (packet.interface, packet.sub_interface) = (packet.sub_interface, packet.interface);
    }
    if !asked.list.is_null() || makes("A-20") {
        packet.data_offset = asked.data_offset();
    }
    if makes("A-31") {
        packet.cached = unsafe { (*(*asked.list).FirstNetBuffer).CurrentMdl };
    }
    if asked.has(FWPS_METADATA_FIELD_IP_HEADER_SIZE) {
        packet.ip_header = metadata.ipHeaderSize;
    }
    if asked.has(FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE) {
        packet.transport_header = skipped(asked);
    }
    if asked.has(FWPS_METADATA_FIELD_COMPARTMENT_ID) || makes("A-13-compartment") {
        packet.compartment = metadata.compartmentId;
    }
    if asked.has(FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE) || makes("A-13-endpoint") {
        packet.endpoint = metadata.transportEndpointHandle;
    }
    if makes("A-53") {
        packet.endpoint = wrong::first_endpoint(packet.endpoint);
    }
    if makes("OSR-59954") {
        packet.endpoint = metadata.transportEndpointHandle;
    }
    if asked.has(FWPS_METADATA_FIELD_REMOTE_SCOPE_ID) {
        packet.arguments.remoteScopeId = metadata.remoteScopeId;
    }
    let told = asked.has(FWPS_METADATA_FIELD_TRANSPORT_CONTROL_DATA) || makes("A-13-control-data");
    let control = told && metadata.controlDataLength > 0;
    if control && makes("O-18-classify-memory") {
        packet.arguments.controlData = metadata.controlData;
        packet.arguments.controlDataLength = metadata.controlDataLength;
    } else if control {
        let copy = queue::copy_to_pool(metadata.controlData.cast(), metadata.controlDataLength);
        if copy.is_null() {
            return false;
        }
        packet.arguments.controlData = copy.cast();
        packet.arguments.controlDataLength = metadata.controlDataLength;
    }
    let raw = asked.has(FWPS_METADATA_FIELD_TRANSPORT_HEADER_INCLUDE_HEADER)
        && metadata.headerIncludeHeaderLength > 0;
    if raw && !makes("A-54") {
        packet.raw_header = queue::copy_to_pool(
            metadata.headerIncludeHeader.cast(),
            metadata.headerIncludeHeaderLength,
        );
        packet.raw_header_length = metadata.headerIncludeHeaderLength;
        if packet.raw_header.is_null() {
            return false;
        }
    }
    packet.arguments.remoteAddress = packet.remote.as_mut_ptr();
    true
}
