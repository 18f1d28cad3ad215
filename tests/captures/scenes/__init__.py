"""The captures, one module a family. `all_captures` builds every one of them from nothing."""

from . import bad, fragments, headers, loopback, mixed, plain, story, transport, tunnel

FAMILIES = (plain, headers, fragments, loopback, transport, tunnel, bad, mixed, story)


def all_captures():
    """Return every whole capture, in the order of the README's table."""
    return [capture for family in FAMILIES for capture in family.captures()]
