/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See resource_kinds.h.
 */
#include "resource_kinds.h"

#include <stdio.h>

#include "base/util.h"

#define CIPHER VIRTIO_CRYPTO_SERVICE_CIPHER
#define MAC VIRTIO_CRYPTO_SERVICE_MAC
#define AEAD VIRTIO_CRYPTO_SERVICE_AEAD

struct list {
	struct job_kind *kind;
	unsigned int count;
};

static const struct {
	uint8_t algorithm, iv_len, keys[3];
} ciphers[] = {
	{VIRTIO_CRYPTO_CIPHER_AES_ECB, 0, {16, 24, 32}},
	{VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, {16, 24, 32}},
	{VIRTIO_CRYPTO_CIPHER_AES_CTR, 16, {16, 24, 32}},
	{VIRTIO_CRYPTO_CIPHER_3DES_CBC, 8, {24}},
	{VIRTIO_CRYPTO_CIPHER_AES_XTS, 16, {32, 64}},
};

static const struct {
	uint8_t mac, size;
} macs[] = {
	{VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20},    {VIRTIO_CRYPTO_MAC_HMAC_SHA_224, 28},
	{VIRTIO_CRYPTO_MAC_HMAC_SHA_256, 32}, {VIRTIO_CRYPTO_MAC_HMAC_SHA_384, 48},
	{VIRTIO_CRYPTO_MAC_HMAC_SHA_512, 64}, {VIRTIO_CRYPTO_MAC_CMAC_AES, 16},
};

static const struct {
	uint8_t hash, size;
} hashes[] = {
	{VIRTIO_CRYPTO_HASH_SHA1, 20},     {VIRTIO_CRYPTO_HASH_SHA_224, 28},
	{VIRTIO_CRYPTO_HASH_SHA_256, 32},  {VIRTIO_CRYPTO_HASH_SHA_384, 48},
	{VIRTIO_CRYPTO_HASH_SHA_512, 64},  {VIRTIO_CRYPTO_HASH_SHA3_224, 28},
	{VIRTIO_CRYPTO_HASH_SHA3_256, 32}, {VIRTIO_CRYPTO_HASH_SHA3_384, 48},
	{VIRTIO_CRYPTO_HASH_SHA3_512, 64},
};

static const struct {
	uint8_t algorithm, keys[3], ivs[4], tags[3];
} aeads[] = {
	{VIRTIO_CRYPTO_AEAD_GCM, {16, 24, 32}, {12, 8, 16, 1}, {16, 12, 4}},
	{VIRTIO_CRYPTO_AEAD_CCM, {16, 24, 32}, {12, 7, 11}, {16, 8, 4}},
	{VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305, {32}, {12}, {16}},
};

static void add(struct list *list, struct job_kind kind)
{
	assert_true(list->count < KINDS_MAX);
	list->kind[list->count++] = kind;
}

static void add_chains(struct list *list, unsigned int c, uint8_t key_len)
{
	for (unsigned int n = 0; n < vc_array_size(macs) * 4; n++) {
		struct job_kind kind = {.service = CIPHER,
		                        .algorithm = ciphers[c].algorithm,
		                        .iv_len = ciphers[c].iv_len,
		                        .key_len = key_len,
		                        .mac = macs[n / 4].mac,
		                        .encrypt = n % 2,
		                        .chain = (uint8_t)(1 + n / 2 % 2),
		                        .tag_len = macs[n / 4].size};

		/* Now and then a shortened tag. */
		if (n % 3 == 0)
			kind.tag_len = (uint8_t)(kind.tag_len - 4);
		add(list, kind);
	}
}

static void add_hash_chains(struct list *list, unsigned int c, uint8_t key_len)
{
	for (unsigned int n = 0; n < vc_array_size(hashes) * 4; n++)
		add(list, (struct job_kind){.service = CIPHER,
		                            .algorithm = ciphers[c].algorithm,
		                            .iv_len = ciphers[c].iv_len,
		                            .key_len = key_len,
		                            .hash = hashes[n / 4].hash,
		                            .encrypt = n % 2,
		                            .chain = (uint8_t)(1 + n / 2 % 2),
		                            .tag_len = hashes[n / 4].size});
}

static void add_ciphers(struct list *list)
{
	for (unsigned int c = 0; c < vc_array_size(ciphers); c++) {
		for (unsigned int k = 0; k < 3 && ciphers[c].keys[k]; k++)
			for (uint8_t encrypt = 0; encrypt < 2; encrypt++)
				add(list, (struct job_kind){.service = CIPHER,
				                            .algorithm = ciphers[c].algorithm,
				                            .iv_len = ciphers[c].iv_len,
				                            .key_len = ciphers[c].keys[k],
				                            .encrypt = encrypt});
		add_chains(list, c, ciphers[c].keys[c % 2 ? 0 : 1]);
	}
	add_chains(list, 1, 24);
	add_chains(list, 1, 32);
	add_hash_chains(list, 1, 16);
	add_hash_chains(list, 2, 32);
}

static void add_aead(struct list *list, unsigned int a)
{
	for (unsigned int n = 0; n < 36; n++) {
		unsigned int k = n % 3, i = n / 3 % 4, t = n % 4 % 3;

		if (!aeads[a].keys[k] || !aeads[a].ivs[i])
			continue;
		if (!aeads[a].tags[t])
			t = 0;
		add(list, (struct job_kind){.service = AEAD,
		                            .algorithm = aeads[a].algorithm,
		                            .key_len = aeads[a].keys[k],
		                            .iv_len = aeads[a].ivs[i],
		                            .tag_len = aeads[a].tags[t],
		                            .encrypt = (uint8_t)(n / 12 % 2)});
	}
}

unsigned int kinds_all(struct job_kind *kinds)
{
	struct list list = {kinds, 0};

	add_ciphers(&list);
	for (unsigned int a = 0; a < vc_array_size(aeads); a++)
		add_aead(&list, a);
	for (unsigned int h = 0; h < vc_array_size(hashes); h++)
		add(&list, (struct job_kind){.service = VIRTIO_CRYPTO_SERVICE_HASH,
		                             .algorithm = hashes[h].hash,
		                             .tag_len = hashes[h].size});
	for (unsigned int m = 0; m < vc_array_size(macs); m++)
		for (uint8_t key_len = 16; key_len <= 32; key_len = (uint8_t)(key_len + 8))
			add(&list, (struct job_kind){.service = MAC,
			                             .mac = macs[m].mac,
			                             .key_len = key_len,
			                             .tag_len = macs[m].size});
	return list.count;
}

unsigned int kinds_of(const struct fixture *f, struct job_kind *kinds)
{
	unsigned int n = kinds_all(kinds), kept = 0;

	for (unsigned int i = 0; i < n; i++)
		if (kind_can(f, &kinds[i]))
			kinds[kept++] = kinds[i];
	return kept;
}

bool kinds_have(uint8_t service, unsigned int algorithm)
{
	struct job_kind kinds[KINDS_MAX];
	unsigned int n = kinds_all(kinds);

	for (unsigned int i = 0; i < n; i++)
		if (kinds[i].service == service &&
		    (service == MAC ? kinds[i].mac : kinds[i].algorithm) == algorithm)
			return true;
	return false;
}

const char *kind_name(const struct job_kind *kind)
{
	static char name[160];

	snprintf(name, sizeof(name),
	         "service %u, algorithm %u, mac %u, hash %u, chain %u, encrypt %u, key %u, iv %u, "
	         "tag %u",
	         kind->service, kind->algorithm, kind->mac, kind->hash, kind->chain, kind->encrypt,
	         kind->key_len, kind->iv_len, kind->tag_len);
	return name;
}
