/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a resource does by itself: bench_resource [--cpu N] [--seconds S] [--type T] [--only NAME]
 * [--size BYTES] [--burst N] [--buffers N] [--ns].
 *
 * One instance in one pinned thread, as a worker would use it, without rings or guests: the upper
 * bound of what vcrypto-host can do with it. Prints a table of algorithm, size and burst: gigabits
 * a second, or nanoseconds for each operation; the best of some slices, as others share the
 * machine. A resource that works in the caller's thread is measured by that thread's CPU time, so
 * that others on the CPU do not show; one with threads of its own (not pinned) by the clock.
 *
 * A burst works on the same buffers again and again, which are then in the nearest caches. With
 * --buffers requests go round N of them, as those of a guest do that has as many in flight.
 */
#include <getopt.h>
#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/util.h"
#include "host/resource/resource.h"

#define MOST 128
#define SLICES 10
#define MOST_BYTES 16384
#define APART 256 /* so much lies between two buffers */
#define HUGE_PAGE (2U << 20)

struct work {
	const char *name;
	struct session_params params;
	uint8_t kind;
	uint8_t iv_len;
};

static uint8_t key[64] = "this key is for nothing but the measurement of speed";

#define CIPHER VIRTIO_CRYPTO_SERVICE_CIPHER
#define CBC VIRTIO_CRYPTO_CIPHER_AES_CBC
#define CIPHER_OF(n, alg, enc)                                                                     \
	.params = {.service = CIPHER,                                                              \
	           .cipher = (alg),                                                                \
	           .encrypt = (enc),                                                               \
	           .key = key,                                                                     \
	           .key_len = (n)},                                                                \
	.kind = VC_REQUEST_CIPHER
#define AEAD_OF(n, alg)                                                                            \
	.params = {.service = VIRTIO_CRYPTO_SERVICE_AEAD,                                          \
	           .aead = (alg),                                                                  \
	           .encrypt = 1,                                                                   \
	           .key = key,                                                                     \
	           .key_len = (n),                                                                 \
	           .tag_len = 16},                                                                 \
	.kind = VC_REQUEST_AEAD, .iv_len = 12
#define MAC_OF(n, alg, t)                                                                          \
	.params = {.service = VIRTIO_CRYPTO_SERVICE_MAC,                                           \
	           .mac = (alg),                                                                   \
	           .auth_key = key,                                                                \
	           .auth_key_len = (n),                                                            \
	           .tag_len = (t)},                                                                \
	.kind = VC_REQUEST_MAC
#define HASH_OF(alg, t)                                                                            \
	.params = {.service = VIRTIO_CRYPTO_SERVICE_HASH, .hash = (alg), .tag_len = (t)},          \
	.kind = VC_REQUEST_HASH
#define CHAIN_OF(c, m, t, enc, o)                                                                  \
	.params = {.service = CIPHER,                                                              \
	           .cipher = (c),                                                                  \
	           .encrypt = (enc),                                                               \
	           .key = key,                                                                     \
	           .key_len = 16,                                                                  \
	           .auth_key = key,                                                                \
	           .auth_key_len = (t),                                                            \
	           .mac = (m),                                                                     \
	           .chain = (o),                                                                   \
	           .tag_len = (t)},                                                                \
	.kind = VC_REQUEST_CHAIN, .iv_len = 16

static const struct work works[] = {
	{"aes-128-cbc", CIPHER_OF(16, CBC, 1), .iv_len = 16},
	{"aes-128-cbc dec", CIPHER_OF(16, CBC, 0), .iv_len = 16},
	{"aes-256-cbc", CIPHER_OF(32, CBC, 1), .iv_len = 16},
	{"aes-128-ctr", CIPHER_OF(16, VIRTIO_CRYPTO_CIPHER_AES_CTR, 1), .iv_len = 16},
	{"aes-128-ecb", CIPHER_OF(16, VIRTIO_CRYPTO_CIPHER_AES_ECB, 1)},
	{"aes-256-xts", CIPHER_OF(64, VIRTIO_CRYPTO_CIPHER_AES_XTS, 1), .iv_len = 16},
	{"3des-cbc", CIPHER_OF(24, VIRTIO_CRYPTO_CIPHER_3DES_CBC, 1), .iv_len = 8},
	{"3des-cbc dec", CIPHER_OF(24, VIRTIO_CRYPTO_CIPHER_3DES_CBC, 0), .iv_len = 8},
	{"aes-128-gcm", AEAD_OF(16, VIRTIO_CRYPTO_AEAD_GCM)},
	{"aes-256-gcm", AEAD_OF(32, VIRTIO_CRYPTO_AEAD_GCM)},
	{"aes-128-ccm", AEAD_OF(16, VIRTIO_CRYPTO_AEAD_CCM)},
	{"chacha20-poly1305", AEAD_OF(32, VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305)},
	{"cbc+hmac-sha1", CHAIN_OF(CBC, VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20, 1, 2)},
	{"cbc+hmac-sha1 dec", CHAIN_OF(CBC, VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20, 0, 1)},
	{"cbc+hmac-sha256", CHAIN_OF(CBC, VIRTIO_CRYPTO_MAC_HMAC_SHA_256, 32, 1, 2)},
	{"cbc+hmac-sha512", CHAIN_OF(CBC, VIRTIO_CRYPTO_MAC_HMAC_SHA_512, 64, 1, 2)},
	{"ctr+hmac-sha256",
         CHAIN_OF(VIRTIO_CRYPTO_CIPHER_AES_CTR, VIRTIO_CRYPTO_MAC_HMAC_SHA_256, 32, 1, 2)},
	{"hmac-sha1", MAC_OF(20, VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20)},
	{"hmac-sha256", MAC_OF(32, VIRTIO_CRYPTO_MAC_HMAC_SHA_256, 32)},
	{"hmac-sha512", MAC_OF(64, VIRTIO_CRYPTO_MAC_HMAC_SHA_512, 64)},
	{"cmac-aes-128", MAC_OF(16, VIRTIO_CRYPTO_MAC_CMAC_AES, 16)},
	{"sha1", HASH_OF(VIRTIO_CRYPTO_HASH_SHA1, 20)},
	{"sha256", HASH_OF(VIRTIO_CRYPTO_HASH_SHA_256, 32)},
	{"sha512", HASH_OF(VIRTIO_CRYPTO_HASH_SHA_512, 64)},
	{"sha3-256", HASH_OF(VIRTIO_CRYPTO_HASH_SHA3_256, 32)},
};

struct bench {
	struct resource *resource;
	struct resource_instance *instance;
	struct vc_request *reqs;
	uint8_t *memory;
	unsigned int buffers; /* 0: one for each request of the burst */
	unsigned int turn;    /* the next one of them */
	double seconds;       /* of a slice */
	const char *only;     /* NULL: all algorithms; and with 0 all sizes and bursts */
	unsigned int size, burst;
	bool ns;
};

static uint64_t bench_now(const struct bench *b)
{
	struct timespec t;

	if (b->resource->ops->fd(b->instance) >= 0)
		return clock_now_ns();
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void next_buffers(struct bench *b, struct vc_request **reqs, unsigned int n, uint32_t size)
{
	for (unsigned int i = 0; i < n; i++) {
		reqs[i]->src = reqs[i]->dst = b->memory + (size_t)b->turn * (size + APART);
		b->turn = b->turn + 1 < b->buffers ? b->turn + 1 : 0;
	}
}

/* Keep burst requests in flight for the time; returns operations a second. */
static double run(struct bench *b, void *handle, const struct work *w, uint32_t size,
                  unsigned int burst)
{
	const struct resource_ops *ops = b->resource->ops;
	struct vc_request *idle[MOST];
	unsigned int idle_count = burst;
	uint64_t start, end, now, done = 0, rounds = 1;

	for (unsigned int i = 0; i < burst; i++) {
		struct vc_request *req = &b->reqs[i];

		memset(req, 0, sizeof(*req));
		req->handle = handle;
		req->kind = w->kind;
		req->src = req->dst = b->memory + (size_t)i * (size + APART);
		req->tag = req->tag_buffer;
		req->tag_len = w->params.tag_len;
		req->length = req->cipher_len = req->hash_len = req->dst_len = size;
		req->iv_len = w->iv_len;
		idle[i] = req;
	}
	start = now = bench_now(b);
	end = start + (uint64_t)(b->seconds * 1e9);
	for (;;) {
		bool more = now < end;
		unsigned int n = 0;

		if (more && idle_count) {
			if (b->buffers)
				next_buffers(b, idle, idle_count, size);
			n = ops->submit(b->instance, idle, idle_count);
			idle_count -= n;
			memmove(idle, idle + n, idle_count * sizeof(struct vc_request *));
		}
		unsigned int got =
			ops->poll(b->instance, idle + idle_count, MOST - idle_count, n == 0);

		for (unsigned int i = 0; i < got; i++)
			if (idle[idle_count + i]->status)
				return -1;
		idle_count += got;
		done += got;
		/* Looking at the time is a system call, and costs as much as some requests. */
		if (!more || rounds++ % 16 == 0)
			now = bench_now(b);
		if (!more && idle_count == burst)
			return (double)done * 1e9 / (double)(now - start);
	}
}

static double best(struct bench *b, void *handle, const struct work *w, uint32_t size,
                   unsigned int burst)
{
	double most = -1;

	for (unsigned int i = 0; i < SLICES; i++) {
		double ops = run(b, handle, w, size, burst);

		most = vc_max(most, ops);
	}
	return most;
}

static bool wanted(unsigned int only, unsigned int value)
{
	return !only || only == value;
}

static void table(struct bench *b)
{
	static const uint32_t sizes[] = {64, 256, 1024, 4096, 16384};
	static const unsigned int bursts[] = {1, 8, 16, 32, 64};

	printf("%-10s %-18s %6s", b->resource->name, b->ns ? "ns" : "Gbit/s", "bytes");
	for (unsigned int i = 0; i < vc_array_size(bursts); i++)
		if (wanted(b->burst, bursts[i]))
			printf("  burst %-3u", bursts[i]);
	printf("\n");
	for (unsigned int w = 0; w < vc_array_size(works); w++) {
		void *handle;

		if (b->only && strcmp(b->only, works[w].name) != 0)
			continue;
		if (b->resource->ops->realise(b->instance, &works[w].params, &handle) < 0)
			continue;
		for (unsigned int s = 0; s < vc_array_size(sizes); s++) {
			if (!wanted(b->size, sizes[s]))
				continue;
			printf("%-10s %-18s %6u", b->resource->name, works[w].name, sizes[s]);
			for (unsigned int i = 0; i < vc_array_size(bursts); i++) {
				if (!wanted(b->burst, bursts[i]))
					continue;

				double ops = best(b, handle, &works[w], sizes[s], bursts[i]);

				printf("  %9.2f", b->ns ? 1e9 / ops : ops * sizes[s] * 8 / 1e9);
				fflush(stdout);
			}
			printf("\n");
		}
		b->resource->ops->drop(b->instance, handle);
	}
}

static void rsa(struct bench *b, unsigned int bits)
{
	struct work w = {.kind = VC_REQUEST_AK_DECRYPT};
	EVP_PKEY *pkey = EVP_RSA_gen(bits);
	OSSL_ENCODER_CTX *encoder =
		OSSL_ENCODER_CTX_new_for_pkey(pkey, EVP_PKEY_KEYPAIR, "DER", "type-specific", NULL);
	unsigned char *der = NULL;
	size_t length = 0;
	void *handle;

	if (!encoder || !OSSL_ENCODER_to_data(encoder, &der, &length))
		return;
	w.params = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                   .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                   .private_key = 1,
	                                   .key = der,
	                                   .key_len = (uint32_t)length};
	if (b->resource->ops->realise(b->instance, &w.params, &handle) == 0) {
		memset(b->memory, 0, 1 << 20);
		printf("%-10s rsa-%u private      %9.0f operations/s\n", b->resource->name, bits,
		       best(b, handle, &w, bits / 8, 32));
		b->resource->ops->drop(b->instance, handle);
	}
	OPENSSL_free(der);
	OSSL_ENCODER_CTX_free(encoder);
	EVP_PKEY_free(pkey);
}

/* In huge pages where the system has some, as a guest's memory is. */
static uint8_t *buffers_create(unsigned int n)
{
	size_t size = vc_round_up((size_t)n * (MOST_BYTES + APART), HUGE_PAGE);
	uint8_t *memory = aligned_alloc(HUGE_PAGE, size);

	if (memory) {
		(void)madvise(memory, size, MADV_HUGEPAGE);
		memset(memory, 0, size);
	}
	return memory;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"cpu", required_argument, NULL, 'c'},
	                                        {"seconds", required_argument, NULL, 's'},
	                                        {"type", required_argument, NULL, 't'},
	                                        {"only", required_argument, NULL, 'o'},
	                                        {"ns", no_argument, NULL, 'n'},
	                                        {"size", required_argument, NULL, 'z'},
	                                        {"burst", required_argument, NULL, 'u'},
	                                        {"buffers", required_argument, NULL, 'b'},
	                                        {0}};
	struct resource_config config = {.name = "ipsec-mb"};
	struct bench b = {.seconds = 0.1};
	char *error = NULL;
	int cpu = -1, c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			cpu = atoi(optarg);
		else if (c == 's')
			b.seconds = atof(optarg);
		else if (c == 't')
			config.name = optarg;
		else if (c == 'o')
			b.only = optarg;
		else if (c == 'n')
			b.ns = true;
		else if (c == 'b')
			b.buffers = (unsigned int)atoi(optarg);
		else if (c == 'z')
			b.size = (unsigned int)atoi(optarg);
		else if (c == 'u')
			b.burst = (unsigned int)atoi(optarg);
		else
			return 2;
	}
	config.type = config.name;
	b.reqs = aligned_alloc(VC_CACHE_LINE, MOST * sizeof(struct vc_request));
	b.memory = buffers_create(vc_max(b.buffers, (unsigned int)MOST));
	if (!b.reqs || !b.memory || resource_create(&config, &b.resource, &error) < 0) {
		fprintf(stderr, "bench_resource: %s\n", error ? error : "no memory");
		exit(1);
	}
	if (cpu >= 0 && thread_pin(cpu) < 0)
		fprintf(stderr, "bench_resource: cannot run on CPU %d alone\n", cpu);
	if (b.resource->ops->open(b.resource, 0, &b.instance) < 0) {
		fprintf(stderr, "bench_resource: cannot open the resource\n");
		return 1;
	}
	b.seconds /= SLICES;
	table(&b);
	if (!b.only) {
		rsa(&b, 2048);
		rsa(&b, 4096);
	}
	b.resource->ops->close(b.instance);
	resource_destroy(b.resource);
	free(b.reqs);
	free(b.memory);
	return 0;
}
