/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of guests with an IOMMU: Linux takes their pages from anywhere and puts them together by
 * addresses of the IOMMU. Here they are put together by mappings of our own. Main thread.
 */
#include "host/ring_window.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct ring_window {
	struct memmap *map;
	uint8_t *host; /* of the first page */
	uint64_t addr;
	uint64_t page; /* bytes */
	unsigned int count;
	uint8_t *source[]; /* where each page is in the view */
};

static uint8_t *page_find(const struct ring_window *window, const struct memtable *view,
                          unsigned int n)
{
	const struct memregion *hint = NULL;

	return memtable_translate(view, &hint,
	                          (window->addr & ~(window->page - 1)) + n * window->page,
	                          (uint32_t)window->page);
}

int ring_window_new(const struct memtable *view, uint64_t addr, uint64_t len,
                    struct ring_window **result)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), offset = addr & (page - 1);
	unsigned int count = (unsigned int)((offset + len + page - 1) / page);
	struct ring_window *window = calloc(1, sizeof(*window) + count * sizeof(window->source[0]));
	int rc = 0;

	if (!window)
		return -ENOMEM;
	window->addr = addr;
	window->page = page;
	window->count = count;
	for (unsigned int i = 0; i < count && !rc; i++) {
		window->source[i] = page_find(window, view, i);
		rc = window->source[i] ? 0 : -EFAULT;
	}
	if (!rc)
		rc = memmap_gather(window->source, count, &window->map, &window->host);
	if (rc < 0) {
		free(window);
		return rc;
	}
	*result = window;
	return 0;
}

void ring_window_free(struct ring_window *window)
{
	if (!window)
		return;
	memmap_put(window->map);
	free(window);
}

void *ring_window_at(const struct ring_window *window)
{
	return window->host + (window->addr & (window->page - 1));
}

bool ring_window_holds(const struct ring_window *window, const struct memtable *view)
{
	for (unsigned int i = 0; i < window->count; i++)
		if (page_find(window, view, i) != window->source[i])
			return false;
	return true;
}
