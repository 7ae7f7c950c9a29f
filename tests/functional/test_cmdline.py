#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Command lines and configuration errors of both daemons."""

import os
import signal
import subprocess
import tempfile

import vctest

HOST_GOOD = vctest.HOST_CONFIG.format(dir="/tmp", queues=1)
ENGINED_GOOD = vctest.ENGINED_CONFIG.format(dir="/tmp")

# (what is wrong, file, part of the sentence)
HOST_BAD = [
    ("empty", "", ":1: the file is empty"),
    ("syntax", "resources:\n  - {name: mb\n", ":3: not YAML"),
    ("unknown key", HOST_GOOD + "colour: red\n", ':8: unknown key "colour"'),
    ("unknown key inside", HOST_GOOD.replace("policy:", "polity:"), ':5: groups[0]: unknown key'),
    ("missing key", HOST_GOOD.replace("name: mb, ", ""), ':2: resources[0]: key "name" is missing'),
    ("bad policy", HOST_GOOD.replace("failover", "random"), ":5: groups[0].policy"),
    ("wrong type", HOST_GOOD + "workers: 1\n", ":8: workers: expected a list"),
    ("unknown resource type", HOST_GOOD.replace("ipsec-mb", "abacus"), ":2: "),
    ("unknown resource", HOST_GOOD.replace("[mb]", "[mb2]"), ":5: "),
    ("unknown group", HOST_GOOD.replace("group: default", "group: other"), ":7: "),
    ("two of a name", HOST_GOOD.replace("name: sw", "name: mb"), ":3: "),
    ("no queues", HOST_GOOD.replace("queues: 1", "queues: 0"), ":7: "),
    ("too many queues", HOST_GOOD.replace("queues: 1", "queues: 65"), ":7: "),
    ("unknown mode", HOST_GOOD.replace("queues: 1", "mode: both"), ":7: "),
    ("CPU that is not there", HOST_GOOD + "workers: [4095]\n", ":8: "),
    ("socket path too long", HOST_GOOD.replace("/tmp/dev0", "/tmp/" + "d" * 120), ":7: "),
]

ENGINED_BAD = [
    ("empty", "", ":1: the file is empty"),
    ("syntax", "device: {\n", ":2: not YAML"),
    ("unknown key", ENGINED_GOOD + "colour: red\n", ':2: unknown key "colour"'),
    ("bad transport", ENGINED_GOOD.replace("vhost-user", "pigeon"), ":1: device.transport"),
    ("wrong type", ENGINED_GOOD + "cpu: first\n", ":2: cpu: expected a whole number"),
    ("pci", ENGINED_GOOD.replace("vhost-user", "pci"), ":1: device.transport: pci needs"),
]


def run(daemon, *arguments, env=None):
    return subprocess.run([vctest.program(f"vcrypto-{daemon}"), *arguments], text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
                          env=env)


def check_config(daemon, text):
    """Outcome of --check-config of a file, and the file's name."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return run(daemon, "--config", file.name, "--check-config"), file.name


def check_bad(daemon, cases):
    for what, text, sentence in cases:
        done, name = check_config(daemon, text)
        vctest.equal(done.returncode, 1, f"{what}: exit status")
        vctest.equal(done.stdout, "", f"{what}: standard output")
        vctest.contains(done.stderr, name, what)
        vctest.contains(done.stderr, sentence, what)
        vctest.equal(len(done.stderr.splitlines()), 1, f"{what}: one sentence: {done.stderr}")


def test_help():
    for daemon in ("host", "engined"):
        done = run(daemon, "--help")
        vctest.equal((done.returncode, done.stderr), (0, ""))
        for option in ("--config", "--check-config", "--foreground", "--log-level", "--no-sandbox",
                       "--version"):
            vctest.contains(done.stdout, option)


def test_version():
    for daemon in ("host", "engined"):
        done = run(daemon, "--version")
        vctest.equal((done.returncode, done.stderr), (0, ""))
        vctest.contains(done.stdout, f"vcrypto-{daemon} ")


def test_wrong_options():
    for daemon in ("host", "engined"):
        for arguments in (("--frobnicate",), ("--config",), ("surplus",),
                          ("--log-level", "loud")):
            done = run(daemon, *arguments)
            vctest.equal((done.returncode, done.stdout), (2, ""), str(arguments))
            vctest.check(done.stderr, f"{arguments}: says why")


def test_good_configurations():
    for daemon, text in (("host", HOST_GOOD), ("engined", ENGINED_GOOD)):
        done, name = check_config(daemon, text)
        vctest.equal((done.returncode, done.stderr, done.stdout), (0, "", f"{name}: ok\n"))


def test_short_option():
    for daemon in ("host", "engined"):
        done = run(daemon, "-c", "/nonexistent.yaml", "--check-config")
        vctest.equal(done.returncode, 1, daemon)
        vctest.contains(done.stderr, "/nonexistent.yaml: ")


def test_bad_configurations_of_host():
    check_bad("host", HOST_BAD)


def test_bad_configurations_of_engined():
    check_bad("engined", ENGINED_BAD)


def test_configuration_that_is_not_there():
    for daemon in ("host", "engined"):
        for arguments in (("--check-config",), ()):
            done = run(daemon, "--config", "/nonexistent.yaml", *arguments)
            vctest.equal((done.returncode, done.stdout), (1, ""), daemon)
            vctest.contains(done.stderr, "/nonexistent.yaml: cannot read it: No such file")


def test_daemon_does_not_start_with_a_bad_configuration():
    for daemon in ("host", "engined"):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("colour: red\n")
            file.flush()
            done = run(daemon, "--config", file.name)
        vctest.equal(done.returncode, 1)
        vctest.contains(done.stderr, f'{file.name}:1: unknown key "colour"')


def test_built_in_configuration():
    for daemon in ("host", "engined"):
        done = run(daemon, "--check-config")
        vctest.equal((done.returncode, done.stderr), (0, ""), daemon)
        vctest.contains(done.stdout, ": ok")


def test_runtime_directory_that_cannot_be_made():
    env = {**os.environ, "VCRYPTO_RUNTIME_DIR": "/nonexistent/run"}
    for daemon in ("host", "engined"):
        done = run(daemon, env=env)
        vctest.equal(done.returncode, 1, daemon)
        vctest.contains(done.stderr, "/nonexistent/run")


def test_second_daemon_is_refused():
    with vctest.Stack() as stack:
        for daemon in ("host", "engined"):
            done = run(daemon, "--config", getattr(stack, daemon).config, env=stack.env)
            vctest.equal(done.returncode, 1, daemon)
            vctest.contains(done.stderr, stack.dir)
        # And the first ones did not notice.
        vctest.equal(stack.ctl("host", "version")["daemon"], "vcrypto-host")
        vctest.equal(stack.ctl("engined", "status")["device"]["state"], "up")


def test_keys_do_not_get_into_core_dumps():
    with vctest.Stack() as stack:
        for daemon in stack.daemons:
            with open(f"/proc/{daemon.pid}/limits", encoding="ascii") as limits:
                core = next(line for line in limits if line.startswith("Max core file size"))
            vctest.equal(core.split()[4:6], ["0", "0"], daemon.name)


def test_signals_end_it_well():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with vctest.Stack() as stack:
            for daemon in reversed(stack.daemons):
                daemon.process.send_signal(number)
                vctest.equal(daemon.process.wait(20), 0, f"{daemon.name}: exit status")
                vctest.check(not os.path.exists(daemon.control_path), "its socket is gone")
                daemon.process = None


if __name__ == "__main__":
    vctest.main(globals())
