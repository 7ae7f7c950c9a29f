#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""haproxy with its handshakes in ASYNC jobs, under a constant load of full handshakes, while what is
around it goes wrong: no request fails, and offloading goes on afterwards.

VCRYPTO_DRILL_SECONDS: how long the daemons are killed and started (120).
"""

import contextlib
import itertools
import signal
import time

import support
from programs import haproxy_config, make_certificate, offloaded, path
from support import Load, children, note, service, signers, vctest
from vctest import check, need, wait_until

DRILL_SECONDS = support.seconds_of("VCRYPTO_DRILL_SECONDS", 120)
KILL_EVERY_SECONDS = 1.0
# From the daemon's first answer on; on a busy machine (see the maximum that is printed).
RESUME_SECONDS = 3.0
RELOADS = 10


@contextlib.contextmanager
def haproxy(stack, threads=1, more="", arguments=("-db",), **settings):
    """Yields the process, the page and the port."""
    make_certificate(stack)
    page, port = haproxy_config(stack, threads, more)
    command = [need("haproxy"), *arguments, "-f", path(stack, "haproxy.cfg")]
    with service(stack, "haproxy", command, port, stack.openssl_env(**settings)) as process:
        yield process, page, port


def signed(stack):
    return offloaded(stack)["rsa_sign"]


def kill_and_start(stack, victim):
    """Seconds from the daemon's first answer until the device signs again."""
    victim.kill()
    victim.start()
    start = time.monotonic()
    # The next engined counts from zero, the same one goes on after the next host.
    before = 0 if victim is stack.engined else signed(stack)
    wait_until(lambda: signed(stack) > before, RESUME_SECONDS,
               f"offloading goes on after {victim.name} was killed")
    return time.monotonic() - start


def drill(stack, load):
    """Kill one daemon after the other; (how often, signatures of the device, slowest resumption)."""
    restarts, lost, slowest = 0, 0, 0.0
    end = time.monotonic() + DRILL_SECONDS
    for victim in itertools.cycle((stack.host, stack.engined)):
        due = time.monotonic() + KILL_EVERY_SECONDS
        if due > end or load.failures:
            return restarts, lost + signed(stack), slowest
        if victim is stack.engined:
            lost += signed(stack)
        slowest = max(slowest, kill_and_start(stack, victim))
        restarts += 1
        time.sleep(max(0.0, due - time.monotonic()))


def test_daemons_are_killed_every_second():
    with vctest.Stack() as stack, haproxy(stack) as (_, page, port):
        with Load(port, page) as load:
            wait_until(lambda: signed(stack) > 20, 30, "handshakes are offloaded")
            restarts, total, slowest = drill(stack, load)
        fallback = stack.ctl("engined", "status")["totals"]["fallback"]
        note(f"{restarts} daemons killed, {total} signatures of the device, which signed again "
             f"{slowest * 1000:.0f} ms after the daemon's start at the latest")
        note(f"of the last engined's time, done in software: {fallback}")
        load.check(least=20 * restarts)
        check(total >= load.requests // 4, f"{total} signatures for {load.requests} requests")


def test_a_failed_handshake_is_counted():
    """What shows that the drill can fail: nobody to sign, and nothing in place of it."""
    with vctest.Stack() as stack, haproxy(stack, fallback="off") as (_, page, port):
        with Load(port, page) as load:
            wait_until(lambda: signed(stack) > 20, 30, "handshakes are offloaded")
            check(not load.failures, load.failures[:3])
            stack.engined.kill()
            wait_until(lambda: len(load.failures) > 10, 30, "handshakes fail")


def catches(pid, number):
    """Whether a process has a handler of a signal."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt:"))
    return int(caught, 16) >> (number - 1) & 1


def reload(stack, process, seen):
    """haproxy's master starts a new worker; until that has had something signed."""
    # It ignores the signal until the worker of before is at work and it is itself in its loop.
    wait_until(lambda: catches(process.pid, signal.SIGUSR2), 20, "the master is ready")
    process.send_signal(signal.SIGUSR2)
    wait_until(lambda: signers(stack) - seen, 20, "a new worker offloads")
    seen |= signers(stack)


def test_reload():
    """Listening sockets go from one worker to the next, and the old one ends."""
    with vctest.Stack() as stack:
        # From the old worker, through this socket.
        more = f"    stats socket {stack.dir}/haproxy-admin level admin expose-fd listeners\n"
        with haproxy(stack, 2, more, ("-W", "-db")) as (process, page, port):
            with Load(port, page) as load:
                wait_until(lambda: signed(stack) > 20, 30, "handshakes are offloaded")
                seen = signers(stack)
                for _ in range(RELOADS):
                    reload(stack, process, seen)
                    time.sleep(1)
                total = signed(stack)
            note(f"{RELOADS} reloads, {total} signatures of the device, by {len(seen)} workers")
            load.check(least=20 * RELOADS)
            check(total >= load.requests // 2, f"{total} signatures for {load.requests} requests")
            wait_until(lambda: len(children(process.pid)) == 1, 30, "the old workers end")
            fallback = stack.ctl("engined", "status")["totals"]["fallback"]
            vctest.equal(sum(fallback.values()), 0, f"fallen back ({fallback})")


if __name__ == "__main__":
    vctest.main(globals())
