/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A modern virtio-crypto device on the PCI bus (virtio 1.3, 4.1), in the machine where we run. Any
 * thread, under the device's lock, but for kick, calls, alive and changed.
 *
 * How its registers and its memory are reached is a driver's business (pci_device.h). What the
 * device says is checked: a device that is gone reads as all ones.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "virtio/pci_device.h"
#include "virtio/transport.h"
#include "wire/virtio_crypto.h"

#define BIT(n) (1ull << (n))
/* What a stock QEMU negotiates with its guest and does not tell the back end. */
#define FEATURES_UNTOLD                                                                            \
	(BIT(VIRTIO_F_RING_EVENT_IDX) | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER))
#define RESET_STEP_US 1000
#define GENERATION_TRIES 100
/* What QEMU's cryptodev-vhost-user shows to every guest. */
#define QEMU_SERVICES 0x7u
#define QEMU_MAX_CIPHER_KEY 64u
#define QEMU_MAX_AUTH_KEY 512u
#define VECTORS_MAX 66 /* configuration, 64 data queues, control queue */

enum { COMMON, NOTIFY, ISR, DEVICE, WINDOWS };

/* Registers, mapped. */
struct window {
	void *map;
	size_t map_size;
	volatile uint8_t *base;
};

struct transport {
	const struct pci_driver *driver;
	struct pci_device *device;
	struct pci_layout layout;
	struct window window[WINDOWS];
	volatile struct virtio_pci_common_cfg *common;
	unsigned int timeout_ms;
	uint64_t offered;
	bool behind_qemu;
	int irq[VECTORS_MAX];
	unsigned int vectors;   /* 1: the line */
	int watch_fd;           /* epoll: irq[0], and what tells that it is gone */
	atomic_bool changed;    /* any thread */
	_Atomic uint64_t calls; /* of the line, that no queue has been told of; any thread */
};

/* ---- registers ---- */

static int window_map(struct transport *t, const struct pci_window *where, struct window *window)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t start = where->offset & ~(uint32_t)(page - 1);
	struct pci_bar bar;
	int err = t->driver->bar_open(t->device, where->bar, &bar);

	if (err)
		return err;
	window->map_size = (size_t)where->offset - start + where->length;
	window->map = mmap(NULL, window->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, bar.fd,
	                   (off_t)(bar.offset + start));
	if (window->map == MAP_FAILED) {
		window->map = NULL;
		err = -errno;
	} else {
		window->base = (uint8_t *)window->map + (where->offset - start);
		err = pci_fault_guard(window->map, window->map_size);
	}
	if (bar.close)
		close(bar.fd);
	return err;
}

static int registers_map(struct transport *t, struct transport_error *error)
{
	const struct pci_window *where[WINDOWS] = {&t->layout.common, &t->layout.notify,
	                                           &t->layout.isr, &t->layout.device};
	uint8_t config[PCI_CONFIG_SIZE];
	uint64_t bars[PCI_BARS];
	const char *why = "its configuration space cannot be read";
	int err = t->driver->config_read(t->device, config);

	if (!err)
		err = t->driver->bars(t->device, bars);
	if (!err)
		err = pci_layout_read(config, bars, &t->layout, &why);
	if (err) {
		transport_error_set(error, "%s", why);
		return err == -ENODEV ? -EPROTO : err;
	}
	for (unsigned int i = 0; i < WINDOWS && !err; i++)
		err = window_map(t, where[i], &t->window[i]);
	if (err)
		transport_error_set(error, "its registers cannot be mapped: %s", strerror(-err));
	else
		t->common = (volatile struct virtio_pci_common_cfg *)t->window[COMMON].base;
	return err;
}

/* 2.4: the generation is the same before and after when it did not change meanwhile. */
static int config_copy(struct transport *t, void *config, size_t size)
{
	uint8_t *to = config;
	uint8_t before;

	memset(config, 0, size);
	for (unsigned int try = 0; try < GENERATION_TRIES; try++) {
		before = t->common->config_generation;
		for (size_t i = 0; i < vc_min(size, (size_t)t->layout.device.length); i++)
			to[i] = t->window[DEVICE].base[i];
		if (t->common->config_generation == before)
			return 0;
	}
	return -EPROTO;
}

/* ---- status ---- */

static void status_add(struct transport *t, uint8_t bits)
{
	t->common->device_status = t->common->device_status | bits;
}

/* 4.1.4.3.2: it is reset when the status reads 0. */
static int device_reset(struct transport *t)
{
	uint64_t deadline_ns = clock_now_ns() + t->timeout_ms * 1000000ull;

	t->common->device_status = 0;
	while (t->common->device_status) {
		if (t->common->device_status == 0xff && t->common->num_queues == 0xffff)
			return -ENODEV;
		if (clock_now_ns() > deadline_ns)
			return -ETIMEDOUT;
		usleep(RESET_STEP_US);
	}
	return 0;
}

static uint64_t features_get(struct transport *t)
{
	uint64_t features;

	t->common->device_feature_select = 1;
	features = (uint64_t)t->common->device_feature << 32;
	t->common->device_feature_select = 0;
	return features | t->common->device_feature;
}

/* ---- open and close ---- */

static void pci_close(struct transport *t)
{
	if (!t)
		return;
	if (t->common)
		(void)device_reset(t);
	/* Whether it heard or not: from here on it reaches no memory. */
	if (t->device)
		t->driver->close(t->device);
	for (unsigned int i = 0; i < WINDOWS; i++)
		if (t->window[i].map) {
			pci_fault_unguard(t->window[i].map);
			munmap(t->window[i].map, t->window[i].map_size);
		}
	if (t->watch_fd >= 0)
		close(t->watch_fd);
	free(t);
}

/* A stock QEMU keeps the configuration to itself, and shows the same to every guest. */
static int qemu_look(struct transport *t)
{
	struct virtio_crypto_config config;
	int err = config_copy(t, &config, sizeof(config));

	t->behind_qemu = !err && config.crypto_services == QEMU_SERVICES && !config.aead_algo &&
	                 config.max_cipher_key_len == QEMU_MAX_CIPHER_KEY &&
	                 config.max_auth_key_len == QEMU_MAX_AUTH_KEY;
	return err;
}

/* The device and we mean the same by an address: what the IOMMU makes of it, or a physical one. */
static int translation_check(const struct transport *t, const char *address,
                             const struct pci_info *info, struct transport_error *error)
{
	bool translated = t->offered & BIT(VIRTIO_F_ACCESS_PLATFORM);

	if (t->driver->translated && !translated)
		transport_error_set(error,
		                    "it goes past the IOMMU (QEMU has no iommu_platform=on for "
		                    "it): run \"vcryptoctl bind %s --driver " PCI_DRIVER_UIO "\"",
		                    address);
	else if (!t->driver->translated && translated && info->iommu_group[0] &&
	         strcmp(info->iommu_type, "identity") != 0)
		transport_error_set(
			error,
			"it is behind an IOMMU, which " PCI_DRIVER_UIO
			" is not for: run \"vcryptoctl bind %s --driver " PCI_DRIVER_VFIO "\"",
			address);
	else
		return 0;
	return -EPROTO;
}

static int device_begin(struct transport *t, const char *address, const struct pci_info *info,
                        struct transport_error *error)
{
	int err = device_reset(t);

	if (err) {
		transport_error_set(error, err == -ENODEV ? "the device does not answer"
		                                          : "the device does not reset");
		return err == -ENODEV ? -EPROTO : err;
	}
	status_add(t, VIRTIO_STATUS_ACKNOWLEDGE);
	status_add(t, VIRTIO_STATUS_DRIVER);
	t->offered = features_get(t);
	err = translation_check(t, address, info, error);
	if (err)
		return err;
	err = qemu_look(t);
	if (err)
		transport_error_set(error, "its configuration does not come to rest");
	return err;
}

static int irq_begin(struct transport *t, struct transport_error *error)
{
	/* One for the configuration, one for each queue, as far as there are; or the line. */
	unsigned int wanted = vc_min(1u + t->common->num_queues, VECTORS_MAX);
	struct epoll_event event = {.events = EPOLLIN};
	int n, gone = t->driver->gone_fd ? t->driver->gone_fd(t->device) : -1;

	wanted = vc_max(vc_min(wanted, t->layout.msix_vectors), 1u);
	n = t->driver->irq_open(t->device, wanted, t->irq);
	t->watch_fd = n < 0 ? n : epoll_create1(EPOLL_CLOEXEC);
	if (t->watch_fd < 0 || epoll_ctl(t->watch_fd, EPOLL_CTL_ADD, t->irq[0], &event) < 0 ||
	    (gone >= 0 && epoll_ctl(t->watch_fd, EPOLL_CTL_ADD, gone, &event) < 0)) {
		n = n < 0 ? n : -errno;
		transport_error_set(error, "no interrupts: %s", strerror(-n));
		return n;
	}
	t->vectors = (unsigned int)n;
	if (t->vectors > 1) {
		t->common->config_msix_vector = 0;
		if (t->common->config_msix_vector) {
			transport_error_set(error, "it has no room for its interrupts");
			return -EPROTO;
		}
	}
	return 0;
}

static const struct pci_driver *driver_find(const char *address, const struct pci_info *info,
                                            struct transport_error *error)
{
	if (!strcmp(info->driver, PCI_DRIVER_UIO) && info->uio[0])
		return &pci_driver_uio;
	if (!strcmp(info->driver, PCI_DRIVER_VFIO) && info->iommu_group[0])
		return &pci_driver_vfio;
	if (info->driver[0])
		transport_error_set(error,
		                    "the kernel's driver %s has it: run \"vcryptoctl bind %s\"",
		                    info->driver, address);
	else
		transport_error_set(error, "no driver has it: run \"vcryptoctl bind %s\"", address);
	return NULL;
}

static int pci_open(const char *text, unsigned int timeout_ms, struct transport **transport,
                    uint64_t *features, struct transport_error *error)
{
	struct transport *t = calloc(1, sizeof(*t));
	char address[PCI_ADDRESS_SIZE];
	struct pci_info info;
	int err = pci_address_parse(text, address);

	if (!t)
		return -ENOMEM;
	t->timeout_ms = timeout_ms;
	t->watch_fd = -1;
	if (err)
		transport_error_set(error, "\"%s\" is not a PCI address such as 0000:00:04.0",
		                    text);
	else if ((err = pci_sysfs_info(PCI_SYSFS_ROOT, address, &info)))
		transport_error_set(error, "there is no PCI device %s", address);
	else if (!(t->driver = driver_find(address, &info, error)))
		err = -EBUSY;
	else
		err = t->driver->open(address, &info, &t->device, error);
	if (!err)
		err = registers_map(t, error);
	if (!err)
		err = device_begin(t, address, &info, error);
	if (!err)
		err = irq_begin(t, error);
	if (err) {
		pci_close(t);
		return err;
	}
	*features = t->behind_qemu ? t->offered & ~FEATURES_UNTOLD : t->offered;
	*transport = t;
	return 0;
}

static int pci_features_set(struct transport *t, uint64_t features, struct transport_error *error)
{
	features |= t->offered & BIT(VIRTIO_F_ACCESS_PLATFORM);
	t->common->driver_feature_select = 0;
	t->common->driver_feature = (uint32_t)features;
	t->common->driver_feature_select = 1;
	t->common->driver_feature = (uint32_t)(features >> 32);
	status_add(t, VIRTIO_STATUS_FEATURES_OK);
	if (t->common->device_status & VIRTIO_STATUS_FEATURES_OK)
		return 0;
	transport_error_set(error, "the device refuses features 0x%llx",
	                    (unsigned long long)features);
	return -EPROTO;
}

/* ---- what it is ---- */

static unsigned int pci_queues_max(struct transport *t)
{
	return t->common->num_queues;
}

static unsigned int pci_queue_size_max(struct transport *t, unsigned int index)
{
	unsigned int size;

	t->common->queue_select = (uint16_t)index;
	size = t->common->queue_size;
	if (size > VIRTQ_MAX_SIZE)
		return 0;
	/* A packed ring may have any size; ours are powers of two. */
	while (size & (size - 1))
		size &= size - 1;
	return size;
}

static bool pci_behind_qemu(struct transport *t)
{
	return t->behind_qemu;
}

static int pci_config_read(struct transport *t, void *config, size_t size,
                           struct transport_error *error)
{
	int err = config_copy(t, config, size);

	if (err)
		transport_error_set(error, "its configuration does not come to rest");
	return err;
}

/* ---- memory ---- */

static int pci_region_create(struct transport *t, size_t min, size_t want, int hugepages,
                             struct shared_region *region, struct transport_error *error)
{
	return t->driver->region_create(t->device, min, want, hugepages, region, error);
}

static int pci_memory_add(struct transport *t, void *address, size_t size, int fd, uint64_t offset,
                          struct transport_error *error)
{
	return t->driver->memory_add(t->device, address, size, error);
}

static int pci_memory_remove(struct transport *t, void *address, size_t size,
                             struct transport_error *error)
{
	return t->driver->memory_remove(t->device, address, size);
}

/* ---- queues ---- */

/* The interrupt of a queue; 0: that of the configuration, where there are too few, or the line. */
static unsigned int queue_vector(const struct transport *t, unsigned int index)
{
	return index + 1 < t->vectors ? index + 1 : 0;
}

/* A descriptor of its own for each queue; where it shares one, another that is readable when that
 * one is. */
static int call_open(struct transport *t, struct transport_queue *q)
{
	unsigned int vector = queue_vector(t, q->index);
	struct epoll_event event = {.events = EPOLLIN};

	q->call_fd = vector ? dup(t->irq[vector]) : epoll_create1(EPOLL_CLOEXEC);
	if (q->call_fd < 0 ||
	    (!vector && epoll_ctl(q->call_fd, EPOLL_CTL_ADD, t->irq[0], &event) < 0))
		return -errno;
	if (t->vectors > 1) {
		t->common->queue_msix_vector = (uint16_t)vector;
		if (t->common->queue_msix_vector != vector)
			return -EPROTO;
	}
	return 0;
}

/* 4.1.5.1.3. */
static int pci_queue_start(struct transport *t, struct transport_queue *q,
                           struct transport_error *error)
{
	uint64_t desc, driver, device, notify = 0;
	int err;

	t->common->queue_select = (uint16_t)q->index;
	if (t->common->queue_enable || t->common->queue_size < ring_size(q->ring) ||
	    !pci_layout_notify(&t->layout, t->common->queue_notify_off, &notify)) {
		transport_error_set(error, "its queue %u cannot be used", q->index);
		return -EPROTO;
	}
	err = call_open(t, q);
	if (err) {
		transport_error_set(error, "no interrupt for queue %u: %s", q->index,
		                    strerror(-err));
		return err;
	}
	ring_parts(q->ring, &desc, &driver, &device);
	t->common->queue_size = (uint16_t)ring_size(q->ring);
	/* Halves, as 4.1.3.1 has it. */
	volatile uint32_t *at = (volatile uint32_t *)&t->common->queue_desc;
	const uint64_t parts[] = {desc, driver, device};

	for (unsigned int i = 0; i < vc_array_size(parts); i++) {
		*at++ = (uint32_t)parts[i];
		*at++ = (uint32_t)(parts[i] >> 32);
	}
	q->notify = (volatile uint16_t *)(t->window[NOTIFY].base + notify);
	q->transport = t;
	t->common->queue_enable = 1;
	return 0;
}

static int pci_start(struct transport *t, struct transport_error *error)
{
	status_add(t, VIRTIO_STATUS_DRIVER_OK);
	if (!(t->common->device_status & (VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)))
		return 0;
	transport_error_set(error, "the device wants a reset as soon as it is started");
	return -EPROTO;
}

static int pci_session_create(struct transport *t, void *payload, uint32_t size,
                              struct transport_error *error)
{
	transport_error_set(error, "sessions by message are for vhost-user");
	return -EOPNOTSUPP;
}

static int pci_session_close(struct transport *t, uint64_t id, struct transport_error *error)
{
	return -EOPNOTSUPP;
}

/* ---- any thread ---- */

/* The rings are written before this; x86 keeps stores in order, and a register is no exception. */
static void pci_kick(const struct transport_queue *q)
{
	*q->notify = (uint16_t)q->index;
}

/* The interrupt status says why the line was raised, and reading it lowers the line (4.1.4.5). */
static void line_take(struct transport *t)
{
	uint64_t calls = t->driver->irq_take(t->device);

	if (!calls)
		return;
	atomic_fetch_add(&t->calls, calls);
	if (*t->window[ISR].base & VIRTIO_PCI_ISR_CONFIG)
		atomic_store(&t->changed, true);
	if (t->driver->irq_unmask)
		t->driver->irq_unmask(t->device);
}

/* The first of several: nothing says whether it was the configuration, so that is read again. */
static bool vector_take(struct transport *t)
{
	bool called = event_clear(t->irq[0]);

	if (called)
		atomic_store(&t->changed, true);
	return called;
}

static uint64_t pci_calls(const struct transport_queue *q)
{
	struct transport *t = q->transport;
	uint64_t calls;

	if (t->vectors == 1) {
		line_take(t);
		return atomic_exchange(&t->calls, 0);
	}
	if (!queue_vector(t, q->index))
		return vector_take(t);
	return read(q->call_fd, &calls, sizeof(calls)) == sizeof(calls) ? calls : 0;
}

static bool pci_alive(struct transport *t)
{
	uint8_t status;

	if (t->vectors == 1)
		line_take(t);
	else
		vector_take(t);
	if (t->driver->gone(t->device))
		return false;
	/* All ones where there is nothing any more. */
	status = t->common->device_status;
	return status & VIRTIO_STATUS_DRIVER_OK &&
	       !(status & (VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED));
}

static bool pci_changed(struct transport *t)
{
	return atomic_exchange(&t->changed, false);
}

static int pci_fd(const struct transport *t)
{
	return t->watch_fd;
}

const struct transport_ops transport_pci = {
	.open = pci_open,
	.close = pci_close,
	.features_set = pci_features_set,
	.queues_max = pci_queues_max,
	.queue_size_max = pci_queue_size_max,
	.behind_qemu = pci_behind_qemu,
	.config_read = pci_config_read,
	.region_create = pci_region_create,
	.copies = true,
	.memory_add = pci_memory_add,
	.memory_remove = pci_memory_remove,
	.queue_start = pci_queue_start,
	.start = pci_start,
	.session_create = pci_session_create,
	.session_close = pci_session_close,
	.kick = pci_kick,
	.calls = pci_calls,
	.alive = pci_alive,
	.changed = pci_changed,
	.fd = pci_fd,
};
