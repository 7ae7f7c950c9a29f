/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the engine, for test_engine.py.
 *
 *   client known            every algorithm and many sizes: right, synchronously
 *   client jobs N           the same in N ASYNC jobs at once
 *   client load T S [any]   T threads for S seconds; every operation must be done (any: or fail
 *                           cleanly, and one at the end must be done)
 *   client fork             work, fork with jobs and threads about, work in both
 *   client exit             tear down while threads work
 *   client absent           there is no daemon: everything fails quickly and cleanly
 *   client hang             work until killed, with jobs in flight
 *   client deadline         the daemon does not answer: -ETIMEDOUT or -EPIPE in time, in a job too
 *   client lost [back]      the device goes with one of each kind in flight: (back: when it comes
 *                           again) what is not in place is done, all else fails at once
 *   client speed            round trips, for people
 */
#include <errno.h>
#include <openssl/async.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "work.h"

static const size_t sizes[] = {0, 1, 15, 16, 17, 255, 2047, 2048, 2049, 16000, 16384, 16400};

static int check_all(void *argument)
{
	size_t kind, i;
	int ret;

	for (kind = 0; kind < work_count(); kind++) {
		for (i = 0; i < vc_array_size(sizes); i++) {
			ret = work_do(kind, sizes[i], 1);
			if (ret)
				die("%s, %zu bytes: %s", work_name(kind), sizes[i], strerror(-ret));
			if (work_service(kind) == VCRYPTO_SERVICE_AKCIPHER)
				break;
		}
		if (work_service(kind) != VCRYPTO_SERVICE_AKCIPHER) {
			/* More than slots and windows hold. */
			ret = work_do(kind, 3000, 70);
			if (ret)
				die("%s, 70 at once: %s", work_name(kind), strerror(-ret));
		}
		work_do_bad(kind, 1000);
	}
	return 0;
}

static int known(void)
{
	struct vce_client_stats stats;
	unsigned int i;

	check_all(NULL);
	core_stats(&stats);
	for (i = 0; i < VCE_FALLBACK_REASONS; i++) {
		if (stats.fallback[i])
			die("%lu fell back for reason %u", (unsigned long)stats.fallback[i], i);
	}
	if (!stats.offloaded[VCE_CLASS_CIPHER] || !stats.offloaded[VCE_CLASS_AEAD] ||
	    !stats.offloaded[VCE_CLASS_RSA_SIGN] || !stats.offloaded[VCE_CLASS_RSA_DECRYPT] ||
	    !stats.offloaded[VCE_CLASS_RSA_PUBLIC] || !stats.offloaded[VCE_CLASS_ECDSA_SIGN] ||
	    !stats.offloaded[VCE_CLASS_ECDSA_VERIFY] || !stats.offloaded[VCE_CLASS_DERIVE] ||
	    !stats.offloaded_more[VCE_CLASS_GENERATE - VCE_CLASSES_FIRST])
		die("not everything was counted");
	if (!core_offers(VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CBC) ||
	    !core_offers(VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_GCM) ||
	    !core_offers(VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_RSA) ||
	    !core_offers(VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_ECDSA) ||
	    !core_agrees(VCRYPTO_CURVE_X25519) || !core_agrees(VCRYPTO_CURVE_P384) ||
	    core_agrees((enum vcrypto_curve)1))
		die("the device does not say what it offers");
	return 0;
}

/* ---- load ---- */

static atomic_bool stop;
static bool any_result;
static atomic_ulong done, failed;

static void *load_thread(void *argument)
{
	unsigned int seed = (unsigned int)(uintptr_t)argument * 7919u + (unsigned int)getpid();
	int ret;

	while (!atomic_load(&stop)) {
		size_t kind = (size_t)rand_r(&seed) % work_count();
		size_t length = (size_t)rand_r(&seed) % 16400;

		ret = work_do(kind, length, 1 + (size_t)rand_r(&seed) % 8);
		if (!ret)
			atomic_fetch_add(&done, 1);
		else if (any_result)
			atomic_fetch_add(&failed, 1);
		else
			die("%s: %s", work_name(kind), strerror(-ret));
	}
	return NULL;
}

static int load(unsigned int threads, unsigned int seconds)
{
	pthread_t *thread = calloc(threads, sizeof(*thread));
	unsigned int i;

	for (i = 0; i < threads; i++) {
		if (pthread_create(&thread[i], NULL, load_thread, (void *)(uintptr_t)(i + 1)))
			die("pthread_create");
	}
	sleep(seconds);
	atomic_store(&stop, true);
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	free(thread);
	printf("%lu done, %lu failed\n", atomic_load(&done), atomic_load(&failed));
	if (!done)
		die("nothing was done");
	/* What was away is to be back: within the longest back-off. */
	for (i = 0; any_result && work_do(0, 1024, 1); i++) {
		if (i == 80)
			die("it does not work again");
		usleep(100000);
	}
	return 0;
}

/* ---- fork ---- */

static pid_t forked = -1;

static int fork_in_job(void *argument)
{
	unsigned int i;
	int ret = 0;

	/* What is done at once does not pause. */
	for (i = 0; !ret && forked == -1 && i < 1000; i++)
		ret = work_do(0, 16000, 8);
	if (ret && forked != 0)
		die("in a job of the parent: %s", strerror(-ret));
	/* A job that was paused across the fork fails in the child, and the next one is done. */
	ret = work_do(0, 16000, 1);
	if (ret)
		die("in a job after the fork: %s", strerror(-ret));
	return 0;
}

static void fork_with_paused_job(void)
{
	ASYNC_WAIT_CTX *context = ASYNC_WAIT_CTX_new();
	ASYNC_JOB *job = NULL;
	int ret, result = 0;

	while ((ret = ASYNC_start_job(&job, context, &result, fork_in_job, NULL, 0)) ==
	       ASYNC_PAUSE) {
		if (forked == -1)
			forked = fork();
	}
	if (ret != ASYNC_FINISH)
		die("ASYNC_start_job");
	ASYNC_WAIT_CTX_free(context);
	if (forked == -1)
		die("the job never paused");
}

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		die("the child ended with %x", status);
}

/* libcrypto's locks are not for forking while others hold them: so these do without it. */
static void *fork_thread(void *argument)
{
	int ret = work_repeat((size_t)(uintptr_t)argument * 5, 4096, &stop);

	if (ret)
		die("while others fork: %s", strerror(-ret));
	return NULL;
}

static int fork_about(void)
{
	pthread_t thread[3];
	unsigned int i;
	pid_t pid;

	if (work_do(0, 5000, 1))
		die("before the fork");
	for (i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, fork_thread, (void *)(uintptr_t)i);
	usleep(100000);
	for (i = 0; i < 10; i++) {
		pid = fork();
		if (!pid) {
			size_t kind;

			/* The threads are not here, and what they held must not matter. */
			for (kind = 0; kind < work_count(); kind++) {
				if (work_do(kind, 3333, 3))
					die("in the child");
			}
			_exit(0);
		}
		reap(pid);
	}
	atomic_store(&stop, true);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	fork_with_paused_job();
	if (!forked)
		_exit(0);
	reap(forked);
	return check_all(NULL);
}

/* ---- exit ---- */

static void *exit_thread(void *argument)
{
	(void)work_repeat((size_t)(uintptr_t)argument * 5, 4096, &stop);
	return NULL;
}

/* What a provider's teardown in exit() looks like to threads that go on working. */
static int exit_about(void)
{
	pthread_t thread;
	unsigned int i;

	/* Some end when their work fails, others are at it to the last: nobody joins them. */
	for (i = 0; i < 3; i++) {
		pthread_create(&thread, NULL, exit_thread, (void *)(uintptr_t)i);
		pthread_detach(thread);
	}
	if (work_do(0, 5000, 1))
		die("before the exit");
	usleep(50000);
	core_teardown();
	usleep(50000);
	_exit(0);
}

/* ---- without a daemon ---- */

static int one_fails(void *argument)
{
	uint64_t start = clock_now_ns(), limit_ms = *(const unsigned int *)argument;
	int ret = work_do(0, 1000, 4);

	if (!ret)
		die("it was done");
	if (clock_now_ns() - start > limit_ms * 1000000ull)
		die("it took %lu ms to fail with %d", (clock_now_ns() - start) / 1000000, ret);
	return 0;
}

/* Nothing is offloaded, and counted for that reason. */
static int absent(enum vce_fallback reason)
{
	struct vce_client_stats stats;
	unsigned int i, limit = 200;

	for (i = 0; i < 100; i++)
		one_fails(&limit);
	work_in_jobs(one_fails, &limit, 4);
	core_stats(&stats);
	if (stats.fallback[reason] != 416)
		die("%lu were counted", (unsigned long)stats.fallback[reason]);
	if (core_available())
		die("it is said to be available");
	return 0;
}

/* The daemon is stopped when we write a line, and goes on when we have ended. */
static int deadline(void)
{
	const struct core_options options = {.deadline_ms = 300};
	struct vce_client_stats stats;
	unsigned int limit = 1500, i;
	char go;

	core_configure(&options);
	if (work_do(0, 1000, 1))
		die("before");
	puts("stop");
	fflush(stdout);
	if (read(STDIN_FILENO, &go, 1) != 1)
		die("nobody stopped the daemon");
	one_fails(&limit);
	work_in_jobs(one_fails, &limit, 3);
	core_stats(&stats);
	if (!stats.fallback[VCE_FALLBACK_DEADLINE])
		die("no deadline was counted");
	puts("go on");
	fflush(stdout);
	if (read(STDIN_FILENO, &go, 1) != 1)
		die("nobody let the daemon go on");
	/* It is left alone for a while. */
	for (i = 0; work_do(0, 1000, 1); i++) {
		if (i == 500)
			die("it is not tried any more");
		usleep(10000);
	}
	return check_all(NULL);
}

static bool device_back;
static size_t lost_kind;

/* One of the next kind, in flight when the device goes. */
static int lost_job(void *argument)
{
	size_t kind = lost_kind++;
	bool repeated = device_back && work_service(kind) == VCRYPTO_SERVICE_AKCIPHER;
	int ret = work_do(kind, 1008, 1);

	if (ret != (repeated ? 0 : -EIO))
		die("%s: %d", work_name(kind), ret);
	return 0;
}

/* The host is stopped when we write a line, and ended when all are in flight. */
static int lost(void)
{
	size_t kind;
	char go;

	for (kind = 0; kind < work_count(); kind++)
		if (work_do(kind, 1008, 1))
			die("before");
	printf("%zu\n", kind);
	fflush(stdout);
	if (read(STDIN_FILENO, &go, 1) != 1)
		die("nobody stopped the host");
	return work_in_jobs(lost_job, NULL, (unsigned int)kind);
}

static int hang_job(void *argument)
{
	while (!atomic_load(&stop)) {
		if (work_do(0, 16384, 16))
			usleep(1000);
	}
	return 0;
}

static void *hang_thread(void *argument)
{
	work_in_jobs(hang_job, NULL, 8);
	return NULL;
}

static int hang(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, hang_thread, NULL);
	check_all(NULL);
	puts("working");
	fflush(stdout);
	hang_job(NULL);
	return 0;
}

/* ---- speed ---- */

static unsigned int speed_rounds;

static int speed_job(void *argument)
{
	static __thread uint8_t data[16384];
	struct core_op *op = argument;
	struct core_op mine = *op;
	unsigned int i;

	mine.src = data;
	mine.dst = data;
	for (i = 0; i < speed_rounds; i++) {
		int ret = core_run(&mine, 1);

		if (ret)
			die("operation %u: %s", i, strerror(-ret));
	}
	return 0;
}

static int speed(void)
{
	static const uint8_t key[16];
	const struct vcrypto_session_params params = {
		.service = VCRYPTO_SERVICE_CIPHER,
		.algorithm = VCRYPTO_CIPHER_AES_CBC,
		.direction = VCRYPTO_ENCRYPT,
		.key = key,
		.key_len = sizeof(key),
	};
	const unsigned int jobs[] = {0, 1, 8, 32};
	struct core_op op = {.iv_len = 16};
	unsigned int i, j;
	uint64_t start, ns;

	if (core_key_new(&params, &op.key))
		die("key");
	for (i = 0; i < 4; i++) {
		for (j = 64; j <= 16384; j *= 16) {
			op.length = j;
			speed_rounds = jobs[i] ? 40000 / jobs[i] : 10000;
			start = clock_now_ns();
			if (jobs[i])
				work_in_jobs(speed_job, &op, jobs[i]);
			else
				speed_job(&op);
			ns = (clock_now_ns() - start) / (speed_rounds * vc_max(1u, jobs[i]));
			printf("%2u jobs, %5u bytes: %6lu ns each, %.2f Gbit/s\n", jobs[i], j,
			       (unsigned long)ns, j * 8.0 / (double)ns);
		}
	}
	core_key_free(op.key);
	return 0;
}

int main(int argc, char **argv)
{
	/* Sanitized, on a machine that does other things too. */
	const struct core_options patient = {.deadline_ms = 20000};
	const char *what = argc > 1 ? argv[1] : "known";
	int ret = 2;

	if (strcmp(what, "deadline") != 0 && strcmp(what, "speed") != 0)
		core_configure(&patient);
	work_init();
	if (strcmp(what, "known") == 0)
		ret = known();
	else if (strcmp(what, "jobs") == 0 && argc > 2)
		ret = work_in_jobs(check_all, NULL, (unsigned int)atoi(argv[2]));
	else if (strcmp(what, "load") == 0 && argc > 3) {
		any_result = argc > 4;
		ret = load((unsigned int)atoi(argv[2]), (unsigned int)atoi(argv[3]));
	} else if (strcmp(what, "fork") == 0)
		ret = fork_about();
	else if (strcmp(what, "exit") == 0)
		ret = exit_about();
	else if (strcmp(what, "absent") == 0)
		ret = absent(VCE_FALLBACK_NO_DAEMON);
	else if (strcmp(what, "offline") == 0)
		ret = absent(VCE_FALLBACK_DEVICE);
	else if (strcmp(what, "deadline") == 0)
		ret = deadline();
	else if (strcmp(what, "lost") == 0) {
		device_back = argc > 2;
		ret = lost();
	} else if (strcmp(what, "hang") == 0)
		ret = hang();
	else if (strcmp(what, "speed") == 0)
		ret = speed();
	work_exit();
	core_teardown();
	return ret;
}
