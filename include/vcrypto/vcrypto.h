/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * libvcrypto: a user-space virtio-crypto driver.
 *
 * A device is opened (vcrypto_device_open), sessions are made from keys (vcrypto_session_create),
 * operations are submitted in bursts to a queue (vcrypto_queue_submit) and come back from
 * vcrypto_queue_poll. Every buffer that an operation names lies in memory that the device can
 * reach: from vcrypto_memory_alloc, or registered with vcrypto_memory_register.
 *
 * Errors: functions that return int return 0 or a count on success and a negative errno otherwise;
 * vcrypto_device_error() then has a sentence for people.
 *
 * Threads: one device may be used by many threads as long as each queue is used by one thread at a
 * time. Functions on sessions and memory lock the device inside and may be called by any thread;
 * they are not for the data path. What differs says so.
 *
 * "virtio 1.3" below is the OASIS Virtual I/O Device specification, version 1.3, section 5.9.
 */
#ifndef VCRYPTO_VCRYPTO_H
#define VCRYPTO_VCRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/** A virtio-crypto device. */
struct vcrypto_device;
/** A data queue of a device; lives as long as the device. */
struct vcrypto_queue;
/** A key with the algorithm and parameters that it is for. */
struct vcrypto_session;

/** Version of this library, "major.minor.patch". The string is static. */
const char *vcrypto_version(void);

/** A sentence, without a full stop, for an error of this library or a status of an operation.
 * Static, or like strerror(3). */
const char *vcrypto_error_text(int error);

/* ------------------------------------------------------------------------------------ device */

/** How sessions get to the device. */
enum vcrypto_session_way {
	/** Over the control queue. */
	VCRYPTO_SESSIONS_AUTO = 0, /**< and on from there in-band, for PCI devices behind a stock
	                            *   QEMU whose back end is vcrypto-host */
	VCRYPTO_SESSIONS_CONTROL_QUEUE = 1,
	/** Over data queue 0, once the control queue has shown that the device is vcrypto-host's
	 *  (docs/in-band.md): for devices whose control queue can do less than their data queues,
	 *  as behind QEMU. Each call on that queue then takes a lock, its room and its counters
	 *  are for these requests too, and sessions are made only while it is not full. */
	VCRYPTO_SESSIONS_IN_BAND = 2,
	/** By QEMU's vhost-user message, in the layouts of QEMU up to 7.0 (and of DPDK), of 7.1 to
	 *  8.0, and of 8.1 and later: for back ends that have no control queue, and perhaps no
	 *  configuration space either, such as DPDK's vhost_crypto. Then there is AES-CBC, and
	 *  AES-CBC with HMAC-SHA1, and whatever else the back end takes without saying so, on one
	 *  data queue. Each call waits for the back end. Parts of a request are not joined in one
	 *  descriptor, as some of these want it. */
	VCRYPTO_SESSIONS_MESSAGE_70 = 3,
	VCRYPTO_SESSIONS_MESSAGE_71 = 4,
	VCRYPTO_SESSIONS_MESSAGE_81 = 5,
	/** Not at all: each operation brings the key and all parameters of its session (stateless
	 *  mode, virtio 1.3, 5.9.7.3). Made and destroyed without a word to the device, and as many
	 *  as there is memory for (see key_memory): for very many keys, each used for a short time.
	 *  A device keeps the last few hundred keys prepared, but each operation costs it a search
	 *  for its own: for few keys, the control queue is better. What is wrong with a key or a
	 *  length is told by each operation (-EIO, -ENOTSUP). Services without this mode have their
	 *  sessions made over the control queue. */
	VCRYPTO_SESSIONS_STATELESS = 6,
};

/** Kind of the rings. */
enum vcrypto_ring {
	VCRYPTO_RING_AUTO = 0,   /**< what is faster: split */
	VCRYPTO_RING_SPLIT = 1,  /**< virtio 1.3, 2.7 */
	VCRYPTO_RING_PACKED = 2, /**< virtio 1.3, 2.8; the device must offer it */
};

/** How to open a device. Zero a field to get its default. */
struct vcrypto_device_options {
	/** Path of the vhost-user socket of the device (a UNIX stream socket that the back end
	 *  listens on). Required, unless it is a PCI device. Not kept after the call. */
	const char *socket;
	/** Data queues wanted; default 1. The device may have fewer: see vcrypto_device_queues().
	 */
	unsigned int queues;
	/** Operations that may be in flight in each queue, a power of two from 2 to 16384;
	 *  default 1024. */
	unsigned int depth;
	/** Give up when the back end does not answer a message in this time; default 5000 ms. */
	unsigned int timeout_ms;
	/** Find out, when the device is opened, whether it is vcrypto-host's and which curves of
	 *  key agreement it has (docs/in-band.md): a session is made for that and destroyed, as
	 *  for VCRYPTO_SESSIONS_IN_BAND, where it is found out anyway. For sessions over the
	 *  control queue; others have no key agreement. */
	bool agreement;
	/** Bytes of memory for vcrypto_memory_alloc(), rounded up; default 64 MiB. The pages are
	 *  used only when touched, unless they are huge pages. */
	size_t memory;
	/** Use huge pages: 0 if there are enough, 1 required, -1 never. */
	int hugepages;
	/** How sessions are made; default over the control queue. */
	enum vcrypto_session_way sessions;
	/** Pieces of source and destination of one operation together, at most (see struct
	 *  vcrypto_pieces); default 0, at most 504. Each takes 16 bytes for each operation of the
	 *  depth. */
	unsigned int pieces;
	/** Kind of the rings; default split. */
	enum vcrypto_ring ring;
	/** VCRYPTO_SESSIONS_STATELESS: bytes of memory for keys; default 4 MiB. The keys of a
	 * session take 64 bytes, or the next power of two, and a little more. Locked as far as
	 *  RLIMIT_MEMLOCK allows. */
	size_t key_memory;
	/** Address of the device on the PCI bus, such as "0000:00:04.0", in the virtual machine
	 *  whose device it is; then there is no socket. It must be bound to uio_pci_generic
	 *  or vfio-pci (vcryptoctl bind). Not kept after the call. Opening it sets a handler of
	 * SIGBUS, for registers of a device that is unplugged; other faults go to the handler that
	 * was there. */
	const char *pci;
};

/**
 * Open a device: connect, agree on features, share memory, set the queues up.
 *
 * @param options see above; copied
 * @param device  out: the device; close it with vcrypto_device_close()
 * @param error   out, may be NULL: on failure a sentence, to be freed with free()
 * @return 0; -EINVAL options; -ECONNREFUSED, -ENOENT no back end; -ETIMEDOUT it does not answer;
 *         -EPROTO it is not a virtio-crypto back end that we can work with; -ENOMEM
 */
int vcrypto_device_open(const struct vcrypto_device_options *options,
                        struct vcrypto_device **device, char **error);

/**
 * Close a device: every session and queue of it is gone, operations in flight never come back, and
 * memory from vcrypto_memory_alloc() is unmapped. NULL is allowed. No other thread may use it.
 */
void vcrypto_device_close(struct vcrypto_device *device);

/** The last failure of a call on this device, for people; "" if there was none. Valid until the
 *  next call on the device. */
const char *vcrypto_device_error(const struct vcrypto_device *device);

/** Number of data queues in use, from 1. */
unsigned int vcrypto_device_queues(const struct vcrypto_device *device);

/** Data queue @p index (from 0), NULL if there is none. */
struct vcrypto_queue *vcrypto_device_queue(struct vcrypto_device *device, unsigned int index);

/** What the device says it can do (virtio 1.3, 5.9.4). Bit n of a mask stands for algorithm n. */
struct vcrypto_capabilities {
	uint32_t services; /**< bit n: service n of enum vcrypto_service */
	uint64_t ciphers;  /**< enum vcrypto_cipher */
	uint32_t hashes;   /**< enum vcrypto_hash */
	/** Bit n: curve n of enum vcrypto_curve, for VCRYPTO_AKCIPHER_AGREE. Where sessions are
	 *  made over the control queue, as it was when the device was opened. */
	uint32_t agree_curves;
	uint64_t macs;           /**< enum vcrypto_mac */
	uint32_t aeads;          /**< enum vcrypto_aead */
	uint32_t akciphers;      /**< enum vcrypto_akcipher */
	uint32_t max_cipher_key; /**< bytes */
	uint32_t max_auth_key;   /**< bytes */
	uint64_t max_size;       /**< bytes of data in one operation */
	uint32_t max_queues;     /**< data queues that the device has */
	bool ready;              /**< the device takes requests; else these fail with -EAGAIN */
};

/** Read the capabilities again. @return 0; -ETIMEDOUT, -EPIPE the back end is gone */
int vcrypto_device_capabilities(struct vcrypto_device *device, struct vcrypto_capabilities *caps);

/**
 * Whether the back end is still there: looks at the transport without waiting.
 * @return true while the device is usable; once false, it stays so and the device must be closed
 * and opened again. Cheap (one system call); not for each operation. When the device has said that
 * its configuration changed, its status is read again, and the back end's answer waited for.
 */
bool vcrypto_device_alive(struct vcrypto_device *device);

/**
 * Whether the device has said, since the last call, that its configuration has changed: call
 * vcrypto_device_capabilities() then. The usual reason is that it became ready, or is not any more:
 * while it is not, nothing is sent to it, and submitting and making sessions fail with -EAGAIN.
 * Under load it has to be asked as well, some times a second: a device that wants no more is taken
 * away from a driver that goes on.
 * Never true of a back end that cannot tell. One system call.
 */
bool vcrypto_device_changed(struct vcrypto_device *device);

/** A descriptor that becomes readable or hangs up when the back end goes away, or the configuration
 *  changes (vcrypto_device_alive() tells which, and empties it); -1 if the transport has none.
 * Owned by the device; for poll(2) and epoll only. */
int vcrypto_device_fd(const struct vcrypto_device *device);

/* ------------------------------------------------------------------------------------ memory */

/**
 * Allocate memory that the device can reach.
 *
 * @param device the device
 * @param size   bytes, from 1
 * @return zeroed memory aligned to 64 bytes, NULL when there is no more; free it with
 *         vcrypto_memory_free(). Never written to a core dump.
 */
void *vcrypto_memory_alloc(struct vcrypto_device *device, size_t size);

/** Give memory back; its content is wiped. NULL is allowed. Not while an operation uses it. */
void vcrypto_memory_free(struct vcrypto_device *device, void *memory);

/**
 * Let the device reach memory of your own. A PCI device without an IOMMU cannot: what lies there is
 * then copied, on the way there and back; no operation's data may then be larger than the room for
 * that, which is some megabytes and depends on what huge pages there are.
 *
 * @param device  the device
 * @param address where you have mapped it, page aligned; must stay mapped until it is unregistered
 * @param size    bytes, a multiple of the page size
 * @param fd      descriptor of the file behind it (a memfd, sealed with F_SEAL_SHRINK); passed on,
 *                not kept
 * @param offset  of the mapping in the file
 * @return 0; -EINVAL alignment or overlap; -ENOSPC the back end takes no more regions;
 *         -EPIPE, -ETIMEDOUT
 */
int vcrypto_memory_register(struct vcrypto_device *device, void *address, size_t size, int fd,
                            uint64_t offset);

/**
 * Whether registered memory is copied: the device itself cannot reach it (PCI without an IOMMU, or
 * more memory than may be pinned). Operations then change nothing in it before they are polled.
 */
bool vcrypto_memory_copied(struct vcrypto_device *device, const void *address);

/**
 * Take registered memory away from the device. No operation that uses it may be in flight.
 * @return 0; -ENOENT not registered; -EPIPE, -ETIMEDOUT
 */
int vcrypto_memory_unregister(struct vcrypto_device *device, void *address);

/* ---------------------------------------------------------------------------------- sessions */

/* Numbers are those of virtio 1.3, 5.9.3.1 to 5.9.3.5. */

enum vcrypto_service {
	VCRYPTO_SERVICE_CIPHER = 0, /**< a cipher, alone or chained with a MAC */
	VCRYPTO_SERVICE_HASH = 1,
	VCRYPTO_SERVICE_MAC = 2,
	VCRYPTO_SERVICE_AEAD = 3,
	VCRYPTO_SERVICE_AKCIPHER = 4,
};

enum vcrypto_cipher {
	VCRYPTO_CIPHER_AES_ECB = 2,
	VCRYPTO_CIPHER_AES_CBC = 3,
	VCRYPTO_CIPHER_AES_CTR = 4,
	VCRYPTO_CIPHER_3DES_CBC = 8,
	VCRYPTO_CIPHER_AES_XTS = 13,
};

enum vcrypto_hash {
	VCRYPTO_HASH_SHA1 = 2,
	VCRYPTO_HASH_SHA224 = 3,
	VCRYPTO_HASH_SHA256 = 4,
	VCRYPTO_HASH_SHA384 = 5,
	VCRYPTO_HASH_SHA512 = 6,
	VCRYPTO_HASH_SHA3_224 = 7,
	VCRYPTO_HASH_SHA3_256 = 8,
	VCRYPTO_HASH_SHA3_384 = 9,
	VCRYPTO_HASH_SHA3_512 = 10,
};

enum vcrypto_mac {
	VCRYPTO_MAC_HMAC_SHA1 = 2,
	VCRYPTO_MAC_HMAC_SHA224 = 3,
	VCRYPTO_MAC_HMAC_SHA256 = 4,
	VCRYPTO_MAC_HMAC_SHA384 = 5,
	VCRYPTO_MAC_HMAC_SHA512 = 6,
	VCRYPTO_MAC_CMAC_AES = 26,
	VCRYPTO_MAC_GMAC_AES = 41,
};

enum vcrypto_aead {
	VCRYPTO_AEAD_GCM = 1,
	VCRYPTO_AEAD_CCM = 2,
	VCRYPTO_AEAD_CHACHA20_POLY1305 = 3,
};

enum vcrypto_akcipher {
	VCRYPTO_AKCIPHER_RSA = 1,
	VCRYPTO_AKCIPHER_ECDSA = 2,
	/** Key agreement, and making keys for it: X25519, ECDH. Of vcrypto-host's devices only
	 *  (docs/in-band.md); not among the bits of the capabilities, see agree_curves there. */
	VCRYPTO_AKCIPHER_AGREE = 48,
};

enum vcrypto_curve {
	VCRYPTO_CURVE_P256 = 3,
	VCRYPTO_CURVE_P384 = 4,
	VCRYPTO_CURVE_P521 = 5,
	VCRYPTO_CURVE_X25519 = 25, /**< AGREE only, and not virtio's */
};

/** Order of the two halves of a chain. */
enum vcrypto_chain {
	VCRYPTO_CHAIN_NONE = 0,
	VCRYPTO_CHAIN_HASH_THEN_CIPHER = 1,
	VCRYPTO_CHAIN_CIPHER_THEN_HASH = 2,
};

enum vcrypto_direction {
	VCRYPTO_ENCRYPT = 1,
	VCRYPTO_DECRYPT = 2,
};

enum vcrypto_rsa_padding {
	VCRYPTO_RSA_RAW = 0,
	VCRYPTO_RSA_PKCS1 = 1,
};

/** DigestInfo of an RSA PKCS#1 session (virtio numbers). */
enum vcrypto_rsa_hash {
	VCRYPTO_RSA_NO_HASH = 0, /**< the caller gives the whole payload of the padding */
	VCRYPTO_RSA_SHA1 = 5,
	VCRYPTO_RSA_SHA256 = 6,
	VCRYPTO_RSA_SHA384 = 7,
	VCRYPTO_RSA_SHA512 = 8,
	VCRYPTO_RSA_SHA224 = 9,
};

/** What a session is. Fields that a service does not name are 0. */
struct vcrypto_session_params {
	enum vcrypto_service service;
	/** enum vcrypto_cipher, _hash, _mac, _aead or _akcipher, as the service says. */
	unsigned int algorithm;
	/** CIPHER and AEAD: the direction of all operations of the session. */
	enum vcrypto_direction direction;
	/** CIPHER and AEAD: raw key. AKCIPHER RSA: DER of RSAPrivateKey or RSAPublicKey (RFC 8017).
	 *  AKCIPHER ECDSA: DER of ECPrivateKey (RFC 5915), or the uncompressed point. AKCIPHER
	 *  AGREE: none, as each operation brings its own. */
	const void *key;
	size_t key_len; /**< bytes */
	/** CIPHER: VCRYPTO_CHAIN_NONE, or the order in which cipher and MAC are done. */
	enum vcrypto_chain chain;
	/** Chains: enum vcrypto_mac; or 0, and a hash without a key. */
	unsigned int mac;
	unsigned int chain_hash; /**< chains without a MAC: enum vcrypto_hash */
	/** MAC and chains: the MAC's key. */
	const void *auth_key;
	size_t auth_key_len; /**< bytes */
	/** HASH, MAC, AEAD, chains: bytes of digest or tag; 0 for the algorithm's full length
	 * (AEAD: 16). */
	unsigned int tag_len;
	/** AEAD: bytes of additional data of each operation, where the device wants to know; each
	 *  operation may differ. */
	unsigned int aad_len;
	/** AKCIPHER: the key has its private half. */
	bool private_key;
	enum vcrypto_rsa_padding rsa_padding;
	enum vcrypto_rsa_hash rsa_hash;
	/** AKCIPHER ECDSA and AGREE: enum vcrypto_curve, or another one of virtio's. */
	unsigned int curve;
};

/**
 * Fill in parameters from a name: "aes-256-gcm", "aes-128-cbc+hmac-sha1", "sha3-256",
 * "hmac-sha512", "cmac-aes", "rsa", "ecdsa-p256", "ecdh-p256", "x25519" ... (see
 * vcrypto_params_name_at()).
 *
 * @param name   a cipher, or a cipher and the MAC that it is chained with
 * @param params out: all zero but service, algorithm, curve, key_len where the name says it (of
 * XTS: both keys), and for the caller to change, direction (encrypt) and the order of a chain
 * (cipher, then hash: what decrypts it is the other order)
 * @return 0; -EINVAL no such name
 */
int vcrypto_params_parse(const char *name, struct vcrypto_session_params *params);

/** The name of parameters, the other way round; "unknown" for what has none.
 *  @return buffer; 64 bytes are enough */
const char *vcrypto_params_name(const struct vcrypto_session_params *params, char *buffer,
                                size_t size);

/** All names without chains, from index 0; NULL behind the last. */
const char *vcrypto_params_name_at(unsigned int index);

/**
 * Whether a device says that it can do sessions of this kind, by what it told when it was opened or
 * vcrypto_device_capabilities() was last called. Keys are not looked at, only their lengths. It may
 * still refuse one, for what a capability does not tell (such as a length of tag).
 * @return 0; -ENOTSUP it cannot; -EKEYREJECTED not with a key that long; -EINVAL no such service
 */
int vcrypto_device_can(struct vcrypto_device *device, const struct vcrypto_session_params *params);

/**
 * Make a session and wait for the device's answer.
 *
 * @param device  the device
 * @param params  copied; keys are copied to the device and not kept
 * @param session out
 * @return 0; -EINVAL; -ENOTSUP the device cannot; -EKEYREJECTED the key is not for the algorithm;
 *         -ENOSPC the device has no room; -EAGAIN the device is not ready; -ETIMEDOUT; -EPIPE;
 *         -EIO any other refusal
 */
int vcrypto_session_create(struct vcrypto_device *device,
                           const struct vcrypto_session_params *params,
                           struct vcrypto_session **session);

/**
 * Begin to make a session and return at once; ask vcrypto_session_state() until it is not
 * -EINPROGRESS. For callers that must not wait, such as a poll loop.
 *
 * @return 0; -EINVAL; -EAGAIN too many at once, or the device is not ready: try later; -EPIPE
 */
int vcrypto_session_create_begin(struct vcrypto_device *device,
                                 const struct vcrypto_session_params *params,
                                 struct vcrypto_session **session);

/** @return 0 ready; -EINPROGRESS; any error of vcrypto_session_create(), and the session is then
 *  to be destroyed. Looks at the control queue, without waiting. */
int vcrypto_session_state(struct vcrypto_session *session);

/** Destroy a session, without waiting for the device's answer. NULL is allowed. No operation of it
 *  may be in flight. */
void vcrypto_session_destroy(struct vcrypto_session *session);

/** The device's identifier of a ready session; 0 in stateless mode, where the device knows of none.
 */
uint64_t vcrypto_session_id(const struct vcrypto_session *session);

/* -------------------------------------------------------------------------------- operations */

/** What an operation of an AKCIPHER session does; others follow from the session. */
enum vcrypto_akcipher_op {
	VCRYPTO_AKCIPHER_ENCRYPT = 0, /**< with the public key */
	VCRYPTO_AKCIPHER_DECRYPT = 1, /**< with the private key */
	VCRYPTO_AKCIPHER_SIGN = 2,    /**< with the private key */
	VCRYPTO_AKCIPHER_VERIFY = 3,  /**< with the public key */
	/* Of sessions of VCRYPTO_AKCIPHER_AGREE, and no others. */
	VCRYPTO_AKCIPHER_DERIVE = 4,   /**< a shared secret */
	VCRYPTO_AKCIPHER_GENERATE = 5, /**< a new private key, and its point */
};

#define VCRYPTO_MAX_IV 16

/**
 * Source and destination in pieces, for buffers that are not in one: pages of a block device, the
 * fragments of a packet. Read by vcrypto_queue_submit() only. Pieces lie in memory of the device;
 * the lengths of src and of dst each add up to length, and need not be the same. Some resources
 * have to copy such data: whoever has the choice puts it in one piece. Not for AKCIPHER.
 */
struct vcrypto_pieces {
	const struct iovec *src;
	const struct iovec *dst;
	unsigned int src_count;
	unsigned int dst_count;
};

/**
 * One operation. The caller owns it, and must leave it and all buffers alone from a submit that
 * took it until poll gives it back. Buffers (src, dst, aad, tag) lie in memory of the device (see
 * "memory" above); the IV does not need to: it is copied.
 *
 *   cipher    src -> dst, of length bytes; block modes want whole blocks (no padding is added)
 *   chain     the same, and the MAC over hash_len bytes from src + hash_offset goes to tag (when
 *             decrypting too: compare it yourself, in constant time)
 *   hash, mac src, of length bytes -> tag
 *   aead      src -> dst, of length bytes without the tag; tag written on encryption, compared on
 *             decryption (-EBADMSG if it differs; dst is then undefined and must not be used)
 *   akcipher  src, of length bytes -> dst, of dst_len bytes; result_len says how many were written.
 *             Verify: src is the signature, digest (tag, tag_len bytes) is compared
 *   derive    src is a private key and the peer's point, one behind the other; dst gets the shared
 *             secret, as long as a private key. Lengths of both: X25519 32 and 32 bytes (RFC 7748),
 *             P-256 32 and 65, P-384 48 and 97, P-521 66 and 133 (big-endian; uncompressed points).
 *             -EKEYREJECTED: the device will not do it with these, and software has to say why
 *             (a number out of range, a point not on the curve, X25519 that gives zero)
 *   generate  length is 0; dst gets a private key and its point, laid out as src of derive. The
 *             device knows that key as well as you
 *
 * Private keys, and what is derived or generated, stay in the memory where they are named: wipe it.
 *
 * dst may be equal to src (in place); they must not overlap otherwise.
 */
struct vcrypto_op {
	struct vcrypto_session *session;
	const void *src;
	void *dst;
	uint32_t length;                     /**< bytes of src */
	uint32_t dst_len;                    /**< AKCIPHER: room at dst in bytes */
	const void *aad;                     /**< AEAD */
	uint32_t aad_len;                    /**< bytes */
	uint32_t hash_offset;                /**< chains: bytes from src */
	uint32_t hash_len;                   /**< chains: bytes */
	uint32_t cipher_offset;              /**< chains: bytes from src (and dst) */
	uint32_t cipher_len;                 /**< chains: bytes */
	void *tag;                           /**< AEAD, HASH, MAC, chains: digest or tag */
	const struct vcrypto_pieces *pieces; /**< instead of src and dst; NULL: as these say */
	uint16_t tag_len;                    /**< bytes; 0 for the session's */
	uint8_t iv_len;                      /**< bytes, at most VCRYPTO_MAX_IV */
	uint8_t akcipher_op;                 /**< enum vcrypto_akcipher_op */
	uint8_t iv[VCRYPTO_MAX_IV];
	int32_t status;      /**< out: 0; -EBADMSG wrong tag or signature; -EINVAL; -ENOTSUP;
	                      *   -ENOKEY no such session; -EKEYREJECTED; -ENOSPC; -EIO */
	uint32_t result_len; /**< out: AKCIPHER: bytes written to dst */
	void *user;          /**< for the caller */
};

/**
 * Submit a burst. Stops at the first operation that cannot go in, for want of room or because it
 * is wrong; an operation that is wrong at the head of the burst is reported.
 *
 * @param queue the queue; one thread at a time
 * @param ops   pointers to operations
 * @param n     how many
 * @return how many were taken, from the front: 0 when the queue is full; -EINVAL the first one is
 *         wrong (buffer outside the device's memory, lengths, session not ready): the others are
 *         untouched; -EAGAIN the device is not ready (see vcrypto_device_changed()); -EPIPE the
 *         back end is gone
 */
int vcrypto_queue_submit(struct vcrypto_queue *queue, struct vcrypto_op *const *ops,
                         unsigned int n);

/**
 * Take operations that are done, without waiting.
 *
 * @param queue the queue; one thread at a time
 * @param ops   out: up to @p n operations, in the order in which they finished
 * @return how many; -EPROTO the back end broke the ring: the queue is dead and the device must be
 *         closed; -EPIPE nothing is done, and the back end is gone (noticed after some tens of
 *         thousands of polls in vain: see vcrypto_device_alive() to know at once)
 */
int vcrypto_queue_poll(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n);

/** Operations that may still be submitted to the queue now. */
unsigned int vcrypto_queue_room(const struct vcrypto_queue *queue);

/** Operations submitted and not yet polled. */
unsigned int vcrypto_queue_in_flight(const struct vcrypto_queue *queue);

/**
 * A descriptor for callers that sleep: readable when operations are done, once
 * vcrypto_queue_arm() has asked for it. Owned by the device; read it with vcrypto_queue_disarm().
 */
int vcrypto_queue_fd(const struct vcrypto_queue *queue);

/**
 * Ask for a call at the next completion, before going to sleep on vcrypto_queue_fd().
 * @return true when there already is something to poll, so that the caller must not sleep
 */
bool vcrypto_queue_arm(struct vcrypto_queue *queue);

/** Back to polling: no more calls, and the descriptor is emptied. */
void vcrypto_queue_disarm(struct vcrypto_queue *queue);

/** Counters of a queue since it was opened. */
struct vcrypto_queue_stats {
	uint64_t submitted; /**< operations */
	uint64_t completed; /**< operations */
	uint64_t failed;    /**< of those completed, with a status other than 0 */
	uint64_t kicks;     /**< times the device was woken */
	uint64_t calls;     /**< times the device woke us, as far as it was noticed */
};

/** Read the counters; any thread, each figure is right by itself. */
void vcrypto_queue_stats(const struct vcrypto_queue *queue, struct vcrypto_queue_stats *stats);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
