/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CBC.
 *
 * Blocks are gathered, held back and padded here, exactly as OpenSSL's own does it; the delegate
 * (its own padding off) and the device see whole blocks only. So work moves between them at any
 * block; the chaining value is the last block of ciphertext.
 *
 * Encryption is serial: a piece at a time, as large as an operation may be. Decryption has all its
 * chaining values beforehand, so its pieces are in flight together.
 *
 * With the "tls-version" parameter (libssl's MAC-then-encrypt) the delegate does everything: the
 * padding and the MAC must be removed in constant time.
 */
#include "openssl/provider/cipher.h"
#include "openssl/provider/pipeline.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

struct cbc_ctx {
	struct cipher_ctx base;
	bool pad;
	bool tls;     /* the delegate does it all */
	uint8_t held; /* bytes in block */
	uint8_t block[AES_BLOCK];
	uint8_t next[AES_BLOCK]; /* decrypting in a pipeline: the chaining value behind the
	                            operation */
};

/* ----------------------------------------------------------------------------- life, settings */

static int set_inner_padding(struct cbc_ctx *c, unsigned int pad)
{
	const OSSL_PARAM param = OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_PADDING, &pad);

	return cipher_inner_set(&c->base, &param);
}

void *cbc_new(void *provctx, enum cipher_id id)
{
	struct cbc_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->pad = true;
	if (!cipher_open(&c->base, provctx, id) || !set_inner_padding(c, 0)) {
		cbc_freectx(c);
		return NULL;
	}
	return c;
}

void cbc_freectx(void *vctx)
{
	struct cbc_ctx *c = vctx;

	if (!c)
		return;
	cipher_close(&c->base);
	OPENSSL_clear_free(c, sizeof(*c));
}

void *cbc_dupctx(void *vctx)
{
	const struct cbc_ctx *c = vctx;
	struct cbc_ctx *copy = OPENSSL_memdup(c, sizeof(*c));

	if (copy && !cipher_copy(&copy->base, &c->base)) {
		cbc_freectx(copy);
		return NULL;
	}
	return copy;
}

int cbc_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
             size_t iv_size, const OSSL_PARAM params[])
{
	struct cbc_ctx *c = vctx;

	if (!chain_init(&c->base, encrypt, key, key_size, iv, iv_size, true))
		return 0;
	c->held = 0;
	return cbc_set_ctx_params(c, params);
}

int cbc_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct cbc_ctx *c = vctx;
	int ok;

	if (c->base.pipeline)
		return pipeline_get(c->base.pipeline, params);
	if (!chain_to_delegate(&c->base))
		return 0;
	for (OSSL_PARAM *p = params; p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_PADDING))
			ok = OSSL_PARAM_set_uint(p, c->pad);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_IV))
			ok = chain_get_iv(&c->base, p);
		else
			ok = cipher_inner_get(&c->base, p);
		if (!ok) {
			ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_TO_SET_PARAMETER);
			return 0;
		}
	}
	return 1;
}

static int set_tls(struct cbc_ctx *c, const OSSL_PARAM *p)
{
	unsigned int version;

	if (!OSSL_PARAM_get_uint(p, &version) || !chain_to_delegate(&c->base) ||
	    !cipher_inner_set(&c->base, p))
		return 0;
	if (c->tls)
		c->base.holder = CHAIN_DELEGATE;
	c->tls = version != 0;
	return set_inner_padding(c, c->tls ? c->pad : 0);
}

static int set_padding(struct cbc_ctx *c, const OSSL_PARAM *p)
{
	unsigned int pad;

	if (!OSSL_PARAM_get_uint(p, &pad)) {
		ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_TO_GET_PARAMETER);
		return 0;
	}
	c->pad = pad != 0;
	return c->tls ? set_inner_padding(c, pad) : 1;
}

int cbc_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct cbc_ctx *c = vctx;
	int ok = 1;

	if (c->base.pipeline)
		return pipeline_set(c->base.pipeline, params);
	for (const OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_PADDING))
			ok = set_padding(c, p);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_TLS_VERSION))
			ok = set_tls(c, p);
		else
			ok = cipher_inner_set(&c->base, p);
	}
	return ok;
}

/* ------------------------------------------------------------------------------- whole blocks */

/* Sizes are multiples of the block; in and out are equal or apart. */

static void advance(uint8_t chain[AES_BLOCK], const uint8_t *in, size_t size)
{
	memcpy(chain, in + size - AES_BLOCK, AES_BLOCK);
}

/* After a failure the rest of the call is done in software: waiting once is enough. */
static int offload_encrypt(struct cipher_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	size_t done = 0, piece = chain_piece(0);

	if (!cipher_core_key(c))
		return chain_software(c, out, in, size);
	if (!chain_to_us(c))
		return 0;
	while (done < size) {
		struct core_op op;
		size_t n = size - done < piece ? size - done : piece;

		chain_fill(c, &op, out + done, in + done, n, c->chain);
		if (core_run(&op, 1))
			break;
		done += n;
		advance(c->chain, out, done);
		c->holder = CHAIN_OURS;
	}
	if (done < size && !c->provider->policy.fallback)
		return 0;
	return chain_software(c, out + done, in + done, size - done);
}

static int crypt_blocks(struct cbc_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	int ok = 0;

	if (!size)
		return 1;
	switch (policy_cipher(&c->base.provider->policy,
	                      c->base.encrypt ? POLICY_CBC_ENCRYPT : POLICY_CBC_DECRYPT, size)) {
	case POLICY_OFFLOAD:
		ok = c->base.encrypt ? offload_encrypt(&c->base, out, in, size)
		                     : chain_run_parallel(&c->base, out, in, size, advance);
		break;
	case POLICY_SOFTWARE:
		ok = chain_software(&c->base, out, in, size);
		break;
	case POLICY_FAIL:
		break;
	}
	return ok ? 1 : cipher_failed();
}

/* ------------------------------------------------------------------------------------- stream */

/* Of so many bytes those that can be done now, with none held. */
static size_t whole_blocks(const struct cbc_ctx *c, size_t size)
{
	size_t blocks = size & ~(AES_BLOCK - 1);

	/* Decrypting, the last block may turn out to be padding. */
	return blocks && blocks == size && !c->base.encrypt && c->pad ? blocks - AES_BLOCK : blocks;
}

static void hold(struct cbc_ctx *c, const uint8_t *rest, size_t size)
{
	if (!size)
		return;
	c->held = (uint8_t)size;
	memcpy(c->block, rest, size);
}

int cbc_update(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	struct cbc_ctx *c = vctx;
	size_t blocks, produced = 0;

	if (!c->base.key_set)
		return cipher_no_key();
	if (c->tls)
		return c->base.delegate->update(c->base.inner, out, outl, outsize, in, inl);
	if (c->held) {
		size_t n = inl < AES_BLOCK - c->held ? inl : AES_BLOCK - c->held;

		if (n) {
			memcpy(c->block + c->held, in, n);
			c->held += n;
			in += n;
			inl -= n;
		}
	}
	/* Decrypting, the last block is held back: it may turn out to be padding. */
	if (c->held == AES_BLOCK && (c->base.encrypt || inl || !c->pad)) {
		if (outsize < AES_BLOCK)
			return cipher_too_small();
		/* One block in front of many is no journey's worth of its own. */
		if (!(inl > AES_BLOCK ? chain_software(&c->base, out, c->block, AES_BLOCK)
		                      : crypt_blocks(c, out, c->block, AES_BLOCK)))
			return 0;
		c->held = 0;
		out += AES_BLOCK;
		produced = AES_BLOCK;
	}
	blocks = whole_blocks(c, inl);
	if (outsize < produced + blocks)
		return cipher_too_small();
	if (!crypt_blocks(c, out, in, blocks))
		return 0;
	hold(c, in + blocks, inl - blocks);
	*outl = produced + blocks;
	return 1;
}

/* Bytes of data in the last block, -1 if its padding is wrong. Not in constant time, just as
 * OpenSSL's: whoever gets to see the outcome has an oracle anyway. */
static int unpad(const uint8_t block[AES_BLOCK])
{
	uint8_t n = block[AES_BLOCK - 1];

	if (!n || n > AES_BLOCK)
		return -1;
	for (size_t i = AES_BLOCK - n; i < AES_BLOCK; i++) {
		if (block[i] != n)
			return -1;
	}
	return (int)AES_BLOCK - n;
}

static int final_encrypt(struct cbc_ctx *c, uint8_t *out, size_t *outl, size_t outsize)
{
	if (c->pad) {
		memset(c->block + c->held, (int)(AES_BLOCK - c->held), AES_BLOCK - c->held);
		c->held = AES_BLOCK;
	}
	if (!c->held) {
		*outl = 0;
		return 1;
	}
	if (c->held != AES_BLOCK) {
		ERR_raise(ERR_LIB_PROV, PROV_R_WRONG_FINAL_BLOCK_LENGTH);
		return 0;
	}
	if (outsize < AES_BLOCK)
		return cipher_too_small();
	if (!crypt_blocks(c, out, c->block, AES_BLOCK))
		return 0;
	c->held = 0;
	*outl = AES_BLOCK;
	return 1;
}

static int final_decrypt(struct cbc_ctx *c, uint8_t *out, size_t *outl, size_t outsize)
{
	int size = (int)AES_BLOCK;

	if (!c->held && !c->pad) {
		*outl = 0;
		return 1;
	}
	if (c->held != AES_BLOCK) {
		ERR_raise(ERR_LIB_PROV, PROV_R_WRONG_FINAL_BLOCK_LENGTH);
		return 0;
	}
	if (!crypt_blocks(c, c->block, c->block, AES_BLOCK))
		return 0;
	if (c->pad)
		size = unpad(c->block);
	if (size < 0) {
		ERR_raise(ERR_LIB_PROV, PROV_R_BAD_DECRYPT);
		return 0;
	}
	if (outsize < (size_t)size)
		return cipher_too_small();
	memcpy(out, c->block, (size_t)size);
	c->held = 0;
	*outl = (size_t)size;
	return 1;
}

int cbc_final(void *vctx, unsigned char *out, size_t *outl, size_t outsize)
{
	struct cbc_ctx *c = vctx;

	if (!c->base.key_set)
		return cipher_no_key();
	if (c->tls)
		return c->base.delegate->final(c->base.inner, out, outl, outsize);
	return c->base.encrypt ? final_encrypt(c, out, outl, outsize)
	                       : final_decrypt(c, out, outl, outsize);
}

/* EVP_Cipher(): the bare cipher, without gathering or padding. */
int cbc_cipher(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	struct cbc_ctx *c = vctx;

	if (!c->base.key_set)
		return cipher_no_key();
	if (outsize < inl)
		return cipher_too_small();
	if (c->tls || inl % AES_BLOCK) {
		if (!chain_to_delegate(&c->base))
			return 0;
		c->base.holder = CHAIN_DELEGATE;
		return c->base.delegate->cipher(c->base.inner, out, outl, outsize, in, inl);
	}
	if (!crypt_blocks(c, out, in, inl))
		return 0;
	*outl = inl;
	return 1;
}

/* ------------------------------------------------------------------------------------ pipelines */

static int pipe_take(void *vctx, struct core_op *op, uint8_t *out, const uint8_t *in, size_t *size,
                     size_t pipes)
{
	struct cbc_ctx *c = vctx;
	size_t all = whole_blocks(c, *size), piece = chain_piece(0);
	size_t blocks = all < piece ? all : piece;
	enum policy_work work = c->base.encrypt ? POLICY_CBC_ENCRYPT : POLICY_CBC_DECRYPT;

	if (!c->base.key_set || c->tls || c->held || !blocks)
		return -1;
	switch (policy_pipes(&c->base.provider->policy, work, blocks, pipes)) {
	case POLICY_OFFLOAD:
		break;
	case POLICY_FAIL:
		return 0;
	default:
		return -1;
	}
	if (!cipher_core_key(&c->base))
		return c->base.provider->policy.fallback ? -1 : 0;
	if (!chain_to_us(&c->base))
		return 0;
	chain_fill(&c->base, op, out, in, blocks, c->base.chain);
	/* Now: in place, the input is gone afterwards. */
	if (!c->base.encrypt)
		advance(c->next, in, blocks);
	if (blocks == all)
		hold(c, in + blocks, *size - blocks);
	else
		*size = blocks;
	return 1;
}

static int pipe_finish(void *vctx, const struct core_op *op)
{
	struct cbc_ctx *c = vctx;

	if (op->result)
		return c->base.provider->policy.fallback &&
		       chain_software(&c->base, op->dst, op->src, op->length);
	if (c->base.encrypt)
		advance(c->base.chain, op->dst, op->length);
	else
		memcpy(c->base.chain, c->next, AES_BLOCK);
	c->base.holder = CHAIN_OURS;
	return 1;
}

const struct pipeline_mode cbc_pipeline = {
	.dup = cbc_dupctx,
	.free = cbc_freectx,
	.init = cbc_init,
	.update = cbc_update,
	.final = cbc_final,
	.get = cbc_get_ctx_params,
	.set = cbc_set_ctx_params,
	.take = pipe_take,
	.finish = pipe_finish,
};
