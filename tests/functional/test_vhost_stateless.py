#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""VIRTIO_CRYPTO_F_REVISION_1 and stateless mode (virtio 1.3, 5.9.7) through a live vcrypto-host:
requests laid out by hand from the specification, results by known answers."""

import hashlib
import hmac
import os
import struct
import subprocess
import tempfile

import frontend as fe
import vctest
from hostfixture import CIPHER, IV, KEY, PLAIN, U64, Driver, Host
from vctest import check, contains, equal

BASE = fe.F_PROTOCOL | fe.F_VERSION_1 | fe.F_INDIRECT
REVISION_1 = 1
STATELESS = {"cipher": 2, "hash": 4, "mac": 8, "aead": 16, "akcipher": 32}
OK, ERR, BADMSG, NOTSUPP, INVSESS, KEY_REJECTED = 0, 1, 2, 3, 4, 6


def words(*values):
    return struct.pack(f"<{len(values)}I", *values)


def op(opcode, session=None):
    """Header of a data request: of a session, or stateless."""
    return struct.pack("<IIQII", opcode, 0, session or 0, 0 if session is None else 1, 0)


def run(driver, out, room):
    """(status, IN bytes) of a request; OUT in two pieces, so that nothing lies where it is handy."""
    memory = driver.memory
    cut = len(out) * 2 // 3
    first, second = memory.put(out[:cut]), memory.put(out[cut:])
    result, status = memory.put(b"\xee" * max(room, 1)), memory.put(b"\xff")
    pieces = [(first, cut, False), (second, len(out) - cut, False)]
    if room:
        pieces.append((result, room, True))
    driver.data.submit(pieces + [(status, 1, True)], True)
    driver.data.wait()
    return memory.map[status], bytes(memory.map[result:result + room])


def stateless_cipher(key, iv, data, encrypt=True):
    para = words(3, len(key), 1 if encrypt else 2, len(iv), len(data), len(data))
    return op(0 if encrypt else 1) + para.ljust(72, b"\0") + words(1) + key + iv + data


def stateless_gcm(key, iv, data, aad, tag_len, encrypt=True):
    """data of a decryption ends with the tag."""
    room = len(data) + tag_len if encrypt else len(data) - tag_len
    para = words(1, len(key), 1 if encrypt else 2, len(iv), tag_len, len(aad), len(data), room)
    return op(0x300 if encrypt else 0x301) + para + key + iv + data + aad, room


def test_stateless_modes_want_revision_1():
    with Host() as host:
        with fe.FrontEnd(host.path) as front_end:
            offered = front_end.ask_u64(fe.GET_FEATURES)
            equal(offered & 0x3F, 0x3F, "features of the crypto device")
            front_end.negotiate(BASE)
            for bit in STATELESS.values():
                check(not front_end.tell(fe.SET_FEATURES, U64(BASE | bit)), f"{bit} was taken")
                check(front_end.tell(fe.SET_FEATURES, U64(BASE | REVISION_1 | bit)), f"{bit}")
        host.wait_free()


def test_revision_1_does_not_pad():
    with Host() as host, Driver(host.path, features=BASE | REVISION_1) as driver:
        memory = driver.memory
        # Symmetric sessions and requests are as long as ever.
        session = driver.check_works()
        request = fe.CryptoDriver.cipher_header(session, IV, len(PLAIN)) + IV + PLAIN
        equal(run(driver, request, len(PLAIN)), (OK, CIPHER))
        # A hash session is 24 bytes, a request of it 32.
        create = memory.put(words(0x102, 4, 0, 0, 4, 32))
        answer = memory.put(b"\xff" * 16)
        driver.control.submit([(create, 24, False), (answer, 16, True)])
        driver.control.wait()
        session, status = struct.unpack("<QI", memory.map[answer:answer + 12])
        equal(status, OK, "status of the hash session")
        data = b"not padded"
        request = op(0x100, session) + words(len(data), 32) + data
        equal(run(driver, request, 32), (OK, hashlib.sha256(data).digest()))
        # Stateless mode was not negotiated.
        equal(run(driver, stateless_cipher(KEY, IV, PLAIN), len(PLAIN))[0], NOTSUPP)


def test_stateless_ciphers():
    with Host() as host, Driver(host.path, features=BASE | REVISION_1 | 2) as driver:
        equal(run(driver, stateless_cipher(KEY, IV, PLAIN), 32), (OK, CIPHER))
        equal(run(driver, stateless_cipher(KEY, IV, CIPHER, False), 32), (OK, PLAIN))
        # A session's requests have the same layout, and no key.
        status, session = driver.crypto.create_session(KEY)
        equal(status, OK, "session status")
        para = words(0, 0, 0, 16, 32, 32).ljust(72, b"\0") + words(1)
        equal(run(driver, op(0, session) + para + IV + PLAIN, 32), (OK, CIPHER))
        equal(run(driver, op(0, session + 1) + para + IV + PLAIN, 32)[0], INVSESS)
        equal(run(driver, stateless_cipher(KEY[:15], IV, PLAIN), 32)[0], ERR)


def test_stateless_hashes_and_macs():
    with Host() as host, Driver(host.path, features=BASE | REVISION_1 | 4 | 8) as driver:
        data = os.urandom(3000)
        request = op(0x100) + words(4, len(data), 32, 0) + data
        equal(run(driver, request, 32), (OK, hashlib.sha256(data).digest()))
        for length in (1, 20, 64, 200):
            key = os.urandom(length)
            request = op(0x200) + words(4, length, len(data), 32) + key + data
            equal(run(driver, request, 32),
                  (OK, hmac.new(key, data, hashlib.sha256).digest()), f"key of {length} bytes")
        request = op(0x200) + words(41, 16, len(data), 16) + bytes(16) + data
        equal(run(driver, request, 16)[0], NOTSUPP, "GMAC")


def test_stateless_aead():
    with Host() as host, Driver(host.path, features=BASE | REVISION_1 | 16) as driver:
        # The test case 4 of the GCM specification (McGrew and Viega).
        key = bytes.fromhex("feffe9928665731c6d6a8f9467308308")
        iv = bytes.fromhex("cafebabefacedbaddecaf888")
        plain = bytes.fromhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                              "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
        aad = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        sealed = bytes.fromhex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                               "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
                               "5bc94fbc3221a5db94fae95ae7121a47")
        request, room = stateless_gcm(key, iv, plain, aad, 16)
        equal(run(driver, request, room), (OK, sealed))
        request, room = stateless_gcm(key, iv, sealed, aad, 16, False)
        equal(run(driver, request, room), (OK, plain))
        forged = sealed[:-1] + bytes([sealed[-1] ^ 1])
        request, room = stateless_gcm(key, iv, forged, aad, 16, False)
        status, result = run(driver, request, room)
        equal(status, BADMSG)
        check(plain[:16] not in result, "what is not authentic was given out")


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True,
                          timeout=60).stdout


def verifies(pem, digest, signature, *options):
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as sig:
        key.write(pem)
        sig.write(signature)
        key.flush()
        sig.flush()
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-inkey", key.name, "-sigfile",
                               sig.name, *options], input=digest, capture_output=True,
                              check=False, timeout=60)
        return done.returncode == 0


def akcipher(opcode, algo, private, key, extra, source, room):
    para = words(algo, 2 if private else 1, len(key), *extra, len(source), room)
    return op(opcode) + para + key + source


def test_stateless_signatures():
    with Host() as host, Driver(host.path, features=BASE | REVISION_1 | 32) as driver:
        digest = hashlib.sha256(b"signed").digest()
        sign, verify = 0x402, 0x403
        # ECDSA on P-256 and P-521: the signature is as long as it comes out.
        for curve, name in ((3, "prime256v1"), (5, "secp521r1")):
            pem = openssl("ecparam", "-name", name, "-genkey", "-noout")
            der = openssl("ec", "-outform", "DER", data=pem)
            size = {3: 32, 5: 66}[curve]
            point = openssl("ec", "-pubout", "-outform", "DER", data=pem)[-(1 + 2 * size):]
            status, room = run(driver, akcipher(sign, 2, True, der, (curve, 0), digest, 160), 160)
            equal(status, OK, f"{name}: signing")
            signature = room[:2 + room[1]] if room[1] < 0x80 else room[:3 + room[2]]
            check(verifies(pem, digest, signature), f"{name}: openssl does not verify it")
            request = akcipher(verify, 2, False, point, (curve, 0), signature, len(digest))
            equal(run(driver, request + digest, 0)[0], OK, f"{name}: verification")
            equal(run(driver, request + digest[::-1], 0)[0], KEY_REJECTED, f"{name}: another digest")
        # RSA, PKCS#1 with SHA-256.
        pem = openssl("genrsa", "-traditional", "2048")
        der = openssl("rsa", "-traditional", "-outform", "DER", data=pem)
        request = akcipher(sign, 1, True, der, (1, 6), digest, 256)
        status, signature = run(driver, request, 256)
        equal(status, OK, "RSA: signing")
        check(verifies(pem, digest, signature, "-pkeyopt", "digest:sha256"), "RSA: not verified")


def test_in_band_requests_are_laid_out_as_ever():
    with Host() as host:
        for features in (0, REVISION_1, REVISION_1 | 2):
            with Driver(host.path, features=BASE | features) as driver:
                status, hello = run(driver, words(0x56430000).ljust(72, b"\0"), 64)
                equal(status, OK, f"HELLO with features {features:#x}")
                equal(struct.unpack_from("<I", hello)[0], 1, "version")
            host.wait_free()


def test_many_keys():
    """More than a worker keeps."""
    with Host() as host, Driver(host.path, features=BASE | REVISION_1 | 8) as driver:
        for i in range(600):
            key = struct.pack("<I", i % 400) + b"key"
            request = op(0x200) + words(2, 7, 4, 20) + key + b"data"
            equal(run(driver, request, 20), (OK, hmac.new(key, b"data", hashlib.sha1).digest()))
        equal(host.device()["sessions"], 0, "sessions in the table")
        equal(run(driver, request, 20)[0], OK)
        # The 256 that were used last are kept: the others' turn came too late, and the last one's
        # at once.
        figures = {"keys": 256, "hits": 1, "misses": 600, "evicted": 600 - 256, "waits": 0}
        equal(host.device()["stateless"], figures)
        text = host.vcryptoctl("--host", "status").stdout
        contains(text, "stateless: keys 256, hits 1, misses 600, pushed out 344, waits 0")


if __name__ == "__main__":
    vctest.main(globals())
