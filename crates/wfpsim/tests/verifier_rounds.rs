//! What becomes of packets that a driver injects at the transport layer: how they come out, what is counted, and what their completion
//! is told.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::cell::Cell;
use std::ptr::null_mut;

use verifier_driver::*;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::Machine;
use wfpsim::stack::Arrival;
use wfpsim::stack::Fate;
use wfpsim::stack::Transmitted;
use wfpsim::verifier::code;
use wfpsim_packet::build;

const STATUS_INVALID_HANDLE: i32 = 0xC000_0008u32 as i32;
const STATUS_DATA_NOT_ACCEPTED: i32 = 0xC000_021Bu32 as i32;

/// Where [`send_datagrams`] sends to.
static REMOTE: [u8; 4] = [192, 0, 2, 9];

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    /// What the last completion was told.
    static STATUS: Cell<i32> = const { Cell::new(-1) };
    /// The endpoint of the last classify.
    static ENDPOINT: Cell<u64> = const { Cell::new(0) };
    /// How often what could not be injected is injected again.
    static AGAIN: Cell<u32> = const { Cell::new(0) };
}

fn look_and_free(clone: *mut NET_BUFFER_LIST, _dispatch: u8) {
    STATUS.set(unsafe { (*clone).Status });
    free_clone(clone);
}

/// Arguments of a send to where the packet was going. What they lie in is never freed.
#[expect(
    clippy::disallowed_methods,
    reason = "they outlive every completion; there is no image here that they could outlive"
)]
fn arguments() -> *mut FWPS_TRANSPORT_SEND_PARAMS0 {
    Box::leak(Box::new(FWPS_TRANSPORT_SEND_PARAMS0 {
        remoteAddress: REMOTE.as_ptr().cast_mut(),
        ..unsafe { std::mem::zeroed() }
    }))
}

/// A machine whose callout holds one datagram that is to be sent, and knows its endpoint.
fn holding_a_datagram() -> Machine {
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, |asked| {
        ENDPOINT.set(unsafe { (*asked.metadata).transportEndpointHandle });
        asked.hold();
    });
    send_datagrams(&machine, 1);
    when_completed(look_and_free);
    machine
}

/// A clone of the held packet, which is given back.
fn instead_of_held(clone: fn() -> *mut NET_BUFFER_LIST) -> *mut NET_BUFFER_LIST {
    let clone = clone();
    dereference();
    clone
}

fn clone_of_held() -> *mut NET_BUFFER_LIST {
    clone_of(held())
}

/// The callout blocks everything from now on, what it injects too.
fn block_everything() {
    forget_injection_state();
    answer_with(|asked| asked.answer(FWP_ACTION_BLOCK));
}

/// What came out last came out once, after one injection, as it was when the stack got it.
fn came_out_as_it_was(machine: &Machine) -> Arrival {
    clean(machine);
    let arrival = machine.take_arrivals().pop().expect("it came out");
    let account = machine.packet(arrival.packet).expect("its account");
    assert_eq!((account.injected, account.arrivals), (1, 1));
    assert_eq!(arrival.bytes, account.clean);
    assert_eq!(machine.counts().reinjected, 1);
    assert_eq!(STATUS.get(), 0);
    arrival
}

#[test]
fn a_packet_that_is_received_again_is_delivered_as_it_was() {
    let machine = holding();
    when_completed(look_and_free);
    worker(&machine, || {
        assert_eq!(inject(instead_of_held(whole_clone)), 0);
    });
    came_out_as_it_was(&machine);
}

#[test]
fn a_packet_that_is_sent_again_has_the_header_that_the_stack_makes() {
    let machine = holding_a_datagram();
    worker(&machine, || {
        let clone = instead_of_held(clone_of_held);
        assert_eq!(inject_send_from(clone, ENDPOINT.get(), arguments()), 0);
    });
    came_out_as_it_was(&machine);
}

#[test]
fn a_packet_of_a_raw_socket_is_sent_again_with_the_header_that_the_socket_made() {
    let packet = build::udp(
        socket("192.0.2.1:3389"),
        socket("192.0.2.9:53"),
        b"question",
    );
    let header: [u8; IP_HEADER as usize] = packet[..IP_HEADER as usize]
        .try_into()
        .expect("an IP header");
    let machine = machine(FWPM_LAYER_OUTBOUND_TRANSPORT_V4, Classify::hold);
    let raw = Transmitted {
        raw: true,
        ..Transmitted::plain(packet, false)
    };
    machine.transmit(vec![raw]);
    machine.run();
    when_completed(|clone, dispatch| {
        advance(clone, IP_HEADER);
        look_and_free(clone, dispatch);
    });
    worker(&machine, move || unsafe {
        let clone = instead_of_held(clone_of_held);
        retreat(clone, IP_HEADER);
        let buffer = (*clone).FirstNetBuffer;
        let start = (*(*buffer).CurrentMdl).MappedSystemVa.cast::<u8>();
        start
            .add((*buffer).CurrentMdlOffset as usize)
            .copy_from_nonoverlapping(header.as_ptr(), header.len());
        assert_eq!(inject_send(clone, null_mut()), 0);
    });
    came_out_as_it_was(&machine);
}

#[test]
fn a_packet_that_is_blocked_when_it_is_received_again_was_not_accepted() {
    let machine = holding();
    when_completed(look_and_free);
    block_everything();
    worker(&machine, || {
        assert_eq!(inject(instead_of_held(whole_clone)), 0);
    });
    clean(&machine);
    assert_eq!(STATUS.get(), STATUS_DATA_NOT_ACCEPTED);
}

#[test]
fn a_packet_is_not_sent_from_a_socket_that_is_closed() {
    let machine = holding_a_datagram();
    machine.close_endpoints();
    worker(&machine, || {
        let clone = instead_of_held(clone_of_held);
        assert_eq!(inject_send_from(clone, ENDPOINT.get(), arguments()), 0);
    });
    clean(&machine);
    assert_eq!(STATUS.get(), STATUS_INVALID_HANDLE);
    assert_eq!(fate(&machine, 1), Some(Fate::Dropped("endpoint_closed")));
}

#[test]
fn which_way_a_packet_came_out_twice_is_told() {
    let received = holding();
    worker(&received, || {
        for clone in [whole_clone(), whole_clone()] {
            assert_eq!(inject(clone), 0);
        }
    });
    let sent = holding_a_datagram();
    worker(&sent, || {
        for clone in [clone_of_held(), clone_of_held()] {
            assert_eq!(inject_send(clone, arguments()), 0);
        }
    });
    for (machine, how) in [(received, "delivered"), (sent, "sent")] {
        let violation = reported(&machine, code::WFPSIM_PACKET_VIOLATION, None, "A-42");
        let told = &violation.summary;
        assert!(told.contains(&format!(" was {how} ")), "{told}");
    }
}

/// Injects a clone and, as it is blocked, injects it again, so many times in all.
fn injected(
    machine: Machine,
    times: u32,
    clone: fn() -> *mut NET_BUFFER_LIST,
    inject: fn(*mut NET_BUFFER_LIST) -> i32,
    again: fn(*mut NET_BUFFER_LIST, u8),
) -> Machine {
    block_everything();
    AGAIN.set(times);
    when_completed(again);
    worker(&machine, move || {
        assert_eq!(inject(instead_of_held(clone)), 0);
    });
    machine
}

/// True, and one less to come, if a completed clone is to be injected again; else it is freed.
fn goes_again(clone: *mut NET_BUFFER_LIST) -> bool {
    assert_eq!(unsafe { (*clone).Status }, STATUS_DATA_NOT_ACCEPTED);
    AGAIN.set(AGAIN.get() - 1);
    let again = AGAIN.get() > 0;
    if !again {
        free_clone(clone);
    }
    again
}

fn received(times: u32) -> Machine {
    injected(holding(), times, whole_clone, inject, |clone, _| {
        if goes_again(clone) {
            assert_eq!(inject(clone), 0);
        }
    })
}

fn sent(times: u32) -> Machine {
    fn send(clone: *mut NET_BUFFER_LIST) -> i32 {
        inject_send(clone, arguments())
    }
    injected(
        holding_a_datagram(),
        times,
        clone_of_held,
        send,
        |clone, _| {
            if goes_again(clone) {
                assert_eq!(send(clone), 0);
            }
        },
    )
}

#[test]
fn a_packet_may_go_round_eight_times_and_not_nine() {
    for goes in [received, sent] {
        let machine = goes(8);
        clean(&machine);
        assert_eq!(AGAIN.get(), 0);
        let violation = reported(&goes(9), CONTRACT, None, "A-51");
        assert_eq!(violation.parameters[1], 9);
    }
}

#[test]
fn a_connect_is_not_decided_by_the_completion_of_one_whose_socket_was_closed() {
    let machine = connecting();
    assert_eq!(machine.counts().pended, 1);
    let of_closed = context();
    machine.close_endpoints();
    // Nobody waits for the first any more.
    machine.run();
    send_syn(&machine);
    assert_ne!(context(), of_closed, "the second is pended too");
    worker(&machine, move || unsafe {
        FwpsCompleteOperation0(of_closed, null_mut())
    });
    assert!(machine.take_arrivals().is_empty(), "it still waits");
    worker(&machine, || complete(null_mut()));
    assert_eq!(machine.take_arrivals().len(), 1);
    clean(&machine);
}
