/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order layer: of one queue whose device is strict, completions leave in the order in which the
 * requests arrived, whatever the resources do.
 *
 * One thread (the worker that has the queue). Pure bookkeeping: no ring, no request, no memory of a
 * guest; a slow request holds up its own queue only. Memory is bounded by the queue's size, because
 * no more chains than that can be in flight (vring_pop() sees to it).
 */
#ifndef VC_HOST_ORDER_H
#define VC_HOST_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

/* What is to be given back. */
struct order_entry {
	uint32_t head;    /* vring_push() knows what it means */
	uint32_t written; /* bytes */
	uint32_t room;    /* bytes of the chain's IN segments */
	bool done;
};

struct order {
	uint32_t first,
		next; /* tickets: the oldest in flight, the next to be given out; run freely */
	uint32_t mask;
	struct order_entry entry[];
};

/* For so many in flight at once. NULL without memory; free it with free(). */
struct order *order_new(uint32_t most);

static inline uint32_t order_in_flight(const struct order *order)
{
	return order->next - order->first;
}

/* One has arrived. Its ticket. */
static inline uint32_t order_enter(struct order *order, uint32_t head, uint32_t room)
{
	order->entry[order->next & order->mask] = (struct order_entry){.head = head, .room = room};
	return order->next++;
}

/* It is done, but perhaps not its turn. Once for each ticket. */
static inline void order_done(struct order *order, uint32_t ticket, uint32_t written)
{
	struct order_entry *entry = &order->entry[ticket & order->mask];

	entry->written = written;
	entry->done = true;
}

/* Whether it is its turn: then it is given back now, and without order_done(). */
static inline bool order_turn(struct order *order, uint32_t ticket, uint32_t *room)
{
	if (ticket != order->first)
		return false;
	*room = order->entry[ticket & order->mask].room;
	order->first++;
	return true;
}

/* Whether there is a next one whose turn it is, and that is done. */
static inline bool order_ready(const struct order *order)
{
	return order_in_flight(order) && order->entry[order->first & order->mask].done;
}

/* The next one whose turn it is. False: there is none, or it is not done. */
static inline bool order_next(struct order *order, struct order_entry *entry)
{
	if (!order_ready(order))
		return false;
	*entry = order->entry[order->first++ & order->mask];
	return true;
}

#endif
