#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Another release's QEMU, beside the system's, for the tests. Usage: qemu.py SUITE [DIRECTORY]

SUITE is Debian's: bookworm-backports, trixie, trixie-backports. The packages are downloaded and
unpacked below DIRECTORY (SUITE's name in the build's vm/), with all libraries that they need, and
nothing is installed. Writes the path of a program; give it to the tests:

    VCRYPTO_QEMU=$(tests/vm/qemu.py trixie-backports /var/tmp/qemu) make test-vm
"""

import os
import subprocess
import sys

import packages
from image import vctest

LIBRARIES = "usr/lib/x86_64-linux-gnu"

# The release's own dynamic linker and libraries: they may be newer than the system's.
WRAPPER = """\
#!/bin/sh
root={root}
export QEMU_MODULE_DIR=$root/{libraries}/qemu
exec $root/{libraries}/ld-linux-x86-64.so.2 --library-path $root/{libraries} \\
	$root/usr/bin/qemu-system-x86_64 -L $root/usr/share/qemu -L $root/usr/share/seabios \\
	-L $root/usr/lib/ipxe/qemu "$@"
"""


def unpack(paths, root):
    """All packages into one tree, in which /lib and the like are links into /usr."""
    for name in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(f"{root}/usr/{name}", exist_ok=True)
        if not os.path.lexists(f"{root}/{name}"):
            os.symlink(f"usr/{name}", f"{root}/{name}")
    for path in paths:
        # tar goes through these links; dpkg-deb's own extraction would replace them.
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path],
                              stdout=subprocess.PIPE) as source:
            subprocess.run(["tar", "-x", "--keep-directory-symlink", "--no-same-owner",
                            "-C", root, "--exclude=./usr/share/doc", "--exclude=./usr/share/man"],
                           stdin=source.stdout, check=True)
        if source.returncode:
            raise packages.Unavailable(f"dpkg-deb cannot read {path}")


def main(arguments):
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    suite = arguments[0]
    directory = os.path.abspath(arguments[1] if len(arguments) == 2
                                else os.path.join(vctest.BUILD, "vm", suite))
    root = os.path.join(directory, "root")
    wrapper = os.path.join(directory, "qemu-system-x86_64")
    if not os.access(wrapper, os.X_OK):
        base = suite.removesuffix("-backports")
        archive = packages.Archive(os.path.join(directory, "packages"), {base, suite})
        # From backports only what is asked for by name: QEMU, and what has to go with it.
        unpack(archive.fetch(["-t", suite, "qemu-system-x86"]), root)
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write(WRAPPER.format(root=root, libraries=LIBRARIES))
        os.chmod(wrapper, 0o755)
    subprocess.run([wrapper, "--version"], check=True, stdout=sys.stderr, timeout=60)
    print(wrapper)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except packages.Unavailable as reason:
        print(f"qemu: {reason}", file=sys.stderr)
        sys.exit(vctest.SKIPPED)
