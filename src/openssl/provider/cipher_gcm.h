/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AES-GCM context, shared by cipher_gcm.c (messages) and gcm_tls.c (TLS 1.2 records).
 */
#ifndef VC_OPENSSL_CIPHER_GCM_H
#define VC_OPENSSL_CIPHER_GCM_H

#include "openssl/provider/cipher.h"

#define GCM_IV 12
#define GCM_TAG 16
#define GCM_MAX_AAD 256
/* A message whose data comes in one piece up to this size may be offloaded: a TLS record. */
#define GCM_MAX_DATA (16384 + 256)

#define TLS_AAD 13
#define TLS_FIXED_IV 4
#define TLS_EXPLICIT_IV 8

enum gcm_phase {
	GCM_SOFTWARE,  /* the delegate has the message, or its IV is not from init */
	GCM_FRESH,     /* an IV was given; additional data is gathered in aad */
	GCM_OFFLOADED, /* the device did the data; its ciphertext is kept in case more data comes */
	GCM_DONE,      /* the message is over, and the device did it */
};

struct gcm_ctx {
	struct cipher_ctx base;
	enum gcm_phase phase;
	uint8_t iv[GCM_IV];
	uint8_t tag[GCM_TAG];
	bool tag_set; /* decrypting: tag is what the caller expects, all 16 bytes of it */
	uint16_t aad_len;
	uint8_t aad[GCM_MAX_AAD];
	uint8_t *kept; /* GCM_OFFLOADED: the ciphertext */
	size_t kept_len;
	bool tls_iv;              /* the first bytes of iv are the fixed part of TLS 1.2 */
	bool tls_pending;         /* tls_aad was set: the next update is a record */
	bool tls_used;            /* tls_aad was set at least once */
	uint8_t tls_aad[TLS_AAD]; /* as given */
};

/* Run one operation at the device. 0; -EBADMSG; other < 0 not done. */
int gcm_run(struct gcm_ctx *c, uint8_t *out, const uint8_t *in, size_t size, const uint8_t *aad,
            size_t aad_size, uint8_t *tag);

/* The "tlsaad" parameter: 1, 0 when it is not valid. */
int gcm_tls_set_aad(struct gcm_ctx *c, const OSSL_PARAM *p);
/* A record: explicit IV, data, tag, in place. */
int gcm_tls_record(struct gcm_ctx *c, uint8_t *out, size_t *outl, size_t outsize, const uint8_t *in,
                   size_t size);

#endif
