/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of resources: open one as a worker would, run requests through it, and say what
 * libcrypto thinks that the results should be.
 */
#ifndef VC_TESTS_RESOURCE_FIXTURE_H
#define VC_TESTS_RESOURCE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/resource/resource.h"

struct fixture {
	struct resource *resource;
	struct resource_instance *instance;
};

/* type: "ipsec-mb" or "libcrypto". */
void fixture_open(struct fixture *f, const char *type, unsigned int threads);
/* A resource of type dpdk with one of DPDK's software devices. */
void fixture_open_vdev(struct fixture *f, const char *vdev);
void fixture_close(struct fixture *f);

/* Zeroed, aligned requests with their tag pointer set. */
struct vc_request *requests_new(unsigned int n);

/* Submit them all, in bursts of at most `burst`, and wait until all are back. */
void fixture_run(struct fixture *f, struct vc_request *reqs, unsigned int n, unsigned int burst);

/* One symmetric job with random content, and its expected result. */
struct job {
	struct session_params params;
	uint8_t key[64], auth_key[200], aad[256];
	uint8_t *source, *buffer; /* buffer: what the resource writes; guard bytes behind */
	uint8_t *expected;        /* length bytes */
	uint8_t expected_tag[64];
	uint32_t length;
	void *handle;
};

uint32_t test_random(void); /* the same in every run */
void random_fill(void *data, size_t size);

/* What the job does; the rest follows from job_make(). */
struct job_kind {
	uint8_t service, algorithm, mac, chain;
	uint8_t encrypt;
	uint8_t key_len, tag_len, iv_len; /* key_len: of a CMAC too; an HMAC's is random */
	uint8_t hash;                     /* of a chain without MAC */
};

/* Says the resource that it can do the kind? */
bool kind_can(const struct fixture *f, const struct job_kind *kind);

/* Make session and request for a kind, of length bytes, in place or not, at a misaligned address;
 * compute what is expected. */
void job_make(struct fixture *f, struct job *job, struct vc_request *req,
              const struct job_kind *kind, uint32_t length, bool in_place);
/* The request came back with this status; if OK, with the expected result. */
void job_check(const struct job *job, const struct vc_request *req, uint8_t status);
/* Nothing was written around the destination. */
void job_check_guards(const struct job *job, const struct vc_request *req);
void job_free(struct fixture *f, struct job *job);

#endif
