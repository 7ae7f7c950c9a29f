/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type libcrypto: what OpenSSL can do, on threads of its own, so that a slow operation
 * (RSA) never holds a worker up. The resource of last resort.
 *
 * It has a library context of its own with the default provider alone, and reads no openssl.cnf:
 * the host's may name the vcrypto provider, and that would lead back to us.
 *
 * create, destroy: main thread; open, close, realise, drop: the worker. The work is done in
 * libcrypto_sym.c and libcrypto_rsa.c, by the threads of libcrypto_threads.c.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/resource/libcrypto.h"

static void free_algorithms(struct lc_algorithms *a)
{
	for (int i = 0; i < 3; i++) {
		EVP_CIPHER_free(a->cbc[i]);
		EVP_CIPHER_free(a->ctr[i]);
		EVP_CIPHER_free(a->gcm[i]);
	}
	for (int i = 0; i < LC_HASHES; i++)
		EVP_MD_free(a->hash[i]);
	EVP_MAC_free(a->hmac);
}

static EVP_CIPHER *fetch_aes(OSSL_LIB_CTX *library, int bits, const char *mode)
{
	char name[16];

	snprintf(name, sizeof(name), "AES-%d-%s", bits, mode);
	return EVP_CIPHER_fetch(library, name, NULL);
}

static bool fetch_algorithms(struct lc_resource *lc)
{
	struct lc_algorithms *a = &lc->algorithms;
	bool ok = true;

	for (int i = 0; i < 3; i++) {
		a->cbc[i] = fetch_aes(lc->library, 128 + 64 * i, "CBC");
		a->ctr[i] = fetch_aes(lc->library, 128 + 64 * i, "CTR");
		a->gcm[i] = fetch_aes(lc->library, 128 + 64 * i, "GCM");
		ok = ok && a->cbc[i] && a->ctr[i] && a->gcm[i];
	}
	for (unsigned int i = 0; i < LC_HASHES; i++) {
		if (!lc_hash_name(i))
			continue;
		a->hash[i] = EVP_MD_fetch(lc->library, lc_hash_name(i), NULL);
		ok = ok && a->hash[i];
	}
	a->hmac = EVP_MAC_fetch(lc->library, "HMAC", NULL);
	return ok && a->hmac;
}

static void lc_destroy(struct resource *resource)
{
	struct lc_resource *lc = (struct lc_resource *)resource;

	free_algorithms(&lc->algorithms);
	OSSL_PROVIDER_unload(lc->provider);
	OSSL_LIB_CTX_free(lc->library);
	free(lc);
}

static int lc_create(const struct resource_config *config, struct resource **resource, char **error)
{
	struct lc_resource *lc;

	if (config->threads > LC_MAX_THREADS) {
		*error = str_format("resource '%s': at most %d threads", config->name,
		                    LC_MAX_THREADS);
		return -EINVAL;
	}
	lc = calloc(1, sizeof(*lc));
	if (!lc)
		return -ENOMEM;
	lc->threads = config->threads ? config->threads : 1;
	if (sched_getaffinity(0, sizeof(lc->cpus), &lc->cpus) < 0)
		CPU_ZERO(&lc->cpus);
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	lc->library = OSSL_LIB_CTX_new();
	if (lc->library)
		lc->provider = OSSL_PROVIDER_load(lc->library, "default");
	if (!lc->provider || !fetch_algorithms(lc)) {
		*error = str_format("resource '%s': OpenSSL: %s", config->name,
		                    ERR_reason_error_string(ERR_peek_last_error()));
		ERR_clear_error();
		lc_destroy(&lc->base);
		return -ENODEV;
	}
	*resource = &lc->base;
	return 0;
}

static bool aes_key_ok(uint32_t length)
{
	return length == 16 || length == 24 || length == 32;
}

static bool cipher_can(const struct session_params *params)
{
	if (!aes_key_ok(params->key_len))
		return false;
	if (!params->chain)
		return params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CBC ||
		       params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CTR;
	return params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CBC && !params->aad_len &&
	       params->tag_len && params->tag_len <= lc_mac_size(params->mac);
}

static bool lc_can(const struct resource *resource, const struct session_params *params)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		return cipher_can(params);
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return params->tag_len && params->tag_len <= lc_hash_size(params->hash);
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return params->tag_len && params->tag_len <= lc_mac_size(params->mac);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return params->aead == VIRTIO_CRYPTO_AEAD_GCM && aes_key_ok(params->key_len) &&
		       params->tag_len >= 4 && params->tag_len <= 16;
	case VIRTIO_CRYPTO_SERVICE_AKCIPHER:
		return lc_rsa_can(params);
	}
	return false;
}

static void lc_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	config->crypto_services |=
		1u << VIRTIO_CRYPTO_SERVICE_CIPHER | 1u << VIRTIO_CRYPTO_SERVICE_HASH |
		1u << VIRTIO_CRYPTO_SERVICE_MAC | 1u << VIRTIO_CRYPTO_SERVICE_AEAD |
		1u << VIRTIO_CRYPTO_SERVICE_AKCIPHER;
	config->cipher_algo_l |=
		1u << VIRTIO_CRYPTO_CIPHER_AES_CBC | 1u << VIRTIO_CRYPTO_CIPHER_AES_CTR;
	for (unsigned int i = 0; i < LC_HASHES; i++)
		config->hash_algo |= lc_hash_name(i) ? 1u << i : 0;
	for (unsigned int i = 0; i < LC_MACS; i++)
		config->mac_algo_l |= lc_mac_digest(i) ? 1u << i : 0;
	config->aead_algo |= 1u << VIRTIO_CRYPTO_AEAD_GCM;
	config->akcipher_algo |= 1u << VIRTIO_CRYPTO_AKCIPHER_RSA;
	config->max_cipher_key_len = vc_max(config->max_cipher_key_len, 32u);
	config->max_auth_key_len = vc_max(config->max_auth_key_len, 512u);
	config->max_size = vc_max(config->max_size, (uint64_t)1 << 30);
}

static int lc_open(struct resource *resource, unsigned int worker,
                   struct resource_instance **instance)
{
	struct lc_resource *lc = (struct lc_resource *)resource;
	struct lc_instance *in = aligned_alloc(VC_CACHE_LINE, sizeof(*in));
	int r;

	if (!in)
		return -ENOMEM;
	memset(in, 0, sizeof(*in));
	in->base.resource = resource;
	in->algorithms = &lc->algorithms;
	in->library = lc->library;
	in->threads = lc->threads;
	in->done_fd = event_create();
	if (in->done_fd < 0) {
		r = in->done_fd;
		free(in);
		return r;
	}
	r = lc_threads_start(in, &lc->cpus);
	if (r < 0) {
		close(in->done_fd);
		free(in);
		return r;
	}
	*instance = &in->base;
	return 0;
}

static void lc_close(struct resource_instance *instance)
{
	struct lc_instance *in = (struct lc_instance *)instance;

	lc_threads_stop(in);
	close(in->done_fd);
	free(in);
}

/*
 * The threads do what is slow (decoding an RSA key takes 0.1 ms), each for itself at its first
 * request: nothing is shared between them, and a worker does not wait.
 */
static int lc_realise(struct resource_instance *instance, const struct session_params *params,
                      void **handle)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	size_t size = sizeof(struct lc_session) + in->threads * sizeof(struct lc_local);
	struct lc_session *session;

	if (!lc_can(instance->resource, params))
		return -ENOTSUP;
	session = aligned_alloc(VC_CACHE_LINE, vc_round_up(size, VC_CACHE_LINE));
	if (!session)
		return -ENOMEM;
	memset(session, 0, size);
	session->params = params;
	session->threads = in->threads;
	*handle = session;
	return 0;
}

/* Nothing of it is in flight, so no thread uses its part any more (see lc_poll()). */
static void lc_drop(struct resource_instance *instance, void *handle)
{
	struct lc_session *session = handle;

	for (unsigned int t = 0; t < session->threads; t++) {
		struct lc_local *local = &session->local[t];

		EVP_CIPHER_CTX_free(local->cipher);
		EVP_MAC_CTX_free(local->mac);
		for (unsigned int i = 0; i < vc_array_size(local->operation); i++)
			EVP_PKEY_CTX_free(local->operation[i]);
		EVP_PKEY_free(local->key);
	}
	free(session);
}

const struct resource_ops resource_libcrypto = {
	.type = "libcrypto",
	.create = lc_create,
	.destroy = lc_destroy,
	.can = lc_can,
	.offer = lc_offer,
	.open = lc_open,
	.close = lc_close,
	.realise = lc_realise,
	.drop = lc_drop,
	.submit = lc_submit,
	.poll = lc_poll,
	.fd = lc_fd,
	.arm = lc_arm,
	.disarm = lc_disarm,
};
