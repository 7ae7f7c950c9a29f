/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vhost-user back end: one front end's messages, each with its handler (vhost_user.c), and the
 * socket to which front ends come, or at which they wait (vhost_socket.c).
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
	int backend_fd; /* where our own messages go; -1: nowhere */
	int answer_fd;  /* goes with the answer of the message at hand, and is closed then; -1: none
	                 */
	uint8_t status; /* of virtio: what the driver said last */
	uint64_t unknown; /* bit n: that message n is unknown has been said */
	/* What the message at hand waits for; NULL: nothing. */
	struct device_change *change;
	bool quiet_first;                          /* before it is handled at all */
	void (*then)(struct front_end *front_end); /* what is left to do afterwards; NULL: nothing
	                                            */
	struct {
		bool kicked;   /* SET_VRING_KICK has come and GET_VRING_BASE has not */
		bool disabled; /* the last SET_VRING_ENABLE said 0 */
		/* What was asked about last (vhost_iotlb.c), and until when an answer is waited
		 * for (ns); 0: for none. */
		uint64_t asked_addr, asked_until;
		bool asked_write;
	} queue[DEVICE_MAX_QUEUES];
	/* For the guest's IOMMU. NULL: the front end can have none; else not owned. */
	struct evloop *loop;
	struct evwatch *miss_watch, *miss_timer;
};

void front_end_init(struct front_end *front_end, struct device *device, int socket,
                    struct evloop *loop);

/* Before the socket is closed. */
void front_end_fini(struct front_end *front_end);

/* message_size_fn: whether the message is known with a payload of that size. */
bool front_end_size_ok(const struct vhost_user_header *header);

/*
 * Do what a complete message says and answer it where it wants an answer; message_reset() is left
 * to the caller. 0, also when the message was refused in a way that the front end learns; 1: it is
 * waiting for requests in flight, and no other may be handled until front_end_fd() is readable and
 * front_end_finish() has been called with the same message; -errno: the connection must be closed,
 * and *why is a static text.
 */
int front_end_handle(struct front_end *front_end, struct message *message, const char **why);
int front_end_fd(const struct front_end *front_end);
/* As front_end_handle(); 1: it has to wait once more. */
int front_end_finish(struct front_end *front_end, struct message *message, const char **why);

/*
 * CREATE_CRYPTO_SESSION in any of QEMU's layouts (vhost_session.c): make the session and turn the
 * payload into the answer, without the keys. size: 632 or 1072.
 */
void vhost_session_create(struct device *device, uint8_t *payload, uint32_t size);

struct vhost_socket;

/* The socket of a device at path: listen there for front ends (mode 0660, removed by destroy), or,
 * as a client, connect again and again to the front end that listens there. 0, -errno. */
int vhost_socket_create(struct evloop *loop, struct device *device, const char *path, bool client,
                        struct vhost_socket **socket);
/* Let nobody come any more, and the front end that there is go. gone is called once, perhaps at
 * once, when the device is reset and nothing of it is in flight; it may destroy the socket. */
typedef void vhost_socket_gone_fn(void *context, struct device *device);
void vhost_socket_end(struct vhost_socket *socket, vhost_socket_gone_fn *gone, void *context);
/* The device is reset (waiting for what is in flight). NULL is allowed. */
void vhost_socket_destroy(struct vhost_socket *socket);
const char *vhost_socket_path(const struct vhost_socket *socket);
bool vhost_socket_is_client(const struct vhost_socket *socket);
/* Whether a front end is connected, and who it is. */
bool vhost_socket_peer(const struct vhost_socket *socket, pid_t *pid, uid_t *uid);

#endif
