/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See chain.h.
 */
#include "chain.h"

#include <stdlib.h>

#include "change.h"
#include "fuzz.h"

#define BEHIND 0x8000u
#define MAX_PIECE 0x1fffu

struct piece {
	uint32_t len;
	bool behind;
};

static unsigned int pieces_read(struct input *in, struct piece *pieces, unsigned int n)
{
	unsigned int used = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint16_t value = input_u16(in);

		/* vring_pop() leaves out what is empty. */
		if (!(value & MAX_PIECE))
			continue;
		pieces[used].len = value & MAX_PIECE;
		pieces[used].behind = used && value & BEHIND;
		used++;
	}
	return used;
}

/* Place the pieces, those that belong together in one block. Returns the bytes of all. */
static uint32_t pieces_place(struct fuzz_chain *c, const struct piece *pieces, unsigned int n,
                             struct vring_segment *segment)
{
	uint32_t total = 0;

	for (unsigned int i = 0; i < n;) {
		unsigned int end = i + 1;
		size_t size = pieces[i].len;
		uint8_t *block;

		while (end < n && pieces[end].behind)
			size += pieces[end++].len;
		block = calloc(1, size);
		fuzz_check(block);
		c->block[c->blocks++] = block;
		change_memory(block, size);
		for (; i < end; i++) {
			segment[i] = (struct vring_segment){block, pieces[i].len};
			block += pieces[i].len;
			total += pieces[i].len;
		}
	}
	return total;
}

void fuzz_chain_make(struct fuzz_chain *c, struct input *in)
{
	struct piece out[CHAIN_PIECES], back[CHAIN_PIECES];
	unsigned int n_out = input_u8(in) % (CHAIN_PIECES + 1);
	unsigned int n_in = input_u8(in) % (CHAIN_PIECES + 1);

	n_out = pieces_read(in, out, n_out);
	n_in = pieces_read(in, back, n_in);
	c->blocks = 0;
	/* As long as it needs to be, so that reading beyond it is seen. */
	c->chain = malloc(offsetof(struct vring_chain, segment) +
	                  (n_out + n_in) * sizeof(struct vring_segment));
	fuzz_check(c->chain);
	c->chain->head = 7;
	c->chain->out = (uint16_t)n_out;
	c->chain->in = (uint16_t)n_in;
	c->chain->out_len = pieces_place(c, out, n_out, c->chain->segment);
	c->chain->in_len = pieces_place(c, back, n_in, c->chain->segment + n_out);
	for (unsigned int i = 0; i < n_out; i++)
		input_bytes(in, c->chain->segment[i].base, c->chain->segment[i].len);
}

void fuzz_chain_free(struct fuzz_chain *c)
{
	for (unsigned int i = 0; i < c->blocks; i++)
		free(c->block[i]);
	free(c->chain);
}

bool fuzz_chain_holds(const struct fuzz_chain *c, const uint8_t *bytes, size_t n)
{
	const struct vring_chain *chain = c->chain;

	for (unsigned int i = 0; i < (unsigned int)chain->out + chain->in; i++) {
		const struct vring_segment *s = &chain->segment[i];
		size_t offset = (size_t)(bytes - s->base);

		/* What is behind it in the same block AddressSanitizer knows. */
		if (offset < s->len)
			return true;
	}
	return false;
}
