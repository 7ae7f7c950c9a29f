/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default provider, loaded in a library context of our own: its functions for the algorithms
 * that we offer, and the algorithm tables that we give to OpenSSL.
 *
 * Only public interfaces are used, so that one source works with every OpenSSL 3: what a delegate
 * has is looked up by number and called through the types of core_dispatch.h.
 *
 * Runs at start-up and teardown, in the thread that (un)loads the provider.
 */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/provider.h>

#include "openssl/provider/provider.h"

const char *const cipher_names[CIPHERS] = {
	[AES_128_CBC] = "AES-128-CBC", [AES_192_CBC] = "AES-192-CBC", [AES_256_CBC] = "AES-256-CBC",
	[AES_128_GCM] = "AES-128-GCM", [AES_192_GCM] = "AES-192-GCM", [AES_256_GCM] = "AES-256-GCM",
};

static const char *const keymgmt_names[RSA_KINDS] = {[RSA_PLAIN] = "RSA", [RSA_PSS] = "RSA-PSS"};

/* Store what entry d says into the member of the same name. */
#define TAKE(kind, KIND, member, function, FUNCTION)                                               \
	case OSSL_FUNC_##KIND##_##FUNCTION:                                                        \
		delegate->member = OSSL_FUNC_##kind##_##function(d);                               \
		break

static void take_cipher(struct cipher_delegate *delegate, const OSSL_DISPATCH *d)
{
	switch (d->function_id) {
		TAKE(cipher, CIPHER, newctx, newctx, NEWCTX);
		TAKE(cipher, CIPHER, freectx, freectx, FREECTX);
		TAKE(cipher, CIPHER, dupctx, dupctx, DUPCTX);
		TAKE(cipher, CIPHER, encrypt_init, encrypt_init, ENCRYPT_INIT);
		TAKE(cipher, CIPHER, decrypt_init, decrypt_init, DECRYPT_INIT);
		TAKE(cipher, CIPHER, update, update, UPDATE);
		TAKE(cipher, CIPHER, final, final, FINAL);
		TAKE(cipher, CIPHER, cipher, cipher, CIPHER);
		TAKE(cipher, CIPHER, get_ctx_params, get_ctx_params, GET_CTX_PARAMS);
		TAKE(cipher, CIPHER, set_ctx_params, set_ctx_params, SET_CTX_PARAMS);
		TAKE(cipher, CIPHER, gettable_params, gettable_params, GETTABLE_PARAMS);
		TAKE(cipher, CIPHER, gettable_ctx_params, gettable_ctx_params, GETTABLE_CTX_PARAMS);
		TAKE(cipher, CIPHER, settable_ctx_params, settable_ctx_params, SETTABLE_CTX_PARAMS);
	default:
		break;
	}
}

static void take_keymgmt(struct keymgmt_delegate *delegate, const OSSL_DISPATCH *d)
{
	switch (d->function_id) {
		TAKE(keymgmt, KEYMGMT, new_key, new, NEW);
		TAKE(keymgmt, KEYMGMT, free_key, free, FREE);
		TAKE(keymgmt, KEYMGMT, gen_init, gen_init, GEN_INIT);
		TAKE(keymgmt, KEYMGMT, gen_set_template, gen_set_template, GEN_SET_TEMPLATE);
		TAKE(keymgmt, KEYMGMT, gen_set_params, gen_set_params, GEN_SET_PARAMS);
		TAKE(keymgmt, KEYMGMT, gen_settable_params, gen_settable_params,
		     GEN_SETTABLE_PARAMS);
		TAKE(keymgmt, KEYMGMT, gen, gen, GEN);
		TAKE(keymgmt, KEYMGMT, gen_cleanup, gen_cleanup, GEN_CLEANUP);
		TAKE(keymgmt, KEYMGMT, get_params, get_params, GET_PARAMS);
		TAKE(keymgmt, KEYMGMT, gettable_params, gettable_params, GETTABLE_PARAMS);
		TAKE(keymgmt, KEYMGMT, has, has, HAS);
		TAKE(keymgmt, KEYMGMT, validate, validate, VALIDATE);
		TAKE(keymgmt, KEYMGMT, match, match, MATCH);
		TAKE(keymgmt, KEYMGMT, import, import, IMPORT);
		TAKE(keymgmt, KEYMGMT, export, export, EXPORT);
		TAKE(keymgmt, KEYMGMT, dup, dup, DUP);
	default:
		break;
	}
}

static void take_signature(struct signature_delegate *delegate, const OSSL_DISPATCH *d)
{
	switch (d->function_id) {
		TAKE(signature, SIGNATURE, newctx, newctx, NEWCTX);
		TAKE(signature, SIGNATURE, freectx, freectx, FREECTX);
		TAKE(signature, SIGNATURE, dupctx, dupctx, DUPCTX);
		TAKE(signature, SIGNATURE, sign_init, sign_init, SIGN_INIT);
		TAKE(signature, SIGNATURE, sign, sign, SIGN);
		TAKE(signature, SIGNATURE, verify_init, verify_init, VERIFY_INIT);
		TAKE(signature, SIGNATURE, verify, verify, VERIFY);
		TAKE(signature, SIGNATURE, verify_recover_init, verify_recover_init,
		     VERIFY_RECOVER_INIT);
		TAKE(signature, SIGNATURE, verify_recover, verify_recover, VERIFY_RECOVER);
		TAKE(signature, SIGNATURE, digest_verify_init, digest_verify_init,
		     DIGEST_VERIFY_INIT);
		TAKE(signature, SIGNATURE, digest_verify_update, digest_verify_update,
		     DIGEST_VERIFY_UPDATE);
		TAKE(signature, SIGNATURE, digest_verify_final, digest_verify_final,
		     DIGEST_VERIFY_FINAL);
		TAKE(signature, SIGNATURE, get_ctx_params, get_ctx_params, GET_CTX_PARAMS);
		TAKE(signature, SIGNATURE, gettable_ctx_params, gettable_ctx_params,
		     GETTABLE_CTX_PARAMS);
		TAKE(signature, SIGNATURE, set_ctx_params, set_ctx_params, SET_CTX_PARAMS);
		TAKE(signature, SIGNATURE, settable_ctx_params, settable_ctx_params,
		     SETTABLE_CTX_PARAMS);
		TAKE(signature, SIGNATURE, get_ctx_md_params, get_ctx_md_params, GET_CTX_MD_PARAMS);
		TAKE(signature, SIGNATURE, gettable_ctx_md_params, gettable_ctx_md_params,
		     GETTABLE_CTX_MD_PARAMS);
		TAKE(signature, SIGNATURE, set_ctx_md_params, set_ctx_md_params, SET_CTX_MD_PARAMS);
		TAKE(signature, SIGNATURE, settable_ctx_md_params, settable_ctx_md_params,
		     SETTABLE_CTX_MD_PARAMS);
	default:
		break;
	}
}

static void take_asym(struct asym_delegate *delegate, const OSSL_DISPATCH *d)
{
	switch (d->function_id) {
		TAKE(asym_cipher, ASYM_CIPHER, newctx, newctx, NEWCTX);
		TAKE(asym_cipher, ASYM_CIPHER, freectx, freectx, FREECTX);
		TAKE(asym_cipher, ASYM_CIPHER, dupctx, dupctx, DUPCTX);
		TAKE(asym_cipher, ASYM_CIPHER, encrypt_init, encrypt_init, ENCRYPT_INIT);
		TAKE(asym_cipher, ASYM_CIPHER, encrypt, encrypt, ENCRYPT);
		TAKE(asym_cipher, ASYM_CIPHER, decrypt_init, decrypt_init, DECRYPT_INIT);
		TAKE(asym_cipher, ASYM_CIPHER, decrypt, decrypt, DECRYPT);
		TAKE(asym_cipher, ASYM_CIPHER, get_ctx_params, get_ctx_params, GET_CTX_PARAMS);
		TAKE(asym_cipher, ASYM_CIPHER, gettable_ctx_params, gettable_ctx_params,
		     GETTABLE_CTX_PARAMS);
		TAKE(asym_cipher, ASYM_CIPHER, set_ctx_params, set_ctx_params, SET_CTX_PARAMS);
		TAKE(asym_cipher, ASYM_CIPHER, settable_ctx_params, settable_ctx_params,
		     SETTABLE_CTX_PARAMS);
	default:
		break;
	}
}

/* Whether one of the colon-separated names is this one. */
static bool has_name(const char *names, const char *name)
{
	size_t length = strlen(name);

	for (const char *p = names; p; p = strchr(p, ':')) {
		if (*p == ':')
			p++;
		if (!OPENSSL_strncasecmp(p, name, length) && (!p[length] || p[length] == ':'))
			return true;
	}
	return false;
}

static const OSSL_ALGORITHM *find_algorithm(struct provider *provider, int operation,
                                            const char *name)
{
	int no_cache = 0;
	const OSSL_ALGORITHM *a =
		OSSL_PROVIDER_query_operation(provider->delegate, operation, &no_cache);

	for (; a && a->algorithm_names; a++) {
		if (has_name(a->algorithm_names, name))
			return a;
	}
	return NULL;
}

static const OSSL_DISPATCH *find_function(const OSSL_DISPATCH *table, int id)
{
	for (; table->function_id; table++) {
		if (table->function_id == id)
			return table;
	}
	return NULL;
}

/*
 * Make what we offer for one algorithm: the delegate's names, and our functions as far as the
 * delegate has the like.
 */
static int offer(struct provider *provider, const OSSL_ALGORITHM *theirs, const OSSL_DISPATCH *ours,
                 OSSL_ALGORITHM *offered)
{
	unsigned int count = 0, n = 0;
	OSSL_DISPATCH *table;

	for (const OSSL_DISPATCH *d = ours; d->function_id; d++)
		count++;
	table = OPENSSL_zalloc((count + 1) * sizeof(*table));
	if (!table)
		return -ENOMEM;
	provider->tables[provider->n_tables++] = table;
	for (const OSSL_DISPATCH *d = ours; d->function_id; d++) {
		const OSSL_DISPATCH *their = find_function(theirs->implementation, d->function_id);

		if (their)
			table[n++] = d->function ? *d : *their;
	}
	*offered = (OSSL_ALGORITHM){theirs->algorithm_names, "provider=vcrypto", table,
	                            "offloaded to vcrypto"};
	return 0;
}

/* Find a delegate and prepare what we offer. 0, -ENOTSUP, -ENOMEM. */
#define OPEN_DELEGATE(provider, operation, name, take, delegate, ours, offered)                    \
	({                                                                                         \
		const OSSL_ALGORITHM *found_ = find_algorithm(provider, operation, name);          \
		if (found_) {                                                                      \
			for (const OSSL_DISPATCH *d_ = found_->implementation; d_->function_id;    \
			     d_++)                                                                 \
				take(delegate, d_);                                                \
		}                                                                                  \
		found_ ? offer(provider, found_, ours, offered) : -ENOTSUP;                        \
	})

/* What the code calls without asking. */
static bool complete(const struct provider *p)
{
	const struct signature_delegate *s = &p->signature;
	const struct asym_delegate *a = &p->asym;

	for (unsigned int i = 0; i < CIPHERS; i++) {
		const struct cipher_delegate *c = &p->cipher[i];

		if (!c->newctx || !c->freectx || !c->encrypt_init || !c->decrypt_init ||
		    !c->update || !c->final || !c->get_ctx_params || !c->set_ctx_params)
			return false;
	}
	for (unsigned int i = 0; i < RSA_KINDS; i++) {
		const struct keymgmt_delegate *k = &p->keymgmt[i];

		if (!k->new_key || !k->free_key || !k->has || !k->export || !k->import ||
		    !k->get_params)
			return false;
	}
	return s->newctx && s->freectx && s->sign_init && s->sign && s->get_ctx_params &&
	       s->set_ctx_params && a->newctx && a->freectx && a->decrypt_init && a->decrypt &&
	       a->get_ctx_params;
}

static int open_all(struct provider *provider)
{
	int rc;

	for (int i = 0; i < CIPHERS; i++) {
		rc = OPEN_DELEGATE(provider, OSSL_OP_CIPHER, cipher_names[i], take_cipher,
		                   &provider->cipher[i], cipher_dispatch((enum cipher_id)i),
		                   &provider->ciphers[i]);
		if (rc)
			return rc;
	}
	for (int i = 0; i < RSA_KINDS; i++) {
		rc = OPEN_DELEGATE(provider, OSSL_OP_KEYMGMT, keymgmt_names[i], take_keymgmt,
		                   &provider->keymgmt[i], rsa_keymgmt_dispatch((enum rsa_kind)i),
		                   &provider->keymgmts[i]);
		if (rc)
			return rc;
	}
	rc = OPEN_DELEGATE(provider, OSSL_OP_SIGNATURE, "RSA", take_signature, &provider->signature,
	                   rsa_signature_dispatch, &provider->signatures[0]);
	if (rc)
		return rc;
	rc = OPEN_DELEGATE(provider, OSSL_OP_ASYM_CIPHER, "RSA", take_asym, &provider->asym,
	                   rsa_asym_dispatch, &provider->asyms[0]);
	if (rc)
		return rc;
	return complete(provider) ? 0 : -ENOTSUP;
}

int delegate_open(struct provider *provider)
{
	provider->libctx = OSSL_LIB_CTX_new();
	if (!provider->libctx)
		return -ENOMEM;
	provider->delegate = OSSL_PROVIDER_load(provider->libctx, "default");
	if (!provider->delegate)
		return -ENOTSUP;
	provider->delegate_ctx = OSSL_PROVIDER_get0_provider_ctx(provider->delegate);
	return open_all(provider);
}

void delegate_close(struct provider *provider)
{
	for (unsigned int i = 0; i < provider->n_tables; i++)
		OPENSSL_free(provider->tables[i]);
	provider->n_tables = 0;
	if (provider->delegate)
		OSSL_PROVIDER_unload(provider->delegate);
	provider->delegate = NULL;
	OSSL_LIB_CTX_free(provider->libctx);
	provider->libctx = NULL;
}
