/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole of a running vcrypto-host: what main() starts and stops, and the control socket shows.
 */
#ifndef VC_HOST_HOST_H
#define VC_HOST_HOST_H

#include "base/ctl.h"
#include "base/evloop.h"
#include "base/sandbox.h"
#include "host/config.h"
#include "host/device.h"
#include "host/pool.h"
#include "host/vhost_user.h"

/* Bytes of data in one request: 1 MiB and what goes with it (additional data, tag). */
#define HOST_MAX_SIZE ((1u << 20) + 4096)

struct host {
	struct evloop *loop; /* not owned */
	const struct host_config *config;
	uint64_t started_ns;
	struct pool *pool;
	struct worker *worker[HOST_MAX_WORKERS];
	unsigned int worker_count;
	struct device **device; /* in the order of the configuration */
	struct vhost_socket **socket;
	unsigned int device_count;
	struct ctl_server *control;
	struct sandbox sandbox;
};

/*
 * Start it all: resources, workers, devices with their sockets, the control socket in the runtime
 * directory. loop and config must outlive it. On failure nothing is left and *error is a sentence
 * (to be freed).
 */
int host_start(struct evloop *loop, const struct host_config *config, struct host **host,
               char **error);

/* Drain and stop everything, remove the sockets. NULL is allowed. */
void host_stop(struct host *host);

/* Commands of the control socket (status.c); their context is a struct host. */
extern const struct ctl_command host_commands[];

#endif
