"""The text files: SA files, expected.toml, README.md."""

COUNTS = (
    "packets_in",
    "delivered",
    "sent",
    "sent_whole",
    "loopback",
    "ipsec_transport",
    "ipsec_tunnel",
    "ipsec_transport_out",
    "ipsec_tunnel_out",
    "fragments_in",
    "fragments_out",
    "fragments_duplicate",
    "reassembled_in",
    "partial_checksum",
)
MADE = "Made by make.py; change that and run it instead of editing this file."


def sa_toml(capture):
    """Return the SA file of a capture."""
    head = f"# Associations of {capture.file}. {MADE}\n"
    return head + "".join("\n" + association.toml() for association in capture.associations)


def _strings(values):
    return "[" + ", ".join(f'"{v}"' for v in values) + "]"


def _dropped(drops):
    return "{ " + ", ".join(f"{reason} = {drops[reason]}" for reason in sorted(drops)) + " }" if drops else "{}"


def _counts(capture):
    return [f"{key} = {capture.counts[key]}" for key in COUNTS] + [f"dropped = {_dropped(capture.dropped)}"]


def expected_toml(captures, broken):
    """Return expected.toml."""
    lines = [
        "# What each capture must come to. The README says what each key means.",
        f"# {MADE}",
    ]
    for capture in captures:
        lines += ["", "[[capture]]", f'file = "{capture.file}"', f"host = {_strings(capture.host)}"]
        if capture.sa_file:
            lines.append(f'sa = "{capture.sa_file}"')
        lines += [f'plain = "plain/{capture.stem}.pcapng"', f"records = {len(capture.records)}"]
        lines += _counts(capture)
    for item in broken:
        lines += ["", "[[broken]]", f'file = "broken/{item.file}"', f"host = {_strings(item.base.host)}"]
        lines.append(f"exit = {0 if item.packet is None else 1}")
        lines.append(f"good = {len(item.base.records)}")
        if item.packet is not None:
            lines += [f"fault_packet = {item.packet}", f"fault_offset = {item.offset}"]
        keys = ("packets_in", "delivered", "sent")
        lines += [f"{key} = {item.base.counts[key]}" for key in keys]
        lines.append(f"dropped = {_dropped(item.base.dropped)}")
    return "\n".join(lines) + "\n"


def _row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _capture_rows(captures):
    for c in captures:
        link = "pcapng" if c.interfaces else c.link + (", nanoseconds" if c.nano else "")
        if c.order == ">":
            link += ", big-endian"
        drops = "<br>".join(f"{reason} {c.dropped[reason]}" for reason in sorted(c.dropped))
        yield _row(
            [
                f"`{c.file}`",
                c.about,
                link,
                "<br>".join(c.host),
                f"`{c.sa_file}`" if c.sa_file else "",
                len(c.records),
                *(c.counts[key] for key in COUNTS[:3]),
                c.counts["loopback"],
                c.counts["ipsec_transport"],
                c.counts["ipsec_tunnel"],
                drops,
            ]
        )


def _broken_rows(broken):
    for item in broken:
        where = ["none", ""] if item.packet is None else [item.packet, item.offset]
        yield _row([f"`broken/{item.file}`", item.about, len(item.base.records), *where])


def readme(captures, broken):
    """Return README.md."""
    heads = ["file", "what is in it", "form", "host", "SA file", "records", "in", "delivered", "sent", "loopback"]
    heads += ["transport", "tunnel", "dropped"]
    table = [_row(heads), _row(["---"] * len(heads)), *_capture_rows(captures)]
    heads = ["file", "what is wrong", "good packets", "fault at packet", "at byte"]
    faults = [_row(heads), _row(["---"] * len(heads)), *_broken_rows(broken)]
    return TEXT.format(captures="\n".join(table), broken="\n".join(faults))


TEXT = """# Captures

Small captures of one host's traffic, made by `make.py` with Scapy (versions in `requirements.txt`). The script and its
output are both in the repository; running it again gives the same bytes, and `make.py --check` says so or lists
what differs. This file and `expected.toml` are written by it too. `verify.py` is a second opinion: it reads every file
again with code of its own for headers, reassembly, ESP and AH, and compares with `expected.toml` and `plain/`.

    python3 -m venv VENV && VENV/bin/pip install -r tests/captures/requirements.txt
    VENV/bin/python tests/captures/make.py --check && VENV/bin/python tests/captures/verify.py

{captures}

## What the counts mean

The script counts while it builds a packet, from what it put in; nothing is counted by a simulator.

- `records`: packet records in the file. Each is exactly one of: inbound, outbound, loopback, `not_ip`, `not_for_host`.
- `packets_in`: IP packets from elsewhere to one of the host's addresses, to a multicast group or to 255.255.255.255, as
  they are on the wire: every fragment is one. Those dropped later are included, loopback is not.
- `delivered`: whole IP packets that reach the transport layer, after reassembly and after IPsec is taken off, loopback
  included. `delivered - loopback` came from the wire.
- `sent`: IP packets on the wire that the host sent, every fragment one, loopback not included. `sent_whole`: the same
  before fragmentation, as the outbound transport layer sees them.
- `loopback`: packets from the host to itself. Each is one record. 127.0.0.0/8 and ::1 are always the host's and are not
  listed under `host`.
- `ipsec_transport`, `ipsec_tunnel`: inbound packets that passed IPsec, once each, whatever the number of headers (a
  bundle of AH and ESP is one). `..._out`: the outbound ones.
- `fragments_in`, `fragments_out`: records that are fragments; an atomic fragment is none. `reassembled_in`: packets
  that inbound fragments made. `fragments_duplicate`: exact duplicates of a fragment already there, not in `dropped`.
- `partial_checksum`: loopback packets whose TCP or UDP checksum field holds only the pseudo-header's sum.
- `dropped`: records that come to nothing, by reason. `fragment_incomplete` counts fragments, not packets.
  `ipsec_natt_keepalive` is the one-byte datagram of RFC 3948, which its receiver ignores. `truncated` is a packet the
  capture cut short.

For each capture:

    records    = packets_in + sent + loopback + dropped(not_ip) + dropped(not_for_host)
    packets_in = delivered - loopback + fragments_in - reassembled_in - dropped(fragment_incomplete)
                 + every drop of an inbound packet

`plain/NAME.pcapng` holds, as raw IP, the packets themselves: interface 0 `delivered` what must reach the transport
layer, interface 1 `sent` what the outbound transport layer sees, whole and before protection. Both are in order, with
the time of the record that completed the packet. Source, destination, protocol and all bytes from the transport header
on are the expectation. The IP header before it is the one before protection and fragmentation, and can differ. A packet
counted by `partial_checksum` is there with its checksum completed.

IPsec: keys are derived from the SPI. Sequence numbers begin at 1. `ipsec-bad.pcap` jumps to 50000 to be outside of any
window, and has packets within 3 of the newest that must be accepted. It takes the RFCs at their word: an association is
found by SPI, destination and protocol; the replay window is looked at before the integrity value and advanced only
after it; padding that is not 1, 2, 3 is an error (`ipsec_malformed`), and the packet's number is used up all the same.

## Broken files

Every file but the last has the same six datagrams, in and out by turns. The fault is at the packet (from 1; 0 means the
file's own header) and at the byte where its record or block begins.

{broken}
"""
