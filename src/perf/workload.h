/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vcrypto-perf runs: an algorithm with a key, inputs for it, and what libcrypto says the
 * results are.
 */
#ifndef VC_PERF_WORKLOAD_H
#define VC_PERF_WORKLOAD_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <vcrypto/vcrypto.h>

enum workload_kind {
	WORKLOAD_CIPHER,
	WORKLOAD_AEAD,
	WORKLOAD_CHAIN,
	WORKLOAD_HASH,
	WORKLOAD_MAC,
	WORKLOAD_RSA,
};

/* Different inputs of an asymmetric workload. */
#define WORKLOAD_RSA_INPUTS 8
#define WORKLOAD_RSA_MAX 512
/* Additional data of an AEAD operation, as in TLS 1.2. */
#define WORKLOAD_AAD 13

struct workload {
	char name[32];
	enum workload_kind kind;
	bool decrypt; /* RSA: with the public key */
	unsigned int bits;
	uint16_t tag_len;
	uint8_t iv_len;
	uint8_t key[64];
	uint8_t auth_key[64];
	uint16_t auth_key_len;
	const EVP_CIPHER *cipher;
	const EVP_MD *md;
	unsigned char *der; /* RSA: the key, for the device */
	size_t der_len;
	uint8_t rsa_in[WORKLOAD_RSA_INPUTS][WORKLOAD_RSA_MAX];
	uint8_t rsa_out[WORKLOAD_RSA_INPUTS][WORKLOAD_RSA_MAX];
	struct vcrypto_session_params params;
};

/* 0; -EINVAL: no such algorithm; -EIO: libcrypto fails. */
int workload_init(struct workload *workload, const char *name);
void workload_fini(struct workload *workload);

/* The names, separated by blanks. */
const char *workload_names(void);

/* An operation as it is given out, with all that is the same each time. index: of its buffers.
 * src, dst, tag and aad of the operation are set and src, tag and aad are filled. */
int workload_prepare(const struct workload *workload, struct vcrypto_op *op, unsigned int index);

/*
 * Does the result agree with libcrypto's? source: what the operation's source was. scratch: as long
 * as the operation. context: the caller's own.
 */
bool workload_agrees(const struct workload *workload, const struct vcrypto_op *op,
                     const uint8_t *source, uint8_t *scratch, EVP_CIPHER_CTX *context);

#endif
