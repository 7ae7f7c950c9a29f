/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the OpenSSL provider share.
 *
 * Each algorithm here is OpenSSL's own (the "delegate", from the default provider in a library
 * context of our own) with its expensive step taken out and given to core/. A context of ours owns
 * one of the delegate's, so that at any moment the rest can be done in software with the same
 * result.
 */
#ifndef VC_OPENSSL_PROVIDER_H
#define VC_OPENSSL_PROVIDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>

#include "openssl/provider/policy.h"

/* Index of the ciphers. */
enum cipher_id {
	AES_128_CBC,
	AES_192_CBC,
	AES_256_CBC,
	AES_128_CTR,
	AES_192_CTR,
	AES_256_CTR,
	AES_128_XTS,
	AES_256_XTS,
	AES_128_CBC_HMAC_SHA1,
	AES_256_CBC_HMAC_SHA1,
	AES_128_CBC_HMAC_SHA256,
	AES_256_CBC_HMAC_SHA256,
	AES_128_GCM,
	AES_192_GCM,
	AES_256_GCM,
	AES_128_CCM,
	AES_192_CCM,
	AES_256_CCM,
	CHACHA20_POLY1305,
	CIPHERS
};

/* X25519 last: OpenSSL may be built without it. */
enum key_kind { KEY_RSA, KEY_RSA_PSS, KEY_EC, KEY_X25519, KEY_KINDS };

enum keyexch_id { KEYEXCH_ECDH, KEYEXCH_X25519, KEYEXCHS };

enum signature_id { SIGNATURE_RSA, SIGNATURE_ECDSA, SIGNATURES };

/*
 * The delegates' functions that we call, by the names of core_dispatch.h. Each list makes the
 * members of a structure here, and in delegate.c what fills them; k is the kind of operation.
 */

#define CIPHER_FUNCTIONS(F, k, K)                                                                  \
	F(k, K, newctx, NEWCTX)                                                                    \
	F(k, K, freectx, FREECTX)                                                                  \
	F(k, K, dupctx, DUPCTX)                                                                    \
	F(k, K, encrypt_init, ENCRYPT_INIT)                                                        \
	F(k, K, decrypt_init, DECRYPT_INIT)                                                        \
	F(k, K, update, UPDATE)                                                                    \
	F(k, K, final, FINAL)                                                                      \
	F(k, K, cipher, CIPHER)                                                                    \
	F(k, K, get_ctx_params, GET_CTX_PARAMS)                                                    \
	F(k, K, set_ctx_params, SET_CTX_PARAMS)                                                    \
	F(k, K, gettable_params, GETTABLE_PARAMS)                                                  \
	F(k, K, gettable_ctx_params, GETTABLE_CTX_PARAMS)                                          \
	F(k, K, settable_ctx_params, SETTABLE_CTX_PARAMS)

#define KEYMGMT_FUNCTIONS(F, k, K)                                                                 \
	F(k, K, new, NEW)                                                                          \
	F(k, K, free, FREE)                                                                        \
	F(k, K, gen_init, GEN_INIT)                                                                \
	F(k, K, gen_set_template, GEN_SET_TEMPLATE)                                                \
	F(k, K, gen_set_params, GEN_SET_PARAMS)                                                    \
	F(k, K, gen_settable_params, GEN_SETTABLE_PARAMS)                                          \
	F(k, K, gen, GEN)                                                                          \
	F(k, K, gen_cleanup, GEN_CLEANUP)                                                          \
	F(k, K, get_params, GET_PARAMS)                                                            \
	F(k, K, gettable_params, GETTABLE_PARAMS)                                                  \
	F(k, K, set_params, SET_PARAMS)                                                            \
	F(k, K, settable_params, SETTABLE_PARAMS)                                                  \
	F(k, K, has, HAS)                                                                          \
	F(k, K, validate, VALIDATE)                                                                \
	F(k, K, match, MATCH)                                                                      \
	F(k, K, import, IMPORT)                                                                    \
	F(k, K, export, EXPORT)                                                                    \
	F(k, K, dup, DUP)

#define SIGNATURE_FUNCTIONS(F, k, K)                                                               \
	F(k, K, newctx, NEWCTX)                                                                    \
	F(k, K, freectx, FREECTX)                                                                  \
	F(k, K, dupctx, DUPCTX)                                                                    \
	F(k, K, sign_init, SIGN_INIT)                                                              \
	F(k, K, sign, SIGN)                                                                        \
	F(k, K, verify_init, VERIFY_INIT)                                                          \
	F(k, K, verify, VERIFY)                                                                    \
	F(k, K, verify_recover_init, VERIFY_RECOVER_INIT)                                          \
	F(k, K, verify_recover, VERIFY_RECOVER)                                                    \
	F(k, K, digest_verify_init, DIGEST_VERIFY_INIT)                                            \
	F(k, K, digest_verify_update, DIGEST_VERIFY_UPDATE)                                        \
	F(k, K, digest_verify_final, DIGEST_VERIFY_FINAL)                                          \
	F(k, K, get_ctx_params, GET_CTX_PARAMS)                                                    \
	F(k, K, gettable_ctx_params, GETTABLE_CTX_PARAMS)                                          \
	F(k, K, set_ctx_params, SET_CTX_PARAMS)                                                    \
	F(k, K, settable_ctx_params, SETTABLE_CTX_PARAMS)                                          \
	F(k, K, get_ctx_md_params, GET_CTX_MD_PARAMS)                                              \
	F(k, K, gettable_ctx_md_params, GETTABLE_CTX_MD_PARAMS)                                    \
	F(k, K, set_ctx_md_params, SET_CTX_MD_PARAMS)                                              \
	F(k, K, settable_ctx_md_params, SETTABLE_CTX_MD_PARAMS)

#define KEYEXCH_FUNCTIONS(F, k, K)                                                                 \
	F(k, K, newctx, NEWCTX)                                                                    \
	F(k, K, init, INIT)                                                                        \
	F(k, K, derive, DERIVE)                                                                    \
	F(k, K, set_peer, SET_PEER)                                                                \
	F(k, K, freectx, FREECTX)                                                                  \
	F(k, K, dupctx, DUPCTX)                                                                    \
	F(k, K, get_ctx_params, GET_CTX_PARAMS)                                                    \
	F(k, K, gettable_ctx_params, GETTABLE_CTX_PARAMS)                                          \
	F(k, K, set_ctx_params, SET_CTX_PARAMS)                                                    \
	F(k, K, settable_ctx_params, SETTABLE_CTX_PARAMS)

#define ASYM_CIPHER_FUNCTIONS(F, k, K)                                                             \
	F(k, K, newctx, NEWCTX)                                                                    \
	F(k, K, freectx, FREECTX)                                                                  \
	F(k, K, dupctx, DUPCTX)                                                                    \
	F(k, K, encrypt_init, ENCRYPT_INIT)                                                        \
	F(k, K, encrypt, ENCRYPT)                                                                  \
	F(k, K, decrypt_init, DECRYPT_INIT)                                                        \
	F(k, K, decrypt, DECRYPT)                                                                  \
	F(k, K, get_ctx_params, GET_CTX_PARAMS)                                                    \
	F(k, K, gettable_ctx_params, GETTABLE_CTX_PARAMS)                                          \
	F(k, K, set_ctx_params, SET_CTX_PARAMS)                                                    \
	F(k, K, settable_ctx_params, SETTABLE_CTX_PARAMS)

#define DELEGATE_MEMBER(k, K, function, FUNCTION) OSSL_FUNC_##k##_##function##_fn *function;

struct cipher_delegate {
	CIPHER_FUNCTIONS(DELEGATE_MEMBER, cipher, CIPHER)
};

struct keymgmt_delegate {
	KEYMGMT_FUNCTIONS(DELEGATE_MEMBER, keymgmt, KEYMGMT)
};

struct signature_delegate {
	SIGNATURE_FUNCTIONS(DELEGATE_MEMBER, signature, SIGNATURE)
};

struct keyexch_delegate {
	KEYEXCH_FUNCTIONS(DELEGATE_MEMBER, keyexch, KEYEXCH)
};

struct asym_delegate {
	ASYM_CIPHER_FUNCTIONS(DELEGATE_MEMBER, asym_cipher, ASYM_CIPHER)
};

/* Tables that we give to OpenSSL, made at start-up from ours and the delegates'. */
#define PROVIDER_TABLES (CIPHERS + KEY_KINDS + SIGNATURES + KEYEXCHS + 1)

/* Curves of key agreement at the device: agreement.h. */
#define AGREEMENT_CURVES 4

struct core_key;

struct provider {
	const OSSL_CORE_HANDLE *handle;
	struct policy policy;
	OSSL_LIB_CTX *libctx; /* our own: the default provider is loaded in it, and nothing else */
	OSSL_PROVIDER *delegate;
	void *delegate_ctx;
	struct cipher_delegate cipher[CIPHERS];
	struct keymgmt_delegate keymgmt[KEY_KINDS];
	struct signature_delegate signature[SIGNATURES];
	struct keyexch_delegate keyexch[KEYEXCHS];
	struct asym_delegate asym;
	OSSL_ALGORITHM ciphers[CIPHERS + 1];
	OSSL_ALGORITHM keymgmts[KEY_KINDS + 1];
	OSSL_ALGORITHM signatures[SIGNATURES + 1];
	OSSL_ALGORITHM keyexchs[KEYEXCHS + 1];
	OSSL_ALGORITHM asyms[2];
	OSSL_DISPATCH *tables[PROVIDER_TABLES]; /* to be freed */
	unsigned int n_tables;
	_Atomic(struct core_key *) agreement[AGREEMENT_CURVES];
};

/*
 * Load the default provider into a library context of our own and fill the delegates and the
 * algorithm tables. delegate_close undoes what was done, also after a failure.
 * 0; -ENOTSUP the default provider lacks what we need; -ENOMEM.
 */
int delegate_open(struct provider *provider);
void delegate_close(struct provider *provider);

/*
 * Our functions, each table ending with {0, NULL}. delegate_open offers those whose number the
 * delegate's table has too, and takes from the delegate those that are NULL here.
 * cipher_name: the first of each cipher's names, by which its delegate is found.
 */
const char *cipher_name(enum cipher_id id);
const OSSL_DISPATCH *cipher_dispatch(enum cipher_id id);
const OSSL_DISPATCH *keymgmt_dispatch(enum key_kind kind);
const OSSL_DISPATCH *signature_dispatch(enum signature_id id);
const OSSL_DISPATCH *keyexch_dispatch(enum keyexch_id id);
extern const OSSL_DISPATCH rsa_asym_dispatch[];

#endif
