/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scenarios of test-provider-robust share: operations that may be left in flight, and what
 * a process has open. See robust_main.c.
 */
#ifndef VC_TESTS_PROVIDER_ROBUST_H
#define VC_TESTS_PROVIDER_ROBUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/async.h>
#include <openssl/evp.h>

#include "openssl/cases.h"

#define PIECE 16384

/* One encryption with the provider, and what it must give. */
struct piece {
	EVP_CIPHER_CTX *ctx;
	uint8_t *in, *out, *right;
	ASYNC_WAIT_CTX *wait;
	ASYNC_JOB *job;
	bool paused;
};

/* Fetch what pieces need, once; without forgetting it. */
bool pieces_prepare(void);
/* Encrypt without a job, and compare. */
bool piece_sync(void);
/* Begin one in a job; it may be paused afterwards, or finished. */
bool piece_start(struct piece *piece);
/* One that is paused: what is done before it could pause, as where the application's CPU is taken
 * away, is ended and begun again. */
bool piece_start_paused(struct piece *piece);
/* The descriptor to wait for; -1: it has none. */
int piece_fd(const struct piece *piece);
/* Go on once. */
bool piece_go_on(struct piece *piece);
/* Wait for its descriptor and go on until it is finished. False: not within 20 s. */
bool piece_wait(struct piece *piece);
/* Compare a finished one, and free it. */
bool piece_end(struct piece *piece);
/* Free it as it is: its job, if paused, is never resumed. */
void piece_abandon(struct piece *piece);
/* A whole one, in a job. */
bool piece_in_job(void);

/* Which have been started and are paused; false unless all are. */
bool pieces_start(struct piece *pieces, unsigned int n);
bool pieces_finish(struct piece *pieces, unsigned int n);

unsigned int open_files(void);
unsigned int mappings(void);
/* Processor time of this process. */
unsigned int cpu_ms(void);
unsigned int now_ms(void);
/* A counter of the provider's. */
uint64_t provider_count(const char *name);
/* Of the daemons, from the environment. */
int daemon_pid(const char *variable);
/* Wait for a child, 30 s; true: it ended with status 0. */
bool child_well(int pid);
/* The other side, the test, is told and waits, or goes on. */
bool ask(const char *word);

typedef bool scenario(char **arguments);

/* robust_fork.c */
scenario fork_first, fork_in_flight, fork_twice, fork_threads, exec_in_flight, exec_after, prefork;
/* robust_descriptors.c */
scenario closed_idle, closed_in_flight, reused_idle, reused_in_flight, idle_descriptors, one_epoll,
	no_standard_streams;
/* robust_life.c */
scenario short_threads, reloads, exit_in_flight, exit_threads, jailed, silence, silence_in_jobs;
/* robust_counters.c */
scenario counters, fall_back;
/* robust_ssl.c */
scenario ssl_free_paused;

#endif
