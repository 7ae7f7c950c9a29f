/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI device bound to uio_pci_generic. See pci_device.h.
 *
 * Registers are mapped from sysfs, memory is huge pages by their physical addresses, the interrupt
 * is the line (INTx): the kernel masks it in the command register when it comes, and we unmask it.
 * /dev/uioN stays open, and locked: when it is closed, whyever, the kernel takes bus mastering from
 * the device, so that it writes to no memory of a process that is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "virtio/pci_device.h"

struct pci_device {
	char address[PCI_ADDRESS_SIZE];
	int uio, config;
	_Atomic uint32_t events; /* of the kernel's count, seen */
	atomic_bool unplugged;   /* any thread */
};

/* Bits of the command register. Interrupts of other threads change it too, in the kernel: what we
 * write besides is what we have set. */
static int command_write(const struct pci_device *device, bool on)
{
	uint16_t command = on ? PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER
	                      : PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE;

	return pwrite(device->config, &command, sizeof(command), PCI_CONFIG_COMMAND) ==
	                       sizeof(command)
	               ? 0
	               : -EIO;
}

static void uio_close(struct pci_device *device)
{
	if (!device)
		return;
	if (device->config >= 0) {
		(void)command_write(device, false);
		close(device->config);
	}
	if (device->uio >= 0)
		close(device->uio);
	free(device);
}

static int denied(int err, const char *what, struct transport_error *error)
{
	transport_error_set(error, "%s: %s%s", what, strerror(-err),
	                    err == -EPERM ? "; with Secure Boot the kernel does not allow it" : "");
	return err;
}

static int uio_open(const char *address, const struct pci_info *info, struct pci_device **result,
                    struct transport_error *error)
{
	struct pci_device *device = calloc(1, sizeof(*device));
	char path[PCI_NAME_SIZE + 8];
	int err = 0;

	if (!device)
		return -ENOMEM;
	memcpy(device->address, address, sizeof(device->address));
	device->config = -1;
	snprintf(path, sizeof(path), "/dev/%s", info->uio);
	device->uio = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (device->uio < 0) {
		err = denied(-errno, path, error);
	} else if (flock(device->uio, LOCK_EX | LOCK_NB) < 0) {
		err = -EBUSY;
		transport_error_set(error, "another process drives it (%s is locked)", path);
	} else {
		device->config = pci_sysfs_open(PCI_SYSFS_ROOT, address, "config");
		err = device->config < 0 ? device->config : command_write(device, true);
		if (err)
			denied(err, "its configuration space", error);
	}
	if (err) {
		uio_close(device);
		return err;
	}
	*result = device;
	return 0;
}

static int uio_config_read(struct pci_device *device, uint8_t config[PCI_CONFIG_SIZE])
{
	return pread(device->config, config, PCI_CONFIG_SIZE, 0) == PCI_CONFIG_SIZE ? 0 : -EIO;
}

static int uio_bars(struct pci_device *device, uint64_t size[PCI_BARS])
{
	return pci_sysfs_bars(PCI_SYSFS_ROOT, device->address, size);
}

static int uio_bar_open(struct pci_device *device, unsigned int bar, struct pci_bar *file)
{
	char name[16];

	snprintf(name, sizeof(name), "resource%u", bar);
	file->fd = pci_sysfs_open(PCI_SYSFS_ROOT, device->address, name);
	file->offset = 0;
	file->close = true;
	return file->fd < 0 ? file->fd : 0;
}

static int uio_region_create(struct pci_device *device, size_t min, size_t want, int hugepages,
                             struct shared_region *region, struct transport_error *error)
{
	if (hugepages < 0) {
		transport_error_set(error, "without an IOMMU huge pages are needed");
		return -EINVAL;
	}
	return pci_hugepages_create(min, want, region, error);
}

/* Whatever it is, it does not lie where its physical address is. */
static int uio_memory_add(struct pci_device *device, void *address, size_t size,
                          struct transport_error *error)
{
	return -EOPNOTSUPP;
}

static int uio_memory_remove(struct pci_device *device, void *address, size_t size)
{
	return -ENOENT;
}

static int uio_irq_open(struct pci_device *device, unsigned int vectors, int *fds)
{
	fds[0] = device->uio;
	return 1;
}

static uint64_t uio_irq_take(struct pci_device *device)
{
	uint32_t events, before;

	if (read(device->uio, &events, sizeof(events)) != sizeof(events)) {
		if (errno == EIO)
			atomic_store(&device->unplugged, true);
		return 0;
	}
	before = atomic_exchange(&device->events, events);
	return events - before;
}

/* Its descriptor, which tells of interrupts, fails then. */
static bool uio_gone(struct pci_device *device)
{
	return atomic_load(&device->unplugged);
}

static void uio_irq_unmask(struct pci_device *device)
{
	(void)command_write(device, true);
}

const struct pci_driver pci_driver_uio = {
	.open = uio_open,
	.close = uio_close,
	.gone = uio_gone,
	.config_read = uio_config_read,
	.bars = uio_bars,
	.bar_open = uio_bar_open,
	.region_create = uio_region_create,
	.memory_add = uio_memory_add,
	.memory_remove = uio_memory_remove,
	.irq_open = uio_irq_open,
	.irq_take = uio_irq_take,
	.irq_unmask = uio_irq_unmask,
};
