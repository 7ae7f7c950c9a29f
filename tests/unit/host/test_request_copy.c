/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private copies of requests: all that a resource reads or writes is in them, results come back to
 * where they belong, and a request that is renewed is as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "host/request_copy.h"

#define LENGTH 100u
#define AAD 20u

/* What would be the guest's. */
struct world {
	struct bounce_pool *pool;
	struct vc_request req, renewed;
	uint8_t src[LENGTH], dst[LENGTH], aad[AAD], digest[32], result[256];
};

static int setup(void **state)
{
	struct world *w = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*w), VC_CACHE_LINE));

	assert_non_null(w);
	memset(w, 0, sizeof(*w));
	w->pool = bounce_pool_new(65536, 1u << 20);
	assert_non_null(w->pool);
	memset(w->src, 's', LENGTH);
	memset(w->dst, 'd', LENGTH);
	memset(w->aad, 'a', AAD);
	memset(w->digest, 'v', 32);
	w->req = (struct vc_request){.kind = VC_REQUEST_AEAD,
	                             .encrypt = 1,
	                             .src = w->src,
	                             .dst = w->dst,
	                             .aad = w->aad,
	                             .tag = w->req.tag_buffer,
	                             .length = LENGTH,
	                             .aad_len = AAD,
	                             .tag_len = 16,
	                             .head = 77,
	                             .tried = 5};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	bounce_pool_free(w->pool);
	free(w);
	return 0;
}

static bool in_copy(const struct bounce *copy, const void *p, uint32_t n)
{
	const uint8_t *at = p;

	return at >= copy->space && at + n <= copy->space + copy->room;
}

static void everything_is_copied(void **state)
{
	struct world *w = *state;
	struct bounce *copy = request_copy_make(&w->req, w->pool);

	assert_non_null(copy);
	assert_true(in_copy(copy, w->req.src, LENGTH));
	assert_true(in_copy(copy, w->req.dst, LENGTH));
	assert_true(in_copy(copy, w->req.aad, AAD));
	assert_memory_equal(w->req.src, w->src, LENGTH);
	assert_memory_equal(w->req.aad, w->aad, AAD);
	assert_ptr_equal(w->req.tag, w->req.tag_buffer);
	bounce_put(w->pool, copy);
}

static void a_result_comes_back(void **state)
{
	struct world *w = *state;
	struct bounce *copy = request_copy_make(&w->req, w->pool);

	memset(w->req.dst, 'r', LENGTH);
	assert_int_equal(w->dst[0], 'd');
	request_copy_result(&w->req, copy);
	request_copy_end(&w->req, copy);
	assert_ptr_equal(w->req.src, w->src);
	assert_ptr_equal(w->req.dst, w->dst);
	assert_ptr_equal(w->req.aad, w->aad);
	for (unsigned int i = 0; i < LENGTH; i++)
		assert_int_equal(w->dst[i], 'r');
	assert_int_equal(w->src[0], 's');
	bounce_put(w->pool, copy);
}

static void without_success_nothing_comes_back(void **state)
{
	static const uint8_t statuses[] = {VIRTIO_CRYPTO_ERR, VIRTIO_CRYPTO_BADMSG,
	                                   VC_STATUS_REFUSED, VC_STATUS_RESOURCE};
	struct world *w = *state;

	for (unsigned int i = 0; i < sizeof(statuses); i++) {
		struct bounce *copy = request_copy_make(&w->req, w->pool);

		memset(w->req.dst, 'r', LENGTH);
		w->req.status = statuses[i];
		request_copy_result(&w->req, copy);
		request_copy_end(&w->req, copy);
		for (unsigned int n = 0; n < LENGTH; n++)
			assert_int_equal(w->dst[n], 'd');
		bounce_put(w->pool, copy);
	}
}

static void a_digest_is_in_the_request_already(void **state)
{
	struct world *w = *state;
	struct bounce *copy;

	w->req.kind = VC_REQUEST_HASH;
	copy = request_copy_make(&w->req, w->pool);
	w->req.tag[0] = 1;
	request_copy_result(&w->req, copy);
	request_copy_end(&w->req, copy);
	assert_int_equal(w->dst[0], 'd');
	assert_int_equal(w->req.tag[0], 1);
	bounce_put(w->pool, copy);
}

static void a_signature_has_its_own_length(void **state)
{
	struct world *w = *state;
	struct bounce *copy;

	w->req.kind = VC_REQUEST_AK_SIGN;
	w->req.aad = NULL;
	w->req.aad_len = w->req.tag_len = 0;
	w->req.dst = w->result;
	w->req.dst_len = 256;
	copy = request_copy_make(&w->req, w->pool);
	assert_true(copy->secret);
	assert_true(in_copy(copy, w->req.dst, 256));
	assert_true(w->req.dst >= w->req.src + LENGTH);
	memset(w->req.dst, 'r', 256);
	w->req.result_len = 200;
	request_copy_result(&w->req, copy);
	assert_int_equal(w->result[199], 'r');
	assert_int_equal(w->result[200], 0);
	/* More than there is room for is nobody's. */
	w->req.result_len = 1000;
	request_copy_result(&w->req, copy);
	request_copy_end(&w->req, copy);
	assert_ptr_equal(w->req.dst, w->result);
	bounce_put(w->pool, copy);
}

static void what_is_verified_is_copied(void **state)
{
	struct world *w = *state;
	struct bounce *copy;

	w->req.kind = VC_REQUEST_AK_VERIFY;
	w->req.aad_len = 0;
	w->req.dst = NULL;
	w->req.tag = w->digest;
	w->req.tag_len = 32;
	copy = request_copy_make(&w->req, w->pool);
	assert_true(in_copy(copy, w->req.tag, 32));
	assert_memory_equal(w->req.tag, w->digest, 32);
	assert_null(w->req.dst);
	request_copy_end(&w->req, copy);
	assert_ptr_equal(w->req.tag, w->digest);
	bounce_put(w->pool, copy);
}

/* The first one's resource writes wherever it may. */
static void a_renewed_request_is_as_it_was(void **state)
{
	struct world *w = *state;
	struct bounce *copy, *bounce = bounce_get(w->pool, 64);
	struct host_queue *queue = (struct host_queue *)&w->digest;

	w->req.queue = queue;
	w->req.bounce = bounce;
	w->req.encrypt = 0;
	memset(w->req.tag_buffer, 't', 16);
	copy = request_copy_make(&w->req, w->pool);
	memset(&w->renewed, 0xcc, sizeof(w->renewed));
	w->req.status = VC_STATUS_RESOURCE;
	w->req.result_len = 999;
	w->req.private = w;
	memset(w->req.dst, 'x', LENGTH);
	request_copy_renew(&w->renewed, &w->req, copy);
	assert_ptr_equal(w->renewed.src, w->src);
	assert_ptr_equal(w->renewed.dst, w->dst);
	assert_ptr_equal(w->renewed.aad, w->aad);
	assert_ptr_equal(w->renewed.tag, w->renewed.tag_buffer);
	assert_int_equal(w->renewed.tag_buffer[15], 't');
	assert_int_equal(w->renewed.status, VIRTIO_CRYPTO_OK);
	assert_int_equal(w->renewed.result_len, 0);
	assert_null(w->renewed.private);
	assert_int_equal(w->renewed.head, 77);
	assert_int_equal(w->renewed.tried, 5);
	assert_int_equal(w->renewed.length, LENGTH);
	assert_int_equal(w->renewed.kind, VC_REQUEST_AEAD);
	/* What is to be given back is given back once. */
	assert_ptr_equal(w->renewed.queue, queue);
	assert_ptr_equal(w->renewed.bounce, bounce);
	assert_null(w->req.queue);
	assert_null(w->req.bounce);
	/* And the first one's are still the copies. */
	assert_true(in_copy(copy, w->req.src, LENGTH));
	assert_true(in_copy(copy, w->req.dst, LENGTH));
	assert_int_equal(w->dst[0], 'd');
	assert_int_equal(w->src[0], 's');
	bounce_put(w->pool, copy);
	bounce_put(w->pool, bounce);
}

/* They lie in the request, for libraries that look. */
static void pointers_to_nothing_move_along(void **state)
{
	struct world *w = *state;
	struct bounce *copy;

	w->req.length = w->req.aad_len = 0;
	w->req.src = w->req.dst = w->req.tag_buffer;
	w->req.aad = w->req.tag_buffer;
	copy = request_copy_make(&w->req, w->pool);
	request_copy_renew(&w->renewed, &w->req, copy);
	assert_ptr_equal(w->renewed.src, w->renewed.tag_buffer);
	assert_ptr_equal(w->renewed.dst, w->renewed.tag_buffer);
	assert_ptr_equal(w->renewed.aad, w->renewed.tag_buffer);
	bounce_put(w->pool, copy);
}

static bool points_at(struct world *w, const struct bounce *copy, uint8_t *byte)
{
	union {
		struct memtable table;
		uint8_t space[sizeof(struct memtable) + sizeof(struct memregion)];
	} one = {.table = {.count = 1}};

	one.table.region[0] = (struct memregion){.size = 1, .host = byte};
	return request_copy_points_into(&w->req, copy, &one.table);
}

static void memory_that_it_returns_to_is_told(void **state)
{
	struct world *w = *state;
	struct bounce *copy = request_copy_make(&w->req, w->pool);

	assert_true(points_at(w, copy, w->dst + LENGTH - 1));
	assert_true(points_at(w, copy, w->src));
	assert_true(points_at(w, copy, w->aad));
	assert_false(points_at(w, copy, w->digest));
	bounce_put(w->pool, copy);
}

static void without_a_buffer_nothing_is_changed(void **state)
{
	struct world *w = *state;
	struct bounce *all[4096];
	unsigned int n = 0;

	while ((all[n] = bounce_get(w->pool, 1)))
		n++;
	assert_null(request_copy_make(&w->req, w->pool));
	assert_ptr_equal(w->req.src, w->src);
	assert_ptr_equal(w->req.dst, w->dst);
	while (n)
		bounce_put(w->pool, all[--n]);
}

#define copy(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		copy(everything_is_copied),
		copy(a_result_comes_back),
		copy(without_success_nothing_comes_back),
		copy(a_digest_is_in_the_request_already),
		copy(a_signature_has_its_own_length),
		copy(what_is_verified_is_copied),
		copy(a_renewed_request_is_as_it_was),
		copy(pointers_to_nothing_move_along),
		copy(memory_that_it_returns_to_is_told),
		copy(without_a_buffer_nothing_is_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
