/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for a device that sees physical addresses: huge pages, which the kernel neither swaps nor
 * moves about while it compacts memory. (It does move pages of 4 KiB, locked or not: these cannot
 * be used.) Any thread, when a device is opened; wants CAP_SYS_ADMIN for the addresses.
 *
 * The longest run of pages that are neighbours is mapped at its physical address, so that an
 * address of ours is the device's: nothing is translated on the data path. That far down, nothing
 * else is mapped in a position-independent program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio/pci_device.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_SHIFT 21
#define SMALL_PAGE 4096u
#define FREE_PAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
/* Documentation/admin-guide/mm/pagemap.rst. */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FRAME ((1ull << 55) - 1)

/* One huge page: its physical address, and where it is in the file. */
struct page {
	uint64_t physical;
	size_t offset;
};

struct pages {
	int fd, pagemap;
	uint8_t *base; /* all of them, in the order of the file */
	size_t count;
	struct page *page; /* sorted by address */
	size_t first, run; /* the run that is used */
};

static size_t free_pages(void)
{
	FILE *file = fopen(FREE_PAGES, "re");
	char text[32] = "";

	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = '\0';
		fclose(file);
	}
	return strtoul(text, NULL, 10);
}

/* 0: unknown. */
static uint64_t physical_address(int pagemap, const void *address)
{
	uint64_t entry;
	off_t at = (off_t)((uintptr_t)address / SMALL_PAGE * sizeof(entry));

	if (pread(pagemap, &entry, sizeof(entry), at) != sizeof(entry) ||
	    !(entry & PAGEMAP_PRESENT))
		return 0;
	return (entry & PAGEMAP_FRAME) * SMALL_PAGE;
}

static int page_compare(const void *a, const void *b)
{
	const struct page *x = a, *y = b;

	return x->physical < y->physical ? -1 : x->physical > y->physical;
}

static void pages_free(struct pages *pages)
{
	if (pages->base)
		munmap(pages->base, pages->count << HUGE_SHIFT);
	pages->base = NULL;
	if (pages->fd >= 0)
		close(pages->fd);
	pages->fd = -1;
	free(pages->page);
	pages->page = NULL;
}

static int pages_take(struct pages *pages, size_t count)
{
	void *base;

	pages->count = count;
	pages->page = calloc(count, sizeof(*pages->page));
	if (!pages->page)
		return -ENOMEM;
	pages->fd = memfd_create("vcrypto", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB |
	                                            (HUGE_SHIFT << MAP_HUGE_SHIFT));
	if (pages->fd < 0 || ftruncate(pages->fd, (off_t)(count << HUGE_SHIFT)) < 0)
		return -errno;
	base = mmap(NULL, count << HUGE_SHIFT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
	            pages->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	pages->base = base;
	for (size_t i = 0; i < count; i++) {
		pages->page[i].offset = i << HUGE_SHIFT;
		/* Populated, unless it could not be: then this says so, and not a SIGBUS. */
		pages->page[i].physical =
			physical_address(pages->pagemap, pages->base + pages->page[i].offset);
		if (!pages->page[i].physical)
			return -EPERM;
	}
	qsort(pages->page, count, sizeof(*pages->page), page_compare);
	return 0;
}

/* The longest run, but no longer than want. */
static void run_find(struct pages *pages, size_t want)
{
	size_t first = 0;

	pages->run = 0;
	for (size_t i = 0; i < pages->count && pages->run < want; i++) {
		if (i && pages->page[i].physical != pages->page[i - 1].physical + HUGE_PAGE)
			first = i;
		if (i - first + 1 > pages->run) {
			pages->first = first;
			pages->run = i - first + 1;
		}
	}
}

/* Take more and more of what is free until the run is long enough. */
static int run_take(struct pages *pages, size_t want)
{
	size_t available = free_pages(), count = vc_min(want, available);
	int err;

	if (!count)
		return -ENOMEM;
	for (;;) {
		err = pages_take(pages, count);
		if (err)
			return err;
		run_find(pages, want);
		if (pages->run >= want || count == available)
			return 0;
		pages_free(pages);
		count = vc_min(2 * count, available);
	}
}

static int page_map(const struct pages *pages, const struct page *page)
{
	void *where = (void *)(uintptr_t)page->physical; // NOLINT(performance-no-int-to-ptr)
	const void *got = mmap(where, HUGE_PAGE, PROT_READ | PROT_WRITE,
	                       MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, pages->fd,
	                       (off_t)page->offset);

	if (got == MAP_FAILED)
		return -errno;
	if (got == where && physical_address(pages->pagemap, got) == page->physical)
		return 0;
	munmap((void *)(uintptr_t)got, HUGE_PAGE); // NOLINT(performance-no-int-to-ptr)
	return -EEXIST;
}

/* Map the run where it is, and give back what is not in it. */
static int run_map(struct pages *pages, struct shared_region *region)
{
	uint64_t start = pages->page[pages->first].physical;
	uint8_t *base = (uint8_t *)(uintptr_t)start; // NOLINT(performance-no-int-to-ptr)
	int err = 0;

	for (size_t i = 0; i < pages->run && !err; i++) {
		err = page_map(pages, &pages->page[pages->first + i]);
		if (err && i)
			munmap(base, i << HUGE_SHIFT);
	}
	if (err)
		return err;
	munmap(pages->base, pages->count << HUGE_SHIFT);
	pages->base = NULL;
	for (size_t i = 0; i < pages->count; i++)
		if (i < pages->first || i >= pages->first + pages->run)
			(void)fallocate(pages->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			                (off_t)pages->page[i].offset, (off_t)HUGE_PAGE);
	/* Fork must not leave the device with a copy: the mapping is shared, so it does not. */
	(void)madvise(base, pages->run << HUGE_SHIFT, MADV_DONTDUMP);
	*region = (struct shared_region){
		.base = base, .size = pages->run << HUGE_SHIFT, .fd = pages->fd, .huge = true};
	pages->fd = -1;
	return 0;
}

static void explain(int err, size_t min, const struct pages *pages, struct transport_error *error)
{
	size_t mib = vc_round_up(min, HUGE_PAGE) >> 20;

	if (err == -EPERM)
		transport_error_set(error, "physical addresses are for root (CAP_SYS_ADMIN) only");
	else if (err == -EEXIST)
		transport_error_set(error, "the addresses of its memory are in use in this "
		                           "process; is it built position-independent?");
	else if (err == -ENOMEM && pages->run)
		transport_error_set(error,
		                    "of the free huge pages no %zu MiB lie together, only %zu: "
		                    "reserve them early (sysctl vm.nr_hugepages at boot)",
		                    mib, pages->run << HUGE_SHIFT >> 20);
	else if (err == -ENOMEM)
		transport_error_set(error,
		                    "%zu MiB of huge pages are needed and not free: set "
		                    "vm.nr_hugepages",
		                    mib);
	else
		transport_error_set(error, "huge pages: %s", strerror(-err));
}

int pci_hugepages_create(size_t min, size_t want, struct shared_region *region,
                         struct transport_error *error)
{
	struct pages pages = {.fd = -1};
	int err;

	pages.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	err = pages.pagemap < 0 ? -errno
	                        : run_take(&pages, vc_round_up(want, HUGE_PAGE) >> HUGE_SHIFT);
	if (!err && pages.run << HUGE_SHIFT < min)
		err = -ENOMEM;
	if (!err)
		err = run_map(&pages, region);
	if (err)
		explain(err, min, &pages, error);
	pages_free(&pages);
	if (pages.pagemap >= 0)
		close(pages.pagemap);
	return err;
}
