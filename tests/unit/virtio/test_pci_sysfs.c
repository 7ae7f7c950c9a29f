/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI devices of a directory that looks like /sys/bus/pci. What the kernel does when it is written
 * to is tested in a virtual machine; here, what is written.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtio/pci_sysfs.h"

#define CRYPTO "0000:00:04.0"
#define OTHER "0000:00:03.0"

static char root[64];

static void put(const char *path, const char *text)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	file = fopen(full, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void get(const char *path, char *text, size_t size)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	file = fopen(full, "re");
	assert_non_null(file);
	memset(text, 0, size);
	(void)!fread(text, 1, size - 1, file);
	fclose(file);
}

static void make(const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(mkdir(full, 0700), 0);
}

static void point(const char *path, const char *target)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	unlink(full);
	assert_int_equal(symlink(target, full), 0);
}

static int setup(void **state)
{
	strcpy(root, "/tmp/vcrypto-sysfs-XXXXXX");
	assert_non_null(mkdtemp(root));
	make("devices");
	make("drivers");
	make("drivers/virtio-pci");
	make("drivers/uio_pci_generic");
	put("drivers/virtio-pci/unbind", "");
	put("drivers_probe", "");
	make("devices/" OTHER);
	put("devices/" OTHER "/vendor", "0x1af4\n");
	put("devices/" OTHER "/device", "0x1041\n");
	make("devices/" CRYPTO);
	put("devices/" CRYPTO "/vendor", "0x1af4\n");
	put("devices/" CRYPTO "/device", "0x1054\n");
	put("devices/" CRYPTO "/driver_override", "(null)\n");
	put("devices/" CRYPTO "/resource",
	    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	    "0x00000000fea00000 0x00000000fea00fff 0x0000000000040200\n"
	    "0x000000000000c000 0x000000000000c03f 0x0000000000040101\n"
	    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	    "0x0000380000000000 0x0000380000003fff 0x000000000014220c\n"
	    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	point("devices/" CRYPTO "/driver", "../../drivers/virtio-pci");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void addresses_are_written_in_full(void **state)
{
	static const char *const wrong[] = {"",           "00:04",         "0000:00:04",
	                                    "00:20.0",    "00:04.8",       "0000:00:04.0/",
	                                    "../00:04.0", "0000:00:04.00", "00:04.0 ",
	                                    "-1:00:04.0", " 00:04.0",      "00:0x4.0"};
	char address[PCI_ADDRESS_SIZE];

	assert_int_equal(pci_address_parse("00:04.0", address), 0);
	assert_string_equal(address, CRYPTO);
	assert_int_equal(pci_address_parse("0001:AF:1f.7", address), 0);
	assert_string_equal(address, "0001:af:1f.7");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(pci_address_parse(wrong[i], address), -EINVAL);
}

static void crypto_devices_are_found(void **state)
{
	char addresses[4][PCI_ADDRESS_SIZE];

	assert_int_equal(pci_sysfs_find(root, addresses, 4), 1);
	assert_string_equal(addresses[0], CRYPTO);
	assert_int_equal(pci_sysfs_find("/nowhere", addresses, 4), -ENOENT);
}

static void bars_that_are_memory_have_a_size(void **state)
{
	static const uint64_t expected[PCI_BARS] = {[1] = 0x1000, [4] = 0x4000};
	uint64_t size[PCI_BARS];

	assert_int_equal(pci_sysfs_bars(root, CRYPTO, size), 0);
	assert_memory_equal(size, expected, sizeof(size));
	/* Cut short: what is not said is not there. */
	put("devices/" CRYPTO "/resource", "0x1000 0x1fff 0x200\n0x9000 0x1");
	assert_int_equal(pci_sysfs_bars(root, CRYPTO, size), 0);
	assert_int_equal(size[0], 0x1000);
	for (unsigned int i = 1; i < PCI_BARS; i++)
		assert_int_equal(size[i], 0);
}

static void drivers_and_groups_are_known(void **state)
{
	struct pci_info info;

	assert_int_equal(pci_sysfs_info(root, CRYPTO, &info), 0);
	assert_string_equal(info.driver, "virtio-pci");
	assert_string_equal(info.iommu_group, "");
	assert_string_equal(info.uio, "");
	make("devices/" CRYPTO "/uio");
	make("devices/" CRYPTO "/uio/uio3");
	make("groups7");
	put("groups7/type", "DMA-FQ\n");
	point("devices/" CRYPTO "/iommu_group", "../../groups7");
	assert_int_equal(pci_sysfs_info(root, CRYPTO, &info), 0);
	assert_string_equal(info.uio, "uio3");
	assert_string_equal(info.iommu_group, "groups7");
	assert_string_equal(info.iommu_type, "DMA-FQ");
	assert_int_equal(pci_sysfs_info(root, "0000:00:09.0", &info), -ENODEV);
	assert_true(pci_sysfs_has_driver(root, PCI_DRIVER_UIO));
	assert_false(pci_sysfs_has_driver(root, PCI_DRIVER_VFIO));
}

/* What a driver of virtio has agreed on says it; before that nothing is known. */
static void a_device_that_passes_the_iommu_is_known(void **state)
{
	static const char *const text[] = {
		/* Nothing agreed; VERSION_1 (32) alone; with ACCESS_PLATFORM (33); cut short. */
		"0000000000000000000000000000000000000000000000000000000000000000\n",
		"0000000000000000000000000000000010000000000000000000000000000000\n",
		"0000000000000000000000000000000011000000000000000000000000000000\n",
		"000000000000000000000000000000001\n"};
	static const bool passes[] = {false, true, false, false};

	assert_false(pci_sysfs_passes_iommu(root, CRYPTO));
	make("devices/" CRYPTO "/virtio4");
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		put("devices/" CRYPTO "/virtio4/features", text[i]);
		assert_int_equal(pci_sysfs_passes_iommu(root, CRYPTO), passes[i]);
	}
}

static void a_device_is_given_away(void **state)
{
	char text[64];

	assert_int_equal(pci_sysfs_rebind(root, CRYPTO, PCI_DRIVER_UIO), 0);
	get("devices/" CRYPTO "/driver_override", text, sizeof(text));
	assert_int_equal(strncmp(text, PCI_DRIVER_UIO "\n", sizeof(PCI_DRIVER_UIO)), 0);
	get("drivers/virtio-pci/unbind", text, sizeof(text));
	assert_string_equal(text, CRYPTO);
	get("drivers_probe", text, sizeof(text));
	assert_string_equal(text, CRYPTO);
}

/* The same again: nobody is asked to let go of it. */
static void a_device_is_given_away_once(void **state)
{
	char text[64];

	point("devices/" CRYPTO "/driver", "../../drivers/uio_pci_generic");
	assert_int_equal(pci_sysfs_rebind(root, CRYPTO, PCI_DRIVER_UIO), 0);
	get("drivers_probe", text, sizeof(text));
	assert_string_equal(text, "");
	/* And back: no driver is wished for. There is no unbind in this one's directory. */
	assert_int_equal(pci_sysfs_rebind(root, CRYPTO, NULL), -ENOENT);
	get("devices/" CRYPTO "/driver_override", text, sizeof(text));
	assert_int_equal(text[0], '\n');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_device_that_passes_the_iommu_is_known),
		TEST(addresses_are_written_in_full),
		TEST(crypto_devices_are_found),
		TEST(bars_that_are_memory_have_a_size),
		TEST(drivers_and_groups_are_known),
		TEST(a_device_is_given_away),
		TEST(a_device_is_given_away_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
