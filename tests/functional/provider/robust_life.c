/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios of test-provider-robust: threads and library contexts that come and go, sudden ends,
 * jails, and daemons that are there and do not answer. See robust_main.c.
 */
#include "robust.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/provider.h>

#define FLYING 8
#define THREADS 1000u
#define AT_ONCE 10u
#define RELOADS 40u
/* Mappings that an allocator makes now and then; AddressSanitizer's makes more. One lost with each
 * reload would be 30. */
#ifdef __SANITIZE_ADDRESS__
#define SPARE 15u
#else
#define SPARE 4u
#endif

static int all_well;

/* Until one is offloaded, however long the daemon may take to answer, on a machine without a free
 * CPU. */
static bool offloads_again(bool one(void))
{
	uint64_t before = provider_count("vcrypto-offloaded");
	unsigned int end = now_ms() + 15000;

	while (provider_count("vcrypto-offloaded") == before) {
		CHECK(now_ms() < end);
		CHECK(one());
		usleep(5000);
	}
	return true;
}

/* ---- threads */

static void *short_thread(void *arg)
{
	bool ok = piece_sync() && piece_in_job();

	ASYNC_cleanup_thread();
	return ok ? &all_well : NULL;
}

static bool threads_run(unsigned int n)
{
	pthread_t threads[AT_ONCE];
	bool ok = true;

	for (unsigned int done = 0; done < n; done += AT_ONCE) {
		for (unsigned int i = 0; i < AT_ONCE; i++)
			CHECK(!pthread_create(&threads[i], NULL, short_thread, NULL));
		for (unsigned int i = 0; i < AT_ONCE; i++) {
			void *result = NULL;

			pthread_join(threads[i], &result);
			ok &= result == &all_well;
		}
		CHECK(ok);
	}
	return true;
}

/* What one leaves to the next: descriptors, channels, slots. */
bool short_threads(char **arguments)
{
	struct piece *pieces = calloc(200, sizeof(*pieces));
	unsigned int files, maps;

	CHECK(pieces && offloads_again(piece_sync) && threads_run(AT_ONCE * 5));
	files = open_files();
	maps = mappings();
	CHECK(threads_run(THREADS));
	CHECK(open_files() <= files + 3 * AT_ONCE);
	CHECK(mappings() <= maps + 2 * AT_ONCE);
	/* No slot is lost: as many at once as ever. */
	for (unsigned int i = 0; i < 200; i++)
		CHECK(piece_start(&pieces[i]));
	CHECK(pieces_finish(pieces, 200));
	free(pieces);
	return true;
}

/* ---- loaded and unloaded */

static pthread_barrier_t turn;
static OSSL_LIB_CTX *libctx;
static const char *configuration;

static bool encrypt_in(OSSL_LIB_CTX *context)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(context, "AES-256-CBC", OURS);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	static const uint8_t key[32], iv[16];
	static _Thread_local uint8_t data[PIECE];
	int n = 0;
	bool ok = cipher && ctx && EVP_CipherInit_ex2(ctx, cipher, key, iv, 1, NULL) == 1 &&
	          EVP_CipherUpdate(ctx, data, &n, data, PIECE) == 1 && n == PIECE;

	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return ok;
}

static bool encrypt_in_env(const struct env *env)
{
	return encrypt_in(env->libctx);
}

/* Lives longer than the provider, again and again. */
static void *long_thread(void *arg)
{
	bool ok = true;

	for (unsigned int i = 0; i < RELOADS; i++) {
		pthread_barrier_wait(&turn);
		ok &= encrypt_in(libctx);
		pthread_barrier_wait(&turn);
	}
	return ok ? &all_well : NULL;
}

static bool reload_one(void)
{
	struct env env = {0};
	bool ok;

	libctx = env.libctx = OSSL_LIB_CTX_new();
	CHECK(libctx && OSSL_LIB_CTX_load_config(libctx, configuration));
	pthread_barrier_wait(&turn);
	ok = encrypt_in(libctx) && run_in_job(encrypt_in_env, &env, NULL);
	pthread_barrier_wait(&turn);
	OSSL_LIB_CTX_free(libctx);
	return ok;
}

/* The default library context does not have it: so the last one goes each time. */
bool reloads(char **arguments)
{
	unsigned int files = 0, maps = 0, spare;
	pthread_t thread;
	void *result = NULL;

	configuration = arguments[1];
	CHECK(!pthread_barrier_init(&turn, NULL, 2));
	CHECK(!pthread_create(&thread, NULL, long_thread, NULL));
	for (unsigned int i = 0; i < RELOADS; i++) {
		CHECK(reload_one());
		if (i == 9) {
			files = open_files();
			maps = mappings();
		}
	}
	pthread_join(thread, &result);
	CHECK(result == &all_well);
	spare = mappings() > maps ? mappings() - maps : 0;
	if (open_files() > files || spare > SPARE)
		fprintf(stderr, "files %u, %u; mappings %u, %u\n", files, open_files(), maps,
		        mappings());
	CHECK(open_files() <= files && spare <= SPARE);
	return true;
}

/* ---- sudden ends */

bool exit_in_flight(char **arguments)
{
	struct piece pieces[FLYING];

	CHECK(pieces_start(pieces, FLYING));
	exit(0);
}

static void *endless_thread(void *arg)
{
	bool in_jobs = arg != NULL;

	while (in_jobs ? piece_in_job() : piece_sync())
		;
	fprintf(stderr, "an operation failed\n");
	_exit(1);
}

/* In the middle of what others do. OpenSSL's own is gone by then, as with any provider. */
bool exit_threads(char **arguments)
{
	static int in_jobs;
	pthread_t thread;

	CHECK(pieces_prepare());
	for (unsigned int i = 0; i < 4; i++)
		CHECK(!pthread_create(&thread, NULL, endless_thread, i % 2 ? &in_jobs : NULL));
	usleep(300000);
	/* Not exit(): what it ends is in use. */
	_exit(0);
}

/* ---- jails */

bool jailed(char **arguments)
{
	if (geteuid() != 0) {
		fprintf(stderr, "only root may chroot()\n");
		exit(77);
	}
	CHECK(piece_sync() && piece_in_job());
	CHECK(!chroot(arguments[1]) && !chdir("/"));
	CHECK(!setgroups(0, NULL) && !setgid(65534) && !setuid(65534));
	CHECK(piece_sync() && piece_in_job());
	CHECK(ask("restart"));
	for (unsigned int i = 0; i < 50; i++) {
		CHECK(piece_sync() && piece_in_job());
		usleep(10000);
	}
	/* The socket is out of reach. */
	CHECK(provider_count("vcrypto-fallback-no-daemon") > 0);
	return true;
}

/* ---- silence */

/*
 * A daemon is stopped (SIGSTOP) for 4 seconds. The first operations wait for their deadline of
 * 200 ms, and a quarter more; then there are probes, of a quarter, and all the others are not kept
 * waiting.
 */
static bool silence_of(const char *variable, bool one(void))
{
	unsigned int begin, end, slow = 0, all = 0, cpu = cpu_ms();
	int pid = daemon_pid(variable);

	CHECK(offloads_again(one) && !kill(pid, SIGSTOP));
	begin = now_ms();
	while ((end = now_ms()) - begin < 4000) {
		bool ok = one();

		if (!ok)
			kill(pid, SIGCONT);
		CHECK(ok);
		slow += now_ms() - end > 150;
		all++;
		usleep(2000);
	}
	cpu = cpu_ms() - cpu;
	CHECK(!kill(pid, SIGCONT));
	printf("%u operations, %u of them slow, %u ms of processor time\n", all, slow, cpu);
	CHECK(all > 300 && slow >= 1 && slow <= 12);
	CHECK(provider_count("vcrypto-fallback-silent") > 0);
	return offloads_again(one);
}

bool silence(char **arguments)
{
	return silence_of(arguments[1], piece_sync);
}

bool silence_in_jobs(char **arguments)
{
	return silence_of(arguments[1], piece_in_job);
}
