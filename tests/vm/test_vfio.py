#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcrypto-engined on a PCI device behind the guest's IOMMU, through vfio-pci."""

import json

import offload
import vm
from vm import vctest

KERNEL = "intel_iommu=on"


def machine(stack, device, platform="iommu_platform=on,ats=on"):
    """A guest whose IOMMU is before the device; or beside it."""
    device = [*device[:-1], f"{device[-1]},{platform}"] if platform else device
    iommu = ["-device", "intel-iommu,device-iotlb=on,intremap=on"]
    return vm.Guest(stack, devices=[iommu, device], files=offload.FILES, append=KERNEL)


def refused(guest, driver, why):
    """vcrypto-engined does not open the device with that driver, and says why."""
    guest.run(f"vcryptoctl bind --driver {driver}")
    offload.spawn(guest)
    vctest.contains(offload.status(guest)["device"]["error"], why)
    offload.stop(guest)


def bound(guest):
    return json.loads(guest.run("vcryptoctl list --json"))[0]["driver"]


def work(guest):
    """openssl's requests of three kinds go to the host, and are right by openssl's own account."""
    guest.run(f"""set -e
        cd /tmp; head -c 300000 /dev/urandom >data
        [ -e key.pem ] || OPENSSL_CONF=/dev/null openssl genpkey -algorithm RSA \\
            -pkeyopt rsa_keygen_bits:2048 -out key.pem
        export OPENSSL_CONF={offload.OPENSSL_CNF}
        openssl dgst -sha256 -sign key.pem -out signature data
        openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff \\
            -iv 000102030405060708090a0b0c0d0e0f -in data -out secret
        openssl speed -seconds 1 -bytes 16384 -evp aes-128-gcm
        export OPENSSL_CONF=/dev/null
        openssl dgst -sha256 -prverify key.pem -signature signature data
        openssl enc -d -aes-128-cbc -K 00112233445566778899aabbccddeeff \\
            -iv 000102030405060708090a0b0c0d0e0f -in secret | cmp - data""", timeout=200)
    totals = offload.status(guest)["totals"]
    for kind in ("cipher", "aead", "rsa_sign"):
        vctest.check(totals["offloaded"][kind] > 0, f"{kind} was not offloaded: {totals}")
    vctest.check(vm.data_requests(guest.stack) > 20, "the host counts requests")
    vm.no_errors(guest.stack)


def test_engined_behind_an_iommu():
    with vctest.Stack(engined=False) as stack, \
            machine(stack, vm.stock(stack.device_socket)) as guest:
        refused(guest, "uio_pci_generic", "--driver vfio-pci")
        guest.run("vcryptoctl unbind")
        # Huge pages or not: the IOMMU puts any together.
        for pages in (0, 32):
            offload.start(guest, pages)
            vctest.equal(bound(guest), "vfio-pci", "the driver that was chosen")
            work(guest)
            iommu = stack.ctl("host", "status")["devices"][0]["iommu"]
            vctest.check(iommu and iommu["asked"] > 0, f"the host knows of no IOMMU: {iommu}")
            offload.stop(guest)
        vctest.contains(guest.run("vcryptoctl unbind"), "virtio-pci has it now")


def test_a_device_that_goes_past_the_iommu_is_not_for_vfio():
    with vctest.Stack(engined=False) as stack, \
            machine(stack, vm.stock(stack.device_socket), platform=None) as guest:
        refused(guest, "vfio-pci", "--driver uio_pci_generic")
        guest.run("vcryptoctl unbind; modprobe virtio_crypto")
        offload.start(guest)
        vctest.equal(bound(guest), "uio_pci_generic", "the driver that was chosen")


vm.main(globals())
