#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of vcrypto, on live daemons: openssl's commands, TLS servers and
clients. Everything must work as without, and be offloaded."""

import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import vctest
from programs import (background, client_context, counts, free_port, get, haproxy_config,
                      listening, make_certificate, offloaded, one_server, openssl, path, read,
                      receive, write)
from vctest import check, equal, need, wait_until

KEY = "00112233445566778899aabbccddeeff"
SIZE = 4 << 20


def make_key(stack, name="key.pem"):
    openssl(stack, "genrsa", "-out", "@" + name, "2048")
    openssl(stack, "pkey", "-in", "@" + name, "-pubout", "-out", "@public.pem")


def make_ec_key(stack, name, curve):
    openssl(stack, "genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}",
            "-out", f"@{name}.pem")
    openssl(stack, "pkey", "-in", f"@{name}.pem", "-pubout", "-out", f"@{name}-public.pem")


# ---- commands


def test_list_of_providers():
    with vctest.Stack(host=False, engined=False) as stack:
        done = openssl(stack, "list", "-providers", "-verbose", env=stack.openssl_env())
        check(b"name: vcrypto" in done.stdout, done.stdout)


def test_enc():
    with vctest.Stack() as stack:
        env = stack.openssl_env(policy="always")
        plain = write(stack, "plain", SIZE + 5)
        for cipher, key in (("aes-128-cbc", KEY), ("aes-192-cbc", KEY + KEY[:16]),
                            ("aes-256-cbc", KEY + KEY), ("aes-128-ctr", KEY),
                          ("aes-256-ctr", KEY + KEY)):
            arguments = ["enc", "-" + cipher, "-K", key, "-iv", KEY]
            with counts(stack, cipher=SIZE // 16384):
                openssl(stack, *arguments, "-in", "@plain", "-out", "@ours", env=env)
            openssl(stack, *arguments, "-in", "@plain", "-out", "@theirs")
            check(read(stack, "ours") == read(stack, "theirs"), f"{cipher}: encrypts alike")
            with counts(stack, cipher=SIZE // 16384):
                openssl(stack, *arguments, "-d", "-in", "@theirs", "-out", "@again", env=env)
            check(read(stack, "again") == plain, f"{cipher}: decrypts")


def test_signatures():
    with vctest.Stack() as stack:
        env = stack.openssl_env(policy="always")
        make_key(stack)
        write(stack, "text", 100000)
        pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
        for options in ([], pss):
            with counts(stack, rsa_sign=1):
                openssl(stack, "dgst", "-sha256", *options, "-sign", "@key.pem", "-out", "@sig",
                        "@text", env=env)
            verify = ["dgst", "-sha256", *options, "-verify", "@public.pem", "-signature", "@sig",
                      "@text"]
            openssl(stack, *verify)
            openssl(stack, *verify, env=env)


CURVES = ("P-256", "P-384", "P-521")


def test_ecdsa_signatures():
    with vctest.Stack() as stack:
        env = stack.openssl_env(policy="always")
        write(stack, "text", 100000)
        for curve in CURVES + ("secp256k1",):
            make_ec_key(stack, "ec", curve)
            for digest in ("-sha256", "-sha512", "-sha1"):
                with counts(stack, ecdsa_sign=0 if curve == "secp256k1" else 1):
                    openssl(stack, "dgst", digest, "-sign", "@ec.pem", "-out", "@sig", "@text",
                            env=env)
                verify = ["dgst", digest, "-verify", "@ec-public.pem", "-signature", "@sig",
                          "@text"]
                openssl(stack, *verify)
                openssl(stack, *verify, env=env)


def test_ec_keys():
    """Made, written, read and checked with the provider; read without."""
    with vctest.Stack() as stack:
        env = stack.openssl_env(policy="always")
        for curve in CURVES:
            for options in ([], ["-pkeyopt", "ec_param_enc:explicit"]):
                openssl(stack, "genpkey", "-algorithm", "EC", "-pkeyopt",
                        f"ec_paramgen_curve:{curve}", *options, "-out", "@ec.pem", env=env)
                openssl(stack, "pkey", "-in", "@ec.pem", "-check", "-noout")
                openssl(stack, "pkey", "-in", "@ec.pem", "-check", "-noout", env=env)
                same = [openssl(stack, "pkey", "-in", "@ec.pem", "-text", env=e).stdout
                        for e in (env, None)]
                check(same[0] == same[1], f"{curve} {options}: told alike")
        openssl(stack, "ecparam", "-name", "prime256v1", "-genkey", "-out", "@old.pem", env=env)
        openssl(stack, "ec", "-in", "@old.pem", "-check", "-noout")
        openssl(stack, "ec", "-in", "@old.pem", "-check", "-noout", env=env)


def test_decryption():
    with vctest.Stack() as stack:
        env = stack.openssl_env(policy="always")
        make_key(stack)
        text = write(stack, "text", 100)
        for options in (["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"],
                        ["-pkeyopt", "rsa_padding_mode:pkcs1"]):
            openssl(stack, "pkeyutl", "-encrypt", "-pubin", "-inkey", "@public.pem", *options,
                    "-in", "@text", "-out", "@secret", env=env)
            with counts(stack, rsa_decrypt=1):
                openssl(stack, "pkeyutl", "-decrypt", "-inkey", "@key.pem", *options, "-in",
                        "@secret", "-out", "@again", env=env)
            equal(read(stack, "again"), text)


def test_keys_and_certificates():
    with vctest.Stack() as stack:
        env = stack.openssl_env(policy="always")
        with counts(stack, rsa_sign=1):
            openssl(stack, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "@key.pem",
                    "-out", "@cert.pem", "-days", "2", "-subj", "/CN=made by vcrypto", env=env)
        openssl(stack, "rsa", "-in", "@key.pem", "-check", "-noout")
        openssl(stack, "verify", "-CAfile", "@cert.pem", "@cert.pem")
        with counts(stack, rsa_sign=1):
            openssl(stack, "req", "-x509", "-key", "@key.pem", "-out", "@pss.pem", "-sigopt",
                    "rsa_padding_mode:pss", "-subj", "/CN=pss", env=env)
        openssl(stack, "verify", "-CAfile", "@pss.pem", "@pss.pem")
        with counts(stack, ecdsa_sign=1):
            openssl(stack, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384",
                    "-nodes", "-keyout", "@ec.pem", "-out", "@ec-cert.pem", "-days", "2", "-subj",
                    "/CN=ec", env=env)
        openssl(stack, "verify", "-CAfile", "@ec-cert.pem", "@ec-cert.pem")
        openssl(stack, "verify", "-CAfile", "@ec-cert.pem", "@ec-cert.pem", env=env)


def speed(stack, *arguments, **settings):
    done = openssl(stack, "speed", "-mr", "-seconds", "1", *arguments,
                   env=stack.openssl_env(**settings))
    # On a busy machine its processor time is none, as it is told in ticks.
    figures = re.findall(rb"^\+F\d?:.*:([0-9.]+|inf)$", done.stdout, re.M)
    check(figures, done.stdout)
    return done


def test_speed():
    with vctest.Stack() as stack:
        with counts(stack, rsa_sign=100):
            speed(stack, "-async_jobs", "8", "rsa2048")
        for curve in ("ecdsap256", "ecdsap384", "ecdsap521"):
            with counts(stack, ecdsa_sign=20):
                speed(stack, "-async_jobs", "8", curve, policy="always")
        with counts(stack, cipher=100):
            speed(stack, "-async_jobs", "8", "-bytes", "16384", "-evp", "aes-128-cbc")
        for cipher in ("aes-128-cbc-hmac-sha1", "aes-256-cbc-hmac-sha256"):
            with counts(stack, cipher=100):
                speed(stack, "-async_jobs", "8", "-bytes", "16384", "-evp", cipher)
        with counts(stack, aead=100):
            speed(stack, "-async_jobs", "8", "-bytes", "16384", "-aead", "-evp", "aes-128-gcm",
                  min_size="2048")
        for cipher in ("aes-128-ctr", "aes-256-xts"):
            with counts(stack, cipher=100):
                speed(stack, "-async_jobs", "8", "-bytes", "16384", "-evp", cipher,
                      min_size="2048")
        with counts(stack, aead=100):
            speed(stack, "-async_jobs", "8", "-bytes", "16384", "-evp", "aes-128-ccm",
                  min_size="2048")


# ---- TLS


SUITES = (
    (ssl.TLSVersion.TLSv1_3, None),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256"),
    (ssl.TLSVersion.TLSv1_2, "AES256-GCM-SHA384"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-CHACHA20-POLY1305"),
    (ssl.TLSVersion.TLSv1_2, "AES128-CCM"),
    (ssl.TLSVersion.TLSv1_2, "AES256-CCM8"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA"),
    (ssl.TLSVersion.TLSv1_2, "AES256-SHA"),
)


# Without encrypt-then-MAC libssl takes the stitched ciphers.
STITCHED = (
    (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA"),
    (ssl.TLSVersion.TLSv1_2, "AES256-SHA"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA256"),
    (ssl.TLSVersion.TLSv1_2, "AES256-SHA256"),
)


# With a certificate of EC, and keys of handshakes that are ours (on P curves) or not (X25519). Up
# to TLS 1.2 the client's groups are also those that certificates may be on.
EC_SUITES = (
    ("P-256", "prime256v1", ssl.TLSVersion.TLSv1_3, None),
    ("P-384", "secp384r1", ssl.TLSVersion.TLSv1_3, None),
    ("P-521", None, ssl.TLSVersion.TLSv1_3, None),
    ("P-256", "prime256v1", ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("P-384", None, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
)


# With records in jobs as well, those that read and write get into each other's way: libssl goes on
# with the job that waits, whoever calls it. So in jobs it is the default policy's signatures only.
EC_WAYS = ((["-async"], {}), ([], {"policy": "always"}))


def ec_signatures(curve, settings):
    """How many are offloaded at least in a handshake."""
    return 1 if settings or curve != "P-256" else 0


def servers(arguments, settings, suites=SUITES):
    with vctest.Stack() as stack:
        make_certificate(stack)
        for version, suite in suites:
            rsa = "rsa_decrypt" if suite and not suite.startswith("ECDHE") else "rsa_sign"
            records = {}
            if not suite or any(mode in suite for mode in ("GCM", "CCM", "CHACHA20")):
                records = {"aead": 100}
            elif suites is STITCHED:
                records = {"cipher": 60}
            with counts(stack, **{rsa: 1}, **records):
                one_server(stack, version, suite, arguments, stack.openssl_env(**settings))


def with_ec_certificates(one):
    """one(stack, version, suite, arguments, env, group) signs, in every way."""
    with vctest.Stack() as stack:
        for arguments, settings in EC_WAYS:
            for curve, group, version, suite in EC_SUITES:
                make_certificate(stack, curve)
                with counts(stack, ecdsa_sign=ec_signatures(curve, settings)):
                    one(stack, version, suite, arguments, stack.openssl_env(**settings),
                        group)


def test_server_with_ec_certificate():
    with_ec_certificates(one_server)


def test_server_with_ec_certificate_in_software():
    """The fall-back is forced: there is nobody."""
    with vctest.Stack(host=False, engined=False) as stack:
        for curve, group, version, suite in EC_SUITES:
            make_certificate(stack, curve)
            one_server(stack, version, suite, [], stack.openssl_env(policy="always"), group)


def test_server_in_jobs():
    servers(["-async"], {"min_size": "2048"})


def test_server_without_jobs():
    servers([], {"policy": "always"})


def test_server_of_stitched_suites():
    servers(["-async", "-no_etm"], {}, STITCHED)
    servers(["-no_etm"], {"policy": "always"}, STITCHED)


def test_random_numbers_stay_here():
    """They are AES-256-CTR of ours, and none of the device's."""
    with vctest.Stack() as stack:
        env = stack.openssl_env(policy="always", fallback="off")
        before = offloaded(stack)
        done = openssl(stack, "rand", "1000000", env=env)
        equal(len(done.stdout), 1000000)
        equal(offloaded(stack), before)
        openssl(stack, "genrsa", "-out", "@key.pem", "2048", env=env)
        equal(offloaded(stack)["cipher"], before["cipher"])


def test_client():
    """s_client with the provider, against a server in Python without."""
    with vctest.Stack() as stack:
        make_certificate(stack)
        data = write(stack, "data", 1 << 20)
        for version, suite in SUITES:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path(stack, "cert.pem"), path(stack, "key.pem"))
            context.minimum_version = context.maximum_version = version
            context.set_ciphers((suite or "ALL") + ":@SECLEVEL=0")
            with socket.create_server(("127.0.0.1", 0)) as server, \
                    open(path(stack, "data"), "rb") as source, \
                    background([need("openssl"), "s_client", "-quiet", "-connect",
                                f"127.0.0.1:{server.getsockname()[1]}", "-cipher",
                                "ALL:@SECLEVEL=0", "-async"],
                               env=stack.openssl_env(min_size="2048"), stdin=source,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL):
                server.settimeout(30)
                connection, _ = server.accept()
                connection.settimeout(30)
                with context.wrap_socket(connection, server_side=True) as tls:
                    got = receive(tls, len(data))
                    check(got == data, f"{tls.cipher()[0]}: the server got what was sent")
        check(offloaded(stack)["aead"] > 100, "records are offloaded")


def one_client(stack, version, suite, arguments, env, group):
    """s_client with the provider signs for itself, to a server in Python without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path(stack, "cert.pem"), path(stack, "key.pem"))
    context.load_verify_locations(path(stack, "cert.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    if suite:
        context.set_ciphers(suite)
    if group:
        context.set_ecdh_curve(group)
    with socket.create_server(("127.0.0.1", 0)) as server, \
            background([need("openssl"), "s_client", "-quiet", "-connect",
                        f"127.0.0.1:{server.getsockname()[1]}", "-cert", path(stack, "cert.pem"),
                        "-key", path(stack, "key.pem"), *arguments],
                       env=env, stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        client.stdin.write(b"signed")
        client.stdin.flush()
        server.settimeout(30)
        connection, _ = server.accept()
        connection.settimeout(30)
        with context.wrap_socket(connection, server_side=True) as tls:
            equal(receive(tls, 6), b"signed", "what was sent")
            check(tls.getpeercert(), "the client has a certificate")


def test_client_with_ec_certificate():
    with_ec_certificates(one_client)


def haproxy(curve, kind, **settings):
    with vctest.Stack() as stack:
        make_certificate(stack, curve)
        page, port = haproxy_config(stack, threads=2)
        with background([need("haproxy"), "-db", "-f", path(stack, "haproxy.cfg")],
                        env=stack.openssl_env(**settings), stderr=subprocess.DEVNULL) as server:
            wait_until(lambda: listening(port), 20, "haproxy listens")
            with counts(stack, **{kind: 80}):
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    context = client_context(version)
                    failures = []

                    def worker(context=context, failures=failures):
                        for _ in range(10):
                            try:
                                if get(port, context) != page:
                                    failures.append("a page differs")
                            except OSError as error:
                                failures.append(str(error))

                    threads = [threading.Thread(target=worker) for _ in range(4)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join(60)
                    check(not failures, failures)
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=20)


def test_haproxy():
    haproxy(None, "rsa_sign")


def test_haproxy_with_ec_certificate():
    haproxy("P-256", "ecdsa_sign", policy="always")
    haproxy("P-384", "ecdsa_sign")


def test_curl():
    if os.environ.get("VCRYPTO_PRELOAD"):
        raise vctest.Skip("curl hangs in setlocale() with a sanitizer in front of it")
    with vctest.Stack() as stack:
        make_certificate(stack)
        data = write(stack, "data", 1 << 20)
        port = free_port()
        with background([need("openssl"), "s_server", "-accept", str(port), "-HTTP", "-quiet",
                         "-cert", path(stack, "cert.pem"), "-key", path(stack, "key.pem")],
                        cwd=stack.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            wait_until(lambda: listening(port), 20, "the server listens")
            done = stack.run([need("curl"), "-sk", "--http0.9", f"https://127.0.0.1:{port}/data"],
                             env=stack.openssl_env(policy="always"))
        check(done.stdout.endswith(data), "curl got the file")
        check(offloaded(stack)["aead"] > 30, "records are offloaded")


vctest.main(globals())
