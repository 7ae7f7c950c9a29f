# SPDX-License-Identifier: Apache-2.0
"""What runs in a guest that offloads: vcrypto-engined on its PCI device, programs of OpenSSL with
the provider, an HTTPS server of haproxy. For the tests and the demo.

FILES has to be given to the guest.
"""

import json

from vm import vctest

OPENSSL_CNF = "/etc/vcrypto-openssl.cnf"
ENGINED_YAML = "/run/engined.yaml"
MODULE = "/usr/lib/x86_64-linux-gnu/ossl-modules/vcrypto.so"
HTTPS_PORT = 8443
# Under emulation an operation takes long, and a program that waits for each gains nothing.
SETTINGS = "policy = always\ndeadline-ms = 20000\n"

FILES = {OPENSSL_CNF[1:]: vctest.OPENSSL_CONFIG.format(module=MODULE, dir="/run/vcrypto",
                                                       settings=SETTINGS).encode()}

HAPROXY_CFG = f"""\
global
    ssl-mode-async
    nbthread 1
    maxconn 200
    tune.ssl.cachesize 0
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend web
    bind :{HTTPS_PORT} ssl crt /run/web/both.pem no-tls-tickets
    http-request return status 200 content-type text/plain file /run/web/page
"""


def address(guest):
    """Where the guest's only virtio-crypto device is on the PCI bus."""
    found = json.loads(guest.run("vcryptoctl list --json"))
    vctest.equal(len(found), 1, "virtio-crypto devices")
    return found[0]["address"]


def spawn(guest):
    """vcrypto-engined for the device, whatever driver has it; until it answers."""
    guest.run(f"echo \"device: {{transport: pci, address: '{address(guest)}'}}\" >{ENGINED_YAML}")
    guest.spawn("engined", f"vcrypto-engined --config {ENGINED_YAML}")
    guest.run("vcryptoctl --engined --wait 20 version")


def start(guest, pages=32):
    """The same on a device that is bound, as a service would do it; until the device is up."""
    guest.run(f"echo {pages} >/proc/sys/vm/nr_hugepages; vcryptoctl bind {address(guest)}")
    spawn(guest)
    guest.run("i=0\n"
              "until vcryptoctl --engined status --json | grep -q '\"state\": \"up\"'; do\n"
              "  i=$((i + 1)); [ $i -lt 100 ] || { cat /run/engined.log; exit 1; }; sleep 0.2\n"
              "done", timeout=90)


def stop(guest, name="engined"):
    """End a program that spawn() has started, and wait for it."""
    guest.run(f"kill $(cat /run/{name}.pid); i=0\n"
              f"while kill -0 $(cat /run/{name}.pid) 2>/dev/null; do\n"
              "  i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1\ndone")


def status(guest):
    """What engined says of itself."""
    return json.loads(guest.run("vcryptoctl --engined status --json"))


def make_certificate(guest):
    """RSA-2048, and a page, for haproxy."""
    guest.run("""mkdir -p /run/web && cd /run/web && head -c 9000 /dev/urandom | base64 >page
        export OPENSSL_CONF=/etc/ssl/openssl.cnf
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \\
            -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null
        cat cert.pem key.pem >both.pem""", timeout=120)


def start_haproxy(guest, openssl_cnf=OPENSSL_CNF):
    """haproxy, serving /run/web/page with every handshake a full one."""
    guest.run(f"cat >/run/haproxy.cfg <<'END'\n{HAPROXY_CFG}END")
    guest.spawn("haproxy", f"env OPENSSL_CONF={openssl_cnf} haproxy -db -f /run/haproxy.cfg")
    guest.run(f"i=0; until nc -w 5 127.0.0.1 {HTTPS_PORT} </dev/null; do i=$((i + 1))\n"
              "  [ $i -lt 100 ] && kill -0 $(cat /run/haproxy.pid) ||\n"
              "    { cat /run/haproxy.log; exit 1; }\n"
              "  sleep 0.2\ndone")
