#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Linux's own driver, virtio_crypto.ko, over QEMU's cryptodev-vhost-user."""

import vm
from vm import vctest

SELF_TESTED = [("cbc(aes)", "virtio_crypto_aes_cbc", "passed")]

# One process: encrypts by AF_ALG, compares with openssl, decrypts, compares with what it was.
# kcapi-enc does not pad; openssl does, behind what is compared. What was decrypted and ends as if it
# had been padded kcapi-enc cuts short, unless it is told: so each plaintext ends like that.
ROUND = """\
round() {
	{ head -c $(($2 - 1)) /dev/urandom; printf '\\001'; } >$1.plain
	openssl rand $3 >$1.key
	iv=$(openssl rand -hex 16)
	kcapi-enc -q -c virtio_crypto_aes_cbc -e --keyfd 3 --iv $iv -i $1.plain -o $1.kernel 3<$1.key
	openssl enc -aes-$(($3 * 8))-cbc -K $(hexdump -v -e '/1 "%02x"' $1.key) -iv $iv \\
		-in $1.plain -out $1.openssl
	[ $(stat -c %s $1.kernel) = $2 ]
	cmp -n $2 $1.kernel $1.openssl
	kcapi-enc -q -c virtio_crypto_aes_cbc -d --nounpad --keyfd 3 --iv $iv -i $1.kernel \\
		-o $1.again 3<$1.key
	cmp $1.plain $1.again
}
set -e
cd /tmp
"""


def test_self_tests_pass_at_registration(guest):
    vctest.equal(vm.algorithms(guest, "virtio"), SELF_TESTED, "algorithms of the driver")


def test_af_alg_agrees_with_openssl(guest):
    """Every key size; from one block to more than one request of the kernel's."""
    before = vm.data_requests(guest.stack)
    guest.run(ROUND + "for key in 16 24 32; do\n"
                      "for size in 16 4096 100000; do round a $size $key; done; done")
    vctest.check(vm.data_requests(guest.stack) >= before + 18,
                 "the host has had fewer requests than the guest made")
    vm.no_errors(guest.stack)


def test_several_processes_at_once(guest):
    # Four that load it at once may find it half there.
    guest.run("modprobe -a af_alg algif_skcipher")
    guest.run(ROUND + """\
for process in 1 2 3 4; do
	(for i in 1 2 3 4 5; do round p$process $((i * 4096)) 16; done) &
	processes="$processes $!"
done
for process in $processes; do wait $process; done""", timeout=120)
    vm.no_errors(guest.stack)


def test_sessions_end_with_their_processes(guest):
    vctest.wait_until(lambda: guest.stack.ctl("host", "status")["devices"][0]["sessions"] == 0,
                      10, "the host has no session left")


def test_rsa_where_the_device_offers_it():
    """The whole device: for that QEMU has to be new."""
    with vctest.Stack(engined=False) as stack, \
            vm.Guest(stack, devices=[vm.full(stack.device_socket)],
                     modules=["virtio_crypto"]) as guest:
        offered = vm.algorithms(guest, "virtio")
        vctest.check(("rsa", "virtio-crypto-rsa", "passed") in offered, f"no rsa in {offered}")
        vctest.check(SELF_TESTED[0] in offered, f"no cbc(aes) in {offered}")
        vm.no_errors(stack)


vm.main(globals(), modules=["virtio_crypto"])
