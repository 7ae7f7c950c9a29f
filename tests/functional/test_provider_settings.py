#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Settings of the provider, in openssl.cnf and in the environment: what they leave to OpenSSL, what
they offload, and what is said of wrong ones."""

import contextlib
import resource
import ssl
import subprocess

import vctest
from programs import (background, client_context, counts, free_port, get, listening,
                      make_certificate, offloaded, openssl, path, write)
from vctest import check, equal, need, wait_until

KEY = "00112233445566778899aabbccddeeff"
SIZE = 1 << 20
# An operation of libcrypto's that does each of a provider's, and what it counts as.
WORK = {
    "cipher": ("cipher", ("enc", "-aes-128-cbc", "-K", KEY, "-iv", KEY, "-in", "@plain", "-out",
                          "@out")),
    "signature": ("rsa_sign", ("dgst", "-sha256", "-sign", "@key.pem", "-out", "@out",
                               "@plain")),
    "asym-cipher": ("rsa_decrypt", ("pkeyutl", "-decrypt", "-inkey", "@key.pem", "-in",
                                    "@encrypted", "-out", "@out")),
}
# What is blocked with each.
BLOCKED = {
    "cipher": {"cipher"},
    "signature": {"signature"},
    "asym-cipher": {"asym-cipher"},
    "keyexch": set(),
    "keymgmt": {"signature", "asym-cipher"},
    "cipher, asym-cipher signature": {"cipher", "asym-cipher", "signature"},
}


@contextlib.contextmanager
def nothing_offloaded(stack):
    before = offloaded(stack)
    yield
    equal(offloaded(stack), before, "offloaded")


@contextlib.contextmanager
def prepared():
    with vctest.Stack() as stack:
        write(stack, "plain", SIZE)
        write(stack, "short", 32)
        make_certificate(stack)
        openssl(stack, "pkeyutl", "-encrypt", "-certin", "-inkey", "@cert.pem", "-in", "@short",
                "-out", "@encrypted")
        yield stack


def test_blocked_operations_are_left_to_openssl():
    with prepared() as stack:
        for blocked, kinds in BLOCKED.items():
            env = stack.openssl_env(policy="always", block_operations=blocked)
            for kind, (count, command) in WORK.items():
                with nothing_offloaded(stack) if kind in kinds else counts(stack, **{count: 1}):
                    openssl(stack, *command, env=env)


def test_handshakes_whatever_is_blocked():
    """Keys of one provider and operations of another come together."""
    with vctest.Stack() as stack:
        for curve, groups in ((None, ("X25519", "prime256v1")), ("P-384", ("secp384r1",))):
            make_certificate(stack, curve)
            for blocked in BLOCKED:
                port = free_port()
                with background([need("openssl"), "s_server", "-quiet", "-www", "-accept",
                                 str(port), "-cert", path(stack, "cert.pem"), "-key",
                                 path(stack, "key.pem")], stdout=subprocess.DEVNULL,
                                env=stack.openssl_env(policy="always",
                                                      block_operations=blocked)):
                    wait_until(lambda p=port: listening(p), 30, "the server listens")
                    for group in groups:
                        page = get(port, client_context(ssl.TLSVersion.TLSv1_3, None, group))
                        check(b"<HTML>" in page, page)


def test_work_by_work():
    with prepared() as stack:
        for settings, done in (
                ({"offload": "rsa=never, cbc-encrypt=always"}, {"cipher"}),
                ({"policy": "always", "offload": "cbc-encrypt=never"},
                 {"signature", "asym-cipher"}),
                ({"policy": "never", "offload": "rsa=auto"}, {"signature", "asym-cipher"})):
            env = stack.openssl_env(**settings)
            for kind, (count, command) in WORK.items():
                with counts(stack, **{count: 1}) if kind in done else nothing_offloaded(stack):
                    openssl(stack, *command, env=env)


def test_the_environment_comes_before_the_file():
    with prepared() as stack:
        env = stack.openssl_env(policy="always", socket=stack.dir + "/nobody.sock")
        with nothing_offloaded(stack):
            openssl(stack, *WORK["signature"][1], env=env)
        env["VCRYPTO_SOCKET"] = stack.dir + "/engined.sock"
        with counts(stack, rsa_sign=1):
            openssl(stack, *WORK["signature"][1], env=env)
        env["VCRYPTO_OFFLOAD"] = "rsa=never"
        with nothing_offloaded(stack):
            openssl(stack, *WORK["signature"][1], env=env)


def sleeps_per_signature(stack, **settings):
    """Of a program without jobs: how often it gives its CPU away to wait."""
    before = offloaded(stack)["rsa_sign"], resource.getrusage(resource.RUSAGE_CHILDREN).ru_nvcsw
    openssl(stack, "speed", "-elapsed", "-seconds", "2", "rsa2048",
            env=stack.openssl_env(**settings))
    after = offloaded(stack)["rsa_sign"], resource.getrusage(resource.RUSAGE_CHILDREN).ru_nvcsw
    check(after[0] - before[0] > 4, f"{after[0] - before[0]} signatures offloaded")
    return (after[1] - before[1]) / (after[0] - before[0])


def test_who_spins_does_not_sleep():
    with vctest.Stack() as stack:
        asleep = sleeps_per_signature(stack, deadline_ms="20000")
        spinning = sleeps_per_signature(stack, deadline_ms="20000", spin_us="100000")
        check(asleep > 0.5, f"{asleep} sleeps for each signature")
        check(spinning < 0.3, f"{spinning} sleeps for each signature, with spin-us")


def refusal(env):
    done = subprocess.run([need("openssl"), "list", "-providers"], check=False, env=env,
                          capture_output=True)
    check(b"name: vcrypto" not in done.stdout, "a wrong setting is taken")
    return done.stderr.decode()


def test_wrong_settings_are_refused():
    """The setting, where it stands, and the part of it are named."""
    with vctest.Stack(host=False, engined=False) as stack:
        for name, value, part in (("policy", "often", "often"), ("min-size", "2k", "2k"),
                                  ("fallback", "maybe", "maybe"),
                                  ("offload", "rsa=always p257=always", "p257=always"),
                                  ("block-operations", "cipher,digest", "digest"),
                                  ("deadline-ms", "-1", "-1"), ("spin-us", "long", "long")):
            said = refusal(stack.openssl_env(**{name.replace("-", "_"): value}))
            check(f'bad value of "{name}" in openssl.cnf: "{part}"' in said, said)
            env = stack.openssl_env()
            env["VCRYPTO_" + name.replace("-", "_").upper()] = value
            said = refusal(env)
            check(f'bad value of "{name}" in the environment: "{part}"' in said, said)


vctest.main(globals())
