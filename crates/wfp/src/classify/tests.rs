use core::net::{Ipv4Addr, Ipv6Addr};
use std::{vec, vec::Vec};

use wfp_sys::{
    consts::{
        FWP_ACTION_CONTINUE, FWP_CONDITION_FLAG_IS_REAUTHORIZE, FWP_EMPTY,
        FWPS_METADATA_FIELD_COMPLETION_HANDLE, FWPS_PACKET_INJECTED_BY_OTHER,
    },
    fwps::{FWP_BYTE_ARRAY16, FWPS_INCOMING_VALUE0},
    layers::{
        FWPS_LAYER_ALE_AUTH_CONNECT_V4, FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6,
        FWPS_LAYER_INBOUND_TRANSPORT_V4, FWPS_LAYER_STREAM_V4, ale_auth_connect,
        ale_auth_recv_accept, inbound_transport,
    },
};

use super::*;
use crate::doubles::{self, Packet, cx};

/// What the filter engine passes, built by hand.
struct Call {
    layer: u16,
    values: Vec<FWPS_INCOMING_VALUE0>,
    metadata: FWPS_INCOMING_METADATA_VALUES0,
    packet: Option<Packet>,
    filter: FWPS_FILTER3,
    out: FWPS_CLASSIFY_OUT0,
}

impl Call {
    fn new(layer: u16, fields: u16) -> Call {
        Call {
            layer,
            values: vec![FWPS_INCOMING_VALUE0::default(); usize::from(fields)],
            metadata: FWPS_INCOMING_METADATA_VALUES0::default(),
            packet: None,
            filter: FWPS_FILTER3::default(),
            out: FWPS_CLASSIFY_OUT0 {
                actionType: FWP_ACTION_CONTINUE,
                rights: FWPS_RIGHT_ACTION_WRITE,
                ..Default::default()
            },
        }
    }

    fn recv_accept() -> Call {
        let mut call = Call::new(
            FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6,
            ale_auth_recv_accept::MAX,
        );
        call.packet = Some(Packet::of(&[&[0; 60]], 40));
        call.metadata.currentMetadataValues = FWPS_METADATA_FIELD_COMPLETION_HANDLE;
        call.metadata.completionHandle = core::ptr::dangling_mut();
        call.set_u32(ale_auth_recv_accept::FLAGS, 0);
        call
    }

    fn set_u32(&mut self, index: u16, number: u32) {
        let value = &mut self.values[usize::from(index)].value;
        value.r#type = FWP_UINT32;
        value.Anonymous.uint32 = number;
    }

    fn set_u16(&mut self, index: u16, number: u16) {
        let value = &mut self.values[usize::from(index)].value;
        value.r#type = FWP_UINT16;
        value.Anonymous.uint16 = number;
    }

    fn set_u8(&mut self, index: u16, number: u8) {
        let value = &mut self.values[usize::from(index)].value;
        value.r#type = FWP_UINT8;
        value.Anonymous.uint8 = number;
    }

    /// Runs one classification and writes its answer.
    fn run<R>(&mut self, body: impl FnOnce(&mut Classify<'_>) -> (Answer, R)) -> R {
        let values = FWPS_INCOMING_VALUES0 {
            layerId: self.layer,
            valueCount: u32::try_from(self.values.len()).unwrap(),
            incomingValue: self.values.as_mut_ptr(),
        };
        let nbl = self
            .packet
            .as_mut()
            .map_or(core::ptr::null_mut(), |packet| packet.nbl().cast());
        // SAFETY: The structures live for this call, and there is one view.
        let view = unsafe {
            Classify::new(
                &values,
                Some(&self.metadata),
                nbl,
                Some(&self.filter),
                self.out.rights,
            )
        };
        let mut view = view.unwrap();
        let (answer, result) = body(&mut view);
        view.write_answer(answer, &mut self.out);
        result
    }

    fn answer(&mut self, body: impl FnOnce(&mut Classify<'_>) -> Answer) -> (u32, bool, bool) {
        self.run(|view| (body(view), ()));
        (
            self.out.actionType,
            self.out.flags & FWPS_CLASSIFY_OUT_FLAG_ABSORB != 0,
            self.out.rights & FWPS_RIGHT_ACTION_WRITE != 0,
        )
    }
}

#[test]
fn an_ipv4_connect_is_read_in_host_order() {
    let mut call = Call::new(FWPS_LAYER_ALE_AUTH_CONNECT_V4, ale_auth_connect::MAX);
    call.set_u8(ale_auth_connect::IP_PROTOCOL, 6);
    call.set_u32(
        ale_auth_connect::IP_REMOTE_ADDRESS,
        u32::from(Ipv4Addr::new(198, 51, 100, 7)),
    );
    call.set_u16(ale_auth_connect::IP_REMOTE_PORT, 443);
    call.set_u32(ale_auth_connect::REAUTHORIZE_REASON, 0x10);
    call.run(|view| {
        assert_eq!(view.layer(), Layer::new(LayerKind::Connect, Family::V4));
        assert_eq!(view.protocol(), Some(6));
        assert_eq!(
            view.remote_address(),
            Some(Ipv4Addr::new(198, 51, 100, 7).into())
        );
        assert_eq!(view.remote_port(), Some(443));
        assert_eq!(view.reauthorize_reason(), Some(0x10));
        assert!(view.nbl().is_none());
        (view.permit(), ())
    });
}

#[test]
fn an_ipv6_address_is_read_through_its_pointer_and_a_null_one_is_nothing() {
    let mut bytes = FWP_BYTE_ARRAY16 {
        byteArray16: Ipv6Addr::LOCALHOST.octets(),
    };
    let mut call = Call::new(
        FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6,
        ale_auth_recv_accept::MAX,
    );
    for index in [
        ale_auth_recv_accept::IP_REMOTE_ADDRESS,
        ale_auth_recv_accept::IP_LOCAL_ADDRESS,
    ] {
        call.values[usize::from(index)].value.r#type = FWP_BYTE_ARRAY16_TYPE;
    }
    call.values[usize::from(ale_auth_recv_accept::IP_REMOTE_ADDRESS)]
        .value
        .Anonymous
        .byteArray16 = &raw mut bytes;
    call.run(|view| {
        assert_eq!(view.remote_address(), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(view.local_address(), None);
        (view.permit(), ())
    });
}

#[test]
fn during_a_reauthorization_unknown_fields_are_empty_and_not_zero() {
    let mut call = Call::new(FWPS_LAYER_INBOUND_TRANSPORT_V4, inbound_transport::MAX);
    call.values[usize::from(inbound_transport::IP_REMOTE_PORT)]
        .value
        .r#type = FWP_EMPTY;
    // A value of a type other than the documented one is not reinterpreted either.
    call.set_u32(inbound_transport::IP_LOCAL_PORT, 80);
    call.run(|view| {
        assert_eq!(
            (
                view.remote_port(),
                view.local_port(),
                view.remote_address(),
                view.flags()
            ),
            (None, None, None, None)
        );
        (view.permit(), ())
    });
}

#[test]
fn an_accept_says_where_the_packet_goes_and_where_it_came_in() {
    let mut local = FWP_BYTE_ARRAY16 {
        byteArray16: Ipv6Addr::LOCALHOST.octets(),
    };
    let mut call = Call::recv_accept();
    let address = &mut call.values[usize::from(ale_auth_recv_accept::IP_LOCAL_ADDRESS)].value;
    address.r#type = FWP_BYTE_ARRAY16_TYPE;
    address.Anonymous.byteArray16 = &raw mut local;
    call.set_u16(ale_auth_recv_accept::IP_LOCAL_PORT, 3389);
    call.set_u32(ale_auth_recv_accept::INTERFACE_INDEX, 7);
    call.set_u32(ale_auth_recv_accept::SUB_INTERFACE_INDEX, 3);
    call.run(|view| {
        assert_eq!(view.local_address(), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(view.local_port(), Some(3389));
        assert_eq!(view.interface_index(), Some(7));
        assert_eq!(view.sub_interface_index(), Some(3));
        (view.permit(), ())
    });
}

#[test]
fn who_injected_a_packet_is_this_handle_another_or_nobody() {
    let handle = InjectionHandle::create(&doubles::passive()).unwrap();
    for (told, state, own) in [
        (FWPS_PACKET_NOT_INJECTED, InjectionState::NotInjected, false),
        (FWPS_PACKET_INJECTED_BY_SELF, InjectionState::BySelf, true),
        (
            FWPS_PACKET_INJECTED_BY_OTHER,
            InjectionState::ByOther,
            false,
        ),
        (
            FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF,
            InjectionState::PreviouslyBySelf,
            true,
        ),
        (99, InjectionState::ByOther, false),
    ] {
        doubles::set_injection_state(told);
        let seen = Call::recv_accept().run(|view| {
            let seen = view.injection_state(&cx(), &handle);
            (view.permit(), seen)
        });
        assert_eq!(seen, Some(state));
        assert_eq!(state.is_own(), own, "{state:?}");
    }
    let mut empty = Call::recv_accept();
    empty.packet = None;
    let seen = empty.run(|view| (view.permit(), view.injection_state(&cx(), &handle)));
    assert_eq!(seen, None);
}

#[test]
fn ipsec_is_asked_about_in_one_direction() {
    let query =
        FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC | FWPS_PACKET_LIST_INFORMATION_QUERY_INBOUND;
    for (flags, secure) in [(1, true), (0, false)] {
        doubles::set_security(query, flags);
        let told = Call::recv_accept().run(|view| {
            let told = view.inbound_security(&cx());
            (view.permit(), told)
        });
        assert_eq!(told.map(IpsecInfo::is_secure), Ok(secure));
    }
}

#[test]
fn what_somebody_left_of_an_absorb_does_not_go_with_another_answer() {
    const OTHER: u32 = 0x4000_0000;
    let answers: [fn(&Classify<'_>) -> Answer; 2] = [|view| view.permit(), |view| view.block()];
    for answer in answers {
        let mut call = Call::recv_accept();
        call.out.flags = FWPS_CLASSIFY_OUT_FLAG_ABSORB | OTHER;
        call.answer(|view| answer(view));
        assert_eq!(call.out.flags, OTHER);
    }
}

#[test]
fn an_older_system_with_fewer_fields_has_no_arrival_interface() {
    let mut call = Call::recv_accept();
    call.set_u32(ale_auth_recv_accept::ARRIVAL_INTERFACE_INDEX, 9);
    assert_eq!(
        call.run(|view| (view.permit(), view.arrival_interface_index())),
        Some(9)
    );
    call.values
        .truncate(usize::from(ale_auth_recv_accept::ARRIVAL_INTERFACE_INDEX));
    assert_eq!(
        call.run(|view| (view.permit(), view.arrival_interface_index())),
        None
    );
}

#[test]
fn the_filter_that_matched_is_told_by_its_number() {
    let mut call = Call::recv_accept();
    call.filter.filterId = 0x1234;
    assert_eq!(
        call.run(|view| (view.permit(), view.filter_id())),
        Some(0x1234)
    );
}

#[test]
fn what_ipsec_did_is_told_bit_by_bit() {
    // isSecure, isTransportMode, isTunnelMode and isDeTunneled, where fwpsk.h has them.
    for (question, bit) in [0, 1, 2, 5].into_iter().enumerate() {
        let mut information = FWPS_PACKET_LIST_INFORMATION0::default();
        information.ipsecInformation.flags = 1 << bit;
        let told = IpsecInfo(information);
        let mut expected = [false; 4];
        expected[question] = true;
        assert_eq!(
            [
                told.is_secure(),
                told.is_transport_mode(),
                told.is_tunnel_mode(),
                told.is_detunneled(),
            ],
            expected,
            "bit {bit}"
        );
    }
}

#[test]
fn a_layer_whose_data_may_be_no_packet_gives_no_view() {
    let values = FWPS_INCOMING_VALUES0 {
        layerId: FWPS_LAYER_STREAM_V4,
        ..Default::default()
    };
    // SAFETY: The structures live for this call.
    assert!(unsafe { Classify::new(&values, None, core::ptr::dangling_mut(), None, 1) }.is_none());
}

#[test]
fn a_permit_leaves_the_right_to_the_next_callout_unless_the_filter_says_otherwise() {
    let mut call = Call::recv_accept();
    assert_eq!(
        call.answer(|view| view.permit()),
        (FWP_ACTION_PERMIT, false, true)
    );
    let mut call = Call::recv_accept();
    call.filter.flags = u16::try_from(FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT).unwrap();
    assert_eq!(
        call.answer(|view| view.permit()),
        (FWP_ACTION_PERMIT, false, false)
    );
}

#[test]
fn without_the_write_right_only_a_veto_is_written() {
    let mut call = Call::recv_accept();
    call.out.rights = 0;
    call.out.actionType = FWP_ACTION_BLOCK;
    assert_eq!(
        call.answer(|view| view.permit()),
        (FWP_ACTION_BLOCK, false, false)
    );
    call.out.actionType = FWP_ACTION_PERMIT;
    assert_eq!(
        call.answer(|view| view.block()),
        (FWP_ACTION_BLOCK, false, false)
    );
}

#[test]
fn without_the_write_right_nothing_can_be_held() {
    let mut call = Call::recv_accept();
    call.out.rights = 0;
    call.run(|view| {
        assert_eq!(view.reference(&cx()).err(), Some(HoldError::NoWriteRight));
        assert_eq!(view.pend(&cx()).err(), Some(HoldError::NoWriteRight));
        (view.permit(), ())
    });
    assert_eq!(doubles::log(), Vec::<&str>::new());
}

#[test]
fn a_held_packet_is_blocked_and_absorbed_and_the_decision_final() {
    let mut call = Call::recv_accept();
    let nbl = call.run(|view| {
        let nbl = view.reference(&cx()).unwrap();
        (view.absorb(), nbl)
    });
    assert_eq!(
        (call.out.actionType, call.out.flags, call.out.rights),
        (FWP_ACTION_BLOCK, FWPS_CLASSIFY_OUT_FLAG_ABSORB, 0)
    );
    drop(nbl);
    assert_eq!(doubles::log(), ["reference", "dereference"]);
}

#[test]
fn absorbing_a_packet_that_nobody_holds_is_a_plain_block() {
    let mut call = Call::recv_accept();
    assert_eq!(
        call.answer(|view| view.absorb()),
        (FWP_ACTION_BLOCK, false, false)
    );
}

#[test]
fn a_packet_whose_reference_was_given_up_again_is_not_permitted() {
    let mut call = Call::recv_accept();
    let answer = call.answer(|view| {
        drop(view.reference(&cx()).unwrap());
        view.permit()
    });
    assert_eq!(answer, (FWP_ACTION_BLOCK, false, false));
}

#[test]
fn whatever_is_answered_after_a_pend_is_an_absorb() {
    let answers: [fn(&Classify<'_>) -> Answer; 3] = [
        |view| view.permit(),
        |view| view.block(),
        |view| view.absorb(),
    ];
    for answer in answers {
        let mut call = Call::recv_accept();
        let written = call.answer(|view| {
            drop(view.pend(&cx()).unwrap());
            answer(view)
        });
        assert_eq!(written, (FWP_ACTION_BLOCK, true, false));
        assert_eq!(doubles::log(), ["pend", "complete without list"]);
    }
}

#[test]
fn a_reference_is_dropped_when_the_pend_after_it_fails() {
    doubles::refuse(NtStatus::FWP_TCPIP_NOT_READY);
    let mut call = Call::recv_accept();
    let answer = call.answer(|view| {
        let nbl = view.reference(&cx()).unwrap();
        assert_eq!(
            view.pend(&cx()).err(),
            Some(HoldError::Failed(NtStatus::FWP_TCPIP_NOT_READY))
        );
        drop(nbl);
        view.block()
    });
    assert_eq!(answer, (FWP_ACTION_BLOCK, false, false));
    assert_eq!(doubles::log(), ["reference", "pend refused", "dereference"]);
}

#[test]
fn what_cannot_be_pended_is_not_tried() {
    let mut reauthorization = Call::recv_accept();
    reauthorization.set_u32(
        ale_auth_recv_accept::FLAGS,
        FWP_CONDITION_FLAG_IS_REAUTHORIZE,
    );
    let mut no_handle = Call::recv_accept();
    no_handle.metadata.currentMetadataValues = 0;
    let mut transport = Call::new(FWPS_LAYER_INBOUND_TRANSPORT_V4, inbound_transport::MAX);
    for (call, why) in [
        (&mut reauthorization, HoldError::Reauthorize),
        (&mut no_handle, HoldError::NoCompletionHandle),
        (&mut transport, HoldError::WrongLayer),
    ] {
        call.run(|view| {
            assert_eq!(view.pend(&cx()).err(), Some(why));
            (view.block(), ())
        });
    }
    assert_eq!(doubles::log(), Vec::<&str>::new());
}

#[test]
fn a_packet_is_referenced_once_a_classify_and_a_chain_not_at_all() {
    let mut call = Call::recv_accept();
    call.run(|view| {
        let nbl = view.reference(&cx()).unwrap();
        assert_eq!(view.reference(&cx()).err(), Some(HoldError::AlreadyHeld));
        (view.absorb(), nbl)
    });
    let mut chained = Call::recv_accept();
    chained.packet.as_mut().unwrap().chain();
    chained.run(|view| {
        assert_eq!(view.reference(&cx()).err(), Some(HoldError::Chained));
        (view.block(), ())
    });
    let mut empty = Call::recv_accept();
    empty.packet = None;
    empty.run(|view| {
        assert_eq!(view.reference(&cx()).err(), Some(HoldError::NoNbl));
        (view.block(), ())
    });
}
