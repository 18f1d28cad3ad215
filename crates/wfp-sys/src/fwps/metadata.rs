//! What a callout is told beside the fixed values. A member means something only if its bit is set in `currentMetadataValues`
//! the bits are the `FWPS_METADATA_FIELD_*` of [`crate::consts`].

use core::ffi::c_void;

/// An address and the length of its prefix (netioapi.h; F.1).
pub use windows_sys::Win32::NetworkManagement::IpHelper::IP_ADDRESS_PREFIX;
/// Header of one piece of socket control data (ws2def.h). The C name is `WSACMSGHDR`.
pub use windows_sys::Win32::Networking::WinSock::CMSGHDR as WSACMSGHDR;
/// Scope of an IPv6 address (ws2def.h), socket addresses (ws2def.h, ws2ipdef.h).
pub use windows_sys::Win32::Networking::WinSock::{SCOPE_ID, SCOPE_ID_0, SOCKADDR, SOCKADDR_INET};

use crate::{
    HANDLE,
    consts::{COMPARTMENT_ID, FWP_DIRECTION, IF_INDEX},
    fwps::FWP_BYTE_BLOB,
};

/// Which module discarded a packet (fwpstypes.h).
pub type FWPS_DISCARD_MODULE0 = i32;
/// The network layer discarded the packet.
pub const FWPS_DISCARD_MODULE_NETWORK: FWPS_DISCARD_MODULE0 = 0;
/// The transport layer discarded the packet.
pub const FWPS_DISCARD_MODULE_TRANSPORT: FWPS_DISCARD_MODULE0 = 1;
/// The filter engine discarded the packet.
pub const FWPS_DISCARD_MODULE_GENERAL: FWPS_DISCARD_MODULE0 = 2;

/// Why a packet was discarded (fwpstypes.h; F.1). Meant for the `*_DISCARD` layers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FWPS_DISCARD_METADATA0 {
    /// Who discarded it.
    pub discardModule: FWPS_DISCARD_MODULE0,
    /// The reason, in the numbering of the module.
    pub discardReason: u32,
    /// The filter that blocked it, if one did.
    pub filterId: u64,
}

/// Where a fragment belongs (fwpstypes.h; F.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FWPS_INBOUND_FRAGMENT_METADATA0 {
    /// The identification that all fragments of a packet share.
    pub fragmentIdentification: u32,
    /// Offset of the fragment in the packet.
    pub fragmentOffset: u16,
    /// Bytes of the fragment.
    pub fragmentLength: u32,
}

/// The metadata of a classification (fwpsk.h; F.1). The structure and what it points to are valid only during the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FWPS_INCOMING_METADATA_VALUES0 {
    /// Which members are present: `FWPS_METADATA_FIELD_*`.
    pub currentMetadataValues: u32,
    /// Internal flags (SYSTEM_FLAGS).
    pub flags: u32,
    /// Belongs to the system (RESERVED).
    pub reserved: u64,
    /// Why the packet was discarded (DISCARD_REASON).
    pub discardMetadata: FWPS_DISCARD_METADATA0,
    /// The flow (FLOW_HANDLE).
    pub flowHandle: u64,
    /// Bytes of the IP header, options and extension headers included (IP_HEADER_SIZE).
    pub ipHeaderSize: u32,
    /// Bytes of the transport header (TRANSPORT_HEADER_SIZE).
    pub transportHeaderSize: u32,
    /// Path of the application's image, UTF-16 (PROCESS_PATH).
    pub processPath: *mut FWP_BYTE_BLOB,
    /// Token the operation is authorized with (TOKEN).
    pub token: u64,
    /// Process identifier (PROCESS_ID).
    pub processId: u64,
    /// Source interface of a discard (SOURCE_INTERFACE_INDEX).
    pub sourceInterfaceIndex: IF_INDEX,
    /// Destination interface of a discard (DESTINATION_INTERFACE_INDEX).
    pub destinationInterfaceIndex: IF_INDEX,
    /// Compartment to name when injecting (COMPARTMENT_ID; A-49).
    pub compartmentId: COMPARTMENT_ID,
    /// Which fragment this is (FRAGMENT_DATA).
    pub fragmentMetadata: FWPS_INBOUND_FRAGMENT_METADATA0,
    /// Bytes the path takes in one packet (PATH_MTU).
    pub pathMtu: u32,
    /// What `FwpsPendOperation0` takes, within this call only (COMPLETION_HANDLE; A-69).
    pub completionHandle: HANDLE,
    /// What `FwpsInjectTransportSendAsync0` takes, until the socket closes (TRANSPORT_ENDPOINT_HANDLE; A-53).
    pub transportEndpointHandle: u64,
    /// Scope of the remote address (REMOTE_SCOPE_ID).
    pub remoteScopeId: SCOPE_ID,
    /// Socket control data of an outbound packet (TRANSPORT_CONTROL_DATA; A-52).
    pub controlData: *mut WSACMSGHDR,
    /// Bytes of `controlData` (TRANSPORT_CONTROL_DATA).
    pub controlDataLength: u32,
    /// Direction of the packet, given for reauthorizations (PACKET_DIRECTION; A-76).
    pub packetDirection: FWP_DIRECTION,
    /// IP header that a raw socket sent (TRANSPORT_HEADER_INCLUDE_HEADER; A-54).
    pub headerIncludeHeader: *mut c_void,
    /// Bytes of `headerIncludeHeader` (TRANSPORT_HEADER_INCLUDE_HEADER).
    pub headerIncludeHeaderLength: u32,
    /// Prefix of the destination's route (DESTINATION_PREFIX).
    pub destinationPrefix: IP_ADDRESS_PREFIX,
    /// Bytes of the frame (ETHER_FRAME_LENGTH).
    pub frameLength: u16,
    /// Endpoint the connection's endpoint was made from (PARENT_ENDPOINT_HANDLE).
    pub parentEndpointHandle: u64,
    /// Identifier and sequence number of an ICMP echo (ICMP_ID_AND_SEQUENCE).
    pub icmpIdAndSequence: u32,
    /// Process that accepts a redirected connection (LOCAL_REDIRECT_TARGET_PID).
    pub localRedirectTargetPID: u32,
    /// Where a redirected connection was headed (ORIGINAL_DESTINATION).
    pub originalDestination: *mut SOCKADDR,
    /// Records of redirections (REDIRECT_RECORD_HANDLE).
    pub redirectRecords: HANDLE,
    /// Which of the members for the MAC layers are present: `FWPS_L2_METADATA_FIELD_*`.
    pub currentL2MetadataValues: u32,
    /// Flags of the MAC layers.
    pub l2Flags: u32,
    /// Bytes of the Ethernet header.
    pub ethernetMacHeaderSize: u32,
    /// Operation mode of a wireless interface.
    pub wiFiOperationMode: u32,
    /// Source port of the virtual switch.
    pub vSwitchSourcePortId: u32,
    /// Source adapter of the virtual switch.
    pub vSwitchSourceNicIndex: u16,
    /// Destination port of the virtual switch.
    pub vSwitchDestinationPortId: u32,
    /// Packet context of the virtual switch.
    pub vSwitchPacketContext: HANDLE,
    /// Tag of the service within its host process (SUB_PROCESS_TAG).
    pub subProcessTag: *mut c_void,
    /// Belongs to the system.
    pub reserved1: u64,
}

zeroed_default!(FWPS_INCOMING_METADATA_VALUES0);

assert_layout! {
    SCOPE_ID { size 4, align 4, Anonymous @ 0 }
    IP_ADDRESS_PREFIX { size 32, align 4, Prefix @ 0, PrefixLength @ 28 }
    SOCKADDR_INET { size 28, align 4 }
    FWPS_DISCARD_METADATA0 { size 16, align 8, discardModule @ 0, discardReason @ 4, filterId @ 8 }
    FWPS_INBOUND_FRAGMENT_METADATA0 { size 12, align 4, fragmentIdentification @ 0, fragmentOffset @ 4, fragmentLength @ 8 }
    FWPS_INCOMING_METADATA_VALUES0 {
        size 280, align 8,
        currentMetadataValues @ 0, flags @ 4, reserved @ 8, discardMetadata @ 16, flowHandle @ 32, ipHeaderSize @ 40,
        transportHeaderSize @ 44, processPath @ 48, token @ 56, processId @ 64, sourceInterfaceIndex @ 72,
        destinationInterfaceIndex @ 76, compartmentId @ 80, fragmentMetadata @ 84, pathMtu @ 96, completionHandle @ 104,
        transportEndpointHandle @ 112, remoteScopeId @ 120, controlData @ 128, controlDataLength @ 136, packetDirection @ 140,
        headerIncludeHeader @ 144, headerIncludeHeaderLength @ 152, destinationPrefix @ 156, frameLength @ 188,
        parentEndpointHandle @ 192, icmpIdAndSequence @ 200, localRedirectTargetPID @ 204, originalDestination @ 208,
        redirectRecords @ 216, currentL2MetadataValues @ 224, l2Flags @ 228, ethernetMacHeaderSize @ 232,
        wiFiOperationMode @ 236, vSwitchSourcePortId @ 240, vSwitchSourceNicIndex @ 244, vSwitchDestinationPortId @ 248,
        vSwitchPacketContext @ 256, subProcessTag @ 264, reserved1 @ 272,
    }
}

// F.1 names these only by their users; the offsets follow from their members in ws2def.h: a SIZE_T and two INT, and a family and
// 14 bytes.
assert_layout! {
    WSACMSGHDR { size 16, align 8, cmsg_len @ 0, cmsg_level @ 8, cmsg_type @ 12 }
    SOCKADDR { size 16, align 2, sa_family @ 0, sa_data @ 2 }
}
