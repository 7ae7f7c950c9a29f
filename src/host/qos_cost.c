/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Costs learnt from rounds: a normalised least mean squares filter over the cells of a round, each
 * of which is measured in what it contributes now. The worker's thread.
 */
#include "host/qos_cost.h"

#include <string.h>

#include "base/util.h"

/* First thoughts, soon forgotten. */
#define FIRST_NS 100u
#define FIRST_PER_KIB_NS 100u
#define MANAGED_NS 2000u
/* One round in so many counts; of a cell that is new, more. */
#define SAMPLES 16u
/* A round in which the worker had to wait for its CPU says little: no more than so many times what
 * was thought. */
#define TIMES 2.0
#define TIMES_NEW 64.0
/* Rounds of more kinds than these teach nothing. */
#define MANY 16u
/* Of both parts, in ticks * 2^16: they are scaled, so 0 would stay. */
#define LEAST UINT64_C(64)
#define MOST (UINT64_C(1) << 42)

static uint64_t scaled(const struct cost_model *model, uint64_t ns)
{
	return (ns * model->ticks_per_us << 16) / 1000;
}

static void class_begin(struct cost_model *model, unsigned int class, uint8_t company,
                        unsigned int fixed_ns)
{
	model->company[class] = company;
	for (unsigned int i = 0; i < 2 * COST_SIZES; i++) {
		struct cost_cell *cell = &model->cell[class * 2 * COST_SIZES + i];

		cell->fixed = scaled(model, fixed_ns);
		cell->per_byte = scaled(model, FIRST_PER_KIB_NS) >> 10;
	}
}

void cost_init(struct cost_model *model, uint64_t ticks_per_us)
{
	memset(model, 0, sizeof(*model));
	model->ticks_per_us = ticks_per_us;
	class_begin(model, COST_OTHERS, 1, FIRST_NS);
	class_begin(model, COST_MANAGED, 1, MANAGED_NS);
	class_begin(model, COST_REFUSED, 1, MANAGED_NS);
	model->classes = COST_KNOWN;
}

unsigned int cost_class(struct cost_model *model, const struct cost_key *key, uint8_t company,
                        unsigned int fixed_ns)
{
	for (unsigned int i = COST_KNOWN; i < model->classes; i++)
		if (!memcmp(&model->key[i], key, sizeof(*key)))
			return i;
	if (model->classes == COST_CLASSES)
		return COST_OTHERS;
	model->key[model->classes] = *key;
	class_begin(model, model->classes, company, fixed_ns ? fixed_ns : FIRST_NS);
	return model->classes++;
}

static uint64_t corrected(uint64_t part, double factor)
{
	double value = (double)part * factor;

	return value < (double)LEAST ? LEAST : value > (double)MOST ? MOST : (uint64_t)value;
}

static void learn(struct cost_model *model, uint64_t ticks)
{
	double thought = 0, squares = 0, error, times = TIMES;

	for (unsigned int i = 0; i < model->touched_count; i++) {
		const struct cost_cell *cell = &model->cell[model->touched[i]];
		double fixed = (double)cell->fixed * cell->count / 65536;
		double bytes = (double)cell->per_byte * (double)cell->bytes / 65536;

		thought += fixed + bytes;
		squares += fixed * fixed + bytes * bytes;
		if (cell->samples < SAMPLES)
			times = TIMES_NEW;
	}
	error = (vc_min((double)ticks, times * thought) - thought) / squares;
	for (unsigned int i = 0; i < model->touched_count; i++) {
		struct cost_cell *cell = &model->cell[model->touched[i]];
		double fixed = (double)cell->fixed * cell->count / 65536;
		double bytes = (double)cell->per_byte * (double)cell->bytes / 65536;
		double step;

		cell->samples += cell->samples < SAMPLES;
		step = error / cell->samples;
		cell->fixed = corrected(cell->fixed, 1 + step * fixed);
		cell->per_byte = corrected(cell->per_byte, 1 + step * bytes);
	}
}

void cost_round(struct cost_model *model, uint64_t ticks)
{
	if (ticks && model->touched_count && model->touched_count <= MANY)
		learn(model, ticks);
	for (unsigned int i = 0; i < model->touched_count; i++) {
		struct cost_cell *cell = &model->cell[model->touched[i]];

		cell->count = 0;
		cell->bytes = 0;
	}
	model->touched_count = 0;
}
