#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest whose memory is huge pages of this machine. As root: they are reserved for the test, and
the number is put back."""

import contextlib
import os

import offload
import vm
from vm import vctest

PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB"
GUEST_MIB = 512


def number(name):
    with open(f"{PAGES}/{name}", encoding="ascii") as file:
        return int(file.read())


@contextlib.contextmanager
def reserved(count):
    """So many free huge pages, besides those that there are."""
    before = number("nr_hugepages")
    try:
        with open(f"{PAGES}/nr_hugepages", "w", encoding="ascii") as file:
            file.write(str(before + count))
        if number("free_hugepages") < count:
            raise vctest.Skip(f"{count} huge pages cannot be had")
        yield
    finally:
        with open(f"{PAGES}/nr_hugepages", "w", encoding="ascii") as file:
            file.write(str(before))


def test_guest_memory_may_be_huge_pages():
    if not os.access(f"{PAGES}/nr_hugepages", os.W_OK):
        raise vctest.Skip("reserving huge pages is for root")
    with reserved(GUEST_MIB // 2), \
            vm.Guest(files=offload.FILES, memory=f"{GUEST_MIB}M",
                     boot_seconds=300, backend=",hugetlb=on,hugetlbsize=2M") as guest:
        offload.start(guest, pages=24)
        before = vm.data_requests(guest.stack)
        guest.run(f"""cd /tmp; head -c 65536 /dev/urandom >data
            key="-aes-128-cbc -K 00112233445566778899aabbccddeeff"
            iv="-iv 000102030405060708090a0b0c0d0e0f"
            OPENSSL_CONF={offload.OPENSSL_CNF} openssl enc $key $iv -in data -out sealed
            openssl enc -d $key $iv -in sealed | cmp - data""")
        vctest.check(vm.data_requests(guest.stack) - before >= 16, "the host has done nothing")
        vm.no_errors(guest.stack)


vm.main(globals())
