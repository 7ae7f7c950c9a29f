/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ENGINE's RSA_METHOD: OpenSSL's own, with the private operation offloaded.
 *
 * Padding is libcrypto's, around a private operation that is done elsewhere (rsa_padding.h). What
 * is not offloaded, or fails, is done by OpenSSL's method on the same object in the same call, and
 * so with its blinding. Each object has a struct key from its beginning to its end, prepared when
 * it is first used; any thread.
 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "base/util.h"
#include "openssl/engine/engine.h"
#include "openssl/provider/rsa_key.h"
#include "openssl/provider/rsa_padding.h"

static RSA_METHOD *method;
static int key_index = -1;

/* ----------------------------------------------- an RSA object as key.h wants a delegate's key */

static void delegate_free(void *inner)
{
	/* The application's. */
}

static int delegate_has(const void *inner, int selection)
{
	const RSA *rsa = inner;

	return RSA_get0_n(rsa) && RSA_get0_e(rsa) && RSA_get0_d(rsa) && RSA_get0_iqmp(rsa) &&
	       RSA_get_multi_prime_extra_count(rsa) == 0;
}

static int delegate_get_params(void *inner, OSSL_PARAM params[])
{
	return 1;
}

static int delegate_export(void *inner, int selection, OSSL_CALLBACK *take, void *arg)
{
	const struct {
		const char *name;
		const BIGNUM *number;
	} parts[] = {
		{OSSL_PKEY_PARAM_RSA_N, RSA_get0_n(inner)},
		{OSSL_PKEY_PARAM_RSA_E, RSA_get0_e(inner)},
		{OSSL_PKEY_PARAM_RSA_D, RSA_get0_d(inner)},
		{OSSL_PKEY_PARAM_RSA_FACTOR1, RSA_get0_p(inner)},
		{OSSL_PKEY_PARAM_RSA_FACTOR2, RSA_get0_q(inner)},
		{OSSL_PKEY_PARAM_RSA_EXPONENT1, RSA_get0_dmp1(inner)},
		{OSSL_PKEY_PARAM_RSA_EXPONENT2, RSA_get0_dmq1(inner)},
		{OSSL_PKEY_PARAM_RSA_COEFFICIENT1, RSA_get0_iqmp(inner)},
	};
	OSSL_PARAM params[vc_array_size(parts) + 1];
	const size_t room = RSA_KEY_MAX_BYTES, size = vc_array_size(parts) * room;
	uint8_t *numbers = OPENSSL_malloc(size);
	size_t n = 0;
	int ok = 0;

	if (!numbers)
		return 0;
	for (; n < vc_array_size(parts); n++) {
		uint8_t *number = numbers + n * room;

		/* Fails also for numbers of keys that are too large. */
		if (!parts[n].number || BN_bn2nativepad(parts[n].number, number, (int)room) < 0)
			goto out;
		params[n] = OSSL_PARAM_construct_BN(parts[n].name, number, room);
	}
	params[n] = OSSL_PARAM_construct_end();
	ok = take(params, arg);
out:
	OPENSSL_clear_free(numbers, size);
	return ok;
}

/* ---------------------------------------------------------------------------------------- life */

static int rsa_init(RSA *rsa)
{
	int (*theirs)(RSA *) = RSA_meth_get_init(RSA_PKCS1_OpenSSL());
	struct key *key = key_new(&engine_front, KEY_RSA, rsa);

	/* Without one all is done in software. */
	if (!RSA_set_ex_data(rsa, key_index, key))
		key_free(key);
	return !theirs || theirs(rsa);
}

static int rsa_finish(RSA *rsa)
{
	int (*theirs)(RSA *) = RSA_meth_get_finish(RSA_PKCS1_OpenSSL());

	key_free(RSA_get_ex_data(rsa, key_index));
	(void)RSA_set_ex_data(rsa, key_index, NULL);
	return !theirs || theirs(rsa);
}

/* --------------------------------------------------------------------------------- operations */

/* Its numbers may have been replaced since the key was prepared. */
static bool same_numbers(const RSA *rsa, const RSA *prepared)
{
	const BIGNUM *n = RSA_get0_n(rsa), *e = RSA_get0_e(rsa);

	return n && e && !BN_cmp(n, RSA_get0_n(prepared)) && !BN_cmp(e, RSA_get0_e(prepared));
}

/* The object for padding, of a key that can be offloaded and may be for this; else NULL. */
static RSA *usable(const RSA *rsa, enum policy_operation operation, struct key **key)
{
	RSA *object;

	if (engine_front.policy.blocked[operation])
		return NULL;
	*key = RSA_get_ex_data(rsa, key_index);
	object = *key ? rsa_key_object(*key) : NULL;
	return object && same_numbers(rsa, object) ? object : NULL;
}

static bool pad(RSA *object, int padding, const uint8_t *in, int size, uint8_t *block)
{
	switch (padding) {
	case RSA_PKCS1_PADDING:
	case RSA_NO_PADDING:
		return RSA_private_encrypt(size, in, block, object, padding) == RSA_size(object);
	case RSA_X931_PADDING:
		return RSA_padding_add_X931(block, RSA_size(object), in, size) > 0;
	default:
		return false;
	}
}

/* What fails here fails again in software, which says why. */
static bool pad_quietly(RSA *object, int padding, const uint8_t *in, int size, uint8_t *block)
{
	bool ok;

	ERR_set_mark();
	ok = pad(object, padding, in, size, block);
	if (ok)
		ERR_clear_last_mark();
	else
		ERR_pop_to_mark();
	return ok;
}

/* ANSI X9.31: the smaller one of s and n - s is the signature. */
static bool smaller(const RSA *object, uint8_t *sig, size_t size)
{
	BIGNUM *s = BN_bin2bn(sig, (int)size, NULL);
	BIGNUM *other = BN_new();
	bool ok = s && other && BN_sub(other, RSA_get0_n(object), s);

	if (ok)
		ok = BN_bn2binpad(BN_cmp(s, other) > 0 ? other : s, sig, (int)size) >= 0;
	BN_free(s);
	BN_free(other);
	return ok;
}

/* Bytes at out; 0: one for software; -1: failed, and the error is raised. */
static int offload_sign(int size, const uint8_t *in, uint8_t *out, const RSA *rsa, int padding)
{
	/* in and out may be one. */
	uint8_t block[RSA_KEY_MAX_BYTES], result[RSA_KEY_MAX_BYTES];
	enum policy_choice choice;
	struct key *key;
	RSA *object = usable(rsa, POLICY_OP_SIGNATURE, &key);

	if (!object || !pad_quietly(object, padding, in, size, block))
		return 0;
	choice = policy_private(&engine_front.policy, POLICY_RSA);
	if (choice == POLICY_SOFTWARE)
		return 0;
	if (choice == POLICY_FAIL || rsa_key_private(key, block, result, VCE_CLASS_RSA_SIGN) ||
	    (padding == RSA_X931_PADDING && !smaller(object, result, rsa_key_size(key))))
		return engine_fall_back("RSA signature") ? 0 : -1;
	memcpy(out, result, rsa_key_size(key));
	return (int)rsa_key_size(key);
}

static int priv_enc(int size, const unsigned char *in, unsigned char *out, RSA *rsa, int padding)
{
	int done = offload_sign(size, in, out, rsa, padding);

	return done ? done
	            : RSA_meth_get_priv_enc(RSA_PKCS1_OpenSSL())(size, in, out, rsa, padding);
}

/* true: *done is what the call returns, -1 for a wrong padding; false: one for software. */
static bool offload_decrypt(int size, const uint8_t *in, uint8_t *out, const RSA *rsa, int padding,
                            int *done)
{
	uint8_t block[RSA_KEY_MAX_BYTES];
	enum policy_choice choice;
	struct key *key;
	RSA *object = usable(rsa, POLICY_OP_ASYM_CIPHER, &key);

	if (!object || size != RSA_size(object) || !rsa_padding_below(object, in, (size_t)size) ||
	    (padding != RSA_PKCS1_PADDING && padding != RSA_PKCS1_OAEP_PADDING &&
	     padding != RSA_NO_PADDING))
		return false;
	choice = policy_private(&engine_front.policy, POLICY_RSA);
	if (choice == POLICY_SOFTWARE)
		return false;
	*done = -1;
	if (choice == POLICY_FAIL || rsa_key_private(key, in, block, VCE_CLASS_RSA_DECRYPT))
		return !engine_fall_back("RSA decryption");
	*done = rsa_padding_decrypt(engine_front.libctx, object, padding, in, (size_t)size, block,
	                            out);
	OPENSSL_cleanse(block, sizeof(block));
	return true;
}

static int priv_dec(int size, const unsigned char *in, unsigned char *out, RSA *rsa, int padding)
{
	int done;

	if (offload_decrypt(size, in, out, rsa, padding, &done))
		return done;
	return RSA_meth_get_priv_dec(RSA_PKCS1_OpenSSL())(size, in, out, rsa, padding);
}

/* -------------------------------------------------------------------------------------- method */

bool engine_rsa_open(void)
{
	engine_front.keymgmt[KEY_RSA] = (struct keymgmt_delegate){
		.free = delegate_free,
		.has = delegate_has,
		.get_params = delegate_get_params,
		.export = delegate_export,
	};
	key_index = engine_key_index(CRYPTO_EX_INDEX_RSA);
	method = RSA_meth_dup(RSA_PKCS1_OpenSSL());
	return key_index >= 0 && method && RSA_meth_set1_name(method, "vcrypto RSA") &&
	       RSA_meth_set_init(method, rsa_init) && RSA_meth_set_finish(method, rsa_finish) &&
	       RSA_meth_set_priv_enc(method, priv_enc) && RSA_meth_set_priv_dec(method, priv_dec);
}

void engine_rsa_close(void)
{
	RSA_meth_free(method);
	method = NULL;
	if (key_index >= 0)
		CRYPTO_free_ex_index(CRYPTO_EX_INDEX_RSA, key_index);
	key_index = -1;
}

const RSA_METHOD *engine_rsa(void)
{
	return method;
}
