/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ENGINE on live daemons, as OPENSSL_CONF loads it into this program, as the default for
 * nothing:
 *
 *   test-engine-cases cases sync|jobs          every case once
 *   test-engine-cases load PROCESSES THREADS   some cases, everywhere at once
 *   test-engine-cases until-eof sync|jobs      again and again until standard input ends; a line
 *                                              for each round
 *   test-engine-cases abandon N                jobs that are left while they wait
 *   test-engine-cases reload N                 the ENGINE comes and goes
 *   test-engine-cases commands                 good ones and bad ones
 *   test-engine-cases strict                   nothing can be offloaded, and FALLBACK is off
 *
 * Exit status 0: all is as with OpenSSL's own; 1: not.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/async.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "cases_engine.h"

/* What the older interface does not have, or we do not. */
static const char *const not_here[] = {"cbc: TLS records", "stitched: several records at once",
                                       "ciphers: other names"};

static bool is_here(const struct test_case *one)
{
	for (size_t i = 0; i < sizeof(not_here) / sizeof(not_here[0]); i++) {
		if (!strcmp(one->name, not_here[i]))
			return false;
	}
	return true;
}

static bool run_one(const struct test_case *one, const struct env *env, bool jobs)
{
	bool ok;

	ERR_clear_error();
	ok = !is_here(one) || (jobs ? run_in_job(one->run, env, NULL) : one->run(env));
	if (!ok) {
		fprintf(stderr, "failed: %s\n", one->name);
		ERR_print_errors_fp(stderr);
	}
	return ok;
}

static bool run_cases(const struct test_case *cases, const struct env *env, bool jobs)
{
	for (; cases->name; cases++) {
		if (!run_one(cases, env, jobs))
			return false;
	}
	return true;
}

static bool run_all(const struct env *env, bool jobs)
{
	return run_cases(engine_rsa_cases, env, jobs) && run_cases(engine_ec_cases, env, jobs) &&
	       run_cases(cipher_cases, env, jobs) && run_cases(stitched_cases, env, jobs) &&
	       run_cases(gcm_cases, env, jobs) && run_cases(engine_pipe_cases, env, jobs);
}

/* --------------------------------------------------------------------------------------- load */

static ENGINE *the_engine;
static int all_well;

/* arg: not NULL for jobs. Gives &all_well back if it is. */
static void *load_thread(void *arg)
{
	struct env env = {.engine = the_engine, .large = 1 << 16};
	bool jobs = arg != NULL, ok;

	ok = run_one(&cipher_cases[1], &env, jobs) && run_one(&stitched_cases[2], &env, jobs) &&
	     run_one(&engine_rsa_cases[1], &env, jobs) &&
	     run_one(&engine_ec_cases[0], &env, jobs) && run_one(&engine_pipe_cases[1], &env, jobs);
	ASYNC_cleanup_thread();
	return ok ? &all_well : NULL;
}

static bool load_process(unsigned int threads)
{
	pthread_t thread[64];
	static int jobs_wanted;
	bool ok = true;

	for (unsigned int i = 0; i < threads && i < 64; i++) {
		if (pthread_create(&thread[i], NULL, load_thread, i % 2 ? &jobs_wanted : NULL))
			return false;
	}
	for (unsigned int i = 0; i < threads && i < 64; i++) {
		void *result;

		pthread_join(thread[i], &result);
		ok &= result == &all_well;
	}
	return ok;
}

/* The parent has used the ENGINE before it forks: children must find their own way. */
static bool load(const struct env *env, unsigned int processes, unsigned int threads)
{
	bool ok = run_one(&engine_rsa_cases[1], env, false);

	for (unsigned int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid == 0)
			exit(load_process(threads) ? 0 : 1);
		ok &= pid > 0;
	}
	for (unsigned int i = 0; i < processes; i++) {
		int status = -1;

		ok &= wait(&status) > 0 && status == 0;
	}
	return ok;
}

static bool until_eof(const struct env *env, bool jobs)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	for (unsigned int round = 1; poll(&input, 1, 0) == 0; round++) {
		if (!run_one(&cipher_cases[1], env, jobs) ||
		    !run_one(&engine_pipe_cases[1], env, jobs) ||
		    !run_one(&engine_rsa_cases[1], env, jobs) ||
		    !run_one(&engine_ec_cases[0], env, jobs))
			return false;
		printf("%u\n", round);
		fflush(stdout);
	}
	return true;
}

/* ------------------------------------------------------------------------- comings and goings */

#define PIECE 16384

struct abandoned {
	EVP_CIPHER_CTX *ctx;
	uint8_t *data;
};

static int abandoned_job(void *arg)
{
	const struct abandoned *a = arg;
	int n;

	return EVP_CipherUpdate(a->ctx, a->data, &n, a->data, PIECE);
}

/* What SSL_free() does to a connection whose job waits: all goes, and it is never resumed. */
static bool abandon_one(ENGINE *e, unsigned int *paused)
{
	struct abandoned a = {EVP_CIPHER_CTX_new(), malloc(PIECE)};
	ASYNC_WAIT_CTX *wait_ctx = ASYNC_WAIT_CTX_new();
	ASYNC_JOB *job = NULL;
	int result, state;

	CHECK(a.ctx && a.data && wait_ctx);
	test_fill(a.data, PIECE);
	CHECK(EVP_CipherInit_ex(a.ctx, EVP_aes_256_cbc(), e, a.data, a.data, 1) == 1);
	state = ASYNC_start_job(&job, wait_ctx, &result, abandoned_job, &a, sizeof(a));
	CHECK(state == ASYNC_PAUSE || state == ASYNC_FINISH);
	*paused += state == ASYNC_PAUSE;
	EVP_CIPHER_CTX_free(a.ctx);
	ASYNC_WAIT_CTX_free(wait_ctx);
	free(a.data);
	return true;
}

static bool abandon(const struct env *env, unsigned int n)
{
	unsigned int paused = 0;

	for (unsigned int i = 0; i < n; i++)
		CHECK(abandon_one(env->engine, &paused));
	CHECK(paused > n / 2);
	/* And all goes on. */
	return run_one(&cipher_cases[1], env, true);
}

static unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
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

static bool reload_one(void)
{
	struct env env = {.engine = load_object(), .large = 1 << 16};

	CHECK(env.engine);
	CHECK(ENGINE_ctrl_cmd_string(env.engine, "POLICY", "always", 0));
	CHECK(ENGINE_init(env.engine));
	CHECK(run_one(&cipher_cases[2], &env, false) && run_one(&cipher_cases[2], &env, true));
	CHECK(run_one(&engine_rsa_cases[1], &env, false));
	CHECK(ENGINE_finish(env.engine) && ENGINE_free(env.engine));
	return true;
}

static bool reload(unsigned int n)
{
	unsigned int files;

	CHECK(reload_one());
	files = open_files();
	for (unsigned int i = 0; i < n; i++)
		CHECK(reload_one());
	CHECK(open_files() <= files);
	return true;
}

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

static bool run(int argc, char **argv, const struct env *env)
{
	bool jobs = argc > 2 && !strcmp(argv[2], "jobs");

	if (argc > 2 && !strcmp(argv[1], "cases"))
		return run_all(env, jobs);
	if (argc > 3 && !strcmp(argv[1], "load"))
		return load(env, (unsigned int)atoi(argv[2]), (unsigned int)atoi(argv[3]));
	if (argc > 2 && !strcmp(argv[1], "until-eof"))
		return until_eof(env, jobs);
	if (argc > 2 && !strcmp(argv[1], "abandon"))
		return abandon(env, (unsigned int)atoi(argv[2]));
	return argc > 1 && !strcmp(argv[1], "strict") && strict(env);
}

int main(int argc, char **argv)
{
	struct env env = {.large = 1 << 20};
	bool ok;

	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	if (argc > 1 && !strcmp(argv[1], "commands"))
		return commands() ? 0 : 1;
	if (argc > 2 && !strcmp(argv[1], "reload")) {
		ok = reload((unsigned int)atoi(argv[2]));
		engine_rsa_cases_forget_keys();
		return ok ? 0 : 1;
	}
	the_engine = env.engine = ENGINE_by_id("vcrypto");
	if (!env.engine || !ENGINE_init(env.engine)) {
		ERR_print_errors_fp(stderr);
		fprintf(stderr, "the ENGINE is not loaded\n");
		return 1;
	}
	ok = run(argc, argv, &env);
	engine_rsa_cases_forget_keys();
	ENGINE_finish(env.engine);
	ENGINE_free(env.engine);
	return ok ? 0 : 1;
}
