#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest with systemd, set up as docs/vm.md says: what `make install` installs, the example files,
two units enabled. The device is bound at boot and after it was unplugged."""

import os
import subprocess
import tempfile

import offload
import vm
from vm import vctest

ADDRESS = "0000:00:10.0"
BIND = f"vcrypto-bind@{ADDRESS}.service"
ENGINED = "vcrypto-engined-pci.service"


def installed(directory):
    """All that is installed, as {path in the guest: path here}."""
    subprocess.run(["meson", "install", "-C", vctest.BUILD, "--no-rebuild", "--quiet",
                    "--destdir", directory], check=True, timeout=60, stdout=subprocess.DEVNULL)
    files = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            files[os.path.relpath(path, directory)] = path
    return files


def example(files, name):
    """The content of an installed example, by the end of its path."""
    path = next(path for path in files if path.endswith(f"doc/vcrypto/examples/{name}"))
    with open(files[path], encoding="utf-8") as file:
        return file.read()


def setup(files):
    """What an administrator writes."""
    config = example(files, "engined-pci.yaml")
    vctest.contains(config, "0000:00:04.0")
    return {"etc/vcrypto/engined.yaml": config.replace("0000:00:04.0", ADDRESS).encode(),
            "etc/sysctl.d/vcrypto.conf": example(files, "sysctl.conf").encode()}


def at_address(arguments):
    """QEMU's arguments for a device, which gets its place on the bus."""
    return [*arguments[:-1], f"{arguments[-1]},addr={ADDRESS[8:10]}"]


def active(guest, unit):
    return guest.command(f"systemctl is-active --quiet {unit}")[0] == 0


def wait_up(guest):
    """Until engined has its device."""
    guest.run(f"""i=0
        until vcryptoctl --engined status --json 2>/dev/null | grep -q '"state": "up"'; do
            i=$((i + 1))
            [ $i -lt 60 ] || {{ systemctl status --no-pager -l {BIND} {ENGINED}; exit 1; }}
            sleep 0.5
        done""", timeout=120)


def sign(guest):
    """A signature through the provider; it has to be the host's."""
    before = vm.data_requests(guest.stack)
    guest.run(f"""cd /tmp
        [ -e key.pem ] || openssl genpkey -algorithm RSA -out key.pem 2>/dev/null
        OPENSSL_CONF={offload.OPENSSL_CNF} openssl dgst -sha256 -sign key.pem -out s /init
        openssl dgst -sha256 -prverify key.pem -signature s /init""", timeout=120)
    vctest.check(vm.data_requests(guest.stack) > before, "the host has not signed")


def boots_with_the_device(guest):
    # The image lacks much of what a whole system has: only units of ours must not have failed.
    guest.run("systemctl is-system-running --wait || "
              "{ systemctl --failed --no-pager --no-legend; "
              "! systemctl --failed --no-legend --plain | grep vcrypto; }", timeout=180)
    wait_up(guest)
    vctest.check(active(guest, BIND) and active(guest, ENGINED), "both units are active")
    vctest.equal(guest.run("cat /proc/sys/vm/nr_hugepages").strip(), "32", "huge pages")
    vctest.contains(guest.run("vcryptoctl list"), "uio_pci_generic")
    vctest.equal(offload.status(guest)["sandbox"], os.environ.get("VCRYPTO_SANDBOX", "full"),
                 "sandbox")
    sign(guest)


def is_bound_again_after_unplugging(guest):
    guest.run(f"systemctl stop {ENGINED}; echo 1 >/sys/bus/pci/devices/{ADDRESS}/remove")
    vctest.wait_until(lambda: not active(guest, BIND), 30, f"{BIND} ends with the device")
    guest.run("echo 1 >/sys/bus/pci/rescan")
    vctest.wait_until(lambda: active(guest, BIND), 60, f"{BIND} is started with the device")
    guest.run(f"systemctl start {ENGINED}")
    wait_up(guest)
    sign(guest)


def is_given_back(guest):
    guest.run(f"systemctl stop {ENGINED} {BIND}")
    vctest.contains(guest.run("vcryptoctl list"), "virtio-pci")
    guest.run(f"systemctl start {BIND} {ENGINED}")
    wait_up(guest)


def test_a_guest_with_systemd():
    with tempfile.TemporaryDirectory(prefix="vcvm-") as directory, \
            vctest.Stack(engined=False) as stack:
        files = installed(directory)
        with vm.Guest(stack=stack, devices=[at_address(vm.stock(stack.device_socket))],
                      layers=["systemd"], enable=[BIND, ENGINED], memory="1G", cpus=1,
                      boot_seconds=400, append="systemd.show_status=0", files={**files, **setup(files), **offload.FILES}) as guest:
            boots_with_the_device(guest)
            is_bound_again_after_unplugging(guest)
            is_given_back(guest)


vm.main(globals())
