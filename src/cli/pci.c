/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcryptoctl list, bind and unbind: virtio-crypto devices on the PCI bus of this machine, and which
 * driver has them. Runs as root; the kernel is trusted.
 *
 * A device is given to vfio-pci where an IOMMU is before it and to uio_pci_generic elsewhere, so
 * that vcrypto-engined can drive it, and back to the kernel's own driver. Both can be said again
 * and again.
 */
#include "cli/pci.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "virtio/pci_sysfs.h"

#define DEVICES_MAX 64u
#define DRIVER_KERNEL "virtio-pci"

extern char **environ;

static bool is_ours(const char *driver)
{
	return !strcmp(driver, PCI_DRIVER_UIO) || !strcmp(driver, PCI_DRIVER_VFIO);
}

/* Who can use it as it is. */
static const char *used_by(const struct pci_info *info)
{
	if (is_ours(info->driver))
		return "vcrypto-engined";
	return info->driver[0] ? "the kernel" : "nobody";
}

static void list_text(const char *address, const struct pci_info *info)
{
	printf("%-14s %-16s %-16s %s\n", address, info->driver[0] ? info->driver : "-",
	       used_by(info), info->iommu_group[0] ? info->iommu_group : "-");
}

static json_t *list_json(const char *address, const struct pci_info *info)
{
	return json_pack("{s:s,s:s?,s:s,s:s?}", "address", address, "driver",
	                 info->driver[0] ? info->driver : NULL, "usable-by", used_by(info),
	                 "iommu-group", info->iommu_group[0] ? info->iommu_group : NULL);
}

static int find(const char *root, char (*addresses)[PCI_ADDRESS_SIZE], unsigned int *count)
{
	int n = pci_sysfs_find(root, addresses, DEVICES_MAX);

	if (n < 0) {
		fprintf(stderr, "vcryptoctl: %s: %s\n", root, strerror(-n));
		return n;
	}
	*count = vc_min((unsigned int)n, DEVICES_MAX);
	return 0;
}

int pci_list(const struct pci_options *options)
{
	char addresses[DEVICES_MAX][PCI_ADDRESS_SIZE];
	json_t *all = json_array();
	unsigned int n;
	struct pci_info info;

	if (find(options->root, addresses, &n)) {
		json_decref(all);
		return EXIT_FAILURE;
	}
	if (!options->json && n)
		printf("%-14s %-16s %-16s %s\n", "PCI ADDRESS", "DRIVER", "USABLE BY",
		       "IOMMU GROUP");
	for (unsigned int i = 0; i < n; i++) {
		if (pci_sysfs_info(options->root, addresses[i], &info))
			continue;
		if (options->json)
			json_array_append_new(all, list_json(addresses[i], &info));
		else
			list_text(addresses[i], &info);
	}
	if (options->json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (!n) {
		puts("no virtio-crypto device on the PCI bus");
	}
	json_decref(all);
	return EXIT_SUCCESS;
}

/* The device that is meant. 0 or -errno, said. */
static int choose(const struct pci_options *options, char address[PCI_ADDRESS_SIZE],
                  struct pci_info *info)
{
	char addresses[DEVICES_MAX][PCI_ADDRESS_SIZE];
	unsigned int n;
	int err;

	if (options->address) {
		err = pci_address_parse(options->address, address);
		if (err) {
			fprintf(stderr,
			        "vcryptoctl: \"%s\" is not a PCI address such as "
			        "0000:00:04.0\n",
			        options->address);
			return err;
		}
	} else {
		err = find(options->root, addresses, &n);
		if (err)
			return err;
		if (n != 1) {
			fprintf(stderr,
			        n ? "vcryptoctl: there are %u virtio-crypto devices: say which "
			            "one; "
			            "see vcryptoctl list\n"
			          : "vcryptoctl: no virtio-crypto device on the PCI bus\n",
			        n);
			return -ENODEV;
		}
		memcpy(address, addresses[0], PCI_ADDRESS_SIZE);
	}
	err = pci_sysfs_info(options->root, address, info);
	if (!err && (info->vendor != VIRTIO_PCI_VENDOR || info->device != VIRTIO_PCI_DEVICE_CRYPTO))
		err = -ENOTSUP;
	if (err)
		fprintf(stderr, "vcryptoctl: %s: %s\n", address,
		        err == -ENODEV ? "there is no such PCI device"
		                       : "this is not a virtio-crypto device (1af4:1054)");
	return err;
}

static void load_module(const char *module)
{
	char command[] = "modprobe", quiet[] = "-q", name[PCI_NAME_SIZE];
	char *const argv[] = {command, quiet, name, NULL};
	int status;
	pid_t pid;

	snprintf(name, sizeof(name), "%s", module);
	if (posix_spawnp(&pid, "modprobe", NULL, NULL, argv, environ))
		return;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* Load the module if it has to be. 0 or -errno, said. */
static int driver_get(const struct pci_options *options, const char *driver)
{
	if (!pci_sysfs_has_driver(options->root, driver))
		load_module(driver);
	/* Only asked for by name. */
	if (!strcmp(driver, PCI_DRIVER_VFIO))
		load_module("vfio_iommu_type1");
	if (pci_sysfs_has_driver(options->root, driver))
		return 0;
	fprintf(stderr,
	        "vcryptoctl: the kernel has no driver %s: install a kernel with it (Debian: "
	        "linux-image-amd64, not the cloud flavour)\n",
	        driver);
	return -ENODEV;
}

/* Where an IOMMU is before the device. QEMU lets a device go past it, which can be seen once a
 * driver has agreed on features with it; vcrypto-engined sees it in any case. */
static const char *driver_choose(const struct pci_options *options, const char *address,
                                 const struct pci_info *info)
{
	if (options->driver)
		return options->driver;
	return info->iommu_group[0] && !pci_sysfs_passes_iommu(options->root, address)
	               ? PCI_DRIVER_VFIO
	               : PCI_DRIVER_UIO;
}

/* Who drives it has /dev/uioN locked, or its IOMMU group open. */
static bool in_use(const struct pci_info *info)
{
	char path[PCI_NAME_SIZE + 8];
	bool busy;
	int fd;

	if (!is_ours(info->driver))
		return false;
	snprintf(path, sizeof(path), info->uio[0] ? "/dev/%s" : "/dev/vfio/%s",
	         info->uio[0] ? info->uio : info->iommu_group);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == EBUSY;
	busy = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return busy;
}

/* Give it away; who has it now is in info. */
static int rebind(const struct pci_options *options, const char *address, const char *driver,
                  struct pci_info *info)
{
	int err;

	if (in_use(info)) {
		fprintf(stderr,
		        "vcryptoctl: %s is in use: stop vcrypto-engined first (systemctl stop "
		        "vcrypto-engined)\n",
		        address);
		return EXIT_FAILURE;
	}
	err = pci_sysfs_rebind(options->root, address, driver);
	if (!err)
		err = pci_sysfs_info(options->root, address, info);
	if (!err)
		return EXIT_SUCCESS;
	fprintf(stderr, "vcryptoctl: %s: %s%s\n", address, strerror(-err),
	        err == -EACCES || err == -EPERM ? "; this is for root" : "");
	return EXIT_FAILURE;
}

int pci_bind(const struct pci_options *options)
{
	char address[PCI_ADDRESS_SIZE];
	struct pci_info info;
	const char *driver;

	if (choose(options, address, &info))
		return EXIT_FAILURE;
	driver = driver_choose(options, address, &info);
	/* Bound already: what suits was found out then. */
	if (!options->driver && is_ours(info.driver))
		driver = info.driver;
	if (driver_get(options, driver))
		return EXIT_FAILURE;
	if (!strcmp(info.driver, driver)) {
		printf("%s: %s has it already\n", address, driver);
		return EXIT_SUCCESS;
	}
	if (rebind(options, address, driver, &info))
		return EXIT_FAILURE;
	if (strcmp(info.driver, driver) != 0) {
		fprintf(stderr,
		        "vcryptoctl: %s: %s does not take it, see dmesg; it is now with %s\n",
		        address, driver, info.driver[0] ? info.driver : "nobody");
		return EXIT_FAILURE;
	}
	printf("%s: %s has it now\n", address, driver);
	return EXIT_SUCCESS;
}

int pci_unbind(const struct pci_options *options)
{
	char address[PCI_ADDRESS_SIZE];
	struct pci_info info;

	if (choose(options, address, &info))
		return EXIT_FAILURE;
	if (!strcmp(info.driver, DRIVER_KERNEL)) {
		printf("%s: %s has it already\n", address, info.driver);
		return EXIT_SUCCESS;
	}
	if (rebind(options, address, NULL, &info))
		return EXIT_FAILURE;
	printf("%s: %s has it now\n", address, info.driver[0] ? info.driver : "nobody");
	return EXIT_SUCCESS;
}
