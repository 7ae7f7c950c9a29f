#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Add up what `meson test` did in the given build directories, or wrote to the given logs (*.json).
--skipped NAME stands for a test that could not even be built.

Last line: "N passed, N failed, N skipped". Exit code 1 when a test failed, when a directory has no
results, or when nothing passed.
"""
import json
import pathlib
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP", "IGNORED"}


def results(directory):
    """(name, result) of each test; one JSON object a line."""
    log = pathlib.Path(directory)
    if log.suffix != ".json":
        log = log / "meson-logs" / "testlog.json"
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    return [(r["name"], r["result"]) for r in map(json.loads, lines)]


def main(arguments):
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    directories = iter(arguments)
    for directory in directories:
        if directory == "--skipped":
            print(f"{next(directories)}: SKIP")
            totals["skipped"] += 1
            continue
        found = results(directory)
        if found is None:
            print(f"{directory}: no test ran")
            totals["failed"] += 1
            continue
        for name, result in found:
            kind = ("passed" if result in PASSED else
                    "skipped" if result in SKIPPED else "failed")
            totals[kind] += 1
            if kind != "passed":
                print(f"{directory}: {name}: {result}")
    print(", ".join(f"{n} {kind}" for kind, n in totals.items()))
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
