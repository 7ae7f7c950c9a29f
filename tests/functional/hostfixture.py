#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tests of vcrypto-host share: a host with two devices, a driver on one, known answers."""

import os
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
  - {{name: dev0, socket: {dir}/dev0.sock, queues: 2,
     limit: {{sessions: 100, memory: 1GiB}}}}
  - {{name: dev1, socket: {dir}/dev1.sock}}
"""

# NIST SP 800-38A, F.2.1.
KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
IV = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
PLAIN = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
CIPHER = bytes.fromhex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")

STATE = struct.Struct("<II").pack
U64 = struct.Struct("<Q").pack


def header(request, size, flags=1):
    """Of a vhost-user message, right or wrong."""
    return struct.pack("<III", request, flags, size)


# Two devices on one thread of libcrypto; the first may have much that is slow in flight.
SLOW_CONFIG = """\
resources:
  - {{name: sw, type: libcrypto, threads: 1}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, limit: {{inflight-bytes: 1GiB}}}}
  - {{name: dev1, socket: {dir}/dev1.sock}}
"""


class Host(vctest.Stack):
    """Only the host, with two devices; the first has so many queues, in that order."""

    def __init__(self, workers=(), config=CONFIG, queues=2, order="relaxed", **options):
        config = config.replace("queues: 2", f"queues: {queues}, order: {order}")
        if workers:
            config = f"workers: {list(workers)}\n" + config
        super().__init__(engined=False, host_config=config, **options)
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

    def __init__(self, path, ring=fe.Ring, features=fe.F_PROTOCOL | fe.F_VERSION_1 | fe.F_INDIRECT,
                 size=64):
        self.features = features
        self.front_end = fe.FrontEnd(path)
        self.front_end.negotiate(features)
        self.queues = self.front_end.ask_u64(fe.GET_QUEUE_NUM)
        self.memory = fe.Memory()
        self.front_end.add_memory(self.memory)
        self.prepare()
        self.data = ring(self.front_end, self.memory, 0, size).start()
        self.control = ring(self.front_end, self.memory, self.queues - 1, size).start()
        self.crypto = fe.CryptoDriver(self.memory, self.data, self.control)

    def prepare(self):
        """What is to be done before the rings are made."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.front_end.close()
        self.data.close()
        self.control.close()
        self.memory.close()

    def reconnect(self, path, prepare=lambda front_end: None):
        """To a host that has been started again: the rings go on where they are."""
        self.front_end.close()
        self.front_end = self.data.front_end = self.control.front_end = fe.FrontEnd(path)
        self.front_end.negotiate(self.features)
        self.front_end.add_memory(self.memory)
        prepare(self.front_end)
        self.control.start()
        self.data.start()

    def restart(self):
        """After a reset of the device: both queues from the beginning."""
        self.front_end.order(fe.SET_FEATURES, U64(fe.F_PROTOCOL | fe.F_VERSION_1 | fe.F_INDIRECT))
        self.data.reset().start()
        self.control.reset().start()

    def check_works(self, session=None):
        if session is None:
            status, session = self.crypto.create_session(KEY)
            equal(status, 0, "session status")
        status, result = self.crypto.cipher(session, IV, PLAIN)
        equal(status, 0, "request status")
        equal(result, CIPHER, "ciphertext")
        return session
