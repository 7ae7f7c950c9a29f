#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A packed virtqueue (virtio 1.3, 2.8) in a front end's memory, with the interface of frontend.Ring.
"""

import os
import select
import struct

import frontend as fe

AVAIL, USED = 1 << 7, 1 << 15
EVENT_ENABLE, EVENT_DISABLE, EVENT_DESC = 0, 1, 2


class PackedRing:
    """Seen from the driver. Buffer ids are numbers that say nothing of places."""

    def __init__(self, front_end, memory, index, size=64):
        self.front_end, self.memory, self.index, self.size = front_end, memory, index, size
        self.desc = memory.alloc(16 * size, 16)
        self.driver_event = memory.alloc(4, 4)
        self.device_event = memory.alloc(4, 4)
        self.kick_fd, self.call_fd = fe.eventfd(), fe.eventfd()
        self.next = self.used = 0
        self.next_wrap = self.used_wrap = 1
        self.chains = {}
        self.next_id = 0x7000

    def close(self):
        os.close(self.kick_fd)
        os.close(self.call_fd)

    def reset(self):
        """As a driver sets it up again."""
        self.memory.map[self.desc:self.desc + 16 * self.size] = bytes(16 * self.size)
        self.next = self.used = 0
        self.next_wrap = self.used_wrap = 1
        self.chains = {}
        return self

    def base(self):
        half = self.next | self.next_wrap << 15
        return half | half << 16

    def addresses(self):
        base = self.memory.user
        return struct.pack("<IIQQQQ", self.index, 0, base + self.desc, base + self.device_event,
                           base + self.driver_event, 0)

    def start(self):
        state = struct.Struct("<II").pack
        tell = self.front_end.order
        tell(fe.SET_VRING_NUM, state(self.index, self.size))
        tell(fe.SET_VRING_BASE, state(self.index, self.base()))
        tell(fe.SET_VRING_ADDR, self.addresses())
        tell(fe.SET_VRING_CALL, struct.pack("<Q", self.index), [self.call_fd])
        tell(fe.SET_VRING_KICK, struct.pack("<Q", self.index), [self.kick_fd])
        tell(fe.SET_VRING_ENABLE, state(self.index, 1))
        return self

    def stop(self):
        """Where the device stopped."""
        answer = self.front_end.ask(fe.GET_VRING_BASE, struct.pack("<II", self.index, 0))
        return struct.unpack("<II", answer)[1]

    def _put(self, address, length, buffer_id, flags):
        at = self.desc + 16 * self.next
        flags |= AVAIL if self.next_wrap else USED
        self.memory.map[at:at + 14] = struct.pack("<QIH", address, length, buffer_id)
        self.next += 1
        if self.next == self.size:
            self.next, self.next_wrap = 0, 1 - self.next_wrap
        return at + 14, struct.pack("<H", flags)

    def submit(self, pieces, indirect=False):
        """Make a chain available and kick. The buffer id."""
        m = self.memory
        self.next_id = self.next_id + 1 & 0xFFFF
        if indirect:
            table = b"".join(struct.pack("<QIHH", m.guest + at, length, 0,
                                         fe.DESC_WRITE if write else 0)
                             for at, length, write in pieces)
            flags = [self._put(m.guest + m.put(table), len(table), self.next_id,
                               fe.DESC_INDIRECT)]
        else:
            flags = [self._put(m.guest + at, length, self.next_id,
                               (fe.DESC_WRITE if write else 0) |
                               (fe.DESC_NEXT if i + 1 < len(pieces) else 0))
                     for i, (at, length, write) in enumerate(pieces)]
        self.chains[self.next_id] = len(flags)
        # The first one last.
        for at, value in reversed(flags):
            m.map[at:at + 2] = value
        self.kick()
        return self.next_id

    def kick(self):
        os.write(self.kick_fd, struct.pack("<Q", 1))

    def _peek(self):
        at = self.desc + 16 * self.used + 8
        length, buffer_id, flags = struct.unpack("<IHH", self.memory.map[at:at + 8])
        avail, used = bool(flags & AVAIL), bool(flags & USED)
        return (buffer_id, length) if avail == used == bool(self.used_wrap) else None

    def wait(self, seconds=10):
        """The next used buffer as (id, written), by sleeping on the call descriptor."""
        while not (found := self._peek()):
            if not select.select([self.call_fd], [], [], seconds)[0]:
                raise TimeoutError(f"queue {self.index}: no call in {seconds} s")
            os.read(self.call_fd, 8)
        self.used += self.chains.pop(found[0])
        if self.used >= self.size:
            self.used, self.used_wrap = self.used - self.size, 1 - self.used_wrap
        return found
