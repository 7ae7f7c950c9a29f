/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fault_heap.h.
 */
#include "host/resource/fault_heap.h"

static bool before(const struct fault_entry *a, const struct fault_entry *b)
{
	return a->due != b->due ? a->due < b->due : a->number < b->number;
}

void fault_heap_add(struct fault_heap *heap, const struct fault_entry *entry)
{
	unsigned int at = heap->count++;

	for (; at && before(entry, &heap->entry[(at - 1) / 2]); at = (at - 1) / 2)
		heap->entry[at] = heap->entry[(at - 1) / 2];
	heap->entry[at] = *entry;
}

struct fault_entry fault_heap_take(struct fault_heap *heap)
{
	struct fault_entry first = heap->entry[0];
	struct fault_entry moved = heap->entry[--heap->count];
	unsigned int at = 0, child;

	while ((child = 2 * at + 1) < heap->count) {
		if (child + 1 < heap->count && before(&heap->entry[child + 1], &heap->entry[child]))
			child++;
		if (!before(&heap->entry[child], &moved))
			break;
		heap->entry[at] = heap->entry[child];
		at = child;
	}
	heap->entry[at] = moved;
	return first;
}
