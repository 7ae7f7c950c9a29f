/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fake_device.h. Instead of libvcrypto, with the same functions.
 */
#include "fake_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vcrypto/vcrypto.h>

#include "base/util.h"
#include "fuzz.h"

#define HOLD 1
#define SLOW 2
#define NO_SESSIONS 4
#define FAILS 8
#define GONE 16
#define NO_MEMORY 32
#define WRONG 64
#define CHANGED 128

#define QUEUES 2
#define DEPTH 8
#define REGIONS 4

struct vcrypto_session {
	struct vcrypto_session_params params;
	unsigned int asked;
	struct vcrypto_session *next, **link;
};

struct vcrypto_queue {
	struct vcrypto_op *op[DEPTH];
	unsigned int n;
	int fd;
};

struct vcrypto_device {
	struct vcrypto_queue queue[QUEUES];
	struct {
		uint8_t *base;
		size_t size;
	} region[REGIONS];
	struct vcrypto_session *sessions;
	int event;
};

static uint8_t mode;
static struct vcrypto_device *device;

void fake_device_set(uint8_t how)
{
	mode = how;
}

int vcrypto_device_open(const struct vcrypto_device_options *options,
                        struct vcrypto_device **opened, char **error)
{
	struct vcrypto_device *d = calloc(1, sizeof(*d));

	fuzz_check(d && !device);
	for (unsigned int i = 0; i < QUEUES; i++)
		d->queue[i].fd = event_create();
	d->event = event_create();
	event_signal(d->event);
	device = d;
	*opened = d;
	return 0;
}

void vcrypto_device_close(struct vcrypto_device *d)
{
	while (d->sessions)
		vcrypto_session_destroy(d->sessions);
	for (unsigned int i = 0; i < QUEUES; i++)
		close(d->queue[i].fd);
	close(d->event);
	device = NULL;
	free(d);
}

unsigned int vcrypto_device_queues(const struct vcrypto_device *d)
{
	return QUEUES;
}

struct vcrypto_queue *vcrypto_device_queue(struct vcrypto_device *d, unsigned int index)
{
	return &d->queue[index];
}

int vcrypto_device_capabilities(struct vcrypto_device *d, struct vcrypto_capabilities *caps)
{
	*caps = (struct vcrypto_capabilities){.services = 0x1f, .ready = true};
	return mode & GONE ? -EPIPE : 0;
}

bool vcrypto_device_alive(struct vcrypto_device *d)
{
	return !(mode & GONE);
}

bool vcrypto_device_changed(struct vcrypto_device *d)
{
	return mode & CHANGED;
}

int vcrypto_device_fd(const struct vcrypto_device *d)
{
	/* Always has something to say. */
	return d->event;
}

/* ---- memory ---- */

bool vcrypto_memory_copied(struct vcrypto_device *d, const void *address)
{
	return mode & CHANGED;
}

int vcrypto_memory_register(struct vcrypto_device *d, void *address, size_t size, int fd,
                            uint64_t offset)
{
	if (mode & NO_MEMORY)
		return -ENOSPC;
	for (unsigned int i = 0; i < REGIONS; i++) {
		if (d->region[i].base)
			continue;
		d->region[i].base = address;
		d->region[i].size = size;
		return 0;
	}
	return -ENOSPC;
}

int vcrypto_memory_unregister(struct vcrypto_device *d, void *address)
{
	for (unsigned int i = 0; i < REGIONS; i++) {
		if (d->region[i].base == address) {
			d->region[i].base = NULL;
			return 0;
		}
	}
	abort();
}

static void reachable(const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	for (unsigned int i = 0; n && i < REGIONS; i++) {
		size_t offset = (size_t)(at - device->region[i].base);

		if (device->region[i].base && offset < device->region[i].size &&
		    n <= device->region[i].size - offset)
			return;
	}
	fuzz_check(!n);
}

/* ---- sessions ---- */

int vcrypto_session_create_begin(struct vcrypto_device *d,
                                 const struct vcrypto_session_params *params,
                                 struct vcrypto_session **session)
{
	if (mode & GONE)
		return -EPIPE;
	fuzz_touch_read(params->key, params->key_len);
	fuzz_touch_read(params->auth_key, params->auth_key_len);
	*session = calloc(1, sizeof(**session));
	fuzz_check(*session);
	(*session)->params = *params;
	(*session)->next = d->sessions;
	(*session)->link = &d->sessions;
	if (d->sessions)
		d->sessions->link = &(*session)->next;
	d->sessions = *session;
	return 0;
}

int vcrypto_session_state(struct vcrypto_session *session)
{
	if (mode & SLOW && session->asked++ < 2)
		return -EINPROGRESS;
	return mode & NO_SESSIONS ? -ENOSPC : 0;
}

void vcrypto_session_destroy(struct vcrypto_session *session)
{
	if (!session)
		return;
	*session->link = session->next;
	if (session->next)
		session->next->link = session->link;
	free(session);
}

/* ---- operations ---- */

static void touch(struct vcrypto_op *op)
{
	const struct vcrypto_session_params *params = &op->session->params;
	size_t dst = params->service == VCRYPTO_SERVICE_AKCIPHER ? op->dst_len : op->length;
	size_t tag = op->tag ? op->tag_len : 0;

	reachable(op->src, op->length);
	reachable(op->aad, op->aad_len);
	reachable(op->tag, tag);
	fuzz_touch_read(op->src, op->length);
	fuzz_touch_read(op->aad, op->aad_len);
	fuzz_touch_write(op->tag, tag);
	fuzz_check(op->iv_len <= VCRYPTO_MAX_IV);
	if (!op->dst)
		return;
	reachable(op->dst, dst);
	fuzz_touch_write(op->dst, dst);
	op->result_len = op->dst_len;
}

int vcrypto_queue_submit(struct vcrypto_queue *queue, struct vcrypto_op *const *ops, unsigned int n)
{
	unsigned int taken = 0;

	if (mode & GONE)
		return -EPIPE;
	if (mode & WRONG && n)
		return -EINVAL;
	while (taken < n && queue->n < DEPTH)
		queue->op[queue->n++] = ops[taken++];
	return (int)taken;
}

int vcrypto_queue_poll(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n)
{
	unsigned int done = 0;

	if (mode & GONE)
		return -EPIPE;
	while (!(mode & HOLD) && done < n && queue->n) {
		struct vcrypto_op *op = queue->op[--queue->n];

		touch(op);
		op->status = mode & FAILS ? -EBADMSG : 0;
		ops[done++] = op;
	}
	return (int)done;
}

unsigned int vcrypto_queue_room(const struct vcrypto_queue *queue)
{
	return DEPTH - queue->n;
}

int vcrypto_queue_fd(const struct vcrypto_queue *queue)
{
	return queue->fd;
}

bool vcrypto_queue_arm(struct vcrypto_queue *queue)
{
	return false;
}

void vcrypto_queue_disarm(struct vcrypto_queue *queue)
{
}

void vcrypto_queue_stats(const struct vcrypto_queue *queue, struct vcrypto_queue_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
}
