#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest with an IOMMU before the device: vcrypto-host reaches only what Linux maps for it."""

import vm
from vm import vctest

# Each mapping is taken away with its request. In lazy mode QEMU 7.2 does not tell of all that Linux
# takes away, and addresses that are used again mean what they meant before.
STRICT = "intel_iommu=on iommu.strict=1"


def behind_iommu(device):
    """The same device, whose memory accesses the guest's IOMMU translates."""
    return [["-device", "intel-iommu,device-iotlb=on"],
            [*device[:-1], f"{device[-1]},iommu_platform=on,ats=on"]]


def works(stack, guest, rounds=20):
    """Requests of the kernel's own driver are right, and made through the IOMMU."""
    vctest.contains(guest.console() + guest.run("dmesg"), "DMAR: IOMMU enabled")
    vctest.equal(vm.algorithms(guest, "virtio_crypto_aes_cbc"),
                 [("cbc(aes)", "virtio_crypto_aes_cbc", "passed")])
    before = vm.data_requests(stack)
    guest.run(f"""\
set -e
cd /tmp
head -c 100000 /dev/urandom >plain
openssl rand 16 >key
for i in $(seq {rounds}); do
	iv=$(openssl rand -hex 16)
	kcapi-enc -q -c virtio_crypto_aes_cbc -e --keyfd 3 --iv $iv -i plain -o kernel 3<key
	openssl enc -aes-128-cbc -K $(hexdump -v -e '/1 "%02x"' key) -iv $iv -in plain -out openssl
	cmp -n 100000 kernel openssl
done""", timeout=120)
    vctest.check(vm.data_requests(stack) >= before + rounds, "requests that reached the host")
    vm.no_errors(stack)
    iommu = stack.ctl("host", "status")["devices"][0]["iommu"]
    vctest.check(iommu and iommu["asked"] > 0, f"the host knows of no IOMMU: {iommu}")


REBIND = """\
set -e
cd /sys/bus/virtio/drivers/virtio_crypto
device=$(basename $(echo virtio[0-9]*))
echo $device >unbind
echo 3 >/proc/sys/vm/drop_caches
echo $device >bind
"""


def test_linux_behind_an_iommu():
    with vctest.Stack(engined=False) as stack, \
            vm.Guest(stack, devices=behind_iommu(vm.stock(stack.device_socket)),
                     modules=["virtio_crypto"], append=STRICT) as guest:
        works(stack, guest)
        # Its rings may lie elsewhere now, at the same addresses of the IOMMU.
        for _ in range(3):
            guest.run(REBIND)
            works(stack, guest, 2)


def test_the_whole_device_behind_an_iommu():
    with vctest.Stack(engined=False) as stack, \
            vm.Guest(stack, devices=behind_iommu(vm.full(stack.device_socket)),
                     modules=["virtio_crypto"], append=STRICT) as guest:
        works(stack, guest)


vm.main(globals())
