/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipsec-mb: do the lanes of this library, on this machine, agree?
 *
 * Main thread, once for each resource. The library tests itself with one message at a time, but
 * what counts here is many at once, of different keys, and there are versions that get that wrong
 * (2.0.0, 3DES with AVX-512: right in one lane only). So each group runs requests together and one
 * by one, and a group where that makes a difference is not used at all: what it would have done
 * goes to another resource.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "host/resource/ipsec_mb.h"

/* One more than there are lanes: one is left over for the flush. */
#define TRIES (MB_LANES + 1)
#define LONGEST 160

#define CIPHER_OF(a, key, way)                                                                     \
	{                                                                                          \
		.service = VIRTIO_CRYPTO_SERVICE_CIPHER, .cipher = (a), .key_len = (key),          \
		.encrypt = (way)                                                                   \
	}
#define CCM_OF(key, way)                                                                           \
	{                                                                                          \
		.service = VIRTIO_CRYPTO_SERVICE_AEAD, .aead = VIRTIO_CRYPTO_AEAD_CCM,             \
		.key_len = (key), .encrypt = (way), .tag_len = 16                                  \
	}
#define HASH_OF(a)                                                                                 \
	{                                                                                          \
		.service = VIRTIO_CRYPTO_SERVICE_HASH, .hash = (a), .tag_len = 20                  \
	}
#define MAC_OF(a, key)                                                                             \
	{                                                                                          \
		.service = VIRTIO_CRYPTO_SERVICE_MAC, .mac = (a), .auth_key_len = (key),           \
		.tag_len = 16                                                                      \
	}

/* One kind of session for each group. */
static const struct session_params kinds[] = {
	CIPHER_OF(VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 1),
	CIPHER_OF(VIRTIO_CRYPTO_CIPHER_AES_CBC, 24, 1),
	CIPHER_OF(VIRTIO_CRYPTO_CIPHER_AES_CBC, 32, 1),
	CCM_OF(16, 0),
	CCM_OF(32, 0),
	CCM_OF(16, 1),
	CCM_OF(32, 1),
	MAC_OF(VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20),
	MAC_OF(VIRTIO_CRYPTO_MAC_HMAC_SHA_224, 28),
	MAC_OF(VIRTIO_CRYPTO_MAC_HMAC_SHA_256, 32),
	MAC_OF(VIRTIO_CRYPTO_MAC_HMAC_SHA_384, 48),
	MAC_OF(VIRTIO_CRYPTO_MAC_HMAC_SHA_512, 64),
	HASH_OF(VIRTIO_CRYPTO_HASH_SHA1),
	HASH_OF(VIRTIO_CRYPTO_HASH_SHA_224),
	HASH_OF(VIRTIO_CRYPTO_HASH_SHA_256),
	HASH_OF(VIRTIO_CRYPTO_HASH_SHA_384),
	HASH_OF(VIRTIO_CRYPTO_HASH_SHA_512),
	MAC_OF(VIRTIO_CRYPTO_MAC_CMAC_AES, 16),
	MAC_OF(VIRTIO_CRYPTO_MAC_CMAC_AES, 32),
};

static_assert(vc_array_size(kinds) == MB_GROUPS, "a kind for each group");

struct
try {
	struct vc_request req;
	uint8_t key[64], source[LONGEST], together[LONGEST], alone[LONGEST];
	uint8_t tag_together[REQUEST_MAX_TAG], tag_alone[REQUEST_MAX_TAG];
};

static void try_make(struct try *t, unsigned int n, const struct mb_session *s)
{
	struct vc_request *req = &t->req;

	memset(req, 0, sizeof(*req));
	req->handle = (void *)(uintptr_t)s;
	for (unsigned int i = 0; i < LONGEST; i++)
		t->source[i] = (uint8_t)(i * 5 + n * 31);
	memset(req->iv, 0x40 + (int)n, sizeof(req->iv));
	/* No two the same, and a multiple of every block. */
	req->length = 16 * (1 + n * 7 % (LONGEST / 16));
	req->src = t->source;
	req->aad = t->key;
	req->iv_len = s->class == MB_AEAD ? 12 : s->iv_len;
	req->tag_len = s->class == MB_AEAD ? s->tag_len : s->digest_len;
}

static void run(struct mb_instance *mb, unsigned int group, struct try *tries)
{
	struct vc_request *reqs[TRIES];

	for (unsigned int i = 0; i < TRIES; i++) {
		reqs[i] = &tries[i].req;
		reqs[i]->dst = tries[i].together;
		reqs[i]->tag = tries[i].tag_together;
	}
	mb_run_group(mb, group, reqs, TRIES);
	for (unsigned int i = 0; i < TRIES; i++) {
		reqs[i]->dst = tries[i].alone;
		reqs[i]->tag = tries[i].tag_alone;
		mb_run_group(mb, group, &reqs[i], 1);
	}
}

static bool agree(const struct try *tries)
{
	bool same = true;

	for (unsigned int i = 0; i < TRIES; i++)
		same = same && memcmp(tries[i].together, tries[i].alone, LONGEST) == 0 &&
		       memcmp(tries[i].tag_together, tries[i].tag_alone, REQUEST_MAX_TAG) == 0;
	return same;
}

/* The group of a kind of session, tried out; 0, or its bit. */
static uint32_t broken(struct mb_instance *mb, struct session_params params, struct try *tries)
{
	struct resource_instance *instance = &mb->base;
	unsigned int group = mb_stage_of(&params), made = 0;
	void *handle[TRIES];
	bool sound = true;
	char name[64];

	memset(tries, 0, TRIES * sizeof(*tries));
	for (; made < TRIES && sound; made++) {
		memset(tries[made].key, 0x11 * (int)(made % 15), 16);
		memset(tries[made].key + 16, 3 + (int)made, sizeof(tries[made].key) - 16);
		params.key = params.auth_key = tries[made].key;
		if (mb_realise(instance, &params, &handle[made]) < 0)
			break;
		try_make(&tries[made], made, handle[made]);
	}
	if (made == TRIES) {
		run(mb, group, tries);
		sound = agree(tries);
	}
	while (made)
		mb_drop(instance, handle[--made]);
	if (!sound)
		log_warning("ipsec-mb %s: %s comes out wrong in parallel: left to other resources",
		            imb_get_version_str(),
		            session_params_name(&params, name, sizeof(name)));
	return sound ? 0 : 1u << group;
}

uint32_t mb_broken_groups(struct mb_instance *mb)
{
	struct try *tries = aligned_alloc(VC_CACHE_LINE, vc_round_up(TRIES * sizeof(*tries), 64));
	uint32_t groups = 0;

	for (unsigned int i = 0; tries && i < vc_array_size(kinds); i++)
		groups |= broken(mb, kinds[i], tries);
	free(tries);
	return groups;
}
