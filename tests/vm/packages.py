# SPDX-License-Identifier: Apache-2.0
"""Packages of the distribution, downloaded and read, never installed.

apt resolves, downloads and verifies, with the sources that the system has configured and an empty
list of what is installed; dpkg-deb unpacks. No maintainer script runs, nothing needs root, and
nothing is written outside the directory that the caller names.
"""

import hashlib
import os
import re
import subprocess
import tarfile

LISTS = "/var/lib/apt/lists"


class Unavailable(Exception):
    """There is no apt here, or it has no such package; str() is a sentence."""


def _command(arguments, **more):
    try:
        return subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=True, timeout=600, **more).stdout
    except FileNotFoundError:
        raise Unavailable(f"no {arguments[0]}: not a Debian system") from None
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(arguments[-4:])}: {error.stderr.strip()[-500:]}") from None


KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror():
    """Where this system's own release comes from."""
    text = _command(["apt-get", "indextargets", "--format", "$(SITE) $(REPO_URI)",
                     "Created-By: Packages", "Label: Debian"])
    if not text:
        raise Unavailable("apt has no Debian mirror: apt-get update?")
    return text.split()[1]


class Archive:
    """A directory for downloads, and what apt knows.

    suites: of Debian, in place of those that the system has configured ("trixie"); from the mirror
    that the system uses.
    """

    def __init__(self, directory, suites=()):
        self.directory = directory
        for name in ("partial", "none/partial"):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        status = os.path.join(directory, "status")
        with open(status, "w", encoding="ascii"):
            pass
        self.apt = ["apt-get", "-qq", "-y",
                    "-o", f"Dir::State::status={status}",
                    "-o", f"Dir::Cache::archives={directory}",
                    "-o", "APT::Install-Recommends=false",
                    "-o", "APT::Sandbox::User=root",
                    "-o", "Debug::NoLocking=true"]
        if suites:
            self._other_sources(suites)

    def _other_sources(self, suites):
        sources = os.path.join(self.directory, "sources.list")
        lists = os.path.join(self.directory, "lists")
        os.makedirs(os.path.join(lists, "partial"), exist_ok=True)
        uri = mirror()
        with open(sources, "w", encoding="ascii") as file:
            for suite in suites:
                file.write(f"deb [signed-by={KEYRING}] {uri} {suite} main\n")
        self.apt += ["-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-",
                     "-o", f"Dir::State::lists={lists}", "-o", "Dir::Cache::pkgcache=",
                     "-o", "Dir::Cache::srcpkgcache="]
        _command([*self.apt, "update"])

    @staticmethod
    def state():
        """Changes when apt's lists do: what was resolved before then need not be resolved again."""
        try:
            entries = sorted((entry.name, entry.stat().st_mtime_ns)
                             for entry in os.scandir(LISTS) if entry.is_file())
        except OSError:
            entries = []
        return hashlib.sha256(repr(entries).encode()).hexdigest()

    def kernel(self):
        """Name of the package of the distribution's current kernel."""
        text = _command(["apt-cache", "depends", "linux-image-amd64"])
        found = re.search(r"Depends: (linux-image-[0-9]\S+)", text)
        if not found:
            raise Unavailable("apt knows no linux-image-amd64: apt-get update?")
        return found[1]

    def names(self, pattern):
        """Names of packages that match a regular expression as a whole."""
        return sorted(name for name in _command(["apt-cache", "pkgnames"]).split()
                      if re.fullmatch(pattern, name))

    def fetch(self, names, depends=True):
        """Download packages, with all they depend on or alone; the paths of the files, in order."""
        verb = ["install", "--download-only"] if depends else ["download"]
        # What is there already would not be listed.
        listed = _command([*self.apt, "-o", f"Dir::Cache::archives={self.directory}/none",
                           verb[0], "--print-uris", *names])
        files = [line.split()[1] for line in listed.splitlines() if line.startswith("'")]
        paths = [os.path.join(self.directory, file) for file in sorted(files)]
        if not all(os.path.exists(path) for path in paths):
            _command([*self.apt, *verb, *names], cwd=self.directory)
        missing = [path for path in paths if not os.path.exists(path)]
        if missing:
            raise Unavailable(f"apt did not download {os.path.basename(missing[0])}")
        return paths


def members(path):
    """What is in a package: (path without the leading "./", tarfile.TarInfo, bytes or None)."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as unpack:
        with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member).read() if member.isreg() else None
                yield os.path.normpath(member.name), member, content
    if unpack.returncode:
        raise Unavailable(f"dpkg-deb cannot read {path}")
