"""The seed story: what the test that tries thousands of schedules runs. Short, and of everything that can race."""

from .capture import HOST4, HOST6, PEER4, PEER6, Capture
from .crypto import pair
from .loopback import Inside
from .tcp import (
    HOST_OPTIONS,
    HTTP_GET,
    HTTP_HEAD,
    NRPE_ANSWER,
    NRPE_QUERY,
    PEER_OPTIONS,
    RDP_CONFIRM,
    RDP_REQUEST,
    Tcp,
    udp,
)


def seed_story():
    """Return seed-story.pcap."""
    desk, monitor = "203.0.113.61", "203.0.113.62"
    cbc = pair(0xE0000001, desk, HOST4, enc="aes-cbc", auth="hmac-sha256-128")
    gcm = pair(0xE0000011, monitor, HOST4, enc="aes-gcm")
    c = Capture(
        "seed-story.pcap",
        "inbound 3389 and 5666 under ESP, plain TCP and UDP, packets mid-connection, loopback, mixed together",
        host=[HOST4, HOST6],
        link="raw",
        associations=[*cbc.associations, *gcm.associations],
        sa_file="seed-story.sa.toml",
    )
    rdp = Tcp(c, desk, HOST4, 51500, 3389, over=cbc)
    nrpe = Tcp(c, monitor, HOST4, 51501, 5666, over=gcm)
    smb = Tcp(c, PEER4, HOST4, 51502, 445)
    web = Tcp(c, PEER4, HOST4, 80, 50020)
    inside = Tcp(c, "127.0.0.1", "127.0.0.1", 51503, 5985, over=Inside)
    rdp.rx("S", options=PEER_OPTIONS)
    nrpe.rx("S", options=PEER_OPTIONS)
    smb.rx("PA", b"a read on a connection older than the capture")
    # The same attempt again while the first is still held.
    rdp.peer_seq = (rdp.peer_seq - 1) & 0xFFFFFFFF
    rdp.rx("S", options=PEER_OPTIONS)
    inside.rx("S", options=HOST_OPTIONS)
    rdp.tx("SA", options=HOST_OPTIONS)
    inside.tx("SA", options=HOST_OPTIONS)
    nrpe.tx("SA", options=HOST_OPTIONS)
    web.tx("S", options=HOST_OPTIONS)
    rdp.rx("A")
    rdp.rx("PA", RDP_REQUEST)
    inside.rx("A")
    smb.tx("PA", b"what was read")
    nrpe.rx("A")
    web.rx("SA", options=PEER_OPTIONS)
    c.rx(udp(c.ip(PEER4, HOST4), 40800, 161, b"first datagram in"))
    c.tx(udp(c.ip(HOST6, PEER6), 55300, 53, b"first datagram out"))
    inside.rx("PA", b"to myself")
    nrpe.rx("PA", NRPE_QUERY)
    web.tx("A")
    web.tx("PA", HTTP_GET)
    rdp.tx("PA", RDP_CONFIRM)
    c.rx(udp(c.ip(PEER4, HOST4), 40800, 161, b"second datagram in"))
    c.rx(udp(c.ip(PEER6, HOST6), 53, 55300, b"answer"))
    c.tx(udp(c.ip(HOST4, PEER4), 161, 40800, b"datagram out, the other way"))
    smb.rx("PA", b"a write")
    nrpe.tx("PA", NRPE_ANSWER)
    inside.tx("PA", b"from myself")
    Inside.rx(c, udp(c.ip("::1", "::1"), 51504, 5355, b"V6, to myself"))
    web.rx("PA", HTTP_HEAD)
    nrpe.rx("FA")
    rdp.rx("PA", b"input")
    nrpe.tx("FA")
    smb.tx("PA", b"written")
    inside.rx("FA")
    inside.tx("FA")
    nrpe.rx("A")
    rdp.rx("RA")
    web.tx("RA")
    inside.rx("A")
    return c


def captures():
    """Return this family's captures."""
    return [seed_story()]
