/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and requests for tests; see request_cases.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <vcrypto/inband.h>

#include "host/bounce.h"
#include "keys.h"
#include "request_cases.h"

/* Sessions of the fixture. */
enum {
	S_CBC_ENC,
	S_CBC_DEC,
	S_CTR,
	S_GCM_ENC,
	S_GCM_DEC,
	S_CHAIN_ENC,
	S_CHAIN_DEC,
	S_HASH,
	S_MAC,
	S_RSA,
	S_RSA_PUBLIC,
	S_GCM_SHORT_TAG,
	S_CCM,
	S_CHACHA,
	S_ECB,
	S_3DES,
	S_XTS,
	S_CHAIN_PLAIN,
	S_ECDSA,
	S_ECDSA_PUBLIC,
	S_X25519,
	S_ECDH,
};

static uint64_t add(struct fixture *f, struct session_params params)
{
	static const uint8_t key[64] = {1, 2, 3};
	uint64_t id;

	if (!params.key)
		params.key = key;
	params.auth_key = key;
	assert_int_equal(session_create(f->context.sessions, &params, NULL, NULL, &id), 0);
	return id;
}

#define CIPHER_SESSION(alg, enc)                                                                   \
	((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,                          \
	                         .cipher = (alg),                                                  \
	                         .encrypt = (enc),                                                 \
	                         .key_len = 16})
#define CHAIN_SESSION(order, enc)                                                                  \
	((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,                          \
	                         .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,                           \
	                         .chain = (order),                                                 \
	                         .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1,                               \
	                         .encrypt = (enc),                                                 \
	                         .key_len = 16,                                                    \
	                         .auth_key_len = 20})
#define GCM_SESSION(enc, tag)                                                                      \
	((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AEAD,                            \
	                         .aead = VIRTIO_CRYPTO_AEAD_GCM,                                   \
	                         .encrypt = (enc),                                                 \
	                         .tag_len = (tag),                                                 \
	                         .key_len = 16})

#define AEAD_SESSION(alg, key, tag)                                                                \
	((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AEAD,                            \
	                         .aead = (alg),                                                    \
	                         .encrypt = 1,                                                     \
	                         .tag_len = (tag),                                                 \
	                         .key_len = (key)})

static void add_ecdsa(struct fixture *f)
{
	struct test_key private = test_ec_private(VIRTIO_CRYPTO_CURVE_NIST_P521);
	struct test_key public = test_ec_public(VIRTIO_CRYPTO_CURVE_NIST_P521);
	struct session_params ecdsa = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                               .akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
	                               .curve = VIRTIO_CRYPTO_CURVE_NIST_P521,
	                               .private_key = 1,
	                               .key = private.der,
	                               .key_len = (uint32_t) private.len};

	f->session[S_ECDSA] = add(f, ecdsa);
	ecdsa.private_key = 0;
	ecdsa.key = public.der;
	ecdsa.key_len = (uint32_t) public.len;
	f->session[S_ECDSA_PUBLIC] = add(f, ecdsa);
}

static void add_agreement(struct fixture *f)
{
	struct session_params agree = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                               .akcipher = VCRYPTO_INBAND_AGREE,
	                               .curve = VCRYPTO_INBAND_X25519};

	f->session[S_X25519] = add(f, agree);
	agree.curve = VIRTIO_CRYPTO_CURVE_NIST_P521;
	f->session[S_ECDH] = add(f, agree);
}

static void add_sessions(struct fixture *f)
{
	struct test_key private = test_rsa_private(1024), public = test_rsa_public(1024);
	struct session_params rsa = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                             .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                             .private_key = 1,
	                             .key = private.der,
	                             .key_len = (uint32_t) private.len};

	f->session[S_CBC_ENC] = add(f, CIPHER_SESSION(VIRTIO_CRYPTO_CIPHER_AES_CBC, 1));
	f->session[S_CBC_DEC] = add(f, CIPHER_SESSION(VIRTIO_CRYPTO_CIPHER_AES_CBC, 0));
	f->session[S_CTR] = add(f, CIPHER_SESSION(VIRTIO_CRYPTO_CIPHER_AES_CTR, 1));
	f->session[S_GCM_ENC] = add(f, GCM_SESSION(1, 16));
	f->session[S_GCM_DEC] = add(f, GCM_SESSION(0, 16));
	f->session[S_GCM_SHORT_TAG] = add(f, GCM_SESSION(1, 12));
	f->session[S_CHAIN_ENC] =
		add(f, CHAIN_SESSION(VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH, 1));
	f->session[S_CHAIN_DEC] =
		add(f, CHAIN_SESSION(VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER, 0));
	f->session[S_HASH] = add(f, (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_HASH,
	                                                    .hash = VIRTIO_CRYPTO_HASH_SHA_256});
	f->session[S_MAC] = add(f, (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_MAC,
	                                                   .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_512,
	                                                   .auth_key_len = 64});
	f->session[S_RSA] = add(f, rsa);
	f->session[S_CCM] = add(f, AEAD_SESSION(VIRTIO_CRYPTO_AEAD_CCM, 16, 8));
	f->session[S_CHACHA] = add(f, AEAD_SESSION(VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305, 32, 16));
	f->session[S_ECB] = add(f, CIPHER_SESSION(VIRTIO_CRYPTO_CIPHER_AES_ECB, 1));
	f->session[S_3DES] = add(f, (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                                    .cipher = VIRTIO_CRYPTO_CIPHER_3DES_CBC,
	                                                    .encrypt = 1,
	                                                    .key_len = 24});
	f->session[S_XTS] = add(f, (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                                   .cipher = VIRTIO_CRYPTO_CIPHER_AES_XTS,
	                                                   .encrypt = 1,
	                                                   .key_len = 64});
	f->session[S_CHAIN_PLAIN] =
		add(f, (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                       .cipher = VIRTIO_CRYPTO_CIPHER_AES_CTR,
	                                       .chain = 1,
	                                       .hash = VIRTIO_CRYPTO_HASH_SHA1,
	                                       .encrypt = 1,
	                                       .key_len = 16});
	add_ecdsa(f);
	add_agreement(f);
	rsa.private_key = 0;
	rsa.key = public.der;
	rsa.key_len = (uint32_t) public.len;
	f->session[S_RSA_PUBLIC] = add(f, rsa);
}

int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	guest_open(&f->guest, 256, 0, false);
	f->context.sessions = session_table_new(100);
	f->context.bounces = bounce_pool_new(MAX_SIZE, 8u << 20);
	f->context.max_size = MAX_SIZE;
	assert_non_null(f->context.sessions);
	assert_non_null(f->context.bounces);
	add_sessions(f);
	*state = f;
	return 0;
}

int fixture_close(void **state)
{
	struct fixture *f = *state;

	session_table_free(f->context.sessions);
	bounce_pool_free(f->context.bounces);
	guest_close(&f->guest);
	free(f);
	return 0;
}

#define CIPHER_CASE(label, s, op, iv_len, len, room)                                               \
	{                                                                                          \
		.name = (label), .session = (s), .kind = VC_REQUEST_CIPHER, .iv = (iv_len),        \
		.src = (len), .in = (room), .length = (len),                                       \
		.header = {                                                                        \
			.header.opcode = (op),                                                     \
			.u.sym = {.u.cipher = {(iv_len), (len), (room), 0},                        \
		                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER},                         \
		},                                                                                 \
	}
#define CHAIN_CASE(label, s, op, len, c_off, c_len, h_off, h_len)                                  \
	{                                                                                          \
		.name = (label), .session = (s), .kind = VC_REQUEST_CHAIN, .iv = 16, .src = (len), \
		.in = (len) + 20, .length = (len), .tag_at = (len), .tag_out = 20,                 \
		.header = {                                                                        \
			.header.opcode = (op),                                                     \
			.u.sym = {.u.chain = {16, (len), (len), (c_off), (c_len), (h_off),         \
		                              (h_len), 0, 20, 0},                                  \
		                  .op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING},             \
		},                                                                                 \
	}
#define AEAD_CASE(label, s, iv_len, len, aad_bytes, tag)                                           \
	{                                                                                          \
		.name = (label), .session = (s), .kind = VC_REQUEST_AEAD, .iv = (iv_len),          \
		.src = (len), .aad = (aad_bytes), .in = (len) + (tag), .length = (len),            \
		.tag_at = (len), .tag_out = (tag),                                                 \
		.header = {                                                                        \
			.header.opcode = VIRTIO_CRYPTO_AEAD_ENCRYPT,                               \
			.u.aead = {(iv_len), (aad_bytes), (len), (len) + (tag), (tag), 0},         \
		},                                                                                 \
	}
#define AEAD_ENC_CASE(label, s, len, aad_bytes, tag) AEAD_CASE(label, s, 12, len, aad_bytes, tag)
#define AEAD_DEC_CASE(label, s, len, aad_bytes, tag)                                               \
	{                                                                                          \
		.name = (label), .session = (s), .kind = VC_REQUEST_AEAD, .iv = 12, .src = (len),  \
		.tag_in = (tag), .aad = (aad_bytes), .in = (len), .length = (len),                 \
		.header = {                                                                        \
			.header.opcode = VIRTIO_CRYPTO_AEAD_DECRYPT,                               \
			.u.aead = {12, (aad_bytes), (len) + (tag), (len), (tag), 0},               \
		},                                                                                 \
	}
#define DIGEST_CASE(label, s, op, what, len, tag)                                                  \
	{                                                                                          \
		.name = (label), .session = (s), .kind = (what), .src = (len), .in = (tag),        \
		.length = (len), .tag_out = (tag),                                                 \
		.header = {.header.opcode = (op), .u.hash = {(len), (tag)}},                       \
	}
#define AK_CASE(label, s, op, what, len, room, result)                                             \
	{                                                                                          \
		.name = (label), .session = (s), .kind = (what), .src = (len), .in = (room),       \
		.length = (len), .result_len = (result),                                           \
		.header = {.header.opcode = (op), .u.akcipher = {(len), (room)}},                  \
	}

const struct test_case test_cases[] = {
	CIPHER_CASE("cbc 16", S_CBC_ENC, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 16, 16),
	CIPHER_CASE("cbc 1 KiB", S_CBC_ENC, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 1024, 1024),
	CIPHER_CASE("cbc, more room", S_CBC_DEC, VIRTIO_CRYPTO_CIPHER_DECRYPT, 16, 64, 100),
	CIPHER_CASE("ctr 1", S_CTR, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 1, 1),
	CIPHER_CASE("ctr 333", S_CTR, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 333, 333),
	AEAD_ENC_CASE("gcm", S_GCM_ENC, 100, 13, 16),
	AEAD_ENC_CASE("gcm, no aad", S_GCM_ENC, 100, 0, 16),
	AEAD_ENC_CASE("gcm, only aad", S_GCM_ENC, 0, 40, 16),
	AEAD_ENC_CASE("gcm, nothing", S_GCM_ENC, 0, 0, 16),
	AEAD_ENC_CASE("gcm, short tag", S_GCM_SHORT_TAG, 50, 20, 12),
	AEAD_DEC_CASE("gcm back", S_GCM_DEC, 100, 13, 16),
	AEAD_DEC_CASE("gcm back, no aad", S_GCM_DEC, 100, 0, 16),
	AEAD_DEC_CASE("gcm back, nothing", S_GCM_DEC, 0, 0, 16),
	CHAIN_CASE("chain", S_CHAIN_ENC, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 96, 0, 96, 0, 96),
	CHAIN_CASE("chain, esp", S_CHAIN_ENC, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 88, 24, 64, 0, 88),
	CHAIN_CASE("chain back", S_CHAIN_DEC, VIRTIO_CRYPTO_CIPHER_DECRYPT, 88, 24, 64, 16, 72),
	CHAIN_CASE("chain, no hash", S_CHAIN_DEC, VIRTIO_CRYPTO_CIPHER_DECRYPT, 88, 24, 64, 88, 0),
	DIGEST_CASE("hash", S_HASH, VIRTIO_CRYPTO_HASH, VC_REQUEST_HASH, 300, 32),
	DIGEST_CASE("hash of nothing", S_HASH, VIRTIO_CRYPTO_HASH, VC_REQUEST_HASH, 0, 32),
	DIGEST_CASE("mac", S_MAC, VIRTIO_CRYPTO_MAC, VC_REQUEST_MAC, 77, 64),
	AK_CASE("rsa encrypt", S_RSA_PUBLIC, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, VC_REQUEST_AK_ENCRYPT,
                100, 128, 128),
	AK_CASE("rsa sign", S_RSA, VIRTIO_CRYPTO_AKCIPHER_SIGN, VC_REQUEST_AK_SIGN, 32, 128, 128),
	AK_CASE("rsa decrypt", S_RSA, VIRTIO_CRYPTO_AKCIPHER_DECRYPT, VC_REQUEST_AK_DECRYPT, 128,
                128, 48),
	AK_CASE("rsa decrypt, little room", S_RSA, VIRTIO_CRYPTO_AKCIPHER_DECRYPT,
                VC_REQUEST_AK_DECRYPT, 128, 48, 48),
	CIPHER_CASE("ecb 64", S_ECB, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 0, 64, 64),
	CIPHER_CASE("3des 24", S_3DES, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 8, 24, 24),
	CIPHER_CASE("xts 17", S_XTS, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 17, 17),
	AEAD_CASE("gcm, iv 1", S_GCM_ENC, 1, 100, 13, 16),
	AEAD_CASE("gcm, iv 15", S_GCM_ENC, 15, 100, 13, 16),
	AEAD_CASE("ccm, iv 7", S_CCM, 7, 64, 5, 8),
	AEAD_CASE("ccm, iv 13", S_CCM, 13, 64, 5, 8),
	AEAD_CASE("chacha", S_CHACHA, 12, 333, 5, 16),
	CHAIN_CASE("chain, plain hash", S_CHAIN_PLAIN, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 90, 20, 70, 0,
                   90),
	AK_CASE("ecdsa sign", S_ECDSA, VIRTIO_CRYPTO_AKCIPHER_SIGN, VC_REQUEST_AK_SIGN, 64, 139,
                138),
	AK_CASE("ecdsa sign, little room", S_ECDSA, VIRTIO_CRYPTO_AKCIPHER_SIGN, VC_REQUEST_AK_SIGN,
                32, 8, 8),
	AK_CASE("x25519 derive", S_X25519, VCRYPTO_INBAND_DERIVE, VC_REQUEST_AK_DERIVE, 64, 32, 32),
	AK_CASE("ecdh derive", S_ECDH, VCRYPTO_INBAND_DERIVE, VC_REQUEST_AK_DERIVE, 199, 70, 66),
	AK_CASE("x25519 generate", S_X25519, VCRYPTO_INBAND_GENERATE, VC_REQUEST_AK_GENERATE, 0, 64,
                64),
	AK_CASE("ecdh generate", S_ECDH, VCRYPTO_INBAND_GENERATE, VC_REQUEST_AK_GENERATE, 0, 199,
                199),
	{.name = "ecdsa verify",
         .session = S_ECDSA_PUBLIC,
         .kind = VC_REQUEST_AK_VERIFY,
         .src = 139,
         .tag_in = 64,
         .length = 139,
         .header = {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_VERIFY, .u.akcipher = {139, 64}}},
	{.name = "rsa verify",
         .session = S_RSA_PUBLIC,
         .kind = VC_REQUEST_AK_VERIFY,
         .src = 128,
         .tag_in = 32,
         .length = 128,
         .header = {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_VERIFY, .u.akcipher = {128, 32}}},
};
const size_t test_case_count = vc_array_size(test_cases);

const struct test_case *test_case(const char *name)
{
	for (size_t i = 0; i < test_case_count; i++)
		if (!strcmp(test_cases[i].name, name))
			return &test_cases[i];
	fail_msg("no case %s", name);
	return NULL;
}

/* ---- the guest's side ---- */
/* Cut n bytes into pieces of at most `most` bytes at scattered places. */
static unsigned int cut(struct guest *g, uint64_t *seed, uint32_t n, uint32_t most, uint16_t flags,
                        struct virtq_desc *descs, uint32_t *where)
{
	unsigned int count = 0;

	while (n) {
		uint32_t part = most ? 1 + guest_random(seed) % most : n;
		uint32_t offset;

		part = vc_min(part, n);
		/* A gap of 0 lets pieces touch now and then. */
		offset = guest_alloc(g, part + guest_random(seed) % 2 * 16);
		descs[count++] = (struct virtq_desc){
			.addr = guest_addr(offset), .len = part, .flags = flags};
		for (uint32_t i = 0; i < part; i++)
			*where++ = offset + i;
		n -= part;
	}
	return count;
}

/* Offer a request whose OUT bytes are given, cut at random (most = 0: OUT and IN in one each). */
void offer(struct fixture *f, uint64_t *seed, const uint8_t *out, uint32_t out_len, uint32_t in_len,
           uint32_t most, struct offer *o)
{
	static struct virtq_desc descs[VRING_MAX_SEGMENTS];
	struct guest *g = &f->guest;
	unsigned int n;

	g->data = GUEST_DATA;
	o->out_len = out_len;
	o->in_len = in_len;
	n = cut(g, seed, out_len, most, 0, descs, o->out);
	n += cut(g, seed, in_len, most, VIRTQ_DESC_F_WRITE, descs + n, o->in);
	for (uint32_t i = 0; i < out_len; i++)
		g->memory[o->out[i]] = out[i];
	for (uint32_t i = 0; i < in_len; i++)
		g->memory[o->in[i]] = 0xee;
	if (n)
		guest_offer(g, o->head = guest_indirect(g, descs, n));
}

uint32_t case_bytes(const struct fixture *f, const struct test_case *c, uint8_t *out)
{
	struct virtio_crypto_op_data_req header = c->header;

	header.header.session_id = f->session[c->session];
	memcpy(out, &header, sizeof(header));
	for (uint32_t i = 72; i < case_out(c); i++)
		out[i] = out_byte(i);
	return case_out(c);
}

void give_back(struct fixture *f, const struct vring_chain *chain, uint32_t written)
{
	struct virtq_used_elem elem;

	vring_push(&f->guest.ring, chain->head, written);
	vring_publish(&f->guest.ring);
	assert_true(guest_used(&f->guest, &elem));
	assert_int_equal(elem.len, written);
}
