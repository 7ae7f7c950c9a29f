/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fake_resource.h.
 */
#include "fake_resource.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"

struct fake_instance {
	struct resource_instance base;
	struct vc_request *held[FAKE_MOST];
};

static struct fake *fake_of(struct resource_instance *instance)
{
	return (struct fake *)instance->resource;
}

static bool fake_can(const struct resource *resource, const struct session_params *params)
{
	return atomic_load(&((struct fake *)(uintptr_t)resource)->can);
}

static void fake_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	config->crypto_services |= 1u << resource->index;
	config->max_cipher_key_len = vc_max(config->max_cipher_key_len, resource->index);
}

static int fake_open(struct resource *resource, unsigned int worker,
                     struct resource_instance **instance)
{
	struct fake_instance *in = calloc(1, sizeof(*in));

	if (!in)
		return -ENOMEM;
	in->base.resource = resource;
	*instance = &in->base;
	return 0;
}

static void fake_close(struct resource_instance *instance)
{
	free(instance);
}

static int fake_realise(struct resource_instance *instance, const struct session_params *params,
                        void **handle)
{
	struct fake *fake = fake_of(instance);
	int error = atomic_load(&fake->realise_error);

	if (error)
		return error;
	*handle = malloc(1);
	atomic_fetch_add(&fake->realised, 1);
	return *handle ? 0 : -ENOMEM;
}

static void fake_drop(struct resource_instance *instance, void *handle)
{
	free(handle);
	atomic_fetch_add(&fake_of(instance)->dropped, 1);
}

static unsigned int fake_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                                unsigned int n)
{
	struct fake_instance *in = (struct fake_instance *)instance;
	struct fake *fake = fake_of(instance);
	unsigned int room = atomic_load(&fake->capacity) - instance->in_flight;

	n = vc_min(n, room);
	for (unsigned int i = 0; i < n; i++)
		in->held[instance->in_flight++] = reqs[i];
	atomic_fetch_add(&fake->submitted, n);
	if (n > atomic_load(&fake->largest_burst))
		atomic_store(&fake->largest_burst, n);
	return n;
}

static unsigned int fake_poll(struct resource_instance *instance, struct vc_request **reqs,
                              unsigned int n, bool flush)
{
	struct fake_instance *in = (struct fake_instance *)instance;
	struct fake *fake = fake_of(instance);
	unsigned int taken = 0;

	if (atomic_load(&fake->hold))
		return 0;
	while (taken < n && instance->in_flight) {
		struct vc_request *req = in->held[--instance->in_flight];

		if (atomic_load(&fake->fail)) {
			req->status = VC_STATUS_RESOURCE;
		} else {
			for (uint32_t i = 0; i < req->length; i++)
				req->dst[i] = req->src[i] ^ FAKE_MASK;
			req->status = VIRTIO_CRYPTO_OK;
		}
		reqs[taken++] = req;
	}
	atomic_fetch_add(&fake->completed, taken);
	return taken;
}

static int fake_fd(struct resource_instance *instance)
{
	return fake_of(instance)->fd;
}

static bool fake_arm(struct resource_instance *instance)
{
	return !atomic_load(&fake_of(instance)->hold) && instance->in_flight;
}

static void fake_disarm(struct resource_instance *instance)
{
	/* All instances have this one: what says that nothing is held is for the others, too. */
	if (atomic_load(&fake_of(instance)->hold))
		event_clear(fake_of(instance)->fd);
}

static const struct resource_ops fake_ops = {
	.type = "fake",
	.can = fake_can,
	.offer = fake_offer,
	.open = fake_open,
	.close = fake_close,
	.realise = fake_realise,
	.drop = fake_drop,
	.submit = fake_submit,
	.poll = fake_poll,
	.fd = fake_fd,
	.arm = fake_arm,
	.disarm = fake_disarm,
};

struct fake *fake_new(const char *name, unsigned int index)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	if (!fake)
		abort();
	fake->base.ops = &fake_ops;
	fake->base.index = index;
	snprintf(fake->base.name, sizeof(fake->base.name), "%s", name);
	atomic_store(&fake->can, true);
	atomic_store(&fake->capacity, FAKE_MOST);
	fake->fd = event_create();
	return fake;
}

void fake_free(struct fake *fake)
{
	close(fake->fd);
	free(fake);
}

void fake_release(struct fake *fake)
{
	atomic_store(&fake->hold, false);
	event_signal(fake->fd);
}
