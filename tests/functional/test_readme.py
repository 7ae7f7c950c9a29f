#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What README.md tells people to type in the build directory, typed."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import vctest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def blocks():
    """The blocks of commands that use the programs in build/."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [block for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
            if "build/" in block]


def typed(directory):
    """All of them in one shell that stops where something fails; its output."""
    # `make` and build/ are there, but what is to be made has been.
    os.symlink(vctest.BUILD, directory / "build")
    os.symlink(ROOT / "README.md", directory / "README.md")
    (directory / "Makefile").write_text("all:\n")
    env = {name: value for name, value in os.environ.items()
           if name not in ("OPENSSL_CONF", "VCRYPTO_RUNTIME_DIR")}
    commands = "set -euo pipefail\ntrap 'kill $(jobs -p)' ERR\n" + "\n".join(blocks()) + "wait\n"
    with subprocess.Popen(["bash", "-c", commands],
                          cwd=directory, env={**env, "TMPDIR": str(directory)},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, start_new_session=True) as shell:
        try:
            output, _ = shell.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            output = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    vctest.check(output is not None, "the shell and its daemons end")
    vctest.equal(shell.returncode, 0, output)
    return output


def test_quick_start():
    if os.environ.get("VCRYPTO_PRELOAD"):
        raise vctest.Skip("a sanitized module needs more in the environment than README says")
    with tempfile.TemporaryDirectory(prefix="vct-readme-") as name:
        output = typed(pathlib.Path(name))
    before, _, after = output.partition("Verified OK")
    vctest.contains(before, "vcrypto-host 0.", "first status")
    vctest.contains(before, "vcrypto-engined 0.", "first status")
    vctest.contains(before, "name: vcrypto", "openssl list -providers")
    vctest.check(after, f"openssl dgst -prverify:\n{output}")
    offloaded = re.findall(r"offloaded +cipher ([\d,]+), .*rsa sign ([\d,]+)", after)
    vctest.check(offloaded, output)
    cipher, sign = offloaded[-1]
    vctest.check(cipher != "0", f"ciphers of openssl speed are offloaded:\n{output}")
    vctest.check(sign != "0", f"the signature is offloaded:\n{output}")


if __name__ == "__main__":
    vctest.main(globals())
