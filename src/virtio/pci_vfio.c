/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI device bound to vfio-pci, behind an IOMMU. See pci_device.h.
 *
 * Registers are mapped from the device's descriptor, and memory is mapped for the device where it
 * lies in our address space, so that nothing is translated on the data path; the kernel pins it.
 * Interrupts are eventfds: MSI-X, or the line, which the kernel masks when it comes. The kernel
 * asks for the device when it is to be unplugged, and waits until we have closed it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "virtio/pci_device.h"

#define CONTAINER "/dev/vfio/vfio"
/* Memory of others is pinned, used or not: this part of the machine's, and no more. */
#define PINNED_PART 4

struct pci_device {
	int container, group, device;
	int request; /* eventfd: the kernel wants the device back */
	int *irq;    /* eventfds */
	unsigned int irqs;
	size_t pinned, pinned_max; /* bytes of others */
	atomic_bool given_up;      /* any thread */
};

/* ---- interrupts ---- */

/* Tell the kernel what to signal for the first count interrupts of that kind, if it has as many. */
static int irq_connect(const struct pci_device *device, unsigned int kind, const int *fds,
                       unsigned int count)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = kind};
	size_t size = sizeof(struct vfio_irq_set) + count * sizeof(*fds);
	struct vfio_irq_set *set;
	int got;

	if (ioctl(device->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0)
		return -errno;
	if (info.count < count || !(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return -ENOSPC;
	set = calloc(1, size);
	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = kind;
	set->count = count;
	memcpy(set->data, fds, count * sizeof(*fds));
	got = ioctl(device->device, VFIO_DEVICE_SET_IRQS, set);
	/* Above 0: there are only so many vectors left in the machine. */
	got = got < 0 ? -errno : got ? -ENOSPC : 0;
	free(set);
	return got;
}

static void irq_close(struct pci_device *device)
{
	for (unsigned int i = 0; i < device->irqs; i++)
		close(device->irq[i]);
	free(device->irq);
	device->irq = NULL;
	device->irqs = 0;
}

static int vfio_irq_open(struct pci_device *device, unsigned int vectors, int *fds)
{
	int err = 0;

	device->irq = calloc(vectors, sizeof(*device->irq));
	if (!device->irq)
		return -ENOMEM;
	for (unsigned int i = 0; i < vectors && !err; i++) {
		device->irq[i] = event_create();
		if (device->irq[i] < 0)
			err = device->irq[i];
		else
			device->irqs++;
	}
	if (!err && vectors > 1 &&
	    !irq_connect(device, VFIO_PCI_MSIX_IRQ_INDEX, device->irq, vectors))
		goto out;
	vectors = 1;
	if (!err)
		err = irq_connect(device, VFIO_PCI_INTX_IRQ_INDEX, device->irq, 1);
out:
	if (err)
		return err;
	memcpy(fds, device->irq, vectors * sizeof(*fds));
	return (int)vectors;
}

static uint64_t vfio_irq_take(struct pci_device *device)
{
	uint64_t count;

	return read(device->irq[0], &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void vfio_irq_unmask(struct pci_device *device)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
		.index = VFIO_PCI_INTX_IRQ_INDEX,
		.count = 1,
	};

	(void)ioctl(device->device, VFIO_DEVICE_SET_IRQS, &set);
}

static int vfio_gone_fd(const struct pci_device *device)
{
	return device->request;
}

static bool vfio_gone(struct pci_device *device)
{
	if (device->request >= 0 && event_clear(device->request))
		atomic_store(&device->given_up, true);
	return atomic_load(&device->given_up);
}

/* ---- registers ---- */

static int region_info(const struct pci_device *device, unsigned int index,
                       struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){.argsz = sizeof(*info), .index = index};
	return ioctl(device->device, VFIO_DEVICE_GET_REGION_INFO, info) < 0 ? -errno : 0;
}

static int vfio_config_read(struct pci_device *device, uint8_t config[PCI_CONFIG_SIZE])
{
	struct vfio_region_info info;
	int err = region_info(device, VFIO_PCI_CONFIG_REGION_INDEX, &info);

	if (err)
		return err;
	return pread(device->device, config, PCI_CONFIG_SIZE, (off_t)info.offset) == PCI_CONFIG_SIZE
	               ? 0
	               : -EIO;
}

/* It answers to accesses, and may access memory, or not any more. */
static int command_write(const struct pci_device *device, uint16_t command)
{
	struct vfio_region_info info;
	int err = region_info(device, VFIO_PCI_CONFIG_REGION_INDEX, &info);

	if (err)
		return err;
	return pwrite(device->device, &command, sizeof(command),
	              (off_t)info.offset + PCI_CONFIG_COMMAND) == sizeof(command)
	               ? 0
	               : -EIO;
}

/* Those that can be mapped. */
static int vfio_bars(struct pci_device *device, uint64_t size[PCI_BARS])
{
	struct vfio_region_info info;

	for (unsigned int i = 0; i < PCI_BARS; i++) {
		size[i] = 0;
		if (!region_info(device, VFIO_PCI_BAR0_REGION_INDEX + i, &info) &&
		    info.flags & VFIO_REGION_INFO_FLAG_MMAP)
			size[i] = info.size;
	}
	return 0;
}

static int vfio_bar_open(struct pci_device *device, unsigned int bar, struct pci_bar *file)
{
	struct vfio_region_info info;
	int err = region_info(device, VFIO_PCI_BAR0_REGION_INDEX + bar, &info);

	*file = (struct pci_bar){.fd = device->device, .offset = info.offset};
	return err;
}

/* ---- memory ---- */

static int dma_map(const struct pci_device *device, const void *address, size_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)address,
		.iova = (uintptr_t)address,
		.size = size,
	};

	return ioctl(device->container, VFIO_IOMMU_MAP_DMA, &map) < 0 ? -errno : 0;
}

/* Pages are pinned and count as locked. */
static int vfio_region_create(struct pci_device *device, size_t min, size_t want, int hugepages,
                              struct shared_region *region, struct transport_error *error)
{
	int err = shared_region_create(want, hugepages, region);

	if (err) {
		transport_error_set(error, "%zu bytes of memory: %s", want, strerror(-err));
		return err;
	}
	err = dma_map(device, region->base, region->size);
	if (!err)
		return 0;
	if (err == -ENOMEM)
		transport_error_set(error,
		                    "its memory (%zu MiB) is more than may be locked: raise "
		                    "RLIMIT_MEMLOCK (LimitMEMLOCK= of the service)",
		                    region->size >> 20);
	else
		transport_error_set(error,
		                    "its IOMMU does not map %p: %s; QEMU's intel-iommu has "
		                    "aw-bits=48",
		                    (void *)region->base, strerror(-err));
	shared_region_destroy(region);
	return err;
}

/* What the IOMMU cannot address, or what is too much to pin, is copied. */
static int vfio_memory_add(struct pci_device *device, void *address, size_t size,
                           struct transport_error *error)
{
	int err;

	if (size > device->pinned_max - device->pinned)
		return -EOPNOTSUPP;
	err = dma_map(device, address, size);
	if (err)
		return -EOPNOTSUPP;
	device->pinned += size;
	return 0;
}

static int vfio_memory_remove(struct pci_device *device, void *address, size_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = (uintptr_t)address,
		.size = size,
	};

	if (ioctl(device->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		return -errno;
	device->pinned -= vc_min(size, device->pinned);
	return 0;
}

/* ---- open and close ---- */

static void vfio_close(struct pci_device *device)
{
	if (!device)
		return;
	if (device->device >= 0) {
		(void)command_write(device, PCI_COMMAND_MEMORY);
		close(device->device);
	}
	irq_close(device);
	if (device->request >= 0)
		close(device->request);
	if (device->group >= 0)
		close(device->group);
	/* The last one: with it go the mappings. */
	if (device->container >= 0)
		close(device->container);
	free(device);
}

static int group_open(struct pci_device *device, const char *number, struct transport_error *error)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char path[PCI_NAME_SIZE + 16];
	int err = 0;

	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	device->group = open(path, O_RDWR | O_CLOEXEC);
	if (device->group < 0 || ioctl(device->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		err = -errno;
	if (err == -EBUSY)
		transport_error_set(error, "another process drives it (%s is open)", path);
	else if (err)
		transport_error_set(error, "%s: %s", path, strerror(-err));
	if (err)
		return err;
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	transport_error_set(error,
	                    "other devices of its IOMMU group %s are with drivers of the kernel: "
	                    "they have to be bound to vfio-pci too",
	                    number);
	return -EPERM;
}

/* An IOMMU with our addresses, for the group. */
static int container_open(struct pci_device *device, struct transport_error *error)
{
	int err;

	device->container = open(CONTAINER, O_RDWR | O_CLOEXEC);
	if (device->container < 0) {
		err = -errno;
		transport_error_set(error, CONTAINER ": %s", strerror(-err));
		return err;
	}
	if (ioctl(device->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    ioctl(device->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0) {
		transport_error_set(error, "this kernel's VFIO knows no IOMMU: is "
		                           "vfio_iommu_type1 there?");
		return -ENOTSUP;
	}
	if (ioctl(device->group, VFIO_GROUP_SET_CONTAINER, &device->container) == 0 &&
	    ioctl(device->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0)
		return 0;
	err = -errno;
	transport_error_set(error, "its IOMMU cannot be used: %s%s", strerror(-err),
	                    err == -EPERM ? "; without interrupt remapping the kernel refuses "
	                                    "(QEMU: -device intel-iommu,intremap=on)"
	                                  : "");
	return err;
}

static int device_open(struct pci_device *device, const char *address,
                       struct transport_error *error)
{
	int err;

	device->device = ioctl(device->group, VFIO_GROUP_GET_DEVICE_FD, address);
	if (device->device < 0) {
		err = -errno;
		transport_error_set(error, "VFIO does not give it out: %s", strerror(-err));
		return err;
	}
	err = command_write(device, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (err)
		transport_error_set(error, "its configuration space: %s", strerror(-err));
	/* Kernels that do not ask take it without asking. */
	device->request = event_create();
	if (device->request >= 0)
		(void)irq_connect(device, VFIO_PCI_REQ_IRQ_INDEX, &device->request, 1);
	return err;
}

static int vfio_open(const char *address, const struct pci_info *info, struct pci_device **result,
                     struct transport_error *error)
{
	struct pci_device *device = calloc(1, sizeof(*device));
	int err;

	if (!device)
		return -ENOMEM;
	*device = (struct pci_device){.container = -1, .group = -1, .device = -1, .request = -1};
	device->pinned_max =
		(size_t)sysconf(_SC_PHYS_PAGES) / PINNED_PART * (size_t)sysconf(_SC_PAGESIZE);
	err = group_open(device, info->iommu_group, error);
	if (!err)
		err = container_open(device, error);
	if (!err)
		err = device_open(device, address, error);
	if (err) {
		vfio_close(device);
		return err;
	}
	*result = device;
	return 0;
}

const struct pci_driver pci_driver_vfio = {
	.translated = true,
	.open = vfio_open,
	.close = vfio_close,
	.gone_fd = vfio_gone_fd,
	.gone = vfio_gone,
	.config_read = vfio_config_read,
	.bars = vfio_bars,
	.bar_open = vfio_bar_open,
	.region_create = vfio_region_create,
	.memory_add = vfio_memory_add,
	.memory_remove = vfio_memory_remove,
	.irq_open = vfio_irq_open,
	.irq_take = vfio_irq_take,
	.irq_unmask = vfio_irq_unmask,
};
