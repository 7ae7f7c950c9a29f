/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of asymmetric sessions: the libcrypto resource opened, a session, one operation.
 */
#ifndef VC_TESTS_AKCIPHER_FIXTURE_H
#define VC_TESTS_AKCIPHER_FIXTURE_H

#include "resource_fixture.h"

#include <openssl/evp.h>

#define RAW VIRTIO_CRYPTO_RSA_RAW_PADDING
#define PKCS1 VIRTIO_CRYPTO_RSA_PKCS1_PADDING

struct akcipher_session {
	struct session_params params;
	void *handle;
};

/* Setup and teardown of a test: *state is a struct fixture. */
int akcipher_open(void **state);
int akcipher_close(void **state);
#define akcipher_test(t) cmocka_unit_test_setup_teardown(t, akcipher_open, akcipher_close)

/* s->params are set: realise them. */
void session_realise(struct fixture *f, struct akcipher_session *s);
/* With a key of test_rsa_private() or test_rsa_public(). */
void rsa_session_open(struct fixture *f, struct akcipher_session *s, unsigned int bits,
                      bool private, uint8_t padding, uint8_t hash);
/* A private and a public session, unpadded: what the private key makes of a random number (in; out:
 * as long as the modulus, both) is what libcrypto makes of it, and the public one takes it back. */
void rsa_raw_agrees(struct fixture *f, unsigned int bits, struct akcipher_session *private,
                    struct akcipher_session *public, uint8_t *in, uint8_t *out);
void session_close(struct fixture *f, struct akcipher_session *s);

/* One operation; returns its status, and its result in out (*out_len bytes of room, then how long
 * it is; NULL where there is none). */
uint8_t operate(struct fixture *f, const struct akcipher_session *s, uint8_t kind,
                const uint8_t *in, uint32_t in_len, const uint8_t *digest, uint16_t digest_len,
                uint8_t *out, uint32_t *out_len);

/* libcrypto's own key of test_rsa_private(bits), and an operation with any key; padding 0 and md
 * NULL: none is set. */
EVP_PKEY *reference_key(unsigned int bits);
EVP_PKEY_CTX *reference(EVP_PKEY *key, int (*init)(EVP_PKEY_CTX *), int padding, const EVP_MD *md);

#endif
