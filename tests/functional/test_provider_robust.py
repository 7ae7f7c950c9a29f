#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What applications do with the provider in them, and what befalls the daemons: never a hang, a
crash, a wrong result, a failed operation or a busy processor. The scenarios are in provider/robust*.c."""

import contextlib
import os
import subprocess
import tempfile

import vctest
from vctest import check, contains, equal, settled_files, wait_until

ROBUST = os.path.join(vctest.BUILD, "tests/functional/provider/test-provider-robust")

# Requests take so long (in microseconds) that they are surely in flight when something happens.
SLOW = """\
resources:
  - {{name: sw, type: libcrypto, threads: 2}}
  - {{name: slow, type: fault, of: sw, faults: {{delay: "fixed:%u"}}}}
groups:
  - {{name: default, primary: [slow]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, group: default}}
"""


@contextlib.contextmanager
def forgotten(stack):
    """Whatever happens in between, the engine is left without clients, and with its descriptors."""
    before = settled_files(stack.engined.pid)
    yield
    wait_until(lambda: not stack.ctl("engined", "clients"), 15, "the engine forgets all clients")
    equal(settled_files(stack.engined.pid), before, "descriptors of the engine")


def environment(stack, **settings):
    env = stack.openssl_env(foreign=False, policy="always", **settings)
    # Jobs that are left have stacks that are nobody's.
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return env


def run(stack, *arguments, **settings):
    return stack.run([ROBUST, *arguments], env=environment(stack, **settings)).stdout.decode()


def whole(*arguments, delay_us=0, **settings):
    """A scenario by itself; the daemons are as before afterwards."""
    with vctest.Stack(host_config=SLOW % delay_us if delay_us else None) as stack:
        # So that what stays, such as the session cache, is there already.
        run(stack, "fork-first")
        with forgotten(stack):
            output = run(stack, *arguments, **settings)
        totals = stack.ctl("engined", "status")["totals"]
        check(totals["offloaded"]["cipher"] + totals["offloaded"]["rsa_sign"] > 0, "offloaded")
        return output


# ---- fork and exec


def test_fork_before_first_use():
    whole("fork-first")


def test_fork_with_jobs_in_flight():
    whole("fork-in-flight", delay_us=300000)


def test_fork_twice():
    whole("fork-twice", delay_us=300000)


def test_fork_while_threads_work():
    if os.environ.get("VCRYPTO_PRELOAD"):
        raise vctest.Skip("a sanitizer's own allocator may be locked for ever in the child")
    whole("fork-threads", deadline_ms="5000")


def test_exec_with_jobs_in_flight():
    whole("exec-in-flight", delay_us=300000)


@contextlib.contextmanager
def asked(stack, *arguments, **settings):
    """Run a scenario up to its question; what it asked. Answered, it must end well."""
    with subprocess.Popen([ROBUST, *arguments], env=environment(stack, **settings),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        try:
            yield process.stdout.readline().decode().strip()
            output, errors = process.communicate(b"\n", timeout=60)
        finally:
            process.kill()
    if process.returncode == vctest.SKIPPED:
        raise vctest.Skip(errors.decode().strip())
    equal(process.returncode, 0, f"exit status ({output!r}, {errors.decode()})")


def test_workers_that_are_replaced_under_load():
    with vctest.Stack() as stack:
        run(stack, "fork-first")
        with forgotten(stack):
            with asked(stack, "prefork") as word:
                equal(word, "workers are gone", "what the program says")
                wait_until(lambda: len(stack.ctl("engined", "clients")) == 1, 15,
                           "the engine forgets the workers")
        check(stack.ctl("engined", "status")["totals"]["clients_ever"] > 40, "clients of their own")


# ---- descriptors


def test_descriptors_closed_while_idle():
    whole("closed-idle")


def test_descriptors_closed_with_jobs_in_flight():
    whole("closed-in-flight", delay_us=100000)


def test_descriptors_of_the_application_at_the_same_numbers():
    whole("reused-idle", delay_us=2000)


def test_descriptors_of_the_application_with_jobs_in_flight():
    whole("reused-in-flight", delay_us=100000)


def test_without_standard_streams():
    whole("no-standard-streams")


def test_a_server_of_many_jobs():
    whole("one-epoll", delay_us=500000, deadline_ms="20000")


def test_nothing_to_do_is_nothing_done():
    with vctest.Stack(host_config=SLOW % 50000) as stack:
        run(stack, "idle-descriptors")
        # It was killed by the scenario.
        stack.engined.kill()


# ---- threads, contexts, ends


def test_a_thousand_threads():
    whole("short-threads")


def test_library_contexts_with_a_thread_that_stays():
    with vctest.Stack() as stack:
        run(stack, "fork-first")
        with forgotten(stack):
            env = environment(stack)
            configuration = env.pop("OPENSSL_CONF")
            # What is kept there grows now and then, and mappings with it, which are counted.
            env["ASAN_OPTIONS"] += ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
            stack.run([ROBUST, "reloads", configuration], env={**env, "OPENSSL_CONF": "/dev/null"})
        check(stack.ctl("engined", "status")["totals"]["clients_ever"] > 40, "one for each load")


def test_ssl_free_while_a_job_waits():
    whole("ssl-free-paused", delay_us=20000)


def test_exit_with_jobs_in_flight():
    whole("exit-in-flight", delay_us=300000)


def test_end_while_threads_work():
    whole("exit-threads")


def test_in_a_jail():
    with vctest.Stack() as stack, tempfile.TemporaryDirectory(dir="/tmp") as jail:
        with asked(stack, "jailed", jail) as word:
            if word:
                contains(word, "restart", "what the program says")
                stack.engined.kill()
                stack.engined.start()
                stack.wait_device_up()


# ---- what is said of all that


def test_counters():
    """The program's own, and the same in vcryptoctl."""
    with vctest.Stack() as stack:
        with asked(stack, "counters") as word:
            equal(word, "counted", "what the program says")
            client, = stack.ctl("engined", "clients")
            equal({name: value for name, value in client["offloaded"].items() if value},
                  {"cipher": 4, "aead": 3, "rsa_sign": 2, "rsa_decrypt": 1, "ecdsa_sign": 2})
            equal(client["fallback"], dict.fromkeys(
                ("no_daemon", "full", "deadline", "notsupp", "device", "silent"), 0))
            shown = stack.vcryptoctl("clients").stdout
            contains(shown, "cipher 4, aead 3, rsa sign 2, rsa decrypt 1, ecdsa sign 2")
            stack.engined.stop()


def test_reasons():
    """Why it fell back is the client's word too, as text and as JSON."""
    with vctest.Stack(host=False) as stack:
        with asked(stack, "fall-back") as word:
            equal(word, "fallen back", "what the program says")
            client, = stack.ctl("engined", "clients")
            equal(client["fallback"]["device"], 3, "without a device")
            equal(sum(client["offloaded"].values()), 0, "offloaded")
            contains(stack.vcryptoctl("clients").stdout, "device 3")
            contains(stack.vcryptoctl("clients", "--json").stdout, '"device": 3')


# ---- silence


def test_the_engine_says_nothing():
    for scenario in ("silence", "silence-in-jobs"):
        print("# " + whole(scenario, "VCRYPTO_ENGINED_PID", deadline_ms="200").strip())


def test_the_host_says_nothing():
    for scenario in ("silence", "silence-in-jobs"):
        print("# " + whole(scenario, "VCRYPTO_HOST_PID", deadline_ms="200").strip())


vctest.main(globals())
