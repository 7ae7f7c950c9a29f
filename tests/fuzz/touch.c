/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See touch.h.
 */
#include "touch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "fuzz.h"

struct instance {
	struct resource_instance base;
	struct vc_request *held[TOUCH_MAX];
};

static struct touch *touch_of(struct resource_instance *instance)
{
	return (struct touch *)instance->resource;
}

static bool touch_can(const struct resource *resource, const struct session_params *params)
{
	return true;
}

static void touch_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	config->crypto_services |= 0x1f;
}

static int touch_open(struct resource *resource, unsigned int worker,
                      struct resource_instance **instance)
{
	struct instance *in = calloc(1, sizeof(*in));

	fuzz_check(in);
	in->base.resource = resource;
	*instance = &in->base;
	return 0;
}

static void touch_close(struct resource_instance *instance)
{
	free(instance);
}

static int touch_realise(struct resource_instance *instance, const struct session_params *params,
                         void **handle)
{
	if (touch_of(instance)->refuse)
		return -ENOTSUP;
	fuzz_touch_read(params->key, params->key_len);
	fuzz_touch_read(params->auth_key, params->auth_key_len);
	*handle = malloc(1);
	return *handle ? 0 : -ENOMEM;
}

static void touch_drop(struct resource_instance *instance, void *handle)
{
	free(handle);
}

static unsigned int touch_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                                 unsigned int n)
{
	struct instance *in = (struct instance *)instance;
	unsigned int taken = 0;

	while (taken < n && instance->in_flight < touch_of(instance)->capacity)
		in->held[instance->in_flight++] = reqs[taken++];
	return taken;
}

void touch_request(struct vc_request *req)
{
	bool asymmetric = req->kind >= VC_REQUEST_AK_ENCRYPT;
	bool digest = req->kind == VC_REQUEST_HASH || req->kind == VC_REQUEST_MAC;

	fuzz_touch_read(req->handle, 1);
	fuzz_touch_read(req->src, req->length);
	fuzz_touch_read(req->aad, req->aad_len);
	if (!digest)
		fuzz_touch_write(req->dst, asymmetric ? req->dst_len : req->length);
	if (req->kind == VC_REQUEST_AK_VERIFY)
		fuzz_touch_read(req->tag, req->tag_len);
	else
		fuzz_touch_write(req->tag, req->tag_len);
	if (asymmetric)
		req->result_len = req->dst_len;
}

static unsigned int touch_poll(struct resource_instance *instance, struct vc_request **reqs,
                               unsigned int n, bool flush)
{
	struct instance *in = (struct instance *)instance;
	unsigned int taken = 0;

	while (!touch_of(instance)->hold && taken < n && instance->in_flight) {
		/* The last first: nothing comes back in order. */
		struct vc_request *req = in->held[--instance->in_flight];

		req->status = VC_STATUS_RESOURCE;
		if (!touch_of(instance)->fail) {
			touch_request(req);
			req->status =
				req->length % 7 == 6 ? VIRTIO_CRYPTO_BADMSG : VIRTIO_CRYPTO_OK;
		}
		reqs[taken++] = req;
	}
	return taken;
}

static int touch_fd(struct resource_instance *instance)
{
	return -1;
}

static bool touch_arm(struct resource_instance *instance)
{
	return true;
}

static void touch_disarm(struct resource_instance *instance)
{
}

static const struct resource_ops touch_ops = {
	.type = "touch",
	.can = touch_can,
	.offer = touch_offer,
	.open = touch_open,
	.close = touch_close,
	.realise = touch_realise,
	.drop = touch_drop,
	.submit = touch_submit,
	.poll = touch_poll,
	.fd = touch_fd,
	.arm = touch_arm,
	.disarm = touch_disarm,
};

void touch_init(struct touch *touch, const char *name, unsigned int index)
{
	*touch = (struct touch){.base = {.ops = &touch_ops, .index = index}, .capacity = 4};
	snprintf(touch->base.name, sizeof(touch->base.name), "%s", name);
}
