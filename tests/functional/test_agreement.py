#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Key agreement of programs that know nothing of vcrypto, on live daemons: TLS 1.3 handshakes and
openssl's commands, with X25519 and ECDH. Everything must work as without, and be offloaded."""

import re
import subprocess

import vctest
from programs import (background, counts, free_port, listening, make_certificate, offloaded,
                      openssl, path, read)
from vctest import check, equal, need, wait_until

GROUPS = {"X25519": "X25519", "P-256": "ECDH, prime256v1", "P-384": "ECDH, secp384r1",
          "P-521": "ECDH, secp521r1"}
ALWAYS = {"policy": "always"}
# For servers and clients: with records in jobs as well, those that read and write get into each
# other's way in openssl's programs.
HANDSHAKES = {"offload": "x25519=always ecdh-p256=always ecdh-p384=always ecdh-p521=always"}
# Resources without RSA, ECDSA and key agreement.
NO_ASYMMETRIC = vctest.HOST_CONFIG.replace("  - {{name: sw, type: libcrypto, threads: 2}}\n", "") \
    .replace(", secondary: [sw]", "")


def handshake(stack, group, arguments=(), settings=None):
    """A TLS 1.3 connection between openssl's two programs, both with the provider."""
    env = stack.openssl_env(**(settings or HANDSHAKES))
    port = free_port()
    server = [need("openssl"), "s_server", "-quiet", "-accept", str(port), "-tls1_3", "-groups",
              group, "-cert", path(stack, "cert.pem"), "-key", path(stack, "key.pem"), *arguments]
    with background(server, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: listening(port), 30, "the server listens")
        client = subprocess.run([need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}",
                                 "-tls1_3", "-groups", group, *arguments], env=env,
                                input=b"hello\nQ\n", capture_output=True, timeout=60, check=False)
        equal(client.returncode, 0, f"{group}: the client's exit status")
        check(b"New, TLSv1.3" in client.stdout, f"{group}: {client.stdout}")
        key = re.search(rb"(?:Server|Peer) Temp Key: (.*), \d+ bits", client.stdout)
        check(key and key.group(1).decode() in (GROUPS[group], f"ECDH, {group}"),
              f"{group}: {key and key.group(0)}")
        equal(process.stdout.read(6), b"hello\n", f"{group}: what the server got")


def test_handshakes():
    """Each side derives a secret, in jobs and without."""
    with vctest.Stack() as stack:
        make_certificate(stack)
        for arguments in (["-async"], []):
            for group in GROUPS:
                with counts(stack, derive=2, rsa_sign=1):
                    handshake(stack, group, arguments)
        equal(offloaded(stack)["generate"], 0, "keys are made in the process")


def test_handshakes_with_keys_of_the_device():
    """Only where generate is on."""
    with vctest.Stack() as stack:
        make_certificate(stack)
        for arguments in (["-async"], []):
            for group in GROUPS:
                with counts(stack, derive=2, generate=2):
                    handshake(stack, group, arguments, {**HANDSHAKES, "generate": "on"})


def test_handshakes_by_the_default_policy():
    """What software does as quickly is left there."""
    with vctest.Stack() as stack:
        make_certificate(stack)
        for group in GROUPS:
            with counts(stack, derive=2 if group in ("P-384", "P-521") else 0):
                handshake(stack, group, ["-async"], {"policy": "auto"})


def test_handshakes_without_daemons():
    with vctest.Stack(host=False, engined=False) as stack:
        make_certificate(stack)
        for group in GROUPS:
            handshake(stack, group, ["-async"])


def test_handshakes_with_a_device_that_has_none():
    with vctest.Stack(host_config=NO_ASYMMETRIC) as stack:
        make_certificate(stack)
        for group in GROUPS:
            handshake(stack, group, (), ALWAYS)
        equal(offloaded(stack)["derive"], 0, "derived")
        check(offloaded(stack)["aead"] > 0, "the device does the rest")


def make_key(stack, name, kind):
    options = ["X25519"] if kind == "X25519" else ["EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
    openssl(stack, "genpkey", "-algorithm", *options, "-out", f"@{name}.pem")
    openssl(stack, "pkey", "-in", f"@{name}.pem", "-pubout", "-out", f"@{name}-public.pem")


def derive(stack, key, peer, out, env):
    openssl(stack, "pkeyutl", "-derive", "-inkey", f"@{key}.pem", "-peerkey",
            f"@{peer}-public.pem", "-out", f"@{out}", env=env)


def test_commands():
    """Keys from files; curves that are not the device's are OpenSSL's."""
    with vctest.Stack() as stack:
        env = stack.openssl_env(**ALWAYS)
        for kind in (*GROUPS, "secp256k1"):
            make_key(stack, "ours", kind)
            make_key(stack, "theirs", kind)
            with counts(stack, derive=0 if kind == "secp256k1" else 1):
                derive(stack, "ours", "theirs", "first", env)
            derive(stack, "theirs", "ours", "second", None)
            check(read(stack, "first") == read(stack, "second"), f"{kind}: one secret")


def test_x25519_keys():
    """Made, written, read and checked with the provider; read without."""
    with vctest.Stack() as stack:
        env = stack.openssl_env(**ALWAYS)
        openssl(stack, "genpkey", "-algorithm", "X25519", "-out", "@x.pem", env=env)
        openssl(stack, "pkey", "-in", "@x.pem", "-pubcheck", "-noout", env=env)
        same = [openssl(stack, "pkey", "-in", "@x.pem", "-text", env=e).stdout
                for e in (env, None)]
        equal(same[0], same[1], "told alike")


def test_speed():
    with vctest.Stack() as stack:
        for what in ("ecdhx25519", "ecdhp256", "ecdhp384", "ecdhp521"):
            with counts(stack, derive=100):
                openssl(stack, "speed", "-seconds", "1", "-async_jobs", "8", what,
                        env=stack.openssl_env(**ALWAYS))


vctest.main(globals())
