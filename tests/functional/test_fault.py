#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resources of type fault in a live host: whatever they do, applications get right results; how
vcryptoctl steers them. And threads that a group has for itself."""

import contextlib
import json
import os
import signal
import subprocess
import time

import vctest
from vctest import check, contains, equal, wait_until

CONFIG = """\
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: sw, type: libcrypto, threads: 2}}
  - {{name: flaky, type: fault, of: mb}}
  - {{name: slow, type: fault, of: sw}}
groups:
  - {{name: default, primary: [flaky, slow], secondary: [sw]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, queues: 2}}
"""

SHARE_CONFIG = """\
resources:
  - {{name: sw, type: libcrypto, threads: 3}}
groups:
  - {{name: default, primary: [sw]}}
  - {{name: gold, primary: [sw], share: [{{resource: sw, threads: 1}}]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock}}
  - {{name: gold, socket: {dir}/gold.sock, group: gold}}
"""

CASES = os.path.join(vctest.BUILD, "tests/functional/provider/test-provider-cases")
ALGOS = "aes-128-cbc,aes-256-gcm-dec,aes-128-cbc-hmac-sha1"


def fault(stack, name, **settings):
    """Set faults of a resource."""
    texts = {key.replace("_", "-"): str(value) for key, value in settings.items()}
    return stack.ctl("host", "fault", resource=name, set=texts)


def clear(stack, name):
    return stack.ctl("host", "fault", resource=name, clear=True)


def resource(stack, name):
    return next(r for r in stack.ctl("host", "status")["resources"] if r["name"] == name)


@contextlib.contextmanager
def load(stack, *arguments, socket="dev0.sock", seconds=None):
    """vcrypto-perf meanwhile (or for so long), which must find nothing wrong. Yields a list; at the
    end it has the results in it."""
    results = []
    with subprocess.Popen([vctest.program("vcrypto-perf"), "--socket",
                           os.path.join(stack.dir, socket), "--json",
                           "--seconds", str(seconds or 3600), *arguments],
                          env=stack.env, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield results
            if not seconds:
                process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    equal((process.returncode, errors), (0, ""), "vcrypto-perf's status and errors")
    results += json.loads(output)


def test_right_results_while_faults_come_and_go():
    faults = [{"delay": "uniform:0-300"}, {"error_rate": "0.2"}, {"reorder": "32"},
              {"delay": "exponential:100", "reorder": "7", "error_rate": "0.05"},
              {"hang": "yes", "for_ms": "40"}, {"dead": "yes"}, {"refuse": "yes", "for_ms": "30"},
              {"error_rate": "1"}, {"dead": "yes", "after": "100", "for_ms": "20"}]
    with vctest.Stack(engined=False, host_config=CONFIG) as stack:
        with load(stack, "--algo", ALGOS, "--size", "1008", "--depth", "128", "--queues", "2",
                  "--verify", "--sleep", seconds=1.5) as results:
            wait_until(lambda: resource(stack, "flaky")["completed"], what="it has begun")
            end = time.monotonic() + 3.5
            while time.monotonic() < end:
                for settings in faults:
                    fault(stack, "flaky", **settings)
                    time.sleep(0.05)
                    clear(stack, "flaky")
                    time.sleep(0.01)
        for result in results:
            check(result["verified"] > 500, f"results were compared: {result}")
        counters = stack.ctl("host", "fault", resource="flaky")["counters"]
        for name in ("delayed", "errors", "killed"):
            check(counters[name] > 0, f"{name} is counted")
        check(resource(stack, "slow")["completed"] > 0, "the others stood in")
        status = stack.ctl("host", "status")
        for queue in status["devices"][0]["queues"]:
            equal(set(queue["errors"].values()), {0}, "errors that the guest saw")


def test_others_do_what_hangs():
    """In place, too: the group's deadline passes, and what comes after it touches nothing."""
    config = CONFIG.replace("secondary: [sw]", "secondary: [sw], deadline-ms: 5")
    with vctest.Stack(engined=False, host_config=config) as stack:
        with load(stack, "--algo", "aes-128-cbc", "--size", "2048", "--in-place", "--depth", "64",
                  "--verify", "--sleep"):
            for _ in range(3):
                wait_until(lambda: resource(stack, "flaky")["completed"], what="it works")
                fault(stack, "flaky", hang="yes")
                wait_until(lambda: resource(stack, "flaky")["in_flight"], what="some hang")
                before = resource(stack, "slow")["completed"]
                wait_until(lambda: resource(stack, "slow")["completed"] > before + 1000,
                           what="the others do it")
                clear(stack, "flaky")
        wait_until(lambda: not resource(stack, "flaky")["in_flight"], what="all came late")
        equal(set(stack.ctl("host", "status")["devices"][0]["queues"][0]["errors"].values()), {0},
              "errors that the guest saw")


def test_in_place_and_from_a_seed():
    with vctest.Stack(engined=False, host_config=CONFIG) as stack:
        fault(stack, "flaky", seed=5, error_rate="0.1", delay="fixed:20", reorder=16)
        with load(stack, "--algo", "aes-128-cbc", "--size", "4096", "--in-place", "--depth", "64",
                  "--verify", seconds=1):
            pass
        check(stack.ctl("host", "fault", resource="flaky")["counters"]["errors"] > 0, "errors")


def test_openssl_over_faults():
    """The provider has nothing to fall back on."""
    with vctest.Stack(host_config=CONFIG) as stack:
        for name in ("flaky", "slow"):
            fault(stack, name, delay="uniform:0-200", error_rate="0.1", reorder=4)
        stack.run([CASES, "cases", "jobs"], timeout=300, env=stack.openssl_env(
            foreign=False, fallback="off", deadline_ms="20000", policy="always"))
        fallback = stack.ctl("engined", "status")["totals"]["fallback"]
        # Keys and points that the device refuses are none of it.
        del fallback["notsupp"]
        equal(sum(fallback.values()), 0, "fallen back")
        for name in ("flaky", "slow"):
            counters = stack.ctl("host", "fault", resource=name)["counters"]
            check(counters["errors"] > 0, f"{name} has failed some")


def test_dead_from_the_start_in_the_file():
    config = CONFIG.replace("of: mb", "of: mb, faults: {{dead: true, seed: 9}}")
    with vctest.Stack(engined=False, host_config=config) as stack:
        answer = stack.ctl("host", "fault", resource="flaky")
        equal(answer["faults"], {"dead": "yes", "seed": "9"})
        equal(answer["active"], answer["workers"], "workers in which it has begun")
        with load(stack, "--algo", "aes-128-gcm", seconds=0.3):
            pass
        equal(resource(stack, "flaky")["completed"], 0, "of the dead")
        check(stack.ctl("host", "fault", resource="flaky")["counters"]["sessions_refused"] > 0,
              "it has refused the session")


def test_host_ends_though_requests_hang():
    with vctest.Stack(engined=False, host_config=CONFIG) as stack:
        fault(stack, "flaky", hang="yes")
        with subprocess.Popen([vctest.program("vcrypto-perf"), "--socket", stack.device_socket,
                               "--algo", "aes-128-cbc", "--seconds", "30"], env=stack.env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: resource(stack, "flaky")["in_flight"], what="some hang")
                begin = time.monotonic()
                stack.host.stop()
                check(time.monotonic() - begin < 8, "it does not wait for what hangs")
            finally:
                process.kill()


def test_vcryptoctl_shows_and_sets():
    with vctest.Stack(engined=False, host_config=CONFIG) as stack:
        done = stack.vcryptoctl("fault", "flaky", "delay=fixed:7", "error-rate=0.5", "hang=no")
        equal((done.returncode, done.stderr), (0, ""))
        for part in ("resource flaky over mb", "delay=fixed:7", "error-rate=0.5"):
            contains(done.stdout, part)
        check("hang" not in done.stdout, "what is as without faults is not shown")
        done = stack.vcryptoctl("fault", "flaky", "reorder=3", "--json")
        equal(json.loads(done.stdout)["faults"],
              {"delay": "fixed:7", "error-rate": "0.5", "reorder": "3"}, "all that was set")
        contains(stack.vcryptoctl("--host", "status").stdout,
                 "faults of flaky: delay=fixed:7 error-rate=0.5 reorder=3")
        contains(stack.host.log(), "resource flaky: faults, by the administrator: delay=fixed:7")
        equal(json.loads(stack.vcryptoctl("fault", "flaky", "clear", "--json").stdout)["faults"],
              {}, "after clear")
        check("faults of" not in stack.vcryptoctl("--host", "status").stdout, "none is shown")


def test_vcryptoctl_says_what_is_wrong():
    with vctest.Stack(engined=False, host_config=CONFIG) as stack:
        for arguments, status, sentence in (
                ((), 2, "the name of a resource is missing"),
                (("flaky", "hang"), 2, '"hang" is not KEY=VALUE'),
                (("flaky", "clear", "hang=yes"), 2, '"clear" is not KEY=VALUE'),
                (("flaky", "=yes"), 2, '"=yes" is not KEY=VALUE'),
                (("nobody",), 1, 'there is no resource "nobody"'),
                (("mb", "hang=yes"), 1, "is of type ipsec-mb, not fault"),
                (("flaky", "hang=often"), 1, "it must be yes or no"),
                (("flaky", "reorder=3", "bad-rate=1"), 1, 'there is no fault "bad-rate"')):
            done = stack.vcryptoctl("fault", *arguments)
            equal(done.returncode, status, str(arguments))
            contains(done.stderr, sentence)
        equal(stack.ctl("host", "fault", resource="flaky")["faults"], {}, "nothing was set")
        for request, sentence in (({}, "must be the name"), ({"resource": 5}, "must be the name"),
                                  ({"resource": "flaky", "set": 5}, "must be an object"),
                                  ({"resource": "flaky", "set": {"hang": True}}, "a text")):
            with vctest.raises(vctest.ControlError, sentence):
                stack.ctl("host", "fault", **request)


def test_group_with_threads_of_its_own():
    """One group floods; the other's work is done by its own thread, and goes on."""
    with vctest.Stack(engined=False, host_config=SHARE_CONFIG) as stack:
        equal({r["name"]: r["threads"] for r in stack.ctl("host", "status")["resources"]},
              {"sw": 2, "sw/gold": 1})
        with load(stack, "--algo", "rsa4096", "--depth", "128", "--sleep") as flood:
            wait_until(lambda: resource(stack, "sw")["completed"], what="the flood has begun")
            with load(stack, "--algo", "rsa2048", "--depth", "8", "--sleep", socket="gold.sock",
                      seconds=1) as gold:
                pass
            done = resource(stack, "sw/gold")["completed"]
        check(gold[0]["ops_per_s"] > 10, f"it goes on: {gold}")
        check(flood[0]["ops_per_s"] > 1, f"the flood, too: {flood}")
        # Warm-up and what was in flight at the end are not in its figure.
        check(done >= gold[0]["ops_per_s"], "by the thread that is its own")
        queue = stack.ctl("host", "status")["devices"][1]["queues"][0]
        equal(queue["requests"], done, "all of them, and nobody else's")


if __name__ == "__main__":
    vctest.main(globals())
