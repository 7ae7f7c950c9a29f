#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is shipped beside the programs: example configurations and their documentation."""

import os
import pathlib
import re
import subprocess

import vctest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KEY = re.compile(r'CYAML_FIELD_\w+\(\s*"([a-z-]+)"')


def check_example(daemon):
    done = subprocess.run([vctest.program(f"vcrypto-{daemon}"), "--check-config", "--config",
                           str(ROOT / "deploy" / f"{daemon}.yaml")],
                          capture_output=True, text=True, check=False)
    vctest.equal((done.returncode, done.stderr), (0, ""), f"{daemon}.yaml")


def test_examples_are_right():
    if not {0, 1} <= os.sched_getaffinity(0):
        raise vctest.Skip("the examples name CPUs 0 and 1")
    check_example("host")
    check_example("engined")


def test_every_key_is_documented():
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    host, _, engined = page.partition("\n## vcrypto-engined\n")
    for daemon, text in (("host", host), ("engined", engined)):
        keys = set()
        for source in (ROOT / "src" / daemon).glob("*.c"):
            keys.update(KEY.findall(source.read_text(encoding="utf-8")))
        vctest.check(keys, f"no keys found in src/{daemon}")
        missing = [key for key in sorted(keys) if not re.search(rf"^\|.*`(· )*{key}`", text, re.M)]
        vctest.equal(missing, [], f"keys of {daemon}.yaml that docs/configuration.md lacks")


vctest.main(globals())
