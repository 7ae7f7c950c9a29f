/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions, made and destroyed over the control queue (virtio 1.3, 5.9.7.1). Any thread, under the
 * device's lock.
 *
 * A creation holds a slot of shared memory until the device answers, with a copy of the keys that
 * is wiped then. A destruction is sent and forgotten: its answer only frees the slot.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "virtio/driver.h"

/* A session id must not be missing from an answer. */
#define STATUS_UNSET 0xff
#define SPIN_NS 20000

#define KEYS_MAX (4096 - 128 - sizeof(struct virtio_crypto_op_ctrl_req))

/* Shared with the device. */
struct control_slot {
	vc_cache_aligned struct virtq_desc table[4];
	struct virtio_crypto_session_input input;
	uint8_t padding[48];
	struct virtio_crypto_op_ctrl_req request; /* the keys follow */
	uint8_t keys[KEYS_MAX];
};

static_assert(sizeof(struct control_slot) == 4096, "a page");

size_t control_bytes(bool indirect)
{
	return ring_split_bytes(CONTROL_SLOTS * (indirect ? 1 : 2)) +
	       CONTROL_SLOTS * sizeof(struct control_slot);
}

/* Slot i is descriptor i with an indirect table, or descriptors 2 i and 2 i + 1. */
void control_init(struct control *control, void *memory, bool indirect, bool event_idx)
{
	unsigned int size = CONTROL_SLOTS * (indirect ? 1 : 2);

	control->slots = memory;
	ring_split_init(&control->ring, control->slots + CONTROL_SLOTS, size, event_idx);
	for (unsigned int i = 0; i < CONTROL_SLOTS; i++) {
		control->free[i] = (uint16_t)(CONTROL_SLOTS - 1 - i);
		if (indirect)
			control->ring.desc[i] = (struct virtq_desc){
				(uintptr_t)control->slots[i].table, 2 * sizeof(struct virtq_desc),
				VIRTQ_DESC_F_INDIRECT, 0};
	}
	control->free_count = CONTROL_SLOTS;
}

static struct vcrypto_session *session_new(struct vcrypto_device *device)
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

static void session_free(struct vcrypto_session *session)
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
		free(s);
	}
	/* Keys of what was never answered. */
	if (control->slots)
		secmem_wipe(control->slots, CONTROL_SLOTS * sizeof(struct control_slot));
}

static void control_send(struct vcrypto_device *device, unsigned int i, uint32_t out, uint32_t in)
{
	struct control *control = &device->control;
	struct control_slot *slot = &control->slots[i];
	bool indirect = control->ring.size == CONTROL_SLOTS;
	uint16_t base = indirect ? 0 : (uint16_t)(2 * i);
	struct virtq_desc *table = indirect ? slot->table : &control->ring.desc[base];

	table[0] = (struct virtq_desc){(uintptr_t)&slot->request, out, VIRTQ_DESC_F_NEXT,
	                               (uint16_t)(base + 1)};
	table[1] = (struct virtq_desc){(uintptr_t)&slot->input, in, VIRTQ_DESC_F_WRITE, 0};
	ring_split_push(&control->ring, indirect ? (uint16_t)i : base);
	if (ring_split_publish(&control->ring))
		device->ops->kick(&control->transport);
}

static struct control_slot *slot_take(struct control *control, struct vcrypto_session *owner,
                                      unsigned int *index)
{
	unsigned int i = control->free[--control->free_count];

	control->busy[i] = true;
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
	control_send(device, i, sizeof(slot->request), 1);
	session_free(session);
}

/* Later, when a slot is free. */
static void destroy_queue(struct vcrypto_device *device, struct vcrypto_session *session)
{
	struct control *control = &device->control;

	if (control->free_count) {
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

/* Take what the device has answered. */
static void control_reap(struct vcrypto_device *device)
{
	struct control *control = &device->control;
	unsigned int n = ring_split_pending(&control->ring);

	if (n > CONTROL_SLOTS - control->free_count) {
		transport_error_set(&device->error, "the back end broke the control queue");
		device_lost(device);
		return;
	}
	while (n--) {
		struct virtq_used_elem e = ring_split_take(&control->ring);
		unsigned int i = control->ring.size == CONTROL_SLOTS ? e.id : e.id / 2;

		if (e.id >= control->ring.size || !control->busy[i]) {
			transport_error_set(&device->error,
			                    "the back end gave back a control request twice");
			device_lost(device);
			return;
		}
		struct vcrypto_session *session = control->owner[i];
		struct virtio_crypto_session_input input = control->slots[i].input;

		if (session)
			secmem_wipe(control->slots[i].keys, sizeof(control->slots[i].keys));
		control->busy[i] = false;
		control->owner[i] = NULL;
		control->free[control->free_count++] = (uint16_t)i;
		if (session)
			create_done(device, session, &input);
	}
	while (control->pending && control->free_count) {
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

	control_reap(device);
	if (atomic_load_explicit(&device->dead, memory_order_relaxed))
		return -EPIPE;
	if (!control->free_count)
		return -EAGAIN;
	s = session_new(device);
	if (!s)
		return -ENOMEM;
	session_wire_describe(&s->op, params);
	s->destroy_opcode = VIRTIO_CRYPTO_OPCODE(
		params->service, params->service == VCRYPTO_SERVICE_AKCIPHER ? 0x05 : 0x03);
	atomic_init(&s->state, -EINPROGRESS);

	slot = slot_take(control, s, &i);
	session_wire_request(&slot->request, params, s->op.tag_len);
	if (params->key_len)
		memcpy(slot->keys, params->key, params->key_len);
	if (params->auth_key_len)
		memcpy(slot->keys + params->key_len, params->auth_key, params->auth_key_len);
	control_send(device, i,
	             (uint32_t)(sizeof(slot->request) + params->key_len + params->auth_key_len),
	             sizeof(slot->input));
	*session = s;
	return 0;
}

int vcrypto_session_create_begin(struct vcrypto_device *device,
                                 const struct vcrypto_session_params *params,
                                 struct vcrypto_session **session)
{
	int error;

	if (!session_wire_ok(params, KEYS_MAX))
		return -EINVAL;
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

/* Wait for the control queue for a moment. Several threads may: each looks again after 1 ms at the
 * latest, for another one may have emptied the descriptor. */
static void control_wait(struct vcrypto_device *device)
{
	struct control *control = &device->control;
	struct pollfd fds[2] = {{.fd = control->transport.call_fd, .events = POLLIN},
	                        {.fd = device->ops->fd(device->transport), .events = POLLIN}};
	bool ready;

	pthread_mutex_lock(&device->lock);
	ready = ring_split_arm(&control->ring);
	pthread_mutex_unlock(&device->lock);
	if (!ready)
		poll(fds, 2, 1);
	pthread_mutex_lock(&device->lock);
	ring_split_disarm(&control->ring);
	event_clear(control->transport.call_fd);
	pthread_mutex_unlock(&device->lock);
	if (fds[1].revents)
		vcrypto_device_alive(device);
}

/* Wait a little. False: it has been too long since start_ns. */
static bool control_wait_more(struct vcrypto_device *device, uint64_t start_ns)
{
	uint64_t waited_ns = clock_now_ns() - start_ns;

	if (waited_ns > device->timeout_ms * 1000000ull)
		return false;
	if (waited_ns < SPIN_NS)
		cpu_relax();
	else
		control_wait(device);
	return true;
}

int vcrypto_session_create(struct vcrypto_device *device,
                           const struct vcrypto_session_params *params,
                           struct vcrypto_session **session)
{
	uint64_t start_ns = clock_now_ns();
	struct vcrypto_session *s = NULL;
	int error = vcrypto_session_create_begin(device, params, &s);

	while (error == -EAGAIN) {
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
	control_reap(device);
	state = atomic_load_explicit(&session->state, memory_order_relaxed);
	if (state == -EINPROGRESS)
		session->orphan = true;
	else if (state || atomic_load_explicit(&device->dead, memory_order_relaxed))
		session_free(session);
	else
		destroy_queue(device, session);
	pthread_mutex_unlock(&device->lock);
}

uint64_t vcrypto_session_id(const struct vcrypto_session *session)
{
	return session->op.request.header.session_id;
}
