#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kicks and interrupts of each operation, with our driver in the guest: each is an exit or more.

As the host counts them. Under steady load there are next to none. At depth 1 there is always a
moment at which nothing is in flight: printed, and no more.
"""

import json

import vm
from vm import vctest

DEPTHS = (1, 16, 256)
MOST = 0.01
# An emulated guest is some 25 times slower than a real one, and on a busy machine it has no CPU for
# a while now and then: to a worker that sleeps after the default 200 microseconds, what is steady
# load there is none.
HOST_CONFIG = vctest.HOST_CONFIG + "polling: {{idle-us: 50000}}\n"


def exits(stack, guest, options, depth):
    """Of the host's queue 0, over one run; the program opens the device anew each time."""
    place = json.loads(guest.run("vcryptoctl list --json"))[0]["address"]
    before = vm.queues(stack)[0]
    lines = json.loads(guest.run(
        f"vcrypto-perf --pci {place} {options} --algo aes-128-cbc --size 1024 --depth {depth} "
        f"--seconds 4 --json", timeout=120))
    after = vm.queues(stack)[0]
    vctest.check(not lines[0]["errors"] and lines[0]["verified"], f"results: {lines}")
    vm.no_errors(stack)
    done = after["requests"] - before["requests"]
    vctest.check(done > 20 * depth, f"{done} requests in 4 seconds")
    return [(after[kind] - before[kind]) / done for kind in ("kicks", "calls")]


def table(name, stack, guest, options):
    guest.run("vcryptoctl bind; echo 64 >/proc/sys/vm/nr_hugepages")
    for depth in DEPTHS:
        kicks, calls = exits(stack, guest, options, depth)
        print(f"# {name}, depth {depth}: {kicks:.5f} kicks, {calls:.5f} interrupts per operation",
              flush=True)
        if depth > 1:
            vctest.check(kicks <= MOST and calls <= MOST, f"more than {MOST} at depth {depth}")


def test_stock():
    with vctest.Stack(engined=False, host_config=HOST_CONFIG) as stack, \
            vm.Guest(stack, devices=[vm.stock(stack.device_socket)]) as guest:
        table("stock", stack, guest, "--session-via inband")


def test_whole_device():
    with vctest.Stack(engined=False, host_config=HOST_CONFIG) as stack, \
            vm.Guest(stack, devices=[vm.full(stack.device_socket)]) as guest:
        table("whole device", stack, guest, "--ring split")


vm.main(globals())
