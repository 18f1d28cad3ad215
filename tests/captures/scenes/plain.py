"""TCP, UDP, ICMP and other protocols, without options and without protection."""

from scapy.contrib.igmp import IGMP
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3gr, IGMPv3mr
from scapy.layers.inet import ICMP, IP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLDMultAddrRec,
    ICMPv6MLQuery,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import GRE
from scapy.layers.sctp import SCTP, SCTPChunkAbort, SCTPChunkInit, SCTPChunkInitAck
from scapy.packet import Raw, raw

from .capture import HOST4, HOST6, HOST6_LINK, PEER4, PEER6, Capture
from .tcp import (
    HTTP_BODY,
    HTTP_GET,
    HTTP_HEAD,
    NRPE_ANSWER,
    NRPE_QUERY,
    RDP_CONFIRM,
    RDP_REQUEST,
    Tcp,
    udp,
)

ROUTER_LINK = "fe80::1"
PING = bytes(range(0x61, 0x77)) + b"wabcdefghi"


def rdp_nrpe_http(capture, peer, host):
    """Add inbound connections to 3389 and 5666 and an outbound one to 80, partly at the same time."""
    rdp = Tcp(capture, peer, host, 50112, 3389)
    rdp.accept()
    rdp.rx("PA", RDP_REQUEST)
    rdp.tx("PA", RDP_CONFIRM)
    http = Tcp(capture, peer, host, 80, 49733)
    http.connect()
    http.tx("PA", HTTP_GET)
    rdp.rx("A")
    http.rx("A")
    http.rx("A", HTTP_HEAD)
    http.rx("PA", HTTP_BODY)
    http.tx("A")
    nrpe = Tcp(capture, peer, host, 41588, 5666)
    nrpe.accept()
    nrpe.rx("PA", NRPE_QUERY)
    http.closed_by_host()
    nrpe.tx("PA", NRPE_ANSWER)
    nrpe.closed_by_peer()
    rdp.closed_by_peer()


def tcp(version):
    """Return tcp-v4.pcap or tcp-v6.pcap."""
    host, peer, link = (HOST4, PEER4, "ethernet") if version == 4 else (HOST6, PEER6, "raw")
    capture = Capture(
        f"tcp-v{version}.pcap",
        "inbound connections to 3389 and 5666, an outbound one to 80: handshake, data both ways, FIN",
        host=[host],
        link=link,
        order="<" if version == 4 else ">",
    )
    rdp_nrpe_http(capture, peer, host)
    return capture


def _datagrams(capture, peer, host):
    """UDP that the peer starts, and UDP that the host starts; each with later datagrams."""
    for n in range(3):
        capture.rx(udp(capture.ip(peer, host), 40161, 161, b"snmp get %d, tenant public" % n))
        capture.tx(udp(capture.ip(host, peer), 161, 40161, b"snmp response %d" % n))
    for n in range(2):
        capture.tx(udp(capture.ip(host, peer), 55123, 53, b"query number %d" % n))
        capture.rx(udp(capture.ip(peer, host), 53, 55123, b"answer number %d, somewhat longer" % n))


def _others(capture, peer, host):
    """Protocols of which the transport layer knows only the number."""
    field = "nh" if ":" in host else "proto"
    capture.rx(capture.ip(peer, host, **{field: 253}) / Raw(b"experiment one, odd"))
    capture.tx(capture.ip(host, peer, **{field: 253}) / Raw(b"experiment two"))
    init = SCTPChunkInit(init_tag=0x1C0FFEE1, a_rwnd=106496, n_out_streams=10, n_in_streams=10, init_tsn=77)
    capture.rx(capture.ip(peer, host) / SCTP(sport=36412, dport=3868, tag=0) / init)
    capture.tx(capture.ip(host, peer) / SCTP(sport=3868, dport=36412, tag=0x1C0FFEE1) / SCTPChunkAbort(TCB=1))
    init = SCTPChunkInit(init_tag=0x51515151, a_rwnd=65536, n_out_streams=5, n_in_streams=5, init_tsn=9)
    capture.tx(capture.ip(host, peer) / SCTP(sport=49801, dport=2905, tag=0) / init)
    ack = SCTPChunkInitAck(init_tag=0x61616161, a_rwnd=65536, n_out_streams=5, n_in_streams=5, init_tsn=4)
    capture.rx(capture.ip(peer, host) / SCTP(sport=2905, dport=49801, tag=0x51515151) / ack)
    inner = udp(IP(src="10.77.0.2", dst="10.77.0.1", id=7, ttl=64), 5000, 5001, b"inside")
    capture.rx(capture.ip(peer, host, **{field: 47}) / GRE(proto=0x0800) / inner)
    inner = udp(IP(src="10.77.0.1", dst="10.77.0.2", id=8, ttl=64), 5001, 5000, b"inside, back")
    capture.tx(capture.ip(host, peer, **{field: 47}) / GRE(proto=0x0800) / inner)


def udp_icmp_v4():
    """Return udp-icmp-v4.pcap, with a nanosecond clock."""
    host, peer = HOST4, PEER4
    c = Capture(
        "udp-icmp-v4.pcap", "UDP, ping, port unreachable, IGMP, protocol 253, SCTP, GRE", host=[host], nano=True
    )
    _datagrams(c, peer, host)
    c.rx(udp(c.ip(peer, host), 40162, 161, b"a datagram without a checksum", chksum=0))
    c.rx(c.ip(peer, host) / ICMP(type=8, id=0x2201, seq=1) / Raw(PING))
    c.tx(c.ip(host, peer) / ICMP(type=0, id=0x2201, seq=1) / Raw(PING))
    c.tx(c.ip(host, peer) / ICMP(type=8, id=1, seq=41) / Raw(PING))
    c.rx(c.ip(peer, host) / ICMP(type=0, id=1, seq=41) / Raw(PING))
    refused = udp(c.ip(host, peer), 55200, 7777, b"nobody listens at the peer")
    c.tx(refused)
    c.rx(c.ip(peer, host) / ICMP(type=3, code=3) / Raw(raw(refused)))
    refused = udp(c.ip(peer, host), 40500, 9999, b"nobody listens at the host")
    c.rx(refused)
    c.tx(c.ip(host, peer) / ICMP(type=3, code=3) / Raw(raw(refused)[:28]))
    alert = [IPOption_Router_Alert()]
    c.rx(c.ip("192.0.2.1", "224.0.0.1", ttl=1, options=alert) / IGMP(type=0x11, mrcode=100, gaddr="0.0.0.0"))
    report = IGMPv3(type=0x22) / IGMPv3mr(records=[IGMPv3gr(rtype=2, maddr="224.0.0.251")])
    c.tx(c.ip(host, "224.0.0.22", ttl=1, options=alert) / report)
    _others(c, peer, host)
    return c


def udp_icmp_v6():
    """Return udp-icmp-v6.pcap, in Linux cooked form."""
    host, peer = HOST6, PEER6
    c = Capture(
        "udp-icmp-v6.pcap",
        "UDP, ping, port unreachable, neighbour discovery, MLD, protocol 253, SCTP, GRE",
        host=[host, HOST6_LINK],
        link="linux-cooked",
    )
    _neighbours(c)
    _datagrams(c, peer, host)
    c.rx(c.ip(peer, host) / ICMPv6EchoRequest(id=0x2201, seq=1, data=PING))
    c.tx(c.ip(host, peer) / ICMPv6EchoReply(id=0x2201, seq=1, data=PING))
    c.tx(c.ip(host, peer) / ICMPv6EchoRequest(id=1, seq=41, data=PING))
    c.rx(c.ip(peer, host) / ICMPv6EchoReply(id=1, seq=41, data=PING))
    refused = udp(c.ip(host, peer), 55200, 7777, b"nobody listens at the peer")
    c.tx(refused)
    c.rx(c.ip(peer, host) / ICMPv6DestUnreach(code=4) / Raw(raw(refused)))
    refused = udp(c.ip(peer, host), 40500, 9999, b"nobody listens at the host")
    c.rx(refused)
    c.tx(c.ip(host, peer) / ICMPv6DestUnreach(code=4) / Raw(raw(refused)))
    alert = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    c.rx(c.ip(ROUTER_LINK, "ff02::1", hlim=1) / alert / ICMPv6MLQuery(mrd=10000))
    listened = ICMPv6MLDMultAddrRec(rtype=2, dst="ff02::fb")
    c.tx(c.ip(HOST6_LINK, "ff02::16", hlim=1) / alert / ICMPv6MLReport2(records_number=1, records=[listened]))
    _others(c, peer, host)
    return c


def _neighbours(c):
    here, router = "00:15:5d:01:0a:10", "00:00:5e:00:01:01"
    c.tx(c.ip(HOST6_LINK, "ff02::2", hlim=255) / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=here))
    prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8:10::", prefixlen=64)
    source = ICMPv6NDOptSrcLLAddr(lladdr=router)
    c.rx(c.ip(ROUTER_LINK, "ff02::1", hlim=255) / ICMPv6ND_RA() / prefix / source)
    asked = IPv6(src=ROUTER_LINK, dst="ff02::1:ff00:10", hlim=255)
    c.rx(asked / ICMPv6ND_NS(tgt=HOST6) / source)
    target = ICMPv6NDOptDstLLAddr(lladdr=here)
    c.tx(c.ip(HOST6, ROUTER_LINK, hlim=255) / ICMPv6ND_NA(tgt=HOST6, R=0, S=1) / target)
    c.tx(c.ip(HOST6_LINK, ROUTER_LINK, hlim=255) / ICMPv6ND_NS(tgt=ROUTER_LINK) / ICMPv6NDOptSrcLLAddr(lladdr=here))
    c.rx(c.ip(ROUTER_LINK, HOST6_LINK, hlim=255) / ICMPv6ND_NA(tgt=ROUTER_LINK, R=1, S=1))


def captures():
    """Return this family's captures."""
    return [tcp(4), tcp(6), udp_icmp_v4(), udp_icmp_v6()]
