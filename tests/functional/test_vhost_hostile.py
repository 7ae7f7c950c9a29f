#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcrypto-host against front ends that break every rule: they lose their own connection only."""

import fcntl
import os
import random
import socket
import struct
import time

import frontend as fe
import vctest
from hostfixture import CIPHER, IV, PLAIN, STATE, U64, Driver, Host, header
from vctest import check, equal, wait_until

KNOWN_SIZES = {
    fe.GET_FEATURES: 0, fe.SET_FEATURES: 8, fe.SET_OWNER: 0, fe.RESET_OWNER: 0,
    fe.SET_VRING_NUM: 8, fe.SET_VRING_ADDR: 40, fe.SET_VRING_BASE: 8, fe.GET_VRING_BASE: 8,
    fe.SET_VRING_KICK: 8, fe.SET_VRING_CALL: 8, fe.SET_VRING_ERR: 8,
    fe.GET_PROTOCOL_FEATURES: 0, fe.SET_PROTOCOL_FEATURES: 8, fe.GET_QUEUE_NUM: 0,
    fe.SET_VRING_ENABLE: 8, fe.CREATE_CRYPTO_SESSION: 632, fe.CLOSE_CRYPTO_SESSION: 8,
    fe.GET_MAX_MEM_SLOTS: 0, fe.ADD_MEM_REG: 40, fe.REM_MEM_REG: 40, fe.RESET_DEVICE: 0,
    fe.SET_STATUS: 8, fe.GET_STATUS: 0, fe.SET_BACKEND_REQ_FD: 0,
}


def hangs_up(host, what, *messages):
    """Each (data, descriptors) is sent on a connection of its own, and that ends it."""
    for data, fds in messages:
        with fe.FrontEnd(host.path) as front_end:
            front_end.send_raw(data, fds)
            check(front_end.hung_up(), f"{what}: still connected after {data[:60].hex()}")
        host.wait_free()


def test_wrong_sizes_end_the_connection():
    with Host() as host:
        for request, size in KNOWN_SIZES.items():
            wrong = [size + 1, 2049, 0xFFFFFFFF]
            if size:
                wrong += [size - 1, 0]
            hangs_up(host, f"message {request}",
                     *((header(request, n) + bytes(min(n, 4096)), ()) for n in wrong))
        for request in (fe.GET_INFLIGHT_FD, fe.SET_INFLIGHT_FD):
            hangs_up(host, f"message {request}",
                     *((header(request, n) + bytes(n), ()) for n in (0, 19, 25, 64)))
        hangs_up(host, "unknown message", (header(99, 2049), ()))
        hangs_up(host, "memory table",
                 (header(fe.SET_MEM_TABLE, 8) + STATE(1, 0), ()),
                 (header(fe.SET_MEM_TABLE, 8) + STATE(9, 0), ()),
                 (header(fe.SET_MEM_TABLE, 8) + STATE(0xFFFFFFFF, 0), ()),
                 (header(fe.SET_MEM_TABLE, 41) + STATE(1, 0) + bytes(33), ()),
                 (header(fe.SET_MEM_TABLE, 40) + STATE(1, 0) + bytes(32), ()))


def test_wrong_flags_end_the_connection():
    with Host() as host:
        hangs_up(host, "flags", *((header(fe.GET_FEATURES, 0, flags), ())
                                  for flags in (0, 2, 3, 5, 4)))


def test_unexpected_descriptors_are_closed():
    with Host() as host:
        before = host.files()
        fd = fe.eventfd()
        for count in (1, 2, 8, 9, 200):
            hangs_up(host, f"{count} descriptors",
                     (header(fe.GET_FEATURES, 0), [fd] * count),
                     (header(fe.SET_VRING_NUM, 8) + STATE(0, 64), [fd] * count))
        hangs_up(host, "two descriptors", (header(fe.SET_VRING_CALL, 8) + U64(0), [fd, fd]))
        hangs_up(host, "no descriptor", (header(fe.SET_VRING_CALL, 8) + U64(0), []))
        hangs_up(host, "a descriptor and none",
                 (header(fe.SET_VRING_CALL, 8) + U64(fe.NOFD), [fd]))
        hangs_up(host, "no memory", (header(fe.ADD_MEM_REG, 40) + bytes(40), []))
        with fe.FrontEnd(host.path) as front_end:
            try:
                for byte in header(99, 0):
                    front_end.send_raw(bytes([byte]), [fd] * 2)
            except fe.Closed:
                pass
            check(front_end.hung_up(), "a trickle of descriptors")
        host.wait_free()
        with fe.FrontEnd(host.path) as front_end:
            front_end.send(99, b"12345678", [fd] * 8)
            check(front_end.alive(), "hung up")
            equal(host.files(), before + 1, "descriptors of the host")
        os.close(fd)
        host.wait_free()
        equal(host.files(), before, "descriptors of the host")


def test_unknown_messages_are_ignored_or_refused():
    with Host() as host, fe.FrontEnd(host.path) as front_end:
        front_end.negotiate()
        for request in (0, 6, 7, 19, 23, 28, 30, 33, 35, 41, 63, 64, 1000, 0xFFFFFFFF):
            front_end.send(request, b"payload!")
            check(not front_end.tell(request, b"payload!"), f"message {request} was done")
        check(front_end.alive(), "hung up")
        said = host.host.log().count("vhost-user message 6 ")
        equal(said, 1, "lines in the log about message 6")
        check(not front_end.tell(fe.SET_CONFIG, struct.pack("<III", 0, 4, 0) + bytes(4)),
              "the configuration was written")


def test_wrong_values_are_refused():
    with Host() as host, Driver(host.path) as driver:
        front_end, memory = driver.front_end, driver.memory
        session = driver.check_works()
        event = fe.eventfd()
        pipe = os.pipe()

        def refused(what, request, payload, fds=()):
            check(not front_end.tell(request, payload, fds), f"{what} was taken")

        refused("unknown feature", fe.SET_FEATURES, U64(fe.F_PROTOCOL | 1 << 50))
        refused("unknown protocol feature", fe.SET_PROTOCOL_FEATURES, U64(1 << 40))
        for index in (3, 64, 255, 256, 0xFFFFFFFF):
            for request in (fe.SET_VRING_NUM, fe.SET_VRING_BASE, fe.SET_VRING_ENABLE):
                refused(f"queue {index}", request, STATE(index, 1))
            refused(f"queue {index}", fe.SET_VRING_ADDR, struct.pack("<II4Q", index, 0, 0, 0, 0, 0))
        for index in (3, 255):
            refused(f"queue {index}", fe.SET_VRING_KICK, U64(index), [event])
        refused("bits beyond the index", fe.SET_VRING_CALL, U64(1 << 32), [event])
        for size in (0, 3, 65536, 0x80000000):
            refused(f"ring size {size}", fe.SET_VRING_NUM, STATE(1, size))
        refused("base", fe.SET_VRING_BASE, STATE(1, 65536))
        refused("enable 2", fe.SET_VRING_ENABLE, STATE(1, 2))
        refused("size of a running ring", fe.SET_VRING_NUM, STATE(0, 128))
        refused("base of a running ring", fe.SET_VRING_BASE, STATE(0, 1))
        refused("address of a running ring", fe.SET_VRING_ADDR,
                struct.pack("<II4Q", 0, 0, 0, 0, 0, 0))
        refused("a pipe", fe.SET_VRING_CALL, U64(0), [pipe[1]])
        refused("a memfd", fe.SET_VRING_KICK, U64(1), [memory.fd])
        # Ring addresses outside memory, or not aligned.
        front_end.order(fe.SET_VRING_NUM, STATE(1, 64))
        for address in (0, memory.user + memory.size - 16, memory.user + 1, 2 ** 64 - 16):
            front_end.order(fe.SET_VRING_ADDR,
                            struct.pack("<II4Q", 1, 0, address, address, address, 0))
            refused(f"ring at {address:#x}", fe.SET_VRING_KICK, U64(1), [event])
        # Regions.
        size = memory.size
        for what, guest, length in (("empty", 0, 0), ("wrapping", 2 ** 64 - 4096, 8192),
                                    ("larger than its file", 0, size + 4096),
                                    ("overlapping", fe.GUEST_BASE + size - 4096, 8192),
                                    ("all there is", 0, 2 ** 64 - 1)):
            refused(f"{what} region", fe.ADD_MEM_REG,
                    U64(0) + struct.pack("<4Q", guest, length, 0x1000, 0), [memory.fd])
        region = struct.pack("<4Q", 0, 4096, 0x1000, 0)
        refused("offset beyond the file", fe.ADD_MEM_REG,
                U64(0) + struct.pack("<4Q", 0, 4096, 0x1000, size), [memory.fd])
        refused("offset that wraps", fe.ADD_MEM_REG,
                U64(0) + struct.pack("<4Q", 0, 4096, 0x1000, 2 ** 64 - 4096), [memory.fd])
        refused("a pipe as memory", fe.ADD_MEM_REG, U64(0) + region, [pipe[0]])
        refused("an eventfd as memory", fe.ADD_MEM_REG, U64(0) + region, [event])
        with open("/proc/self/exe", "rb") as file:
            refused("a file on disk as memory", fe.ADD_MEM_REG, U64(0) + region, [file.fileno()])
        refused("a memory table of one descriptor twice", fe.SET_MEM_TABLE,
                STATE(2, 0) + memory.region() * 2, [memory.fd] * 2)
        # And all the while it works.
        driver.check_works(session)
        os.close(event)
        os.close(pipe[0])
        os.close(pipe[1])


def test_memory_beyond_the_limit_is_refused():
    with Host() as host, Driver(host.path) as driver:
        big = [fe.Memory(1 << 29, (i + 8) << 32, (i + 8) << 36) for i in range(2)]
        driver.front_end.add_memory(big[0])
        add = U64(0) + big[1].region()
        check(not driver.front_end.tell(fe.ADD_MEM_REG, add, [big[1].fd]), "1 GiB and more")
        equal(host.device()["memory"], (1 << 29) + driver.memory.size, "bytes mapped")
        equal(host.device()["limits"]["memory"], 1 << 30)
        driver.check_works()
        # As often as it likes, and the log stays short.
        for _ in range(200):
            driver.front_end.tell(fe.ADD_MEM_REG, add, [big[1].fd])
        equal(host.host.log().count("bytes of memory refused"), 10, "lines in the log")
        driver.front_end.order(fe.REM_MEM_REG, U64(0) + big[0].region())
        driver.front_end.order(fe.ADD_MEM_REG, add, [big[1].fd])
        for memory in big:
            memory.close()


def test_refused_without_acknowledgements_is_disconnected():
    with Host() as host, fe.FrontEnd(host.path) as front_end:
        front_end.negotiate(protocol=0)
        front_end.send(fe.SET_VRING_NUM, STATE(0, 3))
        check(front_end.hung_up(), "goes on as if the size were set")


def test_a_stalled_message_disturbs_nobody_and_ends():
    with Host() as host, fe.FrontEnd(host.path) as stalled:
        stalled.send_raw(header(fe.SET_FEATURES, 8) + b"1234")
        begin = time.monotonic()
        with Driver(host.other) as driver:
            driver.check_works()
        check(time.monotonic() - begin < 3, "the other device had to wait")
        check(stalled.hung_up(15), "still waits for the rest")
        check(time.monotonic() - begin > 3, "no patience at all")


def test_a_flood_disturbs_nobody():
    with Host() as host, fe.FrontEnd(host.path, timeout=5) as flood:
        flood.socket.setblocking(False)
        sent = 0
        with Driver(host.other) as driver:
            session = driver.check_works()
            end = time.monotonic() + 2
            while time.monotonic() < end:
                try:
                    sent += flood.socket.send(header(fe.GET_FEATURES, 0) * 500)
                except BlockingIOError:
                    time.sleep(0.001)
                except (BrokenPipeError, ConnectionResetError):
                    break
                driver.check_works(session)
            else:
                raise vctest.Failure(f"{sent} bytes of requests whose answers nobody reads")


def random_message(rng, memory, event):
    """A message of a known kind, mostly of the right size, with values that nearly make sense."""
    request = rng.choice([*KNOWN_SIZES, fe.SET_MEM_TABLE, fe.GET_CONFIG, fe.GET_INFLIGHT_FD,
                          fe.SET_INFLIGHT_FD, rng.randrange(64)])
    size = KNOWN_SIZES.get(request, rng.choice((12, 40, 72, 264)))
    if request in (fe.GET_INFLIGHT_FD, fe.SET_INFLIGHT_FD):
        size = 24
    if rng.random() < 0.005:
        size = rng.randrange(2100)
    words = [0, 1, 2, 3, 64, 256, 4096, 0xFFFFFFFF, fe.NOFD, rng.getrandbits(32)]
    payload = b"".join(struct.pack("<I", rng.choice(words)) for _ in range(size // 4 + 1))[:size]
    if size == 8 and rng.random() < 0.95:
        payload = STATE(rng.randrange(3), rng.choice((1, 1, 1, 16, 64, 64)))
    if request in (fe.ADD_MEM_REG, fe.REM_MEM_REG) and rng.random() < 0.9:
        payload = U64(0) + memory.region()
    if request == fe.SET_VRING_ADDR and rng.random() < 0.9:
        address = [memory.user + rng.randrange(memory.size // 16) * 16 for _ in range(3)]
        payload = struct.pack("<II4Q", rng.randrange(3), 0, *address, 0)
    fds = []
    if request in (fe.SET_VRING_KICK, fe.SET_VRING_CALL, fe.SET_VRING_ERR):
        payload = U64(rng.randrange(3))
        fds = [event]
    elif request == fe.SET_INFLIGHT_FD and rng.random() < 0.9:
        payload = struct.pack("<QQHHI", rng.choice((2112, 4096, memory.size)), 0,
                              rng.randrange(4), rng.choice((16, 64)), 0)
        fds = [memory.fd]
    elif request == fe.ADD_MEM_REG:
        fds = [memory.fd]
    if rng.random() < 0.01:
        fds = fds + [event] * rng.randrange(10)
    flags = fe.VERSION | fe.NEED_REPLY if rng.random() < 0.98 else rng.randrange(16)
    return struct.pack("<III", request, flags, len(payload)) + payload, fds


def trap(fd):
    """Make an eventfd one that blocks whoever writes to it."""
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    os.write(fd, struct.pack("<Q", 2 ** 64 - 2))


def test_call_descriptors_that_block_stop_nobody():
    with Host() as host, Driver(host.path) as driver, Driver(host.other) as other:
        sessions = driver.check_works(), other.check_works()
        error = fe.eventfd()
        driver.front_end.order(fe.SET_VRING_ERR, U64(0), [error])
        # Set again, the host may undo what was done before; so it is done afterwards.
        trap(driver.data.call_fd)
        trap(error)
        memory, ring = driver.memory.map, driver.data
        for n in range(1, 20):
            head, iv, src, dst, status = (driver.memory.put(data) for data in (
                driver.crypto.cipher_header(sessions[0], IV, 32), IV, PLAIN, bytes(32), b"\xff"))
            ring.submit([(head, 72, False), (iv, 16, False), (src, 32, False), (dst, 32, True),
                         (status, 1, True)], indirect=True)
            wait_until(lambda: memory[status] == 0, what=f"request {n} with a trap for a call")
            equal(memory[dst:dst + 32], CIPHER)
            other.check_works(sessions[1])
        # And the queue's error descriptor: the ring's index jumps.
        memory[ring.avail + 2:ring.avail + 4] = b"\xff\x7f"
        ring.kick()
        wait_until(lambda: host.queue(0)["broken"], what="the queue is broken")
        other.check_works(sessions[1])
        # Counters that were full still are, and read as signalled.
        equal(struct.unpack("<Q", os.read(ring.call_fd, 8))[0], 2 ** 64 - 1, "calls")
        equal(struct.unpack("<Q", os.read(error, 8))[0], 2 ** 64 - 1, "errors")
        os.close(error)


def test_random_messages_harm_nobody():
    rng = random.Random(20)
    event = fe.eventfd()
    with Host() as host, Driver(host.other) as driver, fe.Memory() as memory:
        session = driver.check_works()
        before = host.files()
        for _ in range(200):
            front_end = fe.FrontEnd(host.path)
            try:
                front_end.negotiate()
                memory.map[:] = rng.randbytes(256) * (memory.size // 256)
                if rng.random() < 0.8:
                    front_end.add_memory(memory)
                    for index in range(3):
                        front_end.order(fe.SET_VRING_NUM, STATE(index, 64))
                        front_end.order(fe.SET_VRING_ADDR, struct.pack(
                            "<II4Q", index, 0, memory.user, memory.user + 8192,
                            memory.user + 4096, 0))
                for _ in range(50):
                    front_end.send_raw(*random_message(rng, memory, event))
                    os.write(event, U64(1))
            except (fe.Closed, BlockingIOError):
                pass
            front_end.close()
            driver.check_works(session)
            host.wait_free()
        equal(host.files(), before, "descriptors of the host")
    os.close(event)


def test_disconnect_in_the_middle():
    with Host() as host:
        for cut in (1, 4, 11, 12, 13, 19, 51):
            front_end = fe.FrontEnd(host.path)
            message = header(fe.ADD_MEM_REG, 40) + bytes(40)
            fd = fe.eventfd()
            front_end.send_raw(message[:cut], [fd])
            front_end.close()
            os.close(fd)
            host.wait_free()
        with Driver(host.path) as driver:
            driver.check_works()


if __name__ == "__main__":
    vctest.main(globals())
