/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider, linked into the program, in a library context beside the default provider.
 */
#ifndef VC_TESTS_LOADED_H
#define VC_TESTS_LOADED_H

#include <openssl/provider.h>

#include "openssl/cases.h"

struct loaded {
	OSSL_LIB_CTX *libctx;
	OSSL_PROVIDER *ours, *theirs;
};

/* What openssl.cnf says of min-size when the provider is loaded; NULL: nothing. */
extern const char *loaded_min_size;
/* The same of generate: on. */
extern bool loaded_generate;

/* With these settings of openssl.cnf, and soft_core in working order. False: it does not load. */
bool load(struct loaded *l, const char *mode, const char *fall_back);
void unload(struct loaded *l);

#endif
