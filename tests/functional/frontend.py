#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A vhost-user front end and virtio-crypto driver in plain Python, for tests of vcrypto-host.

Slow, simple, and free to break every rule: raw messages, raw rings, raw chains.
"""

import ctypes
import fcntl
import mmap
import os
import select
import socket
import struct

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM = 15, 16, 17
SET_VRING_ENABLE, SET_BACKEND_REQ_FD, IOTLB_MSG, GET_CONFIG, SET_CONFIG = 18, 21, 22, 24, 25
CREATE_CRYPTO_SESSION, CLOSE_CRYPTO_SESSION = 26, 27
GET_INFLIGHT_FD, SET_INFLIGHT_FD, RESET_DEVICE = 31, 32, 34
GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS, GET_STATUS = 36, 37, 38, 39, 40

VERSION, REPLY, NEED_REPLY = 1, 4, 8

F_INDIRECT, F_EVENT_IDX, F_PROTOCOL, F_VERSION_1 = 1 << 28, 1 << 29, 1 << 30, 1 << 32
F_ACCESS_PLATFORM = 1 << 33
F_PACKED, F_IN_ORDER, F_RING_RESET = 1 << 34, 1 << 35, 1 << 40
F_CRYPTO = 0x3F  # REVISION_1 and the five stateless modes
P_MQ, P_REPLY_ACK, P_CRYPTO_SESSION, P_CONFIG, P_MEM_SLOTS = 1, 1 << 3, 1 << 7, 1 << 9, 1 << 15
P_BACKEND_REQ, P_INFLIGHT, P_RESET_DEVICE, P_STATUS = 1 << 5, 1 << 12, 1 << 13, 1 << 16
P_ALL = (P_MQ | P_REPLY_ACK | P_CRYPTO_SESSION | P_CONFIG | P_MEM_SLOTS | P_INFLIGHT |
         P_RESET_DEVICE | P_STATUS | P_BACKEND_REQ)

DESC_NEXT, DESC_WRITE, DESC_INDIRECT = 1, 2, 4

NOFD = 1 << 8
GUEST_BASE = 0x100000000
USER_BASE = 0x7F0000000000


class Closed(Exception):
    """The back end hung up."""


def eventfd():
    """An eventfd; os.eventfd() is there from Python 3.10 only."""
    fd = ctypes.CDLL(None, use_errno=True).eventfd(0, os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "eventfd")
    return fd


class Memory:
    """A memfd of the guest, and a bump allocator in it. Sealed as a good front end seals."""

    def __init__(self, size=1 << 20, guest=GUEST_BASE, user=USER_BASE, seal=True):
        self.size, self.guest, self.user = size, guest, user
        self.fd = os.memfd_create("front-end", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        if seal:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self.map = mmap.mmap(self.fd, size)
        self.top = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.map.close()
        os.close(self.fd)

    def alloc(self, size, align=64):
        """Offset of fresh zeroed bytes."""
        at = (self.top + align - 1) // align * align
        if at + size > self.size:
            raise MemoryError
        self.top = at + size
        return at

    def put(self, data):
        """Offset of a copy of the bytes."""
        at = self.alloc(len(data))
        self.map[at:at + len(data)] = data
        return at

    def region(self):
        return struct.pack("<QQQQ", self.guest, self.size, self.user, 0)


class FrontEnd:
    """A connection. Context manager."""

    def __init__(self, path, timeout=10):
        """path: where the back end listens, or a listening socket to which it comes."""
        if isinstance(path, socket.socket):
            path.settimeout(timeout)
            self.socket = path.accept()[0]
            self.socket.settimeout(timeout)
        else:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(path)
        self.acks = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # ---- messages

    def send_raw(self, data, fds=()):
        try:
            if fds:
                socket.send_fds(self.socket, [data], list(fds))
            else:
                self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def send(self, request, payload=b"", fds=(), flags=VERSION, size=None):
        size = len(payload) if size is None else size
        self.send_raw(struct.pack("<III", request, flags, size) + payload, fds)

    def recv_exactly(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionResetError as error:
                raise Closed from error
            if not more:
                raise Closed
            data += more
        return data

    def recv(self, request):
        """Payload of the answer to a request."""
        got, flags, size = struct.unpack("<III", self.recv_exactly(12))
        if got != request or flags != VERSION | REPLY:
            raise AssertionError(f"answer to {got} with flags {flags:#x}, expected {request}")
        return self.recv_exactly(size)

    def ask(self, request, payload=b"", fds=()):
        self.send(request, payload, fds)
        return self.recv(request)

    def ask_u64(self, request):
        return struct.unpack("<Q", self.ask(request))[0]

    def tell(self, request, payload=b"", fds=()):
        """Send with NEED_REPLY and return True if it was done, False if it was refused."""
        self.send(request, payload, fds, VERSION | NEED_REPLY)
        return struct.unpack("<Q", self.recv(request))[0] == 0

    def order(self, request, payload=b"", fds=()):
        """A message that must be done, acknowledged where that was agreed."""
        if not self.acks:
            self.send(request, payload, fds)
        elif not self.tell(request, payload, fds):
            raise AssertionError(f"message {request} was refused")

    def hung_up(self, seconds=10):
        """Whether the back end closes the connection in that time; answers are dropped."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except socket.timeout:
            return False
        return True

    def alive(self):
        """Whether it still answers."""
        try:
            return self.ask_u64(GET_FEATURES) != 0
        except Closed:
            return False

    # ---- set-up

    def negotiate(self, features=F_PROTOCOL | F_VERSION_1 | F_INDIRECT,
                  protocol=P_ALL):
        """As a driver of our own does."""
        self.ask_u64(GET_FEATURES)
        self.ask_u64(GET_PROTOCOL_FEATURES)
        self.send(SET_PROTOCOL_FEATURES, struct.pack("<Q", protocol))
        self.acks = bool(protocol & P_REPLY_ACK)
        self.order(SET_OWNER)
        self.order(SET_FEATURES, struct.pack("<Q", features))

    def inflight_get(self, queues, size):
        """The buffer of in-flight requests, as (payload of SET_INFLIGHT_FD, descriptor)."""
        self.send(GET_INFLIGHT_FD, struct.pack("<QQHH", 0, 0, queues, size).ljust(24, b"\0"))
        answer, fds, _, _ = socket.recv_fds(self.socket, 12 + 24, 1)
        if struct.unpack("<III", answer[:12]) != (GET_INFLIGHT_FD, VERSION | REPLY, 24):
            raise AssertionError(f"answer {answer.hex()} to GET_INFLIGHT_FD")
        return answer[12:], fds[0] if fds else None

    def add_memory(self, memory):
        self.order(ADD_MEM_REG, struct.pack("<Q", 0) + memory.region(), [memory.fd])

    def set_mem_table(self, memories):
        self.order(SET_MEM_TABLE,
                   struct.pack("<II", len(memories), 0) + b"".join(m.region() for m in memories),
                   [m.fd for m in memories])


class Ring:
    """A split virtqueue in a Memory, seen from the driver."""

    def __init__(self, front_end, memory, index, size=64):
        self.front_end, self.memory, self.index, self.size = front_end, memory, index, size
        self.desc = memory.alloc(16 * size, 16)
        self.avail = memory.alloc(6 + 2 * size, 2)
        self.used = memory.alloc(6 + 8 * size, 4)
        self.kick_fd, self.call_fd = eventfd(), eventfd()
        self.free = list(range(size))
        self.chains = {}
        self.next_avail = self.seen_used = 0

    def close(self):
        os.close(self.kick_fd)
        os.close(self.call_fd)

    def addresses(self):
        base = self.memory.user
        return struct.pack("<IIQQQQ", self.index, 0, base + self.desc, base + self.used,
                           base + self.avail, 0)

    def base(self):
        return self.next_avail & 0xFFFF

    def start(self, call_first=True, enable=True):
        """call_first and enable False: in QEMU's order."""
        state = struct.Struct("<II").pack
        tell = self.front_end.order
        call = (SET_VRING_CALL, struct.pack("<Q", self.index), [self.call_fd])
        tell(SET_VRING_NUM, state(self.index, self.size))
        tell(SET_VRING_BASE, state(self.index, self.base()))
        tell(SET_VRING_ADDR, self.addresses())
        if call_first:
            tell(*call)
        tell(SET_VRING_KICK, struct.pack("<Q", self.index), [self.kick_fd])
        if not call_first:
            tell(*call)
        if enable:
            tell(SET_VRING_ENABLE, state(self.index, 1))
        return self

    def reset(self):
        """As a driver makes a ring anew, after a reset of the device."""
        self.memory.map[self.desc:self.desc + 16 * self.size] = bytes(16 * self.size)
        self.memory.map[self.avail:self.avail + 6 + 2 * self.size] = bytes(6 + 2 * self.size)
        self.memory.map[self.used:self.used + 6 + 8 * self.size] = bytes(6 + 8 * self.size)
        self.free = list(range(self.size))
        self.chains = {}
        self.next_avail = self.seen_used = 0
        return self

    def stop(self):
        """The index at which the device stopped."""
        answer = self.front_end.ask(GET_VRING_BASE, struct.pack("<II", self.index, 0))
        return struct.unpack("<II", answer)[1]

    def _table(self, pieces, slots):
        """Descriptors of (offset, length, device writes) pieces, linked by slots."""
        out = []
        for i, (at, length, write) in enumerate(pieces):
            last = i + 1 == len(pieces)
            flags = (DESC_WRITE if write else 0) | (0 if last else DESC_NEXT)
            out.append(struct.pack("<QIHH", self.memory.guest + at, length, flags,
                                   0 if last else slots[i + 1]))
        return out

    def submit(self, pieces, indirect=False):
        """Make a chain available and kick. The head."""
        m = self.memory.map
        if indirect:
            table = b"".join(self._table(pieces, range(len(pieces))))
            at = self.memory.put(table)
            slots = [self.free.pop()]
            descs = [struct.pack("<QIHH", self.memory.guest + at, len(table), DESC_INDIRECT, 0)]
        else:
            slots = [self.free.pop() for _ in pieces]
            descs = self._table(pieces, slots)
        for slot, desc in zip(slots, descs):
            m[self.desc + 16 * slot:self.desc + 16 * slot + 16] = desc
        head = slots[0]
        self.chains[head] = slots
        entry = self.avail + 4 + 2 * (self.next_avail % self.size)
        m[entry:entry + 2] = struct.pack("<H", head)
        self.next_avail += 1
        m[self.avail + 2:self.avail + 4] = struct.pack("<H", self.next_avail & 0xFFFF)
        self.kick()
        return head

    def kick(self):
        os.write(self.kick_fd, struct.pack("<Q", 1))

    def wait(self, seconds=10):
        """The next used entry as (head, written), by sleeping on the call descriptor."""
        m = self.memory.map
        while struct.unpack("<H", m[self.used + 2:self.used + 4])[0] == self.seen_used & 0xFFFF:
            if not select.select([self.call_fd], [], [], seconds)[0]:
                raise TimeoutError(f"queue {self.index}: no call in {seconds} s")
            os.read(self.call_fd, 8)
        entry = self.used + 4 + 8 * (self.seen_used % self.size)
        self.seen_used += 1
        head, written = struct.unpack("<II", m[entry:entry + 8])
        # Last in, first out, as Linux reuses them.
        self.free.extend(reversed(self.chains.pop(head)))
        return head, written


class CryptoDriver:
    """Sessions and AES-CBC requests over rings."""

    def __init__(self, memory, data, control=None):
        self.memory, self.data, self.control = memory, data, control

    def create_session(self, key, encrypt=True):
        """By the control queue: (status, session id)."""
        request = struct.pack("<IIII", 2, 3, 0, 0)
        request += struct.pack("<IIII", 3, len(key), 1 if encrypt else 2, 0).ljust(48, b"\0")
        request += struct.pack("<II", 1, 0)
        out = self.memory.put(request + key)
        answer = self.memory.put(b"\xff" * 16)
        self.control.submit([(out, 72 + len(key), False), (answer, 16, True)])
        self.control.wait()
        session, status = struct.unpack("<QI", self.memory.map[answer:answer + 12])
        return status, session

    def destroy_session(self, session):
        request = struct.pack("<IIIIQ", 3, 0, 0, 0, session).ljust(72, b"\0")
        out = self.memory.put(request)
        answer = self.memory.put(b"\xff")
        self.control.submit([(out, 72, False), (answer, 1, True)])
        self.control.wait()
        return self.memory.map[answer]

    @staticmethod
    def cipher_header(session, iv, length, encrypt=True):
        header = struct.pack("<IIQII", 0 if encrypt else 1, 3, session, 1, 0)
        header += struct.pack("<IIII", len(iv), length, length, 0).ljust(40, b"\0")
        return header + struct.pack("<II", 1, 0)

    def chain(self, session, iv, data, tag):
        """(status, ciphertext, its HMAC) of AES-CBC with HMAC, tag bytes of it."""
        header = struct.pack("<IIQII", 0, 3, session, 1, 0)
        header += struct.pack("<10I", len(iv), len(data), len(data), 0, len(data), 0, len(data), 0,
                              tag, 0) + struct.pack("<II", 2, 0)
        head, iv_at, src, dst, mac, status = (self.memory.put(part) for part in (
            header, iv, data, bytes(len(data)), bytes(tag), b"\xff"))
        self.data.submit([(head, 72, False), (iv_at, len(iv), False), (src, len(data), False),
                          (dst, len(data), True), (mac, tag, True), (status, 1, True)], True)
        self.data.wait()
        m = self.memory.map
        return m[status], m[dst:dst + len(data)], m[mac:mac + tag]

    def verify(self, session, signature, digest):
        """Status of an RSA verification."""
        header = struct.pack("<IIQII", 0x403, 1, session, 1, 0)
        header += struct.pack("<II", len(signature), len(digest)).ljust(48, b"\0")
        head, src, status = (self.memory.put(part) for part in (
            header, signature + digest, b"\xff"))
        self.data.submit([(head, 72, False), (src, len(signature) + len(digest), False),
                          (status, 1, True)], True)
        self.data.wait()
        return self.memory.map[status]

    def cipher_between(self, session, iv, source, src, result, dst, length):
        """Status of a request from one memory to another."""
        head = self.memory.put(self.cipher_header(session, iv, length))
        iv_at, status = self.memory.put(iv), self.memory.put(b"\xff")
        base = self.memory.guest
        self.data.submit([(head, 72, False), (iv_at, len(iv), False),
                          (source.guest - base + src, length, False),
                          (result.guest - base + dst, length, True), (status, 1, True)], True)
        self.data.wait()
        return self.memory.map[status]

    def cipher_pieces(self, session, iv, data, encrypt=True):
        """A request, as submit() takes it."""
        head = self.memory.put(self.cipher_header(session, iv, len(data), encrypt))
        iv_at, src = self.memory.put(iv), self.memory.put(data)
        dst, status = self.memory.alloc(len(data)), self.memory.put(b"\xff")
        return [(head, 72, False), (iv_at, len(iv), False), (src, len(data), False),
                (dst, len(data), True), (status, 1, True)]

    def cipher(self, session, iv, data, encrypt=True, indirect=False):
        """(status, result) of one request."""
        pieces = self.cipher_pieces(session, iv, data, encrypt)
        (dst, _, _), (status, _, _) = pieces[3:]
        self.data.submit(pieces, indirect)
        self.data.wait()
        return self.memory.map[status], self.memory.map[dst:dst + len(data)]


# QEMU's session messages: AES-CBC, alone or with an HMAC over the ciphertext.

def _session_fields(key, encrypt, mac):
    """mac: (number of the HMAC, its key, bytes of the tag), or None."""
    number, mac_key, tag = mac or (0, b"", 0)
    return (struct.pack("<IIIIII", 3, len(key), number, tag, len(mac_key), 0) +
            bytes([2 if mac else 1, 1 if encrypt else 2, 2 if mac else 0, 2 if mac else 0]))


def _session_tail(key, mac):
    return (struct.pack("<QQ", 0xDEAD0000, 0xBEEF0000) + key.ljust(64, b"\0") +
            (mac[1] if mac else b"").ljust(512, b"\0"))


def session_700(key, encrypt=True, mac=None):
    """QEMU up to 7.0."""
    return (struct.pack("<qI", 0, 2) + _session_fields(key, encrypt, mac) +
            _session_tail(key, mac))


def session_632(key, encrypt=True, mac=None):
    """QEMU 7.1 to 8.0."""
    return (struct.pack("<q", 0) + _session_fields(key, encrypt, mac) + bytes(4) +
            _session_tail(key, mac))


def session_1072(key, encrypt=True, mac=None):
    """QEMU 8.1 and later."""
    sym = _session_fields(key, encrypt, mac) + bytes(4) + _session_tail(key, mac)
    return struct.pack("<Q", 2) + sym.ljust(1056, b"\0") + struct.pack("<q", 0)


def session_rsa(key, private, padding=1, digest=6):
    """QEMU 8.1 and later, akcipher; PKCS#1 with SHA-256."""
    asym = struct.pack("<IIIIQII", 1, 2 if private else 1, len(key), 0, 0xDEAD0000, padding, digest)
    asym += key[:1024].ljust(1024, b"\0")
    return struct.pack("<Q", 0x404) + asym.ljust(1056, b"\0") + struct.pack("<q", 0)


def session_id(answer):
    """Of the answer to CREATE_CRYPTO_SESSION."""
    return struct.unpack_from("<q", answer, 0 if len(answer) == 632 else 1064)[0]
