"""Checks the PowerShell scripts of this folder without Windows: do they parse, keep the rules, agree with the source?

    check.py            check everything; exit status 1 and one line for each fault
    check.py --update   write Tollgate.facts.psd1 from the source first
    check.py --self     have broken scripts found, each by the rule it breaks

The parser is tree-sitter's grammar for PowerShell (requirements.txt). It is not PowerShell: what it accepts may still
fail there.
"""

import argparse
import re
import sys
from pathlib import Path

import tree_sitter
import tree_sitter_powershell

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
FACTS = FOLDER / "Tollgate.facts.psd1"
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))

# Get-Verb in Windows PowerShell 5.1, as far as these scripts need it.
VERBS = set(
    re.findall(
        r"\w+",
        """
    Add Assert Clear Close Compare Confirm Connect Copy Disable Disconnect Enable Export Find Format Get Import
    Initialize Install Invoke Join Measure Move New Open Read Register Remove Rename Reset Resolve Restart Restore
    Save Search Select Send Set Show Start Step Stop Sync Test Trace Undo Uninstall Unregister Update Use Wait
    Write
    """,
    )
)
# Native programs are called through Invoke-Tool, which looks at their exit codes.
TOOL = re.compile(r"^[\w.-]+\.exe$", re.IGNORECASE)


def text(node):
    return node.text.decode()


def walk(node, of_type):
    if node.type == of_type:
        yield node
    for child in node.children:
        yield from walk(child, of_type)


def broken(node):
    """The places that are not PowerShell."""
    if node.type == "ERROR" or node.is_missing:
        yield node
    elif node.has_error:
        for child in node.children:
            yield from broken(child)


def statements(root):
    lists = [child for child in root.children if child.type == "statement_list"]
    return [child for each in lists for child in each.children]


def help_before(source, at):
    """Whether a comment with a synopsis ends on the line before byte `at`."""
    before = source[:at].decode().rstrip(" ")
    return bool(re.search(r"<#(?:(?!#>).)*\.SYNOPSIS\s+\S(?:(?!#>).)*#>\n$", before, re.DOTALL))


def check_parameters(block, name, say, validated):
    for parameter in walk(block, "script_parameter"):
        variable = next(child for child in parameter.children if child.type == "variable")
        words = text(parameter)[: text(parameter).index(text(variable))]
        if not re.search(r"\[(?!Parameter|Validate|Allow)[\w.]+(?:\[\])?\]", words):
            say(parameter, f"parameter {text(variable)} of {name} has no type")
        if validated and "[switch]" not in words and not re.search(r"\[Validate\w+\(", words):
            say(parameter, f"parameter {text(variable)} of {name} is not validated")


def check_script(path, source):
    """Every fault of one file, as (line, message)."""
    root = PARSER.parse(source).root_node
    faults = []

    def say(node, message):
        faults.append((node.start_point[0] + 1, message))

    for node in broken(root):
        say(node, f"this is not PowerShell: {text(node)[:60]!r}")
    if faults:
        return faults
    if path.suffix == ".psd1":
        return faults

    if not re.match(rb"<#\s*\.SYNOPSIS\s+\S", source):
        say(root, "the file does not begin with its help")
    lines = [text(statement) for statement in statements(root)]
    for place, wanted in enumerate(["Set-StrictMode -Version 3.0", "$ErrorActionPreference = 'Stop'"]):
        if lines[place : place + 1] != [wanted]:
            say(root, f"statement {place + 1} is not {wanted}")
    if path.suffix == ".ps1":
        blocks = [child for child in root.children if child.type == "param_block"]
        if len(blocks) != 1:
            say(root, "the script has no param block")
        else:
            check_parameters(blocks[0], path.name, say, validated=True)
            if "SupportsShouldProcess" not in text(blocks[0]):
                say(blocks[0], "the script does not support -WhatIf")
            documented = set(re.findall(r"^\.PARAMETER (\w+)", source.decode(), re.MULTILINE))
            declared = {
                text(v)[1:] for p in walk(blocks[0], "script_parameter") for v in p.children if v.type == "variable"
            }
            for name in sorted(documented ^ declared):
                say(blocks[0], f"parameter {name} is not both declared and documented")
        if not re.search(r"^Exit codes: 0 ", source.decode(), re.MULTILINE):
            say(root, "the help does not tell the exit codes")
        for code in {text(m) for m in walk(root, "flow_control_statement") if text(m).startswith("exit ")}:
            if not re.search(
                rf"^Exit codes:.*?\b{code.split()[1]}\b", source.decode().split("#>")[0], re.MULTILINE | re.DOTALL
            ):
                say(root, f"the help does not tell of {code}")

    functions = list(walk(root, "function_statement"))
    names = set()
    for function in functions:
        name = text(next(child for child in function.children if child.type == "function_name"))
        names.add(name)
        if not re.fullmatch(r"[A-Z]\w+-[A-Z]\w+", name) or name.split("-")[0] not in VERBS:
            say(function, f"{name} is not a verb and a noun")
        if not help_before(source, function.start_byte):
            say(function, f"{name} has no help before it")
        blocks = list(walk(function, "param_block"))
        if not blocks:
            say(function, f"{name} has no param block")
        for block in blocks[:1]:
            check_parameters(block, name, say, validated=True)

    for command in walk(root, "command"):
        name_node = next(
            (child for child in command.children if child.type in ("command_name", "command_name_expr")), None
        )
        if name_node is None or name_node.type != "command_name" or text(command).startswith(("&", ".")):
            continue
        name = text(name_node)
        if TOOL.match(name):
            say(command, f"{name} is not called through Invoke-Tool")
        elif not re.fullmatch(r"[A-Z]\w*-[A-Z]\w*", name):
            say(command, f"{name} is an alias, or no command at all")
    for part in source.decode().splitlines():
        if len(part) > 200:
            faults.append((source.decode().splitlines().index(part) + 1, "the line has more than 200 characters"))
    if b"\t" in source or b"\r" in source or re.search(rb"[^\x00-\x7f]", source):
        # Windows PowerShell 5.1 takes a file without a byte order mark for one in the machine's code page.
        say(root, "the file has a tab, a carriage return, or a character that is not ASCII")
    return faults


def check_calls(files):
    """Commands that are neither in Windows nor here, and exports of functions that are not there."""
    faults = []
    trees = {path: PARSER.parse(source).root_node for path, source in files.items()}
    defined = {
        path: {text(next(c for c in f.children if c.type == "function_name")) for f in walk(root, "function_statement")}
        for path, root in trees.items()
    }
    exported = set()
    for path, source in files.items():
        if path.suffix == ".psm1":
            listed = source.decode().rsplit("Export-ModuleMember -Function @(", 1)
            names = set(re.findall(r"'([\w-]+)'", listed[1])) if len(listed) == 2 else set()
            for name in sorted(names - defined[path]):
                faults.append((path, 1, f"{name} is exported and not defined"))
            exported |= names
    ours = {name for names in defined.values() for name in names}
    for path, root in trees.items():
        for command in walk(root, "command"):
            name = next((text(c) for c in command.children if c.type == "command_name"), "")
            if name in ours and name not in defined[path] and name not in exported:
                faults.append((path, command.start_point[0] + 1, f"{name} is not exported by its module"))
            if "-Tollgate" in name and name not in ours:
                faults.append((path, command.start_point[0] + 1, f"{name} is defined nowhere"))
    return faults


def facts():
    """Tollgate.facts.psd1, from the driver's source."""

    def find(pattern, source, what):
        found = re.search(pattern, source)
        if not found:
            sys.exit(f"the source no longer has {what} where this script looks for it")
        return found[1]

    abi = (ROOT / "crates/tollgate-abi/src/lib.rs").read_text()
    listed = (ROOT / "crates/tollgate-abi/src/counters.rs").read_text()
    engine = (ROOT / "src/engine.rs").read_text()
    counters = re.findall(r'^    ([A-Z]\w+) [A-Z]\w+ "(\w+)",$', listed, re.MULTILINE)
    groups = dict(re.findall(r'Group::(\w+) => "(\w+)",', listed))
    function = int(
        find(r"ctl_code\(FILE_DEVICE_NETWORK, (0x[0-9a-f]+), METHOD_BUFFERED, FILE_READ_DATA\)", abi, "the IOCTL"), 16
    )
    ioctl = 0x12 << 16 | 1 << 14 | function << 2
    link = find(r'SYMBOLIC_LINK: &str = r"\\DosDevices\\(\w+)"', abi, "the symbolic link")
    version = find(r"pub const VERSION: u32 = (\d+);", abi, "the version")

    def guid(hexadecimal):
        digits = hexadecimal.replace("_", "")
        return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])

    objects = [
        (what.lower(), guid(key))
        for what, key in re.findall(r"const (PROVIDER|SUBLAYER): GUID = GUID::from_u128\(0x([0-9a-f_]+)\)", engine)
    ]
    for callout, key, name in re.findall(
        r"callout: GUID::from_u128\(0x([0-9a-f_]+)\),\s+filter: GUID::from_u128\(0x([0-9a-f_]+)\),"
        r'\s+name: utf16!\("Tollgate: ([^"]+)"\)',
        engine,
    ):
        objects += [(f"callout ({name})", guid(callout)), (f"filter ({name})", guid(key))]
    if len(counters) < 50 or len(objects) != 18:
        sys.exit(
            f"{len(counters)} counters and {len(objects)} filter objects were found in the source:"
            " the patterns of this script are out of date"
        )
    return "\n".join(
        [
            "# Written by check.py --update from the driver's source. Do not change it by hand.",
            "@{",
            "    ServiceName = 'tollgate'",
            "    InfName = 'tollgate.inf'",
            "    ImageName = 'tollgate.sys'",
            "    PackageFiles = @('tollgate.inf', 'tollgate.sys', 'tollgate.cat')",
            "    SignedFiles = @('tollgate.sys', 'tollgate.cat')",
            f"    DevicePath = '\\\\.\\{link}'",
            f"    IoctlCounters = 0x{ioctl:08X}",
            f"    Version = {version}",
            "    Counters = @(",
            *[f"        @{{ Name = '{name}'; Group = '{groups[group]}' }}" for group, name in counters],
            "    )",
            "    FilterObjects = @(",
            *[f"        @{{ What = '{what}'; Key = '{key}' }}" for what, key in objects],
            "    )",
            "}",
            "",
        ]
    )


GOOD = """<#
.SYNOPSIS
Does nothing.

.PARAMETER Count
How often.

.NOTES
Exit codes: 0 done.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidateRange(1, 5)]
    [int] $Count = 1
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

<#
.SYNOPSIS
Gets it.
#>
function Get-It {
    param(
        # What.
        [ValidateNotNull()] [string] $What
    )

    Write-Output $What | Where-Object -FilterScript { $_ -eq 'x' }
}

exit 0
"""

# Each has one mistake, and the words of the fault that must be found.
MISTAKES = [
    ("    [int] $Count = 1\n)", "    [int] $Count = 1\n", "this is not PowerShell"),
    ("{ $_ -eq 'x' }", "{ $_ -eq 'x' ", "this is not PowerShell"),
    ("'x'", "'x", "this is not PowerShell"),
    ("Where-Object -FilterScript", "where", "is an alias"),
    ("| Where-Object -FilterScript", "| ? ", "is an alias"),
    ("exit 0\n", "sc.exe stop x\nexit 0\n", "Invoke-Tool"),
    ("Set-StrictMode -Version 3.0\n", "", "statement 1 is not"),
    ("$ErrorActionPreference = 'Stop'", "$ErrorActionPreference = 'Continue'", "statement 2 is not"),
    ("    [ValidateRange(1, 5)]\n", "", "is not validated"),
    ("    [int] $Count", "    $Count", "has no type"),
    ("<#\n.SYNOPSIS\nGets it.\n#>\n", "", "has no help"),
    ("Get-It", "Fetch-It", "is not a verb"),
    ("SupportsShouldProcess", "", "does not support -WhatIf"),
    (".PARAMETER Count\nHow often.\n", "", "declared and documented"),
    ("Exit codes: 0 done.", "Done.", "exit codes"),
    ("exit 0\n", "exit 7\n", "does not tell of exit 7"),
    ("Gets it.", "Gets \u201cit\u201d.", "not ASCII"),
]


def check_self():
    path = Path("good.ps1")
    faults = [f"a good script is called bad: {fault}" for fault in check_script(path, GOOD.encode())]
    for old, new, expected in MISTAKES:
        if old not in GOOD:
            faults.append(f"the good script has no {old!r}")
            continue
        found = [message for _, message in check_script(path, GOOD.replace(old, new, 1).encode())]
        if not any(expected in message for message in found):
            faults.append(f"{old!r} replaced by {new!r} was to be found as {expected!r}; found was {found}")
    return faults


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--update", action="store_true", help="write Tollgate.facts.psd1 from the source first")
    arguments.add_argument("--self", action="store_true", help="have broken scripts found")
    chosen = arguments.parse_args()
    if chosen.self:
        faults = check_self()
        print("\n".join(faults) or f"{len(MISTAKES)} broken scripts, each found")
        return 1 if faults else 0
    if chosen.update:
        FACTS.write_text(facts())
    files = {path: path.read_bytes() for path in sorted(FOLDER.glob("*.ps*1"))}
    faults = [(path, line, message) for path, source in files.items() for line, message in check_script(path, source)]
    faults += check_calls(files)
    if not FACTS.exists() or FACTS.read_text() != facts():
        faults.append((FACTS, 1, "it is not what the source says: run check.py --update"))
    for path, line, message in faults:
        print(f"{path.relative_to(ROOT)}:{line}: {message}")
    if not faults:
        print(f"{len(files)} files parse and keep the rules")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
