/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key agreement of the libcrypto resource, or of the one named: RFC 7748's numbers, agreement with
 * libcrypto used directly on every curve, keys that it makes, and keys and points that are none.
 * Each operation in company, which crypto-mb does at once.
 */
#include "akcipher_fixture.h"

#include <cpuid.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "host/agree.h"

static const struct {
	const char *name; /* libcrypto's; NULL: X25519 */
	uint8_t curve, private_len, point_len;
} curves[] = {
	{NULL, VCRYPTO_INBAND_X25519, 32, 32},
	{"P-256", VIRTIO_CRYPTO_CURVE_NIST_P256, 32, 65},
	{"P-384", VIRTIO_CRYPTO_CURVE_NIST_P384, 48, 97},
	{"P-521", VIRTIO_CRYPTO_CURVE_NIST_P521, 66, 133},
};
#define CURVES vc_array_size(curves)
#define ROOM (AGREE_MAX_PRIVATE + AGREE_MAX_POINT)
#define COMPANY 8

static const char *type = "libcrypto";
static unsigned int company = 2; /* requests that are at the resource together */
static struct fixture fixture;

static int open_it(void **state)
{
	fixture_open(&fixture, type, 2);
	*state = &fixture;
	return 0;
}

static int close_it(void **state)
{
	fixture_close(*state);
	return 0;
}

#define agree_test(t) cmocka_unit_test_setup_teardown(t, open_it, close_it)

/* A key pair of libcrypto's, and as it goes on the wire. */
struct pair {
	EVP_PKEY *pkey;
	uint8_t private[AGREE_MAX_PRIVATE], point[AGREE_MAX_POINT];
};

static void pair_make(struct pair *p, unsigned int c)
{
	size_t private_len = curves[c].private_len, point_len = sizeof(p->point);
	BIGNUM *number = NULL;

	if (!curves[c].name) {
		p->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
		assert_int_equal(EVP_PKEY_get_raw_private_key(p->pkey, p->private, &private_len),
		                 1);
	} else {
		p->pkey = EVP_EC_gen(curves[c].name);
		assert_int_equal(EVP_PKEY_get_bn_param(p->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &number),
		                 1);
		assert_int_equal(BN_bn2binpad(number, p->private, (int)private_len), private_len);
		BN_free(number);
	}
	assert_int_equal(EVP_PKEY_get_octet_string_param(p->pkey, OSSL_PKEY_PARAM_PUB_KEY, p->point,
	                                                 sizeof(p->point), &point_len),
	                 1);
	assert_int_equal(point_len, curves[c].point_len);
}

/* What libcrypto agrees on with whoever has that point. False: on nothing. */
static bool reference_try(const struct pair *p, unsigned int c, const uint8_t *point,
                          uint8_t *secret)
{
	EVP_PKEY *peer = EVP_PKEY_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(p->pkey, NULL);
	size_t length = curves[c].private_len;
	bool ok;

	assert_int_equal(EVP_PKEY_copy_parameters(peer, p->pkey), 1);
	assert_int_equal(EVP_PKEY_set1_encoded_public_key(peer, point, curves[c].point_len), 1);
	assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(ctx, peer), 1);
	ok = EVP_PKEY_derive(ctx, secret, &length) == 1;
	if (ok)
		assert_int_equal(length, curves[c].private_len);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	return ok;
}

static void reference_derive(const struct pair *p, unsigned int c, const uint8_t *point,
                             uint8_t *secret)
{
	assert_true(reference_try(p, c, point, secret));
}

static void agree_open(struct fixture *f, struct akcipher_session *s, unsigned int c)
{
	s->params = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                    .akcipher = VCRYPTO_INBAND_AGREE,
	                                    .curve = curves[c].curve};
	assert_int_equal(session_params_check(&s->params), 0);
	session_realise(f, s);
}

static bool can(const struct fixture *f, unsigned int c)
{
	const struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                      .akcipher = VCRYPTO_INBAND_AGREE,
	                                      .curve = curves[c].curve};

	return f->resource->ops->can(f->resource, &params);
}

struct company {
	uint8_t in[COMPANY][ROOM], out[COMPANY][ROOM];
	uint8_t status[COMPANY];
};

static void company_run(struct fixture *f, const struct akcipher_session *s, unsigned int c,
                        uint8_t kind, struct company *all)
{
	uint32_t pair = (uint32_t)curves[c].private_len + curves[c].point_len;
	struct vc_request *reqs = requests_new(company);

	for (unsigned int i = 0; i < company; i++) {
		reqs[i].handle = s->handle;
		reqs[i].kind = kind;
		reqs[i].src = all->in[i];
		reqs[i].length = kind == VC_REQUEST_AK_DERIVE ? pair : 0;
		reqs[i].dst = all->out[i];
		reqs[i].dst_len = ROOM;
	}
	fixture_run(f, reqs, company, company);
	for (unsigned int i = 0; i < company; i++) {
		all->status[i] = reqs[i].status;
		if (reqs[i].status == VIRTIO_CRYPTO_OK)
			assert_int_equal(reqs[i].result_len, kind == VC_REQUEST_AK_DERIVE
			                                             ? curves[c].private_len
			                                             : pair);
	}
	free(reqs);
}

static void company_put(struct company *all, unsigned int i, unsigned int c, const uint8_t *private,
                        const uint8_t *point)
{
	memcpy(all->in[i], private, curves[c].private_len);
	memcpy(all->in[i] + curves[c].private_len, point, curves[c].point_len);
}

/* The same for everybody. */
static uint8_t derive(struct fixture *f, const struct akcipher_session *s, unsigned int c,
                      const uint8_t *private, const uint8_t *point, uint8_t *secret)
{
	struct company all;

	for (unsigned int i = 0; i < company; i++)
		company_put(&all, i, c, private, point);
	company_run(f, s, c, VC_REQUEST_AK_DERIVE, &all);
	for (unsigned int i = 0; i < company; i++) {
		assert_int_equal(all.status[i], all.status[0]);
		if (all.status[0] == VIRTIO_CRYPTO_OK)
			assert_memory_equal(all.out[i], all.out[0], curves[c].private_len);
	}
	memcpy(secret, all.out[0], curves[c].private_len);
	return all.status[0];
}

static void from_hex(const char *hex, uint8_t *out)
{
	for (; *hex; hex += 2, out++)
		assert_int_equal(sscanf(hex, "%2hhx", out), 1);
}

/* RFC 7748, 5.2. */
static void x25519_gives_the_numbers_of_its_rfc(void **state)
{
	static const char *const known[][3] = {
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
	         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
	         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
	         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
	         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
	};
	uint8_t private[32], point[32], expected[32], secret[ROOM];
	struct fixture *f = *state;
	struct akcipher_session s;

	if (!can(f, 0))
		skip();
	agree_open(f, &s, 0);
	for (unsigned int i = 0; i < vc_array_size(known); i++) {
		from_hex(known[i][0], private);
		from_hex(known[i][1], point);
		from_hex(known[i][2], expected);
		assert_int_equal(derive(f, &s, 0, private, point, secret), VIRTIO_CRYPTO_OK);
		assert_memory_equal(secret, expected, 32);
	}
	session_close(f, &s);
}

/* RFC 7748, 5.2: k and u are both the result and the last k, from 9, a thousand times. */
static void x25519_does_so_a_thousand_times(void **state)
{
	uint8_t k[32] = {9}, u[32] = {9}, expected[32], secret[ROOM];
	struct fixture *f = *state;
	struct akcipher_session s;

	if (!can(f, 0))
		skip();
	agree_open(f, &s, 0);
	for (unsigned int i = 1; i <= 1000; i++) {
		assert_int_equal(derive(f, &s, 0, k, u, secret), VIRTIO_CRYPTO_OK);
		memcpy(u, k, 32);
		memcpy(k, secret, 32);
		if (i == 1) {
			from_hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
			         expected);
			assert_memory_equal(k, expected, 32);
		}
	}
	from_hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", expected);
	assert_memory_equal(k, expected, 32);
	session_close(f, &s);
}

/* Coordinates near zero and near the prime (whose own and larger ones stand for what is left of
 * them modulo the prime; RFC 7748, 5), those with long runs of ones, and the highest bit, which
 * does not count. */
static void coordinate_make(uint8_t *u, unsigned int i)
{
	unsigned int from = test_random() % 256, to = test_random() % 256;

	switch (i % 4) {
	case 0: /* from 2^255 - 64 on: the prime is 2^255 - 19 */
		memset(u, 0xff, 32);
		u[0] = (uint8_t)(0xc0 + i / 4 % 64);
		break;
	case 1:
		memset(u, 0, 32);
		u[0] = (uint8_t)(i / 4);
		break;
	case 2:
		memset(u, 0, 32);
		for (unsigned int bit = from; bit < to; bit++)
			u[bit / 8] |= (uint8_t)(1u << bit % 8);
		break;
	default:
		memset(u, 0xff, 32);
		for (unsigned int bit = from; bit < to; bit++)
			u[bit / 8] &= (uint8_t) ~(1u << bit % 8);
	}
	u[31] = (uint8_t)((u[31] & 0x7f) | (test_random() & 0x80));
}

static void x25519_takes_every_coordinate(void **state)
{
	struct fixture *f = *state;
	struct akcipher_session s;
	struct company all;

	if (!can(f, 0))
		skip();
	agree_open(f, &s, 0);
	for (unsigned int round = 0; round < 800 / company; round++) {
		for (unsigned int i = 0; i < company; i++) {
			random_fill(all.in[i], 32);
			coordinate_make(all.in[i] + 32, round * company + i);
		}
		company_run(f, &s, 0, VC_REQUEST_AK_DERIVE, &all);
		for (unsigned int i = 0; i < company; i++) {
			struct pair p = {.pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
			                                                      all.in[i], 32)};
			uint8_t expected[ROOM];

			if (!reference_try(&p, 0, all.in[i] + 32, expected)) {
				assert_int_equal(all.status[i], VIRTIO_CRYPTO_KEY_REJECTED);
			} else {
				assert_int_equal(all.status[i], VIRTIO_CRYPTO_OK);
				assert_memory_equal(all.out[i], expected, 32);
			}
			EVP_PKEY_free(p.pkey);
		}
	}
	session_close(f, &s);
}

static void every_curve_agrees_with_libcrypto(void **state)
{
	struct fixture *f = *state;

	for (unsigned int c = 0; c < CURVES; c++) {
		struct akcipher_session s;

		if (!can(f, c))
			continue;
		agree_open(f, &s, c);
		for (unsigned int round = 0; round < 10; round++) {
			uint8_t expected[COMPANY][ROOM];
			struct company all;
			struct pair a, b;

			for (unsigned int i = 0; i < company; i++) {
				pair_make(&a, c);
				pair_make(&b, c);
				reference_derive(&b, c, a.point, expected[i]);
				company_put(&all, i, c, a.private, b.point);
				EVP_PKEY_free(a.pkey);
				EVP_PKEY_free(b.pkey);
			}
			company_run(f, &s, c, VC_REQUEST_AK_DERIVE, &all);
			for (unsigned int i = 0; i < company; i++) {
				assert_int_equal(all.status[i], VIRTIO_CRYPTO_OK);
				assert_memory_equal(all.out[i], expected[i], curves[c].private_len);
			}
		}
		session_close(f, &s);
	}
}

static void one_that_is_rejected_harms_no_other(void **state)
{
	struct fixture *f = *state;

	for (unsigned int c = 0; c < CURVES; c++) {
		uint8_t expected[ROOM];
		struct akcipher_session s;
		struct pair a, b;

		if (!can(f, c))
			continue;
		agree_open(f, &s, c);
		pair_make(&a, c);
		pair_make(&b, c);
		reference_derive(&b, c, a.point, expected);
		for (unsigned int wrong = 0; wrong < company; wrong++) {
			struct company all;

			for (unsigned int i = 0; i < company; i++)
				company_put(&all, i, c, a.private, b.point);
			memset(all.in[wrong] + curves[c].private_len, 0, curves[c].point_len);
			company_run(f, &s, c, VC_REQUEST_AK_DERIVE, &all);
			for (unsigned int i = 0; i < company; i++) {
				assert_int_equal(all.status[i], i == wrong
				                                        ? VIRTIO_CRYPTO_KEY_REJECTED
				                                        : VIRTIO_CRYPTO_OK);
				if (i != wrong)
					assert_memory_equal(all.out[i], expected,
					                    curves[c].private_len);
			}
		}
		EVP_PKEY_free(a.pkey);
		EVP_PKEY_free(b.pkey);
		session_close(f, &s);
	}
}

static void keys_that_are_made_agree(void **state)
{
	struct fixture *f = *state;

	for (unsigned int c = 0; c < CURVES; c++) {
		uint8_t secret[ROOM], expected[ROOM];
		struct company made;
		struct akcipher_session s;
		struct pair peer;

		if (!can(f, c))
			continue;
		agree_open(f, &s, c);
		pair_make(&peer, c);
		for (unsigned int round = 0; round < 24 / company; round++) {
			company_run(f, &s, c, VC_REQUEST_AK_GENERATE, &made);
			for (unsigned int i = 0; i < company; i++) {
				assert_int_equal(made.status[i], VIRTIO_CRYPTO_OK);
				for (unsigned int j = 0; j < i; j++)
					assert_memory_not_equal(made.out[i], made.out[j],
					                        curves[c].private_len);
				/* Its point with the peer's number, and the other way round. */
				reference_derive(&peer, c, made.out[i] + curves[c].private_len,
				                 expected);
				assert_int_equal(derive(f, &s, c, made.out[i], peer.point, secret),
				                 VIRTIO_CRYPTO_OK);
				assert_memory_equal(secret, expected, curves[c].private_len);
			}
		}
		EVP_PKEY_free(peer.pkey);
		session_close(f, &s);
	}
}

static void numbers_out_of_range_are_rejected(void **state)
{
	struct fixture *f = *state;

	for (unsigned int c = 1; c < CURVES; c++) {
		uint8_t number[AGREE_MAX_PRIVATE], secret[ROOM];
		struct akcipher_session s;
		struct pair p;
		BIGNUM *order = NULL;

		if (!can(f, c))
			continue;
		agree_open(f, &s, c);
		pair_make(&p, c);
		memset(number, 0, sizeof(number));
		assert_int_equal(derive(f, &s, c, number, p.point, secret),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		memset(number, 0xff, sizeof(number));
		assert_int_equal(derive(f, &s, c, number, p.point, secret),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		assert_int_equal(EVP_PKEY_get_bn_param(p.pkey, OSSL_PKEY_PARAM_EC_ORDER, &order),
		                 1);
		BN_bn2binpad(order, number, curves[c].private_len);
		assert_int_equal(derive(f, &s, c, number, p.point, secret),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		/* The order less 1 is the largest: the point's own x comes out. */
		BN_sub_word(order, 1);
		BN_bn2binpad(order, number, curves[c].private_len);
		assert_int_equal(derive(f, &s, c, number, p.point, secret), VIRTIO_CRYPTO_OK);
		assert_memory_equal(secret, p.point + 1, curves[c].private_len);
		BN_free(order);
		EVP_PKEY_free(p.pkey);
		session_close(f, &s);
	}
}

static void points_that_are_none_are_rejected(void **state)
{
	struct fixture *f = *state;

	for (unsigned int c = 1; c < CURVES; c++) {
		uint8_t point[AGREE_MAX_POINT], secret[ROOM];
		uint32_t last = curves[c].point_len - 1u;
		struct akcipher_session s;
		struct pair p;

		if (!can(f, c))
			continue;
		agree_open(f, &s, c);
		pair_make(&p, c);
		for (unsigned int i = 0; i < 6; i++) {
			memcpy(point, p.point, sizeof(point));
			if (i == 0)
				point[last] ^= 1; /* not on the curve */
			else if (i == 1)
				memset(point, 0, sizeof(point)); /* infinity, with zeros */
			else if (i == 2)
				memset(point + 1, 0, last); /* 0, 0 */
			else if (i == 3)
				memset(point + 1, 0xff, last); /* not below p */
			else if (i == 4)
				point[0] = 6 | (point[last] & 1); /* hybrid */
			else
				point[0] = 2 | (point[last] & 1); /* compressed, with a y */
			assert_int_equal(derive(f, &s, c, p.private, point, secret),
			                 VIRTIO_CRYPTO_KEY_REJECTED);
		}
		/* The session is as good as before. */
		assert_int_equal(derive(f, &s, c, p.private, p.point, secret), VIRTIO_CRYPTO_OK);
		EVP_PKEY_free(p.pkey);
		session_close(f, &s);
	}
}

/* Points of small order (0, 1, and the like of 1 mod p): nothing of the private key would be in the
 * result (RFC 7748, 6.1). */
static void x25519_that_gives_zero_is_rejected(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	};
	struct fixture *f = *state;
	uint8_t point[32], secret[ROOM];
	struct akcipher_session s;
	struct pair p;

	if (!can(f, 0))
		skip();
	agree_open(f, &s, 0);
	pair_make(&p, 0);
	for (unsigned int i = 0; i < vc_array_size(points); i++) {
		from_hex(points[i], point);
		assert_int_equal(derive(f, &s, 0, p.private, point, secret),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
	}
	assert_int_equal(derive(f, &s, 0, p.private, p.point, secret), VIRTIO_CRYPTO_OK);
	EVP_PKEY_free(p.pkey);
	session_close(f, &s);
}

static void sessions_are_curves_without_keys(void **state)
{
	static const uint8_t key[32] = {1};
	struct fixture *f = *state;
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                .akcipher = VCRYPTO_INBAND_AGREE,
	                                .curve = VIRTIO_CRYPTO_CURVE_NIST_P256};
	struct akcipher_session s;
	uint8_t out[ROOM];
	uint32_t n = ROOM;
	char name[64];

	assert_int_equal(session_params_check(&params), 0);
	assert_string_equal(session_params_name(&params, name, sizeof(name)), "ecdh-p256");
	params.curve = VCRYPTO_INBAND_X25519;
	assert_string_equal(session_params_name(&params, name, sizeof(name)), "x25519");
	params.key = key;
	params.key_len = sizeof(key);
	assert_int_equal(session_params_check(&params), -EKEYREJECTED);
	params.key_len = 0;
	for (unsigned int curve = 0; curve < 256; curve++) {
		bool known =
			curve == VCRYPTO_INBAND_X25519 || (curve >= VIRTIO_CRYPTO_CURVE_NIST_P256 &&
		                                           curve <= VIRTIO_CRYPTO_CURVE_NIST_P521);

		params.curve = (uint8_t)curve;
		assert_int_equal(session_params_check(&params), known ? 0 : -ENOTSUP);
		if (!strcmp(type, "crypto-mb"))
			known = curve == VIRTIO_CRYPTO_CURVE_NIST_P256 ||
			        curve == VIRTIO_CRYPTO_CURVE_NIST_P384;
		assert_int_equal(f->resource->ops->can(f->resource, &params), known);
	}
	agree_open(f, &s, 1);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_SIGN, key, 32, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_NOTSUPP);
	session_close(f, &s);
}

/* crypto-mb does nothing without AVX-512 IFMA. */
static bool cpu_has_ifma(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 21 & 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		agree_test(x25519_gives_the_numbers_of_its_rfc),
		agree_test(x25519_does_so_a_thousand_times),
		agree_test(x25519_takes_every_coordinate),
		agree_test(every_curve_agrees_with_libcrypto),
		agree_test(one_that_is_rejected_harms_no_other),
		agree_test(keys_that_are_made_agree),
		agree_test(numbers_out_of_range_are_rejected),
		agree_test(points_that_are_none_are_rejected),
		agree_test(x25519_that_gives_zero_is_rejected),
		agree_test(sessions_are_curves_without_keys),
	};

	if (argc > 1)
		type = argv[1];
	if (!strcmp(type, "crypto-mb"))
		company = COMPANY;
	if (!strcmp(type, "crypto-mb") && !cpu_has_ifma()) {
		print_message("this CPU has no AVX-512 IFMA\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
