/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of resource type fault: one over a fake resource, and requests enough to fill it.
 */
#ifndef VC_TEST_FAULT_FIXTURE_H
#define VC_TEST_FAULT_FIXTURE_H

#include "fake_resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/resource/fault.h"

#define MOST 2048u
#define LENGTH 16u
#define PATIENCE_NS UINT64_C(20000000000)

struct place {
	struct vc_request *req;
	uint8_t src[LENGTH], dst[LENGTH];
	unsigned int answers;
};

struct test {
	struct fake *fake;
	struct resource *resource;
	struct resource_instance *instance;
	struct fault_settings settings;
	struct vc_request *reqs;
	struct place place[MOST + 1];
	unsigned int submitted;
};

/* Setup and teardown of a test: *state is a struct test. */
int fault_setup(void **state);
int fault_teardown(void **state);
#define fault_test(t) cmocka_unit_test_setup_teardown(t, fault_setup, fault_teardown)

/* One more setting, as vcryptoctl takes it. */
void fault_on(struct test *t, const char *key, const char *value);
void fault_clear(struct test *t);
struct fault_counters fault_counters_of(struct test *t);

/* The next n; returns how many of them were taken. */
unsigned int test_submit(struct test *t, unsigned int n);
/* Poll once; how many came. No request may come twice. */
unsigned int test_take(struct test *t, bool flush);
/* Until nothing is in flight. */
void test_take_all(struct test *t);
struct place *fault_place(struct test *t, const struct vc_request *req);

/* Request i came back, and was done as the fake does it. */
void assert_done(struct test *t, unsigned int i);
/* Nothing was done to it. */
void assert_untouched(struct test *t, unsigned int i);
/* It came back with the resource's fault, and nothing was done to it. */
void assert_undone(struct test *t, unsigned int i);

#endif
