#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check the conformance tables of docs/device.md: each row names a test, and each test is there."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "device.md"
ROW = re.compile(r"^\| (\d+(?:\.\d+)+) \|.*\|$")
TEST = re.compile(r"`((?:test|host)_\w+\.(?:c|py)):(\w+)`")


def sources():
    """Test files by name."""
    return {path.name: path.read_text(encoding="utf-8")
            for pattern in ("*.c", "*.py") for path in (ROOT / "tests").rglob(pattern)}


def defines(text, name):
    return re.search(rf"^(?:static \w+ \**|def ){name}\(", text, re.M)


def problems():
    files = sources()
    rows = 0
    conformance = False
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").splitlines(), 1):
        tests = TEST.findall(line)
        if line.startswith("## "):
            conformance = line == "## Conformance"
        if conformance and ROW.match(line):
            rows += 1
            if not tests:
                yield f"{number}: no test shows this"
        for name, function in tests:
            if name not in files:
                yield f"{number}: there is no {name}"
            elif not defines(files[name], function):
                yield f"{number}: {name} has no {function}()"
    if rows < 40:
        yield f"only {rows} rows were found: has their form changed?"


def main():
    found = [f"{PAGE.relative_to(ROOT)}:{problem}" for problem in problems()]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
