/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between vcrypto-host and the module that has the resource type dpdk. DPDK is some 180 libraries,
 * 20 MiB of resident memory and 0.2 s of start; so it is a module of its own, loaded when a
 * configuration has such a resource. Both come from one build: structures are shared as they are.
 */
#ifndef VC_HOST_RESOURCE_DPDK_MODULE_H
#define VC_HOST_RESOURCE_DPDK_MODULE_H

#include "base/log.h"
#include "host/resource/resource.h"

#define DPDK_MODULE_NAME "vcrypto-host-dpdk.so"
#define DPDK_MODULE_ENTRY "vcrypto_host_dpdk"

/* What the module has of the host's, which has state of its own. */
struct dpdk_host {
	/* A line for the log, limited in number. Any thread. */
	void (*log)(enum log_level level, const char *line);
	const struct resource_ops *reference; /* against which a device's results are checked */
};

/* NULL: the module is of another build. build: DPDK_BUILD. */
typedef const struct resource_ops *dpdk_module_fn(const struct dpdk_host *host, const char *build);

#define DPDK_TEXT2(x) #x
#define DPDK_TEXT(x) DPDK_TEXT2(x)
/* Changes with the version and, by hand, with what both sides share. */
#define DPDK_BUILD VCRYPTO_VERSION "." DPDK_TEXT(1)

#endif
