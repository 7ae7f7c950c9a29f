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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>

#include "openssl/provider/policy.h"

/* Index of the ciphers; CIPHER_GCM is the first that is not CBC. */
enum cipher_id {
	AES_128_CBC,
	AES_192_CBC,
	AES_256_CBC,
	CIPHER_GCM,
	AES_128_GCM = CIPHER_GCM,
	AES_192_GCM,
	AES_256_GCM,
	CIPHERS
};

enum rsa_kind { RSA_PLAIN, RSA_PSS, RSA_KINDS };

/* The delegates' functions that we call; the names are those of core_dispatch.h. */

struct cipher_delegate {
	OSSL_FUNC_cipher_newctx_fn *newctx;
	OSSL_FUNC_cipher_freectx_fn *freectx;
	OSSL_FUNC_cipher_dupctx_fn *dupctx;
	OSSL_FUNC_cipher_encrypt_init_fn *encrypt_init;
	OSSL_FUNC_cipher_decrypt_init_fn *decrypt_init;
	OSSL_FUNC_cipher_update_fn *update;
	OSSL_FUNC_cipher_final_fn *final;
	OSSL_FUNC_cipher_cipher_fn *cipher;
	OSSL_FUNC_cipher_get_ctx_params_fn *get_ctx_params;
	OSSL_FUNC_cipher_set_ctx_params_fn *set_ctx_params;
	OSSL_FUNC_cipher_gettable_params_fn *gettable_params;
	OSSL_FUNC_cipher_gettable_ctx_params_fn *gettable_ctx_params;
	OSSL_FUNC_cipher_settable_ctx_params_fn *settable_ctx_params;
};

struct keymgmt_delegate {
	OSSL_FUNC_keymgmt_new_fn *new_key;
	OSSL_FUNC_keymgmt_free_fn *free_key;
	OSSL_FUNC_keymgmt_gen_init_fn *gen_init;
	OSSL_FUNC_keymgmt_gen_set_template_fn *gen_set_template;
	OSSL_FUNC_keymgmt_gen_set_params_fn *gen_set_params;
	OSSL_FUNC_keymgmt_gen_settable_params_fn *gen_settable_params;
	OSSL_FUNC_keymgmt_gen_fn *gen;
	OSSL_FUNC_keymgmt_gen_cleanup_fn *gen_cleanup;
	OSSL_FUNC_keymgmt_get_params_fn *get_params;
	OSSL_FUNC_keymgmt_gettable_params_fn *gettable_params;
	OSSL_FUNC_keymgmt_has_fn *has;
	OSSL_FUNC_keymgmt_validate_fn *validate;
	OSSL_FUNC_keymgmt_match_fn *match;
	OSSL_FUNC_keymgmt_import_fn *import;
	OSSL_FUNC_keymgmt_export_fn *export;
	OSSL_FUNC_keymgmt_dup_fn *dup;
};

struct signature_delegate {
	OSSL_FUNC_signature_newctx_fn *newctx;
	OSSL_FUNC_signature_freectx_fn *freectx;
	OSSL_FUNC_signature_dupctx_fn *dupctx;
	OSSL_FUNC_signature_sign_init_fn *sign_init;
	OSSL_FUNC_signature_sign_fn *sign;
	OSSL_FUNC_signature_verify_init_fn *verify_init;
	OSSL_FUNC_signature_verify_fn *verify;
	OSSL_FUNC_signature_verify_recover_init_fn *verify_recover_init;
	OSSL_FUNC_signature_verify_recover_fn *verify_recover;
	OSSL_FUNC_signature_digest_verify_init_fn *digest_verify_init;
	OSSL_FUNC_signature_digest_verify_update_fn *digest_verify_update;
	OSSL_FUNC_signature_digest_verify_final_fn *digest_verify_final;
	OSSL_FUNC_signature_get_ctx_params_fn *get_ctx_params;
	OSSL_FUNC_signature_gettable_ctx_params_fn *gettable_ctx_params;
	OSSL_FUNC_signature_set_ctx_params_fn *set_ctx_params;
	OSSL_FUNC_signature_settable_ctx_params_fn *settable_ctx_params;
	OSSL_FUNC_signature_get_ctx_md_params_fn *get_ctx_md_params;
	OSSL_FUNC_signature_gettable_ctx_md_params_fn *gettable_ctx_md_params;
	OSSL_FUNC_signature_set_ctx_md_params_fn *set_ctx_md_params;
	OSSL_FUNC_signature_settable_ctx_md_params_fn *settable_ctx_md_params;
};

struct asym_delegate {
	OSSL_FUNC_asym_cipher_newctx_fn *newctx;
	OSSL_FUNC_asym_cipher_freectx_fn *freectx;
	OSSL_FUNC_asym_cipher_dupctx_fn *dupctx;
	OSSL_FUNC_asym_cipher_encrypt_init_fn *encrypt_init;
	OSSL_FUNC_asym_cipher_encrypt_fn *encrypt;
	OSSL_FUNC_asym_cipher_decrypt_init_fn *decrypt_init;
	OSSL_FUNC_asym_cipher_decrypt_fn *decrypt;
	OSSL_FUNC_asym_cipher_get_ctx_params_fn *get_ctx_params;
	OSSL_FUNC_asym_cipher_gettable_ctx_params_fn *gettable_ctx_params;
	OSSL_FUNC_asym_cipher_set_ctx_params_fn *set_ctx_params;
	OSSL_FUNC_asym_cipher_settable_ctx_params_fn *settable_ctx_params;
};

/* Tables that we give to OpenSSL, made at start-up from ours and the delegates'. */
#define PROVIDER_TABLES (CIPHERS + RSA_KINDS + 2)

struct provider {
	const OSSL_CORE_HANDLE *handle;
	struct policy policy;
	OSSL_LIB_CTX *libctx; /* our own: the default provider is loaded in it, and nothing else */
	OSSL_PROVIDER *delegate;
	void *delegate_ctx;
	struct cipher_delegate cipher[CIPHERS];
	struct keymgmt_delegate keymgmt[RSA_KINDS];
	struct signature_delegate signature;
	struct asym_delegate asym;
	OSSL_ALGORITHM ciphers[CIPHERS + 1];
	OSSL_ALGORITHM keymgmts[RSA_KINDS + 1];
	OSSL_ALGORITHM signatures[2];
	OSSL_ALGORITHM asyms[2];
	OSSL_DISPATCH *tables[PROVIDER_TABLES]; /* to be freed */
	unsigned int n_tables;
};

/* The first name of each cipher, by which its delegate is found. */
extern const char *const cipher_names[CIPHERS];

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
 */
const OSSL_DISPATCH *cipher_dispatch(enum cipher_id id);
const OSSL_DISPATCH *rsa_keymgmt_dispatch(enum rsa_kind kind);
extern const OSSL_DISPATCH rsa_signature_dispatch[];
extern const OSSL_DISPATCH rsa_asym_dispatch[];

#endif
