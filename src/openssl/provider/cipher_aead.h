/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authenticated encryption: what its modes have in common.
 *
 *   cipher_aead.c   messages
 *   aead_tls.c      records of TLS 1.2
 *   cipher_gcm.c, cipher_ccm.c, cipher_chacha.c   what each mode has for itself
 *
 * A device does a message as a whole; EVP brings it in pieces: IV, additional data, data, end.
 * Nearly always (TLS 1.3, and whoever has a whole message) the data is one piece. So additional
 * data is gathered, the first piece of data goes to the device as if it were all, and the end has
 * nothing left to do. Should more data come after all, the message is begun again in the delegate
 * from the ciphertext of the first piece, which is kept until the end. When decrypting, a wrong tag
 * can mean that more data comes, or that the message is forged: the delegate then does it again,
 * and its answer counts. Decryption is offloaded only if the tag was given before the data.
 *
 * As long as a message is with the device the delegate's context stands where the last init has
 * left it.
 */
#ifndef VC_OPENSSL_CIPHER_AEAD_H
#define VC_OPENSSL_CIPHER_AEAD_H

#include "openssl/provider/cipher.h"

#define AEAD_IV 12 /* of most messages, and of all TLS records */
#define AEAD_MAX_IV 13
#define AEAD_TAG 16
#define AEAD_MAX_AAD 256
/* A message whose data comes in one piece up to this size may be offloaded: a TLS record. */
#define AEAD_MAX_DATA (16384 + 256)

#define TLS_AAD 13
#define TLS_FIXED_IV 4
#define TLS_EXPLICIT_IV 8

enum aead_phase {
	AEAD_SOFTWARE,  /* the delegate has the message, or its IV is not from init */
	AEAD_FRESH,     /* an IV was given; additional data is gathered in aad */
	AEAD_OFFLOADED, /* the device did the data; its ciphertext is kept in case more data comes
	                 */
	AEAD_DONE,      /* the message is over, and the device did it */
};

struct aead_ctx;

/* What a mode has for itself. */
struct aead_mode {
	enum policy_work work;
	uint8_t tls_lead; /* bytes of the explicit IV in front of a record of TLS 1.2 */
	/* Make a new delegate's context decrypt the message, up to where its data comes. */
	int (*begin)(const struct aead_ctx *c, void *scratch);
	/* Tell the delegate about the message what comes before additional data; may be NULL. */
	int (*announce)(struct aead_ctx *c);
	/* The IV of the record at hand; encrypting, put what is explicit of it in front. */
	int (*tls_iv)(struct aead_ctx *c, uint8_t *record);
};

struct aead_ctx {
	struct cipher_ctx base; /* tag_len is that of the messages that may be offloaded */
	const struct aead_mode *mode;
	enum aead_phase phase;
	uint8_t iv_len;
	uint8_t iv[AEAD_MAX_IV];
	bool tag_set; /* decrypting: tag is what the caller expects, all tag_len bytes of it */
	uint8_t tag[AEAD_TAG];
	uint16_t aad_len;
	uint8_t aad[AEAD_MAX_AAD];
	uint8_t *kept; /* AEAD_OFFLOADED: the ciphertext */
	size_t kept_len;
	bool tls_iv;              /* the first bytes of iv are the fixed part of TLS 1.2 */
	bool tls_pending;         /* tls_aad was set: the next update is a record */
	bool tls_used;            /* tls_aad was set at least once */
	uint8_t tls_aad[TLS_AAD]; /* as given */
};

/* ---- cipher_aead.c ---- */

/* A context of so many bytes that begins with struct aead_ctx. */
void *aead_new(size_t size, void *provctx, enum cipher_id id, const struct aead_mode *mode);
void aead_free(struct aead_ctx *c, size_t size);
void *aead_dup(const struct aead_ctx *c, size_t size);

/* A message begins with this IV, which the delegate has got too; of another length than iv_len it
 * is one for the delegate. */
void aead_begin(struct aead_ctx *c, const uint8_t *iv, size_t size, size_t iv_len);
/* Forget the ciphertext that is kept. */
void aead_drop(struct aead_ctx *c);
/* Bring the delegate to where the message is. */
int aead_to_software(struct aead_ctx *c);

/*
 * In two steps, with whatever else is to be run with it: op is filled, and has been run (pipes: how
 * many are, together). 1; 0 failed; -1 to be done in software.
 */
int aead_take(struct aead_ctx *c, struct core_op *op, uint8_t *out, const uint8_t *in, size_t size,
              size_t pipes);
int aead_taken(struct aead_ctx *c, const struct core_op *op, int result);
/*
 * The first data of a message in phase AEAD_FRESH. 1 done, and the phase is AEAD_OFFLOADED; 0
 * failed; -1 to be done in software.
 */
int aead_offload(struct aead_ctx *c, uint8_t *out, const uint8_t *in, size_t size);
/* An update with data, or (out NULL) additional data, wherever the message is. */
int aead_update(struct aead_ctx *c, uint8_t *out, size_t *outl, size_t outsize, const uint8_t *in,
                size_t size);
/* In phase AEAD_FRESH: take additional data; false without room. */
bool aead_gather(struct aead_ctx *c, const uint8_t *in, size_t size);

/* Run one operation at the device. 0; -EBADMSG; other < 0 not done. */
int aead_run(struct aead_ctx *c, uint8_t *out, const uint8_t *in, size_t size, const uint8_t *aad,
             size_t aad_size, uint8_t *tag);

/* The parameter "tag": set, and after a message of the device got. */
int aead_set_tag(struct aead_ctx *c, const OSSL_PARAM *p);
int aead_get_tag(struct aead_ctx *c, OSSL_PARAM *p);

/* ---- aead_tls.c ---- */

/* The "tlsaad" parameter: 1, 0 when it is not valid. */
int aead_tls_set_aad(struct aead_ctx *c, const OSSL_PARAM *p);
/* Hand it to the delegate after all, whatever comes next. */
int aead_tls_to_software(struct aead_ctx *c);
/* A record: explicit IV, data, tag, in place. */
int aead_tls_record(struct aead_ctx *c, uint8_t *out, size_t *outl, size_t outsize,
                    const uint8_t *in, size_t size);

#endif
