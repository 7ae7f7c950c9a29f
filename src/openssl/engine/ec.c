/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ENGINE's EC_KEY_METHOD: OpenSSL's own, with ECDSA signatures on P-256, P-384 and P-521
 * offloaded. The device draws the nonce: a call that brings its own is one for software, as are all
 * other curves, and ECDH.
 *
 * Each EC_KEY has a struct key from its beginning to its end, prepared when it first signs; any
 * thread.
 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/params.h>

#include "base/util.h"
#include "openssl/engine/engine.h"
#include "openssl/provider/ec_key.h"

#define MAX_SIGNATURE 139 /* of P-521 */
#define MAX_NUMBER 66

typedef int sign_fn(int type, const unsigned char *digest, int size, unsigned char *sig,
                    unsigned int *sig_len, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec);
typedef int setup_fn(EC_KEY *ec, BN_CTX *ctx, BIGNUM **kinv, BIGNUM **r);
typedef ECDSA_SIG *sign_sig_fn(const unsigned char *digest, int size, const BIGNUM *kinv,
                               const BIGNUM *r, EC_KEY *ec);

static EC_KEY_METHOD *method;
static int key_index = -1;
/* OpenSSL's own. */
static sign_fn *their_sign;
static setup_fn *their_setup;
static sign_sig_fn *their_sign_sig;
static int (*their_keygen)(EC_KEY *ec);

/* --------------------------------------------- an EC_KEY object as key.h wants a delegate's key */

static void delegate_free(void *inner)
{
	/* The application's. */
}

static int delegate_has(const void *inner, int selection)
{
	return EC_KEY_get0_group(inner) && EC_KEY_get0_private_key(inner);
}

static int delegate_get_params(void *inner, OSSL_PARAM params[])
{
	const EC_GROUP *group = EC_KEY_get0_group(inner);
	OSSL_PARAM *name = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_GROUP_NAME);
	OSSL_PARAM *encoding = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_EC_ENCODING);
	int nid = EC_GROUP_get_curve_name(group);
	bool named = EC_GROUP_get_asn1_flag(group) & OPENSSL_EC_NAMED_CURVE;

	return nid != NID_undef && (!name || OSSL_PARAM_set_utf8_string(name, OBJ_nid2sn(nid))) &&
	       (!encoding ||
	        OSSL_PARAM_set_utf8_string(encoding, named ? OSSL_PKEY_EC_ENCODING_GROUP
	                                                   : OSSL_PKEY_EC_ENCODING_EXPLICIT));
}

static int delegate_export(void *inner, int selection, OSSL_CALLBACK *take, void *arg)
{
	uint8_t number[MAX_NUMBER];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, number, sizeof(number)),
		OSSL_PARAM_construct_end(),
	};
	int ok = BN_bn2nativepad(EC_KEY_get0_private_key(inner), number, sizeof(number)) >= 0 &&
	         take(params, arg);

	OPENSSL_cleanse(number, sizeof(number));
	return ok;
}

/* Verification, for results of the device: a context is no more than the key. */

static void *verify_new(void *provctx, const char *properties)
{
	return OPENSSL_zalloc(sizeof(EC_KEY *));
}

static void verify_free(void *ctx)
{
	OPENSSL_free(ctx);
}

static int verify_init(void *ctx, void *inner, const OSSL_PARAM params[])
{
	*(EC_KEY **)ctx = inner;
	return 1;
}

static int verify(void *ctx, const unsigned char *sig, size_t sig_len, const unsigned char *digest,
                  size_t size)
{
	return ECDSA_verify(0, digest, (int)size, sig, (int)sig_len, *(EC_KEY **)ctx);
}

/* ---------------------------------------------------------------------------------------- life */

static int ec_init(EC_KEY *ec)
{
	struct key *key = key_new(&engine_front, KEY_EC, ec);

	/* Without one all is done in software. */
	if (!EC_KEY_set_ex_data(ec, key_index, key))
		key_free(key);
	return 1;
}

static void ec_finish(EC_KEY *ec)
{
	key_free(EC_KEY_get_ex_data(ec, key_index));
	(void)EC_KEY_set_ex_data(ec, key_index, NULL);
}

static void changed(const EC_KEY *ec)
{
	struct key *key = EC_KEY_get_ex_data(ec, key_index);

	if (key)
		key_changed(key);
}

/* to had another method before, or has other numbers from now on. */
static int ec_copy(EC_KEY *to, const EC_KEY *from)
{
	if (!EC_KEY_get_ex_data(to, key_index))
		return ec_init(to);
	changed(to);
	return 1;
}

static int ec_set_group(EC_KEY *ec, const EC_GROUP *group)
{
	changed(ec);
	return 1;
}

static int ec_set_private(EC_KEY *ec, const BIGNUM *number)
{
	changed(ec);
	return 1;
}

static int ec_keygen(EC_KEY *ec)
{
	changed(ec);
	return their_keygen(ec);
}

/* ------------------------------------------------------------------------------------- signing */

/* 1 done, 0 failed, and the error is raised, -1 one for software. */
static int offload(const uint8_t *digest, int size, uint8_t sig[MAX_SIGNATURE], size_t *sig_len,
                   const BIGNUM *kinv, const BIGNUM *r, const EC_KEY *ec)
{
	struct key *key = EC_KEY_get_ex_data(ec, key_index);
	enum policy_choice choice;

	if (kinv || r || size <= 0 || engine_front.policy.blocked[POLICY_OP_SIGNATURE] || !key ||
	    !key_ready(key))
		return -1;
	choice = policy_private(&engine_front.policy, ec_key_policy(key));
	if (choice == POLICY_SOFTWARE)
		return -1;
	if (choice == POLICY_FAIL || ec_key_sign(key, digest, (size_t)size, sig, sig_len))
		return engine_fall_back("ECDSA signature") ? -1 : 0;
	return 1;
}

/* sig has room for the longest signature of the key; see ECDSA_sign(3). */
static int ec_sign(int type, const unsigned char *digest, int size, unsigned char *sig,
                   unsigned int *sig_len, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
	uint8_t result[MAX_SIGNATURE];
	size_t length = 0;
	int done = sig ? offload(digest, size, result, &length, kinv, r, ec) : -1;

	if (done < 0)
		return their_sign(type, digest, size, sig, sig_len, kinv, r, ec);
	memcpy(sig, result, done ? length : 0);
	*sig_len = (unsigned int)length;
	return done;
}

static ECDSA_SIG *ec_sign_sig(const unsigned char *digest, int size, const BIGNUM *kinv,
                              const BIGNUM *r, EC_KEY *ec)
{
	uint8_t result[MAX_SIGNATURE];
	const unsigned char *der = result;
	size_t length = 0;
	int done = offload(digest, size, result, &length, kinv, r, ec);

	if (done < 0)
		return their_sign_sig(digest, size, kinv, r, ec);
	return done ? d2i_ECDSA_SIG(NULL, &der, (long)length) : NULL;
}

/* -------------------------------------------------------------------------------------- method */

bool engine_ec_open(void)
{
	const EC_KEY_METHOD *theirs = EC_KEY_OpenSSL();

	engine_front.keymgmt[KEY_EC] = (struct keymgmt_delegate){
		.free = delegate_free,
		.has = delegate_has,
		.get_params = delegate_get_params,
		.export = delegate_export,
	};
	engine_front.signature[SIGNATURE_ECDSA] = (struct signature_delegate){
		.newctx = verify_new,
		.freectx = verify_free,
		.verify_init = verify_init,
		.verify = verify,
	};
	key_index = engine_key_index(CRYPTO_EX_INDEX_EC_KEY);
	method = EC_KEY_METHOD_new(theirs);
	if (key_index < 0 || !method)
		return false;
	EC_KEY_METHOD_get_sign(theirs, &their_sign, &their_setup, &their_sign_sig);
	EC_KEY_METHOD_get_keygen(theirs, &their_keygen);
	EC_KEY_METHOD_set_sign(method, ec_sign, their_setup, ec_sign_sig);
	EC_KEY_METHOD_set_keygen(method, ec_keygen);
	/* OpenSSL's own has none of these. */
	EC_KEY_METHOD_set_init(method, ec_init, ec_finish, ec_copy, ec_set_group, ec_set_private,
	                       NULL);
	return true;
}

void engine_ec_close(void)
{
	if (method)
		EC_KEY_METHOD_free(method);
	method = NULL;
	if (key_index >= 0)
		CRYPTO_free_ex_index(CRYPTO_EX_INDEX_EC_KEY, key_index);
	key_index = -1;
}

const EC_KEY_METHOD *engine_ec(void)
{
	return method;
}
