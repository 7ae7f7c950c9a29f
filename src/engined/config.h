/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engined.yaml: the daemon's configuration, checked and with defaults filled in.
 */
#ifndef VC_ENGINED_CONFIG_H
#define VC_ENGINED_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"

#define ENGINED_DEFAULT_CONFIG "/etc/vcrypto/engined.yaml"

struct engined_config {
	char device_socket[108];
	char device_address[PCI_ADDRESS_SIZE]; /* on the PCI bus; "": none, the socket then */
	unsigned int queues;
	unsigned int depth;       /* operations in flight in each queue */
	unsigned int resubmit_ms; /* how long requests wait for a device that was lost */
	int cpu;                  /* -1: wherever */
	char listen[108];
	struct {
		unsigned int clients;
		unsigned int clients_per_user;
		unsigned int channels; /* of a client */
		unsigned int slots;    /* of a channel */
		unsigned int sessions; /* handles of a client */
		unsigned int wakers;   /* eventfds of a client */
	} limits;
	struct {
		unsigned int spin_us, idle_us;
	} polling;
	struct {
		unsigned int idle_seconds;
		unsigned int max; /* unused sessions kept */
	} session_cache;
	/* Who may connect; everybody when both are empty. Root and our own user always may. */
	uid_t *users;
	size_t users_count;
	gid_t *groups;
	size_t groups_count;
};

/* Defaults, with sockets in the runtime directory. 0; -ENAMETOOLONG. */
int engined_config_default(struct engined_config *config);
/* From a file. On failure *error is a sentence (to be freed). */
int engined_config_load(const char *path, struct engined_config *config, char **error);
/* From text, for tests; name stands for the file. */
int engined_config_load_text(const char *name, const char *text, size_t length,
                             struct engined_config *config, char **error);
/* Free what config points to. */
void engined_config_free(struct engined_config *config);

/* Whether a peer may connect. */
bool engined_config_allows(const struct engined_config *config, uid_t uid, gid_t gid);

#endif
