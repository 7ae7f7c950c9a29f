#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Linux's own driver, virtio_crypto.ko, over QEMU's cryptodev-vhost-user."""

import re

import vm
from vm import vctest


def algorithms(guest):
    """/proc/crypto: a dictionary for each algorithm."""
    blocks = guest.run("cat /proc/crypto").strip().split("\n\n")
    return [dict(re.split(r"\s*: ", line, maxsplit=1) for line in block.splitlines())
            for block in blocks]


def test_self_tests_pass_at_registration(guest):
    ours = [entry for entry in algorithms(guest) if entry["driver"].startswith("virtio_crypto")]
    vctest.equal([(entry["name"], entry["driver"], entry["selftest"]) for entry in ours],
                 [("cbc(aes)", "virtio_crypto_aes_cbc", "passed")], "algorithms of the driver")


vm.main(globals(), modules=["virtio_crypto"])
