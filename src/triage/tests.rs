//! Every combination of facts goes through triage, and what comes out is compared with what the rules say.

use super::*;
use proptest::prelude::*;

const BOTH: [bool; 2] = [false, true];
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A TCP packet that nothing speaks against holding.
const GOOD_INBOUND: InboundShape = InboundShape {
    family: Family::V4,
    icmp: false,
    unopened: false,
    addressed: true,
    ip_header_size: Some(20),
    transport_header_size: Some(20),
    interface_index: Some(7),
    sub_interface_index: Some(0),
    data_offset: Some(54),
    data_length: Some(100),
    net_buffers: 1,
    loopback: false,
    fragment: false,
};

/// A datagram that nothing speaks against holding.
const GOOD_OUTBOUND: OutboundShape = OutboundShape {
    endpoint_handle: Some(0x1234),
    addressed: true,
    ip_header_size: None,
    raw_header: false,
    raw_endpoint: false,
    net_buffers: 1,
};

fn every_inbound_shape(visit: &mut impl FnMut(InboundShape)) {
    for family in FAMILIES {
        for icmp in BOTH {
            for ip_header_size in [
                None,
                Some(0),
                Some(19),
                Some(20),
                Some(39),
                Some(40),
                Some(u32::MAX),
            ] {
                for transport_header_size in [None, Some(0), Some(20), Some(u32::MAX)] {
                    for data_offset in [None, Some(0), Some(39), Some(40), Some(60)] {
                        for net_buffers in 0..=2 {
                            for bits in 0..64_u8 {
                                let bit = |at: u8| bits >> at & 1 == 1;
                                visit(InboundShape {
                                    family,
                                    icmp,
                                    addressed: bit(0),
                                    ip_header_size,
                                    transport_header_size,
                                    interface_index: bit(1).then_some(3),
                                    sub_interface_index: bit(2).then_some(0),
                                    data_offset,
                                    data_length: data_offset.map(|_| 100),
                                    net_buffers,
                                    loopback: bit(3),
                                    fragment: bit(4),
                                    unopened: bit(5),
                                });
                            }
                        }
                    }
                }
            }
        }
    }
}

fn every_outbound_shape() -> Vec<OutboundShape> {
    let mut shapes = Vec::new();
    for endpoint_handle in [None, Some(0), Some(9)] {
        for ip_header_size in [None, Some(0), Some(20)] {
            for net_buffers in 0..=2 {
                for addressed in BOTH {
                    for raw_header in BOTH {
                        for raw_endpoint in BOTH {
                            shapes.push(OutboundShape {
                                endpoint_handle,
                                addressed,
                                ip_header_size,
                                raw_header,
                                raw_endpoint,
                                net_buffers,
                            });
                        }
                    }
                }
            }
        }
    }
    shapes
}

/// Whether a receive injection of the shape is possible at all, said the other way round from the code: as one
/// condition over the rules.
fn injectable_inbound(shape: &InboundShape) -> bool {
    let smallest = if shape.family == Family::V4 { 20 } else { 40 };
    let transport = if shape.icmp {
        Some(0)
    } else {
        shape.transport_header_size
    };
    let headers = shape
        .ip_header_size
        .zip(transport)
        .and_then(|(ip, transport)| ip.checked_add(transport));
    !shape.loopback
        && !shape.fragment
        && !shape.unopened
        && shape.net_buffers < 2
        && shape.addressed
        && shape.interface_index.is_some()
        && shape.sub_interface_index.is_some()
        && shape.ip_header_size >= Some(smallest)
        && headers.is_some_and(|headers| shape.data_offset.is_some_and(|offset| headers <= offset))
}

/// The same at the ALE layers, which do not tell the header that a raw socket made (F.1).
fn injectable_ale_outbound(shape: &OutboundShape) -> bool {
    injectable_outbound(shape) && (shape.raw_header || !shape.raw_endpoint)
}

fn injectable_outbound(shape: &OutboundShape) -> bool {
    let raw = shape.raw_header || shape.ip_header_size.unwrap_or(0) > 0;
    !matches!(shape.endpoint_handle, None | Some(0))
        && match shape.net_buffers {
            0 => false,
            1 => {
                if raw {
                    shape.raw_header
                } else {
                    shape.addressed
                }
            }
            _ => !raw && shape.addressed,
        }
}

/// The reason is one that the shape really gives.
fn is_true_of_inbound(reason: Inline, shape: &InboundShape) -> bool {
    match reason {
        Inline::Loopback => shape.loopback,
        Inline::Fragment => shape.fragment,
        Inline::Unopened => shape.unopened,
        Inline::SeveralNetBuffers => shape.net_buffers > 1,
        Inline::NoPacket => shape.data_offset.is_none(),
        Inline::IpHeaderSize => {
            shape.ip_header_size.unwrap_or(0) < smallest_ip_header(shape.family)
        }
        Inline::TransportHeaderSize => shape.transport_header_size.is_none() && !shape.icmp,
        Inline::HeadersOutOfReach => {
            u64::from(shape.ip_header_size.unwrap_or(0))
                + u64::from(shape.transport_header_size.unwrap_or(0))
                > u64::from(shape.data_offset.unwrap_or(0))
        }
        Inline::Address => !shape.addressed,
        Inline::Interface => shape.interface_index.is_none() || shape.sub_interface_index.is_none(),
        _ => false,
    }
}

#[test]
fn inbound_transport_holds_exactly_what_can_be_injected_and_may_be_absorbed() {
    let (mut held, mut seen_all) = (0, 0_u64);
    every_inbound_shape(&mut |shape| {
        for bits in 0..8_u8 {
            for tunnel_not_detunneled in [None, Some(false), Some(true)] {
                let seen = InboundTransport {
                    may_write: bits & 1 != 0,
                    packet: Some(shape),
                    self_injected: bits & 2 != 0,
                    ale_classify_required: bits & 4 != 0,
                    tunnel_not_detunneled,
                };
                seen_all += 1;
                let answer = inbound_transport(&seen);
                let untouchable = seen.self_injected
                    || seen.ale_classify_required
                    || tunnel_not_detunneled == Some(true);
                let holdable = !untouchable
                    && seen.may_write
                    && tunnel_not_detunneled == Some(false)
                    && injectable_inbound(&shape);
                assert_eq!(matches!(answer, Triage::Leave(_)), untouchable, "{seen:?}");
                assert_eq!(matches!(answer, Triage::Hold(_)), holdable, "{seen:?}");
                match answer {
                    Triage::Hold(plan) => {
                        held += 1;
                        assert!(plan.retreat() <= plan.data_offset, "B-04: {seen:?}");
                        assert_eq!(
                            plan.transport_header_size == 0,
                            shape.icmp || shape.transport_header_size == Some(0)
                        );
                    }
                    Triage::Leave(Leave::SelfInjected) => assert!(seen.self_injected),
                    Triage::Leave(Leave::AleClassifyRequired) => {
                        assert!(seen.ale_classify_required && !seen.self_injected)
                    }
                    Triage::Leave(Leave::TunnelNotDetunneled) => {
                        assert_eq!(tunnel_not_detunneled, Some(true))
                    }
                    Triage::Inline(Inline::NoWriteRight) => assert!(!seen.may_write),
                    Triage::Inline(Inline::SecurityUnknown) => {
                        assert_eq!(tunnel_not_detunneled, None)
                    }
                    Triage::Inline(reason) => {
                        assert!(is_true_of_inbound(reason, &shape), "{reason:?} of {seen:?}")
                    }
                    Triage::Answer(_) => panic!("there is nothing pended at INBOUND_TRANSPORT"),
                }
            }
        }
    });
    assert!(held > 0 && seen_all > 1_000_000, "{held} of {seen_all}");
}

#[test]
fn outbound_transport_holds_exactly_what_can_be_injected() {
    for shape in every_outbound_shape() {
        for may_write in BOTH {
            for self_injected in BOTH {
                let seen = OutboundTransport {
                    may_write,
                    packet: Some(shape),
                    self_injected,
                };
                let expected = !self_injected && may_write && injectable_outbound(&shape);
                let answer = outbound_transport(&seen);
                assert_eq!(matches!(answer, Triage::Hold(_)), expected, "{seen:?}");
                assert_eq!(
                    matches!(answer, Triage::Leave(_)),
                    self_injected,
                    "{seen:?}"
                );
                if let Triage::Hold(plan) = answer {
                    assert_ne!(plan.endpoint_handle, 0, "OSR 59954");
                    assert!(!plan.raw_header || shape.net_buffers == 1, "A-54");
                }
            }
        }
    }
}

#[test]
fn a_reset_made_by_the_stack_is_decided_at_once() {
    for endpoint_handle in [None, Some(0)] {
        let reset = OutboundShape {
            endpoint_handle,
            ..GOOD_OUTBOUND
        };
        let seen = OutboundTransport {
            may_write: true,
            packet: Some(reset),
            self_injected: false,
        };
        assert_eq!(
            outbound_transport(&seen),
            Triage::Inline(Inline::Endpoint),
            "OSR 59954, A-13"
        );
    }
}

#[test]
fn a_transport_classify_without_a_packet_is_decided_at_once() {
    let inbound = InboundTransport {
        may_write: true,
        packet: None,
        self_injected: false,
        ale_classify_required: false,
        tunnel_not_detunneled: Some(false),
    };
    assert_eq!(
        inbound_transport(&inbound),
        Triage::Inline(Inline::NoPacket)
    );
    let outbound = OutboundTransport {
        may_write: true,
        packet: None,
        self_injected: false,
    };
    assert_eq!(
        outbound_transport(&outbound),
        Triage::Inline(Inline::NoPacket)
    );
}

#[test]
fn an_icmp_packet_is_retreated_over_its_ip_header_only() {
    let echo = InboundShape {
        icmp: true,
        data_offset: Some(34),
        transport_header_size: Some(8),
        ..GOOD_INBOUND
    };
    let plan = inbound(&echo).expect("an echo request can be held");
    assert_eq!(
        (plan.retreat(), plan.transport_header_size),
        (20, 0),
        "A.4: the data begins at the ICMP header"
    );
    assert!(
        inbound(&InboundShape {
            transport_header_size: None,
            ..echo
        })
        .is_ok(),
        "its size is not needed"
    );
}

fn every_ale_packet() -> Vec<Option<AlePacket>> {
    let mut packets = vec![None, Some(AlePacket::Inbound(GOOD_INBOUND))];
    packets.push(Some(AlePacket::Inbound(InboundShape {
        loopback: true,
        ..GOOD_INBOUND
    })));
    packets.push(Some(AlePacket::Inbound(InboundShape {
        ip_header_size: None,
        ..GOOD_INBOUND
    })));
    packets.extend(
        every_outbound_shape()
            .into_iter()
            .map(|shape| Some(AlePacket::Outbound(shape))),
    );
    packets
}

#[test]
fn recv_accept_pends_only_a_first_classify_with_a_packet_that_can_come_back() {
    for packet in every_ale_packet() {
        for bits in 0..16_u8 {
            let seen = RecvAccept {
                may_write: bits & 1 != 0,
                packet,
                self_injected: bits & 2 != 0,
                reauthorize: bits & 4 != 0,
                completion_handle: bits & 8 != 0,
            };
            let answer = recv_accept(&seen);
            assert_eq!(
                matches!(answer, Triage::Leave(_)),
                seen.self_injected,
                "{seen:?}"
            );
            let ours = !seen.self_injected && seen.may_write;
            match (packet, answer) {
                (_, Triage::Answer(_)) => {
                    panic!("RECV_ACCEPT is not authorized again after its completion (A-74)")
                }
                (_, Triage::Leave(_)) => {}
                (Some(AlePacket::Inbound(shape)), Triage::Hold(plan)) => {
                    assert!(ours && injectable_inbound(&shape), "{seen:?}");
                    match plan {
                        RecvAcceptPlan::Pend(_) => {
                            assert!(!seen.reauthorize && seen.completion_handle, "A-69")
                        }
                        RecvAcceptPlan::HoldInbound(_) => {
                            assert!(seen.reauthorize, "A-66: the first one must be pended")
                        }
                        RecvAcceptPlan::HoldOutbound(_) => panic!("{seen:?} comes in"),
                    }
                }
                (Some(AlePacket::Outbound(shape)), Triage::Hold(plan)) => {
                    assert!(
                        ours && seen.reauthorize && injectable_ale_outbound(&shape),
                        "{seen:?}"
                    );
                    assert!(matches!(plan, RecvAcceptPlan::HoldOutbound(_)));
                }
                (None, Triage::Hold(_)) => panic!("{seen:?} has nothing to hold"),
                (packet, Triage::Inline(_)) => {
                    let holdable = match packet {
                        None => false,
                        Some(AlePacket::Inbound(shape)) => {
                            injectable_inbound(&shape)
                                && (seen.reauthorize || seen.completion_handle)
                        }
                        Some(AlePacket::Outbound(shape)) => {
                            injectable_ale_outbound(&shape) && seen.reauthorize
                        }
                    };
                    assert!(!(ours && holdable), "{seen:?} could have been held");
                }
            }
        }
    }
}

#[test]
fn connect_pends_every_first_classify_that_can_be_completed() {
    for packet in every_ale_packet() {
        for bits in 0..16_u8 {
            for decided in [None, Some(Verdict::Permit), Some(Verdict::Block)] {
                let seen = Connect {
                    may_write: bits & 1 != 0,
                    packet,
                    self_injected: bits & 2 != 0,
                    reauthorize: bits & 4 != 0,
                    decided,
                    completion_handle: bits & 8 != 0,
                };
                let first = !seen.self_injected
                    && seen.may_write
                    && !seen.reauthorize
                    && seen.completion_handle;
                let expected = first
                    && match packet {
                        None => true,
                        Some(AlePacket::Inbound(_)) => false,
                        Some(AlePacket::Outbound(shape)) => injectable_ale_outbound(&shape),
                    };
                let answer = connect(&seen);
                assert_eq!(matches!(answer, Triage::Hold(_)), expected, "{seen:?}");
                if let Triage::Hold(plan) = answer {
                    assert_eq!(
                        matches!(plan, ConnectPlan::PendDatagram(_)),
                        packet.is_some(),
                        "A-77: {seen:?}"
                    );
                }
                if !seen.self_injected && seen.reauthorize {
                    match decided {
                        Some(verdict) => assert_eq!(
                            answer,
                            Triage::Answer(verdict),
                            "A-72, even without the right"
                        ),
                        None => assert!(
                            matches!(answer, Triage::Inline(_)),
                            "never pended again: {seen:?}"
                        ),
                    }
                }
            }
        }
    }
}

#[test]
fn a_decision_is_for_a_reauthorization_and_not_for_a_first_classify_of_the_same_name() {
    let first = Connect {
        may_write: true,
        packet: None,
        self_injected: false,
        reauthorize: false,
        decided: Some(Verdict::Permit),
        completion_handle: true,
    };
    assert_eq!(connect(&first), Triage::Hold(ConnectPlan::Pend));
}

#[test]
fn every_reason_has_a_counter_of_its_own_in_its_group() {
    use tollgate_abi::Group;
    let leaves = [
        Leave::SelfInjected,
        Leave::AleClassifyRequired,
        Leave::TunnelNotDetunneled,
    ];
    let inlines = [
        Inline::NoWriteRight,
        Inline::NoPacket,
        Inline::SecurityUnknown,
        Inline::Loopback,
        Inline::Fragment,
        Inline::IpHeaderSize,
        Inline::TransportHeaderSize,
        Inline::Interface,
        Inline::SeveralNetBuffers,
        Inline::HeadersOutOfReach,
        Inline::Endpoint,
        Inline::Address,
        Inline::RawHeader,
        Inline::CompletionHandle,
        Inline::Reauthorize,
        Inline::Direction,
        Inline::QueueCount,
        Inline::QueueBytes,
        Inline::Closing,
        Inline::NoMemory,
        Inline::Unopened,
    ];
    let counted = |group: Group| {
        Counter::ALL
            .iter()
            .filter(move |counter| counter.group() == group)
            .copied()
    };
    assert!(
        leaves
            .iter()
            .map(|reason| reason.counter())
            .eq(counted(Group::Left))
    );
    assert!(
        inlines
            .iter()
            .map(|reason| reason.counter())
            .eq(counted(Group::Inline))
    );
}

proptest! {
    /// Whatever sizes the metadata claims, a plan never reaches before the packet's memory, and a packet that can
    /// be injected is never refused.
    #[test]
    fn any_sizes_give_a_sound_plan(
        v6: bool, icmp: bool, ip: Option<u32>, transport: Option<u32>, offset: Option<u32>, net_buffers in 0..4_usize,
    ) {
        let shape = InboundShape {
            family: if v6 { Family::V6 } else { Family::V4 },
            icmp,
            ip_header_size: ip,
            transport_header_size: transport,
            data_offset: offset,
            net_buffers,
            ..GOOD_INBOUND
        };
        prop_assert_eq!(inbound(&shape).is_ok(), injectable_inbound(&shape));
        if let Ok(plan) = inbound(&shape) {
            prop_assert!(plan.retreat() <= plan.data_offset);
        }
    }
}
