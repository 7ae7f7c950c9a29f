/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI devices below /sys/bus/pci; see pci_sysfs.h. The kernel's files are trusted.
 */
#include "virtio/pci_sysfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "wire/virtio_ring.h"

#define RESOURCE_IS_MEMORY 0x200u
#define VIRTIO_FEATURES_TEXT 160 /* at least 64 digits */

static int device_path(const char *root, const char *address, const char *name, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/devices/%s/%s", root, address, name);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int pci_sysfs_open(const char *root, const char *address, const char *name)
{
	char path[PATH_MAX];
	int fd, err = device_path(root, address, name, path);

	if (err)
		return err;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A short text, without the end of its line. */
static int text_read(const char *root, const char *address, const char *name, char *text,
                     size_t size)
{
	char path[PATH_MAX];
	int err = device_path(root, address, name, path);
	FILE *file = err ? NULL : fopen(path, "re");

	text[0] = '\0';
	if (!file)
		return err ? err : -errno;
	if (!fgets(text, (int)size, file))
		err = -EIO;
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	return err;
}

static int text_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	/* One write: each is a command of its own. */
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* The last part of what a link of the device points to; "" if there is none. */
static void link_read(const char *root, const char *address, const char *name,
                      char target[PCI_NAME_SIZE])
{
	char path[PATH_MAX], link[PATH_MAX];
	const char *last;
	ssize_t n = -1;

	target[0] = '\0';
	if (!device_path(root, address, name, path))
		n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return;
	link[n] = '\0';
	last = strrchr(link, '/');
	last = last ? last + 1 : link;
	if (strlen(last) < PCI_NAME_SIZE)
		memcpy(target, last, strlen(last) + 1);
}

static uint16_t id_read(const char *root, const char *address, const char *name)
{
	char text[16];

	return text_read(root, address, name, text, sizeof(text))
	               ? 0
	               : (uint16_t)strtoul(text, NULL, 16);
}

/* An entry of a directory whose name begins so and goes on with a digit. 0, -ENOENT. */
static int entry_find(const char *path, const char *prefix, char name[PCI_NAME_SIZE])
{
	size_t length = strlen(prefix);
	const struct dirent *entry;
	DIR *dir = opendir(path);

	name[0] = '\0';
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, prefix, length) &&
		    isdigit((unsigned char)entry->d_name[length]) &&
		    strlen(entry->d_name) < PCI_NAME_SIZE)
			memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
	if (dir)
		closedir(dir);
	return name[0] ? 0 : -ENOENT;
}

int pci_sysfs_info(const char *root, const char *address, struct pci_info *info)
{
	char path[PATH_MAX];

	*info = (struct pci_info){.vendor = id_read(root, address, "vendor"),
	                          .device = id_read(root, address, "device")};
	if (!info->vendor)
		return -ENODEV;
	link_read(root, address, "driver", info->driver);
	link_read(root, address, "iommu_group", info->iommu_group);
	(void)text_read(root, address, "iommu_group/type", info->iommu_type,
	                sizeof(info->iommu_type));
	/* "uio0" in the directory of that name. */
	if (!device_path(root, address, "uio", path))
		(void)entry_find(path, "uio", info->uio);
	return 0;
}

static int address_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

int pci_sysfs_find(const char *root, char (*addresses)[PCI_ADDRESS_SIZE], unsigned int max)
{
	char path[PATH_MAX], address[PCI_ADDRESS_SIZE];
	const struct dirent *entry;
	unsigned int n = 0;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/devices", root) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (pci_address_parse(entry->d_name, address) ||
		    id_read(root, address, "vendor") != VIRTIO_PCI_VENDOR ||
		    id_read(root, address, "device") != VIRTIO_PCI_DEVICE_CRYPTO)
			continue;
		if (n < max)
			memcpy(addresses[n], address, sizeof(address));
		n++;
	}
	closedir(dir);
	qsort(addresses, vc_min(n, max), sizeof(*addresses), address_compare);
	return (int)n;
}

int pci_sysfs_bars(const char *root, const char *address, uint64_t size[PCI_BARS])
{
	char path[PATH_MAX], line[128];
	int err = device_path(root, address, "resource", path);
	FILE *file = err ? NULL : fopen(path, "re");

	if (!file)
		return err ? err : -errno;
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		uint64_t start, end, flags;

		size[i] = 0;
		if (fgets(line, sizeof(line), file) &&
		    sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start, &end, &flags) == 3 &&
		    flags & RESOURCE_IS_MEMORY && start && end >= start)
			size[i] = end - start + 1;
	}
	fclose(file);
	return 0;
}

/* "virtio3" is the directory of what virtio-pci has made of the device; its features are a digit
 * for each bit, the lowest one first. None of them is set before they are agreed upon. */
bool pci_sysfs_passes_iommu(const char *root, const char *address)
{
	char path[PATH_MAX], name[PCI_NAME_SIZE], features[VIRTIO_FEATURES_TEXT] = "";

	if (device_path(root, address, "", path) || entry_find(path, "virtio", name) ||
	    snprintf(path, sizeof(path), "%s/features", name) >= (int)sizeof(path))
		return false;
	(void)text_read(root, address, path, features, sizeof(features));
	return strlen(features) > VIRTIO_F_ACCESS_PLATFORM && features[VIRTIO_F_VERSION_1] == '1' &&
	       features[VIRTIO_F_ACCESS_PLATFORM] == '0';
}

bool pci_sysfs_has_driver(const char *root, const char *driver)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/drivers/%s", root, driver) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

int pci_sysfs_rebind(const char *root, const char *address, const char *driver)
{
	char path[PATH_MAX], text[PCI_NAME_SIZE + 1];
	struct pci_info info;
	int err = pci_sysfs_info(root, address, &info);

	if (err)
		return err;
	/* First who is to have it, so that nobody else takes it when it is let go. An empty line
	 * takes that back. */
	snprintf(text, sizeof(text), "%s\n", driver ? driver : "");
	err = device_path(root, address, "driver_override", path);
	if (!err)
		err = text_write(path, text);
	if (err || (driver && !strcmp(info.driver, driver)))
		return err;
	if (info.driver[0]) {
		err = device_path(root, address, "driver/unbind", path);
		if (!err)
			err = text_write(path, address);
		if (err)
			return err;
	}
	if (snprintf(path, sizeof(path), "%s/drivers_probe", root) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return text_write(path, address);
}
