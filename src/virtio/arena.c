/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator for memory that the device can reach. See memory.h. Caller holds the device's lock.
 *
 * Up to 2 KiB: slabs of four pages, one size each. Above: runs of pages, first fit from where the
 * last search ended, joined with their neighbours when freed. All bookkeeping is private.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/secmem.h"
#include "virtio/memory.h"

#define ARENA_PAGE 4096u
/* With the length of a run, in the words of its first and last page; other words are 0. */
#define ARENA_USED 0x80000000u
#define ARENA_LAST 0x40000000u
#define ARENA_LENGTH 0x3fffffffu
#define SLAB_PAGES 4u
#define SLAB_BYTES ((size_t)SLAB_PAGES * ARENA_PAGE)
#define SLAB_SMALLEST 64u
#define SLAB_LARGEST (SLAB_SMALLEST << (ARENA_CLASSES - 1))
#define SLAB_WORDS (SLAB_PAGES * ARENA_PAGE / SLAB_SMALLEST / 64)

struct arena_slab {
	struct arena_slab *next, *previous; /* of those with room, in its class */
	uint32_t page;                      /* its first */
	uint16_t class;
	uint16_t used;
	uint64_t free[SLAB_WORDS]; /* bit set: object is free */
};

static size_t class_size(unsigned int class)
{
	return (size_t)SLAB_SMALLEST << class;
}

static unsigned int class_objects(unsigned int class)
{
	return (unsigned int)(SLAB_BYTES / class_size(class));
}

static void run_set(struct arena *arena, uint32_t page, uint32_t length, uint32_t flag)
{
	arena->run[page + length - 1] = length | flag | ARENA_LAST;
	arena->run[page] = length | flag;
}

int arena_init(struct arena *arena, void *base, size_t size)
{
	if (size / ARENA_PAGE > ARENA_LENGTH)
		return -EINVAL;
	*arena = (struct arena){.base = base, .pages = (uint32_t)(size / ARENA_PAGE)};
	/* One more, so that the page after the last one can be asked for. */
	arena->run = calloc((size_t)arena->pages + 1, sizeof(*arena->run));
	arena->slab = calloc((size_t)arena->pages + 1, sizeof(struct arena_slab *));
	if (!arena->run || !arena->slab || !arena->pages) {
		arena_fini(arena);
		return -ENOMEM;
	}
	run_set(arena, 0, arena->pages, 0);
	arena->run[arena->pages] = ARENA_USED;
	return 0;
}

void arena_fini(struct arena *arena)
{
	/* All pages of a slab name it: past them, once it is freed. */
	for (uint32_t p = 0; arena->slab && p < arena->pages; p++) {
		if (arena->slab[p]) {
			free(arena->slab[p]);
			p += SLAB_PAGES - 1;
		}
	}
	free(arena->slab);
	free(arena->run);
	*arena = (struct arena){0};
}

/* The first page of a run of that length, or arena->pages. */
static uint32_t run_alloc(struct arena *arena, uint32_t length)
{
	uint32_t page = arena->next < arena->pages ? arena->next : 0, seen = 0;

	while (seen < arena->pages) {
		uint32_t run = arena->run[page] & ARENA_LENGTH;

		if (!(arena->run[page] & ARENA_USED) && run >= length) {
			run_set(arena, page, length, ARENA_USED);
			if (run > length)
				run_set(arena, page + length, run - length, 0);
			arena->next = page + length;
			return page;
		}
		seen += run;
		page += run;
		if (page >= arena->pages)
			page = 0;
	}
	return arena->pages;
}

static void run_free(struct arena *arena, uint32_t page)
{
	uint32_t length = arena->run[page] & ARENA_LENGTH;
	uint32_t after = page + length;

	uint32_t before = page ? arena->run[page - 1] : ARENA_USED;

	/* Words of pages inside a run are 0: arena_free() tells by them what is no start. */
	arena->run[page] = arena->run[after - 1] = 0;
	if (!(arena->run[after] & ARENA_USED)) {
		length += arena->run[after] & ARENA_LENGTH;
		arena->run[after] = 0;
	}
	if (!(before & ARENA_USED)) {
		arena->run[page - 1] = 0;
		length += before & ARENA_LENGTH;
		page -= before & ARENA_LENGTH;
	}
	run_set(arena, page, length, 0);
	/* Never start a search inside a run. */
	arena->next = page;
}

static struct arena_slab *slab_new(struct arena *arena, unsigned int class)
{
	struct arena_slab *slab = calloc(1, sizeof(*slab));
	uint32_t page;

	if (!slab)
		return NULL;
	page = run_alloc(arena, SLAB_PAGES);
	if (page == arena->pages) {
		free(slab);
		return NULL;
	}
	slab->page = page;
	slab->class = (uint16_t) class;
	for (unsigned int i = 0; i < class_objects(class); i++)
		slab->free[i / 64] |= 1ull << i % 64;
	for (unsigned int i = 0; i < SLAB_PAGES; i++)
		arena->slab[page + i] = slab;
	arena->partial[class] = slab;
	return slab;
}

static void slab_unlink(struct arena *arena, struct arena_slab *slab)
{
	if (slab->previous)
		slab->previous->next = slab->next;
	else
		arena->partial[slab->class] = slab->next;
	if (slab->next)
		slab->next->previous = slab->previous;
	slab->next = slab->previous = NULL;
}

static void slab_link(struct arena *arena, struct arena_slab *slab)
{
	slab->next = arena->partial[slab->class];
	if (slab->next)
		slab->next->previous = slab;
	arena->partial[slab->class] = slab;
}

static void *slab_alloc(struct arena *arena, unsigned int class)
{
	struct arena_slab *slab = arena->partial[class];
	unsigned int word = 0, bit;

	if (!slab)
		slab = slab_new(arena, class);
	if (!slab)
		return NULL;
	while (!slab->free[word])
		word++;
	bit = (unsigned int)__builtin_ctzll(slab->free[word]);
	slab->free[word] &= ~(1ull << bit);
	if (++slab->used == class_objects(class))
		slab_unlink(arena, slab);
	return arena->base + (size_t)slab->page * ARENA_PAGE +
	       (word * 64 + bit) * class_size(class);
}

static int slab_free(struct arena *arena, struct arena_slab *slab, uint8_t *memory)
{
	size_t size = class_size(slab->class);
	size_t offset = (size_t)(memory - arena->base) - (size_t)slab->page * ARENA_PAGE;
	unsigned int i = (unsigned int)(offset / size);

	if (offset % size || slab->free[i / 64] & 1ull << i % 64)
		return -EINVAL;
	secmem_wipe(memory, size);
	slab->free[i / 64] |= 1ull << i % 64;
	if (slab->used-- == class_objects(slab->class))
		slab_link(arena, slab);
	if (!slab->used) {
		slab_unlink(arena, slab);
		for (unsigned int p = 0; p < SLAB_PAGES; p++)
			arena->slab[slab->page + p] = NULL;
		run_free(arena, slab->page);
		free(slab);
	}
	return 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	unsigned int class = 0;
	size_t pages;
	uint32_t page;

	if (!size)
		return NULL;
	if (size <= SLAB_LARGEST) {
		while (class_size(class) < size)
			class ++;
		return slab_alloc(arena, class);
	}
	pages = size / ARENA_PAGE + !!(size % ARENA_PAGE);
	if (pages > arena->pages)
		return NULL;
	page = run_alloc(arena, (uint32_t)pages);
	return page == arena->pages ? NULL : arena->base + (size_t)page * ARENA_PAGE;
}

int arena_free(struct arena *arena, void *memory)
{
	size_t offset = (size_t)((uint8_t *)memory - arena->base);
	uint32_t page = (uint32_t)(offset / ARENA_PAGE), length;

	if (offset / ARENA_PAGE >= arena->pages)
		return -EINVAL;
	if (arena->slab[page])
		return slab_free(arena, arena->slab[page], memory);
	length = arena->run[page] & ARENA_LENGTH;
	if (offset % ARENA_PAGE || arena->run[page] != (length | ARENA_USED))
		return -EINVAL;
	secmem_wipe(memory, (size_t)length * ARENA_PAGE);
	run_free(arena, page);
	return 0;
}
