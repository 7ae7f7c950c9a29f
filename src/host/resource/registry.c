/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types of resource that are built in, and making one from the configuration.
 *
 * Main thread. The configuration is the administrator's and trusted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "host/resource/resource.h"

const struct resource_ops *const resource_types[] = {
	&resource_ipsec_mb,  &resource_libcrypto,
#ifdef VC_HAVE_CRYPTO_MB
	&resource_crypto_mb,
#endif
#ifdef VC_HAVE_DPDK
	&resource_dpdk,
#endif
	&resource_fault,     NULL,
};

const struct resource_ops *resource_type_find(const char *type)
{
	for (unsigned int i = 0; resource_types[i]; i++)
		if (!strcmp(resource_types[i]->type, type))
			return resource_types[i];
	return NULL;
}

int resource_create(const struct resource_config *config, struct resource **resource, char **error)
{
	const struct resource_ops *ops = resource_type_find(config->type);
	int r;

	if (!ops) {
		*error = str_format("resource '%s': there is no type '%s'", config->name,
		                    config->type);
		return -EINVAL;
	}
	r = ops->create(config, resource, error);
	if (r < 0)
		return r;
	if (!(*resource)->ops)
		(*resource)->ops = ops;
	snprintf((*resource)->name, sizeof((*resource)->name), "%s", config->name);
	return 0;
}

void resource_destroy(struct resource *resource)
{
	if (resource)
		resource->ops->destroy(resource);
}
