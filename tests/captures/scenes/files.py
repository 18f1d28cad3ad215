"""Writers for pcap and pcapng. Nothing here depends on the machine, the clock or the run."""

import struct
from dataclasses import dataclass

LINK_TYPES = {"null": 0, "ethernet": 1, "raw": 101, "linux-cooked": 113}


@dataclass
class Record:
    """One captured packet: when (nanoseconds since 1970), its link-layer bytes, on which interface."""

    ns: int
    data: bytes
    interface: int = 0
    wire_length: int | None = None

    @property
    def original_length(self):
        """Length on the wire, which is more than was captured when the capture cut the packet short."""
        return len(self.data) if self.wire_length is None else self.wire_length


def pcap_header(link, *, nano=False, order="<", snaplen=262144):
    """Return the 24-byte file header of a classic pcap."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, LINK_TYPES[link])


def pcap_record(record, *, nano=False, order="<"):
    """Return one pcap record: 16-byte header and the data."""
    seconds, rest = divmod(record.ns, 1_000_000_000)
    fraction = rest if nano else rest // 1000
    head = struct.pack(order + "IIII", seconds, fraction, len(record.data), record.original_length)
    return head + record.data


def pcap(link, records, *, nano=False, order="<", snaplen=262144):
    """Return a whole classic pcap file."""
    head = pcap_header(link, nano=nano, order=order, snaplen=snaplen)
    return head + b"".join(pcap_record(r, nano=nano, order=order) for r in records)


def _padded(data):
    return data + bytes(-len(data) % 4)


def _block(kind, body):
    total = len(body) + 12
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total)


def _option(code, value):
    return struct.pack("<HH", code, len(value)) + _padded(value)


def section_block():
    """Return a pcapng section header block of unstated length."""
    return _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface_block(link, name, digits):
    """Return an interface description block; `digits` is the power of ten of its clock."""
    options = _option(2, name.encode()) + _option(9, bytes([digits])) + struct.pack("<HH", 0, 0)
    return _block(1, struct.pack("<HHI", LINK_TYPES[link], 0, 262144) + options)


def packet_block(record, digits):
    """Return an enhanced packet block."""
    ticks = record.ns // 10 ** (9 - digits)
    head = struct.pack(
        "<IIIII",
        record.interface,
        ticks >> 32,
        ticks & 0xFFFFFFFF,
        len(record.data),
        record.original_length,
    )
    return _block(6, head + _padded(record.data))


def pcapng(interfaces, records):
    """Return a pcapng file. `interfaces` is a list of (link, name, digits of the clock)."""
    blocks = [section_block()] + [interface_block(*i) for i in interfaces]
    blocks += [packet_block(r, interfaces[r.interface][2]) for r in records]
    return b"".join(blocks)
