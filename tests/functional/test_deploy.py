#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is shipped beside the programs: example configurations and their documentation, units of
systemd."""

import os
import pathlib
import re
import socket
import struct
import subprocess
import tempfile

import vctest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KEY = re.compile(r'CYAML_FIELD_\w+\(\s*"([a-z-]+)"')


def check_example(daemon, name=None):
    done = subprocess.run([vctest.program(f"vcrypto-{daemon}"), "--check-config", "--config",
                           str(ROOT / "deploy" / f"{name or daemon}.yaml")],
                          capture_output=True, text=True, check=False)
    vctest.equal((done.returncode, done.stderr), (0, ""), f"{name or daemon}.yaml")


def test_examples_are_right():
    if not {0, 1} <= os.sched_getaffinity(0):
        raise vctest.Skip("the examples name CPUs 0 and 1")
    check_example("host")
    check_example("engined")
    check_example("engined", "engined-pci")


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


def unit(name, directory):
    """A unit file as it is installed, with the program of the build. Its path."""
    def built(found):
        return f"{found[1]}{vctest.program(found[2])}"

    text = pathlib.Path(vctest.BUILD, "deploy", name).read_text("utf-8")
    text, replaced = re.subn(r"^(Exec\w+=-?)/\S*/(\S+)", built, text, flags=re.M)
    vctest.check(replaced, f"no Exec lines in {name}")
    path = os.path.join(directory, name)
    pathlib.Path(path).write_text(text, "utf-8")
    return path


def test_units_are_understood_by_systemd():
    command = vctest.need("systemd-analyze")
    with tempfile.TemporaryDirectory() as directory:
        paths = [unit(name, directory)
                 for name in ("vcrypto-host.service", "vcrypto-engined.service",
                              "vcrypto-engined-pci.service", "vcrypto-bind@.service")]
        done = subprocess.run([command, "verify", "--man=no", *paths], capture_output=True,
                              text=True, check=False, timeout=60)
        # It says what it does not know, and succeeds all the same.
        ours = [line for line in done.stderr.splitlines() if "vcrypto" in line]
        vctest.equal((done.returncode, ours), (0, []), "systemd-analyze verify")


class Manager:
    """systemd's end of $NOTIFY_SOCKET."""

    def __init__(self, stack):
        path = os.path.join(stack.dir, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(path)
        stack.env["NOTIFY_SOCKET"] = path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def receive(self, seconds):
        """The next message and the process that sent it; (None, None) when none comes."""
        self.socket.settimeout(seconds)
        try:
            text, extra, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
        except TimeoutError:
            return None, None
        return text.decode(), struct.unpack("iII", extra[0][2])[0]


def check_notifies(daemon):
    stack = vctest.Stack(host=daemon == "host", engined=daemon == "engined")
    running = getattr(stack, daemon)
    with Manager(stack) as manager, stack:
        # Type=notify takes it from the main process alone.
        pid = running.pid
        vctest.equal(manager.receive(vctest.READY_SECONDS), ("READY=1", pid), "the first message")
        vctest.equal(manager.receive(0.01), (None, None), "another one before the end")
        running.stop()
        vctest.equal(manager.receive(0.01), ("STOPPING=1", pid), "the second message")
        vctest.equal(manager.receive(0.01), (None, None), "a third message")


def check_is_silent_when_it_fails(daemon):
    with vctest.Stack(host=False, engined=False) as stack, Manager(stack) as manager:
        # Its control socket cannot be made.
        os.mkdir(os.path.join(stack.dir, f"{daemon}.ctl"))
        done = subprocess.run([vctest.program(f"vcrypto-{daemon}")], env=stack.env,
                              capture_output=True, check=False, timeout=vctest.READY_SECONDS)
        vctest.check(done.returncode != 0, "it starts all the same")
        vctest.equal(manager.receive(0.01), (None, None), "a message")
        os.rmdir(os.path.join(stack.dir, f"{daemon}.ctl"))


def test_daemons_tell_systemd_how_they_are():
    for daemon in ("host", "engined"):
        check_notifies(daemon)
        check_is_silent_when_it_fails(daemon)


vctest.main(globals())
