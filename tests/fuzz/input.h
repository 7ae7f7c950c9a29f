/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a fuzzer's input as numbers and pieces. Beyond its end there are zeros, so that a target
 * needs no case of its own for inputs that are too short.
 */
#ifndef VC_FUZZ_INPUT_H
#define VC_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"

struct input {
	const uint8_t *at;
	size_t left;
};

/* Copy the next n bytes; returns how many there were, the rest is zero. */
static inline size_t input_bytes(struct input *in, void *to, size_t n)
{
	size_t have = vc_min(n, in->left);

	if (have)
		memcpy(to, in->at, have);
	memset((uint8_t *)to + have, 0, n - have);
	in->at += have;
	in->left -= have;
	return have;
}

static inline uint8_t input_u8(struct input *in)
{
	uint8_t value;

	input_bytes(in, &value, sizeof(value));
	return value;
}

static inline uint16_t input_u16(struct input *in)
{
	uint16_t value;

	input_bytes(in, &value, sizeof(value));
	return value;
}

static inline uint32_t input_u32(struct input *in)
{
	uint32_t value;

	input_bytes(in, &value, sizeof(value));
	return value;
}

static inline uint64_t input_u64(struct input *in)
{
	uint64_t value;

	input_bytes(in, &value, sizeof(value));
	return value;
}

#endif
