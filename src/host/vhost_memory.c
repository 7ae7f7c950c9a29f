/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages about guest memory. Main thread. What the front end says of a region is
 * checked against the file and the other regions before anything is mapped (memtable.c).
 */
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "host/vhost_handlers.h"

/* Memory must be kept by the kernel itself: a page fault in a file of FUSE or NFS could be held up
 * for ever by whoever serves it. */
static int memory_fd_check(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC)
		return -EINVAL;
	return 0;
}

/* Make a table that has the region too. */
static int memory_with(struct device *device, const struct memtable *table,
                       const struct vhost_user_mem_region *region, int fd, struct memtable **larger)
{
	uint64_t bytes = memtable_bytes(table);
	int err = memory_fd_check(fd);

	if (!err)
		err = device_memory_allow(device, region->size > UINT64_MAX - bytes
		                                          ? UINT64_MAX
		                                          : bytes + region->size);
	return err ? err : memtable_with(table, region, fd, larger);
}

static int memory_add(struct device *device, struct memtable **table,
                      const struct vhost_user_mem_region *region, int fd)
{
	struct memtable *larger;
	int err = memory_with(device, *table, region, fd, &larger);

	if (err)
		return err;
	memtable_free(*table);
	*table = larger;
	return 0;
}

/* The whole table at once; replaces what was there. */
int on_set_mem_table(struct front_end *front_end, struct message *message)
{
	struct vhost_user_mem_table wire = {0};
	struct memtable *table;
	int err = 0;

	memcpy(&wire, message->payload, vc_min(message->header.size, sizeof(wire)));
	if (wire.nregions > VHOST_USER_MAX_BASE_REGIONS || wire.nregions != message->nfds ||
	    message->header.size != offsetof(struct vhost_user_mem_table, regions) +
	                                    wire.nregions * sizeof(wire.regions[0]))
		return -EPROTO;
	table = memtable_new();
	if (!table)
		return -ENOMEM;
	for (uint32_t i = 0; i < wire.nregions && !err; i++)
		err = memory_add(front_end->device, &table, &wire.regions[i], message->fds[i]);
	if (err) {
		memtable_free(table);
		return err;
	}
	return device_memory_begin(front_end->device, table, &front_end->change);
}

int on_get_max_mem_slots(struct front_end *front_end, struct message *message)
{
	return answer_u64(message, MEMTABLE_MAX_REGIONS);
}

/* Comes with each new process in the guest: nothing in flight has to wait. */
int on_add_mem_reg(struct front_end *front_end, struct message *message)
{
	struct vhost_user_mem_reg_msg wire;
	struct memtable *table;
	int err;

	memcpy(&wire, message->payload, sizeof(wire));
	err = memory_with(front_end->device, device_regions(front_end->device), &wire.region,
	                  message->fds[0], &table);
	if (err)
		return err;
	return device_memory_begin(front_end->device, table, &front_end->change);
}

/* A descriptor that comes with it is of no use, and closed. */
int on_rem_mem_reg(struct front_end *front_end, struct message *message)
{
	struct vhost_user_mem_reg_msg wire;
	struct memtable *table;
	int err;

	memcpy(&wire, message->payload, sizeof(wire));
	err = memtable_without(device_regions(front_end->device), &wire.region, &table);
	if (err)
		return err;
	return device_memory_begin(front_end->device, table, &front_end->change);
}

/* ---- in-flight requests ---- */

static void inflight_wire(const struct message *message, struct vhost_user_inflight *wire)
{
	memset(wire, 0, sizeof(*wire));
	memcpy(wire, message->payload, vc_min(message->header.size, sizeof(*wire)));
}

/* Of what kind the rings are: front ends agree on features before they ask for the buffer. */
static bool rings_packed(const struct device *device)
{
	return device->features >> VIRTIO_F_RING_PACKED & 1;
}

static int inflight_create(struct front_end *front_end, struct vhost_user_inflight *wire)
{
	struct device *device = front_end->device;
	struct inflight_area area = {0};
	int err;

	wire->mmap_size = wire->mmap_offset = 0;
	if (!wire->num_queues || wire->num_queues > device->data_queues + 1 || !wire->queue_size ||
	    wire->queue_size > VIRTQ_MAX_SIZE)
		return -EINVAL;
	err = inflight_area_create(&area, rings_packed(device), wire->num_queues, wire->queue_size,
	                           &front_end->answer_fd);
	if (err)
		return err;
	wire->mmap_size = inflight_area_bytes(area.packed, wire->num_queues, wire->queue_size);
	/* The front end will set it before it starts the queues. */
	inflight_area_close(&area);
	return 0;
}

int on_get_inflight_fd(struct front_end *front_end, struct message *message)
{
	struct vhost_user_inflight wire;
	int err;

	inflight_wire(message, &wire);
	err = inflight_create(front_end, &wire);
	if (!err)
		memcpy(message->payload, &wire, message->header.size);
	return err;
}

int on_set_inflight_fd(struct front_end *front_end, struct message *message)
{
	struct vhost_user_inflight wire;
	struct inflight_area area = {0};
	int err;

	inflight_wire(message, &wire);
	if (message->nfds != (wire.mmap_size ? 1 : 0))
		return -EPROTO;
	if (wire.mmap_size) {
		if (wire.num_queues > front_end->device->data_queues + 1)
			return -EINVAL;
		err = memory_fd_check(message->fds[0]);
		if (!err)
			err = inflight_area_open(&area, rings_packed(front_end->device), &wire,
			                         message->fds[0]);
		if (err)
			return err;
	}
	err = device_inflight_set(front_end->device, &area);
	if (err)
		inflight_area_close(&area);
	return err;
}
