#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcrypto-host goes and comes again under a guest with Linux's own driver.

QEMU does not tell the guest that its device's back end went, and sends a new one neither memory nor
rings until the driver resets the device: so the driver is bound anew, which is what an
administrator would do. See docs/vm.md. QEMU 7.2 and 10.0 do not survive that themselves.
"""

import vm
from vm import vctest

USE = """\
set -e
cd /tmp
head -c 65536 /dev/urandom >plain
openssl rand 16 >key
kcapi-enc -q -c virtio_crypto_aes_cbc -e --keyfd 3 --iv 00112233445566778899aabbccddeeff \\
	-i plain -o kernel 3<key
openssl enc -aes-128-cbc -K $(hexdump -v -e '/1 "%02x"' key) \\
	-iv 00112233445566778899aabbccddeeff -in plain -out openssl
cmp -n 65536 kernel openssl
"""

REBIND = """\
set -e
cd /sys/bus/virtio/drivers/virtio_crypto
device=$(basename $(echo virtio[0-9]*))
echo $device >unbind
echo $device >bind
"""


def machine(stack):
    vm.need_qemu(11, 0, "A driver bound anew after its host came back")
    return vm.Guest(stack, devices=[vm.stock(stack.device_socket, reconnect=1)],
                    modules=["virtio_crypto"])


def connected(stack):
    return stack.ctl("host", "status")["devices"][0]["connected"]


def come_back(stack, guest, go):
    """The host goes, comes, is connected to by QEMU, and serves the driver that is bound anew."""
    guest.run(USE)
    go()
    stack.host.start()
    vctest.wait_until(lambda: connected(stack), 30, "QEMU connects again")
    guest.run(REBIND)
    vctest.contains(guest.run("cat /proc/crypto"), "virtio_crypto_aes_cbc")
    before = vm.data_requests(stack)
    guest.run(USE)
    vctest.check(vm.data_requests(stack) > before, "the new host has had no request")
    vm.no_errors(stack)


def test_host_is_stopped_and_started():
    with vctest.Stack(engined=False) as stack, machine(stack) as guest:
        come_back(stack, guest, stack.host.stop)


def test_host_is_killed_and_started():
    with vctest.Stack(engined=False) as stack, machine(stack) as guest:
        come_back(stack, guest, stack.host.kill)


vm.main(globals())
