/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures.
 *
 * The delegate keeps all parameters and their rules, and verifies. For DigestSign the digest is
 * computed here, so that there is a moment between it and the private operation; the delegate is
 * then set up for signing that digest, which it does whenever we do not.
 *
 * sign.c has what all kinds have in common; rsa_sign.c and ecdsa_sign.c do the operation.
 */
#ifndef VC_OPENSSL_SIGN_H
#define VC_OPENSSL_SIGN_H

#include <openssl/evp.h>

#include "openssl/provider/key.h"

/* Room for the name of a digest. */
#define SIGN_NAME 64

struct sign_ctx;

struct sign_class {
	/* At the device, when all is well with the input. 1 done; 0 failed, without fall-back;
	 * -1 for the delegate to do, or to refuse. There is a key, and sig is not NULL. */
	int (*sign)(struct sign_ctx *c, uint8_t *sig, size_t *siglen, size_t sigsize,
	            const uint8_t *tbs, size_t tbslen);
	/* Look at parameters that the delegate gets; 0: they are wrong. May be NULL. */
	int (*set_params)(struct sign_ctx *c, const OSSL_PARAM params[]);
};

extern const struct sign_class rsa_sign_class, ecdsa_sign_class;

struct sign_ctx {
	struct provider *provider;
	const struct sign_class *class;
	const struct signature_delegate *delegate;
	void *inner;
	struct key *key;
	bool digesting; /* in DigestSign: md_ctx is ours and the digest is fixed */
	bool software;  /* parameters want what only the delegate does */
	EVP_MD *md;
	EVP_MD_CTX *md_ctx;
};

/* The digest of this name, kept in c->md. NULL: no name, or there is none. */
const EVP_MD *sign_md(struct sign_ctx *c, const char *name);

#endif
