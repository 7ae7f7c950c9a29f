/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the registers of a modern virtio device are, by the capabilities in its PCI configuration
 * space (virtio 1.3, 4.1.4). Bytes in, numbers out: nothing is mapped or touched here.
 *
 * What the device says is checked: a capability that points outside its BAR, is too short for what
 * it names, or loops is not used.
 */
#ifndef VC_VIRTIO_PCI_LAYOUT_H
#define VC_VIRTIO_PCI_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/virtio_pci.h"

/* Part of a BAR. */
struct pci_window {
	uint8_t bar;
	uint32_t offset, length; /* bytes; length 0: there is none */
};

struct pci_layout {
	struct pci_window common, notify, isr, device;
	uint32_t notify_multiplier; /* bytes */
	uint8_t msix;               /* offset of the capability; 0: none */
	uint16_t msix_vectors;
};

/*
 * config: PCI_CONFIG_SIZE bytes. bar_size: of each BAR as the kernel has it, 0 where there is none.
 * 0; -ENODEV it is not a modern virtio-crypto device; -EPROTO it is one that cannot be driven. Then
 * *why is a static sentence.
 */
int pci_layout_read(const uint8_t *config, const uint64_t bar_size[PCI_BARS],
                    struct pci_layout *layout, const char **why);

/* Where in the notify window queue's register is (4.1.4.4). False: outside of it. */
bool pci_layout_notify(const struct pci_layout *layout, uint16_t queue_notify_off,
                       uint64_t *offset);

#endif
