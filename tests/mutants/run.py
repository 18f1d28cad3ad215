#!/usr/bin/env python3
"""Asks the project's tests about the mutants of a set (sets.py): docs/testing.md, "Mutants".

    git worktree add --detach ../mutants-scratch
    python3 tests/mutants/run.py driver ../mutants-scratch

The tree is a throw-away checkout, because its sources are rewritten. What came of each mutant goes to SET.json beside it. Run again, it
goes on with what is missing there; with `--again` it asks about those that were missed, too.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time

from schemata import Build, listed
from sets import SETS

# How many tests are asked one by one. Each costs a process, so that then the whole of a binary is cheaper.
ONE_BY_ONE = 25


class Binary:
    """A test binary, and the tests in it."""

    def __init__(self, executable, directory, skipped):
        self.executable, self.directory = executable, directory
        self.skips = [word for name in skipped for word in ("--skip", name)]
        names = subprocess.run([executable, "--list", *self.skips], cwd=directory, capture_output=True, text=True, check=True).stdout
        self.tests = [Test(self, name.strip()) for name in re.findall(r"^(.*): test$", names, re.M)]

    def fails(self, arguments, limit, **variables):
        """Runs it until a test fails: "caught", "timeout", or None if none does."""
        environment = {**os.environ, "RUST_BACKTRACE": "0", "RUST_TEST_THREADS": "1", "TOLLGATE_SEEDS": "2", **variables}
        running = subprocess.Popen(
            [self.executable, *arguments], cwd=self.directory, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        over = threading.Event()
        timer = threading.Timer(limit, lambda: (over.set(), running.kill()))
        timer.start()
        failed = any("FAILED" in line for line in running.stdout)
        if failed:
            running.kill()
        status = running.wait()
        timer.cancel()
        return "timeout" if over.is_set() else "caught" if failed or status else None


class Test:
    """A test of a binary, how long it takes, and which functions it reaches."""

    def __init__(self, binary, name):
        self.binary, self.name = binary, name
        self.seconds, self.reached = 0.0, set()

    def fails(self, limit, **variables):
        return self.binary.fails(["--exact", self.name], limit, **variables)

    def measure(self):
        """How it does without a mutant. One that fails then, for the frames of a stack that are others now, is not asked."""
        with tempfile.NamedTemporaryFile("r") as reached:
            start = time.monotonic()
            failed = self.fails(600, REACHED=reached.name)
            self.seconds = time.monotonic() - start
            self.reached = set() if failed else {int(line) for line in reached}
        if failed:
            print(f"{self.name} is not asked: it fails without a mutant", flush=True)
            self.binary.skips += ["--skip", self.name]


class Run:
    """What tests say to mutants."""

    def __init__(self, tests, rules):
        self.rules = rules
        self.reaching = collections.defaultdict(list)
        self.killed = collections.defaultdict(collections.Counter)
        for test in tests:
            for function in test.reached:
                self.reaching[function].append(test)

    def ask(self, mutant):
        """Asks the tests that reach a mutant until one fails: first those that killed others there, those of the rules that the
        function names, and the quick ones."""
        file, function = self.killed[mutant["file"]], self.killed[mutant["number"]]
        rules = self.rules(mutant)
        tests = sorted(
            self.reaching[mutant["number"]],
            key=lambda test: (-function[test], not test.name.startswith(rules), -file[test], test.seconds),
        )
        variables = {"MUTANT": str(mutant["id"])}
        for test in tests[:ONE_BY_ONE]:
            failed = test.fails(60 + 20 * test.seconds, **variables)
            if failed:
                function[test] += 1
                file[test] += 1
                return f"{failed} by {test.name}"
        for binary in {test.binary: None for test in tests[ONE_BY_ONE:]}:
            failed = binary.fails(binary.skips, 60 + 4 * sum(test.seconds for test in binary.tests), **variables)
            if failed:
                return f"{failed} by {os.path.basename(binary.executable)}"
        return f"missed by {len(tests)} tests" if tests else "missed: no test gets there"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("set", choices=SETS)
    options.add_argument("tree", type=pathlib.Path)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--again", action="store_true", help="ask about those that were missed, too")
    options = options.parse_args()
    tree, chosen = options.tree.resolve(), SETS[options.set]
    path = tree.with_name(f"{options.set}.json")
    results = json.loads(path.read_text()) if path.exists() else {}

    subprocess.run(["git", "checkout", "--quiet", "."], cwd=tree, check=True)
    mutants = [mutant for package in chosen.packages for mutant in listed(tree, package) if chosen.takes(tree, mutant)]
    rules = {mutant["name"]: chosen.rules(tree, mutant) for mutant in mutants}
    packages = [word for package in chosen.packages for word in ("--package", package)]
    build = Build(tree, mutants, ["cargo", "check", "--locked", *packages])
    build.settle(print)
    build.command = ["cargo", "test", "--no-run", "--locked", *chosen.build]
    build.settle(print)

    def together(call, items):
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for done in concurrent.futures.as_completed([pool.submit(call, item) for item in items]):
                done.result()

    binaries = [Binary(build.executables[name], tree / where, skipped) for name, (where, skipped) in chosen.tests.items()]
    tests = [test for binary in binaries for test in binary.tests]
    together(Test.measure, tests)
    print(f"{len(tests)} tests, {sum(test.seconds for test in tests):.0f} s", flush=True)
    run = Run(tests, lambda mutant: rules[mutant["name"]])

    def ask(mutant):
        name = mutant["name"]
        known = results.get(name, "")
        if mutant["id"] in build.unviable:
            results[name] = "unviable"
        elif mutant["id"] in build.aside:
            results[name] = f"by hand: {build.aside[mutant['id']]}"
        elif not known or (options.again and known.startswith("missed")):
            results[name] = run.ask(mutant)
            print(name, results[name], sep=": ", flush=True)
            path.write_text(json.dumps(dict(results), indent=1))

    together(ask, mutants)
    path.write_text(json.dumps(results, indent=1))
    for name, result in results.items():
        if result.startswith(("missed", "by hand")):
            print(name, result, sep=": ")
    print(collections.Counter(re.split("[ :]", result)[0] for result in results.values()))


if __name__ == "__main__":
    main()
