/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a PCI device is reached from user space: a table of functions for each of the kernel's
 * drivers that allow it. Under the device's lock, but for interrupts. 0 or -errno, and a sentence.
 *
 * Guest addresses are our own addresses (driver.h), so memory for the device is mapped where it
 * lies for the device: with an IOMMU we say where that is, without one it is its physical address.
 */
#ifndef VC_VIRTIO_PCI_DEVICE_H
#define VC_VIRTIO_PCI_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/memory.h"
#include "virtio/pci_layout.h"
#include "virtio/pci_sysfs.h"
#include "virtio/transport.h"

struct pci_device; /* the driver's own */

/* A BAR, for mmap(). */
struct pci_bar {
	int fd;
	uint64_t offset; /* in the file */
	bool close;      /* the descriptor is the caller's to close */
};

struct pci_driver {
	/* An IOMMU translates: the device sees our addresses. Else it sees physical ones. */
	bool translated;
	/* Take it, for ourselves alone, and let it reach memory. */
	int (*open)(const char *address, const struct pci_info *info, struct pci_device **device,
	            struct transport_error *error);
	/* It reaches no memory any more. */
	void (*close)(struct pci_device *device);
	/* A descriptor that is readable when the device is to be given back; -1: there is none. */
	int (*gone_fd)(const struct pci_device *device);
	/* It is gone, or is to be given back: its registers are not to be touched. Any thread. */
	bool (*gone)(struct pci_device *device);
	int (*config_read)(struct pci_device *device, uint8_t config[PCI_CONFIG_SIZE]);
	int (*bars)(struct pci_device *device, uint64_t size[PCI_BARS]);
	int (*bar_open)(struct pci_device *device, unsigned int bar, struct pci_bar *file);
	/* Memory for rings and buffers, from min to want bytes. */
	int (*region_create)(struct pci_device *device, size_t min, size_t want, int hugepages,
	                     struct shared_region *region, struct transport_error *error);
	/* Memory that is somebody else's; -EOPNOTSUPP: the device cannot reach it. */
	int (*memory_add)(struct pci_device *device, void *address, size_t size,
	                  struct transport_error *error);
	int (*memory_remove)(struct pci_device *device, void *address, size_t size);
	/* Interrupts. vectors: wanted, of which the first is for the configuration; 1: the line.
	 * fds: out, one for each. Returns how many there are: as many, or 1. */
	int (*irq_open)(struct pci_device *device, unsigned int vectors, int *fds);
	/* The line: how often it was raised since the last time; it is masked then, until it is
	 * unmasked. Any thread. */
	uint64_t (*irq_take)(struct pci_device *device);
	void (*irq_unmask)(struct pci_device *device);
};

extern const struct pci_driver pci_driver_uio;
extern const struct pci_driver pci_driver_vfio;

/* pci_fault.c: registers that are mapped there read as zero once the device is unplugged, instead
 * of ending the process by SIGBUS. Any thread. 0, -ENOSPC. */
int pci_fault_guard(const void *start, size_t size);
void pci_fault_unguard(const void *start);

/* pci_hugepages.c: huge pages that are neighbours in physical memory, mapped at their physical
 * addresses. */
int pci_hugepages_create(size_t min, size_t want, struct shared_region *region,
                         struct transport_error *error);

#endif
