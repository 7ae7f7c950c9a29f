/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See keys.h.
 */
#include "keys.h"

#include <string.h>

/* Tag and length; returns what follows. */
static uint8_t *element(uint8_t *at, uint8_t tag, size_t len)
{
	*at++ = tag;
	if (len >= 0x100) {
		*at++ = 0x82;
		*at++ = (uint8_t)(len >> 8);
	} else if (len >= 0x80) {
		*at++ = 0x81;
	}
	*at++ = (uint8_t)len;
	return at;
}

/* An odd number of so many bytes whose first bit is not set. */
static uint8_t *number(uint8_t *at, size_t len)
{
	at = element(at, 2, len);
	memset(at, 0x55, len);
	return at + len;
}

static size_t key(uint8_t *der, unsigned int bits, int private)
{
	uint8_t body[FUZZ_KEY_MAX], *at = body, *to;
	size_t n = bits / 8, len;

	if (private) {
		at = element(at, 2, 1);
		*at++ = 0;
	}
	at = element(at, 2, n + 1);
	*at++ = 0;
	memset(at, 0xd5, n);
	at = number(at + n, 3);
	if (private) {
		at = number(at, n);
		for (int i = 0; i < 5; i++)
			at = number(at, n / 2);
	}
	len = (size_t)(at - body);
	to = element(der, 0x30, len);
	memcpy(to, body, len);
	return (size_t)(to + len - der);
}

size_t fuzz_rsa_public(uint8_t *der, unsigned int bits)
{
	return key(der, bits, 0);
}

size_t fuzz_rsa_private(uint8_t *der, unsigned int bits)
{
	return key(der, bits, 1);
}

size_t fuzz_ec_public(uint8_t *point, unsigned int bytes)
{
	point[0] = 4;
	memset(point + 1, 0x55, 2 * (size_t)bytes);
	return 1 + 2 * (size_t)bytes;
}

size_t fuzz_ec_private(uint8_t *der, unsigned int bytes)
{
	uint8_t *at = element(der, 0x30, 3 + 2 + (size_t)bytes);

	at = element(at, 2, 1);
	*at++ = 1;
	at = element(at, 4, bytes);
	memset(at, 0x55, bytes);
	return (size_t)(at + bytes - der);
}
