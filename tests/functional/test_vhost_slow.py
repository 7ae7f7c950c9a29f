#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A front end that stops, resets, unmaps or leaves what slow requests are at work in: its answer
waits for them, and nobody else does. Each test has a second of RSA in flight on one device, and asks
another device for sessions meanwhile: an answer that comes when the slow ones are done is too late.
"""

import select
import socket
import struct
import subprocess
import time

import frontend as fe
import vctest
from hostfixture import KEY, SLOW_CONFIG, STATE, U64, Driver, Host
from test_vhost_iommu import INVALIDATE, IOTLB, IommuDriver
from vctest import check, equal, wait_until

SECONDS = 2
PROBES = 3
BYTES = 4096 // 8
ACK = fe.VERSION | fe.NEED_REPLY


def rsa_key():
    """RSAPrivateKey in DER."""
    def openssl(*arguments, stdin=b""):
        return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True,
                              check=True).stdout

    return openssl("rsa", "-traditional", "-outform", "DER",
                   stdin=openssl("genrsa", "-traditional", "4096"))


RSA_KEY = rsa_key()


class Slow:
    """A device with requests in flight that take a second, and a driver on another."""

    def __init__(self, host, driver=Driver, size=256):
        self.host = host
        self.driver = driver(host.path, size=size)
        self.driver.check_works()
        self.front_end = self.driver.front_end
        self.status = []
        session = self.session()
        one = min(self.once(session) for _ in range(PROBES))
        self.count = max(16, min(size - 16, int(SECONDS / one)))
        self.status = []
        self.load(session, self.count)
        wait_until(lambda: host.queue(0)["requests"] == 1 + PROBES + self.count,
                   what="all are taken")
        self.other = Driver(host.other)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.__exit__()
        self.other.__exit__()

    def session(self):
        memory, control = self.driver.memory, self.driver.control
        request = struct.pack("<IIII", 0x404, 1, 0, 0)
        request += struct.pack("<IIIII", 1, 2, len(RSA_KEY), 1, 6).ljust(56, b"\0")
        answer = memory.put(b"\xff" * 16)
        control.submit([(memory.put(request + RSA_KEY), 72 + len(RSA_KEY), False),
                        (answer, 16, True)])
        control.wait()
        session, status = struct.unpack("<QI", memory.map[answer:answer + 12])
        equal(status, 0, "status of the session")
        return session

    def once(self, session):
        """Seconds that one takes, and whatever else the machine does just then."""
        start = time.monotonic()
        self.load(session, 1)
        self.driver.data.wait()
        return time.monotonic() - start

    def load(self, session, count):
        memory = self.driver.memory
        header = struct.pack("<IIQII", 0x402, 1, session, 1, 0)
        head = memory.put(header + struct.pack("<II", 32, BYTES).ljust(48, b"\0"))
        digest, result = memory.put(b"d" * 32), memory.alloc(BYTES)
        for _ in range(count):
            status = memory.put(b"\xff")
            self.driver.data.submit([(head, 72, False), (digest, 32, False), (result, BYTES, True),
                                     (status, 1, True)], True)
            self.status.append(status)

    def left(self):
        return sum(self.driver.memory.map[at] == 0xff for at in self.status)

    def ask(self, request, payload=b"", fds=(), flags=ACK):
        """Without waiting for the answer."""
        self.front_end.send(request, payload, fds, flags)

    def check_others_served(self):
        start = time.monotonic()
        for _ in range(5):
            answer = self.other.front_end.ask(fe.CREATE_CRYPTO_SESSION, fe.session_632(KEY))
            check(fe.session_id(answer) >= 0, "session of the other device")
        self.other.check_works()
        equal(self.host.device(1)["connected"], True)
        check(self.host.ctl("host", "sessions"), "sessions are shown")
        took = time.monotonic() - start
        check(self.left(), f"the slow ones were done first: {took:.3f} s")

    def answered(self):
        return bool(select.select([self.front_end.socket], [], [], 0)[0])

    def check_waits(self):
        """The front end that asked waits, others do not."""
        self.check_others_served()
        check(not self.answered(), "answered before requests were done")

    def check_all_done(self):
        equal([self.driver.memory.map[at] for at in self.status], [0] * self.count, "statuses")

    def check_acknowledged(self, request):
        equal(struct.unpack("<Q", self.front_end.recv(request))[0], 0, f"answer to {request}")
        self.check_all_done()


def test_queue_that_stops():
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
        slow.ask(fe.GET_VRING_BASE, STATE(0, 0), flags=fe.VERSION)
        # What it says next is heard afterwards.
        slow.ask(fe.GET_FEATURES, flags=fe.VERSION)
        slow.check_waits()
        equal(struct.unpack("<II", slow.front_end.recv(fe.GET_VRING_BASE)),
              (0, 1 + PROBES + slow.count), "base")
        slow.check_all_done()
        check(struct.unpack("<Q", slow.front_end.recv(fe.GET_FEATURES))[0], "features")


def test_queue_that_is_disabled_or_kicked_anew():
    for request, payload, kick in ((fe.SET_VRING_ENABLE, STATE(0, 0), False),
                                   (fe.SET_VRING_KICK, U64(0), True)):
        with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
            slow.ask(request, payload, [slow.driver.data.kick_fd] if kick else ())
            slow.check_waits()
            slow.check_acknowledged(request)
            equal(host.queue(0)["started"], kick)


def test_refused_message_leaves_the_queue_running():
    """A kick descriptor that is none is found out when the queue is quiet."""
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
        slow.ask(fe.SET_VRING_KICK, U64(0), [slow.front_end.socket.fileno()])
        slow.check_waits()
        equal(struct.unpack("<Q", slow.front_end.recv(fe.SET_VRING_KICK))[0], 1, "answer")
        for _ in slow.status:
            slow.driver.data.wait()
        slow.driver.check_works()


def test_other_call_descriptor_needs_no_wait():
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
        check(slow.front_end.tell(fe.SET_VRING_CALL, U64(0), [slow.driver.data.call_fd]), "taken")
        check(slow.left(), "it was answered when the slow ones were done")
        for _ in slow.status:
            slow.driver.data.wait()
        slow.check_all_done()


def test_device_that_is_reset():
    for request, payload in ((fe.RESET_DEVICE, b""), (fe.SET_STATUS, U64(0))):
        with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
            slow.ask(request, payload)
            slow.check_waits()
            slow.check_acknowledged(request)
            equal(host.device()["sessions"], 0, "sessions")
            slow.driver.restart()
            slow.driver.check_works()


def test_table_without_the_rings():
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow, \
            fe.Memory(1 << 20, fe.GUEST_BASE + (2 << 32), fe.USER_BASE + (2 << 32)) as nothing:
        slow.ask(fe.SET_MEM_TABLE, STATE(1, 0) + nothing.region(), [nothing.fd])
        slow.check_waits()
        slow.check_acknowledged(fe.SET_MEM_TABLE)


def test_memory_behind_an_iommu():
    with fe.Memory(1 << 20, fe.GUEST_BASE + (2 << 32), fe.USER_BASE + (2 << 32)) as nothing:
        everything = IOTLB.pack(0, 1 << 40, 0, 0, INVALIDATE)
        for request, payload, fds in (
                (fe.IOTLB_MSG, everything, ()),
                (fe.SET_MEM_TABLE, STATE(1, 0) + nothing.region(), [nothing.fd])):
            with Host(config=SLOW_CONFIG) as host, Slow(host, IommuDriver) as slow:
                # What is missed from now on is not asked for, and nobody else uses the connection.
                slow.driver.iommu.socket.shutdown(socket.SHUT_RDWR)
                slow.ask(request, payload, fds)
                slow.check_waits()
                slow.check_acknowledged(request)


def test_iommu_that_comes_late():
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
        slow.ask(fe.SET_FEATURES, U64(slow.driver.features | fe.F_ACCESS_PLATFORM))
        slow.check_waits()
        slow.check_acknowledged(fe.SET_FEATURES)
        equal(host.queue(0)["started"], False)


def test_front_end_that_leaves():
    """The next one is heard when nothing of the last one is in flight."""
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
        slow.front_end.close()
        with fe.FrontEnd(host.path) as early:
            early.send(fe.GET_FEATURES)
            slow.check_others_served()
            check(not select.select([early.socket], [], [], 0)[0], "heard too early")
            check(early.recv(fe.GET_FEATURES), "features")
            slow.check_all_done()
            equal(host.device()["memory_regions"], 0, "regions")
            equal(host.device()["sessions"], 0, "sessions")
        host.wait_free()
        with Driver(host.path) as driver:
            driver.check_works()


def test_front_end_that_leaves_while_its_message_waits():
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
        slow.ask(fe.GET_VRING_BASE, STATE(0, 0), flags=fe.VERSION)
        time.sleep(0.01)
        slow.front_end.close()
        with fe.FrontEnd(host.path) as early:
            early.send(fe.GET_FEATURES)
            slow.check_others_served()
            check(early.recv(fe.GET_FEATURES), "features")
            slow.check_all_done()


def test_front_end_that_is_thrown_out():
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
        slow.ask(fe.SET_VRING_NUM, STATE(99, 5), flags=fe.VERSION)
        check(slow.front_end.hung_up(), "disconnected")
        check(slow.left(), "it was told when the slow ones were done")
        slow.check_others_served()
        host.wait_free()
        slow.check_all_done()


def test_host_that_ends_meanwhile():
    with Host(config=SLOW_CONFIG) as host, Slow(host) as slow:
        slow.front_end.close()
        slow.check_others_served()
        host.host.stop()
        slow.check_all_done()


if __name__ == "__main__":
    vctest.main(globals())
