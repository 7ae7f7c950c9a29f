/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a PCI device says of itself (libvcrypto's pci_layout.c): sizes of its BARs, a few places in
 * the window for notifications, then its configuration space. Whatever is found has to lie inside
 * its BAR, be aligned and be large enough, since registers are then touched there.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "input.h"
#include "virtio/pci_layout.h"

#define PLACES 4

static void window_check(const struct pci_window *window, const uint64_t *bar_size, uint32_t min,
                         uint32_t align)
{
	fuzz_check(window->bar < PCI_BARS && window->length >= min);
	fuzz_check(window->offset % align == 0);
	fuzz_check((uint64_t)window->offset + window->length <= bar_size[window->bar]);
}

static void layout_check(const struct pci_layout *layout, const uint64_t *bar_size,
                         const uint16_t *place)
{
	uint64_t offset;

	window_check(&layout->common, bar_size, sizeof(struct virtio_pci_common_cfg), 4);
	window_check(&layout->notify, bar_size, 2, 2);
	window_check(&layout->isr, bar_size, 1, 1);
	window_check(&layout->device, bar_size, 48, 4);
	fuzz_check(!layout->msix || layout->msix + 12u <= PCI_CONFIG_SIZE);
	fuzz_check(layout->msix ? layout->msix_vectors - 1u < 2048 : !layout->msix_vectors);
	for (unsigned int i = 0; i < PLACES; i++) {
		if (!pci_layout_notify(layout, place[i], &offset))
			continue;
		fuzz_check(offset + 2 <= layout->notify.length && offset % 2 == 0);
		fuzz_check(offset == (uint64_t)place[i] * layout->notify_multiplier);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct pci_layout layout;
	uint64_t bar_size[PCI_BARS];
	uint16_t place[PLACES];
	const char *why = NULL;
	uint8_t *config = malloc(PCI_CONFIG_SIZE);
	int rc;

	fuzz_check(config);
	/* As the kernel has them: 0, or a power of two. */
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		uint8_t bits = input_u8(&in);

		bar_size[i] = bits ? UINT64_C(1) << bits % 40 : 0;
	}
	for (unsigned int i = 0; i < PLACES; i++)
		place[i] = input_u16(&in);
	input_bytes(&in, config, PCI_CONFIG_SIZE);
	rc = pci_layout_read(config, bar_size, &layout, &why);
	fuzz_check(rc == 0 || rc == -ENODEV || rc == -EPROTO);
	fuzz_check(!rc == !why);
	if (!rc)
		layout_check(&layout, bar_size, place);
	free(config);
	return 0;
}

/* ---- seeds ---- */

#define BAR 4
#define PAGE_SIZE 0x1000u
/* In the order in which they are listed, each naming a page of the BAR. */
enum { AT_MSIX = 0x98, AT_FIRST = 0x44, STEP = 20 };

static void config_make(uint8_t *config, unsigned int capabilities, uint32_t multiplier)
{
	const uint16_t id[] = {VIRTIO_PCI_VENDOR, VIRTIO_PCI_DEVICE_CRYPTO};
	const uint16_t status = PCI_STATUS_CAPABILITIES;

	memset(config, 0, PCI_CONFIG_SIZE);
	memcpy(config + PCI_CONFIG_VENDOR, id, sizeof(id));
	memcpy(config + PCI_CONFIG_STATUS, &status, sizeof(status));
	config[PCI_CONFIG_CAPABILITIES] = AT_MSIX;
	config[AT_MSIX] = PCI_CAP_MSIX;
	config[AT_MSIX + 1] = AT_FIRST;
	config[AT_MSIX + PCI_MSIX_CONTROL] = 2;
	for (unsigned int i = 0; i < capabilities; i++) {
		struct virtio_pci_notify_cap cap = {
			.cap = {.cap_vndr = PCI_CAP_VENDOR,
		                .cap_next =
		                        (uint8_t)(i + 1 < capabilities ? AT_FIRST + (i + 1) * STEP
		                                                       : 0),
		                .cap_len = sizeof(cap),
		                .cfg_type = (uint8_t)(i % 4 + VIRTIO_PCI_CAP_COMMON_CFG),
		                .bar = BAR,
		                .offset = i % 4 * PAGE_SIZE,
		                .length = PAGE_SIZE},
			.notify_off_multiplier = multiplier,
		};

		memcpy(config + AT_FIRST + i * STEP, &cap, sizeof(cap));
	}
}

static void seed_make(const char *name, const uint8_t *config)
{
	struct seed seed = {0};

	for (unsigned int i = 0; i < PCI_BARS; i++)
		seed_u8(&seed, i == BAR ? 14 : 0);
	for (unsigned int i = 0; i < PLACES; i++)
		seed_u16(&seed, i * 1023);
	seed_bytes(&seed, config, PCI_CONFIG_SIZE);
	seed_save(name, seed.bytes, seed.size);
}

void fuzz_seeds(void)
{
	uint8_t config[PCI_CONFIG_SIZE];

	config_make(config, 4, 4);
	seed_make("good", config);
	/* A capability that comes back to the first. */
	config[AT_FIRST + 3 * STEP + 1] = AT_MSIX;
	seed_make("loop", config);
	config_make(config, 4, 0);
	seed_make("one-register", config);
	config_make(config, 4, 1u << 31);
	seed_make("far-apart", config);
	config_make(config, 3, 4);
	seed_make("one-missing", config);
	config_make(config, 0, 4);
	seed_make("msix-only", config);
}
