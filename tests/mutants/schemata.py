"""Puts many mutants into one build.

A build for each mutant of a workspace takes hours. Here a function with mutants becomes a `match` on the number in the environment
variable MUTANT, with an arm for each of them and the function as it was for every other number, so that one build has them all. Which
mutants there are and what they replace is what `cargo mutants --list --json` says.

What a mutant's arm makes the compiler refuse is taken out and the build tried again, until it passes: those are the unviable ones.
"""

import collections
import json
import os
import re
import subprocess

# Rust's tokens, as far as telling a brace that is one from a brace in a comment, string or character needs it.
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(\#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'|'[A-Za-z_]\w*|.""",
    re.S,
)
NOT_CONST = re.compile(r"cannot call non-const .*`(?:.*::)?(\w+)(?:::<.*>)?` in")
CONST_FN = re.compile(r"\bconst\s+(?=(?:unsafe\s+)?fn\s+(\w+))")

# What a mutated crate asks, with the number of the function: which mutant it is to be. That a function is asked about at all is written,
# once in a process, to the file that REACHED names: a test that does not reach a mutant's function cannot tell it from the function.
CHOICE = """
#[doc(hidden)]
#[allow(missing_docs, unused, clippy::all)]
pub mod __mutants {
    extern crate std;
    use std::io::Write;
    use std::string::ToString;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};
    static ACTIVE: OnceLock<u32> = OnceLock::new();
    static REACHED: OnceLock<Option<std::string::String>> = OnceLock::new();
    static SEEN: [AtomicBool; FUNCTIONS] = [const { AtomicBool::new(false) }; FUNCTIONS];
    pub fn active(function: usize) -> u32 {
        if let Some(path) = REACHED.get_or_init(|| std::env::var("REACHED").ok()) {
            if !SEEN[function].swap(true, Ordering::Relaxed) {
                let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
                file.write_all((function.to_string() + "\\n").as_bytes()).unwrap();
            }
        }
        *ACTIVE.get_or_init(|| std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0))
    }
}
"""


def listed(tree, package):
    """The mutants of a package that cargo-mutants names."""
    command = ["cargo", "mutants", "--list", "--json", "--package", package]
    found = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def place(lines, position):
    """The index into the text of a line and column, both counted from one."""
    return sum(map(len, lines[: position["line"] - 1])) + position["column"] - 1


def extent(lines, span):
    return place(lines, span["start"]), place(lines, span["end"])


def body_of(text, start, end):
    """Where the braces of the function between two places open, or None if it has none."""
    depth = 0
    for token in TOKEN.finditer(text, start, end):
        if token[0] in "([":
            depth += 1
        elif token[0] in ")]":
            depth -= 1
        elif token[0] == "{" and depth == 0:
            return token.start()
    return None


class Function:
    """A function with mutants, and the functions with mutants that are within it."""

    def __init__(self, start, end):
        self.start, self.end, self.number = start, end, None
        self.mutants, self.inner = [], []


class Source:
    """A file, as it was and as the mutants in it make it."""

    def __init__(self, path, mutants):
        self.path = path
        self.text = path.read_text()
        self.lines = self.text.splitlines(keepends=True)
        self.aside = {}
        functions = {}
        for mutant in mutants:
            if mutant["function"] is None:
                self.aside[mutant["id"]] = "not in a function"
                continue
            start, end = extent(self.lines, mutant["function"]["span"])
            opened = body_of(self.text, start, end)
            function = functions.setdefault((opened + 1, end - 1), Function(opened + 1, end - 1))
            function.mutants.append(mutant)
        self.outer = []
        around = []
        for function in sorted(functions.values(), key=lambda each: (each.start, -each.end)):
            while around and around[-1].end < function.end:
                around.pop()
            (around[-1].inner if around else self.outer).append(function)
            around.append(function)

    def mutated(self, body, start, mutant):
        """The body of a function, which starts at a place of the file, with a mutant in it."""
        if mutant["genre"] == "FnValue":
            return mutant["replacement"]
        at, end = extent(self.lines, mutant["span"])
        rest = body[end - start :]
        if mutant["genre"] == "StructField":
            rest = re.sub(r"^\s*,", "", rest, count=1)
        return body[: at - start] + mutant["replacement"] + rest

    def rendered(self, start, end, functions, out):
        """The text between two places, with the mutants of the functions in it that are not left out."""
        text, at = "", start
        for function in functions:
            text += self.text[at : function.start]
            body = self.text[function.start : function.end]
            arms = [
                f"/*M{mutant['id']}*/ {mutant['id']} => {{\n{self.mutated(body, function.start, mutant)}\n}} /*E{mutant['id']}*/\n"
                for mutant in function.mutants
                if mutant["id"] not in out
            ]
            original = self.rendered(function.start, function.end, function.inner, out)
            if arms:
                original = f"match crate::__mutants::active({function.number}) {{\n" + "".join(arms) + "_ => {\n" + original + "\n}}"
            text += original
            at = function.end
        return text + self.text[at:end]

    def write(self, out, constant, choice):
        """Writes the file with its mutants. Only the functions that constants are made with stay const."""
        text = self.rendered(0, len(self.text), self.outer, out)
        text = CONST_FN.sub(lambda found: found[0] if found[1] in constant else "", text)
        self.path.write_text(text + choice)


class Build:
    """All mutants of a tree, in one build."""

    def __init__(self, tree, mutants, command):
        self.tree, self.mutants, self.command = tree, mutants, command
        self.unviable, self.constant, self.executables = {}, set(), {}
        files = collections.defaultdict(list)
        for number, mutant in enumerate(mutants, 1):
            mutant["id"] = number
            files[mutant["file"]].append(mutant)
        self.roots = {re.sub(r"(^|/)src/.*", r"\1src/lib.rs", file) for file in files}
        for root in self.roots:
            files[root]
        self.sources = {file: Source(tree / file, of) for file, of in files.items()}
        self.aside, self.count = {}, 0
        for source in self.sources.values():
            self.aside.update(source.aside)
            for function in self.functions(source.outer):
                function.number = self.count
                self.count += 1
                for mutant in function.mutants:
                    mutant["number"] = function.number

    def allow_lints(self):
        """A mutant that only a lint would refuse is one that could be run."""
        manifest = self.tree / "Cargo.toml"
        manifest.write_text(manifest.read_text().replace('"deny"', '"allow"'))

    def settle(self, say):
        """Builds, with fewer mutants each time, until the compiler has nothing to say."""
        self.allow_lints()
        choice = CHOICE.replace("FUNCTIONS", str(self.count))
        while True:
            for file, source in self.sources.items():
                source.write({**self.aside, **self.unviable}, self.constant, choice if file in self.roots else "")
            errors = self.compile()
            if errors is None:
                break
            if not self.learn(errors):
                raise SystemExit("\n".join(error["rendered"] for error in errors[:5]) or "the build fails without a word")
            say(f"{len(errors)} errors: {len(self.unviable)} unviable, {len(self.constant)} functions stay const")

    def compile(self):
        done = subprocess.run(
            [*self.command, "--message-format=json"], cwd=self.tree, stdout=subprocess.PIPE, text=True
        )
        errors = []
        for line in done.stdout.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("reason") == "compiler-message" and message["message"]["level"].startswith("error"):
                errors.append(message["message"])
            if message.get("executable"):
                target = message["target"]
                kinds = target["kind"]
                suffix = "" if "test" in kinds else ":bin" if "bin" in kinds else ":lib"
                self.executables[target["name"] + suffix] = message["executable"]
        return None if done.returncode == 0 else errors

    def learn(self, errors):
        """Takes out what the errors are about. False if that is nothing."""
        learned = False
        for error in errors:
            constant = NOT_CONST.match(error["message"])
            if constant:
                learned |= self.keep_const(constant[1])
            else:
                primary = [span for span in error["spans"] if span["is_primary"]]
                learned |= self.blame(primary) or self.blame(error["spans"])
        return learned

    def keep_const(self, name):
        """Leaves functions of that name const, and their mutants out: where constants are made there is no environment."""
        if name in self.constant:
            return False
        self.constant.add(name)
        for source in self.sources.values():
            kept = [body_of(source.text, found.end(), len(source.text)) for found in CONST_FN.finditer(source.text) if found[1] == name]
            for function in self.functions(source.outer):
                if function.start - 1 in kept:
                    self.aside.update((mutant["id"], "used in constants") for mutant in function.mutants)
        return True

    def functions(self, these):
        for function in these:
            yield function
            yield from self.functions(function.inner)

    def blame(self, spans):
        """Takes out the mutants whose arms the spans are in. False if there is none."""
        blamed = set()
        for span in spans:
            if span["file_name"] not in self.sources:
                continue
            text = (self.tree / span["file_name"]).read_text().encode()
            for arm in re.finditer(rb"/\*M(\d+)\*/", text):
                end = text.find(b"/*E%s*/" % arm[1], arm.start())
                if arm.start() <= span["byte_start"] <= end:
                    blamed.add(int(arm[1]))
        for number in blamed:
            self.unviable[number] = "does not compile"
        return bool(blamed)
