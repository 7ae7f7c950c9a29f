#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Applications that do not keep to the engine protocol: whatever one writes to the socket or into
its region, the engine lives, throws it out or fails its requests, and serves the others."""

import array
import contextlib
import errno
import fcntl
import mmap
import os
import random
import select
import socket
import struct
import subprocess
import time

import vctest
from vctest import check, equal, wait_until

CLIENT = os.path.join(vctest.BUILD, "tests/functional/engine/test-engine-client")

MAGIC = 0x31454356
HELLO, WELCOME, REFUSED, WAKERS, WAKERS_TAKEN = 1, 2, 3, 4, 5
OP_NOP, OP_OPEN, OP_CLOSE, OP_CRYPT = 0, 1, 2, 3
QUEUED, WAITING, DONE = 1, 2, 3
VERSION = 2


def hello(version=VERSION, channels=2, slots=16, magic=MAGIC, kind=HELLO, name=b"hostile"):
    return struct.pack("<IIIIII64s", magic, kind, version, channels, slots, 0, name)


class Raw:
    """A client that says and writes what it likes."""

    def __init__(self, stack, greet=True):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(5)
        self.sock.connect(stack.engined_socket)
        self.memory = None
        self.generation = 0
        if greet:
            self.greet()

    def greet(self, **fields):
        self.sock.send(hello(**fields))
        data, fds, _, _ = socket.recv_fds(self.sock, 256, 4)
        _, kind, _, _, size = struct.unpack("<IIIIQ", data)
        equal(kind, WELCOME, "answer")
        self.memory = mmap.mmap(fds[0], size)
        self.region_fd, self.doorbell = fds
        (_, _, _, self.channels, self.slots, self.channel_offset, self.channel_stride,
         self.slot_offset, self.buffer_size, self.buffers, self.buffer_stride,
         _) = struct.unpack_from("<IIQIIIIIIQII", self.memory, 0)
        self.size = size
        self.put(192, 1)  # channels_used

    def put(self, offset, value):
        struct.pack_into("<I", self.memory, offset, value & 0xffffffff)

    def get(self, offset):
        return struct.unpack_from("<I", self.memory, offset)[0]

    def ring(self):
        with contextlib.suppress(OSError):
            os.write(self.doorbell, struct.pack("<Q", 1))

    def slot(self, index):
        return self.channel_offset + self.slot_offset + index * 128

    def submit(self, index, state=None, phase=QUEUED, **f):
        """Fill a slot and put its number into ring 0."""
        self.generation += 1
        at = self.slot(index)
        struct.pack_into("<HBBIIIIIIIIHH16sHHI", self.memory, at, f.get("op", OP_CRYPT),
                         f.get("akcipher", 0), f.get("iv_len", 16), f.get("session", 0),
                         f.get("src", self.buffers), f.get("dst", self.buffers),
                         f.get("length", 64), f.get("dst_len", 0), f.get("aad", self.buffers),
                         f.get("aad_len", 0), f.get("tag", self.buffers), f.get("tag_len", 0),
                         f.get("waker", 0), bytes(16), f.get("cipher_offset", 0),
                         f.get("hash_offset", 0), f.get("hash_len", 0))
        self.put(at + 64, self.generation << 2 | phase if state is None else state)
        self.push(index)

    def push(self, number):
        ring = self.channel_offset
        tail = self.get(ring)
        struct.pack_into("<H", self.memory, ring + 128 + tail % self.slots * 2, number)
        self.put(ring, tail + 1)
        self.ring()

    def result(self, index):
        """Wait for a slot; (result, handle)."""
        at = self.slot(index) + 64
        wait_until(lambda: self.get(at) == self.generation << 2 | DONE, 10, "a slot is done")
        result, _, handle = struct.unpack_from("<iII", self.memory, at + 4)
        return result, handle

    def do(self, index=0, **fields):
        self.submit(index, **fields)
        return self.result(index)

    def open(self, key=bytes(16), params=(0, 3, 1), index=0):
        blob = struct.pack("<13I12x", *params[:3], len(key), *(list(params[3:]) + [0] * 9)[:9])
        self.memory[self.buffers:self.buffers + 80] = (blob + key).ljust(80, b"\0")[:80]
        return self.do(index, op=OP_OPEN, length=len(blob + key))

    def gone(self):
        """The engine has thrown us out."""
        with contextlib.suppress(ConnectionResetError):
            return self.sock.recv(256) == b""
        return True

    def close(self):
        self.sock.close()
        if self.memory:
            self.memory.close()
            os.close(self.region_fd)
            os.close(self.doorbell)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def lively(config=None):
    """A stack that must serve others afterwards, and have nothing left of the hostile ones."""
    with vctest.Stack(engined_config=config) as stack:
        pid = stack.engined.pid
        files = vctest.open_files(pid)
        yield stack
        wait_until(lambda: not stack.ctl("engined", "clients"), 10, "clients are forgotten")
        wait_until(lambda: vctest.open_files(pid) <= files, 10, "descriptors are closed")
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            check("vcrypto-client" not in maps.read(), "a region is still mapped")
        with Raw(stack) as good:
            equal(good.open()[0], 0, "a good client opens a session")
        equal(stack.engined.pid, pid, "the engine's pid")


def test_rubbish_instead_of_hello():
    messages = [b"x", b"GET / HTTP/1.0\r\n\r\n", hello(magic=1), hello(kind=WELCOME),
                hello(kind=WAKERS), hello()[:-1], hello() + b"x", os.urandom(88),
                os.urandom(4096), struct.pack("<II", MAGIC, HELLO)]
    with lively() as stack:
        for message in messages:
            with Raw(stack, greet=False) as raw:
                raw.sock.send(message)
                check(raw.gone(), f"not thrown out for {message[:20]}")


def test_old_versions_are_refused_with_a_sentence():
    with lively() as stack:
        with Raw(stack, greet=False) as raw:
            raw.sock.send(hello(version=0))
            data = raw.sock.recv(256)
            _, kind, error = struct.unpack_from("<IIi", data)
            equal((kind, error), (REFUSED, errno.EPROTONOSUPPORT), "answer")
            check(raw.gone(), "still connected")


def test_newer_versions_and_greedy_wishes():
    with lively() as stack:
        with Raw(stack, greet=False) as raw:
            raw.greet(version=99, channels=0xffffffff, slots=0xffffffff)
            equal((raw.channels, raw.slots), (32, 128), "what a client gets at most")
        with Raw(stack, greet=False) as raw:
            raw.greet(channels=0, slots=0)
            equal((raw.channels, raw.slots), (1, 2), "what a client gets at least")


def test_names_are_made_printable():
    with lively() as stack:
        with Raw(stack, greet=False) as raw:
            raw.greet(name=b"\x1b[31m\xff\xfe" + b"n" * 57)
            equal(stack.ctl("engined", "clients")[0]["name"], "?[31m??" + "n" * 57, "name")


def test_hello_twice_and_with_descriptors():
    with lively() as stack:
        with Raw(stack) as raw:
            raw.sock.send(hello())
            check(raw.gone(), "HELLO twice")
        with Raw(stack, greet=False) as raw:
            socket.send_fds(raw.sock, [hello()], [0, 0, 0])
            check(raw.gone(), "HELLO with descriptors")


def wakers(first, count):
    return struct.pack("<IIII", MAGIC, WAKERS, first, count)


def test_wrong_wakers():
    with lively() as stack:
        event = os.eventfd(0, os.EFD_NONBLOCK) if hasattr(os, "eventfd") else None
        with open("/dev/null", "rb") as null:
            with Raw(stack) as raw:  # not eventfds: none is taken
                socket.send_fds(raw.sock, [wakers(1, 2)], [null.fileno(), null.fileno()])
                equal(struct.unpack("<IIII", raw.sock.recv(64))[1:], (WAKERS_TAKEN, 1, 0), "taken")
            for first, count, fds in ((1, 1, 0), (1, 2, 1), (2, 1, 1), (1, 1, 64), (0, 64, 64),
                                      (1, 0, 0), (1, 100, 100), (1, 253, 253)):
                with Raw(stack) as raw:
                    if fds:
                        rights = array.array("i", [null.fileno()] * fds)
                        raw.sock.sendmsg([wakers(first, count)],
                                         [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                    else:
                        raw.sock.send(wakers(first, count))
                    check(raw.gone(), f"wakers {first}, {count} with {fds} descriptors")
        if event is None:
            raise vctest.Skip("Python has no eventfd; the rest was tested")
        with Raw(stack) as raw:
            socket.send_fds(raw.sock, [wakers(1, 1)], [event])
            equal(struct.unpack("<IIII", raw.sock.recv(64))[1:], (WAKERS_TAKEN, 1, 1), "taken")
            raw.do(op=OP_NOP, waker=1)  # nobody wants to be told
            time.sleep(0.1)
            equal(select.select([event], [], [], 0)[0], [], "who was told")
            raw.do(op=OP_NOP, waker=1, phase=WAITING)
            wait_until(lambda: select.select([event], [], [], 0)[0], 5, "woken")
            for number in (2, 65535):  # those that there are not
                raw.do(op=OP_NOP, waker=number, phase=WAITING)
        os.close(event)


def test_silent_connections_end():
    with lively() as stack:
        with Raw(stack, greet=False) as raw:
            start = time.monotonic()
            check(raw.gone(), "still connected")
            check(1 < time.monotonic() - start < 4, "at a wrong time")


def test_regions_cannot_be_cut_short_or_sealed():
    with lively() as stack:
        with Raw(stack) as raw:
            for change in (lambda: os.ftruncate(raw.region_fd, 0),
                           lambda: os.ftruncate(raw.region_fd, raw.size * 2),
                           lambda: fcntl.fcntl(raw.region_fd, 1033, 8)):
                with vctest.raises(PermissionError):
                    change()
            # Holes read as zeroes.
            subprocess.run(["fallocate", "-p", "-o", "0", "-l", str(raw.size),
                            f"/proc/self/fd/{raw.region_fd}"], pass_fds=[raw.region_fd],
                           check=True)
            raw.ring()
            time.sleep(0.05)
            equal(len(stack.ctl("engined", "clients")), 1, "clients")


def test_rings_that_overflow():
    with lively() as stack:
        for tail in (17, 1000, 0x80000000, 0xffffffff):
            with Raw(stack) as raw:
                raw.put(raw.channel_offset, tail)
                raw.ring()
                check(raw.gone(), f"tail {tail}")


def test_entries_that_name_no_slot():
    with lively() as stack:
        for number in (16, 17, 255, 32768, 65535):
            with Raw(stack) as raw:
                raw.push(number)
                check(raw.gone(), f"slot {number}")
        for state in (0, 3, 4 << 2, 4 << 2 | 3):
            with Raw(stack) as raw:
                raw.submit(3, state=state)
                check(raw.gone(), f"state {state}")


def test_wrong_headers_change_nothing():
    with lively() as stack:
        with Raw(stack) as raw:
            handle = raw.open()[1]
            raw.memory[0:192] = os.urandom(192)
            raw.put(192, 0xffffffff)  # channels_used
            raw.memory[256:448] = os.urandom(192)  # counters
            equal(raw.do(op=OP_NOP)[0], 0, "no operation")
            equal(raw.do(session=handle)[0], 0, "an operation")
            stack.ctl("engined", "status")
            check(stack.vcryptoctl("status").returncode == 0, "status as text")


def test_wrong_requests_fail():
    with lively() as stack, Raw(stack) as raw:
        inval = -errno.EINVAL
        handle = raw.open()[1]
        equal(raw.do(session=handle)[0], 0, "a good one")
        equal(raw.do(session=handle, length=15)[0], inval, "half a block")
        for fields in ({"src": 0}, {"dst": 0}, {"src": raw.buffers - 1},
                       {"src": raw.size}, {"dst": raw.size - 16}, {"length": 0xfffffff0},
                       {"src": 0xffffffff}, {"dst": raw.buffers + 8}, {"iv_len": 17},
                       {"iv_len": 255}, {"iv_len": 0}, {"op": 4}, {"op": 65535}):
            equal(raw.do(session=handle, **fields)[0], inval, f"{fields}")
        for wrong in (0, handle + 1, handle ^ 0x10000, 0xffffffff):
            equal(raw.do(session=wrong)[0], -errno.ENOKEY, f"session {wrong:x}")
            equal(raw.do(op=OP_CLOSE, session=wrong)[0], -errno.ENOKEY, f"close {wrong:x}")
        equal(raw.do(op=OP_CLOSE, session=handle)[0], 0, "close")
        equal(raw.do(op=OP_CLOSE, session=handle)[0], -errno.ENOKEY, "close again")
        equal(raw.do(session=handle)[0], -errno.ENOKEY, "use after close")


def test_wrong_sessions_fail():
    with lively() as stack, Raw(stack) as raw:
        for params in ((9, 3, 1), (0, 64, 1), (0, 3, 0), (0, 3, 9), (0, 3, 1, 7)):
            equal(raw.open(params=params)[0], -errno.EINVAL, f"{params}")
        check(raw.open(key=bytes(15))[0] < 0, "a key of 15 bytes")
        check(raw.open(params=(0, 13, 1))[0] < 0, "an algorithm that the device has not")
        check(raw.open(params=(4, 1, 0), key=b"not DER at all")[0] < 0, "no RSA key")
        for length in (0, 63, 16385, 0xffffffff):
            equal(raw.do(op=OP_OPEN, length=length)[0], -errno.EINVAL, f"{length} bytes")
        equal(raw.do(op=OP_OPEN, src=0, length=80)[0], -errno.EINVAL, "the header")
        # What the header holds was not wiped.
        equal(raw.get(0), MAGIC, "magic")


def test_keys_are_wiped():
    with lively() as stack, Raw(stack) as raw:
        equal(raw.open(key=b"0123456789abcdef")[0], 0, "open")
        equal(raw.memory[raw.buffers:raw.buffers + 80], bytes(80), "the buffer")


def test_sessions_have_a_limit():
    config = "device: {{socket: {dir}/dev0.sock}}\nlimits: {{sessions: 20}}\n"
    with lively(config) as stack, Raw(stack) as raw:
        handles = []
        for i in range(20):
            result, handle = raw.open(key=struct.pack("<QQ", i, 0))
            equal(result, 0, f"session {i}")
            handles.append(handle)
        equal(len(set(handles)), 20, "different handles")
        equal(raw.open()[0], -errno.ENOSPC, "one more")
        equal(raw.do(op=OP_CLOSE, session=handles[7])[0], 0, "close")
        equal(raw.open()[0], 0, "another")


def test_handles_are_each_clients_own():
    with lively() as stack, Raw(stack) as one, Raw(stack) as two:
        handle = one.open()[1]
        equal(two.do(session=handle)[0], -errno.ENOKEY, "another's handle")
        equal(one.do(session=handle)[0], 0, "the own one")


def test_clients_have_a_limit():
    config = "device: {{socket: {dir}/dev0.sock}}\nlimits: {{clients: 3}}\n"
    with lively(config) as stack:
        raws = [Raw(stack) for _ in range(3)]
        try:
            with Raw(stack, greet=False) as more:
                _, kind, error = struct.unpack_from("<IIi", more.sock.recv(256))
                equal((kind, error), (REFUSED, errno.EUSERS), "answer")
        finally:
            for raw in raws:
                raw.close()


def test_a_doorbell_that_never_stops():
    with lively() as stack, Raw(stack) as raw, Raw(stack) as good:
        flags = fcntl.fcntl(raw.doorbell, fcntl.F_GETFL)
        fcntl.fcntl(raw.doorbell, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
        for _ in range(1000):
            raw.ring()
        equal(good.do(op=OP_NOP)[0], 0, "another is served")


def test_random_regions():
    """Random bytes all over rings and slots, again and again."""
    seed = int(os.environ.get("VCRYPTO_SEED", "1"))
    dice = random.Random(seed)
    with lively() as stack:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with Raw(stack) as raw:
                raw.put(192, 2)
                handle = raw.open()[1]
                for _ in range(30):
                    area = raw.channel_offset + dice.randrange(2) * raw.channel_stride
                    for slot in range(raw.slots):
                        at = area + raw.slot_offset + slot * 128
                        raw.memory[at:at + 64] = dice.randbytes(64)
                        if dice.random() < 0.7:
                            struct.pack_into("<HBBIII", raw.memory, at, dice.randrange(5),
                                             dice.randrange(6), dice.randrange(18), handle,
                                             raw.buffers + dice.randrange(64),
                                             raw.buffers + dice.randrange(1 << 16))
                            raw.put(at + 16, dice.randrange(1 << 15))
                        raw.put(at + 64, dice.randrange(1 << 20) << 2 | 1)
                        struct.pack_into("<H", raw.memory, area + 128 + slot * 2,
                                         dice.randrange(raw.slots))
                    raw.put(area, raw.get(area) + dice.randrange(raw.slots))
                    raw.ring()
                raw.ring()
        try:
            done = stack.run([CLIENT, "known"])
        except vctest.Failure as failure:
            raise vctest.Failure(f"seed {seed}: {failure}") from None
        equal(done.returncode, 0, "a good client")


def test_many_come_and_go():
    with lively() as stack:
        before = vctest.resident_kib(stack.engined.pid)
        for _ in range(200):
            with Raw(stack) as raw:
                raw.submit(0, op=OP_NOP)
        after = vctest.resident_kib(stack.engined.pid)
        check(after < before + 8192, f"memory grows from {before} to {after} KiB")


vctest.main(globals())
