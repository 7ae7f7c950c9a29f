#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcrypto-host with resources of type dpdk: DPDK's software devices, driven through vhost-user and
checked against libcrypto by vcrypto-perf; and what DPDK must not do to the process or the machine.
"""

import json
import os
import subprocess
import tempfile

import vctest
from vctest import check, contains, equal

CPU = max(os.sched_getaffinity(0))
# Braces are doubled, for vctest's format().
POOL = """\
workers: [CPU]
resources:
RESOURCES
groups:
  - {{name: default, primary: [PRIMARY], secondary: [SECONDARY]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock}}
"""
VDEV = "  - {{name: NAME, type: dpdk, vdev: 'VDEV'}}"
SOFTWARE = "  - {{name: sw, type: libcrypto}}"
MULTI_BUFFER = [
    "aes-128-cbc", "aes-192-cbc-dec", "aes-256-cbc", "aes-128-ctr", "aes-256-ctr-dec", "aes-128-gcm",
    "aes-256-gcm-dec", "aes-128-ccm", "chacha20-poly1305-dec", "aes-128-cbc-hmac-sha1",
    "aes-256-cbc-hmac-sha256-dec", "sha256", "hmac-sha512", "aes-128-ecb"]
CIPHERS = ["aes-128-cbc", "aes-256-cbc-dec", "aes-128-ctr"]
OPENSSL = [
    "aes-128-cbc", "aes-256-cbc-dec", "aes-128-ctr", "aes-256-gcm", "aes-128-gcm-dec", "aes-256-ccm",
    "3des-cbc", "aes-128-cbc-hmac-sha1", "sha512", "hmac-sha1", "rsa2048", "rsa2048-pub"]


def pool(vdevs, secondary="", more=()):
    lines = [VDEV.replace("NAME", name).replace("VDEV", vdev) for name, vdev in vdevs] + list(more)
    return (POOL.replace("CPU", str(CPU)).replace("RESOURCES", "\n".join(lines))
            .replace("PRIMARY", ", ".join(name for name, _ in vdevs)).replace("SECONDARY", secondary))


def stack(config):
    return vctest.Stack(engined=False, host_config=config)


def perf(running, algorithms, sizes, *arguments):
    """Every result is compared; returns what vcrypto-perf measured."""
    out = running.run([vctest.program("vcrypto-perf"), "--socket", running.device_socket, "--verify",
                       "--algo", ",".join(algorithms), "--size", ",".join(map(str, sizes)),
                       "--depth", "64", "--seconds", "0.1", "--json", *arguments]).stdout
    rows = json.loads(out)
    for row in rows:
        check(row["verified"] > 0 and not row["errors"], f"{row}")
    return rows


def completed(running):
    """By resource."""
    return {r["name"]: r["completed"] for r in running.ctl("host", "status")["resources"]}


def check_config(text):
    """What --check-config says of a file, without its name."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text.format(dir="/tmp"))
        file.flush()
        with tempfile.TemporaryDirectory(prefix="vct-") as directory:
            done = subprocess.run(
                [vctest.program("vcrypto-host"), "--config", file.name, "--check-config"],
                env={**os.environ, "VCRYPTO_RUNTIME_DIR": directory}, text=True, timeout=60,
                stdin=subprocess.DEVNULL, capture_output=True, check=False)
            equal(os.listdir(directory), [], "left in the runtime directory")
        return done.returncode, done.stdout + done.stderr.replace(file.name, "FILE")


def dpdk_files():
    """Where DPDK leaves things."""
    found = []
    for place in ("/var/run/dpdk", "/dev/hugepages", "/tmp/dpdk"):
        for directory, _, names in os.walk(place):
            found += [directory, *(os.path.join(directory, name) for name in names)]
    return sorted(found)


def mapped(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        return file.read()


def test_a_pool_of_the_multi_buffer_device_answers_right():
    with stack(pool([("d", "crypto_aesni_mb0")])) as running:
        perf(running, MULTI_BUFFER, [16, 64, 1504, 16384])
        perf(running, CIPHERS, [64, 4096], "--in-place")


def test_a_pool_of_the_openssl_device_answers_right():
    with stack(pool([("d", "crypto_openssl0")])) as running:
        perf(running, OPENSSL, [16, 1504, 16384])
        perf(running, CIPHERS, [64, 4096, 131072], "--in-place")


def test_what_a_device_cannot_do_is_done_by_the_secondary():
    config = pool([("d", "crypto_aesni_mb0"), ("n", "crypto_null0")], "sw", [SOFTWARE])
    with stack(config) as running:
        perf(running, ["aes-128-cbc"], [1024])
        before = completed(running)
        equal(before["sw"], 0, "done by libcrypto")
        # No such algorithm; and the right one, but too long for this device.
        perf(running, ["aes-128-xts", "rsa2048", "sha3-256"], [1024])
        perf(running, ["aes-128-cbc"], [131072])
        after = completed(running)
        check(after["sw"] > 0, "nothing was done by libcrypto")
        equal(after["n"], 0, "done by a device that can do nothing")


def test_a_device_that_can_do_nothing_is_no_pool():
    code, said = check_config(pool([("d", "crypto_null0")]))
    equal(code, 1, "exit status")
    contains(said, 'group "default": no resource of it can do anything')


def test_too_few_queue_pairs_are_said():
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise vctest.Skip("needs two CPUs")
    config = pool([("d", "crypto_openssl0,max_nb_queue_pairs=1")])
    code, said = check_config(config.replace(f"[{CPU}]", f"[{cpus[0]}, {cpus[1]}]"))
    equal(code, 1, "exit status")
    contains(said, 'FILE:3: resource "d": the device \'crypto_openssl0\' has 1 queue pairs, and '
                   "there are 2 workers")


def test_a_device_that_is_not_there_is_said():
    code, said = check_config(pool([("d", "crypto_nosuch0")]))
    equal(code, 1, "exit status")
    contains(said, 'FILE:3: resource "d": DPDK cannot make the vdev \'crypto_nosuch0\'')
    real = pool([("d", "x")]).replace("vdev: 'x'", "device: '0000:ff:1f.7'")
    code, said = check_config(real + "dpdk: {{huge-pages: false}}\n")
    equal(code, 1, "exit status")
    contains(said, 'FILE:3: resource "d": DPDK has no crypto device \'0000:ff:1f.7\'')


def test_an_argument_that_dpdk_does_not_know_is_said():
    code, said = check_config(pool([("d", "crypto_null0")]) + "dpdk: {{eal: [--no-such-thing]}}\n")
    equal(code, 1, "exit status")
    contains(said, "DPDK's environment does not start")
    check("Usage:" not in said, said)


def test_several_hosts_side_by_side():
    before = dpdk_files()
    with stack(pool([("d", "crypto_aesni_mb0")])) as one:
        with stack(pool([("d", "crypto_aesni_mb0"), ("e", "crypto_openssl0")])) as other:
            perf(one, ["aes-128-cbc"], [1024])
            perf(other, ["aes-128-cbc"], [1024])
            equal(dpdk_files(), before, "files while they run")
        perf(one, ["aes-128-gcm"], [1024])
    equal(dpdk_files(), before, "files afterwards")


def test_dpdk_fits_into_the_process():
    with stack(pool([("d", "crypto_aesni_mb0")])) as running:
        pid = running.host.pid
        names = {}
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as file:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            names[fields["Name"]] = int(tid)
            if running.ctl("host", "status")["sandbox"] == "full":
                equal(fields["Seccomp"], "2", f"Seccomp of {fields['Name']}")
                equal(int(fields["CapEff"], 16), 0, f"capabilities of {fields['Name']}")
        equal(os.sched_getaffinity(names["vc-worker/0"]), {CPU}, "CPUs of the worker")
        others = os.sched_getaffinity(0) - {CPU}
        equal(os.sched_getaffinity(pid), others or {CPU}, "CPUs of the main thread")
        check("librte_cryptodev" in mapped(pid), "DPDK is not there")
        equal(sorted(n for n in os.listdir(running.dir) if n.startswith("dpdk")), [],
              "left in the runtime directory")


def test_without_such_a_resource_there_is_no_dpdk():
    with vctest.Stack(engined=False) as running:
        check("librte" not in mapped(running.host.pid), "DPDK's libraries are loaded")


def test_none_is_added_later():
    with vctest.Stack(engined=False) as running:
        try:
            running.ctl("host", "add", yaml="resources: [{name: x, type: dpdk, vdev: crypto_null0}]",
                        name="argument")
        except vctest.ControlError as error:
            contains(str(error), "the type dpdk is made at the start of the daemon only")
        else:
            raise vctest.Failure("it was added")


def test_a_fault_of_a_device_has_queues_of_its_own():
    config = pool([("d", "crypto_aesni_mb0")], more=["  - {{name: f, type: fault, of: d}}"])
    with stack(config.replace("primary: [d]", "primary: [f]")) as running:
        perf(running, ["aes-128-cbc", "aes-128-gcm"], [1024])
        check(completed(running)["f"] > 0, "nothing came by way of the fault")


if __name__ == "__main__":
    vctest.main(globals())
