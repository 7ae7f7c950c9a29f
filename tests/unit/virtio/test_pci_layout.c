/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities of a PCI device: those of a good one, and every way in which one can lie.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/pci_layout.h"

#define BAR 4
#define BAR_BYTES 0x4000u

/* As QEMU's has them: MSI-X, then four capabilities, each naming a page of BAR 4. */
enum { AT_COMMON = 0x50, AT_ISR = 0x60, AT_DEVICE = 0x70, AT_NOTIFY = 0x80, AT_MSIX = 0x98 };

static const uint64_t bars[PCI_BARS] = {[1] = 0x1000, [BAR] = BAR_BYTES};

static void put_u16(uint8_t *config, unsigned int at, uint16_t value)
{
	memcpy(config + at, &value, sizeof(value));
}

static void put_cap(uint8_t *config, uint8_t at, uint8_t next, uint8_t type, uint32_t offset,
                    uint32_t length)
{
	struct virtio_pci_notify_cap cap = {.cap = {.cap_vndr = PCI_CAP_VENDOR,
	                                            .cap_next = next,
	                                            .cap_len = type == VIRTIO_PCI_CAP_NOTIFY_CFG
	                                                               ? sizeof(cap)
	                                                               : sizeof(cap.cap),
	                                            .cfg_type = type,
	                                            .bar = BAR,
	                                            .offset = offset,
	                                            .length = length},
	                                    .notify_off_multiplier = 4};

	memcpy(config + at, &cap, cap.cap.cap_len);
}

static void good(uint8_t config[PCI_CONFIG_SIZE])
{
	memset(config, 0, PCI_CONFIG_SIZE);
	put_u16(config, PCI_CONFIG_VENDOR, VIRTIO_PCI_VENDOR);
	put_u16(config, PCI_CONFIG_DEVICE, VIRTIO_PCI_DEVICE_CRYPTO);
	put_u16(config, PCI_CONFIG_STATUS, PCI_STATUS_CAPABILITIES);
	config[PCI_CONFIG_CAPABILITIES] = AT_MSIX;
	config[AT_MSIX] = PCI_CAP_MSIX;
	config[AT_MSIX + 1] = AT_COMMON;
	put_u16(config, AT_MSIX + PCI_MSIX_CONTROL, 2);
	put_cap(config, AT_COMMON, AT_ISR, VIRTIO_PCI_CAP_COMMON_CFG, 0, 0x1000);
	put_cap(config, AT_ISR, AT_DEVICE, VIRTIO_PCI_CAP_ISR_CFG, 0x1000, 0x1000);
	put_cap(config, AT_DEVICE, AT_NOTIFY, VIRTIO_PCI_CAP_DEVICE_CFG, 0x2000, 0x1000);
	put_cap(config, AT_NOTIFY, 0, VIRTIO_PCI_CAP_NOTIFY_CFG, 0x3000, 0x1000);
}

static void a_good_device_is_understood(void **state)
{
	uint8_t config[PCI_CONFIG_SIZE];
	struct pci_layout layout;
	const char *why;
	uint64_t at;

	good(config);
	assert_int_equal(pci_layout_read(config, bars, &layout, &why), 0);
	assert_int_equal(layout.common.bar, BAR);
	assert_int_equal(layout.common.length, 0x1000);
	assert_int_equal(layout.isr.offset, 0x1000);
	assert_int_equal(layout.device.offset, 0x2000);
	assert_int_equal(layout.notify.offset, 0x3000);
	assert_int_equal(layout.msix, AT_MSIX);
	assert_int_equal(layout.msix_vectors, 3);
	assert_true(pci_layout_notify(&layout, 1023, &at));
	assert_int_equal(at, 4092);
	assert_false(pci_layout_notify(&layout, 1024, &at));
	assert_false(pci_layout_notify(&layout, 0xffff, &at));
}

static void the_first_capability_that_can_be_used_is_used(void **state)
{
	uint8_t config[PCI_CONFIG_SIZE];
	struct pci_layout layout;
	const char *why;

	good(config);
	/* One more in front that points nowhere, and one behind that is as good. */
	put_cap(config, 0xb0, AT_MSIX, VIRTIO_PCI_CAP_COMMON_CFG, BAR_BYTES - 8, 0x1000);
	config[PCI_CONFIG_CAPABILITIES] = 0xb0;
	put_cap(config, 0xc0, 0, VIRTIO_PCI_CAP_COMMON_CFG, 0x2000, 0x1000);
	config[AT_NOTIFY + 1] = 0xc0;
	assert_int_equal(pci_layout_read(config, bars, &layout, &why), 0);
	assert_int_equal(layout.common.offset, 0);
}

static void other_devices_are_refused(void **state)
{
	uint8_t config[PCI_CONFIG_SIZE];
	struct pci_layout layout;
	const char *why;

	good(config);
	put_u16(config, PCI_CONFIG_DEVICE, 0x1041);
	assert_int_equal(pci_layout_read(config, bars, &layout, &why), -ENODEV);
	assert_non_null(why);
	memset(config, 0xff, sizeof(config));
	assert_int_equal(pci_layout_read(config, bars, &layout, &why), -ENODEV);
}

/* Each byte of a capability that matters, changed to what makes it useless. */
static void useless_capabilities_are_refused(void **state)
{
	static const struct {
		uint8_t at, offset, value;
	} wrong[] = {
		{AT_COMMON, offsetof(struct virtio_pci_cap, bar), 6},
		{AT_COMMON, offsetof(struct virtio_pci_cap, bar), 0},
		{AT_COMMON, offsetof(struct virtio_pci_cap, cap_len), 15},
		{AT_COMMON, offsetof(struct virtio_pci_cap, offset), 2},
		{AT_COMMON, offsetof(struct virtio_pci_cap, offset) + 1, 0x31},
		{AT_COMMON, offsetof(struct virtio_pci_cap, offset) + 3, 0xff},
		{AT_COMMON, offsetof(struct virtio_pci_cap, length) + 3, 0xff},
		{AT_COMMON, offsetof(struct virtio_pci_cap, length) + 1, 0},
		{AT_COMMON, offsetof(struct virtio_pci_cap, cfg_type), 5},
		{AT_COMMON, offsetof(struct virtio_pci_cap, cap_vndr), 5},
		{AT_NOTIFY, offsetof(struct virtio_pci_cap, cap_len), 16},
		{AT_NOTIFY, offsetof(struct virtio_pci_cap, offset), 1},
		{AT_NOTIFY, offsetof(struct virtio_pci_notify_cap, notify_off_multiplier), 3},
		{AT_NOTIFY, offsetof(struct virtio_pci_notify_cap, notify_off_multiplier), 6},
		{AT_ISR, offsetof(struct virtio_pci_cap, bar), 0xff},
		{AT_DEVICE, offsetof(struct virtio_pci_cap, length) + 1, 0},
		/* The chain's ends. */
		{AT_MSIX, 1, 0},
		{AT_COMMON, 1, AT_COMMON},
		{AT_COMMON, 1, 0x3c},
	};
	uint8_t config[PCI_CONFIG_SIZE];
	struct pci_layout layout;
	const char *why;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		good(config);
		config[wrong[i].at + wrong[i].offset] = wrong[i].value;
		assert_int_equal(pci_layout_read(config, bars, &layout, &why), -EPROTO);
		assert_non_null(why);
	}
	good(config);
	put_u16(config, PCI_CONFIG_STATUS, 0);
	assert_int_equal(pci_layout_read(config, bars, &layout, &why), -EPROTO);
}

/* Whatever is accepted lies in its BAR. */
static void what_is_accepted_lies_inside(void **state)
{
	uint8_t config[PCI_CONFIG_SIZE];
	struct pci_layout layout;
	unsigned int accepted = 0;
	const char *why;

	srandom(1);
	for (unsigned int round = 0; round < 200000; round++) {
		good(config);
		for (unsigned int n = (unsigned int)random() % 4; n; n--)
			config[PCI_CONFIG_HEADER_SIZE +
			       (unsigned int)random() %
			               (PCI_CONFIG_SIZE - PCI_CONFIG_HEADER_SIZE)] =
				(uint8_t)random();
		if (pci_layout_read(config, bars, &layout, &why))
			continue;
		accepted++;
		const struct pci_window *windows[] = {&layout.common, &layout.notify, &layout.isr,
		                                      &layout.device};

		for (unsigned int i = 0; i < 4; i++) {
			assert_true(windows[i]->length && windows[i]->bar < PCI_BARS);
			assert_true((uint64_t)windows[i]->offset + windows[i]->length <=
			            bars[windows[i]->bar]);
		}
	}
	assert_in_range(accepted, 1000, 199000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_device_is_understood),
		cmocka_unit_test(the_first_capability_that_can_be_used_is_used),
		cmocka_unit_test(other_devices_are_refused),
		cmocka_unit_test(useless_capabilities_are_refused),
		cmocka_unit_test(what_is_accepted_lies_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
