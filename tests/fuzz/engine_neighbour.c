/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See engine_neighbour.h.
 */
#include "engine_neighbour.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vcrypto/vcrypto.h>

#include "fuzz.h"
#include "wire/engine.h"

#define SLOTS 4u
#define LENGTH 64u

static int app = -1;
static struct vce_region_header *region;
static uint64_t region_size;
static uint32_t session; /* 0: none yet */
static uint32_t generation[SLOTS];
static bool asked[SLOTS];

static uint8_t *channel_at(void)
{
	return (uint8_t *)region + region->channel_offset;
}

static struct vce_slot *slot_at(unsigned int i)
{
	return (struct vce_slot *)(channel_at() + region->slot_offset) + i;
}

static uint64_t buffer_of(unsigned int i)
{
	return region->buffer_offset + (uint64_t)i * region->buffer_stride;
}

/* The daemon takes one thing at a time from its sockets. */
static void welcome_wait(struct engined *e)
{
	struct vce_welcome welcome;
	unsigned int nfds;
	long n = -EAGAIN;
	int fds[2];

	for (unsigned int i = 0; i < 16 && n == -EAGAIN; i++) {
		evloop_once(e->loop, 0);
		nfds = 2;
		n = unix_recv_fds(app, &welcome, sizeof(welcome), fds, &nfds, MSG_DONTWAIT);
	}
	fuzz_check(n == sizeof(welcome) && nfds == 2 && welcome.header.type == VCE_WELCOME);
	region_size = welcome.region_size;
	region = mmap(NULL, region_size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	fuzz_check(region != MAP_FAILED && region->slots == SLOTS);
	close(fds[0]);
	close(fds[1]);
}

void neighbour_begin(struct engined *e)
{
	const struct vce_hello hello = {.header = {VCE_MAGIC, VCE_HELLO},
	                                .version = VCE_VERSION,
	                                .channels = 1,
	                                .slots = SLOTS,
	                                .name = NEIGHBOUR_NAME};

	app = unix_connect(e->config.listen, SOCK_SEQPACKET);
	fuzz_check(app >= 0);
	fuzz_check(send(app, &hello, sizeof(hello), 0) == sizeof(hello));
	welcome_wait(e);
	region->channels_used = 1;
	session = 0;
	memset(asked, 0, sizeof(asked));
	memset(generation, 0, sizeof(generation));
}

static void slot_ask(unsigned int i, const struct vce_slot *request)
{
	struct vce_channel *channel = (struct vce_channel *)channel_at();
	struct vce_slot *slot = slot_at(i);

	memcpy(slot, request, offsetof(struct vce_slot, state));
	slot->result = 1;
	generation[i]++;
	slot->state = VCE_SLOT_STATE(generation[i], VCE_SLOT_QUEUED);
	channel->ring[channel->tail % SLOTS] = (uint16_t)i;
	__atomic_store_n(&channel->tail, channel->tail + 1, __ATOMIC_RELEASE);
	asked[i] = true;
}

static void session_ask(void)
{
	const struct vce_session_params params = {.service = VCRYPTO_SERVICE_CIPHER,
	                                          .algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                          .direction = 1,
	                                          .key_len = 16};
	struct vce_slot request = {.opcode = VCE_OP_SESSION_OPEN,
	                           .src = (uint32_t)buffer_of(0),
	                           .length = sizeof(params) + 16};

	memcpy((uint8_t *)region + buffer_of(0), &params, sizeof(params));
	memset((uint8_t *)region + buffer_of(0) + sizeof(params), 'n', 16);
	slot_ask(0, &request);
}

static void request_ask(unsigned int i)
{
	const struct vce_slot request = {.opcode = VCE_OP_CRYPT,
	                                 .session = session,
	                                 .src = (uint32_t)buffer_of(i),
	                                 .dst = (uint32_t)buffer_of(i),
	                                 .length = LENGTH,
	                                 .iv_len = 16};

	slot_ask(i, &request);
}

static void slots_look(bool well)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		const struct vce_slot *slot = slot_at(i);

		if (!asked[i] || slot->state == VCE_SLOT_STATE(generation[i], VCE_SLOT_QUEUED))
			continue;
		fuzz_check(slot->state == VCE_SLOT_STATE(generation[i], VCE_SLOT_DONE));
		fuzz_check(slot->result <= 0);
		fuzz_check(!slot->result || !well);
		asked[i] = false;
		if (slot->opcode == VCE_OP_SESSION_OPEN && !slot->result)
			session = slot->handle;
	}
}

void neighbour_go_on(bool well)
{
	if (app < 0)
		return;
	slots_look(well);
	if (!session) {
		if (!asked[0])
			session_ask();
		return;
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		if (!asked[i])
			request_ask(i);
}

bool neighbour_idle(bool well)
{
	if (app < 0)
		return true;
	slots_look(well);
	for (unsigned int i = 0; i < SLOTS; i++)
		if (asked[i])
			return false;
	return true;
}

void neighbour_end(void)
{
	if (app < 0)
		return;
	close(app);
	app = -1;
	munmap(region, region_size);
}
