"""IPsec transport mode: each suite over TCP, UDP and ICMP, both ways."""

from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest
from scapy.packet import Raw

from .capture import HOST4, HOST6, Capture, is_v6
from .crypto import AH_SUITES, ESP_SUITES, Association, Protection, pair
from .headers import RECORD_ROUTE, destination, hop_by_hop, routing, v4_options
from .plain import PING
from .tcp import HOST_OPTIONS, NRPE_ANSWER, NRPE_QUERY, PEER_OPTIONS, RDP_CONFIRM, RDP_REQUEST, Tcp, udp


def peer_of(host, number):
    """Return the number-th protected peer."""
    return f"2001:db8:51::{number:x}" if is_v6(host) else f"203.0.113.{number}"


def suites(host, base):
    """Return (peer, protection) for every suite; each peer has its own pair of associations."""
    found = []
    for enc, auth in ESP_SUITES:
        peer = peer_of(host, 20 + len(found))
        found.append((peer, pair(base + 2 * len(found), peer, host, enc=enc, auth=auth)))
    for auth in AH_SUITES:
        peer = peer_of(host, 20 + len(found))
        found.append((peer, pair(base + 2 * len(found), peer, host, auth=auth)))
    return found


def ping(capture, peer, host, over, number):
    """Add an echo request and its answer."""
    request, reply = capture.ip(peer, host), capture.ip(host, peer)
    if is_v6(host):
        over.rx(capture, request / ICMPv6EchoRequest(id=number, seq=1, data=PING))
        over.tx(capture, reply / ICMPv6EchoReply(id=number, seq=1, data=PING))
    else:
        over.rx(capture, request / ICMP(type=8, id=number, seq=1) / Raw(PING))
        over.tx(capture, reply / ICMP(type=0, id=number, seq=1) / Raw(PING))


def session(capture, peer, host, ports, over, texts):
    """Add a whole inbound TCP connection under protection."""
    tcp = Tcp(capture, peer, host, *ports, over=over)
    tcp.accept()
    tcp.rx("PA", texts[0])
    tcp.tx("PA", texts[1])
    tcp.closed_by_peer()


def refused(capture, peer, host, ports, over):
    """Add a connection attempt that the host refuses."""
    tcp = Tcp(capture, peer, host, *ports, over=over)
    tcp.rx("S", options=PEER_OPTIONS)
    tcp.host_seq = 0
    tcp.tx("RA")


def attempt(capture, peer, host, ports, over):
    """Add a connection attempt of the host that the peer refuses."""
    tcp = Tcp(capture, peer, host, *ports, over=over)
    tcp.tx("S", options=HOST_OPTIONS)
    tcp.peer_seq = 0
    tcp.rx("RA")


def transport(version):
    """Return ipsec-transport-v4.pcap or -v6.pcap."""
    host = HOST4 if version == 4 else HOST6
    base = 0xC0000100 + version * 0x1000
    pairs = suites(host, base)
    bundle_peer = peer_of(host, 40)
    bundle = Protection(
        [
            Association(base + 0x80, bundle_peer, host, enc="aes-cbc", auth="hmac-sha1-96"),
            Association(base + 0x81, bundle_peer, host, auth="hmac-sha256-128"),
        ],
        [
            Association(base + 0x82, host, bundle_peer, enc="aes-cbc", auth="hmac-sha1-96"),
            Association(base + 0x83, host, bundle_peer, auth="hmac-sha256-128"),
        ],
    )
    stem = f"ipsec-transport-v{version}"
    c = Capture(
        f"{stem}.pcap",
        "ESP and AH transport mode of every suite over TCP, UDP, ICMP; options and extension headers; AH over ESP",
        host=[host],
        order="<" if version == 4 else ">",
        associations=[a for _, over in pairs for a in over.associations] + bundle.associations,
        sa_file=f"{stem}.sa.toml",
    )
    # The whole connection to 3389 is under AES-CBC; the other suites get a connection attempt each.
    session(c, pairs[1][0], host, (50812, 3389), pairs[1][1], (RDP_REQUEST, RDP_CONFIRM))
    for n, (peer, over) in enumerate(pairs):
        over.rx(c, udp(c.ip(peer, host), 40300 + n, 161, b"suite %d, odd" % n))
        over.tx(c, udp(c.ip(host, peer), 161, 40300 + n, b"suite %d, answer" % n))
        ping(c, peer, host, over, 0x40 + n)
        if n % 2 == 0:
            refused(c, peer, host, (50820 + n, 3390), over)
        elif n != 1:
            attempt(c, peer, host, (8443, 49800 + n), over)
    longer_headers(c, host, pairs)
    bundle.rx(c, udp(c.ip(bundle_peer, host), 40320, 161, b"under both"))
    bundle.tx(c, udp(c.ip(host, bundle_peer), 161, 40320, b"under both, answer"))
    session(c, bundle_peer, host, (50840, 5666), bundle, (NRPE_QUERY, NRPE_ANSWER))
    return c


def longer_headers(c, host, pairs):
    """V4 options or V6 extension headers under ESP with two ciphers and under AH."""
    for n in (1, 2, 5):
        peer, over = pairs[n]
        if is_v6(host):
            # The routing header is without addresses: Scapy's AH takes any with some as not yet at its destination.
            chain = hop_by_hop() / destination() / routing(()) / destination(12)
            chains = [hop_by_hop(), destination(), chain]
            for number, chain in enumerate(chains):
                over.rx(c, udp(c.ip(peer, host) / chain, 40330 + number, 161, b"extension headers"))
            over.tx(c, udp(c.ip(host, peer) / hop_by_hop() / destination(), 161, 40330, b"extension headers"))
        else:
            # Immutable (router alert, NOP) and mutable (record route) options: AH treats them differently.
            options = v4_options(bytes.fromhex("94040000") + RECORD_ROUTE)
            over.rx(c, udp(c.ip(peer, host, options=options), 40330, 161, b"with options"))
            over.tx(c, udp(c.ip(host, peer, options=options), 161, 40330, b"with options"))


def captures():
    """Return this family's captures."""
    return [transport(4), transport(6)]
