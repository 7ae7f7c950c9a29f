/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI devices as the kernel shows them below /sys/bus/pci: what there is, which driver has it, and
 * giving it to another one. Any thread; not for the data path. For the driver and for vcryptoctl.
 *
 * root is "/sys/bus/pci", or a directory that looks like it. Functions return 0 or -errno.
 */
#ifndef VC_VIRTIO_PCI_SYSFS_H
#define VC_VIRTIO_PCI_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "wire/virtio_pci.h"

#define PCI_SYSFS_ROOT "/sys/bus/pci"
#define PCI_DRIVER_UIO "uio_pci_generic"
#define PCI_DRIVER_VFIO "vfio-pci"

#define PCI_NAME_SIZE 64

/* The addresses of the virtio-crypto devices, sorted; how many there
 * are, of which max are written, or -errno. */
int pci_sysfs_find(const char *root, char (*addresses)[PCI_ADDRESS_SIZE], unsigned int max);

struct pci_info {
	uint16_t vendor, device;
	char driver[PCI_NAME_SIZE];      /* "" : none */
	char iommu_group[PCI_NAME_SIZE]; /* its number; "": there is none */
	char iommu_type[PCI_NAME_SIZE];  /* of the group: "DMA-FQ", "identity" ...; "": unknown */
	char uio[PCI_NAME_SIZE];         /* "uio0"; "": none */
};

/* -ENODEV: no such device. */
int pci_sysfs_info(const char *root, const char *address, struct pci_info *info);
/* Sizes of the BARs that are memory; 0: all others. */
int pci_sysfs_bars(const char *root, const char *address, uint64_t size[PCI_BARS]);
/* A file of the device, for reading and writing: descriptor or -errno. */
int pci_sysfs_open(const char *root, const char *address, const char *name);

/* The device's accesses are known to go past the IOMMU: a driver of virtio has agreed on features
 * with it, and VIRTIO_F_ACCESS_PLATFORM is not one of them. */
bool pci_sysfs_passes_iommu(const char *root, const char *address);

bool pci_sysfs_has_driver(const char *root, const char *driver);
/*
 * Take the device from the driver that has it, if any, and give it to another one; NULL: to the one
 * that the kernel likes best. Safe to repeat. The kernel decides: look at pci_sysfs_info() after
 * it.
 */
int pci_sysfs_rebind(const char *root, const char *address, const char *driver);

#endif
