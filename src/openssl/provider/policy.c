/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is offloaded. See policy.h.
 *
 * The defaults (policy auto) are those that measured as a gain; docs/openssl.md has the figures. A
 * synchronous caller waits for whatever it offloads: only RSA and the larger curves are dear enough
 * for that. In an ASYNC job it is the caller's own cost that counts (two copies, submission, pause
 * and resumption, about what AES takes for 4 to 8 KiB of serial CBC), and only CBC encryption costs
 * more than that in software. GCM and CBC decryption are as quick there as copying: they are
 * offloaded when min-size is set, for devices that make it worth while.
 */
#include "openssl/provider/policy.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/async.h>

#include "openssl/core/core.h"

const char *const policy_names[POLICY_SETTINGS] = {
	[POLICY_SET_MODE] = "policy",       [POLICY_SET_MIN_SIZE] = "min-size",
	[POLICY_SET_OFFLOAD] = "offload",   [POLICY_SET_BLOCK] = "block-operations",
	[POLICY_SET_GENERATE] = "generate", [POLICY_SET_FALLBACK] = "fallback",
	[POLICY_SET_SOCKET] = "socket",     [POLICY_SET_DEADLINE] = "deadline-ms",
	[POLICY_SET_SPIN] = "spin-us",
};

/* So many records at once are worth waiting for. */
#define PIPES 8

static const struct {
	const char *name;
	size_t min_size;
} works[POLICY_WORKS] = {
	[POLICY_CBC_ENCRYPT] = {"cbc-encrypt", 8192},
	[POLICY_CBC_DECRYPT] = {"cbc-decrypt", SIZE_MAX},
	[POLICY_CBC_HMAC] = {"cbc-hmac", 8192},
	[POLICY_CTR] = {"ctr", SIZE_MAX},
	[POLICY_XTS] = {"xts", SIZE_MAX},
	[POLICY_GCM] = {"gcm", SIZE_MAX},
	[POLICY_CCM] = {"ccm", SIZE_MAX},
	[POLICY_CHACHA] = {"chacha20-poly1305", SIZE_MAX},
};

static const struct {
	const char *name;
	bool in_job, synchronous; /* a gain */
} keys[POLICY_KEYS] = {
	[POLICY_RSA] = {"rsa", true, true},
	/* As quick in software as it is handed over, unless many are in flight. */
	[POLICY_P256] = {"p256", false, false},
	[POLICY_P384] = {"p384", true, true},
	[POLICY_P521] = {"p521", true, true},
	/* One core of the host does fewer of the quick ones than the application's own, and a
         * synchronous caller waits longer for P-521 than it would compute. */
	[POLICY_X25519_DERIVE] = {"x25519", false, false},
	[POLICY_P256_DERIVE] = {"ecdh-p256", false, false},
	[POLICY_P384_DERIVE] = {"ecdh-p384", true, true},
	[POLICY_P521_DERIVE] = {"ecdh-p521", true, false},
};

static const char *const operations[POLICY_OPERATIONS] = {
	[POLICY_OP_CIPHER] = "cipher",           [POLICY_OP_KEYMGMT] = "keymgmt",
	[POLICY_OP_SIGNATURE] = "signature",     [POLICY_OP_KEYEXCH] = "keyexch",
	[POLICY_OP_ASYM_CIPHER] = "asym-cipher",
};

/* Whole text is a number from 0 to max. */
static int parse_number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoul(text, &end, 10);
	if (errno || *end || *value > max)
		return -EINVAL;
	return 0;
}

static int parse_mode(const char *text, enum policy_mode *mode)
{
	static const char *const names[] = {
		[POLICY_AUTO] = "auto", [POLICY_ALWAYS] = "always", [POLICY_NEVER] = "never"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*mode = (enum policy_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_switch(const char *text, bool *value)
{
	if (!strcmp(text, "on"))
		*value = true;
	else if (!strcmp(text, "off"))
		*value = false;
	else
		return -EINVAL;
	return 0;
}

static int parse_size(const char *text, size_t *size)
{
	unsigned long number;

	if (parse_number(text, 1ul << 30, &number))
		return -EINVAL;
	*size = number;
	return 0;
}

/* "auto", "always", "never", or the size from which on auto offloads it. */
static int parse_rule(const char *text, struct policy_rule *rule)
{
	if (!parse_mode(text, &rule->mode))
		return 0;
	rule->mode = POLICY_AUTO;
	return parse_size(text, &rule->min_size);
}

/* "WORK=RULE" */
static int parse_offload(struct policy *policy, const char *text)
{
	const char *rule = strchr(text, '=');
	size_t length = rule ? (size_t)(rule - text) : 0;

	if (!length)
		return -EINVAL;
	for (unsigned int i = 0; i < POLICY_WORKS; i++) {
		if (strlen(works[i].name) == length && !memcmp(works[i].name, text, length))
			return parse_rule(rule + 1, &policy->work[i]);
	}
	for (unsigned int i = 0; i < POLICY_KEYS; i++) {
		if (strlen(keys[i].name) == length && !memcmp(keys[i].name, text, length))
			return parse_mode(rule + 1, &policy->key[i]);
	}
	return -EINVAL;
}

static int parse_blocked(struct policy *policy, const char *text)
{
	for (unsigned int i = 0; i < POLICY_OPERATIONS; i++) {
		if (strcmp(operations[i], text))
			continue;
		policy->blocked[i] = true;
		/* None of these works without keys of its own provider. */
		if (i == POLICY_OP_KEYMGMT)
			policy->blocked[POLICY_OP_SIGNATURE] = policy->blocked[POLICY_OP_KEYEXCH] =
				policy->blocked[POLICY_OP_ASYM_CIPHER] = true;
		return 0;
	}
	return -EINVAL;
}

/* Each word of a list with blanks or commas between; the first wrong one is left in word. */
static int parse_list(struct policy *policy, const char *text, char *word, size_t size,
                      int (*parse)(struct policy *policy, const char *word))
{
	static const char between[] = " \t,";

	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		size_t length = strcspn(text, between), copied = length < size ? length : size - 1;

		memcpy(word, text, copied);
		word[copied] = '\0';
		if (copied < length || parse(policy, word))
			return -EINVAL;
		text += length;
	}
	return 0;
}

static int parse_socket(struct policy *policy, const char *text)
{
	if (strlen(text) >= sizeof(policy->socket))
		return -EINVAL;
	memcpy(policy->socket, text, strlen(text) + 1);
	return 0;
}

static int parse_time(const char *text, unsigned long max, unsigned int *time)
{
	unsigned long number;

	if (parse_number(text, max, &number))
		return -EINVAL;
	*time = (unsigned int)number;
	return 0;
}

static int parse_mode_of_all(struct policy *policy, const char *text)
{
	enum policy_mode mode;

	if (parse_mode(text, &mode))
		return -EINVAL;
	for (unsigned int i = 0; i < POLICY_WORKS; i++)
		policy->work[i].mode = mode;
	for (unsigned int i = 0; i < POLICY_KEYS; i++)
		policy->key[i] = mode;
	return 0;
}

static int parse_size_of_all(struct policy *policy, const char *text)
{
	size_t size;

	if (parse_size(text, &size))
		return -EINVAL;
	for (unsigned int i = 0; i < POLICY_WORKS; i++)
		policy->work[i].min_size = size;
	return 0;
}

/* part: where a list puts the word that it is at. */
static int parse_setting(struct policy *policy, enum policy_setting setting, const char *text,
                         char *part, size_t size)
{
	switch (setting) {
	case POLICY_SET_MODE:
		return parse_mode_of_all(policy, text);
	case POLICY_SET_MIN_SIZE:
		return parse_size_of_all(policy, text);
	case POLICY_SET_OFFLOAD:
		return parse_list(policy, text, part, size, parse_offload);
	case POLICY_SET_BLOCK:
		return parse_list(policy, text, part, size, parse_blocked);
	case POLICY_SET_GENERATE:
		return parse_switch(text, &policy->generate);
	case POLICY_SET_FALLBACK:
		return parse_switch(text, &policy->fallback);
	case POLICY_SET_SOCKET:
		return parse_socket(policy, text);
	case POLICY_SET_DEADLINE:
		return parse_time(text, 3600ul * 1000, &policy->deadline_ms);
	case POLICY_SET_SPIN:
		return parse_time(text, 100ul * 1000, &policy->spin_us);
	default:
		return -EINVAL;
	}
}

void policy_environment(struct policy_texts *texts)
{
	for (unsigned int i = 0; i < POLICY_SETTINGS; i++) {
		char name[40] = "VCRYPTO_";
		size_t at = strlen(name);
		const char *value;

		for (const char *from = policy_names[i]; *from; from++)
			name[at++] = *from == '-' ? '_' : (char)(*from - 'a' + 'A');
		value = secure_getenv(name);
		if (value) {
			texts->text[i] = value;
			texts->from_environment[i] = true;
		}
	}
}

/* In the order of enum policy_setting: what is said of one kind of work counts more than what is
 * said of all. */
int policy_parse(struct policy *policy, const struct policy_texts *texts,
                 struct policy_error *error)
{
	*policy = (struct policy){.fallback = true};
	for (unsigned int i = 0; i < POLICY_WORKS; i++)
		policy->work[i].min_size = works[i].min_size;
	for (unsigned int i = 0; i < POLICY_SETTINGS; i++) {
		const char *text = texts->text[i];

		if (!text)
			continue;
		*error = (struct policy_error){.setting = i};
		for (size_t k = 0; k < sizeof(error->part) - 1 && text[k]; k++)
			error->part[k] = text[k];
		if (parse_setting(policy, (enum policy_setting)i, text, error->part,
		                  sizeof(error->part)))
			return -EINVAL;
	}
	return 0;
}

void policy_start_core(const struct policy *policy)
{
	struct core_options options = {.deadline_ms = policy->deadline_ms,
	                               .spin_us = policy->spin_us};

	for (size_t i = 0; i < sizeof(options.socket) && policy->socket[i]; i++)
		options.socket[i] = policy->socket[i];
	core_configure(&options);
}

static enum policy_choice try_now(const struct policy *policy)
{
	if (core_available())
		return POLICY_OFFLOAD;
	return policy->fallback ? POLICY_SOFTWARE : POLICY_FAIL;
}

enum policy_choice policy_cipher(const struct policy *policy, enum policy_work work, size_t size)
{
	return policy_pipes(policy, work, size, 1);
}

enum policy_choice policy_pipes(const struct policy *policy, enum policy_work work, size_t size,
                                size_t pipes)
{
	const struct policy_rule *rule = &policy->work[work];

	if (rule->mode == POLICY_NEVER || size == 0)
		return POLICY_SOFTWARE;
	if (rule->mode == POLICY_AUTO) {
		if (size < rule->min_size) {
			core_count_small();
			return POLICY_SOFTWARE;
		}
		if (pipes < PIPES && !ASYNC_get_current_job())
			return POLICY_SOFTWARE;
	}
	return try_now(policy);
}

enum policy_choice policy_private(const struct policy *policy, enum policy_key key)
{
	enum policy_mode mode = policy->key[key];

	if (mode == POLICY_NEVER)
		return POLICY_SOFTWARE;
	if (mode == POLICY_AUTO &&
	    !(ASYNC_get_current_job() ? keys[key].in_job : keys[key].synchronous))
		return POLICY_SOFTWARE;
	return try_now(policy);
}
