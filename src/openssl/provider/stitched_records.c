/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several records of AES-CBC with HMAC at once. See cipher_stitched.h, and cipher_stitched.c for
 * how a record is divided between the device and the delegate.
 *
 * Records that follow each other would have to wait for each other's last block. Those with an
 * explicit IV need not: the receiver throws the first block away, and what comes after it depends
 * on that block alone. So the explicit IV, which is random, is sent as it is (as RFC 5246, 6.2.3.2,
 * has it), and is what the data's first block is chained to.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "openssl/provider/cipher_stitched.h"

/* What the device has of each record, while all are in flight: too much for a fiber's stack. */
struct stitched_flights {
	struct core_op op[STITCHED_MAX_RECORDS];
	struct flight {
		size_t length, whole; /* of the data, and of its whole blocks; whole 0: not given */
		uint8_t header[STITCHED_AAD];
		uint8_t mac[STITCHED_MAX_MAC];
	} record[STITCHED_MAX_RECORDS];
};

void stitched_flights_free(struct stitched_ctx *c)
{
	OPENSSL_clear_free(c->flights, sizeof(*c->flights));
	c->flights = NULL;
}

/* Room for what is in flight, without anything in it; NULL without memory. */
static struct stitched_flights *empty_flights(struct stitched_ctx *c)
{
	if (!c->flights)
		c->flights = OPENSSL_malloc(sizeof(*c->flights));
	if (c->flights)
		memset(c->flights, 0, sizeof(*c->flights));
	return c->flights;
}

/* Together they go on one journey, so it is their sum that counts. */
static enum policy_choice choose(const struct stitched_ctx *c,
                                 const struct stitched_record *records, unsigned int n)
{
	size_t total = 0;

	for (unsigned int i = 0; i < n; i++)
		total += records[i].size;
	return policy_cipher(&c->base.provider->policy, POLICY_CBC_HMAC, total);
}

static void use_header(struct stitched_ctx *c, const struct stitched_record *record)
{
	memcpy(c->tls_aad, record->aad, STITCHED_AAD);
}

/* false: one for software. */
static bool fill(struct stitched_ctx *c, const struct stitched_record *r, struct core_op *op,
                 struct flight *f)
{
	size_t skip;

	use_header(c, r);
	skip = stitched_explicit_iv(c);
	if (!skip || !stitched_record_fits(c, r->size))
		return false;
	f->length = stitched_payload(c) - skip;
	f->whole = f->length & ~(AES_BLOCK - 1);
	stitched_header(c, f->length, f->header);
	memcpy(c->base.chain, r->in, AES_BLOCK);
	stitched_fill(c, op, r->out + skip, r->in + skip, f->whole, f->length, f->header, f->mac);
	return true;
}

/* The device has done its part of the record. */
static int finish(struct stitched_ctx *c, const struct stitched_record *r, const struct flight *f)
{
	size_t done = AES_BLOCK + f->whole;

	memmove(r->out, r->in, AES_BLOCK);
	memcpy(c->base.chain, r->out + done - AES_BLOCK, AES_BLOCK);
	c->base.holder = CHAIN_OURS;
	return stitched_finish_record(c, r->out + done, r->in + done, f->length - f->whole,
	                              r->size - done, f->mac);
}

static int software(struct stitched_ctx *c, const struct stitched_record *r)
{
	use_header(c, r);
	return stitched_software_record(c, r->out, r->in, r->size);
}

/* What was not given or failed has been left as it was. */
static int offload(struct stitched_ctx *c, const struct stitched_record *records, unsigned int n,
                   struct stitched_flights *flights)
{
	unsigned int given = 0, next = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (fill(c, &records[i], &flights->op[given], &flights->record[i]))
			given++;
	}
	if (given)
		(void)core_run(flights->op, given);
	for (unsigned int i = 0; i < n; i++) {
		const struct flight *f = &flights->record[i];

		if (f->whole && !flights->op[next++].result) {
			if (!finish(c, &records[i], f))
				return 0;
			continue;
		}
		if ((f->whole && !c->base.provider->policy.fallback) || !software(c, &records[i]))
			return 0;
	}
	return 1;
}

int stitched_encrypt_records(struct stitched_ctx *c, const struct stitched_record *records,
                             unsigned int n)
{
	enum policy_choice choice = choose(c, records, n);
	struct stitched_flights *flights = NULL;
	int ok = choice != POLICY_FAIL;

	c->tls_pending = false;
	if (!ok || !chain_to_us(&c->base))
		return 0;
	if (choice == POLICY_OFFLOAD && stitched_key(c))
		flights = empty_flights(c);
	if (flights) {
		ok = offload(c, records, n, flights);
		OPENSSL_cleanse(flights, sizeof(*flights));
		return ok;
	}
	for (unsigned int i = 0; ok && i < n; i++)
		ok = software(c, &records[i]);
	return ok;
}
