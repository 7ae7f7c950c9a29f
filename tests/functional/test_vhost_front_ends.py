#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Front ends of vcrypto-host come and go, hear of changes, and are connected to (mode: client)."""

import os
import socket
import struct
import time

import frontend as fe
import vctest
from hostfixture import IV, PLAIN, Driver, Host, header
from vctest import check, equal

# ---- front ends come and go


def test_a_message_byte_by_byte():
    with Host() as host, fe.FrontEnd(host.path) as front_end:
        front_end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for byte in header(fe.GET_QUEUE_NUM, 0):
            front_end.send_raw(bytes([byte]))
            time.sleep(0.002)
        equal(struct.unpack("<Q", front_end.recv(fe.GET_QUEUE_NUM))[0], 3)


def test_a_second_front_end_is_refused_while_the_first_lives():
    with Host() as host:
        with Driver(host.path) as driver:
            session = driver.check_works()
            for _ in range(3):
                with fe.FrontEnd(host.path) as second:
                    check(second.hung_up(), "two front ends at once")
            driver.check_works(session)
            equal(host.host.log().count("there is a front end already"), 1, "log lines")
            peer = host.device()["front_end"]
            equal(peer, {"pid": os.getpid(), "uid": os.getuid()})
        host.wait_free()
        equal(host.device()["front_end"], None)
        with Driver(host.path) as driver:
            driver.check_works()


def test_a_front_end_may_come_back_before_its_end_was_heard_of():
    with Host() as host:
        first = fe.FrontEnd(host.path)
        first.ask_u64(fe.GET_FEATURES)
        host.host.freeze()
        second = fe.FrontEnd(host.path)  # the host hears of this first
        first.close()
        host.host.thaw()
        with second:
            check(second.ask_u64(fe.GET_FEATURES) & fe.F_VERSION_1, "no answer")


def test_everything_goes_with_the_connection():
    with Host() as host:
        with Driver(host.path) as driver:
            session = driver.check_works()
            check(host.device()["sessions"] == 1, "no session")
        host.wait_free()
        device = host.device()
        equal(device["sessions"], 0, "sessions")
        equal(device["memory_regions"], 0, "regions")
        equal(device["features"], "0x0", "features")
        check(not any(queue["started"] for queue in device["queues"]), "a queue runs")
        with Driver(host.path) as driver:
            equal(driver.crypto.cipher(session, IV, PLAIN)[0], 4, "status of an old session")


def test_reconnects_leak_nothing():
    with Host() as host:
        def once():
            with Driver(host.path) as driver:
                driver.check_works()
            host.wait_free()

        for _ in range(10):
            once()
        fds, memory = host.files(), vctest.resident_kib(host.host.pid)
        for _ in range(100):
            once()
        equal(host.files(), fds, "descriptors of the host")
        grown = vctest.resident_kib(host.host.pid) - memory
        # Sanitizers keep freed memory for a while.
        limit = 65536 if "VCRYPTO_PRELOAD" in os.environ else 1024
        check(grown < limit, f"the host grew by {grown} KiB")


# ---- the back end's own messages


def ready(front_end):
    answer = front_end.ask(fe.GET_CONFIG, struct.pack("<III", 0, 4, 0) + bytes(4))
    return struct.unpack("<I", answer[12:])[0]


def test_the_front_end_is_told_that_the_configuration_changed():
    with Host() as host, Driver(host.path) as driver:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(10)
        driver.front_end.order(fe.SET_BACKEND_REQ_FD, b"", [theirs.fileno()])
        theirs.close()
        session = driver.check_works()
        for command, value in (("offline", 0), ("online", 1)):
            host.ctl("host", command, device="dev0")
            # Header alone: BACKEND_CONFIG_CHANGE_MSG, version 1, no payload.
            equal(ours.recv(100), struct.pack("<III", 2, 1, 0), command)
            equal(ready(driver.front_end), value, f"status after {command}")
            equal(host.device()["ready"], bool(value))
            equal(host.device(1)["ready"], True, "the other device")
            # Requests are done in any case.
            driver.check_works(session)
            # Nothing changes: nothing is told.
            host.ctl("host", command, device="dev0")
        ours.setblocking(False)
        with vctest.raises(BlockingIOError):
            ours.recv(100)
        with vctest.raises(vctest.ControlError, "name of a device"):
            host.ctl("host", "offline", device="dev9")
        # A front end that does not read is told as much as its socket holds; one that hangs up
        # is told no more.
        for _ in range(2000):
            host.ctl("host", "offline", device="dev0")
            host.ctl("host", "online", device="dev0")
        unread = len(ours.recv(1 << 20))
        check(unread and unread % 12 == 0, f"{unread} bytes")
        ours.close()
        host.ctl("host", "offline", device="dev0")
        equal(ready(driver.front_end), 0)


def test_channels_for_the_back_end_that_cannot_be():
    with Host() as host:
        # Said before there is a front end, and to each that comes.
        host.ctl("host", "offline", device="dev0")
        before = host.files()
        with Driver(host.path) as driver:
            equal(ready(driver.front_end), 0)
            for fds in ([fe.eventfd()], [driver.memory.fd]):
                check(not driver.front_end.tell(fe.SET_BACKEND_REQ_FD, b"", fds), "no socket")
            with socket.socket(socket.AF_INET) as tcp:
                check(not driver.front_end.tell(fe.SET_BACKEND_REQ_FD, b"", [tcp.fileno()]), "TCP")
            for _ in range(3):
                pair = socket.socketpair()
                driver.front_end.order(fe.SET_BACKEND_REQ_FD, b"", [pair[0].fileno()])
                pair[0].close()
                pair[1].close()
        host.wait_free()
        equal(host.files(), before, "descriptors of the host")


# ---- mode: client

CLIENT_CONFIG = """\
resources:
  - {{name: sw, type: libcrypto}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, mode: client}}
  - {{name: dev1, socket: {dir}/dev1.sock}}
"""


def listen(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    return listener


def test_as_a_client_it_connects_again_and_again():
    with Host(config=CLIENT_CONFIG) as host:
        equal(host.device()["mode"], "client")
        equal(host.device()["connected"], False)
        # Nobody is there, for several attempts: that is said once.
        time.sleep(0.5)
        equal(host.host.log().count("trying again"), 1, "lines in the log")
        listener = listen(host.path)
        for _ in range(3):
            with Driver(listener) as driver:
                driver.check_works()
                equal(host.device()["front_end"]["pid"], os.getpid())
        # The front end ends for good, and another one comes.
        listener.close()
        os.unlink(host.path)
        host.wait_free()
        equal(host.device()["sessions"], 0, "sessions")
        with listen(host.path) as listener, Driver(listener) as driver:
            driver.check_works()
        os.unlink(host.path)


def test_a_front_end_that_does_not_accept_holds_up_nobody():
    with Host(config=CLIENT_CONFIG) as host:
        with listen(host.path) as listener:
            waiting = []
            with vctest.raises(BlockingIOError):
                for _ in range(10):
                    waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                    waiting[-1].setblocking(False)
                    waiting[-1].connect(host.path)
            with Driver(host.other) as driver:
                session = driver.check_works()
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    driver.check_works(session)
                    time.sleep(0.005)
            # Whoever has waited in vain is found closed; then it is the host's turn.
            for sock in waiting:
                sock.close()
            listener.settimeout(10)
            for _ in waiting[:-1]:
                listener.accept()[0].close()
            with Driver(listener) as driver:
                driver.check_works()
        os.unlink(host.path)


def test_the_host_stops_under_a_connected_front_end():
    with Host() as host, Driver(host.path) as driver:
        driver.check_works()
        host.host.stop()
        check(driver.front_end.hung_up(), "still connected")


if __name__ == "__main__":
    vctest.main(globals())
