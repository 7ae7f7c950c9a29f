#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the manual name every public function of libvcrypto, and no other?

check_man.py HEADER MANUAL LIBRARY: what the header declares, what vcrypto(3) has in its synopsis
and its description, and what the library exports must be the same.
"""

import re
import subprocess
import sys


def declared(header):
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    return set(re.findall(r"\b(vcrypto_\w+)\(", text))


def documented(part):
    return set(re.findall(r"\*(vcrypto_\w+)\*\(", part))


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                            capture_output=True).stdout
    names = [line.split()[-1] for line in output.splitlines()]
    return {name.split("@")[0] for name in names if not name.startswith("LIBVCRYPTO_")}


def main():
    header_path, manual_path, library = sys.argv[1:]
    with open(header_path, encoding="utf-8") as file:
        header = declared(file.read())
    with open(manual_path, encoding="utf-8") as file:
        synopsis, description = file.read().split("# DESCRIPTION", 1)
    wrong = False
    for what, names in (("exported", exported(library)),
                        ("in the synopsis of vcrypto(3)", documented(synopsis)),
                        ("in the description of vcrypto(3)", documented(description))):
        for name in sorted(header - names):
            print(f"{name} is declared and not {what}")
            wrong = True
        for name in sorted(names - header):
            print(f"{name} is {what} and not declared")
            wrong = True
    if not header:
        print("the header declares nothing")
        wrong = True
    sys.exit(1 if wrong else 0)


main()
