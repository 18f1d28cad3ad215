"""IP headers that are longer than the least: V4 options, V6 extension headers."""

from scapy.contrib.igmp import IGMP
from scapy.layers.inet import ICMP, TCP, IPOption, IPOption_Router_Alert
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.packet import Raw

from .capture import HOST4, HOST6, PEER4, PEER6, Capture
from .tcp import NRPE_ANSWER, NRPE_QUERY, Tcp, udp

NOP = b"\x01"
# Record route: three places, two of them filled by routers on the way.
RECORD_ROUTE = bytes.fromhex("070f0c c6336401 c0000201 00000000".replace(" ", ""))
# Timestamps with addresses: one place filled, one empty.
TIMESTAMP = bytes.fromhex("44140d01 c6336401 01b77400 00000000 00000000".replace(" ", ""))


def v4_options(data):
    """Return raw option bytes, padded with NOP to four, in the form Scapy's IP header takes."""
    data += NOP * (-len(data) % 4)
    options, at = [], 0
    while at < len(data):
        length = 1 if data[at] < 2 else data[at + 1]
        options.append(IPOption(data[at : at + length]))
        at += length
    return options


def options_v4():
    """Return options-v4.pcap."""
    c = Capture("options-v4.pcap", "every IP header length from 24 to 60 bytes, in and out", host=[HOST4], link="raw")
    for words in range(1, 11):
        options = v4_options(NOP * (words * 4))
        data = b"header of %d bytes" % (20 + words * 4)
        c.rx(udp(c.ip(PEER4, HOST4, options=options), 40160 + words, 161, data))
        c.tx(udp(c.ip(HOST4, PEER4, options=options), 161, 40160 + words, data))
    route, stamp = v4_options(RECORD_ROUTE), v4_options(TIMESTAMP)
    c.rx(c.ip(PEER4, HOST4, options=route) / ICMP(type=8, id=0x31, seq=1) / Raw(b"record route"))
    c.tx(c.ip(HOST4, PEER4, options=route) / ICMP(type=0, id=0x31, seq=1) / Raw(b"record route"))
    c.rx(c.ip(PEER4, HOST4, options=stamp) / ICMP(type=8, id=0x31, seq=2) / Raw(b"timestamp"))
    c.tx(c.ip(HOST4, PEER4, options=stamp) / ICMP(type=0, id=0x31, seq=2) / Raw(b"timestamp"))
    c.rx(c.ip("192.0.2.1", "224.0.0.1", ttl=1, options=[IPOption_Router_Alert()]) / IGMP(type=0x11, mrcode=100))
    # Router alert, record route and timestamp together: 4 + 15 + 20 and one NOP make all 40 bytes.
    full = v4_options(bytes.fromhex("94040000") + RECORD_ROUTE + TIMESTAMP)
    rdp = Tcp(c, PEER4, HOST4, 50320, 3389, header=lambda src, dst: c.ip(src, dst, options=full))
    rdp.accept()
    rdp.rx("PA", b"a segment behind sixty bytes of header")
    rdp.tx("PA", b"and the answer")
    rdp.closed_by_peer()
    return c


def unknown_skipped(length):
    """Return an option that no receiver knows and every receiver must skip; its data may change on the way."""
    return HBHOptUnknown(otype=0x3E, optlen=length, optdata=b"\xa5" * length)


def hop_by_hop():
    """Return the hop-by-hop header with router alert."""
    return IPv6ExtHdrHopByHop(options=[RouterAlert()])


def destination(length=4):
    """Return destination options with one unknown option of this data length."""
    return IPv6ExtHdrDestOpt(options=[unknown_skipped(length)])


def routing(addresses=("2001:db8:99::1",)):
    """Return a routing header of an experimental type at its final destination: it must be skipped."""
    return IPv6ExtHdrRouting(type=253, segleft=0, addresses=list(addresses))


def chains():
    """Return (label, headers) of each arrangement, freshly made."""
    return [
        (b"hop by hop", hop_by_hop()),
        (b"destination", destination()),
        (b"routing", routing()),
        (b"long hop by hop", IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(60))])),
        (b"long destination", destination(124)),
        (b"hop by hop, destination", hop_by_hop() / destination()),
        (b"hop by hop, routing", hop_by_hop() / routing()),
        (b"all four", hop_by_hop() / destination() / routing() / destination(12)),
        (b"atomic fragment", IPv6ExtHdrFragment(id=0x01020304, m=0, offset=0)),
        (b"hop by hop, atomic fragment, destination", hop_by_hop() / IPv6ExtHdrFragment(id=0x01020305) / destination()),
    ]


def exthdr_v6():
    """Return exthdr-v6.pcap."""
    c = Capture("exthdr-v6.pcap", "V6 extension headers alone and chained, atomic fragments, in and out", host=[HOST6])
    for n, (label, chain) in enumerate(chains()):
        c.rx(udp(c.ip(PEER6, HOST6) / chain, 40260 + n, 161, label))
        c.tx(udp(c.ip(HOST6, PEER6) / chain.copy(), 161, 40260 + n, label))
    for n, (label, chain) in enumerate(chains()[5:8]):
        c.rx(c.ip(PEER6, HOST6) / chain / ICMPv6EchoRequest(id=0x32, seq=n, data=label))
        c.tx(c.ip(HOST6, PEER6) / ICMPv6EchoReply(id=0x32, seq=n, data=label))
    nrpe = Tcp(c, PEER6, HOST6, 50330, 5666, header=lambda src, dst: c.ip(src, dst) / hop_by_hop() / destination())
    nrpe.accept()
    nrpe.rx("PA", NRPE_QUERY)
    nrpe.tx("PA", NRPE_ANSWER)
    nrpe.closed_by_peer()
    syn = TCP(sport=50331, dport=3389, seq=1, flags="S")
    c.rx(c.ip(PEER6, HOST6) / IPv6ExtHdrFragment(id=0x01020306) / syn)
    return c


def captures():
    """Return this family's captures."""
    return [options_v4(), exthdr_v6()]
