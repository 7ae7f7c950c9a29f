#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The guest of the tests: a kernel and an initramfs, from the distribution's packages.

Layers are packed apart and put in a row, which the kernel takes for one archive:
  base   kernel modules, busybox, openssl, curl, haproxy, cryptsetup, libkcapi's tools
  dpdk   dpdk-test-crypto-perf and the drivers that it needs
  systemd  systemd, which then is the first process, udev and kmod
  ours   the programs of the build directory, and what a test wants to have there
The first two are made anew when the versions of their packages change, the last each time: that
takes about a second. All of it is kept in the build directory, below vm/.

As a program: image.py [LAYER...] makes the image and says where it is.
"""

import contextlib
import fcntl
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile

import initramfs
import packages

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../functional"))
import vctest  # noqa: E402 pylint: disable=wrong-import-position

PACKAGES = {
    "base": ["busybox-static", "openssl", "curl", "haproxy", "cryptsetup-bin", "kcapi-tools",
             "libjansson4", "libcyaml1", "libyaml-0-2", "libsystemd0", "libseccomp2",
             "libcap-ng0"],
    "dpdk": ["librte-meta-bus", "librte-meta-crypto", "librte-meta-mempool"],
    "systemd": ["systemd-sysv", "udev", "kmod", "mount", "util-linux"],
}
# Without what they depend on: headers and Python.
ALONE = {"base": [], "dpdk": ["dpdk-dev"], "systemd": []}

# What the packages above depend on, and no test does: they are for installing.
UNWANTED = re.compile(r"(adduser|debconf|dpkg|passwd|perl-base|tar|sensible-utils|lsb-base|"
                      r"perl|libperl.*|python3.*|libpython3.*|libdb5\.3|libsemanage.*|"
                      r"gcc-\d+-base)_")
# Of a package, only this is taken.
WANTED = re.compile(r"(usr/)?(s?bin|lib|lib64)/|etc/(ssl/openssl\.cnf|systemd/|udev/)")
UNWANTED_FILES = re.compile(
    r"usr/lib/x86_64-linux-gnu/(gconv|perl.*|audit)/|usr/lib/udev/hwdb\.d/|.*\.a$")

# Kernel modules: all below these, and what they depend on.
MODULES = re.compile(
    r"kernel/(crypto/|arch/x86/crypto/|lib/crypto/|drivers/(virtio/|net/virtio_net\.|"
    r"crypto/virtio/|uio/uio\.|uio/uio_pci_generic\.|vfio/|md/dm-(mod|crypt)\.|block/loop\.))")


def _merge_package(tree, path):
    for name, member, content in packages.members(path):
        if not WANTED.match(name + ("/" if member.isdir() else "")) or UNWANTED_FILES.match(name):
            continue
        if member.isdir():
            tree.directory(name)
        elif member.issym():
            tree.symlink(name, member.linkname)
        elif member.islnk():
            mode, original, _ = tree.entries[tree.merged(member.linkname)]
            tree.file(name, original, mode & 0o777)
        elif member.isreg():
            tree.file(name, content, member.mode & 0o777)


def _depends(module):
    """Modules that a module says it needs, in its section .modinfo."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name for name in found[1].decode().split(",") if name] if found else []


def _plain(name, content):
    return (name[:-3], lzma.decompress(content)) if name.endswith(".xz") else (name, content)


def _module_name(path):
    return re.sub(r"\.ko(\.xz)?$", "", os.path.basename(path)).replace("-", "_")


def _modules(path):
    """Of a kernel's package: its image, its release, and the modules wanted by their path."""
    paths = {}
    kernel = None
    release = None
    modules = {}
    needed = None
    while needed is None or needed:
        for name, _, content in packages.members(path):
            if name.startswith("boot/vmlinuz-"):
                kernel = content
                release = name[len("boot/vmlinuz-"):]
            if not re.search(r"\.ko(\.xz)?$", name):
                continue
            below = re.sub(r"^(usr/)?lib/modules/[^/]*/", "", name)
            paths[_module_name(name)] = name
            if _module_name(name) in needed if needed else MODULES.match(below):
                plain, content = _plain(name, content)
                modules[re.sub(r"^usr/", "", plain)] = content
        have = {_module_name(name) for name in modules}
        needed = {other for content in modules.values() for other in _depends(content)} - have
        needed &= set(paths)  # the rest is built into the kernel
    if not kernel:
        raise packages.Unavailable(f"no kernel in {path}")
    return kernel, release, modules


def _add_modules(tree, release, modules, busybox):
    """The modules and, by busybox's depmod, their index."""
    with tempfile.TemporaryDirectory(prefix="vcrypto-image-") as directory:
        tool = os.path.join(directory, "busybox")
        with open(tool, "wb") as file:
            file.write(busybox)
        os.chmod(tool, 0o755)
        for name, content in modules.items():
            tree.file(name, content)
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
        subprocess.run([tool, "depmod", "-b", directory, release], check=True, timeout=60)
        base = os.path.join(directory, "lib/modules", release)
        for name in ("modules.dep", "modules.alias", "modules.symbols"):
            with open(os.path.join(base, name), "rb") as file:
                tree.file(f"lib/modules/{release}/{name}", file.read())
        applets = subprocess.run([tool, "--list"], check=True, capture_output=True, text=True,
                                 timeout=60).stdout.split()
    return applets


def _base_tree(paths, kernel_path):
    """The tree of the layer base; and the kernel's image."""
    tree = initramfs.Tree()
    for path in paths:
        _merge_package(tree, path)
    kernel, release, modules = _modules(kernel_path)
    busybox = tree.entries["usr/bin/busybox"][1]
    for applet in _add_modules(tree, release, modules, busybox):
        if f"usr/bin/{applet}" not in tree and f"usr/sbin/{applet}" not in tree:
            tree.symlink(f"usr/bin/{applet}", "busybox")
    # Where the kernel looks for it.
    tree.symlink("usr/sbin/modprobe", "../bin/busybox")
    tree.usr_links()
    for name in ("proc", "sys", "dev", "run", "etc", "root", "var/lib", "mnt"):
        tree.directory(name)
    tree.directory("tmp", 0o1777)
    tree.symlink("var/run", "../run")
    tree.character_device("dev/console", 5, 1)
    tree.character_device("dev/null", 1, 3, 0o666)
    tree.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
                            "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n")
    tree.file("etc/group", "root:x:0:\nnogroup:x:65534:\n")
    tree.file("etc/hosts", "127.0.0.1 localhost\n")
    return tree, kernel


AGENT = """\
[Unit]
Description=Commands of the runner of tests
[Service]
ExecStart=/init
[Install]
WantedBy=multi-user.target
"""


def _add_system(tree):
    """What systemd needs that no package has."""
    tree.file("etc/systemd/system/agent.service", AGENT)
    # Without it each boot would be the first, and enable what is installed.
    tree.file("etc/machine-id", "00112233445566778899aabbccddeeff\n")
    tree.symlink("etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")


class Image:
    """Where kernel and archives of a guest are; made when they are not there yet."""

    def __init__(self, layers=(), cache=None):
        cache = cache or os.environ.get("VCRYPTO_VM_CACHE") or os.path.join(vctest.BUILD, "vm")
        self.directory = os.path.abspath(cache)
        self.archive = packages.Archive(os.path.join(self.directory, "packages"))
        self.kernel = os.path.join(self.directory, "vmlinuz")
        with self._alone():
            self.layers = [self._layer(name) for name in ("base", *layers)]

    @contextlib.contextmanager
    def _alone(self):
        """One process makes an image at a time; the others wait for it."""
        with open(os.path.join(self.directory, "lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _layer(self, name):
        """The path of a layer of the distribution, made anew when it is not what it should be."""
        path = os.path.join(self.directory, f"{name}.cpio")
        note = os.path.join(self.directory, f"{name}.json")
        key = self._key(name)
        try:
            with open(note, encoding="utf-8") as file:
                if json.load(file) == key and os.path.exists(path):
                    return path
        except (OSError, ValueError):
            pass
        if name == "base":
            tree, kernel = _base_tree(*self._fetch(name))
            _replace(self.kernel, kernel)
        else:
            base = {os.path.basename(file) for file in self._fetch("base")[0]}
            tree = initramfs.Tree()
            for file in self._fetch(name)[0]:
                if os.path.basename(file) not in base:
                    _merge_package(tree, file)
            if name == "systemd":
                _add_system(tree)
        _replace(path, tree.pack())
        _replace(note, json.dumps(key).encode())
        return path

    def _key(self, name):
        """What a layer is made of: this program, names, and what apt says they are now."""
        code = hashlib.sha256()
        for file in ("image.py", "initramfs.py", "packages.py"):
            with open(os.path.join(HERE, file), "rb") as source:
                code.update(source.read())
        return [name, code.hexdigest(), self.archive.state()]

    def _fetch(self, name):
        files = self.archive.fetch(PACKAGES[name])
        if ALONE[name]:
            files += self.archive.fetch(ALONE[name], depends=False)
        files = [file for file in files if not UNWANTED.match(os.path.basename(file))]
        if name != "base":
            return files, None
        return files, self.archive.fetch([self.archive.kernel()], depends=False)[0]

    def write(self, path, tree):
        """An initramfs of all layers, and of a tree on top."""
        with open(path, "wb") as target:
            for layer in self.layers:
                with open(layer, "rb") as source:
                    shutil.copyfileobj(source, target, 1 << 20)
            target.write(tree.pack())


def _replace(path, content):
    """Write a file so that another process sees the old one or the new one."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


# ---- ours


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _libraries(path):
    """Shared libraries of a program, as ldd finds them: (name, path)."""
    text = subprocess.run(["ldd", path], capture_output=True, text=True, check=False,
                          timeout=60).stdout
    return re.findall(r"(\S+) => (/\S+)", text)


def ours(files):
    """The layer of the build: our programs, and files ({path in the guest: path here or bytes}).

    A program's libraries that the distribution's layers may lack (the sanitizers', our own) come
    from where this machine has them.
    """
    tree = initramfs.Tree()
    tree.file("init", _read(os.path.join(HERE, "init")), 0o755)
    programs = {f"usr/bin/{name}": vctest.program(name)
                for name in ("vcrypto-engined", "vcryptoctl", "vcrypto-perf")}
    programs["usr/lib/x86_64-linux-gnu/ossl-modules/vcrypto.so"] = vctest.provider_module()
    for target, source in {**programs, **files}.items():
        if isinstance(source, bytes):
            tree.file(target, source, 0o755 if source.startswith(b"#!") else 0o644)
            continue
        tree.file(target, _read(source), os.stat(source).st_mode & 0o777)
        for name, path in _libraries(source):
            if name.startswith("libvcrypto") or re.match(r"lib(a|ub|t)san", name):
                tree.file(f"usr/lib/x86_64-linux-gnu/{name}", _read(path), 0o755)
    return tree


def main(arguments):
    try:
        image = Image(arguments)
    except packages.Unavailable as reason:
        print(f"image: {reason}", file=sys.stderr)
        return vctest.SKIPPED
    path = os.path.join(image.directory, "initramfs.cpio")
    image.write(path, ours({}))
    print(f"{image.kernel} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
