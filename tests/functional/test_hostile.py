#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A front end that breaks every rule, fast and for long, beside one that keeps them.

Both devices are polled by one worker. The hostile one (hostile/main.c) is let loose until a million
requests have been made; the other one's every result is compared with libcrypto's meanwhile. At the
end the host must have nothing left of it. The seed is printed; VCRYPTO_TEST_SEED repeats a run.
"""

import json
import os
import subprocess
import time

import vctest
from hostfixture import Driver, Host
from vctest import check, equal

HOSTILE = os.path.join(vctest.BUILD, "tests/functional/hostile/test-hostile")
SEED = int(os.environ.get("VCRYPTO_TEST_SEED", "20"), 0)
# A sanitizer makes the hostile one slow.
REQUESTS = int(os.environ.get("VCRYPTO_TEST_REQUESTS",
                              "200000" if "VCRYPTO_PRELOAD" in os.environ else "1000000"))
# What may be left: caches of malloc and of libcrypto, and bounce buffers once touched.
LEFT_KIB = 40 << 10
ALGORITHMS = ("aes-128-cbc", "aes-128-gcm", "aes-128-cbc-hmac-sha1")


def hostile(host, *arguments):
    return subprocess.Popen([HOSTILE, "--socket", host.path, *map(str, arguments)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=host.env)


def behaved(host, algorithm):
    """Some seconds of requests of the other device, each compared. Its row of figures."""
    done = host.run([vctest.program("vcrypto-perf"), "--socket", host.other, "--algo", algorithm,
                     "--size", "1024", "--depth", "64", "--seconds", "1", "--verify", "--json"])
    row = json.loads(done.stdout)[0]
    equal(row["errors"], 0, f"errors of {algorithm}")
    check(row["ops_per_s"] > 100, f"the other device starves: {row}")
    return row


def test_a_million_hostile_requests_beside_a_good_device():
    print(f"# seed {SEED}")
    with Host(log_level="error") as host:
        # Once, so that what is made at first use is there.
        equal(hostile(host, "--seed", SEED + 1, "--requests", 20000).wait(300), 0, "a first run")
        host.wait_free()
        behaved(host, ALGORITHMS[0])
        files, memory = host.files(), vctest.resident_kib(host.host.pid)
        process = hostile(host, "--seed", SEED, "--requests", REQUESTS)
        try:
            rounds = 0
            while process.poll() is None:
                behaved(host, ALGORITHMS[rounds % len(ALGORITHMS)])
                rounds += 1
            said = process.communicate()[0]
        finally:
            process.kill()
            process.wait()
        print(f"# {said.strip()}; {rounds} rounds of the other device")
        equal(process.returncode, 0, f"the hostile front end's status: {said}")
        check(json.loads(said.splitlines()[-1])["requests"] >= REQUESTS, said)
        check(rounds, "the other device had no turn")
        host.wait_free()
        status = host.device()
        equal(status["sessions"], 0, "sessions that are left")
        equal(status["memory_regions"], 0, "memory that is left")
        with Driver(host.path) as driver:
            driver.check_works()
        host.wait_free()
        equal(host.files(), files, "descriptors of the host")
        # A sanitizer keeps what was freed; it looks for leaks itself when the host ends.
        if "VCRYPTO_PRELOAD" in os.environ:
            return
        grown = vctest.resident_kib(host.host.pid) - memory
        check(grown < LEFT_KIB, f"{grown} KiB more are resident than before")


if __name__ == "__main__":
    vctest.main(globals())
