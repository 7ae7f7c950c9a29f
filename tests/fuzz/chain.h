/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain as vring_pop() gives it, made of an input: OUT bytes cut into pieces, IN bytes cut into
 * pieces, each piece a block of its own on the heap or right behind the one before it.
 */
#ifndef VC_FUZZ_CHAIN_H
#define VC_FUZZ_CHAIN_H

#include "host/vring.h"
#include "input.h"

#define CHAIN_PIECES 8

struct fuzz_chain {
	struct vring_chain *chain;
	uint8_t *block[2 * CHAIN_PIECES];
	unsigned int blocks;
};

/*
 * From the input: the numbers of OUT and IN pieces (u8 each, modulo CHAIN_PIECES + 1), the length
 * of each (u16; bit 15: right behind the one before), then the OUT bytes. All of it may change from
 * now on (change.h).
 */
void fuzz_chain_make(struct fuzz_chain *chain, struct input *in);
void fuzz_chain_free(struct fuzz_chain *chain);
/* Whether the bytes lie in one piece, or in several of one block. */
bool fuzz_chain_holds(const struct fuzz_chain *chain, const uint8_t *bytes, size_t n);

#endif
