/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages on the UNIX socket (QEMU's docs/interop/vhost-user.rst).
 *
 * Layout only, no code. Host byte order (the peer is on the same machine).
 */
#ifndef VC_WIRE_VHOST_USER_H
#define VC_WIRE_VHOST_USER_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Messages from the front end. */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_IOTLB_MSG = 22,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_CREATE_CRYPTO_SESSION = 26,
	VHOST_USER_CLOSE_CRYPTO_SESSION = 27,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
};

/* Messages from the back end, on the channel of SET_BACKEND_REQ_FD. */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_IOTLB_MSG = 1,
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
};

/* Feature bit that announces protocol features. */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Protocol feature bits. */
#define VHOST_USER_PROTOCOL_F_MQ 0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ 5
#define VHOST_USER_PROTOCOL_F_CRYPTO_SESSION 7
#define VHOST_USER_PROTOCOL_F_CONFIG 9
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD 12
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE 13
#define VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS 15
#define VHOST_USER_PROTOCOL_F_STATUS 16

#define VHOST_USER_VERSION 1u
#define VHOST_USER_FLAG_VERSION_MASK 3u
#define VHOST_USER_FLAG_REPLY (1u << 2)
#define VHOST_USER_FLAG_NEED_REPLY (1u << 3)

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload that follow */
};

#define VHOST_USER_HEADER_SIZE 12

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

/* Addresses are the front end's own (user addresses of the memory table). */
struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

/* SET_VRING_KICK, CALL, ERR: bits 0-7 queue index, bit 8 no descriptor. */
#define VHOST_USER_VRING_INDEX_MASK 0xffu
#define VHOST_USER_VRING_NOFD (1u << 8)

struct vhost_user_mem_region {
	uint64_t guest_addr;  /* what descriptors hold */
	uint64_t size;        /* bytes */
	uint64_t user_addr;   /* what SET_VRING_ADDR holds */
	uint64_t mmap_offset; /* of the region in its file */
};

#define VHOST_USER_MAX_BASE_REGIONS 8

struct vhost_user_mem_table {
	uint32_t nregions;
	uint32_t padding;
	struct vhost_user_mem_region regions[VHOST_USER_MAX_BASE_REGIONS];
};

/* ADD_MEM_REG, REM_MEM_REG. */
struct vhost_user_mem_reg_msg {
	uint64_t padding;
	struct vhost_user_mem_region region;
};

/* GET_CONFIG, SET_CONFIG: followed by size bytes. */
struct vhost_user_config_header {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
};

#define VHOST_USER_CONFIG_MAX 256

/* GET_INFLIGHT_FD, SET_INFLIGHT_FD. Front ends send 20 bytes, or 24 with padding behind. */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t padding;
};

#define VHOST_USER_INFLIGHT_MIN 20

/* IOTLB_MSG, both ways ("IOMMU support"). */
struct vhost_user_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t user_addr;
	uint8_t perm; /* VHOST_USER_IOTLB_RO, WO, RW */
	uint8_t type; /* VHOST_USER_IOTLB_MISS, UPDATE, INVALIDATE */
	uint8_t padding[6];
};

#define VHOST_USER_IOTLB_MIN 26
#define VHOST_USER_IOTLB_RO 1u
#define VHOST_USER_IOTLB_WO 2u
#define VHOST_USER_IOTLB_RW 3u
#define VHOST_USER_IOTLB_MISS 1u
#define VHOST_USER_IOTLB_UPDATE 2u
#define VHOST_USER_IOTLB_INVALIDATE 3u

/* The buffer of in-flight requests: for each queue this, and a state for each descriptor ("Inflight
 * I/O tracking", split virtqueues). */
struct vhost_inflight_split {
	uint64_t features;
	uint16_t version; /* 1; 0: nothing here yet */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
};

struct vhost_inflight_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};

/* The same of packed virtqueues. A chain takes an entry for each of its descriptors, from a list of
 * free ones; those that are given back are put in front of it. */
struct vhost_inflight_progress {
	uint16_t used_idx;
	uint16_t old_used_idx;
	uint8_t used_wrap_counter;
	uint8_t old_used_wrap_counter;
	uint8_t padding[2];
};

struct vhost_inflight_packed {
	uint64_t features;
	uint16_t version; /* 1; 0: nothing here yet */
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
	struct vhost_inflight_progress progress;
	uint8_t padding[8];
};

/* inflight, last, num and counter are those of a chain, in its first entry. */
struct vhost_inflight_packed_desc {
	uint8_t inflight;
	uint8_t padding;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	/* As the driver wrote it: what is given back overwrites it in the ring. */
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

/*
 * The symmetric parameters of a session message; pointers are the front end's own, never used.
 */
struct vhost_user_crypto_sym {
	uint32_t cipher_alg;
	uint32_t key_len;
	uint32_t hash_alg;
	uint32_t hash_result_len;
	uint32_t auth_key_len;
	uint32_t add_len;
	uint8_t op_type;
	uint8_t direction;
	uint8_t hash_mode;
	uint8_t alg_chain_order;
	uint32_t padding;
	uint64_t cipher_key_ptr;
	uint64_t auth_key_ptr;
	uint8_t key[64];
	uint8_t auth_key[512];
};

struct vhost_user_crypto_asym {
	uint32_t algo;
	uint32_t key_type;
	uint32_t key_len;
	uint32_t padding;
	uint64_t key_ptr;
	uint32_t padding_algo;
	uint32_t hash_algo;
	uint8_t key[1024];
};

/* QEMU 7.1 to 8.0: 632 bytes. (QEMU up to 7.0 has a u32 op_code at 8, the rest shifted by 4.) */
struct vhost_user_crypto_session_632 {
	int64_t session_id;
	struct vhost_user_crypto_sym sym;
};

/* QEMU 8.1 and later: 1072 bytes. */
struct vhost_user_crypto_session_1072 {
	uint64_t op_code;
	union {
		struct vhost_user_crypto_sym sym;
		struct vhost_user_crypto_asym asym;
	} u;
	int64_t session_id;
};

static_assert(sizeof(struct vhost_user_header) == VHOST_USER_HEADER_SIZE, "header");
static_assert(sizeof(struct vhost_user_mem_table) == 264, "memory table");
static_assert(sizeof(struct vhost_user_mem_reg_msg) == 40, "memory region");
static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vring address");
static_assert(sizeof(struct vhost_user_iotlb) == 32, "IOTLB message");
static_assert(sizeof(struct vhost_user_inflight) == 24, "inflight");
static_assert(sizeof(struct vhost_inflight_split) == 16, "inflight queue");
static_assert(sizeof(struct vhost_inflight_desc) == 16, "inflight descriptor");
static_assert(sizeof(struct vhost_inflight_packed) == 32, "inflight queue, packed");
static_assert(offsetof(struct vhost_inflight_packed, progress) == 16, "inflight queue, packed");
static_assert(sizeof(struct vhost_inflight_packed_desc) == 32, "inflight descriptor, packed");
static_assert(sizeof(struct vhost_user_crypto_session_632) == 632, "session, 632");
static_assert(sizeof(struct vhost_user_crypto_session_1072) == 1072, "session, 1072");

#endif
