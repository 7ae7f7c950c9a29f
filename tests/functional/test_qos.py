#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits and weights of devices of a live vcrypto-host, loaded by vcrypto-perf.

Machines that run tests are slow and busy: bounds are wide, and what a limit must not exceed is told
apart from what it should reach.
"""

import json
import os
import subprocess
import time

import vctest
from vctest import check, contains, equal, raises

CONFIG = """\
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: sw, type: libcrypto}}
devices:
  - {{name: dev0, weight: 1}}
  - {{name: dev1, weight: 4}}
  - {{name: dev2, limit: {{ops: 2000, ops-burst: 20}}}}
"""
SIZE = 1024


class Host(vctest.Stack):
    def __init__(self, config=CONFIG):
        super().__init__(engined=False, host_config=config)

    def device(self, index):
        return self.ctl("host", "status")["devices"][index]

    def load(self, *targets, seconds=1, algo="aes-128-cbc", size=SIZE):
        """Operations a second of each device ("dev0,depth=1")."""
        sockets = [a for t in targets for a in ("--socket", os.path.join(
            self.dir, t.replace(",", ".sock,", 1) if "," in t else t + ".sock"))]
        done = self.run([vctest.program("vcrypto-perf"), *sockets, "--algo", algo, "--size",
                         str(size), "--seconds", str(seconds), "--each", "--json"])
        rows = json.loads(done.stdout)
        equal([row["errors"] for row in rows], [0] * len(targets), "errors")
        return [row["ops_per_s"] for row in rows]


def between(value, least, most, what):
    check(least <= value <= most, f"{what}: {value}, not from {least} to {most}")


def test_a_limit_of_operations_is_kept_and_shown():
    with Host() as host:
        rate, = host.load("dev2,depth=64")
        between(rate, 500, 2100, "operations/s")
        held = host.device(2)["held_back"]
        check(held["throttles"] > 10, f"held back: {held}")
        check(held["throttled_us"] > 500000, f"held back: {held}")
        equal(host.device(0)["held_back"]["throttles"], 0)
        text = host.vcryptoctl("--host", "devices").stdout
        contains(text, "limit 2,000 ops/s, any/s")
        contains(text, ", weight 4: no front end")


def test_a_throttled_worker_sleeps():
    with Host() as host:
        sockets = os.path.join(host.dir, "dev2.sock")
        command = [vctest.program("vcrypto-perf"), "--socket", sockets, "--algo", "aes-128-cbc",
                   "--size", "64", "--seconds", "3", "--sleep"]
        with subprocess.Popen(command, env=host.env, stdout=subprocess.DEVNULL) as load:
            time.sleep(1)
            before = host.ctl("host", "status")["workers"][0], time.monotonic()
            time.sleep(1)
            after = host.ctl("host", "status")["workers"][0], time.monotonic()
            load.kill()
        seconds = after[1] - before[1]
        rounds = (after[0]["rounds"] - before[0]["rounds"]) / seconds
        sleeps = (after[0]["sleeps"] - before[0]["sleeps"]) / seconds
        # Once a millisecond would be for each of its bursts.
        check(sleeps > 50, f"{sleeps} sleeps a second")
        check(rounds < 20 * sleeps, f"{rounds} rounds and {sleeps} sleeps a second")


def test_limits_are_changed_at_run_time():
    with Host() as host:
        done = host.vcryptoctl("limit", "dev0", "bytes=1MiB", "bytes-burst=64KiB", "weight=7")
        equal(done.returncode, 0, done.stderr)
        for part in ("weight=7\n", "bytes=1048576\n", "bytes-burst=65536\n", "ops=none\n"):
            contains(done.stdout, part)
        rate, = host.load("dev0,depth=64")
        between(rate * SIZE, 250000, 1.15 * 1048576, "bytes/s")
        equal(host.device(0)["limits"]["weight"], 7)
        host.vcryptoctl("limit", "dev0", "bytes=none", "bytes-burst=none")
        equal(host.device(0)["limits"]["bytes"], None)
        rate, = host.load("dev0,depth=64")
        check(rate * SIZE > 2 * 1048576, f"no limit any more: {rate} operations/s")
        # While it is loaded.
        command = [vctest.program("vcrypto-perf"), "--socket", os.path.join(host.dir, "dev0.sock"),
                   "--algo", "aes-128-cbc", "--size", "64", "--seconds", "30"]
        with subprocess.Popen(command, env=host.env, stdout=subprocess.DEVNULL) as load:
            vctest.wait_until(lambda: host.device(0)["queues"][0]["requests"] > 10000)
            host.ctl("host", "limit", device="dev0", set={"ops": "10", "ops-burst": "1"})
            vctest.wait_until(lambda: host.device(0)["held_back"]["throttled"])
            before = host.device(0)["queues"][0]["requests"]
            time.sleep(1)
            between(host.device(0)["queues"][0]["requests"] - before, 0, 40, "requests")
            load.kill()


def test_what_is_wrong_is_said():
    with Host() as host:
        for change, sentence in (
                ({"ops": "many"}, 'ops is "many"; it must be a number, or none'),
                ({"ops": "0"}, 'ops is "0"; it must be a number, or none'),
                ({"ops": "2000000000"}, "it must be from 1 to 1000000000"),
                ({"bytes": "1k"}, "bytes is 1000; it must be from 1024 to"),
                ({"weight": "1001"}, "weight is 1001; it must be from 1 to 1000"),
                ({"weight": "none"}, 'weight is "none"; it must be a number'),
                ({"inflight-bytes": "1"}, "it must be at least 4096"),
                ({"sessions": "1"}, "sessions cannot be changed while the daemon runs"),
                ({"bytes-burst": "1M"}, "bytes-burst is given, and no bytes"),
                ({"ops": None}, 'ops is ""'),
                ({"nonsense": "1"}, 'there is no limit "nonsense"')):
            with raises(vctest.ControlError, sentence):
                host.ctl("host", "limit", device="dev0", set=change)
        with raises(vctest.ControlError, "must be the name of a device"):
            host.ctl("host", "limit", device="none")
        # Nothing of a change of which something is wrong is done.
        with raises(vctest.ControlError, "weight"):
            host.ctl("host", "limit", device="dev0", set={"ops": "5", "weight": "0"})
        equal(host.device(0)["limits"]["ops"], None)
        for arguments in (("limit",), ("limit", "dev0", "ops"), ("limit", "dev0", "=5")):
            equal(host.vcryptoctl(*arguments).returncode, 2, arguments)


def test_devices_share_a_worker_by_weight():
    with Host() as host:
        # Work for longer than the driver may be without a CPU: time in which a device has nothing
        # to do is the other's.
        for _ in range(5):
            rates = host.load("dev0,depth=256", "dev1,depth=256", algo="sha512", size=65536)
            if 3 < rates[1] / rates[0] < 5:
                break
        between(rates[1] / rates[0], 3, 5, "weights of 1 and 4")
        check(host.device(1)["held_back"]["contended_us"] > 0, "time is counted")


def test_a_light_device_is_served_while_others_flood():
    with Host() as host:
        rates = host.load("dev0", "dev1", "dev2,depth=1,rate=500")
        # Where both processes have a CPU of their own it is 500.
        between(rates[2], 10, 600, "operations/s of the light device")
        equal(host.load("dev0,rate=0", "dev1,rate=100,depth=1,size=64,algo=sha256")[0], 0,
              "operations of an idle one")


if __name__ == "__main__":
    vctest.main(globals())
