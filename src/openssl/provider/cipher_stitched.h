/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CBC with HMAC in one pass: what one record (cipher_stitched.c) and several at once
 * (stitched_records.c) share. See cipher.h for who may use a context.
 */
#ifndef VC_OPENSSL_CIPHER_STITCHED_H
#define VC_OPENSSL_CIPHER_STITCHED_H

#include "openssl/provider/cipher.h"

#define STITCHED_AAD 13
#define STITCHED_MAX_MAC 32
#define STITCHED_MAX_MAC_KEY 64 /* a block of the hash: longer ones are hashed first */
#define STITCHED_MAX_RECORDS 32

struct stitched_flights;

struct stitched_ctx {
	struct cipher_ctx base;
	uint8_t mac_size;
	bool mac_key_set; /* and one that fits */
	uint8_t mac_key_size;
	uint8_t mac_key[STITCHED_MAX_MAC_KEY];
	bool tls_pending;              /* tls_aad was set: the next update is a record */
	bool tls_used;                 /* tls_aad was set at least once */
	uint8_t tls_aad[STITCHED_AAD]; /* as given */
	/* Made when records first come several at once. */
	struct stitched_flights *flights;
};

/* ---- cipher_stitched.c; records are those of tls_aad ---- */

/* Bytes of the record that are data and explicit IV, and of these the IV. */
size_t stitched_payload(const struct stitched_ctx *c);
size_t stitched_explicit_iv(const struct stitched_ctx *c);
/* Whether a record of so many bytes is one for the device. */
bool stitched_record_fits(const struct stitched_ctx *c, size_t size);
/* What of a record is authenticated before its data, of which there are length bytes. */
void stitched_header(const struct stitched_ctx *c, size_t length, uint8_t aad[STITCHED_AAD]);
/* The key for the device, NULL without memory. */
struct core_key *stitched_key(struct stitched_ctx *c);
/* Encipher size bytes, whole blocks, of length bytes that are authenticated behind aad (NULL:
 * nothing), from the chaining value on. */
void stitched_fill(struct stitched_ctx *c, struct core_op *op, uint8_t *out, const uint8_t *in,
                   size_t size, size_t length, const uint8_t *aad, uint8_t mac[STITCHED_MAX_MAC]);
/* What comes after the blocks that the device did: n bytes of data, MAC, padding, size in all. */
int stitched_finish_record(struct stitched_ctx *c, uint8_t *out, const uint8_t *rest, size_t n,
                           size_t size, const uint8_t mac[STITCHED_MAX_MAC]);
/* The whole record by the delegate. */
int stitched_software_record(struct stitched_ctx *c, uint8_t *out, const uint8_t *in, size_t size);

/* ---- stitched_records.c ---- */

void stitched_flights_free(struct stitched_ctx *c);

struct stitched_record {
	uint8_t *out;
	const uint8_t *in; /* out, or apart from it */
	size_t size;
	const uint8_t *aad; /* STITCHED_AAD bytes, as the parameter "tlsaad" has it */
};

/*
 * Encrypt up to STITCHED_MAX_RECORDS records with explicit IVs (TLS 1.1 and 1.2), all in flight at
 * once; the last one's last block is then the chaining value. 1, 0. May pause the ASYNC job.
 */
int stitched_encrypt_records(struct stitched_ctx *c, const struct stitched_record *records,
                             unsigned int n);

#endif
