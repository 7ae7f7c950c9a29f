/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a resource says that it can do, and what it does: offer, can and realise agree, and all that
 * is offered is in the list that the other tests run through.
 */
#include "resource_kinds.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

static struct fixture fixture;

static int open_mb(void **state)
{
	fixture_open(&fixture, "ipsec-mb", 0);
	*state = &fixture;
	return 0;
}

static int open_lc(void **state)
{
	fixture_open(&fixture, "libcrypto", 1);
	*state = &fixture;
	return 0;
}

/* DPDK's name of a software device. */
static const char *vdev;

static int open_vdev(void **state)
{
	fixture_open_vdev(&fixture, vdev);
	*state = &fixture;
	return 0;
}

static int close_it(void **state)
{
	fixture_close(*state);
	return 0;
}

static const uint16_t lengths[] = {0, 1, 8, 15, 16, 17, 20, 24, 28, 32, 33, 48, 64, 65, 512, 513};

/* can() and realise() say the same; true: it can. */
static bool agree(struct fixture *f, struct session_params *p)
{
	static uint8_t keys[2][513];
	const struct resource_ops *ops = f->resource->ops;
	bool can = ops->can(f->resource, p);
	void *handle = NULL;

	if (!keys[0][1]) {
		random_fill(keys[0], sizeof(keys[0]));
		random_fill(keys[1], sizeof(keys[1]));
		keys[0][1] = 1;
	}
	p->key = keys[0];
	p->auth_key = keys[1];
	assert_int_equal(ops->realise(f->instance, p, &handle), can ? 0 : -ENOTSUP);
	if (can) {
		assert_non_null(handle);
		ops->drop(f->instance, handle);
	}
	return can;
}

/* Every mixture of lengths for one algorithm; true: some can be done. */
static bool any_can(struct fixture *f, struct session_params p)
{
	bool some = false;

	for (unsigned int i = 0; i < vc_array_size(lengths) * vc_array_size(lengths); i++) {
		p.key_len = p.auth_key_len = lengths[i / vc_array_size(lengths)];
		p.tag_len = lengths[i % vc_array_size(lengths)];
		for (p.encrypt = 0; p.encrypt < 2; p.encrypt++)
			some |= agree(f, &p);
	}
	return some;
}

static void masks_say_what_can_be_done(void **state)
{
	struct virtio_crypto_config config = {0};
	struct fixture *f = *state;
	uint32_t services = 0;

	f->resource->ops->offer(f->resource, &config);
	for (unsigned int a = 0; a < 64; a++) {
		const struct {
			struct session_params params;
			uint64_t mask;
		} of[] = {
			{{.service = VIRTIO_CRYPTO_SERVICE_CIPHER, .cipher = (uint8_t)a},
		         config.cipher_algo_l | (uint64_t)config.cipher_algo_h << 32},
			{{.service = VIRTIO_CRYPTO_SERVICE_HASH, .hash = (uint8_t)a},
		         config.hash_algo},
			{{.service = VIRTIO_CRYPTO_SERVICE_MAC, .mac = (uint8_t)a},
		         config.mac_algo_l | (uint64_t)config.mac_algo_h << 32},
			{{.service = VIRTIO_CRYPTO_SERVICE_AEAD, .aead = (uint8_t)a},
		         config.aead_algo},
		};

		for (unsigned int i = 0; i < vc_array_size(of); i++) {
			bool can = any_can(f, of[i].params);

			if (can != (of[i].mask >> a & 1))
				fail_msg("service %u, algorithm %u: offered %d, can %d",
				         of[i].params.service, a, !can, can);
			if (can && !kinds_have(of[i].params.service, a))
				fail_msg("service %u, algorithm %u is not tested",
				         of[i].params.service, a);
			services |= (uint32_t)can << of[i].params.service;
		}
	}
	assert_int_equal(config.crypto_services & 0xf, services);
	assert_int_equal(config.crypto_services >> VIRTIO_CRYPTO_SERVICE_AKCIPHER & 1,
	                 config.akcipher_algo != 0);
}

/* Any cipher that can be chained with any MAC is on its own there too. */
static void chains_are_made_of_what_is_offered(void **state)
{
	struct fixture *f = *state;
	struct virtio_crypto_config config = {0};
	unsigned int some = 0;

	f->resource->ops->offer(f->resource, &config);
	for (unsigned int c = 0; c < 16; c++) {
		for (unsigned int m = 0; m < 32; m++) {
			struct session_params p = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
			                           .cipher = (uint8_t)c,
			                           .mac = (uint8_t)m};

			for (p.chain = 1; p.chain <= 2; p.chain++) {
				if (!any_can(f, p))
					continue;
				some++;
				assert_true(config.cipher_algo_l >> c & 1);
				assert_true(config.mac_algo_l >> m & 1);
			}
		}
	}
	assert_true(some >= 4);
}

/* A key or tag of the greatest length that is offered is one that something takes. */
static void limits_are_the_longest_keys(void **state)
{
	struct virtio_crypto_config config = {.max_size = 77};
	struct fixture *f = *state;
	struct session_params p = {.service = VIRTIO_CRYPTO_SERVICE_MAC,
	                           .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_256,
	                           .tag_len = 32};
	bool some = false;

	f->resource->ops->offer(f->resource, &config);
	p.auth_key_len = config.max_auth_key_len;
	assert_true(agree(f, &p));
	p.auth_key_len++;
	assert_false(agree(f, &p));
	for (unsigned int c = 0; c < 16; c++) {
		struct session_params q = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
		                           .cipher = (uint8_t)c,
		                           .key_len = config.max_cipher_key_len};

		some |= agree(f, &q);
		for (q.key_len++; q.key_len < 100; q.key_len++)
			assert_false(agree(f, &q));
	}
	assert_true(some);
	assert_true(config.max_size >= 1u << 20);
}

/* Equal halves make no XTS (IEEE 1619): said at once, not with the first request. */
static void equal_xts_keys_are_rejected(void **state)
{
	struct fixture *f = *state;
	uint8_t key[64];
	struct session_params p = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                           .cipher = VIRTIO_CRYPTO_CIPHER_AES_XTS,
	                           .key = key,
	                           .encrypt = 1};
	void *handle;

	for (p.key_len = 32; p.key_len <= 64; p.key_len += 32) {
		memset(key, 0x5a, sizeof(key));
		assert_int_equal(f->resource->ops->realise(f->instance, &p, &handle),
		                 -EKEYREJECTED);
		key[p.key_len - 1] ^= 1;
		assert_int_equal(f->resource->ops->realise(f->instance, &p, &handle), 0);
		f->resource->ops->drop(f->instance, handle);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest dpdk[] = {
		cmocka_unit_test_setup_teardown(masks_say_what_can_be_done, open_vdev, close_it),
		cmocka_unit_test_setup_teardown(chains_are_made_of_what_is_offered, open_vdev,
	                                        close_it),
		cmocka_unit_test_setup_teardown(limits_are_the_longest_keys, open_vdev, close_it),
	};

	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(masks_say_what_can_be_done, open_mb, close_it),
		cmocka_unit_test_setup_teardown(masks_say_what_can_be_done, open_lc, close_it),
		cmocka_unit_test_setup_teardown(chains_are_made_of_what_is_offered, open_mb,
	                                        close_it),
		cmocka_unit_test_setup_teardown(chains_are_made_of_what_is_offered, open_lc,
	                                        close_it),
		cmocka_unit_test_setup_teardown(limits_are_the_longest_keys, open_mb, close_it),
		cmocka_unit_test_setup_teardown(limits_are_the_longest_keys, open_lc, close_it),
		cmocka_unit_test_setup_teardown(equal_xts_keys_are_rejected, open_lc, close_it),
	};

	vdev = argc > 1 ? argv[1] : NULL;
	return vdev ? cmocka_run_group_tests_name(vdev, dpdk, NULL, NULL)
	            : cmocka_run_group_tests(tests, NULL, NULL);
}
