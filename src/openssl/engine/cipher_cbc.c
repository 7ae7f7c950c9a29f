/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CBC of the ENGINE: libcrypto gathers, pads and unpads, whole blocks come here. libssl puts
 * its own MAC and padding into records, and takes them off in constant time. See cipher.h.
 *
 * In a pipeline every record begins with the same chaining value: its first block is its explicit
 * IV, which makes what follows independent of that value, and which the receiver throws away.
 */
#include <string.h>

#include "openssl/engine/cipher.h"

static uint8_t *last_block(uint8_t *data, size_t size)
{
	return data + size - AES_BLOCK;
}

/* ------------------------------------------------------------------------------------ pipelines */

/* One record from the value in iv on. */
static int software(struct cipher_ctx *c, const uint8_t iv[AES_BLOCK], uint8_t *out,
                    const uint8_t *in, size_t size)
{
	memcpy(c->chain, iv, AES_BLOCK);
	c->holder = CHAIN_OURS;
	return chain_software(c, out, in, size);
}

static size_t total(const struct engine_cipher *e, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += e->length[i];
	return sum;
}

/* All of them in flight; what is too large or fails is done in software. */
static int offload_all(const struct engine_cipher *e, int n)
{
	struct cipher_ctx *c = e->inner;
	struct core_op ops[PIPES];
	unsigned int given = 0, next = 0;
	int where[PIPES];

	if (!cipher_core_key(c))
		return -1;
	for (int i = 0; i < n; i++) {
		where[i] = e->length[i] <= chain_piece(0) && e->length[i] ? (int)given : -1;
		if (where[i] >= 0)
			chain_fill(c, &ops[given++], e->out[i], e->in[i], e->length[i], e->iv);
	}
	if (given)
		(void)core_run(ops, given);
	for (int i = 0; i < n; i++) {
		if (where[i] >= 0 && !ops[next++].result)
			continue;
		if ((where[i] >= 0 && !engine_fall_back("AES-CBC")) ||
		    !software(c, e->iv, e->out[i], e->in[i], e->length[i]))
			return 0;
	}
	return 1;
}

/* Each is as long as it is, in whole blocks. 1, 0. */
static int run_all(const struct engine_cipher *e, int n)
{
	struct cipher_ctx *c = e->inner;
	int done = -1;

	for (int i = 0; i < n; i++) {
		if (e->length[i] % AES_BLOCK)
			return 0;
	}
	/* Together they go on one journey. */
	switch (policy_cipher(&engine_front.policy,
	                      c->encrypt ? POLICY_CBC_ENCRYPT : POLICY_CBC_DECRYPT, total(e, n))) {
	case POLICY_OFFLOAD:
		done = offload_all(e, n);
		break;
	case POLICY_FAIL:
		(void)engine_fall_back("AES-CBC");
		return 0;
	case POLICY_SOFTWARE:
		break;
	}
	if (done >= 0)
		return done;
	for (int i = 0; i < n; i++) {
		if (!software(c, e->iv, e->out[i], e->in[i], e->length[i]))
			return 0;
	}
	return 1;
}

static int run_pipes(EVP_CIPHER_CTX *ctx, int n)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	struct cipher_ctx *c = e->inner;
	uint8_t last[AES_BLOCK];
	size_t size = e->length[n - 1];

	if (size < AES_BLOCK)
		return 0;
	/* In place, ciphertext is gone afterwards. */
	memcpy(last, e->in[n - 1] + size - AES_BLOCK, AES_BLOCK);
	if (!run_all(e, n))
		return 0;
	if (c->encrypt)
		memcpy(last, last_block(e->out[n - 1], size), AES_BLOCK);
	memcpy(c->chain, last, AES_BLOCK);
	c->holder = CHAIN_OURS;
	engine_cipher_end(ctx, last);
	return 1;
}

/* --------------------------------------------------------------------------------- one by one */

static int run(EVP_CIPHER_CTX *ctx, unsigned char *out, const unsigned char *in, size_t size)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	struct cipher_ctx *c = e->inner;
	uint8_t last[AES_BLOCK];
	size_t done = 0;
	int n = engine_cipher_pipes(e);

	if (n < 0 || !c->key_set || !engine_cipher_begin(ctx))
		return 0;
	if (n)
		return run_pipes(ctx, n);
	if (!size)
		return 1;
	if (size % AES_BLOCK)
		return 0;
	memcpy(last, in + size - AES_BLOCK, AES_BLOCK);
	if (!cbc_cipher(c, out, &done, size, in, size))
		return 0;
	engine_cipher_end(ctx, c->encrypt ? last_block(out, size) : last);
	return 1;
}

static int control(EVP_CIPHER_CTX *ctx, int command, int number, void *p)
{
	return -1;
}

const struct engine_mode engine_cbc = {
	.new = cbc_new,
	.free = cbc_freectx,
	.dup = cbc_dupctx,
	.init = cbc_init,
	.get = cbc_get_ctx_params,
	.set = cbc_set_ctx_params,
	.run = run,
	.control = control,
	.flags = EVP_CIPH_CBC_MODE | EVP_CIPH_FLAG_PIPELINE,
	.block = (int)AES_BLOCK,
	.iv_len = (int)AES_BLOCK,
};
