#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole path on real input: unmodified OpenSSL programs offload to vcrypto-host.

Starts both daemons with the default configuration in a private runtime directory, gives them real
work (openssl enc, an HTTPS server, openssl speed), checks each result against OpenSSL alone, and
ends with a table. "Offloaded" is counted by vcrypto-host; the exit status is 1 when a row was not
offloaded. Everything that was started is stopped, and every file removed, also after Ctrl-C.
"""
import argparse
import contextlib
import filecmp
import functools
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import openssl_speed

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "functional"))

# What both daemons do without a file, written out: a file in /etc must not change the demo.
HOST_CONFIG = """\
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: sw, type: libcrypto}}
groups:
  - {{name: default, policy: failover, primary: [mb], secondary: [sw]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, group: default, queues: 1}}
"""

FILE_BYTES = 256 << 20
# Of a program. On a busy machine each piece of the file may have to wait for a CPU several times.
TIMEOUT = 900
HANDSHAKES = 400
TLS_VERSIONS = ("1.2", "1.3")  # of haproxy's two ports
KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
IV = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"


class DemoError(Exception):
    """What went wrong, as a sentence."""


# ---- showing


class Progress:
    """One line for each step, with how long it took."""

    def __init__(self):
        self.start = time.monotonic()
        self.live = sys.stdout.isatty()

    @contextlib.contextmanager
    def step(self, text):
        begin = time.monotonic()
        if self.live:
            print(f"  ...       {text}", end="\r", flush=True)
        try:
            yield
        except BaseException:
            print(f"  \N{MULTIPLICATION X}         {text}", flush=True)
            raise
        print(f"  {time.monotonic() - begin:6.1f} s  {text}", flush=True)


def show_table(cells):
    """Lines of text; the first is the head. First column to the left, all others to the right."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    print()
    for number, line in enumerate(cells):
        print("  " + "  ".join([line[0].ljust(widths[0])] +
                               [value.rjust(width) for value, width in zip(line[1:], widths[1:])]))
        if not number:
            print("  " + "-" * (sum(widths) + 2 * (len(widths) - 1)))


class Row:
    """One line of the table."""

    def __init__(self, work, unit, plain, offload, offloaded):
        self.work = work
        self.plain_text = f"{plain:,.0f} {unit}"
        self.offload_text = f"{offload:,.0f} {unit}"
        self.ratio = offload / plain if plain else 0
        self.offloaded = offloaded

    HEAD = ("work", "in process", "through vcrypto", "ratio", "offloaded")

    def cells(self):
        return (self.work, self.plain_text, self.offload_text, f"{self.ratio:.2f}",
                f"{self.offloaded:,}" if self.offloaded else "NONE")


# ---- running and counting


def run(command, env, what, **more):
    """Run a program to its end; its output. DemoError when it fails."""
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=TIMEOUT, check=False, **more)
    except subprocess.TimeoutExpired as late:
        raise DemoError(f"{what} was not done after {TIMEOUT} s: is the machine busy?") from late
    if done.returncode:
        raise DemoError(f"{what} failed with status {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


class Counter:
    """Operations that vcrypto-host completed well for the work inside a `with`."""

    def __init__(self, stack):
        self.stack = stack
        self.operations = 0

    def _read(self):
        def status(daemon):
            done = self.stack.vcryptoctl(f"--{daemon}", "status", "--json")
            if done.returncode:
                raise DemoError(f"vcryptoctl: {done.stderr or done.stdout}")
            return json.loads(done.stdout)

        queues = [queue for device in status("host")["devices"] for queue in device["queues"]
                  if queue["kind"] == "data"]
        host = sum(q["requests"] - sum(q["errors"].values()) for q in queues)
        engined = sum(status("engined")["totals"]["offloaded"].values())
        return host, engined

    def __enter__(self):
        self.begin = self._read()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            # An operation counts when both daemons have seen it.
            self.operations = min(now - then for now, then in zip(self._read(), self.begin))


# ---- the work


class Demo:
    def __init__(self, stack, directory, progress):
        self.stack = stack
        self.dir = directory
        self.progress = progress
        self.rows = []
        self.plain_env = stack.env
        self.env = stack.openssl_env()
        # A program that waits for each operation gains no time; by default it is left alone.
        self.always_env = stack.openssl_env(policy="always")

    def path(self, name):
        return str(self.dir / name)

    # -- a large real file

    def make_file(self):
        """A tar of what this machine has, cut to size; again from the front if it is too short."""
        with self.progress.step(f"writing a real file of {FILE_BYTES >> 20} MiB (tar of /usr)"):
            with open(self.path("plain"), "wb") as out:
                while out.tell() < FILE_BYTES:
                    with subprocess.Popen(["tar", "-cf", "-", "-C", "/usr", "lib", "bin", "share"],
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tar:
                        left = FILE_BYTES - out.tell()
                        while left:
                            piece = tar.stdout.read(min(left, 1 << 20))
                            if not piece:
                                break
                            out.write(piece)
                            left -= len(piece)
                        tar.kill()
                out.flush()
                os.fsync(out.fileno())

    def _enc(self, env, source, target, *flags):
        begin = time.monotonic()
        run(["openssl", "enc", "-aes-256-cbc", "-K", KEY, "-iv", IV, "-in", self.path(source),
             "-out", self.path(target), *flags], env, "openssl enc")
        return FILE_BYTES / (time.monotonic() - begin) / 1e6

    def _same(self, a, b):
        if not filecmp.cmp(self.path(a), self.path(b), shallow=False):
            raise DemoError(f"{a} and {b} differ")

    def file_there_and_back(self):
        with self.progress.step("openssl enc -aes-256-cbc: in process"):
            plain = self._enc(self.plain_env, "plain", "sealed")
        with self.progress.step("openssl enc -aes-256-cbc: through vcrypto, same bytes"):
            with Counter(self.stack) as counter:
                offload = self._enc(self.always_env, "plain", "sealed.v")
            self._same("sealed", "sealed.v")
        self.rows.append(Row("openssl enc -aes-256-cbc, encrypt", "MB/s", plain, offload,
                             counter.operations))
        with self.progress.step("openssl enc -d: what vcrypto sealed, opened in process"):
            plain = self._enc(self.plain_env, "sealed.v", "opened", "-d")
            self._same("plain", "opened")
        with self.progress.step("openssl enc -d: what OpenSSL sealed, opened through vcrypto"):
            with Counter(self.stack) as counter:
                offload = self._enc(self.always_env, "sealed", "opened", "-d")
            self._same("plain", "opened")
        self.rows.append(Row("openssl enc -aes-256-cbc, decrypt", "MB/s", plain, offload,
                             counter.operations))

    # -- an HTTPS server

    def make_certificate(self):
        with self.progress.step("RSA-2048 certificate"):
            run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                 "-keyout", self.path("key.pem"), "-out", self.path("cert.pem")],
                self.plain_env, "openssl req")
            with open(self.path("both.pem"), "w", encoding="ascii") as both:
                both.write(open(self.path("cert.pem"), encoding="ascii").read())
                both.write(open(self.path("key.pem"), encoding="ascii").read())

    @contextlib.contextmanager
    def haproxy(self, env, ports, origin):
        config = f"""
global
    ssl-mode-async
    nbthread 1
    maxconn 2000
    ulimit-n 10000
    tune.ssl.cachesize 0
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend web
    bind 127.0.0.1:{ports[0]} ssl crt {self.path("both.pem")} ssl-max-ver TLSv1.2 no-tls-tickets
    bind 127.0.0.1:{ports[1]} ssl crt {self.path("both.pem")} ssl-min-ver TLSv1.3 no-tls-tickets
    http-request return status 200 content-type text/plain string "hello" if {{ path /hello }}
    default_backend files
backend files
    server origin 127.0.0.1:{origin}
"""
        with open(self.path("haproxy.cfg"), "w", encoding="ascii") as file:
            file.write(config)
        with open(self.path("haproxy.log"), "ab") as log:
            process = subprocess.Popen(["haproxy", "-db", "-q", "-f", self.path("haproxy.cfg")],
                                       env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for_port(process, ports[1], self.path("haproxy.log"))
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()

    def handshakes(self, port):
        """Handshakes each second; every one a full one, on a connection of its own."""
        text = run(["h2load", "--h1", "-t", "1", "-n", str(HANDSHAKES), "-c", str(HANDSHAKES),
                    f"https://127.0.0.1:{port}/hello"], self.plain_env, "h2load")
        good = re.search(r"(\d+) succeeded, (\d+) failed", text)
        took = re.search(r"finished in ([\d.]+)(m?s)", text)
        if not good or int(good[1]) != HANDSHAKES or not took:
            raise DemoError(f"h2load: not every handshake succeeded:\n{text}")
        return HANDSHAKES / (float(took[1]) / (1000 if took[2] == "ms" else 1))

    def _fetch(self, port, version):
        run(["curl", "-sS", "--fail", "--cacert", self.path("cert.pem"), f"--tlsv{version}",
             "--tls-max", version, "--resolve", f"localhost:{port}:127.0.0.1",
             f"https://localhost:{port}/page", "-o", self.path("fetched")],
            self.plain_env, "curl")
        self._same("page", "fetched")

    def https(self):
        with open(self.path("plain"), "rb") as big, open(self.path("page"), "wb") as page:
            page.write(big.read(32 << 20))
        ports = free_ports(2)
        with serve(self.dir) as origin:
            plain = []
            with self.haproxy(self.plain_env, ports, origin):
                for port, version in zip(ports, TLS_VERSIONS):
                    with self.progress.step(f"haproxy, TLS {version}: {HANDSHAKES} handshakes, "
                                            "in process"):
                        plain.append(self.handshakes(port))
            with self.haproxy(self.env, ports, origin):
                for port, version, speed in zip(ports, TLS_VERSIONS, plain):
                    with self.progress.step(f"haproxy, TLS {version}: {HANDSHAKES} handshakes "
                                            "and a file of 32 MiB, through vcrypto"):
                        with Counter(self.stack) as counter:
                            offload = self.handshakes(port)
                        self._fetch(port, version)
                    self.rows.append(Row(f"haproxy TLS {version} handshakes, RSA-2048", "/s",
                                         speed, offload, counter.operations))

    # -- openssl speed

    def _speed(self, env, *arguments):
        return run(["openssl", "speed", "-elapsed", "-seconds", "2", *arguments], env,
                   "openssl speed")

    def speed(self):
        for work, unit, arguments, parse in (
                # OpenSSL 3.5 makes a key for each job first.
                ("openssl speed rsa2048, sign, 16 jobs", "/s", ["-async_jobs", "16", "rsa2048"],
                 openssl_speed.signs_per_second),
                ("openssl speed aes-128-cbc, 16 KiB, 64 jobs", "MB/s",
                 ["-async_jobs", "64", "-bytes", "16384", "-evp", "aes-128-cbc"],
                 lambda text: openssl_speed.bytes_per_second(text) / 1e6)):
            with self.progress.step(f"{work}: in process"):
                plain = parse(self._speed(self.plain_env, *arguments))
            with self.progress.step(f"{work}: through vcrypto"):
                with Counter(self.stack) as counter:
                    offload = parse(self._speed(self.env, *arguments))
            self.rows.append(Row(work, unit, plain, offload, counter.operations))


# ---- small things


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for_port(process, port, log):
    for _ in range(200):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    with open(log, encoding="utf-8", errors="replace") as file:
        raise DemoError(f"haproxy does not start:\n{file.read()[-2000:]}")


@contextlib.contextmanager
def serve(directory):
    """The origin server behind haproxy, for one directory. Yields its port."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


# ---- the program


def harness(build):
    """The tests' harness for a build directory, which it reads from $VCRYPTO_BUILD."""
    os.environ["VCRYPTO_BUILD"] = os.path.abspath(build)
    import vctest  # pylint: disable=import-outside-toplevel

    vctest.stop_on_signals()
    return vctest


def show(work, vctest):
    """Call work(); the program's exit status. What goes wrong is said in a sentence."""
    try:
        return work()
    except (DemoError, openssl_speed.Unexpected, vctest.Failure, vctest.Skip) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit):
        print("\ndemo: interrupted; everything is stopped", file=sys.stderr)
        return 130


def run_demo(vctest):
    progress = Progress()
    print("vcrypto: unmodified OpenSSL programs, offloaded to vcrypto-host\n")
    with contextlib.ExitStack() as exits:
        # /tmp may be memory; the file is to be a real one.
        directory = exits.enter_context(tempfile.TemporaryDirectory(prefix="vcrypto-demo-",
                                                                    dir="/var/tmp"))
        with progress.step("vcrypto-host and vcrypto-engined start"):
            stack = exits.enter_context(vctest.Stack(host_config=HOST_CONFIG))
        demo = Demo(stack, pathlib.Path(directory), progress)
        demo.make_file()
        demo.file_there_and_back()
        demo.make_certificate()
        demo.https()
        demo.speed()
    show_table([Row.HEAD, *(row.cells() for row in demo.rows)])
    missing = [row.work for row in demo.rows if not row.offloaded]
    print(f"""
  Offloaded: operations that vcrypto-host completed. All results were checked against OpenSSL
  alone. `openssl enc` waits for each piece of 4 KiB, so it gains nothing in time; what runs many
  operations at once does. {time.monotonic() - progress.start:.0f} s.""")
    if missing:
        raise DemoError(f"not offloaded: {'; '.join(missing)}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="the whole path on real input")
    parser.add_argument("--build", default="build", help="build directory")
    vctest = harness(parser.parse_args().build)
    return show(lambda: run_demo(vctest), vctest)


if __name__ == "__main__":
    sys.exit(main())
