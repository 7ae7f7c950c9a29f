/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of vcryptoctl that are about PCI devices of this machine: no daemon is asked.
 */
#ifndef VC_CLI_PCI_H
#define VC_CLI_PCI_H

#include <stdbool.h>

struct pci_options {
	const char *root;    /* PCI_SYSFS_ROOT */
	const char *address; /* NULL: the only one that there is */
	const char *driver;  /* to bind to; NULL: what suits */
	bool json;
};

/* Each returns the exit status, and has said what is wrong. */
int pci_list(const struct pci_options *options);
int pci_bind(const struct pci_options *options);
int pci_unbind(const struct pci_options *options);

#endif
