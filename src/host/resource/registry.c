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
	&resource_ipsec_mb,
	&resource_libcrypto,
#ifdef VC_HAVE_CRYPTO_MB
	&resource_crypto_mb,
#endif
	NULL,
};

int resource_create(const struct resource_config *config, struct resource **resource, char **error)
{
	for (unsigned int i = 0; resource_types[i]; i++) {
		if (strcmp(resource_types[i]->type, config->type) != 0)
			continue;
		int r = resource_types[i]->create(config, resource, error);

		if (r < 0)
			return r;
		(*resource)->ops = resource_types[i];
		snprintf((*resource)->name, sizeof((*resource)->name), "%s", config->name);
		return 0;
	}
	*error = str_format("resource '%s': there is no type '%s'", config->name, config->type);
	return -EINVAL;
}

void resource_destroy(struct resource *resource)
{
	if (resource)
		resource->ops->destroy(resource);
}
