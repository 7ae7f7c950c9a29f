#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory that a front end takes away while slow requests work in it: that front end waits for its
answer, and no other does."""

import select
import struct
import time

import frontend as fe
import vctest
from hostfixture import IV, KEY, PLAIN, SLOW_CONFIG, U64, Driver, Host
from vctest import check, equal, wait_until

LENGTH = 1 << 20
COUNT = 240


class Annex:
    """Another memory of a driver's, in which all requests write their results."""

    def __init__(self, driver):
        self.driver = driver
        self.memory = fe.Memory(2 * LENGTH, fe.GUEST_BASE + (1 << 32), fe.USER_BASE + (1 << 32))
        self.source = self.memory.put(PLAIN * (LENGTH // len(PLAIN)))
        self.result = self.memory.alloc(LENGTH)
        self.status = {}
        driver.front_end.add_memory(self.memory)

    def load(self, session):
        own, driver = self.driver.memory, self.driver
        base = self.memory.guest - own.guest
        header = own.put(driver.crypto.cipher_header(session, IV, LENGTH))
        iv = own.put(IV)
        for _ in range(COUNT):
            status = own.put(b"\xff")
            head = driver.data.submit([(header, 72, False), (iv, 16, False),
                                       (base + self.source, LENGTH, False),
                                       (base + self.result, LENGTH, True), (status, 1, True)],
                                      True)
            self.status[head] = status

    def left(self):
        return sum(self.driver.memory.map[at] == 0xff for at in self.status.values())

    def remove(self):
        """Asks for it, and does not wait for the answer."""
        self.driver.front_end.send(fe.REM_MEM_REG, U64(0) + self.memory.region(), (),
                                   fe.VERSION | fe.NEED_REPLY)

    def answered(self):
        return bool(select.select([self.driver.front_end.socket], [], [], 0)[0])


def session_made(front_end):
    """By the message of QEMU, which the main thread answers."""
    answer = front_end.ask(fe.CREATE_CRYPTO_SESSION, fe.session_632(KEY))
    check(fe.session_id(answer) >= 0, "no session")


def loaded(host):
    driver = Driver(host.path, size=256)
    annex = Annex(driver)
    annex.load(driver.crypto.create_session(KEY)[1])
    wait_until(lambda: host.queue(0)["requests"] == COUNT, what="all are taken")
    return driver, annex


def check_all_done(annex):
    equal(annex.left(), 0, "requests that were not done when the memory went")
    equal([annex.driver.memory.map[at] for at in annex.status.values()], [0] * COUNT, "statuses")


def test_others_are_served_while_memory_is_in_use():
    with Host(config=SLOW_CONFIG) as host, Driver(host.other) as other:
        other.check_works()
        driver, annex = loaded(host)
        with driver:
            annex.remove()
            for _ in range(10):
                session_made(other.front_end)
            # And the control socket.
            equal(host.device(1)["connected"], True)
            check(not annex.answered(), "it was done too soon to see anything")
            check(annex.left(), "requests were done too soon")
            # What the front end says next is heard when that is done.
            driver.front_end.send(fe.GET_FEATURES)
            equal(struct.unpack("<Q", driver.front_end.recv(fe.REM_MEM_REG))[0], 0, "answer")
            check_all_done(annex)
            check(struct.unpack("<Q", driver.front_end.recv(fe.GET_FEATURES))[0], "features")
            for _ in range(COUNT):
                driver.data.wait()
            driver.check_works()
        annex.memory.close()


def test_a_table_without_the_rings_is_waited_for_as_well():
    with Host(config=SLOW_CONFIG) as host, Driver(host.other) as other:
        driver, annex = loaded(host)
        with driver:
            nothing = fe.Memory(1 << 20, fe.GUEST_BASE + (2 << 32), fe.USER_BASE + (2 << 32))
            driver.front_end.send(fe.SET_MEM_TABLE, struct.pack("<II", 1, 0) + nothing.region(),
                                  [nothing.fd], fe.VERSION | fe.NEED_REPLY)
            session_made(other.front_end)
            check(not annex.answered(), "it was done too soon to see anything")
            equal(struct.unpack("<Q", driver.front_end.recv(fe.SET_MEM_TABLE))[0], 0, "answer")
            check_all_done(annex)
            for queue in (0, 1):
                equal(host.queue(queue)["broken"], "its ring is no longer in shared memory")
        nothing.close()
        annex.memory.close()


def test_a_front_end_that_hangs_up_meanwhile():
    with Host(config=SLOW_CONFIG) as host, Driver(host.other) as other:
        driver, annex = loaded(host)
        annex.remove()
        time.sleep(0.01)
        driver.__exit__()
        annex.memory.close()
        session_made(other.front_end)
        host.wait_free()
        equal(host.device()["memory_regions"], 0, "regions")
        with Driver(host.path) as driver:
            driver.check_works()


vctest.main(globals())
