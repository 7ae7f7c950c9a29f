# SPDX-License-Identifier: Apache-2.0
"""What tests with other people's programs share: files, keys and certificates, TLS clients, ports,
and what was offloaded meanwhile."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading

from vctest import check, equal, need, wait_until


def offloaded(stack):
    return stack.ctl("engined", "status")["totals"]["offloaded"]


@contextlib.contextmanager
def counts(stack, **least):
    """At least so many operations of each kind are offloaded meanwhile, and none falls back."""
    before = offloaded(stack)
    yield
    totals = stack.ctl("engined", "status")["totals"]
    after, fallback = totals["offloaded"], totals["fallback"]
    for kind, number in least.items():
        check(after[kind] - before[kind] >= number,
              f"{kind}: {after[kind] - before[kind]} offloaded, not {number}; clients: "
              f"{totals['clients_ever']}, errors: {totals['errors']}, fallen back: {fallback}")
    equal(sum(fallback.values()), 0, f"fallen back ({fallback})")


def path(stack, name):
    return os.path.join(stack.dir, name)


def write(stack, name, size):
    data = os.urandom(size)
    with open(path(stack, name), "wb") as file:
        file.write(data)
    return data


def read(stack, name):
    with open(path(stack, name), "rb") as file:
        return file.read()


def openssl(stack, *arguments, env=None, **more):
    command = [need("openssl"), *(a.replace("@", stack.dir + "/") for a in arguments)]
    return stack.run(command, env=env, **more)


def make_certificate(stack, curve=None):
    """Of RSA, or of EC."""
    kind = ["ec", "-pkeyopt", f"ec_paramgen_curve:{curve}"] if curve else ["rsa:2048"]
    openssl(stack, "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", "@key.pem", "-out",
            "@cert.pem", "-days", "2", "-subj", "/CN=localhost")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def client_context(version, ciphers=None, group=None):
    """A client without the provider, in Python's own library."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers + ":@SECLEVEL=0")
    if group:
        context.set_ecdh_curve(group)
    return context


def listening(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def background(command, **more):
    process = subprocess.Popen(command, **more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def receive(connection, size):
    got = bytearray()
    while len(got) < size:
        part = connection.recv(65536)
        if not part:
            break
        got.extend(part)
    return bytes(got)


def one_server(stack, version, suite, arguments, env, group=None):
    """s_server with this environment sends and receives a file, both compared."""
    port = free_port()
    up, down = os.urandom(1 << 20), os.urandom(1 << 20)
    command = [need("openssl"), "s_server", "-quiet", "-accept", str(port), "-naccept", "1",
               "-cert", path(stack, "cert.pem"), "-key", path(stack, "key.pem"), "-ciphersuites",
               "TLS_AES_128_GCM_SHA256", "-cipher", "ALL:@SECLEVEL=0", *arguments]
    with open(path(stack, "up"), "wb") as sink, \
            background(command, env=env, stdin=subprocess.PIPE,
                       stdout=sink, stderr=subprocess.DEVNULL) as server:
        connection = None
        for _ in range(200):
            with contextlib.suppress(ConnectionRefusedError):
                connection = socket.create_connection(("127.0.0.1", port), timeout=60)
                break
            threading.Event().wait(0.05)
        check(connection, "the server listens")
        with client_context(version, suite, group).wrap_socket(connection) as tls:
            name = tls.cipher()[0]
            check(suite in (None, name), name)
            # Its input must not end: the server would end then.
            writer = threading.Thread(target=server.stdin.write, args=(down,))
            writer.start()
            got = receive(tls, len(down))
            tls.sendall(up)
            wait_until(lambda: os.path.getsize(path(stack, "up")) >= len(up), 60,
                       f"{name}: the server has everything")
            writer.join(60)
    check(got == down, f"{name}: the client got what was sent")
    check(read(stack, "up") == up, f"{name}: the server got what was sent")


def get(port, context):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, \
            context.wrap_socket(plain) as tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while part := tls.recv(65536):
            answer += part
    return answer.split(b"\r\n\r\n", 1)[1]


HAPROXY = """\
global
    ssl-mode-async
    ulimit-n 4096
    nbthread {threads}
    ssl-default-bind-options ssl-min-ver TLSv1.2
    tune.ssl.cachesize 0
{more}defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend tls
    bind 127.0.0.1:{port} ssl crt {dir}/both.pem no-tls-tickets
    http-request return status 200 content-type text/plain file {dir}/page
"""


def haproxy_config(stack, threads, more=""):
    """Write haproxy.cfg for the stack's certificate: every handshake is a full one, in a job. The
    page that is served, and the port. more: lines of the section "global"."""
    with open(path(stack, "both.pem"), "wb") as file:
        file.write(read(stack, "cert.pem") + read(stack, "key.pem"))
    os.chmod(path(stack, "both.pem"), 0o644)
    page = write(stack, "page", 10000)
    port = free_port()
    with open(path(stack, "haproxy.cfg"), "w", encoding="utf-8") as file:
        file.write(HAPROXY.format(port=port, dir=stack.dir, threads=threads, more=more))
    return page, port
