/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool as host.yaml describes it: resources that wrap others, groups' shares of resources; and
 * for each mistake in these the sentence that a person gets.
 */
#include "config_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/pool.h"
#include "host/resource/fault.h"

#define RESOURCES                                                                                  \
	"resources:\n"                                                                             \
	"  - {name: mb, type: ipsec-mb}\n"                                                         \
	"  - {name: sw, type: libcrypto, threads: 4}\n"
#define SHARE(n) "share: [{resource: sw, threads: " #n "}]"

struct made {
	struct host_config *config;
	struct pool *pool;
};

static struct made make(const char *text)
{
	struct made made = {.config = load_good(text)};
	char *error = NULL;

	if (pool_create(made.config, &made.pool, &error))
		fail_msg("%s", error);
	return made;
}

static void made_free(struct made *made)
{
	pool_destroy(made->pool);
	host_config_free(made->config);
}

static const struct resource *find(const struct made *made, const char *name)
{
	for (unsigned int i = 0; i < made->pool->resource_count; i++) {
		assert_int_equal(made->pool->resource[i]->index, i);
		if (!strcmp(made->pool->resource[i]->name, name))
			return made->pool->resource[i];
	}
	return NULL;
}

static void parts_are_threads(void **state)
{
	struct made made = make(RESOURCES);

	assert_int_equal(find(&made, "sw")->parts, 4);
	assert_string_equal(find(&made, "sw")->ops->parts, "threads");
	assert_null(find(&made, "mb")->ops->parts);
	made_free(&made);
}

static void a_share_is_a_resource_of_its_own(void **state)
{
	struct made made = make(
		RESOURCES
		"groups:\n"
		"  - {name: default, primary: [mb], secondary: [sw]}\n"
		"  - {name: gold, primary: [sw, mb], " SHARE(
			1) "}\n"
			   "  - {name: silver, primary: [mb], secondary: [sw], " SHARE(2) "}\n");
	struct group *const *group = made.pool->group;

	assert_int_equal(made.pool->resource_count, 4);
	assert_int_equal(find(&made, "sw")->parts, 1);
	assert_int_equal(find(&made, "sw/gold")->parts, 1);
	assert_int_equal(find(&made, "sw/silver")->parts, 2);
	assert_ptr_equal(group[0]->resource[1], find(&made, "sw"));
	assert_ptr_equal(group[1]->resource[0], find(&made, "sw/gold"));
	assert_ptr_equal(group[1]->resource[1], find(&made, "mb"));
	assert_int_equal(group[1]->primary, 2);
	assert_ptr_equal(group[2]->resource[1], find(&made, "sw/silver"));
	assert_int_equal(group[2]->primary, 1);
	made_free(&made);
}

static void what_is_pinned_goes_to_the_share(void **state)
{
	struct made made =
		make(RESOURCES "groups:\n"
	                       "  - {name: gold, primary: [mb], secondary: [sw], " SHARE(
				       1) ",\n"
	                                  "     pins: [{algorithm: rsa, resource: sw}]}\n"
	                                  "  - {name: rest, primary: [sw]}\n");
	struct group *const *group = made.pool->group;

	assert_int_equal(group[0]->pins, 1);
	assert_ptr_equal(group[0]->resource[group[0]->pin[0].at], find(&made, "sw/gold"));
	made_free(&made);
}

static void shares_may_be_all_there_is(void **state)
{
	struct made made =
		make(RESOURCES "groups:\n"
	                       "  - {name: gold, primary: [sw], " SHARE(
				       3) "}\n"
	                                  "  - {name: silver, primary: [sw], " SHARE(
						  1) "}\n"
	                                             "  - {name: rest, primary: [mb]}\n");

	assert_int_equal(made.pool->resource_count, 3);
	assert_null(find(&made, "sw"));
	assert_int_equal(find(&made, "sw/gold")->parts, 3);
	assert_int_equal(find(&made, "sw/silver")->parts, 1);
	made_free(&made);
}

static void the_longest_names_fit(void **state)
{
#define LONG "a234567890123456789012345678901"
	struct made made = make("resources:\n"
	                        "  - {name: " LONG ", type: libcrypto, threads: 2}\n"
	                        "groups:\n"
	                        "  - {name: " LONG ", primary: [" LONG "],\n"
	                        "     share: [{resource: " LONG ", threads: 1}]}\n");

	assert_non_null(find(&made, LONG "/" LONG));
	assert_ptr_equal(made.pool->group[0]->resource[0], find(&made, LONG "/" LONG));
	made_free(&made);
}

#define GROUP(rest) RESOURCES "groups:\n  - name: gold\n    primary: [mb, sw]\n" rest

static void refuses_bad_shares(void **state)
{
	assert_bad(GROUP("    share: [{resource: sw, threads: 5}]\n"), 7,
	           "a share of 5 threads of \"sw\", which has 4, of which 0 are shares already");
	assert_bad(GROUP("    share: [{resource: sw, threads: 0}]\n"), 7, "a share of 0 threads");
	assert_bad(GROUP("    share: [{resource: mb, threads: 1}]\n"), 7,
	           "no shares of \"mb\": the type ipsec-mb has no threads");
	assert_bad(GROUP("    share: [{resource: qat, threads: 1}]\n"), 7, "no resource \"qat\"");
	assert_bad(GROUP("    share:\n"
	                 "      - {resource: sw, threads: 1}\n"
	                 "      - {resource: sw, threads: 1}\n"),
	           9, "two shares of \"sw\"");
	assert_bad(GROUP("    share: []\n"), 7, "share: the list must not be empty");
	assert_bad(GROUP("    share: [{resource: sw}]\n"), 7, "threads");
	assert_bad(RESOURCES "groups:\n"
	                     "  - name: gold\n"
	                     "    primary: [mb]\n"
	                     "    share: [{resource: sw, threads: 1}]\n",
	           7, "\"sw\", which is not in its lists");
}

static void refuses_more_shares_than_there_is(void **state)
{
	assert_bad(RESOURCES "groups:\n"
	                     "  - {name: gold, primary: [sw], " SHARE(
				     3) "}\n"
	                                "  - {name: silver, primary: [sw], " SHARE(2) "}\n",
	           6, "a share of 2 threads of \"sw\", which has 4, of which 3 are shares already");
	assert_bad("resources:\n"
	           "  - {name: sw, type: libcrypto}\n"
	           "groups:\n"
	           "  - {name: gold, primary: [sw], " SHARE(2) "}\n",
	           4, "which has 1, of which 0");
}

static void refuses_to_leave_nothing(void **state)
{
	assert_bad(RESOURCES "groups:\n"
	                     "  - {name: gold, primary: [sw], " SHARE(
				     4) "}\n"
	                                "  - {name: rest, primary: [mb], secondary: [sw]}\n",
	           6, "group \"rest\": nothing is left of \"sw\"");
	assert_bad(RESOURCES "  - {name: flaky, type: fault, of: sw}\n"
	                     "groups:\n"
	                     "  - {name: gold, primary: [sw], " SHARE(
				     4) "}\n"
	                                "  - {name: rest, primary: [flaky]}\n",
	           4, "resource \"flaky\": nothing is left of \"sw\"");
}

static void refuses_more_resources_than_it_can_have(void **state)
{
	char text[4096] = "resources:\n  - {name: sw, type: libcrypto, threads: 32}\ngroups:\n";

	for (unsigned int i = 0; i < HOST_MAX_RESOURCES; i++)
		sprintf(text + strlen(text),
		        "  - {name: g%u, primary: [sw], share: [{resource: sw, threads: 1}]}\n", i);
	assert_bad(text, 3 + HOST_MAX_RESOURCES, "resources and shares are more than 16");
}

static void a_fault_wraps_what_stands_before_it(void **state)
{
	struct made made =
		make(RESOURCES "  - {name: f1, type: fault, of: mb}\n"
	                       "  - {name: f2, type: fault, of: sw,\n"
	                       "     faults: {delay: fixed:10, error-rate: 0.5, hang: true}}\n");
	struct fault_settings settings;

	assert_true(fault_is(find(&made, "f1")));
	assert_ptr_equal(fault_inner(find(&made, "f1")), find(&made, "mb"));
	fault_get(find(&made, "f1"), &settings);
	assert_memory_equal(&settings, &fault_settings_none, sizeof(settings));
	assert_ptr_equal(fault_inner(find(&made, "f2")), find(&made, "sw"));
	fault_get(find(&made, "f2"), &settings);
	assert_int_equal(settings.delay, FAULT_DELAY_FIXED);
	assert_int_equal(settings.delay_us[0], 10);
	assert_true(settings.error_rate == 0.5);
	assert_true(settings.hang);
	assert_false(settings.dead);
	assert_false(fault_is(find(&made, "mb")));
	made_free(&made);
}

static void every_fault_can_stand_in_the_file(void **state)
{
	static const char *const values[FAULT_KEYS] = {"fixed:1", "0.5", "yes", "yes", "3",
	                                               "yes",     "yes", "4",   "5",   "6"};
	char text[512];

	for (unsigned int i = 0; i < FAULT_KEYS; i++) {
		struct fault_settings settings, expected = fault_settings_none;
		char *error = NULL;
		struct made made;

		snprintf(text, sizeof(text),
		         RESOURCES "  - {name: f, type: fault, of: mb, faults: {%s: %s}}\n",
		         fault_keys[i], values[i]);
		made = make(text);
		fault_get(find(&made, "f"), &settings);
		assert_int_equal(fault_settings_set(&expected, fault_keys[i], values[i], &error),
		                 0);
		assert_memory_equal(&settings, &expected, sizeof(settings));
		made_free(&made);
	}
}

static void refuses_bad_faults(void **state)
{
	assert_bad(RESOURCES "  - {name: f, type: fault}\n", 4, "\"of\" is missing");
	assert_bad(RESOURCES "  - {name: f, type: fault, of: qat}\n", 4,
	           "no resource \"qat\" stands before it");
	assert_bad(RESOURCES "  - {name: f, type: fault, of: f}\n", 4,
	           "no resource \"f\" stands before it");
	assert_bad("resources:\n"
	           "  - {name: f, type: fault, of: mb}\n"
	           "  - {name: mb, type: ipsec-mb}\n",
	           2, "no resource \"mb\" stands before it");
	assert_bad(RESOURCES "  - {name: f, type: fault, of: mb}\n"
	                     "  - {name: g, type: fault, of: f}\n",
	           5, "\"f\" is a fault itself");
	assert_bad(RESOURCES "  - {name: x, type: libcrypto, of: mb}\n", 4,
	           "only the type fault has \"of\"");
	assert_bad(RESOURCES "  - {name: x, type: libcrypto, faults: {hang: yes}}\n", 4,
	           "only the type fault has \"faults\"");
	assert_bad(RESOURCES "  - {name: f, type: fault, of: mb, threads: 2}\n", 4,
	           "the type fault has no \"threads\"");
	assert_bad(RESOURCES "  - name: f\n"
	                     "    type: fault\n"
	                     "    of: mb\n"
	                     "    faults:\n"
	                     "      hang: yes\n"
	                     "      delay: slow\n",
	           9, "resource \"f\": delay is \"slow\"; it must be none, fixed:US");
	assert_bad(RESOURCES "  - {name: f, type: fault, of: mb, faults: {bad-rate: 1}}\n", 4,
	           "bad-rate");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_threads),
		cmocka_unit_test(a_share_is_a_resource_of_its_own),
		cmocka_unit_test(what_is_pinned_goes_to_the_share),
		cmocka_unit_test(shares_may_be_all_there_is),
		cmocka_unit_test(the_longest_names_fit),
		cmocka_unit_test(refuses_bad_shares),
		cmocka_unit_test(refuses_more_shares_than_there_is),
		cmocka_unit_test(refuses_to_leave_nothing),
		cmocka_unit_test(refuses_more_resources_than_it_can_have),
		cmocka_unit_test(a_fault_wraps_what_stands_before_it),
		cmocka_unit_test(every_fault_can_stand_in_the_file),
		cmocka_unit_test(refuses_bad_faults),
	};

	return cmocka_run_group_tests_name("pool", tests, config_setup, config_teardown);
}
