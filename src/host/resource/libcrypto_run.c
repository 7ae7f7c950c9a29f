/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: requests in and out. What is slow goes to the helpers; small symmetric requests the
 * worker does itself, in submit.
 */
#include <vcrypto/inband.h>

#include "host/resource/libcrypto.h"

/* Have requests wait for a helper, even if they take longer. */
#define LC_AHEAD 2u

void lc_asymmetric(struct lc_thread *thread, struct vc_request *req, struct lc_session *session)
{
	struct lc_local *local = &session->local[thread->index];

	switch (session->params->akcipher) {
	case VIRTIO_CRYPTO_AKCIPHER_ECDSA:
		req->status = lc_ecdsa(thread, req, session, local);
		break;
	case VCRYPTO_INBAND_AGREE:
		req->status = lc_agree(thread, req, session, local);
		break;
	default:
		req->status = lc_rsa(thread, req, session, local);
		break;
	}
}

static void execute(struct lc_thread *thread, struct vc_request *req)
{
	struct lc_session *session = req->handle;

	if (req->kind < VC_REQUEST_AK_ENCRYPT)
		req->status = lc_symmetric(thread, req, session, &session->local[thread->index]);
	else
		lc_asymmetric(thread, req, session);
}

/* ---- helpers ---- */

static void work_run(struct helper *helper, struct vc_request *const *reqs, unsigned int n)
{
	uint64_t begin = helper_cpu_ns();

	for (unsigned int i = 0; i < n; i++) {
		uint64_t end;

		execute(helper->own, reqs[i]);
		end = helper_cpu_ns();
		helper_done(helper, reqs[i], end - begin);
		begin = end;
	}
}

static void work_end(struct helper *helper)
{
	OPENSSL_thread_stop_ex(((struct lc_thread *)helper->own)->library);
}

const struct helper_work lc_work = {
	.name = "vc-libcrypto",
	.burst = 1,
	.ahead = LC_AHEAD,
	.run = work_run,
	.end = work_end,
};

/* ---- the worker ---- */

/* What a request costs, in bytes of AES; the constant is about what any call of EVP costs. */
static uint64_t lc_cost(const struct vc_request *req, const struct lc_session *session)
{
	return 512 + ((uint64_t)req->length + req->aad_len) * session->weight;
}

/* Small requests are done here and now, as long as the burst does not get too long with them. */
static bool stays_here(const struct vc_request *req, uint64_t *spent)
{
	const struct lc_session *session = req->handle;
	uint64_t cost = lc_cost(req, session);

	if (!session->weight || cost > LC_INLINE_COST || *spent + cost > LC_INLINE_BURST)
		return false;
	*spent += cost;
	return true;
}

unsigned int lc_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                       unsigned int n)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	struct request_list mine = {NULL, NULL};
	uint64_t spent = 0;

	instance->in_flight += n;
	for (unsigned int i = 0; i < n; i++)
		if (stays_here(reqs[i], &spent))
			request_list_add(&mine, reqs[i]);
		else
			helpers_add(&in->helpers, reqs[i]);
	helpers_feed(&in->helpers);
	/* The helpers have theirs, and work while we do. */
	while (mine.first) {
		struct vc_request *req = request_list_take(&mine);

		execute(&in->thread[in->helpers.count], req);
		request_list_add(&in->here, req);
	}
	return n;
}

unsigned int lc_poll(struct resource_instance *instance, struct vc_request **reqs, unsigned int n,
                     bool flush)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	unsigned int taken = 0;

	while (in->here.first && taken < n)
		reqs[taken++] = request_list_take(&in->here);
	taken += helpers_poll(&in->helpers, reqs + taken, n - taken);
	instance->in_flight -= taken;
	return taken;
}

int lc_fd(struct resource_instance *instance)
{
	return ((struct lc_instance *)instance)->helpers.done_fd;
}

bool lc_arm(struct resource_instance *instance)
{
	struct lc_instance *in = (struct lc_instance *)instance;

	return helpers_arm(&in->helpers) || in->here.first;
}

void lc_disarm(struct resource_instance *instance)
{
	helpers_disarm(&((struct lc_instance *)instance)->helpers);
}
