#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast vcrypto is next to what it is made of, in one run on pinned CPUs.

Driver and applications run on CPU 0, the worker of vcrypto-host on CPU 1, and so does what it is
compared with. Each round measures both sides one right after the other; figures are medians over
the rounds, and so are ratios. See docs/benchmarking.md. Writes build/bench.json.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

import openssl_speed

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "functional"))

SIZES = (64, 256, 1024, 4096, 16384)
DRIVER_CPU = 0
HOST_CPU = 1
DEPTH = 256
JOBS = 64
# OpenSSL 3.5 makes a key for each job first.
RSA_JOBS = 16
IDLE_SECONDS = 10
# For DPDK's default pool of 8192 buffers of 16 KiB, and for our own devices and regions.
HUGE_PAGES = 640

HOST_CONFIG = f"""\
workers: [{HOST_CPU}]
resources:
  - {{{{name: mb, type: ipsec-mb}}}}
  - {{{{name: sw, type: libcrypto}}}}
groups:
  - {{{{name: default, policy: failover, primary: [mb], secondary: [sw]}}}}
devices:
  - {{{{name: dev0, socket: {{dir}}/dev0.sock, group: default, queues: 1}}}}
  - {{{{name: engined, socket: {{dir}}/engined-device.sock, group: default, queues: 1}}}}
"""
ENGINED_CONFIG = f"""\
device: {{{{transport: vhost-user, socket: {{dir}}/engined-device.sock, queues: 1}}}}
cpu: {{cpu}}
"""


class BenchError(Exception):
    """What went wrong, as a sentence."""


def run(command, cpu=None, env=None, timeout=120):
    if cpu is not None:
        command = ["taskset", "-c", str(cpu), *command]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command[:6])} ... failed:\n"
                         f"{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout + done.stderr


@contextlib.contextmanager
def alone():
    """Two at once would spoil each other's figures, and keep each other's huge pages."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        try:
            lock.bind("\0vcrypto-bench")  # gone with the process
        except OSError as error:
            raise BenchError("another one is running on this machine") from error
        yield


# ---- huge pages, set aside for the run


@contextlib.contextmanager
def huge_pages(wanted):
    """Yields how many 2 MiB pages are free; what was set aside is given back."""
    setting = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    before = None
    try:
        try:
            free = int((setting / "free_hugepages").read_text())
            if free < wanted and os.geteuid() == 0:
                before = int((setting / "nr_hugepages").read_text())
                (setting / "nr_hugepages").write_text(str(before + wanted - free))
                free = int((setting / "free_hugepages").read_text())
        except OSError:
            free = 0
        yield free
    finally:
        if before is not None:
            with contextlib.suppress(OSError):
                (setting / "nr_hugepages").write_text(str(before))


# ---- bare metal


class BareMetal:
    """dpdk-test-crypto-perf with the same multi-buffer library, on the host's CPU."""

    def __init__(self, huge, seconds):
        self.program = shutil.which("dpdk-test-crypto-perf")
        self.memory = ["--in-memory"] if huge >= 300 else ["--no-huge"]
        self.seconds = seconds
        self.operations = {}

    def gbit_per_s(self, size):
        if not self.program:
            return None
        operations = self.operations.get(size, 200000)
        gbit, mops = self._measure(size, operations)
        if operations < mops * 1e6 * self.seconds / 2:
            # That was to learn how many make up the time.
            self.operations[size] = int(mops * 1e6 * self.seconds)
            gbit, _ = self._measure(size, self.operations[size])
        return gbit

    def _measure(self, size, operations):
        text = run([self.program, *self.memory, "-m", "512", "--no-pci", "--no-telemetry",
                    "--force-max-simd-bitwidth=512", "-l", f"{DRIVER_CPU},{HOST_CPU}",
                    "--main-lcore", str(DRIVER_CPU), "--vdev", "crypto_aesni_mb", "--",
                    "--ptest", "throughput", "--devtype", "crypto_aesni_mb",
                    "--optype", "cipher-only", "--cipher-algo", "aes-cbc",
                    "--cipher-op", "encrypt", "--cipher-key-sz", "16", "--cipher-iv-sz", "16",
                    "--buffer-sz", str(size), "--total-ops", str(operations), "--silent"])
        for line in text.splitlines():
            words = line.split()
            if len(words) == 10 and words[0] == str(HOST_CPU) and words[1] == str(size):
                return float(words[8]), float(words[7])
        raise BenchError(f"dpdk-test-crypto-perf says something else than expected:\n{text}")


# ---- our side, and OpenSSL's


class Bench:
    def __init__(self, stack, vctest, options, huge):
        self.stack = stack
        self.perf_program = vctest.program("vcrypto-perf")
        self.wake_program = os.path.join(vctest.BUILD, "tests/bench/bench-wake")
        self.rounds = options.rounds
        self.seconds = options.seconds
        self.bare = BareMetal(huge, options.seconds)
        self.results = []
        self.plain_env = stack.env

    def add(self, name, unit, pairs, against):
        """pairs: (ours, theirs) of each round; theirs None: there is nothing to compare with."""
        ours = statistics.median(a for a, _ in pairs)
        ratios = [a / b for a, b in pairs if b]
        theirs = [b for _, b in pairs if b]
        result = {"name": name, "value": round(ours, 3), "unit": unit,
                  "against": ({"name": against, "value": round(statistics.median(theirs), 3)}
                              if theirs else None),
                  "ratio": round(statistics.median(ratios), 3) if ratios else None}
        self.results.append(result)
        show(result, ratios)

    def perf(self, algo, size):
        # In place, as dpdk-test-crypto-perf does it.
        in_place = [] if algo.startswith("rsa") else ["--in-place"]
        text = run([self.perf_program, *in_place, "--socket", self.stack.device_socket,
                    "--algo", algo, "--size", str(size), "--depth", str(DEPTH),
                    "--seconds", str(self.seconds), "--cpu", str(DRIVER_CPU), "--json"])
        result = json.loads(text)[0]
        if result["errors"]:
            raise BenchError(f"vcrypto-perf: {result['errors']} errors")
        return result

    def cbc(self):
        pairs = {size: [] for size in SIZES}
        for _ in range(self.rounds):
            for size in SIZES:
                theirs = self.bare.gbit_per_s(size)
                pairs[size].append((self.perf("aes-128-cbc", size)["gbit_per_s"], theirs))
        for size in SIZES:
            self.add(f"cbc.{size}", "Gbit/s", pairs[size], "bare metal, 1 core")

    def openssl_speed(self, env, *arguments):
        return run(["openssl", "speed", "-elapsed", "-seconds", str(self.seconds), *arguments],
                   cpu=DRIVER_CPU, env=env)

    def rsa(self):
        pairs = []
        for _ in range(self.rounds):
            theirs = openssl_speed.signs_per_second(self.openssl_speed(self.plain_env, "rsa2048"))
            pairs.append((self.perf("rsa2048", 256)["ops_per_s"], theirs))
        self.add("rsa2048", "op/s", pairs, "openssl speed, 1 core")

    def openssl(self):
        offload_env = self.stack.openssl_env()
        for name, unit, jobs, arguments, parse in (
                ("openssl.cbc", "Gbit/s", JOBS, ["-bytes", "16384", "-evp", "aes-128-cbc"],
                 lambda text: openssl_speed.bytes_per_second(text) * 8 / 1e9),
                ("openssl.rsa2048", "sign/s", RSA_JOBS, ["rsa2048"],
                 openssl_speed.signs_per_second)):
            pairs = []
            for _ in range(self.rounds):
                theirs = parse(self.openssl_speed(self.plain_env, *arguments))
                pairs.append((parse(self.openssl_speed(offload_env, "-async_jobs",
                                                       str(jobs), *arguments)), theirs))
            self.add(name, unit, pairs, "in process")

    def idle(self):
        """Per cent of a core that each daemon takes with nothing to do."""
        time.sleep(1)
        before = {d.name: cpu_seconds(d.pid) for d in self.stack.daemons}
        time.sleep(IDLE_SECONDS)
        for daemon in self.stack.daemons:
            used = cpu_seconds(daemon.pid) - before[daemon.name]
            self.add(f"idle.{daemon.name}", "% of a core", [(used / IDLE_SECONDS * 100, None)], "")

    def wake(self):
        """What a first request after idling costs more than the next; with what a bare wake-up of
        a thread on the other CPU takes here, and the rest, which is ours. Through engined two
        daemons have to wake; one bare wake-up is taken off all the same."""
        for name, arguments in (("wake.host", ["--device", self.stack.device_socket]),
                                ("wake.both", ["--engined", self.stack.engined_socket])):
            pairs = []
            for _ in range(min(self.rounds, 3)):
                ours, bare = (json.loads(run([self.wake_program, *a], cpu=DRIVER_CPU))
                              for a in (arguments, ["--raw", str(HOST_CPU)]))
                pairs.append((ours["first_us"] - ours["next_us"], bare["first_us"]))
            self.add(name, "µs more", pairs, "bare wake-up")
            self.add(f"{name}.ours", "µs more", [(ours - bare, None) for ours, bare in pairs], "")


def cpu_seconds(pid):
    """CPU time of a whole process: its clock, as clock_getcpuclockid() makes the number."""
    return time.clock_gettime((~pid << 3) | 2)


# ---- showing


def show(result, ratios):
    against = result["against"]
    line = f"{result['name']:<16} {result['value']:>12,.2f} {result['unit']:<12}"
    if against:
        line += f" {against['value']:>12,.2f} {result['ratio']:>7.2f}"
        if len(ratios) > 1:
            line += f"  ({min(ratios):.2f} to {max(ratios):.2f})"
        line += f"  {against['name']}"
    print(line, flush=True)


def describe(huge, options):
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text("ascii"))
    print(f"{model[1] if model else 'unknown CPU'}; driver on CPU {DRIVER_CPU}, host on CPU "
          f"{HOST_CPU}; depth {DEPTH}; {huge} huge pages of 2 MiB;\n"
          f"{options.rounds} rounds of {options.seconds} s; medians (ratios: median, least to "
          "most)\n")
    print(f"{'':<16} {'vcrypto':>12} {'':<12} {'against':>12} {'ratio':>7}")


def main():
    parser = argparse.ArgumentParser(description="vcrypto next to what it is made of")
    parser.add_argument("--build", default="build", help="build directory")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions (default 5)")
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement (default 1)")
    parser.add_argument("--only", default="cbc,rsa,openssl,idle,wake",
                        help="which rows, comma-separated (default: all)")
    options = parser.parse_args()
    build = pathlib.Path(options.build).resolve()
    os.environ["VCRYPTO_BUILD"] = str(build)
    import vctest  # reads $VCRYPTO_BUILD  # pylint: disable=import-outside-toplevel

    if not {DRIVER_CPU, HOST_CPU} <= os.sched_getaffinity(0):
        print(f"bench: needs CPUs {DRIVER_CPU} and {HOST_CPU}", file=sys.stderr)
        return 1
    vctest.stop_on_signals()
    engined_cpu = 2 if 2 in os.sched_getaffinity(0) else DRIVER_CPU
    try:
        with alone(), huge_pages(HUGE_PAGES) as huge, \
                vctest.Stack(host_config=HOST_CONFIG, engined_config=ENGINED_CONFIG.replace(
                    "{cpu}", str(engined_cpu))) as stack:
            describe(huge, options)
            bench = Bench(stack, vctest, options, huge)
            if not bench.bare.program:
                print("(dpdk-test-crypto-perf is not installed: no bare metal to compare with)")
            for name in options.only.split(","):
                getattr(bench, name)()
    except (BenchError, openssl_speed.Unexpected, vctest.Failure, vctest.Skip) as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    (build / "bench.json").write_text(json.dumps(bench.results, indent=1) + "\n")
    print(f"\nAlso in {build / 'bench.json'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
