#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two guests on one vcrypto-host, in groups of their own, and one of them is hostile.

It breaks its rings, requests and registers (scribble.c) while the other guest goes on and checks
each result. The good one notices nothing, the host stays, limits hold; and the hostile guest's
device works again for a driver that resets it.
"""

import json

import vm
from vm import vctest

SESSIONS = 64
HOST_CONFIG = """\
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: sw, type: libcrypto, threads: 1}}
groups:
  - {{name: fast, primary: [mb]}}
  - {{name: slow, primary: [sw]}}
devices:
  - {{name: good, socket: {dir}/dev0.sock, group: fast}}
  - {{name: bad, socket: {dir}/dev1.sock, group: slow,
      limit: {{sessions: 64, inflight-bytes: 256KiB}}}}
"""


def place(guest):
    guest.run("vcryptoctl bind; echo 32 >/proc/sys/vm/nr_hugepages")
    return json.loads(guest.run("vcryptoctl list --json"))[0]["address"]


def load(guest, address, seconds):
    """Operations in all, each checked."""
    lines = json.loads(guest.run(
        f"vcrypto-perf --pci {address} --session-via inband --algo aes-128-cbc --size 4096 "
        f"--depth 32 --seconds {seconds} --verify --json", timeout=120))
    vctest.check(not lines[0]["errors"] and lines[0]["verified"] > 100, f"results: {lines}")


def sessions(stack):
    return stack.ctl("host", "status")["devices"][1]["sessions"]


def scribble(guest, address, rounds, meanwhile):
    """meanwhile is called for as long as it takes, and once at the least."""
    guest.spawn("scribble", f"scribble {address} {rounds} {rounds}")
    meanwhile()
    while not guest.command("kill -0 $(cat /run/scribble.pid) 2>/dev/null")[0]:
        vctest.check(sessions(guest.stack) <= SESSIONS, "more sessions than it may have")
        meanwhile()
    output = guest.run("grep ' rounds$' /run/scribble.log || { cat /run/scribble.log; false; }")
    print(f"# hostile: {output.strip()}", flush=True)


def test_a_hostile_guest_harms_itself_only():
    with vctest.Stack(engined=False, host_config=HOST_CONFIG) as stack, \
            vm.Guest(stack, cpus=1, memory="512M") as good, \
            vm.Guest(stack, cpus=1, memory="512M",
                     devices=[vm.stock(f"{stack.dir}/dev1.sock")],
                     files={"usr/bin/scribble": vctest.program("scribble")}) as bad:
        pid = stack.host.pid
        good_place, bad_place = place(good), place(bad)
        load(bad, bad_place, 1)
        scribble(bad, bad_place, 20, lambda: load(good, good_place, 3))
        refused = vm.queues(stack, 1)[0]
        print(f"# {refused['bad_chains']} bad chains, errors {refused['errors']}", flush=True)
        vctest.check(refused["bad_chains"] > 0, f"too little that is bad: {refused}")
        load(bad, bad_place, 1)
        # Each round leaves a session behind. QEMU 7.2 keeps it, until there are as many as the
        # guest may have; later ones close it when the device is reset.
        scribble(bad, bad_place, SESSIONS, lambda: load(good, good_place, 3))
        if vm.qemu_version() < (8, 0):
            vctest.equal(sessions(stack), SESSIONS, "sessions of the hostile guest")
        load(good, good_place, 1)
        vm.no_errors(stack, 0)
        vctest.equal(stack.host.pid, pid, "the host's process")


vm.main(globals())
