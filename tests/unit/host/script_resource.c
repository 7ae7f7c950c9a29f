/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See script_resource.h.
 */
#include "script_resource.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "guest.h"

#define MAGIC 0x5e551011u

struct script_session {
	uint32_t magic, key_len;
	uint8_t key[32];
};

/* One that was taken. The result is known at once, and given when it is time. */
struct script_held {
	struct vc_request *req;
	uint64_t ready;
	bool hangs, scribbled;
	uint8_t result[SCRIPT_LENGTH];
};

static struct script *script_of(const struct resource_instance *instance)
{
	return (struct script *)instance->resource;
}

static bool chance(struct script *s, unsigned int percent)
{
	return percent && guest_random(s->random) % 100 < percent;
}

void script_encrypt(const uint8_t *key, uint32_t key_len, const uint8_t *iv, const uint8_t *src,
                    uint8_t *dst, uint32_t length)
{
	static EVP_CIPHER_CTX *context;
	const EVP_CIPHER *cipher = key_len == 16   ? EVP_aes_128_cbc()
	                           : key_len == 24 ? EVP_aes_192_cbc()
	                                           : EVP_aes_256_cbc();
	int n = 0;

	if (!context)
		context = EVP_CIPHER_CTX_new();
	if (!EVP_EncryptInit_ex(context, cipher, NULL, key, iv) ||
	    !EVP_EncryptUpdate(context, dst, &n, src, (int)length))
		abort();
}

static bool script_can(const struct resource *resource, const struct session_params *params)
{
	const struct script *s = (const struct script *)resource;

	return params->service == VIRTIO_CRYPTO_SERVICE_CIPHER && s->can >> params->key_len / 8 & 1;
}

static void script_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	config->crypto_services |= 1;
}

static int script_open(struct resource *resource, unsigned int worker,
                       struct resource_instance **instance)
{
	struct script *s = (struct script *)resource;

	s->instance = calloc(1, sizeof(*s->instance));
	if (!s->instance)
		return -ENOMEM;
	s->instance->resource = resource;
	*instance = s->instance;
	return 0;
}

static void script_close(struct resource_instance *instance)
{
	free(instance);
}

static int script_realise(struct resource_instance *instance, const struct session_params *params,
                          void **handle)
{
	struct script *s = script_of(instance);
	struct script_session *session;

	if (chance(s, s->no_memory))
		return -ENOMEM;
	if (s->refuses >> params->key[0] % 32 & 1)
		return -EKEYREJECTED;
	session = calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	session->magic = MAGIC;
	session->key_len = params->key_len;
	memcpy(session->key, params->key, params->key_len);
	s->realised++;
	*handle = session;
	return 0;
}

static void script_drop(struct resource_instance *instance, void *handle)
{
	memset(handle, 0, sizeof(struct script_session));
	free(handle);
	script_of(instance)->dropped++;
}

static unsigned int script_submit(struct resource_instance *instance,
                                  struct vc_request *const *reqs, unsigned int n)
{
	struct script *s = script_of(instance);
	unsigned int taken = 0;

	while (taken < n && s->count < s->capacity) {
		struct vc_request *req = reqs[taken++];
		struct script_held *held = s->held[s->count++];
		const struct script_session *session = req->handle;

		if (session->magic != MAGIC || req->length > SCRIPT_LENGTH)
			abort();
		held->req = req;
		held->ready = *s->now + (s->delay ? guest_random(s->random) % s->delay : 0);
		held->hangs = chance(s, s->hangs);
		held->scribbled = false;
		script_encrypt(session->key, session->key_len, req->iv, req->src, held->result,
		               req->length);
	}
	instance->in_flight = s->count;
	return taken;
}

static void finish(struct script *s, struct script_held *held)
{
	struct vc_request *req = held->req;
	const struct script_session *session = req->handle;

	/* Its session must be there for as long as it is. */
	if (session->magic != MAGIC)
		abort();
	req->status = VIRTIO_CRYPTO_OK;
	if (!held->scribbled && chance(s, s->refused))
		req->status = VC_STATUS_REFUSED;
	else if (!held->scribbled && chance(s, s->failed))
		req->status = VC_STATUS_RESOURCE;
	if (req->status == VIRTIO_CRYPTO_OK)
		memcpy(req->dst, held->result, req->length);
	else if (req->dst != req->src)
		memset(req->dst, 0xfa, req->length);
}

static unsigned int script_poll(struct resource_instance *instance, struct vc_request **reqs,
                                unsigned int n, bool flush)
{
	struct script *s = script_of(instance);
	unsigned int done = 0, from = 0;

	if (s->reorders && s->count)
		from = guest_random(s->random) % s->count;
	for (unsigned int looked = 0; done < n && looked < s->count;) {
		unsigned int at = (from + looked) % s->count;

		struct script_held *held = s->held[at];

		if (held->hangs || held->ready > *s->now) {
			looked++;
			continue;
		}
		finish(s, held);
		reqs[done++] = held->req;
		s->count--;
		memmove(&s->held[at], &s->held[at + 1],
		        (s->count - at) * sizeof(struct script_held *));
		s->held[s->count] = held;
	}
	instance->in_flight = s->count;
	return done;
}

static int script_fd(struct resource_instance *instance)
{
	return -1;
}

static bool script_arm(struct resource_instance *instance)
{
	return true;
}

static void script_disarm(struct resource_instance *instance)
{
}

static const struct resource_ops script_ops = {
	.type = "script",
	.can = script_can,
	.offer = script_offer,
	.open = script_open,
	.close = script_close,
	.realise = script_realise,
	.drop = script_drop,
	.submit = script_submit,
	.poll = script_poll,
	.fd = script_fd,
	.arm = script_arm,
	.disarm = script_disarm,
};

void script_init(struct script *script, const char *name, unsigned int index, uint64_t *random,
                 uint64_t *now)
{
	memset(script, 0, sizeof(*script));
	script->base.ops = &script_ops;
	script->base.index = index;
	snprintf(script->base.name, sizeof(script->base.name), "%s", name);
	script->random = random;
	script->now = now;
	script->all = calloc(SCRIPT_MOST, sizeof(*script->all));
	script->held = calloc(SCRIPT_MOST, sizeof(struct script_held *));
	if (!script->all || !script->held)
		abort();
	for (unsigned int i = 0; i < SCRIPT_MOST; i++)
		script->held[i] = &script->all[i];
}

void script_free(struct script *script)
{
	free(script->all);
	free(script->held);
}

void script_heal(struct script *script)
{
	script->capacity = SCRIPT_MOST;
	script->delay = 0;
	script->failed = script->refused = script->hangs = script->no_memory = 0;
	for (unsigned int i = 0; i < script->count; i++) {
		script->held[i]->hangs = false;
		script->held[i]->ready = 0;
	}
}

void script_scribble(struct script *script)
{
	for (unsigned int i = 0; i < script->count; i++) {
		struct script_held *held = script->held[i];

		if (!held->hangs || guest_random(script->random) % 2)
			continue;
		held->scribbled = true;
		memset(held->req->dst, (int)(guest_random(script->random) & 0xff),
		       held->req->length);
	}
}
