/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type crypto-mb: RSA of 1024 to 4096 bits, ECDSA and ECDH on P-256 and P-384, eight at a
 * time.
 *
 * create, destroy: main thread; open, close, realise, drop, submit, poll: the worker. The work is
 * done by helpers (helpers.c): each sorts what it takes by operation and size, and does eight of a
 * kind as soon as it has them. Fewer than eight wait for company for a bounded time, and only while
 * requests come in such that there will be some. All eight lanes take as long as one: when so few
 * are left that libcrypto is faster, the helper does them with that. And so what is not for lanes:
 * decryption with PKCS#1 padding, verification with a private key on a curve, a key whose parts
 * contradict each other.
 */
#include <crypto_mb/cpu_features.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"
#include "host/agree.h"
#include "host/resource/algorithm.h"
#include "host/resource/crypto_mb.h"
#include "host/resource/helpers.h"

/* Of a burst that waits for company. */
#define MB_WAIT_US 50u
/* Longer gaps between requests count as so many of these waits, so that they are soon forgotten. */
#define MB_LONG_GAP 4

/*
 * As many of a class as the lanes do faster than libcrypto does one after the other. Measured with
 * libcrypto-mb 2021.12.1 and OpenSSL 3.5 (8 lanes in us / 1 in libcrypto): private RSA 150/105,
 * 718/364, 3425/975, 6652/1954; public 7.7/5.9, 29/20, 68/44, 119/76; ECDSA 48/26, 199/203; its
 * verification 160/77, 675/453. On an EPYC, in the same way: ECDH 91/37, 388/335; its keys 25/6,
 * 109/155.
 */
static const uint8_t least[MB_CLASSES] = {
	[MB_RSA_PRIVATE_1024] = 2, [MB_RSA_PRIVATE_2048] = 2,  [MB_RSA_PRIVATE_3072] = 4,
	[MB_RSA_PRIVATE_4096] = 4, [MB_RSA_PUBLIC_1024] = 2,   [MB_RSA_PUBLIC_2048] = 2,
	[MB_RSA_PUBLIC_3072] = 2,  [MB_RSA_PUBLIC_4096] = 2,   [MB_ECDSA_SIGN_P256] = 2,
	[MB_ECDSA_SIGN_P384] = 1,  [MB_ECDSA_VERIFY_P256] = 3, [MB_ECDSA_VERIFY_P384] = 2,
	[MB_DERIVE_P256] = 3,      [MB_DERIVE_P384] = 2,       [MB_GENERATE_P256] = 5,
	[MB_GENERATE_P384] = 1,
};

struct mb_resource {
	struct resource base;
	struct lc_library library;
	unsigned int threads;
	uint64_t wait_ns;
	cpu_set_t cpus; /* of the process, not of the pinned worker that opens an instance */
};

/* Requests of one class that a helper keeps. */
struct mb_held {
	struct vc_request *req[MB_LANES];
	unsigned int count;
	uint64_t since; /* ns; when the oldest came */
};

struct mb_thread {
	struct mb_scratch scratch;
	struct lc_thread single;
	uint64_t wait_ns;
	uint64_t last, gap; /* ns: when requests came last; between two of them, on average */
	unsigned int held_count;
	struct mb_held held[MB_CLASSES];
};

struct mb_instance {
	struct resource_instance base;
	struct helpers helpers;
	struct mb_thread *thread[HELPERS_MAX];
};

void mb_words(uint64_t *words, unsigned int count, const uint8_t *number, size_t len)
{
	memset(words, 0, count * sizeof(*words));
	for (size_t i = 0; i < len && i / 8 < count; i++)
		words[i / 8] |= (uint64_t)number[len - 1 - i] << i % 8 * 8;
}

void mb_bytes(uint8_t *number, const uint64_t *words, unsigned int count)
{
	for (size_t i = 0; i < 8ul * count; i++)
		number[8ul * count - 1 - i] = (uint8_t)(words[i / 8] >> i % 8 * 8);
}

/* ---- helpers ---- */

static void single_run(struct mb_thread *thread, struct vc_request *req)
{
	lc_asymmetric(&thread->single, req, ((struct mb_session *)req->handle)->single);
}

static void class_run(struct helper *helper, enum mb_class class)
{
	struct mb_thread *thread = helper->own;
	struct mb_held *held = &thread->held[class];
	uint64_t begin = helper_cpu_ns(), each;

	if (held->count < least[class])
		for (unsigned int i = 0; i < held->count; i++)
			held->req[i]->status = VC_STATUS_RESOURCE;
	else if (class < MB_ECDSA_SIGN_P256)
		mb_rsa_run(class, held->req, held->count, &thread->scratch);
	else if (class >= MB_DERIVE_P256)
		mb_agree_run(class, held->req, held->count, &thread->single);
	else
		mb_ecdsa_run(class, held->req, held->count, &thread->scratch);
	for (unsigned int i = 0; i < held->count; i++)
		if (held->req[i]->status == VC_STATUS_RESOURCE)
			single_run(thread, held->req[i]);
	each = (helper_cpu_ns() - begin) / held->count;
	for (unsigned int i = 0; i < held->count; i++)
		helper_done(helper, held->req[i], each);
	thread->held_count -= held->count;
	held->count = 0;
}

/* Those that have waited long enough, or all of them. The time (ns) until the next one has to go;
 * HELPER_IDLE if none is kept. */
static uint64_t classes_run(struct helper *helper, bool all)
{
	struct mb_thread *thread = helper->own;
	uint64_t next = HELPER_IDLE, now = clock_now_ns();

	for (unsigned int c = 0; c < MB_CLASSES && thread->held_count; c++) {
		const struct mb_held *held = &thread->held[c];
		uint64_t age = now - held->since;

		if (!held->count)
			continue;
		if (all || age >= thread->wait_ns) {
			class_run(helper, c);
			now = clock_now_ns();
		} else {
			next = vc_min(next, thread->wait_ns - age);
		}
	}
	return next;
}

static void work_run(struct helper *helper, struct vc_request *const *reqs, unsigned int n)
{
	struct mb_thread *thread = helper->own;
	uint64_t now = clock_now_ns(), gap;

	gap = vc_min((now - thread->last) / n, MB_LONG_GAP * thread->wait_ns);
	thread->gap = (7 * thread->gap + gap) / 8;
	thread->last = now;
	for (unsigned int i = 0; i < n; i++) {
		struct vc_request *req = reqs[i];
		const struct mb_session *session = req->handle;
		enum mb_class class = mb_class_of(session->params, req->kind);
		struct mb_held *held;

		if (class == MB_NONE) {
			uint64_t begin = helper_cpu_ns();

			single_run(thread, req);
			helper_done(helper, req, helper_cpu_ns() - begin);
			continue;
		}
		held = &thread->held[class];
		if (!held->count)
			held->since = now;
		held->req[held->count++] = req;
		thread->held_count++;
		if (held->count == MB_LANES)
			class_run(helper, class);
	}
	/* While there is always more of one kind, another must not wait for ever. */
	classes_run(helper, false);
}

static uint64_t work_idle(struct helper *helper)
{
	const struct mb_thread *thread = helper->own;

	/* All, when nobody is likely to come in time. */
	return classes_run(helper, thread->gap > thread->wait_ns);
}

static void work_end(struct helper *helper)
{
	OPENSSL_thread_stop_ex(((struct mb_thread *)helper->own)->single.library);
}

static const struct helper_work mb_work = {
	.name = "vc-crypto-mb",
	.burst = MB_LANES,
	.ahead = 2 * MB_LANES,
	.run = work_run,
	.idle = work_idle,
	.end = work_end,
};

/* ---- resource ---- */

static int mb_create(const struct resource_config *config, struct resource **resource, char **error)
{
	struct mb_resource *mb;

	if (config->threads > HELPERS_MAX) {
		*error = str_format("%u threads; at most %d", config->threads, HELPERS_MAX);
		return -EINVAL;
	}
	if (!mbx_is_crypto_mb_applicable(0)) {
		*error = str_format("crypto-mb needs a CPU with AVX-512 IFMA");
		return -ENODEV;
	}
	mb = calloc(1, sizeof(*mb));
	if (!mb)
		return -ENOMEM;
	mb->threads = config->threads ? config->threads : 1;
	mb->base.parts = mb->threads;
	mb->wait_ns = 1000ull * (config->wait_us ? *config->wait_us : MB_WAIT_US);
	if (sched_getaffinity(0, sizeof(mb->cpus), &mb->cpus) < 0)
		CPU_ZERO(&mb->cpus);
	if (lc_library_open(&mb->library, error) < 0) {
		free(mb);
		return -ENODEV;
	}
	*resource = &mb->base;
	return 0;
}

static void mb_destroy(struct resource *resource)
{
	struct mb_resource *mb = (struct mb_resource *)resource;

	lc_library_close(&mb->library);
	free(mb);
}

static bool mb_can(const struct resource *resource, const struct session_params *params)
{
	(void)resource;
	return params->service == VIRTIO_CRYPTO_SERVICE_AKCIPHER &&
	       (mb_rsa_can(params) || mb_ecdsa_can(params) || mb_agree_can(params));
}

static void mb_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	(void)resource;
	config->akcipher_algo |=
		1u << VIRTIO_CRYPTO_AKCIPHER_RSA | 1u << VIRTIO_CRYPTO_AKCIPHER_ECDSA;
	config->crypto_services |= 1u << VIRTIO_CRYPTO_SERVICE_AKCIPHER;
	algorithm_offer_limits(config, 0);
}

static void instance_free(struct mb_instance *in)
{
	for (unsigned int t = 0; t < in->helpers.count; t++) {
		if (in->thread[t])
			secmem_free(in->thread[t]->scratch.buffer);
		secmem_free(in->thread[t]);
	}
	free(in);
}

static int thread_make(struct mb_instance *in, unsigned int t, const struct mb_resource *mb)
{
	struct mb_thread *thread = secmem_alloc(sizeof(*thread));

	in->thread[t] = thread;
	if (!thread)
		return -ENOMEM;
	thread->wait_ns = mb->wait_ns;
	thread->single = (struct lc_thread){.library = mb->library.context, .index = t};
	thread->scratch.buffer = secmem_alloc(mb_rsa_buffer_size());
	in->helpers.helper[t].own = thread;
	return thread->scratch.buffer ? 0 : -ENOMEM;
}

static int mb_open(struct resource *resource, unsigned int worker,
                   struct resource_instance **instance)
{
	struct mb_resource *mb = (struct mb_resource *)resource;
	struct mb_instance *in = aligned_alloc(VC_CACHE_LINE, sizeof(*in));
	int r = 0;

	(void)worker;
	if (!in)
		return -ENOMEM;
	memset(in, 0, sizeof(*in));
	in->base.resource = resource;
	in->helpers.work = &mb_work;
	in->helpers.count = mb->threads;
	for (unsigned int t = 0; t < mb->threads && r == 0; t++)
		r = thread_make(in, t, mb);
	if (r == 0)
		r = helpers_start(&in->helpers, &mb->cpus);
	if (r < 0) {
		instance_free(in);
		return r;
	}
	*instance = &in->base;
	return 0;
}

static void mb_close(struct resource_instance *instance)
{
	struct mb_instance *in = (struct mb_instance *)instance;

	helpers_stop(&in->helpers);
	instance_free(in);
}

enum mb_class mb_class_of(const struct session_params *params, unsigned int kind)
{
	switch (params->akcipher) {
	case VIRTIO_CRYPTO_AKCIPHER_RSA:
		return mb_rsa_class(params, kind);
	case VCRYPTO_INBAND_AGREE:
		return mb_agree_class(params, kind);
	default:
		return mb_ecdsa_class(params, kind);
	}
}

static void session_free(struct mb_session *session)
{
	if (session->single)
		lc_session_free(session->single);
	secmem_free(session);
}

static int mb_realise(struct resource_instance *instance, const struct session_params *params,
                      void **handle)
{
	struct mb_instance *in = (struct mb_instance *)instance;
	struct mb_session *session;
	int r = 0;

	if (!mb_can(instance->resource, params))
		return -ENOTSUP;
	session = secmem_alloc(sizeof(*session));
	if (!session)
		return -ENOMEM;
	session->params = params;
	session->single = lc_session_new(params, in->helpers.count);
	if (!session->single)
		r = -ENOMEM;
	else if (params->akcipher == VIRTIO_CRYPTO_AKCIPHER_RSA)
		mb_rsa_key_fill(params, &session->rsa);
	else if (params->akcipher == VIRTIO_CRYPTO_AKCIPHER_ECDSA &&
	         !mb_ec_key_fill(params, &session->ec))
		r = -EKEYREJECTED;
	if (r < 0)
		session_free(session);
	else
		*handle = session;
	return r;
}

static void mb_drop(struct resource_instance *instance, void *handle)
{
	(void)instance;
	session_free(handle);
}

static unsigned int mb_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                              unsigned int n)
{
	struct mb_instance *in = (struct mb_instance *)instance;

	instance->in_flight += n;
	for (unsigned int i = 0; i < n; i++)
		helpers_add(&in->helpers, reqs[i]);
	helpers_feed(&in->helpers);
	return n;
}

static unsigned int mb_poll(struct resource_instance *instance, struct vc_request **reqs,
                            unsigned int n, bool flush)
{
	struct mb_instance *in = (struct mb_instance *)instance;
	unsigned int taken = helpers_poll(&in->helpers, reqs, n);

	(void)flush;
	instance->in_flight -= taken;
	return taken;
}

static int mb_fd(struct resource_instance *instance)
{
	return ((struct mb_instance *)instance)->helpers.done_fd;
}

static bool mb_arm(struct resource_instance *instance)
{
	return helpers_arm(&((struct mb_instance *)instance)->helpers);
}

static void mb_disarm(struct resource_instance *instance)
{
	helpers_disarm(&((struct mb_instance *)instance)->helpers);
}

const struct resource_ops resource_crypto_mb = {
	.type = "crypto-mb",
	.parts = "threads",
	.create = mb_create,
	.destroy = mb_destroy,
	.can = mb_can,
	.offer = mb_offer,
	.open = mb_open,
	.close = mb_close,
	.realise = mb_realise,
	.drop = mb_drop,
	.submit = mb_submit,
	.poll = mb_poll,
	.fd = mb_fd,
	.arm = mb_arm,
	.disarm = mb_disarm,
};
