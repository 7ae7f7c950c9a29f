/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012). Any thread. With a secret key, a stranger who fills a
 * table cannot make its entries collide.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/secmem.h"
#include "base/util.h"

static inline uint64_t rotate(uint64_t v, unsigned int bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void rounds(uint64_t v[4], unsigned int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

uint64_t siphash24(const uint8_t key[16], const void *data, size_t size)
{
	const uint8_t *p = data;
	uint64_t last = (uint64_t)size << 56;
	uint64_t k[2];
	uint64_t v[4];
	uint64_t word;

	memcpy(k, key, sizeof(k)); /* x86: little-endian, as the algorithm wants it */
	v[0] = k[0] ^ 0x736f6d6570736575u;
	v[1] = k[1] ^ 0x646f72616e646f6du;
	v[2] = k[0] ^ 0x6c7967656e657261u;
	v[3] = k[1] ^ 0x7465646279746573u;
	for (; size >= sizeof(word); size -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		v[3] ^= word;
		rounds(v, 2);
		v[0] ^= word;
	}
	for (size_t i = 0; i < size; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static pthread_once_t key_made = PTHREAD_ONCE_INIT;
static uint8_t hash_key[16];

static void make_key(void)
{
	ssize_t n;

	do
		n = getrandom(hash_key, sizeof(hash_key), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(hash_key)) {
		uint64_t weak[2] = {clock_ticks(), clock_now_ns() ^ (uintptr_t)&weak};

		log_warning("no random numbers from the kernel: tables hash with a weak key");
		memcpy(hash_key, weak, sizeof(hash_key));
	}
}

uint64_t keyed_hash(const void *data, size_t size)
{
	pthread_once(&key_made, make_key);
	return siphash24(hash_key, data, size);
}
