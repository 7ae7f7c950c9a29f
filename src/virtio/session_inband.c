/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests on a data queue: see inband.h. Any thread. The device's lock is taken before the
 * queue's, where both are.
 *
 * A control request is an operation of a session of ours whose kind is OP_INBAND; operation i goes
 * with control slot i.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vcrypto/inband.h>

#include "virtio/inband.h"

#define REAP_BURST 32u

enum { MAKE, END, HELLO, KINDS };

struct inband {
	pthread_mutex_t lock; /* of the queue, and of what follows */
	struct vcrypto_queue *queue;
	struct vcrypto_session kind[KINDS]; /* what the operations are operations of */
	struct vcrypto_op op[CONTROL_SLOTS];
	unsigned int in_flight; /* of them */
	uint16_t answered[CONTROL_SLOTS];
	unsigned int answered_count;
	/* The queue's thread's operations that somebody else took from the ring; as many as the
	 * queue is deep. */
	struct vcrypto_op **kept;
	unsigned int kept_first, kept_count;
	/* The last answer to HELLO, and how many there were. */
	struct vcrypto_inband_hello hello;
	int hello_status;
	unsigned int hellos;
};

/* ---- the queue, under its lock ---- */

static void note(struct inband *inband, const struct vcrypto_op *op)
{
	if (op->session == &inband->kind[HELLO]) {
		memcpy(&inband->hello, op->dst, sizeof(inband->hello));
		inband->hello_status = op->status;
		inband->hellos++;
	}
	inband->in_flight--;
	inband->answered[inband->answered_count++] = (uint16_t)(op - inband->op);
}

/* Ours are noted, the others moved to the front. Returns how many these are. */
static int sort_out(struct inband *inband, struct vcrypto_op **ops, int n)
{
	int others = 0;

	for (int i = 0; i < n; i++) {
		if (ops[i]->session->op.kind == OP_INBAND)
			note(inband, ops[i]);
		else
			ops[others++] = ops[i];
	}
	return others;
}

static void keep(struct inband *inband, struct vcrypto_op *op)
{
	unsigned int depth = inband->queue->depth;

	inband->kept[(inband->kept_first + inband->kept_count++) % depth] = op;
}

static unsigned int give_kept(struct inband *inband, struct vcrypto_op **ops, unsigned int n)
{
	unsigned int depth = inband->queue->depth, given = 0;

	while (given < n && inband->kept_count) {
		ops[given++] = inband->kept[inband->kept_first];
		inband->kept_first = (inband->kept_first + 1) % depth;
		inband->kept_count--;
	}
	return given;
}

int inband_queue_submit(struct vcrypto_queue *queue, struct vcrypto_op *const *ops, unsigned int n)
{
	struct inband *inband = queue->inband;
	int taken;

	pthread_mutex_lock(&inband->lock);
	/* So that what is in flight and what is kept are never more than the queue is deep. */
	n = vc_min(n, queue->depth - inband->kept_count);
	taken = queue_submit_all(queue, ops, n);
	pthread_mutex_unlock(&inband->lock);
	return taken;
}

int inband_queue_poll(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n)
{
	struct inband *inband = queue->inband;
	unsigned int given;
	int more = 0;

	pthread_mutex_lock(&inband->lock);
	given = give_kept(inband, ops, n);
	if (given < n) {
		more = queue_poll_all(queue, ops + given, n - given);
		if (more > 0)
			more = sort_out(inband, ops + given, more);
	}
	pthread_mutex_unlock(&inband->lock);
	return more < 0 && !given ? more : (int)given + vc_max(more, 0);
}

unsigned int inband_queue_in_flight(const struct vcrypto_queue *queue)
{
	struct inband *inband = queue->inband;
	unsigned int n;

	pthread_mutex_lock(&inband->lock);
	n = queue->depth - (queue->free_in - queue->free_out) - inband->in_flight +
	    inband->kept_count;
	pthread_mutex_unlock(&inband->lock);
	return n;
}

bool inband_queue_arm(struct vcrypto_queue *queue)
{
	struct inband *inband = queue->inband;
	bool ready;

	pthread_mutex_lock(&inband->lock);
	ready = ring_arm(&queue->ring) || inband->kept_count;
	pthread_mutex_unlock(&inband->lock);
	return ready;
}

void inband_queue_disarm(struct vcrypto_queue *queue)
{
	struct inband *inband = queue->inband;

	pthread_mutex_lock(&inband->lock);
	ring_disarm(&queue->ring);
	pthread_mutex_unlock(&inband->lock);
}

/* ---- control requests, under the device's lock ---- */

static bool inband_room(struct vcrypto_device *device)
{
	struct inband *inband = device->control.inband;
	bool room;

	pthread_mutex_lock(&inband->lock);
	room = !device_held(device) &&
	       inband->queue->free_in - inband->queue->free_out > inband->kept_count;
	pthread_mutex_unlock(&inband->lock);
	return room;
}

static void submit(struct inband *inband, unsigned int i, const struct vcrypto_op *what)
{
	struct control_slot *slot = &inband->queue->device->control.slots[i];
	struct vcrypto_op *op = &inband->op[i];

	*op = *what;
	pthread_mutex_lock(&inband->lock);
	if (queue_submit(inband->queue, &op, 1) == 1) {
		inband->in_flight++;
	} else {
		/* The queue is dead: as if the device had refused. */
		slot->input.status = VIRTIO_CRYPTO_ERR;
		inband->answered[inband->answered_count++] = (uint16_t)i;
	}
	pthread_mutex_unlock(&inband->lock);
}

/* The answer to a destruction is the status byte that every operation has. */
static void inband_send(struct vcrypto_device *device, unsigned int i, uint32_t out, uint32_t in)
{
	struct control_slot *slot = &device->control.slots[i];
	struct inband *inband = device->control.inband;
	bool make = device->control.owner[i];
	struct vcrypto_op op = {.session = &inband->kind[make ? MAKE : END],
	                        .src = &slot->request,
	                        .length = out,
	                        .dst = &slot->input,
	                        .dst_len = make ? in : 0};

	submit(inband, i, &op);
}

static void inband_reap(struct vcrypto_device *device)
{
	struct inband *inband = device->control.inband;
	struct vcrypto_op *ops[REAP_BURST];
	uint16_t answered[CONTROL_SLOTS];
	unsigned int count;
	int n, others;

	pthread_mutex_lock(&inband->lock);
	do {
		n = queue_poll_all(inband->queue, ops, REAP_BURST);
		others = n > 0 ? sort_out(inband, ops, n) : 0;
		for (int i = 0; i < others; i++)
			keep(inband, ops[i]);
	} while (n == REAP_BURST);
	count = inband->answered_count;
	memcpy(answered, inband->answered, count * sizeof(answered[0]));
	inband->answered_count = 0;
	pthread_mutex_unlock(&inband->lock);

	if (n == -EPROTO) {
		transport_error_set(&device->error, "the back end broke data queue 0");
		device_lost(device);
	}
	for (unsigned int i = 0; i < count; i++)
		control_answered(device, answered[i]);
}

/* ---- beginning and end ---- */

static struct inband *inband_new(struct vcrypto_device *device)
{
	static const uint32_t opcodes[KINDS] = {
		[MAKE] = VCRYPTO_INBAND_CREATE,
		[END] = VCRYPTO_INBAND_DESTROY,
		[HELLO] = VCRYPTO_INBAND_HELLO,
	};
	size_t size = vc_round_up(sizeof(struct inband), VC_CACHE_LINE);
	struct inband *inband = aligned_alloc(VC_CACHE_LINE, size);

	if (!inband)
		return NULL;
	memset(inband, 0, sizeof(*inband));
	inband->queue = &device->queues[0];
	inband->kept = calloc(inband->queue->depth, sizeof(struct vcrypto_op *));
	if (!inband->kept) {
		free(inband);
		return NULL;
	}
	pthread_mutex_init(&inband->lock, NULL);
	for (unsigned int i = 0; i < KINDS; i++) {
		inband->kind[i].device = device;
		inband->kind[i].op.serial = ++device->serial;
		inband->kind[i].op.kind = OP_INBAND;
		inband->kind[i].op.request.header.opcode = opcodes[i];
	}
	return inband;
}

void inband_end(struct vcrypto_device *device)
{
	struct inband *inband = device->control.inband;

	if (!inband)
		return;
	device->queues[0].inband = NULL;
	pthread_mutex_destroy(&inband->lock);
	free(inband->kept);
	free(inband);
	device->control.inband = NULL;
}

/* Some session that the device says it can make. */
static bool some_params(const struct virtio_crypto_config *config,
                        struct vcrypto_session_params *params)
{
	static const uint8_t key[32];

	*params = (struct vcrypto_session_params){.direction = VCRYPTO_ENCRYPT};
	params->key = key;
	params->key_len = 16;
	if (config->cipher_algo_l >> VCRYPTO_CIPHER_AES_CBC & 1) {
		params->algorithm = VCRYPTO_CIPHER_AES_CBC;
	} else if (config->aead_algo >> VCRYPTO_AEAD_GCM & 1) {
		params->service = VCRYPTO_SERVICE_AEAD;
		params->algorithm = VCRYPTO_AEAD_GCM;
	} else if (config->mac_algo_l >> VCRYPTO_MAC_HMAC_SHA256 & 1) {
		*params = (struct vcrypto_session_params){.service = VCRYPTO_SERVICE_MAC,
		                                          .algorithm = VCRYPTO_MAC_HMAC_SHA256,
		                                          .auth_key = key,
		                                          .auth_key_len = 32};
	} else {
		return false;
	}
	return true;
}

/* docs/in-band.md: never probe. The id of a session made the standard way says who it is. */
static int tag_look(struct vcrypto_device *device)
{
	struct vcrypto_session_params params;
	struct vcrypto_session *session;
	bool tag;
	int err;

	if (!some_params(&device->config, &params)) {
		transport_error_set(&device->error, "the device offers nothing to know it by");
		return -EPROTO;
	}
	err = vcrypto_session_create(device, &params, &session);
	if (err) {
		transport_error_set(&device->error, "no session to know the back end by: %s",
		                    strerror(-err));
		return err;
	}
	tag = vcrypto_session_id(session) >> VCRYPTO_SESSION_ID_TAG_SHIFT == VCRYPTO_SESSION_ID_TAG;
	vcrypto_session_destroy(session);
	if (!tag)
		transport_error_set(&device->error,
		                    "the back end is not vcrypto-host: no in-band sessions");
	return tag ? 0 : -EPROTO;
}

/* Wait until every control slot is free. */
static int control_drain(struct vcrypto_device *device)
{
	uint64_t start_ns = clock_now_ns();
	unsigned int left;

	do {
		pthread_mutex_lock(&device->lock);
		if (device->control.way->reap)
			device->control.way->reap(device);
		left = device->control.count - device->control.free_count;
		pthread_mutex_unlock(&device->lock);
	} while (left && control_wait_more(device, start_ns));
	if (left)
		transport_error_set(&device->error, "the control queue does not answer");
	return left ? -ETIMEDOUT : 0;
}

/* The answer goes where the keys of a creation would be. */
static int hello_send(struct vcrypto_device *device)
{
	struct control *control = &device->control;
	struct vcrypto_op op = {.session = &control->inband->kind[HELLO],
	                        .dst_len = sizeof(struct vcrypto_inband_hello)};
	int err = -EAGAIN;

	pthread_mutex_lock(&device->lock);
	if (control->free_count && inband_room(device)) {
		unsigned int i = control_slot_take(control);

		control->owner[i] = NULL;
		control->keys_len[i] = sizeof(struct vcrypto_inband_hello);
		op.dst = control->slots[i].keys;
		memset(op.dst, 0, op.dst_len);
		submit(control->inband, i, &op);
		err = 0;
	}
	pthread_mutex_unlock(&device->lock);
	return err;
}

/* True: more answers than before have come. */
static bool hello_look(struct vcrypto_device *device, unsigned int before,
                       struct vcrypto_inband_hello *answer, int *status)
{
	struct inband *inband = device->control.inband;
	bool come;

	pthread_mutex_lock(&device->lock);
	inband_reap(device);
	pthread_mutex_unlock(&device->lock);
	pthread_mutex_lock(&inband->lock);
	come = inband->hellos != before;
	*answer = inband->hello;
	*status = inband->hello_status;
	pthread_mutex_unlock(&inband->lock);
	return come;
}

static int inband_config_read(struct vcrypto_device *device, struct virtio_crypto_config *config)
{
	struct inband *inband = device->control.inband;
	uint64_t start_ns = clock_now_ns();
	struct vcrypto_inband_hello answer;
	unsigned int before;
	int status, err;

	pthread_mutex_lock(&inband->lock);
	before = inband->hellos;
	pthread_mutex_unlock(&inband->lock);
	do {
		err = hello_send(device);
	} while (err && control_wait_more(device, start_ns));
	while (!err && !hello_look(device, before, &answer, &status)) {
		if (atomic_load_explicit(&device->dead, memory_order_relaxed))
			err = -EPIPE;
		else if (!control_wait_more(device, start_ns))
			err = -ETIMEDOUT;
	}
	if (err == -EAGAIN)
		err = -ETIMEDOUT;
	if (err) {
		transport_error_set(&device->error, "the back end does not answer on data queue 0");
		return err;
	}
	if (status || answer.version != VCRYPTO_INBAND_VERSION) {
		transport_error_set(&device->error,
		                    "the back end's in-band sessions are of version %u, not %u",
		                    answer.version, VCRYPTO_INBAND_VERSION);
		return -EPROTO;
	}
	memcpy(config, answer.config, sizeof(*config));
	pthread_mutex_lock(&device->lock);
	device->agree_curves = answer.agree_curves;
	pthread_mutex_unlock(&device->lock);
	return 0;
}

/* Control requests go this way from now on, when those that are under way are done. */
static int inband_attach(struct vcrypto_device *device)
{
	int err = control_drain(device);

	if (err)
		return err;
	device->control.inband = inband_new(device);
	if (!device->control.inband)
		return -ENOMEM;
	device->queues[0].inband = device->control.inband;
	device->queues[0].layered = true;
	device->control.way = &control_way_inband;
	return 0;
}

int inband_begin(struct vcrypto_device *device, bool required)
{
	struct virtio_crypto_config config = {0};
	int err = tag_look(device);

	if (err == -EPROTO && !required) {
		/* Somebody else's back end: the control queue is what there is. */
		device->error.text[0] = '\0';
		return 0;
	}
	if (!err)
		err = inband_attach(device);
	if (!err)
		err = inband_config_read(device, &config);
	if (!err)
		device->config = config;
	return err;
}

int inband_ask(struct vcrypto_device *device)
{
	const struct control_way *way = device->control.way;
	struct virtio_crypto_config unused = {0};
	int err = tag_look(device);

	if (!err)
		err = inband_attach(device);
	if (!err) {
		err = inband_config_read(device, &unused);
		inband_end(device);
		/* HELLO's slot never was in the control queue's ring, and with IN_ORDER these go in
		 * turn: all are free, and this one is the next again. */
		device->control.free_first =
			(device->control.free_first + CONTROL_SLOTS - 1) % CONTROL_SLOTS;
		device->queues[0].layered = device->queues[0].bounce;
		device->control.way = way;
	}
	if (err == -ETIMEDOUT || err == -EPIPE || err == -ENOMEM)
		return err;
	/* Somebody else's back end, one that makes no sessions now, or another version. */
	device->error.text[0] = '\0';
	return 0;
}

const struct control_way control_way_inband = {
	.room = inband_room,
	.send = inband_send,
	.reap = inband_reap,
	.config_read = inband_config_read,
};
