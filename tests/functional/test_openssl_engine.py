#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OpenSSL ENGINE on live daemons: the same answers as OpenSSL's own, really offloaded, in jobs
and without, from many processes, whatever may be dead or die."""

import os
import subprocess
import time

import vctest
from vctest import check, equal, wait_until

CASES = os.path.join(vctest.BUILD, "tests/functional/openssl_engine/test-engine-cases")

# A failure that is none must be no matter of a machine that is busy with something else.
NO_FALLBACK = {"fallback": "off", "deadline_ms": "20000"}
KINDS = ("cipher", "aead", "rsa_sign", "rsa_decrypt", "ecdsa_sign")


def cases(stack, *arguments, timeout=300, leaks=True, load=True, **settings):
    """Run the test program; leaks: under ASan, look for leaks at its end; load: the ENGINE, for it
    (OpenSSL does not load a module twice)."""
    env = stack.engine_env(foreign=False, **settings)
    if not load:
        del env["OPENSSL_CONF"]
    if not leaks:
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    try:
        stack.run([CASES, *arguments], timeout=timeout, env=env)
    except vctest.Failure as failure:
        fallback = totals(stack)["fallback"] if stack.engined else ""
        raise vctest.Failure(f"{failure}\nfallen back: {fallback}") from None


def totals(stack):
    return stack.ctl("engined", "status")["totals"]


def all_offloaded(stack, kinds=KINDS):
    """Every kind of operation reached the host, and nothing fell back."""
    now = totals(stack)
    for kind in kinds:
        check(now["offloaded"][kind] > 0, f"{kind} was offloaded")
    equal(sum(now["fallback"].values()), 0, "fallen back")
    host = stack.ctl("host", "status")
    done = sum(resource["completed"] for resource in host["resources"])
    check(done >= sum(now["offloaded"].values()), "the host's resources did them")


def test_every_case():
    with vctest.Stack() as stack:
        cases(stack, "cases", "sync", policy="always", **NO_FALLBACK)
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


def test_synchronous_ciphers_stay_in_software():
    with vctest.Stack() as stack:
        cases(stack, "cases", "sync")
        all_offloaded(stack, ("rsa_sign", "rsa_decrypt", "ecdsa_sign"))
        equal(totals(stack)["offloaded"]["cipher"], 0, "left in software")


def test_never():
    with vctest.Stack() as stack:
        cases(stack, "cases", "jobs", policy="never")
        equal(sum(totals(stack)["offloaded"].values()), 0, "offloaded")


def test_what_is_left_to_openssl():
    with vctest.Stack() as stack:
        cases(stack, "cases", "sync", policy="always", block_operations="signature")
        all_offloaded(stack, ("cipher", "aead", "rsa_decrypt"))
        for kind in ("rsa_sign", "ecdsa_sign"):
            equal(totals(stack)["offloaded"][kind], 0, kind)


def test_settings_by_kind_of_work():
    with vctest.Stack() as stack:
        cases(stack, "cases", "sync", offload="rsa=never, gcm=always")
        all_offloaded(stack, ("aead", "ecdsa_sign"))
        for kind in ("cipher", "rsa_sign", "rsa_decrypt"):
            equal(totals(stack)["offloaded"][kind], 0, kind)


def test_the_environment_counts_more():
    with vctest.Stack() as stack:
        stack.env["VCRYPTO_POLICY"] = "never"
        cases(stack, "cases", "sync", policy="always")
        equal(sum(totals(stack)["offloaded"].values()), 0, "offloaded")


def test_without_daemons():
    with vctest.Stack(host=False, engined=False) as stack:
        cases(stack, "cases", "sync", policy="always")
        cases(stack, "cases", "jobs", policy="always")


def test_without_daemons_and_without_fallback():
    with vctest.Stack(host=False, engined=False) as stack:
        cases(stack, "strict", policy="always", fallback="off")


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


def test_the_module_comes_and_goes():
    with vctest.Stack() as stack:
        cases(stack, "reload", "10", load=False)
        all_offloaded(stack, ("cipher", "rsa_sign"))


def test_commands():
    with vctest.Stack(host=False, engined=False) as stack:
        cases(stack, "commands", load=False)


def dies(stack, victim, how):
    """Programs run on while a daemon dies and comes back, three times; none sees an error."""
    env = stack.engine_env(foreign=False, policy="always", deadline_ms="300")
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


def test_the_daemon_is_killed():
    with vctest.Stack() as stack:
        dies(stack, stack.engined, lambda daemon: daemon.kill())


def test_the_host_is_killed():
    with vctest.Stack() as stack:
        dies(stack, stack.host, lambda daemon: daemon.kill())


vctest.main(globals())
