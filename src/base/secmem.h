/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for keys: locked (as far as RLIMIT_MEMLOCK lets us; said once in the log when not), out of
 * core dumps, wiped when freed. Any thread. Also keyed hashing and constant-time comparison.
 */
#ifndef VC_BASE_SECMEM_H
#define VC_BASE_SECMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, aligned to 64 bytes. NULL without memory. Pooled: cheap for small sizes. */
void *secmem_alloc(size_t size);
void secmem_free(void *memory); /* NULL is allowed */

/* Not optimised away. */
void secmem_wipe(void *memory, size_t size);
/* Time depends on size only. */
bool secmem_equal(const void *a, const void *b, size_t size);

/* SipHash-2-4 with a key made by getrandom() at first use: for tables that strangers fill. */
uint64_t keyed_hash(const void *data, size_t size);
/* The same with a key given, for known answers. */
uint64_t siphash24(const uint8_t key[16], const void *data, size_t size);

#endif
