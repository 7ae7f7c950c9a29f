/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual device: what the main thread (vhost-user) and the workers share of it.
 *
 * The main thread owns every field but those marked; a worker has a queue between
 * worker_queue_start() and the return of worker_queue_stop().
 */
#ifndef VC_HOST_DEVICE_H
#define VC_HOST_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/memtable.h"
#include "host/sched/sched.h"
#include "host/session.h"
#include "host/vring.h"

#define DEVICE_MAX_DATA_QUEUES 64
#define DEVICE_MAX_QUEUES (DEVICE_MAX_DATA_QUEUES + 1)

struct device;
struct worker;

/* Written by the worker alone, read by anyone (each figure is right by itself). */
struct queue_counters {
	uint64_t requests, bytes, kicks, calls;
	uint64_t errors[8]; /* completed with status n of enum virtio_crypto_status */
	uint64_t bad_chains;
};

struct host_queue {
	struct device *device;
	unsigned int index; /* the control queue is number device->data_queues */
	bool control;
	struct worker *worker;        /* that has it; NULL when stopped */
	int kick_fd, call_fd, err_fd; /* -1: none */
	struct vring_config config;
	bool started;
	/* The worker's. */
	struct vring ring;
	uint32_t in_flight;           /* requests taken and not given back */
	uint32_t waiting;             /* of them, not yet in a resource (it is full) */
	bool paused;                  /* by worker_device_pause() */
	bool dirty;                   /* something was pushed and not yet published */
	_Atomic(const char *) broken; /* why the worker stopped it (static text); NULL: it runs */
	vc_cache_aligned struct queue_counters counters;
};

struct device {
	char name[32];
	unsigned int index;
	const struct group *group;
	struct session_table *sessions;
	uint32_t max_size; /* bytes of a request's data */
	unsigned int data_queues;
	uint64_t features;       /* as acknowledged */
	struct memtable *memory; /* the table that workers use now */
	struct host_queue queue[DEVICE_MAX_QUEUES];
};

#endif
