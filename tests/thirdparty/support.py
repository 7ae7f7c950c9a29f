# SPDX-License-Identifier: Apache-2.0
"""What the tests with other people's servers share: servers as processes, a load of handshakes whose
failures are counted exactly, and who signs."""

import contextlib
import os
import signal
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "functional"))

# pylint: disable=wrong-import-position
import programs  # noqa: E402
import vctest  # noqa: E402
from vctest import check, wait_until  # noqa: E402

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
STOP_SECONDS = 20


def seconds_of(variable, default):
    """A time that the environment may set."""
    return float(os.environ.get(variable, default))


def note(text):
    """What was measured, for a person."""
    print(f"# {text}", flush=True)


@contextlib.contextmanager
def service(stack, name, command, port, env):
    """A server in the foreground, in a process group of its own, of which nothing is left at the
    end. It must listen, run until then, and stop at SIGTERM."""
    log_path = programs.path(stack, f"{name}.log")
    with open(log_path, "ab") as log:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, start_new_session=True,
                                   preexec_fn=vctest.die_with_parent)
    try:
        wait_until(lambda: programs.listening(port) or process.poll() is not None, 20,
                   f"{name} listens")
        check(process.poll() is None, f"{name} does not start")
        yield process
        check(process.poll() is None, f"{name} ended by itself with status {process.poll()}")
        process.terminate()
        process.wait(STOP_SECONDS)
    except BaseException:
        with open(log_path, encoding="utf-8", errors="replace") as log:
            for line in log.read().splitlines()[-20:]:
                note(f"{name}: {line}")
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def children(pid):
    """Processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def signers(stack, kind="rsa_sign"):
    """Pids of the applications of which the device has signed something."""
    return {client["pid"] for client in stack.ctl("engined", "status")["clients"]
            if client["offloaded"][kind]}


def curl(stack, port, page, *arguments, env=None):
    """Run curl on a page of a server with the stack's certificate; what it wrote."""
    done = stack.run([vctest.need("curl"), "-sS", "--fail", "--http1.1", "--cacert",
                      programs.path(stack, "cert.pem"), "--resolve", f"localhost:{port}:127.0.0.1",
                      *arguments, f"https://localhost:{port}/{page}"], env=env)
    return done.stdout


class Load:
    """Clients that shake hands, each time anew and in full, get the page, and compare it, without
    the provider: as many threads for each version of TLS."""

    def __init__(self, port, page, threads=2):
        self.port = port
        self.page = page
        self.requests = 0
        self.failures = []
        self.slowest = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._begin = time.monotonic()
        self._threads = [threading.Thread(target=self._run, args=(version,), daemon=True)
                         for version in VERSIONS for _ in range(threads)]

    def _once(self, context):
        try:
            same = programs.get(self.port, context) == self.page
            return None if same else "the page differs"
        except (OSError, IndexError) as error:
            return repr(error)

    def _run(self, version):
        context = programs.client_context(version)
        while not self._stop.is_set():
            start = time.monotonic()
            failure = self._once(context)
            end = time.monotonic()
            with self._lock:
                self.requests += 1
                self.slowest = max(self.slowest, end - start)
                if failure:
                    self.failures.append(f"at {start - self._begin:.2f} s, after "
                                         f"{end - start:.2f} s, {version.name}: {failure}")

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        note(f"{self.requests} requests, {len(self.failures)} failed, the slowest took "
             f"{self.slowest * 1000:.0f} ms")
        if kind is None:
            check(not any(thread.is_alive() for thread in self._threads), "a client hangs")

    def check(self, least):
        """No request failed, and there were so many."""
        check(not self.failures, f"{len(self.failures)} of {self.requests} requests failed:\n"
              + "\n".join(self.failures[:20]))
        check(self.requests >= least, f"only {self.requests} requests, not {least}")
