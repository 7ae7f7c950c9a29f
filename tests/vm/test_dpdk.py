#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""DPDK's virtio crypto driver in the guest, over QEMU's cryptodev-vhost-user.

Its own test program compares results with vectors that are made here (--ptest verify), and keeps
many bursts in flight without looking at results (--ptest throughput; TCG: no figure of speed).
Chains are one way only: the driver has the device write a digest and compares none.
"""

import hashlib
import hmac
import os
import re
import subprocess

import vm
from vm import vctest

KEY_BYTES = 16
DIGEST_BYTES = 20
CIPHER = ("--cipher-algo aes-cbc --cipher-iv-sz 16 --cipher-key-sz {key} --cipher-op {way} "
          "--optype cipher-only")
CHAIN = (f"--cipher-algo aes-cbc --cipher-iv-sz 16 --cipher-key-sz {KEY_BYTES} "
         f"--auth-algo sha1-hmac --auth-key-sz {DIGEST_BYTES} --digest-sz {DIGEST_BYTES} ")
CIPHER_THEN_HASH = (CHAIN + "--optype cipher-then-auth --cipher-op encrypt --auth-op generate")
HASH_THEN_DECIPHER = (CHAIN + "--optype auth-then-cipher --cipher-op decrypt --auth-op verify")
# 2,176 is the most that the driver takes, destination and digest together.
SIZES = (16, 64, 1024, 2048)


def aes_cbc(key, iv, data):
    return subprocess.run([vctest.need("openssl"), "enc", f"-aes-{len(key) * 8}-cbc", "-nopad",
                           "-K", key.hex(), "-iv", iv.hex()],
                          input=data, capture_output=True, check=True, timeout=60).stdout


def vector(size, key_bytes=KEY_BYTES):
    """A file of vectors with one test, as the program reads it."""
    values = {"plaintext": os.urandom(size), "cipher_key": os.urandom(key_bytes),
              "cipher_iv": os.urandom(16), "auth_key": os.urandom(DIGEST_BYTES)}
    values["ciphertext"] = aes_cbc(values["cipher_key"], values["cipher_iv"], values["plaintext"])
    values["digest"] = hmac.new(values["auth_key"], values["ciphertext"], hashlib.sha1).digest()
    return "[case]\n" + "".join(
        f"{name} =\n" + ", ".join(f"0x{byte:02x}" for byte in value) + "\n"
        for name, value in values.items())


def prepare(guest):
    guest.run("vcryptoctl bind; echo 128 >/proc/sys/vm/nr_hugepages")


def run(guest, test, case, size, operations=2000, burst=32):
    """The program's line of results: name of the column: value. The host saw each operation."""
    before = vm.data_requests(guest.stack)
    text = guest.run(f"dpdk-test-crypto-perf -l 0,1 --no-telemetry -- --devtype crypto_virtio "
                     f"--ptest {test} --csv-friendly {case} --buffer-sz {size} "
                     f"--total-ops {operations} --burst-sz {burst} </dev/null", timeout=120)
    heading = re.search(r"^# *(lcore id,.*)$", text, re.M | re.I)
    vctest.check(heading, f"no results:\n{text[-2000:]}")
    values = re.search(r"^ *(\d[\d.,\s]*)$", text[heading.end():], re.M)
    vctest.check(values, f"no results:\n{text[-2000:]}")
    line = dict(zip([name.strip().lower() for name in heading[1].split(",")],
                    [value.strip() for value in values[1].split(",")], strict=True))
    vctest.equal(line["dequeued"], str(operations), "operations that came back")
    vctest.equal(vm.data_requests(guest.stack) - before, operations, "requests at the host")
    vm.no_errors(guest.stack)
    return line


def verify(guest, case, size, key_bytes=KEY_BYTES, wrong=False):
    text = vector(size, key_bytes)
    if wrong:
        text = re.sub(r"(?<=plaintext =\n)0x..", "0x{:02x}".format(
            ~int(re.search(r"plaintext =\n(0x..)", text)[1], 16) & 0xff), text)
    guest.run(f"cat >/tmp/vectors <<'END'\n{text}END")
    line = run(guest, "verify", f"{case} --test-file /tmp/vectors --test-name case", size)
    vctest.equal(line["failed ops"], "2000" if wrong else "0", f"wrong results of {case}, {size}")


def test_the_program_notices_what_is_wrong(guest):
    prepare(guest)
    verify(guest, CIPHER.format(way="encrypt", key=KEY_BYTES), 64, wrong=True)


def test_ciphers(guest):
    for way in ("encrypt", "decrypt"):
        for key in (16, 32):
            for size in (16, 2048):
                verify(guest, CIPHER.format(way=way, key=key), size, key)


def test_chains(guest):
    for case in (CIPHER_THEN_HASH, HASH_THEN_DECIPHER):
        for size in SIZES:
            verify(guest, case, size)


def test_throughput_runs_end_without_an_error(guest):
    for case in (CIPHER.format(way="encrypt", key=KEY_BYTES), CIPHER_THEN_HASH):
        for size, burst in ((64, 1), (64, 256), (2048, 32)):
            run(guest, "throughput", case, size, operations=20000, burst=burst)


vm.main(globals(), modules=["uio_pci_generic"], layers=["dpdk"])
