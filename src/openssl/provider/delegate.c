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

static const char *const keymgmt_names[KEY_KINDS] = {
	[KEY_RSA] = "RSA", [KEY_RSA_PSS] = "RSA-PSS", [KEY_EC] = "EC", [KEY_X25519] = "X25519"};

static const char *const signature_names[SIGNATURES] = {
	[SIGNATURE_RSA] = "RSA", [SIGNATURE_ECDSA] = "ECDSA"};

static const char *const keyexch_names[KEYEXCHS] = {
	[KEYEXCH_ECDH] = "ECDH", [KEYEXCH_X25519] = "X25519"};

#define TAKE(k, K, function, FUNCTION)                                                             \
	case OSSL_FUNC_##K##_##FUNCTION:                                                           \
		delegate->function = OSSL_FUNC_##k##_##function(d);                                \
		break;

/* Store the function of a dispatch entry in the member of its name. */
#define TAKE_FUNCTION(name, functions, k, K)                                                       \
	static void take_##name(struct name##_delegate *delegate, const OSSL_DISPATCH *d)          \
	{                                                                                          \
		switch (d->function_id) {                                                          \
			functions(TAKE, k, K) default : break;                                     \
		}                                                                                  \
	}

TAKE_FUNCTION(cipher, CIPHER_FUNCTIONS, cipher, CIPHER)
TAKE_FUNCTION(keymgmt, KEYMGMT_FUNCTIONS, keymgmt, KEYMGMT)
TAKE_FUNCTION(signature, SIGNATURE_FUNCTIONS, signature, SIGNATURE)
TAKE_FUNCTION(keyexch, KEYEXCH_FUNCTIONS, keyexch, KEYEXCH)
TAKE_FUNCTION(asym, ASYM_CIPHER_FUNCTIONS, asym_cipher, ASYM_CIPHER)

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

/* What the delegate need not have, as it is made of other functions of its. */
static bool is_of_our_own(int operation, int id)
{
#ifdef OSSL_FUNC_CIPHER_PIPELINE_ENCRYPT_INIT
	return operation == OSSL_OP_CIPHER && id >= OSSL_FUNC_CIPHER_PIPELINE_ENCRYPT_INIT &&
	       id <= OSSL_FUNC_CIPHER_PIPELINE_FINAL;
#else
	return false;
#endif
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
static int offer(struct provider *provider, int operation, const OSSL_ALGORITHM *theirs,
                 const OSSL_DISPATCH *ours, OSSL_ALGORITHM *offered)
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

		if (their || is_of_our_own(operation, d->function_id))
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
		found_ ? offer(provider, operation, found_, ours, offered) : -ENOTSUP;             \
	})

/* What the code calls without asking. */
static bool cipher_complete(const struct cipher_delegate *c)
{
	return c->newctx && c->freectx && c->encrypt_init && c->decrypt_init && c->update &&
	       c->final && c->get_ctx_params && c->set_ctx_params && c->gettable_params &&
	       c->gettable_ctx_params && c->settable_ctx_params;
}

static bool keymgmt_complete(const struct keymgmt_delegate *k)
{
	return k->new && k->free && k->has && k->export && k->import && k->get_params;
}

static bool signature_complete(const struct signature_delegate *s)
{
	return s->newctx && s->freectx && s->sign_init && s->sign && s->verify_init && s->verify &&
	       s->get_ctx_params && s->set_ctx_params;
}

static bool keyexch_complete(const struct keyexch_delegate *e)
{
	return e->newctx && e->freectx && e->init && e->set_peer && e->derive;
}

static bool complete(const struct provider *p)
{
	const struct asym_delegate *a = &p->asym;

	for (unsigned int i = 0; i < KEY_X25519; i++) {
		if (!keymgmt_complete(&p->keymgmt[i]))
			return false;
	}
	for (unsigned int i = 0; i < SIGNATURES; i++) {
		if (!signature_complete(&p->signature[i]))
			return false;
	}
	return keyexch_complete(&p->keyexch[KEYEXCH_ECDH]) && a->newctx && a->freectx &&
	       a->decrypt_init && a->decrypt && a->get_ctx_params;
}

/* OpenSSL may be built without some, and has the stitched ones on some CPUs only: those that are
 * there are offered. */
static int open_ciphers(struct provider *provider)
{
	OSSL_ALGORITHM *offered = provider->ciphers;
	int rc;

	for (int i = 0; i < CIPHERS; i++) {
		enum cipher_id id = (enum cipher_id)i;

		rc = OPEN_DELEGATE(provider, OSSL_OP_CIPHER, cipher_name(id), take_cipher,
		                   &provider->cipher[i], cipher_dispatch(id), offered);
		if (rc && rc != -ENOTSUP)
			return rc;
		if (!rc && cipher_complete(&provider->cipher[i]))
			offered++;
	}
	*offered = (OSSL_ALGORITHM){NULL, NULL, NULL, NULL};
	return 0;
}

static int open_keymgmt(struct provider *provider, enum key_kind kind)
{
	return OPEN_DELEGATE(provider, OSSL_OP_KEYMGMT, keymgmt_names[kind], take_keymgmt,
	                     &provider->keymgmt[kind], keymgmt_dispatch(kind),
	                     &provider->keymgmts[kind]);
}

static int open_keyexch(struct provider *provider, enum keyexch_id id)
{
	return OPEN_DELEGATE(provider, OSSL_OP_KEYEXCH, keyexch_names[id], take_keyexch,
	                     &provider->keyexch[id], keyexch_dispatch(id), &provider->keyexchs[id]);
}

/* Both of it, or none: the one does not work without the other. */
static int open_x25519(struct provider *provider)
{
	int rc = open_keymgmt(provider, KEY_X25519);

	if (!rc)
		rc = open_keyexch(provider, KEYEXCH_X25519);
	if (!rc && keymgmt_complete(&provider->keymgmt[KEY_X25519]) &&
	    keyexch_complete(&provider->keyexch[KEYEXCH_X25519]))
		return 0;
	provider->keymgmts[KEY_X25519] = provider->keyexchs[KEYEXCH_X25519] =
		(OSSL_ALGORITHM){NULL, NULL, NULL, NULL};
	return rc == -ENOMEM ? rc : 0;
}

static int open_all(struct provider *provider)
{
	int rc;

	rc = open_ciphers(provider);
	if (rc)
		return rc;
	for (int i = 0; i < KEY_X25519; i++) {
		rc = open_keymgmt(provider, (enum key_kind)i);
		if (rc)
			return rc;
	}
	for (int i = 0; i < SIGNATURES; i++) {
		rc = OPEN_DELEGATE(provider, OSSL_OP_SIGNATURE, signature_names[i], take_signature,
		                   &provider->signature[i],
		                   signature_dispatch((enum signature_id)i),
		                   &provider->signatures[i]);
		if (rc)
			return rc;
	}
	rc = open_keyexch(provider, KEYEXCH_ECDH);
	if (!rc)
		rc = open_x25519(provider);
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
