# SPDX-License-Identifier: Apache-2.0
"""evp_test, OpenSSL's own test program, and its data: built from the distribution's source package,
against the libcrypto that is installed.

apt downloads and verifies, with lists and sources in the cache directory, so that the system's own
settings stay as they are. Only what is generated is made of OpenSSL itself. The source is that of
the installed version where the archive still has it, or else the newest of the same series.

VCRYPTO_SOURCE_CACHE: where that is kept (vcrypto/ in the user's cache directory).
"""

import glob
import os
import re
import shutil
import subprocess

from support import vctest

DATA = "test/recipes/30-test_evp_data"
# What Debian leaves out of its libcrypto, and evp_test would ask for.
WITHOUT = ("no-idea", "no-mdc2", "no-rc5", "no-ssl3", "no-ssl3-method")
COMPILE = ("cc", "-O1", "-w")


def _run(command, **more):
    """Standard output of a command; without success the test is skipped."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=True, timeout=900, **more).stdout
    except FileNotFoundError:
        raise vctest.Skip(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise vctest.Skip(f"{command[0]} {command[-1]}: "
                          + (error.stderr or error.stdout).strip()[-500:]) from None


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("VCRYPTO_SOURCE_CACHE") or os.path.join(base, "vcrypto")


def installed():
    """Version of the package that is installed, such as 3.0.19-1~deb12u2."""
    return _run(["dpkg-query", "-W", "-f=${Version}", "openssl"])


def series(version):
    """3.0 of 3.0.19-1~deb12u2."""
    return ".".join(version.split(":")[-1].split(".")[:2])


class Source:
    """apt with sources, in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        lists = os.path.join(directory, "lists")
        sources = os.path.join(directory, "sources.list")
        os.makedirs(os.path.join(lists, "partial"), exist_ok=True)
        places = _run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                       "Created-By: Packages", "Origin: Debian"]).splitlines()
        if not places:
            raise vctest.Skip("apt has no Debian mirror: apt-get update?")
        with open(sources, "w", encoding="ascii") as file:
            for place in sorted(set(places)):
                file.write(f"deb-src {place}\n")
        self.options = ["-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-",
                        "-o", f"Dir::State::lists={lists}", "-o", "Dir::Cache::pkgcache=",
                        "-o", "Dir::Cache::srcpkgcache=", "-o", "APT::Sandbox::User=root"]
        _run(["apt-get", *self.options, "-qq", "update"])

    def versions(self, package, wanted):
        """The wanted one, then others of its series, the newest first, of those that there are."""
        text = _run(["apt-cache", *self.options, "showsrc", "--only-source", package])
        found = [version for version in set(re.findall(r"^Version: (\S+)$", text, re.M))
                 if series(version) == series(wanted)]
        found.sort(key=lambda version: [int(number) for number in re.findall(r"\d+", version)],
                   reverse=True)
        return [wanted] * (wanted in found) + [version for version in found if version != wanted]

    def unpack(self, package, wanted):
        """Path of what upstream released, unpacked. A mirror may lack what its lists name: then the
        next one."""
        problem = f"the archive has no {package} of the series {series(wanted)}"
        for version in self.versions(package, wanted):
            place = os.path.join(self.directory, "unpack")
            shutil.rmtree(place, ignore_errors=True)
            os.mkdir(place)
            try:
                _run(["apt-get", *self.options, "-qq", "source", "--tar-only", "--download-only",
                      f"{package}={version}"], cwd=place)
                _run(["tar", "--no-same-owner", "-xf", *glob.glob(f"{place}/*.tar.?z")], cwd=place)
                return glob.glob(f"{place}/*/")[0].rstrip("/")
            except vctest.Skip as skip:
                problem = str(skip)
        raise vctest.Skip(problem)


def build(source):
    """Compile evp_test in the source directory; the archive lets it replace parts of testutil."""
    _run(["./Configure", "linux-x86_64", *WITHOUT], cwd=source)
    _run(["make", "build_generated"], cwd=source)
    _run([*COMPILE, "-c", "-Iinclude", "-Iapps/include", "-I.", "test/evp_test.c",
          *glob.glob("test/testutil/*.c", root_dir=source), "apps/lib/opt.c"], cwd=source)
    objects = [name for name in glob.glob("*.o", root_dir=source) if name != "evp_test.o"]
    _run(["ar", "rc", "libtestutil.a", *objects], cwd=source)
    _run([*COMPILE, "-o", "evp_test", "evp_test.o", "libtestutil.a", "-lcrypto"], cwd=source)


def evp_test():
    """(path of the program, directory of its data, version of the source)."""
    wanted = installed()
    place = os.path.join(cache(), f"openssl-{wanted}")
    source = os.path.join(place, "source")
    if not os.path.isdir(source):
        os.makedirs(place, exist_ok=True)
        unpacked = Source(place).unpack("openssl", wanted)
        build(unpacked)
        # Last, and at once: what is there is whole.
        os.rename(unpacked, source)
    with open(os.path.join(source, "VERSION.dat"), encoding="ascii") as file:
        version = ".".join(re.findall(r"^(?:MAJOR|MINOR|PATCH)=(\d+)$", file.read(), re.M))
    return os.path.join(source, "evp_test"), os.path.join(source, DATA), version
