/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the target vhost (vhost.c) and its seeds (vhost_seeds.c) agree upon.
 */
#ifndef VC_FUZZ_VHOST_H
#define VC_FUZZ_VHOST_H

#define MEMORY_SIZE 65536u
#define MEMORIES 2
#define USER_BASE 0x700000000000u
#define QUEUES 3 /* two for data */
#define RING_SIZE 16u
/* In the first memory. */
#define RING_AT(queue) ((queue)*2048u)
#define CHAINS_AT 8192u
#define CHAIN_SIZE 1024u
/* Of a chain: it is about a session that there is. */
#define LIVE 4u

/* What the next byte of an input asks for, modulo 8. */
enum { KNOWN, ANY_MESSAGE, ANY_BYTES, WRITE, CHAIN, RESOURCES, CUT, ROUND };

#endif
