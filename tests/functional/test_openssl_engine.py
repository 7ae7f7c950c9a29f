#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OpenSSL ENGINE on live daemons: the same answers as OpenSSL's own, really offloaded, in jobs
and without, from many processes, whatever may be dead or die."""

import os

import livecases
import vctest
from livecases import totals
from vctest import equal


def environment(stack, **settings):
    return stack.engine_env(foreign=False, **settings)


CASES = livecases.Program(
    os.path.join(vctest.BUILD, "tests/functional/openssl_engine/test-engine-cases"), environment,
    ("cipher", "aead", "rsa_sign", "rsa_decrypt", "ecdsa_sign"))
globals().update(livecases.tests(CASES))


def test_synchronous_ciphers_stay_in_software():
    with vctest.Stack() as stack:
        CASES.run(stack, "cases", "sync")
        CASES.all_offloaded(stack, ("rsa_sign", "rsa_decrypt", "ecdsa_sign"))
        equal(totals(stack)["offloaded"]["cipher"], 0, "left in software")


def test_never():
    with vctest.Stack() as stack:
        CASES.run(stack, "cases", "jobs", policy="never")
        equal(sum(totals(stack)["offloaded"].values()), 0, "offloaded")


def test_what_is_left_to_openssl():
    with vctest.Stack() as stack:
        CASES.run(stack, "cases", "sync", policy="always", block_operations="signature")
        CASES.all_offloaded(stack, ("cipher", "aead", "rsa_decrypt"))
        for kind in ("rsa_sign", "ecdsa_sign"):
            equal(totals(stack)["offloaded"][kind], 0, kind)


def test_settings_by_kind_of_work():
    with vctest.Stack() as stack:
        CASES.run(stack, "cases", "sync", offload="rsa=never, gcm=always")
        CASES.all_offloaded(stack, ("aead", "ecdsa_sign"))
        for kind in ("cipher", "rsa_sign", "rsa_decrypt"):
            equal(totals(stack)["offloaded"][kind], 0, kind)


def test_the_environment_counts_more():
    with vctest.Stack() as stack:
        stack.env["VCRYPTO_POLICY"] = "never"
        CASES.run(stack, "cases", "sync", policy="always")
        equal(sum(totals(stack)["offloaded"].values()), 0, "offloaded")


def test_without_daemons_and_without_fallback():
    with vctest.Stack(host=False, engined=False) as stack:
        CASES.run(stack, "strict", policy="always", fallback="off")


# OpenSSL does not load a module twice, so these do it themselves.


def test_the_module_comes_and_goes():
    with vctest.Stack() as stack:
        CASES.run(stack, "reload", "10", load=False)
        CASES.all_offloaded(stack, ("cipher", "rsa_sign"))


def test_commands():
    with vctest.Stack(host=False, engined=False) as stack:
        CASES.run(stack, "commands", load=False)


vctest.main(globals())
