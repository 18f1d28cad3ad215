"""A capture under construction. It counts what each packet must come to at the moment the packet is added.

The counts are knowledge of the author of a scene, not the result of reading the file again: reading it again is
verify.py's work.
"""

import ipaddress
import struct
from collections import Counter

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import raw

from . import files
from .files import Record

HOST4 = "192.0.2.10"
HOST6 = "2001:db8:10::10"
HOST6_LINK = "fe80::215:5dff:fe01:a10"
PEER4 = "198.51.100.20"
PEER6 = "2001:db8:20::20"
HOST_MAC = bytes.fromhex("00155d010a10")
STRANGER_MAC = bytes.fromhex("00155d010a99")
ROUTER_MAC = bytes.fromhex("00005e000101")

# Friday 1 March 2024, 08:00:00 UTC.
START_NS = 1_709_280_000_000_000_000


def is_v6(address):
    """Tell whether a textual address is a V6 one."""
    return ":" in address


def group_mac(address):
    """Return the Ethernet address of a multicast or the broadcast IP address, or None for a unicast one."""
    parsed = ipaddress.ip_address(address)
    if address == "255.255.255.255":
        return b"\xff" * 6
    if not parsed.is_multicast:
        return None
    if parsed.version == 6:
        return b"\x33\x33" + parsed.packed[12:]
    return b"\x01\x00\x5e" + bytes([parsed.packed[1] & 0x7F]) + parsed.packed[2:]


class Capture:
    """Records, expected counts and the whole plain packets that must come out, of one capture."""

    def __init__(self, file, about, *, host, link="ethernet", nano=False, order="<", associations=(), sa_file=None):
        self.file = file
        self.about = about
        self.host = list(host)
        self.link = link
        self.nano = nano
        self.order = order
        self.associations = list(associations)
        self.sa_file = sa_file
        self.interfaces = None
        self.interface = 0
        self.records = []
        self.plain = []
        self.counts = Counter()
        self.dropped = Counter()
        self.ns = START_NS
        self._ids = {}

    # Headers.

    def ip(self, src, dst, **fields):
        """Return an IP header such as the source's system would write: a Windows host, Linux peers six hops away."""
        mine = src in self.host or ipaddress.ip_address(src).is_loopback
        if is_v6(src):
            group = ipaddress.ip_address(dst).is_link_local or ipaddress.ip_address(dst).is_multicast
            fields.setdefault("hlim", 128 if mine else (64 if group else 58))
            fields.setdefault("fl", 0 if mine else 0x5A3C1)
            return IPv6(src=src, dst=dst, **fields)
        fields.setdefault("ttl", 128 if mine else 58)
        fields.setdefault("flags", "DF")
        fields.setdefault("id", self._next_id(src))
        return IP(src=src, dst=dst, **fields)

    def _next_id(self, src):
        seed = sum(ipaddress.ip_address(src).packed) * 259
        self._ids[src] = (self._ids.get(src, seed) + 1) & 0xFFFF
        return self._ids[src]

    # Time.

    def wait(self, seconds):
        """Let this much time pass before the next packet."""
        self.ns += round(seconds * 1_000_000_000)

    def _tick(self):
        # Uneven steps of a fraction of a millisecond, with digits below the microsecond for nanosecond files.
        self.ns += 120_000 + (len(self.records) * 7919) % 830_000 + 307
        return self.ns

    # Records.

    def frame(self, data):
        """Add link-layer bytes as they are."""
        self.records.append(Record(self._tick(), data, self.interface))

    def _wrap(self, packet, outbound):
        link = self.interfaces[self.interface][0] if self.interfaces else self.link
        version = packet[0] >> 4
        dst = ipaddress.ip_address(packet[24:40] if version == 6 else packet[16:20])
        group = group_mac(str(dst))
        ethertype = struct.pack("!H", 0x86DD if version == 6 else 0x0800)
        if link == "raw":
            return packet
        if link == "null":
            # 24 is what Npcap and the BSDs write for V6, in the byte order of the machine.
            return struct.pack("<I", 24 if version == 6 else 2) + packet
        if link == "linux-cooked":
            kind = 4 if outbound else (0 if group is None else 2)
            sender = HOST_MAC if outbound else ROUTER_MAC
            return struct.pack("!HHH", kind, 1, 6) + sender + bytes(2) + ethertype + packet
        if outbound:
            return (group or ROUTER_MAC) + HOST_MAC + ethertype + packet
        # A received frame has at least 60 bytes; what is behind the packet is padding and not the packet's.
        return ((group or HOST_MAC) + ROUTER_MAC + ethertype + packet).ljust(60, b"\0")

    def _add(self, wire, outbound):
        self.frame(self._wrap(wire, outbound))

    def _whole(self, side, packet):
        if side == "delivered":
            self.counts["delivered"] += 1
        else:
            self.counts["sent_whole"] += 1
        self.plain.append(Record(self.ns, packet, 0 if side == "delivered" else 1))

    def rx(self, packet, *, wire=None, mode=None, drop=None):
        """Add a packet that arrives: `wire` is how it looks on the wire, `mode` the IPsec mode taken off.

        With `drop`, the reason, nothing is delivered.
        """
        self._add(raw(packet if wire is None else wire), outbound=False)
        self.counts["packets_in"] += 1
        if drop:
            self.dropped[drop] += 1
            return
        if mode:
            self.counts["ipsec_" + mode] += 1
        self._whole("delivered", raw(packet))

    def tx(self, packet, *, wire=None, mode=None):
        """Add a packet that leaves."""
        self._add(raw(packet if wire is None else wire), outbound=True)
        self.counts["sent"] += 1
        if mode:
            self.counts["ipsec_" + mode + "_out"] += 1
        self._whole("sent", raw(packet))

    def rx_fragment(self, fragment, *, completes=None, mode=None, duplicate=False, drop=None):
        """Add a fragment that arrives; `completes` is the whole plain packet that is there once it has."""
        self._add(raw(fragment), outbound=False)
        self.counts["packets_in"] += 1
        self.counts["fragments_in"] += 1
        self.counts["fragments_duplicate"] += int(duplicate)
        if drop:
            self.dropped[drop] += 1
        if completes is not None:
            self.counts["reassembled_in"] += 1
            if mode:
                self.counts["ipsec_" + mode] += 1
            self._whole("delivered", raw(completes))

    def tx_fragments(self, fragments, whole, *, mode=None):
        """Add the fragments of one packet that leaves, in order."""
        for fragment in fragments:
            self._add(raw(fragment), outbound=True)
            self.counts["sent"] += 1
            self.counts["fragments_out"] += 1
        if mode:
            self.counts["ipsec_" + mode + "_out"] += 1
        self._whole("sent", raw(whole))

    def loop(self, packet, *, delivered=None):
        """Add a packet from the host to itself; `delivered` is the packet with its checksum completed."""
        self._add(raw(packet), outbound=True)
        self.counts["loopback"] += 1
        if delivered is not None:
            self.counts["partial_checksum"] += 1
        self._whole("delivered", raw(packet if delivered is None else delivered))

    def stranger(self, packet):
        """Add another host's packet that the interface saw."""
        packet = raw(packet)
        ethertype = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
        self.frame((STRANGER_MAC + ROUTER_MAC + ethertype + packet).ljust(60, b"\0"))
        self.dropped["not_for_host"] += 1

    def not_ip(self, data):
        """Add a frame that is no IP packet."""
        self.frame(data.ljust(60, b"\0"))
        self.dropped["not_ip"] += 1

    # Results.

    @property
    def stem(self):
        """The file's name without its extension."""
        return self.file.rsplit(".", 1)[0]

    def file_bytes(self):
        """Return the capture file."""
        if self.interfaces:
            return files.pcapng(self.interfaces, self.records)
        return files.pcap(self.link, self.records, nano=self.nano, order=self.order)

    def plain_bytes(self):
        """Return the pcapng of what must reach the transport layer (interface 0) and what left it (interface 1)."""
        return files.pcapng([("raw", "delivered", 9), ("raw", "sent", 9)], self.plain)
