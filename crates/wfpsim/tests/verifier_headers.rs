//! IP headers: those that the engine makes for a clone, and what an injected packet must begin with.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod own_lists;
mod verifier_driver;

use std::ffi::c_void;
use std::ptr::null;
use std::ptr::null_mut;

use own_lists::*;
use verifier_driver::*;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::Machine;
use wfpsim::verifier::code;
use wfpsim_packet::build;

const IPV6_HEADER: usize = 40;
const STATUS_INVALID_PARAMETER: i32 = 0xC000_000Du32 as i32;

#[test]
fn a_header_is_rebuilt_for_one_packet_at_a_time() {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, Classify::hold);
    send_datagrams(&machine, 2);
    worker(&machine, || {
        construct(clone_of(held()), IP_HEADER, IPPROTO_TCP)
    });
    let violation = reported(&machine, CONTRACT, None, "A-62");
    assert_eq!(violation.parameters[1], 2, "two packets");
}

#[test]
fn a_header_is_rebuilt_for_a_clone_of_the_whole_packet() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        construct(clone, IP_HEADER, IPPROTO_TCP);
        dereference();
        assert_eq!(inject(clone), 0);
    });
    clean(&machine);
}

/// What a driver says of the header that it wants, besides its length.
#[derive(Clone, Copy)]
struct Wanted {
    family: u16,
    source: *const u8,
    remote: *const u8,
    flags: u32,
    reserved: *mut c_void,
}

/// Addresses as long as those of either family.
static SOURCE: [u8; 16] = [192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
static REMOTE: [u8; 16] = [192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

impl Wanted {
    fn of(family: u16) -> Self {
        Self {
            family,
            source: SOURCE.as_ptr(),
            remote: REMOTE.as_ptr(),
            flags: 0,
            reserved: null_mut(),
        }
    }

    /// Asks for it instead of a header of 20 bytes.
    fn ask(self, list: *mut NET_BUFFER_LIST) -> i32 {
        unsafe {
            FwpsConstructIpHeaderForTransportPacket0(
                list,
                IP_HEADER,
                self.family,
                self.source,
                self.remote,
                IPPROTO_TCP,
                0,
                null(),
                0,
                self.flags,
                self.reserved,
                0,
                0,
            )
        }
    }
}

#[test]
fn a_header_is_not_made_of_what_cannot_be_one() {
    let machine = holding();
    worker(&machine, || {
        let good = Wanted::of(AF_INET);
        let wrong = [
            Wanted {
                reserved: std::ptr::dangling_mut(),
                ..good
            },
            Wanted { flags: 1, ..good },
            Wanted {
                source: null(),
                ..good
            },
            Wanted {
                remote: null(),
                ..good
            },
            Wanted::of(AF_UNSPEC),
        ];
        let clone = whole_clone();
        for wanted in wrong {
            assert_eq!(wanted.ask(clone), STATUS_INVALID_PARAMETER);
        }
        assert_eq!(good.ask(clone), 0);
        free_clone(clone);
        dereference();
    });
    clean(&machine);
}

#[test]
fn the_header_to_be_rebuilt_is_of_the_family_that_was_given() {
    let machine = holding();
    worker(&machine, || {
        Wanted::of(AF_INET6).ask(whole_clone());
    });
    let violation = reported(&machine, CONTRACT, None, "A-62");
    assert_eq!(violation.parameters[1], u64::from(IP_HEADER));
}

#[test]
fn a_rebuilt_header_is_counted_and_told() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        construct(clone, IP_HEADER, IPPROTO_TCP);
        free_clone(clone);
        free_clone(clone);
    });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(7), "A-39");
    tells(&violation, &["IP header rebuilt"]);
    assert_eq!(machine.counts().rebuilt, 1);
}

#[test]
fn packets_that_begin_at_the_transport_header_are_made_an_ip_header() {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, Classify::hold);
    send_datagrams(&machine, 2);
    worker(&machine, || {
        let clone = clone_of(held());
        construct(clone, 0, IPPROTO_UDP);
        let mut buffer = unsafe { (*clone).FirstNetBuffer };
        for _ in 0..2 {
            let (first, length) = unsafe {
                let header = (*(*buffer).CurrentMdl).MappedSystemVa.cast::<u8>();
                let length = header.add(2).cast::<[u8; 2]>().read();
                (header.read(), u16::from_be_bytes(length))
            };
            assert_eq!(first, 0x45);
            assert_eq!(u32::from(length), unsafe { (*buffer).DataLength });
            buffer = unsafe { (*buffer).Next };
        }
        assert!(buffer.is_null(), "two packets");
        free_clone(clone);
        free_clone(clone);
    });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(7), "A-39");
    tells(&violation, &["IP header made"]);
    assert_eq!(machine.counts().rebuilt, 0);
}

#[test]
fn a_header_is_not_rebuilt_in_a_clone_that_is_injected() {
    let machine = holding();
    worker(&machine, || {
        let clone = whole_clone();
        assert_eq!(inject(clone), 0);
        construct(clone, IP_HEADER, IPPROTO_TCP);
    });
    let violation = reported(&machine, CONTRACT, None, "A-62");
    tells(&violation, &["injected into the receive path"]);
}

#[test]
fn a_header_is_not_rebuilt_in_a_list_of_the_drivers_own() {
    let machine = machine(FWPM_LAYER_INBOUND_TRANSPORT_V4, Classify::permit);
    worker(&machine, || {
        let packet = syn();
        construct(list_of(&packet, packet.len()), IP_HEADER, IPPROTO_TCP);
    });
    reported(&machine, CONTRACT, None, "A-62");
}

// What an injected packet begins with

/// A datagram of IPv6, with eight bytes of payload.
fn datagram() -> Vec<u8> {
    build::udp(
        socket("[2001:db8::9]:53"),
        socket("[2001:db8::1]:53"),
        b"question",
    )
}

/// A machine on which a driver has injected a packet of its own at the network layer.
fn with_injected(family: u16, packet: Vec<u8>) -> Machine {
    let machine = machine(FWPM_LAYER_INBOUND_IPPACKET_V4, Classify::permit);
    worker(&machine, move || {
        let handle = handle_of(family, FWPS_INJECTION_TYPE_NETWORK);
        assert_eq!(inject_into(handle, list_of(&packet, packet.len())), 0);
    });
    machine
}

#[test]
fn an_ipv6_packet_is_as_long_as_its_header_says() {
    let machine = with_injected(AF_INET6, datagram());
    clean(&machine);
    let arrivals = machine.take_arrivals();
    assert_eq!(arrivals.len(), 1);
    assert_eq!(arrivals[0].bytes, datagram());
}

#[test]
fn an_ipv6_header_that_says_a_byte_too_much_is_told() {
    let mut packet = datagram();
    let (said, found) = (packet.len() as u64 + 1, packet.len() as u64);
    packet[5] += 1;
    let machine = with_injected(AF_INET6, packet);
    let violation = reported(&machine, CONTRACT, None, "A-45");
    assert_eq!(violation.parameters[1..3], [said, found]);
}

#[test]
fn less_than_a_header_is_none() {
    let mut ipv4 = syn()[..IP_HEADER as usize - 1].to_vec();
    let mut ipv6 = datagram()[..IPV6_HEADER - 1].to_vec();
    // As long as they say, as far as they can say it.
    ipv4[2..4].copy_from_slice(&[0, IP_HEADER as u8 - 1]);
    ipv6[4..6].copy_from_slice(&[0, 0]);
    for (family, packet) in [(AF_INET, ipv4), (AF_INET6, ipv6)] {
        let violation = reported(&with_injected(family, packet), CONTRACT, None, "A-45");
        assert!(
            violation.summary.contains("does not begin with"),
            "{violation}"
        );
    }
}

/// A machine on which a driver has sent a packet with its IP header: where in a block its MDL begins, and how far into that the packet.
fn with_sent_at(begin: usize, offset: usize) -> Machine {
    let machine = machine(FWPM_LAYER_INBOUND_IPPACKET_V4, Classify::permit);
    when_completed(|list, _| unsafe { FwpsFreeNetBufferList0(list) });
    worker(&machine, move || unsafe {
        let packet = build::udp(socket("192.0.2.1:3389"), socket("192.0.2.9:53"), b"answer");
        let block = ExAllocatePoolWithTag(NONPAGED_NX, begin + offset + packet.len(), TAG);
        let data = block.add(begin + offset);
        data.copy_from_nonoverlapping(packet.as_ptr(), packet.len());
        let length = offset + packet.len();
        let mdl = IoAllocateMdl(block.add(begin), length as u32, 0, 0, null_mut());
        MmBuildMdlForNonPagedPool(mdl);
        assert_eq!(
            inject_send(list_over(mdl, offset as u32, packet.len()), null_mut()),
            0
        );
    });
    machine
}

#[test]
fn where_a_header_is_aligned_its_mdl_need_not_be() {
    clean(&with_sent_at(6, 2));
    reported(&with_sent_at(8, 2), CONTRACT, None, "A-55");
}
