/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the provider says of itself to OSSL_PROVIDER_get_params(), before all what it has really
 * offloaded: the counters of this process, whichever library context asks. Any thread.
 */
#include "openssl/provider/counters.h"

#include <stddef.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "openssl/core/core.h"

#define OFFLOADED "vcrypto-offloaded"
#define FALLBACK "vcrypto-fallback"

/* Names, and where they are in struct vce_client_stats. The sums, of all there are, come apart. */
#define COUNTERS(X)                                                                                \
	X(OFFLOADED "-cipher", offloaded[VCE_CLASS_CIPHER])                                        \
	X(OFFLOADED "-aead", offloaded[VCE_CLASS_AEAD])                                            \
	X(OFFLOADED "-rsa-sign", offloaded[VCE_CLASS_RSA_SIGN])                                    \
	X(OFFLOADED "-rsa-decrypt", offloaded[VCE_CLASS_RSA_DECRYPT])                              \
	X(OFFLOADED "-ecdsa-sign", offloaded[VCE_CLASS_ECDSA_SIGN])                                \
	X(OFFLOADED "-derive", offloaded[VCE_CLASS_DERIVE])                                        \
	X(OFFLOADED "-generate", offloaded_more[VCE_CLASS_GENERATE - VCE_CLASSES_FIRST])           \
	X(FALLBACK "-no-daemon", fallback[VCE_FALLBACK_NO_DAEMON])                                 \
	X(FALLBACK "-full", fallback[VCE_FALLBACK_FULL])                                           \
	X(FALLBACK "-deadline", fallback[VCE_FALLBACK_DEADLINE])                                   \
	X(FALLBACK "-notsupp", fallback[VCE_FALLBACK_NOTSUPP])                                     \
	X(FALLBACK "-device", fallback[VCE_FALLBACK_DEVICE])                                       \
	X(FALLBACK "-silent", fallback[VCE_FALLBACK_SILENT])                                       \
	X("vcrypto-small", small)

#define GETTABLE(name, member) OSSL_PARAM_uint64(name, NULL),
#define COUNTER(name, member) {name, offsetof(struct vce_client_stats, member)},

static const struct {
	const char *name;
	size_t offset;
} counters[] = {COUNTERS(COUNTER)};

const OSSL_PARAM *counters_gettable_params(void *ctx)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0),
		OSSL_PARAM_uint64(OFFLOADED, NULL),
		OSSL_PARAM_uint64(FALLBACK, NULL),
		COUNTERS(GETTABLE) OSSL_PARAM_END,
	};

	return params;
}

static int set_text(OSSL_PARAM params[], const char *name, const char *text)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return !p || OSSL_PARAM_set_utf8_ptr(p, text);
}

static int set_count(OSSL_PARAM params[], const char *name, uint64_t count)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return !p || OSSL_PARAM_set_uint64(p, count);
}

static int set_counters(OSSL_PARAM params[])
{
	struct vce_client_stats stats;
	uint64_t offloaded = 0, fallback = 0;
	int ok = 1;

	core_stats(&stats);
	for (unsigned int i = 0; i < VCE_CLASSES_FIRST; i++)
		offloaded += stats.offloaded[i];
	for (unsigned int i = VCE_CLASSES_FIRST; i < VCE_CLASSES; i++)
		offloaded += stats.offloaded_more[i - VCE_CLASSES_FIRST];
	for (unsigned int i = 0; i < VCE_FALLBACK_REASONS; i++)
		fallback += stats.fallback[i];
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		const uint8_t *at = (const uint8_t *)&stats + counters[i].offset;

		ok &= set_count(params, counters[i].name, *(const uint64_t *)(const void *)at);
	}
	return ok && set_count(params, OFFLOADED, offloaded) &&
	       set_count(params, FALLBACK, fallback);
}

int counters_get_params(void *ctx, OSSL_PARAM params[])
{
	OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);

	return set_text(params, OSSL_PROV_PARAM_NAME, "vcrypto") &&
	       set_text(params, OSSL_PROV_PARAM_VERSION, VCRYPTO_VERSION) &&
	       set_text(params, OSSL_PROV_PARAM_BUILDINFO, "vcrypto " VCRYPTO_VERSION) &&
	       (!status || OSSL_PARAM_set_int(status, 1)) && set_counters(params);
}
