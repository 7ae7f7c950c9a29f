/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider on live daemons, as OPENSSL_CONF loads it into this program:
 *
 *   test-provider-cases COMMAND [ARGUMENT]...   see live.h; reload: library contexts come and go
 *
 * Exit status 0: all is as with OpenSSL's own; 1: not.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/provider.h>

#include "openssl/live.h"

static bool all(const struct env *env, bool jobs)
{
	return live_cases(cipher_cases, env, jobs) && live_cases(ctr_cases, env, jobs) &&
	       live_cases(xts_cases, env, jobs) && live_cases(stitched_cases, env, jobs) &&
	       live_cases(gcm_cases, env, jobs) && live_cases(ccm_cases, env, jobs) &&
	       live_cases(chacha_cases, env, jobs) && live_cases(aead_tls_cases, env, jobs) &&
	       live_cases(pipeline_cases, env, jobs) && live_cases(rsa_cases, env, jobs) &&
	       live_cases(ecdsa_cases, env, jobs) && live_cases(agreement_cases, env, jobs);
}

static bool before_fork(const struct env *env)
{
	return live_cases(rsa_cases, env, false);
}

static bool keys_at_work(const struct env *env, bool jobs)
{
	return live_one(&rsa_cases[3], env, jobs) && live_one(&ecdsa_cases[0], env, jobs) &&
	       live_one(&agreement_cases[0], env, jobs);
}

static bool some(const struct env *env, bool jobs)
{
	return live_cases(gcm_cases, env, jobs) && live_one(&cipher_cases[1], env, jobs) &&
	       live_one(&rsa_cases[0], env, jobs) && keys_at_work(env, jobs);
}

static bool again(const struct env *env, bool jobs)
{
	return live_cases(cipher_cases, env, jobs) && live_cases(gcm_cases, env, jobs) &&
	       live_one(&rsa_cases[1], env, jobs) && keys_at_work(env, jobs);
}

static bool afterwards(const struct env *env)
{
	return live_cases(gcm_cases, env, true);
}

static bool encrypts(const struct env *env, unsigned int i, EVP_CIPHER_CTX *ctx, const uint8_t *key)
{
	EVP_CIPHER *cipher =
		EVP_CIPHER_fetch(env->libctx, i % 2 ? "AES-128-GCM" : "AES-256-CBC", OURS);
	bool ok = cipher && EVP_CipherInit_ex2(ctx, cipher, key, key, 1, NULL) == 1;

	EVP_CIPHER_free(cipher);
	return ok;
}

static bool reload(void)
{
	OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
	struct env env = {.libctx = libctx, .large = 1 << 16};

	CHECK(libctx && OSSL_LIB_CTX_load_config(libctx, getenv("OPENSSL_CONF")));
	CHECK(OSSL_PROVIDER_available(libctx, "vcrypto"));
	CHECK(live_one(&cipher_cases[2], &env, false) && live_one(&cipher_cases[2], &env, true));
	OSSL_LIB_CTX_free(libctx);
	return true;
}

static const struct live_front_end provider = {
	.all = all,
	.before_fork = before_fork,
	.some = some,
	.again = again,
	.afterwards = afterwards,
	.encrypts = encrypts,
	.reload = reload,
};

int main(int argc, char **argv)
{
	struct env env = {0};
	bool ok;

	live_front_end = &provider;
	if (!OSSL_PROVIDER_available(NULL, "vcrypto")) {
		ERR_print_errors_fp(stderr);
		fprintf(stderr, "the provider is not loaded\n");
		return 1;
	}
	if (argc > 2 && !strcmp(argv[1], "reload"))
		ok = live_reload((unsigned int)atoi(argv[2]));
	else
		ok = live_run(argc, argv, &env);
	rsa_cases_forget_keys();
	return ok ? 0 : 1;
}
