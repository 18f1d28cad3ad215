//! What is written is read back the same.

use std::io::Cursor;

use proptest::prelude::*;
use wfpsim_packet::output::{PacketWriter, Side};
use wfpsim_packet::{CaptureReader, CapturedPacket, Direction, LinkType, Timestamp};

type Written = (Side, Timestamp, Vec<u8>, Option<String>);

fn write(packets: &[Written]) -> Vec<u8> {
    let mut writer = PacketWriter::new(Vec::new()).expect("memory does not fail");
    for (side, time, packet, comment) in packets {
        writer
            .write(*side, *time, packet, comment.as_deref())
            .expect("memory does not fail");
    }
    writer.finish().expect("memory does not fail")
}

fn read(bytes: Vec<u8>) -> Vec<CapturedPacket> {
    let reader = CaptureReader::from_reader(Cursor::new(bytes), "output").expect("a capture");
    reader.collect::<Result<_, _>>().expect("a sound capture")
}

#[test]
fn a_packet_comes_back_with_its_time_and_direction() {
    let time = Timestamp(1_700_000_000_123_456_789);
    let packets = read(write(&[
        (
            Side::Delivered,
            time,
            b"received".to_vec(),
            Some("packet 17, reinjected".into()),
        ),
        (Side::Sent, time, b"sent".to_vec(), None),
    ]));
    let seen: Vec<_> = packets
        .iter()
        .map(|packet| (packet.link, packet.time, packet.direction))
        .collect();
    let expected = [
        (LinkType::RAW, time, Some(Direction::Inbound)),
        (LinkType::RAW, time, Some(Direction::Outbound)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(
        (packets[0].data.as_slice(), packets[1].data.as_slice()),
        (&b"received"[..], &b"sent"[..])
    );
}

/// The bytes of the file's start, as the format's specification has them.
#[test]
fn the_file_has_two_named_interfaces_of_raw_ip_with_nanoseconds() {
    let file = write(&[]);
    let section = [
        &[
            0x0a, 0x0d, 0x0d, 0x0a, 44, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0,
        ][..],
        &[0xff; 8],
        &[4, 0, 6, 0],
        b"wfpsim\0\0",
        &[0; 4],
        &[44, 0, 0, 0],
    ]
    .concat();
    let interface = |len: u8, name_len: u8, name: &[u8]| {
        [
            &[
                1, 0, 0, 0, len, 0, 0, 0, 101, 0, 0, 0, 0, 0, 4, 0, 2, 0, name_len, 0,
            ][..],
            name,
            &[9, 0, 1, 0, 9, 0, 0, 0],
            &[0; 4],
            &[len, 0, 0, 0],
        ]
        .concat()
    };
    let expected = [
        section,
        interface(48, 9, b"delivered\0\0\0"),
        interface(40, 4, b"sent"),
    ]
    .concat();
    assert_eq!(file, expected);
}

#[test]
fn a_packet_too_long_for_captures_is_refused_and_a_long_comment_is_shortened() {
    let mut writer = PacketWriter::new(Vec::new()).expect("memory does not fail");
    assert!(
        writer
            .write(Side::Sent, Timestamp(0), &vec![0; 300_000], None)
            .is_err()
    );
    let comment = "é".repeat(40_000);
    writer
        .write(Side::Sent, Timestamp(0), b"x", Some(&comment))
        .expect("the comment is shortened");
    assert_eq!(
        read(writer.finish().expect("memory does not fail")).len(),
        1
    );
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        packets in proptest::collection::vec(
            (any::<bool>(), any::<u64>(), proptest::collection::vec(any::<u8>(), 0..70), proptest::option::of(".{0,9}")),
            0..12,
        ),
    ) {
        let packets: Vec<Written> = packets
            .into_iter()
            .map(|(sent, time, data, comment)| (if sent { Side::Sent } else { Side::Delivered }, Timestamp(time), data, comment))
            .collect();
        let back = read(write(&packets));
        prop_assert_eq!(back.len(), packets.len());
        for (back, (_, time, data, _)) in back.iter().zip(&packets) {
            prop_assert_eq!((back.time, &back.data), (*time, data));
        }
    }
}
