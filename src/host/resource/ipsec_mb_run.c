/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipsec-mb: checked requests become jobs of the library's synchronous burst calls.
 *
 * The worker's thread. The calls without the library's own checks are used: mb_check() has made
 * sure of what they assume (lengths above all: the multi-buffer code counts in 16 bits, and a
 * length of 0 or of part of a block sends it astray).
 *
 * Sources and destinations may be guest memory that changes under us: the library reads data, never
 * lengths or addresses from it, so that harms the guest's own result only.
 */
#include <string.h>

#include "base/secmem.h"
#include "host/resource/chain.h"
#include "host/resource/ipsec_mb.h"

static enum mb_verdict finished(struct vc_request *req, uint8_t status)
{
	req->status = status;
	return MB_FINISHED;
}

/* Long or empty messages are not for multi-buffer hashes: another resource may take them. */
static enum mb_verdict check_hash(struct vc_request *req, const struct mb_session *s,
                                  uint32_t length)
{
	if (req->tag_len > s->digest_len)
		return finished(req, VIRTIO_CRYPTO_ERR);
	if (length == 0 || length > MB_MAX_HASH)
		return finished(req, VC_STATUS_RESOURCE);
	return MB_RUN;
}

enum mb_verdict mb_check(struct vc_request *req, const struct mb_session *s)
{
	switch (s->class) {
	case MB_CBC_ENCRYPT:
	case MB_CBC_DECRYPT:
		if (req->iv_len != 16 || req->length % 16)
			return finished(req, VIRTIO_CRYPTO_ERR);
		break;
	case MB_CTR:
		if (req->iv_len != 16)
			return finished(req, VIRTIO_CRYPTO_ERR);
		break;
	case MB_GCM:
		if (req->tag_len == 0 || req->tag_len > MB_MAX_GCM_TAG)
			return finished(req, VIRTIO_CRYPTO_ERR);
		return req->iv_len == IMB_GCM_IV_DATA_LEN ? MB_RUN
		                                          : finished(req, VC_STATUS_RESOURCE);
	case MB_CHAIN:
		if (!chain_ranges_ok(req) || req->iv_len != 16 || req->cipher_len % 16)
			return finished(req, VIRTIO_CRYPTO_ERR);
		return check_hash(req, s, req->hash_len);
	case MB_MAC:
		return check_hash(req, s, req->length);
	}
	return req->length ? MB_RUN : finished(req, VIRTIO_CRYPTO_OK);
}

static void fill_cipher(IMB_JOB *job, const struct mb_session *s, const uint8_t *src, uint8_t *dst,
                        uint64_t length, const uint8_t *iv)
{
	job->src = src;
	job->dst = dst;
	job->iv = iv;
	job->iv_len_in_bytes = 16;
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = length;
	job->enc_keys = s->key.aes.encrypt;
	job->dec_keys = s->key.aes.decrypt;
	job->key_len_in_bytes = s->key_len;
	job->status = IMB_STATUS_BEING_PROCESSED;
}

static bool cipher_burst(struct mb_instance *mb, unsigned int n, IMB_CIPHER_MODE mode, bool encrypt,
                         uint8_t key_len)
{
	return IMB_SUBMIT_CIPHER_BURST_NOCHECK(mb->manager, mb->job, n, mode,
	                                       encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
	                                       (IMB_KEY_SIZE_BYTES)key_len) == n;
}

static bool run_cbc_decrypt(struct mb_instance *mb, const struct mb_session *s, const uint8_t *src,
                            uint8_t *dst, uint32_t length, const uint8_t *iv)
{
	fill_cipher(&mb->job[0], s, src, dst, length, iv);
	return cipher_burst(mb, 1, IMB_CIPHER_CBC, false, s->key_len);
}

/*
 * The library counts blocks in the last 32 bits of the counter block without carry; CTR is defined
 * on all 128 (SP 800-38A as everybody, OpenSSL and Linux too, does it). So split where it wraps and
 * carry by hand.
 */
static bool run_ctr(struct mb_instance *mb, struct vc_request *req, const struct mb_session *s)
{
	uint8_t *iv = mb->iv[0];
	uint64_t done = 0;

	memcpy(iv, req->iv, 16);
	while (done < req->length) {
		uint32_t low;

		memcpy(&low, iv + 12, sizeof(low));
		uint64_t room = ((uint64_t)UINT32_MAX + 1 - __builtin_bswap32(low)) * 16;
		uint64_t now = vc_min(room, req->length - done);

		fill_cipher(&mb->job[0], s, req->src + done, req->dst + done, now, iv);
		if (!cipher_burst(mb, 1, IMB_CIPHER_CNTR, true, s->key_len))
			return false;
		done += now;
		memset(iv + 12, 0, 4);
		for (int i = 11; i >= 0 && ++iv[i] == 0; i--)
			;
	}
	return true;
}

static void run_gcm(struct mb_instance *mb, struct vc_request *req, const struct mb_session *s)
{
	static const uint8_t nothing[1];
	struct gcm_context_data context;
	uint8_t tag[MB_MAX_GCM_TAG];
	/* Pointers of empty pieces are not looked at, but must not be NULL. */
	const uint8_t *aad = req->aad_len ? req->aad : nothing;
	const uint8_t *src = req->length ? req->src : nothing;
	uint8_t *dst = req->length ? req->dst : tag;
	aes_gcm_enc_dec_t fn;

	if (s->key_len == 16)
		fn = s->encrypt ? mb->manager->gcm128_enc : mb->manager->gcm128_dec;
	else if (s->key_len == 24)
		fn = s->encrypt ? mb->manager->gcm192_enc : mb->manager->gcm192_dec;
	else
		fn = s->encrypt ? mb->manager->gcm256_enc : mb->manager->gcm256_dec;
	fn(&s->key.gcm, &context, dst, src, req->length, req->iv, aad, req->aad_len,
	   s->encrypt ? req->tag : tag, req->tag_len);
	if (s->encrypt || secmem_equal(tag, req->tag, req->tag_len))
		req->status = VIRTIO_CRYPTO_OK;
	else
		req->status = VIRTIO_CRYPTO_BADMSG;
}

void mb_run_direct(struct mb_instance *mb, struct vc_request *req, const struct mb_session *s)
{
	bool ok;

	if (s->class == MB_GCM) {
		run_gcm(mb, req, s);
		return;
	}
	if (s->class == MB_CTR)
		ok = run_ctr(mb, req, s);
	else
		ok = run_cbc_decrypt(mb, s, req->src, req->dst, req->length, req->iv);
	req->status = ok ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
}

static uint32_t cipher_start(const struct vc_request *req, const struct mb_session *s)
{
	return s->class == MB_CHAIN ? req->cipher_offset : 0;
}

static uint32_t cipher_length(const struct vc_request *req, const struct mb_session *s)
{
	return s->class == MB_CHAIN ? req->cipher_len : req->length;
}

/*
 * CBC encryption of n requests side by side. Messages longer than a lane can count go in chunks:
 * each round takes the next chunk of every request that has one, chained by its last block.
 */
static bool run_cbc_encrypt(struct mb_instance *mb, struct vc_request **reqs, unsigned int n)
{
	const struct mb_session *first = reqs[0]->handle;
	unsigned int jobs = n;

	for (uint32_t done = 0; jobs; done += MB_MAX_CBC_CHUNK) {
		jobs = 0;
		for (unsigned int i = 0; i < n; i++) {
			struct vc_request *req = reqs[i];
			const struct mb_session *s = req->handle;
			uint32_t length = cipher_length(req, s);
			uint32_t at = cipher_start(req, s) + done;

			if (length <= done)
				continue;
			if (done)
				memcpy(mb->iv[i], req->dst + at - 16, 16);
			fill_cipher(&mb->job[jobs++], s, req->src + at, req->dst + at,
			            vc_min(length - done, MB_MAX_CBC_CHUNK),
			            done ? mb->iv[i] : req->iv);
		}
		if (jobs && !cipher_burst(mb, jobs, IMB_CIPHER_CBC, true, first->key_len))
			return false;
	}
	return true;
}

/* The full digest goes to the private tag buffer, which has room; the front takes tag_len of it. */
static bool run_hash(struct mb_instance *mb, struct vc_request **reqs, unsigned int n)
{
	const struct mb_session *first = reqs[0]->handle;

	for (unsigned int i = 0; i < n; i++) {
		struct vc_request *req = reqs[i];
		const struct mb_session *s = req->handle;
		IMB_JOB *job = &mb->job[i];
		bool chain = s->class == MB_CHAIN;

		job->src = chain ? chain_hashed(req, s->order) : req->src;
		job->hash_start_src_offset_in_bytes = 0;
		job->msg_len_to_hash_in_bytes = chain ? req->hash_len : req->length;
		job->auth_tag_output = req->tag;
		job->auth_tag_output_len_in_bytes = s->digest_len;
		job->u.HMAC._hashed_auth_key_xor_ipad = s->key.aes.ipad;
		job->u.HMAC._hashed_auth_key_xor_opad = s->key.aes.opad;
		job->status = IMB_STATUS_BEING_PROCESSED;
	}
	return IMB_SUBMIT_HASH_BURST_NOCHECK(mb->manager, mb->job, n, first->hash) == n;
}

/* The cipher half of a chain's group. */
static bool run_chain_cipher(struct mb_instance *mb, struct vc_request **reqs, unsigned int n)
{
	const struct mb_session *first = reqs[0]->handle;
	bool ok = true;

	for (unsigned int i = 0; i < n; i++)
		chain_copy_rest(reqs[i]);
	if (first->encrypt)
		return run_cbc_encrypt(mb, reqs, n);
	for (unsigned int i = 0; i < n; i++) {
		struct vc_request *req = reqs[i];

		if (req->cipher_len)
			ok &= run_cbc_decrypt(mb, req->handle, req->src + req->cipher_offset,
			                      req->dst + req->cipher_offset, req->cipher_len,
			                      req->iv);
	}
	return ok;
}

void mb_run_group(struct mb_instance *mb, unsigned int group, struct vc_request **reqs,
                  unsigned int n)
{
	const struct mb_session *first = reqs[0]->handle;
	bool ok;

	if (group >= MB_GROUP_MAC)
		ok = run_hash(mb, reqs, n);
	else if (group < MB_GROUP_CHAIN)
		ok = run_cbc_encrypt(mb, reqs, n);
	else if (first->order == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH)
		ok = run_chain_cipher(mb, reqs, n) && run_hash(mb, reqs, n);
	else
		ok = run_hash(mb, reqs, n) && run_chain_cipher(mb, reqs, n);
	/* The library failed: the sources may be overwritten, so nobody can try again. */
	for (unsigned int i = 0; i < n; i++)
		reqs[i]->status = ok ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
}
