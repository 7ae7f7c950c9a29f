/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory region of one client. Main thread.
 */
#include "engined/region.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"

int region_layout_init(struct region_layout *layout, uint32_t channels, uint32_t slots,
                       uint32_t buffer_size)
{
	uint64_t offset;

	if (channels < 1 || channels > VCE_MAX_CHANNELS)
		return -EINVAL;
	if (slots < 2 || slots > VCE_MAX_SLOTS || !vc_is_power_of_two(slots))
		return -EINVAL;
	if (buffer_size < 4096 || buffer_size > 1024 * 1024)
		return -EINVAL;

	layout->channels = channels;
	layout->slots = slots;
	layout->buffer_size = buffer_size;
	layout->buffer_stride = (uint32_t)vc_round_up(buffer_size, VCE_CACHE_LINE);
	layout->channel_offset =
		(uint32_t)vc_round_up(sizeof(struct vce_region_header), VCE_CACHE_LINE);
	layout->slot_offset = (uint32_t)vc_round_up(
		sizeof(struct vce_channel) + slots * sizeof(uint16_t), VCE_CACHE_LINE);
	layout->channel_stride = layout->slot_offset + slots * (uint32_t)sizeof(struct vce_slot);
	offset = layout->channel_offset + (uint64_t)channels * layout->channel_stride;
	/* Pages that hold rings hold no data. */
	layout->buffer_offset = vc_round_up(offset, 4096);
	layout->buffer_end =
		layout->buffer_offset + (uint64_t)channels * slots * layout->buffer_stride;
	layout->size = vc_round_up(layout->buffer_end, 4096);
	/* Slots name places in 32 bits. */
	return layout->size > UINT32_MAX ? -EINVAL : 0;
}

static void region_header_write(struct vce_region_header *header,
                                const struct region_layout *layout)
{
	header->magic = VCE_MAGIC;
	header->version = VCE_VERSION;
	header->region_size = layout->size;
	header->channels = layout->channels;
	header->slots = layout->slots;
	header->channel_offset = layout->channel_offset;
	header->channel_stride = layout->channel_stride;
	header->slot_offset = layout->slot_offset;
	header->buffer_size = layout->buffer_size;
	header->buffer_offset = layout->buffer_offset;
	header->buffer_stride = layout->buffer_stride;
	header->offline = 1;
}

int region_create(struct region *region, const struct region_layout *layout)
{
	int error;

	region->base = NULL;
	region->layout = *layout;
	region->fd = memfd_create("vcrypto-client", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (region->fd < 0)
		return -errno;
	if (ftruncate(region->fd, (off_t)layout->size) < 0 ||
	    fcntl(region->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	region->base = map_reachable(layout->size, region->fd);
	if (region->base == MAP_FAILED)
		goto fail;
	/* Applications' data and, for a moment, their keys. */
	(void)madvise(region->base, layout->size, MADV_DONTDUMP);
	region_header_write(region_header(region), layout);
	return 0;

fail:
	error = errno;
	region->base = NULL;
	region_destroy(region);
	return -error;
}

void region_destroy(struct region *region)
{
	if (region->base)
		munmap(region->base, region->layout.size);
	if (region->fd >= 0)
		close(region->fd);
	region->base = NULL;
	region->fd = -1;
}
