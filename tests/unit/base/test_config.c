/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: what is wrong with a file is said with its line and its name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"

struct resource {
	char *name;
	int type;
	uint16_t threads;
};

struct settings {
	int *workers;
	unsigned int nworkers;
	struct resource *resources;
	unsigned int nresources;
	int8_t offset;
	bool strict;
};

static const cyaml_strval_t types[] = {{"ipsec-mb", 0}, {"libcrypto", 1}};

static const cyaml_schema_field_t resource_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct resource, name, 1, 8),
	CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct resource, type, types, 2),
	CYAML_FIELD_UINT("threads", CYAML_FLAG_OPTIONAL, struct resource, threads),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t resource_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct resource, resource_fields),
};
static const cyaml_schema_value_t worker_schema = {
	CYAML_VALUE_INT(CYAML_FLAG_DEFAULT, int),
};
static const cyaml_schema_field_t fields[] = {
	CYAML_FIELD_SEQUENCE_COUNT("workers", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                                   struct settings, workers, nworkers, &worker_schema, 1, 3),
	CYAML_FIELD_SEQUENCE_COUNT("resources", CYAML_FLAG_POINTER, struct settings, resources,
                                   nresources, &resource_schema, 1, CYAML_UNLIMITED),
	CYAML_FIELD_INT("offset", CYAML_FLAG_OPTIONAL, struct settings, offset),
	CYAML_FIELD_BOOL("strict", CYAML_FLAG_OPTIONAL, struct settings, strict),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings, fields),
};

static const char good[] = "# a comment\n"
			   "workers: [1, 2]\n"
			   "resources:\n"
			   "  - {name: mb, type: ipsec-mb}\n"
			   "  - name: sw\n"
			   "    type: libcrypto\n"
			   "    threads: 2\n"
			   "offset: -128\n"
			   "strict: yes\n";

static void test_good_file_is_loaded(void **state)
{
	struct settings *settings;
	char *error;

	assert_int_equal(
		config_load_text("a.yaml", good, strlen(good), &schema, (void **)&settings, &error),
		0);
	assert_null(error);
	assert_int_equal(settings->nworkers, 2);
	assert_int_equal(settings->workers[1], 2);
	assert_int_equal(settings->nresources, 2);
	assert_string_equal(settings->resources[0].name, "mb");
	assert_int_equal(settings->resources[1].type, 1);
	assert_int_equal(settings->resources[1].threads, 2);
	assert_int_equal(settings->offset, -128);
	assert_true(settings->strict);
	config_free(&schema, settings);
}

static const struct {
	const char *text;
	const char *error;
} bad[] = {
	{"", "a.yaml:1: the file is empty"},
	{"# nothing but this\n", "a.yaml:1: the file is empty"},
	{"---\n", "a.yaml:2: expected keys and values, found nothing"},
	{"- a\n", "a.yaml:1: expected keys and values, found a list"},
	{"hello\n", "a.yaml:1: expected keys and values, found \"hello\""},
	{"workers: [1]\n", "a.yaml:1: key \"resources\" is missing"},
	{"resources:\n  - {name: a, type: ipsec-mb}\n\ncolour: red\n",
         "a.yaml:4: unknown key \"colour\"; there are workers, resources, offset, strict"},
	{"resources:\n  - name: a\n    type: ipsec-mb\n    size: 1\n",
         "a.yaml:4: resources[0]: unknown key \"size\"; there are name, type, threads"},
	{"resources:\n  - {name: a, type: ipsec-mb}\n  - name: b\n",
         "a.yaml:3: resources[1]: key \"type\" is missing"},
	{"resources:\n  - name: a\n    type: qat\n",
         "a.yaml:3: resources[0].type: \"qat\" is not one of ipsec-mb, libcrypto"},
	{"resources:\n  - name: a\n    type: 1\n",
         "a.yaml:3: resources[0].type: \"1\" is not one of ipsec-mb, libcrypto"},
	{"resources:\n  - mb\n", "a.yaml:2: resources[0]: expected keys and values, found \"mb\""},
	{"resources:\n", "a.yaml:1: resources: expected a list, found nothing"},
	{"resources: []\n", "a.yaml:1: resources: the list must not be empty"},
	{"resources: {a: b}\n", "a.yaml:1: resources: expected a list, found keys and values"},
	{"workers: 1\n", "a.yaml:1: workers: expected a list, found \"1\""},
	{"workers: [1,\n  one]\n", "a.yaml:2: workers[1]: expected a whole number, found \"one\""},
	{"workers: [1.5]\n", "a.yaml:1: workers[0]: expected a whole number, found \"1.5\""},
	{"workers: [-]\n", "a.yaml:1: workers[0]: expected a whole number, found \"-\""},
	{"workers: [[1]]\n", "a.yaml:1: workers[0]: expected a whole number, found a list"},
	{"workers: [1, 2, 3, 4]\n",
         "a.yaml:1: workers: the list has 4 entries, at most 3 are allowed"},
	{"workers: [2147483648]\n",
         "a.yaml:1: workers[0]: 2147483648 is not within -2147483648 to 2147483647"},
	{"offset: -129\n", "a.yaml:1: offset: -129 is not within -128 to 127"},
	{"resources:\n  - {name: a, type: ipsec-mb, threads: -1}\n",
         "a.yaml:2: resources[0].threads: -1 is negative"},
	{"resources:\n  - {name: a, type: ipsec-mb, threads: 65536}\n",
         "a.yaml:2: resources[0].threads: 65536 is not within 0 to 65535"},
	{"strict: maybe\n", "a.yaml:1: strict: expected true or false, found \"maybe\""},
	{"resources:\n  - {name: , type: ipsec-mb}\n",
         "a.yaml:2: resources[0].name: must not be empty"},
	{"resources:\n  - {name: 123456789, type: ipsec-mb}\n",
         "a.yaml:2: resources[0].name: \"123456789\" is longer than 8 characters"},
	{"resources:\n  - {name: [a], type: ipsec-mb}\n",
         "a.yaml:2: resources[0].name: expected text, found a list"},
	{"resources:\n  - {name: \"a\\0b\", type: ipsec-mb}\n",
         "a.yaml:2: resources[0].name: the text contains a zero byte"},
	{"strict: yes\noffset: 1\nstrict: no\n",
         "a.yaml:3: key \"strict\" is there twice, first in line 1"},
	{"resources:\n\t- {name: a}\n",
         "a.yaml:2: not YAML: found character that cannot start any token while scanning for the "
         "next token"},
	{"resources:\n  - {name: a, type: ipsec-mb\n",
         "a.yaml:3: not YAML: did not find expected ',' or '}' while parsing a flow mapping"},
	{"strict: \"yes\n",
         "a.yaml:2: not YAML: found unexpected end of stream while scanning a quoted scalar"},
	{"workers: *other\n", "a.yaml:1: not YAML: found undefined alias"},
	{"\xff\xfe\x01", "a.yaml:1: not YAML: incomplete UTF-16 character"},
	{"resources:\n  - {name: a, type: ipsec-mb}\n---\nstrict: no\n",
         "a.yaml:4: a second document (after \"---\") is one too many"},
};

static void test_bad_files_are_explained(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		void *data = &data;
		char *error = NULL;

		assert_int_equal(config_load_text("a.yaml", bad[i].text, strlen(bad[i].text),
		                                  &schema, &data, &error),
		                 -EINVAL);
		assert_null(data);
		assert_non_null(error);
		assert_string_equal(error, bad[i].error);
		free(error);
	}
}

static void test_cut_files_are_refused_or_loaded(void **state)
{
	/* Whatever the place of the cut: no crash, and data or error, never both. */
	for (size_t length = 0; length < strlen(good); length++) {
		void *data;
		char *error;
		int err = config_load_text("a.yaml", good, length, &schema, &data, &error);

		assert_true((err == 0) == (data != NULL) && (err == 0) == (error == NULL));
		config_free(&schema, data);
		free(error);
	}
}

static void test_file_that_cannot_be_read(void **state)
{
	void *data;
	char *error;

	assert_int_equal(config_load("/nonexistent/a.yaml", &schema, &data, &error), -ENOENT);
	assert_string_equal(error,
	                    "/nonexistent/a.yaml: cannot read it: No such file or directory");
	free(error);
	assert_int_equal(config_load("/", &schema, &data, &error), -EISDIR);
	free(error);
	config_free(&schema, NULL);
}

static void test_file_and_lines_of_items(void **state)
{
	char path[] = "/tmp/vcrypto-config-XXXXXX";
	int fd = mkstemp(path);
	void *data;
	char *error;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, good, strlen(good)), strlen(good));
	close(fd);
	assert_int_equal(config_load(path, &schema, &data, &error), 0);
	config_free(&schema, data);
	assert_int_equal(config_line(path, "workers[1]"), 2);
	assert_int_equal(config_line(path, "resources[1]"), 5);
	assert_int_equal(config_line(path, "resources[1].threads"), 7);
	assert_int_equal(config_line(path, "strict"), 9);
	assert_int_equal(config_line(path, "resources[2]"), 0);
	assert_int_equal(config_line(path, "resources[x]"), 0);
	assert_int_equal(config_line(path, "strict.no"), 0);
	assert_int_equal(config_line(path, "nothing"), 0);
	unlink(path);
	assert_int_equal(config_line(path, "strict"), 0);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} sizes[] = {
		{"0", 0},
		{"1000", 1000},
		{"512 B", 512},
		{"10k", 10000},
		{"64 KiB", 65536},
		{"4GiB", 4ull << 30},
		{"2T", 2000000000000},
		{"18446744073709551615", UINT64_MAX},
	};
	static const char *const wrong[] = {
		"",
		"-1",
		" 1",
		"k",
		"1 kib",
		"1e3",
		"1.5GiB",
		"18446744073709551616",
		"16777216TiB",
	};
	uint64_t value;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(config_size_parse(sizes[i].text, &value), 0);
		assert_true(value == sizes[i].value);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(config_size_parse(wrong[i], &value), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_file_is_loaded),
		cmocka_unit_test(test_bad_files_are_explained),
		cmocka_unit_test(test_cut_files_are_refused_or_loaded),
		cmocka_unit_test(test_file_that_cannot_be_read),
		cmocka_unit_test(test_file_and_lines_of_items),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
