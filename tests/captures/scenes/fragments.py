"""Fragmented packets, with and without IPsec. A protected packet is fragmented after it was protected."""

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw, raw

from .capture import HOST4, HOST6, PEER4, PEER6, Capture
from .crypto import Association, pair
from .headers import destination
from .tcp import udp

PIECE = 208
TEXT = b"The toll is paid once, whatever the number of axles. " * 12


def split(packet, identification, piece=PIECE):
    """Return the fragments of a packet whose fragmentable part begins right behind the fixed header."""
    packet = packet.__class__(raw(packet))
    body = raw(packet.payload)
    starts = range(0, len(body), piece)
    if packet.version == 6:
        return [
            IPv6(src=packet.src, dst=packet.dst, hlim=packet.hlim, fl=packet.fl)
            / IPv6ExtHdrFragment(nh=packet.nh, offset=at // 8, m=int(at + piece < len(body)), id=identification)
            / Raw(body[at : at + piece])
            for at in starts
        ]
    return [
        IP(
            src=packet.src,
            dst=packet.dst,
            id=packet.id,
            ttl=packet.ttl,
            proto=packet.proto,
            flags="MF" if at + piece < len(body) else 0,
            frag=at // 8,
        )
        / Raw(body[at : at + piece])
        for at in starts
    ]


class Scene:
    """The same story for V4 and V6."""

    def __init__(self, version):
        self.host, self.peer = (HOST4, PEER4) if version == 4 else (HOST6, PEER6)
        self.version = version
        self.identification = 0x7A000000
        base = 0x40000 + version * 0x100
        esp = pair(base, self.peer, self.host, enc="aes-cbc", auth="hmac-sha256-128")
        gcm = Association(base + 2, self.peer, self.host, enc="aes-gcm")
        ah = Association(base + 3, self.peer, self.host, auth="hmac-sha1-96")
        self.esp, self.gcm, self.ah = esp, gcm, ah
        self.capture = Capture(
            f"fragments-v{version}.pcap",
            "in order, reversed, interleaved, with a duplicate, never completed; ping; fragmented ESP and AH",
            host=[self.host],
            associations=[*esp.associations, gcm, ah],
            sa_file=f"fragments-v{version}.sa.toml",
        )

    def ip(self, src, dst):
        """Return a header that allows fragments."""
        return self.capture.ip(src, dst) if self.version == 6 else self.capture.ip(src, dst, flags=0)

    def split(self, packet):
        """Return the packet's fragments under a new identification."""
        self.identification += 1
        return split(packet, self.identification)

    def datagram(self, port, length=600):
        """Return a large datagram from the peer."""
        return udp(self.ip(self.peer, self.host), port, 5353, TEXT[:length])

    def rx(self, whole, fragments, mode=None):
        """The fragments arrive in the order given, and the last completes the packet."""
        for fragment in fragments[:-1]:
            self.capture.rx_fragment(fragment)
        self.capture.rx_fragment(fragments[-1], completes=whole, mode=mode)

    def build(self):
        """Add every case and return the capture."""
        c = self.capture
        whole = self.datagram(40001)
        self.rx(whole, self.split(whole))
        whole = self.datagram(40002)
        self.rx(whole, self.split(whole)[::-1])
        self.interleaved()
        whole = self.datagram(40005)
        first, second, third = self.split(whole)
        c.rx_fragment(first)
        c.rx_fragment(second)
        c.rx_fragment(second, duplicate=True)
        c.rx_fragment(third, completes=whole)
        # The middle one of three never comes.
        first, _, third = self.split(self.datagram(40006))
        c.rx_fragment(first, drop="fragment_incomplete")
        c.rx_fragment(third, drop="fragment_incomplete")
        self.pings()
        if self.version == 6:
            whole = udp(self.ip(self.peer, self.host) / destination(), 40007, 5353, TEXT[:300])
            self.rx(whole, self.split(whole))
        whole = udp(self.ip(self.host, self.peer), 5353, 40001, TEXT[:500])
        c.tx_fragments(self.split(whole), whole)
        self.protected()
        # A short packet last, to show that what went before left nothing behind.
        c.rx(udp(self.ip(self.peer, self.host), 40001, 5353, b"done"))
        return c

    def interleaved(self):
        """Two packets whose fragments alternate, the second one backwards."""
        one, two = self.datagram(40003), self.datagram(40004, 500)
        ones, twos = self.split(one), self.split(two)[::-1]
        for a, b in list(zip(ones, twos, strict=True))[:-1]:
            self.capture.rx_fragment(a)
            self.capture.rx_fragment(b)
        self.capture.rx_fragment(ones[-1], completes=one)
        self.capture.rx_fragment(twos[-1], completes=two)

    def pings(self):
        """A large ping and its answer."""
        request, reply = self.ip(self.peer, self.host), self.ip(self.host, self.peer)
        if self.version == 4:
            request = request / ICMP(type=8, id=9, seq=1) / Raw(TEXT[:400])
            reply = reply / ICMP(type=0, id=9, seq=1) / Raw(TEXT[:400])
        else:
            request = request / ICMPv6EchoRequest(id=9, seq=1, data=TEXT[:400])
            reply = reply / ICMPv6EchoReply(id=9, seq=1, data=TEXT[:400])
        self.rx(request, self.split(request))
        self.capture.tx_fragments(self.split(reply), reply)

    def protected(self):
        """ESP both ways, ESP with AES-GCM backwards, AH."""
        whole = self.datagram(40011, 400)
        self.rx(whole, self.split(self.esp.inbound[0].protect(whole)), mode="transport")
        whole = udp(self.ip(self.host, self.peer), 5353, 40011, TEXT[:400])
        self.capture.tx_fragments(self.split(self.esp.outbound[0].protect(whole)), whole, mode="transport")
        whole = self.datagram(40012, 400)
        self.rx(whole, self.split(self.gcm.protect(whole))[::-1], mode="transport")
        whole = self.datagram(40013, 400)
        self.rx(whole, self.split(self.ah.protect(whole)), mode="transport")


def captures():
    """Return this family's captures."""
    return [Scene(4).build(), Scene(6).build()]
