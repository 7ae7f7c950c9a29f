/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests cost a worker, in ticks of its time, learnt from how long its rounds take.
 *
 * Requests of one class (algorithm, direction, key, group) and of about one size share a cell: so
 * much for each request, so much for each byte. After a round the cells that took part in it are
 * put right by a little, those with the greater part in it by more. Rounds of light devices, whose
 * requests have no company in the lanes of a multi-buffer library, have cells of their own.
 *
 * One worker's own; no clock is read here. Constant work for each request.
 */
#ifndef VC_HOST_QOS_COST_H
#define VC_HOST_QOS_COST_H

#include <stdbool.h>
#include <stdint.h>

#define COST_CLASSES 64u
#define COST_SIZES 8u
#define COST_CELLS (COST_CLASSES * COST_SIZES * 2u)
/* Classes that are always there. */
#define COST_OTHERS 0u  /* when there are no more classes */
#define COST_MANAGED 1u /* sessions made and destroyed */
#define COST_REFUSED 2u /* chains that are no request */
#define COST_KNOWN 3u   /* so many */

/* What tells classes apart; compared as bytes. */
struct cost_key {
	uint8_t byte[16];
};

/* Both in ticks * 2^16. */
struct cost_cell {
	uint64_t fixed, per_byte;
	uint32_t count;   /* in this round */
	uint32_t samples; /* rounds that it has learnt from, as far as that matters */
	uint64_t bytes;
};

struct cost_model {
	struct cost_key key[COST_CLASSES];
	uint8_t company[COST_CLASSES]; /* requests that the class likes to have side by side */
	uint8_t classes;
	unsigned int touched_count;
	uint16_t touched[COST_CELLS];
	uint64_t ticks_per_us;
	struct cost_cell cell[COST_CELLS];
};

void cost_init(struct cost_model *model, uint64_t ticks_per_us);

/* The class of a key, made if need be; what it is thought to cost at first (ns). Worth keeping: a
 * search. */
unsigned int cost_class(struct cost_model *model, const struct cost_key *key, uint8_t company,
                        unsigned int fixed_ns);

static inline unsigned int cost_size(uint32_t length)
{
	unsigned int bits = 31u - (unsigned int)__builtin_clz(length | 32u);
	unsigned int size = (bits - 4u) / 2u;

	return size < COST_SIZES ? size : COST_SIZES - 1u;
}

/* One request of this round. What it is thought to cost, in ticks; never 0. */
static inline int64_t cost_take(struct cost_model *model, unsigned int class, bool light,
                                uint32_t length)
{
	unsigned int at = (class * 2u + light) * COST_SIZES + cost_size(length);
	struct cost_cell *cell = &model->cell[at];

	if (!cell->count++)
		model->touched[model->touched_count++] = (uint16_t)at;
	cell->bytes += length;
	return (int64_t)((cell->fixed + cell->per_byte * length) >> 16) + 1;
}

/* The round is over and took so long; 0: nobody knows, nothing is learnt. */
void cost_round(struct cost_model *model, uint64_t ticks);

#endif
