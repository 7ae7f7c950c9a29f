/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secmem: zeroed, wiped, locked, not dumped; SipHash gives its known answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secmem.h"

#define PIECES 500

static bool all_zero(const uint8_t *p, size_t size)
{
	while (size--) {
		if (*p++)
			return false;
	}
	return true;
}

static void test_pieces_are_zeroed_aligned_and_apart(void **state)
{
	uint8_t *pieces[PIECES];
	size_t sizes[PIECES];

	for (int pass = 0; pass < 3; pass++) {
		for (size_t i = 0; i < PIECES; i++) {
			sizes[i] = (i * 37 + (size_t)pass) % 5000;
			pieces[i] = secmem_alloc(sizes[i]);
			assert_non_null(pieces[i]);
			assert_int_equal((uintptr_t)pieces[i] % 64, 0);
			assert_true(all_zero(pieces[i], sizes[i]));
			memset(pieces[i], (int)(i % 255 + 1), sizes[i]);
		}
		for (size_t i = 0; i < PIECES; i++) {
			for (size_t at = 0; at < sizes[i]; at++)
				assert_int_equal(pieces[i][at], i % 255 + 1);
		}
		/* In another order than that of allocation. */
		for (size_t i = 0; i < PIECES; i++)
			secmem_free(pieces[i * 7 % PIECES]);
	}
	secmem_free(NULL);
	assert_null(secmem_alloc(SIZE_MAX));
	assert_null(secmem_alloc(SIZE_MAX / 2 - 4096));
}

static void test_freed_piece_is_wiped(void **state)
{
	/* The neighbour keeps the block, so that the freed piece can still be looked at. */
	uint8_t *neighbour = secmem_alloc(128);
	uint8_t *key = secmem_alloc(128);

	memset(key, 0xaa, 128);
	secmem_free(key);
	/* All but the link of the free list in front. */
	assert_true(all_zero(key + sizeof(void *), 128 - sizeof(void *)));
	secmem_free(neighbour);
}

/* The line of a mapping's smaps that starts with name. */
static void smaps_line(const void *address, const char *name, char *line, size_t size)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	bool inside = false;
	unsigned long from;
	unsigned long to;

	assert_non_null(file);
	while (fgets(line, (int)size, file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)address >= from && (uintptr_t)address < to;
		else if (inside && strncmp(line, name, strlen(name)) == 0)
			break;
	}
	fclose(file);
	assert_true(inside);
}

static void assert_protected(const void *memory)
{
	struct rlimit limit;
	char line[256];

	smaps_line(memory, "VmFlags:", line, sizeof(line));
	assert_non_null(strstr(line, " dd")); /* not dumped */
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= 1 << 20)
		assert_non_null(strstr(line, " lo")); /* locked */
}

static void test_memory_is_locked_and_not_dumped(void **state)
{
	void *small = secmem_alloc(32);
	void *big = secmem_alloc(100000);

	assert_protected(small);
	assert_protected(big);
	secmem_free(small);
	secmem_free(big);
}

static void test_forked_child_has_the_key_and_locks_it(void **state)
{
	char *key = secmem_alloc(32);
	int status;
	pid_t pid;

	memcpy(key, "secret", sizeof("secret"));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (strcmp(key, "secret") != 0)
			_exit(1);
		assert_protected(key);
		secmem_free(key);
		_exit(secmem_alloc(32) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(key, "secret");
	secmem_free(key);
}

/* In a process that may lock nothing: keys still work, and the log says it once. */
static int child_without_locks(int log_end)
{
	static const struct rlimit none = {0, 0};

	dup2(log_end, STDERR_FILENO);
	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0)
		return 1;
	if (geteuid() == 0 && setuid(65534) != 0)
		return 2;
	for (int i = 0; i < 20; i++) {
		if (!secmem_alloc(5000))
			return 3;
	}
	return 0;
}

static void test_memory_that_cannot_be_locked_is_said_once(void **state)
{
	char text[4096];
	int status;
	int ends[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(child_without_locks(ends[1]));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	assert_int_equal(status, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "keys may be swapped out"));
	assert_ptr_equal(strchr(text, '\n'), text + n - 1); /* one line */
}

static void *churn(void *argument)
{
	unsigned int seed = (unsigned int)(uintptr_t)argument;
	uint8_t *held[32] = {NULL};

	for (int i = 0; i < 20000; i++) {
		unsigned int at = (unsigned int)rand_r(&seed) % 32;
		size_t size = (size_t)rand_r(&seed) % 3000 + 1;

		if (held[at]) {
			if (held[at][0] != at + 1)
				return (void *)1; /* overwritten */
			secmem_free(held[at]);
		}
		held[at] = secmem_alloc(size);
		if (!held[at] || held[at][size - 1])
			return (void *)2; /* not zeroed */
		held[at][0] = (uint8_t)(at + 1);
	}
	for (int i = 0; i < 32; i++)
		secmem_free(held[i]);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];

	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++) {
		void *failure;

		pthread_join(threads[i], &failure);
		assert_ptr_equal(failure, NULL);
	}
}

static void test_equal(void **state)
{
	assert_true(secmem_equal("abc", "abd", 2));
	assert_false(secmem_equal("abc", "abd", 3));
	assert_true(secmem_equal(NULL, NULL, 0));
}

static void test_siphash_known_answers(void **state)
{
	/* vectors_sip64 of the reference implementation: key 00..0f, data 00..n-1 */
	static const struct {
		size_t size;
		uint64_t hash;
	} vectors[] = {
		{0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},
		{3, 0x85676696d7fb7e2d},  {4, 0xcf2794e0277187b7},  {5, 0x18765564cd99a68d},
		{6, 0xcbc9466e58fee3ce},  {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},
		{9, 0x9e0082df0ba9e4b0},  {10, 0x7a5dbbc594ddb9f3}, {11, 0xf4b32f46226bada7},
		{12, 0x751e8fbc860ee5fb}, {13, 0x14ea5627c0843d90}, {14, 0xf723ca908e7af2ee},
		{15, 0xa129ca6149be45e5}, {63, 0x958a324ceb064572},
	};
	uint8_t bytes[64];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_true(siphash24(bytes, bytes, vectors[i].size) == vectors[i].hash);
}

static void test_keyed_hash(void **state)
{
	static const uint8_t zero_key[16];

	assert_true(keyed_hash("key", 3) == keyed_hash("key", 3));
	assert_true(keyed_hash("key", 3) != keyed_hash("kez", 3));
	assert_true(keyed_hash("key", 3) != siphash24(zero_key, "key", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_are_zeroed_aligned_and_apart),
		cmocka_unit_test(test_freed_piece_is_wiped),
		cmocka_unit_test(test_memory_is_locked_and_not_dumped),
		cmocka_unit_test(test_forked_child_has_the_key_and_locks_it),
		cmocka_unit_test(test_memory_that_cannot_be_locked_is_said_once),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_siphash_known_answers),
		cmocka_unit_test(test_keyed_hash),
	};

	return cmocka_run_group_tests_name("secmem", tests, NULL, NULL);
}
