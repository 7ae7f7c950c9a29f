/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: symmetric requests become operations of the device, and back.
 *
 * The worker's thread. The data is not copied: mbufs point at it where it lies, in guest memory or
 * in the worker's bounce buffers. IV, digest and additional data are private, as is everything that
 * a driver takes a length or an address from; the data may change under the device, which harms the
 * guest's own result only.
 *
 * Drivers check little. What they would not survive, or what they are known to get wrong, does not
 * go there (check()): empty messages, parts of blocks, more than 16 bits count where the driver has
 * no way for that, counters that wrap. It is refused, and
 * another resource does it.
 */
#include <string.h>

#include "base/secmem.h"
#include "host/resource/chain.h"
#include "host/resource/dpdk.h"

static_assert(offsetof(struct dpdk_sym, sym) == offsetof(struct rte_crypto_op, sym),
              "DPDK finds the operation behind its head");

static enum dpdk_verdict finished(struct vc_request *req, uint8_t status)
{
	req->status = status;
	return DPDK_FINISHED;
}

/* ---- what can go there ---- */

/* A counter of 128 bits, of which libraries and devices may count 32 (SP 800-38A, B.1). */
static bool counter_wraps(const uint8_t *iv, uint32_t length)
{
	uint32_t low;

	memcpy(&low, iv + 12, sizeof(low));
	return (uint64_t)__builtin_bswap32(low) + (length + 15) / 16 > (uint64_t)UINT32_MAX + 1;
}

static enum dpdk_verdict check_cipher(struct vc_request *req, const struct dpdk_session *s,
                                      uint32_t length)
{
	if (req->iv_len != s->iv_len)
		return finished(req, VIRTIO_CRYPTO_ERR);
	if (length & s->block_mask)
		return finished(req, s->params->cipher == VIRTIO_CRYPTO_CIPHER_AES_XTS
		                             ? VC_STATUS_REFUSED
		                             : VIRTIO_CRYPTO_ERR);
	if (s->counts && counter_wraps(req->iv, length))
		return finished(req, VC_STATUS_REFUSED);
	return DPDK_RUN;
}

static enum dpdk_verdict check(struct vc_request *req, const struct dpdk_session *s)
{
	if (req->length > DPDK_LINEAR && (!s->large || req->length > DPDK_PIECE * DPDK_PIECES))
		return finished(req, VC_STATUS_REFUSED);
	if (req->tag_len > REQUEST_MAX_TAG)
		return finished(req, VIRTIO_CRYPTO_ERR);
	switch (s->class) {
	case DPDK_CIPHER:
		if (!req->length && req->iv_len == s->iv_len)
			return finished(req, VIRTIO_CRYPTO_OK);
		return check_cipher(req, s, req->length);
	case DPDK_CHAIN:
		if (!chain_ranges_ok(req) || req->tag_len > s->digest_len)
			return finished(req, VIRTIO_CRYPTO_ERR);
		if (!req->cipher_len || !req->hash_len)
			return finished(req, VC_STATUS_REFUSED);
		return check_cipher(req, s, req->cipher_len);
	case DPDK_AUTH:
		if (req->tag_len > s->digest_len)
			return finished(req, VIRTIO_CRYPTO_ERR);
		return req->length ? DPDK_RUN : finished(req, VC_STATUS_REFUSED);
	default:
		if (req->tag_len != s->params->tag_len ||
		    !algorithm_aead_request_ok(s->params->aead, req->iv_len, req->length))
			return finished(req, VIRTIO_CRYPTO_ERR);
		/* To DPDK, an IV of GCM that is as long as a block means something else. */
		if (!req->length ||
		    (s->params->aead == VIRTIO_CRYPTO_AEAD_GCM && req->iv_len == 16))
			return finished(req, VC_STATUS_REFUSED);
		return DPDK_RUN;
	}
}

/* ---- data ---- */

static void point(struct rte_mbuf *m, uint8_t *data, uint32_t length)
{
	m->buf_addr = data;
	/* Addresses are the same to the device, as everything is mapped so (dpdk_eal.c). */
	rte_mbuf_iova_set(m, (rte_iova_t)(uintptr_t)data);
	m->buf_len = (uint16_t)length;
	m->data_len = (uint16_t)length;
	m->pkt_len = length;
	m->nb_segs = 1;
	m->next = NULL;
}

/* Longer data takes more of them. False: there are not so many now. */
static bool point_pieces(struct dpdk_instance *in, struct rte_mbuf *m, uint8_t *data,
                         uint32_t length)
{
	unsigned int n = (length - 1) / DPDK_PIECE;
	struct rte_mbuf *last = m;

	if (n > in->pieces_count)
		return false;
	in->pieces_count -= n;
	point(m, data, DPDK_PIECE);
	m->pkt_len = length;
	m->nb_segs = (uint16_t)(n + 1);
	for (unsigned int i = 1; i <= n; i++) {
		struct rte_mbuf *piece = in->pieces_free;
		uint32_t at = i * DPDK_PIECE;

		in->pieces_free = piece->next;
		point(piece, data + at, vc_min(length - at, DPDK_PIECE));
		last->next = piece;
		last = piece;
	}
	return true;
}

static bool wrap(struct dpdk_instance *in, struct rte_mbuf *m, uint8_t *data, uint32_t length)
{
	if (vc_unlikely(length > DPDK_LINEAR))
		return point_pieces(in, m, data, length);
	point(m, data, length);
	return true;
}

static void unwrap(struct dpdk_instance *in, struct rte_mbuf *m)
{
	struct rte_mbuf *next;

	for (struct rte_mbuf *piece = m->next; piece; piece = next) {
		next = piece->next;
		piece->next = in->pieces_free;
		in->pieces_free = piece;
		in->pieces_count++;
	}
	m->next = NULL;
	m->nb_segs = 1;
}

/* Where source and destination are apart, and whether the device itself goes from one to the other;
 * else the source is copied first, and the rest is done at the destination. */
static bool goes_apart(const struct dpdk_instance *in, const struct vc_request *req,
                       const struct dpdk_session *s)
{
	const struct dpdk_caps *caps = &in->dpdk->caps;

	if (req->src == req->dst || s->class == DPDK_CHAIN)
		return false;
	return req->length > DPDK_LINEAR ? caps->pieces_apart : caps->out_of_place;
}

/* False: no room now. */
static bool wrap_data(struct dpdk_instance *in, struct vc_request *req,
                      const struct dpdk_session *s, struct dpdk_sym *op)
{
	/* DPDK has no word for data that is only read; it is not written to. */
	uint8_t *src = (uint8_t *)(uintptr_t)req->src;
	bool apart = s->class != DPDK_AUTH && goes_apart(in, req, s);

	op->sym.m_src = &op->src;
	op->sym.m_dst = apart ? &op->dst : NULL;
	if (s->class != DPDK_AUTH && !apart && req->dst != req->src) {
		/* A hostile guest may have them overlap. */
		memmove(req->dst, req->src, req->length);
		src = req->dst;
	}
	if (!wrap(in, &op->src, src, req->length))
		return false;
	if (!apart || wrap(in, &op->dst, req->dst, req->length))
		return true;
	unwrap(in, &op->src);
	return false;
}

/* ---- operations ---- */

static void fill_aead(struct vc_request *req, const struct dpdk_session *s, struct dpdk_sym *op)
{
	bool ccm = s->params->aead == VIRTIO_CRYPTO_AEAD_CCM;
	uint8_t *aad = op->aad + (ccm ? DPDK_CCM_AAD : 0);

	op->sym.aead.data.offset = 0;
	op->sym.aead.data.length = req->length;
	op->sym.aead.digest.data = op->digest;
	op->sym.aead.digest.phys_addr = (rte_iova_t)(uintptr_t)op->digest;
	op->sym.aead.aad.data = op->aad;
	op->sym.aead.aad.phys_addr = (rte_iova_t)(uintptr_t)op->aad;
	if (req->aad_len)
		memcpy(aad, req->aad, req->aad_len);
	memcpy(op->iv + (ccm ? DPDK_CCM_IV : 0), req->iv, req->iv_len);
	if (!req->encrypt)
		memcpy(op->digest, req->tag, req->tag_len);
}

static void fill_plain(const struct vc_request *req, const struct dpdk_session *s,
                       struct dpdk_sym *op, bool cipher, bool auth)
{
	bool chain = s->class == DPDK_CHAIN;
	struct rte_crypto_sym_op *sym = &op->sym;

	sym->cipher.data.offset = chain && cipher ? req->cipher_offset : 0;
	sym->cipher.data.length = chain && cipher ? req->cipher_len : cipher ? req->length : 0;
	sym->auth.data.offset = chain && auth ? req->hash_offset : 0;
	sym->auth.data.length = chain && auth ? req->hash_len : auth ? req->length : 0;
	sym->auth.digest.data = op->digest;
	sym->auth.digest.phys_addr = (rte_iova_t)(uintptr_t)op->digest;
	memcpy(op->iv, req->iv, sizeof(op->iv));
}

static bool hash_first(const struct dpdk_session *s)
{
	return s->params->chain == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;
}

static void fill(struct vc_request *req, const struct dpdk_session *s, struct dpdk_sym *op)
{
	if (s->class == DPDK_AEAD)
		fill_aead(req, s, op);
	else if (s->second)
		fill_plain(req, s, op, hash_first(s) == op->second, hash_first(s) != op->second);
	else
		fill_plain(req, s, op, s->class != DPDK_AUTH, s->class != DPDK_CIPHER);
}

static void *session_of(struct dpdk_instance *in, const struct vc_request *req,
                        struct dpdk_session *s)
{
	if (s->class != DPDK_AEAD)
		return s->session;
	return dpdk_session_variant(in, s, req->iv_len, req->aad_len);
}

enum dpdk_verdict dpdk_sym_make(struct dpdk_instance *in, struct vc_request *req,
                                struct dpdk_sym **result)
{
	struct dpdk_session *s = req->handle;
	enum dpdk_verdict verdict = check(req, s);
	struct dpdk_sym *op;
	void *session;

	if (vc_unlikely(verdict != DPDK_RUN))
		return verdict;
	session = session_of(in, req, s);
	if (vc_unlikely(!session))
		return finished(req, VC_STATUS_REFUSED);
	if (vc_unlikely(!in->sym_count))
		return DPDK_FULL;
	op = in->sym_free[in->sym_count - 1];
	if (vc_unlikely(!wrap_data(in, req, s, op)))
		return DPDK_FULL;
	in->sym_count--;
	op->req = req;
	op->op.status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	op->sym.session = session;
	op->second = false;
	fill(req, s, op);
	*result = op;
	return DPDK_RUN;
}

void dpdk_sym_put(struct dpdk_instance *in, struct dpdk_sym *op)
{
	if (vc_unlikely(op->src.next || op->dst.next)) {
		unwrap(in, &op->src);
		unwrap(in, &op->dst);
	}
	op->req = NULL;
	in->sym_free[in->sym_count++] = op;
}

/* Is the source as it was, whatever the device has done? */
static bool source_intact(const struct vc_request *req)
{
	return req->kind == VC_REQUEST_HASH || req->kind == VC_REQUEST_MAC ||
	       (uintptr_t)req->dst >= (uintptr_t)req->src + req->length ||
	       (uintptr_t)req->src >= (uintptr_t)req->dst + req->length;
}

bool dpdk_sym_end(struct dpdk_sym *op)
{
	struct vc_request *req = op->req;
	const struct dpdk_session *s = req->handle;

	if (vc_likely(op->op.status == RTE_CRYPTO_OP_STATUS_SUCCESS)) {
		if (vc_unlikely(s->second && !op->second)) {
			op->second = true;
			op->op.status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
			op->sym.session = s->second;
			fill(req, s, op);
			return false;
		}
		req->status = VIRTIO_CRYPTO_OK;
		if (s->class == DPDK_AEAD ? req->encrypt : s->class != DPDK_CIPHER)
			memcpy(req->tag, op->digest, req->tag_len);
	} else if (op->op.status == RTE_CRYPTO_OP_STATUS_AUTH_FAILED) {
		req->status = VIRTIO_CRYPTO_BADMSG;
	} else {
		req->status = source_intact(req) ? VC_STATUS_RESOURCE : VIRTIO_CRYPTO_ERR;
	}
	return true;
}
