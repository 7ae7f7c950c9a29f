/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order layer; see order.h. Main thread: the data path is in the header.
 */
#include "host/order.h"

#include <stdlib.h>

struct order *order_new(uint32_t most)
{
	uint32_t size = 1;
	struct order *order;

	while (size < most)
		size *= 2;
	order = calloc(1, sizeof(*order) + size * sizeof(order->entry[0]));
	if (order)
		order->mask = size - 1;
	return order;
}
