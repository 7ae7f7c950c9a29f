/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key agreement through libvcrypto and a live vcrypto-host: X25519 and ECDH agree with libcrypto,
 * keys that the device makes are keys, and what is wrong is refused and does no harm.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>

#include "live.h"

#define MAX 199 /* a private key and a point of P-521 */

struct curve {
	const char *name; /* vcrypto's, and libcrypto's; NULL: X25519 */
	const char *theirs;
	uint32_t private_len, point_len;
};

static const struct curve curves[] = {
	{"x25519", NULL, 32, 32},
	{"ecdh-p256", "P-256", 32, 65},
	{"ecdh-p384", "P-384", 48, 97},
	{"ecdh-p521", "P-521", 66, 133},
};
#define CURVES (sizeof(curves) / sizeof(curves[0]))

static struct live live;

static struct vcrypto_session *session_make(const struct curve *curve)
{
	struct vcrypto_session_params params;

	assert_int_equal(vcrypto_params_parse(curve->name, &params), 0);
	return live_session(&live, &params);
}

static int operate(struct vcrypto_session *session, enum vcrypto_akcipher_op what,
                   const uint8_t *in, uint32_t length, uint32_t room, uint8_t *out)
{
	struct vcrypto_op op = {.session = session,
	                        .src = live.src,
	                        .dst = live.dst,
	                        .length = length,
	                        .dst_len = room,
	                        .akcipher_op = what};
	int status;

	if (length)
		memcpy(live.src, in, length);
	memset(live.dst, 0xee, room + 16);
	status = live_run(&live, &op);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(live.dst[room + i], 0xee);
	if (status)
		return status;
	memcpy(out, live.dst, op.result_len);
	return (int)op.result_len;
}

static EVP_PKEY *pair_make(const struct curve *curve, uint8_t *private, uint8_t *point)
{
	EVP_PKEY *key =
		curve->theirs ? EVP_EC_gen(curve->theirs) : EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	size_t length = curve->private_len;
	BIGNUM *number = NULL;

	if (!curve->theirs) {
		assert_int_equal(EVP_PKEY_get_raw_private_key(key, private, &length), 1);
	} else {
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number);
		BN_bn2binpad(number, private, (int)length);
		BN_free(number);
	}
	EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, curve->point_len,
	                                &length);
	assert_int_equal(length, curve->point_len);
	return key;
}

static void reference(EVP_PKEY *key, const struct curve *curve, const uint8_t *point,
                      uint8_t *secret)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	EVP_PKEY *peer = EVP_PKEY_new();
	size_t length = curve->private_len;

	assert_int_equal(EVP_PKEY_copy_parameters(peer, key), 1);
	assert_int_equal(EVP_PKEY_set1_encoded_public_key(peer, point, curve->point_len), 1);
	assert_int_equal(EVP_PKEY_derive_init(c), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(c, peer), 1);
	assert_int_equal(EVP_PKEY_derive(c, secret, &length), 1);
	EVP_PKEY_free(peer);
	EVP_PKEY_CTX_free(c);
}

static void secrets_are_libcryptos(void **state)
{
	for (unsigned int i = 0; i < CURVES; i++) {
		const struct curve *c = &curves[i];
		struct vcrypto_session *session = session_make(c);
		uint8_t ours[MAX], theirs[MAX], secret[MAX], expected[MAX];
		EVP_PKEY *key = pair_make(c, theirs, theirs + c->private_len);

		for (unsigned int round = 0; round < 10; round++) {
			uint32_t pair = c->private_len + c->point_len;

			/* A key that the device has made. */
			assert_int_equal(
				operate(session, VCRYPTO_AKCIPHER_GENERATE, NULL, 0, MAX, ours),
				pair);
			reference(key, c, ours + c->private_len, expected);
			memcpy(ours + c->private_len, theirs + c->private_len, c->point_len);
			assert_int_equal(operate(session, VCRYPTO_AKCIPHER_DERIVE, ours, pair,
			                         c->private_len, secret),
			                 c->private_len);
			assert_memory_equal(secret, expected, c->private_len);
		}
		EVP_PKEY_free(key);
		vcrypto_session_destroy(session);
	}
}

static void what_is_wrong_is_refused(void **state)
{
	for (unsigned int i = 0; i < CURVES; i++) {
		const struct curve *c = &curves[i];
		struct vcrypto_session *session = session_make(c);
		uint32_t pair = c->private_len + c->point_len;
		uint8_t in[MAX + 1], bad[MAX + 1], out[MAX];

		EVP_PKEY_free(pair_make(c, in, in + c->private_len));
		/* Lengths. */
		assert_int_equal(operate(session, VCRYPTO_AKCIPHER_DERIVE, in, pair - 1, 66, out),
		                 -EIO);
		assert_int_equal(operate(session, VCRYPTO_AKCIPHER_DERIVE, in, pair + 1, 66, out),
		                 -EIO);
		assert_int_equal(operate(session, VCRYPTO_AKCIPHER_DERIVE, in, pair,
		                         c->private_len - 1, out),
		                 -EIO);
		assert_int_equal(
			operate(session, VCRYPTO_AKCIPHER_GENERATE, NULL, 0, pair - 1, out), -EIO);
		/* A point that is none. */
		memcpy(bad, in, pair);
		memset(bad + c->private_len, 0, c->point_len);
		assert_int_equal(operate(session, VCRYPTO_AKCIPHER_DERIVE, bad, pair, 66, out),
		                 -EKEYREJECTED);
		memcpy(bad, in, pair);
		bad[pair - 1] ^= 1;
		if (c->theirs)
			assert_int_equal(
				operate(session, VCRYPTO_AKCIPHER_DERIVE, bad, pair, 66, out),
				-EKEYREJECTED);
		/* A number that is none. */
		memcpy(bad, in, pair);
		memset(bad, 0, c->private_len);
		if (c->theirs)
			assert_int_equal(
				operate(session, VCRYPTO_AKCIPHER_DERIVE, bad, pair, 66, out),
				-EKEYREJECTED);
		/* And all is well afterwards. */
		assert_int_equal(operate(session, VCRYPTO_AKCIPHER_DERIVE, in, pair, 66, out),
		                 c->private_len);
		vcrypto_session_destroy(session);
	}
}

static int submit_one(struct vcrypto_session *session, uint8_t what, uint32_t length, uint32_t room)
{
	struct vcrypto_op op = {.session = session,
	                        .src = live.src,
	                        .dst = live.dst,
	                        .length = length,
	                        .dst_len = room,
	                        .akcipher_op = what};
	struct vcrypto_op *list = &op;

	return vcrypto_queue_submit(live.queue, &list, 1);
}

static void other_operations_are_not_for_it(void **state)
{
	struct vcrypto_session *session = session_make(&curves[0]);
	struct vcrypto_session_params params;

	assert_int_equal(submit_one(session, VCRYPTO_AKCIPHER_SIGN, 32, 64), -EINVAL);
	assert_int_equal(submit_one(session, VCRYPTO_AKCIPHER_GENERATE + 1, 64, 64), -EINVAL);
	assert_int_equal(submit_one(session, VCRYPTO_AKCIPHER_GENERATE, 1, 64), -EINVAL);
	assert_int_equal(submit_one(session, VCRYPTO_AKCIPHER_DERIVE, 0, 64), -EINVAL);
	assert_int_equal(submit_one(session, VCRYPTO_AKCIPHER_DERIVE, 64, 0), -EINVAL);
	vcrypto_session_destroy(session);
	/* A curve that there is not, and a session with a key. */
	vcrypto_params_parse("x25519", &params);
	params.curve = 26;
	assert_int_equal(vcrypto_session_create(live.device, &params, &session), -ENOTSUP);
	vcrypto_params_parse("x25519", &params);
	params.key = "key";
	params.key_len = 3;
	assert_int_equal(vcrypto_session_create(live.device, &params, &session), -EINVAL);
}

static int setup(void **state)
{
	live_open(&live, 0, 1);
	return 0;
}

static int teardown(void **state)
{
	live_close(&live);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_libcryptos),
		cmocka_unit_test(what_is_wrong_is_refused),
		cmocka_unit_test(other_operations_are_not_for_it),
	};

	live_socket();
	return cmocka_run_group_tests(tests, setup, teardown);
}
