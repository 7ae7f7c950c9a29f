/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resource: something that does cryptography. One table of functions for each type.
 *
 * A resource is made by the main thread from the configuration and tells what it can do. Each
 * worker opens its own instance and is the only thread that calls it: no locks on the way. An
 * instance may use threads of its own behind submit and poll.
 */
#ifndef VC_HOST_RESOURCE_H
#define VC_HOST_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/request.h"
#include "host/session.h"
#include "wire/virtio_crypto.h"

struct resource;
struct fault_settings;

/* From the configuration; what a type does not know must be 0. */
struct resource_config {
	const char *name;
	const char *type;
	unsigned int threads;                /* libcrypto, crypto-mb: of each instance; default 1 */
	const unsigned int *wait_us;         /* crypto-mb: NULL: default */
	struct resource *of;                 /* fault: what it wraps; outlives it */
	const struct fault_settings *faults; /* fault: NULL: none */
	const char *device, *vdev;           /* dpdk: one of the two, as DPDK names devices */
	const unsigned int *sessions;        /* dpdk: of each worker; NULL: default */
	const struct resource_dpdk *dpdk;
	unsigned int workers;   /* 0: one */
	unsigned int instances; /* dpdk: that will be open at once; 0: one for each worker */
};

/* DPDK's environment: one for the process, made with the first resource of type dpdk. */
struct resource_dpdk {
	const char *const *eal; /* further arguments */
	unsigned int eal_count;
	const char *devices[HOST_MAX_RESOURCES]; /* of all such resources: places on the PCI bus */
	unsigned int device_count;
	uint64_t memory; /* bytes; 0: DPDK's default */
	bool huge_pages;
};

struct resource_instance;

struct resource_counters {
	uint64_t submitted, completed, failed; /* requests; written by the worker alone */
	uint64_t bytes;                        /* of data */
	uint64_t bursts;
};

struct resource_ops {
	const char *type; /* "ipsec-mb" */
	/* What each instance has a number of and groups may have for themselves ("threads");
	 * NULL: nothing. */
	const char *parts;
	/* It needs what the sandbox takes away after the start (files, devices). */
	bool at_start;

	/* Main thread. On failure *error is a sentence (to be freed). */
	int (*create)(const struct resource_config *config, struct resource **resource,
	              char **error);
	void (*destroy)(struct resource *resource);

	/* Main thread or worker; must not depend on an instance. Says whether sessions of this kind
	 * can be done: algorithm, key length, tag length, padding. */
	bool (*can)(const struct resource *resource, const struct session_params *params);
	/* Add what it offers to the masks and limits of a configuration space (max_* are raised to
	 * what it can take). */
	void (*offer)(const struct resource *resource, struct virtio_crypto_config *config);

	/* Worker, before its first round and after its last. */
	int (*open)(struct resource *resource, unsigned int worker,
	            struct resource_instance **instance);
	void (*close)(struct resource_instance *instance);

	/* Worker: expand keys once per session. *handle is not NULL on success. 0, -ENOTSUP,
	 * -EKEYREJECTED, -ENOMEM. params outlive the handle. */
	int (*realise)(struct resource_instance *instance, const struct session_params *params,
	               void **handle);
	/* Worker; nothing of it is in flight. */
	void (*drop)(struct resource_instance *instance, void *handle);

	/* Worker: take a burst; returns how many were taken from the front (fewer: it is full). A
	 * request taken comes back from poll exactly once, with status set. VC_STATUS_REFUSED and
	 * VC_STATUS_RESOURCE only when src is as it was (dst may be src). The resource keeps
	 * in_flight; the worker keeps the counters. */
	unsigned int (*submit)(struct resource_instance *instance, struct vc_request *const *reqs,
	                       unsigned int n);
	/* Worker: what is done. flush: no new work came in this round, so finish what waits in
	 * lanes for company. */
	unsigned int (*poll)(struct resource_instance *instance, struct vc_request **reqs,
	                     unsigned int n, bool flush);

	/* For a worker that wants to sleep while requests are in flight: a descriptor that becomes
	 * readable when poll has something; -1 when nothing is ever in flight after a poll with
	 * flush. arm asks for the signal and returns true when there already is something. */
	int (*fd)(struct resource_instance *instance);
	bool (*arm)(struct resource_instance *instance);
	void (*disarm)(struct resource_instance *instance);

	/* Main thread; NULL where a resource reads and writes memory as we do. Memory in which
	 * there will be data of requests (of front ends; of workers), for a device that must be
	 * told of it first; and that there is none any more. 0; -errno: it cannot be reached. */
	int (*memory_add)(struct resource *resource, void *base, size_t length);
	void (*memory_remove)(struct resource *resource, void *base, size_t length);
};

/* When a resource that fails is not asked any more, for a while (sched/health.h). */
struct circuit_options {
	unsigned int failures;       /* one after the other; 0: it is always asked */
	unsigned int backoff_ms;     /* until one request is tried there */
	unsigned int backoff_max_ms; /* it doubles with each that fails, up to this */
};

struct resource {
	const struct resource_ops *ops;
	unsigned int index; /* in the pool, below HOST_MAX_RESOURCES */
	unsigned int parts; /* see ops->parts */
	bool out;           /* main thread: of service, groups do without it */
	/* Set by create where requests may come back late or never (hardware): where the group has
	 * a deadline they then get copies of the data, so that nothing late can do harm. */
	bool may_hang;
	struct circuit_options circuit;
	char name[64]; /* "sw"; of a group's share "sw/GROUP" */
};

struct resource_instance {
	struct resource *resource;
	struct resource_counters counters;
	uint32_t in_flight;
};

/* The types that are built in, ended by NULL. */
extern const struct resource_ops *const resource_types[];
extern const struct resource_ops resource_ipsec_mb;
extern const struct resource_ops resource_libcrypto;
extern const struct resource_ops resource_crypto_mb; /* where libcrypto-mb is */
extern const struct resource_ops resource_dpdk;      /* where DPDK was at the build */
extern const struct resource_ops resource_fault;

/* NULL: there is none of that name. */
const struct resource_ops *resource_type_find(const char *type);

/* Make a resource of the type that config names. -EINVAL unknown type. A type whose functions are
 * in a module sets ops itself. */
int resource_create(const struct resource_config *config, struct resource **resource, char **error);
void resource_destroy(struct resource *resource);

#endif
