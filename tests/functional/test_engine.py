#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcrypto-engined and its client, with live daemons: right answers, many processes, fork, and
whatever may die: a client, the engine, the host, all of them in flight."""

import os
import shutil
import subprocess
import time

import vctest
from vctest import check, equal, wait_until

CLIENT = os.path.join(vctest.BUILD, "tests/functional/engine/test-engine-client")
SMALL = """\
device: {{transport: vhost-user, socket: {dir}/dev0.sock, queues: 1}}
session-cache: {{idle-seconds: 1, max: 1000}}
"""
PATIENT = """\
device: {{{{transport: vhost-user, socket: {dir}/dev0.sock, resubmit-ms: {ms}}}}}
"""


def client(stack, *arguments, timeout=120):
    return stack.run([CLIENT, *arguments], timeout=timeout)


def begin(stack, *arguments):
    return subprocess.Popen([CLIENT, *arguments], env=stack.env, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def end_well(process, timeout=120):
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise vctest.Failure("a client does not end") from None
    equal(process.returncode, 0, f"client's exit status ({out.strip()})")


def nothing_left(stack, files):
    """No client, no descriptor, no region of one, at the engine."""
    def clean():
        return not stack.ctl("engined", "clients") and \
            vctest.open_files(stack.engined.pid) <= files
    wait_until(clean, 10, "the engine forgets its clients")
    with open(f"/proc/{stack.engined.pid}/maps", encoding="ascii") as maps:
        check("vcrypto-client" not in maps.read(), "a client's region is still mapped")


def regions_at_host(stack):
    with open(f"/proc/{stack.host.pid}/maps", encoding="ascii") as maps:
        return maps.read().count("vcrypto-client")


def test_every_algorithm():
    with vctest.Stack() as stack:
        files = vctest.open_files(stack.engined.pid)
        client(stack, "known")
        totals = stack.ctl("engined", "status")["totals"]
        check(totals["requests"] > 1000, "requests are counted")
        equal(totals["errors"], 6, "the wrong tags and signatures, and no other error")
        for name, value in totals["offloaded"].items():
            check(value > 0, f"{name} was offloaded")
        equal(sum(totals["fallback"].values()), 0, "fallen back")
        nothing_left(stack, files)
        wait_until(lambda: regions_at_host(stack) == 0, 10, "the host forgets the region")


def test_every_algorithm_in_jobs():
    with vctest.Stack() as stack:
        files = vctest.open_files(stack.engined.pid)
        client(stack, "jobs", "1")
        client(stack, "jobs", "20")
        nothing_left(stack, files)


def test_eight_processes_of_four_threads():
    with vctest.Stack() as stack:
        files = vctest.open_files(stack.engined.pid)
        clients = [begin(stack, "load", "4", "4") for _ in range(8)]
        try:
            wait_until(lambda: len(stack.ctl("engined", "clients")) == 8, 30, "eight clients")
            for one in stack.ctl("engined", "clients"):
                equal(one["uid"], os.getuid(), "uid")
                equal(one["name"], "test-engine-client", "name")
        finally:
            for process in clients:
                end_well(process)
        status = stack.ctl("engined", "status")
        check(status["totals"]["clients_ever"] == 8, "clients ever")
        nothing_left(stack, files)


def test_fork():
    with vctest.Stack() as stack:
        files = vctest.open_files(stack.engined.pid)
        client(stack, "fork")
        nothing_left(stack, files)


def test_exit_while_threads_work():
    with vctest.Stack() as stack:
        files = vctest.open_files(stack.engined.pid)
        for _ in range(10):
            client(stack, "exit")
        nothing_left(stack, files)


def test_same_key_is_one_session_and_unused_ones_go():
    with vctest.Stack(engined_config=SMALL) as stack:
        client(stack, "known")
        sessions = stack.ctl("engined", "sessions")
        equal(sessions["in_use"], 0, "sessions in use")
        check(sessions["misses"] >= 20, f"sessions were made: {sessions}")
        wait_until(lambda: stack.ctl("engined", "sessions")["device"] == 0, 10,
                   "unused sessions go")


def test_client_killed_in_flight():
    with vctest.Stack() as stack:
        files = vctest.open_files(stack.engined.pid)
        for _ in range(5):
            process = begin(stack, "hang")
            equal(process.stdout.readline(), "working\n", "client")
            time.sleep(0.05)
            process.kill()
            process.communicate()
        nothing_left(stack, files)
        wait_until(lambda: regions_at_host(stack) == 0, 10, "the host forgets the regions")
        equal(stack.ctl("engined", "sessions")["in_use"], 0, "sessions in use")
        client(stack, "known")


def test_engine_killed_in_flight():
    with vctest.Stack() as stack:
        clients = [begin(stack, "load", "3", "8", "any") for _ in range(2)]
        try:
            for _ in range(3):
                time.sleep(1.5)
                stack.engined.kill()
                time.sleep(0.2)
                stack.engined.start()
        finally:
            for process in clients:
                end_well(process)
        client(stack, "known")


def test_host_killed_in_flight():
    with vctest.Stack() as stack:
        clients = [begin(stack, "load", "3", "8", "any") for _ in range(2)]
        try:
            for _ in range(3):
                time.sleep(1.5)
                stack.host.kill()
                wait_until(lambda: stack.ctl("engined", "status")["device"]["state"] == "down",
                           10, "the engine notices")
                stack.host.start()
                stack.wait_device_up()
        finally:
            for process in clients:
                end_well(process)
        equal(stack.ctl("engined", "status")["device"]["reconnects"], 3, "reconnects")
        client(stack, "known")


def lose_device(stack, *arguments):
    """A client with operations in flight when the host, which has stopped, is killed."""
    def in_flight():
        queue = stack.ctl("engined", "status")["device"]["queues"][0]
        return queue["submitted"] - queue["completed"]

    process = begin(stack, "lost", *arguments)
    try:
        kinds = int(process.stdout.readline())
        stack.host.freeze()
        process.stdin.write("x")
        process.stdin.flush()
        wait_until(lambda: in_flight() >= kinds, 20, "all of them are in flight")
        stack.host.kill()
        if arguments:
            stack.host.start()
    finally:
        end_well(process)
    client(stack, *(["known"] if arguments else ["offline"]))
    return stack.ctl("engined", "status")["device"]["resubmitted"]


def test_what_was_in_flight_is_done_when_the_host_is_back():
    with vctest.Stack(engined_config=PATIENT.format(dir="{dir}", ms=20000)) as stack:
        check(lose_device(stack, "back") > 0, "requests were given to the device again")


def test_what_was_in_flight_fails_when_the_host_stays_away():
    for ms in (0, 300):
        with vctest.Stack(engined_config=PATIENT.format(dir="{dir}", ms=ms)) as stack:
            equal(lose_device(stack), 0, "requests given to the device again")


def test_host_comes_after_the_engine():
    with vctest.Stack() as stack:
        stack.engined.stop()
        stack.host.stop()
        stack.engined.start()
        device = stack.ctl("engined", "status")["device"]
        equal(device["state"], "down", "device")
        check(device["error"], "there is a reason")
        stack.host.start()
        stack.wait_device_up()
        client(stack, "known")


def test_a_device_that_is_not_ready_is_not_used():
    with vctest.Stack() as stack:
        client(stack, "known")
        for n in range(1, 4):
            stack.ctl("host", "offline", device="dev0")
            wait_until(lambda: stack.engined.log().count("not ready, says the host") == n,
                       what="the engine hears of it")
            # In software at once, and counted as such.
            client(stack, "offline")
            stack.ctl("host", "online", device="dev0")
            wait_until(lambda: stack.engined.log().count(": ready") == n,
                       what="the engine hears of it again")
            client(stack, "known")
        status = stack.ctl("engined", "status")["device"]
        equal((status["state"], status["reconnects"]), ("up", 0), "the device")


def test_no_daemon():
    with vctest.Stack(host=False, engined=False) as stack:
        client(stack, "absent")


def test_engine_does_not_answer():
    with vctest.Stack() as stack:
        process = begin(stack, "deadline")
        try:
            equal(process.stdout.readline(), "stop\n", "client")
            stack.engined.freeze()
            process.stdin.write("x")
            process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            stack.engined.thaw()
        equal(answer, "go on\n", "client")
        process.stdin.write("x")
        process.stdin.flush()
        end_well(process)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_idle_engine_sleeps():
    with vctest.Stack() as stack:
        process = begin(stack, "deadline")  # a client that is connected and does nothing
        try:
            equal(process.stdout.readline(), "stop\n", "client")
            time.sleep(0.2)
            before = cpu_seconds(stack.engined.pid)
            time.sleep(3)
            used = cpu_seconds(stack.engined.pid) - before
        finally:
            process.kill()
            process.communicate()
        check(used <= 0.02, f"{used} s of CPU in 3 s of idling")


def client_of_nobody(stack, *arguments):
    # From where everybody may go: the build directory may be in somebody's home.
    program = shutil.copy(CLIENT, stack.dir)
    done = subprocess.run([program, *arguments], env=stack.env, user=65534, group=65534,
                          extra_groups=[], capture_output=True, timeout=60, check=False)
    equal(done.returncode, 0, f"client: {done.stderr}")


def test_users_who_may_not():
    config = "device: {{socket: {dir}/dev0.sock}}\nallow-users: [1]\n"
    with vctest.Stack(engined_config=config) as stack:
        if os.getuid() != 0:
            raise vctest.Skip("only root can be somebody else")
        # Root may always; nobody may not, and finds that out at once.
        client(stack, "known")
        client_of_nobody(stack, "absent")


def test_a_stranger_is_served():
    if os.getuid() != 0:
        raise vctest.Skip("only root can be somebody else")
    with vctest.Stack() as stack:
        client_of_nobody(stack, "jobs", "5")
        totals = stack.ctl("engined", "status")["totals"]
        equal(sum(totals["fallback"].values()), 0, "fallen back")


vctest.main(globals())
