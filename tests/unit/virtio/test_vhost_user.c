/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a device against back ends that a thread of the test plays: plain ones, and ones that
 * refuse, hang up, keep silent or answer rubbish.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/driver.h"
#include "wire/vhost_user.h"

#define BIT(n) (1ull << (n))
#define ALL_FEATURES                                                                               \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_INDIRECT_DESC) |                              \
	 BIT(VIRTIO_F_RING_EVENT_IDX) | BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define ALL_PROTOCOL                                                                               \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                    \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

/* How the back end behaves; seen by its thread. */
static struct {
	uint64_t features, protocol, queues;
	uint32_t data_queues;
	uint32_t refuse;   /* this message, by REPLY_ACK */
	uint32_t silent;   /* no answer to this one */
	uint32_t hang_up;  /* at this one */
	uint32_t rubbish;  /* answer to this one with another's number, */
	uint32_t too_long; /* or with a size that is wrong */
	/* What came. */
	unsigned int regions, rings, enabled;
	uint64_t acked;
} backend;

static char path[64];
static unsigned int timeout_ms;
static int listener;
static pthread_t thread;

static void answer(int fd, struct vhost_user_header h, const void *payload, uint32_t size)
{
	uint8_t buffer[512] = {0};

	h.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	h.size = size;
	if (h.request == backend.too_long)
		h.size = size + 8;
	if (h.request == backend.rubbish)
		h.request++;
	memcpy(buffer, &h, sizeof(h));
	memcpy(buffer + sizeof(h), payload, size);
	send(fd, buffer, sizeof(h) + h.size, MSG_NOSIGNAL);
}

static void answer_u64(int fd, struct vhost_user_header h, uint64_t value)
{
	answer(fd, h, &value, sizeof(value));
}

static void answer_config(int fd, struct vhost_user_header h, const uint8_t *payload)
{
	struct virtio_crypto_config config = {
		.status = 1, .max_dataqueues = backend.data_queues, .max_size = 65536};
	uint8_t reply[512];

	memcpy(reply, payload, sizeof(struct vhost_user_config_header));
	memcpy(reply + sizeof(struct vhost_user_config_header), &config, sizeof(config));
	answer(fd, h, reply, h.size);
}

static void handle(int fd, struct vhost_user_header h, const uint8_t *payload)
{
	uint64_t value;

	memcpy(&value, payload, sizeof(value));
	switch (h.request) {
	case VHOST_USER_GET_FEATURES:
		answer_u64(fd, h, backend.features);
		return;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		answer_u64(fd, h, backend.protocol);
		return;
	case VHOST_USER_GET_QUEUE_NUM:
		answer_u64(fd, h, backend.queues);
		return;
	case VHOST_USER_GET_CONFIG:
		answer_config(fd, h, payload);
		return;
	case VHOST_USER_SET_FEATURES:
		backend.acked = value;
		break;
	case VHOST_USER_ADD_MEM_REG:
		backend.regions++;
		break;
	case VHOST_USER_REM_MEM_REG:
		backend.regions--;
		break;
	case VHOST_USER_SET_MEM_TABLE:
		backend.regions = (uint32_t)value;
		break;
	case VHOST_USER_SET_VRING_ADDR:
		backend.rings++;
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		backend.enabled++;
		break;
	default:
		break;
	}
	if (h.flags & VHOST_USER_FLAG_NEED_REPLY)
		answer_u64(fd, h, h.request == backend.refuse);
}

/* One message. False: it is over. */
static bool serve_one(int fd)
{
	struct vhost_user_header h;
	uint8_t payload[512] = {0};
	int fds[16];
	unsigned int nfds = 16;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	poll(&p, 1, -1);
	if (unix_recv_fds(fd, &h, sizeof(h), fds, &nfds, 0) != sizeof(h))
		return false;
	for (unsigned int i = 0; i < nfds; i++)
		close(fds[i]);
	if (h.size > sizeof(payload) ||
	    (h.size && recv(fd, payload, h.size, MSG_WAITALL) != (ssize_t)h.size))
		return false;
	if (h.request == backend.hang_up)
		return false;
	if (h.request != backend.silent)
		handle(fd, h, payload);
	return true;
}

static void *serve(void *context)
{
	int fd = accept(listener, NULL, NULL);

	while (fd >= 0 && serve_one(fd))
		;
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int setup(void **state)
{
	memset(&backend, 0, sizeof(backend));
	backend.features = ALL_FEATURES;
	backend.protocol = ALL_PROTOCOL;
	backend.queues = 3;
	backend.data_queues = 2;
	timeout_ms = 10000;
	snprintf(path, sizeof(path), "/tmp/vcrypto-test-%d.sock", getpid());
	listener = unix_listen(path, SOCK_STREAM, 0600, 1);
	if (listener < 0)
		return listener;
	/* The thread waits in accept(). */
	if (fcntl(listener, F_SETFL, 0) < 0)
		return -1;
	return pthread_create(&thread, NULL, serve, NULL);
}

static int teardown(void **state)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	unlink(path);
	return 0;
}

static int open_device(struct vcrypto_device **device, char **error)
{
	struct vcrypto_device_options options = {.socket = path,
	                                         .queues = 2,
	                                         .depth = 64,
	                                         .timeout_ms = timeout_ms,
	                                         .memory = 65536};

	*device = NULL;
	return vcrypto_device_open(&options, device, error);
}

static void expect_failure(int code, const char *words)
{
	struct vcrypto_device *device;
	char *error;

	assert_int_equal(open_device(&device, &error), code);
	assert_null(device);
	assert_non_null(error);
	if (!strstr(error, words))
		fail_msg("\"%s\" does not say \"%s\"", error, words);
	free(error);
}

static void a_plain_back_end_is_set_up_whole(void **state)
{
	struct vcrypto_device *device;

	assert_int_equal(open_device(&device, NULL), 0);
	assert_int_equal(backend.acked, ALL_FEATURES);
	assert_int_equal(backend.regions, 1);
	/* Two data queues and the control queue. */
	assert_int_equal(backend.rings, 3);
	assert_int_equal(backend.enabled, 3);
	assert_int_equal(vcrypto_device_queues(device), 2);
	assert_true(vcrypto_device_alive(device));
	vcrypto_device_close(device);
}

static void features_that_we_do_not_know_are_not_acknowledged(void **state)
{
	struct vcrypto_device *device;

	backend.features = ALL_FEATURES | BIT(0) | BIT(1) | BIT(26) | BIT(VIRTIO_F_RING_PACKED);
	assert_int_equal(open_device(&device, NULL), 0);
	assert_int_equal(backend.acked, ALL_FEATURES);
	vcrypto_device_close(device);
}

static void one_without_replies_and_slots_will_do(void **state)
{
	struct vcrypto_device *device;
	uint8_t *p[8];
	int fd = memfd_create("test", MFD_CLOEXEC);

	backend.protocol = BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	assert_int_equal(open_device(&device, NULL), 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	/* Eight regions are what a whole table holds; one is the device's own. */
	for (unsigned int i = 0; i < 8; i++) {
		p[i] = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(p[i], MAP_FAILED);
		assert_int_equal(vcrypto_memory_register(device, p[i], 4096, fd, 0),
		                 i < 7 ? 0 : -ENOSPC);
	}
	assert_int_equal(vcrypto_memory_unregister(device, p[3]), 0);
	assert_int_equal(vcrypto_memory_register(device, p[7], 4096, fd, 0), 0);
	assert_int_equal(vcrypto_memory_unregister(device, p[7]), 0);
	/* An answer says that what was sent before has been seen. */
	struct vcrypto_capabilities caps;

	assert_int_equal(vcrypto_device_capabilities(device, &caps), 0);
	assert_int_equal(backend.regions, 7);
	vcrypto_device_close(device);
	for (unsigned int i = 0; i < 8; i++)
		munmap(p[i], 4096);
	close(fd);
}

static void a_region_that_is_refused_is_not_used(void **state)
{
	struct vcrypto_device *device;
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(open_device(&device, NULL), 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	uint8_t *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	backend.refuse = VHOST_USER_ADD_MEM_REG;
	assert_int_equal(vcrypto_memory_register(device, p, 4096, fd, 0), -ENOSPC);
	assert_non_null(strstr(vcrypto_device_error(device), "refused ADD_MEM_REG"));
	backend.refuse = 0;
	assert_true(vcrypto_device_alive(device));
	assert_int_equal(vcrypto_memory_register(device, p, 4096, fd, 0), 0);
	vcrypto_device_close(device);
	munmap(p, 4096);
	close(fd);
}

static void what_we_need_and_is_not_there_is_named(void **state)
{
	static const struct {
		uint64_t features, protocol, queues;
		const char *words;
	} lacks[] = {
		{ALL_FEATURES & ~BIT(VIRTIO_F_VERSION_1), ALL_PROTOCOL, 3, "VERSION_1"},
		{ALL_FEATURES & ~BIT(VHOST_USER_F_PROTOCOL_FEATURES), ALL_PROTOCOL, 3,
	         "protocol features"},
		{ALL_FEATURES, ALL_PROTOCOL & ~BIT(VHOST_USER_PROTOCOL_F_CONFIG), 3,
	         "configuration"},
		{ALL_FEATURES, ALL_PROTOCOL & ~BIT(VHOST_USER_PROTOCOL_F_MQ), 3, "1 queues"},
		{ALL_FEATURES, ALL_PROTOCOL, 2, "2 queues"},
	};

	for (size_t i = 0; i < vc_array_size(lacks); i++) {
		if (i) {
			teardown(state);
			assert_int_equal(setup(state), 0);
		}
		backend.features = lacks[i].features;
		backend.protocol = lacks[i].protocol;
		backend.queues = lacks[i].queues;
		expect_failure(-EPROTO, lacks[i].words);
	}
}

static void a_refusal_is_noticed_where_it_happens(void **state)
{
	backend.refuse = VHOST_USER_SET_VRING_KICK;
	expect_failure(-EPROTO, "refused SET_VRING_KICK");
}

static void silence_is_bounded(void **state)
{
	uint64_t start_ns = clock_now_ns();

	timeout_ms = 300;
	backend.silent = VHOST_USER_SET_VRING_ADDR;
	expect_failure(-ETIMEDOUT, "did not answer SET_VRING_ADDR within 300 ms");
	assert_true(clock_now_ns() - start_ns < 5000000000ull);
}

static void hanging_up_is_told(void **state)
{
	backend.hang_up = VHOST_USER_GET_CONFIG;
	expect_failure(-EPROTO, "hung up at GET_CONFIG");
}

static void answers_that_are_none_are_told(void **state)
{
	backend.rubbish = VHOST_USER_GET_FEATURES;
	expect_failure(-EPROTO, "answer to GET_FEATURES");
	teardown(state);
	assert_int_equal(setup(state), 0);
	backend.too_long = VHOST_USER_GET_QUEUE_NUM;
	expect_failure(-EPROTO, "queues");
}

static void a_session_that_is_never_answered_times_out(void **state)
{
	struct vcrypto_session_params params = {.algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                        .direction = VCRYPTO_ENCRYPT,
	                                        .key = "0123456789abcdef",
	                                        .key_len = 16};
	struct vcrypto_session *session = NULL;
	struct vcrypto_device *device;

	assert_int_equal(open_device(&device, NULL), 0);
	device->timeout_ms = 300;
	assert_int_equal(vcrypto_session_create(device, &params, &session), -ETIMEDOUT);
	assert_null(session);
	assert_int_equal(vcrypto_session_create_begin(device, &params, &session), 0);
	assert_int_equal(vcrypto_session_state(session), -EINPROGRESS);
	/* The control queue's used ring: an answer that was never asked for. */
	device->control.ring.split.used->ring[0] = (struct virtq_used_elem){200, 16};
	__atomic_store_n(&device->control.ring.split.used->idx, 1, __ATOMIC_RELEASE);
	assert_int_equal(vcrypto_session_state(session), -EPIPE);
	assert_false(vcrypto_device_alive(device));
	vcrypto_session_destroy(session);
	vcrypto_device_close(device);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		EACH(a_plain_back_end_is_set_up_whole),
		EACH(features_that_we_do_not_know_are_not_acknowledged),
		EACH(one_without_replies_and_slots_will_do),
		EACH(a_region_that_is_refused_is_not_used),
		EACH(what_we_need_and_is_not_there_is_named),
		EACH(a_refusal_is_noticed_where_it_happens),
		EACH(silence_is_bounded),
		EACH(hanging_up_is_told),
		EACH(answers_that_are_none_are_told),
		EACH(a_session_that_is_never_answered_times_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
