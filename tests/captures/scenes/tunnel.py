"""IPsec tunnel mode, and ESP in UDP."""

from scapy.layers.inet import ICMP
from scapy.packet import Raw

from .capture import HOST4, HOST6, PEER4, PEER6, Capture
from .crypto import pair, stretch
from .plain import PING
from .tcp import NRPE_ANSWER, NRPE_QUERY, RDP_CONFIRM, RDP_REQUEST, Tcp, udp
from .transport import ping

INNER4, FAR4 = "10.20.0.10", "10.30.0.5"
INNER6, FAR6 = "2001:db8:a0::10", "2001:db8:b0::5"


def conversation(c, far, inner, over, number):
    """Add UDP, a ping and a short TCP connection through one tunnel."""
    over.rx(c, udp(c.ip(far, inner), 40400 + number, 161, b"tunnel %d" % number))
    over.tx(c, udp(c.ip(inner, far), 161, 40400 + number, b"tunnel %d, answer" % number))
    ping(c, far, inner, over, 0x50 + number)
    tcp = Tcp(c, far, inner, 50900 + number, 5666, over=over)
    tcp.rx("S")
    tcp.host_seq = 0
    tcp.tx("RA")


def tunnel():
    """Return ipsec-tunnel.pcap."""
    ways = [(PEER4, HOST4, FAR4, INNER4), (PEER6, HOST6, FAR6, INNER6), (PEER4, HOST4, FAR6, INNER6)]
    kinds = [{"enc": "aes-cbc", "auth": "hmac-sha1-96"}, {"auth": "hmac-sha256-128"}]
    tunnels = []
    for way in ways:
        for kind in kinds:
            over = pair(0xA1000000 + 2 * len(tunnels), way[0], way[1], mode="tunnel", **kind)
            tunnels.append((way, over))
    gcm = pair(0xA1000080, PEER4, HOST4, mode="tunnel", enc="aes-gcm", key_bytes=36)
    c = Capture(
        "ipsec-tunnel.pcap",
        "tunnel mode, ESP and AH: V4 in V4, V6 in V6, V6 in V4",
        host=[HOST4, HOST6, INNER4, INNER6],
        associations=[a for _, over in tunnels for a in over.associations] + gcm.associations,
        sa_file="ipsec-tunnel.sa.toml",
    )
    for number, (way, over) in enumerate(tunnels):
        conversation(c, way[2], way[3], over, number)
    # The seed story's port through a tunnel, AES-256-GCM.
    rdp = Tcp(c, FAR4, INNER4, 50950, 3389, over=gcm)
    rdp.accept()
    rdp.rx("PA", RDP_REQUEST)
    rdp.tx("PA", RDP_CONFIRM)
    rdp.closed_by_peer()
    return c


def ike(spi, message):
    """Return the bytes of an IKEv2 INFORMATIONAL message with an empty encrypted payload; nobody has its keys."""
    body = bytes.fromhex("0000001c") + stretch(f"ike {spi} {message}", 24)
    head = stretch(f"ike spi {spi}", 16) + bytes.fromhex("2e202508") + message.to_bytes(4, "big")
    return head + (28 + len(body)).to_bytes(4, "big") + body


def natt():
    """Return ipsec-natt.pcap."""
    near, far = PEER4, "203.0.113.77"
    # The first peer forces encapsulation without an address being rewritten, so the checksums inside are right as they
    # are. The second is behind a translator that chose another port, and uses tunnel mode.
    over = pair(0xB2000000, near, HOST4, enc="aes-cbc", auth="hmac-sha256-128", udp=(4500, 4500))
    gcm = pair(0xB2000002, near, HOST4, enc="aes-gcm", udp=(4500, 4500))
    through = pair(0xB2000004, far, HOST4, mode="tunnel", enc="3des-cbc", auth="hmac-md5-96", udp=(31044, 4500))
    c = Capture(
        "ipsec-natt.pcap",
        "ESP in UDP 4500, transport and tunnel mode, keepalives, IKE with the non-ESP marker",
        host=[HOST4, INNER4],
        associations=[*over.associations, *gcm.associations, *through.associations],
        sa_file="ipsec-natt.sa.toml",
    )
    marker = bytes(4)
    c.rx(udp(c.ip(near, HOST4), 500, 500, ike("a", 0)))
    c.tx(udp(c.ip(HOST4, near), 500, 500, ike("a", 1)))
    c.rx(udp(c.ip(near, HOST4), 4500, 4500, marker + ike("a", 2)))
    c.tx(udp(c.ip(HOST4, near), 4500, 4500, marker + ike("a", 3)))
    rdp = Tcp(c, near, HOST4, 51000, 3389, over=over)
    rdp.accept()
    rdp.rx("PA", RDP_REQUEST)
    rdp.tx("PA", RDP_CONFIRM)
    c.wait(20)
    c.rx(udp(c.ip(near, HOST4), 4500, 4500, b"\xff", chksum=0), drop="ipsec_natt_keepalive")
    rdp.closed_by_peer()
    gcm.rx(c, udp(c.ip(near, HOST4), 40450, 161, b"gcm in udp"))
    gcm.tx(c, udp(c.ip(HOST4, near), 161, 40450, b"gcm in udp, answer"))
    gcm.rx(c, c.ip(near, HOST4) / ICMP(type=8, id=0x60, seq=1) / Raw(PING))
    gcm.tx(c, c.ip(HOST4, near) / ICMP(type=0, id=0x60, seq=1) / Raw(PING))
    c.rx(udp(c.ip(far, HOST4), 31044, 4500, marker + ike("b", 0)))
    c.tx(udp(c.ip(HOST4, far), 4500, 31044, marker + ike("b", 1)))
    conversation(c, FAR4, INNER4, through, 20)
    nrpe = Tcp(c, FAR4, INNER4, 51010, 5666, over=through)
    nrpe.accept()
    nrpe.rx("PA", NRPE_QUERY)
    nrpe.tx("PA", NRPE_ANSWER)
    c.wait(20)
    c.rx(udp(c.ip(far, HOST4), 31044, 4500, b"\xff", chksum=0), drop="ipsec_natt_keepalive")
    # The host keeps its own mapping alive; that datagram goes out like any other.
    c.tx(udp(c.ip(HOST4, near), 4500, 4500, b"\xff", chksum=0))
    nrpe.closed_by_peer()
    return c


def captures():
    """Return this family's captures."""
    return [tunnel(), natt()]
