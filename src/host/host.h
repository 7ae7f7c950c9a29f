/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole of a running vcrypto-host: what main() starts and stops, and the control socket shows
 * and changes. Main thread.
 */
#ifndef VC_HOST_HOST_H
#define VC_HOST_HOST_H

#include <sched.h>

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
	struct evloop *loop;        /* not owned */
	struct host_config *config; /* not owned; changed by what comes and goes */
	uint64_t started_ns;
	struct pool *pool;
	struct memmap_observer observer; /* the pool */
	struct worker *worker[HOST_MAX_WORKERS];
	unsigned int worker_count;
	/* In the order of the configuration. */
	struct device *device[HOST_MAX_DEVICES];
	struct vhost_socket *socket[HOST_MAX_DEVICES];
	unsigned int device_count;
	bool index_used[HOST_MAX_DEVICES]; /* device->index */
	struct ctl_server *control;
	cpu_set_t cpus;                /* of the process, before this thread went aside */
	struct resource_drain *drains; /* host_pool.c */
	struct sandbox sandbox;
};

/*
 * Start it all: resources, workers, devices with their sockets, the control socket in the runtime
 * directory. loop and config must outlive it; config is changed as devices and so on come and go.
 * On failure nothing is left and *error is a sentence (to be freed).
 */
int host_start(struct evloop *loop, struct host_config *config, struct host **host, char **error);

/* Drain and stop everything, remove the sockets. NULL is allowed. */
void host_stop(struct host *host);

/* host_device.c: devices, each by its place in the lists. */
/* Make the next device of the configuration, with its socket. 0, -errno with *error. */
int host_device_add(struct host *host, char **error);
/* Let it go, with its front end: at once, or when nothing of it is in flight, it is out of the
 * lists and of the configuration. */
void host_device_remove(struct host *host, unsigned int index);
/* Its place; -1: there is none. */
int host_device_find(const struct host *host, const char *name);
/* All at once, waiting for what is in flight: first the sockets; then, without workers, the rest.
 */
void host_devices_disconnect(struct host *host);
void host_devices_destroy(struct host *host);

/* Commands that change what there is (admin.c). */
ctl_command_fn admin_add, admin_set, admin_drain, admin_resume, admin_remove, admin_state,
	admin_config;
/* All commands of the control socket (status.c); their context is a struct host. */
extern const struct ctl_command host_commands[];

#endif
