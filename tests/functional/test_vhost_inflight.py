#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A vcrypto-host that is killed under load: with the buffer of in-flight requests the next one
answers whatever the first one had taken and not given back."""

import mmap
import os
import struct
import time

import frontend as fe
import vctest
from hostfixture import IV, KEY, PLAIN, Driver, Host
from packedring import PackedRing
from vctest import check, equal

CONFIG = """\
resources:
  - {{name: sw, type: libcrypto, threads: 1}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, limit: {{inflight-bytes: 2MiB}}}}
  - {{name: dev1, socket: {dir}/dev1.sock}}
"""

LENGTH = 128 << 10
RING = 256
PACKED = fe.F_PROTOCOL | fe.F_VERSION_1 | fe.F_INDIRECT | fe.F_PACKED


class Load:
    """Requests of 128 KiB, all from one source, each with a result and a status of its own."""

    def __init__(self, driver):
        self.driver = driver
        # Another memory, so that all results have room.
        self.memory = fe.Memory(64 << 20, fe.GUEST_BASE + (1 << 32), fe.USER_BASE + (1 << 32))
        self.source = self.memory.put(PLAIN * (LENGTH // len(PLAIN)))
        self.status = {}

    def add_memory(self, front_end):
        front_end.add_memory(self.memory)

    def send(self, session, count):
        own, driver = self.driver.memory, self.driver
        base = self.memory.guest - own.guest
        header = own.put(driver.crypto.cipher_header(session, IV, LENGTH))
        iv = own.put(IV)
        for _ in range(count):
            result = self.memory.alloc(LENGTH)
            status = own.put(b"\xff")
            head = driver.data.submit([(header, 72, False), (iv, 16, False),
                                       (base + self.source, LENGTH, False),
                                       (base + result, LENGTH, True), (status, 1, True)], True)
            self.status[head] = status

    def collect(self):
        """The next one that is done: its status."""
        head, _ = self.driver.data.wait()
        return self.driver.memory.map[self.status.pop(head)]


def driver_with_buffer(host, ring=fe.Ring):
    """A driver, and the buffer that it has for its requests in flight."""
    driver = Driver(host.path, ring, PACKED if ring is PackedRing else PACKED & ~fe.F_PACKED, RING)
    session = driver.crypto.create_session(KEY)[1]
    bases = driver.data.stop(), driver.control.stop()
    equal(bases, (driver.data.base(), driver.control.base()), "bases")
    buffer = driver.front_end.inflight_get(driver.queues, RING)
    check(buffer[1] is not None, "no descriptor")
    driver.front_end.order(fe.SET_INFLIGHT_FD, buffer[0], [buffer[1]])
    driver.control.start()
    driver.data.start()
    return driver, session, buffer


def back_with(load, buffer):
    """Shares the load's memory; what a front end has to do when it comes back with the buffer."""
    def prepare(front_end):
        load.add_memory(front_end)
        front_end.order(fe.SET_INFLIGHT_FD, buffer[0], [buffer[1]])

    load.add_memory(load.driver.front_end)
    return prepare


def killed_under_load(ring):
    with Host(config=CONFIG) as host:
        driver, session, buffer = driver_with_buffer(host, ring)
        load = Load(driver)
        prepare = back_with(load, buffer)

        with driver:
            resubmitted = 0
            for _ in range(5):
                load.send(session, 100)
                # Some come back while it is alive.
                equal([load.collect() for _ in range(10)], [0] * 10)
                host.host.kill()
                host.host.start()
                driver.reconnect(host.path, prepare)
                statuses = [load.collect() for _ in range(90)]
                # Done before, or of a session that is gone with the host.
                check(set(statuses) <= {0, 4}, f"statuses {set(statuses)}")
                resubmitted += host.host.log().count("were in flight: done again")
                again = sum(queue["resubmitted"] for queue in host.device()["queues"])
                check(bool(again) == ("were in flight: done again" in host.host.log()),
                      f"{again} are counted")
                status, session = driver.crypto.create_session(KEY)
                equal(status, 0)
                load.memory.top = LENGTH
                driver.check_works()
                driver.memory.top = driver.memory.size // 2
            check(resubmitted, "nothing was ever in flight")
        os.close(buffer[1])
        load.memory.close()


def test_what_was_in_flight_is_answered_after_a_kill():
    killed_under_load(fe.Ring)


def test_packed_rings_are_answered_after_a_kill():
    """Used descriptors have overwritten those of requests in flight."""
    killed_under_load(PackedRing)


def test_an_orderly_stop_leaves_nothing_in_flight():
    with Host(config=CONFIG) as host:
        driver, session, buffer = driver_with_buffer(host)
        load = Load(driver)
        prepare = back_with(load, buffer)

        with driver:
            load.send(session, 60)
            load.collect()
            host.host.restart()
            driver.reconnect(host.path, prepare)
            statuses = [load.collect() for _ in range(59)]
            check(set(statuses) <= {0, 4}, f"statuses {set(statuses)}")
            check("done again" not in host.host.log(), "something was done again")
            driver.check_works()
        os.close(buffer[1])
        load.memory.close()


def test_a_session_of_a_host_that_was_killed_is_nobodys():
    with Host(config=CONFIG) as host:
        with Driver(host.path) as driver:
            old = [driver.crypto.create_session(KEY)[1] for _ in range(20)]
        host.host.kill()
        host.host.start()
        with Driver(host.path) as driver:
            new = [driver.crypto.create_session(KEY)[1] for _ in range(20)]
            check(not set(old) & set(new), "an id names another session now")


def test_the_buffer_is_of_the_kind_of_the_rings():
    sizes = []
    with Host(config=CONFIG) as host:
        for features in (PACKED, PACKED & ~fe.F_PACKED):
            with fe.FrontEnd(host.path) as front_end:
                front_end.negotiate(features)
                payload, fd = front_end.inflight_get(2, 64)
                sizes.append(struct.unpack("<Q", payload[:8])[0])
                os.close(fd)
            host.wait_free()
    # 32 and 16 bytes for each queue and descriptor.
    equal(sizes, [2 * 65 * 32 + 64, 2 * 65 * 16 + 96], "bytes")


def test_buffers_that_cannot_be():
    with Host(config=CONFIG) as host, Driver(host.path) as driver:
        front_end = driver.front_end
        with fe.FrontEnd(host.other) as other:
            other.negotiate()
            payload, fd = other.inflight_get(2, 64)
            size, offset, queues, entries = struct.unpack("<QQHH", payload[:20])
            equal((offset, queues, entries), (0, 2, 64))
            equal(os.fstat(fd).st_size, size, "bytes")
            # It cannot be cut short under the host.
            with vctest.raises(PermissionError):
                os.ftruncate(fd, 0)
            for what, bad in (("no queues", (size, 0, 0, 64)), ("queues", (size, 0, 3, 64)),
                              ("no entries", (size, 0, 2, 0)), ("entries", (size, 0, 2, 32769)),
                              ("size", (size - 1, 0, 2, 64)), ("offset", (size, 64, 2, 64)),
                              ("wrap", (2 ** 64 - 64, 0, 2, 64))):
                check(not other.tell(fe.SET_INFLIGHT_FD, struct.pack("<QQHH", *bad), [fd]), what)
            check(not other.tell(fe.SET_INFLIGHT_FD, payload, [fe.eventfd()]), "an eventfd")
            other.order(fe.SET_INFLIGHT_FD, payload, [fd])
            other.order(fe.SET_INFLIGHT_FD, payload[:20], [fd])
            other.order(fe.SET_INFLIGHT_FD, bytes(24))
        check(not front_end.tell(fe.SET_INFLIGHT_FD, payload, [fd]), "set under a running queue")
        driver.check_works()
        os.close(fd)


def test_rubbish_in_the_buffer_harms_nobody():
    with Host(config=CONFIG) as host, Driver(host.other) as other:
        session = other.check_works()
        for seed in range(30):
            driver, _, (payload, fd) = driver_with_buffer(host, (fe.Ring, PackedRing)[seed % 2])
            with driver:
                driver.data.stop()
                driver.control.stop()
                size = os.fstat(fd).st_size
                with mmap.mmap(fd, size) as buffer:
                    for at in range(0, size, 16):
                        buffer[at:at + 16] = bytes([1, seed, 1]) * 5 + bytes([seed])
                    # Version 1, so that it is believed, with as many entries as the ring has.
                    for queue in range(2):
                        at = queue * (size // 2) + 8
                        buffer[at:at + 4] = struct.pack("<HH", 1, RING)
                driver.control.start()
                driver.data.start()
                time.sleep(0.005)
                other.check_works(session)
            os.close(fd)
            host.wait_free()
        # A buffer that is cut short under the host.
        driver = Driver(host.path, size=RING)
        with driver:
            driver.data.stop()
            payload, fd = driver.front_end.inflight_get(2, RING)
            os.close(fd)
            fd = os.memfd_create("short", os.MFD_CLOEXEC)
            os.ftruncate(fd, struct.unpack("<Q", payload[:8])[0])
            driver.control.stop()
            driver.front_end.order(fe.SET_INFLIGHT_FD, payload, [fd])
            driver.data.start()
            driver.control.start()
            os.ftruncate(fd, 0)
            driver.check_works()
            other.check_works(session)
            os.close(fd)


vctest.main(globals())
