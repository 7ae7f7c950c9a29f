/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: a device, from its name to cryptodevs that run with a queue pair for each worker; and the
 * memory that hardware may reach.
 *
 * Main thread.
 */
#include <errno.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_vfio.h>
#include <string.h>

#include "host/resource/dpdk.h"

/* All of DPDK's devices of a process are in one container, so one resource does it for all. */
static const struct resource *mapper;

/* ---- finding it ---- */

static int vdev_make(struct dpdk_resource *dpdk, const char *text, char **error)
{
	const char *comma = strchr(text, ',');
	int err;

	snprintf(dpdk->device, sizeof(dpdk->device), "%.*s", (int)strcspn(text, ","), text);
	dpdk_eal_quiet(true);
	err = rte_vdev_init(dpdk->device, comma ? comma + 1 : "");
	dpdk_eal_quiet(false);
	if (!err) {
		dpdk->vdev = true;
		return 0;
	}
	if (err == -EEXIST)
		*error = str_format("there is a vdev '%s' already", dpdk->device);
	else
		*error = str_format("DPDK cannot make the vdev '%s': %s", text,
		                    err == -ENOENT || err == -ENODEV || err == -EINVAL || err == -1
		                            ? "it has no such driver, or not these arguments"
		                            : strerror(-err));
	return err == -EEXIST ? err : -ENODEV;
}

static bool is_multi_buffer(const char *driver)
{
	return !strncmp(driver, "crypto_aesni", 12) || !strcmp(driver, "crypto_chacha20_poly1305");
}

/* The cryptodevs of the device: QAT has two. */
static int devices_find(struct dpdk_resource *dpdk)
{
	struct rte_cryptodev_info info;

	for (int id = 0; id < RTE_CRYPTO_MAX_DEVS; id++) {
		if (!rte_cryptodev_is_valid_dev((uint8_t)id))
			continue;
		rte_cryptodev_info_get((uint8_t)id, &info);
		if (!info.device || strcmp(rte_dev_name(info.device), dpdk->device) != 0)
			continue;
		if (dpdk->sym < 0 && info.feature_flags & RTE_CRYPTODEV_FF_SYMMETRIC_CRYPTO)
			dpdk->sym = id;
		if (dpdk->asym < 0 && info.feature_flags & RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO)
			dpdk->asym = id;
		if (info.feature_flags & RTE_CRYPTODEV_FF_HW_ACCELERATED)
			dpdk->hardware = true;
		/* 3 KiB with each session of RSA-2048, in 22.11 and in 24.11. */
		dpdk->leaks |= !strcmp(info.driver_name, "crypto_openssl");
		dpdk->multi_buffer |= is_multi_buffer(info.driver_name);
	}
	return dpdk->sym >= 0 || dpdk->asym >= 0 ? 0 : -ENODEV;
}

/* ---- starting it ---- */

static char *pairs_missing(const struct dpdk_resource *dpdk, unsigned int there)
{
	const char *hint = dpdk->vdev ? " (a vdev has as many as its argument "
	                                "max_nb_queue_pairs says)"
	                              : "";

	if (dpdk->pairs == dpdk->workers)
		return str_format("the device '%s' has %u queue pairs, and there are %u workers%s",
		                  dpdk->device, there, dpdk->workers, hint);
	return str_format("the device '%s' has %u queue pairs; %u workers, and faults of the "
	                  "resource, need %u%s",
	                  dpdk->device, there, dpdk->workers, dpdk->pairs, hint);
}

static int queues_set(const struct dpdk_resource *dpdk, int id, char **error)
{
	struct rte_cryptodev_info info;
	/* Security offloads are not for us. */
	struct rte_cryptodev_config config = {.socket_id = rte_cryptodev_socket_id((uint8_t)id),
	                                      .nb_queue_pairs = (uint16_t)dpdk->pairs,
	                                      .ff_disable = RTE_CRYPTODEV_FF_SECURITY};
	struct rte_cryptodev_qp_conf queue = {.nb_descriptors = DPDK_DESCRIPTORS};
	int err;

	rte_cryptodev_info_get((uint8_t)id, &info);
	if (info.max_nb_queue_pairs < dpdk->pairs) {
		*error = pairs_missing(dpdk, info.max_nb_queue_pairs);
		return -ENOSPC;
	}
	err = rte_cryptodev_configure((uint8_t)id, &config);
	for (uint16_t q = 0; q < dpdk->pairs && !err; q++)
		err = rte_cryptodev_queue_pair_setup((uint8_t)id, q, &queue, config.socket_id);
	if (!err)
		err = rte_cryptodev_start((uint8_t)id);
	if (err)
		*error = str_format("the device '%s' does not start with %u queue pairs: %s%s",
		                    dpdk->device, dpdk->pairs, strerror(err < 0 ? -err : EIO),
		                    err == -ENOMEM ? " (see dpdk: memory)" : "");
	return err < 0 ? err : err ? -EIO : 0;
}

static void capabilities_read(struct dpdk_resource *dpdk)
{
	struct rte_cryptodev_info info;

	if (dpdk->sym >= 0) {
		rte_cryptodev_info_get((uint8_t)dpdk->sym, &info);
		dpdk_caps_add(&dpdk->caps, &info);
	}
	if (dpdk->asym >= 0 && dpdk->asym != dpdk->sym) {
		rte_cryptodev_info_get((uint8_t)dpdk->asym, &info);
		dpdk_caps_add(&dpdk->caps, &info);
	}
	/* 5 MB/s in one lane: a long message would hold the worker up. */
	if (dpdk->multi_buffer)
		dpdk->caps.cipher[VIRTIO_CRYPTO_CIPHER_3DES_CBC].there = false;
	dpdk->crt = dpdk->caps.rsa_crt;
}

int dpdk_device_start(struct dpdk_resource *dpdk, const struct resource_config *config,
                      char **error)
{
	int err = 0;

	if (config->vdev)
		err = vdev_make(dpdk, config->vdev, error);
	else
		snprintf(dpdk->device, sizeof(dpdk->device), "%.*s",
		         (int)strcspn(config->device, ","), config->device);
	if (err)
		return err;
	if (devices_find(dpdk) < 0) {
		*error = dpdk->vdev
		                 ? str_format("the vdev '%s' is no crypto device", dpdk->device)
		                 : str_format(
					   "DPDK has no crypto device '%s': is it there, bound to "
					   "vfio-pci, and may this process open it?",
					   dpdk->device);
		return -ENODEV;
	}
	dpdk->hardware |= !dpdk->vdev;
	if (dpdk->sym >= 0)
		err = queues_set(dpdk, dpdk->sym, error);
	if (!err && dpdk->asym >= 0 && dpdk->asym != dpdk->sym)
		err = queues_set(dpdk, dpdk->asym, error);
	dpdk->started = !err;
	if (!err)
		capabilities_read(dpdk);
	return err;
}

void dpdk_device_stop(struct dpdk_resource *dpdk)
{
	const int ids[] = {dpdk->sym, dpdk->asym == dpdk->sym ? -1 : dpdk->asym};

	for (unsigned int i = 0; i < vc_array_size(ids); i++) {
		if (ids[i] < 0)
			continue;
		if (dpdk->started)
			rte_cryptodev_stop((uint8_t)ids[i]);
		rte_cryptodev_close((uint8_t)ids[i]);
	}
	if (dpdk->vdev)
		rte_vdev_uninit(dpdk->device);
	if (mapper == &dpdk->base)
		mapper = NULL;
}

/* ---- memory for hardware ---- */

int dpdk_memory_add(struct resource *resource, void *base, size_t length)
{
	if (!((const struct dpdk_resource *)resource)->hardware)
		return 0;
	if (!mapper)
		mapper = resource;
	if (mapper != resource)
		return 0;
	if (rte_vfio_container_dma_map(RTE_VFIO_DEFAULT_CONTAINER_FD, (uintptr_t)base,
	                               (uintptr_t)base, length) == 0)
		return 0;
	dpdk_log(LOG_LEVEL_WARNING, "%s: %zu bytes of memory cannot be mapped for the device: %s",
	         resource->name, length, rte_strerror(rte_errno));
	return rte_errno ? -rte_errno : -EIO;
}

void dpdk_memory_remove(struct resource *resource, void *base, size_t length)
{
	if (!((const struct dpdk_resource *)resource)->hardware)
		return;
	if (!mapper)
		mapper = resource;
	if (mapper == resource)
		(void)rte_vfio_container_dma_unmap(RTE_VFIO_DEFAULT_CONTAINER_FD, (uintptr_t)base,
		                                   (uintptr_t)base, length);
}
