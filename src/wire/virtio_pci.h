/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over PCI on the wire (virtio 1.3, section 4.1): the parts of PCI's configuration space
 * that matter to it, and the registers of a modern device.
 *
 * Layout only, no code. Little-endian.
 */
#ifndef VC_WIRE_VIRTIO_PCI_H
#define VC_WIRE_VIRTIO_PCI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTIO_PCI_VENDOR 0x1af4
/* 4.1.2.1: modern devices, 0x1040 + the device's id. */
#define VIRTIO_PCI_DEVICE_CRYPTO 0x1054

/* PCI configuration space, header type 0. */
#define PCI_CONFIG_SIZE 256
#define PCI_CONFIG_VENDOR 0x00
#define PCI_CONFIG_DEVICE 0x02
#define PCI_CONFIG_COMMAND 0x04
#define PCI_CONFIG_STATUS 0x06
#define PCI_CONFIG_HEADER_TYPE 0x0e
#define PCI_CONFIG_CAPABILITIES 0x34
#define PCI_CONFIG_HEADER_SIZE 0x40
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_MASTER 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS_CAPABILITIES 0x0010
#define PCI_BARS 6

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX 0x11
#define PCI_MSIX_CONTROL 2
#define PCI_MSIX_CONTROL_SIZE 0x07ff /* vectors - 1 */

/* 4.1.4: struct virtio_pci_cap, and what follows it in the one for notifications. */
struct virtio_pci_cap {
	uint8_t cap_vndr;
	uint8_t cap_next;
	uint8_t cap_len;
	uint8_t cfg_type;
	uint8_t bar;
	uint8_t id;
	uint8_t padding[2];
	uint32_t offset;
	uint32_t length;
};

struct virtio_pci_notify_cap {
	struct virtio_pci_cap cap;
	uint32_t notify_off_multiplier;
};

static_assert(sizeof(struct virtio_pci_cap) == 16, "4.1.4");
static_assert(sizeof(struct virtio_pci_notify_cap) == 20, "4.1.4.4");

#define VIRTIO_PCI_CAP_COMMON_CFG 1
#define VIRTIO_PCI_CAP_NOTIFY_CFG 2
#define VIRTIO_PCI_CAP_ISR_CFG 3
#define VIRTIO_PCI_CAP_DEVICE_CFG 4

/* 4.1.4.3. */
struct virtio_pci_common_cfg {
	uint32_t device_feature_select;
	uint32_t device_feature;
	uint32_t driver_feature_select;
	uint32_t driver_feature;
	uint16_t config_msix_vector;
	uint16_t num_queues;
	uint8_t device_status;
	uint8_t config_generation;
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_msix_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_off;
	uint64_t queue_desc;
	uint64_t queue_driver;
	uint64_t queue_device;
};

static_assert(offsetof(struct virtio_pci_common_cfg, queue_desc) == 32, "4.1.4.3");
static_assert(sizeof(struct virtio_pci_common_cfg) == 56, "4.1.4.3, without what is optional");

#define VIRTIO_MSI_NO_VECTOR 0xffff

/* 4.1.4.5: reading it clears it. */
#define VIRTIO_PCI_ISR_QUEUE 0x01
#define VIRTIO_PCI_ISR_CONFIG 0x02

/* 2.1: device status. */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01
#define VIRTIO_STATUS_DRIVER 0x02
#define VIRTIO_STATUS_DRIVER_OK 0x04
#define VIRTIO_STATUS_FEATURES_OK 0x08
#define VIRTIO_STATUS_NEEDS_RESET 0x40
#define VIRTIO_STATUS_FAILED 0x80

#endif
