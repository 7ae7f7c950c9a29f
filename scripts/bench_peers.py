# SPDX-License-Identifier: Apache-2.0
"""What `make bench` compares vcrypto with: bare metal, and another vhost-user-crypto back end."""
import contextlib
import os
import shutil
import subprocess
import tempfile
import time

DRIVER_CPU = 0
HOST_CPU = 1
# What dpdk-test-crypto-perf has in flight if nothing else is said.
BURST = 32

# The same in both tools: key, IV, additional data and tag of our names for algorithms.
CBC = ["--cipher-algo", "aes-cbc", "--cipher-op", "encrypt", "--cipher-key-sz", "16",
       "--cipher-iv-sz", "16"]
ALGORITHMS = {
    "aes-128-cbc": ["--optype", "cipher-only", *CBC],
    "aes-128-cbc-hmac-sha1": ["--optype", "cipher-then-auth", *CBC, "--auth-algo", "sha1-hmac",
                              "--auth-op", "generate", "--auth-key-sz", "20", "--digest-sz", "20"],
    "aes-128-gcm": ["--optype", "aead", "--aead-algo", "aes-gcm", "--aead-op", "encrypt",
                    "--aead-key-sz", "16", "--aead-iv-sz", "12", "--aead-aad-sz", "13",
                    "--digest-sz", "16"],
}


class BenchError(Exception):
    """What went wrong, as a sentence."""


def cpu_seconds(pid):
    """CPU time of a whole process: its clock, as clock_getcpuclockid() makes the number."""
    return time.clock_gettime((~pid << 3) | 2)


def run(command, cpu=None, env=None, timeout=120):
    if cpu is not None:
        command = ["taskset", "-c", str(cpu), *command]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command[:6])} ... failed:\n"
                         f"{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout + done.stderr


def eal(huge):
    """DPDK's own arguments: two threads, the working one on the host's CPU; no hardware."""
    memory = ["--in-memory"] if huge >= 300 else ["--no-huge"]
    return [*memory, "-m", "512", "--no-pci", "--no-telemetry", "--force-max-simd-bitwidth=512",
            "-l", f"{DRIVER_CPU},{HOST_CPU}", "--main-lcore", str(DRIVER_CPU),
            "--vdev", "crypto_aesni_mb", "--"]


class BareMetal:
    """dpdk-test-crypto-perf with the same multi-buffer library, on the host's CPU."""

    name = "bare metal, 1 core"

    def __init__(self, huge, seconds):
        self.program = shutil.which("dpdk-test-crypto-perf")
        self.huge = huge
        self.seconds = seconds
        self.operations = {}

    def gbit_per_s(self, algo, size, burst=BURST):
        if not self.program:
            return None
        key = algo, size, burst
        operations = self.operations.get(key, 200000)
        gbit, mops = self._measure(*key, operations)
        if operations < mops * 1e6 * self.seconds / 2:
            # That was to learn how many make up the time.
            self.operations[key] = int(mops * 1e6 * self.seconds)
            gbit, _ = self._measure(*key, self.operations[key])
        return gbit

    def _measure(self, algo, size, burst, operations):
        text = run([self.program, *eal(self.huge), "--ptest", "throughput",
                    "--devtype", "crypto_aesni_mb", *ALGORITHMS[algo],
                    "--buffer-sz", str(size), "--burst-sz", str(burst),
                    "--total-ops", str(operations), "--silent"])
        for line in text.splitlines():
            words = line.split()
            if len(words) == 10 and words[0] == str(HOST_CPU) and words[1] == str(size):
                return float(words[8]), float(words[7])
        raise BenchError(f"dpdk-test-crypto-perf says something else than expected:\n{text}")


@contextlib.contextmanager
def peer(program, huge):
    """DPDK's vhost_crypto example, running on the host's CPU; yields its socket."""
    with tempfile.TemporaryDirectory(prefix="vcrypto-peer-") as folder:
        socket = os.path.join(folder, "peer.sock")
        with open(os.path.join(folder, "log"), "w+", encoding="utf-8") as log:
            with subprocess.Popen([program, *eal(huge), "--config", f"({HOST_CPU},0,0)",
                                   "--socket-file", f"{HOST_CPU},{socket}"],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
                try:
                    _peer_ready(process, socket, log)
                    yield socket
                finally:
                    process.kill()


def _peer_ready(process, socket, log):
    end = time.monotonic() + 20
    while not os.path.exists(socket):
        if process.poll() is not None or time.monotonic() > end:
            log.seek(0)
            raise BenchError(f"the peer does not start:\n{log.read()[-2000:]}")
        time.sleep(0.1)
    # Its first thread (and only that) spins without need on the driver's CPU: it may have what is
    # left over.
    os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
