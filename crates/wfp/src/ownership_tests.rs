//! Every obligation ends exactly once, on every path.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ptr::NonNull,
};
use std::{sync::mpsc, vec, vec::Vec};

use nt::{Cx, pool::PoolBytes, status::NtStatus};

use crate::{
    ClonedNbl, Completion, Family, IndicatedNbl, InjectionHandle, NblRef, Prepared, PrependError,
    ReadError, Rebuild, ReceiveTo, RetreatError, SendParams, SendTo,
    doubles::{self, InFlight, Packet, cx, log, passive},
    nbl::NET_BUFFER_LIMIT,
};

/// A reference as a classify takes it.
fn reference(packet: &mut Packet) -> NblRef {
    // SAFETY: The packet outlives the reference in each test, and nobody else changes it.
    unsafe { NblRef::new(NonNull::new(packet.nbl()).unwrap()) }
}

fn clone_of(packet: &mut Packet) -> ClonedNbl {
    let nbl = reference(packet);
    let clone = nbl.clone_nbl(&passive()).unwrap();
    drop(nbl);
    let _setup = log();
    clone
}

const BACK: ReceiveTo = ReceiveTo {
    family: Family::V4,
    compartment_id: 0,
    interface_index: 4,
    sub_interface_index: 0,
};

#[test]
fn a_retreat_is_undone_by_the_same_number_before_the_reference_goes() {
    let mut packet = Packet::of(&[&[0x45; 20], &[0; 40]], 40);
    let mut nbl = reference(&mut packet);
    let passive = passive();
    {
        let retreated = nbl.retreat(&passive, 40).unwrap();
        assert_eq!(
            (
                retreated.data_offset(),
                retreated.data_length(),
                retreated.delta()
            ),
            (Some(0), Some(60), 40)
        );
        let clone = retreated.clone_nbl().unwrap();
        assert_eq!(clone.data_length(), Some(60));
    }
    assert_eq!(nbl.data_offset(), Some(40));
    drop(nbl);
    assert_eq!(packet.window(), (40, 20));
    assert_eq!(
        log(),
        [
            "reference",
            "retreat",
            "clone",
            "free clone",
            "advance",
            "dereference"
        ]
    );
}

#[test]
fn a_retreat_without_headroom_is_not_tried() {
    let mut packet = Packet::of(&[&[0; 60]], 20);
    let mut nbl = reference(&mut packet);
    let refused = nbl.retreat(&passive(), 40).err();
    assert_eq!(
        refused,
        Some(RetreatError::NoHeadroom {
            offset: 20,
            delta: 40
        })
    );
    drop(nbl);
    assert_eq!(log(), ["reference", "dereference"]);
}

#[test]
fn a_retreat_that_ndis_refuses_is_not_advanced() {
    let mut packet = Packet::of(&[&[0; 60]], 40);
    let mut nbl = reference(&mut packet);
    doubles::refuse(NtStatus::INSUFFICIENT_RESOURCES);
    let refused = nbl.retreat(&passive(), 40).err();
    assert_eq!(
        refused,
        Some(RetreatError::Failed(NtStatus::INSUFFICIENT_RESOURCES))
    );
    drop(nbl);
    assert_eq!(packet.window(), (40, 20));
    assert_eq!(log(), ["reference", "retreat refused", "dereference"]);
}

#[test]
fn a_retreat_is_undone_when_the_clone_in_it_fails() {
    let mut packet = Packet::of(&[&[0; 60]], 40);
    let mut nbl = reference(&mut packet);
    let passive = passive();
    let retreated = nbl.retreat(&passive, 40).unwrap();
    doubles::refuse(NtStatus::INSUFFICIENT_RESOURCES);
    assert_eq!(
        retreated.clone_nbl().err(),
        Some(NtStatus::INSUFFICIENT_RESOURCES)
    );
    drop(retreated);
    drop(nbl);
    assert_eq!(packet.window(), (40, 20));
    assert_eq!(
        log(),
        [
            "reference",
            "retreat",
            "clone refused",
            "advance",
            "dereference"
        ]
    );
}

#[test]
fn headers_are_read_wherever_the_mdls_are_split() {
    let bytes: Vec<u8> = (0..60).collect();
    for split in 1..60 {
        let (left, right) = bytes.split_at(split);
        let mut packet = Packet::of(&[left, right], 10);
        assert_eq!(packet.mdls(), 2);
        // SAFETY: The packet outlives the view.
        let view = unsafe { IndicatedNbl::new(NonNull::new(packet.nbl()).unwrap()) };
        let mut header = [0; 20];
        view.copy_first_bytes(&cx(), 5, &mut header).unwrap();
        assert_eq!(header[..], bytes[15..35]);
    }
}

#[test]
fn what_is_not_there_is_not_read() {
    let mut packet = Packet::of(&[&[7; 30]], 10);
    // SAFETY: The packet outlives the view.
    let view = unsafe { IndicatedNbl::new(NonNull::new(packet.nbl()).unwrap()) };
    let mut header = [0xAA; 8];
    assert_eq!(
        view.copy_first_bytes(&cx(), 13, &mut header),
        Err(ReadError::Unavailable)
    );
    assert_eq!(
        view.copy_first_bytes(&cx(), 121, &mut header),
        Err(ReadError::TooFar)
    );
    assert_eq!(
        view.copy_first_bytes(&cx(), usize::MAX, &mut header),
        Err(ReadError::TooFar)
    );
    assert_eq!(header, [0xAA; 8]);
    assert_eq!(view.copy_first_bytes(&cx(), 12, &mut header), Ok(()));
}

#[test]
fn packets_of_a_list_are_counted_and_a_knot_does_not_hang() {
    let mut packet = Packet::of(&[&[0; 20]], 0).and_another().and_another();
    // SAFETY: The packet outlives the view.
    let view = unsafe { IndicatedNbl::new(NonNull::new(packet.nbl()).unwrap()) };
    assert_eq!(view.net_buffers(), 3);
    packet.tie_a_knot();
    assert_eq!(view.net_buffers(), NET_BUFFER_LIMIT);
}

#[test]
fn a_raw_sockets_header_goes_in_front_and_off_again_before_the_clone_is_freed() {
    let mut packet = Packet::of(&[&[9; 20]], 0);
    let mut clone = clone_of(&mut packet);
    clone.prepend_header(&passive(), b"an ip header").unwrap();
    let mut start = [0; 14];
    clone.copy_first_bytes(&cx(), 0, &mut start).unwrap();
    assert_eq!(&start, b"an ip header\x09\x09");
    assert_eq!(
        clone.prepend_header(&passive(), b"x"),
        Err(PrependError::AlreadyPrepended)
    );
    drop(clone);
    assert_eq!(
        log(),
        ["retreat with new memory", "advance and free", "free clone"]
    );
}

#[test]
fn a_header_is_not_written_where_it_cannot_be() {
    let mut packet = Packet::of(&[&[9; 20]], 0);
    let mut clone = clone_of(&mut packet);
    doubles::refuse(NtStatus::INSUFFICIENT_RESOURCES);
    let refused = clone.prepend_header(&passive(), b"header");
    assert_eq!(
        refused,
        Err(PrependError::Failed(NtStatus::INSUFFICIENT_RESOURCES))
    );
    assert_eq!(
        clone.prepend_header(&passive(), &vec![0; 70_000]),
        Err(PrependError::TooLong)
    );
    drop(clone);
    assert_eq!(log(), ["retreat refused", "free clone"]);

    let mut two = Packet::of(&[&[9; 20]], 0).and_another();
    let mut clone = clone_of(&mut two);
    assert_eq!(
        clone.prepend_header(&passive(), b"header"),
        Err(PrependError::NotOnePacket)
    );
}

#[test]
fn an_ip_header_is_rebuilt_only_in_a_list_of_one_packet_that_has_one() {
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let rebuild = Rebuild {
        source: v4,
        remote: v4,
        next_protocol: 6,
        ip_header_size: 20,
        interface_index: 0,
        sub_interface_index: 0,
    };
    let mut packet = Packet::of(&[&[0; 40]], 0);
    let mut clone = clone_of(&mut packet);
    assert_eq!(clone.rebuild_ip_header(&passive(), &rebuild), Ok(()));
    for wrong in [
        Rebuild {
            ip_header_size: 0,
            ..rebuild
        },
        Rebuild {
            ip_header_size: 41,
            ..rebuild
        },
        Rebuild {
            remote: IpAddr::V6(Ipv6Addr::LOCALHOST),
            ..rebuild
        },
    ] {
        assert_eq!(
            clone.rebuild_ip_header(&passive(), &wrong),
            Err(NtStatus::INVALID_PARAMETER)
        );
    }
    let mut two = Packet::of(&[&[0; 40]], 0).and_another();
    let mut other = clone_of(&mut two);
    assert_eq!(
        other.rebuild_ip_header(&passive(), &rebuild),
        Err(NtStatus::INVALID_PARAMETER)
    );
    drop((clone, other));
    assert_eq!(log(), ["free clone", "free clone"]);
}

/// Reports its completion.
#[derive(Debug)]
struct Report(mpsc::Sender<NtStatus>);

impl Completion for Report {
    fn completed(self, _cx: &mut Cx, status: NtStatus) {
        self.0.send(status).unwrap();
    }
}

#[test]
fn an_injection_that_succeeds_belongs_to_its_completion() {
    let mut packet = Packet::of(&[&[0; 60]], 0);
    let nbl = reference(&mut packet);
    let clone = nbl.clone_nbl(&passive()).unwrap();
    let (report, reports) = mpsc::channel();
    let handle = InjectionHandle::create(&passive()).unwrap();
    let prepared = Prepared::try_new(clone, Some(nbl), BACK, Report(report)).unwrap();
    handle.inject_receive(&passive(), prepared).unwrap();
    assert_eq!(log(), ["reference", "clone", "inject"]);
    assert_eq!(reports.try_recv(), Err(mpsc::TryRecvError::Empty));
    InFlight::take().complete(NtStatus::DATA_NOT_ACCEPTED);
    assert_eq!(reports.try_recv(), Ok(NtStatus::DATA_NOT_ACCEPTED));
    handle.destroy(&passive());
    assert_eq!(log(), ["free clone", "dereference", "destroy handle"]);
    assert_eq!(doubles::allocations(), 0);
}

#[test]
fn an_injection_that_is_refused_comes_back_whole() {
    let mut packet = Packet::of(&[&[0; 60]], 0);
    let nbl = reference(&mut packet);
    let clone = nbl.clone_nbl(&passive()).unwrap();
    let (report, reports) = mpsc::channel();
    let handle = InjectionHandle::create(&passive()).unwrap();
    let prepared = Prepared::try_new(clone, Some(nbl), BACK, Report(report)).unwrap();
    doubles::refuse(NtStatus::FWP_INJECT_HANDLE_CLOSING);
    let refused = handle.inject_receive(&passive(), prepared).unwrap_err();
    assert_eq!(refused.status, NtStatus::FWP_INJECT_HANDLE_CLOSING);
    let parts = refused.prepared.into_parts();
    assert!(parts.original.is_some() && reports.try_recv() == Err(mpsc::TryRecvError::Empty));
    drop(parts);
    drop(handle);
    assert_eq!(
        log(),
        [
            "reference",
            "clone",
            "inject refused",
            "free clone",
            "dereference",
            "destroy handle"
        ]
    );
    assert_eq!(doubles::allocations(), 0);
}

#[test]
fn two_packets_in_a_receive_injection_are_refused_before_windows_stops() {
    let mut packet = Packet::of(&[&[0; 60]], 0).and_another();
    let clone = clone_of(&mut packet);
    let (report, _reports) = mpsc::channel();
    let handle = InjectionHandle::create(&passive()).unwrap();
    let prepared = Prepared::try_new(clone, None, BACK, Report(report)).unwrap();
    let refused = handle.inject_receive(&passive(), prepared).unwrap_err();
    assert_eq!(refused.status, NtStatus::INVALID_PARAMETER);
    drop(refused);
    assert_eq!(log(), ["free clone"]);
}

#[test]
fn what_a_send_injection_reads_lives_until_its_completion() {
    let mut packet = Packet::of(&[&[0; 60]], 0);
    let clone = clone_of(&mut packet);
    let (report, reports) = mpsc::channel();
    let handle = InjectionHandle::create(&passive()).unwrap();
    let to = SendTo {
        family: Family::V4,
        compartment_id: 1,
        endpoint_handle: 77,
        params: Some(SendParams {
            remote: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)),
            remote_scope_id: 3,
            control_data: Some(PoolBytes::copy_of(b"control").unwrap()),
        }),
    };
    handle
        .inject_send(
            &passive(),
            Prepared::try_new(clone, None, to, Report(report)).unwrap(),
        )
        .unwrap();
    let in_flight = InFlight::take();
    assert_eq!(
        in_flight.send_args(),
        Some(([192, 0, 2, 9], 3, b"control".to_vec()))
    );
    in_flight.complete(NtStatus::SUCCESS);
    assert_eq!(reports.try_recv(), Ok(NtStatus::SUCCESS));
    assert_eq!(doubles::allocations(), 0);
}

#[test]
fn a_raw_packet_is_sent_without_arguments_and_a_foreign_address_not_at_all() {
    let handle = InjectionHandle::create(&passive()).unwrap();
    let (report, _reports) = mpsc::channel();
    let mut packet = Packet::of(&[&[0; 60]], 0);
    let raw = SendTo {
        family: Family::V6,
        compartment_id: 0,
        endpoint_handle: 0,
        params: None,
    };
    let prepared =
        Prepared::try_new(clone_of(&mut packet), None, raw, Report(report.clone())).unwrap();
    handle.inject_send(&passive(), prepared).unwrap();
    let in_flight = InFlight::take();
    assert_eq!(in_flight.send_args(), None);
    in_flight.complete(NtStatus::SUCCESS);

    let remote = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let params = Some(SendParams {
        remote,
        remote_scope_id: 0,
        control_data: None,
    });
    let mixed = SendTo {
        family: Family::V6,
        compartment_id: 0,
        endpoint_handle: 0,
        params,
    };
    let prepared = Prepared::try_new(clone_of(&mut packet), None, mixed, Report(report)).unwrap();
    assert_eq!(
        handle.inject_send(&passive(), prepared).unwrap_err().status,
        NtStatus::INVALID_PARAMETER
    );
}

#[test]
fn a_block_for_which_there_is_no_memory_loses_nothing() {
    let mut packet = Packet::of(&[&[0; 60]], 0);
    let clone = clone_of(&mut packet);
    let (report, _reports) = mpsc::channel();
    doubles::refuse(NtStatus::INSUFFICIENT_RESOURCES);
    let parts = Prepared::try_new(clone, None, BACK, Report(report))
        .unwrap_err()
        .0;
    assert_eq!(log(), ["allocation refused"]);
    drop(parts);
    assert_eq!(log(), ["free clone"]);
}
