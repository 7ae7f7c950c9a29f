#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vctest.py itself: however a test ends, nothing is left behind, and failures are failures."""

import os
import signal
import subprocess
import sys
import textwrap

import vctest

HERE = os.path.dirname(os.path.abspath(__file__))


def script(body):
    """Start Python with a body that has vctest at hand."""
    code = f"import sys\nsys.path.insert(0, {HERE!r})\nimport vctest\n" + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def start_stack():
    """A harness with a live stack; the process, its daemons' pids, its directory."""
    process = script("""
        import time
        vctest.stop_on_signals()
        with vctest.Stack() as stack:
            print(stack.host.pid, stack.engined.pid, stack.dir, flush=True)
            time.sleep(60)
    """)
    words = process.stdout.readline().split()
    vctest.equal(len(words), 3, f"start of the stack: {words}")
    return process, [int(word) for word in words[:2]], words[2]


def running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_signals_leave_nothing():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process, pids, directory = start_stack()
        process.send_signal(number)
        process.communicate(timeout=60)
        vctest.check(process.returncode != 0, f"{number.name}: it is no success")
        vctest.equal([pid for pid in pids if running(pid)], [], f"{number.name}: daemons")
        vctest.check(not os.path.exists(directory), f"{number.name}: {directory} is gone")


def test_daemons_die_with_a_killed_harness():
    process, pids, directory = start_stack()
    process.kill()
    process.communicate(timeout=60)
    vctest.wait_until(lambda: not any(running(pid) for pid in pids), what="the daemons end")
    subprocess.run(["rm", "-rf", "--", directory], check=True)


def outcome(body):
    process = script(body)
    output = process.communicate(timeout=60)[0]
    return process.returncode, output


def test_failures_are_reported():
    status, output = outcome("""
        def test_good():
            pass
        def test_bad():
            vctest.equal(1, 2, "one")
        def test_broken():
            raise KeyError("x")
        def test_skipped():
            raise vctest.Skip("no such thing")
        vctest.main(globals())
    """)
    vctest.equal(status, 1)
    for line in ("1..4", "ok 1 - good", "not ok 2 - bad", "# one: got 1, expected 2",
                 "not ok 3 - broken", "ok 4 - skipped # SKIP no such thing"):
        vctest.check(line in output.splitlines(), f"{line!r} in {output!r}")


def test_crashed_leak_checker_is_given_one_more_try():
    """And only one, and nothing else is."""
    process = script("""
        tries = []
        def once():
            tries.append(1)
            vctest.check(len(tries) > 1, vctest.LEAK_CHECK_CRASHED)
        def always():
            vctest.check(False, vctest.LEAK_CHECK_CRASHED)
        def leaks():
            tries.append(1)
            vctest.check(len(tries) > 3, "LeakSanitizer: detected memory leaks")
        sys.exit(vctest.run_tests([("once", once), ("always", always), ("leaks", leaks)]))
    """)
    output = process.communicate(timeout=60)[0]
    lines = [line for line in output.splitlines() if line.startswith(("ok", "not ok"))]
    vctest.equal(lines, ["ok 1 - once", "not ok 2 - always", "not ok 3 - leaks"])
    vctest.equal(process.returncode, 1, "exit status")


def test_all_skipped_is_skipped():
    status, _ = outcome("""
        def test_skipped():
            vctest.need("no-such-program")
        vctest.main(globals())
    """)
    vctest.equal(status, vctest.SKIPPED)


def test_daemon_that_does_not_start_is_a_failure():
    status, output = outcome("""
        def test_start():
            with vctest.Stack(host_config="colour: red"):
                pass
        vctest.main(globals())
    """)
    vctest.equal(status, 1)
    vctest.contains(output, "host ended at once with status 1")
    vctest.contains(output, 'unknown key "colour"')


def test_daemon_that_ends_badly_is_a_failure():
    status, output = outcome("""
        import os, signal
        def test_crash():
            with vctest.Stack(engined=False) as stack:
                os.kill(stack.host.pid, signal.SIGKILL)
                stack.host.process.wait()
        vctest.main(globals())
    """)
    vctest.equal(status, 1)
    vctest.contains(output, "host's exit status: got -9, expected 0")


def test_program_mode():
    command = [sys.executable, os.path.join(HERE, "vctest.py"), "--no-engined", "--"]
    done = subprocess.run([*command, "sh", "-c", 'test -S "$VCRYPTO_HOST_SOCKET"'], check=False)
    vctest.equal(done.returncode, 0)
    done = subprocess.run([*command, "false"], check=False, stdout=subprocess.DEVNULL)
    vctest.equal(done.returncode, 1)
    done = subprocess.run([*command, "sh", "-c", "exit 77"], check=False,
                          stdout=subprocess.DEVNULL)
    vctest.equal(done.returncode, vctest.SKIPPED)


if __name__ == "__main__":
    vctest.main(globals())
