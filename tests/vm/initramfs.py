# SPDX-License-Identifier: Apache-2.0
"""A file tree in memory, and the kernel's initramfs format (cpio "newc") made of it.

The same tree gives the same bytes: names are sorted, times and owners are 0. Device nodes and
owners need no root, because nothing is unpacked to disk.
"""

import os
import stat

# Debian has these as symbolic links into /usr; packages of Debian 12 still name both.
MERGED = ("bin", "sbin", "lib", "lib64", "lib32")


class Tree:
    """Files by their path, without a leading slash."""

    def __init__(self):
        self.entries = {}  # path: (mode, content, (major, minor))

    def _put(self, path, mode, content=b"", device=(0, 0)):
        path = self.merged(path)
        if path == ".":
            return
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self._put(parent, stat.S_IFDIR | 0o755)
        self.entries[path] = (mode, content, device)

    @staticmethod
    def merged(path):
        path = os.path.normpath(path.lstrip("/"))
        return f"usr/{path}" if path.split("/")[0] in MERGED else path

    def directory(self, path, mode=0o755):
        if not self.merged(path) in self.entries:
            self._put(path, stat.S_IFDIR | mode)

    def file(self, path, content, mode=0o644):
        if isinstance(content, str):
            content = content.encode()
        self._put(path, stat.S_IFREG | mode, content)

    def symlink(self, path, target):
        self._put(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path, major, minor, mode=0o600):
        self._put(path, stat.S_IFCHR | mode, b"", (major, minor))

    def usr_links(self):
        """/bin and the like, as links into /usr."""
        for name in MERGED:
            self.directory(f"usr/{name}")
            self.entries[name] = (stat.S_IFLNK | 0o777, f"usr/{name}".encode(), (0, 0))

    def __contains__(self, path):
        return self.merged(path) in self.entries

    def pack(self):
        """The tree as an uncompressed cpio archive; several of them in a row are one too."""
        parts = []
        for number, path in enumerate(sorted(self.entries), 1):
            mode, content, device = self.entries[path]
            _append(parts, path, number, mode, content, device)
        _append(parts, "TRAILER!!!", 0, 0, b"", (0, 0))
        archive = b"".join(parts)
        return archive + bytes(-len(archive) % 512)


def _append(parts, path, number, mode, content, device):
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    parts += [header, bytes(-len(header) % 4), content, bytes(-len(content) % 4)]
