/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client in ASYNC jobs: which descriptors a job shows, and when.
 *
 * A thread plays the daemon over a real socket and a real region. It decides whether an operation
 * is done before the job can pause: the doorbell is an eventfd so full that ringing it blocks until
 * the thread empties it.
 */
#include <openssl/async.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "engined/region.h"
#include "openssl/core/core.h"

#define CHANNELS 1
#define SLOTS 16
#define LENGTH 64
#define WAIT_MS 5000
/* The most that an eventfd holds: one more blocks. */
#define FULL UINT64_C(0xfffffffffffffffe)

static struct {
	pthread_t thread;
	char directory[32], path[64];
	int listener, socket, doorbell;
	int waker[64];
	unsigned int wakers;
	struct region region;
	uint32_t head;
	atomic_bool at_once; /* complete before the doorbell is let go; else only when told */
	struct vce_slot *pending[SLOTS];
	unsigned int pending_first, pending_end;
	atomic_uint told;      /* complete so many of them */
	atomic_uint completed; /* when told */
	atomic_uint signals;
	atomic_bool stop;
} host;

static struct core_key *key;

/* ---- the daemon ---- */

static struct vce_channel *ring(void)
{
	return (void *)(host.region.base + host.region.layout.channel_offset);
}

static struct vce_slot *slot_at(unsigned int index)
{
	struct vce_slot *slots = (void *)((uint8_t *)ring() + host.region.layout.slot_offset);

	return &slots[index];
}

static void welcome(void)
{
	struct vce_welcome message = {.header = {VCE_MAGIC, VCE_WELCOME}, .version = VCE_VERSION};
	uint64_t full = FULL;
	struct region_layout layout;
	int fds[2];

	assert_int_equal(region_layout_init(&layout, CHANNELS, SLOTS, REGION_BUFFER_SIZE), 0);
	assert_int_equal(region_create(&host.region, &layout), 0);
	region_header(&host.region)->offline = 0;
	region_header(&host.region)->sleeping = 1;
	/* Blocking, unlike the daemon's own. */
	host.doorbell = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	assert_int_equal(write(host.doorbell, &full, sizeof(full)), sizeof(full));
	message.region_size = layout.size;
	fds[0] = host.region.fd;
	fds[1] = host.doorbell;
	assert_int_equal(unix_send_fds(host.socket, &message, sizeof(message), fds, 2, 0),
	                 sizeof(message));
}

static void socket_serve(void)
{
	struct vce_wakers_taken taken = {.header = {VCE_MAGIC, VCE_WAKERS_TAKEN}};
	union {
		struct vce_message_header header;
		struct vce_hello hello;
		struct vce_wakers wakers;
	} message;
	unsigned int n = VCE_WAKERS_MAX_MESSAGE;
	int fds[VCE_WAKERS_MAX_MESSAGE];

	if (unix_recv_fds(host.socket, &message, sizeof(message), fds, &n, 0) <= 0)
		return;
	if (message.header.type == VCE_HELLO) {
		welcome();
		return;
	}
	assert_int_equal(message.header.type, VCE_WAKERS);
	assert_true(host.wakers + n <= vc_array_size(host.waker));
	memcpy(&host.waker[host.wakers], fds, n * sizeof(fds[0]));
	host.wakers += n;
	taken.first = message.wakers.first;
	taken.count = n;
	assert_int_equal(unix_send_fds(host.socket, &taken, sizeof(taken), NULL, 0, 0),
	                 sizeof(taken));
}

/* One ring goes on, whether it is blocked already or comes later; the next one blocks again. */
static void doorbell_let_go(void)
{
	uint64_t one;

	assert_int_equal(read(host.doorbell, &one, sizeof(one)), sizeof(one));
}

static void complete(struct vce_slot *slot)
{
	uint32_t generation = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) >> 2, old;

	slot->result = 0;
	slot->handle = 1;
	if (slot->opcode == VCE_OP_CRYPT)
		for (uint32_t i = 0; i < slot->length; i++)
			host.region.base[slot->dst + i] = host.region.base[slot->src + i] ^ 0xff;
	/* Release: pairs with the client's acquire in channel_done(). */
	old = __atomic_exchange_n(&slot->state, VCE_SLOT_STATE(generation, VCE_SLOT_DONE),
	                          __ATOMIC_ACQ_REL);
	if (slot->waker && old == VCE_SLOT_STATE(generation, VCE_SLOT_WAITING)) {
		atomic_fetch_add(&host.signals, 1);
		event_signal(host.waker[slot->waker - 1]);
	}
}

static void ring_serve(void)
{
	struct vce_slot *slot;

	if (__atomic_load_n(&ring()->tail, __ATOMIC_ACQUIRE) == host.head)
		return;
	slot = slot_at(ring()->ring[host.head++ % SLOTS]);
	if (slot->opcode != VCE_OP_CRYPT || atomic_load(&host.at_once))
		complete(slot);
	else
		host.pending[host.pending_end++ % SLOTS] = slot;
	doorbell_let_go();
}

static void pending_serve(void)
{
	while (host.pending_first != host.pending_end && atomic_load(&host.told)) {
		atomic_fetch_sub(&host.told, 1);
		complete(host.pending[host.pending_first++ % SLOTS]);
		atomic_fetch_add(&host.completed, 1);
	}
}

static void *host_run(void *context)
{
	(void)context;
	while (!atomic_load(&host.stop)) {
		struct pollfd p = {.fd = host.socket < 0 ? host.listener : host.socket,
		                   .events = POLLIN};

		if (poll(&p, 1, 1) > 0) {
			if (host.socket < 0)
				host.socket = accept(host.listener, NULL, NULL);
			else
				socket_serve();
		}
		if (host.region.base) {
			ring_serve();
			pending_serve();
		}
	}
	return NULL;
}

/* ---- jobs ---- */

struct work {
	uint8_t in[LENGTH], out[LENGTH];
	int result;
};

/* OpenSSL copies it. */
struct job {
	struct work *work;
};

static int job_run(void *argument)
{
	struct work *work = ((struct job *)argument)->work;
	struct core_op op = {
		.key = key,
		.src = work->in,
		.dst = work->out,
		.length = LENGTH,
		.iv_len = 16,
	};

	work->result = core_run(&op, 1);
	return 1;
}

static int job_start(ASYNC_JOB **job, ASYNC_WAIT_CTX *context, struct work *work)
{
	struct job copied = {work};
	int ret = 0;

	return ASYNC_start_job(job, context, &ret, job_run, &copied, sizeof(copied));
}

static size_t descriptors(ASYNC_WAIT_CTX *context)
{
	size_t n = 0;

	assert_true(ASYNC_WAIT_CTX_get_all_fds(context, NULL, &n));
	return n;
}

static struct work *work_new(void)
{
	struct work *work = calloc(1, sizeof(*work));

	assert_non_null(work);
	memset(work->in, 0x5a, LENGTH);
	work->result = 1;
	return work;
}

static void work_check(struct work *work)
{
	assert_int_equal(work->result, 0);
	for (unsigned int i = 0; i < LENGTH; i++)
		assert_int_equal(work->out[i], 0xa5);
	free(work);
}

static void run_at_once(ASYNC_WAIT_CTX *context)
{
	struct work *work = work_new();
	ASYNC_JOB *job = NULL;

	atomic_store(&host.at_once, true);
	assert_int_equal(job_start(&job, context, work), ASYNC_FINISH);
	work_check(work);
}

static void run_with_pause(ASYNC_WAIT_CTX *context, size_t fresh)
{
	struct work *work = work_new();
	size_t added, deleted;
	ASYNC_JOB *job = NULL;
	struct pollfd p = {.events = POLLIN};
	size_t n = 1;
	int ret;

	atomic_store(&host.at_once, false);
	assert_int_equal(job_start(&job, context, work), ASYNC_PAUSE);
	assert_true(ASYNC_WAIT_CTX_get_changed_fds(context, NULL, &added, NULL, &deleted));
	assert_int_equal(added, fresh);
	assert_int_equal(deleted, 0);
	assert_int_equal(descriptors(context), 1);
	assert_true(ASYNC_WAIT_CTX_get_all_fds(context, &p.fd, &n));
	atomic_fetch_add(&host.told, 1);
	/* It may be resumed for an older signal, and then pauses again. */
	do
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	while ((ret = job_start(&job, context, work)) == ASYNC_PAUSE);
	assert_int_equal(ret, ASYNC_FINISH);
	work_check(work);
}

/* haproxy (2.6) aborts when a connection ends with a descriptor of which no pause told it. */
static void a_job_that_never_paused_leaves_no_descriptor(void **state)
{
	ASYNC_WAIT_CTX *context = ASYNC_WAIT_CTX_new();

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		run_at_once(context);
		assert_int_equal(descriptors(context), 0);
	}
	ASYNC_WAIT_CTX_free(context);
}

static void a_pause_tells_of_the_descriptor(void **state)
{
	ASYNC_WAIT_CTX *context = ASYNC_WAIT_CTX_new();

	(void)state;
	run_with_pause(context, 1);
	ASYNC_WAIT_CTX_free(context);
}

static void the_descriptor_stays_for_later_jobs(void **state)
{
	ASYNC_WAIT_CTX *context = ASYNC_WAIT_CTX_new();

	(void)state;
	run_at_once(context);
	run_with_pause(context, 1);
	run_at_once(context);
	assert_int_equal(descriptors(context), 1);
	run_with_pause(context, 0);
	ASYNC_WAIT_CTX_free(context);
}

/* ---- descriptors that rest readable ---- */

struct side {
	ASYNC_WAIT_CTX *context;
	ASYNC_JOB *job;
	struct work *work;
};

static void side_start(struct side *side)
{
	if (!side->context)
		side->context = ASYNC_WAIT_CTX_new();
	side->work = work_new();
	atomic_store(&host.at_once, false);
	assert_int_equal(job_start(&side->job, side->context, side->work), ASYNC_PAUSE);
}

static bool side_readable(struct side *side, int ms)
{
	struct pollfd p = {.events = POLLIN};
	size_t n = 1;

	assert_true(ASYNC_WAIT_CTX_get_all_fds(side->context, &p.fd, &n));
	return poll(&p, 1, ms) == 1;
}

static void side_goes_on(struct side *side, int expected)
{
	assert_int_equal(job_start(&side->job, side->context, side->work), expected);
	if (expected == ASYNC_FINISH) {
		work_check(side->work);
		side->work = NULL;
	}
}

static void tell(unsigned int n)
{
	unsigned int end = atomic_load(&host.completed) + n;

	atomic_fetch_add(&host.told, n);
	for (unsigned int i = 0; atomic_load(&host.completed) != end; i++) {
		assert_true(i < WAIT_MS);
		usleep(1000);
	}
}

/* a has done one operation while b has one in flight, and begun another. */
static void sides_make(struct side *a, struct side *b)
{
	side_start(a);
	side_start(b);
	tell(1);
	assert_true(side_readable(a, WAIT_MS));
	atomic_store(&host.signals, 0);
	side_goes_on(a, ASYNC_FINISH);
	assert_true(side_readable(a, 0));
	side_start(a);
	assert_true(side_readable(a, 0));
}

static void sides_free(struct side *a, struct side *b)
{
	/* Nothing is in flight any more. */
	assert_false(side_readable(a, 20));
	assert_false(side_readable(b, 0));
	ASYNC_WAIT_CTX_free(a->context);
	ASYNC_WAIT_CTX_free(b->context);
}

static void under_load_nobody_is_signalled(void **state)
{
	struct side a = {0}, b = {0};

	(void)state;
	sides_make(&a, &b);
	tell(2);
	assert_true(side_readable(&b, WAIT_MS));
	/* That of b: it had not rested. */
	assert_int_equal(atomic_load(&host.signals), 1);
	side_goes_on(&a, ASYNC_FINISH);
	side_goes_on(&b, ASYNC_FINISH);
	sides_free(&a, &b);
}

static void a_job_that_is_resumed_too_early_is_signalled_later(void **state)
{
	struct side a = {0}, b = {0};

	(void)state;
	sides_make(&a, &b);
	side_goes_on(&a, ASYNC_PAUSE);
	assert_false(side_readable(&a, 20));
	tell(2);
	assert_true(side_readable(&a, WAIT_MS));
	assert_true(side_readable(&b, WAIT_MS));
	assert_int_equal(atomic_load(&host.signals), 2);
	side_goes_on(&b, ASYNC_FINISH);
	side_goes_on(&a, ASYNC_FINISH);
	sides_free(&a, &b);
}

/* Its wait context goes, and another gets its descriptor. */
static void a_descriptor_that_rests_may_go(void **state)
{
	struct side a = {0}, b = {0};

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		sides_make(&a, &b);
		tell(2);
		side_goes_on(&a, ASYNC_FINISH);
		ASYNC_WAIT_CTX_free(a.context);
		a = (struct side){0};
		side_start(&a);
		assert_false(side_readable(&a, 20));
		tell(1);
		assert_true(side_readable(&a, WAIT_MS));
		side_goes_on(&a, ASYNC_FINISH);
		assert_true(side_readable(&b, WAIT_MS));
		side_goes_on(&b, ASYNC_FINISH);
		sides_free(&a, &b);
		a = b = (struct side){0};
	}
}

static int setup(void **state)
{
	static const uint8_t bytes[16] = "0123456789abcde";
	const struct vcrypto_session_params params = {
		.service = VCRYPTO_SERVICE_CIPHER,
		.algorithm = VCRYPTO_CIPHER_AES_CBC,
		.direction = VCRYPTO_ENCRYPT,
		.key = bytes,
		.key_len = sizeof(bytes),
	};
	struct core_options options = {.deadline_ms = 60000};

	(void)state;
	strcpy(host.directory, "/tmp/vct-jobs-XXXXXX");
	if (!mkdtemp(host.directory))
		return -1;
	snprintf(host.path, sizeof(host.path), "%s/engined.sock", host.directory);
	snprintf(options.socket, sizeof(options.socket), "%s", host.path);
	host.socket = host.doorbell = host.region.fd = -1;
	host.listener = unix_listen(host.path, SOCK_SEQPACKET, 0600, 1);
	if (host.listener < 0 || pthread_create(&host.thread, NULL, host_run, NULL))
		return -1;
	core_configure(&options);
	return core_key_new(&params, &key);
}

static int teardown(void **state)
{
	(void)state;
	/* Closing the key rings the doorbell, which the thread lets go. */
	core_key_free(key);
	core_teardown();
	atomic_store(&host.stop, true);
	pthread_join(host.thread, NULL);
	for (unsigned int i = 0; i < host.wakers; i++)
		close(host.waker[i]);
	close(host.socket);
	close(host.listener);
	close(host.doorbell);
	region_destroy(&host.region);
	unlink(host.path);
	rmdir(host.directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_that_never_paused_leaves_no_descriptor),
		cmocka_unit_test(a_pause_tells_of_the_descriptor),
		cmocka_unit_test(the_descriptor_stays_for_later_jobs),
		cmocka_unit_test(under_load_nobody_is_signalled),
		cmocka_unit_test(a_job_that_is_resumed_too_early_is_signalled_later),
		cmocka_unit_test(a_descriptor_that_rests_may_go),
	};

	if (!ASYNC_is_capable())
		return 77;
	return cmocka_run_group_tests_name("core-jobs", tests, setup, teardown);
}
