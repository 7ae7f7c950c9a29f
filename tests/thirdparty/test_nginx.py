#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nginx of the distribution, which knows nothing of the provider but what OPENSSL_CONF says: two
workers, of another user; synchronous, so that each signs one at a time."""

import contextlib
import os
import time

import support
from programs import (counts, free_port, listening, make_certificate, offloaded, openssl, path,
                      read, write)
from support import Load, children, note, service, signers, vctest
from vctest import check, equal, need, wait_until

RELOADS = 10
FILE_BYTES = 64 << 20
# Records of 16 KiB; the last one, and those of headers, may be smaller.
FILE_RECORDS = FILE_BYTES // 16384 - 1
VERSIONS = ("1.2", "1.3")

CONFIG = """\
daemon off;
user www-data;
worker_processes 2;
pid {dir}/nginx.pid;
error_log stderr notice;
events {{
    worker_connections 256;
}}
http {{
    access_log off;
    default_type application/octet-stream;
    client_max_body_size 100m;
    client_body_temp_path {dir}/www/temporary;
    proxy_temp_path {dir}/www/proxy;
    fastcgi_temp_path {dir}/www/fastcgi;
    uwsgi_temp_path {dir}/www/uwsgi;
    scgi_temp_path {dir}/www/scgi;
    ssl_certificate {dir}/cert.pem;
    ssl_certificate_key {dir}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:1m;
    ssl_client_certificate {dir}/cert.pem;
    ssl_verify_client optional;
    root {dir}/www;
    index page;
    add_header Reused $ssl_session_reused always;
    add_header Verified $ssl_client_verify always;
    dav_methods PUT;
    server {{
        listen 127.0.0.1:{tickets} ssl;
        ssl_session_tickets on;
    }}
    server {{
        listen 127.0.0.1:{cache} ssl;
        ssl_session_tickets off;
    }}
}}
"""


class Nginx:
    """A server with a certificate: ports[0] with tickets, ports[1] with a session cache alone."""

    def __init__(self, stack, env, process, ports, page):
        self.stack, self.env, self.process, self.ports, self.page = stack, env, process, ports, page

    def reload(self):
        self.stack.run([need("nginx"), "-c", path(self.stack, "nginx.conf"), "-s", "reload"],
                       env=self.env)


@contextlib.contextmanager
def nginx(stack, curve=None, **settings):
    make_certificate(stack, curve)
    os.mkdir(path(stack, "www"))
    os.chmod(path(stack, "www"), 0o777)
    page = write(stack, "www/page", 10000)
    ports = free_port(), free_port()
    with open(path(stack, "nginx.conf"), "w", encoding="ascii") as file:
        file.write(CONFIG.format(dir=stack.dir, tickets=ports[0], cache=ports[1]))
    env = stack.openssl_env(**settings)
    command = [need("nginx"), "-c", path(stack, "nginx.conf")]
    with service(stack, "nginx", command, ports[0], env) as process:
        wait_until(lambda: listening(ports[1]), 20, "nginx listens at its second port")
        yield Nginx(stack, env, process, ports, page)


def handshake(server, port, version, *arguments):
    """One request of s_client, which does without the provider; what it printed."""
    option = "-tls" + version.replace(".", "_")
    done = openssl(server.stack, "s_client", "-connect", f"127.0.0.1:{port}", option, "-ign_eof",
                   *arguments, input=b"GET /page HTTP/1.0\r\n\r\n")
    check(server.page in done.stdout, f"TLS {version}: the page is not what it should be")
    return done.stdout


def full_and_resumed(server, kind, port, version):
    """The first one is signed for by the device, the next ones are not signed for."""
    before = offloaded(server.stack)[kind]
    text = handshake(server, port, version, "-sess_out", path(server.stack, "session"))
    check(b"\nNew, " in text, f"TLS {version}: the first handshake is not a full one")
    check(b"\r\nReused: .\r\n" in text, f"TLS {version}: nginx takes the first one for resumed")
    equal(offloaded(server.stack)[kind] - before, 1, f"TLS {version}, signatures")
    for _ in range(4):
        text = handshake(server, port, version, "-sess_in", path(server.stack, "session"))
        check(b"\nReused, " in text, f"TLS {version}: the handshake is not resumed")
        check(b"\r\nReused: r\r\n" in text, f"TLS {version}: nginx does not resume")
    equal(offloaded(server.stack)[kind] - before, 1, f"TLS {version}, signatures in all")


def reconnect(server, kind):
    """s_client -reconnect: one full handshake and five resumed ones (up to TLS 1.2). With tickets:
    into its cache the server puts a session after its last message is out, and s_client can be back
    before that, at the other worker."""
    port = server.ports[0]
    before = offloaded(server.stack)[kind]
    done = openssl(server.stack, "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2",
                   "-reconnect", input=b"Q\n")
    equal((done.stdout.count(b"\nNew, "), done.stdout.count(b"\nReused, ")), (1, 5),
          "handshakes in full and resumed")
    equal(offloaded(server.stack)[kind] - before, 1, "signatures")


def handshakes(curve, kind):
    with vctest.Stack() as stack, nginx(stack, curve, policy="always") as server:
        for port in server.ports:
            for version in VERSIONS:
                with counts(stack, **{kind: 1}):
                    full_and_resumed(server, kind, port, version)
        reconnect(server, kind)


def test_handshakes_with_rsa():
    handshakes(None, "rsa_sign")


def test_handshakes_with_ec():
    for curve in ("P-256", "P-384"):
        handshakes(curve, "ecdsa_sign")


def curl(server, version, page, *arguments, env=None):
    """What curl wrote to standard output."""
    return support.curl(server.stack, server.ports[0], page, f"--tlsv{version}", "--tls-max",
                        version, *arguments, env=env)


def test_client_certificate():
    """curl signs by the provider as well; nginx has verified it."""
    for curve, kind in ((None, "rsa_sign"), ("P-384", "ecdsa_sign")):
        with vctest.Stack() as stack, nginx(stack, curve, policy="always") as server:
            for version in VERSIONS:
                with counts(stack, **{kind: 2}):
                    got = curl(server, version, "page", "--dump-header", "-",
                               "--cert", path(stack, "cert.pem"), "--key", path(stack, "key.pem"),
                               env=server.env)
                check(b"\r\nVerified: SUCCESS\r\n" in got, f"TLS {version}: not verified")
                check(got.endswith(server.page), f"TLS {version}: the page differs")
                got = curl(server, version, "page", "--dump-header", "-")
                check(b"\r\nVerified: NONE\r\n" in got, f"TLS {version}: verified without one")


def test_large_files():
    with vctest.Stack() as stack, nginx(stack, policy="always") as server:
        data = write(stack, "www/large", FILE_BYTES)
        for version in VERSIONS:
            before = offloaded(stack)["aead"]
            with counts(stack, aead=FILE_RECORDS):
                curl(server, version, "large", "-o", path(stack, "got"))
            check(read(stack, "got") == data, f"TLS {version}: the download differs")
            with counts(stack, aead=FILE_RECORDS):
                curl(server, version, "uploaded", "-T", path(stack, "www/large"))
            check(read(stack, "www/uploaded") == data, f"TLS {version}: the upload differs")
            os.unlink(path(stack, "www/uploaded"))
            note(f"TLS {version}: {offloaded(stack)['aead'] - before} records offloaded")


def test_reload():
    with vctest.Stack() as stack, nginx(stack) as server:
        with Load(server.ports[0], server.page) as load:
            wait_until(lambda: len(signers(stack)) == 2, 30, "both workers offload")
            seen = signers(stack)
            for _ in range(RELOADS):
                server.reload()
                wait_until(lambda: len(signers(stack) - seen) == 2, 20, "new workers offload")
                seen |= signers(stack)
                time.sleep(1)
            total = offloaded(stack)["rsa_sign"]
        note(f"{RELOADS} reloads, {total} signatures of the device, by {len(seen)} workers")
        load.check(least=20 * RELOADS)
        check(total >= load.requests // 2, f"{total} signatures for {load.requests} requests")
        wait_until(lambda: len(children(server.process.pid)) == 2, 30, "the old workers end")
        fallback = stack.ctl("engined", "status")["totals"]["fallback"]
        equal(sum(fallback.values()), 0, f"fallen back ({fallback})")


if __name__ == "__main__":
    vctest.main(globals())
