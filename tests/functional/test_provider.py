#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OpenSSL provider on live daemons: the same answers as OpenSSL's own, really offloaded, in
jobs and without, from many processes, and whatever may be dead or die."""

import os
import subprocess

import livecases
import vctest
from livecases import NO_FALLBACK, totals
from vctest import check, equal

HERE = os.path.join(vctest.BUILD, "tests/functional/provider")
WYCHEPROOF = os.path.join(HERE, "test-provider-wycheproof")
# Of Wycheproof's files; of the cases more.
KINDS = ("cipher", "aead", "rsa_sign", "rsa_decrypt", "ecdsa_sign")


def environment(stack, **settings):
    return stack.openssl_env(foreign=False, **settings)


# Points of small order, four of them, are in the cases: the device refuses them, and OpenSSL says
# what is wrong.
CASES = livecases.Program(os.path.join(HERE, "test-provider-cases"), environment,
                          (*KINDS, "derive"), refused=4, large=64 << 20)
globals().update(livecases.tests(CASES))


def test_every_case_by_size():
    with vctest.Stack() as stack:
        CASES.run(stack, "cases", "jobs", min_size="2048")
        CASES.all_offloaded(stack)


def test_without_daemons_and_without_fallback():
    with vctest.Stack(host=False, engined=False) as stack:
        env = environment(stack, policy="always", fallback="off")
        done = subprocess.run([CASES.path, "cases", "sync"], env=env, timeout=60, check=False,
                              capture_output=True)
        equal(done.returncode, 1, "exit status")


def test_library_contexts_come_and_go():
    with vctest.Stack() as stack:
        CASES.run(stack, "reload", "10", policy="always", **NO_FALLBACK)


def test_the_engine_is_stopped():
    with vctest.Stack() as stack:
        CASES.dies(stack, stack.engined, lambda daemon: daemon.stop())


def wycheproof(mode, outcome):
    directory = os.environ.get("WYCHEPROOF_DIR", "")
    live = outcome == "offloaded"
    settings = NO_FALLBACK if live else {}
    with vctest.Stack(host=live, engined=live) as stack:
        env = environment(stack, policy="always", **settings)
        done = stack.run([WYCHEPROOF, directory, mode, outcome], timeout=500, env=env)
        check(int(done.stdout) > 2000, f"{done.stdout} vectors were tried")
        if live:
            CASES.all_offloaded(stack, KINDS)


def test_wycheproof():
    wycheproof("sync", "offloaded")


def test_wycheproof_in_jobs():
    wycheproof("jobs", "offloaded")


def test_wycheproof_in_software():
    wycheproof("sync", "software")


def test_wycheproof_in_software_in_jobs():
    wycheproof("jobs", "software")


vctest.main(globals())
