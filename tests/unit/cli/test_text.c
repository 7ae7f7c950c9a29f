/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcryptoctl's text: figures read well, columns stand in line, strangers' names are harmless.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"

/* What a function prints, read back from a file in place of standard output. */
static const char *printed(void (*print)(void))
{
	static char text[4096];
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);
	size_t n;

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	print();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static void test_counts(void **state)
{
	char buffer[TEXT_FIGURE];

	assert_string_equal(text_count(0, buffer), "0");
	assert_string_equal(text_count(999, buffer), "999");
	assert_string_equal(text_count(1000, buffer), "1,000");
	assert_string_equal(text_count(1234567, buffer), "1,234,567");
	assert_string_equal(text_count(-123456, buffer), "-123,456");
	assert_string_equal(text_count(INT64_MAX, buffer), "9,223,372,036,854,775,807");
	assert_string_equal(text_count(INT64_MIN, buffer), "-9,223,372,036,854,775,808");
}

static void test_bytes(void **state)
{
	char buffer[TEXT_FIGURE];

	assert_string_equal(text_bytes(0, buffer), "0 B");
	assert_string_equal(text_bytes(1023, buffer), "1023 B");
	assert_string_equal(text_bytes(1536, buffer), "1.5 KiB");
	assert_string_equal(text_bytes(200 << 20, buffer), "200 MiB");
	assert_string_equal(text_bytes(INT64_MAX, buffer), "8.0 EiB");
}

static void test_durations(void **state)
{
	char buffer[TEXT_FIGURE];

	assert_string_equal(text_duration(59, buffer), "59 s");
	assert_string_equal(text_duration(61, buffer), "1 min 1 s");
	assert_string_equal(text_duration(11520, buffer), "3 h 12 min");
	assert_string_equal(text_duration(90000, buffer), "1 d 1 h");
}

static void print_table(void)
{
	static const char *const headings[] = {"name", ">requests", "errors", NULL};
	struct table *table = table_create(2, headings);

	table_text(table, "haproxy");
	table_count(table, 1234567);
	table_text(table, "-");
	table_text(table, "öl");
	table_count(table, 5);
	table_text(table, "full 3");
	table_print(table);
}

static void test_table_columns_stand_in_line(void **state)
{
	assert_string_equal(printed(print_table), "  name      requests  errors\n"
	                                          "  haproxy  1,234,567  -\n"
	                                          "  öl               5  full 3\n");
}

static void print_empty_table(void)
{
	static const char *const headings[] = {"name", NULL};

	table_print(table_create(0, headings));
}

static void test_table_without_rows_is_nothing(void **state)
{
	assert_string_equal(printed(print_empty_table), "");
}

static void print_evil(void)
{
	print_clean("a\x1b[31m\nb\x7f\xc2\x9b"
	            "0m\xc3\xa9");
}

static void test_control_characters_are_replaced(void **state)
{
	assert_string_equal(printed(print_evil), "a?[31m?b???0m\xc3\xa9");
}

static void print_unknown(void)
{
	json_t *value =
		json_pack("{s:i, s:n, s:[{s:s, s:b}, {s:s}], s:{s:[]}}", "device", 3, "error",
	                  "list", "what", "aes", "idle", 1, "what", "rsa", "more", "none");

	assert_non_null(value);
	print_any(value, 2);
	json_decref(value);
}

static void test_any_answer_can_be_shown(void **state)
{
	const char *text = printed(print_unknown);

	assert_non_null(strstr(text, "  device  3\n"));
	assert_non_null(strstr(text, "  error   -\n"));
	assert_non_null(strstr(text, "    aes   yes\n"));
	assert_non_null(strstr(text, "    rsa   -\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_table_columns_stand_in_line),
		cmocka_unit_test(test_table_without_rows_is_nothing),
		cmocka_unit_test(test_control_characters_are_replaced),
		cmocka_unit_test(test_any_answer_can_be_shown),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
