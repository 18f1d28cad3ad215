//! Bits and slots of the packet structures: MDL flags, list flags, out-of-band information (contract, F.4).

macro_rules! bits {
    ($type:ty, $source:literal: $($(#[$doc:meta])+ $name:ident = $value:literal,)+) => {
        $($(#[$doc])+ #[doc = concat!("\n\n", $source)] pub const $name: $type = $value;)+
    };
}

bits! { i16, "Bit of `MDL::MdlFlags` (wdm.h; F.4).":
    /// `MappedSystemVa` is a mapping made for this MDL.
    MDL_MAPPED_TO_SYSTEM_VA = 0x0001,
    /// The pages are locked in memory.
    MDL_PAGES_LOCKED = 0x0002,
    /// The buffer is non-paged pool and `MappedSystemVa` is its address.
    MDL_SOURCE_IS_NONPAGED_POOL = 0x0004,
    /// The MDL itself is of a fixed size.
    MDL_ALLOCATED_FIXED_SIZE = 0x0008,
    /// The MDL describes a part of another one.
    MDL_PARTIAL = 0x0010,
    /// A partial MDL that has a mapping of its own.
    MDL_PARTIAL_HAS_BEEN_MAPPED = 0x0020,
    /// The pages are the target of a paging read.
    MDL_IO_PAGE_READ = 0x0040,
    /// The pages were locked for writing.
    MDL_WRITE_OPERATION = 0x0080,
    /// The buffer is a network header.
    MDL_NETWORK_HEADER = 0x1000,
}

bits! { u32, "Bit of `NET_BUFFER_LIST::NblFlags` (ndis/nbl.h; F.4).":
    /// The data of a list on its way out must not be written.
    NDIS_NBL_FLAGS_SEND_READ_ONLY = 0x0000_0001,
    /// The data of a received list must not be written.
    NDIS_NBL_FLAGS_RECV_READ_ONLY = 0x0000_0002,
    /// Header and data are in separate buffers.
    NDIS_NBL_FLAGS_HD_SPLIT = 0x0000_0100,
    /// The packets are IPv4.
    NDIS_NBL_FLAGS_IS_IPV4 = 0x0000_0200,
    /// The packets are IPv6.
    NDIS_NBL_FLAGS_IS_IPV6 = 0x0000_0400,
    /// The packets are TCP.
    NDIS_NBL_FLAGS_IS_TCP = 0x0000_0800,
    /// The packets are UDP.
    NDIS_NBL_FLAGS_IS_UDP = 0x0000_1000,
    /// The list was looped back at layer 2. Says nothing about IP loopback.
    NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET = 0x0000_8000,
}

/// An index of `NET_BUFFER_LIST::NetBufferListInfo` (ndis/nblinfo.h; F.4, the 64-bit numbering).
pub type NDIS_NET_BUFFER_LIST_INFO = usize;

macro_rules! slots {
    ($($name:ident = $value:literal: $doc:literal,)+) => {
        $(
            #[doc = concat!("Slot ", $value, ": ", $doc, ".")]
            #[expect(non_upper_case_globals, reason = "The enumerator's name in ndis/nblinfo.h")]
            pub const $name: NDIS_NET_BUFFER_LIST_INFO = $value;
        )+
    };
}

slots! {
    TcpIpChecksumNetBufferListInfo = 0: "checksum offload, a [`NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO`]",
    IPsecOffloadV1NetBufferListInfo = 1: "IPsec offload, version 1 or 2",
    TcpLargeSendNetBufferListInfo = 2: "large send offload",
    ClassificationHandleNetBufferListInfo = 3: "classification handle",
    Ieee8021QNetBufferListInfo = 4: "802.1Q tag",
    NetBufferListCancelId = 5: "cancellation identifier",
    MediaSpecificInformation = 6: "medium-specific information",
    NetBufferListFrameType = 7: "frame type, also called protocol identifier",
    NetBufferListHashValue = 8: "receive-side-scaling hash",
    NetBufferListHashInfo = 9: "type and function of the hash",
    WfpNetBufferListInfo = 10: "state of the filter engine; never written by a callout (A-32)",
    IPsecOffloadV2TunnelNetBufferListInfo = 11: "IPsec offload version 2, tunnel",
    IPsecOffloadV2HeaderNetBufferListInfo = 12: "IPsec offload version 2, headers",
    NetBufferListCorrelationId = 13: "correlation identifier",
    NetBufferListFilteringInfo = 14: "receive filter and queue",
    MediaSpecificInformationEx = 15: "medium-specific information, extended",
    NblOriginalInterfaceIfIndex = 16: "index of the original interface, also the flow context of a reauthorization",
    TcpReceiveBytesTransferred = 17: "name resolution identifier (send), UDP receive coalescing (receive)",
    SwitchForwardingReserved = 18: "virtual switch, reserved",
    SwitchForwardingDetail = 19: "virtual switch forwarding",
    VirtualSubnetInfo = 20: "virtual subnet",
    IMReserved = 21: "intermediate drivers",
    TcpRecvSegCoalesceInfo = 22: "TCP receive coalescing, also UDP segmentation",
    RscTcpTimestampDelta = 23: "time stamp delta of coalesced segments, also supplemental send offloads",
    GftOffloadInformation = 24: "generic flow tables",
    GftFlowEntryId = 25: "generic flow table entry",
    NetBufferListInfoReserved3 = 26: "reserved",
    MaxNetBufferListInfo = 27: "not a slot but how many NDIS 6.85 has",
}

/// What slot [`TcpIpChecksumNetBufferListInfo`] holds, reinterpreted as a number (ndis/nblchecksum.h; F.4).
///
/// Whether the `Transmit` or the `Receive` bits apply depends on the direction of the packet; nothing in the value tells.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO(
    /// The slot's value.
    pub usize,
);

/// `Transmit` bits of [`NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO`] (ndis/nblchecksum.h; F.4). A set checksum bit means that the
/// field in the packet holds only the pseudo-header sum.
pub mod checksum_transmit {
    bits! { usize, "`Transmit` bit of the checksum slot.":
        /// The packet is IPv4.
        IS_IPV4 = 0x1,
        /// The packet is IPv6.
        IS_IPV6 = 0x2,
        /// The hardware is to compute the TCP checksum.
        TCP_CHECKSUM = 0x4,
        /// The hardware is to compute the UDP checksum.
        UDP_CHECKSUM = 0x8,
        /// The hardware is to compute the IPv4 header checksum.
        IP_HEADER_CHECKSUM = 0x10,
        /// `TcpHeaderOffset`, bits 16 to 25: bytes from the start of the data to the TCP header.
        TCP_HEADER_OFFSET_MASK = 0x03ff_0000,
    }
}

/// `Receive` bits of [`NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO`] (ndis/nblchecksum.h; F.4): what the hardware found.
pub mod checksum_receive {
    bits! { usize, "`Receive` bit of the checksum slot.":
        /// The TCP checksum was wrong.
        TCP_CHECKSUM_FAILED = 0x1,
        /// The UDP checksum was wrong.
        UDP_CHECKSUM_FAILED = 0x2,
        /// The IPv4 header checksum was wrong.
        IP_CHECKSUM_FAILED = 0x4,
        /// The TCP checksum was right.
        TCP_CHECKSUM_SUCCEEDED = 0x8,
        /// The UDP checksum was right.
        UDP_CHECKSUM_SUCCEEDED = 0x10,
        /// The IPv4 header checksum was right.
        IP_CHECKSUM_SUCCEEDED = 0x20,
        /// The packet was looped back.
        LOOPBACK = 0x40,
        /// The checksum field of a coalesced segment does not mean anything.
        TCP_CHECKSUM_VALUE_INVALID = 0x80,
        /// The header checksum field of a coalesced segment does not mean anything.
        IP_CHECKSUM_VALUE_INVALID = 0x100,
    }
}

assert_layout! {
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO { size 8, align 8 }
}
