/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How devices share the threads of the libcrypto resource: by time, not by who came first.
 */
#include "resource_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "keys.h"

#define SLOW 600u /* more than the threads have at once */
#define QUICK 40u
#define MAX_BYTES 256

struct batch {
	struct session_params params;
	void *handle;
	struct vc_request *req;
	unsigned int n;
	uint8_t src[MAX_BYTES], *dst;
};

static void batch_open(struct fixture *f, struct batch *b, unsigned int bits, uint8_t flow,
                       unsigned int n)
{
	struct test_key key = test_rsa_private(bits);

	*b = (struct batch){
		.params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                   .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                   .private_key = 1,
	                   .key_bits = (uint16_t)bits,
	                   .key = key.der,
	                   .key_len = (uint32_t)key.len},
		.n = n,
		.req = requests_new(n),
		.dst = malloc((size_t)n * MAX_BYTES),
	};
	assert_non_null(b->dst);
	assert_int_equal(f->resource->ops->realise(f->instance, &b->params, &b->handle), 0);
	b->src[bits / 8 - 1] = 2;
	for (unsigned int i = 0; i < n; i++) {
		b->req[i].handle = b->handle;
		b->req[i].flow = flow;
		b->req[i].kind = VC_REQUEST_AK_SIGN;
		b->req[i].src = b->src;
		b->req[i].length = bits / 8;
		b->req[i].dst = b->dst + (size_t)i * MAX_BYTES;
		b->req[i].dst_len = bits / 8;
		b->req[i].status = 0xee;
	}
}

static void batch_close(struct fixture *f, struct batch *b)
{
	f->resource->ops->drop(f->instance, b->handle);
	free(b->req);
	free(b->dst);
}

static void batch_submit(struct fixture *f, struct batch *b)
{
	struct vc_request *reqs[64];

	for (unsigned int at = 0; at < b->n;) {
		unsigned int m = vc_min(b->n - at, 64u);

		for (unsigned int i = 0; i < m; i++)
			reqs[i] = &b->req[at + i];
		/* It is never full: one device's flood is not in another's way. */
		assert_int_equal(f->resource->ops->submit(f->instance, reqs, m), m);
		at += m;
	}
}

static unsigned int batch_done(const struct batch *b)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < b->n; i++)
		n += b->req[i].status == VIRTIO_CRYPTO_OK;
	return n;
}

/* Until so many have come back. */
static void take(struct fixture *f, unsigned int n)
{
	uint64_t deadline = clock_now_ns() + UINT64_C(100000000000);
	struct vc_request *done[64];

	while (n) {
		unsigned int got = f->resource->ops->poll(f->instance, done, vc_min(n, 64u), false);

		for (unsigned int i = 0; i < got; i++)
			assert_int_equal(done[i]->status, VIRTIO_CRYPTO_OK);
		n -= got;
		if (!got)
			usleep(10); /* they step back behind us */
		assert_true(clock_now_ns() < deadline);
	}
}

/* As long as one has not come back, count what the other one got. */
static void wait_for(struct fixture *f, const struct batch *b, unsigned int *other)
{
	uint64_t deadline = clock_now_ns() + UINT64_C(100000000000);
	unsigned int own = 0;
	struct vc_request *done[64];

	while (own < b->n) {
		unsigned int got = f->resource->ops->poll(f->instance, done, 64, false);

		for (unsigned int i = 0; i < got; i++) {
			assert_int_equal(done[i]->status, VIRTIO_CRYPTO_OK);
			if (done[i] >= b->req && done[i] < b->req + b->n)
				own++;
			else
				(*other)++;
		}
		if (!got)
			usleep(10);
		assert_true(clock_now_ns() < deadline);
	}
}

static void a_flood_is_not_in_the_way_of_another_device(void **state)
{
	struct batch slow, quick;
	unsigned int before = 0;
	struct fixture f;

	fixture_open(&f, "libcrypto", 1);
	batch_open(&f, &slow, 2048, 1, SLOW);
	batch_open(&f, &quick, 1024, 2, QUICK);
	batch_submit(&f, &slow);
	/* Now it is known what each costs. */
	take(&f, 20);
	batch_submit(&f, &quick);
	wait_for(&f, &quick, &before);
	/* One takes a sixth of the time of the other, so it should be a sixth of QUICK; but other
	 * programs take time away. In the order of arrival it would have been all of them. */
	assert_in_range(before, 0, 5 * QUICK);
	take(&f, SLOW - 20 - before);
	assert_int_equal(batch_done(&slow), SLOW);
	assert_int_equal(batch_done(&quick), QUICK);
	assert_int_equal(f.instance->in_flight, 0);
	batch_close(&f, &slow);
	batch_close(&f, &quick);
	fixture_close(&f);
}

/* Who has been away has saved nothing up: it does not keep the others waiting for as long. */
static void absence_is_not_saved_up(void **state)
{
	struct batch first, again, other;
	unsigned int before = 0;
	struct fixture f;

	fixture_open(&f, "libcrypto", 1);
	batch_open(&f, &first, 1024, 1, QUICK);
	batch_submit(&f, &first);
	take(&f, QUICK);
	/* For long nobody but the other one. */
	batch_open(&f, &other, 1024, 2, 30 * QUICK);
	batch_submit(&f, &other);
	take(&f, 20 * QUICK);
	batch_open(&f, &again, 1024, 1, 5 * QUICK);
	batch_submit(&f, &again);
	wait_for(&f, &again, &before);
	/* Turn and turn about, it should be 5 * QUICK. */
	assert_in_range(before, QUICK / 2, 10 * QUICK);
	take(&f, 10 * QUICK - before);
	batch_close(&f, &first);
	batch_close(&f, &again);
	batch_close(&f, &other);
	fixture_close(&f);
}

static void weigh(struct batch *b, uint16_t weight)
{
	for (unsigned int i = 0; i < b->n; i++)
		b->req[i].weight = weight;
}

static void time_is_shared_by_weight(void **state)
{
	struct batch light, heavy;
	unsigned int before = 0;
	struct fixture f;

	fixture_open(&f, "libcrypto", 1);
	batch_open(&f, &light, 1024, 1, 20 * QUICK);
	batch_open(&f, &heavy, 1024, 2, 5 * QUICK);
	weigh(&light, 2);
	weigh(&heavy, 20);
	batch_submit(&f, &light);
	/* It is known now what each costs. */
	take(&f, QUICK);
	batch_submit(&f, &heavy);
	wait_for(&f, &heavy, &before);
	/* A tenth of the other's, and what the threads had already; turn and turn about it would
	 * be as many. */
	assert_in_range(before, QUICK / 4, 2 * QUICK);
	take(&f, 19 * QUICK - before);
	batch_close(&f, &light);
	batch_close(&f, &heavy);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_is_shared_by_weight),
		cmocka_unit_test(a_flood_is_not_in_the_way_of_another_device),
		cmocka_unit_test(absence_is_not_saved_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
