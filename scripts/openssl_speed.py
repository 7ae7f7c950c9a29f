# SPDX-License-Identifier: Apache-2.0
"""Reads what `openssl speed` prints, of OpenSSL 3.0 and later."""
import re


class Unexpected(Exception):
    """The output is not what this reads."""

    def __init__(self, text):
        super().__init__(f"openssl speed says something else than expected:\n{text[-1000:]}")


def signs_per_second(text):
    """Of `openssl speed rsa2048`. The column's place differs by version."""
    heads = re.search(r"^ +sign +verify .*$", text, re.M)
    values = re.search(r"^rsa +2048 bits +(.*)$", text, re.M)
    if not heads or not values:
        raise Unexpected(text)
    return float(values[1].split()[heads[0].split().index("sign/s")])


def bytes_per_second(text, cipher="aes-128-cbc"):
    """Of `openssl speed -evp CIPHER -bytes N`."""
    values = re.search(rf"^{re.escape(cipher)} +([\d.]+)k", text, re.M | re.I)
    if not values:
        raise Unexpected(text)
    return float(values[1]) * 1000
