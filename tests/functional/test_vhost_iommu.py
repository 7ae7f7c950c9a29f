#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest with an IOMMU: vcrypto-host asks the front end what addresses mean, and keeps to it."""

import socket
import struct
import threading
import time

import frontend as fe
import vctest
from hostfixture import CIPHER, IV, KEY, PLAIN, Driver, Host
from packedring import PackedRing
from vctest import check, equal, wait_until

BACKEND_IOTLB_MSG, MISS, UPDATE, INVALIDATE = 1, 1, 2, 3
READ, WRITE = 1, 2
IOTLB = struct.Struct("<QQQBB6x")
PAGE = 4096
FEATURES = fe.F_PROTOCOL | fe.F_VERSION_1 | fe.F_INDIRECT | fe.F_ACCESS_PLATFORM
# Addresses of the guest's choice, far from those of its memory.
IOVA = 0xFFFF00000


class Iommu(threading.Thread):
    """Answers as QEMU does, page by page, with what allowed() says of an offset: rights, or 0."""

    def __init__(self, front_end, memory, allowed=lambda offset: READ | WRITE):
        super().__init__(daemon=True)
        self.front_end, self.memory, self.allowed = front_end, memory, allowed
        self.user = memory.user
        # From now on rings and descriptors say addresses of the IOMMU.
        memory.guest = memory.user = IOVA
        self.asked = []
        self.lock = threading.RLock()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        front_end.order(fe.SET_BACKEND_REQ_FD, b"", [theirs.fileno()])
        theirs.close()
        order, ask = front_end.order, front_end.ask
        front_end.order = lambda *arguments: self._locked(order, *arguments)
        front_end.ask = lambda *arguments: self._locked(ask, *arguments)
        self.tell = lambda *fields: self._locked(front_end.tell, fe.IOTLB_MSG, IOTLB.pack(*fields))

    def _locked(self, function, *arguments):
        with self.lock:
            return function(*arguments)

    def run(self):
        size = 12 + IOTLB.size
        data = self.socket.recv(size, socket.MSG_WAITALL)
        while len(data) == size:
            header, fields = struct.unpack("<III", data[:12]), IOTLB.unpack(data[12:])
            if header != (BACKEND_IOTLB_MSG, 1, IOTLB.size) or fields[4] != MISS:
                raise AssertionError(f"message {data.hex()}")
            self.answer(fields[0], fields[3])
            data = self.socket.recv(size, socket.MSG_WAITALL)

    def answer(self, address, wanted):
        offset = (address - IOVA) // PAGE * PAGE
        rights = self.allowed(offset) if 0 <= offset < self.memory.size else 0
        self.asked.append((offset, wanted))
        if rights & wanted == wanted:
            self.update(offset, rights)

    def update(self, offset, rights=READ | WRITE):
        check(self.tell(IOVA + offset, PAGE, self.user + offset, rights, UPDATE), "update is taken")

    def invalidate(self, offset=0, size=1 << 40):
        check(self.tell(IOVA + offset, size, 0, 0, INVALIDATE), "invalidation is taken")


class IommuDriver(Driver):
    """As its base, with an IOMMU before it."""

    def __init__(self, path, ring=fe.Ring, features=FEATURES, size=64, **options):
        self.options = options
        super().__init__(path, ring, features, size)

    def prepare(self):
        self.iommu = Iommu(self.front_end, self.memory, **self.options)
        self.iommu.start()


def test_addresses_are_asked_for_and_kept():
    for ring, packed in ((fe.Ring, 0), (PackedRing, fe.F_PACKED)):
        with Host() as host, IommuDriver(host.path, ring, FEATURES | packed) as driver:
            session = driver.check_works()
            for i in range(60):
                equal(driver.crypto.cipher(session, IV, PLAIN, indirect=i % 2 == 0), (0, CIPHER))
            # More than one page, and hardly one twice (both queues may ask about the same).
            asked = {offset for offset, _ in driver.iommu.asked}
            check(len(asked) >= 3, f"pages asked for: {sorted(asked)}")
            check(len(driver.iommu.asked) <= 2 * len(asked), f"asked: {driver.iommu.asked}")
            iommu = host.device()["iommu"]
            equal((iommu["entries"], iommu["asked"]), (len(asked), len(driver.iommu.asked)))
            equal(host.device(1)["iommu"], None, "the other device's")
            equal(host.device()["memory_regions"], 1, "regions that the front end has shared")


def test_what_is_taken_away_is_asked_for_again():
    with Host() as host, IommuDriver(host.path) as driver:
        session = driver.check_works()
        for _ in range(20):
            before = len(driver.iommu.asked)
            driver.iommu.invalidate()
            equal(host.device()["iommu"]["entries"] <= 2, True, "only rings asked for again")
            driver.check_works(session)
            check(len(driver.iommu.asked) > before, "asked again")


def test_what_was_allowed_ends_with_the_queues():
    """While none runs a front end tells nothing (QEMU: its listener is gone), and the next driver
    may have other memory at the same addresses."""
    with Host() as host, IommuDriver(host.path) as driver:
        driver.check_works()
        driver.control.stop()
        check(host.device()["iommu"]["entries"] > 0, "one of two queues still runs")
        driver.data.stop()
        equal(host.device()["iommu"]["entries"], 0, "entries")
        asked = len(driver.iommu.asked)
        driver.data.reset().start()
        driver.control.reset().start()
        driver.check_works()
        check(len(driver.iommu.asked) > asked, "asked again")


def test_address_that_nobody_knows_fails_alone():
    with Host() as host, IommuDriver(host.path) as driver:
        session = driver.check_works()
        hole = 2 * driver.memory.size
        (header, iv, source, result, status) = driver.crypto.cipher_pieces(session, IV, PLAIN)
        for bad in ((hole, source[1], False), source):
            into = result if bad[0] == hole else (hole, result[1], True)
            driver.memory.map[status[0]] = 0xFF
            driver.data.submit([header, iv, bad, into, status])
            # The control queue of the same worker, and another device, go on meanwhile.
            driver.crypto.destroy_session(driver.crypto.create_session(KEY)[1])
            with Driver(host.other) as other:
                other.check_works()
            host.wait_free(1)
            driver.data.wait()
            equal(driver.memory.map[status[0]], 1, "status ERR")
            driver.check_works(session)
        equal(host.queue(0)["bad_chains"], 2)


def test_what_may_only_be_read_is_not_written():
    readonly = 0x80000

    def allowed(offset):
        return READ if offset >= readonly else READ | WRITE

    with Host() as host, IommuDriver(host.path, allowed=allowed) as driver:
        session = driver.check_works()
        memory = driver.memory
        header, iv, source, result, status = driver.crypto.cipher_pieces(session, IV, PLAIN)
        memory.map[readonly:readonly + 32] = PLAIN
        # Source, header, IV: all of them may be there.
        for i, piece in enumerate((header, iv)):
            at = readonly + 4096 * (i + 1)
            memory.map[at:at + piece[1]] = memory.map[piece[0]:piece[0] + piece[1]]
        driver.data.submit([(readonly + 4096, 72, False), (readonly + 8192, 16, False),
                            (readonly, 32, False), result, status], True)
        driver.data.wait()
        equal(memory.map[status[0]], 0, "status")
        equal(memory.map[result[0]:result[0] + 32], CIPHER, "ciphertext")
        # The result may not.
        memory.map[status[0]] = 0xFF
        driver.data.submit([header, iv, source, (readonly, 32, True), status])
        driver.data.wait()
        equal(memory.map[status[0]], 1, "status ERR")
        equal(memory.map[readonly:readonly + 32], PLAIN, "what is read-only")
        driver.check_works(session)


def test_features_may_be_hidden():
    """As with QEMU's crypto back end: rings begin at addresses that mean nothing yet, and only a
    message about the IOMMU says that there is one."""
    with Host() as host, IommuDriver(host.path, features=fe.F_PROTOCOL) as driver:
        time.sleep(0.1)
        check(not host.queue(0)["started"], "the ring is nowhere")
        equal(driver.iommu.asked, [], "questions")
        driver.iommu.update(driver.data.used // PAGE * PAGE)
        wait_until(lambda: host.queue(0)["started"], what="the ring is found")
        # QEMU says so again for each queue.
        driver.front_end.order(fe.SET_FEATURES, struct.pack("<Q", fe.F_PROTOCOL))
        driver.check_works()
        check(host.device()["iommu"], "there still is one")


def test_features_may_be_hidden_and_there_is_no_iommu():
    """As with nearly every QEMU."""
    with Host() as host, Driver(host.path) as driver:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours, theirs:
            driver.front_end.order(fe.SET_BACKEND_REQ_FD, b"", [theirs.fileno()])
        driver.front_end.order(fe.RESET_DEVICE)
        driver.front_end.order(fe.SET_FEATURES, struct.pack("<Q", fe.F_PROTOCOL))
        driver.data.reset().start(enable=False)
        check(host.queue(0)["started"], "the ring is where the front end says")
        driver.control.reset().start(enable=False)
        driver.check_works()


def test_next_driver_has_no_iommu():
    with Host() as host:
        with IommuDriver(host.path) as driver:
            driver.check_works()
        host.wait_free()
        equal(host.device()["iommu"], None, "IOMMU of nobody")
        with Driver(host.path) as driver:
            driver.check_works()
            # The same front end, as when the guest boots another system.
            driver.front_end.order(fe.RESET_DEVICE)
            user = driver.memory.user
            driver.iommu = Iommu(driver.front_end, driver.memory)
            driver.iommu.start()
            driver.front_end.order(fe.SET_FEATURES, struct.pack("<Q", FEATURES))
            driver.data.reset().start()
            driver.control.reset().start()
            driver.check_works()
            driver.front_end.order(fe.RESET_DEVICE)
            driver.memory.user, driver.memory.guest = user, fe.GUEST_BASE
            driver.restart()
            driver.check_works()
            equal(host.device()["iommu"], None, "IOMMU")


def test_messages_that_make_no_sense():
    with Host() as host, IommuDriver(host.path) as driver:
        session = driver.check_works()
        tell, user = driver.iommu.tell, driver.iommu.user
        for fields in ((IOVA, 0, user, 3, UPDATE), (IOVA, PAGE, user + (1 << 20), 3, UPDATE),
                       (IOVA, (1 << 20) + 1, user, 3, UPDATE), (IOVA, PAGE, user, 0, UPDATE),
                       (IOVA, PAGE, user, 4, UPDATE), ((1 << 64) - 1, 2, user, 3, UPDATE),
                       (IOVA, PAGE, (1 << 64) - 1, 3, UPDATE), (IOVA, PAGE, user, 3, MISS),
                       (IOVA, PAGE, user, 3, 4), (IOVA, PAGE, user, 3, 255)):
            check(not tell(*fields), f"refused: {fields}")
        driver.check_works(session)
        check(tell(0, (1 << 64) - 1, 0, 0, INVALIDATE), "all of it")
        driver.check_works(session)
        # A front end that hears nothing any more: requests fail, and it can say so by itself.
        driver.iommu.socket.shutdown(socket.SHUT_RDWR)
        driver.iommu.invalidate()
        wait_until(lambda: not host.queue(0)["started"], what="the ring is gone")
        for offset in range(0, driver.memory.size, PAGE):
            driver.iommu.update(offset)
        driver.check_works(session)


def test_floods_of_entries():
    """More than are kept, with requests between."""
    with Host() as host, IommuDriver(host.path) as driver:
        session = driver.check_works()
        for i in range(4200):
            check(driver.iommu.tell(IOVA + (i + 1000) * 2 * PAGE, PAGE, driver.iommu.user, 3,
                                    UPDATE), "update is taken")
            if i % 500 == 0:
                driver.check_works(session)
        driver.check_works(session)
        check(host.device()["iommu"]["entries"] <= 4096, "bounded")


if __name__ == "__main__":
    vctest.main(globals())
