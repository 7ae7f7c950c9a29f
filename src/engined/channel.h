/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One channel of a client, the daemon's end: taking entries from the submission ring, checking
 * requests, completing slots.
 *
 * Pure: no socket, no system call, no device; unit-tested and fuzzed as it is. Everything behind
 * the ring and slot pointers is written by a stranger at any time: a field is read once into
 * private memory, checked there and used from there.
 */
#ifndef VC_ENGINED_CHANNEL_H
#define VC_ENGINED_CHANNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "engined/region.h"
#include "vcrypto/vcrypto.h"
#include "wire/engine.h"

struct channel {
	struct vce_channel *ring; /* shared */
	struct vce_slot *slots;   /* shared */
	uint32_t head;            /* ours alone */
	uint32_t mask;            /* slots - 1 */
};

/* A request as it was read. */
struct channel_entry {
	struct vce_slot line;  /* a private copy; only the client's half is filled */
	struct vce_slot *slot; /* where it came from */
	uint32_t generation;   /* of the slot */
};

void channel_init(struct channel *channel, const struct region *region, uint32_t index);

/* Entries that wait, from 0; -EPROTO when the tail is farther ahead than the ring is long. */
static inline int channel_pending(const struct channel *channel)
{
	/* Acquire: partner of the client's release of tail, so that entries and slots are there. */
	uint32_t tail = __atomic_load_n(&channel->ring->tail, __ATOMIC_ACQUIRE);
	uint32_t n = tail - channel->head;

	return n > channel->mask + 1 ? -EPROTO : (int)n;
}

/*
 * Take the next entry; only when channel_pending() said that there is one. 0; -EPROTO when it
 * names no slot or a slot that was not submitted: the client is broken.
 */
int channel_take(struct channel *channel, struct channel_entry *entry);

/* Tell the client how far we are (for its information only). */
void channel_publish(struct channel *channel);

/*
 * Check a CRYPT request against the session's parameters and fill op (all but session and user)
 * with addresses in the region. 0, -EINVAL.
 */
int channel_check_crypt(const struct region *region, const struct vce_slot *line,
                        const struct vcrypto_session_params *params, struct vcrypto_op *op);

struct channel_result {
	int32_t result; /* 0 or -errno */
	uint32_t result_len;
	uint32_t handle;
};

/* Hand a slot back. True: a thread sleeps on its futex (&slot->state) and is to be woken. */
bool channel_complete(struct vce_slot *slot, uint32_t generation,
                      const struct channel_result *result);

#endif
