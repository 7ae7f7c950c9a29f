# SPDX-License-Identifier: Apache-2.0
"""Harness of the tests with virtual machines: QEMU, and a guest that runs commands.

    import vm
    from vm import vctest

    def test_something(guest):
        vctest.contains(guest.run("cat /proc/crypto"), "virtio_crypto_aes_cbc")

    vm.main(globals(), modules=["virtio_crypto"])

vm.main() gives all tests that take a guest the same one, with a vcrypto-host of its own
(guest.stack, a vctest.Stack); one that a test has killed is started anew. A test without the
parameter makes its own, see Guest. QEMU is qemu-system-x86_64, or what VCRYPTO_QEMU names; it
emulates (TCG), so that no test needs KVM, and none can measure speed.

A kernel that panics and a QEMU that ends fail the test at once, a command that hangs when its time
is up; the end of the guest's console is then in the test's output.
"""

import base64
import contextlib
import functools
import inspect
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import image
import packages
from image import vctest

BOOT_SECONDS = 120
COMMAND_SECONDS = 60
QEMU_SECONDS = 20

# Has no AES instructions, so that the kernel's own cbc(aes) is the generic one and virtio_crypto's
# comes first; and has SSE 4.2, without which DPDK does not start.
CPU = "Nehalem"


# How the kernel begins a report of a fault of its own.
COMPLAINT = re.compile(r"BUG:|WARNING: CPU|Oops:|general protection fault|Kernel panic|"
                       r"blocked for more than|soft lockup|rcu: INFO")


class GuestLost(vctest.Failure):
    """The guest does not answer any more, or is gone."""


# ---- QEMU


def qemu():
    """The emulator: a path. The test is skipped where there is none."""
    return vctest.need(os.environ.get("VCRYPTO_QEMU", "qemu-system-x86_64"))


@functools.lru_cache
def qemu_version():
    """(major, minor) of the emulator."""
    text = subprocess.run([qemu(), "--version"], capture_output=True, text=True, check=True,
                          timeout=60).stdout
    found = re.search(r"version (\d+)\.(\d+)", text)
    vctest.check(found, f"{qemu()} has no version: {text}")
    return int(found[1]), int(found[2])


def need_qemu(major, minor, what):
    if qemu_version() < (major, minor):
        raise vctest.Skip(f"{what}: needs QEMU {major}.{minor}; this is "
                          f"{'.'.join(map(str, qemu_version()))}")


def _socket(name, path, reconnect):
    arguments = f"socket,id={name},path={path}"
    if reconnect:
        # Seconds; by a new name since 9.2, which has only that one later on.
        arguments += (f",reconnect-ms={reconnect * 1000}" if qemu_version() >= (9, 2)
                      else f",reconnect={reconnect}")
    return ["-chardev", arguments]


def stock(path, queues=1, reconnect=0, name="crypto0"):
    """QEMU's cryptodev-vhost-user at a socket of vcrypto-host: every QEMU has it.

    reconnect: seconds after which QEMU tries again when the host has gone; 0: never.
    """
    device = f"virtio-crypto-pci,id={name},cryptodev={name}-backend,event_idx=off"
    if qemu_version() < (8, 0):
        device += ",vectors=0"  # crashes at driver start with MSI-X when it emulates
    return [*_socket(f"{name}-socket", path, reconnect),
            "-object", f"cryptodev-vhost-user,id={name}-backend,chardev={name}-socket,"
                       f"queues={queues}",
            "-device", device]


def full(path, queues=1, name="crypto0", size=1024):
    """The whole device in vcrypto-host's hands: control queue, configuration, every feature."""
    need_qemu(10, 2, "vhost-user-test-device-pci")
    return [*_socket(f"{name}-socket", path, 0),
            "-device", f"vhost-user-test-device-pci,id={name},chardev={name}-socket,virtio-id=20,"
                       f"num_vqs={queues + 1},vq_size={size},config_size=56"]


# ---- the guest


class Guest:
    """A running guest, as a context manager.

    stack        the vctest.Stack whose device it uses; None: one of its own, without engined
    devices      lists of QEMU's arguments; None: stock(stack.device_socket)
    modules      kernel modules to load at the start
    layers       of the image, besides the base: see image.py
    files        {path in the guest: path here, or bytes}
    enable       units that systemd starts, in an image with that layer
    memory, cpus, cpu, machine, append, arguments
                 as QEMU and the kernel's command line have them
    host_config  of a stack of its own
    boot_seconds it may take so long until it runs commands
    backend      more options of the memory's back end: ",hugetlb=on"
    """

    def __init__(self, stack=None, devices=None, modules=(), layers=(), files=None, enable=(),
                 memory="768M", cpus=2, cpu=CPU, machine="q35", append="", arguments=(),
                 host_config=None, boot_seconds=BOOT_SECONDS, backend=""):
        self.emulator = qemu()
        self.boot_seconds = boot_seconds
        self.release = None
        self.dir = None
        self._close = contextlib.ExitStack()
        self._process = None
        self._agent = None
        self._buffer = b""
        self._number = 0
        self.stack = stack
        self.host_config = host_config
        self.devices = devices
        self.machine = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                        "-machine", f"{machine},accel=tcg,memory-backend=mem",
                        "-cpu", cpu, "-smp", str(cpus), "-m", memory,
                        "-object", f"memory-backend-memfd,id=mem,size={memory},share=on{backend}",
                        *arguments]
        # A panic ends QEMU at once, and so does what would hang. QEMU may have to wait for a CPU
        # longer than the kernel thinks one of its own can be stuck, or a timer be late.
        self.append = (f"console=ttyS0 loglevel=5 panic=-1 oops=panic no_timer_check "
                       f"rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 "
                       f"vm.modules={','.join(modules)} vm.enable={','.join(enable)} {append}")
        self.layers = layers
        self.files = files or {}

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind and issubclass(kind, Exception) and not issubclass(kind, vctest.Skip):
            self.show()
        process, self._process = self._process, None
        if process:
            _end(process)
        complaint = None if kind else self.complaint()
        closing, self._close = self._close, contextlib.ExitStack()
        closing.__exit__(kind, value, trace)
        vctest.check(not complaint, f"the guest's kernel complained:\n{complaint}")

    def _start(self):
        if self.stack is None:
            self.stack = self._close.enter_context(
                vctest.Stack(engined=False, host_config=self.host_config))
        self.dir = tempfile.mkdtemp(prefix="vcvm-", dir="/tmp")
        self._close.callback(shutil.rmtree, self.dir, ignore_errors=True)
        initramfs = os.path.join(self.dir, "initramfs.cpio")
        try:
            made = image.Image(self.layers)
        except packages.Unavailable as reason:
            raise vctest.Skip(f"no image of a guest: {reason}") from None
        made.write(initramfs, image.ours(self.files))
        self._process = self._emulate(made.kernel, initramfs)
        self._agent = self._connect("agent.sock")
        self.release = self._answer("ready", self.boot_seconds, "boot")[0]
        os.unlink(initramfs)

    def _emulate(self, kernel, initramfs):
        devices = self.devices if self.devices is not None else [stock(self.stack.device_socket)]
        command = [self.emulator, *self.machine,
                   "-kernel", kernel, "-initrd", initramfs, "-append", self.append,
                   "-serial", f"file:{self.dir}/console.log",
                   "-chardev", f"socket,id=agent,path={self.dir}/agent.sock,server=on,wait=off",
                   "-serial", "chardev:agent",
                   "-qmp", f"unix:{self.dir}/qmp.sock,server=on,wait=off",
                   *(argument for device in devices for argument in device)]
        with open(os.path.join(self.dir, "qemu.log"), "wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    preexec_fn=vctest.die_with_parent)

    def crashed(self, seconds):
        """Has a signal ended QEMU, or does one within that time?"""
        try:
            return self._process.wait(timeout=seconds) < 0
        except subprocess.TimeoutExpired:
            return False

    def _connect(self, name):
        """A connection to one of QEMU's sockets."""
        path = os.path.join(self.dir, name)
        sock = self._close.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))

        def connected():
            status = self._process.poll()
            if status is not None:
                raise GuestLost(f"QEMU ended with status {status}")
            try:
                sock.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return True

        vctest.wait_until(connected, QEMU_SECONDS, f"QEMU has {name}")
        return sock

    def _line(self, end, what):
        """The next line that the guest's agent writes, before the clock says end."""
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._agent], [], [], left)[0]:
                raise GuestLost(f"{what}: no end within its time")
            try:
                more = self._agent.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                raise GuestLost(f"{what}: the guest ended")
            self._buffer += more
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def _answer(self, key, seconds, what, output=None):
        """Words after the line that begins with key. Lines of output before it are collected."""
        end = time.monotonic() + seconds
        while True:
            line = self._line(end, what)
            if line.startswith(f"{key} "):
                return line[len(key) + 1:].split()
            prefix = f"o {self._number} "
            if output is not None and line.startswith(prefix):
                output.append(line[len(prefix):])

    def command(self, script, timeout=COMMAND_SECONDS):
        """Run a shell script in the guest: its exit status, and all that it wrote.

        Whatever it leaves in the background must not keep its output open: see spawn().
        """
        self._number += 1
        coded = base64.b64encode(script.encode()).decode()
        output = []
        try:
            self._agent.sendall(f"{self._number} {coded}\n".encode())
        except OSError:
            raise GuestLost("the guest has ended") from None
        try:
            status = self._answer(f"x {self._number}", timeout, script, output)
        except GuestLost as error:
            raise GuestLost("\n".join([str(error), *output[-20:]])) from None
        return int(status[0]), "".join(line + "\n" for line in output)

    def run(self, script, timeout=COMMAND_SECONDS):
        """The same; it must succeed. What it wrote."""
        status, output = self.command(script, timeout)
        if status == vctest.SKIPPED:
            raise vctest.Skip(output.strip() or "skipped")
        vctest.check(status == 0, f"in the guest: {script}\nended with status {status}\n"
                                  f"{output[-4000:]}")
        return output

    def spawn(self, name, command):
        """Start a program in the guest; output to /run/NAME.log, pid to /run/NAME.pid."""
        self.run(f"setsid {command} </dev/null >/run/{name}.log 2>&1 &\necho $! >/run/{name}.pid")

    def qmp(self, command, **arguments):
        """Give QEMU's monitor a command; what it returns."""
        with self._connect("qmp.sock") as sock, sock.makefile("rw", encoding="utf-8") as file:
            sock.settimeout(QEMU_SECONDS)
            json.loads(file.readline())  # its greeting
            for name, values in (("qmp_capabilities", {}), (command, arguments)):
                file.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                file.flush()
                answer = json.loads(file.readline())
                while "event" in answer:
                    answer = json.loads(file.readline())
                vctest.check("return" in answer, f"QEMU refuses {name}: {answer.get('error')}")
            return answer["return"]

    # ---- what the guest's kernel says

    def _log(self, name):
        try:
            with open(os.path.join(self.dir, name), encoding="utf-8", errors="replace") as file:
                return file.read().replace("\r", "")
        except (FileNotFoundError, TypeError):
            return ""

    def console(self):
        """All that the guest's kernel has written."""
        return self._log("console.log")

    def complaint(self):
        """The kernel's own reports of faults in it; None if there are none."""
        text = self.console()
        found = COMPLAINT.search(text)
        return text[found.start():][:2000] if found else None

    def show(self):
        """The ends of the logs, as comments of TAP."""
        for name, text in (("QEMU's log", self._log("qemu.log")), ("the console", self.console())):
            if text:
                print(f"# ---- the end of {name}")
                for line in text.splitlines()[-40:]:
                    print(f"# {line}")
        sys.stdout.flush()


def _end(process):
    process.terminate()
    try:
        process.wait(QEMU_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- what is often asked


def algorithms(guest, driver):
    """(name, driver, result of the self-test) of the algorithms of drivers that begin so."""
    found = []
    for block in guest.run("cat /proc/crypto").strip().split("\n\n"):
        entry = dict(re.split(r"\s*: ", line, maxsplit=1) for line in block.splitlines())
        if entry["driver"].startswith(driver):
            found.append((entry["name"], entry["driver"], entry["selftest"]))
    return found


def queues(stack, device=0):
    """The queues of a device of vcrypto-host, as its status has them."""
    return stack.ctl("host", "status")["devices"][device]["queues"]


def data_requests(stack, device=0):
    """Requests that the host has had on all data queues of a device."""
    return sum(queue["requests"] for queue in queues(stack, device) if queue["kind"] == "data")


def no_errors(stack, device=0):
    """The host has refused nothing, and found no queue broken."""
    for queue in queues(stack, device):
        wrong = {kind: count for kind, count in queue["errors"].items() if count}
        vctest.check(not wrong and not queue["broken"] and not queue["bad_chains"],
                     f"queue {queue['index']}: errors {wrong}, broken {queue['broken']}, "
                     f"{queue['bad_chains']} bad chains")


# ---- running tests


class _Shared:
    """The guest of all tests of a module that take one."""

    def __init__(self, options):
        self.options = options
        self.guest = None

    def run(self, function):
        if not inspect.signature(function).parameters:
            function()
            return
        if not self.guest:
            self.guest = Guest(**self.options).__enter__()
        try:
            function(self.guest)
        except GuestLost:
            self._drop(*sys.exc_info())
            raise
        except vctest.Failure:
            self.guest.show()
            raise

    def _drop(self, *error):
        guest, self.guest = self.guest, None
        guest.__exit__(*error)

    def stop(self):
        if not self.guest:
            raise vctest.Skip("no guest is left")
        self._drop(None, None, None)


def main(namespace, **options):
    """vctest.main() for modules whose tests may take a guest; options are Guest's."""
    shared = _Shared(options)
    try:
        vctest.main(namespace, run=shared.run,
                    last=("the guest and its host end well", shared.stop))
    finally:
        if shared.guest:
            shared.guest.__exit__(*sys.exc_info())
