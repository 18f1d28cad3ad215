//! Reading a classify into plain facts. Nothing here decides.

use core::net::IpAddr;

use nt::Cx;
use nt::pool::PoolBytes;
use wfp::{Classify, ConditionFlags, Direction, Family, InjectionState, NblRef, SendParams};

use crate::entry::Tollgate;
use crate::held::{InboundPacket, OutboundPacket, Route};
use crate::ipsec::Told;
use crate::triage::{AlePacket, InboundPlan, InboundShape, Inline, OutboundPlan, OutboundShape};
use crate::verdict::{Facts, protocol};

/// The facts that the policy is asked about. IRQL ≤ DISPATCH_LEVEL, as for all of this file.
pub fn facts(classify: &Classify<'_>, direction: Direction) -> Facts {
    Facts {
        direction,
        protocol: classify.protocol(),
        local_address: classify.local_address(),
        remote_address: classify.remote_address(),
        local_port: classify.local_port(),
        remote_port: classify.remote_port(),
    }
}

/// Whether this driver injected the packet, now or in an earlier life of it. A packet that another driver
/// injected is a packet like any other.
pub fn self_injected(tollgate: &Tollgate, cx: &Cx, classify: &Classify<'_>) -> bool {
    classify
        .injection_state(cx, &tollgate.injection_handle)
        .is_some_and(InjectionState::is_own)
}

/// Whether FLAGS has the flag; a field that is absent or empty has none.
pub fn flag(classify: &Classify<'_>, flag: ConditionFlags) -> bool {
    classify.flags().is_some_and(|flags| flags.contains(flag))
}

/// The packet's direction at an ALE layer, where a reauthorization may show either; `usual` when nothing is told
///
pub fn direction(classify: &Classify<'_>, usual: Direction) -> Direction {
    classify.metadata().packet_direction().unwrap_or(usual)
}

/// The packet of a classify at an ALE layer, whichever way it goes.
pub fn ale_packet(classify: &Classify<'_>, usual: Direction) -> Option<AlePacket> {
    match direction(classify, usual) {
        Direction::Inbound => inbound_shape(classify).map(AlePacket::Inbound),
        Direction::Outbound => outbound_shape(classify).map(AlePacket::Outbound),
    }
}

fn is_of(family: Family, address: IpAddr) -> bool {
    match family {
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    }
}

/// What matters of an inbound packet; `None` when there is no packet.
pub fn inbound_shape(classify: &Classify<'_>) -> Option<InboundShape> {
    let nbl = classify.nbl()?;
    let metadata = classify.metadata();
    let family = classify.layer().family;
    let addressed = |address: Option<IpAddr>| address.is_some_and(|address| is_of(family, address));
    Some(InboundShape {
        family,
        icmp: match family {
            Family::V4 => classify.protocol() == Some(protocol::ICMP),
            Family::V6 => classify.protocol() == Some(protocol::ICMPV6),
        },
        unopened: matches!(classify.protocol(), Some(protocol::AH | protocol::ESP)),
        addressed: classify.protocol().is_some()
            && addressed(classify.local_address())
            && addressed(classify.remote_address()),
        ip_header_size: metadata.ip_header_size(),
        transport_header_size: metadata.transport_header_size(),
        // Where the packet arrived, and not where a weak host delivers it. INBOUND_TRANSPORT has one field for
        // both.
        interface_index: classify
            .arrival_interface_index()
            .or_else(|| classify.interface_index()),
        sub_interface_index: classify.sub_interface_index(),
        data_offset: nbl.data_offset(),
        data_length: nbl.data_length(),
        net_buffers: nbl.net_buffers(),
        loopback: flag(classify, ConditionFlags::IS_LOOPBACK),
        fragment: classify.flags().is_some_and(is_fragment),
    })
}

/// Whether FLAGS says that the packet is a fragment, and not one that was put together from fragments.
fn is_fragment(flags: ConditionFlags) -> bool {
    flags.contains(ConditionFlags::IS_FRAGMENT) && !flags.contains(ConditionFlags::IS_REASSEMBLED)
}

/// What matters of an outbound packet; `None` when there is no packet.
pub fn outbound_shape(classify: &Classify<'_>) -> Option<OutboundShape> {
    let nbl = classify.nbl()?;
    let metadata = classify.metadata();
    let family = classify.layer().family;
    Some(OutboundShape {
        endpoint_handle: metadata.endpoint_handle(),
        addressed: classify
            .remote_address()
            .is_some_and(|address| is_of(family, address)),
        ip_header_size: metadata.ip_header_size(),
        raw_header: raw_header(classify).is_some(),
        raw_endpoint: flag(classify, ConditionFlags::IS_RAW_ENDPOINT),
        net_buffers: nbl.net_buffers(),
    })
}

/// The IP header that a raw socket made, if it made one.
fn raw_header<'c>(classify: &'c Classify<'_>) -> Option<&'c [u8]> {
    classify
        .metadata()
        .header_include_header()
        .filter(|header| !header.is_empty())
}

/// About how many bytes holding the packet keeps alive: those of its first NET_BUFFER, as often as it has
/// NET_BUFFERs. The bound on bytes is there to stop a flood, for which this is near enough.
pub fn bytes(classify: &Classify<'_>) -> u32 {
    let Some(nbl) = classify.nbl() else { return 0 };
    let net_buffers = u32::try_from(nbl.net_buffers()).unwrap_or(u32::MAX);
    nbl.data_length().unwrap_or(0).saturating_mul(net_buffers)
}

/// All that an inbound packet needs besides its reference, copied out of the classify.
pub struct InboundCopy {
    plan: InboundPlan,
    told: Told,
    family: Family,
    compartment_id: u32,
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
}

/// Copies what an inbound packet needs. `secured` is the layer's own way to tell that IPsec protected it.
pub fn inbound_copy(
    classify: &Classify<'_>,
    facts: &Facts,
    plan: InboundPlan,
    secured: bool,
) -> Result<InboundCopy, Inline> {
    Ok(InboundCopy {
        plan,
        told: Told {
            secured,
            reassembled: flag(classify, ConditionFlags::IS_REASSEMBLED),
        },
        family: classify.layer().family,
        compartment_id: classify.metadata().compartment_id().unwrap_or(0),
        protocol: facts.protocol.ok_or(Inline::Address)?,
        source: facts.remote_address.ok_or(Inline::Address)?,
        destination: facts.local_address.ok_or(Inline::Address)?,
    })
}

impl InboundCopy {
    /// The packet, with the reference that was taken after everything else was there.
    pub fn with(self, nbl: NblRef) -> InboundPacket {
        let Self {
            plan,
            told,
            family,
            compartment_id,
            protocol,
            source,
            destination,
        } = self;
        InboundPacket {
            nbl,
            plan,
            told,
            family,
            compartment_id,
            protocol,
            source,
            destination,
        }
    }
}

/// All that an outbound packet needs besides its reference, copied out of the classify.
pub struct OutboundCopy {
    data_length: Option<u32>,
    family: Family,
    compartment_id: u32,
    endpoint_handle: u64,
    route: Route,
}

/// Copies what an outbound packet needs: control data and raw header to their last byte, because the injection
/// reads them until it is completed.
pub fn outbound_copy(
    classify: &Classify<'_>,
    facts: &Facts,
    plan: OutboundPlan,
) -> Result<OutboundCopy, Inline> {
    let metadata = classify.metadata();
    let copy_of = |bytes: &[u8]| PoolBytes::copy_of(bytes).map_err(|_| Inline::NoMemory);
    let route = if plan.raw_header {
        Route::RawHeader(copy_of(raw_header(classify).ok_or(Inline::RawHeader)?)?)
    } else {
        Route::Params(SendParams {
            remote: facts.remote_address.ok_or(Inline::Address)?,
            remote_scope_id: metadata.remote_scope_id().unwrap_or(0),
            control_data: metadata
                .control_data()
                .filter(|data| !data.is_empty())
                .map(copy_of)
                .transpose()?,
        })
    };
    Ok(OutboundCopy {
        data_length: classify.nbl().and_then(|nbl| nbl.data_length()),
        family: classify.layer().family,
        compartment_id: metadata.compartment_id().unwrap_or(0),
        endpoint_handle: plan.endpoint_handle,
        route,
    })
}

impl OutboundCopy {
    /// The packet, with the reference that was taken after everything else was there.
    pub fn with(self, nbl: NblRef) -> OutboundPacket {
        let Self {
            data_length,
            family,
            compartment_id,
            endpoint_handle,
            route,
        } = self;
        OutboundPacket {
            nbl,
            data_length,
            family,
            compartment_id,
            endpoint_handle,
            route,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn an_address_is_of_one_family() {
        let addresses = [
            (Family::V4, IpAddr::V4(Ipv4Addr::LOCALHOST)),
            (Family::V6, IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        for (family, _) in addresses {
            for (own, address) in addresses {
                assert_eq!(
                    is_of(family, address),
                    family == own,
                    "{family:?} {address}"
                );
            }
        }
    }

    #[test]
    fn what_was_put_together_from_fragments_is_no_fragment() {
        let (fragment, reassembled) = (ConditionFlags::IS_FRAGMENT, ConditionFlags::IS_REASSEMBLED);
        assert!(is_fragment(fragment));
        assert!(!is_fragment(fragment.union(reassembled)));
        assert!(!is_fragment(reassembled));
        assert!(!is_fragment(ConditionFlags::IS_LOOPBACK));
    }
}
