"""Files that a reader must give up on, at a known packet and byte, after the good packets before it."""

import struct
from dataclasses import dataclass

from . import files
from .capture import HOST4, PEER4, Capture
from .tcp import udp


@dataclass
class Broken:
    """A broken file and what a reader must say.

    `packet` counts from 1; 0 is the header of the file. `offset` is where the record or block that cannot be read
    begins. `packet` None means that the file reads to its end.
    """

    file: str
    about: str
    data: bytes
    base: Capture
    packet: int | None
    offset: int | None


def _base(cut=()):
    """Return a small capture of datagrams both ways; those numbered in `cut` lack their last bytes."""
    c = Capture("base.pcap", "", host=[HOST4])
    for n in range(1, 7):
        src, dst, ports = (PEER4, HOST4, (40900, 161)) if n % 2 else (HOST4, PEER4, (161, 40900))
        packet = udp(c.ip(src, dst), *ports, b"datagram number %d of a file that will be broken" % n)
        if n not in cut:
            (c.rx if n % 2 else c.tx)(packet)
            continue
        if n % 2:
            c.rx(packet, drop="truncated")
        else:
            c._add(bytes(packet), outbound=True)
            c.dropped["truncated"] += 1
        record = c.records[-1]
        record.wire_length, record.data = len(record.data), record.data[:64]
    return c


def _first(c, good):
    """Return a capture that counts only the first records of this one."""
    part = Capture("part.pcap", "", host=c.host)
    for number, record in enumerate(c.plain[:good], 1):
        part.records.append(c.records[number - 1])
        inbound = record.interface == 0
        part.counts.update({"packets_in": 1, "delivered": 1} if inbound else {"sent": 1, "sent_whole": 1})
    return part


def _pcap_offsets(c):
    at, offsets = 24, []
    for record in c.records:
        offsets.append(at)
        at += 16 + len(record.data)
    return offsets


def _pcapng(c):
    """Return the bytes of a pcapng with the same records, and where each packet's block begins."""
    data = files.section_block() + files.interface_block("ethernet", "Ethernet", 6)
    offsets = []
    for record in c.records:
        offsets.append(len(data))
        data += files.packet_block(record, 6)
    return data, offsets


def _patched(data, at, value):
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def all_broken():
    """Return every broken file."""
    c = _base()
    whole = files.pcap("ethernet", c.records)
    offsets = _pcap_offsets(c)
    ng, blocks = _pcapng(c)
    cut = _base(cut=(3, 4))

    def fault(file, about, data, packet, offset):
        return Broken(file, about, data, _first(c, max(packet - 1, 0)), packet, offset)

    after = offsets[3]
    return [
        fault("empty.pcap", "no bytes at all", b"", 0, 0),
        fault("short-file-header.pcap", "10 of the file header's 24 bytes", whole[:10], 0, 0),
        fault("wrong-magic.pcap", "a file header with an unknown magic number", _patched(whole, 0, 0x0BADF00D), 0, 0),
        fault("truncated-record-header.pcap", "ends in a record header", whole[: after + 9], 4, after),
        fault("truncated-data.pcap", "ends in a packet's data", whole[: after + 16 + 30], 4, after),
        fault(
            "huge-length.pcap", "a captured length of nearly 2 GiB", _patched(whole, after + 8, 0x7FFFFFF0), 4, after
        ),
        fault("truncated.pcapng", "ends in a packet block", ng[: blocks[4] + 40], 5, blocks[4]),
        fault("small-block-length.pcapng", "a block length of 8", _patched(ng, blocks[2] + 4, 8), 3, blocks[2]),
        fault("odd-block-length.pcapng", "a block length of 101", _patched(ng, blocks[2] + 4, 101), 3, blocks[2]),
        fault(
            "block-length-differs.pcapng",
            "the length behind a block is not the one before it",
            _patched(ng, blocks[3] - 4, 0x1000),
            3,
            blocks[2],
        ),
        fault(
            "captured-length-past-block.pcapng",
            "a captured length that is longer than its block",
            _patched(ng, blocks[2] + 20, 0x400),
            3,
            blocks[2],
        ),
        Broken(
            "snaplen.pcap",
            "a sound file whose packets 3 and 4 were cut to 64 bytes by the capture",
            files.pcap("ethernet", cut.records, snaplen=65535),
            cut,
            None,
            None,
        ),
    ]
