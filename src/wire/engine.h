/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine protocol: what an application (through the OpenSSL front end) and vcrypto-engined
 * say to each other. docs/engine-protocol.md tells the same in words.
 *
 * Layout only, no code. Host byte order: both ends are on one machine.
 *
 * Set-up goes over a UNIX SOCK_SEQPACKET socket, one message a packet:
 *   client  HELLO
 *   daemon  WELCOME, with SCM_RIGHTS: the region (memfd, sealed against shrinking and growing,
 *           made by the daemon), the doorbell (eventfd); or REFUSED
 *   client  WAKERS, with SCM_RIGHTS: up to VCE_WAKERS_MAX_MESSAGE eventfds; any number of times
 *   daemon  WAKERS_TAKEN
 * The socket then stays open and silent; its end is the end of the client.
 *
 * All else happens in the region. The daemon takes nothing that it reads there on trust: it copies
 * a field once, checks the copy and uses that, and it keeps its own copies of its own indices.
 */
#ifndef VC_WIRE_ENGINE_H
#define VC_WIRE_ENGINE_H

#include <assert.h>
#include <stdint.h>

#define VCE_MAGIC 0x31454356u /* "VCE1" */
#define VCE_VERSION 2u

#define VCE_CACHE_LINE 64
#define VCE_MAX_CHANNELS 256
#define VCE_MAX_SLOTS 1024
#define VCE_WAKERS_MAX_MESSAGE 64
#define VCE_MAX_WAKERS 4096
#define VCE_MAX_IV 16

/* ---- socket ---- */

enum vce_message_type {
	VCE_HELLO = 1,
	VCE_WELCOME = 2,
	VCE_REFUSED = 3,
	VCE_WAKERS = 4,
	VCE_WAKERS_TAKEN = 5,
};

struct vce_message_header {
	uint32_t magic;
	uint32_t type; /* enum vce_message_type */
};

struct vce_hello {
	struct vce_message_header header;
	uint32_t version;  /* the newest that the client speaks */
	uint32_t channels; /* wanted; the daemon gives at most so many, at least 1 */
	uint32_t slots;    /* wanted in each channel, a power of two */
	uint32_t reserved;
	char name[64]; /* of the program, for people; need not end with a NUL */
};

struct vce_welcome {
	struct vce_message_header header;
	uint32_t version; /* the one to speak: at most the client's */
	uint32_t reserved;
	uint64_t region_size; /* bytes; the rest is in the region's header */
};

struct vce_refused {
	struct vce_message_header header;
	int32_t error;  /* errno */
	char text[116]; /* a sentence; ends with a NUL */
};

/* Wakers get consecutive numbers from 1 in the order in which they are sent. */
struct vce_wakers {
	struct vce_message_header header;
	uint32_t first; /* number of the first of this message */
	uint32_t count; /* as many descriptors as are attached */
};

struct vce_wakers_taken {
	struct vce_message_header header;
	uint32_t first;
	uint32_t count; /* how many of them were taken, from the front */
};

/* ---- region ---- */

/* Why an operation was done in software; index of vce_client_stats.fallback[]. */
enum vce_fallback {
	VCE_FALLBACK_NO_DAEMON = 0, /* cannot connect */
	VCE_FALLBACK_FULL = 1,      /* no free slot, ring full */
	VCE_FALLBACK_DEADLINE = 2,  /* no answer in time */
	VCE_FALLBACK_NOTSUPP = 3,   /* the device cannot */
	VCE_FALLBACK_DEVICE = 4,    /* the device failed or is gone */
	VCE_FALLBACK_SILENT = 5,    /* not tried: deadlines have passed in a row */
	VCE_FALLBACK_REASONS = 8,
};

/* What an operation was; index of vce_client_stats.offloaded[], and of offloaded_more[] from
 * VCE_CLASSES_FIRST on. Each newer one took a place that
 * was 0 before, so that old and new ends understand each other. */
enum vce_class {
	VCE_CLASS_CIPHER = 0,
	VCE_CLASS_AEAD = 1,
	VCE_CLASS_RSA_SIGN = 2,
	VCE_CLASS_RSA_DECRYPT = 3,
	VCE_CLASS_RSA_PUBLIC = 4,
	VCE_CLASS_ECDSA_SIGN = 5,
	VCE_CLASS_ECDSA_VERIFY = 6,
	VCE_CLASS_DERIVE = 7, /* key agreement */
	VCE_CLASSES_FIRST = 8,
	/* In offloaded_more[]. */
	VCE_CLASS_GENERATE = 8, /* of keys for it */
	VCE_CLASSES = 9,
};

/* Counters that the client keeps, for vcryptoctl to show as the client's own word. */
struct vce_client_stats {
	uint64_t offloaded[VCE_CLASSES_FIRST];
	uint64_t fallback[VCE_FALLBACK_REASONS];
	uint64_t small; /* left in software by policy: below the size threshold */
	uint64_t offloaded_more[VCE_CLASSES - VCE_CLASSES_FIRST];
	uint64_t reserved[6];
};

/* At offset 0 of the region. */
struct vce_region_header {
	/* Written once by the daemon before the client sees the region. */
	uint32_t magic;
	uint32_t version;
	uint64_t region_size;
	uint32_t channels;
	uint32_t slots;          /* of a channel, a power of two */
	uint32_t channel_offset; /* of channel 0, from the region's start */
	uint32_t channel_stride; /* bytes from one channel to the next */
	uint32_t slot_offset;    /* of slot 0 from its channel's start */
	uint32_t buffer_size;    /* bytes of data that one slot has room for */
	uint64_t buffer_offset;  /* of buffer 0; buffer (c, s) is number c * slots + s */
	uint32_t buffer_stride;
	uint32_t services; /* what the device offers; masks as in struct virtio_crypto_config */
	/* Second line. */
	uint32_t cipher_algo_l;
	uint32_t aead_algo;
	uint32_t akcipher_algo;
	uint32_t mac_algo_l;
	uint32_t hash_algo;
	uint32_t agree_curves; /* bit n: key agreement on curve n (enum vcrypto_curve) */
	uint32_t reserved0[10];
	/* Third line, written by the daemon: 1 while it sleeps and wants the doorbell. */
	_Alignas(VCE_CACHE_LINE) uint32_t sleeping;
	/* 1 when the daemon has no device: submit nothing, do it in software. */
	uint32_t offline;
	uint32_t reserved1[14];
	/* From the fourth line, written by the client. */
	_Alignas(VCE_CACHE_LINE) uint32_t channels_used; /* the daemon polls channels 0..n-1 */
	uint32_t reserved2[15];
	struct vce_client_stats stats;
};

/*
 * A submission ring: one producer (the thread that holds the channel), one consumer (the daemon).
 * Indices run freely; entry i is ring[i % slots]; an entry is the number of a slot in the channel.
 * A slot is in the ring at most once, so the ring cannot overflow.
 */
struct vce_channel {
	/* Producer: stored with release after the entries; the daemon loads with acquire. */
	_Alignas(VCE_CACHE_LINE) uint32_t tail;
	/* Consumer: for the client's information only; the daemon trusts its own copy. */
	_Alignas(VCE_CACHE_LINE) uint32_t head;
	_Alignas(VCE_CACHE_LINE) uint16_t ring[]; /* slots entries, padded to a cache line */
};

enum vce_opcode {
	VCE_OP_NOP = 0,
	VCE_OP_SESSION_OPEN = 1,  /* buffer: struct vce_session_params, key, auth key; -> handle */
	VCE_OP_SESSION_CLOSE = 2, /* session */
	VCE_OP_CRYPT = 3,         /* whatever the session is for */
};

/* Low bits of vce_slot.state; above them 30 bits of generation. */
#define VCE_SLOT_FREE 0u    /* the client's */
#define VCE_SLOT_QUEUED 1u  /* submitted */
#define VCE_SLOT_WAITING 2u /* submitted, and somebody wants to be told */
#define VCE_SLOT_DONE 3u    /* the daemon's last word: result, length and data are there */
#define VCE_SLOT_PHASE_MASK 3u
#define VCE_SLOT_STATE(generation, phase) ((uint32_t)(generation) << 2 | (phase))

/*
 * A request. Offsets are from the region's start and may name any place in the region's buffers
 * (not the header, channels or slots).
 *
 * The client fills the request, sets state to QUEUED with a new generation, and puts the slot's
 * number into the ring. Who wants to be told turns QUEUED into WAITING. The daemon exchanges state
 * for DONE with the same generation (release), and if it was WAITING writes to the eventfd that
 * waker names, or, if that is 0, wakes the futex at state. The client does not use the slot again
 * before it is DONE.
 */
struct vce_slot {
	/* First line: written by the client. */
	_Alignas(VCE_CACHE_LINE) uint16_t opcode; /* enum vce_opcode */
	uint8_t akcipher_op;                      /* enum vcrypto_akcipher_op */
	uint8_t iv_len;
	uint32_t session; /* handle from SESSION_OPEN */
	uint32_t src;     /* offset */
	uint32_t dst;     /* offset; may be equal to src */
	uint32_t length;  /* of src; AEAD: without the tag */
	uint32_t dst_len; /* AKCIPHER: room at dst. Chains: bytes to encipher; 0: all there are */
	uint32_t aad;     /* offset */
	uint32_t aad_len;
	uint32_t tag; /* offset: AEAD, MAC, verify's digest */
	uint16_t tag_len;
	uint16_t waker; /* number of an eventfd, 0 for none */
	uint8_t iv[VCE_MAX_IV];
	/* Chains: where cipher and MAC begin, each from src. */
	uint16_t cipher_offset;
	uint16_t hash_offset;
	uint32_t hash_len;
	/* Second line: written by the daemon, state by both. */
	_Alignas(VCE_CACHE_LINE) uint32_t state; /* futex */
	int32_t result;                          /* 0 or a negative errno */
	uint32_t result_len;                     /* AKCIPHER: bytes at dst */
	uint32_t handle;                         /* SESSION_OPEN: the session */
	uint32_t reserved[12];
};

/* What SESSION_OPEN finds in its buffer; the daemon wipes it. Fields as in vcrypto.h. */
struct vce_session_params {
	uint32_t service;
	uint32_t algorithm;
	uint32_t direction;
	uint32_t key_len; /* the key follows this struct */
	uint32_t chain;
	uint32_t mac;
	uint32_t auth_key_len; /* the authentication key follows the key */
	uint32_t tag_len;
	uint32_t aad_len;
	uint32_t private_key;
	uint32_t rsa_padding;
	uint32_t rsa_hash;
	uint32_t curve;
	uint32_t reserved[3];
};

static_assert(sizeof(struct vce_hello) == 88, "hello");
static_assert(sizeof(struct vce_welcome) == 24, "welcome");
static_assert(sizeof(struct vce_refused) == 128, "refused");
static_assert(sizeof(struct vce_wakers) == 16, "wakers");
static_assert(sizeof(struct vce_client_stats) == 192, "client stats");
static_assert(sizeof(struct vce_region_header) == 448, "region header");
static_assert(sizeof(struct vce_channel) == 128, "channel");
static_assert(sizeof(struct vce_slot) == 128, "slot");
static_assert(sizeof(struct vce_session_params) == 64, "session parameters");

#endif
