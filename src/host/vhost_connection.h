/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connected front end: its messages are read and handled until it goes, or must go. Main thread.
 */
#ifndef VC_HOST_VHOST_CONNECTION_H
#define VC_HOST_VHOST_CONNECTION_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/evloop.h"
#include "host/device.h"

struct connection;

/* It has ended: it is gone, and the device is reset. */
typedef void connection_end_fn(void *context);

struct connection_options {
	struct evloop *loop;
	struct device *device;
	int fd;     /* connected, non-blocking; owned by the connection when it could be made */
	bool quiet; /* no lines in the log about its coming and going */
	connection_end_fn *on_end;
	void *context;
};

/* 0, -ENOMEM, -errno. */
int connection_create(const struct connection_options *options, struct connection **connection);
/* As if it ended by itself: soon, or before this returns, on_end is called. */
void connection_end(struct connection *connection);
/* At once, waiting for what is in flight. The device is reset; on_end is not called. NULL is
 * allowed. */
void connection_close(struct connection *connection);
/* The other end has hung up, though there may be messages of it that were not read; or it ends. */
bool connection_hung_up(const struct connection *connection);
/* Who is at the other end, as the kernel says. */
void connection_peer(const struct connection *connection, pid_t *pid, uid_t *uid);

#endif
