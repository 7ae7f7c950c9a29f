/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest: opens its device on the PCI bus as a good driver, puts work into a queue, and
 * then writes over whatever the device reads: rings, descriptors, indirect tables, headers, its own
 * used ring, and the registers of the common configuration; it kicks at random all the while. Each
 * round is a process of its own, because what it does to its driver's memory may well end it.
 *
 * scribble ADDRESS ROUNDS SEED. Prints how many rounds went to their end. A round leaves its
 * sessions behind: QEMU keeps what its guest has made and forgotten.
 */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vcrypto/vcrypto.h>

#include "base/util.h"
#include "wire/virtio_pci.h"
#include "wire/virtio_ring.h"

enum { OPS = 64, STEPS = 20000, ROUND_SECONDS = 20 };
/* How often in a round, and for how long, a device that is behind is waited for. */
enum { PATIENCE = 200, PAUSE_US = 500 };
/* Of the memory in which our driver has rings, tables, headers and data. */
#define ARENA (2u << 20)

static struct {
	uint64_t random;
	const char *address;
	volatile struct virtio_pci_common_cfg *common;
	volatile uint8_t *notify;
	uint32_t notify_size;
	struct vcrypto_queue *queue;
	struct vcrypto_op ops[OPS];
} me;

static uint32_t any(uint32_t below)
{
	me.random = me.random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(me.random >> 33) % below;
}

/* ---- the registers ---- */

static volatile uint8_t *bar_map(const struct virtio_pci_cap *cap)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%u", me.address, cap->bar);

	int fd = open(path, O_RDWR | O_CLOEXEC);
	size_t size = vc_round_up((size_t)cap->offset + cap->length, 4096);
	uint8_t *base =
		fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		err(EXIT_FAILURE, "%s", path);
	close(fd);
	return base + cap->offset;
}

static void registers_map(void)
{
	uint8_t config[PCI_CONFIG_SIZE];
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", me.address);

	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, config, sizeof(config)) != (ssize_t)sizeof(config))
		err(EXIT_FAILURE, "%s", path);
	close(fd);
	for (uint8_t at = config[PCI_CONFIG_CAPABILITIES];
	     at >= PCI_CONFIG_HEADER_SIZE && at < sizeof(config) - 16; at = config[at + 1]) {
		struct virtio_pci_cap cap;

		memcpy(&cap, config + at, sizeof(cap));
		if (cap.cap_vndr != PCI_CAP_VENDOR)
			continue;
		if (cap.cfg_type == VIRTIO_PCI_CAP_COMMON_CFG) {
			me.common = (volatile struct virtio_pci_common_cfg *)bar_map(&cap);
		} else if (cap.cfg_type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
			me.notify = bar_map(&cap);
			me.notify_size = cap.length;
		}
	}
	if (!me.common || !me.notify)
		errx(EXIT_FAILURE, "%s has no registers of virtio", me.address);
}

/* ---- the damage ---- */

struct target {
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	uint16_t size;
};

/* Our driver maps its memory where the device sees it. */
static struct target target_find(void)
{
	me.common->queue_select = 0;

	return (struct target){.desc = (struct virtq_desc *)(uintptr_t)me.common->queue_desc,
	                       .avail = (struct virtq_avail *)(uintptr_t)me.common->queue_driver,
	                       .used = (struct virtq_used *)(uintptr_t)me.common->queue_device,
	                       .size = me.common->queue_size};
}

static uint64_t bad_address(const struct target *t)
{
	switch (any(4)) {
	case 0:
		return (uintptr_t)t->desc + any(ARENA);
	case 1:
		return any(UINT32_MAX);
	case 2:
		return (uint64_t)any(UINT32_MAX) << 32 | any(UINT32_MAX);
	default:
		return (uintptr_t)t->desc & ~(uint64_t)4095;
	}
}

static void descriptor_break(const struct target *t)
{
	struct virtq_desc *desc = &t->desc[any(t->size)];

	switch (any(4)) {
	case 0:
		desc->addr = bad_address(t);
		break;
	case 1:
		desc->len = any(2) ? any(UINT32_MAX) : any(256) * 16;
		break;
	case 2:
		desc->flags = (uint16_t)any(16);
		break;
	default:
		desc->next = (uint16_t)any(UINT16_MAX);
	}
}

/* Registers that decide what the device believes. Whatever it makes of them, it is reset by the
 * next round. */
static void register_break(void)
{
	switch (any(6)) {
	case 0:
		me.common->queue_select = (uint16_t)any(4);
		break;
	case 1:
		me.common->driver_feature_select = any(2);
		me.common->driver_feature = any(UINT32_MAX);
		break;
	case 2:
		me.common->queue_msix_vector = (uint16_t)any(UINT16_MAX);
		break;
	case 3:
		me.common->device_status = 0;
		break;
	default:
		me.common->queue_driver = any(UINT32_MAX);
	}
}

static void step(const struct target *t)
{
	switch (any(64)) {
	case 0:
		/* Far is the end of the ring. */
		t->avail->idx = (uint16_t)(t->avail->idx + any(any(200) ? 4 : t->size * 2u));
		break;
	case 1:
		t->avail->flags = (uint16_t)any(UINT16_MAX);
		break;
	case 2:
		if (!any(200))
			register_break();
		break;
	case 3 ... 15:
		/* And so is a head that is none. */
		t->avail->ring[any(t->size + 1u)] = (uint16_t)any(any(4000) ? t->size : UINT16_MAX);
		break;
	case 16 ... 31:
		descriptor_break(t);
		break;
	case 32 ... 35:
		((uint16_t *)t->used)[any(t->size * 4u)] = (uint16_t)any(UINT16_MAX);
		break;
	case 36 ... 45:
		*(volatile uint16_t *)(me.notify + (any(me.notify_size / 4) & 15) * 4) = 0;
		break;
	default:
		/* Tables, headers, IVs, status bytes. */
		((uint32_t *)t->desc)[any(ARENA / 4)] = any(UINT32_MAX);
	}
	/* One more request, so that there is something to be misled by. */
	t->avail->idx = (uint16_t)(t->avail->idx + !any(32));
}

/* Whether the device has much to do. On a busy machine it may have no CPU for long; to go on
 * without it would make of a whole round one ring with too much in it. */
static bool device_behind(const struct target *t)
{
	return (uint16_t)(t->avail->idx - t->used->idx) > t->size / 4;
}

/* ---- a round ---- */

static bool work_begin(void)
{
	const struct vcrypto_session_params params = {.service = VCRYPTO_SERVICE_CIPHER,
	                                              .algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                              .direction = VCRYPTO_ENCRYPT,
	                                              .key = (const uint8_t *)"0123456789abcdef",
	                                              .key_len = 16};
	struct vcrypto_device_options options = {
		.pci = me.address, .sessions = VCRYPTO_SESSIONS_IN_BAND, .memory = ARENA};
	struct vcrypto_op *list[OPS];
	struct vcrypto_session *session;
	struct vcrypto_device *device;
	char *text = NULL;
	uint8_t *data;

	if (vcrypto_device_open(&options, &device, &text)) {
		warnx("%s", text);
		free(text);
		return false;
	}
	me.queue = vcrypto_device_queue(device, 0);
	data = vcrypto_memory_alloc(device, 4096);
	if (!data || vcrypto_session_create(device, &params, &session))
		return false;
	for (unsigned int i = 0; i < OPS; i++) {
		me.ops[i] = (struct vcrypto_op){
			.session = session, .src = data, .dst = data, .length = 4096, .iv_len = 16};
		list[i] = &me.ops[i];
	}
	return vcrypto_queue_submit(me.queue, list, OPS) >= 0;
}

static _Noreturn void round_run(void)
{
	const struct rlimit no_core = {0};

	setrlimit(RLIMIT_CORE, &no_core);
	alarm(ROUND_SECONDS);
	if (!work_begin())
		_exit(EXIT_FAILURE);

	struct target t = target_find();
	unsigned int patience = PATIENCE;

	for (unsigned int i = 0; i < STEPS; i++) {
		step(&t);
		if (patience && device_behind(&t)) {
			usleep(PAUSE_US);
			patience--;
		}
	}
	/* Not closed: the next one finds the device as this one leaves it. */
	_exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
	unsigned long rounds, whole = 0;

	if (argc != 4)
		errx(2, "usage: scribble ADDRESS ROUNDS SEED");
	me.address = argv[1];
	rounds = strtoul(argv[2], NULL, 10);
	me.random = strtoull(argv[3], NULL, 10);
	registers_map();
	for (unsigned long i = 0; i < rounds; i++) {
		int status;
		pid_t child = fork();

		if (child < 0)
			err(EXIT_FAILURE, "fork");
		if (!child)
			round_run();
		waitpid(child, &status, 0);
		whole += WIFEXITED(status) && !WEXITSTATUS(status);
		any(2);
	}
	printf("%lu of %lu rounds\n", whole, rounds);
	return whole ? EXIT_SUCCESS : EXIT_FAILURE;
}
