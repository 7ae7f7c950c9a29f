/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See request_layouts.h.
 */
#include "request_layouts.h"

#include <string.h>
#include <vcrypto/inband.h>

const struct session_params *layout_params(const struct fixture *f, const struct test_case *c)
{
	return &session_get(f->context.sessions, f->session[c->session])->params;
}

bool layout_is_ours(const struct test_case *c)
{
	return c->header.header.opcode >> 16 == VCRYPTO_INBAND_PREFIX;
}

struct writer {
	uint8_t *at;
};

static void put(struct writer *w, uint32_t value)
{
	memcpy(w->at, &value, sizeof(value));
	w->at += sizeof(value);
}

static void put_words(struct writer *w, const void *words, unsigned int n)
{
	memcpy(w->at, words, n * sizeof(uint32_t));
	w->at += n * sizeof(uint32_t);
}

static void put_bytes(struct writer *w, const uint8_t *bytes, uint32_t n)
{
	if (n)
		memcpy(w->at, bytes, n);
	w->at += n;
}

/* struct virtio_crypto_sym_data_flf_stateless: 72 bytes, then op_type. */
static void put_sym(struct writer *w, const struct virtio_crypto_op_data_req *r,
                    const struct session_params *p)
{
	uint8_t *begin = w->at;
	uint32_t op = p->encrypt ? 1 : 2;

	memset(begin, 0xdd, 72);
	if (p->chain) {
		put(w, p->chain);
		put(w, 0); /* aad_len */
		put(w, p->cipher);
		put(w, p->key_len);
		put(w, op);
		put(w, p->mac ? p->mac : p->hash);
		put(w, p->auth_key_len);
		put(w, p->mac ? 2 : 1);
		put_words(w, &r->u.sym.u.chain, 10);
	} else {
		put(w, p->cipher);
		put(w, p->key_len);
		put(w, op);
		put(w, r->u.sym.u.cipher.iv_len);
		put(w, r->u.sym.u.cipher.src_len);
		put(w, r->u.sym.u.cipher.dst_len);
	}
	w->at = begin + 72;
	put(w, r->u.sym.op_type);
}

static void put_akcipher(struct writer *w, const struct virtio_crypto_op_data_req *r,
                         const struct session_params *p)
{
	bool rsa = p->akcipher == VIRTIO_CRYPTO_AKCIPHER_RSA;

	put(w, p->akcipher);
	put(w, p->private_key ? 2 : 1);
	put(w, p->key_len);
	put(w, rsa ? p->rsa_padding : p->curve);
	put(w, rsa ? p->rsa_hash : 0xdddddddd);
	put_words(w, &r->u.akcipher, 2);
}

/* Header and fixed parameters of stateless mode. key_len and auth_key_len of p are announced. */
static void put_stateless(struct writer *w, const struct virtio_crypto_op_data_req *r,
                          const struct session_params *p)
{
	put_words(w, &r->header, 6);
	switch (p->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		put_sym(w, r, p);
		break;
	case VIRTIO_CRYPTO_SERVICE_HASH:
		put(w, p->hash);
		put_words(w, &r->u.hash, 2);
		put(w, 0xdddddddd);
		break;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		put(w, p->mac);
		put(w, p->auth_key_len);
		put_words(w, &r->u.mac, 2);
		break;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		put(w, p->aead);
		put(w, p->key_len);
		put(w, p->encrypt ? 1 : 2);
		put(w, r->u.aead.iv_len);
		put(w, r->u.aead.tag_len);
		put(w, r->u.aead.aad_len);
		put(w, r->u.aead.src_len);
		put(w, r->u.aead.dst_len);
		break;
	default:
		put_akcipher(w, r, p);
		break;
	}
}

uint32_t layout_stateless(const struct fixture *f, const struct test_case *c,
                          const struct session_params *p, unsigned int mode, uint8_t *out)
{
	static uint8_t legacy[MAX_OUT];
	struct virtio_crypto_op_data_req header;
	struct session_params announce = *p;
	uint32_t n = case_bytes(f, c, legacy);
	struct writer w = {out};

	if (layout_is_ours(c))
		return case_bytes(f, c, out);

	memcpy(&header, legacy, sizeof(header));
	if (mode == LAYOUT_SESSION) {
		header.header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE;
		announce.key_len = announce.auth_key_len = 0;
	} else {
		header.header.flag = 0;
		header.header.session_id = UINT64_MAX;
	}
	put_stateless(&w, &header, &announce);
	if (mode != LAYOUT_SESSION) {
		put_bytes(&w, p->key, p->key_len);
		put_bytes(&w, p->auth_key, p->auth_key_len);
	}
	put_bytes(&w, legacy + 72, n - 72);
	return (uint32_t)(w.at - out);
}

uint32_t layout_revision(const struct fixture *f, const struct test_case *c, uint8_t *out)
{
	static const uint8_t sizes[] = {48, 8, 8, 24, 8};
	static uint8_t legacy[MAX_OUT];
	uint32_t n = case_bytes(f, c, legacy), size = 24u + sizes[layout_params(f, c)->service];
	const uint32_t flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE;

	if (layout_is_ours(c))
		return case_bytes(f, c, out);
	memcpy(out, legacy, size);
	memcpy(out + 16, &flag, sizeof(flag));
	memcpy(out + size, legacy + 72, n - 72);
	return size + n - 72;
}
