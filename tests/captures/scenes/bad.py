"""Protected packets that must be dropped before any callout sees them, each between good ones."""

import hashlib
import hmac
import struct

from scapy.layers.inet import IP
from scapy.packet import Raw, raw

from .capture import HOST4, PEER4, Capture
from .crypto import Association
from .tcp import Tcp, udp
from .transport import suites

OTHER4 = "192.0.2.11"


class Bad:
    """The capture and its helpers."""

    def __init__(self):
        self.suites = suites(HOST4, 0xD0000100)
        # Only inbound associations: nothing leaves in this capture.
        self.inbound = [(peer, over.inbound[0]) for peer, over in self.suites]
        self.tunnel = Association(0xD0000180, PEER4, HOST4, mode="tunnel", enc="aes-cbc", auth="hmac-sha1-96")
        self.port = 40500
        self.capture = Capture(
            "ipsec-bad.pcap",
            "no association, wrong integrity value, replayed, outside the window, truncated, bad padding",
            host=[HOST4, OTHER4],
            associations=[a for _, a in self.inbound] + [self.tunnel],
            sa_file="ipsec-bad.sa.toml",
        )

    def datagram(self, peer, text, dst=HOST4):
        """Return a plain datagram with a port of its own."""
        self.port += 1
        return udp(self.capture.ip(peer, dst), self.port, 161, text)

    def good(self, peer, association, seq=None):
        """Add a packet that must be delivered, and return how it looked on the wire."""
        packet = self.datagram(peer, b"good")
        wire = association.protect(packet, seq)
        self.capture.rx(packet, wire=wire, mode=association.mode)
        return wire

    def drop(self, reason, wire):
        """Add a packet that must be dropped."""
        self.capture.rx(wire, drop=reason)

    def build(self):
        """Add every case and return the capture."""
        self.no_association()
        for peer, association in self.inbound:
            self.wrong_integrity(peer, association)
        # Encrypt-then-MAC, combined mode, AH.
        for n in (1, 2, 5):
            self.replays(*self.inbound[n])
        self.malformed()
        tcp = Tcp(self.capture, self.inbound[1][0], HOST4, 51100, 3389)
        syn = tcp.from_peer("S")
        association = self.inbound[1][1]
        self.drop("ipsec_bad_integrity", damaged(association.protect(syn, association.seq + 1)))
        self.capture.rx(syn, wire=association.protect(syn, association.seq), mode="transport")
        return self.capture

    def no_association(self):
        """An unknown SPI; a known one under the other protocol; a known one to another address of the host."""
        peer, esp = self.inbound[1]
        ah = self.inbound[5][1]
        packet = self.datagram(peer, b"nobody knows me")
        unknown = Association(0xDEAD0001, peer, HOST4, enc="aes-cbc", auth="hmac-sha256-128")
        self.drop("ipsec_no_association", unknown.protect(packet))
        unknown = Association(0xDEAD0002, peer, HOST4, auth="hmac-sha1-96")
        self.drop("ipsec_no_association", unknown.protect(packet))
        crossed = Association(ah.spi, peer, HOST4, enc="null", auth="hmac-sha1-96")
        self.drop("ipsec_no_association", crossed.protect(packet))
        crossed = Association(esp.spi, peer, HOST4, auth="hmac-sha256-128")
        self.drop("ipsec_no_association", crossed.protect(packet))
        packet = self.datagram(peer, b"wrong address", OTHER4)
        elsewhere = Association(esp.spi, peer, OTHER4, enc="aes-cbc", auth="hmac-sha256-128")
        self.drop("ipsec_no_association", elsewhere.protect(packet))

    def wrong_integrity(self, peer, association):
        """A wrong integrity value; then the same sequence number with the right one, which must still be accepted."""
        packet = self.datagram(peer, b"wrong value")
        self.drop("ipsec_bad_integrity", damaged(association.protect(packet, 1)))
        self.good(peer, association, 1)
        wire = association.protect(self.datagram(peer, b"body changed"), 2)
        changed = bytearray(raw(wire))
        # The last bytes before the integrity value in ESP, the last bytes of the packet in AH.
        changed[-3 - (0 if association.proto == "ah" else value_length(association))] ^= 0x40
        self.drop("ipsec_bad_integrity", IP(bytes(changed)))

    def replays(self, peer, association):
        """Replayed, late but within the window, late again, and far outside the window."""
        self.good(peer, association, 10)
        again = self.good(peer, association, 12)
        late = self.good(peer, association, 11)
        self.drop("ipsec_replayed", again)
        self.drop("ipsec_replayed", late)
        # Larger than the window of any implementation.
        self.good(peer, association, 50_000)
        self.drop("ipsec_replayed", association.protect(self.datagram(peer, b"too old"), 13))
        # Replayed, and damaged as well: the window is looked at first (RFC 4303 section 3.4.3, RFC 4302 section 3.4.3).
        again = self.good(peer, association, 50_001)
        self.drop("ipsec_replayed", damaged(again))

    def malformed(self):
        """Lengths that do not add up, and padding that is not 1, 2, 3."""
        peer, esp = self.inbound[1]
        ah = self.inbound[5][1]
        c = self.capture
        head = struct.pack("!II", esp.spi, esp.seq + 1)
        # Less than an ESP header; a header alone; a header and vector but no room for an integrity value.
        for body in (head[:6], head, head + bytes(20)):
            self.drop("ipsec_malformed", c.ip(peer, HOST4, proto=50) / Raw(body))
        # Ciphertext that is no whole number of blocks, under a right integrity value. Its number is used up.
        self.drop("ipsec_malformed", sealed(c.ip(peer, HOST4, proto=50), esp, bytes(16 + 21)))
        null_peer, null = self.inbound[0]
        inner = raw(self.datagram(null_peer, b"padding is bad.").payload)
        # Padding of the wrong content; a padding length that is longer than the packet.
        for trailer in (b"\x09\x09\x09\x03\x11", b"\x01\x02\x03\xf0\x11"):
            self.drop("ipsec_malformed", sealed(c.ip(null_peer, HOST4, proto=50), null, inner + trailer))
        ah_peer = self.inbound[5][0]
        wire = bytearray(raw(ah.protect(self.datagram(ah_peer, b"short header"), ah.seq + 1)))
        for length in (0, 1, 200):
            # The AH length field: too small for a sequence number, for an integrity value, and past the packet's end.
            wire[21] = length
            self.drop("ipsec_malformed", IP(bytes(wire)))
        self.drop("ipsec_malformed", c.ip(ah_peer, HOST4, proto=51) / Raw(bytes(wire[20:30])))
        self.good(null_peer, null)
        self.good(ah_peer, ah)
        # A tunnel whose inner packet is no IP packet: protected as a payload of protocol 4 that is something else.
        payload = Association(self.tunnel.spi, PEER4, HOST4, enc="aes-cbc", auth="hmac-sha1-96")
        nonsense = c.ip(PEER4, HOST4, proto=4) / Raw(b"\xf0 is no version of IP at all")
        self.drop("ipsec_malformed", payload.protect(nonsense, 1))
        self.tunnel.seq = 1
        inside = udp(IP(src="198.51.100.21", dst=HOST4, id=77, ttl=60), 40999, 161, b"good tunnel")
        c.rx(inside, wire=self.tunnel.protect(inside), mode="tunnel")


def damaged(wire):
    """Return the packet with one bit of its integrity value changed."""
    data = bytearray(raw(wire))
    # AH: the value begins 12 bytes into the header. ESP: it ends the packet.
    data[20 + 12 if wire.proto == 51 else -1] ^= 0x01
    return IP(bytes(data))


def value_length(association):
    """Return the length of the association's integrity value."""
    return 16 if association.enc == "aes-gcm" or association.auth == "hmac-sha256-128" else 12


def sealed(header, association, body):
    """Return ESP under the next sequence number with a right integrity value, whatever the body is."""
    association.seq += 1
    body = struct.pack("!II", association.spi, association.seq) + body
    digest = {"hmac-sha1-96": hashlib.sha1, "hmac-sha256-128": hashlib.sha256}[association.auth]
    value = hmac.new(association.auth_key, body, digest).digest()[: value_length(association)]
    return header / Raw(body + value)


def captures():
    """Return this family's captures."""
    return [Bad().build()]
