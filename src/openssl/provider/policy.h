/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is offloaded: read from the provider's section of openssl.cnf, or the ENGINE's commands, and
 * asked before each operation. Any thread; constant after start-up.
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

/* Private keys, the same; ECDSA, and key agreement. */
enum policy_key {
	POLICY_RSA,
	POLICY_P256,
	POLICY_P384,
	POLICY_P521,
	POLICY_X25519_DERIVE,
	POLICY_P256_DERIVE,
	POLICY_P384_DERIVE,
	POLICY_P521_DERIVE,
	POLICY_KEYS
};

/* What can be blocked as a whole: then OpenSSL has it from another provider. */
enum policy_operation {
	POLICY_OP_CIPHER,
	POLICY_OP_KEYMGMT,
	POLICY_OP_SIGNATURE,
	POLICY_OP_KEYEXCH,
	POLICY_OP_ASYM_CIPHER,
	POLICY_OPERATIONS
};

struct policy_rule {
	enum policy_mode mode;
	size_t min_size; /* AUTO: bytes from which on it is offloaded in jobs */
};

struct policy {
	struct policy_rule work[POLICY_WORKS];
	enum policy_mode key[POLICY_KEYS];
	bool blocked[POLICY_OPERATIONS];
	bool generate;    /* the device may make key pairs, and then knows them */
	bool fallback;    /* software when the transport fails; else the operation fails */
	char socket[108]; /* "" for the default */
	unsigned int deadline_ms;
	unsigned int spin_us; /* 0 for the default */
};

enum policy_setting {
	POLICY_SET_MODE,
	POLICY_SET_MIN_SIZE,
	POLICY_SET_OFFLOAD,
	POLICY_SET_BLOCK,
	POLICY_SET_FALLBACK,
	POLICY_SET_SOCKET,
	POLICY_SET_DEADLINE,
	POLICY_SET_SPIN,
	POLICY_SET_GENERATE, /* of the provider only, and so the last */
	POLICY_SETTINGS
};

/* Their names in openssl.cnf; in the environment in capitals, with VCRYPTO_ before and _ for -. */
extern const char *const policy_names[POLICY_SETTINGS];

/* What the settings are; NULL where absent. */
struct policy_texts {
	const char *text[POLICY_SETTINGS];
	bool from_environment[POLICY_SETTINGS];
};

/* What is wrong: a setting, and the part of its value. */
struct policy_error {
	enum policy_setting setting;
	char part[64];
};

enum policy_choice {
	POLICY_SOFTWARE,
	POLICY_OFFLOAD,
	POLICY_FAIL, /* should be offloaded, cannot, and fallback is off */
};

/* What the environment has takes the place of what is there. Programs that run with more privileges
 * than their caller have no such environment. */
void policy_environment(struct policy_texts *texts);
/* Fill from texts. 0, or -EINVAL with what is wrong. */
int policy_parse(struct policy *policy, const struct policy_texts *texts,
                 struct policy_error *error);

/* Give the client of the daemon its part of the settings; no connection is made yet. */
void policy_start_core(const struct policy *policy);

/* Where to do a cipher operation of so many bytes, or an operation of a private key. */
enum policy_choice policy_cipher(const struct policy *policy, enum policy_work work, size_t size);
/* The same for one of so many that are brought at once. */
enum policy_choice policy_pipes(const struct policy *policy, enum policy_work work, size_t size,
                                size_t pipes);
enum policy_choice policy_private(const struct policy *policy, enum policy_key key);

#endif
