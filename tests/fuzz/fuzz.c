/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fuzz.h.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define SEEDS_OPTION "--make-seeds="

static const char *seeds_directory;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(EXIT_FAILURE);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *wanted = getenv("FUZZ_LOG_LEVEL");
	enum log_level level = LOG_LEVEL_ERROR;

	/* What is refused is said in the log, a million times here: only on request. */
	if (wanted)
		log_level_parse(wanted, &level);
	log_open("fuzz", level);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i < *argc; i++) {
		const char *argument = (*argv)[i];

		if (strncmp(argument, SEEDS_OPTION, strlen(SEEDS_OPTION)) != 0)
			continue;
		seeds_directory = argument + strlen(SEEDS_OPTION);
		fuzz_seeds();
		exit(EXIT_SUCCESS);
	}
	return 0;
}

void seed_save(const char *name, const void *data, size_t size)
{
	char path[4096];
	int fd;

	must((size_t)snprintf(path, sizeof(path), "%s/%s", seeds_directory, name) < sizeof(path),
	     name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd >= 0, path);
	must(write(fd, data, size) == (ssize_t)size, path);
	close(fd);
}

void seed_bytes(struct seed *seed, const void *bytes, size_t n)
{
	must(n <= sizeof(seed->bytes) - seed->size, "a seed is too long");
	if (n)
		memcpy(seed->bytes + seed->size, bytes, n);
	seed->size += n;
}

void seed_u8(struct seed *seed, unsigned int value)
{
	seed_bytes(seed, &(uint8_t){(uint8_t)value}, 1);
}

void seed_u16(struct seed *seed, unsigned int value)
{
	seed_bytes(seed, &(uint16_t){(uint16_t)value}, 2);
}

void seed_u32(struct seed *seed, uint32_t value)
{
	seed_bytes(seed, &value, 4);
}

void fuzz_touch_read(const void *bytes, size_t n)
{
	const volatile uint8_t *at = bytes;

	for (size_t i = 0; i < n; i++)
		(void)at[i];
}

void fuzz_touch_write(void *bytes, size_t n)
{
	volatile uint8_t *at = bytes;

	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(at[i] + 1);
}
