/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device: open (connect, agree on features, share memory, start the queues), close, and what is
 * asked of it as a whole. Any thread, under the device's lock.
 *
 * The shared region holds, in this order: for each data queue its slots and ring, the control
 * queue's, keys of stateless sessions, room for copies where the transport needs them, and the
 * arena that vcrypto_memory_alloc() gives out. Nothing that we rely on lies there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio/bounce.h"
#include "virtio/driver.h"
#include "virtio/inband.h"

#define BIT(n) (1ull << (n))
#define FEATURES_NEEDED BIT(VIRTIO_F_VERSION_1)
#define FEATURES_USED                                                                              \
	(FEATURES_NEEDED | BIT(VIRTIO_F_RING_INDIRECT_DESC) | BIT(VIRTIO_F_RING_EVENT_IDX) |       \
	 BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER))

#define DEFAULT_DEPTH 1024u
#define MAX_DEPTH 16384u
#define MAX_QUEUES 64u
#define DEFAULT_TIMEOUT_MS 5000u
#define DEFAULT_MEMORY ((size_t)64 << 20)
#define DEFAULT_KEY_MEMORY ((size_t)4 << 20)
#define MAX_MEMORY ((size_t)1 << 40)

const char *vcrypto_version(void)
{
	return VCRYPTO_VERSION;
}

void device_lost(struct vcrypto_device *device)
{
	atomic_store(&device->dead, true);
	atomic_store(&device->held, true);
}

int device_held(const struct vcrypto_device *device)
{
	if (vc_likely(!atomic_load_explicit(&device->held, memory_order_relaxed)))
		return 0;
	return atomic_load_explicit(&device->dead, memory_order_relaxed) ? -EPIPE : -EAGAIN;
}

/* No request is sent while the status lacks HW_READY (virtio 1.3, 5.9.5.2). */
static void ready_set(struct vcrypto_device *device, uint32_t status)
{
	atomic_store(&device->held, !(status & VIRTIO_CRYPTO_S_HW_READY));
	/* In the order of device_lost(), so that a device that dies meanwhile stays held. */
	if (atomic_load(&device->dead))
		atomic_store(&device->held, true);
}

int device_result(struct vcrypto_device *device, int error)
{
	if (error == -EPIPE || error == -ETIMEDOUT || error == -EPROTO)
		device_lost(device);
	return error;
}

static int plan_make(struct device_plan *plan, const struct vcrypto_device_options *options,
                     struct transport_error *error)
{
	plan->options = *options;
	if (!plan->options.queues)
		plan->options.queues = 1;
	if (!plan->options.depth)
		plan->options.depth = DEFAULT_DEPTH;
	if (!plan->options.timeout_ms)
		plan->options.timeout_ms = DEFAULT_TIMEOUT_MS;
	if (!plan->options.memory)
		plan->options.memory = DEFAULT_MEMORY;
	if (plan->options.sessions != VCRYPTO_SESSIONS_STATELESS)
		plan->options.key_memory = 0;
	else if (!plan->options.key_memory)
		plan->options.key_memory = DEFAULT_KEY_MEMORY;
	plan->depth = plan->options.depth;
	if ((!plan->options.socket || !*plan->options.socket) && !plan->options.pci)
		transport_error_set(error, "no socket given");
	else if (plan->options.pci && sessions_by_message(plan->options.sessions))
		transport_error_set(error, "sessions by message are for vhost-user");
	else if (plan->depth < 2 || plan->depth > MAX_DEPTH || !vc_is_power_of_two(plan->depth))
		transport_error_set(error, "depth %u is not a power of two from 2 to %u",
		                    plan->depth, MAX_DEPTH);
	else if (plan->options.memory > MAX_MEMORY || plan->options.key_memory > MAX_MEMORY)
		transport_error_set(error, "%zu bytes of memory are too many",
		                    vc_max(plan->options.memory, plan->options.key_memory));
	else if (plan->options.ring > VCRYPTO_RING_PACKED)
		transport_error_set(error, "ring is none of VCRYPTO_RING_*");
	else if (plan->options.hugepages < -1 || plan->options.hugepages > 1)
		transport_error_set(error, "hugepages is -1, 0 or 1");
	else if (plan->options.pieces > OP_MAX_PIECES)
		transport_error_set(error, "%u pieces are more than %u", plan->options.pieces,
		                    OP_MAX_PIECES);
	else if ((unsigned int)plan->options.sessions > VCRYPTO_SESSIONS_STATELESS)
		transport_error_set(error, "sessions is none of enum vcrypto_session_way");
	else
		return 0;
	return -EINVAL;
}

/* The configuration space, and what follows of its status. Under the lock. */
static int space_read(struct vcrypto_device *device, struct virtio_crypto_config *config)
{
	int err;

	if (sessions_by_message(device->sessions)) {
		*config = device->config;
		return 0;
	}
	atomic_store(&device->unread, false);
	err = device_result(device, device->ops->config_read(device->transport, config,
	                                                     sizeof(*config), &device->error));
	if (!err)
		ready_set(device, config->status);
	return err;
}

/* Back ends that make sessions by message are not asked for a configuration, as QEMU does not:
 * DPDK's offers to give one, and hangs up when it is asked. What QEMU's devices show to their
 * guests is then what there is. */
static int config_get(struct vcrypto_device *device)
{
	struct virtio_crypto_config *config = &device->config;

	if (!sessions_by_message(device->sessions))
		return space_read(device, config);
	*config = (struct virtio_crypto_config){
		.status = VIRTIO_CRYPTO_S_HW_READY,
		.max_dataqueues = device->ops->queues_max(device->transport),
		.crypto_services = 1u << VIRTIO_CRYPTO_SERVICE_CIPHER,
		.cipher_algo_l = 1u << VIRTIO_CRYPTO_CIPHER_AES_CBC,
		.mac_algo_l = 1u << VIRTIO_CRYPTO_MAC_HMAC_SHA1,
		.max_cipher_key_len = 64,
		.max_auth_key_len = 512,
		.max_size = UINT32_MAX,
	};
	return 0;
}

static bool behind_qemu(const struct vcrypto_device *device)
{
	return device->ops->behind_qemu && device->ops->behind_qemu(device->transport);
}

static int device_count_queues(struct vcrypto_device *device, const struct device_plan *plan)
{
	unsigned int queues = device->ops->queues_max(device->transport);
	unsigned int control = sessions_by_message(device->sessions) ? 0 : 1;

	if (!device->config.max_dataqueues || device->config.max_dataqueues + control > queues) {
		transport_error_set(&device->error,
		                    "the device has %u data queues, the back end takes %u queues",
		                    device->config.max_dataqueues, queues);
		return -EPROTO;
	}
	device->queue_count = vc_min(plan->options.queues, device->config.max_dataqueues);
	device->queue_count = vc_min(device->queue_count, MAX_QUEUES);
	if (behind_qemu(device))
		device->queue_count = 1;
	return 0;
}

static int features_choose(struct device_plan *plan, uint64_t offered,
                           struct transport_error *error)
{
	bool stateless = plan->options.sessions == VCRYPTO_SESSIONS_STATELESS;
	uint64_t features = offered & (FEATURES_USED | (stateless ? VIRTIO_CRYPTO_FEATURES : 0));

	if (stateless && (!(features >> VIRTIO_CRYPTO_F_REVISION_1 & 1) ||
	                  !(features & VIRTIO_CRYPTO_FEATURES_STATELESS))) {
		transport_error_set(error, "the device has no stateless mode");
		return -EPROTO;
	}
	/* Split ones where there is a choice: their descriptors stay as they are from one request
	 * to the next, and in both caches (op.h); bench-host-ring has 150 against 168 cycles. */
	if (plan->options.ring != VCRYPTO_RING_PACKED)
		features &= ~BIT(VIRTIO_F_RING_PACKED);
	else if (!(features & BIT(VIRTIO_F_RING_PACKED))) {
		transport_error_set(error, "the device has no packed rings");
		return -EPROTO;
	}
	plan->indirect = features & BIT(VIRTIO_F_RING_INDIRECT_DESC);
	/* Only with one descriptor for each request do we use them in ring order (2.7.9). */
	if (!plan->indirect)
		features &= ~BIT(VIRTIO_F_IN_ORDER);
	plan->kind = (struct ring_kind){.packed = features & BIT(VIRTIO_F_RING_PACKED),
	                                .event_idx = features & BIT(VIRTIO_F_RING_EVENT_IDX),
	                                .in_order = features & BIT(VIRTIO_F_IN_ORDER)};
	plan->features = features;
	return 0;
}

static int device_negotiate(struct vcrypto_device *device, struct device_plan *plan,
                            uint64_t without)
{
	struct transport_error *error = &device->error;
	uint64_t offered;
	const char *where = plan->options.pci ? plan->options.pci : plan->options.socket;
	int err = device->ops->open(where, device->timeout_ms, &device->transport, &offered, error);

	if (err)
		return err;
	if ((offered & FEATURES_NEEDED) != FEATURES_NEEDED) {
		transport_error_set(error, "the back end is a legacy one (no VERSION_1)");
		return -EPROTO;
	}
	err = features_choose(plan, offered & ~without, error);
	if (err)
		return err;
	err = device->ops->features_set(device->transport, plan->features, error);
	if (err)
		return err;
	device->features = plan->features;
	err = config_get(device);
	return err ? err : device_count_queues(device, plan);
}

static int control_start(struct vcrypto_device *device)
{
	int err;

	if (sessions_by_message(device->sessions)) {
		device->control.way = &control_way_message;
		return 0;
	}
	device->control.way = &control_way_queue;
	device->control.transport.index = device->config.max_dataqueues;
	err = device->ops->queue_start(device->transport, &device->control.transport,
	                               &device->error);
	if (!err && device->ops->start)
		err = device->ops->start(device->transport, &device->error);
	if (err)
		return err;
	if (device->sessions == VCRYPTO_SESSIONS_IN_BAND)
		return inband_begin(device, true);
	if (device->sessions == VCRYPTO_SESSIONS_AUTO && behind_qemu(device))
		return inband_begin(device, false);
	return device->agreement ? inband_ask(device) : 0;
}

/* Room for copies: behind the rings, the control queue's among them. */
static int copies_start(struct vcrypto_device *device, const struct device_plan *plan,
                        uint8_t *memory)
{
	for (unsigned int i = 0; plan->copy_size && i < device->queue_count; i++) {
		struct vcrypto_queue *q = &device->queues[i];

		q->bounce = bounce_new(q, &device->copied, memory + i * plan->copy_size,
		                       plan->copy_size);
		if (!q->bounce)
			return -ENOMEM;
		q->layered = true;
	}
	return 0;
}

static int device_queues(struct vcrypto_device *device, const struct device_plan *plan)
{
	uint8_t *memory = device->region.base;
	struct vcrypto_queue *q;
	int err;

	device->queues = aligned_alloc(VC_CACHE_LINE, device->queue_count * sizeof(*q));
	if (!device->queues)
		return -ENOMEM;
	memset(device->queues, 0, device->queue_count * sizeof(*q));
	for (unsigned int i = 0; i < device->queue_count; i++)
		device->queues[i].transport = (struct transport_queue){
			.index = i, .ring = &device->queues[i].ring, .kick_fd = -1, .call_fd = -1};
	for (unsigned int i = 0; i < device->queue_count; i++, memory += plan->queue_size) {
		q = &device->queues[i];
		err = queue_init(q, device, memory, plan->depth, plan->options.pieces,
		                 plan->indirect, plan->kind);
		q->context.apart = sessions_by_message(device->sessions);
		q->context.unusual |= q->context.apart;
		if (err)
			return err;
		err = device->ops->queue_start(device->transport, &q->transport, &device->error);
		if (err)
			return err;
	}
	/* Keys pass here: out of the swap, as far as we are allowed to. */
	mlock(memory, plan->control_size);
	control_init(&device->control, memory, plan->indirect, plan->kind);
	err = copies_start(device, plan, memory + plan->control_size);
	return err ? err : control_start(device);
}

static void queue_close(struct transport_queue *queue)
{
	if (queue->kick_fd >= 0)
		close(queue->kick_fd);
	if (queue->call_fd >= 0)
		close(queue->call_fd);
}

void vcrypto_device_close(struct vcrypto_device *device)
{
	if (!device)
		return;
	/* The back end first: it must not touch memory that somebody else may get. */
	if (device->transport)
		device->ops->close(device->transport);
	inband_end(device);
	for (unsigned int i = 0; device->queues && i < device->queue_count; i++) {
		queue_close(&device->queues[i].transport);
		bounce_free(device->queues[i].bounce);
		queue_fini(&device->queues[i]);
	}
	free(device->queues);
	queue_close(&device->control.transport);
	control_fini(&device->control);
	arena_fini(&device->keys);
	arena_fini(&device->arena);
	shared_region_destroy(&device->region);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

int device_open_over(const struct transport_ops *ops, const struct vcrypto_device_options *options,
                     uint64_t features, struct vcrypto_device **device, char **error)
{
	struct transport_error text = {""};
	struct vcrypto_device *d = NULL;
	struct device_plan plan;
	int err = plan_make(&plan, options, &text);

	if (err)
		goto out;
	err = -ENOMEM;
	d = calloc(1, sizeof(*d));
	if (!d)
		goto out;
	d->ops = ops;
	d->sessions = plan.options.sessions;
	d->agreement = plan.options.agreement && d->sessions <= VCRYPTO_SESSIONS_CONTROL_QUEUE;
	d->timeout_ms = plan.options.timeout_ms;
	d->region.fd = -1;
	d->control.transport =
		(struct transport_queue){.ring = &d->control.ring, .kick_fd = -1, .call_fd = -1};
	pthread_mutex_init(&d->lock, NULL);
	err = device_negotiate(d, &plan, features);
	if (!err)
		err = device_memory(d, &plan);
	if (!err)
		err = device_queues(d, &plan);
	text = d->error;
out:
	if (error)
		*error = err ? strdup(text.text[0] ? text.text : strerror(-err)) : NULL;
	if (err) {
		vcrypto_device_close(d);
		return err == -EREMOTEIO || err == -EPIPE ? -EPROTO : err;
	}
	*device = d;
	return 0;
}

int device_open_without(const struct vcrypto_device_options *options, uint64_t features,
                        struct vcrypto_device **device, char **error)
{
	return device_open_over(options->pci ? &transport_pci : &transport_vhost_user, options,
	                        features, device, error);
}

int vcrypto_device_open(const struct vcrypto_device_options *options,
                        struct vcrypto_device **device, char **error)
{
	return device_open_without(options, 0, device, error);
}

const char *vcrypto_device_error(const struct vcrypto_device *device)
{
	return device->error.text;
}

unsigned int vcrypto_device_queues(const struct vcrypto_device *device)
{
	return device->queue_count;
}

struct vcrypto_queue *vcrypto_device_queue(struct vcrypto_device *device, unsigned int index)
{
	return index < device->queue_count ? &device->queues[index] : NULL;
}

/* What the device can do: the configuration space says it, or the way in which sessions are made.
 * The latter is not asked while the device is not ready. */
static int config_read_all(struct vcrypto_device *device, struct virtio_crypto_config *config)
{
	int (*read)(struct vcrypto_device *, struct virtio_crypto_config *) =
		device->control.way->config_read;
	struct virtio_crypto_config space;
	int err;

	pthread_mutex_lock(&device->lock);
	err = space_read(device, &space);
	*config = device->config;
	pthread_mutex_unlock(&device->lock);
	if (err)
		return err;
	if (!read)
		*config = space;
	else if (!device_held(device))
		err = device_result(device, read(device, config));
	config->status &= space.status;
	return err;
}

int vcrypto_device_capabilities(struct vcrypto_device *device, struct vcrypto_capabilities *caps)
{
	struct virtio_crypto_config c;
	int err = config_read_all(device, &c);
	uint32_t curves;

	if (err)
		return err;
	pthread_mutex_lock(&device->lock);
	device->config = c;
	curves = device->agree_curves;
	pthread_mutex_unlock(&device->lock);
	*caps = (struct vcrypto_capabilities){
		.services = c.crypto_services,
		.ciphers = c.cipher_algo_l | (uint64_t)c.cipher_algo_h << 32,
		.hashes = c.hash_algo,
		.agree_curves = curves,
		.macs = c.mac_algo_l | (uint64_t)c.mac_algo_h << 32,
		.aeads = c.aead_algo,
		.akciphers = c.akcipher_algo,
		.max_cipher_key = c.max_cipher_key_len,
		.max_auth_key = c.max_auth_key_len,
		.max_size = c.max_size,
		.max_queues = c.max_dataqueues,
		.ready = c.status & VIRTIO_CRYPTO_S_HW_READY,
	};
	return 0;
}

bool device_there(struct vcrypto_device *device)
{
	if (atomic_load_explicit(&device->dead, memory_order_relaxed))
		return false;
	if (!device->ops->alive(device->transport)) {
		device_lost(device);
		return false;
	}
	if (device->ops->changed && device->ops->changed(device->transport)) {
		atomic_store(&device->unread, true);
		atomic_store(&device->changed, true);
	}
	return true;
}

bool vcrypto_device_alive(struct vcrypto_device *device)
{
	struct virtio_crypto_config config;
	bool there = device_there(device);

	if (vc_likely(!there || !atomic_load_explicit(&device->unread, memory_order_relaxed)))
		return there;
	pthread_mutex_lock(&device->lock);
	space_read(device, &config);
	pthread_mutex_unlock(&device->lock);
	return !atomic_load_explicit(&device->dead, memory_order_relaxed);
}

bool vcrypto_device_changed(struct vcrypto_device *device)
{
	return vcrypto_device_alive(device) && atomic_exchange(&device->changed, false);
}

int vcrypto_device_fd(const struct vcrypto_device *device)
{
	return device->ops->fd(device->transport);
}
