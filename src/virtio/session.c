/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions, made and destroyed by control requests (virtio 1.3, 5.9.7.1). Any thread, under the
 * device's lock. How a request gets to the device is another file's: struct control_way.
 *
 * A creation holds a slot of shared memory until the device answers, with a copy of the keys that
 * is wiped then. A destruction is sent and forgotten: its answer only frees the slot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/secmem.h"
#include "virtio/driver.h"

/* A session id must not be missing from an answer. */
#define STATUS_UNSET 0xff
#define SPIN_NS 20000
#define MOMENT_NS 50000

size_t control_bytes(bool indirect, bool packed)
{
	return control_queue_bytes(indirect, packed) + CONTROL_SLOTS * sizeof(struct control_slot);
}

void control_init(struct control *control, void *memory, bool indirect, struct ring_kind kind)
{
	control->slots = memory;
	control_queue_init(control, control->slots + CONTROL_SLOTS, indirect, kind);
	for (unsigned int i = 0; i < control->count; i++)
		control->free[i] = (uint16_t)i;
	control->free_count = control->count;
}

struct vcrypto_session *session_new(struct vcrypto_device *device)
{
	size_t size = vc_round_up(sizeof(struct vcrypto_session), VC_CACHE_LINE);
	struct vcrypto_session *session = aligned_alloc(VC_CACHE_LINE, size);

	if (!session)
		return NULL;
	*session = (struct vcrypto_session){.device = device, .op.serial = ++device->serial};
	session->all_next = device->control.all;
	session->all_link = &device->control.all;
	if (session->all_next)
		session->all_next->all_link = &session->all_next;
	device->control.all = session;
	return session;
}

void session_free(struct vcrypto_session *session)
{
	*session->all_link = session->all_next;
	if (session->all_next)
		session->all_next->all_link = session->all_link;
	free(session);
}

void control_fini(struct control *control)
{
	struct vcrypto_session *next;

	for (struct vcrypto_session *s = control->all; s; s = next) {
		next = s->all_next;
		if (s->brought.key)
			secmem_wipe(s->brought.key, s->brought.key_len);
		free(s);
	}
	/* Keys of what was never answered. */
	if (control->slots)
		secmem_wipe(control->slots, CONTROL_SLOTS * sizeof(struct control_slot));
}

static bool can_send(struct vcrypto_device *device)
{
	const struct control *control = &device->control;

	return control->free_count && !device_held(device) &&
	       (!control->way->room || control->way->room(device));
}

unsigned int control_slot_take(struct control *control)
{
	unsigned int i = control->free[control->free_first];

	control->free_first = (control->free_first + 1) % CONTROL_SLOTS;
	control->free_count--;
	control->busy[i] = true;
	return i;
}

static struct control_slot *slot_take(struct control *control, struct vcrypto_session *owner,
                                      unsigned int *index)
{
	unsigned int i = control_slot_take(control);

	control->owner[i] = owner;
	memset(&control->slots[i].request, 0, sizeof(control->slots[i].request));
	control->slots[i].input = (struct virtio_crypto_session_input){.status = STATUS_UNSET};
	*index = i;
	return &control->slots[i];
}

static void destroy_send(struct vcrypto_device *device, struct vcrypto_session *session)
{
	unsigned int i;
	struct control_slot *slot = slot_take(&device->control, NULL, &i);

	slot->request.header.opcode = session->destroy_opcode;
	slot->request.u.destroy.session_id = session->op.request.header.session_id;
	device->control.way->send(device, i,
	                          session_wire_size(session->destroy_opcode, device->features), 1);
	session_free(session);
}

/* Later, when a slot is free. */
static void destroy_queue(struct vcrypto_device *device, struct vcrypto_session *session)
{
	struct control *control = &device->control;

	if (can_send(device)) {
		destroy_send(device, session);
		return;
	}
	session->next = control->pending;
	control->pending = session;
}

static int create_status(uint32_t status)
{
	switch (status) {
	case VIRTIO_CRYPTO_OK:
		return 0;
	case VIRTIO_CRYPTO_BADMSG:
		return -EINVAL;
	case VIRTIO_CRYPTO_NOTSUPP:
		return -ENOTSUP;
	case VIRTIO_CRYPTO_NOSPC:
		return -ENOSPC;
	case VIRTIO_CRYPTO_KEY_REJECTED:
		return -EKEYREJECTED;
	default:
		return -EIO;
	}
}

/* The device answered a creation. */
static void create_done(struct vcrypto_device *device, struct vcrypto_session *session,
                        const struct virtio_crypto_session_input *input)
{
	int error = create_status(input->status);

	session->op.request.header.session_id = input->session_id;
	if (!session->orphan) {
		/* Pairs with the acquire in vcrypto_session_state(): the id is there. */
		atomic_store_explicit(&session->state, error, memory_order_release);
	} else if (error) {
		session_free(session);
	} else {
		destroy_queue(device, session);
	}
}

void control_answered(struct vcrypto_device *device, unsigned int i)
{
	struct control *control = &device->control;
	struct vcrypto_session *session = control->owner[i];
	struct virtio_crypto_session_input input = control->slots[i].input;

	/* With REVISION_1 they lie where others have the parameters. */
	if (control->keys_len[i])
		secmem_wipe(&control->slots[i].request.u,
		            sizeof(control->slots[i].request.u) + control->keys_len[i]);
	control->keys_len[i] = 0;
	control->busy[i] = false;
	control->owner[i] = NULL;
	control->free[(control->free_first + control->free_count++) % CONTROL_SLOTS] = (uint16_t)i;
	if (session)
		create_done(device, session, &input);
}

/* Take what the device has answered. */
static void control_reap(struct vcrypto_device *device)
{
	struct control *control = &device->control;

	if (control->way->reap)
		control->way->reap(device);
	while (control->pending && can_send(device)) {
		struct vcrypto_session *session = control->pending;

		control->pending = session->next;
		destroy_send(device, session);
	}
}

static int create_locked(struct vcrypto_device *device, const struct vcrypto_session_params *params,
                         struct vcrypto_session **session)
{
	struct control *control = &device->control;
	struct vcrypto_session *s;
	struct control_slot *slot;
	unsigned int i;
	uint32_t size;
	uint8_t *keys;

	control_reap(device);
	if (atomic_load_explicit(&device->dead, memory_order_relaxed))
		return -EPIPE;
	if (!can_send(device))
		return -EAGAIN;
	s = session_new(device);
	if (!s)
		return -ENOMEM;
	session_wire_describe(&s->op, params);
	s->op.header_size = op_revised_size(params->service, false);
	s->destroy_opcode = VIRTIO_CRYPTO_OPCODE(
		params->service, params->service == VCRYPTO_SERVICE_AKCIPHER ? 0x05 : 0x03);
	atomic_init(&s->state, -EINPROGRESS);

	slot = slot_take(control, s, &i);
	session_wire_request(&slot->request, params, s->op.tag_len);
	size = session_wire_size(slot->request.header.opcode, device->features);
	keys = (uint8_t *)&slot->request + size;
	if (params->key_len)
		memcpy(keys, params->key, params->key_len);
	if (params->auth_key_len)
		memcpy(keys + params->key_len, params->auth_key, params->auth_key_len);
	*session = s;
	control->keys_len[i] = (uint16_t)(params->key_len + params->auth_key_len);
	control->way->send(device, i, size + control->keys_len[i], sizeof(slot->input));
	return 0;
}

int vcrypto_session_create_begin(struct vcrypto_device *device,
                                 const struct vcrypto_session_params *params,
                                 struct vcrypto_session **session)
{
	int error;

	if (!session_wire_ok(params, CONTROL_KEYS_MAX))
		return -EINVAL;
	/* Who has not said that it knows this is never sent it (docs/in-band.md). */
	if (params->service == VCRYPTO_SERVICE_AKCIPHER &&
	    params->algorithm == VCRYPTO_AKCIPHER_AGREE && vcrypto_device_can(device, params))
		return -ENOTSUP;
	if (session_is_stateless(device, params->service))
		return session_stateless_create(device, params, session);
	pthread_mutex_lock(&device->lock);
	error = create_locked(device, params, session);
	pthread_mutex_unlock(&device->lock);
	return error;
}

int vcrypto_session_state(struct vcrypto_session *session)
{
	struct vcrypto_device *device = session->device;
	/* Pairs with the release in create_done(). */
	int state = atomic_load_explicit(&session->state, memory_order_acquire);

	if (state != -EINPROGRESS)
		return state;
	pthread_mutex_lock(&device->lock);
	control_reap(device);
	state = atomic_load_explicit(&session->state, memory_order_relaxed);
	if (state == -EINPROGRESS && atomic_load_explicit(&device->dead, memory_order_relaxed))
		state = -EPIPE;
	pthread_mutex_unlock(&device->lock);
	return state;
}

bool control_wait_more(struct vcrypto_device *device, uint64_t start_ns)
{
	uint64_t waited_ns = clock_now_ns() - start_ns;
	const struct timespec moment = {.tv_nsec = MOMENT_NS};

	if (waited_ns > device->timeout_ms * 1000000ull)
		return false;
	if (waited_ns < SPIN_NS)
		cpu_relax();
	else if (device->control.way->wait)
		device->control.way->wait(device);
	else
		nanosleep(&moment, NULL);
	return true;
}

int vcrypto_session_create(struct vcrypto_device *device,
                           const struct vcrypto_session_params *params,
                           struct vcrypto_session **session)
{
	uint64_t start_ns = clock_now_ns();
	struct vcrypto_session *s = NULL;
	int error = vcrypto_session_create_begin(device, params, &s);

	while (error == -EAGAIN && !device_held(device)) {
		if (!control_wait_more(device, start_ns))
			return -ETIMEDOUT;
		error = vcrypto_session_create_begin(device, params, &s);
	}
	if (error)
		return error;
	error = vcrypto_session_state(s);
	while (error == -EINPROGRESS)
		error = control_wait_more(device, start_ns) ? vcrypto_session_state(s) : -ETIMEDOUT;
	if (error) {
		vcrypto_session_destroy(s);
		return error;
	}
	*session = s;
	return 0;
}

void vcrypto_session_destroy(struct vcrypto_session *session)
{
	struct vcrypto_device *device;
	int state;

	if (!session)
		return;
	device = session->device;
	pthread_mutex_lock(&device->lock);
	if (session->op.brought) {
		session_stateless_destroy(session);
		goto out;
	}
	control_reap(device);
	state = atomic_load_explicit(&session->state, memory_order_relaxed);
	if (state == -EINPROGRESS)
		session->orphan = true;
	else if (state || atomic_load_explicit(&device->dead, memory_order_relaxed))
		session_free(session);
	else
		destroy_queue(device, session);
out:
	pthread_mutex_unlock(&device->lock);
}

uint64_t vcrypto_session_id(const struct vcrypto_session *session)
{
	return session->op.request.header.session_id;
}
