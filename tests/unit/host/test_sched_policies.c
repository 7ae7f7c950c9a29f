/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies and pins: which of those that can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_resource.h"
#include "host/sched/sched.h"

#define FAKES 4
#define SESSIONS 2

struct pool {
	struct fake *fake[FAKES];
	struct resource_instance *instance[HOST_MAX_RESOURCES];
	struct waiting_list *waiting[HOST_MAX_RESOURCES];
	struct group group;
	struct session session[SESSIONS];
	struct session_local local[SESSIONS];
	struct vc_request req;
	struct sched sched;
};

/* Resources 3, 1 and 0 are primary, 2 is secondary: places and indices differ. */
static int setup(void **state)
{
	static const unsigned int order[FAKES] = {3, 1, 0, 2};
	struct pool *p = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*p), VC_CACHE_LINE));

	assert_non_null(p);
	memset(p, 0, sizeof(*p));
	for (unsigned int i = 0; i < FAKES; i++) {
		p->fake[i] = fake_new("fake", i);
		assert_int_equal(p->fake[i]->base.ops->open(&p->fake[i]->base, 0, &p->instance[i]),
		                 0);
		p->waiting[i] = calloc(1, sizeof(struct waiting_list));
		assert_non_null(p->waiting[i]);
	}
	for (unsigned int i = 0; i < FAKES; i++)
		p->group.resource[i] = &p->fake[order[i]]->base;
	p->group.primary = 3;
	p->group.count = FAKES;
	sched_init(&p->sched, p->instance, p->waiting);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pool *p = *state;

	for (unsigned int i = 0; i < FAKES; i++) {
		for (unsigned int s = 0; s < SESSIONS; s++)
			free(p->local[s].handle[i]);
		p->fake[i]->base.ops->close(p->instance[i]);
		fake_free(p->fake[i]);
		free(p->waiting[i]);
	}
	free(p);
	return 0;
}

static int pick(struct pool *p, unsigned int session, uint32_t tried)
{
	p->req.session = &p->session[session];
	p->req.local = &p->local[session];
	return sched_pick(&p->sched, &p->group, &p->req, tried);
}

/* A pick that then waits for the resource. */
static int give(struct pool *p)
{
	int r = pick(p, 0, 0);

	assert_true(r >= 0);
	p->waiting[r]->tail++;
	return r;
}

static void assert_burst(struct pool *p, unsigned int n, int resource)
{
	while (n--)
		assert_int_equal(give(p), resource);
}

/* All that was given is done. */
static void rest(struct pool *p)
{
	for (unsigned int i = 0; i < FAKES; i++) {
		p->waiting[i]->head = p->waiting[i]->tail;
		p->instance[i]->in_flight = 0;
	}
	p->sched.round++;
}

static void round_robin_goes_by_burst_over_the_primaries(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_ROUND_ROBIN;
	for (unsigned int i = 0; i < 5; i++) {
		assert_burst(p, WORKER_BURST, 3);
		assert_burst(p, WORKER_BURST, 1);
		assert_burst(p, WORKER_BURST, 0);
		rest(p);
	}
}

static void round_robin_begins_a_burst_with_each_round(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_ROUND_ROBIN;
	for (unsigned int i = 0; i < 4; i++) {
		static const int turns[] = {3, 1, 0};

		for (unsigned int n = 0; n < 3; n++) {
			assert_burst(p, 1 + 5 * i, turns[n]);
			rest(p);
		}
	}
}

static void round_robin_passes_over_who_is_behind(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_ROUND_ROBIN;
	p->instance[1]->in_flight = 2 * WORKER_BURST;
	assert_burst(p, WORKER_BURST, 3);
	assert_burst(p, WORKER_BURST, 0);
	assert_burst(p, WORKER_BURST, 3);
	p->instance[1]->in_flight = 2 * WORKER_BURST - 1;
	assert_burst(p, WORKER_BURST, 1);
	assert_burst(p, WORKER_BURST, 0);
}

static void round_robin_passes_over_who_is_full(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_ROUND_ROBIN;
	p->sched.full = 1u << 3;
	assert_burst(p, WORKER_BURST, 1);
	assert_burst(p, WORKER_BURST, 0);
	rest(p);
	assert_burst(p, WORKER_BURST, 1);
}

static void round_robin_goes_on_when_all_are_behind(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_ROUND_ROBIN;
	for (unsigned int i = 0; i < FAKES; i++)
		p->instance[i]->in_flight = 1000;
	assert_burst(p, WORKER_BURST, 3);
	assert_burst(p, WORKER_BURST, 1);
	assert_burst(p, WORKER_BURST, 0);
	assert_burst(p, WORKER_BURST, 3);
}

static void round_robin_takes_secondaries_when_no_primary_can(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_ROUND_ROBIN;
	p->sched.avoid = 1u << 3 | 1u << 1;
	assert_burst(p, 2 * WORKER_BURST, 0);
	p->sched.avoid |= 1u << 0;
	sched_changed(&p->sched);
	assert_burst(p, 2 * WORKER_BURST, 2);
}

static void least_inflight_takes_who_has_the_fewest(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_LEAST_INFLIGHT;
	p->instance[3]->in_flight = 10;
	p->instance[1]->in_flight = 7;
	p->instance[0]->in_flight = 8;
	p->instance[2]->in_flight = 0;
	assert_int_equal(give(p), 1); /* 10 8 8 */
	assert_int_equal(give(p), 1); /* 10 9 8 */
	assert_int_equal(give(p), 0); /* 10 9 9 */
	assert_int_equal(give(p), 1);
	assert_int_equal(give(p), 0); /* 10 10 10 */
	assert_int_equal(give(p), 3);
}

static void size_sends_small_ones_to_the_first(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_SIZE;
	p->group.size_threshold = 4096;
	p->req.length = 4095;
	assert_int_equal(pick(p, 0, 0), 3);
	p->req.length = 4096;
	assert_int_equal(pick(p, 0, 0), 1);
	p->req.length = 0;
	assert_int_equal(pick(p, 0, 0), 3);
	p->req.length = 1u << 20;
	assert_int_equal(pick(p, 0, 1u << 1), 0);
}

static void size_sends_any_to_the_one_that_is_left(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_SIZE;
	p->group.size_threshold = 4096;
	atomic_store(&p->fake[3]->can, false);
	p->req.length = 16;
	assert_int_equal(pick(p, 0, 0), 1);
	sched_changed(&p->sched);
	p->sched.avoid = 1u << 1 | 1u << 0;
	p->req.length = 1u << 20;
	assert_int_equal(pick(p, 0, 0), 2);
}

static void failover_stays_with_the_first(void **state)
{
	struct pool *p = *state;

	p->instance[3]->in_flight = 1000;
	p->sched.full = 1u << 3;
	assert_burst(p, 3 * WORKER_BURST, 3);
}

/* Of four policies, each goes where it was refused to the next, and back for other sessions. */
static void every_policy_goes_on_after_a_refusal(void **state)
{
	struct pool *p = *state;

	for (unsigned int policy = 0; policy < SCHED_POLICIES; policy++) {
		uint32_t tried = 0;

		p->group.policy = policy;
		p->group.size_threshold = 100;
		p->req.length = policy;
		sched_changed(&p->sched);
		for (unsigned int n = 0; n < FAKES; n++) {
			int r = pick(p, 0, tried);

			assert_true(r >= 0 && !(tried >> r & 1));
			assert_true(n == 3 ? r == 2 : r != 2);
			tried |= 1u << r;
		}
		assert_int_equal(pick(p, 0, tried), -ENOTSUP);
	}
}

static void who_refuses_a_session_is_left_out_of_the_turns(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_ROUND_ROBIN;
	atomic_store(&p->fake[1]->realise_error, -EKEYREJECTED);
	assert_burst(p, WORKER_BURST, 3);
	assert_burst(p, WORKER_BURST, 0);
	rest(p);
	assert_burst(p, WORKER_BURST, 3);
	assert_burst(p, WORKER_BURST, 0);
	assert_int_equal(atomic_load(&p->fake[1]->realised), 0);
}

static void what_waits_for_a_full_one_goes_to_another_of_its_rank(void **state)
{
	struct pool *p = *state;

	p->group.policy = SCHED_ROUND_ROBIN;
	for (unsigned int i = 0; i < 3; i++)
		assert_burst(p, WORKER_BURST, i == 0 ? 3 : i == 1 ? 1 : 0);
	p->sched.full = 1u << 3;
	assert_int_not_equal(sched_elsewhere(&p->sched, &p->group, &p->req), 3);
	p->sched.full = 1u << 3 | 1u << 1;
	assert_int_equal(sched_elsewhere(&p->sched, &p->group, &p->req), 0);
	p->req.tried = 1u << 0;
	assert_int_equal(sched_elsewhere(&p->sched, &p->group, &p->req), -1);
	p->req.tried = 0;
	p->sched.full = 1u << 3 | 1u << 1 | 1u << 0;
	assert_int_equal(sched_elsewhere(&p->sched, &p->group, &p->req), -1);
}

static void a_policy_that_does_not_spread_waits(void **state)
{
	struct pool *p = *state;

	assert_int_equal(pick(p, 0, 0), 3);
	p->sched.full = 1u << 3;
	assert_int_equal(sched_elsewhere(&p->sched, &p->group, &p->req), -1);
}

static void pin(struct pool *p, const char *algorithm, unsigned int resource)
{
	struct group_pin *pin = &p->group.pin[p->group.pins++];

	strcpy(pin->algorithm, algorithm);
	while (p->group.resource[pin->at]->index != resource)
		pin->at++;
}

static void a_pin_decides_under_every_policy(void **state)
{
	struct pool *p = *state;

	p->session[0].params = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                               .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                               .key_bits = 2048};
	p->session[1].params = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                               .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                                               .key_len = 16};
	pin(p, "ecdsa", 0);
	pin(p, "rsa", 2);
	pin(p, "rsa-2048", 0);
	for (unsigned int policy = 0; policy < SCHED_POLICIES; policy++) {
		p->group.policy = policy;
		sched_changed(&p->sched);
		for (unsigned int i = 0; i < 200; i++) {
			assert_int_equal(pick(p, 0, 0), 2);
			assert_int_not_equal(pick(p, 1, 0), 2);
		}
	}
}

static void what_is_pinned_goes_on_when_its_resource_cannot(void **state)
{
	struct pool *p = *state;

	p->session[0].params = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AEAD,
	                                               .aead = VIRTIO_CRYPTO_AEAD_GCM,
	                                               .key_len = 32};
	pin(p, "aes-gcm", 0);
	assert_int_equal(pick(p, 0, 0), 0);
	assert_int_equal(pick(p, 0, 1u << 0), 3);
	p->sched.avoid = 1u << 0;
	sched_changed(&p->sched);
	assert_int_equal(pick(p, 0, 0), 3);
}

static void pins_mean_names_and_families(void **state)
{
	static const struct {
		const char *pin, *name;
		bool matches;
	} cases[] = {
		{"rsa", "rsa-2048", true},
		{"rsa-2048", "rsa-2048", true},
		{"rsa-2048", "rsa-4096", false},
		{"rs", "rsa-2048", false},
		{"aes-128-cbc", "aes-128-cbc", true},
		{"aes-128-cbc", "aes-256-cbc", false},
		{"aes-cbc", "aes-256-cbc", true},
		{"aes-256", "aes-256-gcm", true},
		{"aes", "aes-128-ctr", true},
		{"cbc", "aes-128-cbc", false},
		{"aes-cbc-128", "aes-128-cbc", false},
		{"aes-128-cbc", "aes-128-cbc+hmac-sha1", false},
		{"aes+hmac", "aes-128-cbc", false},
		{"aes+hmac", "aes-128-cbc+hmac-sha1", true},
		{"aes-cbc+sha256", "aes-128-cbc+hmac-sha256", false},
		{"sha3", "sha3-256", true},
		{"sha", "sha256", false},
		{"ecdsa", "ecdsa-p256", true},
		{"", "aes-128-cbc", false},
	};

	for (unsigned int i = 0; i < vc_array_size(cases); i++)
		if (pin_matches(cases[i].pin, cases[i].name) != cases[i].matches)
			fail_msg("\"%s\" and \"%s\"", cases[i].pin, cases[i].name);
}

static void pins_must_name_something(void **state)
{
	static const char *const known[] = {
		"rsa",         "rsa-8192",    "ecdsa-p256", "aes",       "aes-gcm",
		"aes-192-cbc", "chacha20",    "3des-cbc",   "sha3-512",  "hmac-sha1",
		"cmac-aes",    "aes-256-xts", "aes+hmac",   "3des+sha3", "aes-ctr+cmac-aes",
	};
	static const char *const unknown[] = {"",        "rsa-100",     "rsa-9000", "aes-512-cbc",
	                                      "cipher",  "hash",        "mac",      "aes-gcm+hmac",
	                                      "aes+mac", "ecdsa-p2048", "qat",      "RSA",
	                                      "-",       "aes-",        "+",        "md5"};

	for (unsigned int i = 0; i < vc_array_size(known); i++)
		if (!pin_known(known[i]))
			fail_msg("\"%s\" is not known", known[i]);
	for (unsigned int i = 0; i < vc_array_size(unknown); i++)
		if (pin_known(unknown[i]))
			fail_msg("\"%s\" is known", unknown[i]);
}

#define policy(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy(round_robin_goes_by_burst_over_the_primaries),
		policy(round_robin_begins_a_burst_with_each_round),
		policy(round_robin_passes_over_who_is_behind),
		policy(round_robin_passes_over_who_is_full),
		policy(round_robin_goes_on_when_all_are_behind),
		policy(round_robin_takes_secondaries_when_no_primary_can),
		policy(least_inflight_takes_who_has_the_fewest),
		policy(size_sends_small_ones_to_the_first),
		policy(size_sends_any_to_the_one_that_is_left),
		policy(failover_stays_with_the_first),
		policy(every_policy_goes_on_after_a_refusal),
		policy(who_refuses_a_session_is_left_out_of_the_turns),
		policy(what_waits_for_a_full_one_goes_to_another_of_its_rank),
		policy(a_policy_that_does_not_spread_waits),
		policy(a_pin_decides_under_every_policy),
		policy(what_is_pinned_goes_on_when_its_resource_cannot),
		cmocka_unit_test(pins_mean_names_and_families),
		cmocka_unit_test(pins_must_name_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
