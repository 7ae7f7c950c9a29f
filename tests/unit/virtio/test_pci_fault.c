/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings that go away under us, as the registers of an unplugged device do; here, by a file that
 * is cut short.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtio/pci_device.h"

#define SIZE 8192

/* Two pages of 0xff, of which nothing is left. */
static volatile uint8_t *lost_mapping(bool guarded)
{
	int fd = memfd_create("registers", MFD_CLOEXEC);
	uint8_t *map;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	for (size_t i = 0; i < SIZE; i++)
		map[i] = 0xff;
	if (guarded)
		assert_int_equal(pci_fault_guard(map, SIZE), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	return map;
}

static void registers_that_are_gone_read_as_zero(void **state)
{
	volatile uint8_t *map = lost_mapping(true);

	assert_int_equal(map[1], 0);
	map[SIZE - 1] = 7;
	assert_int_equal(map[SIZE - 1], 7);
	pci_fault_unguard((const void *)map);
	munmap((void *)map, SIZE);
}

/* How a process ends that touches a mapping of which nobody said that it may go. */
static void other_faults_end_the_process(void **state)
{
	volatile uint8_t *registers, *other;
	int status;
	pid_t child;

	/* And not cmocka's. */
	signal(SIGBUS, SIG_DFL);
	registers = lost_mapping(true);
	other = lost_mapping(false);
	child = fork();

	assert_true(child >= 0);
	if (!child)
		_exit(other[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	pci_fault_unguard((const void *)registers);
	munmap((void *)registers, SIZE);
	munmap((void *)other, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_that_are_gone_read_as_zero),
		cmocka_unit_test(other_faults_end_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
