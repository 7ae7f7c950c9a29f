#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of vcrypto, with the ENGINE, on live daemons: openssl's commands, TLS
servers, nginx, haproxy, and a server that writes several records at once. Everything must work as without,
and be offloaded."""

import os
import pathlib
import re
import ssl
import subprocess

import vctest
from programs import (background, client_context, counts, free_port, get, haproxy_config,
                      listening, make_certificate, offloaded, one_server, openssl, path, read,
                      write)
from vctest import check, contains, equal, need, wait_until

TLS = os.path.join(vctest.BUILD, "tests/functional/openssl_engine/test-engine-tls")
KEY = "00112233445566778899aabbccddeeff"
SIZE = 4 << 20

SLOW_MS = 20
SLOW_CONFIG = f"""\
resources:
  - {{{{name: mb, type: ipsec-mb}}}}
  - {{{{name: sw, type: libcrypto, threads: 2}}}}
  - {{{{name: slow, type: fault, of: mb, faults: {{{{delay: "fixed:{SLOW_MS * 1000}"}}}}}}}}
groups:
  - {{{{name: default, primary: [slow], secondary: [sw]}}}}
devices:
  - {{{{name: dev0, socket: {{dir}}/dev0.sock}}}}
"""


# ---- commands


def test_engine_command():
    with vctest.Stack(host=False, engined=False) as stack:
        done = openssl(stack, "engine", "-t", "-c", "-vv", "vcrypto", env=stack.engine_env())
        output = done.stdout.decode()
        contains(output, "(vcrypto) vcrypto ", "openssl engine")
        contains(output, "[ available ]", "openssl engine")
        for word in ("RSA", "AES-128-CBC", "AES-256-CBC-HMAC-SHA256", "id-aes128-GCM", "SOCKET",
                     "DEADLINE_MS", "SPIN_US", "FALLBACK", "MIN_SIZE", "POLICY"):
            contains(output, word, "openssl engine")
        done = openssl(stack, "engine", "-c", "vcrypto",
                       env=stack.engine_env(block_operations="cipher"))
        # Only 3.5 names EC, too.
        check(b"[RSA" in done.stdout and b"AES" not in done.stdout,
              f"blocked ciphers are offered: {done.stdout}")


def test_wrong_settings_are_told():
    """libcrypto keeps errors in openssl.cnf to itself, and the program goes on without us."""
    with vctest.Stack(host=False, engined=False) as stack:
        write(stack, "text", 1000)
        make_key(stack)
        wrong = ({**stack.engine_env(algorithms="ALL"), "VCRYPTO_OFFLOAD": "rsa=often"},
                 stack.engine_env(algorithms="ALL", offload="gcm=1, rsa=often"))
        for env, place in zip(wrong, (" in the environment", "")):
            done = openssl(stack, "dgst", "-sha256", "-sign", "@key.pem", "-out", "@sig", "@text",
                           env=env)
            contains(done.stderr.decode(), f'bad value of OFFLOAD{place}: "rsa=often"', "error")


def test_engine_without_a_file():
    """By the loader of modules, as there is no openssl.cnf; commands good and bad."""
    with vctest.Stack(host=False, engined=False) as stack:
        env = stack.engine_env()
        del env["OPENSSL_CONF"]
        load = ["-pre", f"SO_PATH:{vctest.engine_module()}", "-pre", "LOAD"]
        done = openssl(stack, "engine", "-t", *load, "-pre", "POLICY:always", "-pre",
                       "FALLBACK:off", "dynamic", env=env)
        contains(done.stdout.decode(), "[Success]: POLICY:always", "a good command")
        contains(done.stdout.decode(), "[ available ]", "openssl engine")
        done = subprocess.run([need("openssl"), "engine", "-t", *load, "-pre", "POLICY:often",
                               "dynamic"], env=env, capture_output=True, check=False)
        output = (done.stdout + done.stderr).decode()
        contains(output, "[Failure]: POLICY:often", "a bad command")
        contains(output, "vcrypto engine", "whose error it is")
        contains(output, 'POLICY cannot be "often"', "what is wrong")


def test_the_configuration_that_is_delivered():
    """build/deploy/openssl-engine.cnf, and the same as docs/openssl.md has it, as they are."""
    with vctest.Stack() as stack:
        make_key(stack)
        write(stack, "text", 1000)
        docs = pathlib.Path(__file__).resolve().parents[2] / "docs/openssl.md"
        block = docs.read_text(encoding="utf-8").split("```ini\n")[2].split("```")[0]
        contains(block, "vcrypto_engine", "the second configuration in docs/openssl.md")
        with open(path(stack, "docs.cnf"), "w", encoding="utf-8") as file:
            file.write(block)
        delivered = os.path.join(vctest.BUILD, "deploy/openssl-engine.cnf")
        for config in (os.path.abspath(delivered), path(stack, "docs.cnf")):
            env = {**stack.engine_env(), "OPENSSL_CONF": config,
                   "OPENSSL_ENGINES": os.path.dirname(vctest.engine_module())}
            with counts(stack, rsa_sign=1):
                openssl(stack, "dgst", "-sha256", "-sign", "@key.pem", "-out", "@sig", "@text",
                        env=env)
            openssl(stack, "dgst", "-sha256", "-verify", "@public.pem", "-signature", "@sig",
                    "@text")


def test_enc():
    with vctest.Stack() as stack:
        env = stack.engine_env(policy="always")
        plain = write(stack, "plain", SIZE + 5)
        for cipher, key in (("aes-128-cbc", KEY), ("aes-192-cbc", KEY + KEY[:16]),
                            ("aes-256-cbc", KEY + KEY)):
            arguments = ["enc", "-" + cipher, "-K", key, "-iv", KEY]
            with counts(stack, cipher=SIZE // 16384):
                openssl(stack, *arguments, "-engine", "vcrypto", "-in", "@plain", "-out", "@ours",
                        env=env)
            openssl(stack, *arguments, "-in", "@plain", "-out", "@theirs")
            check(read(stack, "ours") == read(stack, "theirs"), f"{cipher}: encrypts alike")
            with counts(stack, cipher=SIZE // 16384):
                openssl(stack, *arguments, "-d", "-engine", "vcrypto", "-in", "@theirs", "-out",
                        "@again", env=env)
            check(read(stack, "again") == plain, f"{cipher}: decrypts")


def make_key(stack, curve=None):
    options = (["-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}"] if curve
               else ["-algorithm", "RSA"])
    openssl(stack, "genpkey", *options, "-out", "@key.pem")
    openssl(stack, "pkey", "-in", "@key.pem", "-pubout", "-out", "@public.pem")


def test_signatures():
    with vctest.Stack() as stack:
        env = stack.engine_env(algorithms="ALL", policy="always")
        write(stack, "text", 100000)
        pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
        for curve, options, kind in ((None, [], "rsa_sign"), (None, pss, "rsa_sign"),
                                     ("P-256", [], "ecdsa_sign"), ("P-384", [], "ecdsa_sign"),
                                     ("P-521", [], "ecdsa_sign"), ("secp256k1", [], None)):
            make_key(stack, curve)
            with counts(stack, **{kind: 1} if kind else {}):
                openssl(stack, "dgst", "-sha256", *options, "-sign", "@key.pem", "-out", "@sig",
                        "@text", env=env)
            verify = ["dgst", "-sha256", *options, "-verify", "@public.pem", "-signature", "@sig",
                      "@text"]
            openssl(stack, *verify)
            openssl(stack, *verify, env=env)


def test_decryption():
    with vctest.Stack() as stack:
        env = stack.engine_env(algorithms="ALL", policy="always")
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


def test_random_numbers_and_new_keys_stay_here():
    with vctest.Stack() as stack:
        env = stack.engine_env(algorithms="ALL", policy="always", fallback="off")
        before = offloaded(stack)
        openssl(stack, "rand", "1000000", env=env)
        equal(offloaded(stack), before)
        openssl(stack, "genrsa", "-out", "@key.pem", "2048", env=env)
        openssl(stack, "ecparam", "-name", "prime256v1", "-genkey", "-out", "@ec.pem", env=env)
        equal(offloaded(stack)["cipher"], before["cipher"])


def speed(stack, *arguments, **settings):
    done = openssl(stack, "speed", "-mr", "-seconds", "1", "-elapsed", "-engine", "vcrypto",
                   *arguments, env=stack.engine_env(**settings))
    check(re.findall(rb"^\+F\d?:.*:([0-9.]+)$", done.stdout, re.M), done.stdout)


def test_speed():
    with vctest.Stack() as stack:
        with counts(stack, rsa_sign=100):
            speed(stack, "-async_jobs", "8", "rsa2048")
        with counts(stack, rsa_sign=100):
            speed(stack, "rsa2048")
        for curve in ("ecdsap256", "ecdsap384", "ecdsap521"):
            with counts(stack, ecdsa_sign=20):
                speed(stack, "-async_jobs", "8", curve, policy="always")
        speed(stack, "-async_jobs", "8", "ecdhp256", policy="always")
        for cipher in ("aes-128-cbc", "aes-128-cbc-hmac-sha1", "aes-256-cbc-hmac-sha256"):
            with counts(stack, cipher=100):
                speed(stack, "-async_jobs", "8", "-bytes", "16384", "-evp", cipher)


def test_clients_are_shown():
    """What offloads is a client of the daemon, with its counters."""
    with vctest.Stack() as stack:
        command = [need("openssl"), "speed", "-seconds", "20", "-elapsed", "-engine", "vcrypto",
                   "-async_jobs", "8", "rsa2048"]
        with background(command, env=stack.engine_env(), stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL) as process:
            def signs():
                clients = stack.ctl("engined", "clients")
                return [c for c in clients if c["pid"] == process.pid
                        and c["offloaded"]["rsa_sign"] > 100]
            wait_until(signs, 20, "it signs")
            contains(stack.vcryptoctl("clients").stdout, "openssl", "vcryptoctl clients")


# ---- TLS

SUITES = (
    (None, None, ssl.TLSVersion.TLSv1_3, None, {"rsa_sign": 1}),
    (None, None, ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256", {"rsa_sign": 1}),
    (None, None, ssl.TLSVersion.TLSv1_2, "AES256-GCM-SHA384", {"rsa_decrypt": 1}),
    (None, None, ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-CHACHA20-POLY1305", {"rsa_sign": 1}),
    (None, None, ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA", {"rsa_sign": 1, "cipher": 60}),
    (None, None, ssl.TLSVersion.TLSv1_2, "AES256-SHA256", {"rsa_decrypt": 1, "cipher": 60}),
    ("P-256", "prime256v1", ssl.TLSVersion.TLSv1_3, None, {"ecdsa_sign": 1}),
    ("P-384", None, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384", {"ecdsa_sign": 1}),
    ("P-521", None, ssl.TLSVersion.TLSv1_3, None, {"ecdsa_sign": 1}),
)


def servers(arguments, least, **settings):
    """least: what is offloaded of each suite, if the policy is for it."""
    with vctest.Stack() as stack:
        for curve, group, version, suite, kinds in SUITES:
            make_certificate(stack, curve)
            expected = least(curve, suite, kinds)
            with counts(stack, **expected):
                one_server(stack, version, suite, ["-engine", "vcrypto", *arguments],
                           stack.engine_env(**settings), group)


def test_server_without_jobs():
    def least(curve, suite, kinds):
        aead = {} if suite and "GCM" not in suite else {"aead": 100}
        return {**kinds, **aead}

    servers(["-no_etm"], least, policy="always")
    servers([], lambda curve, suite, kinds: kinds, policy="always")


def test_server_in_jobs():
    """By the default policy: signatures but those on P-256, and CBC."""
    servers(["-async", "-no_etm"],
            lambda curve, suite, kinds: {} if curve == "P-256" else kinds)


def test_server_without_daemons():
    with vctest.Stack(host=False, engined=False) as stack:
        for curve, group, version, suite, _ in SUITES:
            make_certificate(stack, curve)
            one_server(stack, version, suite, ["-engine", "vcrypto"],
                       stack.engine_env(policy="always"), group)


def transfer(stack, suite, pipelines, fragment, size, *more, **settings):
    """Milliseconds that the server's writing took."""
    done = stack.run([TLS, path(stack, "cert.pem"), path(stack, "key.pem"), suite, str(pipelines),
                      str(fragment), str(size), *more],
                     env=stack.engine_env(foreign=False, **settings))
    return float(done.stdout)


def test_pipelines():
    with vctest.Stack() as stack:
        make_certificate(stack)
        for suite in ("AES128-SHA", "AES256-SHA256", "ECDHE-RSA-AES256-SHA",
                      "AES128-GCM-SHA256"):
            for pipelines, fragment in ((1, 16384), (2, 16384), (8, 16384), (32, 4096), (5, 777)):
                for more in ([], ["async"]):
                    size = 1 << 20
                    records = {} if "GCM" in suite else {"cipher": size // fragment}
                    with counts(stack, **records):
                        transfer(stack, suite, pipelines, fragment, size, *more, policy="always",
                                 deadline_ms="20000")


def test_pipelines_by_the_default_policy():
    """Records that are small by themselves go together; without jobs, nothing goes."""
    with vctest.Stack() as stack:
        make_certificate(stack)
        with counts(stack, cipher=256):
            transfer(stack, "AES128-SHA", 8, 4096, 1 << 20, "async")
        before = offloaded(stack)["cipher"]
        transfer(stack, "AES128-SHA", 8, 4096, 1 << 20)
        transfer(stack, "AES128-SHA", 1, 4096, 1 << 20, "async")
        equal(offloaded(stack)["cipher"], before, "offloaded")


def test_records_of_a_pipeline_are_in_flight_together():
    """The device takes its time with each request, but not with one after the other."""
    with vctest.Stack(host_config=SLOW_CONFIG) as stack:
        make_certificate(stack)
        size, fragment = 1 << 20, 16384
        records = size // fragment
        with counts(stack, cipher=records):
            together = transfer(stack, "AES128-SHA", 16, fragment, size, policy="always",
                                deadline_ms="20000")
        with counts(stack, cipher=records):
            alone = transfer(stack, "AES128-SHA", 1, fragment, size, policy="always",
                             deadline_ms="20000")
        check(alone >= records * SLOW_MS, f"{alone} ms one by one")
        check(together < alone / 4, f"{together} ms in pipelines of 16, {alone} ms one by one")


def test_pipelines_without_daemons():
    with vctest.Stack(host=False, engined=False) as stack:
        make_certificate(stack)
        for more in ([], ["async"]):
            transfer(stack, "AES128-SHA", 8, 4096, 1 << 20, *more, policy="always")


NGINX = """\
daemon off;
pid {dir}/nginx.pid;
error_log stderr notice;
worker_processes 2;
ssl_engine vcrypto;
events {{
    worker_connections 64;
}}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {dir}/nginx-body;
    proxy_temp_path {dir}/nginx-proxy;
    fastcgi_temp_path {dir}/nginx-fastcgi;
    uwsgi_temp_path {dir}/nginx-uwsgi;
    scgi_temp_path {dir}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {dir}/cert.pem;
        ssl_certificate_key {dir}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_tickets off;
        root {dir}/www;
        index page;
    }}
}}
"""


def test_nginx():
    """By ssl_engine: the master loads it, and its workers, which are forked, use it."""
    with vctest.Stack() as stack:
        make_certificate(stack)
        os.mkdir(path(stack, "www"))
        page = write(stack, "www/page", 10000)
        port = free_port()
        with open(path(stack, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(NGINX.format(dir=stack.dir, port=port))
        with background([need("nginx"), "-c", path(stack, "nginx.conf")],
                        env=stack.engine_env(), stderr=subprocess.DEVNULL) as server:
            wait_until(lambda: listening(port), 20, "nginx listens")
            with counts(stack, rsa_sign=20):
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    for _ in range(10):
                        equal(get(port, client_context(version)), page, "the page")
            server.terminate()
            server.wait(20)


def test_haproxy():
    """By OPENSSL_CONF alone: a server that was built without support for ENGINEs."""
    with vctest.Stack() as stack:
        for curve, kind in ((None, "rsa_sign"), ("P-384", "ecdsa_sign")):
            make_certificate(stack, curve)
            page, port = haproxy_config(stack, threads=2)
            with background([need("haproxy"), "-db", "-f", path(stack, "haproxy.cfg")],
                            env=stack.engine_env(algorithms="RSA,EC"),
                            stderr=subprocess.DEVNULL):
                wait_until(lambda p=port: listening(p), 20, "haproxy listens")
                with counts(stack, **{kind: 20}):
                    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                        for _ in range(10):
                            equal(get(port, client_context(version)), page, "the page")


vctest.main(globals())
