#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Harness of the functional tests: live daemons in a private runtime directory.

As a module:

    import vctest

    def test_something():
        with vctest.Stack() as stack:
            vctest.equal(stack.ctl("host", "version")["daemon"], "vcrypto-host")

    vctest.main(globals())

As a program it runs another one on a live stack and passes on its exit status:

    vctest.py [--no-host] [--no-engined] [--openssl [KEY=VALUE]...] -- PROGRAM [ARGUMENT]...

The daemons come from the build directory in $VCRYPTO_BUILD. Nothing is left behind, whatever
happens: processes die with the harness, and the runtime directory goes. Exit status 0 is good, 1 is
bad, 77 is skipped.

The program (and Stack.env) gets VCRYPTO_RUNTIME_DIR, VCRYPTO_HOST_SOCKET (the device's),
VCRYPTO_ENGINED_SOCKET, VCRYPTO_HOST_PID and VCRYPTO_ENGINED_PID, and OPENSSL_CONF with --openssl.
"""

import contextlib
import ctypes
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("VCRYPTO_BUILD", "")
SKIPPED = 77
# Sanitized daemons on a loaded machine are slow; a good one answers in milliseconds.
READY_SECONDS = 30
STOP_SECONDS = 20

HOST_CONFIG = """\
resources:
  - {{name: mb, type: ipsec-mb}}
  - {{name: sw, type: libcrypto, threads: 2}}
groups:
  - {{name: default, policy: failover, primary: [mb], secondary: [sw]}}
devices:
  - {{name: dev0, socket: {dir}/dev0.sock, group: default, queues: {queues}}}
"""

ENGINED_CONFIG = """\
device: {{transport: vhost-user, socket: {dir}/dev0.sock, queues: 1}}
"""

OPENSSL_CONFIG = """\
openssl_conf = openssl_init
[openssl_init]
providers = providers
alg_section = algorithms
[providers]
default = default_provider
vcrypto = vcrypto_provider
[default_provider]
activate = 1
[vcrypto_provider]
module = {module}
activate = 1
socket = {dir}/engined.sock
{settings}[algorithms]
default_properties = ?provider=vcrypto
"""

ENGINE_CONFIG = """\
openssl_conf = openssl_init
[openssl_init]
engines = engines
[engines]
vcrypto = vcrypto_engine
[vcrypto_engine]
dynamic_path = {module}
SOCKET = {dir}/engined.sock
{settings}{last}
"""


class Skip(Exception):
    """Raised by a test that lacks something; str() says what."""


class Failure(Exception):
    """Raised by a check that fails."""


class ControlError(Exception):
    """What a daemon answered instead of a result."""


# ---- checks


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, expected, what="value"):
    check(got == expected, f"{what}: got {got!r}, expected {expected!r}")


def contains(text, part, what="text"):
    check(part in text, f"{what}: no {part!r} in {text!r}")


@contextlib.contextmanager
def raises(kind, part=""):
    try:
        yield
    except kind as error:
        contains(str(error), part, kind.__name__)
    else:
        raise Failure(f"no {kind.__name__} was raised")


def wait_until(condition, seconds=10, what="condition"):
    """Wait for condition() to be true, and return what it returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.01)


# ---- what there is


def program(name):
    """Path of a program of the build; the test is skipped where it is not built."""
    places = {
        "vcrypto-host": "src/host",
        "vcrypto-engined": "src/engined",
        "vcryptoctl": "src/cli",
        "vcrypto-perf": "src/perf",
        "scribble": "tests/vm",
    }
    if not BUILD:
        raise Skip("VCRYPTO_BUILD does not name a build directory")
    path = os.path.join(BUILD, places[name], name)
    if not os.access(path, os.X_OK):
        raise Skip(f"{path} is not built")
    return path


def provider_module():
    """Path of vcrypto.so."""
    found = os.path.join(BUILD, "src/openssl/provider/vcrypto.so")
    if not os.path.exists(found):
        raise Skip("the OpenSSL provider is not built")
    return os.path.abspath(found)


def engine_module():
    """Path of the ENGINE, which has the same name."""
    found = os.path.join(BUILD, "src/openssl/engine/vcrypto.so")
    if not os.path.exists(found):
        raise Skip("the OpenSSL ENGINE is not built")
    return os.path.abspath(found)


def need(command):
    """Path of a program of the system; the test is skipped where it is not installed."""
    path = shutil.which(command)
    if not path:
        raise Skip(f"{command} is not installed")
    return path


def open_files(pid):
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def settled_files(pid, seconds=10):
    """The same, once it has not changed for a while: daemons close what has ended a bit later."""
    seen = []

    def settled():
        seen.append(open_files(pid))
        return len(seen) >= 20 and len(set(seen[-20:])) == 1

    wait_until(settled, seconds, f"the descriptors of process {pid} settle")
    return seen[-1]


def resident_kib(pid):
    """Resident memory of a process in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise Failure(f"process {pid} has no memory")


# ---- processes


def die_with_parent():
    """In the child: get SIGKILL when the harness goes, however it goes (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def control(path, command, timeout=10, **arguments):
    """Ask a control socket, and return the result; ControlError with the daemon's sentence."""
    request = json.dumps({"command": command, **arguments}) + "\n"
    answer = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(request.encode())
        while not answer.endswith(b"\n"):
            more = sock.recv(65536)
            check(more, f"{path}: hung up on {command}")
            answer += more
    answer = json.loads(answer)
    if not answer["ok"]:
        raise ControlError(answer["error"])
    return answer["result"]


def all_stopped(pid):
    """Whether every thread of a process is stopped by a signal."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8", errors="replace") as stat:
            if stat.read().rsplit(")", 1)[1].split()[0] != "T":
                return False
    return True


class Daemon:
    """One daemon of a stack: start, stop, kill, freeze, thaw, restart; pid; log."""

    def __init__(self, stack, name, config):
        self.stack = stack
        self.name = name
        self.program = program(f"vcrypto-{name}")
        self.control_path = os.path.join(stack.dir, f"{name}.ctl")
        self.config = os.path.join(stack.dir, f"{name}.yaml")
        self.log_path = os.path.join(stack.dir, f"{name}.log")
        self.process = None
        self.killed = False
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config)

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def start(self):
        check(self.process is None, f"{self.name} is running already")
        self.killed = False
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "--config", self.config, "--log-level", self.stack.log_level,
                 *self.stack.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.stack.env, preexec_fn=die_with_parent)
        wait_until(self._ready, READY_SECONDS, f"{self.name} answers")
        self.stack.env[f"VCRYPTO_{self.name.upper()}_PID"] = str(self.pid)

    def _ready(self):
        status = self.process.poll()
        if status is not None:
            self.process = None
            raise Failure(f"{self.name} ended at once with status {status}")
        try:
            return control(self.control_path, "version")
        except OSError:
            return None

    def stop(self):
        """SIGTERM, and it must end well (sanitizers tell of leaks by the exit status)."""
        if not self.process:
            return
        process, self.process = self.process, None
        process.terminate()
        try:
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"{self.name} did not stop within {STOP_SECONDS} s") from None
        equal(status, 0, f"{self.name}'s exit status")

    def kill(self):
        """SIGKILL: what a crash looks like to others."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.killed = True

    def freeze(self):
        """SIGSTOP, and until it holds: threads run on until the kernel has told each of them."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: all_stopped(self.pid), what=f"{self.name} stands still")

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def restart(self):
        self.stop()
        self.start()


class Stack:
    """vcrypto-host and vcrypto-engined, as a context manager.

    host, engined    False: not started (and stack.host or .engined is None)
    host_config, engined_config
                     YAML in place of the default; {dir} stands for the runtime directory
    queues           data queues of the device dev0 of the default configuration
    log_level        of both daemons
    arguments        more on their command lines

    Afterwards: dir, env (for processes), device_socket, engined_socket.
    """

    def __init__(self, host=True, engined=True, host_config=None, engined_config=None, queues=1,
                 log_level="info", arguments=()):
        self.log_level = log_level
        self.arguments = arguments
        self.dir = tempfile.mkdtemp(prefix="vct-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.device_socket = os.path.join(self.dir, "dev0.sock")
        self.engined_socket = os.path.join(self.dir, "engined.sock")
        self.env = {
            **os.environ,
            "VCRYPTO_RUNTIME_DIR": self.dir,
            "VCRYPTO_HOST_SOCKET": self.device_socket,
            "VCRYPTO_ENGINED_SOCKET": self.engined_socket,
        }
        # The system's own settings must not decide how a test ends.
        self.env.pop("OPENSSL_CONF", None)
        self.host = None
        self.engined = None
        try:
            if host:
                config = (host_config or HOST_CONFIG).format(dir=self.dir, queues=queues)
                self.host = Daemon(self, "host", config)
            if engined:
                config = (engined_config or ENGINED_CONFIG).format(dir=self.dir)
                self.engined = Daemon(self, "engined", config)
        except BaseException:
            shutil.rmtree(self.dir, ignore_errors=True)
            raise

    @property
    def daemons(self):
        return [daemon for daemon in (self.host, self.engined) if daemon]

    def start(self):
        for daemon in self.daemons:
            daemon.start()
        if self.host and self.engined:
            self.wait_device_up()

    def wait_device_up(self):
        """Until engined has its device (again)."""
        wait_until(lambda: self.ctl("engined", "status")["device"]["state"] == "up",
                   READY_SECONDS, "engined's device is up")

    def stop(self):
        """In the order in which an administrator would; all are stopped even if one fails."""
        failures = []
        for daemon in reversed(self.daemons):
            try:
                daemon.stop()
            except Failure as failure:
                failures.append(str(failure))
        check(not failures, "; ".join(failures))

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self._clean(show_logs=True)
            raise
        return self

    def __exit__(self, kind, value, trace):
        failed = kind is not None and not issubclass(kind, Skip)
        interrupted = failed and not issubclass(kind, Exception)
        try:
            if not failed:
                self.stop()
                self._check_leftovers()
        except BaseException:
            failed = True
            raise
        finally:
            self._clean(show_logs=failed and not interrupted)

    def _check_leftovers(self):
        sockets = [name for name in os.listdir(self.dir) if name.endswith((".sock", ".ctl"))]
        killed = any(daemon.killed for daemon in self.daemons)
        check(killed or not sockets, f"sockets are left behind: {sockets}")

    def _clean(self, show_logs):
        for daemon in reversed(self.daemons):
            daemon.kill()
            if show_logs and daemon.log():
                print(f"# ---- the end of {daemon.name}'s log")
                for line in daemon.log().splitlines()[-40:]:
                    print(f"# {line}")
        sys.stdout.flush()
        shutil.rmtree(self.dir, ignore_errors=True)

    def ctl(self, daemon, command, **arguments):
        """Ask "host" or "engined" on its control socket."""
        return control(os.path.join(self.dir, f"{daemon}.ctl"), command, **arguments)

    def vcryptoctl(self, *arguments):
        """Run vcryptoctl; a subprocess.CompletedProcess with text."""
        return subprocess.run([program("vcryptoctl"), *arguments], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              check=False)

    def openssl_env(self, foreign=True, **settings):
        """Environment of programs that use the provider.

        settings are keys of the provider's section of openssl.cnf (min_size="0": "min-size = 0").
        foreign: the program is not of this build, and where the build is sanitized it must load
        the sanitizer first; its own leaks are not ours to judge.
        """
        settings = self._patient(settings)
        lines = "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in settings.items())
        return self._openssl_env(foreign, OPENSSL_CONFIG.format(module=provider_module(),
                                                                dir=self.dir, settings=lines))

    def engine_env(self, foreign=True, algorithms=None, **settings):
        """The same for programs that use the ENGINE; settings are its commands (min_size="0":
        "MIN_SIZE = 0"). algorithms: what it is the default for ("ALL", "RSA,EC"); None: nothing,
        it is then asked for by name."""
        settings = self._patient(settings)
        lines = "".join(f"{key.upper()} = {value}\n" for key, value in settings.items())
        last = f"default_algorithms = {algorithms}" if algorithms else "init = 0"
        config = ENGINE_CONFIG.format(module=engine_module(), dir=self.dir, settings=lines,
                                      last=last)
        return {**self._openssl_env(foreign, config), "VCRYPTO_ENGINE": engine_module()}

    @staticmethod
    def _patient(settings):
        """Sanitized, on a machine that does other things too, an answer may take longer than
        applications wait for it."""
        sanitized = os.environ.get("VCRYPTO_PRELOAD")
        return {"deadline_ms": "20000", **settings} if sanitized else settings

    def _openssl_env(self, foreign, config):
        handle, path = tempfile.mkstemp(prefix="openssl-", suffix=".cnf", dir=self.dir)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(config)
        os.chmod(path, 0o644)
        env = {**self.env, "OPENSSL_CONF": path}
        preload = os.environ.get("VCRYPTO_PRELOAD")
        if foreign and preload:
            env["LD_PRELOAD"] = preload
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        return env

    def run(self, command, timeout=120, env=None, **more):
        """Run a command on the stack; it must succeed. A subprocess.CompletedProcess."""
        done = subprocess.run(command, env=env or self.env, timeout=timeout, capture_output=True,
                              check=False, **more)
        if done.returncode == SKIPPED:
            raise Skip(done.stderr.decode(errors="replace").strip() or "skipped")
        check(done.returncode == 0,
              f"{command[0]} ended with status {done.returncode}\n"
              f"{done.stdout.decode(errors='replace')[-4000:]}\n"
              f"{done.stderr.decode(errors='replace')[-4000:]}")
        return done


# ---- running tests


def stop_on_signals():
    """Signals become exceptions, so that every context manager cleans up."""

    def leave(number, frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def skip_all(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(SKIPPED)


def _report(number, name, ok, note=""):
    print(f"{'ok' if ok else 'not ok'} {number} - {name}{note}", flush=True)


# What LeakSanitizer says when it has itself crashed at a program's end, which happens once in some
# thousand ends and says nothing of the program.
LEAK_CHECK_CRASHED = "LeakSanitizer has encountered a fatal error"


def run_once_more(function):
    """The test, and again if all that went wrong is that leaks could not be looked for."""
    try:
        function()
    except Failure as failure:
        if LEAK_CHECK_CRASHED not in str(failure):
            raise
        print("# once more: the leak checker has crashed", flush=True)
        function()


def run_tests(tests):
    """Run (name, function) pairs; TAP on standard output. The exit status."""
    outcomes = {"ok": 0, "skipped": 0, "failed": 0}
    print(f"1..{len(tests)}", flush=True)
    for number, (name, function) in enumerate(tests, 1):
        try:
            run_once_more(function)
        except Skip as reason:
            outcomes["skipped"] += 1
            _report(number, name, True, f" # SKIP {reason}")
        except Exception as error:  # pylint: disable=broad-except
            outcomes["failed"] += 1
            _report(number, name, False)
            text = str(error) if isinstance(error, Failure) else traceback.format_exc()
            for line in text.splitlines():
                print(f"# {line}", flush=True)
        else:
            outcomes["ok"] += 1
            _report(number, name, True)
    if outcomes["failed"]:
        return 1
    return 0 if outcomes["ok"] else SKIPPED


def main(namespace, run=None, last=None):
    """Run every function test_* of a module in the order in which they stand there.

    Names on the command line choose some of them. run(function) calls one; last is one more test,
    a (name, function) pair, that always comes at the end.
    """
    stop_on_signals()
    wanted = sys.argv[1:]
    tests = [(name[5:].replace("_", " "), functools.partial(run, function) if run else function)
             for name, function in namespace.items()
             if name.startswith("test_") and callable(function)
             and (not wanted or name in wanted or name[5:] in wanted)]
    sys.exit(run_tests(tests + [last] if last else tests))


def _run_program():
    arguments = sys.argv[1:]
    if "--" not in arguments or arguments[-1] == "--":
        print(__doc__, file=sys.stderr)
        return 2
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1:]
    try:
        with Stack(host="--no-host" not in options,
                   engined="--no-engined" not in options) as stack:
            env = stack.env
            if "--openssl" in options:
                settings = dict(option.split("=", 1) for option in options if "=" in option)
                env = stack.openssl_env(foreign=False, **settings)
            status = subprocess.run(command, env=env, stdin=subprocess.DEVNULL,
                                    preexec_fn=die_with_parent, check=False).returncode
            if status not in (0, SKIPPED):
                raise Failure(f"{command[0]} ended with status {status}")
            return status
    except Skip as reason:
        skip_all(reason)
    except Failure as failure:
        print(f"# {failure}")
        return 1


if __name__ == "__main__":
    stop_on_signals()
    sys.exit(_run_program())
