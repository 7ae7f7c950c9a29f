/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of libvcrypto know of each other: the opaque types of <vcrypto/vcrypto.h>.
 *
 * A data queue belongs to one thread at a time; all else is under the device's lock, but for what
 * says so.
 */
#ifndef VC_VIRTIO_DRIVER_H
#define VC_VIRTIO_DRIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <vcrypto/vcrypto.h>

#include "virtio/memory.h"
#include "virtio/op.h"
#include "virtio/ring.h"
#include "virtio/transport.h"
#include "wire/virtio_crypto.h"

struct vcrypto_queue {
	/* Read by the data path. */
	vc_cache_aligned struct ring ring;
	struct vcrypto_device *device;
	struct op_context context;
	struct op_slot *
		slots; /* shared; slot i is descriptor i (or descriptors i << table_shift and on) */
	uint8_t *status;                /* shared; byte i is slot i's */
	struct virtq_desc *long_tables; /* shared; 1 << table_shift for each slot */
	struct vcrypto_op **op;         /* of each slot, NULL when it is free */
	uint64_t *serial;               /* of each slot: see struct op_place */
	uint16_t *free;           /* ring of free slots: taken at free_out, put back at free_in */
	unsigned int depth, mask; /* slots */
	unsigned int table_shift;
	bool indirect;
	bool usual;        /* a split ring, and indirect */
	uint16_t *lengths; /* of each chain in the ring, where that is packed and not indirect */
	bool layered;      /* one of these two is there */
	struct inband *inband; /* control requests use it too, under a lock; mostly NULL */
	struct bounce *bounce; /* data that the device cannot reach is copied; mostly NULL */
	/* Written by it. */
	vc_cache_aligned uint32_t free_out, free_in; /* free-running */
	unsigned int empty_polls;                    /* in a row, with operations in flight */
	bool broken;                                 /* the device wrote rubbish */
	struct vcrypto_queue_stats stats;
	struct transport_queue transport;
};

/* Control requests: sessions made and destroyed. */
#define CONTROL_SLOTS 128
#define CONTROL_SLOT_BYTES 8192 /* room for an RSA-8192 private key */
#define CONTROL_KEYS_MAX (CONTROL_SLOT_BYTES - 128 - sizeof(struct virtio_crypto_op_ctrl_req))

/* One request, shared with the device. */
struct control_slot {
	vc_cache_aligned struct virtq_desc table[4]; /* control queue: of the request */
	struct virtio_crypto_session_input input;
	uint8_t padding[48];
	struct virtio_crypto_op_ctrl_req request; /* the keys follow */
	uint8_t keys[CONTROL_KEYS_MAX];
};

static_assert(sizeof(struct control_slot) == CONTROL_SLOT_BYTES, "whole pages");

/* How control requests get to the device. All under the device's lock. */
struct control_way {
	/* Can one be sent now, there being a slot? NULL: always. */
	bool (*room)(struct vcrypto_device *device);
	/* Slot i: so many bytes from request on, and of the answer. */
	void (*send)(struct vcrypto_device *device, unsigned int i, uint32_t out, uint32_t in);
	/* Call control_answered() for each one that the device has answered. NULL: send has. */
	void (*reap)(struct vcrypto_device *device);
	/* Wait a little for an answer, without the lock. NULL: for a moment. */
	void (*wait)(struct vcrypto_device *device);
	/* What the device can do, NULL: as the transport says. Without the lock. */
	int (*config_read)(struct vcrypto_device *device, struct virtio_crypto_config *config);
};

extern const struct control_way control_way_queue;   /* the control queue */
extern const struct control_way control_way_inband;  /* a data queue, see inband.h */
extern const struct control_way control_way_message; /* the transport's session message */

struct control {
	const struct control_way *way;
	struct control_slot *slots; /* shared */
	struct vcrypto_session
		*owner[CONTROL_SLOTS]; /* whose creation it is; NULL: a destruction */
	bool busy[CONTROL_SLOTS];
	uint16_t keys_len[CONTROL_SLOTS]; /* bytes of keys in the slot */
	uint16_t free[CONTROL_SLOTS];     /* ring: taken at free_first, put back behind the last */
	unsigned int count; /* slots in use: CONTROL_SLOTS, or what the ring has room for */
	unsigned int free_first, free_count;
	/* Destructions that wait for a slot. */
	struct vcrypto_session *pending;
	/* Every one that there is, for the end of the device. */
	struct vcrypto_session *all;
	/* Of control_way_queue. */
	struct ring ring;
	bool indirect;
	struct transport_queue transport;
	/* Of control_way_inband. */
	struct inband *inband;
};

struct vcrypto_device {
	const struct transport_ops *ops;
	struct transport *transport;
	struct shared_region region; /* rings and slots, then the arena */
	struct regions regions;
	struct regions copied; /* registered, and out of the device's reach: see bounce.h */
	struct virtio_crypto_config config;
	uint32_t agree_curves; /* of key agreement, as HELLO said last; 0: not asked */
	uint64_t features;     /* as agreed */
	enum vcrypto_session_way sessions;
	bool agreement; /* is to be asked for */
	unsigned int queue_count;
	struct vcrypto_queue *queues;
	/* Any thread. held: no request may be sent, because the back end is gone (dead), or the
	 * device's status lacks HW_READY (virtio 1.3, 5.9.5.2). */
	atomic_bool held, dead;
	atomic_bool unread, changed; /* so is the configuration: for us, and for the caller */
	uint64_t serial;             /* of the last session */
	pthread_mutex_t lock;
	unsigned int timeout_ms;
	struct arena arena;
	struct arena keys; /* of stateless sessions */
	struct control control;
	struct transport_error error;
};

struct vcrypto_session {
	struct op_session op; /* what the data path reads; set before state becomes 0 */
	struct vcrypto_device *device;
	atomic_int state; /* 0, -EINPROGRESS, or why it failed; any thread */
	bool orphan;      /* destroyed before the device answered */
	uint32_t destroy_opcode;
	struct op_brought brought;    /* stateless */
	struct vcrypto_session *next; /* in control.pending */
	/* In control.all. */
	struct vcrypto_session *all_next, **all_link;
};

/* What open() decides on its way. */
struct device_plan {
	struct vcrypto_device_options options;
	uint64_t features;
	bool indirect;
	struct ring_kind kind;
	unsigned int depth;
	size_t queue_size, control_size; /* bytes, whole pages */
	size_t copy_size;                /* of each data queue, for copies */
};

static inline bool sessions_by_message(enum vcrypto_session_way sessions)
{
	return sessions >= VCRYPTO_SESSIONS_MESSAGE_70 && sessions <= VCRYPTO_SESSIONS_MESSAGE_81;
}

/* Make the shared region, and decide what lies where in it: plan gets depth and sizes. */
int device_memory(struct vcrypto_device *device, struct device_plan *plan);

/* Open with some feature bits left out, for tests. */
int device_open_without(const struct vcrypto_device_options *options, uint64_t features,
                        struct vcrypto_device **device, char **error);
/* The same, over another transport than vhost-user. */
int device_open_over(const struct transport_ops *ops, const struct vcrypto_device_options *options,
                     uint64_t features, struct vcrypto_device **device, char **error);

/* Remember that the back end is gone. */
void device_lost(struct vcrypto_device *device);
/* vcrypto_device_alive() for callers that hold locks: what has changed is read later. */
bool device_there(struct vcrypto_device *device);
/* Why no request may be sent: -EPIPE, or -EAGAIN while the device is not ready. 0: it may. */
int device_held(const struct vcrypto_device *device);
/* Note what a transport function returned: final errors are the end of the device. Returns it. */
int device_result(struct vcrypto_device *device, int error);

/* Descriptors of an operation's long table; a power of two. */
unsigned int queue_table(unsigned int pieces);
/* Bytes of shared memory of a queue with so many slots, and so many pieces of an operation. */
size_t queue_bytes(unsigned int depth, unsigned int pieces, bool indirect, bool packed);
/* memory: zeroed and shared. 0, -ENOMEM. */
int queue_init(struct vcrypto_queue *queue, struct vcrypto_device *device, void *memory,
               unsigned int depth, unsigned int pieces, bool indirect, struct ring_kind kind);
void queue_fini(struct vcrypto_queue *queue);

/* Whether a device may take such a session; what is not plainly wrong is the device's to judge.
 * room: bytes of keys that fit into a control request. */
bool session_wire_ok(const struct vcrypto_session_params *params, size_t room);
/* What the data path has to know of it, but for id and serial. */
void session_wire_describe(struct op_session *op, const struct vcrypto_session_params *params);
/* Bytes of a control request ahead of the keys; 72 where REVISION_1 was not agreed. */
uint32_t session_wire_size(uint32_t opcode, uint64_t features);
/* The request that makes it; zeroed before. */
void session_wire_request(struct virtio_crypto_op_ctrl_req *request,
                          const struct vcrypto_session_params *params, uint16_t tag_len);

/* Of the device, whatever its kind; under the lock. NULL without memory. */
struct vcrypto_session *session_new(struct vcrypto_device *device);
void session_free(struct vcrypto_session *session);

/* session_stateless.c: whether sessions of this service are of this kind. */
bool session_is_stateless(const struct vcrypto_device *device, enum vcrypto_service service);
/* Errors as vcrypto_session_create(); takes the lock. */
int session_stateless_create(struct vcrypto_device *device,
                             const struct vcrypto_session_params *params,
                             struct vcrypto_session **session);
/* Under the lock. */
void session_stateless_destroy(struct vcrypto_session *session);

/* What vcrypto_queue_submit() and _poll() do when nobody else has the queue. */
int queue_submit(struct vcrypto_queue *queue, struct vcrypto_op *const *ops, unsigned int n);
int queue_poll(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n);
/* The same, with what has to be copied. */
int queue_submit_all(struct vcrypto_queue *queue, struct vcrypto_op *const *ops, unsigned int n);
int queue_poll_all(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n);

/* Empty a queue's call_fd; how many calls there were. */
uint64_t queue_calls(const struct vcrypto_device *device, const struct transport_queue *queue);

/* Slots first, then the ring of the control queue, of control->count requests. */
size_t control_bytes(bool indirect, bool packed);
void control_init(struct control *control, void *memory, bool indirect, struct ring_kind kind);
/* One of the free ones. Slots are used in turn, as IN_ORDER wants it. */
unsigned int control_slot_take(struct control *control);
void control_fini(struct control *control);
/* A slot's request was answered, in slot->input. */
void control_answered(struct vcrypto_device *device, unsigned int i);
/* Wait a little for whatever comes. False: it has been too long since start_ns. No lock. */
bool control_wait_more(struct vcrypto_device *device, uint64_t start_ns);

/* Descriptors of a control request in the ring. */
unsigned int control_queue_chain(bool indirect);
size_t control_queue_bytes(bool indirect, bool packed);
void control_queue_init(struct control *control, void *memory, bool indirect,
                        struct ring_kind kind);

#endif
