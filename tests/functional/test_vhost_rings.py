#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kinds of rings that vcrypto-host serves, and how a queue is stopped, reset and goes on."""

import os
import struct

import frontend as fe
import vctest
from hostfixture import CIPHER, IV, KEY, PLAIN, U64, Driver, Host
from packedring import AVAIL, EVENT_DESC, USED, PackedRing
from vctest import check, contains, equal, wait_until

PACKED = fe.F_PROTOCOL | fe.F_VERSION_1 | fe.F_INDIRECT | fe.F_PACKED


def test_packed_rings():
    for features in (PACKED, PACKED | fe.F_EVENT_IDX):
        with Host() as host, Driver(host.path, PackedRing, features) as driver:
            session = driver.check_works()
            # Several laps, direct and indirect in turn.
            for i in range(60):
                equal(driver.crypto.cipher(session, IV, PLAIN, indirect=i % 3 == 0), (0, CIPHER))
            equal(driver.crypto.destroy_session(session), 0, "status of destroy")
            equal(driver.crypto.cipher(session, IV, PLAIN)[0], 4, "status INVSESS")


def test_packed_ring_of_a_size_that_is_no_power_of_two():
    with Host() as host, Driver(host.path, PackedRing, PACKED, size=37) as driver:
        session = driver.check_works()
        for _ in range(40):
            driver.check_works(session)


def test_packed_calls_come_when_asked_for():
    """EVENT_IDX: a call at the event's descriptor, and none for those before it."""
    with Host() as host, Driver(host.path, PackedRing, PACKED | fe.F_EVENT_IDX) as driver:
        session = driver.check_works()
        ring, m = driver.data, driver.memory.map
        target = ring.next + 3 | ring.next_wrap << 15
        m[ring.driver_event:ring.driver_event + 4] = struct.pack("<HH", target, EVENT_DESC)
        # It counts once it has called.
        wait_until(lambda: host.queue(0)["calls"] == 1, what="the first call is counted")
        calls = 1
        pieces = driver.crypto.cipher_pieces(session, IV, PLAIN)
        for i in range(4):
            ring.submit(pieces, indirect=True)
            wait_until(lambda: ring._peek(), what="the request is done")
            if i < 3:
                equal(host.queue(0)["calls"], calls, f"calls after request {i}")
                ring.used += ring.chains.pop(ring._peek()[0])
        ring.wait()
        wait_until(lambda: host.queue(0)["calls"] == calls + 1, what="one call")


def test_packed_base_says_where_it_stopped():
    with Host() as host, Driver(host.path, PackedRing, PACKED) as driver:
        session = driver.check_works()
        for _ in range(20):
            driver.check_works(session)
        # 21 chains of five, on the second lap of 64.
        equal(driver.data.stop(), (105 - 64) | (105 - 64) << 16, "base")
        driver.data.start()
        for _ in range(20):
            driver.check_works(session)
        base = driver.data.base()
        equal(driver.data.stop(), base, "base")
        # As a front end says it that knows the lower half only.
        driver.data.base = lambda: base & 0xFFFF
        driver.data.start()
        driver.check_works(session)


def test_a_broken_packed_queue_is_reset_alone():
    with Host() as host, Driver(host.path, PackedRing, PACKED) as driver:
        session = driver.check_works()
        ring, m = driver.data, driver.memory.map
        # A chain without an end, its first descriptor last: the host looks all the time.
        for i in reversed(range(ring.size)):
            wrap = ring.next_wrap == (ring.next + i < ring.size)
            flags = fe.DESC_NEXT | (AVAIL if wrap else USED)
            at = ring.desc + 16 * ((ring.next + i) % ring.size)
            m[at:at + 16] = struct.pack("<QIHH", driver.memory.guest, 16, 1, flags)
        ring.kick()
        wait_until(lambda: host.queue(0)["broken"], what="the queue is broken")
        contains(host.queue(0)["broken"], "more than it can hold")
        reset_and_go_on(host, driver, session)


def reset_and_go_on(host, driver, session):
    """RING_RESET, as front ends do it: the session and the other queues do not notice."""
    equal(driver.crypto.create_session(KEY)[0], 0, "the control queue goes on")
    driver.data.stop()
    driver.data.reset().start()
    check(not host.queue(0)["broken"], "still broken")
    driver.check_works(session)


def test_a_broken_split_queue_is_reset_alone():
    with Host() as host, Driver(host.path) as driver:
        check(driver.front_end.ask_u64(fe.GET_FEATURES) & fe.F_RING_RESET, "not offered")
        session = driver.check_works()
        ring, m = driver.data, driver.memory.map
        m[ring.avail + 2:ring.avail + 4] = struct.pack("<H", ring.next_avail + 1000 & 0xFFFF)
        ring.kick()
        wait_until(lambda: host.queue(0)["broken"], what="the queue is broken")
        reset_and_go_on(host, driver, session)


def test_a_queue_is_reset_while_another_works():
    """With requests in flight in both."""
    with Host() as host, Driver(host.path) as driver:
        session = driver.check_works()
        other = fe.Ring(driver.front_end, driver.memory, 1).start()
        crypto = fe.CryptoDriver(driver.memory, other, driver.control)
        for _ in range(20):
            pieces = crypto.cipher_pieces(session, IV, PLAIN)
            for ring in (driver.data, other):
                for _ in range(8):
                    ring.submit(pieces, indirect=True)
            # What was available is done, or is left where it is.
            equal(driver.data.stop() <= 8 * 21, True)
            driver.data.reset().start()
            for _ in range(8):
                other.wait()
            equal(crypto.cipher(session, IV, PLAIN), (0, CIPHER))
            driver.check_works(session)
        check(not host.queue(0)["broken"] and not host.queue(1)["broken"], "broken")
        other.close()


def test_strict_order_offers_in_order():
    """One request after another is a batch of one each: as without."""
    in_order = fe.F_PROTOCOL | fe.F_VERSION_1 | fe.F_INDIRECT | fe.F_IN_ORDER
    with Host() as host, fe.FrontEnd(host.path) as front_end:
        front_end.negotiate()
        check(not front_end.ask_u64(fe.GET_FEATURES) & fe.F_IN_ORDER, "offered by a relaxed device")
        check(not front_end.tell(fe.SET_FEATURES, U64(in_order)), "taken by a relaxed device")
    with Host(order="strict") as host:
        equal(host.device(0)["order"], "strict")
        equal(host.device(1)["order"], "relaxed")
        for ring, features in ((fe.Ring, in_order), (PackedRing, in_order | fe.F_PACKED),
                               (fe.Ring, fe.F_PROTOCOL | fe.F_VERSION_1)):
            with Driver(host.path, ring, features) as driver:
                check(driver.front_end.ask_u64(fe.GET_FEATURES) & fe.F_IN_ORDER, "not offered")
                session = driver.check_works()
                for i in range(40):
                    equal(driver.crypto.cipher(session, IV, PLAIN, indirect=i % 2), (0, CIPHER))
                equal(driver.crypto.cipher(1, IV, PLAIN)[0], 4, "status INVSESS")
                driver.check_works(session)
            host.wait_free()


def test_in_order_batch_is_one_used_entry():
    """A burst that one look of the host finds: the driver counts it by the id of the last."""
    features = fe.F_PROTOCOL | fe.F_VERSION_1 | fe.F_INDIRECT | fe.F_IN_ORDER
    with Host(order="strict") as host, Driver(host.path, features=features) as driver:
        session = driver.check_works()
        ring, m = driver.data, driver.memory.map
        driver.data.stop()
        heads = []
        for _ in range(20):
            heads.append(ring.submit(driver.crypto.cipher_pieces(session, IV, PLAIN), True))
        ring.next_avail -= 20
        ring.start()
        ring.next_avail += 20
        wait_until(lambda: struct.unpack("<H", m[ring.used + 2:ring.used + 4])[0] == 21,
                   what="all are done")
        entry = ring.used + 4 + 8 * 1
        last, written = struct.unpack("<II", m[entry:entry + 8])
        equal(written, len(PLAIN) + 1, "bytes written")
        check(last in heads[1:], f"entry 1 is for {last} of {heads}: no batch")


def test_64_queues_over_two_workers():
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        raise vctest.Skip("there is one CPU only")
    with Host(workers=cpus, queues=64) as host, Driver(host.path, size=8) as driver:
        equal(driver.queues, 65, "queues")
        session = driver.check_works()
        rings = [driver.data] + [fe.Ring(driver.front_end, driver.memory, i, 8).start()
                                 for i in range(1, 64)]
        # Each has its own: two workers are not to write the same bytes at once.
        pieces = [driver.crypto.cipher_pieces(session, IV, PLAIN) for _ in rings]
        for _ in range(5):
            for ring, its_pieces in zip(rings, pieces):
                ring.submit(its_pieces, indirect=True)
            for ring in rings:
                ring.wait()
        status = host.ctl("host", "status")
        equal([q["requests"] for q in status["devices"][0]["queues"][1:64]], [5] * 63, "requests")
        # 32 queues each, five requests in each of them.
        check(all(worker["requests"] >= 160 for worker in status["workers"]),
              f"workers: {status['workers']}")
        # One of them stops; 63 go on.
        rings[40].stop()
        for index in (*range(40), *range(41, 64)):
            rings[index].submit(pieces[index], indirect=True)
            rings[index].wait()
        for ring in rings[1:]:
            ring.close()


if __name__ == "__main__":
    vctest.main(globals())
