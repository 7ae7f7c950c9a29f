/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile front end for a live vcrypto-host.
 *
 *   test-hostile --socket PATH [--seed N] [--requests N] [--seconds S] [--attack KIND]
 *
 * Connects again and again, and does what it likes, until so many requests have been made and so
 * many seconds have passed. The same seed does the same (up to the device's timing). Exit status: 0
 * when all came back that had to, and the device still computes; 1 else. The last line is JSON.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attack.h"
#include "base/util.h"
#include "wire/virtio_crypto.h"

#define ROUNDS 100
#define CONNECT_MS 20000
#define STATELESS                                                                                  \
	(UINT64_C(1) << VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE |                                    \
	 UINT64_C(1) << VIRTIO_CRYPTO_F_HASH_STATELESS_MODE |                                      \
	 UINT64_C(1) << VIRTIO_CRYPTO_F_MAC_STATELESS_MODE |                                       \
	 UINT64_C(1) << VIRTIO_CRYPTO_F_AEAD_STATELESS_MODE |                                      \
	 UINT64_C(1) << VIRTIO_CRYPTO_F_AKCIPHER_STATELESS_MODE)

struct options {
	const char *path;
	uint64_t seed, requests;
	double seconds;
	int attack; /* -1: all */
};

/* ---- somebody who writes over everything, at any time ---- */

static atomic_bool scribble;
static uint8_t *_Atomic scribble_at;

/* Races with the rest of this program too: that is what it is for, and not ThreadSanitizer's. */
static __attribute__((no_sanitize("thread"))) void *scribbler(void *argument)
{
	uint64_t state = *(uint64_t *)argument;
	struct timespec nap = {0, 1000};

	while (atomic_load(&scribble)) {
		uint8_t *base = atomic_load(&scribble_at);

		state = state * 6364136223846793005u + 1442695040888963407u;
		/* The rings, or the first cells. */
		base[(state >> 33) % (state >> 60 & 1 ? 4096 : 96u << 10)] ^=
			(uint8_t)(state >> 40);
		if (!(state >> 40 & 63))
			nanosleep(&nap, NULL);
	}
	return NULL;
}

/* ---- connections ---- */

/* The last connection may not have been given up yet. */
static int connect_again(struct attacker *a, bool seal)
{
	static const uint64_t indirect = UINT64_C(1) << VIRTIO_F_RING_INDIRECT_DESC;
	static const uint64_t version = UINT64_C(1) << VIRTIO_F_VERSION_1;
	static const uint64_t event = UINT64_C(1) << VIRTIO_F_RING_EVENT_IDX;
	static const uint64_t foreign = UINT64_C(1) << VIRTIO_CRYPTO_F_REVISION_1 | STATELESS;
	static const uint64_t packed = UINT64_C(1) << VIRTIO_F_RING_PACKED;
	static const uint64_t features[] = {version | indirect,
	                                    version | indirect | event,
	                                    version,
	                                    indirect | event | version | packed,
	                                    version | indirect | packed,
	                                    version | indirect | foreign,
	                                    0};
	uint64_t deadline = clock_now_ns() + CONNECT_MS * UINT64_C(1000000);
	uint64_t wanted = features[attack_random(a) % vc_array_size(features)];
	unsigned int heads = 1u << (1 + attack_random(a) % 6);
	struct timespec nap = {0, 1000000};
	int rc;

	do {
		rc = front_open(&a->front, a->path, wanted, heads, seal);
		if (rc)
			nanosleep(&nap, NULL);
	} while (rc && clock_now_ns() < deadline);
	a->connections++;
	a->foreign = a->front.features >> VIRTIO_CRYPTO_F_REVISION_1 & 1;
	return rc;
}

/* What ends a connection comes at its end. */
static enum attack attack_pick(struct attacker *a, const struct options *options, bool last)
{
	if (options->attack >= 0)
		return (enum attack)options->attack;
	if (last)
		return ATTACK_MESSAGES + attack_random(a) % (ATTACK_KINDS - ATTACK_MESSAGES);
	return (enum attack)(attack_random(a) % ATTACK_MESSAGES);
}

/* One connection, from its beginning to its end, however it comes. 0; -errno with a sentence. */
static int campaign(struct attacker *a, const struct options *options, const char **what)
{
	bool wild = options->attack < 0 && attack_random(a) % 8 == 0, seal = attack_random(a) % 2;
	bool gentle = attack_random(a) % 2;
	enum attack kind = ATTACK_SOUND;
	uint64_t seed = a->seed;
	pthread_t thread;
	int rc;

	*what = "connecting";
	rc = connect_again(a, seal);
	if (rc)
		return rc;
	*what = "sessions";
	rc = attack_sessions_make(a);
	if (wild) {
		atomic_store(&scribble_at, a->front.memory[0].base);
		atomic_store(&scribble, true);
		if (pthread_create(&thread, NULL, scribbler, &seed))
			abort();
	}
	for (unsigned int round = 0; round < ROUNDS && !rc; round++) {
		kind = attack_pick(a, options, !gentle && round == ROUNDS - 1);
		/* Who writes over his own rings waits for ever, and who cuts his own memory dies.
		 */
		if (wild && kind != ATTACK_MESSAGES)
			kind = ATTACK_MESSAGES;
		rc = attack_round(a, kind);
		*what = attack_names[kind];
	}
	if (wild) {
		atomic_store(&scribble, false);
		pthread_join(thread, NULL);
	} else if (!rc && !a->foreign) {
		*what = "a sound request after all that";
		rc = attack_sanity(a);
	}
	front_close(&a->front);
	return rc == 1 || rc == -ENOSPC || wild ? 0 : rc;
}

static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"socket", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'e'},
		{"requests", required_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 't'},
		{"attack", required_argument, NULL, 'a'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 's':
			options->path = optarg;
			break;
		case 'e':
			options->seed = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			options->requests = strtoull(optarg, NULL, 0);
			break;
		case 't':
			options->seconds = strtod(optarg, NULL);
			break;
		case 'a':
			for (options->attack = 0; options->attack < ATTACK_KINDS; options->attack++)
				if (!strcmp(optarg, attack_names[options->attack]))
					break;
			if (options->attack < ATTACK_KINDS)
				break;
			return -EINVAL;
		default:
			return -EINVAL;
		}
	}
	return options->path ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct options options = {.seed = 1, .attack = -1};
	struct attacker a;
	const char *what = "";
	uint64_t begin = clock_now_ns();
	int rc = 0;

	if (options_parse(argc, argv, &options)) {
		fputs("test-hostile --socket PATH [--seed N] [--requests N] [--seconds S] "
		      "[--attack KIND]\n",
		      stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	memset(&a, 0, sizeof(a));
	a.path = options.path;
	a.seed = options.seed;
	do {
		rc = campaign(&a, &options, &what);
	} while (!rc && (a.requests < options.requests ||
	                 (double)(clock_now_ns() - begin) < options.seconds * 1e9));
	if (rc)
		fprintf(stderr, "test-hostile: seed %" PRIu64 ", connection %" PRIu64 ": %s: %s\n",
		        options.seed, a.connections, what, strerror(-rc));
	printf("{\"seed\": %" PRIu64 ", \"requests\": %" PRIu64 ", \"connections\": %" PRIu64
	       ", \"broken_rings\": %" PRIu64 ", \"inband\": %" PRIu64 ", \"seconds\": %.3f}\n",
	       options.seed, a.requests, a.connections, a.broken_rings, a.inband,
	       (double)(clock_now_ns() - begin) / 1e9);
	return rc ? 1 : 0;
}
