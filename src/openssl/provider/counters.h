/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the provider itself: its name, and the counters of this process. */
#ifndef VC_OPENSSL_PROVIDER_COUNTERS_H
#define VC_OPENSSL_PROVIDER_COUNTERS_H

#include <openssl/core.h>

/* OSSL_FUNC_PROVIDER_GETTABLE_PARAMS and OSSL_FUNC_PROVIDER_GET_PARAMS. */
const OSSL_PARAM *counters_gettable_params(void *ctx);
int counters_get_params(void *ctx, OSSL_PARAM params[]);

#endif
