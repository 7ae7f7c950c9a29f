/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipsec-mb: AES-GCM and ChaCha20-Poly1305 one by one, AES-CCM in groups (its CBC-MAC is serial).
 *
 * The worker's thread. Tags that are to be compared are computed into private memory and compared
 * in constant time; what was decrypted in vain the front wipes (request_finish()).
 */
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"
#include "host/resource/algorithm.h"
#include "host/resource/ipsec_mb.h"

enum mb_verdict mb_check_aead(struct vc_request *req, const struct mb_session *s)
{
	if (req->tag_len != s->tag_len ||
	    !algorithm_aead_request_ok(s->aead, req->iv_len, req->length))
		req->status = VIRTIO_CRYPTO_ERR;
	/* Possible, but not here. */
	else if (s->aead == VIRTIO_CRYPTO_AEAD_CCM &&
	         (req->length > MB_MAX_CCM || req->aad_len > MB_MAX_CCM_AAD))
		req->status = VC_STATUS_REFUSED;
	else
		return MB_RUN;
	return MB_FINISHED;
}

static uint8_t verdict(const struct vc_request *req, const struct mb_session *s, const uint8_t *tag)
{
	return s->encrypt || secmem_equal(tag, req->tag, req->tag_len) ? VIRTIO_CRYPTO_OK
	                                                               : VIRTIO_CRYPTO_BADMSG;
}

/* The usual IV of 12 bytes: one call. */
static aes_gcm_enc_dec_t gcm_function(const IMB_MGR *m, const struct mb_session *s)
{
	if (s->key_len == 16)
		return s->encrypt ? m->gcm128_enc : m->gcm128_dec;
	if (s->key_len == 24)
		return s->encrypt ? m->gcm192_enc : m->gcm192_dec;
	return s->encrypt ? m->gcm256_enc : m->gcm256_dec;
}

/* Any other IV: three calls, by key size. */
struct gcm_steps {
	aes_gcm_init_var_iv_t init;
	aes_gcm_enc_dec_update_t update[2]; /* decryption, encryption */
	aes_gcm_enc_dec_finalize_t finalize;
};

static struct gcm_steps gcm_steps(const IMB_MGR *m, uint8_t key_len)
{
	if (key_len == 16)
		return (struct gcm_steps){m->gcm128_init_var_iv,
		                          {m->gcm128_dec_update, m->gcm128_enc_update},
		                          m->gcm128_enc_finalize};
	if (key_len == 24)
		return (struct gcm_steps){m->gcm192_init_var_iv,
		                          {m->gcm192_dec_update, m->gcm192_enc_update},
		                          m->gcm192_enc_finalize};
	return (struct gcm_steps){m->gcm256_init_var_iv,
	                          {m->gcm256_dec_update, m->gcm256_enc_update},
	                          m->gcm256_enc_finalize};
}

static void run_gcm(struct mb_instance *mb, struct vc_request *req, const struct mb_session *s)
{
	static const uint8_t nothing[1];
	struct gcm_context_data context;
	uint8_t tag[16];
	/* Pointers of empty pieces are not looked at, but must not be NULL. */
	const uint8_t *aad = req->aad_len ? req->aad : nothing;
	const uint8_t *src = req->length ? req->src : nothing;
	uint8_t *dst = req->length ? req->dst : tag;
	uint8_t *tag_out = s->encrypt ? req->tag : tag;

	if (vc_likely(req->iv_len == IMB_GCM_IV_DATA_LEN)) {
		gcm_function(mb->manager, s)(&s->key.gcm, &context, dst, src, req->length, req->iv,
		                             aad, req->aad_len, tag_out, req->tag_len);
	} else {
		const struct gcm_steps steps = gcm_steps(mb->manager, s->key_len);

		steps.init(&s->key.gcm, &context, req->iv, req->iv_len, aad, req->aad_len);
		steps.update[s->encrypt](&s->key.gcm, &context, dst, src, req->length);
		steps.finalize(&s->key.gcm, &context, tag_out, req->tag_len);
	}
	req->status = verdict(req, s, tag);
}

static void fill(IMB_JOB *job, const struct vc_request *req, const struct mb_session *s,
                 uint8_t *tag)
{
	job->src = req->src;
	job->dst = req->dst;
	job->msg_len_to_cipher_in_bytes = req->length;
	job->msg_len_to_hash_in_bytes = req->length;
	job->iv = req->iv;
	job->iv_len_in_bytes = req->iv_len;
	job->cipher_direction = s->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->key_len_in_bytes = s->key_len;
	job->auth_tag_output = s->encrypt ? req->tag : tag;
	job->auth_tag_output_len_in_bytes = req->tag_len;
}

static void run_chacha(struct mb_instance *mb, struct vc_request *req, const struct mb_session *s)
{
	IMB_JOB *job = mb_next_job(mb, IMB_CIPHER_CHACHA20_POLY1305, IMB_AUTH_CHACHA20_POLY1305);
	uint8_t *tag = mb->tag[0];

	fill(job, req, s, tag);
	job->enc_keys = job->dec_keys = s->key.chacha;
	job->u.CHACHA20_POLY1305.aad = req->aad;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = req->aad_len;
	job->chain_order = s->encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job = IMB_SUBMIT_JOB(mb->manager);
	if (mb_drain(mb, job && job->status == IMB_STATUS_COMPLETED) == 1)
		req->status = verdict(req, s, tag);
	else
		req->status = VIRTIO_CRYPTO_ERR;
}

void mb_run_aead(struct mb_instance *mb, struct vc_request *req, const struct mb_session *s)
{
	if (s->aead == VIRTIO_CRYPTO_AEAD_GCM)
		run_gcm(mb, req, s);
	else
		run_chacha(mb, req, s);
}

void mb_run_ccm(struct mb_instance *mb, struct vc_request **reqs, unsigned int n)
{
	unsigned int done = 0;
	bool ok;

	for (unsigned int i = 0; i < n; i++) {
		const struct mb_session *s = reqs[i]->handle;
		IMB_JOB *job = mb_next_job(mb, IMB_CIPHER_CCM, IMB_AUTH_AES_CCM);

		fill(job, reqs[i], s, mb->tag[i]);
		job->enc_keys = job->dec_keys = s->key.aes.encrypt;
		job->u.CCM.aad = reqs[i]->aad;
		job->u.CCM.aad_len_in_bytes = reqs[i]->aad_len;
		/* The MAC is over the plaintext. */
		job->chain_order = s->encrypt ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
		job = IMB_SUBMIT_JOB(mb->manager);
		done += job && job->status == IMB_STATUS_COMPLETED;
	}
	ok = mb_drain(mb, done) == n;
	for (unsigned int i = 0; i < n; i++)
		reqs[i]->status =
			ok ? verdict(reqs[i], reqs[i]->handle, mb->tag[i]) : VIRTIO_CRYPTO_ERR;
}
