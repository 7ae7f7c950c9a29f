#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The device is taken from a guest and given back, under load, at the same place."""

import offload
import vm
from vm import vctest

SLOT = ["-device", "pcie-root-port,id=port0,chassis=1,slot=1"]


def load(guest, seconds):
    guest.spawn("load", f"env OPENSSL_CONF={offload.OPENSSL_CNF} openssl speed "
                        f"-seconds {seconds} -bytes 4096 -evp aes-128-gcm")


def load_ends_well(guest):
    guest.run("while kill -0 $(cat /run/load.pid) 2>/dev/null; do sleep 0.2; done\n"
              "cat /run/load.log; grep -q '^AES-128-GCM' /run/load.log", timeout=120)


def options_of(device):
    """The arguments of a -device, as the monitor wants them."""
    driver, *rest = device[-1].split(",")
    options = dict(option.split("=", 1) for option in rest)
    switches = {"on": True, "off": False}
    return {"driver": driver, **{k: switches.get(v, v) for k, v in options.items()}}


def unplug_and_replug(driver, extra="", arguments=(), append=""):
    with vctest.Stack(engined=False) as stack:
        device = vm.stock(stack.device_socket)
        device[-1] += f",bus=port0{extra}"
        with vm.Guest(stack, devices=[[*arguments, *SLOT], device], files=offload.FILES,
                      append=append) as guest:
            offload.start(guest)
            vctest.contains(guest.run("vcryptoctl list"), driver)
            load(guest, 25)
            vctest.wait_until(lambda: vm.data_requests(stack) > 50, 60, "the device is used")
            place = offload.address(guest)
            guest.qmp("device_del", id="crypto0")
            vctest.wait_until(lambda: place not in guest.run("vcryptoctl list"), 30,
                              "the device is gone")
            vctest.equal(offload.status(guest)["device"]["state"], "down", "the device")
            values = options_of(device)
            values["vectors"] = int(values["vectors"]) if "vectors" in values else 2
            guest.qmp("device_add", **values)
            vctest.wait_until(lambda: place in guest.run("vcryptoctl list"), 30,
                              "the device is back")
            guest.run("vcryptoctl bind")
            vctest.wait_until(lambda: offload.status(guest)["device"]["state"] == "up", 30,
                              "it is used again")
            load_ends_well(guest)
            before = vm.data_requests(stack)
            guest.run(f"OPENSSL_CONF={offload.OPENSSL_CNF} openssl speed -seconds 1 "
                      "-bytes 4096 -evp aes-128-gcm")
            vctest.check(vm.data_requests(stack) > before, "the host counts requests")
            guest.run("kill -0 $(cat /run/engined.pid)")


def test_unplugged_under_uio():
    unplug_and_replug("uio_pci_generic")


def test_unplugged_under_vfio():
    unplug_and_replug("vfio-pci", ",iommu_platform=on,ats=on",
                      ["-device", "intel-iommu,device-iotlb=on,intremap=on"],
                      "intel_iommu=on")


vm.main(globals())
