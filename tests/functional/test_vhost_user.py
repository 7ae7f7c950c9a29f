#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcrypto-host's vhost-user back end, against a front end that keeps the rules, one that behaves
as QEMU does, and hostile ones."""

import os
import random
import socket
import struct
import time

import frontend as fe
import vctest
from vctest import check, equal, wait_until

CONFIG = """\
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: sw, type: libcrypto}}
groups:
  - {{name: default, primary: [mb], secondary: [sw]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, queues: 2, max-sessions: 100}}
  - {{name: dev1, socket: {dir}/dev1.sock}}
"""

# NIST SP 800-38A, F.2.1.
KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
IV = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
PLAIN = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
CIPHER = bytes.fromhex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")

STATE = struct.Struct("<II").pack
U64 = struct.Struct("<Q").pack


class Host(vctest.Stack):
    """Only the host, with two devices."""

    def __init__(self, **more):
        super().__init__(engined=False, host_config=CONFIG, **more)
        self.path = os.path.join(self.dir, "dev0.sock")
        self.other = os.path.join(self.dir, "dev1.sock")

    def device(self, index=0):
        return self.ctl("host", "status")["devices"][index]

    def queue(self, index):
        return self.device()["queues"][index]

    def wait_free(self, index=0):
        """Until the device has let go of its last front end."""
        wait_until(lambda: not self.device(index)["connected"], what="device is free")


    def files(self):
        """Open descriptors, once connections to the control socket have gone."""
        seen = []
        while len(seen) < 3 or len(set(seen[-3:])) != 1:
            check(len(seen) < 500, f"descriptors never settle: {seen[-10:]}")
            seen.append(vctest.open_files(self.host.pid))
            time.sleep(0.02)
        return seen[-1]


class Driver:
    """A front end with memory, a data queue and the control queue."""

    def __init__(self, path):
        self.front_end = fe.FrontEnd(path)
        self.front_end.negotiate()
        self.queues = self.front_end.ask_u64(fe.GET_QUEUE_NUM)
        self.memory = fe.Memory()
        self.front_end.add_memory(self.memory)
        self.data = fe.Ring(self.front_end, self.memory, 0).start()
        self.control = fe.Ring(self.front_end, self.memory, self.queues - 1).start()
        self.crypto = fe.CryptoDriver(self.memory, self.data, self.control)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.front_end.close()
        self.data.close()
        self.control.close()
        self.memory.close()

    def check_works(self, session=None):
        if session is None:
            status, session = self.crypto.create_session(KEY)
            equal(status, 0, "session status")
        status, result = self.crypto.cipher(session, IV, PLAIN)
        equal(status, 0, "request status")
        equal(result, CIPHER, "ciphertext")
        return session


# ---- a front end that keeps the rules


def test_features_and_configuration():
    with Host() as host, fe.FrontEnd(host.path) as front_end:
        features = front_end.ask_u64(fe.GET_FEATURES)
        equal(features, fe.F_INDIRECT | fe.F_EVENT_IDX | fe.F_PROTOCOL | fe.F_VERSION_1)
        equal(front_end.ask_u64(fe.GET_PROTOCOL_FEATURES),
              fe.P_MQ | fe.P_REPLY_ACK | fe.P_CRYPTO_SESSION | fe.P_CONFIG | fe.P_MEM_SLOTS)
        equal(front_end.ask_u64(fe.GET_QUEUE_NUM), 3, "queues")
        equal(front_end.ask_u64(fe.GET_MAX_MEM_SLOTS), 512, "slots")
        answer = front_end.ask(fe.GET_CONFIG, struct.pack("<III", 0, 56, 0) + bytes(56))
        equal(len(answer), 12 + 56)
        config = struct.unpack("<12IQ", answer[12:])
        equal(config[0], 1, "status HW_READY")
        equal(config[1], 2, "max_dataqueues")
        check(config[2] & 1, "no cipher service")
        check(config[3] & 1 << 3, "no AES-CBC")
        check(config[12] >= 1 << 20, "max_size")
        part = front_end.ask(fe.GET_CONFIG, struct.pack("<III", 4, 4, 0) + bytes(4))
        equal(struct.unpack("<I", part[12:])[0], 2, "max_dataqueues by itself")
        for offset, size in ((0, 257), (257, 0), (200, 100), (2 ** 32 - 1, 2)):
            answer = front_end.ask(fe.GET_CONFIG, struct.pack("<III", offset, size, 0))
            equal(answer, b"", f"configuration at {offset}, {size} bytes")


def test_sessions_and_requests():
    with Host() as host, Driver(host.path) as driver:
        session = driver.check_works()
        equal(session >> 48, 0x5643, "tag of the session id")
        for indirect in (False, True):
            status, result = driver.crypto.cipher(session, IV, PLAIN, indirect=indirect)
            equal((status, result), (0, CIPHER))
        equal(driver.crypto.destroy_session(session), 0, "status of destroy")
        equal(driver.crypto.cipher(session, IV, PLAIN)[0], 4, "status INVSESS")
        # A kick descriptor may be replaced while the queue runs; so may a call descriptor.
        os.close(driver.data.kick_fd)
        driver.data.kick_fd = fe.eventfd()
        driver.front_end.order(fe.SET_VRING_KICK, U64(0), [driver.data.kick_fd])
        os.close(driver.data.call_fd)
        driver.data.call_fd = fe.eventfd()
        driver.front_end.order(fe.SET_VRING_CALL, U64(0), [driver.data.call_fd])
        driver.check_works()


def test_get_vring_base_stops_and_tells_where():
    with Host() as host, Driver(host.path) as driver:
        session = driver.check_works()
        for _ in range(4):
            driver.check_works(session)
        equal(driver.data.stop(), 5, "base")
        check(not host.queue(0)["started"], "the queue still runs")
        equal(driver.data.stop(), 5, "base, asked again")
        # Nothing happens while it is stopped, and all that waited is done after the start.
        driver.data.next_avail = 5
        try:
            driver.data.front_end.order(fe.SET_VRING_ENABLE, STATE(0, 1))
            check(not host.queue(0)["started"], "started without a kick descriptor")
        finally:
            driver.data.start()
        driver.check_works(session)


def test_enable_0_stops_and_enable_1_starts():
    with Host() as host, Driver(host.path) as driver:
        session = driver.check_works()
        driver.front_end.order(fe.SET_VRING_ENABLE, STATE(0, 0))
        check(not host.queue(0)["started"], "the queue still runs")
        driver.front_end.order(fe.SET_VRING_ENABLE, STATE(0, 1))
        check(host.queue(0)["started"], "the queue does not run")
        driver.check_works(session)


def test_memory_comes_and_goes():
    with Host() as host, Driver(host.path) as driver:
        session = driver.check_works()
        more = [fe.Memory(1 << 16, fe.GUEST_BASE + (i + 1 << 24), fe.USER_BASE + (i + 1 << 24))
                for i in range(20)]
        for memory in more:
            driver.front_end.add_memory(memory)
        equal(host.device()["memory_regions"], 21, "regions")
        driver.check_works(session)
        add = U64(0) + more[0].region()
        check(not driver.front_end.tell(fe.ADD_MEM_REG, add, [more[0].fd]), "overlap was taken")
        for memory in more:
            driver.front_end.order(fe.REM_MEM_REG, U64(0) + memory.region())
            memory.close()
        check(not driver.front_end.tell(fe.REM_MEM_REG, add), "removed twice")
        equal(host.device()["memory_regions"], 1, "regions")
        driver.check_works(session)


def test_a_ring_whose_memory_goes_is_stopped():
    with Host() as host, Driver(host.path) as driver:
        driver.check_works()
        region = U64(0) + driver.memory.region()
        # A descriptor that comes along is closed.
        driver.front_end.order(fe.REM_MEM_REG, region, [driver.memory.fd])
        queue = host.queue(0)
        check(not queue["started"] and queue["broken"], f"queue 0 is {queue}")
        driver.front_end.add_memory(driver.memory)
        driver.data.start()
        driver.control.start()
        driver.check_works()


def test_queues_beyond_the_first_work():
    with Host() as host, Driver(host.path) as driver:
        session = driver.check_works()
        second = fe.Ring(driver.front_end, driver.memory, 1, 16).start()
        crypto = fe.CryptoDriver(driver.memory, second)
        for _ in range(40):
            equal(crypto.cipher(session, IV, PLAIN), (0, CIPHER))
        equal(host.queue(1)["requests"], 40, "requests of queue 1")
        second.close()


def test_without_a_kick_descriptor_the_queue_is_polled():
    with Host() as host, Driver(host.path) as driver:
        session = driver.check_works()
        base = driver.data.stop()
        equal(base, driver.data.next_avail)
        driver.front_end.order(fe.SET_VRING_KICK, U64(0 | fe.NOFD))
        driver.data.kick = lambda: None
        for _ in range(3):
            time.sleep(0.05)
            driver.check_works(session)


# ---- as QEMU's cryptodev-vhost-user behaves


def qemu_start(path):
    """Features unknown, no acknowledgements, rings never enabled, call after kick."""
    front_end = fe.FrontEnd(path)
    front_end.ask_u64(fe.GET_FEATURES)
    front_end.ask_u64(fe.GET_PROTOCOL_FEATURES)
    front_end.send(fe.SET_PROTOCOL_FEATURES, U64(fe.P_CRYPTO_SESSION))
    front_end.send(fe.SET_OWNER)
    early = fe.eventfd()
    front_end.send(fe.SET_VRING_CALL, U64(0), [early])
    front_end.send(fe.SET_VRING_ERR, U64(0), [early])
    os.close(early)
    front_end.send(fe.SET_FEATURES, U64(fe.F_PROTOCOL))
    memory = fe.Memory(seal=False)
    front_end.set_mem_table([memory])
    ring = fe.Ring(front_end, memory, 0, 256).start(call_first=False, enable=False)
    return front_end, memory, ring


def test_qemu_sequence_with_all_session_layouts():
    with Host() as host:
        front_end, memory, ring = qemu_start(host.path)
        with front_end:
            crypto = fe.CryptoDriver(memory, ring)
            for layout in (fe.session_700, fe.session_632, fe.session_1072):
                message = layout(KEY)
                answer = front_end.ask(fe.CREATE_CRYPTO_SESSION, message)
                equal(len(answer), len(message), f"{layout.__name__}: size of the answer")
                check(KEY not in answer, f"{layout.__name__}: the key came back")
                session = fe.session_id(answer)
                check(session > 0, f"{layout.__name__}: session {session}")
                for indirect in (False, True):
                    equal(crypto.cipher(session, IV, PLAIN, indirect=indirect), (0, CIPHER),
                          layout.__name__)
                front_end.send(fe.CLOSE_CRYPTO_SESSION, struct.pack("<q", session))
                check(front_end.alive(), "hung up")
                equal(crypto.cipher(session, IV, PLAIN)[0], 4, "status INVSESS")
            equal(host.device()["sessions"], 0, "sessions")
            equal(host.device()["features"], "0x40000000", "features")
            # Stop and start again, as a reset of the guest's driver does.
            equal(ring.stop(), ring.next_avail, "base")
            front_end.send(fe.SET_FEATURES, U64(fe.F_PROTOCOL))
            front_end.set_mem_table([memory])
            ring.start(call_first=False, enable=False)
            session = fe.session_id(front_end.ask(fe.CREATE_CRYPTO_SESSION, fe.session_632(KEY)))
            equal(crypto.cipher(session, IV, PLAIN), (0, CIPHER), "after a restart")
        ring.close()
        memory.close()


def test_session_messages_that_cannot_be():
    with Host() as host, fe.FrontEnd(host.path) as front_end:
        front_end.negotiate()

        def refused(message, what):
            session = fe.session_id(front_end.ask(fe.CREATE_CRYPTO_SESSION, message))
            equal(session, -1, what)

        def patched(message, offset, value):
            return message[:offset] + struct.pack("<I", value) + message[offset + 4:]

        good = fe.session_632(KEY)
        refused(patched(good, 8, 99), "unknown cipher")
        for length in (0, 1, 15, 17, 33, 65, 4096, 0xFFFFFFFF):
            refused(patched(good, 12, length), f"key of {length} bytes")
        refused(patched(patched(good, 32, 2 | 1 << 8 | 2 << 16 | 1 << 24), 24, 0xFFFFFFFF),
                "chain with a huge authentication key")
        refused(bytes(632), "zeroes")
        refused(bytes(1072), "zeroes")
        refused(b"\xff" * 632, "ones")
        refused(b"\xff" * 1072, "ones")
        refused(patched(fe.session_1072(KEY), 0, 0x404), "RSA with a cipher's parameters")
        refused(patched(fe.session_1072(KEY), 0, 0x302), "AEAD")
        check(not front_end.tell(fe.CLOSE_CRYPTO_SESSION, U64(12345)), "closed what is not there")
        front_end.send(fe.CLOSE_CRYPTO_SESSION, U64(12345))
        check(front_end.alive(), "hung up")
        equal(host.device()["sessions"], 0, "sessions")
        # The limit of the device is a limit.
        made = [fe.session_id(front_end.ask(fe.CREATE_CRYPTO_SESSION, good)) for _ in range(101)]
        equal(made[100], -1, "session beyond max-sessions")
        equal(len(set(made[:100])), 100, "different ids")
        equal(host.device()["sessions"], 100, "sessions")


# ---- hostile ones

KNOWN_SIZES = {
    fe.GET_FEATURES: 0, fe.SET_FEATURES: 8, fe.SET_OWNER: 0, fe.RESET_OWNER: 0,
    fe.SET_VRING_NUM: 8, fe.SET_VRING_ADDR: 40, fe.SET_VRING_BASE: 8, fe.GET_VRING_BASE: 8,
    fe.SET_VRING_KICK: 8, fe.SET_VRING_CALL: 8, fe.SET_VRING_ERR: 8,
    fe.GET_PROTOCOL_FEATURES: 0, fe.SET_PROTOCOL_FEATURES: 8, fe.GET_QUEUE_NUM: 0,
    fe.SET_VRING_ENABLE: 8, fe.CREATE_CRYPTO_SESSION: 632, fe.CLOSE_CRYPTO_SESSION: 8,
    fe.GET_MAX_MEM_SLOTS: 0, fe.ADD_MEM_REG: 40, fe.REM_MEM_REG: 40,
}


def hangs_up(host, what, *messages):
    """Each (data, descriptors) is sent on a connection of its own, and that ends it."""
    for data, fds in messages:
        with fe.FrontEnd(host.path) as front_end:
            front_end.send_raw(data, fds)
            check(front_end.hung_up(), f"{what}: still connected after {data[:60].hex()}")
        host.wait_free()


def header(request, size, flags=1):
    return struct.pack("<III", request, flags, size)


def test_wrong_sizes_end_the_connection():
    with Host() as host:
        for request, size in KNOWN_SIZES.items():
            wrong = [size + 1, 2049, 0xFFFFFFFF]
            if size:
                wrong += [size - 1, 0]
            hangs_up(host, f"message {request}",
                     *((header(request, n) + bytes(min(n, 4096)), ()) for n in wrong))
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
        for request in (0, 6, 7, 19, 23, 28, 31, 32, 34, 39, 40, 41, 63, 64, 1000, 0xFFFFFFFF):
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

        refused("unknown feature", fe.SET_FEATURES, U64(fe.F_PROTOCOL | 1 << 34))
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


def test_refused_without_acknowledgements_is_disconnected():
    with Host() as host, fe.FrontEnd(host.path) as front_end:
        front_end.negotiate(protocol=0)
        front_end.send(fe.SET_VRING_NUM, STATE(0, 3))
        check(front_end.hung_up(), "goes on as if the size were set")


def test_a_message_byte_by_byte():
    with Host() as host, fe.FrontEnd(host.path) as front_end:
        front_end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for byte in header(fe.GET_QUEUE_NUM, 0):
            front_end.send_raw(bytes([byte]))
            time.sleep(0.002)
        equal(struct.unpack("<Q", front_end.recv(fe.GET_QUEUE_NUM))[0], 3)


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
    request = rng.choice([*KNOWN_SIZES, fe.SET_MEM_TABLE, fe.GET_CONFIG, rng.randrange(64)])
    size = KNOWN_SIZES.get(request, rng.choice((12, 40, 72, 264)))
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
    elif request == fe.ADD_MEM_REG:
        fds = [memory.fd]
    if rng.random() < 0.01:
        fds = fds + [event] * rng.randrange(10)
    flags = fe.VERSION | fe.NEED_REPLY if rng.random() < 0.98 else rng.randrange(16)
    return struct.pack("<III", request, flags, len(payload)) + payload, fds


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


def test_the_host_stops_under_a_connected_front_end():
    with Host() as host, Driver(host.path) as driver:
        driver.check_works()
        host.host.stop()
        check(driver.front_end.hung_up(), "still connected")


if __name__ == "__main__":
    vctest.main(globals())
