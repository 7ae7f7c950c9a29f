#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tests of add, drain, resume and remove share: vcryptoctl, and load by vcrypto-perf."""

import json
import os
import signal
import subprocess

import vctest
from hostfixture import Host
from vctest import check, contains, equal


class AdminHost(Host):
    """A host, and vcryptoctl's word about it."""

    def must(self, *arguments):
        """What it prints; it must be content."""
        done = self.vcryptoctl("--host", *arguments)
        equal((done.returncode, done.stderr), (0, ""), f"{arguments}")
        return done.stdout

    def refused(self, sentence, *arguments, status=1):
        """It must say that, and nothing else."""
        done = self.vcryptoctl("--host", *arguments)
        equal((done.returncode, done.stdout), (status, ""), f"{arguments}")
        contains(done.stderr, sentence, f"{arguments}")
        equal(len(done.stderr.splitlines()), 1, f"{arguments}: lines")

    def named(self, kind, name):
        """From the status: a device, resource or group; None: there is none."""
        for entry in self.ctl("host", "status")[kind + "s"]:
            if entry["name"] == name:
                return entry
        return None

    def device_path(self, name):
        return os.path.join(self.dir, f"{name}.sock")

    def threads(self):
        return len(os.listdir(f"/proc/{self.host.pid}/task"))


class Load:
    """vcrypto-perf on a device, as a context: it is loaded to the end, and all must have gone well.

    result is one of its rows then."""

    def __init__(self, host, device, algorithm, *arguments):
        self.result = None
        before = self.requests(host, device)
        self.process = subprocess.Popen(
            [vctest.program("vcrypto-perf"), "--socket", host.device_path(device), "--algo",
             algorithm, "--seconds", "3600", "--verify", "--json", *arguments],
            env=host.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=vctest.die_with_parent)
        vctest.wait_until(lambda: self.requests(host, device) > before + 100, what=f"load on {device}")

    @staticmethod
    def requests(host, device):
        return sum(queue["requests"] for queue in host.named("device", device)["queues"])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
            self.process.communicate()
            return
        self.process.send_signal(signal.SIGINT)
        output, errors = self.process.communicate(timeout=60)
        equal((self.process.returncode, errors), (0, ""), "vcrypto-perf")
        self.result = json.loads(output)[0]
        equal(self.result["errors"], 0, "failed requests")
        check(self.result["verified"] > 100, f"few results: {self.result}")
