#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcrypto-engined on a PCI device: bind, unbind, loss of the host."""

import json

import offload
import vm
from offload import address, start, stop, status as engined_status
from vm import vctest


def driver(guest):
    return json.loads(guest.run("vcryptoctl list --json"))[0]["driver"]


def host_device(guest):
    """The first device as vcrypto-host counts it."""
    return guest.stack.ctl("host", "status")["devices"][0]


def requests(guest):
    return sum(queue["requests"] for queue in host_device(guest)["queues"])


def test_a_kernel_driver_is_not_robbed(guest):
    place = address(guest)
    vctest.equal(driver(guest), "virtio-pci", "driver at first")
    offload.spawn(guest)
    status = engined_status(guest)
    vctest.contains(status["device"]["error"], f'run "vcryptoctl bind {place}"')
    stop(guest)


def test_bind_and_unbind_can_be_repeated(guest):
    place = address(guest)
    vctest.contains(guest.run("vcryptoctl bind"), "uio_pci_generic has it now")
    vctest.contains(guest.run(f"vcryptoctl bind {place[5:]}"), "uio_pci_generic has it already")
    vctest.equal(driver(guest), "uio_pci_generic", "driver when bound")
    vctest.contains(guest.run("vcryptoctl unbind"), "virtio-pci has it now")
    vctest.contains(guest.run("vcryptoctl unbind"), "virtio-pci has it already")
    for wrong, why in (("bind 0000:00:1e.0", "no such PCI device"),
                       ("bind pony", "not a PCI address"),
                       ("bind 00:00.0", "not a virtio-crypto device")):
        status, output = guest.command(f"vcryptoctl {wrong}")
        vctest.equal(status, 1, wrong)
        vctest.contains(output, why)


def test_without_huge_pages_it_says_so(guest):
    guest.run("echo 0 >/proc/sys/vm/nr_hugepages; vcryptoctl bind")
    offload.spawn(guest)
    status = engined_status(guest)
    vctest.contains(status["device"]["error"], "vm.nr_hugepages")
    stop(guest)


def host_comes_back(stack, guest):
    guest.spawn("load", f"env OPENSSL_CONF={offload.OPENSSL_CNF} openssl speed "
                        "-seconds 12 -bytes 4096 -evp aes-128-gcm")
    vctest.wait_until(lambda: requests(guest) > 50, 60, "the device is used")
    stack.host.kill()
    stack.host.start()
    vctest.wait_until(lambda: requests(guest) > 50, 60, "it is used again")
    guest.run("while kill -0 $(cat /run/load.pid) 2>/dev/null; do sleep 0.2; done\n"
              "cat /run/load.log; grep -q '^AES-128-GCM' /run/load.log")
    status = engined_status(guest)
    vctest.check(status["device"]["reconnects"] >= 1, f"reopened: {status['device']}")


def test_a_host_that_comes_back_is_used_again():
    """Killed under load; QEMU reconnects, engined resets the device and opens it again.

    QEMU before 11 survives that or crashes, by chance: when the driver resets the device while
    QEMU connects. Only a crash of its own is excused.
    """
    with vctest.Stack(engined=False) as stack:
        devices = [vm.stock(stack.device_socket, reconnect=1)]
        with vm.Guest(stack=stack, devices=devices, files=offload.FILES) as guest:
            start(guest)
            try:
                host_comes_back(stack, guest)
            except vctest.Failure:
                if vm.qemu_version() >= (11, 0) or not guest.crashed(10):
                    raise
                raise vctest.Skip("this QEMU crashed when the device was reset after its host "
                                  "came back, as it does at times") from None


vm.main(globals())
