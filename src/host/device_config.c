/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's configuration space. Any thread.
 */
#include <string.h>

#include "host/device.h"

void device_config(const struct device *device, const struct group *group,
                   struct virtio_crypto_config *config)
{
	memset(config, 0, sizeof(*config));
	group_offer(group, config);
	if (!atomic_load(&device->not_ready))
		config->status = VIRTIO_CRYPTO_S_HW_READY;
	config->max_dataqueues = device->data_queues;
	config->max_size = device->max_size;
}
