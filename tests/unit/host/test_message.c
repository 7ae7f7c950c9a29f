/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of vhost-user messages, over a socket pair: whole, in pieces, and hostile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "host/message.h"

struct fixture {
	int front; /* the front end's end */
	int back;
	struct message message;
};

static unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	if (!f || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	f->front = pair[0];
	f->back = pair[1];
	message_init(&f->message);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	message_reset(&f->message);
	if (f->front >= 0)
		close(f->front);
	close(f->back);
	free(f);
	return 0;
}

static bool size_any(const struct vhost_user_header *header)
{
	return true;
}

static bool size_eight(const struct vhost_user_header *header)
{
	return header->size == 8;
}

static void send_bytes(struct fixture *f, const void *data, size_t size, const int *fds,
                       unsigned int nfds)
{
	assert_int_equal(unix_send_fds(f->front, data, size, fds, nfds, 0), size);
}

/* A message with a payload of 8 bytes. */
static size_t make(uint8_t *buffer, uint32_t request, uint32_t flags, uint32_t size)
{
	struct vhost_user_header header = {.request = request, .flags = flags, .size = size};

	memcpy(buffer, &header, VHOST_USER_HEADER_SIZE);
	memset(buffer + VHOST_USER_HEADER_SIZE, 0x5a, 8);
	return VHOST_USER_HEADER_SIZE + 8;
}

static void reads_a_whole_message(void **state)
{
	struct fixture *f = *state;
	uint8_t buffer[64];
	size_t size = make(buffer, VHOST_USER_SET_FEATURES, 1, 8);

	send_bytes(f, buffer, size, NULL, 0);
	assert_int_equal(message_read(&f->message, f->back, size_eight), 1);
	assert_int_equal(f->message.header.request, VHOST_USER_SET_FEATURES);
	assert_int_equal(f->message.header.size, 8);
	assert_memory_equal(f->message.payload, buffer + VHOST_USER_HEADER_SIZE, 8);
	message_reset(&f->message);
	assert_int_equal(message_read(&f->message, f->back, size_eight), 0);
}

static void reads_a_message_that_comes_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	uint8_t buffer[64];
	size_t size = make(buffer, VHOST_USER_SET_FEATURES, 1, 8);

	for (size_t i = 0; i < size; i++) {
		assert_int_equal(message_read(&f->message, f->back, size_eight), 0);
		send_bytes(f, buffer + i, 1, NULL, 0);
	}
	assert_int_equal(message_read(&f->message, f->back, size_eight), 1);
	assert_memory_equal(f->message.payload, buffer + VHOST_USER_HEADER_SIZE, 8);
}

static void leaves_the_next_message_in_the_socket(void **state)
{
	struct fixture *f = *state;
	uint8_t buffer[64];
	size_t size = make(buffer, VHOST_USER_SET_FEATURES, 1, 8);

	size += make(buffer + size, VHOST_USER_SET_PROTOCOL_FEATURES, 1, 8);
	send_bytes(f, buffer, size, NULL, 0);
	assert_int_equal(message_read(&f->message, f->back, size_eight), 1);
	message_reset(&f->message);
	assert_int_equal(message_read(&f->message, f->back, size_eight), 1);
	assert_int_equal(f->message.header.request, VHOST_USER_SET_PROTOCOL_FEATURES);
}

static void keeps_descriptors_and_closes_what_nobody_took(void **state)
{
	struct fixture *f = *state;
	unsigned int before = open_fds();
	uint8_t buffer[64];
	size_t size = make(buffer, VHOST_USER_SET_MEM_TABLE, 1, 8);
	int fds[3], taken;

	for (unsigned int i = 0; i < 3; i++)
		fds[i] = event_create();
	send_bytes(f, buffer, size, fds, 3);
	for (unsigned int i = 0; i < 3; i++)
		close(fds[i]);
	assert_int_equal(message_read(&f->message, f->back, size_eight), 1);
	assert_int_equal(f->message.nfds, 3);
	taken = message_take_fd(&f->message, 1);
	assert_true(fcntl(taken, F_GETFD) & FD_CLOEXEC);
	message_reset(&f->message);
	assert_int_equal(open_fds(), before + 1);
	close(taken);
}

static void refuses_more_descriptors_than_any_message_has(void **state)
{
	struct fixture *f = *state;
	unsigned int before = open_fds();
	uint8_t buffer[64];
	size_t size = make(buffer, VHOST_USER_SET_MEM_TABLE, 1, 8);
	int fds[MESSAGE_MAX_FDS + 1];

	for (unsigned int i = 0; i < vc_array_size(fds); i++)
		fds[i] = f->back;
	send_bytes(f, buffer, size, fds, vc_array_size(fds));
	assert_int_equal(message_read(&f->message, f->back, size_eight), -EPROTO);
	message_reset(&f->message);
	assert_int_equal(open_fds(), before);
}

static void refuses_descriptors_spread_over_the_pieces(void **state)
{
	struct fixture *f = *state;
	unsigned int before = open_fds();
	uint8_t buffer[64];
	size_t size = make(buffer, VHOST_USER_SET_MEM_TABLE, 1, 8);
	int r = 0;

	for (size_t i = 0; i < size && r == 0; i++) {
		send_bytes(f, buffer + i, 1, &f->back, 1);
		r = message_read(&f->message, f->back, size_eight);
	}
	assert_int_equal(r, -EPROTO);
	message_reset(&f->message);
	assert_int_equal(open_fds(), before);
}

static void refuses_wrong_headers(void **state)
{
	static const struct {
		uint32_t flags, size;
	} bad[] = {
		{0, 8},                         /* no version */
		{2, 8},                         /* another version */
		{1 | VHOST_USER_FLAG_REPLY, 8}, /* an answer to nothing */
		{1, 7},                         /* sizes that the table refuses */
		{1, 9},
	};

	for (unsigned int i = 0; i < vc_array_size(bad); i++) {
		struct fixture *f;
		uint8_t buffer[64];
		size_t size = make(buffer, VHOST_USER_SET_FEATURES, bad[i].flags, bad[i].size);

		assert_int_equal(setup((void **)&f), 0);
		send_bytes(f, buffer, size, NULL, 0);
		assert_int_equal(message_read(&f->message, f->back, size_eight), -EPROTO);
		teardown((void **)&f);
	}
}

static void refuses_what_is_longer_than_any_message(void **state)
{
	struct fixture *f = *state;
	uint8_t buffer[64];
	size_t size = make(buffer, 99, 1, MESSAGE_MAX_PAYLOAD + 1);

	send_bytes(f, buffer, size, NULL, 0);
	assert_int_equal(message_read(&f->message, f->back, size_any), -EPROTO);

	message_reset(&f->message);
	size = make(buffer, 99, 1, UINT32_MAX);
	send_bytes(f, buffer, size, NULL, 0);
	/* The 8 bytes that are left of the first one stand for the flags and size of the next. */
	assert_int_equal(message_read(&f->message, f->back, size_any), -EPROTO);
}

static void tells_an_end_from_a_break(void **state)
{
	struct fixture *f = *state;
	uint8_t buffer[64];

	make(buffer, VHOST_USER_SET_FEATURES, 1, 8);
	send_bytes(f, buffer, 15, NULL, 0);
	close(f->front);
	f->front = -1;
	assert_int_equal(message_read(&f->message, f->back, size_eight), -EPROTO);
	message_reset(&f->message);
	assert_int_equal(message_read(&f->message, f->back, size_eight), -EPIPE);
}

static void reset_wipes_the_payload(void **state)
{
	struct fixture *f = *state;
	uint8_t buffer[64];
	size_t size = make(buffer, VHOST_USER_CREATE_CRYPTO_SESSION, 1, 8);

	send_bytes(f, buffer, size, NULL, 0);
	assert_int_equal(message_read(&f->message, f->back, size_eight), 1);
	message_reset(&f->message);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(f->message.payload[i], 0);
}

static void reply_carries_request_and_flags(void **state)
{
	struct fixture *f = *state;
	struct vhost_user_header header;
	uint64_t value = 0x1122334455667788, got;
	uint8_t buffer[64];

	assert_int_equal(message_reply(f->back, VHOST_USER_GET_FEATURES, &value, 8, -1), 0);
	assert_int_equal(recv(f->front, buffer, sizeof(buffer), 0), VHOST_USER_HEADER_SIZE + 8);
	memcpy(&header, buffer, VHOST_USER_HEADER_SIZE);
	memcpy(&got, buffer + VHOST_USER_HEADER_SIZE, 8);
	assert_int_equal(header.request, VHOST_USER_GET_FEATURES);
	assert_int_equal(header.flags, 5);
	assert_int_equal(header.size, 8);
	assert_true(got == value);
}

static void reply_gives_up_on_a_peer_that_does_not_read(void **state)
{
	struct fixture *f = *state;
	uint8_t payload[MESSAGE_MAX_PAYLOAD] = {0};
	int err = 0;

	for (unsigned int i = 0; i < 10000 && !err; i++)
		err = message_reply(f->back, 1, payload, sizeof(payload), -1);
	assert_int_equal(err, -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_a_whole_message, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_a_message_that_comes_byte_by_byte, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(leaves_the_next_message_in_the_socket, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(keeps_descriptors_and_closes_what_nobody_took,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_more_descriptors_than_any_message_has,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_descriptors_spread_over_the_pieces, setup,
	                                        teardown),
		cmocka_unit_test(refuses_wrong_headers),
		cmocka_unit_test_setup_teardown(refuses_what_is_longer_than_any_message, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(tells_an_end_from_a_break, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_wipes_the_payload, setup, teardown),
		cmocka_unit_test_setup_teardown(reply_carries_request_and_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(reply_gives_up_on_a_peer_that_does_not_read, setup,
	                                        teardown),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
