/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of a resource: capability, order, refusal, fail-over.
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

struct pool {
	struct fake *fake[3];
	struct resource_instance *instance[HOST_MAX_RESOURCES];
	struct waiting_list *waiting[HOST_MAX_RESOURCES];
	struct group group;
	struct session session;
	struct session_local local;
	struct vc_request req;
	struct sched sched;
};

/* The group's order is not that of the indices: 2 first, then 0, and 1 as secondary. */
static int setup(void **state)
{
	static const unsigned int order[] = {2, 0, 1};
	struct pool *p = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*p), VC_CACHE_LINE));

	assert_non_null(p);
	memset(p, 0, sizeof(*p));
	for (unsigned int i = 0; i < 3; i++) {
		p->fake[i] = fake_new("fake", i);
		assert_int_equal(p->fake[i]->base.ops->open(&p->fake[i]->base, 0, &p->instance[i]),
		                 0);
		p->waiting[i] = calloc(1, sizeof(struct waiting_list));
		assert_non_null(p->waiting[i]);
	}
	for (unsigned int i = 0; i < 3; i++)
		p->group.resource[i] = &p->fake[order[i]]->base;
	p->group.primary = 2;
	p->group.count = 3;
	p->req.session = &p->session;
	p->req.local = &p->local;
	sched_init(&p->sched, p->instance, p->waiting);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pool *p = *state;

	for (unsigned int i = 0; i < 3; i++) {
		free(p->local.handle[i]);
		p->fake[i]->base.ops->close(p->instance[i]);
		fake_free(p->fake[i]);
		free(p->waiting[i]);
	}
	free(p);
	return 0;
}

static int pick(struct pool *p, uint32_t tried)
{
	return sched_pick(&p->sched, &p->group, &p->req, tried);
}

static void the_first_that_can_is_taken(void **state)
{
	struct pool *p = *state;

	atomic_store(&p->fake[2]->can, false);
	assert_int_equal(pick(p, 0), 0);
	assert_int_equal(atomic_load(&p->fake[0]->realised), 1);
	assert_int_equal(atomic_load(&p->fake[1]->realised), 0);
	assert_int_equal(atomic_load(&p->fake[2]->realised), 0);
}

static void the_choice_is_kept(void **state)
{
	struct pool *p = *state;

	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(pick(p, 0), 2);
	assert_int_equal(atomic_load(&p->fake[2]->realised), 1);
	/* Without asking anybody. */
	atomic_store(&p->fake[2]->can, false);
	p->group.count = 0;
	assert_int_equal(pick(p, 0), 2);
}

static void who_refuses_the_session_is_not_asked_again(void **state)
{
	struct pool *p = *state;

	atomic_store(&p->fake[2]->realise_error, -EKEYREJECTED);
	assert_int_equal(pick(p, 0), 0);
	atomic_store(&p->fake[2]->realise_error, 0);
	assert_int_equal(pick(p, 1u << 0), 1);
	assert_int_equal(atomic_load(&p->fake[2]->realised), 0);
}

static void who_has_no_memory_may_be_asked_again(void **state)
{
	struct pool *p = *state;

	for (unsigned int i = 0; i < 3; i++)
		atomic_store(&p->fake[i]->realise_error, -ENOMEM);
	assert_int_equal(pick(p, 0), -ENOTSUP);
	atomic_store(&p->fake[2]->realise_error, 0);
	assert_int_equal(pick(p, 0), 2);
}

static void what_one_request_tried_is_passed_over_for_it_alone(void **state)
{
	struct pool *p = *state;

	assert_int_equal(pick(p, 0), 2);
	assert_int_equal(pick(p, 1u << 2), 0);
	assert_int_equal(pick(p, 1u << 2 | 1u << 0), 1);
	assert_int_equal(pick(p, 7), -ENOTSUP);
	assert_int_equal(pick(p, 0), 2);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(atomic_load(&p->fake[i]->realised), 1);
}

static void a_resource_without_instance_is_passed_over(void **state)
{
	struct pool *p = *state;
	struct resource_instance *instance = p->instance[2];

	p->instance[2] = NULL;
	assert_int_equal(pick(p, 0), 0);
	p->instance[2] = instance;
}

static void the_choice_is_made_anew_when_something_changed(void **state)
{
	struct pool *p = *state;

	assert_int_equal(pick(p, 0), 2);
	p->sched.avoid = 1u << 2;
	assert_int_equal(pick(p, 0), 2);
	sched_changed(&p->sched);
	assert_int_equal(pick(p, 0), 0);
	p->sched.avoid = 0;
	sched_changed(&p->sched);
	assert_int_equal(pick(p, 0), 2);
}

static void the_secondary_comes_before_a_primary_to_be_avoided(void **state)
{
	struct pool *p = *state;

	p->sched.avoid = 1u << 2 | 1u << 0;
	assert_int_equal(pick(p, 0), 1);
	assert_int_equal(pick(p, 1u << 1), 2);
	assert_int_equal(pick(p, 1u << 1 | 1u << 2), 0);
}

static void who_is_to_be_avoided_does_what_nobody_else_can(void **state)
{
	struct pool *p = *state;

	p->sched.avoid = 1u << 0;
	atomic_store(&p->fake[1]->can, false);
	atomic_store(&p->fake[2]->can, false);
	assert_int_equal(pick(p, 0), 0);
}

static void a_resource_is_asked_once_what_it_can(void **state)
{
	struct pool *p = *state;

	assert_int_equal(pick(p, 0), 2);
	for (unsigned int i = 0; i < 3; i++)
		atomic_store(&p->fake[i]->can, false);
	sched_changed(&p->sched);
	assert_int_equal(pick(p, 0), 2);
	assert_int_equal(pick(p, 1u << 2), 0);
}

static void a_group_offers_the_union(void **state)
{
	struct pool *p = *state;
	struct virtio_crypto_config config = {0};
	struct session_params params = {0};

	group_offer(&p->group, &config);
	assert_int_equal(config.crypto_services, 7);
	assert_int_equal(config.max_cipher_key_len, 2);
	assert_true(group_can(&p->group, &params));
	atomic_store(&p->fake[0]->can, false);
	atomic_store(&p->fake[2]->can, false);
	assert_true(group_can(&p->group, &params));
	atomic_store(&p->fake[1]->can, false);
	assert_false(group_can(&p->group, &params));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_that_can_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(the_choice_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(who_refuses_the_session_is_not_asked_again, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(who_has_no_memory_may_be_asked_again, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(what_one_request_tried_is_passed_over_for_it_alone,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(a_resource_without_instance_is_passed_over, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(the_choice_is_made_anew_when_something_changed,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(the_secondary_comes_before_a_primary_to_be_avoided,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_to_be_avoided_does_what_nobody_else_can,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(a_resource_is_asked_once_what_it_can, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_group_offers_the_union, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
