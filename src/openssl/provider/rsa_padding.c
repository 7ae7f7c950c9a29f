/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA padding. See rsa_padding.h.
 */
#include "openssl/provider/rsa_padding.h"

#include <pthread.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

/* ------------------------------------------------------------------------ libcrypto's padding */

/* The result of the private operation that this thread is about to unpad; else NULL. Nothing
 * pauses between setting and using it. */
static _Thread_local const uint8_t *ready_block;

/* Stands for the private operation. */
static int mod_exp(BIGNUM *result, const BIGNUM *in, RSA *rsa, BN_CTX *ctx)
{
	if (ready_block)
		return rsa_padding_secret(result, ready_block, (size_t)RSA_size(rsa));
	return BN_copy(result, in) != NULL;
}

static RSA_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
	method = RSA_meth_dup(RSA_PKCS1_OpenSSL());
	if (method && (!RSA_meth_set1_name(method, "vcrypto padding") ||
	               !RSA_meth_set_mod_exp(method, mod_exp))) {
		RSA_meth_free(method);
		method = NULL;
	}
}

RSA *rsa_padding_object(void)
{
	RSA *rsa;

	pthread_once(&method_once, make_method);
	rsa = method ? RSA_new() : NULL;
	if (rsa && !RSA_set_method(rsa, method)) {
		RSA_free(rsa);
		return NULL;
	}
	/* Blinding would be undone on what was never blinded. */
	if (rsa)
		RSA_set_flags(rsa, RSA_FLAG_NO_BLINDING);
	return rsa;
}

int rsa_padding_decrypt(OSSL_LIB_CTX *libctx, RSA *object, int padding, const uint8_t *in,
                        size_t size, const uint8_t *block, uint8_t *out)
{
	/* Where libcrypto looks for the digest of implicit rejection: the application's own default
	 * context need not have one. This thread's alone. */
	OSSL_LIB_CTX *theirs = OSSL_LIB_CTX_set0_default(libctx);
	int rc;

	ready_block = block;
	rc = RSA_private_decrypt((int)size, in, out, object, padding);
	ready_block = NULL;
	(void)OSSL_LIB_CTX_set0_default(theirs);
	return rc;
}

bool rsa_padding_secret(BIGNUM *number, const uint8_t *bytes, size_t size)
{
	uint8_t longer[1 + 1024];
	bool ok;

	if (size >= sizeof(longer))
		return false;
	/* BN_bin2bn skips leading zeros byte by byte: a leading 1 leaves none. It is taken off
	 * again at the granularity of words. */
	longer[0] = 1;
	memcpy(longer + 1, bytes, size);
	ok = BN_bin2bn(longer, (int)size + 1, number) && BN_clear_bit(number, (int)size * 8);
	OPENSSL_cleanse(longer, size + 1);
	return ok;
}

bool rsa_padding_below(const RSA *rsa, const uint8_t *in, size_t size)
{
	BIGNUM *number = BN_bin2bn(in, (int)size, NULL);
	bool ok = number && BN_ucmp(number, RSA_get0_n(rsa)) < 0;

	BN_free(number);
	return ok;
}

/* --------------------------------------------------------------------- TLS premaster secrets */

/* Keeps the compiler from turning masks back into branches. */
static inline uint32_t opaque(uint32_t value)
{
	__asm__("" : "+r"(value));
	return value;
}

/* All ones if value is 0, else 0. */
static inline uint32_t is_zero(uint32_t value)
{
	return opaque((uint32_t)0 - ((~value & (value - 1)) >> 31));
}

static inline uint32_t is_equal(uint32_t a, uint32_t b)
{
	return is_zero(a ^ b);
}

static uint32_t is_version(const uint8_t *p, unsigned int version)
{
	return is_equal(p[0], version >> 8 & 0xff) & is_equal(p[1], version & 0xff);
}

int rsa_padding_tls(const uint8_t *block, size_t size, unsigned int version,
                    unsigned int other_version, uint8_t out[TLS_PREMASTER])
{
	uint8_t random[TLS_PREMASTER];
	const uint8_t *secret;
	uint32_t good, version_good;

	/* 00 02, eight bytes of padding at least, 00. */
	if (size < 11 + TLS_PREMASTER || RAND_priv_bytes(random, sizeof(random)) <= 0)
		return -1;
	secret = block + size - TLS_PREMASTER;
	good = is_zero(block[0]) & is_equal(block[1], 2);
	for (const uint8_t *p = block + 2; p < secret - 1; p++)
		good &= ~is_zero(*p);
	good &= is_zero(secret[-1]);
	/* The version too: telling it apart would be an oracle of its own. */
	version_good = is_version(secret, version);
	if (other_version)
		version_good |= is_version(secret, other_version);
	good &= version_good;
	for (unsigned int i = 0; i < TLS_PREMASTER; i++)
		out[i] = (uint8_t)((secret[i] & good) | (random[i] & ~good));
	OPENSSL_cleanse(random, sizeof(random));
	return TLS_PREMASTER;
}
