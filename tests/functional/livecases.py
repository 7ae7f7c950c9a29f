# SPDX-License-Identifier: Apache-2.0
"""What test_provider.py and test_openssl_engine.py have in common: a program of ../openssl/live.h on
live daemons, and the tests of whatever can be loaded into it."""

import os
import subprocess
import time

import vctest
from vctest import check, equal, wait_until

# A failure that is none must be no matter of a machine that is busy with something else.
NO_FALLBACK = {"fallback": "off", "deadline_ms": "20000"}


def totals(stack):
    return stack.ctl("engined", "status")["totals"]


class Program:
    """path; environment(stack, **settings): what it is started with; kinds: what its cases offload;
    refused: operations that the device refuses at most, and rightly; large: bytes of the largest
    message."""

    def __init__(self, path, environment, kinds, refused=0, large=1 << 20):
        self.path = path
        self.environment = environment
        self.kinds = kinds
        self.refused = refused
        self.large = large

    def run(self, stack, *arguments, timeout=300, leaks=True, load=True, **settings):
        """leaks: under ASan, look for leaks at its end; load: ours, for it."""
        env = self.environment(stack, **settings)
        if not load:
            del env["OPENSSL_CONF"]
        if not leaks:
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        try:
            stack.run([self.path, *arguments], timeout=timeout, env=env)
        except vctest.Failure as failure:
            fallback = totals(stack)["fallback"] if stack.engined else ""
            raise vctest.Failure(f"{failure}\nfallen back: {fallback}") from None

    def all_offloaded(self, stack, kinds=None):
        """Every kind of operation reached the host, and nothing fell back but what is refused."""
        now = totals(stack)
        for kind in kinds or self.kinds:
            check(now["offloaded"][kind] > 0, f"{kind} was offloaded")
        refused = now["fallback"].pop("notsupp")
        check(refused <= self.refused, f"{refused} were refused")
        equal(sum(now["fallback"].values()), 0, "fallen back")
        host = stack.ctl("host", "status")
        done = sum(resource["completed"] for resource in host["resources"])
        check(done >= sum(now["offloaded"].values()), "the host's resources did them")

    def dies(self, stack, victim, how):
        """Programs run on while a daemon dies and comes back, three times; none sees an error."""
        env = self.environment(stack, policy="always", deadline_ms="300")
        running = [subprocess.Popen([self.path, "until-eof", mode], env=env, stdin=subprocess.PIPE,
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


def tests(program):
    """Test functions by their names, for the globals of a script."""

    def test_every_case():
        with vctest.Stack() as stack:
            program.run(stack, "cases", "sync", str(program.large), policy="always",
                        **NO_FALLBACK)
            program.all_offloaded(stack)

    def test_every_case_in_jobs():
        with vctest.Stack() as stack:
            program.run(stack, "cases", "jobs", policy="always", **NO_FALLBACK)
            program.all_offloaded(stack)

    def test_every_case_by_the_default_policy():
        with vctest.Stack() as stack:
            program.run(stack, "cases", "jobs")
            check(totals(stack)["small"] > 0, "small ones are counted")
            program.all_offloaded(stack, ("cipher", "rsa_sign", "rsa_decrypt", "ecdsa_sign"))
            equal(totals(stack)["offloaded"]["aead"], 0, "quick in software, left there")

    def test_without_daemons():
        with vctest.Stack(host=False, engined=False) as stack:
            program.run(stack, "cases", "sync", policy="always")
            program.run(stack, "cases", "jobs", policy="always")

    def test_without_a_host():
        with vctest.Stack(host=False) as stack:
            program.run(stack, "cases", "jobs", policy="always")

    def test_eight_processes_of_four_threads():
        with vctest.Stack() as stack:
            # The search for leaks itself now and then dies in a child that has run jobs.
            program.run(stack, "load", "8", "4", timeout=500, leaks=False, policy="always",
                        deadline_ms="20000")
            now = totals(stack)
            check(now["clients_ever"] >= 9, "each process is a client of its own")
            equal(sum(now["fallback"].values()), now["fallback"]["full"],
                  "fallen back for no reason")

    def test_jobs_that_are_left():
        with vctest.Stack() as stack:
            # The stacks of these jobs are nobody's; that is OpenSSL's way.
            program.run(stack, "abandon", "300", leaks=False, policy="always")
            wait_until(lambda: not stack.ctl("engined", "clients"), 10,
                       "the engine forgets the client")

    def test_the_engine_is_killed():
        with vctest.Stack() as stack:
            program.dies(stack, stack.engined, lambda daemon: daemon.kill())

    def test_the_host_is_killed():
        with vctest.Stack() as stack:
            program.dies(stack, stack.host, lambda daemon: daemon.kill())

    return {name: value for name, value in locals().items() if name.startswith("test_")}
