/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See vhost_neighbour.h.
 */
#include "vhost_neighbour.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "wire/virtio_crypto.h"
#include "wire/virtio_ring.h"

#define SIZE 65536u
#define USER 0x600000000000u
#define RING 8u
/* In its memory. */
#define AVAIL_AT 512u
#define USED_AT 1024u
#define SLOTS_AT 4096u
#define SLOT 1024u
#define HEAD 88u /* header and IV */
#define DATA 64u
#define SLOT_DATA_AT 256u
#define SLOT_STATUS_AT 512u
/* Each request has three descriptors. */
#define DESCS 3u
#define SLOTS (RING / DESCS)
/* What a status byte is before the device writes it. */
#define UNTOUCHED 0xee

static struct device *device;
static int memory_fd;
static uint8_t *memory;
static uint64_t session;
static uint16_t offered, done;
static bool is_free[SLOTS];

static struct virtq_avail *avail(void)
{
	return (struct virtq_avail *)(memory + AVAIL_AT);
}

static const struct virtq_used *used(void)
{
	return (const struct virtq_used *)(memory + USED_AT);
}

static uint8_t *slot_at(unsigned int slot)
{
	return memory + SLOTS_AT + slot * SLOT;
}

static void session_make(void)
{
	uint8_t key[16] = "fedcba9876543210";
	const struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                      .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                                      .encrypt = 1,
	                                      .key = key,
	                                      .key_len = sizeof(key)};

	fuzz_check(!device_session_create(device, &params, &session));
}

/* Header, IV and descriptors, which stay. */
static void slot_make(unsigned int slot)
{
	const struct virtio_crypto_op_data_req request = {
		.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT, .session_id = session},
		.u.sym = {.u.cipher = {16, DATA, DATA, 0}, .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};
	uint64_t at = SLOTS_AT + slot * SLOT;
	uint16_t first = (uint16_t)(slot * DESCS);
	/* Data are worked on where they are. */
	const struct virtq_desc descs[DESCS] = {
		{at, HEAD + DATA, VIRTQ_DESC_F_NEXT, (uint16_t)(first + 1)},
		{at + SLOT_DATA_AT, DATA, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE,
	         (uint16_t)(first + 2)},
		{at + SLOT_STATUS_AT, 1, VIRTQ_DESC_F_WRITE, 0}};

	memcpy(slot_at(slot), &request, sizeof(request));
	memcpy(memory + sizeof(descs[0]) * first, descs, sizeof(descs));
}

static void memory_make(void)
{
	const struct vhost_user_mem_region region = {0, SIZE, USER, 0};
	struct memtable *table;

	memory_fd = memfd_create("neighbour", MFD_CLOEXEC);
	fuzz_check(memory_fd >= 0 && !ftruncate(memory_fd, SIZE));
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	fuzz_check(memory != MAP_FAILED);
	fuzz_check(!memtable_with(device->memory, &region, memory_fd, &table));
	memtable_free(device->memory);
	device->memory = table;
}

void neighbour_begin(const struct group *group, struct worker *const *worker)
{
	struct device_options options = {
		.name = "neighbour",
		.index = 1,
		.group = group,
		.data_queues = 1,
		.limits = {.sessions = 4, .inflight_bytes = 1u << 16, .memory = 1u << 20},
		.max_size = 16384,
		.workers = worker,
		.worker_count = 1,
	};
	struct host_queue *queue;

	fuzz_check(!device_create(&options, &device));
	memory_make();
	session_make();
	for (unsigned int i = 0; i < SLOTS; i++) {
		slot_make(i);
		is_free[i] = true;
	}
	offered = done = 0;
	queue = &device->queue[0];
	queue->config = (struct vring_config){
		.size = RING, .desc = USER, .avail = USER + AVAIL_AT, .used = USER + USED_AT};
	/* Without a kick descriptor: it is always looked at. */
	fuzz_check(!device_queue_start(device, 0));
}

static void slot_offer(unsigned int slot)
{
	memset(slot_at(slot) + SLOT_DATA_AT, 0, DATA);
	slot_at(slot)[SLOT_STATUS_AT] = UNTOUCHED;
	avail()->ring[offered % RING] = (uint16_t)(slot * DESCS);
	is_free[slot] = false;
	offered++;
	avail()->idx = offered;
}

static void slot_check(const struct virtq_used_elem *element, bool may_fail)
{
	unsigned int slot = element->id / DESCS;
	uint8_t status;

	fuzz_check(element->id % DESCS == 0 && slot < SLOTS);
	status = slot_at(slot)[SLOT_STATUS_AT];
	fuzz_check(status == VIRTIO_CRYPTO_OK || (may_fail && status == VIRTIO_CRYPTO_ERR));
	fuzz_check(status != VIRTIO_CRYPTO_OK || element->len == DATA + 1);
}

/* What is done, which is free again. */
static void slots_look(bool may_fail)
{
	while (done != used()->idx) {
		const struct virtq_used_elem *element = &used()->ring[done % RING];

		fuzz_check(done != offered);
		slot_check(element, may_fail);
		is_free[element->id / DESCS] = true;
		done++;
	}
}

void neighbour_go_on(bool may_fail)
{
	if (!device)
		return;
	slots_look(may_fail);
	for (unsigned int i = 0; i < SLOTS; i++)
		if (is_free[i])
			slot_offer(i);
}

bool neighbour_idle(void)
{
	return !device || used()->idx == offered;
}

void neighbour_end(bool may_fail)
{
	if (!device)
		return;
	slots_look(may_fail);
	fuzz_check(!device_broken(device));
	device_queue_stop(device, 0);
	device_reset(device);
	device_destroy(device);
	device = NULL;
	munmap(memory, SIZE);
	close(memory_fd);
}
