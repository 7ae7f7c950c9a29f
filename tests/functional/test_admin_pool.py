#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resources and groups that are added, drained, put back, changed and removed while vcrypto-host is
at work. Load is vcrypto-perf's, which compares every result.
"""

import os
import socket
import struct
import time

import frontend as fe
import vctest
from admin import AdminHost, Load
from hostfixture import Driver
from vctest import check, contains, equal, wait_until

CONFIG = """\
workers: WORKERS
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: sw, type: libcrypto}}
groups:
  - {{name: default, primary: [mb], secondary: [sw]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock}}
  - {{name: dev1, socket: {dir}/dev1.sock}}
"""
AKCIPHER_ALGO = 44  # where it stands in struct virtio_crypto_config
CPUS = sorted(os.sched_getaffinity(0))
MB = "{name: mb, type: ipsec-mb}"
SW2 = "{name: sw2, type: libcrypto, threads: 2}"
# It keeps what it has for as long as it is told, and there is one behind it.
SLOW = """\
resources:
  - {{name: sw, type: libcrypto, threads: 2}}
  - {{name: slow, type: fault, of: sw}}
groups:
  - {{name: default, primary: [slow], secondary: [sw]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock}}
"""


class PoolHost(AdminHost):
    """Two devices, and a worker on each CPU, two at the most."""

    def __init__(self, config=CONFIG, **options):
        super().__init__(config=config.replace("WORKERS", str(CPUS[:2])), **options)

    def group(self, **lists):
        """Set the lists of the default group."""
        text = ", ".join(f"{key}: [{', '.join(names)}]" for key, names in lists.items())
        equal(self.must("set", "group", f"name: default, {text}"), "  group default is running\n")

    def completed(self, name):
        return self.named("resource", name)["completed"]

    def wait_used(self, name):
        done = self.completed(name)
        wait_until(lambda: self.completed(name) > done + 10, what=f"{name} is used")

    def check_unused(self, name):
        equal(self.named("resource", name)["in_flight"], 0, f"in flight of {name}")
        done = self.completed(name)
        time.sleep(0.2)
        equal(self.completed(name), done, f"{name} is used")


def test_resources_change_under_full_load():
    with PoolHost() as host:
        with Load(host, "dev0", "aes-128-cbc", "--size", "1024"), \
                Load(host, "dev1", "rsa2048", "--depth", "32"):
            for _ in range(2):
                host.must("drain", "resource", "mb", "--wait", "20")
                host.check_unused("mb")
                host.must("resume", "resource", "mb")
                host.wait_used("mb")
            host.must("drain", "resource", "mb", "--wait", "20")
            equal(host.must("remove", "resource", "mb"), "  resource mb is removed\n")
            equal(host.named("group", "default")["primary"], ["sw"])
            equal(host.must("add", "resource", MB), "  resource mb is there now\n")
            host.check_unused("mb")
            host.group(primary=["mb"], secondary=["sw"])
            host.wait_used("mb")
            host.must("add", "resource", SW2)
            host.group(primary=["mb"], secondary=["sw2", "sw"])
            host.wait_used("sw2")
            host.must("drain", "resource", "sw", "--wait", "20")
            host.must("remove", "resource", "sw")
            equal([r["name"] for r in host.ctl("host", "status")["resources"]], ["mb", "sw2"])
            host.wait_used("sw2")
        with Driver(host.path) as driver:
            driver.check_works()


def test_policy_changes_under_load():
    with PoolHost() as host:
        host.must("add", "resource", SW2)
        with Load(host, "dev0", "aes-256-gcm", "--size", "4096"), \
                Load(host, "dev1", "rsa2048", "--depth", "32"):
            for policy in ("round-robin", "least-inflight", "size", "failover") * 2:
                host.must("set", "group",
                          f"name: default, policy: {policy}, primary: [sw, sw2, mb]")
                equal(host.named("group", "default")["policy"], policy)
                time.sleep(0.2)
                host.must("drain", "resource", "sw2", "--wait", "20")
                host.must("resume", "resource", "sw2")


def akcipher(front_end):
    """Asymmetric algorithms that the device's configuration space has."""
    answer = front_end.ask(fe.GET_CONFIG, struct.pack("<III", AKCIPHER_ALGO, 4, 0) + bytes(4))
    return struct.unpack("<I", answer[12:])[0]


def test_driver_learns_what_the_device_can_do_now():
    with PoolHost() as host, Driver(host.path) as driver:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(10)
        driver.front_end.order(fe.SET_BACKEND_REQ_FD, b"", [theirs.fileno()])
        theirs.close()

        def check_told(told, algorithms):
            if told:
                # BACKEND_CONFIG_CHANGE_MSG, version 1, no payload.
                equal(ours.recv(100), struct.pack("<III", 2, 1, 0))
            equal(akcipher(driver.front_end), algorithms, "what the device can do")
            ours.setblocking(False)
            with vctest.raises(BlockingIOError):
                ours.recv(100)
            ours.settimeout(10)

        both = akcipher(driver.front_end)
        check(both, "it can do RSA")
        host.refused('only resource "sw" does some asymmetric algorithms for group "default": '
                     "give it another one first, or use --force", "drain", "resource", "sw")
        host.must("drain", "resource", "sw", "--force", "--wait", "10")
        check_told(True, 0)
        host.must("resume", "resource", "sw")
        check_told(True, both)
        # The other can do all that this one does.
        host.must("drain", "resource", "mb", "--wait", "10")
        check_told(False, both)
        ours.close()


def test_what_is_slow_is_waited_for():
    with PoolHost(config=SLOW) as host:
        with Load(host, "dev0", "rsa2048", "--depth", "8"):
            host.must("fault", "slow", "hang=yes")
            wait_until(lambda: host.named("resource", "slow")["in_flight"], what="one is hanging")
            contains(host.must("drain", "resource", "slow"), "resource slow is draining, requests")
            equal(host.named("resource", "slow")["state"], "draining")
            done = host.vcryptoctl("--host", "drain", "resource", "slow", "--wait", "1")
            equal((done.returncode, done.stdout), (1, ""))
            contains(done.stderr, "still draining, with ")
            host.refused('resource "slow" is still draining, with ', "remove", "resource", "slow")
            host.must("fault", "slow", "clear")
            host.must("drain", "resource", "slow", "--wait", "20")
            host.must("remove", "resource", "slow")
        equal(host.named("resource", "slow"), None)


def test_drain_is_taken_back_before_it_is_over():
    with PoolHost(config=SLOW) as host:
        with Load(host, "dev0", "rsa2048", "--depth", "8"):
            host.must("fault", "slow", "hang=yes")
            wait_until(lambda: host.named("resource", "slow")["in_flight"], what="one is hanging")
            host.must("drain", "resource", "slow")
            host.must("resume", "resource", "slow")
            host.refused('resource "slow" is in service', "resume", "resource", "slow")
            host.must("drain", "resource", "slow")
            host.must("fault", "slow", "clear")
            host.must("drain", "resource", "slow", "--wait", "20")
            host.must("resume", "resource", "slow")
            host.wait_used("slow")


def test_host_ends_while_a_resource_drains():
    with PoolHost(config=SLOW) as host, Driver(host.path) as driver:
        host.must("fault", "slow", "hang=yes")
        session = driver.crypto.create_session(b"k" * 16)[1]
        driver.data.submit(driver.crypto.cipher_pieces(session, b"i" * 16, b"p" * 16))
        wait_until(lambda: host.named("resource", "slow")["in_flight"], what="it is hanging")
        host.must("drain", "resource", "slow")
        host.must("resume", "resource", "slow")
        host.must("drain", "resource", "slow")


def test_groups_come_and_go():
    with PoolHost() as host:
        text = ("resources: [{name: sw2, type: libcrypto, threads: 3}]\n"
                "groups:\n"
                "  - {name: gold, primary: [sw2], share: [{resource: sw2, threads: 1}]}\n"
                "  - {name: rest, primary: [sw2]}\n"
                "devices: [{name: vm7, group: gold}]\n")
        path = os.path.join(host.dir, "more.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        equal(host.must("add", path).splitlines(),
              ["  resource sw2 is there now", "  group gold is there now",
               "  group rest is there now", "  device vm7 is there now"])
        equal(host.named("group", "gold")["primary"], ["sw2/gold"])
        equal(host.named("group", "rest")["primary"], ["sw2"])
        equal(host.named("resource", "sw2/gold")["threads"], 1)
        with Driver(host.device_path("vm7")) as driver:
            driver.check_works()
            wait_until(lambda: host.completed("sw2/gold") == 1, what="its share is used")
        host.refused('group "gold": device "vm7" uses it', "remove", "group", "gold")
        host.must("remove", "device", "vm7", "--wait", "10", "--force")
        host.refused('group "gold" has a share of resource "sw2"', "remove", "group", "gold")
        host.refused("is the last one of group", "drain", "resource", "sw2")
        equal(host.must("remove", "group", "rest"), "  group rest is removed\n")
        host.must("set", "group", "name: gold, primary: [sw2], secondary: [mb], "
                                  "share: [{resource: sw2, threads: 1}]")
        host.must("drain", "resource", "sw2", "--force", "--wait", "10")
        equal([host.named("resource", name)["state"] for name in ("sw2", "sw2/gold")],
              ["drained", "drained"])
        host.must("remove", "resource", "sw2")
        equal([r["name"] for r in host.ctl("host", "status")["resources"]], ["mb", "sw"])
        equal(host.named("group", "gold")["primary"], ["mb"])
        host.must("remove", "group", "gold")
        check("gold" not in host.must("config"), "nothing of it is left")


def test_mistakes_are_named():
    with PoolHost() as host:
        before = host.must("config")
        for sentence, *arguments in (
                ('resource "sw": group "default" uses it: drain it first', "remove", "resource",
                 "sw"),
                ('there is no resource "nix"', "drain", "resource", "nix"),
                ('there is no resource "sw/default"', "drain", "resource", "sw/default"),
                ('there is no group "nix"', "remove", "group", "nix"),
                ('resource "mb" is in service', "resume", "resource", "mb"),
                ('group "default": device "dev0" uses it', "remove", "group", "default"),
                ('two resources have the name "mb"', "add", "resource", MB),
                ('no type "magic"', "add", "resource", "{name: x, type: magic}"),
                ('threads is 99; it must be from 1 to 32', "add", "resource",
                 "{name: x, type: libcrypto, threads: 99}"),
                ('no resource "nix" stands before it', "add", "resource",
                 "{name: x, type: fault, of: nix}"),
                ('there is no resource "nix"', "add", "group", "{name: g, primary: [nix]}"),
                ('a share of "sw", which is there already', "add", "group",
                 "{name: g, primary: [sw], share: [{resource: sw, threads: 1}]}"),
                ('there is no group "nix"', "set", "group", "{name: nix, primary: [mb]}"),
                ('there is no resource "nix"', "set", "group", "{name: default, primary: [nix]}"),
                ('names the resource "mb" twice', "set", "group",
                 "{name: default, primary: [mb, mb]}"),
                ("its shares are dealt out when a resource is made", "set", "group",
                 "{name: default, primary: [sw], share: [{resource: sw, threads: 1}]}"),
                ('"luck" is not one of', "set", "group",
                 "{name: default, primary: [mb], policy: luck}"),
                ('key "primary" is missing', "set", "group", "{name: default}"),
                ("it must have one group, and nothing else", "set", "group",
                 "{name: default, primary: [mb]}, {name: g, primary: [mb]}")):
            host.refused(sentence, *arguments)
        equal(host.must("config"), before, "configuration after mistakes")
        host.must("drain", "resource", "mb", "--wait", "10")
        host.refused('resource "sw" is the last one of group "default" that can do anything',
                     "drain", "resource", "sw", "--force")
        host.must("resume", "resource", "mb")
        host.must("add", "resource", "{name: flaky, type: fault, of: mb}")
        host.must("drain", "resource", "mb", "--wait", "10")
        host.refused('resource "mb": resource "flaky" wraps it', "remove", "resource", "mb")
        equal(host.must("remove", "resource", "flaky", "--wait", "10"),
              "  resource flaky is removed\n")
        host.must("remove", "resource", "mb")
        with Driver(host.path) as driver:
            driver.check_works()


def test_what_fails_on_the_way_leaves_nothing():
    """The last of a file cannot be made: nor is what stands before it."""
    with PoolHost() as host:
        before, files, threads = host.must("config"), host.files(), host.threads()
        path = os.path.join(host.dir, "more.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"resources: [{SW2}, {{name: f, type: fault, of: sw2}}]\n"
                       "groups: [{name: g, primary: [f]}]\n"
                       "devices:\n  - {name: a, group: g}\n"
                       "  - {name: b, group: g, socket: /nowhere/b.sock}\n")
        host.refused(f'{path}: device "b": socket /nowhere/b.sock: No such file', "add", path)
        equal(host.must("config"), before)
        equal((host.files(), host.threads()), (files, threads), "descriptors and threads")


def test_no_more_resources_than_there_is_room_for():
    with PoolHost() as host:
        text = ", ".join(f"{{name: r{i}, type: ipsec-mb}}" for i in range(14))
        host.ctl("host", "add", yaml=f"resources: [{text}]", name="x")
        host.refused("more than 16 resources", "add", "resource", "{name: r, type: ipsec-mb}")
        host.must("remove", "resource", "r3", "--wait", "10")
        host.must("add", "resource", "{name: r, type: libcrypto}")
        host.group(primary=["r"])
        with Driver(host.path) as driver:
            driver.check_works()
            equal(host.completed("r"), 1)


def test_a_thousand_rounds_leak_nothing():
    with PoolHost() as host, Driver(host.path) as driver:
        session = driver.check_works()

        def gone(name):
            return host.ctl("host", "state", resource=name)["state"] == "absent"

        def rounds(n):
            for i in range(n):
                host.ctl("host", "add", name="x", yaml=f"resources: [{SW2}]\n"
                         "groups: [{name: g, primary: [sw2], secondary: [mb]}]")
                host.ctl("host", "set", name="x", yaml="groups: [{name: default, "
                         "primary: [sw2, mb], secondary: [sw]}]")
                if i % 20 == 0:
                    driver.memory.top = top
                    driver.check_works(session)
                host.ctl("host", "drain", resource="sw2", force=True)
                wait_until(lambda: host.ctl("host", "state", resource="sw2")["state"] == "drained",
                           what="drained")
                host.ctl("host", "remove", resource="sw2")
                check(gone("sw2"), "it is still there")
                host.ctl("host", "remove", group="g")

        top = driver.memory.top
        rounds(100)
        files, threads = host.files(), host.threads()
        memory = vctest.resident_kib(host.host.pid)
        rounds(900)
        equal((host.files(), host.threads()), (files, threads), "descriptors and threads")
        grown = vctest.resident_kib(host.host.pid) - memory
        # An instance has 150 KiB. Sanitizers keep what was freed for a while.
        check(grown < 16384 or "VCRYPTO_PRELOAD" in os.environ, f"{grown} KiB more")
        driver.memory.top = top
        driver.check_works(session)


if __name__ == "__main__":
    vctest.main(globals())
