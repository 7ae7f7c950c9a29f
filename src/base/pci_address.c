/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the kernel writes a place on the PCI bus. Any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

int pci_address_parse(const char *text, char address[PCI_ADDRESS_SIZE])
{
	unsigned int domain = 0, bus, slot, function;
	int end = 0;

	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 ||
	    text[end]) {
		domain = 0;
		end = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3 || text[end])
			return -EINVAL;
	}
	if (slot > 31 || function > 7 || strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
		return -EINVAL;
	snprintf(address, PCI_ADDRESS_SIZE, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, slot,
	         function);
	return 0;
}
