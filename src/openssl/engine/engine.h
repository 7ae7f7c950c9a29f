/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the OpenSSL ENGINE share.
 *
 *   engine.c           start and end, commands, errors
 *   rsa.c, ec.c        methods of private keys
 *   cipher.c           the table of ciphers, and what their methods have in common
 *   cipher_cbc.c, cipher_stitched.c, cipher_gcm.c   what each mode has for itself
 *
 * The ENGINE is made of the provider's parts (src/openssl/provider): policy, keys, padding and
 * ciphers. What those want of a provider is engine_front, of which a process has one, however many
 * ENGINE objects it makes. Its delegates for ciphers are the default provider's; those for keys are
 * functions of ours on the application's RSA and EC_KEY objects.
 *
 * Any thread; commands are for the time before the first use, as with every ENGINE.
 */
#ifndef VC_OPENSSL_ENGINE_H
#define VC_OPENSSL_ENGINE_H

#include <openssl/engine.h>

#include "openssl/provider/key.h"
#include "openssl/provider/provider.h"

#define ENGINE_ID "vcrypto"

extern struct provider engine_front;

/* Reasons of errors in a library of our own, "vcrypto engine". */
enum engine_reason {
	ENGINE_REASON_BAD_VALUE = 100,
	ENGINE_REASON_TOO_LATE,
	ENGINE_REASON_UNKNOWN_COMMAND,
	ENGINE_REASON_NOT_OFFLOADED,
	ENGINE_REASON_NO_DEFAULT_PROVIDER,
};

/* The number of that library. */
int engine_error_library(void);

#define ENGINE_RAISE(reason, ...)                                                                  \
	ERR_raise_data(engine_error_library(), ENGINE_REASON_##reason, __VA_ARGS__)

/* Each makes what it has, once the front is there; close is allowed after a failure, and twice. */
bool engine_rsa_open(void);
void engine_rsa_close(void);
const RSA_METHOD *engine_rsa(void);

bool engine_ec_open(void);
void engine_ec_close(void);
const EC_KEY_METHOD *engine_ec(void);

bool engine_ciphers_open(void);
void engine_ciphers_close(void);
/* As ENGINE_set_ciphers() wants it. */
int engine_ciphers(ENGINE *e, const EVP_CIPHER **cipher, const int **nids, int nid);

/*
 * Index for the struct key in the objects of a class (CRYPTO_EX_INDEX_RSA or _EC_KEY): a copy of an
 * object has a key of its own. -1 on failure.
 */
int engine_key_index(int class_index);

/* The operation was to be offloaded, and was not: whether it is one for software. Else the error
 * has been raised. */
bool engine_fall_back(const char *operation);

#endif
