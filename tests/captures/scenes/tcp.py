"""A TCP conversation between a peer and the host, with sequence numbers kept right."""

from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from .crypto import PLAIN

PEER_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("NOP", None), ("WScale", 7)]
HOST_OPTIONS = [("MSS", 1460), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")]

RDP_REQUEST = bytes.fromhex("030000130ee000000000000100080003000000")
RDP_CONFIRM = bytes.fromhex("030000130ed000001234000209080002000000")
NRPE_QUERY = bytes.fromhex("00020001") + b"\x6e\x1d\x9a\x44\x00\x00" + b"_NRPE_CHECK".ljust(54, b"\0")
NRPE_ANSWER = bytes.fromhex("00020002") + b"\x21\x7b\x03\xce\x00\x00" + b"NRPE v4.1.0".ljust(54, b"\0")
HTTP_GET = b"GET /status HTTP/1.1\r\nHost: example.net\r\nUser-Agent: tollgate-capture\r\n\r\n"
HTTP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n"
HTTP_BODY = b"all lanes are open, every packet pays once and leaves only once\n"


class Tcp:
    """`rx` and `tx` add a segment from the peer or from the host. `header` lets a scene write its own IP header."""

    def __init__(self, capture, peer, host, peer_port, host_port, *, over=PLAIN, header=None):
        self.capture = capture
        self.peer = peer
        self.host = host
        self.ports = (peer_port, host_port)
        self.over = over
        self.header = header or capture.ip
        # Initial sequence numbers that differ from conversation to conversation and not from run to run.
        self.peer_seq = (peer_port * 2654435761 + 17) & 0xFFFFFFFF
        self.host_seq = (host_port * 40503 + peer_port * 69069 + 5) & 0xFFFFFFFF

    def from_peer(self, flags, data=b"", *, ack=None, options=()):
        """Return a segment from the peer and count its sequence space."""
        tcp = TCP(
            sport=self.ports[0],
            dport=self.ports[1],
            seq=self.peer_seq,
            ack=self.host_seq if "A" in flags else 0,
            flags=flags,
            window=_window(flags, 502),
            options=list(options),
        )
        self.peer_seq = _advance(self.peer_seq, flags, data)
        return _join(self.header(self.peer, self.host) / tcp, data)

    def from_host(self, flags, data=b"", *, options=()):
        """Return a segment from the host and count its sequence space."""
        tcp = TCP(
            sport=self.ports[1],
            dport=self.ports[0],
            seq=self.host_seq,
            ack=self.peer_seq if "A" in flags else 0,
            flags=flags,
            window=_window(flags, 1026),
            options=list(options),
        )
        self.host_seq = _advance(self.host_seq, flags, data)
        return _join(self.header(self.host, self.peer) / tcp, data)

    def rx(self, flags, data=b"", **how):
        """The peer sends."""
        self.over.rx(self.capture, self.from_peer(flags, data, **how))

    def tx(self, flags, data=b"", **how):
        """The host sends."""
        self.over.tx(self.capture, self.from_host(flags, data, **how))

    def accept(self):
        """The peer connects to the host."""
        self.rx("S", options=PEER_OPTIONS)
        self.tx("SA", options=HOST_OPTIONS)
        self.rx("A")

    def connect(self):
        """The host connects to the peer."""
        self.tx("S", options=HOST_OPTIONS)
        self.rx("SA", options=PEER_OPTIONS)
        self.tx("A")

    def closed_by_peer(self):
        """The peer closes first."""
        self.rx("FA")
        self.tx("A")
        self.tx("FA")
        self.rx("A")

    def closed_by_host(self):
        """The host closes first."""
        self.tx("FA")
        self.rx("FA")
        self.tx("A")


def _window(flags, usual):
    return 64240 if "S" in flags else (0 if "R" in flags else usual)


def _advance(seq, flags, data):
    return (seq + len(data) + int("S" in flags) + int("F" in flags)) & 0xFFFFFFFF


def _join(packet, data):
    return packet / Raw(data) if data else packet


def udp(header, sport, dport, data, **fields):
    """Return a datagram under a header."""
    return header / UDP(sport=sport, dport=dport, **fields) / Raw(data)
