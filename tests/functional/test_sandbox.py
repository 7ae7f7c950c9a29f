#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the running daemons have given up: in every thread, as the kernel sees it. All other tests
run with it; what a process that has given it up can still do is tests/unit/base/test_sandbox.c.
"""

import os

import vctest
from vctest import check, equal

# As meson knows what was built in; by hand: all of it.
EXPECTED = os.environ.get("VCRYPTO_SANDBOX", "full")
CONFIG = """\
workers: [CPU]
devices:
  - {{name: dev0, socket: {dir}/dev0.sock}}
"""


def threads(pid):
    """Name and fields of each thread, as /proc/PID/task/TID/status has them."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        yield int(tid), fields


def nice(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[16])


def check_given_up(daemon, what):
    sealed, bare = what in ("full", "calls"), what in ("full", "capabilities")
    for tid, fields in threads(daemon.pid):
        place = f"{fields['Name']} ({tid})"
        equal(fields["Seccomp"], "2" if sealed else "0", f"Seccomp of {place}")
        if bare:
            for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                equal(int(fields[name], 16), 0, f"{name} of {place}")
        if sealed or bare:
            equal(fields["NoNewPrivs"], "1", f"NoNewPrivs of {place}")


def test_every_thread_of_both_daemons_has_given_it_up():
    with vctest.Stack() as stack:
        for name, daemon in (("host", stack.host), ("engined", stack.engined)):
            check_given_up(daemon, EXPECTED)
            status = stack.ctl(name, "status")
            equal(status["sandbox"], EXPECTED, f"what {name} says")
            said = stack.run([vctest.program("vcryptoctl"), f"--{name}", "status"]).stdout.decode()
            check(f"sandbox: {EXPECTED}" in said, said)


def test_both_keep_all_when_told_so():
    with vctest.Stack(arguments=["--no-sandbox"]) as stack:
        for name, daemon in (("host", stack.host), ("engined", stack.engined)):
            equal(stack.ctl(name, "status")["sandbox"], "none", f"what {name} says")
            for tid, fields in threads(daemon.pid):
                equal(fields["Seccomp"], "0", f"Seccomp of thread {tid}")
                equal(fields["NoNewPrivs"], "0", f"NoNewPrivs of thread {tid}")


def test_who_is_not_a_worker_leaves_the_workers_alone():
    """The main thread is elsewhere, if there is an elsewhere; helpers step back."""
    cpus = sorted(os.sched_getaffinity(0))
    with vctest.Stack(engined=False, host_config=CONFIG.replace("CPU", str(cpus[-1]))) as stack:
        pid = stack.host.pid
        equal(os.sched_getaffinity(pid), set(cpus[:-1] or cpus), "CPUs of the main thread")
        # A thread that was just made may not have begun.
        for name, wanted in (("vc-worker/0", 0), ("vc-libcrypto", 10)):
            vctest.wait_until(lambda n=name, w=wanted: any(
                fields["Name"] == n and nice(pid, tid) == w for tid, fields in threads(pid)),
                what=f"{name} runs at nice {wanted}")


if __name__ == "__main__":
    vctest.main(globals())
