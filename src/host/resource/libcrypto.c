/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type libcrypto: what OpenSSL can do, on threads of its own, so that a slow operation
 * (RSA) never holds a worker up; small symmetric ones in the worker. The resource of last resort.
 *
 * It has a library context of its own with the default provider alone, and reads no openssl.cnf:
 * the host's may name the vcrypto provider, and that would lead back to us.
 *
 * create, destroy: main thread; open, close, realise, drop: the worker. The work is done in
 * libcrypto_sym.c, libcrypto_rsa.c, libcrypto_ec.c and libcrypto_agree.c, by the threads of
 * helpers.c.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vcrypto/inband.h>

#include "base/secmem.h"
#include "host/resource/libcrypto.h"

static const char *const cipher_names[ALGORITHM_CIPHERS][LC_KEY_SIZES] = {
	[VIRTIO_CRYPTO_CIPHER_AES_ECB] = {"AES-128-ECB", "AES-192-ECB", "AES-256-ECB"},
	[VIRTIO_CRYPTO_CIPHER_AES_CBC] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"},
	[VIRTIO_CRYPTO_CIPHER_AES_CTR] = {"AES-128-CTR", "AES-192-CTR", "AES-256-CTR"},
	[VIRTIO_CRYPTO_CIPHER_3DES_CBC] = {"DES-EDE3-CBC"},
	[VIRTIO_CRYPTO_CIPHER_AES_XTS] = {"AES-128-XTS", "AES-256-XTS"},
};

static const char *const aead_names[ALGORITHM_AEADS][LC_KEY_SIZES] = {
	[VIRTIO_CRYPTO_AEAD_GCM] = {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"},
	[VIRTIO_CRYPTO_AEAD_CCM] = {"AES-128-CCM", "AES-192-CCM", "AES-256-CCM"},
	[VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305] = {"ChaCha20-Poly1305"},
};

static const char *const hash_names[ALGORITHM_HASHES] = {
	[VIRTIO_CRYPTO_HASH_SHA1] = "SHA1",         [VIRTIO_CRYPTO_HASH_SHA_224] = "SHA2-224",
	[VIRTIO_CRYPTO_HASH_SHA_256] = "SHA2-256",  [VIRTIO_CRYPTO_HASH_SHA_384] = "SHA2-384",
	[VIRTIO_CRYPTO_HASH_SHA_512] = "SHA2-512",  [VIRTIO_CRYPTO_HASH_SHA3_224] = "SHA3-224",
	[VIRTIO_CRYPTO_HASH_SHA3_256] = "SHA3-256", [VIRTIO_CRYPTO_HASH_SHA3_384] = "SHA3-384",
	[VIRTIO_CRYPTO_HASH_SHA3_512] = "SHA3-512",
};

static void free_algorithms(struct lc_algorithms *a)
{
	for (unsigned int size = 0; size < LC_KEY_SIZES; size++) {
		for (unsigned int i = 0; i < ALGORITHM_CIPHERS; i++)
			EVP_CIPHER_free(a->cipher[i][size]);
		for (unsigned int i = 0; i < ALGORITHM_AEADS; i++)
			EVP_CIPHER_free(a->aead[i][size]);
	}
	for (unsigned int i = 0; i < ALGORITHM_HASHES; i++)
		EVP_MD_free(a->hash[i]);
	EVP_MAC_free(a->cmac);
}

/* What this build of OpenSSL does not have is simply not offered. */
static void fetch_algorithms(struct lc_resource *lc)
{
	OSSL_LIB_CTX *context = lc->library.context;
	struct lc_algorithms *a = &lc->algorithms;

	for (unsigned int size = 0; size < LC_KEY_SIZES; size++) {
		for (unsigned int i = 0; i < ALGORITHM_CIPHERS; i++)
			if (cipher_names[i][size])
				a->cipher[i][size] =
					EVP_CIPHER_fetch(context, cipher_names[i][size], NULL);
		for (unsigned int i = 0; i < ALGORITHM_AEADS; i++)
			if (aead_names[i][size])
				a->aead[i][size] =
					EVP_CIPHER_fetch(context, aead_names[i][size], NULL);
	}
	for (unsigned int i = 0; i < ALGORITHM_HASHES; i++)
		if (hash_names[i])
			a->hash[i] = EVP_MD_fetch(context, hash_names[i], NULL);
	a->cmac = EVP_MAC_fetch(context, "CMAC", NULL);
	ERR_clear_error();
}

int lc_library_open(struct lc_library *library, char **error)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	library->context = OSSL_LIB_CTX_new();
	if (library->context)
		library->provider = OSSL_PROVIDER_load(library->context, "default");
	if (library->provider)
		return 0;
	*error = str_format("OpenSSL: %s", ERR_reason_error_string(ERR_peek_last_error()));
	ERR_clear_error();
	lc_library_close(library);
	return -ENODEV;
}

void lc_library_close(struct lc_library *library)
{
	OSSL_PROVIDER_unload(library->provider);
	OSSL_LIB_CTX_free(library->context);
	*library = (struct lc_library){NULL, NULL};
}

static void lc_destroy(struct resource *resource)
{
	struct lc_resource *lc = (struct lc_resource *)resource;

	free_algorithms(&lc->algorithms);
	lc_library_close(&lc->library);
	free(lc);
}

static int lc_create(const struct resource_config *config, struct resource **resource, char **error)
{
	struct lc_resource *lc;

	if (config->threads > HELPERS_MAX) {
		*error = str_format("resource '%s': at most %d threads", config->name, HELPERS_MAX);
		return -EINVAL;
	}
	lc = calloc(1, sizeof(*lc));
	if (!lc)
		return -ENOMEM;
	lc->threads = config->threads ? config->threads : 1;
	lc->base.parts = lc->threads;
	if (sched_getaffinity(0, sizeof(lc->cpus), &lc->cpus) < 0)
		CPU_ZERO(&lc->cpus);
	if (lc_library_open(&lc->library, error) < 0) {
		lc_destroy(&lc->base);
		return -ENODEV;
	}
	fetch_algorithms(lc);
	*resource = &lc->base;
	return 0;
}

static bool mac_can(const struct lc_algorithms *a, const struct session_params *params)
{
	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES ? !a->cmac
	                                              : !a->hash[algorithm_hmac_hash(params->mac)])
		return false;
	return algorithm_mac_params_ok(params);
}

static bool hash_can(const struct lc_algorithms *a, const struct session_params *params)
{
	return params->hash < ALGORITHM_HASHES && a->hash[params->hash] && params->tag_len &&
	       params->tag_len <= algorithm_hash_size(params->hash);
}

static bool lc_can(const struct resource *resource, const struct session_params *params)
{
	const struct lc_algorithms *a = &((const struct lc_resource *)resource)->algorithms;

	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (!lc_cipher_find(a, params))
			return false;
		if (!params->chain)
			return true;
		return !params->aad_len && (params->mac ? mac_can(a, params) : hash_can(a, params));
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return hash_can(a, params);
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return mac_can(a, params);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return lc_cipher_find(a, params) &&
		       algorithm_aead_tag_ok(params->aead, params->tag_len);
	case VIRTIO_CRYPTO_SERVICE_AKCIPHER:
		return lc_rsa_can(params) || lc_ecdsa_can(params) || lc_agree_can(params);
	}
	return false;
}

static void lc_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	const struct lc_algorithms *a = &((const struct lc_resource *)resource)->algorithms;
	uint32_t ciphers = 0, hashes = 0, macs = 0, aeads = 0;

	for (unsigned int i = 0; i < ALGORITHM_CIPHERS; i++)
		ciphers |= (uint32_t)(a->cipher[i][0] != NULL) << i;
	for (unsigned int i = 0; i < ALGORITHM_HASHES; i++)
		hashes |= (uint32_t)(a->hash[i] != NULL) << i;
	for (unsigned int i = 0; i < ALGORITHM_MACS; i++)
		macs |= (uint32_t)(a->hash[algorithm_hmac_hash(i)] != NULL) << i;
	macs |= (uint32_t)(a->cmac != NULL) << VIRTIO_CRYPTO_MAC_CMAC_AES;
	for (unsigned int i = 0; i < ALGORITHM_AEADS; i++)
		aeads |= (uint32_t)(a->aead[i][0] != NULL) << i;
	config->cipher_algo_l |= ciphers;
	config->hash_algo |= hashes;
	config->mac_algo_l |= macs;
	config->aead_algo |= aeads;
	config->akcipher_algo |=
		1u << VIRTIO_CRYPTO_AKCIPHER_RSA | 1u << VIRTIO_CRYPTO_AKCIPHER_ECDSA;
	config->crypto_services |= (uint32_t)(ciphers != 0) << VIRTIO_CRYPTO_SERVICE_CIPHER |
	                           (uint32_t)(hashes != 0) << VIRTIO_CRYPTO_SERVICE_HASH |
	                           (uint32_t)(macs != 0) << VIRTIO_CRYPTO_SERVICE_MAC |
	                           (uint32_t)(aeads != 0) << VIRTIO_CRYPTO_SERVICE_AEAD |
	                           1u << VIRTIO_CRYPTO_SERVICE_AKCIPHER;
	algorithm_offer_limits(config, a->cipher[VIRTIO_CRYPTO_CIPHER_AES_XTS][0] ? 64 : 32);
}

static void threads_free(struct lc_instance *in)
{
	for (unsigned int t = 0; t <= in->helpers.count; t++)
		for (unsigned int i = 0; i < ALGORITHM_HASHES; i++)
			EVP_MD_CTX_free(in->thread[t].digest[i]);
	free(in);
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
	in->helpers.work = &lc_work;
	in->helpers.count = lc->threads;
	/* The worker's own is behind the helpers'. */
	for (unsigned int t = 0; t <= lc->threads; t++) {
		in->thread[t] = (struct lc_thread){
			.library = lc->library.context, .algorithms = &lc->algorithms, .index = t};
		if (t < lc->threads)
			in->helpers.helper[t].own = &in->thread[t];
	}
	r = helpers_start(&in->helpers, &lc->cpus);
	if (r < 0) {
		threads_free(in);
		return r;
	}
	*instance = &in->base;
	return 0;
}

static void lc_close(struct resource_instance *instance)
{
	struct lc_instance *in = (struct lc_instance *)instance;

	helpers_stop(&in->helpers);
	/* What libcrypto keeps for the worker's own thread. */
	OPENSSL_thread_stop_ex(in->thread[0].library);
	threads_free(in);
}

/* XTS with two equal keys is no XTS (IEEE 1619, SP 800-38E), and libcrypto would not encrypt. */
static bool key_is_weak(const struct session_params *params)
{
	return params->service == VIRTIO_CRYPTO_SERVICE_CIPHER &&
	       params->cipher == VIRTIO_CRYPTO_CIPHER_AES_XTS &&
	       secmem_equal(params->key, params->key + params->key_len / 2, params->key_len / 2);
}

/* How many bytes of AES one byte costs, roughly; 0: never for the worker itself. */
static uint8_t weight_of(const struct session_params *params)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (params->cipher == VIRTIO_CRYPTO_CIPHER_3DES_CBC)
			return 64;
		return params->chain ? 4 : 1;
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return params->hash >= VIRTIO_CRYPTO_HASH_SHA3_224 ? 8 : 4;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return 4;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return params->aead == VIRTIO_CRYPTO_AEAD_GCM ? 1 : 2;
	default:
		return 0;
	}
}

/*
 * The threads do what is slow (decoding an RSA key takes 0.1 ms), each for itself at its first
 * request: nothing is shared between them, and a worker does not wait.
 */
struct lc_session *lc_session_new(const struct session_params *params, unsigned int locals)
{
	size_t size = sizeof(struct lc_session) + locals * sizeof(struct lc_local);
	struct lc_session *session = aligned_alloc(VC_CACHE_LINE, vc_round_up(size, VC_CACHE_LINE));

	if (!session)
		return NULL;
	memset(session, 0, size);
	session->params = params;
	session->locals = locals;
	session->weight = weight_of(params);
	return session;
}

void lc_session_free(struct lc_session *session)
{
	for (unsigned int t = 0; t < session->locals; t++) {
		struct lc_local *local = &session->local[t];

		EVP_CIPHER_CTX_free(local->cipher);
		EVP_MAC_CTX_free(local->cmac);
		if (session->params->akcipher == VCRYPTO_INBAND_AGREE) {
			EC_GROUP_free(local->agree.group);
			BN_CTX_free(local->agree.numbers);
			continue;
		}
		for (unsigned int i = 0; i < vc_array_size(local->operation); i++)
			EVP_PKEY_CTX_free(local->operation[i]);
		EVP_PKEY_free(local->key);
	}
	secmem_free(session->hmac);
	free(session);
}

static int lc_realise(struct resource_instance *instance, const struct session_params *params,
                      void **handle)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	struct lc_session *session;

	if (!lc_can(instance->resource, params))
		return -ENOTSUP;
	if (key_is_weak(params))
		return -EKEYREJECTED;
	session = lc_session_new(params, in->helpers.count + 1);
	if (!session)
		return -ENOMEM;
	if ((params->service == VIRTIO_CRYPTO_SERVICE_MAC || params->chain) &&
	    algorithm_hmac_hash(params->mac)) {
		session->hmac = secmem_alloc(sizeof(*session->hmac));
		if (!session->hmac ||
		    !lc_hmac_expand(in->thread[0].algorithms, params, session->hmac)) {
			lc_session_free(session);
			return -ENOMEM;
		}
	}
	*handle = session;
	return 0;
}

static void lc_drop(struct resource_instance *instance, void *handle)
{
	(void)instance;
	lc_session_free(handle);
}

const struct resource_ops resource_libcrypto = {
	.type = "libcrypto",
	.parts = "threads",
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
