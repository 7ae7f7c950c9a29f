/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which resource takes a request. Capability decides first; then rank: primary resources before
 * secondary ones, and those whose circuit is open (health.h) last of all; then pins; then the
 * group's policy, one of a table, in a file of its own.
 *
 * What a policy remembers (whose turn it is, who is full) is a worker's own: nothing here is shared
 * between threads but what configuration says. No sockets, no cryptography: resources are only
 * asked through their tables.
 */
#ifndef VC_HOST_SCHED_H
#define VC_HOST_SCHED_H

#include "host/resource/resource.h"
#include "host/sched/health.h"

#define GROUP_MAX_RESOURCES HOST_MAX_RESOURCES
#define GROUP_MAX_PINS 32
#define HOST_MAX_GROUPS 64

/* Requests that a worker can have at once; a power of two. */
#define WORKER_SLAB 2048u
/* Chains of one queue, and requests of one resource, in one go. */
#define WORKER_BURST 64u

enum sched_policy_id {
	SCHED_FAILOVER,
	SCHED_ROUND_ROBIN,
	SCHED_LEAST_INFLIGHT,
	SCHED_SIZE,
	SCHED_POLICIES
};

/* Sessions of this algorithm go to this resource of the group, if it can. */
struct group_pin {
	char algorithm[48];
	uint8_t at; /* its place in the group */
};

struct group {
	char name[32];
	enum sched_policy_id policy;
	/* Primary resources, then secondary ones. */
	struct resource *resource[GROUP_MAX_RESOURCES];
	unsigned int primary; /* how many of them are primary */
	unsigned int count;
	unsigned int index;       /* in the pool, below HOST_MAX_GROUPS */
	uint32_t size_threshold;  /* bytes; of policy size */
	unsigned int deadline_ms; /* for an answer of a resource; 0: none */
	struct group_pin pin[GROUP_MAX_PINS];
	unsigned int pins;
};

/* Requests on their way into a resource, in order; never more than the slab has. */
struct waiting_list {
	uint32_t head, tail; /* run freely */
	struct vc_request *entry[WORKER_SLAB];
};

struct sched;
struct sched_group;

/* Of candidates of one rank (places in the group as bits; not 0), which one. */
typedef unsigned int sched_choose_fn(struct sched *sched, struct sched_group *state,
                                     const struct group *group, uint32_t candidates,
                                     const struct vc_request *req);

/* What a worker has of a group. */
struct sched_group {
	/* For policies that choose for each request: so that nothing else has to be looked at. */
	sched_choose_fn *choose;
	uint8_t resource[GROUP_MAX_RESOURCES]; /* index, by place in the group */
	/* What the policy remembers: the choice that it made last, and for how many requests more
	 * it holds in that round. */
	uint64_t round;
	uint8_t at; /* place in the group */
	uint8_t left;
};

/* A worker's own. */
struct sched {
	/* Moves on by HOST_MAX_RESOURCES when choices that were made may not hold any more. */
	uint64_t epoch;
	uint64_t round;
	/* As bits, by resource. */
	uint16_t avoid;   /* only for what nothing else can do */
	uint16_t full;    /* did not take all that it was offered */
	uint16_t due;     /* of those that were avoided: one request is tried there */
	uint16_t trouble; /* has failed last, or its circuit is not closed */
	bool spreads;     /* some group's policy does */
	unsigned int worker;
	uint64_t now; /* ns; 0: not looked at in this round */
	uint64_t (*clock)(void);
	struct resource_instance *const *instance;
	struct waiting_list *const *waiting;
	struct sched_group group[HOST_MAX_GROUPS];
	struct health health[HOST_MAX_RESOURCES];
};

struct sched_policy {
	const char *name;
	/* The first choice for a session is that of all its requests, until sched_changed(). */
	bool holds;
	sched_choose_fn *choose;
};

extern const struct sched_policy sched_failover;
extern const struct sched_policy sched_round_robin;
extern const struct sched_policy sched_least_inflight;
extern const struct sched_policy sched_size;
/* By enum sched_policy_id. */
extern const struct sched_policy *const sched_policies[SCHED_POLICIES];

/* The union of what the group's resources do, for a device's configuration space. */
void group_offer(const struct group *group, struct virtio_crypto_config *config);
/* session_can_fn: some resource of the group (context) can do it. */
bool group_can(void *group, const struct session_params *params);

/* The place in the group to which its pins send the session; -1: to none. */
int group_pinned(const struct group *group, const struct session_params *params);
/* Whether the name of a session (session_params_name()) is that of a pin, or of its family. */
bool pin_matches(const char *pin, const char *name);
/* Whether any session can have such a name. */
bool pin_known(const char *pin);

/* Instances and lists by resource; NULL where there is none. */
void sched_init(struct sched *sched, struct resource_instance *const *instance,
                struct waiting_list *const *waiting);

/* Choose anew for every session: a resource has come, goes, or is to be avoided, or not any more.
 */
static inline void sched_changed(struct sched *sched)
{
	sched->epoch += HOST_MAX_RESOURCES;
}

/* ns, the same in all of a round. */
static inline uint64_t sched_now(struct sched *sched)
{
	if (!sched->now)
		sched->now = sched->clock();
	return sched->now;
}

/* Requests that the resource has not done yet. */
static inline uint32_t sched_load(const struct sched *sched, unsigned int resource)
{
	const struct waiting_list *list = sched->waiting[resource];

	return sched->instance[resource]->in_flight + list->tail - list->head;
}

/* sched_pick() where the session is not realised yet, and where nothing is known of it. */
int sched_choose(struct sched *sched, const struct group *group, const struct vc_request *req,
                 unsigned int at);
int sched_choose_anew(struct sched *sched, const struct group *group, const struct vc_request *req,
                      uint32_t tried);

/* By the policy, among what can (places as bits). Its place in the group. */
static inline unsigned int sched_policy_choose(struct sched *sched, struct sched_group *state,
                                               const struct group *group, uint32_t candidates,
                                               const struct vc_request *req)
{
	if (state->left && vc_likely(state->round == sched->round) &&
	    vc_likely(candidates >> state->at & 1)) {
		state->left--;
		return state->at;
	}
	return state->choose(sched, state, group, candidates, req);
}

/*
 * Choose for a request, by its session and its view (req->session, req->local): a resource that can
 * and is not in `tried` (bits); realises the session there when that was not done. Its index;
 * -ENOTSUP: none is left.
 */
static inline int sched_pick(struct sched *sched, const struct group *group,
                             const struct vc_request *req, uint32_t tried)
{
	const struct session_local *local = req->local;
	uint64_t held = local->choice - sched->epoch;
	struct sched_group *state;
	unsigned int at, r;

	if (tried)
		return sched_choose_anew(sched, group, req, tried);
	if (vc_likely(held < HOST_MAX_RESOURCES))
		return (int)held;
	if (vc_unlikely(local->able_epoch != sched->epoch) || vc_unlikely(sched->due))
		return sched_choose_anew(sched, group, req, 0);
	state = &sched->group[group->index];
	at = sched_policy_choose(sched, state, group, local->able, req);
	r = state->resource[at];
	return vc_likely(local->handle[r] != NULL) ? (int)r : sched_choose(sched, group, req, at);
}

/* For a request that waits for a full resource: another of the same rank that is not full. -1:
 * there is none, or the group's policy does not spread. */
int sched_elsewhere(struct sched *sched, const struct group *group, const struct vc_request *req);

/* circuit.c: the resource is there no more. */
void sched_gone(struct sched *sched, unsigned int resource);
/* circuit.c: what became of requests. sched_done() only where `trouble` says so. */
void sched_failed(struct sched *sched, unsigned int resource, enum health_failure how);
void sched_done(struct sched *sched, unsigned int resource);
/* So many more (or less) are there that nobody waits for any more. */
void sched_unanswered(struct sched *sched, unsigned int resource, int change);
/* A round begins, and `trouble` is not 0. */
void sched_wait(struct sched *sched);
/* A request goes to a resource that is due. */
void sched_probe(struct sched *sched, unsigned int resource);

#endif
