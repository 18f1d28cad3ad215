#!/usr/bin/env python3
"""Write every capture of this folder, its SA file, the packets expected of it, expected.toml and README.md.

    python3 -m venv VENV && VENV/bin/pip install -r requirements.txt
    VENV/bin/python make.py            write
    VENV/bin/python make.py --check    compare with what is here; status 1 and a list when anything differs

The output depends on nothing but these sources and the pinned versions: keys, initialization vectors, ports, sequence
numbers and times are all fixed.
"""

import argparse
import random
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from scenes import all_captures
from scenes.broken import all_broken
from scenes.report import expected_toml, readme, sa_toml

HERE = Path(__file__).resolve().parent
PATTERNS = ("*.pcap", "*.pcapng", "*.sa.toml", "expected.toml", "README.md", "broken/*.pcap*", "plain/*.pcapng")
SIZE_LIMIT = 20_000


def build():
    """Return every output file as {path relative to this folder: bytes}."""
    # Nothing is meant to ask for a random number; if Scapy does, it gets the same one each time.
    random.seed(275267)
    captures, broken = all_captures(), all_broken()
    output = {}
    for capture in captures:
        output[capture.file] = capture.file_bytes()
        output[f"plain/{capture.stem}.pcapng"] = capture.plain_bytes()
        if capture.sa_file:
            output[capture.sa_file] = sa_toml(capture).encode()
    for item in broken:
        output[f"broken/{item.file}"] = item.data
    output["expected.toml"] = expected_toml(captures, broken).encode()
    output["README.md"] = readme(captures, broken).encode()
    for name, data in output.items():
        if name.split(".")[-1].startswith("pcap") and len(data) > SIZE_LIMIT:
            raise SystemExit(f"{name} has {len(data)} bytes, over the limit of {SIZE_LIMIT}")
    return output


def difference(committed, fresh):
    """Return in words how two contents differ."""
    if len(committed) != len(fresh):
        lengths = f"{len(committed)} bytes here, {len(fresh)} made; "
    else:
        lengths = ""
    pairs = zip(committed, fresh, strict=False)
    first = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(committed), len(fresh)))
    count = sum(a != b for a, b in zip(committed, fresh, strict=False))
    return f"{lengths}first difference at byte {first}, {count} bytes differ"


def check(output):
    """Compare with the files here; return the number of differences, each printed."""
    found = 0
    present = {path.relative_to(HERE).as_posix() for pattern in PATTERNS for path in HERE.glob(pattern)}
    for name in sorted(present | set(output)):
        if name not in output:
            print(f"{name}: is here, but nothing makes it")
        elif name not in present:
            print(f"{name}: is made, but not here")
        else:
            committed = (HERE / name).read_bytes()
            if committed == output[name]:
                continue
            print(f"{name}: {difference(committed, output[name])}")
        found += 1
    print(f"{len(output)} files made, {found} differences")
    return found


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Make the captures of this folder.")
    parser.add_argument("--check", action="store_true", help="compare with the files here instead of writing")
    arguments = parser.parse_args()
    output = build()
    if arguments.check:
        return 1 if check(output) else 0
    for name, data in output.items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    print(f"{len(output)} files, {sum(map(len, output.values()))} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
