/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vhost-user back end: one front end's messages, each with its handler (vhost_user.c), and the
 * socket on which front ends come (vhost_server.c).
 */
#ifndef VC_HOST_VHOST_USER_H
#define VC_HOST_VHOST_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/evloop.h"
#include "host/device.h"
#include "host/message.h"

/* What one connection has agreed. */
struct front_end {
	struct device *device;
	int socket; /* where answers go; not owned */
	uint64_t protocol_features;
	uint8_t status;   /* of virtio: what the driver said last */
	uint64_t unknown; /* bit n: that message n is unknown has been said */
	struct {
		bool kicked;   /* SET_VRING_KICK has come and GET_VRING_BASE has not */
		bool disabled; /* the last SET_VRING_ENABLE said 0 */
	} queue[DEVICE_MAX_QUEUES];
};

void front_end_init(struct front_end *front_end, struct device *device, int socket);

/* message_size_fn: whether the message is known with a payload of that size. */
bool front_end_size_ok(const struct vhost_user_header *header);

/*
 * Do what a complete message says and answer it where it wants an answer; message_reset() is left
 * to the caller. 0, also when the message was refused in a way that the front end learns; -errno:
 * the connection must be closed, and *why is a static text.
 */
int front_end_handle(struct front_end *front_end, struct message *message, const char **why);

/*
 * CREATE_CRYPTO_SESSION in any of QEMU's layouts (vhost_session.c): make the session and turn the
 * payload into the answer, without the keys. size: 632 or 1072.
 */
void vhost_session_create(struct device *device, uint8_t *payload, uint32_t size);

struct vhost_server;

/* Listen for front ends of the device at path (mode 0660, removed by destroy). 0, -errno. */
int vhost_server_create(struct evloop *loop, struct device *device, const char *path,
                        struct vhost_server **server);
/* The device is reset. NULL is allowed. */
void vhost_server_destroy(struct vhost_server *server);
const char *vhost_server_path(const struct vhost_server *server);
/* Whether a front end is connected, and who it is. */
bool vhost_server_peer(const struct vhost_server *server, pid_t *pid, uid_t *uid);

#endif
