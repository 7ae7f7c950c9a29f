/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See live.h.
 */
#include "live.h"

#include <openssl/hmac.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "virtio/driver.h"

#define WAIT_NS 20000000000ull

const char *live_socket(void)
{
	const char *path = getenv("VCRYPTO_HOST_SOCKET");

	if (!path) {
		fputs("VCRYPTO_HOST_SOCKET is not set: run me through vctest.py\n", stderr);
		exit(77);
	}
	return path;
}

enum vcrypto_session_way live_sessions(void)
{
	const char *way = getenv("LIVE_SESSIONS");

	return (enum vcrypto_session_way)(way ? atoi(way) : 0);
}

static enum vcrypto_ring live_ring(void)
{
	const char *ring = getenv("LIVE_RING");

	return (enum vcrypto_ring)(ring ? atoi(ring) : 0);
}

static struct transport_ops far_ops;

static int far_memory_add(struct transport *transport, void *address, size_t size, int fd,
                          uint64_t offset, struct transport_error *error)
{
	return -EOPNOTSUPP;
}

/* Its own memory is the device's; what is registered it cannot reach, as on a PCI bus. */
static int far_region_create(struct transport *transport, size_t min, size_t want, int hugepages,
                             struct shared_region *region, struct transport_error *error)
{
	int err = shared_region_create(want, hugepages, region);

	return err ? err
	           : transport_vhost_user.memory_add(transport, region->base, region->size,
	                                             region->fd, 0, error);
}

static bool live_far(void)
{
	return getenv("LIVE_FAR") && atoi(getenv("LIVE_FAR"));
}

static uint8_t *far_memory(struct vcrypto_device *device, size_t size)
{
	int fd = memfd_create("far", MFD_CLOEXEC);
	void *p;

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(vcrypto_memory_register(device, p, size, fd, 0), 0);
	close(fd);
	return p;
}

void live_open_as(struct live *live, const struct vcrypto_device_options *options, uint64_t without)
{
	char *error = NULL;

	far_ops = transport_vhost_user;
	if (live_far()) {
		far_ops.copies = true;
		far_ops.region_create = far_region_create;
		far_ops.memory_add = far_memory_add;
	}
	if (device_open_over(&far_ops, options, without, &live->device, &error))
		fail_msg("open: %s", error);
	live->queue = vcrypto_device_queue(live->device, 0);
	live->src = live_far() ? far_memory(live->device, LIVE_BUFFER)
	                       : vcrypto_memory_alloc(live->device, LIVE_BUFFER);
	live->dst = live_far() ? far_memory(live->device, LIVE_BUFFER)
	                       : vcrypto_memory_alloc(live->device, LIVE_BUFFER);
	assert_non_null(live->src);
	assert_non_null(live->dst);
}

void live_open(struct live *live, uint64_t without, unsigned int queues)
{
	struct vcrypto_device_options options = {.socket = live_socket(),
	                                         .queues = queues,
	                                         .agreement = getenv("LIVE_AGREEMENT"),
	                                         .sessions = live_sessions(),
	                                         .ring = live_ring()};
	const char *more = getenv("LIVE_WITHOUT");

	if (more)
		without |= strtoull(more, NULL, 0);
	live_open_as(live, &options, without);
}

void live_close(struct live *live)
{
	vcrypto_device_close(live->device);
}

struct vcrypto_session *live_session(const struct live *live,
                                     const struct vcrypto_session_params *params)
{
	struct vcrypto_session *session = NULL;

	assert_int_equal(vcrypto_session_create(live->device, params, &session), 0);
	assert_non_null(session);
	return session;
}

bool live_refused(const struct live *live, const struct vcrypto_session_params *params)
{
	struct vcrypto_op op = {.src = live->src,
	                        .dst = live->dst,
	                        .length = 256,
	                        .dst_len = 256,
	                        .tag = live->dst + 4096,
	                        .iv_len = 12,
	                        .akcipher_op = params->private_key ? VCRYPTO_AKCIPHER_DECRYPT
	                                                           : VCRYPTO_AKCIPHER_ENCRYPT};
	bool refused = true;

	if (vcrypto_session_create(live->device, params, &op.session))
		return true;
	if (params->service == VCRYPTO_SERVICE_CIPHER)
		op.iv_len = 16;
	if (params->service == VCRYPTO_SERVICE_AKCIPHER)
		op.iv_len = 0;
	if (live_sessions() != VCRYPTO_SESSIONS_STATELESS || !live_run(live, &op))
		refused = false;
	vcrypto_session_destroy(op.session);
	return refused;
}

void live_wait(struct vcrypto_queue *queue, unsigned int n)
{
	uint64_t end_ns = clock_now_ns() + WAIT_NS;
	struct vcrypto_op *done[32];

	while (n) {
		int got = vcrypto_queue_poll(queue, done, vc_min(n, 32u));

		assert_true(got >= 0);
		n -= (unsigned int)got;
		if (!got && clock_now_ns() > end_ns)
			fail_msg("%u operations did not come back", n);
	}
}

int live_run(const struct live *live, struct vcrypto_op *op)
{
	int n = vcrypto_queue_submit(live->queue, &op, 1);

	if (n != 1)
		return n ? n : -EAGAIN;
	live_wait(live->queue, 1);
	return op->status;
}

void live_fill(void *memory, size_t size, uint32_t seed)
{
	uint8_t *p = memory;
	uint64_t x = seed * 0x9e3779b97f4a7c15ull + 1;

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)x;
	}
}

bool reference_crypt(const char *cipher, bool encrypt, const uint8_t *key, const uint8_t *iv,
                     const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t length,
                     uint8_t *out, uint8_t *tag, int tag_len)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0, last = 0;
	bool ok;

	assert_int_equal(EVP_CipherInit_ex(c, EVP_get_cipherbyname(cipher), NULL, key, iv, encrypt),
	                 1);
	EVP_CIPHER_CTX_set_padding(c, 0);
	if (tag_len && !encrypt)
		assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, tag_len, tag), 1);
	if (aad_len)
		assert_int_equal(EVP_CipherUpdate(c, NULL, &n, aad, (int)aad_len), 1);
	n = 0;
	if (length)
		assert_int_equal(EVP_CipherUpdate(c, out, &n, in, (int)length), 1);
	ok = EVP_CipherFinal_ex(c, out + n, &last) == 1;
	if (ok && tag_len && encrypt)
		assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, tag_len, tag), 1);
	EVP_CIPHER_CTX_free(c);
	return ok;
}

void reference_hmac(const char *md, const uint8_t *key, size_t key_len, const uint8_t *in,
                    size_t length, uint8_t *tag)
{
	unsigned int tag_len;

	assert_non_null(
		HMAC(EVP_get_digestbyname(md), key, (int)key_len, in, length, tag, &tag_len));
}
