/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipsec-mb's comparison of its lanes: a library that computes wrongly in parallel only is found out
 * at the start, and what it does wrong is neither offered nor done.
 */
#include "resource_fixture.h"

#include <errno.h>

#include "host/resource/ipsec_mb.h"

static struct fixture fixture;

static int open_it(void **state)
{
	fixture_open(&fixture, "ipsec-mb", 0);
	*state = &fixture;
	return 0;
}

static int close_it(void **state)
{
	fixture_close(*state);
	return 0;
}

static submit_hash_burst_t true_hash;
static submit_cipher_burst_t true_cipher;

/* Wrong for every lane but the first, as version 2.0.0 does 3DES. */
static uint32_t wrong_hash(struct IMB_MGR *manager, struct IMB_JOB *jobs, const uint32_t n,
                           const IMB_HASH_ALG hash)
{
	uint32_t done = true_hash(manager, jobs, n, hash);

	for (uint32_t i = 1; i < n && hash == IMB_AUTH_HMAC_SHA_256; i++)
		jobs[i].auth_tag_output[3] ^= 1;
	return done;
}

/* Wrong for the last of many only. */
static uint32_t wrong_cipher(struct IMB_MGR *manager, struct IMB_JOB *jobs, const uint32_t n,
                             const IMB_CIPHER_MODE mode, const IMB_CIPHER_DIRECTION direction,
                             const IMB_KEY_SIZE_BYTES size)
{
	uint32_t done = true_cipher(manager, jobs, n, mode, direction, size);

	if (n > MB_LANES && size == IMB_KEY_192_BYTES)
		jobs[n - 1].dst[15] ^= 0x80;
	return done;
}

static void a_sound_library_is_used_whole(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mb_broken_groups((struct mb_instance *)f->instance), 0);
}

static void wrong_lanes_are_found(void **state)
{
	struct fixture *f = *state;
	struct mb_instance *mb = (struct mb_instance *)f->instance;
	uint32_t before = mb_broken_groups(mb);

	true_hash = mb->manager->submit_hash_burst_nocheck;
	true_cipher = mb->manager->submit_cipher_burst_nocheck;
	mb->manager->submit_hash_burst_nocheck = wrong_hash;
	assert_int_equal(mb_broken_groups(mb), before | 1u << (MB_GROUP_HMAC + 2));
	mb->manager->submit_cipher_burst_nocheck = wrong_cipher;
	assert_int_equal(mb_broken_groups(mb),
	                 before | 1u << (MB_GROUP_HMAC + 2) | 1u << (MB_GROUP_CBC + 1));
	mb->manager->submit_hash_burst_nocheck = true_hash;
	mb->manager->submit_cipher_burst_nocheck = true_cipher;
}

static void what_is_wrong_is_not_offered(void **state)
{
	struct fixture *f = *state;
	const struct resource_ops *ops = f->resource->ops;
	struct session_params mac = {.service = VIRTIO_CRYPTO_SERVICE_MAC,
	                             .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_256,
	                             .auth_key = (uint8_t *)"key",
	                             .auth_key_len = 3,
	                             .tag_len = 32};
	struct session_params chain = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                               .cipher = VIRTIO_CRYPTO_CIPHER_AES_CTR,
	                               .key = (uint8_t *)"0123456789abcdef",
	                               .key_len = 16,
	                               .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_256,
	                               .auth_key = (uint8_t *)"key",
	                               .auth_key_len = 3,
	                               .chain = 1,
	                               .tag_len = 32};
	struct virtio_crypto_config config = {0};
	void *handle;

	assert_true(ops->can(f->resource, &mac));
	assert_true(ops->can(f->resource, &chain));
	((struct mb_resource *)f->resource)->broken |= 1u << (MB_GROUP_HMAC + 2);
	assert_false(ops->can(f->resource, &mac));
	assert_false(ops->can(f->resource, &chain));
	assert_int_equal(ops->realise(f->instance, &chain, &handle), -ENOTSUP);
	ops->offer(f->resource, &config);
	assert_false(config.mac_algo_l >> VIRTIO_CRYPTO_MAC_HMAC_SHA_256 & 1);
	assert_true(config.mac_algo_l >> VIRTIO_CRYPTO_MAC_HMAC_SHA1 & 1);
	chain.mac = mac.mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1;
	chain.tag_len = 20;
	assert_true(ops->can(f->resource, &chain));
}

#define lanes_test(t) cmocka_unit_test_setup_teardown(t, open_it, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		lanes_test(a_sound_library_is_used_whole),
		lanes_test(wrong_lanes_are_found),
		lanes_test(what_is_wrong_is_not_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
