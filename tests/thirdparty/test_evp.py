#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's own evp_test with its data: with the provider preferred everything comes out as with the
default provider alone, and the device has done some of each kind."""

import glob
import os
import re
import subprocess

import opensslsource
from programs import offloaded, path
from support import note, vctest
from vctest import check, equal

DONE = re.compile(r"Completed (\d+) tests with (\d+) errors and (\d+) skipped")

DEFAULT_PROVIDER = """\
openssl_conf = openssl_init
[openssl_init]
providers = providers
[providers]
default = default_provider
[default_provider]
activate = 1
"""


def run(program, config, data):
    """Exit status; tests, errors and skipped; what was said."""
    done = subprocess.run([program, "-config", config, data], capture_output=True, text=True,
                          errors="replace", timeout=300, check=False, stdin=subprocess.DEVNULL,
                          env={name: value for name, value in os.environ.items()
                               if name != "OPENSSL_CONF"})
    text = done.stdout + done.stderr
    counted = DONE.search(text)
    check(counted, f"evp_test ended with status {done.returncode}:\n{text[-3000:]}")
    return done.returncode, tuple(map(int, counted.groups())), text


def errors(text):
    """What is said of errors, the first of them."""
    return "\n".join([line for line in text.splitlines() if "rror" in line][:20])


def compare(stack, pattern, *kinds):
    """The data files of a pattern; each of the kinds of operation is offloaded."""
    program, directory, version = opensslsource.evp_test()
    files = sorted(glob.glob(os.path.join(directory, pattern)))
    check(files, f"the source of OpenSSL {version} has no {pattern}")
    with open(path(stack, "default.cnf"), "w", encoding="ascii") as file:
        file.write(DEFAULT_PROVIDER)
    config = stack.openssl_env(policy="always")["OPENSSL_CONF"]
    before, tried = offloaded(stack), 0
    for data in files:
        name = os.path.basename(data)
        status, counted, _ = run(program, path(stack, "default.cnf"), data)
        our_status, ours, text = run(program, config, data)
        check((our_status, ours) == (status, counted),
              f"{name}: status, tests, errors and skipped are {our_status} {ours} with the "
              f"provider, {status} {counted} without:\n{errors(text)}")
        tried += counted[0] - counted[2]
        note(f"{name} of OpenSSL {version}: {ours[0]} tests, {ours[1]} errors, {ours[2]} skipped")
    # Of a file all may be, with or without us.
    check(tried, f"{pattern}: every test is skipped")
    after = offloaded(stack)
    done = {kind: after[kind] - before[kind] for kind in after if after[kind] > before[kind]}
    note(f"offloaded: {done}")
    missing = [kind for kind in kinds if kind not in done]
    equal(missing, [], f"{pattern}: kinds that are not offloaded")


def case(pattern, *kinds):
    with vctest.Stack() as stack:
        compare(stack, pattern, *kinds)


def test_aes():
    case("evpciph_aes_common.txt", "cipher", "aead")


def test_aes_ccm():
    case("evpciph_aes_ccm*.txt", "aead")


def test_aes_stitched():
    case("evpciph_aes_stitched.txt", "cipher")


def test_chacha20_poly1305():
    case("evpciph_chacha.txt", "aead")


def test_rsa():
    case("evppkey_rsa*.txt", "rsa_sign", "rsa_decrypt")


def test_ecdsa():
    case("evppkey_ecdsa*.txt", "ecdsa_sign")


if __name__ == "__main__":
    vctest.main(globals())
