/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: RSA.
 *
 * The worker's thread. A device is asked for two operations on numbers, without padding: what a
 * driver takes padding for, and where it puts the name of the hash, differs from one to the other.
 * Padding is made here (akcipher.c). Taking PKCS#1 padding off a decrypted block wants constant
 * time and is left to libcrypto.
 *
 * A result of the private operation goes out only if the public one makes the input of it again: of
 * one that a fault has spoiled, made with the CRT, the key could be computed. Inputs and outputs
 * are private, and wiped.
 */
#include <errno.h>
#include <string.h>

#include "base/secmem.h"
#include "host/der.h"
#include "host/resource/akcipher.h"
#include "host/resource/dpdk.h"

/* ---- sessions ---- */

static rte_crypto_param number(const uint8_t *data, size_t length)
{
	return (rte_crypto_param){.data = (uint8_t *)(uintptr_t)data,
	                          .iova = (rte_iova_t)(uintptr_t)data,
	                          .length = length};
}

static rte_crypto_param private_number(const struct der_rsa_private *key, enum der_rsa_number n)
{
	return number(key->number[n], key->len[n]);
}

static void fill_crt(struct rte_crypto_rsa_xform *rsa, const struct der_rsa_private *key)
{
	rsa->key_type = RTE_RSA_KEY_TYPE_QT;
	rsa->qt.p = private_number(key, DER_RSA_PRIME1);
	rsa->qt.q = private_number(key, DER_RSA_PRIME2);
	rsa->qt.dP = private_number(key, DER_RSA_EXPONENT1);
	rsa->qt.dQ = private_number(key, DER_RSA_EXPONENT2);
	rsa->qt.qInv = private_number(key, DER_RSA_COEFFICIENT);
#if DPDK_RSA_PADDING_IN_SESSION
	/* No union any more, and some drivers want it as well. */
	rsa->d = private_number(key, DER_RSA_PRIVATE_EXPONENT);
#endif
}

static int fill_private(struct dpdk_instance *in, struct dpdk_session *s,
                        struct rte_crypto_rsa_xform *rsa)
{
	const struct session_params *params = s->params;
	struct der_rsa_private key;

	if (der_rsa_private_numbers(params->key, params->key_len, &key) < 0)
		return -EKEYREJECTED;
	s->modulus = key.number[DER_RSA_MODULUS];
	s->modulus_len = key.len[DER_RSA_MODULUS];
	rsa->e = private_number(&key, DER_RSA_PUBLIC_EXPONENT);
	if (in->dpdk->crt) {
		fill_crt(rsa, &key);
		return 0;
	}
	rsa->key_type = RTE_RSA_KEY_TYPE_EXP;
	rsa->d = private_number(&key, DER_RSA_PRIVATE_EXPONENT);
	return 0;
}

static int fill_public(struct dpdk_session *s, struct rte_crypto_rsa_xform *rsa)
{
	const struct session_params *params = s->params;
	struct der_rsa key;

	if (der_rsa_public_numbers(params->key, params->key_len, &key) < 0)
		return -EKEYREJECTED;
	s->modulus = key.modulus;
	s->modulus_len = (uint16_t)key.modulus_len;
	rsa->e = number(key.exponent, key.exponent_len);
	/* A private exponent is wanted even where none is used. */
	rsa->key_type = RTE_RSA_KEY_TYPE_EXP;
	rsa->d = rsa->e;
	return 0;
}

int dpdk_rsa_realise(struct dpdk_instance *in, struct dpdk_session *s)
{
	struct rte_crypto_asym_xform xform = {.xform_type = RTE_CRYPTO_ASYM_XFORM_RSA};
	int err = s->params->private_key ? fill_private(in, s, &xform.rsa)
	                                 : fill_public(s, &xform.rsa);
	unsigned int free;

	s->class = DPDK_RSA;
	if (err)
		return err;
	if (s->modulus_len < 64 || s->modulus_len > DPDK_RSA_MAX_BYTES)
		return -ENOTSUP;
	xform.rsa.n = number(s->modulus, s->modulus_len);
	free = rte_mempool_avail_count(in->rsa_sessions);
	if (!free)
		return -ENOMEM;
	if (in->dpdk->leaks && atomic_fetch_add(&in->dpdk->rsa_made, 1) >= DPDK_RSA_LEAKS)
		return -ENOTSUP;
	if (!rte_cryptodev_asym_session_create((uint8_t)in->dpdk->asym, &xform, in->rsa_sessions,
	                                       &s->session))
		return 0;
	/* DPDK does not give it back then, and a guest can make any number of bad keys. */
	if (rte_mempool_avail_count(in->rsa_sessions) < free)
		rte_mempool_put(in->rsa_sessions, s->session);
	s->session = NULL;
	return -ENOTSUP;
}

/* ---- operations ---- */

static bool is_private(const struct vc_request *req)
{
	return req->kind == VC_REQUEST_AK_SIGN || req->kind == VC_REQUEST_AK_DECRYPT;
}

/* Raise to the public exponent, or to the private one. */
static void aim(struct dpdk_rsa *op, bool private, uint8_t *from, uint8_t *to, size_t size)
{
	struct rte_crypto_rsa_op_param *rsa = &op->asym.rsa;
	rte_crypto_param input = number(from, size), output = number(to, 0);

	memset(rsa, 0, sizeof(*rsa));
	rsa->op_type = private ? RTE_CRYPTO_ASYM_OP_DECRYPT : RTE_CRYPTO_ASYM_OP_ENCRYPT;
	rsa->cipher = private ? input : output;
	rsa->message = private ? output : input;
	op->op.status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
}

static enum dpdk_verdict finished(struct vc_request *req, uint8_t status)
{
	req->status = status;
	return DPDK_FINISHED;
}

enum dpdk_verdict dpdk_rsa_make(struct dpdk_instance *in, struct vc_request *req,
                                struct dpdk_rsa **result)
{
	const struct dpdk_session *s = req->handle;
	const struct session_params *params = s->params;
	bool raw = params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING;
	size_t size = s->modulus_len;
	struct dpdk_rsa *op;

	req->result_len = 0;
	if (is_private(req) && !params->private_key)
		return finished(req, VIRTIO_CRYPTO_KEY_REJECTED);
	if (req->kind == VC_REQUEST_AK_DECRYPT && !raw)
		return finished(req, VC_STATUS_REFUSED);
	if (!in->rsa_count)
		return DPDK_FULL;
	op = in->rsa_free[in->rsa_count - 1];
	if (!rsa_block_make(params, req, op->in, size) || memcmp(op->in, s->modulus, size) >= 0)
		return finished(req, req->kind == VC_REQUEST_AK_VERIFY ? VIRTIO_CRYPTO_KEY_REJECTED
		                                                       : VIRTIO_CRYPTO_ERR);
	in->rsa_count--;
	op->req = req;
	op->checking = false;
	op->asym.session = s->session;
	aim(op, is_private(req), op->in, op->out, size);
	*result = op;
	return DPDK_RUN;
}

void dpdk_rsa_put(struct dpdk_instance *in, struct dpdk_rsa *op)
{
	secmem_wipe(op->in, sizeof(op->in));
	secmem_wipe(op->out, sizeof(op->out));
	secmem_wipe(op->check, sizeof(op->check));
	op->req = NULL;
	in->rsa_free[in->rsa_count++] = op;
}

/* What the device made, in as many bytes as the modulus has. False: it made nothing. */
static bool result_take(const struct dpdk_rsa *op, bool private, uint8_t *block, size_t size)
{
	size_t length = private ? op->asym.rsa.message.length : op->asym.rsa.cipher.length;

	if (op->op.status != RTE_CRYPTO_OP_STATUS_SUCCESS || length > size)
		return false;
	/* Zeros in front may be missing. */
	if (length && length < size) {
		memmove(block + size - length, block, length);
		memset(block, 0, size - length);
	}
	return true;
}

static void done(const struct dpdk_rsa *op, size_t size)
{
	struct vc_request *req = op->req;
	const struct dpdk_session *s = req->handle;

	if (req->kind == VC_REQUEST_AK_VERIFY)
		req->status = rsa_verified(s->params, req, op->out, size)
		                      ? VIRTIO_CRYPTO_OK
		                      : VIRTIO_CRYPTO_KEY_REJECTED;
	else
		req->status = akcipher_result(req, op->out, size);
}

bool dpdk_rsa_end(struct dpdk_rsa *op)
{
	struct vc_request *req = op->req;
	size_t size = ((const struct dpdk_session *)req->handle)->modulus_len;
	bool private = is_private(req) && !op->checking;

	/* The source is private, and as it was. */
	req->status = VC_STATUS_REFUSED;
	if (!result_take(op, private, op->checking ? op->check : op->out, size))
		return true;
	if (private) {
		op->checking = true;
		aim(op, false, op->out, op->check, size);
		return false;
	}
	if (!op->checking || memcmp(op->check, op->in, size) == 0)
		done(op, size);
	return true;
}
