/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to programs that use the provider, and to the daemons meanwhile: forks, descriptors
 * closed behind our back, threads that come and go, silence. Loaded by OPENSSL_CONF:
 *
 *   test-provider-robust SCENARIO [ARGUMENT]...
 *
 * Exit status 0: nothing failed, every result was right and nothing hung; 77: cannot be tried here.
 */
#include "robust.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#define PATIENCE_MS 20000
/* A whole scenario that takes longer hangs. */
#define SCENARIO_S 100

static EVP_CIPHER *ours, *theirs;
static const uint8_t key[32] = "the key of every piece that is";

bool pieces_prepare(void)
{
	if (!ours)
		ours = EVP_CIPHER_fetch(NULL, "AES-256-CBC", OURS);
	if (!theirs)
		theirs = EVP_CIPHER_fetch(NULL, "AES-256-CBC", THEIRS);
	return ours && theirs;
}

static bool encrypt(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in)
{
	int n = 0;

	return EVP_CipherUpdate(ctx, out, &n, in, PIECE) == 1 && n == PIECE;
}

static bool piece_open(struct piece *piece)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	*piece = (struct piece){.ctx = EVP_CIPHER_CTX_new(), .in = malloc(PIECE)};
	piece->out = malloc(PIECE);
	piece->right = malloc(PIECE);
	CHECK(pieces_prepare() && ctx && piece->ctx && piece->in && piece->out && piece->right);
	test_fill(piece->in, PIECE);
	CHECK(EVP_CipherInit_ex2(ctx, theirs, key, piece->in, 1, NULL) == 1);
	CHECK(EVP_CipherInit_ex2(piece->ctx, ours, key, piece->in, 1, NULL) == 1);
	CHECK(encrypt(ctx, piece->right, piece->in));
	EVP_CIPHER_CTX_free(ctx);
	return true;
}

void piece_abandon(struct piece *piece)
{
	EVP_CIPHER_CTX_free(piece->ctx);
	ASYNC_WAIT_CTX_free(piece->wait);
	free(piece->in);
	free(piece->out);
	free(piece->right);
}

bool piece_end(struct piece *piece)
{
	bool same = !memcmp(piece->out, piece->right, PIECE);

	CHECK(!piece->paused);
	piece_abandon(piece);
	CHECK(same);
	return true;
}

bool piece_sync(void)
{
	struct piece piece;

	CHECK(piece_open(&piece));
	CHECK(encrypt(piece.ctx, piece.out, piece.in));
	return piece_end(&piece);
}

/* OpenSSL copies it. */
struct piece_argument {
	struct piece *piece;
};

static int piece_job(void *arg)
{
	const struct piece *piece = ((struct piece_argument *)arg)->piece;

	return encrypt(piece->ctx, piece->out, piece->in);
}

bool piece_go_on(struct piece *piece)
{
	struct piece_argument argument = {piece};
	int result = 0, state;

	state = ASYNC_start_job(&piece->job, piece->wait, &result, piece_job, &argument,
	                        sizeof(argument));
	CHECK(state == ASYNC_PAUSE || (state == ASYNC_FINISH && result == 1));
	piece->paused = state == ASYNC_PAUSE;
	return true;
}

bool piece_start(struct piece *piece)
{
	CHECK(piece_open(piece));
	piece->wait = ASYNC_WAIT_CTX_new();
	CHECK(piece->wait);
	return piece_go_on(piece);
}

bool piece_start_paused(struct piece *piece)
{
	for (unsigned int tries = 0; tries < 1000; tries++) {
		CHECK(piece_start(piece));
		if (piece->paused)
			return true;
		CHECK(piece_end(piece));
	}
	fprintf(stderr, "it never pauses\n");
	return false;
}

int piece_fd(const struct piece *piece)
{
	OSSL_ASYNC_FD fd = -1;
	size_t n = 0;

	if (!ASYNC_WAIT_CTX_get_all_fds(piece->wait, NULL, &n) || n != 1 ||
	    !ASYNC_WAIT_CTX_get_all_fds(piece->wait, &fd, &n))
		return -1;
	return fd;
}

bool piece_wait(struct piece *piece)
{
	unsigned int end = now_ms() + PATIENCE_MS;

	while (piece->paused) {
		struct pollfd p = {.fd = piece_fd(piece), .events = POLLIN};

		CHECK(p.fd >= 0 && now_ms() < end);
		CHECK(poll(&p, 1, PATIENCE_MS) == 1);
		CHECK(piece_go_on(piece));
	}
	return true;
}

bool piece_in_job(void)
{
	struct piece piece;

	return piece_start(&piece) && piece_wait(&piece) && piece_end(&piece);
}

bool pieces_start(struct piece *pieces, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		CHECK(piece_start_paused(&pieces[i]));
	return true;
}

bool pieces_finish(struct piece *pieces, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		CHECK(piece_wait(&pieces[i]) && piece_end(&pieces[i]));
	return true;
}

/* ---- looking */

unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

unsigned int mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned int n = 0;
	int c;

	while (file && (c = getc(file)) != EOF)
		n += c == '\n';
	if (file)
		fclose(file);
	return n;
}

unsigned int cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (unsigned int)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

unsigned int now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned int)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

uint64_t provider_count(const char *name)
{
	OSSL_PROVIDER *provider = OSSL_PROVIDER_load(NULL, "vcrypto");
	uint64_t count = 0;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_uint64(name, &count), OSSL_PARAM_END};

	if (!provider || !OSSL_PROVIDER_get_params(provider, params) ||
	    !OSSL_PARAM_modified(&params[0]))
		fprintf(stderr, "no parameter %s\n", name);
	if (provider)
		OSSL_PROVIDER_unload(provider);
	return count;
}

int daemon_pid(const char *variable)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : 0;
}

bool child_well(int pid)
{
	int status;

	CHECK(pid > 0);
	for (unsigned int i = 0; i < 3000; i++) {
		int got = waitpid(pid, &status, WNOHANG);

		CHECK(got >= 0);
		if (got == pid) {
			CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
			return true;
		}
		usleep(10000);
	}
	kill(pid, SIGKILL);
	fprintf(stderr, "a child hangs\n");
	return false;
}

bool ask(const char *word)
{
	char answer[64];

	printf("%s\n", word);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) != NULL;
}

static const struct {
	const char *name;
	scenario *run;
} scenarios[] = {
	{"fork-first", fork_first},
	{"fork-in-flight", fork_in_flight},
	{"fork-twice", fork_twice},
	{"fork-threads", fork_threads},
	{"exec-in-flight", exec_in_flight},
	{"exec-after", exec_after},
	{"prefork", prefork},
	{"closed-idle", closed_idle},
	{"closed-in-flight", closed_in_flight},
	{"reused-idle", reused_idle},
	{"reused-in-flight", reused_in_flight},
	{"idle-descriptors", idle_descriptors},
	{"one-epoll", one_epoll},
	{"no-standard-streams", no_standard_streams},
	{"short-threads", short_threads},
	{"reloads", reloads},
	{"exit-in-flight", exit_in_flight},
	{"exit-threads", exit_threads},
	{"jailed", jailed},
	{"silence", silence},
	{"silence-in-jobs", silence_in_jobs},
	{"ssl-free-paused", ssl_free_paused},
	{"counters", counters},
	{"fall-back", fall_back},
};

int main(int argc, char **argv)
{
	alarm(SCENARIO_S);
	if (argc < 2 || (argc < 3 && !OSSL_PROVIDER_available(NULL, "vcrypto"))) {
		ERR_print_errors_fp(stderr);
		fprintf(stderr, "no scenario, or the provider is not loaded\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (strcmp(argv[1], scenarios[i].name) != 0)
			continue;
		if (scenarios[i].run(argv + 1))
			return 0;
		ERR_print_errors_fp(stderr);
		return 1;
	}
	fprintf(stderr, "no such scenario: %s\n", argv[1]);
	return 1;
}
