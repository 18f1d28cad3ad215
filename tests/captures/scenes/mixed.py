"""The host among others; TCP that the capture meets in the middle; two interfaces in one file."""

import struct

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import ARP
from scapy.packet import Raw, raw

from .capture import HOST4, HOST6, HOST_MAC, PEER4, PEER6, ROUTER_MAC, Capture
from .crypto import stretch
from .fragments import split
from .plain import PING
from .tcp import HOST_OPTIONS, PEER_OPTIONS, RDP_CONFIRM, RDP_REQUEST, Tcp, udp

NEIGHBOUR4, NEIGHBOUR6 = "192.0.2.44", "2001:db8:10::44"
LLDP_GROUP = bytes.fromhex("0180c200000e")
STP_GROUP = bytes.fromhex("0180c2000000")


def arp(op, sender, sender_ip, target_ip, dst):
    """Return an ARP frame."""
    body = ARP(op=op, hwsrc=sender.hex(":"), psrc=sender_ip, hwdst=dst.hex(":"), pdst=target_ip)
    return dst + sender + b"\x08\x06" + raw(body)


def mixed_host():
    """Return mixed-host.pcap."""
    c = Capture(
        "mixed-host.pcap",
        "the host's traffic among ARP, LLDP, STP, broadcast, multicast and other hosts' packets",
        host=[HOST4, HOST6],
    )
    c.not_ip(arp(1, ROUTER_MAC, "192.0.2.1", HOST4, b"\xff" * 6))
    c.not_ip(arp(2, HOST_MAC, HOST4, "192.0.2.1", ROUTER_MAC))
    rdp = Tcp(c, PEER4, HOST4, 51200, 3389)
    rdp.rx("S", options=PEER_OPTIONS)
    theirs = {"sport": 51200, "dport": 3389}
    c.stranger(IP(src=PEER4, dst=NEIGHBOUR4, id=9, ttl=58) / TCP(**theirs, flags="S", seq=1))
    rdp.tx("SA", options=HOST_OPTIONS)
    c.stranger(IP(src=NEIGHBOUR4, dst=PEER4, id=10, ttl=64) / TCP(sport=3389, dport=51200, flags="SA", seq=7, ack=2))
    rdp.rx("A")
    lldp = bytes.fromhex("0207 04 00155d010a01 0405 05 47693031 0602 0078 0000".replace(" ", ""))
    c.not_ip(LLDP_GROUP + ROUTER_MAC + b"\x88\xcc" + lldp)
    bpdu = b"\x42\x42\x03" + bytes(35)
    c.not_ip(STP_GROUP + ROUTER_MAC + struct.pack("!H", len(bpdu)) + bpdu)
    rdp.rx("PA", RDP_REQUEST)
    # Broadcast and multicast from others reach the host's transport layer as well.
    c.rx(udp(c.ip("0.0.0.0", "255.255.255.255", ttl=64), 68, 67, b"\x01\x01\x06\x00" + bytes(60)))
    c.rx(udp(c.ip(NEIGHBOUR4, "224.0.0.251", ttl=255), 5353, 5353, b"who is gate.local"))
    c.tx(udp(c.ip(HOST4, "224.0.0.251", ttl=255), 5353, 5353, b"gate.local is me"))
    c.rx(udp(c.ip("fe80::44", "ff02::fb", hlim=255), 5353, 5353, b"who is gate.local"))
    c.tx(udp(c.ip(HOST6, "ff02::fb", hlim=255), 5353, 5353, b"gate.local is me"))
    rdp.tx("PA", RDP_CONFIRM)
    c.stranger(IPv6(src=PEER6, dst=NEIGHBOUR6, hlim=58) / ICMPv6EchoRequest(id=5, seq=1, data=PING))
    c.stranger(IP(src=PEER4, dst=NEIGHBOUR4, id=11, ttl=58) / ESP(spi=0x99, seq=1, data=stretch("stranger", 64)))
    for fragment in split(udp(IP(src=PEER4, dst=NEIGHBOUR4, id=12, ttl=58), 1, 2, bytes(300)), 1):
        c.stranger(fragment)
    c.rx(udp(c.ip(PEER6, HOST6), 40600, 161, b"for the host, V6"))
    c.tx(udp(c.ip(HOST6, PEER6), 161, 40600, b"from the host, V6"))
    # Two neighbours talk to each other; a hub or a mirror port shows it.
    c.stranger(IP(src="192.0.2.45", dst=NEIGHBOUR4, id=13, ttl=128) / ICMP(type=8, id=1, seq=1) / Raw(PING))
    c.not_ip(arp(1, HOST_MAC, HOST4, NEIGHBOUR4, b"\xff" * 6))
    c.not_ip(arp(2, bytes.fromhex("00155d010a44"), NEIGHBOUR4, HOST4, HOST_MAC))
    c.tx(c.ip(HOST4, NEIGHBOUR4) / ICMP(type=8, id=1, seq=3) / Raw(PING))
    c.rx(c.ip(NEIGHBOUR4, HOST4, ttl=64) / ICMP(type=0, id=1, seq=3) / Raw(PING))
    rdp.closed_by_peer()
    return c


def mid_connection():
    """Return mid-connection.pcap."""
    c = Capture(
        "mid-connection.pcap",
        "TCP that begins mid-connection in both roles, SYNs sent again, refused connections, quiet for 30 s",
        host=[HOST4, HOST6],
    )
    # The host is the server; the first packet seen comes in.
    rdp = Tcp(c, PEER4, HOST4, 51300, 3389)
    rdp.rx("PA", b"input event, long after the handshake")
    rdp.tx("PA", b"a piece of screen")
    rdp.rx("A")
    # The host is the server; the first packet seen goes out.
    smb = Tcp(c, PEER6, HOST6, 51301, 445)
    smb.tx("PA", b"an oplock break")
    smb.rx("PA", b"its acknowledgement")
    # The host is the client; out first, then in first.
    web = Tcp(c, PEER4, HOST4, 443, 49900)
    web.tx("PA", b"a request on a kept connection")
    web.rx("PA", b"the response")
    web.tx("A")
    push = Tcp(c, PEER6, HOST6, 443, 49901)
    push.rx("PA", b"a notification nobody asked for")
    push.tx("A")
    unanswered(c)
    # To a closed port, both ways: the stack's own RST.
    closed = Tcp(c, PEER4, HOST4, 51310, 81)
    closed.rx("S", options=PEER_OPTIONS)
    closed.host_seq = 0
    closed.tx("RA")
    closed = Tcp(c, PEER4, HOST4, 82, 49910)
    closed.tx("S", options=HOST_OPTIONS)
    closed.peer_seq = 0
    closed.rx("RA")
    c.wait(30)
    rdp.rx("PA", b"input again, after thirty seconds")
    rdp.tx("A")
    smb.rx("PA", b"and here")
    smb.tx("PA", b"too")
    web.rx("FA")
    web.tx("FA")
    web.rx("A")
    push.tx("RA")
    rdp.rx("RA")
    return c


def unanswered(c):
    """Add a SYN in and a SYN out, each sent at 0, 1 and 3 seconds, the third one answered."""
    nrpe = Tcp(c, PEER4, HOST4, 51305, 5666)
    out = Tcp(c, PEER4, HOST4, 8080, 49905)
    for pause in (1, 2, 0):
        start = c.ns
        for tcp, send, options in ((nrpe, nrpe.rx, PEER_OPTIONS), (out, out.tx, HOST_OPTIONS)):
            before = (tcp.peer_seq, tcp.host_seq)
            send("S", options=options)
            if pause:
                tcp.peer_seq, tcp.host_seq = before
        c.ns = max(c.ns, start + pause * 1_000_000_000)
    nrpe.tx("SA", options=HOST_OPTIONS)
    out.rx("SA", options=PEER_OPTIONS)
    nrpe.rx("A")
    out.tx("A")
    nrpe.closed_by_peer()
    out.closed_by_host()


def two_interfaces():
    """Return two-interfaces.pcapng: Ethernet with microseconds, a VPN adapter's raw IP with nanoseconds."""
    vpn = "10.99.0.2"
    c = Capture(
        "two-interfaces.pcapng",
        "interface 0 Ethernet (microseconds), interface 1 raw IP of a VPN adapter (nanoseconds), alternating",
        host=[HOST4, HOST6, vpn],
    )
    c.interfaces = [("ethernet", "Ethernet", 6), ("raw", "VPN", 9)]
    lan, far = Tcp(c, PEER4, HOST4, 51400, 3389), Tcp(c, "10.99.0.1", vpn, 51401, 5666)
    steps = [
        lambda tcp: tcp.rx("S", options=PEER_OPTIONS),
        lambda tcp: tcp.tx("SA", options=HOST_OPTIONS),
        lambda tcp: tcp.rx("A"),
        lambda tcp: tcp.rx("PA", RDP_REQUEST),
        lambda tcp: tcp.tx("PA", RDP_CONFIRM),
        Tcp.closed_by_peer,
    ]
    for step in steps:
        for c.interface, tcp in enumerate((lan, far)):
            step(tcp)
    c.interface = 0
    c.not_ip(arp(1, ROUTER_MAC, "192.0.2.1", HOST4, b"\xff" * 6))
    c.rx(udp(c.ip(PEER6, HOST6), 40700, 161, b"on Ethernet, V6"))
    c.interface = 1
    c.rx(udp(c.ip("10.99.0.1", vpn), 40701, 161, b"on the VPN, odd length"))
    c.tx(udp(c.ip(vpn, "10.99.0.1"), 161, 40701, b"from the VPN"))
    return c


def captures():
    """Return this family's captures."""
    return [mixed_host(), mid_connection(), two_interfaces()]
