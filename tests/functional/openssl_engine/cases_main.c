/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ENGINE on live daemons, as OPENSSL_CONF loads it into this program, as the default for
 * nothing:
 *
 *   test-engine-cases COMMAND [ARGUMENT]...    see live.h; reload: the ENGINE comes and goes
 *   test-engine-cases commands                 good ones and bad ones
 *   test-engine-cases strict                   nothing can be offloaded, and FALLBACK is off
 *
 * Exit status 0: all is as with OpenSSL's own; 1: not.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "cases_engine.h"
#include "openssl/live.h"

#define PIECE 16384

/* What the older interface does not have, or we do not. */
static bool leave_out(const struct test_case *one)
{
	static const char *const names[] = {"cbc: TLS records", "stitched: several records at once",
	                                    "ciphers: other names"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(one->name, names[i]))
			return true;
	}
	return false;
}

static bool all(const struct env *env, bool jobs)
{
	return live_cases(engine_rsa_cases, env, jobs) && live_cases(engine_ec_cases, env, jobs) &&
	       live_cases(cipher_cases, env, jobs) && live_cases(stitched_cases, env, jobs) &&
	       live_cases(gcm_cases, env, jobs) && live_cases(engine_pipe_cases, env, jobs);
}

static bool before_fork(const struct env *env)
{
	return live_one(&engine_rsa_cases[1], env, false);
}

static bool again(const struct env *env, bool jobs)
{
	return live_one(&cipher_cases[1], env, jobs) &&
	       live_one(&engine_pipe_cases[1], env, jobs) &&
	       live_one(&engine_rsa_cases[1], env, jobs) &&
	       live_one(&engine_ec_cases[0], env, jobs);
}

static bool some(const struct env *env, bool jobs)
{
	return live_one(&stitched_cases[2], env, jobs) && again(env, jobs);
}

static bool afterwards(const struct env *env)
{
	return live_one(&cipher_cases[1], env, true);
}

static bool encrypts(const struct env *env, unsigned int i, EVP_CIPHER_CTX *ctx, const uint8_t *key)
{
	return EVP_CipherInit_ex(ctx, EVP_aes_256_cbc(), env->engine, key, key, 1) == 1;
}

/* The module, which OPENSSL_CONF must not have loaded, as an ENGINE in no list. NULL on failure. */
static ENGINE *load_object(void)
{
	ENGINE *e;

	ENGINE_load_dynamic();
	e = ENGINE_by_id("dynamic");
	if (e && ENGINE_ctrl_cmd_string(e, "SO_PATH", getenv("VCRYPTO_ENGINE"), 0) &&
	    ENGINE_ctrl_cmd_string(e, "ID", "vcrypto", 0) &&
	    ENGINE_ctrl_cmd_string(e, "LOAD", NULL, 0))
		return e;
	ERR_print_errors_fp(stderr);
	ENGINE_free(e);
	return NULL;
}

static bool reload(void)
{
	struct env env = {.engine = load_object(), .large = 1 << 16};

	CHECK(env.engine);
	CHECK(ENGINE_ctrl_cmd_string(env.engine, "POLICY", "always", 0));
	CHECK(ENGINE_init(env.engine));
	CHECK(live_one(&cipher_cases[2], &env, false) && live_one(&cipher_cases[2], &env, true));
	CHECK(live_one(&engine_rsa_cases[1], &env, false));
	CHECK(ENGINE_finish(env.engine) && ENGINE_free(env.engine));
	return true;
}

static const struct live_front_end engine = {
	.leave_out = leave_out,
	.all = all,
	.before_fork = before_fork,
	.some = some,
	.again = again,
	.afterwards = afterwards,
	.encrypts = encrypts,
	.reload = reload,
};

/* ------------------------------------------------------------------------------------ commands */

/* With a reason of ours that names the command. */
static bool refuses(ENGINE *e, const char *command, const char *value, const char *reason)
{
	const char *data = NULL, *text;
	unsigned long error;
	int flags = 0;

	ERR_clear_error();
	CHECK(!ENGINE_ctrl_cmd_string(e, command, value, 0));
	error = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
	text = ERR_reason_error_string(error);
	CHECK(!strcmp(ERR_lib_error_string(error), "vcrypto engine"));
	CHECK(text && !strcmp(text, reason));
	CHECK((flags & ERR_TXT_STRING) && data && strstr(data, command));
	return true;
}

static bool commands(void)
{
	static const char *const good[][2] = {
		{"POLICY", "never"},
		{"POLICY", "always"},
		{"POLICY", "auto"},
		{"MIN_SIZE", "0"},
		{"MIN_SIZE", "4096"},
		{"OFFLOAD", "gcm=16384, p256=always rsa=never"},
		{"BLOCK_OPERATIONS", "signature,asym-cipher"},
		{"FALLBACK", "off"},
		{"FALLBACK", "on"},
		{"DEADLINE_MS", "20"},
		{"SOCKET", "/nowhere/engined.sock"},
	};
	static const char *const bad[][2] = {
		{"POLICY", "often"},
		{"POLICY", ""},
		{"MIN_SIZE", "2k"},
		{"MIN_SIZE", "-1"},
		{"OFFLOAD", "gcm=most"},
		{"BLOCK_OPERATIONS", "all"},
		{"FALLBACK", "maybe"},
		{"DEADLINE_MS", "soon"},
		{"DEADLINE_MS", "99999999999999999999"},
	};
	char longer[400];
	ENGINE *e = load_object();

	CHECK(e);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(ENGINE_ctrl_cmd_string(e, good[i][0], good[i][1], 0));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(refuses(e, bad[i][0], bad[i][1], "bad value"));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CHECK(refuses(e, "SOCKET", longer, "bad value"));
	CHECK(!ENGINE_ctrl_cmd_string(e, "NONE_OF_OURS", "1", 0));
	CHECK(ENGINE_ctrl_cmd_string(e, "NONE_OF_OURS", "1", 1));
	CHECK(ENGINE_ctrl(e, ENGINE_CMD_BASE + 99, 0, NULL, NULL) == 0);
	CHECK(ENGINE_init(e));
	CHECK(refuses(e, "SOCKET", "/elsewhere", "too late for this command"));
	CHECK(refuses(e, "DEADLINE_MS", "30", "too late for this command"));
	CHECK(ENGINE_ctrl_cmd_string(e, "DEADLINE_MS", "20", 0)); /* as it is */
	CHECK(ENGINE_ctrl_cmd_string(e, "POLICY", "always", 0));
	CHECK(ENGINE_finish(e) && ENGINE_free(e));
	ERR_clear_error();
	return true;
}

/* Each fails, and says why. */
static bool strict(const struct env *env)
{
	uint8_t data[PIECE] = {0}, out[512];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	RSA *rsa = RSA_new_method(env->engine);
	BIGNUM *e = BN_new();
	EC_KEY *ec = EC_KEY_new_method(env->engine);
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	unsigned int size = sizeof(out);
	int n;

	CHECK(ctx && rsa && e && ec && group);
	CHECK(EVP_CipherInit_ex(ctx, EVP_aes_128_cbc(), env->engine, data, data, 1) == 1);
	CHECK(EVP_CipherUpdate(ctx, data, &n, data, PIECE) != 1 && ERR_peek_error());
	CHECK(BN_set_word(e, RSA_F4) && RSA_generate_key_ex(rsa, 2048, e, NULL));
	ERR_clear_error();
	CHECK(RSA_private_encrypt(20, data, out, rsa, RSA_PKCS1_PADDING) < 0);
	CHECK(!strcmp(ERR_reason_error_string(ERR_peek_error()), "not offloaded"));
	ERR_clear_error();
	CHECK(RSA_private_decrypt(256, data, out, rsa, RSA_NO_PADDING) < 0);
	CHECK(!strcmp(ERR_reason_error_string(ERR_peek_error()), "not offloaded"));
	CHECK(EC_KEY_set_group(ec, group) && EC_KEY_generate_key(ec));
	ERR_clear_error();
	CHECK(ECDSA_sign(0, data, 32, out, &size, ec) == 0);
	CHECK(!strcmp(ERR_reason_error_string(ERR_peek_error()), "not offloaded"));
	ERR_clear_error();
	EVP_CIPHER_CTX_free(ctx);
	RSA_free(rsa);
	BN_free(e);
	EC_KEY_free(ec);
	EC_GROUP_free(group);
	return true;
}

/* ---------------------------------------------------------------------------------------- main */

int main(int argc, char **argv)
{
	struct env env = {0};
	bool ok;

	live_front_end = &engine;
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	if (argc > 1 && !strcmp(argv[1], "commands"))
		return commands() ? 0 : 1;
	if (argc > 2 && !strcmp(argv[1], "reload")) {
		ok = live_reload((unsigned int)atoi(argv[2]));
		engine_rsa_cases_forget_keys();
		return ok ? 0 : 1;
	}
	env.engine = ENGINE_by_id("vcrypto");
	if (!env.engine || !ENGINE_init(env.engine)) {
		ERR_print_errors_fp(stderr);
		fprintf(stderr, "the ENGINE is not loaded\n");
		return 1;
	}
	ok = argc > 1 && !strcmp(argv[1], "strict") ? strict(&env) : live_run(argc, argv, &env);
	engine_rsa_cases_forget_keys();
	ENGINE_finish(env.engine);
	ENGINE_free(env.engine);
	return ok ? 0 : 1;
}
