/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipsec-mb: checked requests become jobs of the library: ciphers, hashes and MACs.
 *
 * The worker's thread. Where the library has synchronous burst calls in every version (AES-CBC and
 * CTR, HMAC) they are used, and without the library's own checks: mb_check() has made sure of what
 * they assume (lengths above all: the multi-buffer code counts in 16 bits, and a length of 0 or of
 * part of a block sends it astray). All else goes through the library's queue of jobs, with its
 * checks, and is drained before we return: no job outlives a call, so none can point into memory
 * that goes.
 *
 * Sources and destinations may be guest memory that changes under us: the library reads data, never
 * lengths or addresses from it, so that harms the guest's own result only.
 */
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"
#include "host/resource/chain.h"
#include "host/resource/ipsec_mb.h"

static enum mb_verdict finished(struct vc_request *req, uint8_t status)
{
	req->status = status;
	return MB_FINISHED;
}

/* Long messages are not for multi-buffer hashes, nor empty ones for HMAC: another resource may take
 * them. */
static enum mb_verdict check_hash(struct vc_request *req, const struct mb_session *s,
                                  uint32_t length)
{
	if (req->tag_len > s->digest_len)
		return finished(req, VIRTIO_CRYPTO_ERR);
	if (length > MB_MAX_HASH || (!length && s->hash <= IMB_AUTH_HMAC_SHA_512))
		return finished(req, VC_STATUS_REFUSED);
	return MB_RUN;
}

enum mb_verdict mb_check_all(struct vc_request *req, const struct mb_session *s)
{
	switch (s->class) {
	case MB_CIPHER:
		if (req->iv_len != s->iv_len || (req->length & s->block_mask))
			return finished(req, VIRTIO_CRYPTO_ERR);
		return req->length ? MB_RUN : finished(req, VIRTIO_CRYPTO_OK);
	case MB_CHAIN:
		if (!chain_ranges_ok(req) || req->iv_len != s->iv_len ||
		    (req->cipher_len & s->block_mask))
			return finished(req, VIRTIO_CRYPTO_ERR);
		return check_hash(req, s, req->hash_len);
	case MB_HASH:
		return check_hash(req, s, req->length);
	default:
		/* The common one, here and not there. */
		if (vc_likely(s->aead == VIRTIO_CRYPTO_AEAD_GCM && req->tag_len == s->tag_len &&
		              req->iv_len == IMB_GCM_IV_DATA_LEN))
			return MB_RUN;
		return mb_check_aead(req, s);
	}
}

/* ---- the library's queue ---- */

IMB_JOB *mb_next_job(struct mb_instance *mb, IMB_CIPHER_MODE cipher, IMB_HASH_ALG hash)
{
	IMB_JOB *job = IMB_GET_NEXT_JOB(mb->manager);

	job->cipher_mode = cipher;
	job->hash_alg = hash;
	job->cipher_direction = IMB_DIR_ENCRYPT;
	job->chain_order = IMB_ORDER_CIPHER_HASH;
	job->cipher_start_src_offset_in_bytes = 0;
	job->hash_start_src_offset_in_bytes = 0;
	return job;
}

/* Jobs come back in the order in which they went; only their number matters to us. */
static unsigned int completed(const IMB_JOB *job)
{
	return job && job->status == IMB_STATUS_COMPLETED;
}

static unsigned int submit(struct mb_instance *mb)
{
	return completed(IMB_SUBMIT_JOB(mb->manager));
}

unsigned int mb_drain(struct mb_instance *mb, unsigned int done)
{
	const IMB_JOB *job;

	/* Also what is ready already: flushing gives the oldest first. */
	while ((job = IMB_FLUSH_JOB(mb->manager)))
		done += completed(job);
	return done;
}

/* ---- ciphers ---- */

static uint32_t cipher_start(const struct vc_request *req, const struct mb_session *s)
{
	return s->class == MB_CHAIN ? req->cipher_offset : 0;
}

static uint32_t cipher_length(const struct vc_request *req, const struct mb_session *s)
{
	return s->class == MB_CHAIN ? req->cipher_len : req->length;
}

static inline void fill_cipher(IMB_JOB *job, const struct mb_session *s, const uint8_t *src,
                               uint8_t *dst, uint64_t length, const uint8_t *iv)
{
	job->src = src;
	job->dst = dst;
	job->iv = iv;
	job->iv_len_in_bytes = s->iv_len;
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

/*
 * The library counts blocks in the last 32 bits of the counter block without carry; CTR is defined
 * on all 128 (SP 800-38A as everybody, OpenSSL and Linux too, does it). So split where it wraps and
 * carry by hand.
 */
static bool run_ctr(struct mb_instance *mb, const struct vc_request *req,
                    const struct mb_session *s, uint32_t start, uint32_t length)
{
	uint8_t *iv = mb->iv[0];
	uint64_t done = 0;

	memcpy(iv, req->iv, 16);
	while (done < length) {
		uint32_t low;

		memcpy(&low, iv + 12, sizeof(low));
		uint64_t room = ((uint64_t)UINT32_MAX + 1 - __builtin_bswap32(low)) * 16;
		uint64_t now = vc_min(room, length - done);

		fill_cipher(&mb->job[0], s, req->src + start + done, req->dst + start + done, now,
		            iv);
		if (!cipher_burst(mb, 1, IMB_CIPHER_CNTR, true, s->key_len))
			return false;
		done += now;
		memset(iv + 12, 0, 4);
		for (int i = 11; i >= 0 && ++iv[i] == 0; i--)
			;
	}
	return true;
}

static bool run_ecb(struct mb_instance *mb, const struct vc_request *req,
                    const struct mb_session *s)
{
	unsigned int jobs = 0, done = 0;

	for (uint32_t at = 0; at < req->length; at += MB_MAX_CHUNK) {
		IMB_JOB *job = mb_next_job(mb, IMB_CIPHER_ECB, IMB_AUTH_NULL);

		fill_cipher(job, s, req->src + at, req->dst + at,
		            vc_min(req->length - at, MB_MAX_CHUNK), NULL);
		job->cipher_direction = s->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
		job->chain_order = s->encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
		done += submit(mb);
		jobs++;
	}
	return mb_drain(mb, done) == jobs;
}

void mb_run_direct(struct mb_instance *mb, struct vc_request *req, const struct mb_session *s)
{
	uint32_t start, length;
	bool ok = true;

	if (s->class == MB_AEAD) {
		mb_run_aead(mb, req, s);
		return;
	}
	start = cipher_start(req, s);
	length = cipher_length(req, s);
	if (s->class == MB_CHAIN)
		chain_copy_rest(req);
	if (s->cipher == IMB_CIPHER_CNTR) {
		ok = run_ctr(mb, req, s, start, length);
	} else if (s->cipher == IMB_CIPHER_ECB) {
		ok = run_ecb(mb, req, s);
	} else if (length) {
		fill_cipher(&mb->job[0], s, req->src + start, req->dst + start, length, req->iv);
		ok = cipher_burst(mb, 1, IMB_CIPHER_CBC, false, s->key_len);
	}
	req->status = ok ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
}

/*
 * CBC encryption of n requests side by side. Messages longer than a lane can count go in chunks:
 * each round takes the next chunk of every request that has one, chained by its last block.
 */
static bool run_cbc_encrypt(struct mb_instance *mb, struct vc_request **reqs, unsigned int n)
{
	const struct mb_session *first = reqs[0]->handle;
	uint64_t done = 0, longest = 0;

	do {
		unsigned int jobs = 0;

		for (unsigned int i = 0; i < n; i++) {
			struct vc_request *req = reqs[i];
			const struct mb_session *s = req->handle;
			uint32_t length = cipher_length(req, s);
			uint64_t at = cipher_start(req, s) + done;

			longest = vc_max(longest, (uint64_t)length);
			if (vc_unlikely(s->class == MB_CHAIN) && !done)
				chain_copy_rest(req);
			if (vc_unlikely(length <= done))
				continue;
			if (vc_unlikely(done))
				memcpy(mb->iv[i], req->dst + at - 16, 16);
			fill_cipher(&mb->job[jobs++], s, req->src + at, req->dst + at,
			            vc_min(length - done, (uint64_t)MB_MAX_CHUNK),
			            done ? mb->iv[i] : req->iv);
		}
		if (jobs && !cipher_burst(mb, jobs, IMB_CIPHER_CBC, true, first->key_len))
			return false;
		done += MB_MAX_CHUNK;
	} while (done < longest);
	return true;
}

/* ---- hashes ---- */

static void fill_hash(IMB_JOB *job, const struct vc_request *req, const struct mb_session *s)
{
	bool chain = s->class == MB_CHAIN;

	job->src = chain ? chain_hashed(req, s->order) : req->src;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = chain ? req->hash_len : req->length;
	/* The full digest goes to the private tag buffer, which has room; the front takes tag_len
	 * of it. */
	job->auth_tag_output = req->tag;
	job->auth_tag_output_len_in_bytes = s->digest_len;
	job->status = IMB_STATUS_BEING_PROCESSED;
}

static bool run_hmac(struct mb_instance *mb, struct vc_request **reqs, unsigned int n)
{
	const struct mb_session *first = reqs[0]->handle;

	for (unsigned int i = 0; i < n; i++) {
		const struct mb_session *s = reqs[i]->handle;

		fill_hash(&mb->job[i], reqs[i], s);
		mb->job[i].u.HMAC._hashed_auth_key_xor_ipad = s->key.inner;
		mb->job[i].u.HMAC._hashed_auth_key_xor_opad = s->key.outer;
	}
	return IMB_SUBMIT_HASH_BURST_NOCHECK(mb->manager, mb->job, n, first->hash) == n;
}

/* Plain hashes and CMAC. */
static bool run_hash(struct mb_instance *mb, struct vc_request **reqs, unsigned int n)
{
	unsigned int done = 0;

	for (unsigned int i = 0; i < n; i++) {
		const struct mb_session *s = reqs[i]->handle;
		IMB_JOB *job = mb_next_job(mb, IMB_CIPHER_NULL, s->hash);

		fill_hash(job, reqs[i], s);
		job->chain_order = IMB_ORDER_HASH_CIPHER;
		job->u.CMAC._key_expanded = s->key.aes.encrypt;
		job->u.CMAC._skey1 = s->key.inner;
		job->u.CMAC._skey2 = s->key.outer;
		done += submit(mb);
	}
	return mb_drain(mb, done) == n;
}

void mb_run_group(struct mb_instance *mb, unsigned int group, struct vc_request **reqs,
                  unsigned int n)
{
	bool ok;

	if (group < MB_GROUP_CCM) {
		ok = run_cbc_encrypt(mb, reqs, n);
	} else if (group < MB_GROUP_HMAC) {
		mb_run_ccm(mb, reqs, n);
		return;
	} else {
		ok = group < MB_GROUP_SHA ? run_hmac(mb, reqs, n) : run_hash(mb, reqs, n);
	}
	/* The library failed: the sources may be overwritten, so nobody can try again. */
	for (unsigned int i = 0; i < n; i++)
		reqs[i]->status = ok ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
}
