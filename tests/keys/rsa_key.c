/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys for tests; see rsa_key.h.
 */
#include "rsa_key.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>

#define WHOSE "provider=default"

static EVP_PKEY *make(OSSL_LIB_CTX *libctx, unsigned int bits, unsigned int primes)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, "RSA", WHOSE);
	OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_BITS, &bits),
	                       OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_PRIMES, &primes),
	                       OSSL_PARAM_END};
	EVP_PKEY *key = NULL;

	if (ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_params(ctx, params) == 1)
		EVP_PKEY_generate(ctx, &key);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *read_kept(OSSL_LIB_CTX *libctx, const char *path)
{
	FILE *file = fopen(path, "re");
	EVP_PKEY *key = NULL;

	if (file) {
		key = PEM_read_PrivateKey_ex(file, NULL, NULL, NULL, libctx, WHOSE);
		fclose(file);
	}
	return key;
}

/* For somebody else, who may come in the middle of it. Where that cannot be done it is not. */
static void keep(EVP_PKEY *key, const char *path)
{
	char name[256];
	bool written;
	FILE *file;
	int fd;

	snprintf(name, sizeof(name), "%s.XXXXXX", path);
	fd = mkstemp(name);
	if (fd < 0)
		return;
	file = fdopen(fd, "w");
	if (!file) {
		close(fd);
		unlink(name);
		return;
	}
	written = PEM_write_PrivateKey_ex(file, key, NULL, NULL, 0, NULL, NULL, NULL, WHOSE) == 1;
	if (fclose(file) || !written || rename(name, path))
		unlink(name);
}

EVP_PKEY *test_rsa_key(OSSL_LIB_CTX *libctx, unsigned int bits, unsigned int primes)
{
	char path[240];
	EVP_PKEY *key;

	snprintf(path, sizeof(path), "%s/rsa-%u-%u.pem", TEST_KEYS, bits, primes);
	key = read_kept(libctx, path);
	if (key)
		return key;
	ERR_clear_error();
	key = make(libctx, bits, primes);
	if (key)
		keep(key, path);
	ERR_clear_error();
	return key;
}
