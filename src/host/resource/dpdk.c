/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type dpdk: any cryptodev of DPDK. The module's entry, resources and instances.
 *
 * create, destroy: main thread; the rest: the worker that opened the instance. The device itself is
 * trusted, as the kernel and the other libraries are; what its driver gets wrong is looked for at
 * the start (dpdk_check.c).
 */
#include <errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/secmem.h"
#include "host/resource/dpdk.h"

static struct dpdk_host host;

/* ---- resources ---- */

static void dpdk_destroy(struct resource *resource)
{
	struct dpdk_resource *dpdk = (struct dpdk_resource *)resource;

	dpdk_device_stop(dpdk);
	pthread_mutex_destroy(&dpdk->lock);
	free(dpdk->pair_used);
	free(dpdk);
}

static void log_what_it_is(const struct dpdk_resource *dpdk)
{
	struct virtio_crypto_config offer = {0};

	dpdk_offer(&dpdk->base, &offer);
	dpdk_log(LOG_LEVEL_INFO, "resource %s: %s: %s%s%s", dpdk->base.name, dpdk->device,
	         dpdk->hardware ? "hardware" : "software",
	         offer.crypto_services ? "" : ", which offers nothing that virtio-crypto has",
	         dpdk->caps.rsa ? ", with RSA" : "");
}

static int dpdk_create(const struct resource_config *config, struct resource **resource,
                       char **error)
{
	static const struct resource_dpdk defaults;
	struct dpdk_resource *dpdk;
	int err;

	if (!config->device == !config->vdev) {
		*error = str_format("one of device and vdev is needed");
		return -EINVAL;
	}
	err = dpdk_eal_start(config->dpdk ? config->dpdk : &defaults, error);
	if (err)
		return err;
	dpdk = calloc(1, sizeof(*dpdk));
	if (!dpdk)
		return -ENOMEM;
	snprintf(dpdk->base.name, sizeof(dpdk->base.name), "%s", config->name);
	dpdk->sym = dpdk->asym = -1;
	dpdk->workers = config->workers ? config->workers : 1;
	dpdk->pairs = config->instances ? config->instances : dpdk->workers;
	dpdk->pair_used = calloc(dpdk->pairs, sizeof(bool));
	pthread_mutex_init(&dpdk->lock, NULL);
	if (!dpdk->pair_used) {
		dpdk_destroy(&dpdk->base);
		return -ENOMEM;
	}
	dpdk->sessions = config->sessions ? *config->sessions : DPDK_SESSIONS;
	err = dpdk_device_start(dpdk, config, error);
	if (!err) {
		err = dpdk_check(dpdk, host.reference);
		if (err && !*error)
			*error = str_format("the device '%s' cannot be tried out: %s", dpdk->device,
			                    err == -ENOMEM ? "not enough memory (see dpdk: memory)"
			                                   : strerror(-err));
	}
	if (err) {
		dpdk_destroy(&dpdk->base);
		return err;
	}
	log_what_it_is(dpdk);
	dpdk->base.may_hang = dpdk->hardware;
	*resource = &dpdk->base;
	return 0;
}

/* ---- instances ---- */

/* Session keys lie there. */
static void lock(void *memory, size_t size)
{
	static atomic_bool said;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)memory & ~(page - 1);
	size_t length = vc_round_up((uintptr_t)memory + size - from, page);

	(void)madvise((void *)from, length, MADV_DONTDUMP);
	if (mlock((void *)from, length) < 0 && !atomic_exchange(&said, true))
		dpdk_log(LOG_LEVEL_WARNING,
		         "keys may be swapped out: cannot lock memory: %s (see "
		         "ulimit -l)",
		         strerror(errno));
}

static void lock_chunk(struct rte_mempool *pool, void *context, struct rte_mempool_memhdr *chunk,
                       unsigned int index)
{
	(void)pool;
	(void)context;
	(void)index;
	lock(chunk->addr, chunk->len);
}

/* Without caches: the pool is one thread's, and what is freed there is wiped there. */
static int pools_make(struct dpdk_instance *in)
{
	const struct dpdk_resource *dpdk = in->dpdk;
	char name[RTE_MEMPOOL_NAMESIZE];

	if (dpdk->sym >= 0) {
		snprintf(name, sizeof(name), "vc_s%d_%u", dpdk->sym, in->queue);
		in->sessions = rte_cryptodev_sym_session_pool_create(
			name, dpdk->sessions,
			rte_cryptodev_sym_get_private_session_size((uint8_t)dpdk->sym), 0, 0,
			rte_cryptodev_socket_id((uint8_t)dpdk->sym));
		if (!in->sessions)
			return -ENOMEM;
		rte_mempool_mem_iter(in->sessions, lock_chunk, NULL);
	}
	if (dpdk->asym >= 0) {
		snprintf(name, sizeof(name), "vc_a%d_%u", dpdk->asym, in->queue);
		in->rsa_sessions = rte_cryptodev_asym_session_pool_create(
			name, vc_min(dpdk->sessions, DPDK_RSA_SESSIONS), 0, 0,
			rte_cryptodev_socket_id((uint8_t)dpdk->asym));
		if (!in->rsa_sessions)
			return -ENOMEM;
		rte_mempool_mem_iter(in->rsa_sessions, lock_chunk, NULL);
	}
	return 0;
}

/* Nobody frees the data of our mbufs. */
static void not_freed(void *memory, void *context)
{
	(void)memory;
	(void)context;
}

static struct rte_mbuf_ext_shared_info outside = {.free_cb = not_freed, .refcnt = 1};

static void mbuf_init(struct rte_mbuf *m)
{
	memset(m, 0, sizeof(*m));
	m->nb_segs = 1;
	m->port = RTE_MBUF_PORT_INVALID;
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->shinfo = &outside;
	rte_mbuf_refcnt_set(m, 1);
}

static void op_init(struct rte_crypto_op *op, enum rte_crypto_op_type type)
{
	op->type = (uint8_t)type;
	op->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	op->phys_addr = (rte_iova_t)(uintptr_t)op;
}

static int sym_ops_make(struct dpdk_instance *in)
{
	int socket = rte_cryptodev_socket_id((uint8_t)in->dpdk->sym);

	in->sym_ops = rte_zmalloc_socket("vc_sym", DPDK_DESCRIPTORS * sizeof(*in->sym_ops),
	                                 VC_CACHE_LINE, socket);
	in->sym_free = calloc(DPDK_DESCRIPTORS, sizeof(struct dpdk_sym *));
	in->pieces = rte_zmalloc_socket("vc_mbuf", DPDK_PIECE_POOL * sizeof(*in->pieces),
	                                VC_CACHE_LINE, socket);
	if (!in->sym_ops || !in->sym_free || !in->pieces)
		return -ENOMEM;
	for (unsigned int i = 0; i < DPDK_DESCRIPTORS; i++) {
		op_init(&in->sym_ops[i].op, RTE_CRYPTO_OP_TYPE_SYMMETRIC);
		mbuf_init(&in->sym_ops[i].src);
		mbuf_init(&in->sym_ops[i].dst);
		dpdk_sym_put(in, &in->sym_ops[i]);
	}
	for (; in->pieces_count < DPDK_PIECE_POOL; in->pieces_count++) {
		mbuf_init(&in->pieces[in->pieces_count]);
		in->pieces[in->pieces_count].next = in->pieces_free;
		in->pieces_free = &in->pieces[in->pieces_count];
	}
	return 0;
}

/* A software device takes them one by one. */
static int rsa_ops_make(struct dpdk_instance *in)
{
	int socket = rte_cryptodev_socket_id((uint8_t)in->dpdk->asym);

	in->rsa_total = in->dpdk->hardware ? DPDK_DESCRIPTORS / 4 : 8;
	in->rsa_ops = rte_zmalloc_socket("vc_rsa", in->rsa_total * sizeof(*in->rsa_ops),
	                                 VC_CACHE_LINE, socket);
	in->rsa_free = calloc(in->rsa_total, sizeof(struct dpdk_rsa *));
	if (!in->rsa_ops || !in->rsa_free)
		return -ENOMEM;
	lock(in->rsa_ops, in->rsa_total * sizeof(*in->rsa_ops));
	for (unsigned int i = 0; i < in->rsa_total; i++) {
		op_init(&in->rsa_ops[i].op, RTE_CRYPTO_OP_TYPE_ASYMMETRIC);
		dpdk_rsa_put(in, &in->rsa_ops[i]);
	}
	return 0;
}

static int timer_make(struct dpdk_instance *in)
{
	in->timer = -1;
	if (!in->dpdk->hardware)
		return 0;
	in->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	return in->timer < 0 ? -errno : 0;
}

/* The number of a pair of queues that nobody has. -ENOSPC: all are somebody's. */
static int pair_take(struct dpdk_resource *dpdk)
{
	int pair = -ENOSPC;

	pthread_mutex_lock(&dpdk->lock);
	for (unsigned int i = 0; i < dpdk->pairs && pair < 0; i++)
		if (!dpdk->pair_used[i])
			pair = (int)i;
	if (pair >= 0)
		dpdk->pair_used[pair] = true;
	pthread_mutex_unlock(&dpdk->lock);
	return pair;
}

static void pair_give(struct dpdk_resource *dpdk, unsigned int pair)
{
	pthread_mutex_lock(&dpdk->lock);
	dpdk->pair_used[pair] = false;
	pthread_mutex_unlock(&dpdk->lock);
}

int dpdk_open(struct resource *resource, unsigned int worker, struct resource_instance **instance)
{
	struct dpdk_resource *dpdk = (struct dpdk_resource *)resource;
	int pair = pair_take(dpdk), err;
	struct dpdk_instance *in;

	(void)worker;
	if (pair < 0)
		return pair;
	in = calloc(1, sizeof(*in));
	if (!in) {
		pair_give(dpdk, (unsigned int)pair);
		return -ENOMEM;
	}
	in->base.resource = resource;
	in->dpdk = dpdk;
	in->queue = (uint16_t)pair;
	err = timer_make(in);
	/* Drivers may ask DPDK in which of its threads they are. */
	if (!err && rte_lcore_id() == LCORE_ID_ANY) {
		in->registered = rte_thread_register() == 0;
		err = in->registered ? 0 : -ENOSPC;
	}
	if (!err)
		err = pools_make(in);
	if (!err && dpdk->sym >= 0)
		err = sym_ops_make(in);
	if (!err && dpdk->asym >= 0)
		err = rsa_ops_make(in);
	if (err)
		dpdk_close(&in->base);
	else
		*instance = &in->base;
	return err;
}

void dpdk_close(struct resource_instance *instance)
{
	struct dpdk_instance *in = (struct dpdk_instance *)instance;

	if (in->sym_ops)
		secmem_wipe(in->sym_ops, DPDK_DESCRIPTORS * sizeof(*in->sym_ops));
	rte_free(in->sym_ops);
	rte_free(in->rsa_ops);
	rte_free(in->pieces);
	rte_mempool_free(in->sessions);
	rte_mempool_free(in->rsa_sessions);
	free(in->sym_free);
	free(in->rsa_free);
	if (in->timer >= 0)
		close(in->timer);
	if (in->registered)
		rte_thread_unregister();
	pair_give(in->dpdk, in->queue);
	free(in);
}

/* ---- the module ---- */

static const struct resource_ops ops = {
	.type = "dpdk",
	.create = dpdk_create,
	.destroy = dpdk_destroy,
	.can = dpdk_can,
	.offer = dpdk_offer,
	.open = dpdk_open,
	.close = dpdk_close,
	.realise = dpdk_realise,
	.drop = dpdk_drop,
	.submit = dpdk_submit,
	.poll = dpdk_poll,
	.fd = dpdk_fd,
	.arm = dpdk_arm,
	.disarm = dpdk_disarm,
	.memory_add = dpdk_memory_add,
	.memory_remove = dpdk_memory_remove,
};

dpdk_module_fn vcrypto_host_dpdk __attribute__((visibility("default")));

const struct resource_ops *vcrypto_host_dpdk(const struct dpdk_host *from, const char *build)
{
	if (strcmp(build, DPDK_BUILD) != 0)
		return NULL;
	host = *from;
	dpdk_eal_log_init(&host);
	return &ops;
}
