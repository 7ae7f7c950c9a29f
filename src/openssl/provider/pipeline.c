/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages side by side. See pipeline.h.
 */
#include "openssl/provider/pipeline.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

#ifdef OSSL_CIPHER_PARAM_PIPELINE_AEAD_TAG
#define TAGS OSSL_CIPHER_PARAM_PIPELINE_AEAD_TAG
#else
#define TAGS "pipeline-tag"
#endif

struct pipeline {
	const struct pipeline_mode *mode;
	size_t count;
	void *pipe[PIPELINE_MOST];
	/* Of the update at hand; too large for the stack of a job. */
	struct core_op op[PIPELINE_MOST];
	unsigned int pipe_of[PIPELINE_MOST];
};

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->count; i++)
		p->mode->free(p->pipe[i]);
	/* The operations have IVs and addresses, and no keys. */
	OPENSSL_free(p);
}

/* Another context like each of the pipes, or like one. */
static struct pipeline *make(const struct pipeline_mode *mode, void *const *like, size_t step,
                             size_t count)
{
	struct pipeline *p = OPENSSL_zalloc(sizeof(*p));

	if (!p)
		return NULL;
	p->mode = mode;
	for (; p->count < count; p->count++) {
		p->pipe[p->count] = mode->dup(like[p->count * step]);
		if (!p->pipe[p->count]) {
			pipeline_free(p);
			return NULL;
		}
	}
	return p;
}

struct pipeline *pipeline_dup(const struct pipeline *p)
{
	return make(p->mode, p->pipe, 1, p->count);
}

int pipeline_init(struct cipher_ctx *first, const struct pipeline_mode *mode, bool encrypt,
                  const uint8_t *key, size_t key_size, size_t pipes, const uint8_t **iv,
                  size_t iv_size, const OSSL_PARAM params[])
{
	void *like[1] = {first};

	if (!pipes || pipes > PIPELINE_MOST) {
		ERR_raise(ERR_LIB_PROV, ERR_R_PASSED_INVALID_ARGUMENT);
		return 0;
	}
	pipeline_free(first->pipeline);
	first->pipeline = NULL;
	first->pipeline = make(mode, like, 0, pipes);
	if (!first->pipeline) {
		ERR_raise(ERR_LIB_PROV, ERR_R_MALLOC_FAILURE);
		return 0;
	}
	for (size_t i = 0; i < pipes; i++) {
		if (!mode->init(first->pipeline->pipe[i], encrypt, key, key_size, iv ? iv[i] : NULL,
		                iv && iv[i] ? iv_size : 0, params))
			return 0;
	}
	return 1;
}

/* Begun, and with as many pipes as it was begun with. */
static int check(const struct pipeline *p, size_t pipes)
{
	if (p && p->count == pipes)
		return 1;
	ERR_raise(ERR_LIB_PROV, ERR_R_PASSED_INVALID_ARGUMENT);
	return 0;
}

/* What an update brings for one message. */
struct part {
	uint8_t *out;
	const uint8_t *in;
	size_t size, room;
};

/* Do all of it now, or make an operation of its beginning. Operations that there are; < 0 failed.
 */
static int begin(struct pipeline *p, unsigned int i, struct part *part, size_t *outl, size_t n)
{
	struct core_op *op = &p->op[n];
	size_t size = part->size, done = 0;
	int taken = -1;

	if (part->out && size && part->room >= size)
		taken = p->mode->take(p->pipe[i], op, part->out, part->in, &size, p->count);
	if (!taken)
		return -EIO;
	if (taken > 0) {
		/* Until it is known better: when nothing is run at all. */
		op->result = -ECANCELED;
		p->pipe_of[n] = i;
		part->out += op->length;
		part->room -= op->length;
		*outl += op->length;
	} else {
		if (!p->mode->update(p->pipe[i], part->out, &done, part->room, part->in, size))
			return -EIO;
		*outl += done;
	}
	part->in += size;
	part->size -= size;
	return taken > 0;
}

int pipeline_update(struct pipeline *p, size_t pipes, uint8_t **out, size_t *outl,
                    const size_t *outsize, const uint8_t **in, const size_t *inl)
{
	struct part part[PIPELINE_MOST];
	size_t n;

	if (!check(p, pipes))
		return 0;
	for (size_t i = 0; i < pipes; i++) {
		part[i] = (struct part){out ? out[i] : NULL, in[i], inl[i],
		                        outsize ? outsize[i] : inl[i]};
		outl[i] = 0;
	}
	/* Messages that are longer than an operation take some rounds. */
	do {
		n = 0;
		for (unsigned int i = 0; i < pipes; i++) {
			int added = part[i].size ? begin(p, i, &part[i], &outl[i], n) : 0;

			if (added < 0)
				return cipher_failed();
			n += (size_t)added;
		}
		if (n)
			(void)core_run(p->op, n);
		for (size_t k = 0; k < n; k++) {
			if (!p->mode->finish(p->pipe[p->pipe_of[k]], &p->op[k]))
				return cipher_failed();
		}
	} while (n);
	return 1;
}

int pipeline_final(struct pipeline *p, size_t pipes, uint8_t **out, size_t *outl,
                   const size_t *outsize)
{
	if (!check(p, pipes))
		return 0;
	for (size_t i = 0; i < pipes; i++) {
		if (!p->mode->final(p->pipe[i], out ? out[i] : NULL, &outl[i],
		                    outsize ? outsize[i] : AES_BLOCK))
			return 0;
	}
	return 1;
}

/* ----------------------------------------------------------------------------------- parameters */

/* The tag of each message, of so many bytes. */
static int tags(struct pipeline *p, const OSSL_PARAM *param, bool set)
{
	uint8_t **tag = NULL;
	size_t size = 0;

	if (!OSSL_PARAM_get_octet_ptr(param, (const void **)&tag, &size) || !tag) {
		ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_TO_GET_PARAMETER);
		return 0;
	}
	for (size_t i = 0; i < p->count; i++) {
		OSSL_PARAM one[2] = {
			OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag[i], size),
			OSSL_PARAM_construct_end()};

		if (!(set ? p->mode->set(p->pipe[i], one) : p->mode->get(p->pipe[i], one)))
			return 0;
	}
	return 1;
}

int pipeline_get(struct pipeline *p, OSSL_PARAM params[])
{
	for (OSSL_PARAM *q = params; q && q->key; q++) {
		OSSL_PARAM one[2] = {*q, OSSL_PARAM_construct_end()};

		if (!(strcmp(q->key, TAGS) ? p->mode->get(p->pipe[0], one) : tags(p, q, false)))
			return 0;
		q->return_size = one[0].return_size;
	}
	return 1;
}

int pipeline_set(struct pipeline *p, const OSSL_PARAM params[])
{
	for (const OSSL_PARAM *q = params; q && q->key; q++) {
		const OSSL_PARAM one[2] = {*q, OSSL_PARAM_construct_end()};

		if (!strcmp(q->key, TAGS)) {
			if (!tags(p, q, true))
				return 0;
			continue;
		}
		for (size_t i = 0; i < p->count; i++) {
			if (!p->mode->set(p->pipe[i], one))
				return 0;
		}
	}
	return 1;
}
