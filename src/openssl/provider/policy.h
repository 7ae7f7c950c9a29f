/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is offloaded: read from the provider's section of openssl.cnf, asked before each operation.
 * Any thread; constant after start-up.
 */
#ifndef VC_OPENSSL_POLICY_H
#define VC_OPENSSL_POLICY_H

#include <stdbool.h>
#include <stddef.h>

enum policy_mode {
	POLICY_AUTO,   /* where it was measured to win */
	POLICY_ALWAYS, /* whatever can be offloaded */
	POLICY_NEVER,
};

/* Kinds of cipher operations, by what they cost in software. */
enum policy_work {
	POLICY_CBC_ENCRYPT,
	POLICY_CBC_DECRYPT,
	POLICY_CBC_HMAC, /* encryption; decryption is never offloaded */
	POLICY_CTR,
	POLICY_XTS,
	POLICY_GCM,
	POLICY_CCM,
	POLICY_CHACHA,
	POLICY_WORKS
};

/* Private keys, the same. */
enum policy_key { POLICY_RSA, POLICY_P256, POLICY_P384, POLICY_P521, POLICY_KEYS };

struct policy {
	enum policy_mode mode;
	bool fallback; /* software when the transport fails; else the operation fails */
	size_t min_size[POLICY_WORKS]; /* bytes from which on it is offloaded */
	char socket[108];              /* "" for the default */
	unsigned int deadline_ms;
};

/* Texts of the section; NULL where absent. */
struct policy_texts {
	const char *mode, *fallback, *min_size, *socket, *deadline_ms;
};

enum policy_choice {
	POLICY_SOFTWARE,
	POLICY_OFFLOAD,
	POLICY_FAIL, /* should be offloaded, cannot, and fallback is off */
};

/* Fill from texts. 0, or -EINVAL with the name of the wrong setting in *bad. */
int policy_parse(struct policy *policy, const struct policy_texts *texts, const char **bad);

/* Where to do a cipher operation of so many bytes, or an operation of a private key. */
enum policy_choice policy_cipher(const struct policy *policy, enum policy_work work, size_t size);
enum policy_choice policy_private(const struct policy *policy, enum policy_key key);

#endif
