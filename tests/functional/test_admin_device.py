#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices that are added, drained, put back and removed while vcrypto-host is at work."""

import json
import os
import re
import socket
import subprocess
import threading
import time

import frontend as fe
import vctest
from admin import AdminHost, Load
from hostfixture import IV, PLAIN, SLOW_CONFIG, Driver
from test_vhost_slow import Slow
from vctest import check, contains, equal, wait_until

# Size of the ring of slow requests: these must outlast several runs of vcryptoctl.
LONG = 1024


def test_device_comes_and_goes_while_others_work():
    with AdminHost() as host:
        with Load(host, "dev0", "aes-128-cbc", "--size", "1024"), \
                Load(host, "dev1", "rsa2048", "--depth", "16"):
            equal(host.must("add", "device", "{name: vm7, queues: 2}"),
                  "  device vm7 is there now\n")
            equal(os.stat(host.device_path("vm7")).st_mode & 0o777, 0o660)
            with Driver(host.device_path("vm7")) as driver:
                equal(driver.queues, 3)
                driver.check_works()
                host.must("drain", "device", "vm7", "--wait", "20")
                equal(host.named("device", "vm7")["state"], "drained")
                equal(host.must("remove", "device", "vm7", "--wait", "20"),
                      "  device vm7 is removed\n")
                check(driver.front_end.hung_up(), "its front end is disconnected")
        equal(host.named("device", "vm7"), None)
        check(not os.path.exists(host.device_path("vm7")), "its socket is gone")
        equal([host.device(i)["name"] for i in range(2)], ["dev0", "dev1"])


def test_device_under_load_is_drained_and_put_back():
    """vcrypto-perf heeds what it is told: none of its requests fails."""
    with AdminHost() as host:
        loads = [("aes-128-cbc", ("--size", "256", "--queues", "2")),
                 ("rsa2048", ("--depth", "64")),
                 ("aes-256-gcm", ("--ring", "packed"))]
        for algorithm, options in loads:
            with Load(host, "dev0", algorithm, *options):
                for _ in range(2):
                    host.must("drain", "device", "dev0", "--wait", "30")
                    requests = Load.requests(host, "dev0")
                    time.sleep(0.1)
                    equal(Load.requests(host, "dev0"), requests, "requests of a drained device")
                    said = host.must("resume", "device", "dev0")
                    # The driver may be quick.
                    check(re.fullmatch(r"  device dev0 is running(, requests in flight: \d+)?\n",
                                       said), said)
                    wait_until(lambda r=requests: Load.requests(host, "dev0") > r, what="goes on")


def test_drained_device_takes_nothing_and_loses_nothing():
    with AdminHost() as host, Driver(host.path) as driver:
        session = driver.check_works()
        host.must("drain", "device", "dev0", "--wait", "20")
        equal(host.device()["ready"], False)
        requests = host.queue(0)["requests"]
        done = []
        waiting = threading.Thread(
            target=lambda: done.append(driver.crypto.cipher(session, IV, PLAIN)))
        waiting.start()
        time.sleep(0.3)
        equal((host.queue(0)["requests"], done), (requests, []), "what a drained device took")
        host.must("resume", "device", "dev0")
        waiting.join(10)
        equal(done[0][0], 0, "status of the request that waited")
        equal(host.device()["ready"], True)
        driver.check_works(session)


def test_front_end_that_comes_to_a_drained_device_waits():
    with AdminHost() as host:
        host.must("drain", "device", "dev0", "--wait", "20")
        with Driver(host.path) as driver:
            done = []
            waiting = threading.Thread(target=lambda: done.append(driver.check_works()))
            waiting.start()
            time.sleep(0.3)
            equal((host.queue(2)["requests"], done), (0, []))
            host.must("resume", "device", "dev0")
            waiting.join(10)
            check(done, "it works afterwards")


def test_driver_that_does_not_heed_it_is_cut_off():
    with AdminHost() as host, Driver(host.path) as driver:
        session = driver.check_works()
        last, stop = [0], threading.Event()
        top = driver.memory.top

        def go_on():
            while not stop.is_set():
                driver.memory.top = top
                driver.crypto.cipher(session, IV, PLAIN)
                last[0] = time.monotonic()

        stubborn = threading.Thread(target=go_on)
        stubborn.start()
        try:
            begin = time.monotonic()
            host.must("drain", "device", "dev0", "--wait", "30")
            check(last[0] - begin > 3, "what it gave meanwhile was not done")
            host.must("resume", "device", "dev0")
            resumed = time.monotonic()
            wait_until(lambda: last[0] > resumed, what="it goes on")
        finally:
            stop.set()
            stubborn.join()


def test_drain_is_taken_back_before_it_is_over():
    with AdminHost(config=SLOW_CONFIG) as host, Slow(host, size=LONG) as slow:
        contains(host.must("drain", "device", "dev0"), "device dev0 is draining, requests in flight")
        slow.check_others_served()
        host.must("resume", "device", "dev0")
        equal(host.device()["state"], "running")
        for _ in slow.status:
            slow.driver.data.wait()
        slow.check_all_done()
        slow.driver.check_works()


def test_drain_that_takes_longer_than_one_waits():
    with AdminHost(config=SLOW_CONFIG) as host, Slow(host, size=LONG) as slow:
        done = host.vcryptoctl("--host", "drain", "device", "dev0", "--wait", "0")
        equal((done.returncode, done.stdout), (1, ""))
        contains(done.stderr, "still draining, with ")
        host.refused('device "dev0" is still draining, with ', "remove", "device", "dev0")
        host.must("drain", "device", "dev0", "--wait", "30")
        slow.check_all_done()
        host.must("remove", "device", "dev0")


def test_device_in_use_is_removed_only_by_force():
    with AdminHost(config=SLOW_CONFIG) as host, Slow(host, size=LONG) as slow:
        host.refused(f'device "dev0" is used by process {os.getpid()} of user {os.getuid()}: '
                     "drain it first, or use --force", "remove", "device", "dev0")
        contains(host.must("remove", "device", "dev0", "--force"), "device dev0 is leaving")
        check(slow.front_end.hung_up(), "disconnected")
        equal(host.device()["state"], "leaving")
        for command in ("drain", "resume", "remove"):
            host.refused('device "dev0" is being removed', command, "device", "dev0")
        host.refused('two devices have the name "dev0"', "add", "device", "{name: dev0}")
        start = time.monotonic()
        slow.other.check_works()
        check(slow.left() or time.monotonic() - start < 0.1, "others are served meanwhile")
        wait_until(lambda: not host.named("device", "dev0"), 30, "it is gone")
        slow.check_all_done()
        host.must("add", "device", "{name: dev0}")
        with Driver(host.path) as driver:
            driver.check_works()


def test_device_is_removed_while_it_drains():
    with AdminHost(config=SLOW_CONFIG) as host, Slow(host, size=LONG):
        host.must("drain", "device", "dev0")
        equal(host.must("remove", "device", "dev0", "--force", "--wait", "30"),
              "  device dev0 is removed\n")
        equal(len(host.ctl("host", "devices")), 1)


def test_host_ends_while_devices_leave():
    with AdminHost(config=SLOW_CONFIG) as host, Slow(host, size=LONG) as slow:
        host.must("drain", "device", "dev1")
        host.must("remove", "device", "dev0", "--force")
        host.host.stop()
        slow.check_all_done()


def test_device_as_client():
    with AdminHost() as host:
        path = host.device_path("listens")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen()
            listener.settimeout(10)
            host.must("add", "device", f"{{name: vm7, mode: client, socket: {path}}}")
            connection, _ = listener.accept()
            wait_until(lambda: host.named("device", "vm7")["connected"], what="connected")
            host.must("remove", "device", "vm7", "--force")
            connection.settimeout(10)
            equal(connection.recv(1), b"", "what comes then")
            connection.close()
            equal(host.named("device", "vm7"), None)
        os.unlink(path)


def test_several_devices_from_a_file():
    with AdminHost() as host:
        path = os.path.join(host.dir, "more.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("devices:\n  - {name: a}\n  - name: b\n    order: strict\n")
        equal(host.must("add", path), "  device a is there now\n  device b is there now\n")
        equal(host.named("device", "b")["order"], "strict")
        for name in ("a", "b"):
            with Driver(host.device_path(name)) as driver:
                driver.check_works()


def test_what_runs_is_a_configuration():
    with AdminHost() as host:
        host.must("add", "device", "name: vm7, queues: 3, limit: {memory: 2GiB, sessions: 7}")
        host.must("remove", "device", "dev1")
        config = host.must("config")
        path = os.path.join(host.dir, "now.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config)
        done = host.run([vctest.program("vcrypto-host"), "--check-config", "--config", path])
        equal(done.returncode, 0, done.stderr)
        equal(json.loads(host.vcryptoctl("--host", "config", "--json").stdout)["yaml"], config)
        before = host.device(1)
        host.host.stop()
        host.host.config = path
        host.host.start()
        equal([host.device(i)["name"] for i in range(2)], ["dev0", "vm7"])
        equal(host.device(1)["limits"], before["limits"])
        equal(len(host.device(1)["queues"]), 4)


def test_mistakes_are_named():
    with AdminHost() as host:
        path = os.path.join(host.dir, "bad.yaml")
        before = host.must("config")
        for text, sentence in (
                ("devices:\n  - {name: a}\n  - name: b\n    group: nix\n",
                 f'{path}:4: device "b": there is no group "nix"'),
                ("devices:\n  - {name: a}\n  - {name: a}\n",
                 f'{path}:3: two devices have the name "a"'),
                ("devices:\n  - {name: dev1}\n", f'{path}:2: two devices have the name "dev1"'),
                (f"devices:\n  - {{name: a, socket: {host.path}}}\n",
                 f'{path}:2: devices "dev0" and "a" have the same socket'),
                ("devices:\n  - {name: a, socket: here.sock}\n", "is not an absolute path"),
                ("devices:\n  - {name: a, queues: 65}\n", "queues is 65; it must be from 1 to 64"),
                ("devices:\n  - {name: ../a}\n", 'the name "../a" is not 1 to 31 letters'),
                ("devices:\n  - {name: a, queues: x}\n",
                 f'{path}:2: devices[0].queues: expected a whole number, found "x"'),
                ("workers: [0]\n", f'{path}:1: unknown key "workers"'),
                ("polling: {idle-us: 1}\n", f'{path}:1: unknown key "polling"'),
                ("devices: []\n", "the list must not be empty"), ("{}\n", "nothing in it to be"),
                ("", f"{path}:1: the file is empty"), ("devices: [\n", "not YAML"),
                ("devices:\n  - {name: a, socket: /nowhere/a.sock}\n",
                 'device "a": socket /nowhere/a.sock: No such file or directory'),
                (f"devices:\n  - {{name: a}}\n  - {{name: b, socket: {path}}}\n",
                 f'device "b": socket {path}: File exists')):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            host.refused(sentence, "add", path)
        equal(host.must("config"), before, "configuration after mistakes")
        check(not os.path.exists(host.device_path("a")), "no socket is left")
        host.refused("argument:1: devices[0]: unknown key", "add", "device", "{name: a, colour: 1}")
        for command in ("drain", "resume", "remove"):
            host.refused('there is no device "vm9"', command, "device", "vm9")
        host.refused('device "dev0" is in service', "resume", "device", "dev0")
        equal(host.must("config"), before, "configuration after mistakes")


def test_command_lines_that_are_wrong():
    with AdminHost() as host:
        large = os.path.join(host.dir, "large.yaml")
        with open(large, "w", encoding="utf-8") as file:
            file.write("#" * 40000)
        for sentence, *arguments in (
                ("what is added is FILE", "add"),
                ("what is added is FILE", "add", "worker", "{}"),
                ("what is set is group", "set", "device", "{}"), ("what is set is group", "set"),
                ("what is added is FILE", "add", "device", "{name: a}", "{name: b}"),
                ("cannot read it: No such file", "add", "/nowhere.yaml"),
                ("larger than 32768 bytes", "add", large),
                ("not text (UTF-8)", "add", "device", b"{name: \xff}"),
                ("device or resource, and its name", "drain"),
                ("device or resource, and its name", "drain", "dev0"),
                ("device or resource, and its name", "drain", "group", "default"),
                ("device, resource or group, and its name", "remove", "worker", "0"),
                ("--force is of drain and remove", "resume", "device", "dev0", "--force")):
            host.refused(sentence, *arguments, status=2)
        for request, sentence in (({"command": "add"}, '"yaml" must be'),
                                  ({"command": "add", "yaml": 7, "name": "x"}, '"yaml" must be'),
                                  ({"command": "set", "yaml": ""}, '"yaml" must be'),
                                  ({"command": "drain"}, '"device" or "resource" must be'),
                                  ({"command": "state", "device": []}, '"device", "resource" or')):
            with vctest.raises(vctest.ControlError, sentence):
                host.ctl("host", **request)


def test_no_more_devices_than_there_is_room_for():
    with AdminHost() as host:
        text = "devices: [" + ", ".join(f"{{name: d{i}}}" for i in range(254)) + "]"
        host.ctl("host", "add", yaml=text, name="x")
        equal(len(host.ctl("host", "devices")), 256)
        host.refused("more than 256 devices", "add", "device", "{name: one}")
        host.must("remove", "device", "d100")
        host.must("add", "device", "{name: one}")
        with Driver(host.device_path("one")) as driver, Driver(host.device_path("d253")) as last:
            driver.check_works()
            last.check_works()


def test_a_thousand_rounds_leak_nothing():
    with AdminHost() as host, Driver(host.path) as driver:
        session = driver.check_works()

        def rounds(n):
            for i in range(n):
                host.ctl("host", "add", yaml="devices: [{name: vm7, queues: 4, order: strict}]",
                         name="x")
                if i % 20 == 0:
                    with Driver(host.device_path("vm7")) as other:
                        other.check_works()
                        host.ctl("host", "remove", device="vm7", force=True)
                        wait_until(lambda: not host.named("device", "vm7"), what="gone")
                elif i % 2:
                    host.ctl("host", "drain", device="vm7")
                    host.ctl("host", "remove", device="vm7")
                else:
                    host.ctl("host", "remove", device="vm7")

        rounds(100)
        files, threads = host.files(), host.threads()
        memory = vctest.resident_kib(host.host.pid)
        rounds(900)
        equal((host.files(), host.threads()), (files, threads), "descriptors and threads")
        grown = vctest.resident_kib(host.host.pid) - memory
        # A device has 35 KiB. Sanitizers keep what was freed for a while.
        check(grown < 8192 or "VCRYPTO_PRELOAD" in os.environ, f"{grown} KiB more")
        driver.check_works(session)


def test_applications_never_notice():
    """Signatures by a program that knows nothing of it, while the only device comes and goes."""
    with vctest.Stack() as stack:
        def change(*arguments):
            done = stack.vcryptoctl("--host", *arguments)
            equal((done.returncode, done.stderr), (0, ""), f"{arguments}")

        def offloaded(before=0):
            return stack.ctl("host", "status")["resources"][1]["completed"] > before

        entry = f"{{name: dev0, socket: {stack.device_socket}}}"
        with subprocess.Popen(
                [vctest.need("openssl"), "speed", "-seconds", "6", "rsa2048"],
                env=stack.openssl_env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, preexec_fn=vctest.die_with_parent) as speed:
            wait_until(offloaded, what="something is offloaded")
            change("drain", "device", "dev0", "--wait", "20")
            change("resume", "device", "dev0")
            time.sleep(0.5)
            change("drain", "device", "dev0", "--wait", "20")
            change("remove", "device", "dev0")
            change("add", "device", entry)
            stack.wait_device_up()
            done = stack.ctl("host", "status")["resources"][1]["completed"]
            wait_until(lambda: offloaded(done), what="something is offloaded again")
            output = speed.communicate(timeout=120)[0]
        equal(speed.returncode, 0, output)
        check("failure" not in output, output)


if __name__ == "__main__":
    vctest.main(globals())
