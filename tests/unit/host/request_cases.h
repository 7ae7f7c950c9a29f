/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of data requests share: a guest with sessions of every kind, and requests of every
 * kind as the driver's side writes them, cut into descriptors in any way.
 *
 * A case is the OUT bytes, the number of IN bytes, and what a resource has to see. The bytes after
 * the header tell their place, so that one that is lost or moved is seen.
 */
#ifndef VC_TEST_REQUEST_CASES_H
#define VC_TEST_REQUEST_CASES_H

#include <stddef.h>
#include <stdint.h>

#include "guest.h"
#include "host/request.h"

#define MAX_SIZE (64u << 10)
#define MAX_OUT (80u << 10)
#define MAX_IN (80u << 10)

struct fixture {
	struct guest guest;
	struct request_context context;
	uint64_t session[24];
};

int fixture_open(void **state);
int fixture_close(void **state);
#define request_test(t) cmocka_unit_test_setup_teardown(t, fixture_open, fixture_close)

struct test_case {
	const char *name;
	struct virtio_crypto_op_data_req header;
	int session;
	uint8_t kind;
	uint32_t iv, src, tag_in, aad; /* OUT, after the header */
	uint32_t in;                   /* IN without the status byte */
	uint32_t length;               /* what the resource is to see */
	uint32_t tag_at, tag_out;      /* what it makes besides */
	uint32_t result_len;           /* AKCIPHER */
};

extern const struct test_case test_cases[];
extern const size_t test_case_count;
const struct test_case *test_case(const char *name);

/* The OUT bytes of a case, with the fixture's session in the header. Returns how many. */
uint32_t case_bytes(const struct fixture *f, const struct test_case *c, uint8_t *out);
static inline uint32_t case_out(const struct test_case *c)
{
	return 72 + c->iv + c->src + c->tag_in + c->aad;
}

/* The bytes after the header. */
static inline uint8_t out_byte(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) + 1);
}

struct offer {
	uint32_t out[MAX_OUT], in[MAX_IN]; /* where each byte is */
	uint32_t out_len, in_len;
	uint16_t head;
};

/* Offer a request in an indirect chain, OUT and IN cut at random into pieces of at most so many
 * bytes (0: one piece each). IN is filled with 0xee. */
void offer(struct fixture *f, uint64_t *seed, const uint8_t *out, uint32_t out_len, uint32_t in_len,
           uint32_t most, struct offer *o);

/* Push, publish, and take it back as the driver. */
void give_back(struct fixture *f, const struct vring_chain *chain, uint32_t written);

#endif
