/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests that lie: about lengths, about what they are, about their session. Each is refused
 * with the status that the specification has for it, and never read beyond its chain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vcrypto/inband.h>

#include "request_cases.h"

#define ANY_REFUSAL 1000

/* The status of a request that must not be taken. */
static void expect_status(struct fixture *f, const uint8_t *out, uint32_t out_len, uint32_t in_len,
                          int wanted)
{
	static struct vring_chain chain;
	static struct offer o;
	struct vc_request req;
	uint64_t seed = 3;

	offer(f, &seed, out, out_len, in_len, 0, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	int rc = request_parse(&req, &chain, &f->context);

	if (!rc) {
		req.status = VIRTIO_CRYPTO_ERR;
		request_finish(&req, &f->context);
	}
	if (wanted == ANY_REFUSAL)
		assert_true(rc > 0);
	else
		assert_int_equal(rc, wanted);
	if (rc > 0) {
		assert_int_equal(request_fail_chain(&chain, (uint8_t)rc), 1);
		assert_int_equal(f->guest.memory[o.in[in_len - 1]], rc);
	}
	give_back(f, &chain, 1);
}

/* Chains that are too short by one byte, and every length of the header one more than there is and
 * at the far end of what it can say. */
static void test_every_length_that_lies(void **state)
{
	struct fixture *f = *state;
	uint8_t out[MAX_OUT];

	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		uint32_t n = case_bytes(f, c, out);

		/* Too few bytes, either way. */
		expect_status(f, out, n - 1, c->in + 1, VIRTIO_CRYPTO_ERR);
		if (c->in)
			expect_status(f, out, n, c->in, VIRTIO_CRYPTO_ERR);
		for (uint32_t word = 6; word < 18; word++) {
			uint32_t was, is;

			memcpy(&was, out + word * 4, 4);
			const uint32_t wrong[] = {was + 1, UINT32_MAX, UINT32_MAX - 71, 0x80000000u,
			                          UINT32_MAX - n + 1};

			/* Padding and the reserved words mean nothing; op_type is no length. */
			if (!was)
				continue;
			for (size_t k = 0; k < vc_array_size(wrong); k++) {
				is = wrong[k];
				memcpy(out + word * 4, &is, 4);
				expect_status(f, out, n, c->in + 1, ANY_REFUSAL);
			}
			memcpy(out + word * 4, &was, 4);
		}
	}
}

static void test_headers_cut_short(void **state)
{
	struct fixture *f = *state;
	uint8_t out[MAX_OUT];

	case_bytes(f, test_case("cbc 16"), out);
	for (uint32_t n = 0; n < 72; n++)
		expect_status(f, out, n, 17, VIRTIO_CRYPTO_ERR);
}

static void test_no_status_byte(void **state)
{
	struct fixture *f = *state;
	static struct vring_chain chain;
	static struct offer o;
	struct vc_request req;
	uint8_t out[MAX_OUT];
	uint64_t seed = 4;

	offer(f, &seed, out, case_bytes(f, test_case("cbc 16"), out), 0, 0, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), -EBADMSG);
	assert_int_equal(request_fail_chain(&chain, VIRTIO_CRYPTO_ERR), 0);
}
#define FIELD(name) offsetof(struct virtio_crypto_op_data_req, name)

/* One word of the header of a case changed. */
struct lie {
	const char *base;
	size_t field;
	uint32_t value;
	int wanted;
};

static void tell(struct fixture *f, const struct lie *lies, size_t n)
{
	uint8_t out[MAX_OUT];

	for (size_t i = 0; i < n; i++) {
		const struct test_case *c = test_case(lies[i].base);
		uint32_t len = case_bytes(f, c, out);

		memcpy(out + lies[i].field, &lies[i].value, 4);
		/* More than enough bytes, so that the chain is not what is too short. */
		memset(out + len, 0, 512);
		expect_status(f, out, len + 512, c->in + 513, lies[i].wanted);
	}
}

static void test_header_and_session_must_agree(void **state)
{
	const size_t opcode = FIELD(header.opcode), algo = FIELD(header.algo);
	const size_t flag = FIELD(header.flag), op_type = FIELD(u.sym.op_type);
	const struct lie lies[] = {
		/* The flag is ignored; Linux leaves the algorithm 0, who sets it sets it right. */
		{"cbc 16", flag, VIRTIO_CRYPTO_FLAG_SESSION_MODE, VIRTIO_CRYPTO_OK},
		{"cbc 16", flag, 2, VIRTIO_CRYPTO_OK},
		{"cbc 16", algo, VIRTIO_CRYPTO_CIPHER_AES_CBC, VIRTIO_CRYPTO_OK},
		{"cbc 16", algo, VIRTIO_CRYPTO_CIPHER_AES_CTR, VIRTIO_CRYPTO_ERR},
		{"gcm", algo, VIRTIO_CRYPTO_AEAD_GCM, VIRTIO_CRYPTO_OK},
		{"gcm", algo, VIRTIO_CRYPTO_AEAD_CCM, VIRTIO_CRYPTO_ERR},
		{"hash", algo, VIRTIO_CRYPTO_HASH_SHA_256, VIRTIO_CRYPTO_OK},
		{"mac", algo, VIRTIO_CRYPTO_MAC_HMAC_SHA1, VIRTIO_CRYPTO_ERR},
		{"rsa sign", algo, VIRTIO_CRYPTO_AKCIPHER_ECDSA, VIRTIO_CRYPTO_ERR},
		/* The other direction, another service, no service. */
		{"cbc 16", opcode, VIRTIO_CRYPTO_CIPHER_DECRYPT, VIRTIO_CRYPTO_ERR},
		{"cbc 16", opcode, VIRTIO_CRYPTO_AEAD_ENCRYPT, VIRTIO_CRYPTO_ERR},
		{"cbc 16", opcode, VIRTIO_CRYPTO_CIPHER_CREATE_SESSION, VIRTIO_CRYPTO_ERR},
		{"cbc 16", opcode, UINT32_MAX, VIRTIO_CRYPTO_ERR},
		{"gcm", opcode, VIRTIO_CRYPTO_AEAD_DECRYPT, VIRTIO_CRYPTO_ERR},
		{"gcm back", opcode, VIRTIO_CRYPTO_AEAD_ENCRYPT, VIRTIO_CRYPTO_ERR},
		{"chain", opcode, VIRTIO_CRYPTO_CIPHER_DECRYPT, VIRTIO_CRYPTO_ERR},
		{"hash", opcode, VIRTIO_CRYPTO_MAC, VIRTIO_CRYPTO_ERR},
		{"mac", opcode, VIRTIO_CRYPTO_HASH, VIRTIO_CRYPTO_ERR},
		/* A public key does not sign or decrypt. */
		{"rsa encrypt", opcode, VIRTIO_CRYPTO_AKCIPHER_SIGN, VIRTIO_CRYPTO_ERR},
		{"rsa encrypt", opcode, VIRTIO_CRYPTO_AKCIPHER_DECRYPT, VIRTIO_CRYPTO_ERR},
		{"rsa sign", opcode, VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION, VIRTIO_CRYPTO_ERR},
		/* ECDSA signs and verifies, and has two numbers. */
		{"ecdsa sign", opcode, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, VIRTIO_CRYPTO_NOTSUPP},
		{"ecdsa sign", opcode, VIRTIO_CRYPTO_AKCIPHER_DECRYPT, VIRTIO_CRYPTO_NOTSUPP},
		{"ecdsa sign", opcode, VIRTIO_CRYPTO_AKCIPHER_DESTROY_SESSION, VIRTIO_CRYPTO_ERR},
		{"ecdsa verify", opcode, VIRTIO_CRYPTO_AKCIPHER_SIGN, VIRTIO_CRYPTO_ERR},
		{"ecdsa sign", algo, VIRTIO_CRYPTO_AKCIPHER_ECDSA, VIRTIO_CRYPTO_OK},
		{"ecdsa sign", algo, VIRTIO_CRYPTO_AKCIPHER_ECDSA_LINUX, VIRTIO_CRYPTO_OK},
		{"ecdsa sign", algo, VIRTIO_CRYPTO_AKCIPHER_RSA, VIRTIO_CRYPTO_ERR},
		{"rsa sign", algo, VIRTIO_CRYPTO_AKCIPHER_ECDSA_LINUX, VIRTIO_CRYPTO_ERR},
		/* Key agreement has opcodes of its own, which are no others'. */
		{"x25519 derive", opcode, VIRTIO_CRYPTO_AKCIPHER_DECRYPT, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", opcode, VIRTIO_CRYPTO_AKCIPHER_SIGN, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", opcode, VCRYPTO_INBAND_GENERATE, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", opcode, VCRYPTO_INBAND_CREATE, VIRTIO_CRYPTO_ERR},
		{"x25519 generate", opcode, VCRYPTO_INBAND_DERIVE, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", algo, VCRYPTO_INBAND_AGREE, VIRTIO_CRYPTO_OK},
		{"x25519 derive", algo, VIRTIO_CRYPTO_AKCIPHER_RSA, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", algo, VIRTIO_CRYPTO_AKCIPHER_ECDSA_LINUX, VIRTIO_CRYPTO_ERR},
		{"rsa sign", opcode, VCRYPTO_INBAND_DERIVE, VIRTIO_CRYPTO_ERR},
		{"ecdsa sign", opcode, VCRYPTO_INBAND_GENERATE, VIRTIO_CRYPTO_ERR},
		{"cbc 16", opcode, VCRYPTO_INBAND_DERIVE, VIRTIO_CRYPTO_ERR},
		{"gcm", opcode, VCRYPTO_INBAND_DERIVE, VIRTIO_CRYPTO_ERR},
		{"hash", opcode, VCRYPTO_INBAND_GENERATE, VIRTIO_CRYPTO_ERR},
		/* Plain or chained is the session's to say. */
		{"cbc 16", op_type, VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING, VIRTIO_CRYPTO_ERR},
		{"chain", op_type, VIRTIO_CRYPTO_SYM_OP_CIPHER, VIRTIO_CRYPTO_ERR},
	};

	tell(*state, lies, vc_array_size(lies));
}

static void test_sessions_that_are_not_there(void **state)
{
	struct fixture *f = *state;
	const size_t low = FIELD(header.session_id), high = low + 4;
	const uint64_t id = f->session[0];
	const struct lie lies[] = {
		{"cbc 16", low, (uint32_t)id ^ 1u << 23, VIRTIO_CRYPTO_INVSESS},
		{"cbc 16", low, (uint32_t)id + (1u << 24), VIRTIO_CRYPTO_INVSESS},
		{"cbc 16", low, UINT32_MAX, VIRTIO_CRYPTO_INVSESS},
		{"cbc 16", high, (uint32_t)(id >> 32) + 1, VIRTIO_CRYPTO_INVSESS},
		{"cbc 16", high, 0, VIRTIO_CRYPTO_INVSESS},
	};

	tell(f, lies, vc_array_size(lies));
}

static void test_lengths_must_fit_the_algorithm(void **state)
{
	const size_t src = FIELD(u.sym.u.cipher.src_len), dst = FIELD(u.sym.u.cipher.dst_len);
	const size_t iv = FIELD(u.sym.u.cipher.iv_len), aead_iv = FIELD(u.aead.iv_len);
	const size_t ak_src = FIELD(u.akcipher.src_len), ak_dst = FIELD(u.akcipher.dst_len);
	const struct lie lies[] = {
		{"cbc 16", src, 0, VIRTIO_CRYPTO_ERR},
		{"cbc 16", src, 15, VIRTIO_CRYPTO_ERR},
		{"cbc, more room", src, 65, VIRTIO_CRYPTO_ERR},
		{"cbc, more room", src, 48, VIRTIO_CRYPTO_OK},
		{"cbc 16", dst, 15, VIRTIO_CRYPTO_ERR},
		{"cbc 16", iv, 12, VIRTIO_CRYPTO_ERR},
		{"cbc 16", iv, 0, VIRTIO_CRYPTO_ERR},
		{"ctr 333", src, 0, VIRTIO_CRYPTO_ERR},
		{"ctr 333", src, 17, VIRTIO_CRYPTO_OK},
		/* Sound, but not done. */
		{"gcm", aead_iv, 16, VIRTIO_CRYPTO_NOTSUPP},
		{"gcm", aead_iv, 17, VIRTIO_CRYPTO_ERR},
		{"gcm", aead_iv, 0, VIRTIO_CRYPTO_ERR},
		{"ccm, iv 7", aead_iv, 6, VIRTIO_CRYPTO_ERR},
		{"ccm, iv 7", aead_iv, 14, VIRTIO_CRYPTO_ERR},
		{"chacha", aead_iv, 11, VIRTIO_CRYPTO_ERR},
		{"chacha", aead_iv, 13, VIRTIO_CRYPTO_ERR},
		{"ecb 64", src, 63, VIRTIO_CRYPTO_ERR},
		{"ecb 64", iv, 16, VIRTIO_CRYPTO_ERR},
		{"3des 24", src, 23, VIRTIO_CRYPTO_ERR},
		{"3des 24", iv, 16, VIRTIO_CRYPTO_ERR},
		{"xts 17", src, 15, VIRTIO_CRYPTO_ERR},
		{"xts 17", src, 16, VIRTIO_CRYPTO_OK},
		{"ecdsa sign", ak_src, 0, VIRTIO_CRYPTO_ERR},
		{"ecdsa sign", ak_src, REQUEST_MAX_DIGEST + 1, VIRTIO_CRYPTO_ERR},
		{"ecdsa sign", ak_dst, 0, VIRTIO_CRYPTO_ERR},
		{"ecdsa verify", ak_src, REQUEST_MAX_ECDSA + 1, VIRTIO_CRYPTO_ERR},
		{"ecdsa verify", ak_dst, REQUEST_MAX_DIGEST + 1, VIRTIO_CRYPTO_ERR},
		{"ecdsa verify", ak_dst, 0, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", ak_src, 63, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", ak_src, 65, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", ak_src, 0, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", ak_dst, 31, VIRTIO_CRYPTO_ERR},
		{"x25519 derive", ak_dst, 33, VIRTIO_CRYPTO_OK},
		{"ecdh derive", ak_src, 198, VIRTIO_CRYPTO_ERR},
		{"ecdh derive", ak_src, 200, VIRTIO_CRYPTO_ERR},
		{"ecdh derive", ak_dst, 65, VIRTIO_CRYPTO_ERR},
		{"ecdh generate", ak_src, 1, VIRTIO_CRYPTO_ERR},
		{"ecdh generate", ak_dst, 198, VIRTIO_CRYPTO_ERR},
		{"ecdh generate", ak_dst, 0, VIRTIO_CRYPTO_ERR},
		{"chain", FIELD(u.sym.u.chain.aad_len), 8, VIRTIO_CRYPTO_NOTSUPP},
		{"gcm", FIELD(u.aead.tag_len), 12, VIRTIO_CRYPTO_ERR},
		{"gcm", FIELD(u.aead.tag_len), 0, VIRTIO_CRYPTO_ERR},
		{"gcm back", FIELD(u.aead.tag_len), 12, VIRTIO_CRYPTO_ERR},
		{"gcm", FIELD(u.aead.dst_len), 115, VIRTIO_CRYPTO_ERR},
		{"gcm back", FIELD(u.aead.src_len), 15, VIRTIO_CRYPTO_ERR},
		{"gcm back", FIELD(u.aead.dst_len), 99, VIRTIO_CRYPTO_ERR},
		{"chain", FIELD(u.sym.u.chain.len_to_cipher), 95, VIRTIO_CRYPTO_ERR},
		{"chain", FIELD(u.sym.u.chain.len_to_cipher), 0, VIRTIO_CRYPTO_ERR},
		{"chain", FIELD(u.sym.u.chain.len_to_hash), 97, VIRTIO_CRYPTO_ERR},
		{"chain", FIELD(u.sym.u.chain.dst_len), 95, VIRTIO_CRYPTO_ERR},
		{"chain", FIELD(u.sym.u.chain.hash_result_len), 12, VIRTIO_CRYPTO_ERR},
		{"hash", FIELD(u.hash.hash_result_len), 12, VIRTIO_CRYPTO_ERR},
		{"hash", FIELD(u.hash.src_len), MAX_SIZE + 1, VIRTIO_CRYPTO_ERR},
		{"rsa encrypt", ak_dst, 127, VIRTIO_CRYPTO_ERR},
		{"rsa sign", ak_dst, 127, VIRTIO_CRYPTO_ERR},
		{"rsa sign", ak_src, 129, VIRTIO_CRYPTO_ERR},
		{"rsa sign", ak_src, 0, VIRTIO_CRYPTO_ERR},
		{"rsa decrypt", ak_dst, 0, VIRTIO_CRYPTO_ERR},
		{"rsa verify", ak_dst, 129, VIRTIO_CRYPTO_ERR},
		{"rsa verify", ak_dst, 0, VIRTIO_CRYPTO_ERR},
	};

	tell(*state, lies, vc_array_size(lies));
}

/* A CCM nonce of 13 bytes leaves two for the length of the message. */
static void test_ccm_messages_that_the_nonce_cannot_count(void **state)
{
	struct fixture *f = *state;
	const struct test_case *c = test_case("ccm, iv 13");
	struct virtio_crypto_op_data_req header;
	uint8_t *out = calloc(1, MAX_SIZE + 128);

	for (uint32_t length = 0xffff; length <= 0x10000; length++) {
		f->context.max_size = 2 * MAX_SIZE;
		case_bytes(f, c, out);
		memcpy(&header, out, sizeof(header));
		header.u.aead.src_len = length;
		header.u.aead.aad_len = 0;
		header.u.aead.dst_len = length + 8;
		memcpy(out, &header, sizeof(header));
		expect_status(f, out, 72 + 13 + length, length + 9,
		              length == 0xffff ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR);
	}
	free(out);
}

/* More than the device's limit, though the chain has it all. */
static void test_requests_above_the_limit(void **state)
{
	struct fixture *f = *state;
	uint8_t out[MAX_OUT];
	uint32_t n = case_bytes(f, test_case("gcm"), out);

	f->context.max_size = 112; /* 100 bytes and 13 of additional data */
	expect_status(f, out, n, 117, VIRTIO_CRYPTO_ERR);
	f->context.max_size = 113;
	expect_status(f, out, n, 117, VIRTIO_CRYPTO_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		request_test(test_every_length_that_lies),
		request_test(test_headers_cut_short),
		request_test(test_no_status_byte),
		request_test(test_header_and_session_must_agree),
		request_test(test_sessions_that_are_not_there),
		request_test(test_lengths_must_fit_the_algorithm),
		request_test(test_ccm_messages_that_the_nonce_cannot_count),
		request_test(test_requests_above_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
