#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stunnel in front of a plain HTTP server that sends back what it gets, and curl: each with the
provider, both by OPENSSL_CONF alone. What comes back is what was sent.

stunnel's own query "provider!=fips" takes the place of a preference by the provider's name; the
provider that is named first wins then."""

import contextlib
import http.server
import threading
import time

import support
from programs import counts, free_port, make_certificate, offloaded, path, read, write
from support import Load, note, service, vctest
from vctest import check, need, wait_until

PAGE = b"stunnel" * 1000
FILE_BYTES = 16 << 20
FILE_RECORDS = FILE_BYTES // 16384
LOAD_SECONDS = 10
VERSIONS = ("1.2", "1.3")

CONFIG = """\
foreground = yes
pid =
debug = notice
[tls]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{origin}
cert = {dir}/cert.pem
key = {dir}/key.pem
"""


class Echo(http.server.BaseHTTPRequestHandler):
    """A page for GET, the request's body for POST."""

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):  # pylint: disable=invalid-name
        self._answer(PAGE)

    def do_POST(self):  # pylint: disable=invalid-name
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class Origin(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextlib.contextmanager
def echo():
    """The plain server's port."""
    with Origin(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def named_first(env):
    """The provider before the default one, in the file and in the alphabet."""
    with open(env["OPENSSL_CONF"], "r+", encoding="utf-8") as file:
        text = file.read()
        one, other = "default = default_provider\n", "vcrypto = vcrypto_provider\n"
        check(one + other in text, "the providers are not listed as they were")
        file.seek(0)
        file.write(text.replace(one + other, "a-" + other + one))
    return env


@contextlib.contextmanager
def stunnel(stack, curve=None, **settings):
    """Its port."""
    make_certificate(stack, curve)
    port = free_port()
    with echo() as origin:
        with open(path(stack, "stunnel.conf"), "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=port, origin=origin, dir=stack.dir))
        with service(stack, "stunnel", [need("stunnel"), path(stack, "stunnel.conf")], port,
                     named_first(stack.openssl_env(**settings))):
            yield port


def same_bytes(curve, kind):
    """Each record is made by one of the two, and opened by the other: both have a device."""
    with vctest.Stack() as stack, stunnel(stack, curve, policy="always") as port:
        data = write(stack, "data", FILE_BYTES)
        for version in VERSIONS:
            before = offloaded(stack)["aead"]
            with counts(stack, aead=4 * FILE_RECORDS, **{kind: 1}):
                support.curl(stack, port, "echo", f"--tlsv{version}", "--tls-max", version,
                             "-H", "Expect:", "--data-binary", "@" + path(stack, "data"),
                             "-o", path(stack, "back"), env=stack.openssl_env(policy="always"))
            check(read(stack, "back") == data, f"TLS {version}: what comes back differs")
            note(f"TLS {version}: {offloaded(stack)['aead'] - before} records offloaded")


def test_same_bytes_with_rsa():
    same_bytes(None, "rsa_sign")


def test_same_bytes_with_ec():
    same_bytes("P-384", "ecdsa_sign")


def test_many_threads():
    """A thread for each connection, all of one process, and each of them waits."""
    with vctest.Stack() as stack, stunnel(stack) as port:
        with Load(port, PAGE, threads=4) as load:
            time.sleep(LOAD_SECONDS)
            wait_until(lambda: load.requests > 20, 60, "there are requests")
        load.check(least=20)
        total = offloaded(stack)["rsa_sign"]
        fallback = stack.ctl("engined", "status")["totals"]["fallback"]
        note(f"{total} signatures of the device, done in software: {fallback}")
        check(total >= load.requests, f"{total} signatures for {load.requests} requests")


if __name__ == "__main__":
    vctest.main(globals())
