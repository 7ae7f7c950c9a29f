#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OpenSSL provider on live daemons: the same answers as OpenSSL's own, really offloaded, in
jobs and without, from many processes, and whatever may be dead or die."""

import os
import subprocess
import time

import vctest
from vctest import check, equal, wait_until

HERE = os.path.join(vctest.BUILD, "tests/functional/provider")
CASES = os.path.join(HERE, "test-provider-cases")
WYCHEPROOF = os.path.join(HERE, "test-provider-wycheproof")


# A failure that is none must be no matter of a machine that is busy with something else.
NO_FALLBACK = {"fallback": "off", "deadline_ms": "20000"}


def cases(stack, *arguments, timeout=300, leaks=True, **settings):
    """Run the test program; leaks: under ASan, look for leaks at its end."""
    env = stack.openssl_env(foreign=False, **settings)
    if not leaks:
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    try:
        stack.run([CASES, *arguments], timeout=timeout, env=env)
    except vctest.Failure as failure:
        fallback = totals(stack)["fallback"] if stack.engined else ""
        raise vctest.Failure(f"{failure}\nfallen back: {fallback}") from None


def totals(stack):
    return stack.ctl("engined", "status")["totals"]


# Points of small order in the cases: the device refuses them, and OpenSSL says what is wrong.
POINTS_REFUSED = 4


# Of Wycheproof's files; of the cases more.
KINDS = ("cipher", "aead", "rsa_sign", "rsa_decrypt", "ecdsa_sign")


def all_offloaded(stack, kinds=(*KINDS, "derive")):
    """Every kind of operation reached the host, and nothing fell back but what is refused."""
    now = totals(stack)
    for kind in kinds:
        check(now["offloaded"][kind] > 0, f"{kind} was offloaded")
    refused = now["fallback"].pop("notsupp")
    check(refused <= POINTS_REFUSED, f"{refused} were refused")
    equal(sum(now["fallback"].values()), 0, "fallen back")
    host = stack.ctl("host", "status")
    done = sum(resource["completed"] for resource in host["resources"])
    check(done >= sum(now["offloaded"].values()), "the host's resources did them")


def test_every_case():
    with vctest.Stack() as stack:
        cases(stack, "cases", "sync", str(64 << 20), policy="always", **NO_FALLBACK)
        all_offloaded(stack)


def test_every_case_in_jobs():
    with vctest.Stack() as stack:
        cases(stack, "cases", "jobs", policy="always", **NO_FALLBACK)
        all_offloaded(stack)


def test_every_case_by_the_default_policy():
    with vctest.Stack() as stack:
        cases(stack, "cases", "jobs")
        check(totals(stack)["small"] > 0, "small ones are counted")
        all_offloaded(stack, ("cipher", "rsa_sign", "rsa_decrypt", "ecdsa_sign"))
        equal(totals(stack)["offloaded"]["aead"], 0, "quick in software, left there")


def test_every_case_by_size():
    with vctest.Stack() as stack:
        cases(stack, "cases", "jobs", min_size="2048")
        all_offloaded(stack)


def test_without_daemons():
    with vctest.Stack(host=False, engined=False) as stack:
        cases(stack, "cases", "sync", policy="always")
        cases(stack, "cases", "jobs", policy="always")


def test_without_daemons_and_without_fallback():
    with vctest.Stack(host=False, engined=False) as stack:
        env = stack.openssl_env(foreign=False, policy="always", fallback="off")
        done = subprocess.run([CASES, "cases", "sync"], env=env, timeout=60, check=False,
                              capture_output=True)
        equal(done.returncode, 1, "exit status")


def test_without_a_host():
    with vctest.Stack(host=False) as stack:
        cases(stack, "cases", "jobs", policy="always")


def test_eight_processes_of_four_threads():
    with vctest.Stack() as stack:
        # The search for leaks itself now and then dies in a child that has run jobs.
        cases(stack, "load", "8", "4", timeout=500, leaks=False, policy="always",
              deadline_ms="20000")
        check(totals(stack)["clients_ever"] >= 9, "each process is a client of its own")
        now = totals(stack)
        equal(sum(now["fallback"].values()), now["fallback"]["full"], "fallen back for no reason")


def test_jobs_that_are_left():
    with vctest.Stack() as stack:
        # The stacks of these jobs are nobody's; that is OpenSSL's way.
        cases(stack, "abandon", "300", leaks=False, policy="always")
        wait_until(lambda: not stack.ctl("engined", "clients"), 10, "the engine forgets the client")


def test_library_contexts_come_and_go():
    with vctest.Stack() as stack:
        cases(stack, "reload", "10", policy="always", **NO_FALLBACK)


def dies(stack, victim, how):
    """Programs run on while a daemon dies and comes back, three times; none sees an error."""
    env = stack.openssl_env(foreign=False, policy="always", deadline_ms="300")
    running = [subprocess.Popen([CASES, "until-eof", mode], env=env, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE) for mode in ("sync", "jobs")]
    try:
        for _ in range(3):
            time.sleep(0.7)
            how(victim)
            time.sleep(0.3)
            victim.start()
            stack.wait_device_up()
        before = sum(totals(stack)["offloaded"].values())
        wait_until(lambda: sum(totals(stack)["offloaded"].values()) > before + 100, 20,
                   "operations are offloaded again")
        for process in running:
            check(process.poll() is None, "the program runs")
    finally:
        for process in running:
            process.stdin.close()
        for process in running:
            output = process.stdout.read()
            equal(process.wait(timeout=120), 0, "exit status")
            check(output, "at least one round was done")


def test_the_engine_is_killed():
    with vctest.Stack() as stack:
        dies(stack, stack.engined, lambda daemon: daemon.kill())


def test_the_engine_is_stopped():
    with vctest.Stack() as stack:
        dies(stack, stack.engined, lambda daemon: daemon.stop())


def test_the_host_is_killed():
    with vctest.Stack() as stack:
        dies(stack, stack.host, lambda daemon: daemon.kill())


def wycheproof(mode, outcome):
    directory = os.environ.get("WYCHEPROOF_DIR", "")
    live = outcome == "offloaded"
    settings = NO_FALLBACK if live else {}
    with vctest.Stack(host=live, engined=live) as stack:
        env = stack.openssl_env(foreign=False, policy="always", **settings)
        done = stack.run([WYCHEPROOF, directory, mode, outcome], timeout=500, env=env)
        check(int(done.stdout) > 2000, f"{done.stdout} vectors were tried")
        if live:
            all_offloaded(stack, KINDS)


def test_wycheproof():
    wycheproof("sync", "offloaded")


def test_wycheproof_in_jobs():
    wycheproof("jobs", "offloaded")


def test_wycheproof_in_software():
    wycheproof("sync", "software")


def test_wycheproof_in_software_in_jobs():
    wycheproof("jobs", "software")


vctest.main(globals())
