#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A virtual machine whose OpenSSL programs offload to the host, with the QEMU that is installed.

Starts vcrypto-host, boots a guest made of the distribution's packages (emulated: no KVM is needed,
and no speed is shown), binds its virtio-crypto device, runs vcrypto-engined and haproxy in it, and
reads HTTPS from here, through QEMU's user networking. Ends with what each side has counted; the
exit status is 1 when a signature was not made on the host. Everything that was started is stopped,
and every file removed but the image of the guest, which is kept in the build directory.
"""
import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
import time

import demo

sys.path.insert(0, str(demo.ROOT / "tests" / "vm"))

FETCHES = 10
FILE_BYTES = 1 << 20
ENC = f"-aes-256-cbc -K {demo.KEY} -iv {demo.IV}"


class Machine:
    """The guest and what it is asked to do; a row of the table for each piece of work."""

    HEAD = ("work in the guest", "guest: offloaded", "in software", "host: ipsec-mb", "libcrypto")

    def __init__(self, guest, offload, port, directory):
        self.guest = guest
        self.offload = offload
        self.port = port
        self.dir = directory
        self.rows = []
        self.missing = []

    def counters(self):
        """As in HEAD."""
        totals = self.offload.status(self.guest)["totals"]
        done = {resource["type"]: resource["completed"] - resource["failed"]
                for resource in self.guest.stack.ctl("host", "status")["resources"]}
        return (sum(totals["offloaded"].values()), sum(totals["fallback"].values()),
                done["ipsec-mb"], done["libcrypto"])

    @contextlib.contextmanager
    def counted(self, work, least, column):
        """What the work inside adds to the counters; to one of them at least so much."""
        before = self.counters()
        yield
        new = [now - then for now, then in zip(self.counters(), before)]
        self.rows.append((work, *(f"{count:,}" for count in new)))
        if min(new[0], new[column]) < least:
            self.missing.append(work)

    def network(self):
        self.guest.run("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0")

    def serve(self):
        self.offload.start_haproxy(self.guest)
        for name in ("cert.pem", "page"):
            (self.dir / name).write_text(self.guest.run(f"cat /run/web/{name}"), "utf-8")

    def fetch(self, version):
        """The page, FETCHES times, each over a new connection: a handshake with a signature."""
        page = (self.dir / "page").read_text("utf-8")
        with self.counted(f"haproxy: {FETCHES} handshakes, TLS {version}", FETCHES, 3):
            for _ in range(FETCHES):
                got = demo.run(
                    ["curl", "-sS", "--fail", "--cacert", str(self.dir / "cert.pem"),
                     f"--tlsv{version}", "--tls-max", version, "--noproxy", "*",
                     "--resolve", f"localhost:{self.port}:127.0.0.1",
                     f"https://localhost:{self.port}/"], self.guest.stack.env, "curl")
                if got != page:
                    raise demo.DemoError("the page is not what the guest has")

    def encrypt(self):
        script = f"""cd /tmp; head -c {FILE_BYTES} /dev/urandom >plain
            OPENSSL_CONF={self.offload.OPENSSL_CNF} openssl enc {ENC} -in plain -out sealed
            OPENSSL_CONF=/dev/null openssl enc -d {ENC} -in sealed | cmp - plain"""
        with self.counted("openssl enc: 1 MiB of AES-256-CBC", 100, 2):
            self.guest.run(script, timeout=120)

    def sign(self):
        script = f"""cd /run/web
            OPENSSL_CONF={self.offload.OPENSSL_CNF} openssl dgst -sha256 -sign key.pem -out s page
            OPENSSL_CONF=/dev/null openssl dgst -sha256 -prverify key.pem -signature s page"""
        with self.counted("openssl dgst -sign: RSA-2048", 1, 3):
            self.guest.run(script)


def run_demo(vctest):
    import image  # pylint: disable=import-outside-toplevel
    import offload  # pylint: disable=import-outside-toplevel
    import packages  # pylint: disable=import-outside-toplevel
    import vm  # pylint: disable=import-outside-toplevel

    progress = demo.Progress()
    version = ".".join(map(str, vm.qemu_version()))
    print(f"vcrypto: a virtual machine with QEMU {version}, offloading to its host\n")
    port = demo.free_ports(1)[0]
    network = ["-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:{offload.HTTPS_PORT}",
               "-device", "virtio-net-pci,netdev=net0,romfile="]
    with contextlib.ExitStack() as exits:
        directory = pathlib.Path(exits.enter_context(
            tempfile.TemporaryDirectory(prefix="vcrypto-demo-", dir="/var/tmp")))
        with progress.step("a guest of Debian's packages: downloaded the first time, then kept"):
            try:
                image.Image()
            except packages.Unavailable as reason:
                raise demo.DemoError(f"no image of a guest: {reason}") from None
        with progress.step("vcrypto-host starts"):
            stack = exits.enter_context(
                vctest.Stack(engined=False, host_config=demo.HOST_CONFIG))
        with progress.step("the guest boots; QEMU's cryptodev-vhost-user at vcrypto-host's socket"):
            guest = exits.enter_context(vm.Guest(stack=stack, files=offload.FILES,
                                                 modules=["virtio_net"], arguments=network))
        machine = Machine(guest, offload, port, directory)
        with progress.step("guest: vcryptoctl bind, vcrypto-engined on the PCI device"):
            machine.network()
            offload.start(guest)
        with progress.step("guest: RSA-2048 certificate, haproxy with ssl-mode-async"):
            offload.make_certificate(guest)
            machine.serve()
        for tls in ("1.2", "1.3"):
            with progress.step(f"here: curl reads https://localhost:{port}/ of the guest, "
                               f"{FETCHES} times, TLS {tls}"):
                machine.fetch(tls)
        with progress.step("guest: openssl enc, opened again by OpenSSL alone"):
            machine.encrypt()
        with progress.step("guest: openssl dgst -sign, verified by OpenSSL alone"):
            machine.sign()
        demo.show_table([machine.HEAD, *machine.rows])
        queue = next(queue for queue in vm.queues(stack) if queue["kind"] == "data")
        vm.no_errors(stack)
    print(f"""
  The guest's Linux is {guest.release}; nothing in it or in QEMU is patched. Data queue, as the
  host counts it: {queue['requests']:,} requests, {queue['kicks']:,} kicks, {queue['calls']:,} \
interrupts, no errors.
  {time.monotonic() - progress.start:.0f} s. docs/vm.md says how to set up a guest of your own.""")
    if machine.missing:
        raise demo.DemoError(f"not offloaded: {'; '.join(machine.missing)}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="a virtual machine that offloads to its host")
    parser.add_argument("--build", default="build", help="build directory")
    vctest = demo.harness(parser.parse_args().build)
    os.environ.pop("OPENSSL_CONF", None)
    return demo.show(lambda: run_demo(vctest), vctest)


if __name__ == "__main__":
    sys.exit(main())
