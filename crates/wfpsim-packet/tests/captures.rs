//! Reading captures: formats, times, and damage that is found and located.

use std::io::Cursor;

use proptest::prelude::*;
use wfpsim_packet::capture::{CaptureErrorKind, Place};
use wfpsim_packet::{
    CaptureError, CaptureReader, CapturedPacket, Direction, LinkType, Timestamp, build,
};

fn read(bytes: &[u8]) -> (Vec<CapturedPacket>, Option<CaptureError>) {
    let mut packets = Vec::new();
    match CaptureReader::from_reader(Cursor::new(bytes.to_vec()), "test.pcap") {
        Err(error) => return (packets, Some(error)),
        Ok(reader) => {
            for packet in reader {
                match packet {
                    Ok(packet) => packets.push(packet),
                    Err(error) => return (packets, Some(error)),
                }
            }
        }
    }
    (packets, None)
}

fn good(bytes: &[u8]) -> Vec<CapturedPacket> {
    let (packets, error) = read(bytes);
    assert!(
        error.is_none(),
        "{}",
        error.map(|error| error.to_string()).unwrap_or_default()
    );
    packets
}

fn three_packets() -> Vec<u8> {
    let packets: Vec<_> = (1..=3u8)
        .map(|n| {
            (
                Timestamp::new(1_700_000_000 + u64::from(n), n.into()),
                vec![n; usize::from(n) * 10],
            )
        })
        .collect();
    build::pcap(LinkType::RAW, &packets)
}

/// A pcap file in any byte order and of any kind.
fn pcap(magic: u32, is_big: bool, seconds: u32, fraction: u32, data: &[u8]) -> Vec<u8> {
    let word = |word: u32| {
        if is_big {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    };
    let half = |half: u16| {
        if is_big {
            half.to_be_bytes()
        } else {
            half.to_le_bytes()
        }
    };
    let len = u32::try_from(data.len()).expect("short");
    let mut file = word(magic).to_vec();
    file.extend(half(2));
    file.extend(half(4));
    for field in [0, 0, 65535, 1, seconds, fraction, len, len + 5] {
        file.extend(word(field));
    }
    if magic == 0xa1b2_cd34 {
        file.extend([0; 8]);
    }
    file.extend(data);
    file
}

/// Blocks of pcapng in either byte order.
struct Ng {
    is_big: bool,
    bytes: Vec<u8>,
}

impl Ng {
    fn new(is_big: bool) -> Self {
        Self {
            is_big,
            bytes: Vec::new(),
        }
        .section()
    }

    fn word(&self, word: u32) -> [u8; 4] {
        if self.is_big {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    }

    fn half(&self, half: u16) -> [u8; 2] {
        if self.is_big {
            half.to_be_bytes()
        } else {
            half.to_le_bytes()
        }
    }

    fn section(self) -> Self {
        let version = [self.half(1), self.half(0)].concat();
        let body = [&self.word(0x1a2b_3c4d)[..], &version, &[0xff; 8]].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    fn block(mut self, kind: u32, body: &[u8]) -> Self {
        let body_len = body.len().next_multiple_of(4);
        let len = self.word(u32::try_from(body_len + 12).expect("short"));
        self.bytes.extend(self.word(kind));
        self.bytes.extend(len);
        self.bytes.extend(body);
        self.bytes
            .resize(self.bytes.len() + body_len - body.len(), 0);
        self.bytes.extend(len);
        self
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [
            self.half(code),
            self.half(u16::try_from(value.len()).expect("short")),
        ]
        .concat();
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn interface(
        self,
        link: u16,
        snaplen: u32,
        resolution: Option<u8>,
        offset: Option<i64>,
    ) -> Self {
        let mut body = [&self.half(link)[..], &[0, 0], &self.word(snaplen)].concat();
        if let Some(resolution) = resolution {
            body.extend(self.option(9, &[resolution]));
        }
        if let Some(offset) = offset {
            let value = if self.is_big {
                offset.to_be_bytes()
            } else {
                offset.to_le_bytes()
            };
            body.extend(self.option(14, &value));
        }
        body.extend(self.option(0, &[]));
        self.block(1, &body)
    }

    fn packet(self, interface: u32, units: u64, data: &[u8], flags: Option<u32>) -> Self {
        let len = u32::try_from(data.len()).expect("short");
        let fields = [
            interface,
            (units >> 32) as u32,
            (units & 0xffff_ffff) as u32,
            len,
            len,
        ];
        let mut body: Vec<u8> = fields.iter().flat_map(|field| self.word(*field)).collect();
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        if let Some(flags) = flags {
            body.extend(self.option(2, &self.word(flags)));
        }
        self.block(6, &body)
    }
}

#[test]
fn pcap_of_either_byte_order_with_micro_and_nanoseconds() {
    for is_big in [false, true] {
        let micros = good(&pcap(
            0xa1b2_c3d4,
            is_big,
            1_700_000_000,
            123_456,
            b"abcdef",
        ));
        assert_eq!(micros[0].time, Timestamp(1_700_000_000_123_456_000));
        let nanos = good(&pcap(
            0xa1b2_3c4d,
            is_big,
            1_700_000_000,
            123_456_789,
            b"abcdef",
        ));
        assert_eq!(nanos[0].time, Timestamp(1_700_000_000_123_456_789));
        for packets in [micros, nanos] {
            assert_eq!(packets.len(), 1);
            assert_eq!((packets[0].number, packets[0].offset), (1, 24));
            assert_eq!(
                (packets[0].data.as_slice(), packets[0].original_len),
                (&b"abcdef"[..], 11)
            );
            assert_eq!(packets[0].link, LinkType::ETHERNET);
        }
    }
    let modified = good(&pcap(0xa1b2_cd34, false, 1, 2, b"abcdef"));
    assert_eq!(
        (modified[0].data.as_slice(), modified[0].time),
        (&b"abcdef"[..], Timestamp(1_000_002_000))
    );
}

#[test]
fn packets_have_their_number_and_the_offset_of_their_record() {
    let packets = good(&three_packets());
    let places: Vec<_> = packets
        .iter()
        .map(|packet| (packet.number, packet.offset))
        .collect();
    assert_eq!(places, [(1, 24), (2, 24 + 26), (3, 24 + 26 + 36)]);
}

#[test]
fn position_ends_at_the_size_of_the_file() {
    let bytes = three_packets();
    let len = bytes.len() as u64;
    let mut reader =
        CaptureReader::from_reader(Cursor::new(bytes), "test.pcap").expect("a capture");
    assert_eq!((reader.position(), reader.size_hint_bytes()), (24, None));
    assert_eq!(reader.by_ref().count(), 3);
    assert_eq!(reader.position(), len);
}

#[test]
fn a_capture_cut_in_a_record_gives_what_is_before_and_says_where() {
    let bytes = three_packets();
    let (packets, error) = read(&bytes[..bytes.len() - 7]);
    let error = error.expect("the capture is cut");
    assert_eq!(packets.len(), 2);
    assert_eq!(
        error.place,
        Some(Place {
            packet: 3,
            offset: 86
        })
    );
    assert_eq!(
        error.to_string(),
        "test.pcap: packet 3 at byte 86: record says 30 bytes, but the file ends after 23: the capture is truncated"
    );
}

#[test]
fn a_capture_cut_anywhere_gives_every_packet_that_is_whole() {
    let ends = [24, 50, 86, 132];
    let bytes = three_packets();
    assert_eq!(bytes.len(), 132);
    for len in 24..=bytes.len() {
        let (packets, error) = read(&bytes[..len]);
        let whole = ends.iter().filter(|end| **end <= len).count() - 1;
        assert_eq!(packets.len(), whole, "cut to {len}");
        assert_eq!(error.is_none(), ends.contains(&len), "cut to {len}");
    }
}

#[test]
fn a_record_of_impossible_length_is_a_corruption_and_ends_the_reading() {
    let mut bytes = three_packets();
    bytes[50 + 8..50 + 12].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    let mut reader =
        CaptureReader::from_reader(Cursor::new(bytes), "test.pcap").expect("a capture");
    assert!(reader.next().is_some_and(|packet| packet.is_ok()));
    let error = reader.next().expect("an error").expect_err("an error");
    assert!(matches!(
        error.kind,
        CaptureErrorKind::RecordTooLong {
            said: 0x7fff_ffff,
            ..
        }
    ));
    assert!(
        error
            .to_string()
            .starts_with("test.pcap: packet 2 at byte 50: record says 2147483647 bytes"),
        "{error}"
    );
    assert!(reader.next().is_none());
}

#[test]
fn what_is_no_capture_is_called_what_it_is() {
    let message = |bytes: &[u8]| read(bytes).1.expect("no capture").to_string();
    assert_eq!(
        message(b""),
        "test.pcap: the file is empty; a capture has at least a header of 24 bytes"
    );
    assert!(message(&[0x1f, 0x8b, 8, 0]).contains("gzip"));
    assert!(message(b"snoop\0\0\0").contains("snoop"));
    assert!(message(b"hello, world").contains("68 65 6c 6c 6f 2c 20 77"));
    assert!(message(&three_packets()[..20]).contains("ends within its header, after 20 bytes"));
    assert!(
        message(&Ng::new(false).bytes[..20]).contains("ends within its header, after 20 bytes")
    );
}

#[test]
fn a_directory_and_a_missing_file_are_said_so() {
    let error = CaptureReader::open(env!("CARGO_MANIFEST_DIR")).expect_err("a directory");
    assert!(matches!(error.kind, CaptureErrorKind::Directory));
    let error = CaptureReader::open("no/such.pcap").expect_err("nothing there");
    assert!(matches!(error.kind, CaptureErrorKind::Io(_)));
    assert!(error.to_string().starts_with("no/such.pcap: "));
}

#[test]
fn pcapng_of_several_interfaces_with_their_own_times() {
    for is_big in [false, true] {
        let file = Ng::new(is_big)
            .interface(1, 0, None, None)
            .interface(101, 0, Some(9), Some(-10))
            .interface(228, 0, Some(0x80 | 10), Some(100))
            .packet(0, 5_000_001, b"micro", None)
            .packet(1, 25_000_000_001, b"nano", Some(1))
            .packet(2, 1024 + 512, b"binary", Some(2));
        let packets = good(&file.bytes);
        let seen: Vec<_> = packets
            .iter()
            .map(|packet| (packet.link, packet.time.0, packet.direction))
            .collect();
        let expected = [
            (LinkType::ETHERNET, 5_000_001_000, None),
            (LinkType::RAW, 15_000_000_001, Some(Direction::Inbound)),
            (LinkType::IPV4, 101_500_000_000, Some(Direction::Outbound)),
        ];
        assert_eq!(seen, expected);
        assert_eq!(packets[2].data, b"binary");
        assert_eq!(packets[2].number, 3);
    }
}

#[test]
fn pcapng_sections_may_differ_in_byte_order_and_start_with_interfaces_anew() {
    let first = Ng::new(false)
        .interface(1, 0, None, None)
        .packet(0, 1, b"one", None);
    let second = Ng::new(true)
        .interface(101, 0, None, None)
        .packet(0, 2, b"two", None)
        .packet(1, 3, b"three", None);
    let offset = (first.bytes.len() + second.bytes.len() - 40) as u64;
    let (packets, error) = read(&[first.bytes, second.bytes].concat());
    assert_eq!(
        packets.iter().map(|packet| packet.link).collect::<Vec<_>>(),
        [LinkType::ETHERNET, LinkType::RAW]
    );
    let error = error.expect("interface 1 is not described in the second section");
    assert!(matches!(
        error.kind,
        CaptureErrorKind::UnknownInterface {
            interface: 1,
            described: 1
        }
    ));
    assert_eq!(error.place, Some(Place { packet: 3, offset }));
}

#[test]
fn simple_packets_end_at_the_snapshot_length_and_take_the_time_before() {
    let file = Ng::new(false)
        .interface(101, 6, None, None)
        .packet(0, 7, b"before", None);
    let body = [&file.word(100)[..], b"abcdefgh"].concat();
    let packets = good(&file.block(3, &body).bytes);
    assert_eq!(
        (packets[1].data.as_slice(), packets[1].original_len),
        (&b"abcdef"[..], 100)
    );
    assert_eq!(packets[1].time, Timestamp(7000));
}

#[test]
fn obsolete_packet_blocks_are_read_and_unknown_blocks_skipped() {
    for is_big in [false, true] {
        let file = Ng::new(is_big)
            .interface(101, 0, None, None)
            .block(0x0bad_cafe, b"whatever")
            .block(5, b"");
        let mut body = [file.half(0), file.half(3)].concat();
        body.extend([0, 9, 3, 30].iter().flat_map(|field| file.word(*field)));
        body.extend(b"old");
        let packets = good(&file.block(2, &body).bytes);
        assert_eq!(packets.len(), 1);
        assert_eq!(
            (packets[0].data.as_slice(), packets[0].original_len),
            (&b"old"[..], 30)
        );
        assert_eq!(packets[0].time, Timestamp(9000));
    }
}

#[test]
fn damaged_blocks_are_located() {
    let good = Ng::new(false)
        .interface(101, 0, None, None)
        .packet(0, 1, b"good", None);
    let at = good.bytes.len();
    let mut lengths_differ = good.packet(0, 2, b"bad!", None).bytes;
    let kind = |bytes: &[u8]| {
        let (packets, error) = read(bytes);
        assert_eq!(packets.len(), 1);
        let error = error.expect("damaged");
        assert_eq!(
            error.place,
            Some(Place {
                packet: 2,
                offset: at as u64
            })
        );
        error.kind
    };
    let mut length = lengths_differ.clone();
    length[at + 4] = 37;
    assert!(matches!(
        kind(&length),
        CaptureErrorKind::BlockLength {
            block: 6,
            said: 37,
            least: 12
        }
    ));
    let mut captured = lengths_differ.clone();
    captured[at + 20] = 200;
    assert!(matches!(
        kind(&captured),
        CaptureErrorKind::BlockMalformed { block: 6 }
    ));
    let last = lengths_differ.len() - 4;
    assert!(matches!(
        kind(&lengths_differ[..last]),
        CaptureErrorKind::Truncated { said: 36, have: 32 }
    ));
    lengths_differ[last] = 40;
    assert!(matches!(
        kind(&lengths_differ),
        CaptureErrorKind::BlockLengthsDiffer {
            said: 36,
            trailing: 40,
            ..
        }
    ));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(start in 0..6usize, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let starts: [&[u8]; 6] = [
            &[], &[0xd4, 0xc3, 0xb2, 0xa1], &[0xa1, 0xb2, 0x3c, 0x4d], &[0x34, 0xcd, 0xb2, 0xa1],
            &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a], &[0x0a, 0x0d, 0x0d, 0x0a],
        ];
        read(&[starts[start], &bytes].concat());
    }

    #[test]
    fn mutated_captures_never_panic_and_keep_the_packets_before(
        is_ng in any::<bool>(), is_big in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let whole = if is_ng {
            Ng::new(is_big).interface(1, 0, Some(9), Some(1)).interface(101, 9, None, None)
                .packet(0, 1, b"first", Some(1)).packet(1, 2, b"second", None).block(3, &[0, 0, 0, 4, 1, 2, 3, 4]).bytes
        } else {
            three_packets()
        };
        let before = good(&whole);
        let mut bytes = whole.clone();
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        let first_change = whole.iter().zip(&bytes).position(|(was, is)| was != is).unwrap_or(whole.len()) as u64;
        let untouched = before.iter().skip(1).filter(|next| next.offset <= first_change).count();
        let (packets, _) = read(&bytes);
        prop_assert!(packets.len() >= untouched);
        prop_assert_eq!(&packets[..untouched], &before[..untouched]);
    }
}
