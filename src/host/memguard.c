/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SIGBUS guard. Mappings are kept in a fixed array of atomics, which a signal handler may read
 * at any moment and in any thread; nothing in it is allocated or locked.
 */
#include "host/memguard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As many mappings as a process may have (vm.max_map_count, by default), so that a front end with
 * all the regions that it may have takes nobody else's. Only what is used is touched. */
#define MAX_GUARDS 65536

struct memguard {
	/* 0: free; 1: being filled; else the first address. */
	atomic_uintptr_t base;
	atomic_size_t length;
	atomic_bool broken;
};

#define GUARD_FREE ((uintptr_t)0)
#define GUARD_BUSY ((uintptr_t)1)

static struct memguard guards[MAX_GUARDS];
/* Slots ever used: how far the handler has to look. */
static atomic_uint guards_high;
static atomic_bool any_broken;

/* Zero pages over the whole mapping, not only where the hole is: on hugetlbfs a part of a page
 * cannot be replaced, and the device is lost anyhow. */
static bool guard_patch(struct memguard *guard, uintptr_t base, size_t length)
{
	/* The system call itself: mmap() may be wrapped, and is not on the list of what a handler
	 * may call. */
	if (syscall(SYS_mmap, base, length, PROT_READ | PROT_WRITE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == -1)
		return false;
	/* Release: who sees the flag (memguard_broken) knows that the mapping is replaced. */
	atomic_store_explicit(&guard->broken, true, memory_order_release);
	atomic_store_explicit(&any_broken, true, memory_order_release);
	return true;
}

static bool guard_fault(uintptr_t address)
{
	unsigned int high = atomic_load_explicit(&guards_high, memory_order_acquire);

	for (unsigned int i = 0; i < high; i++) {
		/* Acquire: the length belongs to this base (memguard_add). */
		uintptr_t base = atomic_load_explicit(&guards[i].base, memory_order_acquire);
		size_t length = atomic_load_explicit(&guards[i].length, memory_order_relaxed);

		if (base != GUARD_FREE && base != GUARD_BUSY && address - base < length)
			return guard_patch(&guards[i], base, length);
	}
	return false;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	/* Codes above 0 come from the kernel, for an access of this thread. */
	if (info->si_code > 0 && guard_fault((uintptr_t)info->si_addr)) {
		errno = saved;
		return;
	}
	/* Not ours. The access is made again and kills us; a signal that was sent is sent again. */
	signal(number, SIG_DFL);
	if (info->si_code <= 0)
		raise(number);
	errno = saved;
}

int memguard_install(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_sigbus;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

struct memguard *memguard_add(void *base, size_t length)
{
	for (unsigned int i = 0; i < MAX_GUARDS; i++) {
		struct memguard *guard = &guards[i];
		uintptr_t expected = GUARD_FREE;

		if (atomic_load_explicit(&guard->base, memory_order_relaxed) != GUARD_FREE)
			continue;
		if (!atomic_compare_exchange_strong_explicit(&guard->base, &expected, GUARD_BUSY,
		                                             memory_order_acquire,
		                                             memory_order_relaxed))
			continue;
		atomic_store_explicit(&guard->length, length, memory_order_relaxed);
		atomic_store_explicit(&guard->broken, false, memory_order_relaxed);
		/* Release: pairs with the handler's acquire. */
		atomic_store_explicit(&guard->base, (uintptr_t)base, memory_order_release);
		unsigned int high = atomic_load_explicit(&guards_high, memory_order_relaxed);

		while (high < i + 1 && !atomic_compare_exchange_weak_explicit(
					       &guards_high, &high, i + 1, memory_order_release,
					       memory_order_relaxed))
			;
		return guard;
	}
	return NULL;
}

void memguard_remove(struct memguard *guard)
{
	if (guard)
		atomic_store_explicit(&guard->base, GUARD_FREE, memory_order_release);
}

bool memguard_broken(const struct memguard *guard)
{
	/* Acquire: pairs with guard_patch(). */
	return atomic_load_explicit(&guard->broken, memory_order_acquire);
}

bool memguard_any_broken(void)
{
	return atomic_load_explicit(&any_broken, memory_order_relaxed);
}
