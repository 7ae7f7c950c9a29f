# SPDX-License-Identifier: Apache-2.0
"""What bench.py measures of OpenSSL's own programs and of haproxy: the application on CPU 0, both
daemons on CPU 1, next to OpenSSL in the application's process.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import demo
import openssl_speed
from bench_peers import DRIVER_CPU, HOST_CPU, cpu_seconds

SIZE = 16384
JOBS = 64
# The same load in two shapes: processes, and jobs in each.
CROWDS = ((4, 64), (256, 1))
CROWD_SECONDS = 20

HOST_CONFIG = f"""\
workers: [{HOST_CPU}]
resources:
RESOURCES  - {{{{name: mb, type: ipsec-mb}}}}
  - {{{{name: sw, type: libcrypto, threads: 1}}}}
groups:
  - {{{{name: default, policy: failover, primary: [PRIMARY], secondary: [sw]}}}}
devices:
  - {{{{name: dev0, socket: {{dir}}/dev0.sock}}}}
"""
ENGINED_CONFIG = f"""\
device: {{{{transport: vhost-user, socket: {{dir}}/dev0.sock}}}}
cpu: {HOST_CPU}
"""


class Quiet:
    """Nothing is said of the steps of a demo."""

    @staticmethod
    def step(_):
        return contextlib.nullcontext()


@contextlib.contextmanager
def pinned(cpu):
    """What is started inside runs on one CPU, its threads as well."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


@contextlib.contextmanager
def both_daemons(bench):
    """RSA eight at a time where there is libcrypto-mb for it."""
    for resources, primary in (("  - {{name: rsa, type: crypto-mb}}\n", "mb, rsa"), ("", "mb")):
        config = HOST_CONFIG.replace("RESOURCES", resources).replace("PRIMARY", primary)
        stack = bench.vctest.Stack(host_config=config, engined_config=ENGINED_CONFIG)
        if bench.accepts(stack):
            break
        shutil.rmtree(stack.dir)
    with contextlib.ExitStack() as exits:
        with pinned(HOST_CPU):
            exits.enter_context(stack)
        yield stack


def pairs_of(bench, stack, parse, theirs, ours, **settings):
    """Both sides, one after the other, as often as there are rounds."""
    env = stack.openssl_env(**settings)
    return [(parse(bench.openssl_speed(env, *ours)),
             parse(bench.openssl_speed(bench.plain_env, *theirs))) for _ in range(bench.rounds)]


def jobs(bench, stack):
    """Many ASYNC jobs of one process."""
    async_jobs = ["-async_jobs", str(JOBS)]
    for name, cipher in (("ossl.cbc_hmac_sha1", "aes-128-cbc-hmac-sha1"),
                         ("ossl.cbc", "aes-128-cbc")):
        work = ["-bytes", str(SIZE), "-evp", cipher]
        bench.add(name, "Gbit/s",
                  pairs_of(bench, stack,
                           lambda text, c=cipher: openssl_speed.bytes_per_second(text, c) * 8 / 1e9,
                           work, async_jobs + work), "in process")
    bench.add("ossl.rsa2048", "sign/s",
              pairs_of(bench, stack, openssl_speed.signs_per_second, ["rsa2048"],
                       async_jobs + ["rsa2048"]), "in process")


def synchronous(bench, stack):
    """One caller that waits for each signature, asleep and looking on."""
    for name, settings in (("", {}), (".spin", {"spin_us": "1000"})):
        pairs = pairs_of(bench, stack, openssl_speed.signs_per_second, ["rsa2048"], ["rsa2048"],
                         **settings)
        bench.add(f"ossl.rsa2048_sync_extra_us{name}", "µs",
                  [(1e6 / ours - 1e6 / theirs, None) for ours, theirs in pairs], "")


def crowd_rate(bench, stack, processes, n, work):
    """Operations/s that engined is given by so many processes with n jobs each, once all are at
    work. (What these say of themselves is of no use: not all run at the same time.)"""
    command = ["taskset", "-c", str(DRIVER_CPU), "openssl", "speed", "-elapsed", "-seconds",
               str(CROWD_SECONDS), "-multi", str(processes), "-async_jobs", str(n), *work]

    def working():
        clients = stack.ctl("engined", "status")["clients"]
        return sum(client["requests"] > 0 for client in clients) >= processes

    def requests():
        return stack.ctl("engined", "status")["totals"]["requests"]

    with subprocess.Popen(command, env=stack.openssl_env(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            bench.vctest.wait_until(working, CROWD_SECONDS, f"{processes} processes work")
            before, start = requests(), time.monotonic()
            time.sleep(bench.seconds)
            return (requests() - before) / (time.monotonic() - start)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            bench.vctest.wait_until(lambda: not stack.ctl("engined", "status")["clients"], 30,
                                    "they are gone")


def crowd(bench, stack):
    """Many processes with a request each, next to a few with many."""
    for name, work in (("", ["rsa2048"]), (".cbc", ["-bytes", str(SIZE), "-evp", "aes-128-cbc"])):
        few, many = ([crowd_rate(bench, stack, *shape, work) for _ in range(bench.rounds)]
                     for shape in CROWDS)
        bench.add(f"engined.clients256{name}", "op/s", list(zip(many, few)),
                  "4 processes, as many requests")


def haproxy_seconds(web, env):
    """CPU time of a new haproxy for a full handshake of each version of TLS."""
    seconds = {}
    ports = demo.free_ports(2)
    with web.haproxy(env, ports, ports[0]) as process:
        for port, version in zip(ports, demo.TLS_VERSIONS):
            before = cpu_seconds(process.pid)
            web.handshakes(port)
            seconds[version] = (cpu_seconds(process.pid) - before) / demo.HANDSHAKES
    return seconds


def handshakes(bench, stack):
    """CPU time of haproxy for a full handshake, in µs."""
    pairs = {version: [] for version in demo.TLS_VERSIONS}
    with tempfile.TemporaryDirectory(prefix="vcrypto-bench-", dir="/var/tmp") as directory, \
            pinned(DRIVER_CPU):
        web = demo.Demo(stack, pathlib.Path(directory), Quiet())
        web.make_certificate()
        for _ in range(bench.rounds):
            ours, theirs = (haproxy_seconds(web, env) for env in (web.env, web.plain_env))
            for version, both in pairs.items():
                both.append((ours[version] * 1e6, theirs[version] * 1e6))
    for version, both in pairs.items():
        bench.add(f"haproxy.tls{version.replace('.', '')}_cpu", "µs",
                  both, "in process")


def measure(bench):
    with both_daemons(bench) as stack:
        jobs(bench, stack)
        synchronous(bench, stack)
        handshakes(bench, stack)
        crowd(bench, stack)
