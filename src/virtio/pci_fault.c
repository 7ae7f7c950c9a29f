/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of PCI devices that are unplugged while they are mapped. See pci_device.h.
 *
 * When a device goes, the kernel takes its mappings away, and who touches them next gets SIGBUS. No
 * order of looking and touching avoids that. So the page is replaced by one of zeroes, in which the
 * device's status says that nobody drives it: the device is lost, and the program goes on. A signal
 * handler, in the thread that touched it; all else under the lock of registration.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "virtio/pci_device.h"

#define WINDOWS_MAX 256
#define PAGE 4096u

/* size 0: free. Changed under the lock, read by the handler at any time. */
static struct {
	_Atomic uintptr_t start;
	atomic_size_t size;
} window[WINDOWS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;

static bool is_register(uintptr_t address)
{
	for (unsigned int i = 0; i < WINDOWS_MAX; i++) {
		/* Acquire: partner of the release in pci_fault_guard(), so that start is there. */
		size_t size = atomic_load_explicit(&window[i].size, memory_order_acquire);

		if (address - atomic_load_explicit(&window[i].start, memory_order_relaxed) < size)
			return true;
	}
	return false;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	int error = errno;
	uintptr_t page = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);

	/* Not ours, or no page to be had: as it would have been without us, at the next try. */
	if (!is_register((uintptr_t)info->si_addr) ||
	    mmap((void *)page, PAGE, // NOLINT(performance-no-int-to-ptr)
	         PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	         0) == MAP_FAILED)
		(void)sigaction(SIGBUS, &before, NULL);
	errno = error;
}

/* Again for each device: the program may have set a handler meanwhile, to which we go back. */
static void handler_set(void)
{
	struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction old;

	sigfillset(&ours.sa_mask);
	if (sigaction(SIGBUS, &ours, &old) == 0 &&
	    (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != on_fault))
		before = old;
}

int pci_fault_guard(const void *start, size_t size)
{
	int err = -ENOSPC;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < WINDOWS_MAX && err; i++) {
		if (atomic_load_explicit(&window[i].size, memory_order_relaxed))
			continue;
		atomic_store_explicit(&window[i].start, (uintptr_t)start, memory_order_relaxed);
		atomic_store_explicit(&window[i].size, size, memory_order_release);
		handler_set();
		err = 0;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

void pci_fault_unguard(const void *start)
{
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < WINDOWS_MAX; i++)
		if (atomic_load_explicit(&window[i].start, memory_order_relaxed) ==
		    (uintptr_t)start)
			atomic_store_explicit(&window[i].size, 0, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
}
