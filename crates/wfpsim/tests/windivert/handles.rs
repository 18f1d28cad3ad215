//! Stories of a program's handles: requests that wait, packets that wait, filters, copies, priorities, events, closing.

use wfpsim::Machine;
use wfpsim::stack::Received;
use wfpsim::stack::Side;
use wfpsim::stack::Transmitted;

use super::came_out;
use super::packets;
use super::received;
use super::two;
use super::two::Divert;
use super::two::Open;
use super::two::flag;
use super::two::layer;
use super::two::place;
use super::with_two;

const STATUS_CANCELLED: i32 = 0xC000_0120u32 as i32;
const STATUS_PIPE_EMPTY: i32 = 0xC000_00D9u32 as i32;

/// Datagrams to the host, told apart by what they carry.
fn datagrams() -> Vec<Vec<u8>> {
    (b'a'..=b'd')
        .map(|letter| packets::V4.datagram_in(&[letter; 40]))
        .collect()
}

fn arrive(machine: &Machine, packets: &[Vec<u8>]) {
    for packet in packets {
        machine.receive(Received::plain(packet.clone()));
    }
    machine.run();
}

#[test]
fn packets_wait_in_the_driver_until_somebody_asks() {
    with_two(|machine| {
        let divert = Divert::open(machine, Open::default());
        let packets = datagrams();
        arrive(machine, &packets);
        for packet in packets {
            let waiting = divert.receive();
            machine.run();
            let (got, address) = received(machine, &divert, waiting);
            assert_eq!(got, packet, "in the order that they came in");
            divert.send(&got, &address);
            machine.run();
            assert_eq!(came_out(machine), [(Side::Inbound, packet)]);
        }
        divert.close();
    });
}

#[test]
fn several_receives_wait_at_once_and_closing_cancels_the_rest() {
    with_two(|machine| {
        let divert = Divert::open(machine, Open::default());
        let waiting: Vec<_> = (0..4).map(|_| divert.receive()).collect();
        machine.run();
        let packets = datagrams();
        arrive(machine, &packets[..2]);
        // Which request came first is for the system to decide: each was sent on a thread of its own.
        let (done, rest): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|waiting| divert.ended(waiting).is_some());
        assert_eq!((done.len(), rest.len()), (2, 2));
        for waiting in done {
            let (got, address) = received(machine, &divert, waiting);
            assert!(packets[..2].contains(&got));
            divert.send(&got, &address);
        }
        divert.close();
        machine.run();
        for waiting in &rest {
            assert_eq!(two::status(waiting), Some(STATUS_CANCELLED));
        }
        assert_eq!(came_out(machine).len(), 2);
    });
}

#[test]
fn a_receive_is_cancelled_alone() {
    with_two(|machine| {
        let divert = Divert::open(machine, Open::default());
        let (first, second) = (divert.receive(), divert.receive());
        machine.run();
        divert.cancel(&first);
        machine.run();
        assert_eq!(divert.ended(&first), Some(STATUS_CANCELLED));
        arrive(machine, &datagrams()[..1]);
        received(machine, &divert, second);
        divert.close();
    });
}

#[test]
fn a_handle_that_is_shut_down_ends_its_receives() {
    with_two(|machine| {
        let divert = Divert::open(machine, Open::default());
        let waiting = divert.receive();
        machine.run();
        divert.shut_down_receive();
        machine.run();
        assert_eq!(divert.ended(&waiting), Some(STATUS_PIPE_EMPTY));
        let packets = datagrams();
        arrive(machine, &packets[..1]);
        assert_eq!(
            came_out(machine),
            [(Side::Inbound, packets[0].clone())],
            "nothing is diverted any more"
        );
        divert.close();
    });
}

#[test]
fn what_the_filter_does_not_want_passes_untouched() {
    with_two(|machine| {
        let divert = Divert::open(
            machine,
            Open {
                filter: two::DNS,
                ..Open::default()
            },
        );
        let waiting = divert.receive();
        for pair in [packets::V4, packets::V6] {
            let (other, echo) = (pair.datagram_in(b"other"), pair.echo_in());
            arrive(machine, &[other.clone(), echo.clone()]);
            let mut came = came_out(machine);
            came.sort_by_key(|(_, packet)| packet.len());
            let mut sent = [(Side::Inbound, other), (Side::Inbound, echo)];
            sent.sort_by_key(|(_, packet)| packet.len());
            assert_eq!(came, sent);
        }
        let question = packets::V4.datagram_out(b"who is it?");
        machine.transmit(vec![Transmitted::plain(question.clone(), false)]);
        machine.run();
        let (got, _) = received(machine, &divert, waiting);
        assert_eq!(got, question);
        divert.close();
    });
}

#[test]
fn of_several_packets_in_one_list_each_is_looked_at_alone() {
    with_two(|machine| {
        let divert = Divert::open(
            machine,
            Open {
                filter: two::ELEVEN_BYTES,
                ..Open::default()
            },
        );
        let waiting = divert.receive();
        let packets: Vec<Vec<u8>> = (10..13)
            .map(|length| packets::V4.datagram_out(&[7; 12][..length]))
            .collect();
        let sent = packets.iter().cloned();
        machine.transmit(
            sent.map(|packet| Transmitted::plain(packet, false))
                .collect(),
        );
        machine.run();
        let (got, address) = received(machine, &divert, waiting);
        assert_eq!(got, packets[1]);
        divert.send(&got, &address);
        machine.run();
        let mut came: Vec<Vec<u8>> = came_out(machine)
            .into_iter()
            .map(|(_, packet)| packet)
            .collect();
        came.sort_by_key(Vec::len);
        assert_eq!(came, packets, "the driver sent the others on itself");
        divert.close();
    });
}

#[test]
fn a_sniffing_handle_gets_copies_and_nothing_is_delayed() {
    with_two(|machine| {
        let divert = Divert::open(
            machine,
            Open {
                flags: flag::SNIFF,
                ..Open::default()
            },
        );
        let waiting = divert.receive();
        let packet = packets::V6.datagram_in(b"for two");
        arrive(machine, std::slice::from_ref(&packet));
        let (got, address) = received(machine, &divert, waiting);
        assert!(address.is_sniffed());
        assert_eq!(got, packet);
        assert_eq!(came_out(machine), [(Side::Inbound, packet)]);
        divert.close();
    });
}

#[test]
fn packets_that_nobody_asked_for_go_on_when_the_handle_is_closed() {
    with_two(|machine| {
        let divert = Divert::open(machine, Open::default());
        let packets = datagrams();
        arrive(machine, &packets);
        assert_eq!(came_out(machine), []);
        divert.close();
        machine.run();
        let came: Vec<Vec<u8>> = came_out(machine)
            .into_iter()
            .map(|(_, packet)| packet)
            .collect();
        assert_eq!(came, packets);
    });
}

#[test]
fn the_handle_of_higher_priority_sees_a_packet_first() {
    with_two(|machine| {
        let low = Divert::open(machine, Open::default());
        let high = Divert::open(
            machine,
            Open {
                priority: 1000,
                ..Open::default()
            },
        );
        let (at_low, at_high) = (low.receive(), high.receive());
        let packet = packets::V4.datagram_in(b"one after the other");
        arrive(machine, std::slice::from_ref(&packet));
        assert!(low.ended(&at_low).is_none(), "it is not its turn yet");
        let (got, address) = received(machine, &high, at_high);
        high.send(&got, &address);
        machine.run();
        let (got, address) = received(machine, &low, at_low);
        assert_eq!(came_out(machine), []);
        low.send(&got, &address);
        machine.run();
        assert_eq!(came_out(machine), [(Side::Inbound, packet)]);
        high.close();
        low.close();
    });
}

#[test]
fn loopback_is_diverted_on_its_way_out_only() {
    with_two(|machine| {
        let divert = Divert::open(machine, Open::default());
        let (waiting, other) = (divert.receive(), divert.receive());
        let packet = packets::V4.datagram_to_itself(b"to myself");
        machine.transmit(vec![Transmitted::plain(packet.clone(), true)]);
        machine.run();
        let (got, address) = received(machine, &divert, waiting);
        assert!(address.is_loopback() && address.is_outbound());
        divert.send(&got, &address);
        machine.run();
        assert!(
            divert.ended(&other).is_none(),
            "not a second time on its way in"
        );
        assert_eq!(came_out(machine), [(Side::Inbound, packet)]);
        divert.close();
    });
}

/// Opens a handle for events, of which nothing is diverted.
fn events(machine: &Machine, layer: u32, places: u64) -> Divert<'_> {
    Divert::open(
        machine,
        Open {
            layer,
            flags: flag::SNIFF | flag::RECEIVE_ONLY,
            places: places | place::V4 | place::V6,
            ..Open::default()
        },
    )
}

#[test]
fn a_flow_is_told_when_it_is_set_up_and_when_it_ends() {
    const ESTABLISHED: u32 = 1;
    const DELETED: u32 = 2;
    for pair in [packets::V4, packets::V6] {
        with_two(|machine| {
            let divert = events(machine, layer::FLOW, place::FLOW_DELETED);
            let (set_up, ended) = (divert.receive(), divert.receive());
            arrive(machine, &pair.connection_in());
            let (_, address) = received(machine, &divert, set_up);
            assert_eq!(address.event(), ESTABLISHED);
            assert!(divert.ended(&ended).is_none());
            arrive(machine, &[pair.reset_in()]);
            let (_, address) = received(machine, &divert, ended);
            assert_eq!(address.event(), DELETED);
            assert_eq!(came_out(machine).len(), 4, "all packets arrived");
            divert.close();
        });
    }
}

#[test]
fn a_flow_whose_handle_is_closed_first_loses_its_context() {
    with_two(|machine| {
        let divert = events(machine, layer::FLOW, place::FLOW_DELETED);
        arrive(machine, &packets::V4.connection_in());
        arrive(machine, &[packets::V4.datagram_in(b"another flow")]);
        divert.close();
        machine.run();
        machine.close_endpoints();
    });
}

#[test]
fn sockets_are_told_when_they_connect_and_accept() {
    const CONNECT: u32 = 4;
    const ACCEPT: u32 = 6;
    with_two(|machine| {
        let divert = events(machine, layer::SOCKET, place::CONNECT | place::ACCEPT);
        let waiting = divert.receive();
        arrive(machine, &packets::V4.connection_in());
        assert_eq!(received(machine, &divert, waiting).1.event(), ACCEPT);
        let waiting = divert.receive();
        let question = packets::V6.datagram_out(b"who is it?");
        machine.transmit(vec![Transmitted::plain(question, false)]);
        machine.run();
        assert_eq!(received(machine, &divert, waiting).1.event(), CONNECT);
        divert.close();
    });
}
