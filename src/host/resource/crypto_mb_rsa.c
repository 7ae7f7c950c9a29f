/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto-mb: RSA in eight lanes.
 *
 * The resource's threads. Keys are guests' and hostile: only what is well formed (der.c), has two
 * primes of half the modulus' size and the public exponent 65537 is taken. Whether its numbers
 * belong together is found out with each result: private operations use the CRT, and a result is
 * given out only if the public operation makes the input of it again, since a wrong one would give
 * the key away. What fails this is done by libcrypto, which takes its own view of the key.
 *
 * The library's time does not depend on its operands, so there is no blinding. Inputs and outputs
 * are private copies; intermediate values are wiped.
 */
#include <crypto_mb/rsa.h>
#include <crypto_mb/status.h>
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"
#include "host/der.h"
#include "host/resource/crypto_mb.h"

#define PUBLIC_EXPONENT 65537

static unsigned int class_bits(enum mb_class class)
{
	return 1024 * (class % 4 + 1);
}

static bool is_private(enum mb_class class)
{
	return class <= MB_RSA_PRIVATE_4096;
}

size_t mb_rsa_buffer_size(void)
{
	int size = 0;

	for (int bits = 1024; bits <= MB_RSA_MAX_BITS; bits += 1024) {
		size = vc_max(size, mbx_RSA_Method_BufSize(mbx_RSA_private_crt_Method(bits)));
		size = vc_max(size, mbx_RSA_Method_BufSize(mbx_RSA_pub65537_Method(bits)));
	}
	return (size_t)size;
}

static bool exponent_fits(const uint8_t *number, size_t len)
{
	return len == 3 && number[0] == 1 && !number[1] && number[2] == 1;
}

/* Bits of a number without zeros in front. */
static size_t bits_of(const uint8_t *number, size_t len)
{
	return len * 8 - ((size_t)__builtin_clz(*number) - 24);
}

static bool private_can(const struct session_params *params)
{
	struct der_rsa_private key;

	if (der_rsa_private_numbers(params->key, params->key_len, &key) < 0 ||
	    !exponent_fits(key.number[DER_RSA_PUBLIC_EXPONENT], key.len[DER_RSA_PUBLIC_EXPONENT]))
		return false;
	for (int i = DER_RSA_PRIME1; i < DER_RSA_NUMBERS; i++) {
		size_t bits = bits_of(key.number[i], key.len[i]);

		if (bits > params->key_bits / 2u)
			return false;
		/* Moduli of the library's arithmetic. */
		if (i <= DER_RSA_PRIME2 &&
		    (bits != params->key_bits / 2u || !(key.number[i][key.len[i] - 1] & 1)))
			return false;
	}
	return true;
}

static bool public_can(const struct session_params *params)
{
	struct der_rsa key;

	return der_rsa_public_numbers(params->key, params->key_len, &key) == 0 &&
	       exponent_fits(key.exponent, key.exponent_len);
}

bool mb_rsa_can(const struct session_params *params)
{
	if (params->akcipher != VIRTIO_CRYPTO_AKCIPHER_RSA || !params->key_bits ||
	    params->key_bits % 1024 || params->key_bits > MB_RSA_MAX_BITS ||
	    !rsa_padding_can(params))
		return false;
	return params->private_key ? private_can(params) : public_can(params);
}

/* mb_rsa_can() has said yes. */
void mb_rsa_key_fill(const struct session_params *params, struct mb_rsa_key *key)
{
	unsigned int words = params->key_bits / 64u;
	struct der_rsa_private private;
	struct der_rsa public;
	uint64_t *const half[] = {
		[DER_RSA_PRIME1] = key->p,         [DER_RSA_PRIME2] = key->q,
		[DER_RSA_EXPONENT1] = key->dp,     [DER_RSA_EXPONENT2] = key->dq,
		[DER_RSA_COEFFICIENT] = key->qinv,
	};

	if (!params->private_key) {
		if (der_rsa_public_numbers(params->key, params->key_len, &public) == 0)
			mb_words(key->n, words, public.modulus, public.modulus_len);
		return;
	}
	if (der_rsa_private_numbers(params->key, params->key_len, &private) < 0)
		return;
	mb_words(key->n, words, private.number[DER_RSA_MODULUS], private.len[DER_RSA_MODULUS]);
	for (int i = DER_RSA_PRIME1; i < DER_RSA_NUMBERS; i++)
		mb_words(half[i], words / 2, private.number[i], private.len[i]);
}

enum mb_class mb_rsa_class(const struct session_params *params, unsigned int kind)
{
	unsigned int size = params->key_bits / 1024u - 1;
	bool raw = params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING;

	switch (kind) {
	case VC_REQUEST_AK_ENCRYPT:
	case VC_REQUEST_AK_VERIFY:
		return MB_RSA_PUBLIC_1024 + size;
	case VC_REQUEST_AK_DECRYPT:
		/* Whoever tells that a padding was wrong has to do so in constant time:
		 * libcrypto's business. */
		return raw && params->private_key ? MB_RSA_PRIVATE_1024 + size : MB_NONE;
	case VC_REQUEST_AK_SIGN:
		return params->private_key ? MB_RSA_PRIVATE_1024 + size : MB_NONE;
	default:
		return MB_NONE;
	}
}

/* ---- what goes in ---- */

/* Below the modulus? Both are public or the guest's own. */
static bool below(const uint8_t *block, size_t size, const struct mb_rsa_key *key)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t limit = (uint8_t)(key->n[(size - 1 - i) / 8] >> (size - 1 - i) % 8 * 8);

		if (block[i] != limit)
			return block[i] < limit;
	}
	return false;
}

/* The block that the operation is done to. False: there is none. */
static bool block_make(const struct vc_request *req, uint8_t *block, size_t size)
{
	const struct mb_session *session = req->handle;

	return rsa_block_make(session->params, req, block, size) &&
	       below(block, size, &session->rsa);
}

static uint8_t block_error(const struct vc_request *req)
{
	return req->kind == VC_REQUEST_AK_VERIFY ? VIRTIO_CRYPTO_KEY_REJECTED : VIRTIO_CRYPTO_ERR;
}

/* ---- what comes out ---- */

static void finish(struct vc_request *req, const uint8_t *block, size_t size)
{
	if (req->kind == VC_REQUEST_AK_VERIFY)
		req->status = rsa_verified(((const struct mb_session *)req->handle)->params, req,
		                           block, size)
		                      ? VIRTIO_CRYPTO_OK
		                      : VIRTIO_CRYPTO_KEY_REJECTED;
	else
		req->status = akcipher_result(req, block, size);
}

/* ---- lanes ---- */

/* All eight lanes, those that nobody needs doing what the first one does. */
struct lanes {
	const uint8_t *from[MB_LANES];
	uint8_t *to[MB_LANES];
	const struct mb_rsa_key *key[MB_LANES];
	struct vc_request *req[MB_LANES];
	unsigned int count;
};

static void lanes_fill(struct lanes *lanes, struct mb_scratch *scratch)
{
	for (unsigned int i = lanes->count; i < MB_LANES; i++) {
		lanes->from[i] = lanes->from[0];
		lanes->to[i] = scratch->spare;
		lanes->key[i] = lanes->key[0];
	}
}

/* The library's words, by lane. */
#define LANES_OF(lanes, number)                                                                    \
	(const int64u *const[MB_LANES])                                                            \
	{                                                                                          \
		WORDS(lanes, number, 0), WORDS(lanes, number, 1), WORDS(lanes, number, 2),         \
			WORDS(lanes, number, 3), WORDS(lanes, number, 4), WORDS(lanes, number, 5), \
			WORDS(lanes, number, 6), WORDS(lanes, number, 7)                           \
	}
#define WORDS(lanes, number, i) (const int64u *)(lanes)->key[i]->number

static mbx_status run_public(const struct lanes *lanes, int bits, struct mb_scratch *scratch)
{
	return mbx_rsa_public_mb8(lanes->from, lanes->to, LANES_OF(lanes, n), bits,
	                          mbx_RSA_pub65537_Method(bits), scratch->buffer);
}

/* With the CRT, and every result checked. The checked lanes are those whose status is OK. */
static mbx_status run_private(const struct lanes *lanes, int bits, struct mb_scratch *scratch)
{
	struct lanes check = *lanes;
	uint8_t back[MB_LANES][MB_RSA_BYTES];
	mbx_status status = mbx_rsa_private_crt_mb8(
		lanes->from, lanes->to, LANES_OF(lanes, p), LANES_OF(lanes, q), LANES_OF(lanes, dp),
		LANES_OF(lanes, dq), LANES_OF(lanes, qinv), bits, mbx_RSA_private_crt_Method(bits),
		scratch->buffer);

	for (unsigned int i = 0; i < MB_LANES; i++) {
		check.from[i] = lanes->to[i];
		check.to[i] = back[i];
	}
	status |= run_public(&check, bits, scratch);
	for (unsigned int i = 0; i < lanes->count; i++)
		if (memcmp(back[i], lanes->from[i], (size_t)bits / 8) != 0)
			/* The library's macro would shift into the sign. */
			status |= (mbx_status)((uint32_t)MBX_STATUS_MISMATCH_PARAM_ERR << (4 * i));
	return status;
}

void mb_rsa_run(enum mb_class class, struct vc_request *const *reqs, unsigned int n,
                struct mb_scratch *scratch)
{
	int bits = (int)class_bits(class);
	size_t size = (size_t)bits / 8;
	struct lanes lanes = {.count = 0};
	mbx_status status;

	for (unsigned int i = 0; i < n; i++) {
		struct vc_request *req = reqs[i];
		unsigned int lane = lanes.count;

		req->result_len = 0;
		if (!block_make(req, scratch->in[lane], size)) {
			req->status = block_error(req);
			continue;
		}
		lanes.from[lane] = scratch->in[lane];
		lanes.to[lane] = scratch->out[lane];
		lanes.key[lane] = &((const struct mb_session *)req->handle)->rsa;
		lanes.req[lane] = req;
		lanes.count++;
	}
	if (!lanes.count)
		return;
	lanes_fill(&lanes, scratch);
	status = is_private(class) ? run_private(&lanes, bits, scratch)
	                           : run_public(&lanes, bits, scratch);
	for (unsigned int i = 0; i < lanes.count; i++) {
		if (MBX_GET_STS(status, (int)i) == MBX_STATUS_OK)
			finish(lanes.req[i], lanes.to[i], size);
		else
			lanes.req[i]->status = VC_STATUS_RESOURCE;
	}
	secmem_wipe(scratch->in, sizeof(scratch->in));
	secmem_wipe(scratch->out, sizeof(scratch->out));
	secmem_wipe(scratch->spare, sizeof(scratch->spare));
}
