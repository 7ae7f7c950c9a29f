/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.yaml: resources of type dpdk, and DPDK's environment. Main thread. What is not known before
 * DPDK runs (whether a device is there, how many queue pairs it has) is said when the resource is
 * made.
 */
#include <inttypes.h>
#include <string.h>

#include "base/config.h"
#include "base/util.h"
#include "host/config_check_private.h"

#define TYPE "dpdk"
/* To try a device out takes some at once. */
#define MIN_SESSIONS 64u
#define MAX_SESSIONS (1u << 20)
#define MAX_VDEV_NAME 63
#define MIN_MEMORY (UINT64_C(16) << 20)
#define MAX_MEMORY (UINT64_C(1) << 40)
/* Without huge pages only what is touched is used: what DPDK itself takes, and what a queue pair
 * does with its sessions. */
#define BASE_MEMORY (UINT64_C(64) << 20)
#define PAIR_MEMORY (UINT64_C(32) << 20)

static bool is_dpdk(const struct host_config_resource *resource)
{
	return !strcmp(resource->type, TYPE);
}

/* ---- what is asked for ---- */

void host_config_dpdk(const struct host_config *config, struct resource_dpdk *options)
{
	const struct host_config_dpdk *from = config->dpdk;
	uint64_t pairs = 0;

	*options = (struct resource_dpdk){0};
	for (unsigned int i = 0; i < config->resources_count; i++) {
		const struct host_config_resource *resource = &config->resources[i];

		if (!is_dpdk(resource))
			continue;
		pairs += vc_max(config->workers_count, 1u);
		if (resource->device)
			options->devices[options->device_count++] = resource->device;
	}
	options->huge_pages = options->device_count != 0;
	if (from) {
		options->eal = (const char *const *)from->eal;
		options->eal_count = from->eal_count;
		if (from->huge_pages)
			options->huge_pages = *from->huge_pages;
	}
	if (from && from->memory)
		(void)config_size_parse(from->memory, &options->memory);
	else if (!options->huge_pages)
		options->memory = BASE_MEMORY + pairs * PAIR_MEMORY;
}

/* ---- what is wrong with it ---- */

/* Keys that are for this type alone. */
static int check_stranger(struct check *check, unsigned int i)
{
	const struct host_config_resource *resource = &check->config->resources[i];
	const struct {
		const char *key;
		bool set;
	} keys[] = {
		{"device", resource->device != NULL},
		{"vdev", resource->vdev != NULL},
		{"sessions", resource->sessions != NULL},
	};

	for (size_t k = 0; k < vc_array_size(keys); k++) {
		struct config_place place = {"resources", (int)i, keys[k].key, -1};

		if (keys[k].set)
			return fail(check, &place,
			            "resource \"%s\": %s is for type " TYPE ", and not for %s",
			            resource->name, keys[k].key, resource->type);
	}
	return 0;
}

/* "crypto_openssl0", and arguments after a comma. */
static bool vdev_good(const char *text)
{
	size_t length =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return length >= 1 && length <= MAX_VDEV_NAME && (!text[length] || text[length] == ',');
}

/* "0000:3d:01.0", and arguments after a comma. */
static bool device_good(const char *text)
{
	char place[PCI_ADDRESS_SIZE], address[PCI_ADDRESS_SIZE];
	size_t length = strcspn(text, ",");

	if (length >= sizeof(place))
		return false;
	memcpy(place, text, length);
	place[length] = '\0';
	return pci_address_parse(place, address) == 0 && !strcmp(address, place);
}

static int check_device(struct check *check, unsigned int i)
{
	const struct host_config_resource *resource = &check->config->resources[i];
	struct config_place place = {"resources", (int)i, "vdev", -1};

	if (!resource->device == !resource->vdev) {
		place.key = resource->device ? "vdev" : "type";
		return fail(check, &place,
		            "resource \"%s\": type " TYPE " needs one of device and vdev",
		            resource->name);
	}
	if (resource->vdev && !vdev_good(resource->vdev))
		return fail(check, &place,
		            "resource \"%s\": the vdev \"%.64s\" is no name, as crypto_openssl0, "
		            "with arguments after a comma",
		            resource->name, resource->vdev);
	place.key = "device";
	if (resource->device && !device_good(resource->device))
		return fail(check, &place,
		            "resource \"%s\": the device \"%.64s\" is no place on the PCI bus, as "
		            "0000:3d:01.0, with arguments after a comma",
		            resource->name, resource->device);
	return 0;
}

/* Arguments apart. */
static bool same_name(const char *a, const char *b)
{
	size_t length = strcspn(a, ",");

	return length == strcspn(b, ",") && !strncmp(a, b, length);
}

/* Two resources of one device would take each other's queue pairs. */
static int check_twice(struct check *check, unsigned int i)
{
	const struct host_config_resource *resource = &check->config->resources[i];
	struct config_place place = {"resources", (int)i, NULL, -1};

	for (unsigned int j = 0; j < i; j++) {
		const struct host_config_resource *other = &check->config->resources[j];

		if (resource->device && other->device && same_name(resource->device, other->device))
			place.key = "device";
		if (resource->vdev && other->vdev && same_name(resource->vdev, other->vdev))
			place.key = "vdev";
		if (place.key)
			return fail(check, &place, "resources \"%s\" and \"%s\" have the same %s",
			            other->name, resource->name, place.key);
	}
	return 0;
}

int config_check_dpdk(struct check *check, unsigned int i)
{
	const struct host_config_resource *resource = &check->config->resources[i];
	struct config_place place = {"resources", (int)i, "sessions", -1};
	int err;

	if (!is_dpdk(resource))
		return check_stranger(check, i);
	if (resource->sessions &&
	    (*resource->sessions < MIN_SESSIONS || *resource->sessions > MAX_SESSIONS))
		return fail(check, &place, "sessions is %u; it must be from %u to %u",
		            *resource->sessions, MIN_SESSIONS, MAX_SESSIONS);
	err = check_device(check, i);
	return err ? err : check_twice(check, i);
}

int config_check_dpdk_section(struct check *check)
{
	const struct host_config_dpdk *dpdk = check->config->dpdk;
	struct config_place place = {"dpdk", -1, "memory", -1};
	uint64_t size;

	if (!dpdk || !dpdk->memory ||
	    (!config_size_parse(dpdk->memory, &size) && size >= MIN_MEMORY && size <= MAX_MEMORY))
		return 0;
	return fail(check, &place,
	            "memory is \"%s\"; it must be a size, as 256MiB, from %" PRIu64 " to %" PRIu64,
	            dpdk->memory, MIN_MEMORY, MAX_MEMORY);
}
