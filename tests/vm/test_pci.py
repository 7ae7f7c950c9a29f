#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcrypto-engined on a PCI device: bind, offload, loss of the host, unbind."""

import json

import vm
from vm import vctest

ADDRESS = "0000:00:{:02x}.0"
# What the provider wants to be told in a guest: everything goes to the device.
OPENSSL_CNF = b"""openssl_conf = init
[init]
providers = providers
alg_section = algorithms
[algorithms]
default_properties = ?provider=vcrypto
[providers]
default = default_section
vcrypto = vcrypto_section
[default_section]
activate = 1
[vcrypto_section]
activate = 1
module = /usr/lib/x86_64-linux-gnu/ossl-modules/vcrypto.so
policy = always
deadline-ms = 20000
"""
CONFIG = "device: {{transport: pci, address: '{}'}}\n"


def address(guest):
    found = json.loads(guest.run("vcryptoctl list --json"))
    vctest.equal(len(found), 1, "virtio-crypto devices")
    return found[0]["address"]


def driver(guest):
    return json.loads(guest.run("vcryptoctl list --json"))[0]["driver"]


def host_device(guest):
    """The first device as vcrypto-host counts it."""
    return guest.stack.ctl("host", "status")["devices"][0]


def requests(guest):
    return sum(queue["requests"] for queue in host_device(guest)["queues"])


def start(guest, pages=32):
    """vcrypto-engined on the device, as a service would do it."""
    place = address(guest)
    guest.run(f"echo {pages} >/proc/sys/vm/nr_hugepages; vcryptoctl bind {place}\n"
              f"echo \"{CONFIG.format(place).strip()}\" >/run/engined.yaml")
    guest.spawn("engined", "vcrypto-engined --config /run/engined.yaml")
    guest.run("vcryptoctl --engined --wait 20 status; i=0\n"
              "until vcryptoctl --engined status --json | grep -q '\"state\": \"up\"'; do\n"
              "  i=$((i + 1)); [ $i -lt 100 ] || { cat /run/engined.log; exit 1; }; sleep 0.2\n"
              "done", timeout=90)


def stop(guest):
    guest.run("kill $(cat /run/engined.pid); i=0\n"
              "while kill -0 $(cat /run/engined.pid) 2>/dev/null; do\n"
              "  i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1\ndone")


def test_a_kernel_driver_is_not_robbed(guest):
    place = address(guest)
    vctest.equal(driver(guest), "virtio-pci", "driver at first")
    guest.run(f"echo \"{CONFIG.format(place).strip()}\" >/run/engined.yaml")
    guest.spawn("engined", "vcrypto-engined --config /run/engined.yaml")
    guest.run("vcryptoctl --engined --wait 20 version")
    status = json.loads(guest.run("vcryptoctl --engined status --json"))
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
    place = address(guest)
    guest.run("echo 0 >/proc/sys/vm/nr_hugepages; vcryptoctl bind\n"
              f"echo \"{CONFIG.format(place).strip()}\" >/run/engined.yaml")
    guest.spawn("engined", "vcrypto-engined --config /run/engined.yaml")
    guest.run("vcryptoctl --engined --wait 20 version")
    status = json.loads(guest.run("vcryptoctl --engined status --json"))
    vctest.contains(status["device"]["error"], "vm.nr_hugepages")
    stop(guest)


def test_openssl_is_offloaded_in_band(guest):
    start(guest)
    guest.run("cd /tmp && OPENSSL_CONF=/dev/null openssl genpkey -algorithm RSA "
              "-pkeyopt rsa_keygen_bits:2048 -out key.pem\n"
              "head -c 300000 /dev/urandom >data", timeout=120)
    before = requests(guest)
    guest.run("""cd /tmp; export OPENSSL_CONF=/etc/vcrypto-openssl.cnf
        openssl dgst -sha256 -sign key.pem -out signature data
        openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff \\
            -iv 000102030405060708090a0b0c0d0e0f -in data -out secret
        openssl speed -seconds 1 -bytes 16384 -evp aes-128-gcm
        export OPENSSL_CONF=/dev/null
        openssl dgst -sha256 -prverify key.pem -signature signature data
        openssl enc -d -aes-128-cbc -K 00112233445566778899aabbccddeeff \\
            -iv 000102030405060708090a0b0c0d0e0f -in secret | cmp - data""", timeout=120)
    status = json.loads(guest.run("vcryptoctl --engined status --json"))
    offloaded = status["totals"]["offloaded"]
    for kind in ("cipher", "aead", "rsa_sign"):
        vctest.check(offloaded[kind] > 0, f"{kind} was not offloaded: {status}")
    vctest.check(requests(guest) - before > 20, "the host counts requests")


def test_a_host_that_comes_back_is_used_again():
    """Killed under load; QEMU reconnects, engined resets the device and opens it again."""
    files = {"etc/vcrypto-openssl.cnf": OPENSSL_CNF}
    with vctest.Stack(engined=False) as stack:
        devices = [vm.stock(stack.device_socket, reconnect=1)]
        with vm.Guest(stack=stack, devices=devices, files=files) as guest:
            start(guest)
            guest.spawn("load", "env OPENSSL_CONF=/etc/vcrypto-openssl.cnf openssl speed "
                                "-seconds 12 -bytes 4096 -evp aes-128-gcm")
            vctest.wait_until(lambda: requests(guest) > 50, 60, "the device is used")
            stack.host.kill()
            stack.host.start()
            vctest.wait_until(lambda: requests(guest) > 50, 60, "it is used again")
            guest.run("while kill -0 $(cat /run/load.pid) 2>/dev/null; do sleep 0.2; done\n"
                      "cat /run/load.log; grep -q '^AES-128-GCM' /run/load.log")
            status = json.loads(guest.run("vcryptoctl --engined status --json"))
            vctest.check(status["device"]["reconnects"] >= 1, f"reopened: {status['device']}")


vm.main(globals(), files={"etc/vcrypto-openssl.cnf": OPENSSL_CNF})
