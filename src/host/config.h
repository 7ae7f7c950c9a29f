/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of vcrypto-host: what host.yaml says, checked.
 */
#ifndef VC_HOST_CONFIG_H
#define VC_HOST_CONFIG_H

#include <stdint.h>

#include "host/device.h"
#include "host/resource/fault_settings.h"
#include "host/sched/sched.h"

/* Pointers are NULL where the file says nothing: ask the functions below for the value then. */

/* When a resource that fails is not asked any more (sched/health.h). */
struct host_config_circuit {
	unsigned int *failures;
	unsigned int *backoff_ms;
	unsigned int *backoff_max_ms;
};

/* In the order of fault_keys. */
struct host_config_faults {
	char *value[FAULT_KEYS];
};

struct host_config_resource {
	char *name;
	char *type;
	unsigned int *threads; /* NULL: the type's default */
	unsigned int *wait_us;
	char *device; /* dpdk */
	char *vdev;
	unsigned int *sessions;
	struct host_config_circuit *circuit;
	char *of;
	struct host_config_faults *faults;
};

struct host_config_pin {
	char *algorithm;
	char *resource;
};

/* What a group has of a resource for itself. */
struct host_config_share {
	char *resource;
	unsigned int threads;
};

struct host_config_group {
	char *name;
	enum sched_policy_id policy;
	char **primary;
	unsigned int primary_count;
	char **secondary;
	unsigned int secondary_count;
	char *size_threshold; /* "4KiB" */
	unsigned int *deadline_ms;
	struct host_config_pin *pins;
	unsigned int pins_count;
	struct host_config_share *share;
	unsigned int share_count;
};

enum host_config_mode { HOST_MODE_SERVER, HOST_MODE_CLIENT };

enum host_config_order { HOST_ORDER_RELAXED, HOST_ORDER_STRICT };

struct host_config_limit {
	unsigned int *sessions;
	char *inflight_bytes; /* "16MiB" */
	char *memory;
	unsigned int *ops, *ops_burst;
	char *bytes, *bytes_burst;
};

struct host_config_device {
	char *name;
	char *socket; /* NULL: NAME.sock in the runtime directory */
	enum host_config_mode mode;
	enum host_config_order order;
	char *group;
	unsigned int *queues;
	struct host_config_limit *limit;
	unsigned int *weight;
};

struct host_config_polling {
	unsigned int *spin_us;
	unsigned int *idle_us;
};

struct host_config_dpdk {
	char **eal;
	unsigned int eal_count;
	char *memory; /* "256MiB" */
	bool *huge_pages;
};

struct host_config {
	int *workers; /* CPUs; none: one worker that is not pinned */
	unsigned int workers_count;
	struct host_config_resource *resources;
	unsigned int resources_count;
	struct host_config_group *groups;
	unsigned int groups_count;
	struct host_config_device *devices;
	unsigned int devices_count;
	struct host_config_polling *polling; /* NULL: defaults */
	struct host_config_dpdk *dpdk;       /* NULL: defaults */
	char *name;                          /* of the file, for messages */
};

/* How many there are of what can come and go while the daemon runs. */
struct host_config_counts {
	unsigned int resources, groups, devices;
};

/* YAML, and what stands for a file in errors about it. */
struct host_config_text {
	const char *name;
	const char *text;
	size_t length;
};

/*
 * Load, fill in the sections that are left out, and check. path NULL: the built-in configuration.
 * On failure *error is a sentence that begins with "FILE:LINE: " (to be freed). 0; -ENOENT,
 * -EACCES, -EINVAL, -ENOMEM.
 */
int host_config_load(const char *path, struct host_config **config, char **error);
void host_config_free(struct host_config *config);

/*
 * Add what the text has in its sections resources, groups and devices, behind what there is;
 * *before says how much that was. Checked as a file is, and errors are such as of a file. Nothing
 * is changed on failure. Pointers into the three lists are not valid any more. 0, -EINVAL, -ENOMEM.
 */
int host_config_add(struct host_config *config, const struct host_config_text *text,
                    struct host_config_counts *before, char **error);
/* Take away what was added last. */
void host_config_truncate(struct host_config *config, const struct host_config_counts *counts);
void host_config_device_remove(struct host_config *config, unsigned int index);
void host_config_resource_remove(struct host_config *config, unsigned int index);
void host_config_group_remove(struct host_config *config, unsigned int index);
/* No group has the resource any more. A group whose primary list is empty then has the secondary
 * one in its place. */
void host_config_resource_forget(struct host_config *config, const char *name);
/*
 * Have the text's only group in the place of the one of that name, at *index. Checked, and refused,
 * as by host_config_add(). *was has what it was: to be put back, or (host_config_free()) forgotten.
 */
int host_config_group_set(struct host_config *config, const struct host_config_text *text,
                          unsigned int *index, struct host_config **was, char **error);
void host_config_group_put_back(struct host_config *config, unsigned int index,
                                struct host_config *was);
/* A limit, or the weight, of a device has been changed, by its name in the file; 0: there is none.
 * 0, -ENOMEM. */
int host_config_limit(struct host_config_device *device, const char *name, uint64_t value);
/* As YAML that can be loaded again (to be freed). 0, -ENOMEM. */
int host_config_print(const struct host_config *config, char **text);

unsigned int host_config_spin_us(const struct host_config *config);
unsigned int host_config_idle_us(const struct host_config *config);

struct circuit_options host_config_circuit(const struct host_config_resource *resource);
/* Bytes. 0; -EINVAL: it is no size (of a checked configuration it is). */
int host_config_size_threshold(const struct host_config_group *group, uint32_t *bytes);
/* How many parts (resource_ops) a resource has in all, and how many of these are groups' shares. */
unsigned int host_config_parts(const struct host_config_resource *resource);
unsigned int host_config_shared(const struct host_config *config, const char *resource);
/* The faults of a resource. -EINVAL: the key in *key has no such value, and *error (to be freed)
 * says so (of a checked configuration all are good). */
int host_config_faults(const struct host_config_resource *resource, struct fault_settings *settings,
                       const char **key, char **error);
/* What DPDK's environment is to be (config_dpdk.c); points into config. */
void host_config_dpdk(const struct host_config *config, struct resource_dpdk *options);

unsigned int host_config_queues(const struct host_config_device *device);
/* 0; -EINVAL: a size in it is none (of a checked configuration all are). */
int host_config_limits(const struct host_config_device *device, struct device_limits *limits);
/* A device's socket, default filled in. 0, -ENAMETOOLONG. */
int host_config_socket(const struct host_config_device *device, char *path, size_t size);
/* Index of the name in the list, -1: there is none. */
int host_config_resource_find(const struct host_config *config, const char *name);
int host_config_group_find(const struct host_config *config, const char *name);
int host_config_device_find(const struct host_config *config, const char *name);
/* Whether the group has the resource in its primary list, or in its secondary one. */
bool host_config_group_names(const struct host_config_group *group, const char *resource,
                             bool primary);

#endif
