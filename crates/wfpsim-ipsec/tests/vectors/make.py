#!/usr/bin/env python3
"""Makes scapy.txt: packets protected by another implementation of IPsec, Scapy's.

pip install scapy==2.8.0 cryptography, then run it in its directory. The output does not change from run to run.
Each line: name, protected packet in hex, packet without IPsec (of a tunnel, the inner packet) in hex. The keys are in scapy.sa.toml.
"""
import tomllib

from scapy.all import ICMP, IP, TCP, UDP, IPv6, Raw, bind_layers, split_layers
from scapy.layers.inet import IPOption_RR, IPOption_Router_Alert, IPOption_Timestamp, IPOption_NOP
from scapy.layers.inet6 import (
    HBHOptUnknown, ICMPv6EchoRequest, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Pad1, PadN, RouterAlert,
)
from scapy.layers.ipsec import AH, ESP, SecurityAssociation

CIPHERS = {"null": "NULL", "aes-cbc": "AES-CBC", "aes-gcm": "AES-GCM", "3des-cbc": "3DES"}
HASHES = {"none": "NULL", "hmac-sha1-96": "HMAC-SHA1-96", "hmac-sha256-128": "SHA2-256-128", "hmac-md5-96": "HMAC-MD5-96"}
IVS = {"null": b"", "aes-cbc": bytes(range(0xA0, 0xB0)), "aes-gcm": bytes(range(8)), "3des-cbc": bytes(range(0x50, 0x58))}

V4 = ("192.0.2.1", "192.0.2.2")
V6 = ("2001:db8::1", "2001:db8::2")


def association(sa):
    """The Scapy association of one [[sa]]."""
    family = IPv6 if ":" in sa["src"] else IP
    cipher = sa.get("enc", "null")
    esp = sa["proto"] == "esp"
    return SecurityAssociation(
        ESP if esp else AH,
        spi=sa["spi"],
        crypt_algo=CIPHERS[cipher] if esp else None,
        crypt_key=bytes.fromhex(sa.get("enc_key", "")) if esp else None,
        auth_algo=HASHES[sa.get("auth", "none")],
        auth_key=bytes.fromhex(sa.get("auth_key", "")),
        tunnel_header=family(src=sa["src"], dst=sa["dst"]) if sa["mode"] == "tunnel" else None,
        nat_t_header=UDP(sport=4500, dport=4500, chksum=0) if sa.get("udp_encap") else None,
    ), IVS[cipher]


def protect(sa, packet, sequence=7):
    """The packet with one IPsec header more."""
    made, iv = association(sa)
    if sa["proto"] == "esp":
        return made.encrypt(packet, seq_num=sequence, iv=iv)
    return made.encrypt(packet, seq_num=sequence)


def parsed(packet):
    """The packet with all its lengths and checksums."""
    return packet.__class__(bytes(packet))


def ah_over(sa, packet):
    """AH in front of an ESP packet. Scapy must not recognise the ESP: it would sign that instead of the AH header."""
    bindings = [(IP, {"proto": 50}), (IPv6, {"nh": 50}), (AH, {"nh": 50})]
    for lower, fields in bindings:
        split_layers(lower, ESP, **fields)
    bundle = protect(sa, parsed(packet))
    for lower, fields in bindings:
        bind_layers(lower, ESP, **fields)
    return bundle


def main():
    with open("scapy.sa.toml", "rb") as file:
        associations = tomllib.load(file)["sa"]
    by_spi = {sa["spi"]: sa for sa in associations}
    tcp4 = parsed(IP(src=V4[0], dst=V4[1], ttl=61, id=77) / TCP(sport=40000, dport=3389, seq=1, flags="S"))
    tcp6 = parsed(IPv6(src=V6[0], dst=V6[1], hlim=61) / TCP(sport=40000, dport=3389, seq=1, flags="S"))
    ping4 = parsed(IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(id=1, seq=2) / Raw(b"abcdefghi"))
    ping6 = parsed(IPv6(src="fd00::1", dst="fd00::2") / ICMPv6EchoRequest(id=1, seq=2, data=b"abcdefghi"))

    lines = []

    def add(name, protected, clean):
        lines.append(f"{name} {bytes(protected).hex()} {bytes(clean).hex()}")

    for sa in associations:
        v6 = ":" in sa["src"]
        name = f"{sa['proto']}-{sa['mode']}-{sa.get('enc', 'null')}-{sa.get('auth', 'none')}-v{6 if v6 else 4}-{sa['spi']:#x}"
        if sa["mode"] == "tunnel":
            for inner, family in ((ping4, 4), (ping6, 6)):
                add(f"{name}-carries-v{family}", protect(sa, inner), inner)
        else:
            packet = tcp6 if v6 else tcp4
            add(name, protect(sa, packet), packet)

    ah4, ah6 = by_spi[0x1000], by_spi[0x2000]
    esp4, esp6 = by_spi[0x1010], by_spi[0x2010]
    options = [IPOption_RR(routers=["192.0.2.9"], pointer=8), IPOption_Router_Alert(), IPOption_NOP()]
    with_options = parsed(IP(src=V4[0], dst=V4[1], options=options) / UDP(sport=1, dport=2) / Raw(b"x" * 11))
    add("ah-v4-record-route-and-router-alert", protect(ah4, with_options), with_options)
    add("esp-v4-with-options", protect(esp4, with_options), with_options)
    add("ah-over-esp-v4", ah_over(ah4, protect(esp4, tcp4)), tcp4)
    add("esp-over-ah-v4", protect(esp4, parsed(protect(ah4, tcp4))), tcp4)
    add("ah-over-esp-v6", ah_over(ah6, protect(esp6, tcp6)), tcp6)

    hop_by_hop = IPv6ExtHdrHopByHop(options=[RouterAlert(), HBHOptUnknown(otype=0x3E, optdata=b"\x11\x22\x33\x44"), PadN(optdata=b"\x00\x00")])
    with_hop_by_hop = parsed(IPv6(src=V6[0], dst=V6[1]) / hop_by_hop / UDP(sport=1, dport=2) / Raw(b"y" * 5))
    add("ah-v6-mutable-hop-by-hop", protect(ah6, with_hop_by_hop), with_hop_by_hop)
    add("esp-v6-behind-hop-by-hop", protect(esp6, with_hop_by_hop), with_hop_by_hop)
    routed = parsed(
        IPv6(src=V6[0], dst="2001:db8::9")
        / IPv6ExtHdrRouting(addresses=["2001:db8::a", V6[1]], segleft=2)
        / UDP(sport=1, dport=2)
        / Raw(b"z")
    )
    add("ah-v6-routing-header-on-its-way", protect(ah6, routed), routed)

    with open("scapy.txt", "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
