/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type ipsec-mb: Intel's multi-buffer library, in the worker itself.
 *
 * CBC encryption and hashes are serial in one message; the library gets its speed from working on
 * up to 16 messages side by side. So their requests gather in groups, one an algorithm, and a group
 * runs when it fills the lanes, when nothing new came (poll with flush), or after a little
 * patience. All else runs at once. Every run is synchronous: after a poll with flush nothing is in
 * flight, and there is nothing to sleep on.
 *
 * create, destroy: main thread. The rest: the worker that opened the instance. Requests come
 * checked from the front; what the library would not survive is checked again (mb_check).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"
#include "host/resource/ipsec_mb.h"

static void mb_destroy(struct resource *resource)
{
	free(resource);
}

static int mb_open(struct resource *resource, unsigned int worker,
                   struct resource_instance **instance)
{
	struct mb_instance *mb = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*mb), 64));
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (!mb)
		return -ENOMEM;
	memset(mb, 0, sizeof(*mb));
	mb->base.resource = resource;
	mb->manager = alloc_mb_mgr(0);
	if (!mb->manager) {
		free(mb);
		return -ENOMEM;
	}
	init_mb_mgr_auto(mb->manager, &arch);
	/* No AES instructions, or the library's own power-on test failed. */
	if (imb_get_errno(mb->manager) || arch == IMB_ARCH_NONE) {
		free_mb_mgr(mb->manager);
		free(mb);
		return -ENODEV;
	}
	*instance = &mb->base;
	return 0;
}

static void mb_close(struct resource_instance *instance)
{
	struct mb_instance *mb = (struct mb_instance *)instance;

	/* The manager's lanes may still hold key schedules and hash states. */
	secmem_wipe(mb->job, sizeof(mb->job));
	secmem_wipe(mb->manager, imb_get_mb_mgr_size());
	free_mb_mgr(mb->manager);
	free(mb);
}

static int mb_create(const struct resource_config *config, struct resource **resource, char **error)
{
	struct resource_instance *instance;
	struct mb_resource *mb;

	if (config->threads) {
		*error = str_format("resource '%s': type ipsec-mb has no threads", config->name);
		return -EINVAL;
	}
	mb = calloc(1, sizeof(*mb));
	if (!mb)
		return -ENOMEM;
	/* If it cannot be opened, the worker will say so. */
	if (mb_open(&mb->base, 0, &instance) == 0) {
		mb->broken = mb_broken_groups((struct mb_instance *)instance);
		mb_close(instance);
	}
	*resource = &mb->base;
	return 0;
}

static void run_some(struct mb_instance *mb, unsigned int group, unsigned int n);

static inline void finish(struct mb_instance *mb, struct vc_request *req)
{
	mb->done[mb->done_tail++ % MB_RING] = req;
}

/* What follows a stage that has been run. Only a chain has a second one, which is another. */
static inline unsigned int next_stage(const struct vc_request *req, unsigned int stage)
{
	const struct mb_session *s = req->handle;

	return stage == s->first && req->status == VIRTIO_CRYPTO_OK ? s->second : MB_NONE;
}

/* A request goes into a stage. */
static inline void enter(struct mb_instance *mb, struct vc_request *req, unsigned int stage)
{
	struct mb_group *group;

	if (stage == MB_DIRECT) {
		mb_run_direct(mb, req, req->handle);
		stage = next_stage(req, MB_DIRECT);
	}
	if (stage == MB_NONE) {
		finish(mb, req);
		return;
	}
	group = &mb->group[stage];
	group->req[group->count++] = req;
	mb->waiting |= 1u << stage;
	if (group->count == MB_BURST)
		run_some(mb, stage, MB_BURST);
}

/* Chains that have come so far together, and alone, go on together. */
static bool run_next(struct mb_instance *mb, unsigned int group, struct vc_request **reqs,
                     unsigned int n)
{
	unsigned int stage = next_stage(reqs[0], group);

	if (vc_likely(stage >= MB_GROUPS))
		return false;
	for (unsigned int i = 1; i < n; i++)
		if (next_stage(reqs[i], group) != stage)
			return false;
	mb_run_group(mb, stage, reqs, n);
	return true;
}

/* Run the first n requests of a group. */
static void run_some(struct mb_instance *mb, unsigned int group, unsigned int n)
{
	struct mb_group *g = &mb->group[group];
	struct vc_request *reqs[MB_BURST];
	bool through;

	memcpy(reqs, g->req, n * sizeof(struct vc_request *));
	g->count -= n;
	g->waited = 0;
	if (g->count)
		memmove(g->req, g->req + n, g->count * sizeof(struct vc_request *));
	else
		mb->waiting &= ~(1u << group);
	mb_run_group(mb, group, reqs, n);
	through = run_next(mb, group, reqs, n);
	/* This may fill another group, run it, and by that even fill this one again. */
	for (unsigned int i = 0; i < n; i++)
		enter(mb, reqs[i], through ? MB_NONE : next_stage(reqs[i], group));
}

static unsigned int mb_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                              unsigned int n)
{
	struct mb_instance *mb = (struct mb_instance *)instance;

	n = vc_min(n, MB_RING - instance->in_flight);
	for (unsigned int i = 0; i < n; i++) {
		const struct mb_session *s = reqs[i]->handle;

		if (vc_likely(mb_check(reqs[i], s) == MB_RUN))
			enter(mb, reqs[i], s->first);
		else
			finish(mb, reqs[i]);
	}
	instance->in_flight += n;
	return n;
}

/* Each group once; with flush until none is left, as chains go from one group to another. */
static void run_groups(struct mb_instance *mb, bool flush)
{
	uint32_t seen = 0, left;

	while ((left = mb->waiting & ~seen)) {
		unsigned int g = (unsigned int)__builtin_ctz(left);
		struct mb_group *group = &mb->group[g];

		if (flush) {
			run_some(mb, g, group->count);
			continue;
		}
		seen |= 1u << g;
		if (++group->waited > MB_PATIENCE)
			run_some(mb, g, group->count);
		else if (group->count >= MB_LANES)
			run_some(mb, g, group->count - group->count % MB_LANES);
	}
}

static unsigned int mb_poll(struct resource_instance *instance, struct vc_request **reqs,
                            unsigned int n, bool flush)
{
	struct mb_instance *mb = (struct mb_instance *)instance;
	unsigned int taken = 0;

	run_groups(mb, flush);
	while (taken < n && mb->done_head != mb->done_tail)
		reqs[taken++] = mb->done[mb->done_head++ % MB_RING];
	instance->in_flight -= taken;
	return taken;
}

static int mb_fd(struct resource_instance *instance)
{
	return -1;
}

static bool mb_arm(struct resource_instance *instance)
{
	return instance->in_flight != 0;
}

static void mb_disarm(struct resource_instance *instance)
{
}

const struct resource_ops resource_ipsec_mb = {
	.type = "ipsec-mb",
	.create = mb_create,
	.destroy = mb_destroy,
	.can = mb_can,
	.offer = mb_offer,
	.open = mb_open,
	.close = mb_close,
	.realise = mb_realise,
	.drop = mb_drop,
	.submit = mb_submit,
	.poll = mb_poll,
	.fd = mb_fd,
	.arm = mb_arm,
	.disarm = mb_disarm,
};
