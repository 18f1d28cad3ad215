"""Security associations: Scapy's for making packets, the project's TOML for the SA file."""

import hashlib
from contextlib import contextmanager

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.packet import bind_layers, raw, split_layers

from .capture import is_v6

ENC = {
    "null": ("NULL", 0, 0),
    "aes-cbc": ("AES-CBC", 16, 16),
    "aes-gcm": ("AES-GCM", 20, 8),
    "3des-cbc": ("3DES", 24, 8),
}
AUTH = {
    "none": (None, 0),
    "hmac-sha1-96": ("HMAC-SHA1-96", 20),
    "hmac-sha256-128": ("SHA2-256-128", 32),
    "hmac-md5-96": ("HMAC-MD5-96", 16),
}

# The suites every family goes through: encryption and integrity of ESP, then integrity of AH.
ESP_SUITES = (
    ("null", "hmac-sha1-96"),
    ("aes-cbc", "hmac-sha256-128"),
    ("aes-gcm", "none"),
    ("3des-cbc", "hmac-md5-96"),
)
AH_SUITES = ("hmac-sha1-96", "hmac-sha256-128", "hmac-md5-96")


def stretch(label, length):
    """Return `length` bytes that depend on the label alone: a key or an initialization vector."""
    return hashlib.shake_256(b"tollgate captures: " + label.encode()).digest(length)


@contextmanager
def opaque_esp():
    """Keep Scapy from seeing ESP inside a packet: asked to sign AH over ESP it would sign the ESP a second time."""
    for header, field in ((IP, "proto"), (IPv6, "nh")):
        split_layers(header, ESP, **{field: 50})
    try:
        yield
    finally:
        for header, field in ((IP, "proto"), (IPv6, "nh")):
            bind_layers(header, ESP, **{field: 50})


def raw_copy(packet):
    """Return the packet as read again from its bytes."""
    return packet.__class__(raw(packet))


class Association:
    """One direction of protection between two addresses."""

    def __init__(self, spi, src, dst, *, enc=None, auth="none", mode="transport", udp=None, key_bytes=None):
        """`enc` None means AH. `udp` is (source port, destination port) of NAT traversal."""
        self.spi = spi
        self.src = src
        self.dst = dst
        self.proto = "ah" if enc is None else "esp"
        self.enc = enc or "null"
        self.auth = auth
        self.mode = mode
        self.udp = udp
        self.seq = 0
        algorithm, key_length, self.iv_length = ENC[self.enc]
        self.enc_key = stretch(f"enc {spi:#x}", key_bytes or key_length)
        auth_algorithm, key_length = AUTH[auth]
        self.auth_key = stretch(f"auth {spi:#x}", key_length)
        header = None
        if mode == "tunnel":
            header = IPv6(src=src, dst=dst, hlim=58) if is_v6(src) else IP(src=src, dst=dst, ttl=58, id=spi & 0xFFFF)
        self._scapy = SecurityAssociation(
            ESP if self.proto == "esp" else AH,
            spi=spi,
            crypt_algo=algorithm if self.proto == "esp" else None,
            crypt_key=self.enc_key or None,
            auth_algo=auth_algorithm,
            auth_key=self.auth_key or None,
            tunnel_header=header,
            nat_t_header=UDP(sport=udp[0], dport=udp[1]) if udp else None,
        )

    def protect(self, packet, seq=None):
        """Return the packet under this association; without `seq` the sequence number is the next one."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        else:
            self.seq = max(self.seq, seq)
        if self._scapy.tunnel_header is not None and not is_v6(self.src):
            self._scapy.tunnel_header.id = (self.spi + seq) & 0xFFFF
        # Scapy's objects share state; a packet made from bytes has none to share.
        fresh = raw_copy(packet)
        iv = stretch(f"iv {self.spi:#x} {seq}", self.iv_length)
        if self.proto == "ah":
            with opaque_esp():
                return raw_copy(self._scapy.encrypt(fresh, seq_num=seq))
        return raw_copy(self._scapy.encrypt(fresh, seq_num=seq, iv=iv))

    def toml(self):
        """Return the association as a `[[sa]]` table."""
        lines = [
            "[[sa]]",
            f"spi = {self.spi:#010x}",
            f'src = "{self.src}"',
            f'dst = "{self.dst}"',
            f'proto = "{self.proto}"',
            f'mode = "{self.mode}"',
            f'enc = "{self.enc}"',
            f'enc_key = "{self.enc_key.hex()}"',
            f'auth = "{self.auth}"',
            f'auth_key = "{self.auth_key.hex()}"',
        ]
        if self.udp:
            lines.append("udp_encap = true")
        return "\n".join(lines) + "\n"


class Protection:
    """What lies over a conversation: associations inbound and outbound, innermost first."""

    def __init__(self, inbound, outbound):
        self.inbound = inbound
        self.outbound = outbound
        self.mode = "tunnel" if inbound[0].mode == "tunnel" else "transport"

    @property
    def associations(self):
        """All of them, inbound first."""
        return [*self.inbound, *self.outbound]

    def rx(self, capture, packet):
        """Add the packet to the capture as it arrives under protection."""
        capture.rx(packet, wire=apply(self.inbound, packet), mode=self.mode)

    def tx(self, capture, packet):
        """Add the packet to the capture as it leaves under protection."""
        capture.tx(packet, wire=apply(self.outbound, packet), mode=self.mode)


def apply(associations, packet):
    """Return the packet under several associations, the first innermost."""
    for association in associations:
        packet = association.protect(packet)
    return packet


def pair(spi, peer, host, **how):
    """Return the protection of one association each way; outbound has the next SPI."""
    ports = how.pop("udp", None)
    back = (ports[1], ports[0]) if ports else None
    return Protection(
        [Association(spi, peer, host, udp=ports, **how)],
        [Association(spi + 1, host, peer, udp=back, **how)],
    )


class Unprotected:
    """No protection, with the same two operations."""

    @staticmethod
    def rx(capture, packet):
        """Add the packet as it arrives."""
        capture.rx(packet)

    @staticmethod
    def tx(capture, packet):
        """Add the packet as it leaves."""
        capture.tx(packet)


PLAIN = Unprotected()
