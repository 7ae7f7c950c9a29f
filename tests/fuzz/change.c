/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See change.h. This file itself is not compiled with calls at loads.
 */
#include "change.h"

#include <stdbool.h>

struct piece {
	uint8_t *base;
	size_t size;
};

struct change {
	uint8_t after; /* loads since the change before: any load, or one from the memory */
	uint8_t kind;  /* bit 0: to what was just read */
	uint16_t offset;
	uint8_t mask;
};

static struct piece pieces[CHANGE_PIECES];
static unsigned int piece_count;
static size_t total;
static struct change changes[CHANGES_MAX];
static unsigned int change_count, next_change, loads;
static uint8_t *just_read;
static size_t just_size;

void __sanitizer_cov_load1(uint8_t *address);
void __sanitizer_cov_load2(uint16_t *address);
void __sanitizer_cov_load4(uint32_t *address);
void __sanitizer_cov_load8(uint64_t *address);
void __sanitizer_cov_load16(void *address);

void change_memory(uint8_t *base, size_t size)
{
	if (!size || piece_count == CHANGE_PIECES)
		return;
	pieces[piece_count++] = (struct piece){base, size};
	total += size;
}

void changes_begin(struct input *in)
{
	change_count = input_u8(in) % (CHANGES_MAX + 1);
	for (unsigned int i = 0; i < change_count; i++) {
		changes[i].after = input_u8(in);
		changes[i].kind = input_u8(in);
		changes[i].offset = input_u16(in);
		changes[i].mask = input_u8(in);
	}
	next_change = 0;
	loads = 0;
	just_read = NULL;
}

void change_forget(void)
{
	piece_count = 0;
	total = 0;
	just_read = NULL;
}

void changes_end(void)
{
	change_count = 0;
	next_change = 0;
	change_forget();
}

static bool is_shared(const uint8_t *address)
{
	for (unsigned int i = 0; i < piece_count; i++)
		if ((size_t)(address - pieces[i].base) < pieces[i].size)
			return true;
	return false;
}

static uint8_t *byte_at(size_t offset)
{
	for (unsigned int i = 0; i < piece_count; i++) {
		if (offset < pieces[i].size)
			return pieces[i].base + offset;
		offset -= pieces[i].size;
	}
	return NULL;
}

/* Before a load. */
static void tick(uint8_t *address, size_t size)
{
	const struct change *change = &changes[next_change];
	uint8_t *byte = NULL;

	if (next_change == change_count)
		return;
	if (change->kind & 1) {
		if (just_read && loads++ >= change->after)
			byte = just_read + change->offset % just_size;
	} else if (loads++ >= change->after) {
		byte = total ? byte_at(change->offset % total) : NULL;
	}
	if (byte) {
		*byte ^= change->mask;
		next_change++;
		loads = 0;
	}
	just_read = is_shared(address) && is_shared(address + size - 1) ? address : NULL;
	just_size = size;
}

void __sanitizer_cov_load1(uint8_t *address)
{
	tick(address, 1);
}

void __sanitizer_cov_load2(uint16_t *address)
{
	tick((uint8_t *)address, 2);
}

void __sanitizer_cov_load4(uint32_t *address)
{
	tick((uint8_t *)address, 4);
}

void __sanitizer_cov_load8(uint64_t *address)
{
	tick((uint8_t *)address, 8);
}

void __sanitizer_cov_load16(void *address)
{
	tick(address, 16);
}
