/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type ipsec-mb: Intel's multi-buffer library, in the worker itself.
 *
 * CBC encryption and HMAC are serial in one message; the library gets its speed from working on up
 * to 16 messages side by side. So their requests gather in groups, one an algorithm, and a group
 * runs when it fills the lanes, when nothing new came (poll with flush), or after a little
 * patience. All else runs at once. Every run is synchronous: after a poll with flush nothing is in
 * flight, and there is nothing to sleep on.
 *
 * create, destroy: main thread. The rest: the worker that opened the instance. Requests come
 * checked from the front; what the library would not survive is checked again (mb_check).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"
#include "host/resource/algorithm.h"
#include "host/resource/ipsec_mb.h"

static int mb_create(const struct resource_config *config, struct resource **resource, char **error)
{
	if (config->threads) {
		*error = str_format("resource '%s': type ipsec-mb has no threads", config->name);
		return -EINVAL;
	}
	*resource = calloc(1, sizeof(**resource));
	return *resource ? 0 : -ENOMEM;
}

static void mb_destroy(struct resource *resource)
{
	free(resource);
}

/* Bytes of the full digest; 0 when we do not have the MAC. */
static uint8_t mac_digest(uint8_t mac)
{
	if (mac == VIRTIO_CRYPTO_MAC_HMAC_SHA1)
		return IMB_SHA1_DIGEST_SIZE_IN_BYTES;
	if (mac == VIRTIO_CRYPTO_MAC_HMAC_SHA_256)
		return IMB_SHA256_DIGEST_SIZE_IN_BYTES;
	return 0;
}

static bool mb_can(const struct resource *resource, const struct session_params *params)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (!algorithm_aes_key_ok(params->key_len))
			return false;
		if (!params->chain)
			return params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CBC ||
			       params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CTR;
		return params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CBC && !params->aad_len &&
		       mac_digest(params->mac) && algorithm_mac_params_ok(params);
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return mac_digest(params->mac) && algorithm_mac_params_ok(params);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return params->aead == VIRTIO_CRYPTO_AEAD_GCM &&
		       algorithm_aes_key_ok(params->key_len) && params->tag_len >= 4 &&
		       params->tag_len <= MB_MAX_GCM_TAG;
	}
	return false;
}

static void mb_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	config->crypto_services |= 1u << VIRTIO_CRYPTO_SERVICE_CIPHER |
	                           1u << VIRTIO_CRYPTO_SERVICE_MAC |
	                           1u << VIRTIO_CRYPTO_SERVICE_AEAD;
	config->cipher_algo_l |=
		1u << VIRTIO_CRYPTO_CIPHER_AES_CBC | 1u << VIRTIO_CRYPTO_CIPHER_AES_CTR;
	config->mac_algo_l |=
		1u << VIRTIO_CRYPTO_MAC_HMAC_SHA1 | 1u << VIRTIO_CRYPTO_MAC_HMAC_SHA_256;
	config->aead_algo |= 1u << VIRTIO_CRYPTO_AEAD_GCM;
	algorithm_offer_limits(config, 32);
}

static int mb_open(struct resource *resource, unsigned int worker,
                   struct resource_instance **instance)
{
	struct mb_instance *mb = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*mb), 64));
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (!mb)
		return -ENOMEM;
	memset(mb, 0, sizeof(*mb));
	mb->base.resource = resource;
	mb->manager = alloc_mb_mgr(0);
	if (!mb->manager) {
		free(mb);
		return -ENOMEM;
	}
	init_mb_mgr_auto(mb->manager, &arch);
	/* No AES instructions, or the library's own power-on test failed. */
	if (imb_get_errno(mb->manager) || arch == IMB_ARCH_NONE) {
		free_mb_mgr(mb->manager);
		free(mb);
		return -ENODEV;
	}
	*instance = &mb->base;
	return 0;
}

static void mb_close(struct resource_instance *instance)
{
	struct mb_instance *mb = (struct mb_instance *)instance;

	/* The manager's lanes may still hold key schedules and hash states. */
	secmem_wipe(mb->job, sizeof(mb->job));
	secmem_wipe(mb->manager, imb_get_mb_mgr_size());
	free_mb_mgr(mb->manager);
	free(mb);
}

static void expand_aes(IMB_MGR *manager, struct mb_session *s, const uint8_t *key)
{
	if (s->key_len == 16)
		IMB_AES_KEYEXP_128(manager, key, s->key.aes.encrypt, s->key.aes.decrypt);
	else if (s->key_len == 24)
		IMB_AES_KEYEXP_192(manager, key, s->key.aes.encrypt, s->key.aes.decrypt);
	else
		IMB_AES_KEYEXP_256(manager, key, s->key.aes.encrypt, s->key.aes.decrypt);
}

static void expand_gcm(IMB_MGR *manager, struct mb_session *s, const uint8_t *key)
{
	if (s->key_len == 16)
		IMB_AES128_GCM_PRE(manager, key, &s->key.gcm);
	else if (s->key_len == 24)
		IMB_AES192_GCM_PRE(manager, key, &s->key.gcm);
	else
		IMB_AES256_GCM_PRE(manager, key, &s->key.gcm);
}

/* The two hash states of HMAC (RFC 2104): after one block of key ^ ipad, of key ^ opad. */
static void expand_hmac(IMB_MGR *manager, struct mb_session *s, const uint8_t *key, uint32_t length)
{
	bool sha1 = s->hash == IMB_AUTH_HMAC_SHA_1;
	uint8_t block[64] = {0}, pad[64];

	if (length <= sizeof(block)) {
		if (length)
			memcpy(block, key, length);
	} else if (sha1) {
		IMB_SHA1(manager, key, length, block);
	} else {
		IMB_SHA256(manager, key, length, block);
	}
	for (int outer = 0; outer < 2; outer++) {
		uint8_t *state = outer ? s->key.aes.opad : s->key.aes.ipad;

		for (unsigned int i = 0; i < sizeof(block); i++)
			pad[i] = block[i] ^ (outer ? 0x5c : 0x36);
		if (sha1)
			IMB_SHA1_ONE_BLOCK(manager, pad, state);
		else
			IMB_SHA256_ONE_BLOCK(manager, pad, state);
	}
	secmem_wipe(block, sizeof(block));
	secmem_wipe(pad, sizeof(pad));
}

static void set_mac(struct mb_instance *mb, struct mb_session *s,
                    const struct session_params *params)
{
	s->digest_len = mac_digest(params->mac);
	s->hash = params->mac == VIRTIO_CRYPTO_MAC_HMAC_SHA1 ? IMB_AUTH_HMAC_SHA_1
	                                                     : IMB_AUTH_HMAC_SHA_256;
	expand_hmac(mb->manager, s, params->auth_key, params->auth_key_len);
}

static void set_cipher(struct mb_instance *mb, struct mb_session *s,
                       const struct session_params *params)
{
	unsigned int size = (params->key_len - 16) / 8;

	expand_aes(mb->manager, s, params->key);
	if (params->chain) {
		set_mac(mb, s, params);
		s->class = MB_CHAIN;
		s->order = params->chain;
		s->group = MB_GROUP_CHAIN + size * 8 +
		           (params->mac == VIRTIO_CRYPTO_MAC_HMAC_SHA1 ? 4 : 0) +
		           (params->encrypt ? 2 : 0) +
		           (params->chain == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH);
	} else if (params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CTR) {
		s->class = MB_CTR;
	} else if (params->encrypt) {
		s->class = MB_CBC_ENCRYPT;
		s->group = MB_GROUP_CBC + size;
	} else {
		s->class = MB_CBC_DECRYPT;
	}
}

static int mb_realise(struct resource_instance *instance, const struct session_params *params,
                      void **handle)
{
	struct mb_instance *mb = (struct mb_instance *)instance;
	struct mb_session *s;

	if (!mb_can(instance->resource, params))
		return -ENOTSUP;
	s = secmem_alloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->key_len = params->key_len;
	s->encrypt = params->encrypt;
	if (params->service == VIRTIO_CRYPTO_SERVICE_AEAD) {
		s->class = MB_GCM;
		expand_gcm(mb->manager, s, params->key);
	} else if (params->service == VIRTIO_CRYPTO_SERVICE_MAC) {
		s->class = MB_MAC;
		set_mac(mb, s, params);
		s->group = MB_GROUP_MAC + (s->hash == IMB_AUTH_HMAC_SHA_1);
	} else {
		set_cipher(mb, s, params);
	}
	*handle = s;
	return 0;
}

static void mb_drop(struct resource_instance *instance, void *handle)
{
	secmem_free(handle);
}

/* Run the first n requests of a group. */
static void run_some(struct mb_instance *mb, unsigned int group, unsigned int n)
{
	struct mb_list *list = &mb->group[group];
	struct vc_request *reqs[MB_BURST];

	while (n) {
		unsigned int now = vc_min(n, (unsigned int)MB_BURST);

		for (unsigned int i = 0; i < now; i++)
			reqs[i] = mb_list_take(list);
		mb_run_group(mb, group, reqs, now);
		for (unsigned int i = 0; i < now; i++)
			mb_list_add(&mb->done, reqs[i]);
		n -= now;
	}
	list->waited = 0;
	if (!list->count)
		mb->waiting &= ~(1u << group);
}

static unsigned int mb_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                              unsigned int n)
{
	struct mb_instance *mb = (struct mb_instance *)instance;

	for (unsigned int i = 0; i < n; i++) {
		struct vc_request *req = reqs[i];
		const struct mb_session *s = req->handle;

		if (mb_check(req, s) == MB_FINISHED) {
			mb_list_add(&mb->done, req);
		} else if (s->class < MB_CBC_ENCRYPT) {
			mb_run_direct(mb, req, s);
			mb_list_add(&mb->done, req);
		} else {
			mb_list_add(&mb->group[s->group], req);
			mb->waiting |= 1u << s->group;
			if (mb->group[s->group].count == MB_BURST)
				run_some(mb, s->group, MB_BURST);
		}
	}
	instance->in_flight += n;
	return n;
}

static unsigned int mb_poll(struct resource_instance *instance, struct vc_request **reqs,
                            unsigned int n, bool flush)
{
	struct mb_instance *mb = (struct mb_instance *)instance;
	unsigned int taken = 0;

	for (uint32_t left = mb->waiting; left; left &= left - 1) {
		unsigned int g = (unsigned int)__builtin_ctz(left);
		struct mb_list *list = &mb->group[g];

		if (flush || ++list->waited > MB_PATIENCE)
			run_some(mb, g, list->count);
		else if (list->count >= MB_LANES)
			run_some(mb, g, list->count - list->count % MB_LANES);
	}
	while (taken < n && mb->done.count)
		reqs[taken++] = mb_list_take(&mb->done);
	instance->in_flight -= taken;
	return taken;
}

static int mb_fd(struct resource_instance *instance)
{
	return -1;
}

static bool mb_arm(struct resource_instance *instance)
{
	return instance->in_flight != 0;
}

static void mb_disarm(struct resource_instance *instance)
{
}

const struct resource_ops resource_ipsec_mb = {
	.type = "ipsec-mb",
	.create = mb_create,
	.destroy = mb_destroy,
	.can = mb_can,
	.offer = mb_offer,
	.open = mb_open,
	.close = mb_close,
	.realise = mb_realise,
	.drop = mb_drop,
	.submit = mb_submit,
	.poll = mb_poll,
	.fd = mb_fd,
	.arm = mb_arm,
	.disarm = mb_disarm,
};
