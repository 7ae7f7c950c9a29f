#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole device in a guest, driven by libvcrypto: several queues, all kinds of rings and of
sessions; applications over vcrypto-engined."""

import offload
import vm
from vm import vctest

QUEUES = 2


def machine(stack):
    return vm.Guest(stack, devices=[vm.full(stack.device_socket, queues=QUEUES)],
                    files=offload.FILES)


def perf(guest, *options):
    """vcrypto-perf, on all queues, every result compared with libcrypto's."""
    guest.run(f"vcrypto-perf --pci {offload.address(guest)} --queues {QUEUES} --depth 16 "
              f"--size 4096 --seconds 1 --verify --algo aes-128-cbc,aes-128-gcm,rsa2048 "
              f"{' '.join(options)}", timeout=150)


def test_every_queue_and_every_way():
    with vctest.Stack(engined=False, queues=QUEUES) as stack, machine(stack) as guest:
        guest.run("echo 48 >/proc/sys/vm/nr_hugepages; vcryptoctl bind")
        for options in ([], ["--session-via", "inband"], ["--session-via", "stateless"],
                        ["--ring", "packed"]):
            perf(guest, *options)
            for queue in vm.queues(stack)[:QUEUES]:
                vctest.check(queue["requests"] > 0, f"{options}: queue unused: {queue}")
            vm.no_errors(stack)


def test_applications_use_every_queue():
    with vctest.Stack(engined=False, queues=QUEUES) as stack, machine(stack) as guest:
        guest.run("echo 48 >/proc/sys/vm/nr_hugepages; vcryptoctl bind\n"
                  f"echo \"device: {{transport: pci, address: '{offload.address(guest)}', "
                  f"queues: {QUEUES}, depth: 256}}\" >{offload.ENGINED_YAML}")
        guest.spawn("engined", f"vcrypto-engined --config {offload.ENGINED_YAML}")
        guest.run("vcryptoctl --engined --wait 20 version")
        vctest.wait_until(lambda: offload.status(guest)["device"]["state"] == "up", 20,
                          "the device is up")
        guest.run(f"""cd /tmp; openssl genpkey -algorithm RSA -out key.pem
            export OPENSSL_CONF={offload.OPENSSL_CNF}
            for i in 1 2 3 4; do
                head -c 100000 /dev/urandom >data$i
                openssl dgst -sha256 -sign key.pem -out signature$i data$i &
            done
            wait
            for i in 1 2 3 4; do
                OPENSSL_CONF=/dev/null openssl dgst -sha256 -prverify key.pem \\
                    -signature signature$i data$i || exit 1
            done""", timeout=150)
        totals = offload.status(guest)["totals"]
        vctest.check(totals["offloaded"]["rsa_sign"] >= 4, f"signatures offloaded: {totals}")
        for queue in vm.queues(stack)[:QUEUES]:
            vctest.check(queue["requests"] > 0, f"a queue that nobody used: {queue}")
        vm.no_errors(stack)


vm.main(globals())
