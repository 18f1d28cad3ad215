//! What the filter engine knows about the security of a packet (fwpsk.h; F.1, A-63 to A-65).

macro_rules! bit_accessors {
    ($($bit:literal => $name:ident, $setter:ident: $doc:literal,)+) => {
        $(
            #[doc = concat!("Bit ", $bit, ": ", $doc, ".")]
            #[must_use]
            pub const fn $name(self) -> bool {
                self.bits & (1 << $bit) != 0
            }

            #[doc = concat!("The same with bit ", $bit, " set: ", $doc, ".")]
            #[must_use]
            pub const fn $setter(self) -> Self {
                Self { bits: self.bits | (1 << $bit) }
            }
        )+
    };
}

/// IPsec state of an inbound packet (fwpsk.h; F.1). A bit field in C.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0 {
    /// The bits.
    pub bits: u32,
}

impl FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0 {
    bit_accessors! {
        0 => isSecure, withSecure: "the packet came protected by IPsec; its AH or ESP header is still there (A-63)",
        1 => isTransportMode, withTransportMode: "protected in transport mode",
        2 => isTunnelMode, withTunnelMode: "protected in tunnel mode",
        3 => isTransportModeVerified, withTransportModeVerified: "transport mode protection has been verified",
        4 => isTunnelModeVerified, withTunnelModeVerified: "tunnel mode protection has been verified",
        5 => isDeTunneled, withDeTunneled: "the outer header has been taken off; without it a tunnel packet is left alone (A-65)",
    }
}

/// IPsec state of an outbound packet (fwpsk.h; F.1). A bit field in C.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FWPS_PACKET_LIST_OUTBOUND_IPSEC_INFORMATION0 {
    /// The bits.
    pub bits: u32,
}

impl FWPS_PACKET_LIST_OUTBOUND_IPSEC_INFORMATION0 {
    bit_accessors! {
        0 => isIPsecPolicyMatch, withIPsecPolicyMatch: "an IPsec policy applies",
        1 => isTransportPolicyMatch, withTransportPolicyMatch: "a transport mode policy applies",
        2 => isTunnelPolicyMatch, withTunnelPolicyMatch: "a tunnel mode policy applies",
        3 => isTunnelIPinIP, withTunnelIPinIP: "the tunnel is IP in IP",
    }
}

/// The IPsec half of [`FWPS_PACKET_LIST_INFORMATION0`] (fwpsk.h; F.1). In C a union of the two directions and `flags`; which one
/// applies is what the caller asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FWPS_PACKET_LIST_IPSEC_INFORMATION0 {
    /// All bits.
    pub flags: u32,
}

impl FWPS_PACKET_LIST_IPSEC_INFORMATION0 {
    /// The bits of a query with `FWPS_PACKET_LIST_INFORMATION_QUERY_INBOUND`.
    #[must_use]
    pub const fn inbound(self) -> FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0 {
        FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0 { bits: self.flags }
    }

    /// The bits of a query with `FWPS_PACKET_LIST_INFORMATION_QUERY_OUTBOUND`.
    #[must_use]
    pub const fn outbound(self) -> FWPS_PACKET_LIST_OUTBOUND_IPSEC_INFORMATION0 {
        FWPS_PACKET_LIST_OUTBOUND_IPSEC_INFORMATION0 { bits: self.flags }
    }
}

/// The filter engine's half of [`FWPS_PACKET_LIST_INFORMATION0`] (fwpsk.h; F.1). A bit field in C.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FWPS_PACKET_LIST_FWP_INFORMATION0 {
    /// The bits.
    pub bits: u32,
}

impl FWPS_PACKET_LIST_FWP_INFORMATION0 {
    bit_accessors! {
        0 => isReinjected, withReinjected: "a callout injected the packet",
    }
}

/// What `FwpsGetPacketListSecurityInformation0` fills in (fwpsk.h; F.1, A-64). The documentation calls it
/// `FWPS_PACKET_LIST_SECURITY_INFORMATION` in places.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FWPS_PACKET_LIST_INFORMATION0 {
    /// With `FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC`.
    pub ipsecInformation: FWPS_PACKET_LIST_IPSEC_INFORMATION0,
    /// With `FWPS_PACKET_LIST_INFORMATION_QUERY_FWP`.
    pub fwpInformation: FWPS_PACKET_LIST_FWP_INFORMATION0,
}

assert_layout! {
    FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0 { size 4, align 4, bits @ 0 }
    FWPS_PACKET_LIST_OUTBOUND_IPSEC_INFORMATION0 { size 4, align 4, bits @ 0 }
    FWPS_PACKET_LIST_IPSEC_INFORMATION0 { size 4, align 4, flags @ 0 }
    FWPS_PACKET_LIST_FWP_INFORMATION0 { size 4, align 4, bits @ 0 }
    FWPS_PACKET_LIST_INFORMATION0 { size 8, align 4, ipsecInformation @ 0, fwpInformation @ 4 }
}
