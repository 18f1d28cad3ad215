#!/usr/bin/env python3
"""Read every capture again and compare with expected.toml and plain/. Shares no code with make.py.

Scapy reads the file formats; headers, checksums, reassembly, ESP, AH and the replay window are worked out here, from
the bytes and the RFCs, so that a mistake of the maker is not repeated.
"""

import hashlib
import hmac
import ipaddress
import struct
import sys
import tomllib
from collections import Counter
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.utils import RawPcapNgReader, RawPcapReader

HERE = Path(__file__).resolve().parent
DIGESTS = {
    "hmac-sha1-96": (hashlib.sha1, 12),
    "hmac-sha256-128": (hashlib.sha256, 16),
    "hmac-md5-96": (hashlib.md5, 12),
    "none": (None, 0),
}
WINDOW = 64
EXTENSIONS = (0, 43, 60)
IMMUTABLE_OPTIONS = (0, 1, 130, 133, 134, 148, 149)


class Dropped(Exception):
    """A packet comes to nothing; the argument is the reason."""


def records(path):
    """Return (link type, data, length on the wire, time) of each packet."""
    with path.open("rb") as file:
        is_ng = file.read(4) == b"\x0a\x0d\x0d\x0a"
    if is_ng:
        with RawPcapNgReader(str(path)) as reader:
            return [(m.linktype, d, m.wirelen, (m.tshigh << 32 | m.tslow) / m.tsresol) for d, m in reader]
    with RawPcapReader(str(path)) as reader:
        scale = 1e9 if reader.nano else 1e6
        return [(reader.linktype, d, m.wirelen, m.sec + m.usec / scale) for d, m in reader]


def unlink(link, data):
    """Return the IP packet behind the link header, or None when it is none."""
    if link == 1:
        kind, body = struct.unpack_from("!H", data, 12)[0], data[14:]
    elif link == 113:
        kind, body = struct.unpack_from("!H", data, 14)[0], data[16:]
    elif link == 0:
        return data[4:] if struct.unpack_from("<I", data)[0] in (2, 24, 28, 30) else None
    else:
        return data
    return body if kind in (0x0800, 0x86DD) else None


class Packet:
    """An IP packet: addresses, where the transport header is, and what it says of fragments."""

    def __init__(self, data):
        version = data[0] >> 4 if data else 0
        if version == 4 and len(data) >= 20:
            self.data = data[: struct.unpack_from("!H", data, 2)[0]]
            self.at = (data[0] & 15) * 4
            self.proto = data[9]
            self.proto_at = 9
            self.src, self.dst = (str(ipaddress.ip_address(data[n : n + 4])) for n in (12, 16))
            field = struct.unpack_from("!H", data, 6)[0]
            self.more, self.offset = bool(field & 0x2000), (field & 0x1FFF) * 8
            self.key = (self.src, self.dst, self.proto, data[4:6])
        elif version == 6 and len(data) >= 40:
            self.data = data[: 40 + struct.unpack_from("!H", data, 4)[0]]
            self.src, self.dst = (str(ipaddress.ip_address(data[n : n + 16])) for n in (8, 24))
            self.more, self.offset = False, 0
            self.at, self.proto, self.proto_at = 40, data[6], 6
            self._extensions()
        else:
            raise Dropped("ipsec_malformed")
        self.version = version

    def _extensions(self):
        while self.proto in EXTENSIONS or self.proto == 44:
            if self.proto == 44:
                field = struct.unpack_from("!H", self.data, self.at + 2)[0]
                self.more, self.offset = bool(field & 1), field & 0xFFF8
                self.key = (self.src, self.dst, self.data[self.at + 4 : self.at + 8])
                self.fragment_header = (self.at, self.proto_at)
                if self.more or self.offset:
                    return
                length = 8
            else:
                length = (self.data[self.at + 1] + 1) * 8
            self.proto_at, self.proto = self.at, self.data[self.at]
            self.at += length

    @property
    def transport(self):
        """The bytes from the transport header on."""
        return self.data[self.at :]

    @property
    def is_fragment(self):
        """Whether it is a fragment; an atomic one is none."""
        return self.more or self.offset > 0

    def with_transport(self, proto, body):
        """Return the packet with another protocol behind its headers."""
        head = bytearray(self.data[: self.at])
        head[self.proto_at] = proto
        if self.version == 4:
            struct.pack_into("!H", head, 2, len(head) + len(body))
        else:
            struct.pack_into("!H", head, 4, len(head) - 40 + len(body))
        return Packet(bytes(head) + body)


class Reassembly:
    """Fragments by packet; exact duplicates are counted and ignored."""

    def __init__(self):
        self.waiting = {}
        self.duplicates = 0

    def add(self, p):
        """Take a fragment; return the whole packet when this completes it."""
        if p.version == 6:
            at, proto_at = p.fragment_header
            head, body, proto = bytearray(p.data[:at]), p.data[at + 8 :], p.data[at]
        else:
            head, body, proto_at, proto = bytearray(p.data[: p.at]), p.transport, 9, p.proto
        pieces = self.waiting.setdefault(p.key, {})
        if p.offset in pieces:
            assert pieces[p.offset][1] == body, "a duplicate with other contents"
            self.duplicates += 1
            return None
        pieces[p.offset] = (p.more, body)
        total = b""
        while len(total) in pieces:
            more, piece = pieces[len(total)]
            total += piece
            if not more:
                break
        else:
            return None
        del self.waiting[p.key]
        head[proto_at] = proto
        if p.version == 6:
            struct.pack_into("!H", head, 4, len(head) - 40 + len(total))
        else:
            struct.pack_into("!H", head, 6, 0)
            struct.pack_into("!H", head, 2, len(head) + len(total))
        return Packet(bytes(head) + total)


class Ipsec:
    """The associations of a capture and their replay windows."""

    def __init__(self, path):
        tables = tomllib.loads(path.read_text())["sa"] if path else []
        self.table = {(t["spi"], t["dst"], t["proto"]): dict(t, top=0, seen=set()) for t in tables}

    def remove(self, p):
        """Return (plain packet, mode or None): take off whatever protection is on the packet."""
        mode = None
        while True:
            encapsulated = p.proto == 17 and len(p.transport) >= 8 and 4500 in struct.unpack_from("!HH", p.transport)
            if encapsulated and p.transport[8:] == b"\xff":
                raise Dropped("ipsec_natt_keepalive")
            encapsulated = encapsulated and p.transport[8:12] != bytes(4)
            if p.proto not in (50, 51) and not encapsulated:
                return p, mode
            body = p.transport[8:] if encapsulated else p.transport
            ah = p.proto == 51
            if len(body) < (12 if ah else 8):
                raise Dropped("ipsec_malformed")
            spi, seq = struct.unpack_from("!II", body, 4 if ah else 0)
            sa = self.table.get((spi, p.dst, "ah" if ah else "esp"))
            if sa is None or sa.get("udp_encap", False) != encapsulated:
                raise Dropped("ipsec_no_association")
            assert sa["src"] == p.src, "the source of a packet is not its association's"
            proto, plain = (self.ah if ah else self.esp)(sa, p, body, seq)
            mode = mode if mode == "tunnel" else sa["mode"]
            if sa["mode"] == "tunnel":
                if proto not in (4, 41):
                    raise Dropped("ipsec_malformed")
                p = Packet(plain)
            else:
                p = p.with_transport(proto, plain)

    @staticmethod
    def fresh(sa, seq):
        """Look at the replay window."""
        if seq in sa["seen"] or seq + WINDOW <= sa["top"]:
            raise Dropped("ipsec_replayed")

    @staticmethod
    def used(sa, seq):
        """Advance the replay window."""
        sa["seen"].add(seq)
        sa["top"] = max(sa["top"], seq)

    @staticmethod
    def value(sa, data):
        """Return the integrity value over some bytes."""
        digest, length = DIGESTS[sa["auth"]]
        return hmac.new(bytes.fromhex(sa["auth_key"]), data, digest).digest()[:length]

    def esp(self, sa, _packet, body, seq):
        """Return (protocol, payload) of an ESP body."""
        key = bytes.fromhex(sa["enc_key"])
        vector = {"null": 0, "aes-cbc": 16, "aes-gcm": 8, "3des-cbc": 8}[sa["enc"]]
        length = 16 if sa["enc"] == "aes-gcm" else DIGESTS[sa["auth"]][1]
        if len(body) < 8 + vector + 2 + length:
            raise Dropped("ipsec_malformed")
        self.fresh(sa, seq)
        iv, data, value = body[8 : 8 + vector], body[8 + vector : len(body) - length], body[len(body) - length :]
        if sa["enc"] == "aes-gcm":
            try:
                data = AESGCM(key[:-4]).decrypt(key[-4:] + iv, data + value, body[:8])
            except InvalidTag:
                raise Dropped("ipsec_bad_integrity") from None
        elif self.value(sa, body[: len(body) - length]) != value:
            raise Dropped("ipsec_bad_integrity")
        self.used(sa, seq)
        if sa["enc"].endswith("cbc"):
            algorithm = algorithms.AES(key) if sa["enc"] == "aes-cbc" else TripleDES(key)
            if len(data) % (algorithm.block_size // 8):
                raise Dropped("ipsec_malformed")
            decryptor = Cipher(algorithm, modes.CBC(iv)).decryptor()
            data = decryptor.update(data) + decryptor.finalize()
        padding, proto = data[-2], data[-1]
        if padding > len(data) - 2 or data[len(data) - 2 - padding : -2] != bytes(range(1, padding + 1)):
            raise Dropped("ipsec_malformed")
        return proto, data[: len(data) - 2 - padding]

    def ah(self, sa, p, body, seq):
        """Return (protocol, payload) of an AH body."""
        header = (body[1] + 2) * 4
        _, length = DIGESTS[sa["auth"]]
        if header < 12 + length or header > len(body):
            raise Dropped("ipsec_malformed")
        self.fresh(sa, seq)
        value = body[12 : 12 + length]
        if self.value(sa, immutable(p) + body[:12] + bytes(length) + body[12 + length :]) != value:
            raise Dropped("ipsec_bad_integrity")
        self.used(sa, seq)
        return body[0], body[header:]


def immutable(p):
    """Return the headers before AH with what may change on the way set to zero (RFC 4302 appendix A)."""
    head = bytearray(p.data[: p.at])
    if p.version == 4:
        head[1] = head[8] = 0
        head[6:8] = head[10:12] = bytes(2)
        at = 20
        while at < len(head):
            length = 1 if head[at] < 2 else head[at + 1]
            if head[at] not in IMMUTABLE_OPTIONS:
                head[at : at + length] = bytes(length)
            at += length
        return bytes(head)
    head[0:4] = b"\x60\0\0\0"
    head[7] = 0
    at, kind = 40, p.data[6]
    while at < p.at:
        end = at + (head[at + 1] + 1) * 8
        option = at + 2
        while kind in (0, 60) and option < end:
            length = 1 if head[option] == 0 else head[option + 1] + 2
            if head[option] & 0x20:
                head[option + 2 : option + length] = bytes(length - 2)
            option += length
        at, kind = end, head[at]
    return bytes(head)


def ones_sum(data):
    """Return the Internet checksum's sum (RFC 1071): 0xffff over data that contains its right checksum."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum_is_right(p):
    """Tell whether the transport checksum is right; True for protocols without one that is known here."""
    body = p.transport
    if p.proto == 17 and p.version == 4 and body[6:8] == bytes(2):
        return True
    addresses = ipaddress.ip_address(p.src).packed + ipaddress.ip_address(p.dst).packed
    if p.proto in (6, 17) or (p.proto, p.version) == (58, 6):
        return ones_sum(addresses + struct.pack("!II", len(body), p.proto) + body) == 0xFFFF
    return p.proto not in (1, 2) or ones_sum(body) == 0xFFFF


class Host:
    """Reads one capture as the host's stack would."""

    def __init__(self, capture, path, sa):
        self.addresses = set(capture["host"])
        self.ipsec = Ipsec(sa)
        self.inbound, self.outbound = Reassembly(), Reassembly()
        self.counts, self.dropped = Counter(), Counter()
        self.plain = {"delivered": [], "sent": []}
        self.wrong_checksums = 0
        self.times = []
        for link, data, wire_length, time in records(path):
            self.times.append(time)
            self.counts["records"] += 1
            try:
                self.record(link, data, wire_length)
            except Dropped as reason:
                self.dropped[str(reason)] += 1
        left = sum(len(pieces) for pieces in self.inbound.waiting.values())
        if left:
            self.dropped["fragment_incomplete"] = left
        self.counts["fragments_duplicate"] = self.inbound.duplicates
        assert not self.outbound.waiting, "outbound fragments are left over"

    def is_own(self, address):
        """Tell whether an address is the host's."""
        return address in self.addresses or ipaddress.ip_address(address).is_loopback

    def record(self, link, data, wire_length):
        """Process one record."""
        cut = wire_length > len(data)
        data = unlink(link, data)
        if data is None:
            raise Dropped("not_ip")
        p = Packet(data)
        if p.version == 4 and ones_sum(data[: (data[0] & 15) * 4]) != 0xFFFF:
            self.wrong_checksums += 1
        to_group = ipaddress.ip_address(p.dst).is_multicast or p.dst == "255.255.255.255"
        if self.is_own(p.src) and self.is_own(p.dst):
            self.counts["loopback"] += 1
            self.whole("delivered", p)
        elif self.is_own(p.src):
            if cut:
                raise Dropped("truncated")
            self.counts["sent"] += 1
            self.piece("sent", p)
        elif self.is_own(p.dst) or to_group:
            self.counts["packets_in"] += 1
            if cut:
                raise Dropped("truncated")
            self.piece("delivered", p)
        else:
            raise Dropped("not_for_host")

    def piece(self, side, p):
        """Process one packet of the wire: reassemble, take IPsec off."""
        inbound = side == "delivered"
        if p.is_fragment:
            self.counts["fragments_in" if inbound else "fragments_out"] += 1
            p = (self.inbound if inbound else self.outbound).add(p)
            if p is None:
                return
            self.counts["reassembled_in"] += inbound
        try:
            p, mode = self.ipsec.remove(p)
        except Dropped as reason:
            if inbound or str(reason) != "ipsec_natt_keepalive":
                raise
            mode = None
        if mode:
            self.counts[f"ipsec_{mode}" + ("" if inbound else "_out")] += 1
        self.whole(side, p)

    def whole(self, side, p):
        """Take a whole plain packet."""
        self.counts["delivered" if side == "delivered" else "sent_whole"] += 1
        self.wrong_checksums += not checksum_is_right(p)
        self.plain[side].append((p.src, p.dst, p.proto, p.transport))


def same(one, other, loose):
    """Compare two (src, dst, protocol, transport); with `loose` without the TCP or UDP checksum."""
    if not loose or one[2] not in (6, 17):
        return one == other
    at = 16 if one[2] == 6 else 6
    strip = [(p[:3], p[3][:at] + p[3][at + 2 :]) for p in (one, other)]
    return strip[0] == strip[1]


def verify_capture(capture):
    """Return the complaints about one capture."""
    sa = HERE / capture["sa"] if "sa" in capture else None
    host = Host(capture, HERE / capture["file"], sa)
    complaints = []
    for key, value in capture.items():
        if isinstance(value, int) and key != "partial_checksum" and host.counts[key] != value:
            complaints.append(f"{key}: {value} expected, {host.counts[key]} read")
    if dict(host.dropped) != capture["dropped"]:
        complaints.append(f"dropped: {capture['dropped']} expected, {dict(host.dropped)} read")
    if host.wrong_checksums != capture["partial_checksum"]:
        complaints.append(f"{host.wrong_checksums} wrong checksums, {capture['partial_checksum']} meant")
    expected = {"delivered": [], "sent": []}
    with RawPcapNgReader(str(HERE / capture["plain"])) as reader:
        for data, meta in reader:
            p = Packet(data)
            side = meta.ifname.decode() if isinstance(meta.ifname, bytes) else meta.ifname
            expected[side].append((p.src, p.dst, p.proto, p.transport))
    for side, packets in expected.items():
        pairs = zip(packets, host.plain[side], strict=len(packets) == len(host.plain[side]))
        wrong = [n for n, (a, b) in enumerate(pairs, 1) if not same(a, b, capture["partial_checksum"])]
        if wrong or len(packets) != len(host.plain[side]):
            complaints.append(f"{side}: {len(packets)} expected, {len(host.plain[side])} read, different: {wrong}")
    if host.times != sorted(host.times):
        complaints.append("times do not rise")
    return complaints


def verify_broken(item):
    """Return the complaints about one broken file: the part before the fault must read as expected."""
    path = HERE / item["file"]
    if "fault_packet" not in item:
        host = Host(item, path, None)
    else:
        good = path.read_bytes()[: item["fault_offset"]]
        if item["fault_packet"] == 0:
            return [] if item["good"] == 0 and item["fault_offset"] == 0 else ["a fault in the file header at packet 0"]
        copy = path.with_suffix(path.suffix + ".part")
        copy.write_bytes(good)
        try:
            host = Host(item, copy, None)
        finally:
            copy.unlink()
    read = {key: host.counts[key] for key in ("packets_in", "delivered", "sent")}
    complaints = [f"{key}: {item[key]} expected, {value} read" for key, value in read.items() if item[key] != value]
    if host.counts["records"] != item["good"] or dict(host.dropped) != item["dropped"]:
        complaints.append(f"good or dropped: {host.counts['records']} records, dropped {dict(host.dropped)} read")
    if item.get("fault_packet", item["good"] + 1) != item["good"] + 1:
        complaints.append("the fault is not at the packet behind the good ones")
    return complaints


def main():
    """Verify everything; return the exit status."""
    expected = tomllib.loads((HERE / "expected.toml").read_text())
    bad = 0
    for tables, verify in ((expected["capture"], verify_capture), (expected["broken"], verify_broken)):
        for table in tables:
            complaints = verify(table)
            bad += bool(complaints)
            for complaint in complaints:
                print(f"{table['file']}: {complaint}")
    print(f"{len(expected['capture'])} captures and {len(expected['broken'])} broken files read, {bad} not as expected")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
