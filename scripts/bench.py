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

import bench_failover
import bench_openssl
import bench_pool
import bench_qos
import openssl_speed
from bench_peers import DRIVER_CPU, HOST_CPU, BareMetal, BenchError, cpu_seconds, peer, run

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "functional"))

SIZES = (64, 256, 1024, 2048, 4096, 16384)
BULK_SIZES = (1024, 4096, 16384)
# Those of which as many as are in flight do not fit into the second cache.
DEEP_SIZES = (4096, 16384)
# DPDK's vhost_crypto cannot do more in one request than this.
PEER_SIZES = (64, 256, 1024, 2048)
STATELESS_SIZES = (64, 1024, 4096)
DEVICES = 64
DEPTH = 256
RSA_DEPTH = 64
IDLE_SECONDS = 10
ROWS = ("stalls,cbc,buffers,gcm,cbc_hmac_sha1,kicks,stateless,peer,rsa,cryptomb,openssl,devices,"
        "crossing,qos,hostile,failover,sched,pool,sessions,memory,idle,wake")
# For DPDK's default pool of 8192 buffers of 16 KiB, and for our own devices and regions.
HOSTILE_SIZES = (1024, 16384)
HUGE_PAGES = 640
PEER_HUGE_PAGES = 256

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
CRYPTOMB_CONFIG = f"""\
workers: [{HOST_CPU}]
resources:
  - {{{{name: rsa, type: crypto-mb}}}}
devices:
  - {{{{name: dev0, socket: {{dir}}/dev0.sock}}}}
"""
ENGINED_CONFIG = f"""\
device: {{{{transport: vhost-user, socket: {{dir}}/engined-device.sock, queues: 1}}}}
cpu: {{cpu}}
"""


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


# ---- our side, and OpenSSL's


class Bench:
    def __init__(self, stack, vctest, options, huge):
        self.stack = stack
        self.vctest = vctest
        self.perf_program = vctest.program("vcrypto-perf")
        self.wake_program = os.path.join(vctest.BUILD, "tests/bench/bench-wake")
        self.stall_program = os.path.join(vctest.BUILD, "tests/bench/bench-stall")
        self.crossings = []
        self.resource_program = os.path.join(vctest.BUILD, "tests/bench/bench_resource")
        self.rounds = options.rounds
        self.seconds = options.seconds
        self.bare = BareMetal(huge, options.seconds)
        self.peer_program = options.peer
        self.huge = huge
        self.results = []
        self.kicks_and_calls = []
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
        if len(ratios) > 1:
            result["spread"] = [round(min(ratios), 3), round(max(ratios), 3)]
        self.results.append(result)
        show(result, ratios)

    def perf(self, algo, size, *arguments, sockets=None):
        # In place, as dpdk-test-crypto-perf does it.
        in_place = [] if algo.startswith("rsa") else ["--in-place"]
        sockets = [a for path in sockets or [self.stack.device_socket] for a in ("--socket", path)]
        text = run([self.perf_program, *in_place, *sockets, "--algo", algo, "--size", str(size),
                    "--depth", str(DEPTH), "--seconds", str(self.seconds), "--cpu",
                    str(DRIVER_CPU), "--json", *arguments])
        result = json.loads(text)[0]
        if result["errors"]:
            raise BenchError(f"vcrypto-perf: {result['errors']} errors")
        return result

    def host(self, name, algo, sizes):
        pairs = {size: [] for size in sizes}
        for _ in range(self.rounds):
            self.cross()
            for size in sizes:
                theirs = self.bare.gbit_per_s(algo, size)
                ours = self.perf(algo, size)
                self.kicks_and_calls.append(ours["kicks_per_op"] + ours["calls_per_op"])
                pairs[size].append((ours["gbit_per_s"], theirs))
        for size in sizes:
            self.add(f"host.{name}.{size}", "Gbit/s", pairs[size], self.bare.name)

    def cbc(self):
        self.host("cbc", "aes-128-cbc", SIZES)

    def buffers(self):
        """What memory costs whoever has as much of it in flight as our rows: bare metal with our
        depth, and the library alone, going round as many buffers as 64 devices have."""
        pairs = {(name, size): [] for name in ("cbc", "gcm") for size in DEEP_SIZES}
        library = []
        for _ in range(self.rounds):
            for (name, size), figures in pairs.items():
                few = self.bare.gbit_per_s(f"aes-128-{name}", size)
                if few:
                    figures.append((self.bare.gbit_per_s(f"aes-128-{name}", size, DEPTH), few))
            library.append(tuple(1000 / self._library_ns(n) for n in (DEVICES * DEPTH, DEPTH)))
        for (name, size), figures in pairs.items():
            if figures:
                self.add(f"bare.{name}.{size}", "Gbit/s", figures,
                         "bare metal with fewer in flight")
        self.add(f"library.devices{DEVICES}", "Mop/s", library, "round the buffers of one device")

    def _library_ns(self, buffers):
        text = run([self.resource_program, "--cpu", str(HOST_CPU), "--only", "aes-128-cbc",
                    "--size", "1024", "--burst", "64", "--buffers", str(buffers), "--ns",
                    "--seconds", str(self.seconds)])
        return float(text.split()[-1])

    def gcm(self):
        self.host("gcm", "aes-128-gcm", BULK_SIZES)

    def cbc_hmac_sha1(self):
        self.host("cbc_hmac_sha1", "aes-128-cbc-hmac-sha1", BULK_SIZES)

    def stalls(self):
        """What the machine itself does to everything that is measured on it."""
        rows = [json.loads(run([self.stall_program, str(DRIVER_CPU), str(HOST_CPU)]))
                for _ in range(self.rounds)]
        self.add("machine.stalls", "1/s", [(row["per_s"], None) for row in rows], "")
        self.add("machine.stalled", "per cent", [(row["percent"], None) for row in rows], "")

    def cross(self):
        text = run([self.perf_program, "--crossing", f"{DRIVER_CPU},{HOST_CPU}", "--seconds", "0.5",
                    "--json"])
        self.crossings.append(json.loads(text)[0]["wait_ns"])

    def crossing(self):
        """What a line between the two CPUs took in all rounds so far: a virtual machine may get
        other cores, nearer or farther, at any time."""
        if not self.crossings:
            self.cross()
        for name, value in (("", statistics.median(self.crossings)),
                            (".least", min(self.crossings)), (".most", max(self.crossings))):
            self.add(f"machine.crossing{name}", "ns", [(value, None)], "")

    def kicks(self):
        """Of all that was measured so far."""
        if self.kicks_and_calls:
            self.add("host.kicks_calls_per_op", "each", [(max(self.kicks_and_calls), None)], "")

    def stateless(self):
        """Requests that bring their key, next to those of sessions."""
        pairs = {size: [] for size in STATELESS_SIZES}
        for _ in range(self.rounds):
            for size in STATELESS_SIZES:
                sessions = self.perf("aes-128-cbc", size)
                ours = self.perf("aes-128-cbc", size, "--session-via", "stateless")
                pairs[size].append((ours["gbit_per_s"], sessions["gbit_per_s"]))
        for size in STATELESS_SIZES:
            self.add(f"host.stateless.{size}", "Gbit/s", pairs[size], "the same with a session")

    def peer(self):
        """Another back end behind the same front end, on the same CPU, in turn with ours."""
        if not self.peer_program:
            return
        pairs = {size: [] for size in PEER_SIZES}
        for _ in range(self.rounds):
            self.cross()
            for size in PEER_SIZES:
                # One at a time: its worker never sleeps.
                with peer(self.peer_program, self.huge) as path:
                    theirs = self.perf("aes-128-cbc", size, "--session-via", "msg70",
                                       sockets=[path])
                pairs[size].append((self.perf("aes-128-cbc", size)["gbit_per_s"],
                                    theirs["gbit_per_s"]))
        for size in PEER_SIZES:
            self.add(f"peer.cbc.{size}", "Gbit/s", pairs[size], "DPDK's vhost_crypto")

    def devices(self):
        """Many devices on one worker: one of them active, and all, next to one alone."""
        config = HOST_CONFIG + "".join(
            f"  - {{{{name: many{i}, socket: {{dir}}/many{i}.sock, group: default, queues: 1}}}}\n"
            for i in range(DEVICES - 2))
        one, every = [], []
        with self.vctest.Stack(host_config=config, engined=False) as stack:
            names = ["dev0", "engined-device", *(f"many{i}" for i in range(DEVICES - 2))]
            sockets = [os.path.join(stack.dir, f"{name}.sock") for name in names]
            for _ in range(self.rounds):
                self.cross()
                alone_mops = self.perf("aes-128-cbc", 1024)["ops_per_s"] / 1e6
                one.append((self.perf("aes-128-cbc", 1024, sockets=sockets[:1])["ops_per_s"] / 1e6,
                            alone_mops))
                every.append((self.perf("aes-128-cbc", 1024, sockets=sockets)["ops_per_s"] / 1e6,
                              alone_mops))
        self.add(f"host.devices{DEVICES}.one", "Mop/s", one, "one device alone")
        self.add(f"host.devices{DEVICES}", "Mop/s", every, "one device alone")

    def hostile(self):
        """A device beside one whose front end breaks every rule, on one worker. With two CPUs both
        front ends share one: the good one then sleeps while it waits, with and without the other,
        and goes first. What sharing that CPU costs is measured by a loop in the hostile one's place,
        which asks the host for nothing."""
        program = os.path.join(self.vctest.BUILD, "tests/functional/hostile/test-hostile")
        if not os.access(program, os.X_OK):
            print("(test-hostile is not built: no hostile front end)")
            return
        cpus = os.sched_getaffinity(0) - {DRIVER_CPU, HOST_CPU}
        options, place = ([], ["taskset", "-c", str(min(cpus))]) if cpus else (
            ["--sleep"], ["taskset", "-c", str(DRIVER_CPU), "nice", "-n", "10"])
        pairs = {(suffix, size): [] for size in HOSTILE_SIZES for suffix in ("", ".loop")}
        with self.vctest.Stack(host_config=HOST_CONFIG, engined=False,
                               log_level="error") as stack:
            commands = {"": [program, "--seconds", "3600", "--socket",
                             os.path.join(stack.dir, "engined-device.sock")],
                        ".loop": ["sh", "-c", "while :; do :; done"]}
            for size in HOSTILE_SIZES * self.rounds:
                sockets = [stack.device_socket]
                alone_gbit = self.perf("aes-128-cbc", size, *options, sockets=sockets)
                for suffix, command in commands.items():
                    with subprocess.Popen([*place, *command], stdout=subprocess.DEVNULL) as other:
                        try:
                            beside = self.perf("aes-128-cbc", size, *options, sockets=sockets)
                            if other.poll() is not None:
                                raise BenchError("the other front end gave up")
                        finally:
                            other.kill()
                    pairs[suffix, size].append((beside["gbit_per_s"], alone_gbit["gbit_per_s"]))
        for (suffix, size), both in pairs.items():
            name = "host.hostile" if size == HOSTILE_SIZES[-1] else f"host.hostile.{size}"
            self.add(name + suffix, "Gbit/s", both, "without it")

    def sched(self):
        """What choosing and ordering cost."""
        bench_pool.scheduler(self)

    def pool(self):
        """Two unlike resources together."""
        bench_pool.pool(self)

    def failover(self):
        """The primary resource of a group goes while it has all it can do."""
        bench_failover.failover(self)

    def qos(self):
        """Weights, and what a light device has of others that flood."""
        bench_qos.measure(self)

    def sessions(self):
        """Sessions made and destroyed again."""
        for via in ("ctrlq", "inband"):
            rates = []
            for _ in range(self.rounds):
                text = run([self.perf_program, "--socket", self.stack.device_socket, "--algo",
                            "aes-128-cbc", "--sessions", "--session-via", via, "--seconds",
                            str(self.seconds), "--cpu", str(DRIVER_CPU), "--json"])
                rates.append((json.loads(text)[0]["sessions_per_s"], None))
            name = "host.sessions_per_s" + ("" if via == "ctrlq" else f".{via}")
            self.add(name, "1/s", rates, "")

    def memory(self):
        """Resident size of a host that nobody has used yet, and what each further device adds."""
        config = HOST_CONFIG + "".join(
            f"  - {{{{name: many{i}, socket: {{dir}}/many{i}.sock, group: default, queues: 1}}}}\n"
            for i in range(DEVICES))
        sizes = []
        for text in (HOST_CONFIG, config):
            with self.vctest.Stack(host_config=text, engined=False) as stack:
                time.sleep(0.5)
                sizes.append(resident_mib(stack.daemons[0].pid))
        self.add("host.rss_idle_mib", "MiB", [(sizes[0], None)], "")
        self.add("host.rss_device_mib", "MiB", [((sizes[1] - sizes[0]) / DEVICES, None)], "")

    def openssl_speed(self, env, *arguments):
        return run(["openssl", "speed", "-elapsed", "-seconds", str(self.seconds), *arguments],
                   cpu=DRIVER_CPU, env=env)

    def rsa(self):
        pairs = []
        for _ in range(self.rounds):
            theirs = openssl_speed.signs_per_second(self.openssl_speed(self.plain_env, "rsa2048"))
            pairs.append((self.perf("rsa2048", 256)["ops_per_s"], theirs))
        self.add("rsa2048", "op/s", pairs, "openssl speed, 1 core")

    @staticmethod
    def accepts(stack):
        """Whether the host has, here, what its configuration asks for."""
        return not subprocess.run(
            [stack.host.program, "--config", stack.host.config, "--check-config"],
            capture_output=True, check=False).returncode

    def cryptomb(self):
        """RSA eight at a time; the worker and the thread behind it share one CPU, and the driver,
        which has little to do, sleeps while it waits."""
        pairs = []
        stack = self.vctest.Stack(host_config=CRYPTOMB_CONFIG, engined=False)
        if not self.accepts(stack):
            shutil.rmtree(stack.dir)
            print("(built without libcrypto-mb, or not the CPU for it: no RSA eight at a time)")
            return
        with contextlib.ExitStack() as exits:
            with bench_openssl.pinned(HOST_CPU):
                exits.enter_context(stack)
            for _ in range(self.rounds):
                theirs = openssl_speed.signs_per_second(
                    self.openssl_speed(self.plain_env, "rsa2048"))
                ours = self.perf("rsa2048", 256, "--depth", str(RSA_DEPTH), "--sleep",
                                 sockets=[stack.device_socket])["ops_per_s"]
                pairs.append((ours, theirs))
        self.add("cryptomb.rsa2048", "op/s", pairs, "openssl speed, 1 core")

    def openssl(self):
        """OpenSSL's programs and haproxy, both daemons on one CPU."""
        bench_openssl.measure(self)

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


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text("ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


# ---- showing


def show(result, ratios):
    against = result["against"]
    line = f"{result['name']:<26} {result['value']:>12,.2f} {result['unit']:<12}"
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
    print(f"{'':<26} {'vcrypto':>12} {'':<12} {'against':>12} {'ratio':>7}")


def main():
    parser = argparse.ArgumentParser(description="vcrypto next to what it is made of")
    parser.add_argument("--build", default="build", help="build directory")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions (default 5)")
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement (default 1)")
    parser.add_argument("--peer", metavar="PROGRAM",
                        help="DPDK's vhost_crypto example, to be measured too")
    parser.add_argument("--only", default=ROWS,
                        help="which rows, comma-separated (default: all)")
    options = parser.parse_args()
    unknown = sorted(set(options.only.split(",")) - set(ROWS.split(",")))
    if unknown:
        parser.error(f"--only: there is no {', '.join(unknown)}; there are {ROWS}")
    build = pathlib.Path(options.build).resolve()
    os.environ["VCRYPTO_BUILD"] = str(build)
    import vctest  # reads $VCRYPTO_BUILD  # pylint: disable=import-outside-toplevel

    if not {DRIVER_CPU, HOST_CPU} <= os.sched_getaffinity(0):
        print(f"bench: needs CPUs {DRIVER_CPU} and {HOST_CPU}", file=sys.stderr)
        return 1
    vctest.stop_on_signals()
    engined_cpu = 2 if 2 in os.sched_getaffinity(0) else DRIVER_CPU
    try:
        with alone(), huge_pages(HUGE_PAGES + bool(options.peer) * PEER_HUGE_PAGES) as huge, \
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
