/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the target vhost share: vhost.c (the device and its guest), vhost_front.c (the
 * messages of its front end) and vhost_seeds.c.
 */
#ifndef VC_FUZZ_VHOST_H
#define VC_FUZZ_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "input.h"

struct connection;
struct device;
struct evloop;

#define MEMORY_SIZE 65536u
/* Beside each other in guest addresses, at different places in the front end's. */
#define MEMORIES 2
#define USER_BASE 0x700000000000u
#define QUEUES 3 /* two for data */
#define RING_SIZE 16u
/* In the first memory; what one part of a ring and the next are apart. */
#define RING_AT(queue) ((queue)*2048u)
#define AVAIL_AT 512u
#define USED_AT 768u
#define CHAINS_AT 8192u
#define CHAIN_SIZE 1024u
#define TABLES_AT 12288u
#define INFLIGHT_AT (MEMORY_SIZE / 2)

/* The first byte of an input, as bits: what the device is like. */
#define STRICT 1u
#define DEADLINE 2u  /* its group has one */
#define LIMITED 4u   /* in operations and bytes a second */
#define NEIGHBOUR 8u /* another device is in the same worker (vhost_neighbour.h) */

/* What the next byte of an input asks for, modulo 8. Of ROUND the rest is how many milliseconds
 * pass before it. */
enum { KNOWN, ANY_MESSAGE, ANY_BYTES, WRITE, CHAIN, RESOURCES, OUTSIDE, ROUND };

/* The byte after KNOWN: one of these, and an argument in the upper four bits. */
enum {
	SET_FEATURES,
	ADD_MEM_REG,
	REM_MEM_REG,
	SET_MEM_TABLE,
	QUEUE, /* all that a queue needs */
	GET_VRING_BASE,
	CREATE_SESSION,
	CLOSE_SESSION,
	RESET_DEVICE,
	SET_STATUS,
	SET_VRING_ENABLE,
	SET_VRING_FD,
	GET_INFLIGHT_FD,
	SET_INFLIGHT_FD,
	IOTLB,
	ASK, /* what only answers, and the channel of the device's own messages */
};
static inline unsigned int known(unsigned int what, unsigned int argument)
{
	return what | argument << 4;
}

/* After QUEUE: the queue, modulo QUEUES, and as bits: */
#define QUEUE_BASE 0x10u     /* its base follows */
#define QUEUE_DISABLED 0x20u /* it is not enabled */
#define QUEUE_CROSSES 0x40u  /* by addresses of the IOMMU, a part of it lies in both memories */

/* The third byte after CHAIN, as bits. */
#define ELSEWHERE 1u /* OUT, or (with the next) IN, is in the second memory */
#define ELSEWHERE_IN 2u
#define LIVE 4u      /* it is about a session that there is */
#define IN_BAND 8u   /* whose id is where DESTROY of the extension has it */
#define INDIRECT 16u /* the descriptors are in a table */

/* The byte after OUTSIDE: one of these, with more in the upper bits. */
enum { OFFLINE, LIMITS, CUT_SHORT, CUT_ALL };

struct memory {
	int fd;
	uint8_t *base;
	bool cut;
};

/* One input's. */
struct world {
	struct evloop *loop;
	struct device *device;
	struct connection *connection; /* NULL: it has ended */
	int front;                     /* our end */
	int channel[2];                /* for the device's own messages: ours, and the device's */
	int events;                    /* an eventfd */
	struct memory memory[MEMORIES];
	uint64_t ring[QUEUES]; /* guest addresses */
};

extern struct world world;

/* What the input says of one message or more, which are handled before this returns. */
void front_known(struct input *in);
/* Any message, with descriptors of any kind. */
void front_any(struct input *in);
/* Not even messages. */
void front_bytes(struct input *in);

#endif
