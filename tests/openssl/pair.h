/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cipher twice: the provider's context and OpenSSL's own, given the same; whatever they answer
 * must be the same.
 */
#ifndef VC_TESTS_OPENSSL_PAIR_H
#define VC_TESTS_OPENSSL_PAIR_H

#include "cases.h"

/* A context of the provider whose properties these are; NULL: refused. */
EVP_CIPHER_CTX *open_cipher_ctx(const struct env *env, const char *name, const char *whose,
                                int encrypt, const uint8_t *key, const uint8_t *iv);

struct pair {
	EVP_CIPHER_CTX *ours, *theirs;
};

bool pair_open(const struct env *env, const char *name, struct pair *pair, int encrypt,
               const uint8_t *key, const uint8_t *iv);
void pair_close(struct pair *pair);
/* Both go on as a copy of themselves. */
bool pair_copy(struct pair *pair);
/* Ours writes to a, theirs to b (NULL: additional data); n: how much. */
bool pair_update(struct pair *pair, uint8_t *a, uint8_t *b, int *n, const uint8_t *in, size_t size);
bool pair_final(struct pair *pair, uint8_t *a, uint8_t *b, int *n, int *result);
bool pair_same_ivs(struct pair *pair);
/* EVP_Cipher(), which knows no padding, with messages from so many bytes on; same: after each. */
bool pair_bare_cipher(const struct env *env, const char *name, size_t least,
                      bool (*same)(struct pair *));

/* Room for a message, and what either makes of it. */
struct buffers {
	uint8_t *in, *a, *b;
};

bool buffers_open(struct buffers *m, size_t size);
void buffers_close(struct buffers *m);

#endif
