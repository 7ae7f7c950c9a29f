/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of a device: made when it is opened, given out, and registered. Any thread, under the
 * device's lock.
 *
 * Memory that a transport cannot let the device reach is registered all the same, and copied
 * (bounce.h).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "virtio/bounce.h"
#include "virtio/driver.h"

#define PAGE 4096u
/* Where memory is scarce: with less than this, beside the rings, nothing can be done. */
#define SPARE_MIN ((size_t)512 << 10)

/* Out of the swap as far as we are allowed to, each page once it is used. */
static int keys_init(struct vcrypto_device *device, uint8_t *memory, size_t size)
{
	mlock2(memory, size, MLOCK_ONFAULT);
	return arena_init(&device->keys, memory, size);
}

/* The largest ring of a queue, in chains of so many descriptors. */
static unsigned int chains_max(struct vcrypto_device *device, unsigned int index,
                               unsigned int descriptors)
{
	unsigned int size = device->ops->queue_size_max
	                            ? device->ops->queue_size_max(device->transport, index)
	                            : VIRTQ_MAX_SIZE;

	return size / descriptors;
}

static int queue_sizes(struct vcrypto_device *device, struct device_plan *plan)
{
	/* A direct chain takes a table's worth of descriptors, and the ring has a largest size. */
	unsigned int table = plan->indirect ? 1 : queue_table(plan->options.pieces);
	unsigned int smallest = plan->depth;

	for (unsigned int i = 0; i < device->queue_count; i++)
		smallest = vc_min(smallest, chains_max(device, i, table));
	plan->depth = smallest;
	device->control.count = CONTROL_SLOTS;
	if (!sessions_by_message(device->sessions))
		device->control.count =
			vc_min(CONTROL_SLOTS, chains_max(device, device->config.max_dataqueues,
		                                         control_queue_chain(plan->indirect)));
	if (smallest >= 2 && device->control.count >= 2)
		return 0;
	transport_error_set(&device->error, "its queues are too small");
	return -EPROTO;
}

/* By the transport, of the size that it can have; or any, which it is then told of. */
static int region_get(struct vcrypto_device *device, struct device_plan *plan, size_t min,
                      size_t want)
{
	struct transport_error *error = &device->error;
	int hugepages = plan->options.hugepages;
	int err;

	if (device->ops->region_create)
		return device->ops->region_create(device->transport, min, want, hugepages,
		                                  &device->region, error);
	err = shared_region_create(want, hugepages, &device->region);
	if (err) {
		transport_error_set(error, "%zu bytes of %s: %s", want,
		                    hugepages > 0 ? "huge pages" : "shared memory", strerror(-err));
		return err;
	}
	return device->ops->memory_add(device->transport, device->region.base, device->region.size,
	                               device->region.fd, 0, error);
}

int device_memory(struct vcrypto_device *device, struct device_plan *plan)
{
	unsigned int pieces = plan->options.pieces;
	size_t rings, keys = vc_round_up(plan->options.key_memory, PAGE), copies = 0, arena, total;
	int err = queue_sizes(device, plan);

	if (err)
		return err;
	plan->queue_size = vc_round_up(
		queue_bytes(plan->depth, pieces, plan->indirect, plan->kind.packed), PAGE);
	plan->control_size = vc_round_up(control_bytes(plan->indirect, plan->kind.packed), PAGE);
	rings = plan->queue_size * device->queue_count + plan->control_size;
	if (device->ops->copies)
		copies = bounce_bytes(plan->depth) * device->queue_count;
	arena = vc_round_up(plan->options.memory, PAGE);
	total = rings + keys + copies + arena;
	err = region_get(device, plan, rings + keys + SPARE_MIN, total);
	if (err)
		return err;
	err = keys ? keys_init(device, device->region.base + rings, keys) : 0;
	if (err)
		return err;
	rings += keys;
	/* Less than was wanted, perhaps: then each gets its part of what there is. */
	if (device->region.size < total)
		copies = (size_t)((double)copies / (double)(copies + arena) *
		                  (double)(device->region.size - rings));
	plan->copy_size = copies / device->queue_count / PAGE * PAGE;
	rings += plan->copy_size * device->queue_count;
	err = arena_init(&device->arena, device->region.base + rings, device->region.size - rings);
	return err ? err : regions_add(&device->regions, device->region.base, device->region.size);
}

void *vcrypto_memory_alloc(struct vcrypto_device *device, size_t size)
{
	void *memory;

	pthread_mutex_lock(&device->lock);
	memory = arena_alloc(&device->arena, size);
	pthread_mutex_unlock(&device->lock);
	return memory;
}

void vcrypto_memory_free(struct vcrypto_device *device, void *memory)
{
	if (!memory)
		return;
	pthread_mutex_lock(&device->lock);
	if (arena_free(&device->arena, memory))
		transport_error_set(&device->error, "%p is not allocated: not freed", memory);
	pthread_mutex_unlock(&device->lock);
}

static int memory_list(struct vcrypto_device *device, struct regions *regions, const void *address,
                       size_t size)
{
	int err = regions_add(regions, address, size);

	if (err)
		transport_error_set(&device->error, "memory to register %s",
		                    err == -ENOSPC ? "makes too many regions" : "overlaps");
	return err;
}

int vcrypto_memory_register(struct vcrypto_device *device, void *address, size_t size, int fd,
                            uint64_t offset)
{
	int err = -EINVAL;

	pthread_mutex_lock(&device->lock);
	if (!size || (uintptr_t)address % PAGE || size % PAGE || offset % PAGE) {
		transport_error_set(&device->error, "memory to register is not whole pages");
		goto out;
	}
	err = memory_list(device, &device->regions, address, size);
	if (err)
		goto out;
	err = device_result(device, device->ops->memory_add(device->transport, address, size, fd,
	                                                    offset, &device->error));
	if (err)
		regions_remove(&device->regions, address);
	if (err == -EOPNOTSUPP && device->ops->copies)
		err = memory_list(device, &device->copied, address, size);
	/* All else was checked here, so it is the number of regions that was refused. */
	if (err == -EREMOTEIO)
		err = -ENOSPC;
out:
	pthread_mutex_unlock(&device->lock);
	return err;
}

bool vcrypto_memory_copied(struct vcrypto_device *device, const void *address)
{
	bool copied;

	pthread_mutex_lock(&device->lock);
	copied = regions_size(&device->copied, address) != 0;
	pthread_mutex_unlock(&device->lock);
	return copied;
}

int vcrypto_memory_unregister(struct vcrypto_device *device, void *address)
{
	size_t size;
	int err = -ENOENT;

	pthread_mutex_lock(&device->lock);
	size = regions_size(&device->regions, address);
	if (size && address != device->region.base) {
		regions_remove(&device->regions, address);
		err = device_result(device, device->ops->memory_remove(device->transport, address,
		                                                       size, &device->error));
		if (err == -EREMOTEIO)
			err = -ENOENT;
	} else if (regions_size(&device->copied, address)) {
		regions_remove(&device->copied, address);
		err = 0;
	}
	pthread_mutex_unlock(&device->lock);
	return err;
}
