/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets. Whole tokens, and what the time since the last fill has given beyond them, so that
 * nothing is lost however often one looks. The worker's thread.
 */
#include "host/qos.h"

typedef unsigned __int128 wide;

/* A throttled bucket is waited for until it has what so much of a second gives. */
#define WORTH_WHILE 1000u
/* Without a burst of one's own: so much of a second. */
#define BURST 100u

void bucket_set(struct qos_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now)
{
	bool fresh = !bucket->rate;

	if (!burst)
		burst = rate / BURST;
	bucket->rate = rate;
	bucket->burst = (int64_t)vc_min(vc_max(burst, 1u), (uint64_t)INT64_MAX / 4);
	if (fresh) {
		bucket->tokens = bucket->burst;
		bucket->last = now;
	}
	bucket->tokens = vc_min(bucket->tokens, bucket->burst);
	bucket->rest = 0;
}

void bucket_fill(struct qos_bucket *bucket, uint64_t now, uint64_t ticks_per_s)
{
	wide given, room;

	if (!bucket->rate)
		return;
	if (now <= bucket->last) {
		bucket->last = now;
		return;
	}
	given = (wide)(now - bucket->last) * bucket->rate + bucket->rest;
	bucket->last = now;
	room = (wide)(uint64_t)(bucket->burst - bucket->tokens) * ticks_per_s;
	if (given >= room) {
		bucket->tokens = bucket->burst;
		bucket->rest = 0;
		return;
	}
	bucket->tokens += (int64_t)(given / ticks_per_s);
	bucket->rest = (uint64_t)(given % ticks_per_s);
}

uint64_t bucket_wait(const struct qos_bucket *bucket, uint64_t ticks_per_s)
{
	int64_t enough = vc_min(bucket->burst, (int64_t)(bucket->rate / WORTH_WHILE));
	wide wanted;

	enough = vc_max(enough, 1);
	if (!bucket->rate || bucket->tokens >= enough)
		return 0;
	wanted = (wide)(uint64_t)(enough - bucket->tokens) * ticks_per_s - bucket->rest;
	wanted = (wanted + bucket->rate - 1) / bucket->rate;
	return wanted > UINT64_MAX / 4 ? UINT64_MAX / 4 : (uint64_t)wanted;
}
