"""Packets from the host to itself, each captured once, as Npcap's loopback adapter does."""

from scapy.layers.inet import ICMP, IP, TCP, UDP, in4_chksum
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, in6_chksum
from scapy.packet import Raw, raw

from .capture import HOST4, HOST6, Capture
from .tcp import HOST_OPTIONS, RDP_CONFIRM, RDP_REQUEST, Tcp, udp


def partial(packet):
    """Return the packet as the sending stack leaves it to checksum offload: the field holds the pseudo-header's sum."""
    copy = packet.__class__(raw(packet))
    layer = copy.getlayer(TCP) or copy.getlayer(UDP)
    number = 6 if isinstance(layer, TCP) else 17
    # The checksum over a body of zeros of the right length is the complement of the pseudo-header's sum.
    body = bytes(len(raw(layer)))
    total = in4_chksum(number, copy, body) if isinstance(copy, IP) else in6_chksum(number, copy, body)
    layer.chksum = ~total & 0xFFFF
    return copy.__class__(raw(copy))


class Inside:
    """What lies over a loopback conversation: both directions are loopback, checksums are left unfinished."""

    @staticmethod
    def rx(capture, packet):
        """Add the packet."""
        capture.loop(partial(packet), delivered=packet)

    tx = rx


def session(capture, address, client_port, server_port):
    """Add a short TCP connection from an address to itself."""
    tcp = Tcp(capture, address, address, client_port, server_port, over=Inside)
    tcp.rx("S", options=HOST_OPTIONS)
    tcp.tx("SA", options=HOST_OPTIONS)
    tcp.rx("A")
    tcp.rx("PA", RDP_REQUEST)
    tcp.tx("PA", RDP_CONFIRM)
    tcp.closed_by_peer()


def loopback():
    """Return loopback.pcap."""
    c = Capture(
        "loopback.pcap",
        "127.0.0.1, ::1 and the host's own addresses: TCP and UDP with pseudo-header checksums only, ICMP",
        host=[HOST4, HOST6],
        link="null",
    )
    for n, address in enumerate(("127.0.0.1", "::1", HOST4, HOST6)):
        session(c, address, 50500 + n, 3389)
        header = c.ip(address, address)
        Inside.rx(c, udp(header, 50600 + n, 5355, b"to myself"))
        Inside.rx(c, udp(c.ip(address, address), 5355, 50600 + n, b"from myself, odd"))
        if ":" in address:
            c.loop(c.ip(address, address) / ICMPv6EchoRequest(id=1, seq=n, data=b"loop"))
            c.loop(c.ip(address, address) / ICMPv6EchoReply(id=1, seq=n, data=b"loop"))
        else:
            c.loop(c.ip(address, address) / ICMP(type=8, id=1, seq=n) / Raw(b"loop"))
            c.loop(c.ip(address, address) / ICMP(type=0, id=1, seq=n) / Raw(b"loop"))
    closed = Tcp(c, "127.0.0.1", "127.0.0.1", 50700, 81, over=Inside)
    closed.rx("S", options=HOST_OPTIONS)
    closed.host_seq = 0
    closed.tx("RA")
    return c


def captures():
    """Return this family's captures."""
    return [loopback()]
