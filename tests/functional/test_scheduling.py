#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Policies, deadlines and health in a live host: who gets the requests, and that applications see
right results whoever it is."""

import json
import os
import subprocess
import time

import vctest
from test_fault import clear, fault, load, resource
from vctest import check, contains, equal, wait_until

POLICY_CONFIG = """\
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: sw, type: libcrypto}}
  - {{name: last, type: libcrypto}}
groups:
  - name: default
    policy: {policy}
    primary: [mb, sw]
    secondary: [last]
devices:
  - {{name: dev0, socket: {dir}/dev0.sock}}
"""

DEADLINE_CONFIG = """\
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: card, type: fault, of: mb, circuit: {{failures: 4, backoff-ms: 50}}}}
  - {{name: sw, type: libcrypto}}
groups:
  - {{name: default, primary: [card], secondary: [sw], deadline-ms: 20, {more}}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, order: {order}}}
"""


def text(template, **values):
    """Of a configuration of which vctest fills in the rest."""
    for key, value in values.items():
        template = template.replace("{" + key + "}", value)
    return template


def completed(stack):
    return {r["name"]: r["completed"] for r in stack.ctl("host", "status")["resources"]}


def run_load(stack, *arguments):
    before = completed(stack)
    with load(stack, "--verify", "--sleep", *arguments, seconds=0.5):
        pass
    after = completed(stack)
    return {name: after[name] - before[name] for name in after}


def policy_stack(policy):
    return vctest.Stack(engined=False, host_config=text(POLICY_CONFIG, policy=policy))


def test_round_robin_spreads_over_the_primaries():
    with policy_stack("round-robin") as stack:
        done = run_load(stack, "--algo", "aes-128-cbc", "--size", "256", "--depth", "64")
        check(done["mb"] > 0 and done["sw"] > 0, f"both had some: {done}")
        equal(done["last"], 0, "the secondary's")


def test_least_inflight_spreads_over_the_primaries():
    with policy_stack("least-inflight") as stack:
        done = run_load(stack, "--algo", "aes-128-cbc", "--size", "256", "--depth", "64")
        check(done["mb"] > 0 and done["sw"] > 0, f"both had some: {done}")
        equal(done["last"], 0, "the secondary's")


def test_size_goes_by_size():
    with policy_stack("size\n    size-threshold: 1KiB") as stack:
        small = run_load(stack, "--algo", "aes-128-cbc", "--size", "1008", "--depth", "8")
        equal((small["sw"], small["last"]), (0, 0), "small ones of the second")
        large = run_load(stack, "--algo", "aes-128-cbc", "--size", "1024", "--depth", "8")
        equal((large["mb"], large["last"]), (0, 0), "large ones of the first")
        group = stack.ctl("host", "status")["groups"][0]
        equal((group["policy"], group["size_threshold"]), ("size", 1024), "as status has it")


def test_a_pin_goes_where_it_says():
    pins = "failover\n    pins: [{{algorithm: aes-gcm, resource: last}}]"
    with policy_stack(pins) as stack:
        done = run_load(stack, "--algo", "aes-128-gcm", "--size", "256", "--depth", "8")
        equal((done["mb"], done["sw"]), (0, 0), "others'")
        check(done["last"] > 0, "the pinned one's")
        done = run_load(stack, "--algo", "aes-128-cbc", "--size", "256", "--depth", "8")
        equal((done["sw"], done["last"]), (0, 0), "others'")
        equal(stack.ctl("host", "status")["groups"][0]["pins"],
              [{"algorithm": "aes-gcm", "resource": "last"}], "as status has it")


def hang_and_recover(stack):
    fault(stack, "card", hang="yes")
    wait_until(lambda: resource(stack, "card")["health"]["state"] != "closed",
               what="the circuit is open")
    time.sleep(0.1)
    clear(stack, "card")
    wait_until(lambda: resource(stack, "card")["health"]["state"] == "closed",
               what="the circuit is closed")


def hang_under_load(order, more):
    config = text(DEADLINE_CONFIG, order=order, more=more)
    with vctest.Stack(engined=False, host_config=config) as stack:
        equal(resource(stack, "card")["health"]["state"], "closed", "before")
        for algorithm in ("aes-128-cbc", "aes-256-gcm"):
            before = resource(stack, "card")["completed"]
            with load(stack, "--algo", algorithm, "--size", "1008", "--depth", "64", "--in-place",
                      "--verify", "--sleep"):
                wait_until(lambda b=before: resource(stack, "card")["completed"] > b,
                           what="it has begun")
                for _ in range(3):
                    hang_and_recover(stack)
        health = resource(stack, "card")["health"]
        check(health["opened"] >= 6 and health["timeouts"] >= 6, f"counted: {health}")
        equal((health["unanswered"], health["reason"]), (0, "it works again"), "afterwards")
        queue = stack.ctl("host", "status")["devices"][0]["queues"][0]
        equal(set(queue["errors"].values()), {0}, "errors that the guest saw")
        check(resource(stack, "sw")["completed"] > 0, "the other one stood in")


def test_a_card_that_hangs_and_comes_back():
    hang_under_load("relaxed", "policy: failover")


def test_a_card_that_hangs_under_strict_order():
    hang_under_load("strict", "policy: failover")


def test_a_card_that_stays_away():
    """The guest goes, and the host ends, with requests that were never answered."""
    config = text(DEADLINE_CONFIG, order="relaxed", more="policy: failover")
    with vctest.Stack(engined=False, host_config=config) as stack:
        fault(stack, "card", hang="yes")
        with load(stack, "--algo", "aes-128-cbc", "--size", "256", "--depth", "64", "--verify",
                  "--sleep", seconds=0.5):
            pass
        health = resource(stack, "card")["health"]
        check(health["state"] in ("open", "probing"), f"it is avoided: {health}")
        equal((health["reason"], health["workers"]), ("time-outs", 1), "why and where")
        check(health["unanswered"] > 0, "it has some")
        shown = stack.run([vctest.program("vcryptoctl"), "--host", "status"]).stdout.decode()
        contains(shown, "card is avoided: time-outs, for ", "status as text")
        contains(shown, "requests that nobody waits for any more", "status as text")
        clear(stack, "card")


def test_who_answers_nobody_and_has_no_deputy():
    config = text(DEADLINE_CONFIG, order="relaxed", more="policy: failover").replace(
        "secondary: [sw], ", "")
    with vctest.Stack(engined=False, host_config=config) as stack:
        fault(stack, "card", hang="yes")
        done = subprocess.run(
            [vctest.program("vcrypto-perf"), "--socket", os.path.join(stack.dir, "dev0.sock"),
             "--algo", "aes-128-cbc", "--size", "256", "--depth", "16", "--seconds", "0.3",
             "--sleep", "--json"],
            env=stack.env, capture_output=True, timeout=60, check=False)
        check(json.loads(done.stdout)[0]["errors"] > 0, f"the guest was told: {done}")
        check(resource(stack, "card")["health"]["unanswered"] > 0, "though nothing was answered")
        clear(stack, "card")


if __name__ == "__main__":
    vctest.main(globals())
