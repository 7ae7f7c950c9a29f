/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modes that chain blocks: whose turn it is, and data in pieces. See cipher.h.
 *
 * A message may go to and fro between the device and the delegate at any block: all that has to
 * follow is the chaining value. It is moved only when the other one's turn comes.
 */
#include "openssl/provider/cipher.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

/* Operations in flight for one call; they lie on the fiber's 32 KiB of stack. */
#define WINDOW 16
#define DEFAULT_PIECE 16384

/* ------------------------------------------------------------------------- the chaining value */

int chain_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key, size_t key_size,
               const uint8_t *iv, size_t iv_size, bool restarts)
{
	const uint8_t *old = c->holder == CHAIN_OURS ? c->chain : NULL;

	if (restarts && c->iv_set)
		old = c->iv;
	if (!cipher_inner_init(c, encrypt, key, key_size, iv ? iv : old, iv ? iv_size : AES_BLOCK))
		return 0;
	cipher_note_init(c, encrypt, key);
	if (iv) {
		memcpy(c->iv, iv, AES_BLOCK);
		c->iv_set = true;
		old = c->iv;
	}
	if (old) {
		memmove(c->chain, old, AES_BLOCK);
		c->holder = CHAIN_SAME;
	}
	return 1;
}

int chain_to_delegate(struct cipher_ctx *c)
{
	if (c->holder != CHAIN_OURS)
		return 1;
	c->holder = CHAIN_SAME;
	return cipher_inner_init(c, c->encrypt, NULL, 0, c->chain, AES_BLOCK);
}

int chain_to_us(struct cipher_ctx *c)
{
	OSSL_PARAM param = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_UPDATED_IV, c->chain,
	                                                     AES_BLOCK);

	if (c->holder != CHAIN_DELEGATE)
		return 1;
	c->holder = CHAIN_SAME;
	return cipher_inner_get(c, &param);
}

int chain_software(struct cipher_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	if (!size)
		return 1;
	if (!chain_to_delegate(c))
		return 0;
	c->holder = CHAIN_DELEGATE;
	return cipher_inner_update(c, out, in, size);
}

int chain_get_iv(const struct cipher_ctx *c, OSSL_PARAM *p)
{
	return OSSL_PARAM_set_octet_ptr(p, c->iv, AES_BLOCK) ||
	       OSSL_PARAM_set_octet_string(p, c->iv, AES_BLOCK);
}

/* ------------------------------------------------------------------------------------- pieces */

size_t chain_piece(size_t beside)
{
	size_t most = core_max_size();

	most = most > beside ? (most - beside) & ~(AES_BLOCK - 1) : 0;
	return most ? most : DEFAULT_PIECE;
}

void chain_fill(struct cipher_ctx *c, struct core_op *op, uint8_t *out, const uint8_t *in,
                size_t size, const uint8_t *iv)
{
	*op = (struct core_op){
		.key = c->key,
		.src = in,
		.dst = out,
		.length = (uint32_t)size,
		.dst_len = (uint32_t)size,
		.iv_len = AES_BLOCK,
		.class = VCE_CLASS_CIPHER,
	};
	memcpy(op->iv, iv, AES_BLOCK);
}

/* Do in software what failed of a window; its other operations have been done. */
static int mend(struct cipher_ctx *c, const struct core_op *ops, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (!ops[i].result)
			continue;
		if (!c->provider->policy.fallback)
			return 0;
		memcpy(c->chain, ops[i].iv, AES_BLOCK);
		c->holder = CHAIN_OURS;
		if (!chain_software(c, ops[i].dst, ops[i].src, ops[i].length))
			return 0;
	}
	return 1;
}

int chain_run_parallel(struct cipher_ctx *c, uint8_t *out, const uint8_t *in, size_t size,
                       chain_advance_fn *advance)
{
	size_t piece = chain_piece(0), done = 0;
	uint8_t chain[AES_BLOCK];
	int rc = 0;

	if (!cipher_core_key(c))
		return chain_software(c, out, in, size);
	if (!chain_to_us(c))
		return 0;
	memcpy(chain, c->chain, AES_BLOCK);
	/* After a failure the rest of the call is done in software: waiting once is enough. */
	while (done < size && !rc) {
		struct core_op ops[WINDOW];
		unsigned int n = 0;

		for (; n < WINDOW && done < size; n++) {
			size_t part = size - done < piece ? size - done : piece;

			chain_fill(c, &ops[n], out + done, in + done, part, chain);
			/* Now: in place, the input is gone afterwards. */
			advance(chain, in + done, part);
			done += part;
		}
		rc = core_run(ops, n);
		if (rc && !mend(c, ops, n))
			return 0;
		memcpy(c->chain, chain, AES_BLOCK);
		c->holder = CHAIN_OURS;
	}
	return chain_software(c, out + done, in + done, size - done);
}
