/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests in session mode and stateless (request*.c, stateless.c): a chain is parsed with
 * sessions of every service there, a resource touches every byte that it is told of, the result is
 * delivered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vcrypto/inband.h>

#include "chain.h"
#include "change.h"
#include "fuzz.h"
#include "host/bounce.h"
#include "host/request.h"
#include "host/stateless.h"
#include "keys.h"

#define MAX_SIZE 16384u
#define MAX_SESSIONS 32

static struct request_context context;
static uint64_t session[MAX_SESSIONS];
static unsigned int session_count;

static void session_add(struct session_params params)
{
	static const uint8_t zero[64];

	if (!params.key)
		params.key = zero;
	params.auth_key = zero;
	fuzz_check(session_count < MAX_SESSIONS);
	fuzz_check(
		!session_create(context.sessions, &params, NULL, NULL, &session[session_count++]));
}

static void ciphers_add(void)
{
	static const struct {
		uint8_t algorithm, key_len;
	} ciphers[] = {
		{VIRTIO_CRYPTO_CIPHER_AES_CBC, 16}, {VIRTIO_CRYPTO_CIPHER_AES_CTR, 32},
		{VIRTIO_CRYPTO_CIPHER_AES_ECB, 24}, {VIRTIO_CRYPTO_CIPHER_3DES_CBC, 24},
		{VIRTIO_CRYPTO_CIPHER_AES_XTS, 64},
	};

	for (unsigned int i = 0; i < 2 * vc_array_size(ciphers); i++)
		session_add((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
		                                    .cipher = ciphers[i / 2].algorithm,
		                                    .key_len = ciphers[i / 2].key_len,
		                                    .encrypt = i % 2});
	for (unsigned int i = 0; i < 4; i++)
		session_add((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
		                                    .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
		                                    .key_len = 16,
		                                    .encrypt = i % 2,
		                                    .chain = (uint8_t)(1 + i / 2),
		                                    .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_256,
		                                    .auth_key_len = 20,
		                                    .tag_len = i / 2 ? 12 : 0});
}

static void others_add(void)
{
	static uint8_t public[FUZZ_KEY_MAX], private[FUZZ_KEY_MAX];
	static const uint8_t aeads[] = {VIRTIO_CRYPTO_AEAD_GCM, VIRTIO_CRYPTO_AEAD_CCM,
	                                VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305};

	session_add((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_HASH,
	                                    .hash = VIRTIO_CRYPTO_HASH_SHA_512});
	session_add((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_MAC,
	                                    .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1,
	                                    .auth_key_len = 20,
	                                    .tag_len = 12});
	for (unsigned int i = 0; i < 2 * vc_array_size(aeads); i++)
		session_add((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AEAD,
		                                    .aead = aeads[i / 2],
		                                    .key_len = 32,
		                                    .encrypt = i % 2});
	session_add((struct session_params){
		.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		.akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
		.key = public,
		.key_len = (uint32_t)fuzz_rsa_public(public, 1024),
	});
	for (unsigned int padding = 0; padding < 2; padding++)
		session_add((struct session_params){
			.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
			.akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
			.private_key = 1,
			.rsa_padding = (uint8_t)padding,
			.key = private,
			.key_len = (uint32_t)fuzz_rsa_private(private, 1024),
		});
}

static void ecdsa_add(void)
{
	static uint8_t public[FUZZ_KEY_MAX], private[FUZZ_KEY_MAX];

	session_add((struct session_params){
		.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		.akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
		.curve = VIRTIO_CRYPTO_CURVE_NIST_P256,
		.key = public,
		.key_len = (uint32_t)fuzz_ec_public(public, 32),
	});
	session_add((struct session_params){
		.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		.akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
		.curve = VIRTIO_CRYPTO_CURVE_NIST_P256,
		.private_key = 1,
		.key = private,
		.key_len = (uint32_t)fuzz_ec_private(private, 32),
	});
}

static void agreement_add(void)
{
	static const uint8_t curves[] = {VCRYPTO_INBAND_X25519, VIRTIO_CRYPTO_CURVE_NIST_P521};

	for (unsigned int i = 0; i < vc_array_size(curves); i++)
		session_add((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		                                    .akcipher = VCRYPTO_INBAND_AGREE,
		                                    .curve = curves[i]});
}

static void prepare(void)
{
	if (context.sessions)
		return;
	context.sessions = session_table_new(MAX_SESSIONS);
	context.bounces = bounce_pool_new(MAX_SIZE, 1u << 20);
	context.max_size = MAX_SIZE;
	fuzz_check(context.sessions && context.bounces);
	ciphers_add();
	others_add();
	ecdsa_add();
	agreement_add();
}

/* Not the guest's, then the worker's own: in the bounce buffer, or in the request. */
static void owned_check(const struct vc_request *req, const struct fuzz_chain *chain,
                        const uint8_t *bytes, size_t n)
{
	const struct bounce *bounce = req->bounce;

	if (!n || fuzz_chain_holds(chain, bytes, n))
		return;
	if ((size_t)(bytes - (const uint8_t *)req) < sizeof(*req)) {
		fuzz_check(n <= sizeof(req->tag_buffer));
		return;
	}
	fuzz_check(bounce && bytes >= bounce->space);
	fuzz_check((uint64_t)(bytes - bounce->space) + n <= bounce->room);
	fuzz_check((size_t)(bytes - bounce->space) >=
	           bounce->segments * sizeof(struct vring_segment));
}

/* What a resource may do by request.h. */
static void resource(struct vc_request *req, const struct fuzz_chain *chain, struct input *in)
{
	bool asymmetric = req->kind >= VC_REQUEST_AK_ENCRYPT;
	bool digest = req->kind == VC_REQUEST_HASH || req->kind == VC_REQUEST_MAC;
	size_t dst_len = asymmetric ? req->dst_len : digest ? 0 : req->length;

	owned_check(req, chain, req->src, req->length);
	owned_check(req, chain, req->aad, req->aad_len);
	owned_check(req, chain, req->dst, dst_len);
	fuzz_touch_read(req->src, req->length);
	fuzz_touch_read(req->aad, req->aad_len);
	fuzz_check(req->iv_len <= REQUEST_MAX_IV);
	fuzz_touch_write(req->dst, dst_len);
	if (req->kind == VC_REQUEST_CHAIN) {
		fuzz_check((uint64_t)req->cipher_offset + req->cipher_len <= req->length);
		fuzz_check((uint64_t)req->hash_offset + req->hash_len <= req->length);
	}
	if (req->kind == VC_REQUEST_AK_VERIFY) {
		fuzz_touch_read(req->tag, req->tag_len);
	} else {
		fuzz_check(req->tag_len <= REQUEST_MAX_TAG);
		fuzz_touch_write(req->tag, REQUEST_MAX_TAG);
	}
	req->status = input_u8(in);
	if (req->status & 0x80)
		req->status = VIRTIO_CRYPTO_OK;
	/* More than there is room for is a faulty resource, and must do no harm. */
	if (asymmetric)
		req->result_len = input_u16(in) % (req->dst_len + 2);
}

/* Parse, do and finish it. Whether the chain can be parsed once more. */
static bool request_do(const struct fuzz_chain *chain, const uint8_t *result)
{
	struct vc_request *req = aligned_alloc(VC_CACHE_LINE, sizeof(*req));
	struct input answer = {result, 3};
	int rc;

	fuzz_check(req);
	memset(req, 0xa5, sizeof(*req));
	rc = request_parse(req, chain->chain, &context);
	fuzz_check(rc == 0 || rc == -EBADMSG || rc == -EAGAIN ||
	           (rc > 0 && rc <= VIRTIO_CRYPTO_KEY_REJECTED));
	if (rc == 0) {
		resource(req, chain, &answer);
		request_finish(req, &context);
		fuzz_check(req->status <= VIRTIO_CRYPTO_KEY_REJECTED && !req->bounce);
		fuzz_check(req->written && req->written <= chain->chain->in_len);
	} else if (rc != -EAGAIN) {
		fuzz_check(request_fail_chain(chain->chain, 1) == !!chain->chain->in);
	}
	free(req);
	return rc != -EBADMSG;
}

static void stateless_drop(void *unused, struct session *dropped)
{
	session_release(dropped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct stateless_options options = {.capacity = 1, .drop = stateless_drop};
	struct input in = {data, size};
	struct fuzz_chain chain;
	uint8_t which = input_u8(&in), result[3];

	prepare();
	context.features = input_u8(&in) & 0x3f;
	/* Nobody gets the one without the other (5.9.3.1). */
	if (context.features)
		context.features |= 1u << VIRTIO_CRYPTO_F_REVISION_1;
	if (context.features >> VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE)
		context.stateless = stateless_new(&options);
	input_bytes(&in, result, sizeof(result));
	changes_begin(&in);
	fuzz_chain_make(&chain, &in);
	/* An id by its number, or as the input has it. */
	if (which != 0xff && chain.chain->out && chain.chain->segment[0].len >= 16)
		memcpy(chain.chain->segment[0].base + 8, &session[which % session_count], 8);

	/* Once more with what the first one has left in guest memory, and with its key known. */
	if (request_do(&chain, result) && context.stateless)
		request_do(&chain, result);
	changes_end();
	fuzz_chain_free(&chain);
	stateless_free(context.stateless);
	context.stateless = NULL;
	return 0;
}

/* ---- seeds: a sound request of each kind, whole and in pieces, still and moving ---- */

struct shape {
	const char *name;
	unsigned int first, last; /* sessions */
	struct virtio_crypto_op_data_req header;
	unsigned int out, in; /* bytes after the header, and with the status byte */
};

#define CIPHER(op, iv, len)                                                                        \
	{                                                                                          \
		.header.opcode = (op), .u.sym = {                                                  \
			.u.cipher = {(iv), (len), (len), 0},                                       \
			.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER                                     \
		}                                                                                  \
	}
#define CHAIN(op, tag)                                                                             \
	{                                                                                          \
		.header.opcode = (op), .u.sym = {                                                  \
			.u.chain = {16, 96, 96, 32, 64, 0, 96, 0, (tag), 0},                       \
			.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING                         \
		}                                                                                  \
	}

static const struct shape shapes[] = {
	{"decrypt", 0, 3, CIPHER(VIRTIO_CRYPTO_CIPHER_DECRYPT, 16, 64), 80, 65},
	{"encrypt", 1, 3, CIPHER(VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 64), 80, 65},
	{"ecb", 5, 5, CIPHER(VIRTIO_CRYPTO_CIPHER_ENCRYPT, 0, 64), 64, 65},
	{"3des", 7, 7, CIPHER(VIRTIO_CRYPTO_CIPHER_ENCRYPT, 8, 64), 72, 65},
	{"xts", 9, 9, CIPHER(VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 4096), 4112, 4097},
	{"chain-d", 10, 10, CHAIN(VIRTIO_CRYPTO_CIPHER_DECRYPT, 32), 112, 129},
	{"chain-e", 11, 11, CHAIN(VIRTIO_CRYPTO_CIPHER_ENCRYPT, 32), 112, 129},
	{"chain-t", 13, 13, CHAIN(VIRTIO_CRYPTO_CIPHER_ENCRYPT, 12), 112, 109},
	{"hash", 14, 14, {.header.opcode = VIRTIO_CRYPTO_HASH, .u.hash = {100, 64}}, 100, 65},
	{"mac", 15, 15, {.header.opcode = VIRTIO_CRYPTO_MAC, .u.mac = {100, 12}}, 100, 13},
	{"open",
         16,
         20,
         {.header.opcode = VIRTIO_CRYPTO_AEAD_DECRYPT, .u.aead = {12, 13, 80, 64, 16, 0}},
         105,
         65},
	{"seal",
         17,
         21,
         {.header.opcode = VIRTIO_CRYPTO_AEAD_ENCRYPT, .u.aead = {12, 13, 64, 80, 16, 0}},
         89,
         81},
	{"verify",
         22,
         24,
         {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_VERIFY, .u.akcipher = {128, 32}},
         160,
         1},
	{"rsa-e",
         22,
         24,
         {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, .u.akcipher = {100, 128}},
         100,
         129},
	{"rsa-d",
         23,
         24,
         {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_DECRYPT, .u.akcipher = {128, 128}},
         128,
         129},
	{"rsa-s",
         23,
         24,
         {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_SIGN, .u.akcipher = {100, 128}},
         100,
         129},
	{"ec-v",
         25,
         26,
         {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_VERIFY, .u.akcipher = {70, 32}},
         102,
         1},
	{"ec-s",
         26,
         26,
         {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_SIGN, .u.akcipher = {32, 80}},
         32,
         81},
	{"x-derive",
         27,
         27,
         {.header.opcode = VCRYPTO_INBAND_DERIVE, .u.akcipher = {64, 32}},
         64,
         33},
	{"x-make",
         27,
         27,
         {.header.opcode = VCRYPTO_INBAND_GENERATE, .u.akcipher = {0, 64}},
         0,
         65},
	{"ec-derive",
         28,
         28,
         {.header.opcode = VCRYPTO_INBAND_DERIVE, .u.akcipher = {199, 66}},
         199,
         67},
	{"ec-make",
         28,
         28,
         {.header.opcode = VCRYPTO_INBAND_GENERATE, .u.akcipher = {0, 199}},
         0,
         200},
	/* Not of this algorithm. */
	{"ec-e",
         25,
         26,
         {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, .u.akcipher = {32, 80}},
         32,
         81},
};

/* Cut into 3 pieces, the third right behind the second. */
static void lengths(struct seed *seed, unsigned int n, bool cut)
{
	if (!cut) {
		seed_u16(seed, n);
	} else {
		seed_u16(seed, n - n / 2);
		seed_u16(seed, n / 2 - n / 4);
		seed_u16(seed, n / 4 | 0x8000);
	}
}

static void shape_save(const struct shape *shape, unsigned int which, unsigned int variant)
{
	struct seed seed = {0};
	bool cut = variant & 1, moving = variant & 2;
	char name[48];

	seed_u8(&seed, which);
	seed_u8(&seed, 0); /* no features */
	seed_u8(&seed, variant & 4 ? VIRTIO_CRYPTO_BADMSG : 0);
	seed_u16(&seed, 128);
	seed_u8(&seed, moving);
	if (moving) {
		/* The length that the header gives, after it was read. */
		seed_u8(&seed, 20);
		seed_u8(&seed, 0);
		seed_u16(&seed, 29);
		seed_u8(&seed, 0xff);
	}
	seed_u8(&seed, cut ? 3 : 1);
	seed_u8(&seed, cut ? 3 : 1);
	lengths(&seed, 72 + shape->out, cut);
	lengths(&seed, shape->in, cut);
	seed_bytes(&seed, &shape->header, sizeof(shape->header));
	snprintf(name, sizeof(name), "%s-%u-%u", shape->name, which, variant);
	seed_save(name, seed.bytes, seed.size);
}

/* With REVISION_1: the header, the parameters as they are there, a key, the rest. */
struct revision {
	const char *name;
	unsigned int features;
	uint32_t opcode;
	const void *fixed;
	unsigned int fixed_len, out, in;
	const uint8_t *key;
	size_t key_len;
};

static void revision_save(const struct revision *r)
{
	struct virtio_crypto_op_header header = {
		.opcode = r->opcode,
		.flag = r->features > 1 ? 0 : VIRTIO_CRYPTO_FLAG_SESSION_MODE,
	};
	struct seed seed = {0};

	/* A session that is fit: of HASH. */
	seed_u8(&seed, 14);
	seed_u8(&seed, r->features);
	seed_u8(&seed, 0);
	seed_u16(&seed, 128);
	seed_u8(&seed, 0);
	seed_u8(&seed, 3);
	seed_u8(&seed, 3);
	lengths(&seed, (unsigned int)sizeof(header) + r->fixed_len + r->out, true);
	lengths(&seed, r->in, true);
	seed_bytes(&seed, &header, sizeof(header));
	seed_bytes(&seed, r->fixed, r->fixed_len);
	seed_bytes(&seed, r->key, r->key_len);
	seed_save(r->name, seed.bytes, seed.size);
}

static void stateless_save(void)
{
	union virtio_crypto_data_stateless wire = {
		.sym = {.u.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 1, 16, 64, 64},
	                .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};
	struct virtio_crypto_hash_para hash = {100, 64};
	static uint8_t key[FUZZ_KEY_MAX];
	unsigned int key_len = (unsigned int)fuzz_rsa_public(key, 1024);

	revision_save(&(struct revision){"revision-hash", 1, VIRTIO_CRYPTO_HASH, &hash,
	                                 sizeof(hash), 100, 65, NULL, 0});
	revision_save(&(struct revision){"stateless-cipher", 3, VIRTIO_CRYPTO_CIPHER_ENCRYPT, &wire,
	                                 76, 96, 65, NULL, 0});
	wire.sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	wire.sym.u.chain = (struct virtio_crypto_alg_chain_stateless){
		.alg_chain_order = VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH,
		.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 1},
		.hash = {VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20, VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH},
		.para = {16, 96, 96, 32, 64, 0, 96, 0, 20, 0}};
	revision_save(&(struct revision){"stateless-chain", 3, VIRTIO_CRYPTO_CIPHER_ENCRYPT, &wire,
	                                 76, 148, 117, NULL, 0});
	wire.hash = (struct virtio_crypto_hash_stateless){VIRTIO_CRYPTO_HASH_SHA_256, {100, 32}, 0};
	revision_save(&(struct revision){"stateless-hash", 5, VIRTIO_CRYPTO_HASH, &wire, 16, 100,
	                                 33, NULL, 0});
	wire.mac = (struct virtio_crypto_mac_stateless){VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20, {100, 20}};
	revision_save(&(struct revision){"stateless-mac", 9, VIRTIO_CRYPTO_MAC, &wire, 16, 120, 21,
	                                 NULL, 0});
	wire.aead = (struct virtio_crypto_aead_stateless){
		VIRTIO_CRYPTO_AEAD_GCM, 16, VIRTIO_CRYPTO_OP_ENCRYPT, 12, 16, 13, 64, 80};
	revision_save(&(struct revision){"stateless-aead", 17, VIRTIO_CRYPTO_AEAD_ENCRYPT, &wire,
	                                 32, 105, 81, NULL, 0});
	wire.akcipher = (struct virtio_crypto_akcipher_stateless){
		.session = {VIRTIO_CRYPTO_AKCIPHER_RSA,
	                    VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC,
	                    140,
	                    {.rsa = {0, 0}}},
		.para = {100, 128}};
	revision_save(&(struct revision){"stateless-rsa", 33, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, &wire,
	                                 28, key_len + 100, 129, key, key_len});
}

void fuzz_seeds(void)
{
	for (size_t i = 0; i < vc_array_size(shapes); i++)
		for (unsigned int s = shapes[i].first; s <= shapes[i].last; s += 2)
			for (unsigned int variant = 0; variant < 8; variant++)
				shape_save(&shapes[i], s, variant);
	stateless_save();
}
