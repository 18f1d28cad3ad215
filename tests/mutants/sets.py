"""The sets of mutants, and which tests are asked about each."""

import dataclasses
import functools
import pathlib
import re

# Stories of `tests/cases` that take half a minute each. Whoever has the time asks them about what is missed.
SLOW = [
    "policy::captures_lose_what_is_blocked_and_nothing_else",
    "absent::each_field_absent_in_turn_loses_nothing",
    "unload::unload_begun_after_any_number_of_turns_brings_every_packet_out",
    "mdls::esp_and_ah_in_transport_mode_cut_at_every_byte",
    "queue::what_the_worker_gets_to_too_late_is_dropped_and_counted",
]

# Where wfpsim checks rules: the directories that stand for Windows, not those that run, search, explain or print.
CHECKING = re.compile(r"crates/wfpsim/src/(driver|exports|fwp|machine|memory|ndis|nt|stack|verifier|wdf)\b")
# Files that hold checks and nothing else.
CHECKS = re.compile(
    r"/(fwp/(answer|blame|fit|traces)|ndis/(checks|guard|past)|nt/(callback|level|lock_order)|driver/leaks|verifier/(ledger|report))\.rs"
)
# A function of another file is a check if it makes a violation or names the rule of one.
RULE = re.compile(r'"([A-D][-.]\d+[a-z]?)"')
MAKES_VIOLATION = re.compile(r"Violation::(?!packet)|bug_check\(|-> Option<\(&'static str")


@functools.cache
def lines_of(path):
    return path.read_text().splitlines()


def text_of(tree, mutant):
    """The function that a mutant is in."""
    span = mutant["function"]["span"]
    return "\n".join(lines_of(tree / mutant["file"])[span["start"]["line"] - 1 : span["end"]["line"]])


@dataclasses.dataclass
class Set:
    """Packages to mutate, what is built, and the binaries whose tests are asked: where they run, and which are left out."""

    packages: list
    build: list
    tests: dict
    checks_only: bool = False

    def takes(self, tree: pathlib.Path, mutant):
        """Whether a mutant is of the set."""
        if not self.checks_only:
            return True
        if not CHECKING.match(mutant["file"]) or mutant["function"] is None:
            return False
        return bool(CHECKS.search(mutant["file"]) or MAKES_VIOLATION.search(text_of(tree, mutant)))

    def rules(self, tree: pathlib.Path, mutant):
        """The rules that a mutant's function names: tests of the mistakes are called by them."""
        return tuple(RULE.findall(text_of(tree, mutant))) if self.checks_only else ()


def built(packages, tests):
    packages = [word for package in packages for word in ("--package", package)]
    return [*packages, "--lib", *(word for test in tests for word in ("--test", test))]


DRIVER = ["cases", "captures", "osr_275267", "ownership", "safe_requests", "kmdf", "kmdf_requests"]
VERIFIER = [
    *["mistakes", "awkward_moments", "debugging", "explore", "kmdf", "kmdf_objects", "kmdf_owners", "kmdf_refusals", "kmdf_requests"],
    *["left_behind", "lifecycle", "ownership", "report", "special_pool", "windivert", "verifier_answers", "verifier_asked", "verifier_dpcs"],
    *["verifier_edges", "verifier_endless", "verifier_events", "verifier_flows", "verifier_headers", "verifier_history"],
    *["verifier_injection", "verifier_kernel", "verifier_lists", "verifier_mdls", "verifier_network", "verifier_packets"],
    *["verifier_rounds", "verifier_unload"],
]

SETS = {
    "driver": Set(
        packages=["tollgate", "nt", "wfp"],
        build=built(["tollgate", "nt", "wfp", "wfpsim"], DRIVER),
        tests={
            "nt:lib": ("crates/nt", []),
            "wfp:lib": ("crates/wfp", []),
            "tollgate:lib": (".", []),
            "ownership": ("crates/wfpsim", []),
            "safe_requests": ("crates/wfpsim", []),
            "kmdf": ("crates/wfpsim", []),
            "kmdf_requests": ("crates/wfpsim", []),
            "captures": (".", []),
            "osr_275267": (".", []),
            "cases": (".", SLOW),
        },
    ),
    "verifier": Set(
        packages=["wfpsim"],
        build=built(["wfpsim", "mistakes"], VERIFIER),
        tests={
            "wfpsim:lib": ("crates/wfpsim", []),
            "mistakes": ("crates/mistakes", []),
            **{test: ("crates/wfpsim", []) for test in VERIFIER if test != "mistakes"},
        },
        checks_only=True,
    ),
}
