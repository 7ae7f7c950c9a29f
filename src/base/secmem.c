/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for keys: a pool of blocks, each a mapping aligned to its size's power of two, locked and
 * left out of core dumps. Small sizes share a block with others of their class; big ones have a
 * block of their own. The block's header is found by rounding a pointer down. Any thread; a mutex,
 * as this is never on a data path.
 *
 * Not MADV_WIPEONFORK: a server that loads its key and then forks workers needs it in them. But a
 * child does not inherit locks on memory, so it takes them again.
 */
#include "base/secmem.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/util.h"

#define BLOCK_SIZE 16384u
#define CLASS_SHIFT 6u /* the smallest piece: 64 bytes */
#define CLASSES 6u     /* ... the largest: 2048 */
#define CLASS_BIG CLASSES
#define BLOCK_MAGIC 0x6d656d63u

struct piece {
	struct piece *next;
};

struct block {
	vc_cache_aligned uint32_t magic;
	uint32_t tier; /* class of size: pieces of 64 << tier bytes, or CLASS_BIG */
	size_t mapped;
	struct block *prev, *next; /* of the list that it is in */
	struct piece *free;
	uint32_t used;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t forks_handled = PTHREAD_ONCE_INIT;
/* The blocks of each class: with room first, and those without. */
static struct block *with_room[CLASSES + 1];
static struct block *full[CLASSES + 1];
static bool said; /* that some memory could not be locked */

void secmem_wipe(void *memory, size_t size)
{
	explicit_bzero(memory, size);
}

bool secmem_equal(const void *a, const void *b, size_t size)
{
	const volatile uint8_t *x = a;
	const volatile uint8_t *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < size; i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

/* ONFAULT: a page is locked as soon as it holds anything, and untouched ones cost nothing. */
static int block_lock(const struct block *block)
{
	return mlock2(block, block->mapped, MLOCK_ONFAULT);
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* No log line here: the C library's locks may be held by a thread that the child has not. */
static void fork_child(void)
{
	for (unsigned int tier = 0; tier <= CLASS_BIG; tier++) {
		for (struct block *block = with_room[tier]; block; block = block->next)
			(void)block_lock(block);
		for (struct block *block = full[tier]; block; block = block->next)
			(void)block_lock(block);
	}
	pthread_mutex_unlock(&lock);
}

static void handle_forks(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void list_add(struct block **list, struct block *block)
{
	block->prev = NULL;
	block->next = *list;
	if (block->next)
		block->next->prev = block;
	*list = block;
}

static void list_remove(struct block **list, struct block *block)
{
	if (block->prev)
		block->prev->next = block->next;
	else
		*list = block->next;
	if (block->next)
		block->next->prev = block->prev;
}

static struct block *block_map(uint32_t tier, size_t mapped)
{
	uint8_t *raw = mmap(NULL, mapped + BLOCK_SIZE, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct block *block;
	size_t before;

	if (raw == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)raw & (BLOCK_SIZE - 1);
	block = (struct block *)(raw + before);
	if (before)
		munmap(raw, before);
	munmap(raw + before + mapped, BLOCK_SIZE - before);
	madvise(block, mapped, MADV_DONTDUMP);
	*block = (struct block){.magic = BLOCK_MAGIC, .tier = tier, .mapped = mapped};
	if (block_lock(block) < 0 && !said) {
		said = true;
		log_warning("keys may be swapped out: cannot lock memory: %m (see ulimit -l)");
	}
	return block;
}

/* A new block, cut into pieces. */
static struct block *block_make(uint32_t tier)
{
	size_t size = (size_t)1 << (CLASS_SHIFT + tier);
	struct block *block = block_map(tier, BLOCK_SIZE);
	uint8_t *end;

	if (!block)
		return NULL;
	end = (uint8_t *)block + BLOCK_SIZE;
	for (uint8_t *at = (uint8_t *)(block + 1); at + size <= end; at += size) {
		struct piece *piece = (struct piece *)at;

		piece->next = block->free;
		block->free = piece;
	}
	list_add(&with_room[tier], block);
	return block;
}

static void *piece_take(uint32_t tier)
{
	struct block *block = with_room[tier] ? with_room[tier] : block_make(tier);
	struct piece *piece;

	if (!block)
		return NULL;
	piece = block->free;
	block->free = piece->next;
	block->used++;
	if (!block->free) {
		list_remove(&with_room[tier], block);
		list_add(&full[tier], block);
	}
	piece->next = NULL;
	return piece;
}

static void piece_give(struct block *block, struct piece *piece)
{
	struct block **list = &with_room[block->tier];

	if (!block->free) {
		list_remove(&full[block->tier], block);
		list_add(list, block);
	}
	piece->next = block->free;
	block->free = piece;
	/* Keep one block of the class, so that a lone session that comes and goes is cheap. */
	if (!--block->used && (block->prev || block->next)) {
		list_remove(list, block);
		munmap(block, block->mapped);
	}
}

void *secmem_alloc(size_t size)
{
	struct block *block;
	uint32_t tier = 0;
	void *memory;

	if (size > SIZE_MAX / 2)
		return NULL;
	pthread_once(&forks_handled, handle_forks);
	while (tier < CLASS_BIG && size > (size_t)1 << (CLASS_SHIFT + tier))
		tier++;
	pthread_mutex_lock(&lock);
	if (tier < CLASS_BIG) {
		memory = piece_take(tier);
	} else {
		block = block_map(tier, vc_round_up(sizeof(*block) + size, 4096));
		if (block)
			list_add(&full[tier], block);
		memory = block ? block + 1 : NULL;
	}
	pthread_mutex_unlock(&lock);
	return memory;
}

void secmem_free(void *memory)
{
	struct block *block = (struct block *)((uintptr_t)memory & ~(uintptr_t)(BLOCK_SIZE - 1));

	if (!memory)
		return;
	/* Not ours, or its header overwritten: go no further with keys in hand. */
	if (block->magic != BLOCK_MAGIC)
		__builtin_trap();
	secmem_wipe(memory, block->tier < CLASS_BIG ? (size_t)1 << (CLASS_SHIFT + block->tier)
	                                            : block->mapped - sizeof(*block));
	pthread_mutex_lock(&lock);
	if (block->tier < CLASS_BIG) {
		piece_give(block, memory);
	} else {
		list_remove(&full[CLASS_BIG], block);
		munmap(block, block->mapped);
	}
	pthread_mutex_unlock(&lock);
}
