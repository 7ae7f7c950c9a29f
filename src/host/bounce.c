/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounce buffers by powers of two, cut from one mapping that is touched only as it is used. One
 * thread (the worker that owns the pool). Holds guests' data: kept out of core dumps.
 */
#include "host/bounce.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/secmem.h"
#include "host/request.h"

#define SHIFT_MIN 11 /* 2 KiB */
#define SHIFT_MAX 30
#define CLASSES (SHIFT_MAX - SHIFT_MIN + 1)

/* Beside the data of the largest request: our header, the segments of its destination, padding
 * and what asymmetric requests need beyond their data. */
#define OVERHEAD (sizeof(struct bounce) + VRING_MAX_SEGMENTS * sizeof(struct vring_segment) + 4096)

struct bounce_class {
	size_t size; /* of each, with its header */
	struct bounce *free;
	uint8_t *fresh, *end; /* never used yet */
};

struct bounce_pool {
	unsigned int classes;
	uint8_t *memory;
	size_t length;
	struct bounce_class class[CLASSES];
};

static size_t class_size(unsigned int class)
{
	return (size_t)1 << (SHIFT_MIN + class);
}

struct bounce_pool *bounce_pool_new(uint32_t max_size, size_t total)
{
	struct bounce_pool *pool = calloc(1, sizeof(*pool));
	size_t share;

	if (!pool)
		return NULL;
	pool->classes = 1;
	while (class_size(pool->classes - 1) < max_size + OVERHEAD) {
		if (pool->classes == CLASSES)
			goto fail;
		pool->classes++;
	}
	/* Each size the same share, and at least one buffer of the largest. */
	share = total / pool->classes;
	share = vc_max(share - share % 4096, class_size(pool->classes - 1));
	pool->length = share * pool->classes;
	pool->memory = mmap(NULL, pool->length, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->memory == MAP_FAILED)
		goto fail;
	madvise(pool->memory, pool->length, MADV_DONTDUMP);
	for (unsigned int i = 0; i < pool->classes; i++) {
		pool->class[i].size = class_size(i);
		pool->class[i].fresh = pool->memory + i * share;
		pool->class[i].end = pool->class[i].fresh + share;
	}
	return pool;
fail:
	free(pool);
	return NULL;
}

void bounce_pool_free(struct bounce_pool *pool)
{
	if (!pool)
		return;
	munmap(pool->memory, pool->length);
	free(pool);
}

void bounce_pool_memory(const struct bounce_pool *pool, void **base, size_t *length)
{
	*base = pool->memory;
	*length = pool->length;
}

uint32_t bounce_pool_limit(const struct bounce_pool *pool)
{
	return (uint32_t)(pool->class[pool->classes - 1].size - sizeof(struct bounce));
}

static struct bounce *class_take(struct bounce_class *class)
{
	struct bounce *bounce = class->free;

	if (bounce) {
		class->free = bounce->next;
	} else {
		if ((size_t)(class->end - class->fresh) < class->size)
			return NULL;
		bounce = (struct bounce *)class->fresh;
		class->fresh += class->size;
	}
	bounce->room = (uint32_t)(class->size - sizeof(*bounce));
	bounce->secret = false;
	bounce->used = 0;
	bounce->segments = 0;
	bounce->tag_at = 0;
	bounce->dst_room = 0;
	return bounce;
}

struct bounce *bounce_get(struct bounce_pool *pool, uint64_t size)
{
	if (size > bounce_pool_limit(pool))
		return NULL;
	/* The smallest that is large enough, or a larger one. */
	for (unsigned int i = 0; i < pool->classes; i++) {
		struct bounce *bounce = NULL;

		if (size + sizeof(*bounce) <= pool->class[i].size)
			bounce = class_take(&pool->class[i]);
		if (bounce) {
			bounce->class = (uint8_t)i;
			return bounce;
		}
	}
	return NULL;
}

void bounce_put(struct bounce_pool *pool, struct bounce *bounce)
{
	struct bounce_class *class = &pool->class[bounce->class];

	if (bounce->secret)
		secmem_wipe(bounce->space, bounce->used);
	bounce->next = class->free;
	class->free = bounce;
}
