#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's programs and haproxy in a guest, through vcrypto-engined on the PCI device of a stock
QEMU: results are those of OpenSSL alone, and it is the host that did the work."""

import contextlib
import re

import offload
import vm
from vm import vctest

KEY = "-K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
IV = "-iv f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
SOFTWARE = "export OPENSSL_CONF=/etc/ssl/openssl.cnf"
OFFLOAD = f"export OPENSSL_CONF={offload.OPENSSL_CNF}"
HANDSHAKES = 5  # of each version; an emulated curl takes a second


def prepare(guest):
    """engined, a key, and data; by the first test that runs."""
    if guest.command("vcryptoctl --engined version")[0]:
        offload.start(guest)
        guest.run(f"""cd /tmp; {SOFTWARE}
            openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>/dev/null
            head -c 300000 /dev/urandom >data""", timeout=120)


def served(guest):
    """(engined's totals, requests that the host has done well)."""
    vm.no_errors(guest.stack)
    return offload.status(guest)["totals"], vm.data_requests(guest.stack)


@contextlib.contextmanager
def counted(guest, **least):
    """The work inside has to be counted by engined, by kind, and by the host, in the sum."""
    before, host_before = served(guest)
    yield
    after, host_after = served(guest)
    for kind, count in least.items():
        new = after["offloaded"][kind] - before["offloaded"][kind]
        vctest.check(new >= count, f"{kind}: {new} offloaded, expected {count}: {after}")
    vctest.check(host_after - host_before >= sum(least.values()),
                 f"the host counts {host_after - host_before}, expected {least}")
    vctest.equal(after["fallback"], before["fallback"], "done in software")


@contextlib.contextmanager
def none_counted(guest):
    before, _ = served(guest)
    yield
    vctest.equal(served(guest)[0], before, "counted of programs without the provider")


def test_signatures_are_good(guest):
    prepare(guest)
    with counted(guest, rsa_sign=3):
        guest.run(f"""cd /tmp; {OFFLOAD}
            openssl dgst -sha256 -sign key.pem -out signature data
            openssl dgst -sha256 -sign key.pem -sigopt rsa_padding_mode:pss -out pss data
            openssl dgst -sha512 -sign key.pem -out signature512 data""")
    with none_counted(guest):
        # PKCS#1 v1.5 has one right answer; PSS is random.
        guest.run(f"""cd /tmp; {SOFTWARE}
            for bits in 256 512; do openssl dgst -sha$bits -sign key.pem -out plain$bits data; done
            cmp signature plain256
            cmp signature512 plain512
            openssl dgst -sha256 -prverify key.pem -signature pss \\
                -sigopt rsa_padding_mode:pss data""")


def test_decryption_is_offloaded(guest):
    prepare(guest)
    guest.run(f"cd /tmp; {SOFTWARE}; head -c 100 data >secret\n"
              "openssl pkeyutl -encrypt -inkey key.pem -pkeyopt rsa_padding_mode:oaep "
              "-in secret -out sealed")
    with counted(guest, rsa_decrypt=1):
        guest.run(f"cd /tmp; {OFFLOAD}; openssl pkeyutl -decrypt -inkey key.pem "
                  "-pkeyopt rsa_padding_mode:oaep -in sealed | cmp - secret")


def test_files_are_the_same_there_and_back(guest):
    prepare(guest)
    with counted(guest, cipher=50):
        guest.run(f"""cd /tmp; {OFFLOAD}
            openssl enc -aes-256-cbc {KEY} {IV} -in data -out offloaded""")
    with none_counted(guest):
        guest.run(f"""cd /tmp; {SOFTWARE}
            openssl enc -aes-256-cbc {KEY} {IV} -in data -out plain
            cmp offloaded plain""")
    with counted(guest, cipher=50):
        guest.run(f"""cd /tmp; {OFFLOAD}
            openssl enc -d -aes-256-cbc {KEY} {IV} -in plain | cmp - data""")


def test_speed_runs_in_jobs(guest):
    """openssl speed fails when an operation does; its figures are the emulator's."""
    prepare(guest)
    with counted(guest, aead=20, cipher=20, rsa_sign=2):
        text = guest.run(f"""{OFFLOAD}
            openssl speed -elapsed -seconds 1 -bytes 16384 -async_jobs 8 -evp aes-128-gcm 2>&1
            openssl speed -elapsed -seconds 1 -bytes 16384 -async_jobs 8 -evp aes-128-cbc 2>&1
            openssl speed -elapsed -seconds 1 -async_jobs 2 rsa2048 2>&1""", timeout=120)
    for line in (r"^AES-128-GCM +[\d.]+k", r"^AES-128-CBC +[\d.]+k", r"^rsa 2048 bits +[\d.]+s"):
        vctest.check(re.search(line, text, re.M), f"no line {line} in {text}")


@contextlib.contextmanager
def web(guest, openssl_cnf):
    offload.start_haproxy(guest, openssl_cnf)
    yield
    offload.stop(guest, "haproxy")


def fetch(guest, version):
    """The page by curl, each time over a new connection."""
    guest.run(f"""cd /run/web; {SOFTWARE}
        for i in $(seq {HANDSHAKES}); do
            curl -sS --fail --cacert cert.pem --tlsv{version} --tls-max {version} \\
                https://localhost:{offload.HTTPS_PORT}/ | cmp - page || exit 1
        done""", timeout=120)


def test_haproxy_signs_on_the_host(guest):
    """ssl-mode-async; each handshake of TLS 1.2 and 1.3 is one RSA signature of the host's."""
    prepare(guest)
    offload.make_certificate(guest)
    with web(guest, offload.OPENSSL_CNF):
        for version in ("1.2", "1.3"):
            with counted(guest, rsa_sign=HANDSHAKES, aead=HANDSHAKES):
                fetch(guest, version)
    with web(guest, "/etc/ssl/openssl.cnf"), none_counted(guest):
        fetch(guest, "1.3")


vm.main(globals(), files=offload.FILES)
