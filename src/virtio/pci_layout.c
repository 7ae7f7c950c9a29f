/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities in PCI's configuration space; see pci_layout.h. Any thread. What is read comes from
 * the device and is not trusted.
 */
#include "virtio/pci_layout.h"

#include <errno.h>
#include <string.h>

/* As many as fit, so that a list that loops ends. */
#define CAPABILITIES_MAX ((PCI_CONFIG_SIZE - PCI_CONFIG_HEADER_SIZE) / 4)
/* The specification's first 48 bytes: all that has been there since 1.0. */
#define DEVICE_CONFIG_MIN 48

static uint16_t read_u16(const uint8_t *config, unsigned int offset)
{
	return (uint16_t)(config[offset] | config[offset + 1] << 8);
}

static uint32_t read_u32(const uint8_t *config, unsigned int offset)
{
	return read_u16(config, offset) | (uint32_t)read_u16(config, offset + 2) << 16;
}

/* The registers that a capability names, if they are large enough, aligned and inside a BAR. */
static void window_take(const uint8_t *config, unsigned int at, const uint64_t bar_size[PCI_BARS],
                        uint32_t min, uint32_t align, struct pci_window *window)
{
	struct virtio_pci_cap cap;

	memcpy(&cap, config + at, sizeof(cap));
	/* The first that can be used is to be used (4.1.4.1); reserved BARs are to be ignored. */
	if (window->length || cap.bar >= PCI_BARS || cap.length < min || cap.offset % align ||
	    (uint64_t)cap.offset + cap.length > bar_size[cap.bar])
		return;
	*window = (struct pci_window){cap.bar, cap.offset, cap.length};
}

static void notify_take(const uint8_t *config, unsigned int at, const uint64_t bar_size[PCI_BARS],
                        struct pci_layout *layout)
{
	uint32_t multiplier = read_u32(
		config, at + offsetof(struct virtio_pci_notify_cap, notify_off_multiplier));

	/* An even power of two, or 0 (4.1.4.4.1). */
	if (layout->notify.length || multiplier & 1 || multiplier & (multiplier - 1))
		return;
	window_take(config, at, bar_size, 2, 2, &layout->notify);
	layout->notify_multiplier = multiplier;
}

static void capability_take(const uint8_t *config, unsigned int at,
                            const uint64_t bar_size[PCI_BARS], struct pci_layout *layout)
{
	unsigned int room = PCI_CONFIG_SIZE - at;
	uint8_t length = room > 2 ? config[at + 2] : 0;

	if (config[at] == PCI_CAP_MSIX && room >= 12 && !layout->msix) {
		layout->msix = (uint8_t)at;
		layout->msix_vectors = (uint16_t)((read_u16(config, at + PCI_MSIX_CONTROL) &
		                                   PCI_MSIX_CONTROL_SIZE) +
		                                  1);
	}
	if (config[at] != PCI_CAP_VENDOR || length < sizeof(struct virtio_pci_cap) || length > room)
		return;
	switch (config[at + offsetof(struct virtio_pci_cap, cfg_type)]) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		window_take(config, at, bar_size, sizeof(struct virtio_pci_common_cfg), 4,
		            &layout->common);
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		if (length >= sizeof(struct virtio_pci_notify_cap))
			notify_take(config, at, bar_size, layout);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		window_take(config, at, bar_size, 1, 1, &layout->isr);
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		window_take(config, at, bar_size, DEVICE_CONFIG_MIN, 4, &layout->device);
		break;
	default:
		break;
	}
}

static const char *identity_check(const uint8_t *config)
{
	if (read_u16(config, PCI_CONFIG_VENDOR) == 0xffff)
		return "nothing answers there";
	if (read_u16(config, PCI_CONFIG_VENDOR) != VIRTIO_PCI_VENDOR ||
	    read_u16(config, PCI_CONFIG_DEVICE) != VIRTIO_PCI_DEVICE_CRYPTO)
		return "it is not a virtio-crypto device (1af4:1054)";
	if (config[PCI_CONFIG_HEADER_TYPE] & 0x7f)
		return "it is a bridge";
	return NULL;
}

int pci_layout_read(const uint8_t *config, const uint64_t bar_size[PCI_BARS],
                    struct pci_layout *layout, const char **why)
{
	unsigned int at, count = 0;

	memset(layout, 0, sizeof(*layout));
	*why = identity_check(config);
	if (*why)
		return -ENODEV;
	if (!(read_u16(config, PCI_CONFIG_STATUS) & PCI_STATUS_CAPABILITIES)) {
		*why = "it has no capabilities";
		return -EPROTO;
	}
	/* The two lowest bits are reserved, and to be masked. */
	at = config[PCI_CONFIG_CAPABILITIES] & ~3u;
	while (at >= PCI_CONFIG_HEADER_SIZE && count++ < CAPABILITIES_MAX) {
		capability_take(config, at, bar_size, layout);
		at = config[at + 1] & ~3u;
	}
	if (count > CAPABILITIES_MAX)
		*why = "its capabilities have no end";
	else if (!layout->common.length)
		*why = "no capability for the common configuration that can be used";
	else if (!layout->notify.length)
		*why = "no capability for notifications that can be used";
	else if (!layout->isr.length)
		*why = "no capability for the interrupt status that can be used";
	else if (!layout->device.length)
		*why = "no capability for the device's configuration that can be used";
	return *why ? -EPROTO : 0;
}

bool pci_layout_notify(const struct pci_layout *layout, uint16_t queue_notify_off, uint64_t *offset)
{
	uint64_t at = (uint64_t)queue_notify_off * layout->notify_multiplier;

	*offset = at;
	/* Two bytes are written. */
	return at + 2 <= layout->notify.length;
}
