/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host.yaml and vcryptoctl say to a resource of type fault, and its dice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "host/resource/fault_settings.h"

#define DRAWS 100000

static void set(struct fault_settings *settings, const char *key, const char *value)
{
	char *error = NULL;

	if (fault_settings_set(settings, key, value, &error))
		fail_msg("%s", error);
}

static void every_key_says_what_it_was_told(void **state)
{
	static const char *const told[][3] = {
		/* key, value, and what it then says */
		{"delay", "fixed:100", "fixed:100"},
		{"delay", "uniform:5-500", "uniform:5-500"},
		{"delay", "exponential:70", "exponential:70"},
		{"error-rate", "0.25", "0.25"},
		{"error-rate", "1", "1"},
		{"refuse", "true", "yes"},
		{"refuse-sessions", "on", "yes"},
		{"reorder", "16", "16"},
		{"hang", "1", "yes"},
		{"dead", "yes", "yes"},
		{"after", "1000", "1000"},
		{"for-ms", "20", "20"},
		{"seed", "18446744073709551615", "18446744073709551615"},
	};
	struct fault_settings s = fault_settings_none;
	char text[64];

	for (size_t i = 0; i < vc_array_size(told); i++) {
		set(&s, told[i][0], told[i][1]);
		assert_true(fault_settings_get(&s, told[i][0], text, sizeof(text)));
		assert_string_equal(text, told[i][2]);
	}
}

static void what_is_taken_back_is_none(void **state)
{
	struct fault_settings s = fault_settings_none;
	char text[64];

	for (const char *const *key = fault_keys; *key; key++)
		assert_false(fault_settings_get(&s, *key, text, sizeof(text)));
	assert_false(fault_settings_any(&s));
	set(&s, "delay", "uniform:5-500");
	set(&s, "hang", "yes");
	assert_true(fault_settings_any(&s));
	set(&s, "delay", "none");
	assert_true(fault_settings_any(&s));
	set(&s, "hang", "no");
	assert_memory_equal(&s, &fault_settings_none, sizeof(s));
}

static void seed_and_time_alone_do_nothing(void **state)
{
	struct fault_settings s = fault_settings_none;

	set(&s, "seed", "7");
	set(&s, "after", "7");
	set(&s, "for-ms", "7");
	set(&s, "reorder", "1");
	assert_false(fault_settings_any(&s));
}

static void bad_values_are_said_and_change_nothing(void **state)
{
	static const char *const bad[][2] = {
		{"delay", "100"},
		{"delay", "fixed:"},
		{"delay", "fixed:1x"},
		{"delay", "fixed:-1"},
		{"delay", "fixed: 1"},
		{"delay", "uniform:5"},
		{"delay", "uniform:9-5"},
		{"delay", "uniform:1-2-3"},
		{"delay", "fixed:10000001"},
		{"delay", "normal:5"},
		{"delay", "exponential:a"},
		{"delay", ""},
		{"error-rate", "1.01"},
		{"error-rate", "-0.1"},
		{"error-rate", "nan"},
		{"error-rate", "inf"},
		{"error-rate", "0.1x"},
		{"error-rate", ""},
		{"refuse", "maybe"},
		{"refuse", ""},
		{"reorder", "1025"},
		{"reorder", "+1"},
		{"reorder", "many"},
		{"after", "4294967296"},
		{"for-ms", "86400001"},
		{"seed", "-1"},
		{"seed", "0x10"},
		{"seed", "18446744073709551616"},
	};
	struct fault_settings s = fault_settings_none;

	for (size_t i = 0; i < vc_array_size(bad); i++) {
		char *error = NULL;

		if (!fault_settings_set(&s, bad[i][0], bad[i][1], &error))
			fail_msg("%s=%s was taken", bad[i][0], bad[i][1]);
		assert_non_null(strstr(error, bad[i][0]));
		assert_non_null(strstr(error, "it must be"));
		free(error);
		assert_memory_equal(&s, &fault_settings_none, sizeof(s));
	}
}

static void an_unknown_key_is_said(void **state)
{
	struct fault_settings s = fault_settings_none;
	char *error = NULL;

	assert_int_equal(fault_settings_set(&s, "bad-rate", "1", &error), -EINVAL);
	assert_non_null(strstr(error, "\"bad-rate\""));
	free(error);
}

/* Nanoseconds: least, most and mean of many. */
static void draw(const char *delay, uint64_t *least, uint64_t *most, double *mean)
{
	struct fault_settings s = fault_settings_none;
	struct fault_random random;
	double sum = 0;

	set(&s, "delay", delay);
	fault_random_seed(&random, 1, 0);
	*least = UINT64_MAX;
	*most = 0;
	for (unsigned int i = 0; i < DRAWS; i++) {
		uint64_t ns = fault_delay_draw(&s, &random);

		*least = vc_min(*least, ns);
		*most = vc_max(*most, ns);
		sum += (double)ns;
	}
	*mean = sum / DRAWS;
}

static void delays_are_distributed_as_told(void **state)
{
	uint64_t least, most;
	double mean;

	draw("fixed:30", &least, &most, &mean);
	assert_true(least == 30000 && most == 30000);
	draw("uniform:100-300", &least, &most, &mean);
	assert_true(least >= 100000 && least < 101000 && most <= 300000 && most > 299000);
	assert_true(mean > 195000 && mean < 205000);
	draw("exponential:50", &least, &most, &mean);
	assert_true(mean > 48000 && mean < 52000);
	assert_true(least < 100 && most > 300000 && most <= 1000000);
	draw("none", &least, &most, &mean);
	assert_true(most == 0);
}

static void the_dice_are_those_of_seed_and_worker(void **state)
{
	struct fault_random a, b;

	fault_random_seed(&a, 5, 1);
	fault_random_seed(&b, 5, 1);
	for (unsigned int i = 0; i < 100; i++)
		assert_true(fault_random_draw(&a) == fault_random_draw(&b));
	fault_random_seed(&a, 5, 1);
	fault_random_seed(&b, 5, 2);
	assert_true(fault_random_draw(&a) != fault_random_draw(&b));
	fault_random_seed(&a, 6, 1);
	fault_random_seed(&b, 5, 1);
	assert_true(fault_random_draw(&a) != fault_random_draw(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_says_what_it_was_told),
		cmocka_unit_test(what_is_taken_back_is_none),
		cmocka_unit_test(seed_and_time_alone_do_nothing),
		cmocka_unit_test(bad_values_are_said_and_change_nothing),
		cmocka_unit_test(an_unknown_key_is_said),
		cmocka_unit_test(delays_are_distributed_as_told),
		cmocka_unit_test(the_dice_are_those_of_seed_and_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
